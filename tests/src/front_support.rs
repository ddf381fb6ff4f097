//! The real command against a real folder: starts nodes, asks, and looks at what was printed.
//!
//! A node that is started here is killed when its test ends, and fails the test if it printed a panic.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::JoinHandle;

use serde_json::Value;
use tempfile::TempDir;

use crate::support::guest;

/// The command: TROUPE_BIN, or what lies beside the tests.
pub fn binary() -> PathBuf {
    let file = std::env::var_os("TROUPE_BIN").map(PathBuf::from).unwrap_or_else(|| {
        let test = std::env::current_exe().unwrap();
        test.parent().and_then(Path::parent).unwrap().join("troupe")
    });
    assert!(file.is_file(), "no {}: run `cargo build --release -p troupe-cli`", file.display());
    file
}

/// What a command did.
#[derive(Debug)]
pub struct Done {
    pub code: i32,
    pub stdout: Vec<u8>,
    pub stderr: String,
}

impl Done {
    pub fn of(output: std::process::Output) -> Done {
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert!(!stderr.contains("panicked at"), "{stderr}");
        Done { code: output.status.code().unwrap_or(-1), stdout: output.stdout, stderr }
    }

    /// Standard output, of a command that succeeded.
    pub fn ok(self) -> String {
        assert_eq!(self.code, 0, "{self:?}");
        String::from_utf8(self.stdout).unwrap()
    }

    /// Standard error, of a command that ended with this code. Holds what happened; a help line where one is due.
    pub fn err(self, code: i32) -> String {
        assert_eq!(self.code, code, "{self:?}");
        assert!(self.stderr.starts_with("error: "), "{self:?}");
        self.stderr
    }
}

/// A folder to work in.
pub struct Folder {
    dir: TempDir,
}

impl Folder {
    /// An empty one.
    pub fn new() -> Folder {
        Folder { dir: tempfile::tempdir().unwrap() }
    }

    /// One with the manifest of an actor `actor` that runs a guest.
    pub fn with(guest_name: &str) -> Folder {
        let folder = Folder::new();
        folder.manifest("troupe.toml", guest_name, "");
        folder
    }

    /// Writes a manifest; `more` is text behind the keys of [actor].
    pub fn manifest(&self, file: &str, guest_name: &str, more: &str) {
        let component = guest(guest_name);
        let text = format!("[actor]\nname = \"actor\"\ncomponent = {:?}\n{more}", component.to_str().unwrap());
        self.write(file, text.as_bytes());
    }

    pub fn write(&self, file: &str, bytes: &[u8]) {
        fs::write(self.path().join(file), bytes).unwrap();
    }

    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// The command here, with nothing of the tests' environment.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(binary());
        command.args(arguments).current_dir(self.path()).env_clear().stdin(Stdio::null());
        command
    }

    /// Runs a command to its end.
    pub fn run(&self, arguments: &[&str]) -> Done {
        Done::of(self.command(arguments).output().unwrap())
    }

    /// The same with bytes on standard input.
    pub fn feed(&self, arguments: &[&str], input: &[u8]) -> Done {
        let mut command = self.command(arguments);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(input).unwrap();
        Done::of(child.wait_with_output().unwrap())
    }

    /// Starts a node with `troupe run ARGUMENTS` and waits until it listens.
    pub fn node(&self, arguments: &[&str]) -> Running {
        self.node_with(arguments, &[])
    }

    /// The same with variables in its environment.
    pub fn node_with(&self, arguments: &[&str], environment: &[(&str, &Path)]) -> Running {
        let mut command = self.command(&["run", "--json", "--live", "64"]);
        command.args(arguments).envs(environment.iter().copied());
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut stderr = child.stderr.take().unwrap();
        let log = std::thread::spawn(move || {
            let mut text = String::new();
            stderr.read_to_string(&mut text).unwrap();
            text
        });
        let mut first = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut first).unwrap();
        let mut running = Running { child, log: Some(log), said: Value::Null };
        if first.is_empty() {
            let (status, log) = running.end();
            panic!("the node did not start: {status}\n{log}");
        }
        running.said = serde_json::from_str(&first).unwrap();
        running
    }

    /// The endpoint file of the node that runs here.
    pub fn endpoint(&self) -> Value {
        serde_json::from_slice(&fs::read(self.path().join(".troupe/api.json")).unwrap()).unwrap()
    }
}

/// A node that runs.
pub struct Running {
    child: Child,
    log: Option<JoinHandle<String>>,
    /// What it said when it listened.
    pub said: Value,
}

impl Running {
    /// Sends a signal by its name.
    pub fn signal(&self, name: &str) {
        let status = Command::new("kill").args(["-s", name, &self.child.id().to_string()]).status().unwrap();
        assert!(status.success());
    }

    /// Waits for its end; gives its exit status and all that it logged.
    pub fn end(&mut self) -> (ExitStatus, String) {
        let status = self.child.wait().unwrap();
        let log = self.log.take().map(|log| log.join().unwrap()).unwrap_or_default();
        assert!(!log.contains("panicked at"), "{log}");
        (status, log)
    }

    /// Kills it as a power cut would end it, but for the disk.
    pub fn kill(mut self) -> String {
        self.signal("KILL");
        self.end().1
    }

    /// Interrupts it; it must end with 0. Gives its log.
    pub fn stop(mut self) -> String {
        self.signal("INT");
        let (status, log) = self.end();
        assert_eq!(status.code(), Some(0), "{log}");
        log
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.log.is_none() {
            return;
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
        let log = self.log.take().map(|log| log.join().unwrap()).unwrap_or_default();
        if !std::thread::panicking() {
            assert!(!log.contains("panicked at"), "{log}");
        } else {
            eprintln!("the node's log:\n{log}");
        }
    }
}

/// One HTTP request as any program would send it: the status and the body.
pub fn http(endpoint: &Value, request: &str, headers: &[(&str, &str)], body: &[u8]) -> (u16, Vec<u8>) {
    let address = endpoint["address"].as_str().unwrap();
    let mut stream = TcpStream::connect(address).unwrap();
    let mut head =
        format!("{request} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\ncontent-length: {}\r\n", body.len());
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str("\r\n");
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(body).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    let end = answer.windows(4).position(|w| w == b"\r\n\r\n").unwrap();
    let head = std::str::from_utf8(&answer[..end]).unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    let body = &answer[end + 4..];
    let chunked = head.to_ascii_lowercase().contains("transfer-encoding: chunked");
    (status, if chunked { unchunked(body) } else { body.to_vec() })
}

fn unchunked(mut body: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    loop {
        let line = body.windows(2).position(|w| w == b"\r\n").unwrap();
        let size = usize::from_str_radix(std::str::from_utf8(&body[..line]).unwrap(), 16).unwrap();
        if size == 0 {
            return out;
        }
        out.extend_from_slice(&body[line + 2..line + 2 + size]);
        body = &body[line + 4 + size..];
    }
}
