//! An ordinary command, made with the `wasi` crate and nothing of ours: answers on its output with its arguments and what it
//! is given on its input. The first argument may be `fail`, `exit`, `trap`, or `much` and a number of bytes.

use std::io::{Read, Write};

use wasi::exports::cli::run::Guest;

struct Command;
wasi::cli::command::export!(Command);

struct In(wasi::io::streams::InputStream);
impl Read for In {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        match self.0.blocking_read(into.len() as u64) {
            Ok(bytes) => {
                into[..bytes.len()].copy_from_slice(&bytes);
                Ok(bytes.len())
            }
            Err(_) => Ok(0),
        }
    }
}

struct Out(wasi::io::streams::OutputStream);
impl Write for Out {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let some = &bytes[..bytes.len().min(4096)];
        self.0.blocking_write_and_flush(some).map_err(|error| std::io::Error::other(format!("{error:?}")))?;
        Ok(some.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Guest for Command {
    fn run() -> Result<(), ()> {
        let arguments = wasi::cli::environment::get_arguments();
        let mut input = String::new();
        In(wasi::cli::stdin::get_stdin()).read_to_string(&mut input).unwrap();
        let mut out = Out(wasi::cli::stdout::get_stdout());
        writeln!(out, "{} arguments: {}", arguments.len(), arguments.join(" ")).unwrap();
        write!(out, "{}", input.to_uppercase()).unwrap();
        writeln!(Out(wasi::cli::stderr::get_stderr()), "done").unwrap();
        match arguments.get(1).map(String::as_str) {
            Some("fail") => Err(()),
            Some("exit") => {
                wasi::cli::exit::exit(Err(()));
                Ok(())
            }
            Some("trap") => panic!("on purpose"),
            Some("much") => {
                let bytes = vec![b'x'; arguments[2].parse().unwrap()];
                out.write_all(&bytes).map_err(drop)
            }
            _ => Ok(()),
        }
    }
}
