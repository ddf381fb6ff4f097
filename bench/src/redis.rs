//! A Redis server of its own on a Unix socket, where one is installed: the peer of the tuple space. Its lists are what people
//! share work with; a pair is an `LPUSH` and an `LPOP`, a thousand pairs a pipeline as a thousand are a turn.

use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};

/// How long the server may take to listen.
const PATIENCE: Duration = Duration::from_secs(10);

/// A server, which ends with this.
pub struct Redis {
    server: Child,
    client: UnixStream,
}

impl Redis {
    /// Starts one that works in `folder`; none if there is no `redis-server`. With `durable` each answer waits for a sync of its file.
    pub fn start(folder: &Path, durable: bool) -> anyhow::Result<Option<Redis>> {
        let socket = folder.join("redis.sock");
        let file: &[&str] = if durable { &["yes", "--appendfsync", "always"] } else { &["no"] };
        let server = Command::new("redis-server")
            .args(["--port", "0", "--save", "", "--dir"])
            .arg(folder)
            .arg("--unixsocket")
            .arg(&socket)
            .arg("--appendonly")
            .args(file)
            .stdout(Stdio::null())
            .spawn();
        let mut server = match server {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            server => server.context("cannot start redis-server")?,
        };
        let began = Instant::now();
        let client = loop {
            match UnixStream::connect(&socket) {
                Ok(client) => break client,
                Err(_) if began.elapsed() < PATIENCE && server.try_wait()?.is_none() => {
                    std::thread::sleep(Duration::from_millis(10));
                }
                Err(error) => {
                    let _ = server.kill();
                    return Err(error).context("redis-server does not listen");
                }
            }
        };
        Ok(Some(Redis { server, client }))
    }

    /// So many elements, each pushed and popped.
    pub fn pairs(&mut self, pairs: u32) -> anyhow::Result<()> {
        let mut asked = Vec::new();
        let mut expected = Vec::new();
        for number in 0..pairs {
            let value = number.to_string();
            let size = value.len();
            write!(
                asked,
                "*3\r\n$5\r\nLPUSH\r\n$5\r\nbench\r\n${size}\r\n{value}\r\n*2\r\n$4\r\nLPOP\r\n$5\r\nbench\r\n"
            )?;
            write!(expected, ":1\r\n${size}\r\n{value}\r\n")?;
        }
        self.client.write_all(&asked)?;
        let mut answered = vec![0; expected.len()];
        self.client.read_exact(&mut answered)?;
        ensure!(answered == expected, "redis-server answers something else");
        Ok(())
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}
