//! Recorded values as text, for `troupe journal show` and for the words of a difference.
//!
//! Promises: what Rust's `Debug` prints, but for lists of bytes: they are text in quotes where they are text without control
//! characters, else hexadecimal. A list of bytes and any other list shows so much and says how long it is.

use std::fmt::{Debug, Write as _};

use super::recordable::Recordable;

/// So many bytes of a list of bytes are shown.
const MOST_BYTES: usize = 512;
/// So much text is enough: what follows in a list is counted.
const ENOUGH: usize = 512;

/// As `Debug` has it.
pub fn debug(value: &impl Debug, out: &mut String) {
    // A string takes whatever comes.
    let _ = write!(out, "{value:?}");
}

/// Bytes: `"text"`, or `0x00ff`.
pub fn bytes(bytes: &[u8], out: &mut String) {
    let shown = &bytes[..bytes.len().min(MOST_BYTES)];
    let text = match std::str::from_utf8(shown) {
        Ok(text) => Some(text),
        // Cut inside of a character.
        Err(e) if shown.len() < bytes.len() && e.error_len().is_none() => {
            std::str::from_utf8(&shown[..e.valid_up_to()]).ok()
        }
        Err(_) => None,
    };
    match text.filter(|text| !text.chars().any(|c| c.is_control() && !c.is_whitespace())) {
        Some(text) => debug(&text, out),
        None => {
            out.push_str("0x");
            out.push_str(&hex::encode(shown));
        }
    }
    if shown.len() < bytes.len() {
        let _ = write!(out, ".. ({} bytes)", bytes.len());
    }
}

/// An answer: bytes, and where they are cut their digest, so that two of one beginning are told apart.
pub fn answer(answer: &[u8]) -> String {
    let mut out = String::new();
    bytes(answer, &mut out);
    if answer.len() > MOST_BYTES {
        let _ = write!(out, ", {}", troupe_log::Digest::of(answer));
    }
    out
}

/// A list of something else: `[a, b]`.
pub fn list<T: Recordable>(items: &[T], out: &mut String) {
    let from = out.len();
    out.push('[');
    for (n, item) in items.iter().enumerate() {
        if out.len() - from > ENOUGH {
            let _ = write!(out, ", .. {} in all", items.len());
            break;
        }
        if n > 0 {
            out.push_str(", ");
        }
        item.show(out);
    }
    out.push(']');
}

/// A case with a payload: `Some(x)`.
pub fn wrapped(case: &str, payload: &impl Recordable, out: &mut String) {
    out.push_str(case);
    out.push('(');
    payload.show(out);
    out.push(')');
}

/// A part of a value that shows itself.
pub type Part<'a> = &'a dyn Fn(&mut String);

/// A tuple: `(a, b)`, and `(a,)`.
pub fn tuple(parts: &[Part<'_>], out: &mut String) {
    out.push('(');
    for (n, part) in parts.iter().enumerate() {
        if n > 0 {
            out.push_str(", ");
        }
        part(out);
    }
    out.push_str(if parts.len() == 1 { ",)" } else { ")" });
}

/// A record: `Name { field: value }`. Of a path the last part is the name.
pub fn record(name: &str, fields: &[(&str, Part<'_>)], out: &mut String) {
    out.push_str(name.rsplit("::").next().unwrap_or(name).trim());
    for (n, (field, show)) in fields.iter().enumerate() {
        out.push_str(if n == 0 { " { " } else { ", " });
        out.push_str(field);
        out.push_str(": ");
        show(out);
    }
    out.push_str(" }");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(value: &impl Recordable) -> String {
        let mut out = String::new();
        value.show(&mut out);
        out
    }

    /// Everything but bytes is printed as before.
    fn same<T: Recordable + Debug>(value: T) {
        assert_eq!(shown(&value), format!("{value:?}"));
    }

    #[test]
    fn values_are_shown_as_rust_prints_them() {
        same((5_u64,));
        same((1_u8, -2_i32, true));
        same((Ok::<_, String>(()),));
        same((Err::<(), _>("no".to_owned()),));
        same((Some('x'), None::<u8>, 1.5_f64));
        same(vec![(1_u32, "a \"b\"\n".to_owned()), (2, String::new())]);
        same(());
    }

    #[test]
    fn bytes_are_text_or_hexadecimal_and_bounded() {
        assert_eq!(shown(&(b"a\n\"b".to_vec(),)), "(\"a\\n\\\"b\",)");
        assert_eq!(shown(&vec![0_u8, 255]), "0x00ff");
        assert_eq!(shown(&b"\x1b[31m".to_vec()), "0x1b5b33316d", "a terminal's control sequence is no text");
        assert_eq!(shown(&vec![b"in".to_vec(), vec![1]]), "[\"in\", 0x01]");
        let long = shown(&"\u{e9}".repeat(10_000).into_bytes());
        assert!(long.starts_with('"') && long.ends_with("\".. (20000 bytes)") && long.len() < 600, "{long}");
        let odd = shown(&format!("x{}", "\u{e9}".repeat(10_000)).into_bytes());
        assert!(odd.starts_with("\"x\u{e9}") && odd.ends_with(".. (20001 bytes)"), "{odd}");
        assert!(shown(&vec![0_u8; 10_000]).len() < 1100);
        let many = shown(&vec!["x".repeat(100); 10_000]);
        assert!(many.len() < 1000 && many.ends_with(", .. 10000 in all]"), "{many}");
    }
}
