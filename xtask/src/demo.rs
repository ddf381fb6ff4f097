//! `cargo xtask demo`: one message's path, end to end, in front of your eyes.
//!
//! Builds Troupe and an actor, runs a node, kills it with SIGKILL in the middle of a load, starts it again, and counts: no
//! acknowledged message is lost, none is applied twice. Then replays the journal, against the component and a changed one.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};

use crate::repo;

/// Senders in the load, and messages of each.
const SENDERS: usize = 8;
const MESSAGES: usize = 100;

#[derive(clap::Args)]
pub struct Args {
    /// Keep nothing of an earlier demo.
    #[arg(long)]
    clean: bool,
}

pub fn run(args: &Args) -> anyhow::Result<()> {
    let folder = repo::target().join("demo");
    if args.clean && folder.exists() {
        std::fs::remove_dir_all(&folder).context("removing the earlier demo")?;
    }
    std::fs::create_dir_all(&folder)?;
    let demo = Demo { troupe: build()?, project: folder.join("counter"), data: folder.join("data") };
    let begun = Instant::now();
    demo.components()?;
    demo.kill()?;
    demo.replay()?;
    say(&format!("done in {:.1} s", begun.elapsed().as_secs_f64()));
    Ok(())
}

fn say(text: &str) {
    println!("\n== {text}");
}

/// The `troupe` command, as the whole workspace builds it.
fn build() -> anyhow::Result<PathBuf> {
    say("building Troupe (some minutes the first time)");
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status = Command::new(cargo)
        .args(["build", "--release", "--workspace", "--bin", "troupe"])
        .current_dir(repo::root())
        .status()
        .context("cargo did not start")?;
    ensure!(status.success(), "Troupe does not build");
    Ok(repo::target().join("release/troupe"))
}

struct Demo {
    troupe: PathBuf,
    project: PathBuf,
    data: PathBuf,
}

impl Demo {
    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(&self.troupe);
        command.args(words).env("TROUPE_DATA", &self.data).current_dir(&self.project);
        command
    }

    /// Runs a command, shows it and what it prints. Returns its exit code and output.
    fn show(&self, words: &[&str], most: usize) -> anyhow::Result<(i32, String)> {
        println!("$ troupe {}", words.join(" "));
        let output = self.command(words).output().with_context(|| format!("troupe {}", words.join(" ")))?;
        let mut text = String::from_utf8_lossy(&output.stdout).into_owned();
        text.push_str(&String::from_utf8_lossy(&output.stderr));
        let lines: Vec<&str> = text.lines().collect();
        for line in lines.iter().take(most) {
            println!("  {line}");
        }
        if lines.len() > most {
            println!("  .. {} more lines", lines.len() - most);
        }
        Ok((output.status.code().unwrap_or(-1), text))
    }

    /// An actor in Rust, and the same with one line changed.
    fn components(&self) -> anyhow::Result<()> {
        say("an actor in Rust: a counter that logs what it adds");
        if !self.project.exists() {
            let parent = self.project.parent().context("a project has a folder")?;
            let status = Command::new(&self.troupe).args(["new", "counter"]).current_dir(parent).status()?;
            ensure!(status.success(), "troupe new failed");
        }
        let source = self.project.join("src/lib.rs");
        let text = std::fs::read_to_string(&source)?;
        let plain = text.lines().filter(|line| !line.contains("host::log(Level::Debug")).collect::<Vec<_>>().join("\n");
        let with = |words: &str| {
            let line = format!("    host::log(Level::Debug, &format!(\"{words} {{total}}\"));");
            plain.replacen("    TOTAL.set(total);", &format!("    TOTAL.set(total);\n{line}"), 1) + "\n"
        };
        for (words, component) in [("the total is now", "changed.wasm"), ("the total is", "counter.wasm")] {
            std::fs::write(&source, with(words))?;
            let (code, _) = self.show(&["build"], 3)?;
            ensure!(code == 0, "the actor does not build");
            if component != "counter.wasm" {
                std::fs::rename(self.project.join("counter.wasm"), self.project.join(component))?;
            }
        }
        Ok(())
    }

    /// Starts a node and waits until it answers.
    fn node(&self) -> anyhow::Result<Node> {
        let mut child = self
            .command(&["run", "--log", "warn"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .context("the node did not start")?;
        let (sender, lines) = channel();
        let outputs: [Option<Box<dyn std::io::Read + Send>>; 2] =
            [child.stdout.take().map(|s| Box::new(s) as _), child.stderr.take().map(|s| Box::new(s) as _)];
        for output in outputs.into_iter().flatten() {
            let sender = sender.clone();
            std::thread::spawn(move || {
                for line in BufReader::new(output).lines().map_while(Result::ok) {
                    if sender.send(line).is_err() {
                        break;
                    }
                }
            });
        }
        let mut node = Node { child, lines };
        let until = Instant::now() + Duration::from_secs(60);
        loop {
            if let Some(status) = node.child.try_wait()? {
                bail!("the node ended with {status}:\n{}", node.said());
            }
            if self.command(&["--json", "ps"]).output().is_ok_and(|output| {
                output.status.success() && String::from_utf8_lossy(&output.stdout).contains("default/counter")
            }) {
                return Ok(node);
            }
            ensure!(Instant::now() < until, "the node does not answer:\n{}", node.said());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// A load, a SIGKILL in the middle of it, and the count.
    fn kill(&self) -> anyhow::Result<()> {
        if self.data.exists() {
            std::fs::remove_dir_all(&self.data)?;
        }
        say("a node, and some messages");
        println!("$ troupe run &");
        let node = self.node()?;
        self.show(&["call", "counter", "add", "0"], 3)?;
        self.show(&["call", "counter", "get"], 3)?;
        self.show(&["journal", "show", "counter"], 12)?;

        say(&format!("{} calls from {SENDERS} senders; SIGKILL in the middle", SENDERS * MESSAGES));
        let acknowledged = AtomicUsize::new(0);
        let api = Api::of(&self.data)?;
        let pid = node.child.id();
        let mut sent: Vec<Vec<bool>> = Vec::new();
        std::thread::scope(|scope| {
            let senders: Vec<_> = (0..SENDERS)
                .map(|sender| {
                    let (api, acknowledged) = (&api, &acknowledged);
                    scope.spawn(move || {
                        (0..MESSAGES)
                            .map(|message| {
                                let answered = api.add(&key(sender, message)).is_ok();
                                if answered {
                                    acknowledged.fetch_add(1, Ordering::Relaxed);
                                }
                                answered
                            })
                            .collect::<Vec<bool>>()
                    })
                })
                .collect();
            while acknowledged.load(Ordering::Relaxed) < SENDERS * MESSAGES / 3 {
                std::thread::yield_now();
            }
            node.kill();
            sent = senders.into_iter().map(|sender| sender.join().unwrap_or_default()).collect();
        });
        let before = sent.iter().flatten().filter(|answered| **answered).count();
        println!(
            "  process {pid} was killed; {before} calls had been acknowledged, {} not",
            SENDERS * MESSAGES - before
        );

        say("the node again; each unacknowledged call is repeated under its idempotency key");
        println!("$ troupe run &");
        let node = self.node()?;
        let (_, text) = self.show(&["call", "counter", "get"], 3)?;
        let total: usize = text.trim().parse().context("the total is a number")?;
        println!("  {before} acknowledged, {total} applied: the others were under way when the node died");
        ensure!(total >= before, "an acknowledged call is lost: {before} acknowledged, {total} applied");
        let api = Api::of(&self.data)?;
        for (sender, answered) in sent.iter().enumerate() {
            for (message, _) in answered.iter().enumerate().filter(|(_, answered)| !**answered) {
                api.add(&key(sender, message))?;
            }
        }
        let (_, text) = self.show(&["call", "counter", "get"], 3)?;
        let total: usize = text.trim().parse().context("the total is a number")?;
        ensure!(total == SENDERS * MESSAGES, "{} calls, {total} applied", SENDERS * MESSAGES);
        println!("  {} calls, {total} applied: none is lost, none was applied twice", SENDERS * MESSAGES);
        self.show(&["journal", "verify", "counter"], 6)?;
        self.show(&["journal", "export", "counter", "--output", "counter.journal"], 4)?;
        node.kill();
        Ok(())
    }

    fn replay(&self) -> anyhow::Result<()> {
        say("the journal against the component, from the exported file alone");
        let (code, text) = self.show(&["replay", "counter.journal", "--component", "counter.wasm"], 6)?;
        ensure!(code == 0 && text.contains("identical"), "the replay differs");
        say("the journal against the changed component");
        let (code, _) = self.show(&["replay", "counter.journal", "--component", "changed.wasm"], 12)?;
        ensure!(code == 3, "the changed component should differ: exit code {code}");
        println!("  exit code {code}");
        Ok(())
    }
}

fn key(sender: usize, message: usize) -> String {
    format!("demo-{sender}-{message}")
}

/// A running node.
struct Node {
    child: Child,
    lines: Receiver<String>,
}

impl Node {
    fn said(&self) -> String {
        self.lines.try_iter().collect::<Vec<_>>().join("\n")
    }

    /// SIGKILL.
    fn kill(mut self) {
        // It may have ended by itself: then it is gone as well.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The management API, as far as the load needs it: one request a connection.
struct Api {
    address: String,
    token: String,
}

impl Api {
    fn of(data: &Path) -> anyhow::Result<Api> {
        let text = std::fs::read_to_string(data.join("api.json")).context("the node's api.json")?;
        let field = |name: &str| {
            let (_, rest) = text.split_once(&format!("\"{name}\""))?;
            let mut parts = rest.split('"');
            parts.next()?;
            parts.next().map(str::to_owned)
        };
        Ok(Api {
            address: field("address").context("api.json has no address")?,
            token: field("token").context("api.json has no token")?,
        })
    }

    /// Adds one, under a key. An error says nothing about whether it was applied.
    fn add(&self, key: &str) -> anyhow::Result<()> {
        let mut stream = TcpStream::connect(&self.address)?;
        stream.set_read_timeout(Some(Duration::from_secs(30)))?;
        let (address, token) = (&self.address, &self.token);
        write!(
            stream,
            "POST /v1/actors/default%2Fcounter/call HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {token}\r\n\
             troupe-type: add\r\ntroupe-key: {key}\r\ncontent-length: 1\r\nconnection: close\r\n\r\n1"
        )?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        let status = answer.lines().next().unwrap_or_default().to_owned();
        ensure!(status.contains(" 200 "), "{answer}");
        Ok(())
    }
}
