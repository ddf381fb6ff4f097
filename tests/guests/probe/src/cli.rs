//! wasi:cli, and the streams of wasi:io that it gives.

use crate::wasi::cli::{environment, stderr, stdin, stdout, terminal_stderr, terminal_stdin, terminal_stdout};
use crate::wasi::io::streams::{OutputStream, StreamError};
use crate::{Probe, number};

pub const PROBES: &[Probe] = &[
    ("environment#get-environment", |_| {
        let pairs = environment::get_environment();
        pairs.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("\n")
    }),
    // A variable's value to standard output; how long it is.
    ("environment#said", |name| {
        let value = environment::get_environment().into_iter().find(|(own, _)| own == name).map(|(_, value)| value);
        let value = value.unwrap_or_default();
        write_all(&stdout::get_stdout(), &format!("{name} is {value}\n"));
        value.len().to_string()
    }),
    ("environment#get-arguments", |_| environment::get_arguments().join("\n")),
    ("environment#initial-cwd", |_| environment::initial_cwd().unwrap_or_else(|| "none".to_string())),
    ("stdout#get-stdout", |text| write_all(&stdout::get_stdout(), text)),
    ("stderr#get-stderr", |text| write_all(&stderr::get_stderr(), text)),
    // In the order that the interface asks for: permit, write, flush, wait.
    ("streams#output-stream.write", |text| {
        let out = stdout::get_stdout();
        let done = out.check_write().and_then(|permit| {
            assert!(permit >= text.len() as u64, "a permit of {permit}");
            out.write(text.as_bytes())?;
            out.flush()?;
            out.subscribe().block();
            out.check_write()
        });
        said(done.map(|_| format!("wrote {}", text.len())))
    }),
    ("streams#output-stream.write-zeroes", |n| {
        said(stdout::get_stdout().blocking_write_zeroes_and_flush(number(n, 1)))
    }),
    ("streams#output-stream.splice", |n| said(stdout::get_stdout().splice(&stdin::get_stdin(), number(n, 1)))),
    ("stdin#get-stdin", |n| said(stdin::get_stdin().blocking_read(number(n, 64)).map(|bytes| format!("{bytes:?}")))),
    ("streams#input-stream.read", |n| said(stdin::get_stdin().read(number(n, 64)).map(|bytes| format!("{bytes:?}")))),
    ("streams#input-stream.skip", |n| said(stdin::get_stdin().skip(number(n, 1)))),
    ("terminal-stdin#get-terminal-stdin", |_| is_some(terminal_stdin::get_terminal_stdin())),
    ("terminal-stdout#get-terminal-stdout", |_| is_some(terminal_stdout::get_terminal_stdout())),
    ("terminal-stderr#get-terminal-stderr", |_| is_some(terminal_stderr::get_terminal_stderr())),
];

fn write_all(out: &OutputStream, text: &str) -> String {
    said(out.blocking_write_and_flush(text.as_bytes()).map(|()| format!("wrote {}", text.len())))
}

fn is_some<T>(value: Option<T>) -> String {
    if value.is_some() { "some".to_string() } else { "none".to_string() }
}

pub fn said<T: std::fmt::Debug>(result: Result<T, StreamError>) -> String {
    match result {
        Ok(value) => format!("{value:?}").trim_matches('"').to_string(),
        Err(StreamError::Closed) => "err: closed".to_string(),
        Err(StreamError::LastOperationFailed(error)) => format!("err: {}", error.to_debug_string()),
    }
}
