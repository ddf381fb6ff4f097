//! wasi:cli. The test grants one variable, `GREETING=hello`, and the arguments `one`, `two`.

use crate::Behaviour;
use crate::wasi::cli::{environment, exit, stderr, stdin, stdout, terminal_stderr, terminal_stdin, terminal_stdout};

pub const BEHAVIOURS: &[Behaviour] = &[
    ("cli-environment-and-arguments-are-those-granted", || {
        assert_eq!(environment::get_environment(), [("GREETING".to_string(), "hello".to_string())]);
        assert_eq!(environment::get_arguments(), ["one", "two"]);
        assert_eq!(environment::initial_cwd(), None);
    }),
    ("cli-the-same-each-time", || {
        assert_eq!(environment::get_environment(), environment::get_environment());
        assert_eq!(environment::get_arguments(), environment::get_arguments());
    }),
    ("cli-no-stream-is-a-terminal", || {
        assert!(terminal_stdin::get_terminal_stdin().is_none());
        assert!(terminal_stdout::get_terminal_stdout().is_none());
        assert!(terminal_stderr::get_terminal_stderr().is_none());
    }),
    ("cli-streams-may-be-had-more-than-once", || {
        let (one, two) = (stdout::get_stdout(), stdout::get_stdout());
        one.blocking_write_and_flush(b"first ").unwrap();
        drop(one);
        two.blocking_write_and_flush(b"and second\n").unwrap();
        stderr::get_stderr().blocking_write_and_flush(b"an error\n").unwrap();
        drop((stdin::get_stdin(), stdin::get_stdin()));
    }),
    ("exit-ok", || exit::exit(Ok(()))),
    ("exit-err", || exit::exit(Err(()))),
    ("exit-with-7", || exit::exit_with_code(7)),
];
