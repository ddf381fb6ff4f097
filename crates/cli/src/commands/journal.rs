//! `troupe journal`: what crossed an actor's boundary, record by record; checked, exported, compared.

use std::fs::File;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use clap::Subcommand;
use serde_json::json;
use troupe_log::{ActorId, PublicKey, SignedHead, record, verify as check};
use troupe_runtime::env::{Clock as _, SystemClock};
use troupe_runtime::node::{Node, NodeOptions};
use troupe_server::client::segment;
use troupe_server::export::{self, Signing};
use troupe_server::jsonl;
use troupe_server::records::{Shown, Teller};
use troupe_server::signed::SignedText;
use troupe_server::wire::Verified;

use crate::context::Context;
use crate::evidence::{self, Evidence};
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
  troupe journal export counter --format jsonl   lines of JSON, which `verify` takes too
  troupe journal sign counter                 this node's signature under its head, as counter.signed
  troupe journal verify counter.journal --signed counter.signed --key ed25519:...
                                              was it rewritten, or cut, since it was signed?
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
    /// Check every link, and a signature
    #[command(
        after_help = "Example:\n  troupe journal verify counter.journal --signed counter.signed --key ed25519:..."
    )]
    Verify {
        /// An actor, or a journal file
        #[arg(value_name = "ACTOR|FILE")]
        of: String,
        /// The key that must have signed the head; without it any key is taken and named
        #[arg(long, value_name = "PUBKEY")]
        key: Option<String>,
        /// A signed head that was kept apart: --key is asked of it, and the one in the file must hold too
        #[arg(long, value_name = "FILE")]
        signed: Option<PathBuf>,
    },
    /// Sign the head, so that a third party can check the journal
    #[command(after_help = "Example:\n  troupe journal sign counter -o monday.signed")]
    Sign {
        /// An actor
        actor: String,
        /// The file, - for standard output [default: NAME.signed]
        #[arg(short, long, value_name = "FILE")]
        output: Option<PathBuf>,
    },
    /// Write a file that replays anywhere
    #[command(after_help = "Example:\n  troupe journal export counter -o monday.journal")]
    Export {
        /// An actor
        actor: String,
        /// The file, - for standard output [default: NAME.journal, or NAME.jsonl]
        #[arg(short, long, value_name = "FILE")]
        output: Option<PathBuf>,
        /// A journal file, or lines of JSON
        #[arg(long, value_enum, default_value_t = Format::Journal)]
        format: Format,
        /// Sign the head in it with this node's key
        #[arg(long)]
        sign: bool,
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

/// In which form a journal is exported.
#[derive(clap::ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    /// The file that replays anywhere.
    Journal,
    /// A line of JSON a record, with its hash and the one before it.
    Jsonl,
}

impl Format {
    fn name(self) -> &'static str {
        match self {
            Self::Journal => "journal",
            Self::Jsonl => "jsonl",
        }
    }
}

/// How an export is to be.
#[derive(Clone, Copy)]
struct Wanted {
    format: Format,
    component: bool,
    sign: bool,
}

/// Does one of them.
pub async fn run(context: &Context, args: &Args) -> Result<()> {
    let of = |text: &str| Of::parse(text, &context.here);
    match &args.what {
        What::Show { of: text, from } => show(context, &of(text)?, *from).await,
        What::Verify { of: text, key, signed } => {
            let key = key.as_deref().map(evidence::public_key).transpose()?;
            let signed = signed.as_ref().map(|path| evidence::signed_head(&context.here.join(path))).transpose()?;
            verify(context, &of(text)?, key, signed).await
        }
        What::Export { actor, output, format, sign, no_component } => {
            let wanted = Wanted { format: *format, component: !no_component, sign: *sign };
            write(context, &of(actor)?, output.as_deref(), wanted).await
        }
        What::Sign { actor, output } => sign(context, &of(actor)?, output.as_deref()).await,
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
    let found = Evidence::read(&bytes, &of.name())?;
    let told = found.told();
    if told.good { print_all(context, &found.records, from).await } else { Err(damaged(of, &told)) }
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

async fn verify(context: &Context, of: &Of, key: Option<PublicKey>, apart: Option<SignedHead>) -> Result<()> {
    let (mut signed, mut otherwise) = (None, None);
    let verified = match of {
        // Against a signed head the records themselves are needed.
        Of::Actor(id) if key.is_none() && apart.is_none() => match Reach::find(context, id).await? {
            Reach::Node(client) => client.get(&format!("/v1/actors/{}/journal/verify", segment(id.as_str()))).await?,
            Reach::Folder(folder) => {
                let (journal, tip) = folder.journal(id)?;
                let bytes = journal.read_all().map_err(|e| Failure::failed("log", e, ""))?;
                export::verify(id.as_str(), &bytes, tip.next, tip.head)
            }
        },
        of => {
            let bytes = of.bytes(context).await?;
            let found = Evidence::read(&bytes, &of.name())?;
            let told = found.told();
            if told.good {
                signed = found.vouched(apart, key.as_ref())?;
            }
            if told.good && jsonl::is_jsonl(&bytes) {
                let node = reader().await?;
                otherwise = jsonl::told_otherwise(&bytes, node.registry());
                node.close().await.map_err(|e| Failure::failed("internal", e, ""))?;
            }
            told
        }
    };
    if context.out.json {
        let mut value = serde_json::to_value(&verified).unwrap_or_default();
        if let Some(signed) = &signed {
            value["signed"] = json!(SignedText::from(signed.clone()));
        }
        if let Some(seq) = otherwise {
            value["told-otherwise"] = json!(seq.0);
        }
        context.out.value(&value);
        return if verified.good { Ok(()) } else { Err(damaged(of, &verified)) };
    }
    if verified.good {
        context.out.line(format!(
            "good: {} of {}, from {} (record {}), head {}",
            records(verified.records),
            verified.actor,
            verified.began,
            verified.first,
            verified.head
        ));
        if let Some(signed) = signed {
            let seq = signed.seq;
            context.out.line(format!(
                "signed by {} at record {seq}: neither rewritten nor cut before it{}",
                signed.key,
                if key.is_some() { "" } else { " (if you trust that key: name it with --key)" }
            ));
        }
        if let Some(seq) = otherwise {
            context.out.line(format!(
                "the line of record {seq} reads otherwise than this version tells it: no hash covers words, go by `troupe journal show`"
            ));
        }
    }
    if verified.good { Ok(()) } else { Err(damaged(of, &verified)) }
}

/// A number of records.
pub fn records(n: u64) -> String {
    format!("{n} record{}", if n == 1 { "" } else { "s" })
}

fn damaged(of: &Of, verified: &Verified) -> Failure {
    let help = "a copy from before the damage is the way back: `troupe journal export` makes them";
    Failure::failed("damaged", format!("{} is damaged: {}", of.name(), verified.problems.join("; ")), help)
}

async fn write(context: &Context, of: &Of, output: Option<&Path>, wanted: Wanted) -> Result<()> {
    let Of::Actor(id) = of else {
        return Err(Failure::usage(format!("{} is a journal file already", of.name()), "name an actor"));
    };
    let named = || PathBuf::from(format!("{}.{}", id.name(), wanted.format.name()));
    let output = output.map_or_else(named, Path::to_owned);
    let to_stdout = output.as_os_str() == "-";
    let path = context.here.join(&output);
    let partial = path.with_extension(format!("{}.part", wanted.format.name()));
    let target = if to_stdout { None } else { Some(File::create(&partial).map_err(|e| Failure::write(&partial, &e))?) };
    let mut out = Out { file: target, written: 0 };
    let done = fill(context, id, wanted, &mut out).await;
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

async fn fill(context: &Context, id: &ActorId, wanted: Wanted, out: &mut Out) -> Result<()> {
    match Reach::find(context, id).await? {
        Reach::Node(client) => {
            let Wanted { format, component, sign } = wanted;
            let path = format!("{}&sign={sign}&format={}", export_path(id, component), format.name());
            let mut stream = client.stream(&path).await?;
            while let Some(part) = stream.next().await? {
                out.write_all(&part).map_err(|e| Failure::write(Path::new("the journal file"), &e))?;
            }
            Ok(())
        }
        Reach::Folder(folder) => {
            let (journal, _) = folder.journal(id)?;
            let key = if wanted.sign { Some(folder.key()?) } else { None };
            if key.is_some() {
                folder.sync(id)?;
            }
            let signing = key.as_ref().map(|key| Signing { key, time: SystemClock::default().wall() });
            match wanted.format {
                Format::Journal => export::export(journal, &**folder.store(), wanted.component, signing, out),
                Format::Jsonl => {
                    let node = reader().await?;
                    let done = jsonl::export(journal, node.registry(), signing, io::BufWriter::new(out));
                    node.close().await.map_err(|e| Failure::failed("internal", e, ""))?;
                    done
                }
            }
            .map_err(unreadable)
        }
    }
}

async fn sign(context: &Context, of: &Of, output: Option<&Path>) -> Result<()> {
    let Of::Actor(id) = of else {
        return Err(Failure::usage(
            format!("{} is a file", of.name()),
            "only the node that has the actor signs: name the actor",
        ));
    };
    let signed: SignedText = match Reach::find(context, id).await? {
        Reach::Node(client) => {
            client.post(&format!("/v1/actors/{}/journal/sign", segment(id.as_str())), &json!({})).await?
        }
        Reach::Folder(folder) => {
            let (journal, tip) = folder.journal(id)?;
            let key = folder.key()?;
            folder.sync(id)?;
            let signing = Signing { key: &key, time: SystemClock::default().wall() };
            export::sign(journal, tip, signing).map_err(unreadable)?.into()
        }
    };
    let mut text = serde_json::to_vec_pretty(&signed).unwrap_or_default();
    text.push(b'\n');
    let output = output.map_or_else(|| PathBuf::from(format!("{}.signed", id.name())), Path::to_owned);
    if output.as_os_str() == "-" {
        context.out.bytes(&text);
        return Ok(());
    }
    let path = context.here.join(output);
    std::fs::write(&path, &text).map_err(|e| Failure::write(&path, &e))?;
    if context.out.json {
        context.out.value(&json!({ "file": path, "signed": signed }));
    } else {
        let SignedText { seq, key, .. } = &signed;
        context.out.line(format!("wrote {}: the head of record {seq}, signed by {key}", path.display()));
    }
    Ok(())
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
    // An outcome is told by what began it.
    let shown = |of: &Evidence, record: Option<record::Record<'_>>| {
        let mut teller = Teller::new(node.registry());
        let mut told =
            record::records(&of.records).map_while(std::result::Result::ok).map(|record| teller.tell(&record));
        record.and_then(|record| told.find(|told| told.seq == record.seq.0))
    };
    let (a, b) = (shown(&l, found.left), shown(&r, found.right));
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
pub async fn file(context: &Context, of: &Of) -> Result<Evidence> {
    let found = Evidence::read(&of.bytes(context).await?, &of.name())?;
    let told = found.told();
    if !told.good {
        return Err(damaged(of, &told));
    }
    found.vouched(None, None)?;
    Ok(found)
}
