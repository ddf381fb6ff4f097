//! PAYLOAD on the command line: text, `@file`, `-` for standard input, `--hex`.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use troupe_runtime::manifest::edges::MAX_PAYLOAD;

use crate::failure::{Failure, Result};

/// The bytes of a payload. `@@` begins a text with `@`; nothing given is no bytes.
pub fn read(argument: Option<&str>, hex: bool, stdin: impl Read) -> Result<Vec<u8>> {
    let bytes = match argument {
        None => Vec::new(),
        Some("-") => bounded(stdin, "standard input")?,
        Some(text) => match text.strip_prefix('@') {
            None => text.as_bytes().to_vec(),
            Some(rest) if rest.starts_with('@') => rest.as_bytes().to_vec(),
            Some(path) => {
                let file = File::open(path).map_err(|e| {
                    let mut failure = Failure::read(Path::new(path), &e);
                    failure.help = format!("`@{path}` names a file; `@@{path}` is the text `@{path}`");
                    failure
                })?;
                bounded(file, path)?
            }
        },
    };
    if hex { decode(&bytes) } else { Ok(bytes) }
}

fn bounded(from: impl Read, name: &str) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    from.take(MAX_PAYLOAD.0 + 1).read_to_end(&mut bytes).map_err(|e| Failure::read(Path::new(name), &e))?;
    if bytes.len() as u64 > MAX_PAYLOAD.0 {
        return Err(Failure::usage(
            format!("{name} has more than {MAX_PAYLOAD}, the most that any payload may have"),
            "send it in parts",
        ));
    }
    Ok(bytes)
}

/// White space between digits is allowed.
fn decode(text: &[u8]) -> Result<Vec<u8>> {
    let digits: Vec<u8> = text.iter().copied().filter(|b| !b.is_ascii_whitespace()).collect();
    hex::decode(&digits).map_err(|e| {
        Failure::usage(
            format!("the payload is not hexadecimal: {e}"),
            "write pairs of 0-9 and a-f, as in --hex 'ff 00 1a'",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::Exit;

    fn text(argument: &str) -> Vec<u8> {
        read(Some(argument), false, &b"from stdin"[..]).unwrap()
    }

    #[test]
    fn each_form_gives_its_bytes() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("p");
        std::fs::write(&file, [0, 0xff]).unwrap();
        assert_eq!(text("hello"), b"hello");
        assert_eq!(text(""), b"");
        assert_eq!(text("-"), b"from stdin");
        assert_eq!(text("--"), b"--");
        assert_eq!(text("@@home"), b"@home");
        assert_eq!(text(&format!("@{}", file.display())), [0, 0xff]);
        assert_eq!(read(None, false, &b"x"[..]).unwrap(), b"");
        assert_eq!(read(Some("FF 00\n1a"), true, &b""[..]).unwrap(), [0xff, 0, 0x1a]);
        assert_eq!(read(Some("-"), true, &b"6162\n"[..]).unwrap(), b"ab");
    }

    #[test]
    fn what_is_wrong_is_said() {
        let e = read(Some("@/no/such"), false, &b""[..]).unwrap_err();
        assert!(e.message.contains("/no/such") && e.help.contains("@@"), "{e:?}");
        assert_eq!(e.exit, Exit::Failed);
        for bad in ["f", "zz"] {
            let e = read(Some(bad), true, &b""[..]).unwrap_err();
            assert_eq!(e.exit, Exit::Usage);
        }
    }
}
