//! wasi:io: polling, and streams over files and standard output.

use crate::Behaviour;
use crate::filesystem::{create, open};
use crate::wasi::cli::{stdin, stdout};
use crate::wasi::clocks::monotonic_clock::{subscribe_duration, subscribe_instant};
use crate::wasi::filesystem::types::{DescriptorFlags, ErrorCode, OpenFlags, filesystem_error_code};
use crate::wasi::io::poll;
use crate::wasi::io::streams::{InputStream, OutputStream, StreamError};

const HOUR: u64 = 3_600_000_000_000;

/// A file with this, for reading.
fn file(name: &str, content: &[u8]) -> InputStream {
    assert_eq!(create(name).write(content, 0).unwrap(), content.len() as u64);
    open(name, OpenFlags::empty(), DescriptorFlags::READ).unwrap().read_via_stream(0).unwrap()
}

fn writer(name: &str) -> OutputStream {
    create(name).write_via_stream(0).unwrap()
}

fn content(name: &str) -> Vec<u8> {
    let file = open(name, OpenFlags::empty(), DescriptorFlags::READ).unwrap();
    file.read(1 << 20, 0).unwrap().0
}

pub const BEHAVIOURS: &[Behaviour] = &[
    ("io-poll-of-nothing-traps", || drop(poll::poll(&[]))),
    ("io-poll-names-all-that-are-ready-and-no-other", || {
        let (past, far) = (subscribe_duration(0), subscribe_duration(HOUR));
        assert_eq!(poll::poll(&[&far, &past, &far, &past]), [1, 3]);
        assert_eq!(poll::poll(&[&past]), [0]);
    }),
    ("io-poll-waits-until-one-is-ready", || {
        let (soon, far) = (subscribe_duration(3_000_000), subscribe_duration(HOUR));
        assert_eq!(poll::poll(&[&far, &soon]), [1]);
        assert!(soon.ready() && !far.ready());
    }),
    ("io-poll-takes-many", || {
        let (past, far) = (subscribe_instant(0), subscribe_duration(HOUR));
        let mut many = vec![&far; 500];
        many.push(&past);
        assert_eq!(poll::poll(&many), [500]);
    }),
    ("io-polling-takes-nothing-away", || {
        let past = subscribe_duration(0);
        for _ in 0..3 {
            assert!(past.ready());
            past.block();
            assert_eq!(poll::poll(&[&past]), [0]);
        }
    }),
    ("io-a-pollable-may-go-before-its-stream", || {
        let stream = file("io.txt", b"some");
        let ready = stream.subscribe();
        ready.block();
        drop(ready);
        assert_eq!(stream.blocking_read(4).unwrap(), b"some");
    }),
    ("io-a-stream-with-a-pollable-left-traps", || {
        let stream = file("io.txt", b"some");
        let ready = stream.subscribe();
        drop(stream);
        drop(ready);
    }),
    ("io-a-read-gives-at-most-what-was-asked-and-ends-closed", || {
        let stream = file("io.txt", b"abcdef");
        assert_eq!(stream.blocking_read(0).unwrap(), b"");
        assert_eq!(stream.blocking_read(2).unwrap(), b"ab");
        assert_eq!(stream.blocking_skip(1).unwrap(), 1);
        assert_eq!(stream.blocking_read(u64::MAX).unwrap(), b"def");
        for _ in 0..2 {
            assert!(matches!(stream.blocking_read(1), Err(StreamError::Closed)));
            assert!(matches!(stream.blocking_skip(1), Err(StreamError::Closed)));
        }
        stream.subscribe().block();
    }),
    ("io-standard-input-is-at-its-end", || {
        let stdin = stdin::get_stdin();
        stdin.subscribe().block();
        assert!(matches!(stdin.read(1), Err(StreamError::Closed)));
        assert!(matches!(stdin.blocking_read(1), Err(StreamError::Closed)));
        assert!(matches!(stdin.blocking_skip(1), Err(StreamError::Closed)));
    }),
    ("io-what-is-permitted-may-be-written", || {
        let out = writer("io.txt");
        out.subscribe().block();
        let permit = out.check_write().unwrap();
        assert!(permit > 0);
        out.write(&[]).unwrap();
        out.check_write().unwrap();
        out.write(b"abc").unwrap();
        out.blocking_flush().unwrap();
        out.subscribe().block();
        assert!(out.check_write().unwrap() >= 2);
        out.write_zeroes(2).unwrap();
        out.flush().unwrap();
        out.subscribe().block();
        out.check_write().unwrap();
        drop(out);
        assert_eq!(content("io.txt"), b"abc\0\0");
    }),
    ("io-more-than-is-permitted-traps", || {
        let out = stdout::get_stdout();
        let permit = out.check_write().unwrap();
        let _ = out.write(&vec![b'x'; permit as usize + 1]);
    }),
    ("io-at-most-a-page-is-written-at-once", || {
        let out = writer("io.txt");
        out.blocking_write_and_flush(&[b'x'; 4096]).unwrap();
        out.blocking_write_zeroes_and_flush(4096).unwrap();
        drop(out);
        assert_eq!(content("io.txt").len(), 8192);
    }),
    ("io-more-than-a-page-at-once-traps", || drop(stdout::get_stdout().blocking_write_and_flush(&[b'x'; 4097]))),
    ("io-more-than-a-page-of-zeroes-traps", || drop(writer("io.txt").blocking_write_zeroes_and_flush(4097))),
    ("io-a-splice-moves-what-is-there", || {
        let (source, out) = (file("io.txt", b"abcdef"), writer("io-to.txt"));
        assert_eq!(out.blocking_splice(&source, 4).unwrap(), 4);
        assert_eq!(out.blocking_splice(&source, 100).unwrap(), 2);
        assert!(matches!(out.blocking_splice(&source, 1), Err(StreamError::Closed)));
        drop(out);
        assert_eq!(content("io-to.txt"), b"abcdef");
    }),
    ("io-an-error-says-something", || {
        drop(create("io.txt"));
        let readable = open("io.txt", OpenFlags::empty(), DescriptorFlags::READ).unwrap();
        match readable.write_via_stream(0).map(|out| out.blocking_write_and_flush(b"x")) {
            Ok(Err(StreamError::LastOperationFailed(error))) => assert!(!error.to_debug_string().is_empty()),
            Err(code) => assert!(!code.message().is_empty()),
            other => panic!("{other:?}"),
        }
    }),
    ("io-the-error-of-a-file-has-its-code", || {
        drop(create("io.txt"));
        let file = open("io.txt", OpenFlags::empty(), DescriptorFlags::READ | DescriptorFlags::WRITE).unwrap();
        let out = file.write_via_stream(u64::MAX - 1).unwrap();
        match out.blocking_write_and_flush(b"beyond every end") {
            Err(StreamError::LastOperationFailed(error)) => {
                let code = filesystem_error_code(&error).expect("an error of a file");
                assert!(matches!(code, ErrorCode::Invalid | ErrorCode::FileTooLarge | ErrorCode::Overflow), "{code:?}");
            }
            other => panic!("{other:?}"),
        }
    }),
    ("io-appended-is-what-stands-behind", || {
        drop(file("io.txt", b"abc"));
        let both = OpenFlags::empty();
        let out = open("io.txt", both, DescriptorFlags::WRITE).unwrap().append_via_stream().unwrap();
        out.blocking_write_and_flush(b"def").unwrap();
        drop(out);
        assert_eq!(content("io.txt"), b"abcdef");
    }),
];
