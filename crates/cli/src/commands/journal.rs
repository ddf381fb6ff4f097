//! `troupe journal`: what crossed an actor's boundary, record by record; checked, exported, compared.

use std::fs::File;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use clap::Subcommand;
use serde_json::json;
use troupe_log::{export as files, record, verify as check};
use troupe_runtime::node::{Node, NodeOptions};
use troupe_server::client::segment;
use troupe_server::export;
use troupe_server::records::{Shown, Teller};
use troupe_server::wire::Verified;

use crate::context::Context;
use crate::failure::{Failure, Result};
use crate::journals::{Of, Reach, export_path, unreadable};
use crate::output::plain;

/// Arguments.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  troupe journal show counter                 a line a record
  troupe journal show counter --from 100 --json
  troupe journal verify counter               finds a changed, missing or moved record
  troupe journal export counter               writes counter.journal, which replays anywhere
  troupe journal diff monday.journal counter  the first record in which two journals differ

An ACTOR's journal is asked of the node that runs, or read from the data folder if none runs; a FILE needs neither.")]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand, Debug)]
enum What {
    /// Print the records
    #[command(after_help = "Example:\n  troupe journal show counter --from 100")]
    Show {
        /// An actor, or a journal file
        #[arg(value_name = "ACTOR|FILE")]
        of: String,
        /// The first record
        #[arg(long, value_name = "N", default_value_t = 0)]
        from: u64,
    },
    /// Check every link
    #[command(after_help = "Example:\n  troupe journal verify counter.journal")]
    Verify {
        /// An actor, or a journal file
        #[arg(value_name = "ACTOR|FILE")]
        of: String,
    },
    /// Write a file that replays anywhere
    #[command(after_help = "Example:\n  troupe journal export counter -o monday.journal")]
    Export {
        /// An actor
        actor: String,
        /// The file, - for standard output [default: NAME.journal]
        #[arg(short, long, value_name = "FILE")]
        output: Option<PathBuf>,
        /// Leave the component out: the file is smaller, and a replay needs --component
        #[arg(long)]
        no_component: bool,
    },
    /// Find the first record in which two journals differ (exit code 3)
    #[command(after_help = "Example:\n  troupe journal diff a.journal b.journal")]
    Diff {
        /// An actor, or a journal file
        #[arg(value_name = "ACTOR|FILE")]
        left: String,
        /// An actor, or a journal file
        #[arg(value_name = "ACTOR|FILE")]
        right: String,
    },
}

/// Does one of them.
pub async fn run(context: &Context, args: &Args) -> Result<()> {
    let of = |text: &str| Of::parse(text, &context.here);
    match &args.what {
        What::Show { of: text, from } => show(context, &of(text)?, *from).await,
        What::Verify { of: text } => verify(context, &of(text)?).await,
        What::Export { actor, output, no_component } => {
            write(context, &of(actor)?, output.as_deref(), !no_component).await
        }
        What::Diff { left, right } => diff(context, &of(left)?, &of(right)?).await,
    }
}

async fn show(context: &Context, of: &Of, from: u64) -> Result<()> {
    if let Of::Actor(id) = of {
        match Reach::find(context, id).await? {
            Reach::Node(client) => {
                let path = format!("/v1/actors/{}/journal?from={from}", segment(id.as_str()));
                let mut stream = client.stream(&path).await?;
                let mut rest = Vec::new();
                while let Some(part) = stream.next().await? {
                    rest.extend_from_slice(&part);
                    let whole = rest.iter().rposition(|b| *b == b'\n').map_or(0, |at| at + 1);
                    for line in rest[..whole].split(|b| *b == b'\n').filter(|line| !line.is_empty()) {
                        print_line(context, line)?;
                    }
                    rest.drain(..whole);
                }
                return Ok(());
            }
            Reach::Folder(folder) => {
                let (journal, _) = folder.journal(id)?;
                let bytes = journal.read_all().map_err(|e| Failure::failed("log", e, ""))?;
                return print_all(context, &bytes, from).await;
            }
        }
    }
    let bytes = of.bytes(context).await?;
    // A damaged journal is shown as far as it can be: that is how one finds what happened.
    let report = files::verify_file(&bytes).map_err(|e| not_a_journal(of, &e))?;
    if report.is_good() {
        let file = files::read(&bytes).map_err(|e| not_a_journal(of, &e))?;
        return print_all(context, &file.records, from).await;
    }
    Err(damaged(of, &told(&report)))
}

fn print_line(context: &Context, line: &[u8]) -> Result<()> {
    let shown: Shown = serde_json::from_slice(line).map_err(|e| {
        Failure::failed("no-node", format!("the node's answer cannot be read: {e}"), "use the same version of `troupe`")
    })?;
    print(context, &shown);
    Ok(())
}

fn print(context: &Context, shown: &Shown) {
    if context.out.json {
        context.out.value(shown);
    } else {
        context.out.line(plain(&shown.line()));
    }
}

async fn print_all(context: &Context, bytes: &[u8], from: u64) -> Result<()> {
    let node = reader().await?;
    let mut teller = Teller::new(node.registry());
    for record in record::records(bytes) {
        let record = record.map_err(|e| Failure::failed("journal", e, "`troupe journal verify` says more"))?;
        let shown = teller.tell(&record);
        if shown.seq >= from {
            print(context, &shown);
        }
    }
    node.close().await.map_err(|e| Failure::failed("internal", e, ""))
}

/// A node in memory: it knows how the records of every function are read.
pub async fn reader() -> Result<Node> {
    Node::open(NodeOptions { live: 1, ..NodeOptions::in_memory() }).await.map_err(|e| Failure::failed("engine", e, ""))
}

async fn verify(context: &Context, of: &Of) -> Result<()> {
    let verified = match of {
        Of::File(path) => {
            let bytes = std::fs::read(path).map_err(|e| Failure::read(path, &e))?;
            let report = files::verify_file(&bytes).map_err(|e| not_a_journal(of, &e))?;
            told(&report)
        }
        Of::Actor(id) => match Reach::find(context, id).await? {
            Reach::Node(client) => client.get(&format!("/v1/actors/{}/journal/verify", segment(id.as_str()))).await?,
            Reach::Folder(folder) => {
                let (journal, tip) = folder.journal(id)?;
                let bytes = journal.read_all().map_err(|e| Failure::failed("log", e, ""))?;
                export::verify(id.as_str(), &bytes, tip.next, tip.head)
            }
        },
    };
    if context.out.json {
        context.out.value(&verified);
    } else if verified.good {
        context.out.line(format!(
            "good: {} of {}, from {} (record {}), head {}",
            records(verified.records),
            verified.actor,
            verified.began,
            verified.first,
            verified.head
        ));
    }
    if verified.good { Ok(()) } else { Err(damaged(of, &verified)) }
}

/// A number of records.
pub fn records(n: u64) -> String {
    format!("{n} record{}", if n == 1 { "" } else { "s" })
}

fn told(report: &files::FileReport) -> Verified {
    let mut told = export::told(report.about.actor.as_str(), &report.records);
    told.good = report.is_good();
    told.problems.extend(report.damage.map(str::to_owned));
    told
}

fn damaged(of: &Of, verified: &Verified) -> Failure {
    let help = "a copy from before the damage is the way back: `troupe journal export` makes them";
    Failure::failed("damaged", format!("{} is damaged: {}", of.name(), verified.problems.join("; ")), help)
}

/// A file that is something else.
pub fn not_a_journal(of: &Of, e: &troupe_log::Error) -> Failure {
    Failure::failed(
        "not-a-journal",
        format!("{}: {e}", of.name()),
        "`troupe journal export ACTOR` makes a journal file",
    )
}

async fn write(context: &Context, of: &Of, output: Option<&Path>, component: bool) -> Result<()> {
    let Of::Actor(id) = of else {
        return Err(Failure::usage(format!("{} is a journal file already", of.name()), "name an actor"));
    };
    let output = output.map_or_else(|| PathBuf::from(format!("{}.journal", id.name())), Path::to_owned);
    let to_stdout = output.as_os_str() == "-";
    let path = context.here.join(&output);
    let partial = path.with_extension("journal.part");
    let target = if to_stdout { None } else { Some(File::create(&partial).map_err(|e| Failure::write(&partial, &e))?) };
    let mut out = Out { file: target, written: 0 };
    let done = fill(context, id, component, &mut out).await;
    if to_stdout {
        return done;
    }
    if let Err(e) = done.and_then(|()| finish(&mut out, &partial, &path)) {
        // Half a file is worse than none.
        let _ = std::fs::remove_file(&partial);
        return Err(e);
    }
    if context.out.json {
        context.out.value(&json!({ "actor": id.as_str(), "file": path, "size": out.written }));
    } else {
        context.out.line(format!("wrote {} ({} bytes)", path.display(), out.written));
    }
    Ok(())
}

async fn fill(context: &Context, id: &troupe_log::ActorId, component: bool, out: &mut Out) -> Result<()> {
    match Reach::find(context, id).await? {
        Reach::Node(client) => {
            let mut stream = client.stream(&export_path(id, component)).await?;
            while let Some(part) = stream.next().await? {
                out.write_all(&part).map_err(|e| Failure::write(Path::new("the journal file"), &e))?;
            }
            Ok(())
        }
        Reach::Folder(folder) => {
            let (journal, _) = folder.journal(id)?;
            export::export(journal, &**folder.store(), component, out).map_err(unreadable)
        }
    }
}

fn finish(out: &mut Out, partial: &Path, path: &Path) -> Result<()> {
    if let Some(file) = &out.file {
        file.sync_all().map_err(|e| Failure::write(partial, &e))?;
    }
    std::fs::rename(partial, path).map_err(|e| Failure::write(path, &e))
}

/// A file, or standard output.
struct Out {
    file: Option<File>,
    written: u64,
}

impl io::Write for Out {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let n = match &mut self.file {
            Some(file) => file.write(bytes)?,
            None => io::stdout().write(bytes)?,
        };
        self.written += n as u64;
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        match &mut self.file {
            Some(file) => file.flush(),
            None => io::stdout().flush(),
        }
    }
}

async fn diff(context: &Context, left: &Of, right: &Of) -> Result<()> {
    let (l, r) = (file(context, left).await?, file(context, right).await?);
    let Some(found) = check::diff(&l.records, &r.records) else {
        let n = record::records(&l.records).count() as u64;
        if context.out.json {
            context.out.value(&json!({ "identical": true, "records": n }));
        } else {
            context.out.line(format!("identical, {}", records(n)));
        }
        return Ok(());
    };
    let node = reader().await?;
    let shown = |record: Option<record::Record<'_>>| record.map(|r| Teller::new(node.registry()).tell(&r));
    let (a, b) = (shown(found.left), shown(found.right));
    if context.out.json {
        context.out.value(&json!({ "identical": false, "seq": found.seq.0, "left": a, "right": b }));
    } else {
        let line = |shown: &Option<Shown>| shown.as_ref().map_or("(has ended)".to_owned(), |s| plain(&s.line()));
        context.out.line(format!("{}\n{}\n{}\n{}", left.name(), line(&a), right.name(), line(&b)));
    }
    node.close().await.map_err(|e| Failure::failed("internal", e, ""))?;
    Err(Failure::differs(format!("the journals differ from record {} on", found.seq), ""))
}

/// A journal file, read and found good.
pub async fn file(context: &Context, of: &Of) -> Result<files::Export> {
    files::read(&of.bytes(context).await?).map_err(|e| not_a_journal(of, &e))
}
