//! The value codec: how every value in a journal becomes bytes.
//!
//! Little-endian, fixed widths, no padding, no names, no type tags: both sides know the type. Equal
//! values give equal bytes (a NaN is always the canonical one), which is what hashing needs. Reading
//! is bounded: a length is checked against what is left before anything is allocated, and no input
//! panics. `docs/journal-format.md` has the table.

/// Why bytes are no value of the type asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Fewer bytes than the value needs.
    #[error("cut short at byte {at}: {needed} more bytes needed, {left} left")]
    Short {
        /// Offset of the value in the bytes read.
        at: usize,
        /// Bytes that the value needs.
        needed: usize,
        /// Bytes that are there.
        left: usize,
    },
    /// Bytes that no value of the type has.
    #[error("bad {what} at byte {at}")]
    Bad {
        /// Offset of the value in the bytes read.
        at: usize,
        /// The type.
        what: &'static str,
    },
    /// Bytes after the value.
    #[error("{left} bytes too many at byte {at}")]
    Trailing {
        /// Where the value ended.
        at: usize,
        /// Bytes after it.
        left: usize,
    },
}

/// The one NaN that the codec writes for `f32`.
pub const CANONICAL_NAN32: u32 = 0x7fc0_0000;
/// The one NaN that the codec writes for `f64`.
pub const CANONICAL_NAN64: u64 = 0x7ff8_0000_0000_0000;

macro_rules! put_number {
    ($($(#[$doc:meta])* $name:ident $ty:ty;)*) => {$(
        $(#[$doc])*
        #[inline]
        pub fn $name(out: &mut Vec<u8>, v: $ty) { out.extend_from_slice(&v.to_le_bytes()); }
    )*};
}
put_number! {
    /// One byte.
    put_u8 u8;
    /// Two bytes.
    put_u16 u16;
    /// Four bytes.
    put_u32 u32;
    /// Eight bytes.
    put_u64 u64;
    /// One byte, two's complement.
    put_s8 i8;
    /// Two bytes, two's complement.
    put_s16 i16;
    /// Four bytes, two's complement.
    put_s32 i32;
    /// Eight bytes, two's complement.
    put_s64 i64;
}

/// 0 or 1.
#[inline]
pub fn put_bool(out: &mut Vec<u8>, v: bool) {
    out.push(u8::from(v));
}

/// A Unicode scalar value, four bytes.
#[inline]
pub fn put_char(out: &mut Vec<u8>, v: char) {
    put_u32(out, u32::from(v));
}

/// The bits, a NaN as the canonical one.
#[inline]
pub fn put_f32(out: &mut Vec<u8>, v: f32) {
    put_u32(out, if v.is_nan() { CANONICAL_NAN32 } else { v.to_bits() });
}

/// The bits, a NaN as the canonical one.
#[inline]
pub fn put_f64(out: &mut Vec<u8>, v: f64) {
    put_u64(out, if v.is_nan() { CANONICAL_NAN64 } else { v.to_bits() });
}

/// The count before the items of a list. More than `u32::MAX` items fit no wasm memory; such a
/// count is written as `u32::MAX`, which no reader accepts.
#[inline]
pub fn put_len(out: &mut Vec<u8>, n: usize) {
    put_u32(out, u32::try_from(n).unwrap_or(u32::MAX));
}

/// A count and the bytes: `list<u8>`.
#[inline]
pub fn put_bytes(out: &mut Vec<u8>, v: &[u8]) {
    put_len(out, v.len());
    out.extend_from_slice(v);
}

/// A count of bytes and the UTF-8.
#[inline]
pub fn put_str(out: &mut Vec<u8>, v: &str) {
    put_bytes(out, v.as_bytes());
}

/// The discriminant of one of `cases` cases: one byte up to 256 of them, else two.
#[inline]
pub fn put_case(out: &mut Vec<u8>, cases: usize, case: u16) {
    if cases <= 256 {
        out.push(case as u8);
    } else {
        put_u16(out, case);
    }
}

/// Flags, first flag in the lowest bit of the first byte, `ceil(n / 8)` bytes.
pub fn put_flags(out: &mut Vec<u8>, flags: impl IntoIterator<Item = bool>) {
    let mut byte = 0;
    let mut n = 0;
    for flag in flags {
        byte |= u8::from(flag) << (n % 8);
        n += 1;
        if n % 8 == 0 {
            out.push(byte);
            byte = 0;
        }
    }
    if n % 8 != 0 {
        out.push(byte);
    }
}

/// `none` is 0, `some` is 1 and the value.
pub fn put_option<T>(out: &mut Vec<u8>, v: Option<T>, put: impl FnOnce(&mut Vec<u8>, T)) {
    match v {
        None => out.push(0),
        Some(v) => {
            out.push(1);
            put(out, v);
        }
    }
}

/// A bounded reader over encoded bytes. After an error its place is unspecified.
#[derive(Debug, Clone)]
pub struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

macro_rules! read_number {
    ($($(#[$doc:meta])* $name:ident $ty:ty;)*) => {$(
        $(#[$doc])*
        #[inline]
        pub fn $name(&mut self) -> Result<$ty, Error> { Ok(<$ty>::from_le_bytes(self.array()?)) }
    )*};
}

impl<'a> Reader<'a> {
    /// Reads from the first of these bytes.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// How many bytes were read.
    pub fn at(&self) -> usize {
        self.at
    }

    /// What is not read yet.
    pub fn rest(&self) -> &'a [u8] {
        &self.bytes[self.at..]
    }

    /// Whether nothing is left.
    pub fn is_empty(&self) -> bool {
        self.at == self.bytes.len()
    }

    /// An error if anything is left.
    pub fn finish(&self) -> Result<(), Error> {
        match self.rest().len() {
            0 => Ok(()),
            left => Err(Error::Trailing { at: self.at, left }),
        }
    }

    /// The next `n` bytes.
    #[inline]
    pub fn take(&mut self, n: usize) -> Result<&'a [u8], Error> {
        let left = self.rest();
        match left.get(..n) {
            Some(bytes) => {
                self.at += n;
                Ok(bytes)
            }
            None => Err(Error::Short { at: self.at, needed: n, left: left.len() }),
        }
    }

    /// The next `N` bytes.
    #[inline]
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        let at = self.at;
        self.take(N)?.try_into().map_err(|_| Error::Bad { at, what: "array" })
    }

    read_number! {
        /// One byte.
        u8 u8;
        /// Two bytes.
        u16 u16;
        /// Four bytes.
        u32 u32;
        /// Eight bytes.
        u64 u64;
        /// One byte, two's complement.
        s8 i8;
        /// Two bytes, two's complement.
        s16 i16;
        /// Four bytes, two's complement.
        s32 i32;
        /// Eight bytes, two's complement.
        s64 i64;
    }

    /// 0 or 1, nothing else.
    pub fn bool(&mut self) -> Result<bool, Error> {
        match self.u8()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(Error::Bad { at: self.at - 1, what: "bool" }),
        }
    }

    /// A Unicode scalar value.
    pub fn char(&mut self) -> Result<char, Error> {
        let at = self.at;
        char::from_u32(self.u32()?).ok_or(Error::Bad { at, what: "char" })
    }

    /// A float; a NaN that is not the canonical one is refused.
    pub fn f32(&mut self) -> Result<f32, Error> {
        let at = self.at;
        let bits = self.u32()?;
        let v = f32::from_bits(bits);
        if v.is_nan() && bits != CANONICAL_NAN32 {
            return Err(Error::Bad { at, what: "f32" });
        }
        Ok(v)
    }

    /// A float; a NaN that is not the canonical one is refused.
    pub fn f64(&mut self) -> Result<f64, Error> {
        let at = self.at;
        let bits = self.u64()?;
        let v = f64::from_bits(bits);
        if v.is_nan() && bits != CANONICAL_NAN64 {
            return Err(Error::Bad { at, what: "f64" });
        }
        Ok(v)
    }

    /// The count of a list whose items take at least `item` bytes each: checked against what is
    /// left, so that it is safe to reserve. An item of no bytes is bounded by `u32::MAX - 1` only.
    pub fn len(&mut self, item: usize) -> Result<usize, Error> {
        let at = self.at;
        let n = self.u32()?;
        if n == u32::MAX {
            return Err(Error::Bad { at, what: "count" });
        }
        let n = n as usize;
        let needed = n.saturating_mul(item);
        let left = self.rest().len();
        if needed > left {
            return Err(Error::Short { at, needed, left });
        }
        Ok(n)
    }

    /// A count and the bytes.
    #[inline]
    pub fn bytes(&mut self) -> Result<&'a [u8], Error> {
        let n = self.len(1)?;
        self.take(n)
    }

    /// A count and UTF-8.
    pub fn str(&mut self) -> Result<&'a str, Error> {
        let at = self.at;
        std::str::from_utf8(self.bytes()?).map_err(|_| Error::Bad { at, what: "string" })
    }

    /// The discriminant of one of `cases` cases.
    pub fn case(&mut self, cases: usize) -> Result<u16, Error> {
        let at = self.at;
        let case = if cases <= 256 { u16::from(self.u8()?) } else { self.u16()? };
        if usize::from(case) < cases { Ok(case) } else { Err(Error::Bad { at, what: "case" }) }
    }

    /// The bytes of `n` flags; a bit past the last flag is refused.
    pub fn flags(&mut self, n: usize) -> Result<&'a [u8], Error> {
        let at = self.at;
        let bytes = self.take(n.div_ceil(8))?;
        if let (Some(last), used @ 1..) = (bytes.last(), n % 8)
            && last >> used != 0
        {
            return Err(Error::Bad { at, what: "flags" });
        }
        Ok(bytes)
    }

    /// 0, or 1 and the value.
    pub fn option<T>(&mut self, read: impl FnOnce(&mut Self) -> Result<T, Error>) -> Result<Option<T>, Error> {
        match self.case(2)? {
            0 => Ok(None),
            _ => read(self).map(Some),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_strings_and_cases_read_back() {
        let mut out = Vec::new();
        put_u16(&mut out, 0x1234);
        put_s32(&mut out, -5);
        put_f64(&mut out, -0.0);
        put_char(&mut out, 'ß');
        put_str(&mut out, "grüß");
        put_case(&mut out, 256, 255);
        put_case(&mut out, 257, 256);
        put_flags(&mut out, [true, false, true, false, false, false, false, false, true]);
        put_option(&mut out, Some(7u8), put_u8);
        put_option(&mut out, None, put_u8);
        let mut r = Reader::new(&out);
        assert_eq!(r.u16(), Ok(0x1234));
        assert_eq!(r.s32(), Ok(-5));
        assert_eq!(r.f64().map(f64::to_bits), Ok((-0.0f64).to_bits()));
        assert_eq!(r.char(), Ok('ß'));
        assert_eq!(r.str(), Ok("grüß"));
        assert_eq!(r.case(256), Ok(255));
        assert_eq!(r.case(257), Ok(256));
        assert_eq!(r.flags(9), Ok(&[0b101, 1][..]));
        assert_eq!(r.option(Reader::u8), Ok(Some(7)));
        assert_eq!(r.option(Reader::u8), Ok(None));
        assert_eq!(r.finish(), Ok(()));
    }

    #[test]
    fn every_nan_is_written_as_the_canonical_one_and_no_other_is_read() {
        let mut out = Vec::new();
        put_f32(&mut out, f32::from_bits(0xffc0_1234));
        put_f64(&mut out, f64::from_bits(0xfff8_0000_0000_0001));
        assert_eq!(out[..4], CANONICAL_NAN32.to_le_bytes());
        assert_eq!(out[4..], CANONICAL_NAN64.to_le_bytes());
        assert!(Reader::new(&out).f32().unwrap().is_nan());
        assert!(Reader::new(&0xffc0_1234u32.to_le_bytes()).f32().is_err());
    }

    #[test]
    fn what_no_value_has_is_refused_before_anything_is_allocated() {
        assert_eq!(Reader::new(&[2]).bool(), Err(Error::Bad { at: 0, what: "bool" }));
        assert!(Reader::new(&0xd800u32.to_le_bytes()).char().is_err());
        assert!(Reader::new(&[3]).case(3).is_err());
        assert!(Reader::new(&[0b1000]).flags(3).is_err());
        assert!(Reader::new(&[1, 0, 0, 0, 0xff]).str().is_err());
        let huge = [0xfe, 0xff, 0xff, 0xff, 1];
        assert!(matches!(Reader::new(&huge).bytes(), Err(Error::Short { .. })));
        assert!(matches!(Reader::new(&huge).len(8), Err(Error::Short { .. })));
        assert!(matches!(Reader::new(&[0xff; 4]).len(0), Err(Error::Bad { .. })));
        assert_eq!(Reader::new(&[1]).finish(), Err(Error::Trailing { at: 0, left: 1 }));
    }
}
