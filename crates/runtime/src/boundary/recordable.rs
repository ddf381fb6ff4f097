//! How values of WIT types become bytes in a journal and come back.
//!
//! Owns the trait and its implementations for the built-in types; the layout is the value codec of
//! docs/journal-format.md. Promises: encoding is a function of the value alone, decoding never panics and never
//! allocates more than the input can justify.

use troupe_log::codec::{self, Reader};
use wasmtime::component::Resource;

/// Why bytes of a record could not be read back as the type that the function has.
pub type DecodeError = codec::Error;

/// One resource handle inside a value, as it crosses the boundary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Handle {
    /// The number that names the resource: logical on the guest's side of the door, a table index on the host's.
    pub rep: u32,
    /// True if the value hands the resource over, false if it only lends it.
    pub owned: bool,
}

/// Rewrites the handles inside a value; see [`Recordable::map_resources`].
pub type MapResource<'a> = &'a mut dyn FnMut(Handle) -> wasmtime::Result<u32>;

/// A value that can stand in a record.
pub trait Recordable: Sized {
    /// True if the type can contain a resource handle.
    const RESOURCES: bool = false;
    /// Fewest bytes that one value takes; bounds allocation when a list is decoded.
    const MIN_BYTES: usize = 1;

    /// Appends the value.
    fn encode(&self, out: &mut Vec<u8>);
    /// Reads one value.
    fn decode(input: &mut Reader<'_>) -> Result<Self, DecodeError>;

    /// Appends the items of a list, without their count. Overridden where a copy does it.
    fn encode_slice(items: &[Self], out: &mut Vec<u8>) {
        for item in items {
            item.encode(out);
        }
    }

    /// Reads `count` items of a list.
    fn decode_items(count: usize, input: &mut Reader<'_>) -> Result<Vec<Self>, DecodeError> {
        let room = input.rest().len() / Self::MIN_BYTES.max(1);
        let mut items = Vec::with_capacity(count.min(room));
        for _ in 0..count {
            items.push(Self::decode(input)?);
        }
        Ok(items)
    }

    /// Appends the value as text: as Rust would print it, but lists of bytes as text or in hexadecimal.
    fn show(&self, out: &mut String);

    /// Appends a list as text.
    fn show_slice(items: &[Self], out: &mut String) {
        super::show::list(items, out);
    }

    /// Replaces each resource handle by what `map` says.
    fn map_resources(&mut self, _map: MapResource<'_>) -> wasmtime::Result<()> {
        Ok(())
    }
}

impl Recordable for () {
    const MIN_BYTES: usize = 0;
    fn show(&self, out: &mut String) {
        super::show::debug(self, out);
    }
    fn encode(&self, _: &mut Vec<u8>) {}
    fn decode(_: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(())
    }
}

impl Recordable for u8 {
    fn show(&self, out: &mut String) {
        super::show::debug(self, out);
    }
    fn show_slice(items: &[Self], out: &mut String) {
        super::show::bytes(items, out);
    }
    fn encode(&self, out: &mut Vec<u8>) {
        out.push(*self);
    }
    fn decode(input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        input.u8()
    }
    fn encode_slice(items: &[Self], out: &mut Vec<u8>) {
        out.extend_from_slice(items);
    }
    fn decode_items(count: usize, input: &mut Reader<'_>) -> Result<Vec<Self>, DecodeError> {
        Ok(input.take(count)?.to_vec())
    }
}

macro_rules! integers {
    ($($ty:ty),*) => {$(
        impl Recordable for $ty {
            const MIN_BYTES: usize = size_of::<$ty>();
            fn show(&self, out: &mut String) {
                super::show::debug(self, out);
            }
            fn encode(&self, out: &mut Vec<u8>) {
                out.extend_from_slice(&self.to_le_bytes());
            }
            fn decode(input: &mut Reader<'_>) -> Result<Self, DecodeError> {
                let bytes = input.take(size_of::<$ty>())?;
                Ok(<$ty>::from_le_bytes(bytes.try_into().unwrap_or_default()))
            }
        }
    )*};
}
integers!(u16, u32, u64, i8, i16, i32, i64);

impl Recordable for bool {
    fn show(&self, out: &mut String) {
        super::show::debug(self, out);
    }
    fn encode(&self, out: &mut Vec<u8>) {
        out.push(u8::from(*self));
    }
    fn decode(input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        input.bool()
    }
}

impl Recordable for f32 {
    const MIN_BYTES: usize = 4;
    fn show(&self, out: &mut String) {
        super::show::debug(self, out);
    }
    fn encode(&self, out: &mut Vec<u8>) {
        codec::put_f32(out, *self);
    }
    fn decode(input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        input.f32()
    }
}

impl Recordable for f64 {
    const MIN_BYTES: usize = 8;
    fn show(&self, out: &mut String) {
        super::show::debug(self, out);
    }
    fn encode(&self, out: &mut Vec<u8>) {
        codec::put_f64(out, *self);
    }
    fn decode(input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        input.f64()
    }
}

impl Recordable for char {
    const MIN_BYTES: usize = 4;
    fn show(&self, out: &mut String) {
        super::show::debug(self, out);
    }
    fn encode(&self, out: &mut Vec<u8>) {
        codec::put_char(out, *self);
    }
    fn decode(input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        input.char()
    }
}

impl Recordable for String {
    const MIN_BYTES: usize = 4;
    fn show(&self, out: &mut String) {
        super::show::debug(self, out);
    }
    fn encode(&self, out: &mut Vec<u8>) {
        codec::put_str(out, self);
    }
    fn decode(input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(input.str()?.to_owned())
    }
}

impl<T: Recordable> Recordable for Vec<T> {
    const RESOURCES: bool = T::RESOURCES;
    const MIN_BYTES: usize = 4;
    fn show(&self, out: &mut String) {
        T::show_slice(self, out);
    }
    fn encode(&self, out: &mut Vec<u8>) {
        codec::put_u32(out, self.len() as u32);
        T::encode_slice(self, out);
    }
    fn decode(input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let count = input.u32()? as usize;
        T::decode_items(count, input)
    }
    fn map_resources(&mut self, map: MapResource<'_>) -> wasmtime::Result<()> {
        if T::RESOURCES {
            for item in self {
                item.map_resources(map)?;
            }
        }
        Ok(())
    }
}

impl<T: Recordable> Recordable for Option<T> {
    const RESOURCES: bool = T::RESOURCES;
    fn show(&self, out: &mut String) {
        match self {
            None => out.push_str("None"),
            Some(value) => super::show::wrapped("Some", value, out),
        }
    }
    fn encode(&self, out: &mut Vec<u8>) {
        match self {
            None => out.push(0),
            Some(value) => {
                out.push(1);
                value.encode(out);
            }
        }
    }
    fn decode(input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        match input.case(2)? {
            0 => Ok(None),
            _ => Ok(Some(T::decode(input)?)),
        }
    }
    fn map_resources(&mut self, map: MapResource<'_>) -> wasmtime::Result<()> {
        match self {
            Some(value) => value.map_resources(map),
            None => Ok(()),
        }
    }
}

impl<T: Recordable, E: Recordable> Recordable for Result<T, E> {
    const RESOURCES: bool = T::RESOURCES || E::RESOURCES;
    fn show(&self, out: &mut String) {
        match self {
            Ok(value) => super::show::wrapped("Ok", value, out),
            Err(error) => super::show::wrapped("Err", error, out),
        }
    }
    fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Ok(value) => {
                out.push(0);
                value.encode(out);
            }
            Err(error) => {
                out.push(1);
                error.encode(out);
            }
        }
    }
    fn decode(input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(match input.case(2)? {
            0 => Ok(T::decode(input)?),
            _ => Err(E::decode(input)?),
        })
    }
    fn map_resources(&mut self, map: MapResource<'_>) -> wasmtime::Result<()> {
        match self {
            Ok(value) => value.map_resources(map),
            Err(error) => error.map_resources(map),
        }
    }
}

impl<T: 'static> Recordable for Resource<T> {
    const RESOURCES: bool = true;
    const MIN_BYTES: usize = 4;
    fn show(&self, out: &mut String) {
        super::show::debug(self, out);
    }
    fn encode(&self, out: &mut Vec<u8>) {
        codec::put_u32(out, self.rep());
    }
    fn decode(input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Resource::new_own(input.u32()?))
    }
    fn map_resources(&mut self, map: MapResource<'_>) -> wasmtime::Result<()> {
        let owned = self.owned();
        let rep = map(Handle { rep: self.rep(), owned })?;
        *self = if owned { Resource::new_own(rep) } else { Resource::new_borrow(rep) };
        Ok(())
    }
}

macro_rules! tuples {
    ($(($($name:ident $index:tt),+)),* $(,)?) => {$(
        impl<$($name: Recordable),+> Recordable for ($($name,)+) {
            const RESOURCES: bool = $($name::RESOURCES)||+;
            const MIN_BYTES: usize = 0 $(+ $name::MIN_BYTES)+;
            fn show(&self, out: &mut String) {
                let parts: &[&dyn Fn(&mut String)] = &[$(&|out| self.$index.show(out)),+];
                super::show::tuple(parts, out);
            }
            fn encode(&self, out: &mut Vec<u8>) {
                $(self.$index.encode(out);)+
            }
            fn decode(input: &mut Reader<'_>) -> Result<Self, DecodeError> {
                Ok(($($name::decode(input)?,)+))
            }
            fn map_resources(&mut self, map: MapResource<'_>) -> wasmtime::Result<()> {
                $(if $name::RESOURCES { self.$index.map_resources(map)?; })+
                Ok(())
            }
        }
    )*};
}
tuples!(
    (A 0),
    (A 0, B 1),
    (A 0, B 1, C 2),
    (A 0, B 1, C 2, D 3),
    (A 0, B 1, C 2, D 3, E 4),
    (A 0, B 1, C 2, D 3, E 4, F 5),
    (A 0, B 1, C 2, D 3, E 4, F 5, G 6),
    (A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7),
);

/// Makes a struct of a WIT record recordable: `recordable_record!(Datetime { seconds, nanoseconds });`
#[macro_export]
#[doc(hidden)]
macro_rules! recordable_record {
    ($ty:ty { $($field:ident),+ $(,)? }) => {
        impl $crate::boundary::Recordable for $ty {
            const RESOURCES: bool = false;
            fn show(&self, out: &mut String) {
                let Self { $($field),+ } = self;
                $crate::boundary::show::record(
                    stringify!($ty),
                    &[$((stringify!($field), &|out: &mut String| $crate::boundary::Recordable::show($field, out))),+],
                    out,
                );
            }
            fn encode(&self, out: &mut Vec<u8>) {
                let Self { $($field),+ } = self;
                $($crate::boundary::Recordable::encode($field, out);)+
            }
            fn decode(input: &mut troupe_log::codec::Reader<'_>) -> Result<Self, $crate::boundary::DecodeError> {
                Ok(Self { $($field: $crate::boundary::Recordable::decode(input)?),+ })
            }
        }
    };
}

/// Makes a Rust enum of a WIT variant recordable; cases in the order of the WIT, each with or without a payload:
/// `recordable_variant!(StreamError { LastOperationFailed(resource), Closed } );`
#[macro_export]
#[doc(hidden)]
macro_rules! recordable_variant {
    ($ty:ty { $($case:ident $(($payload:ident))?),+ $(,)? }) => { $crate::recordable_variant!($ty [false] { $($case $(($payload))?),+ }); };
    ($ty:ty [$resources:expr] { $($case:ident $(($payload:ident))?),+ $(,)? }) => {
        impl $crate::boundary::Recordable for $ty {
            const RESOURCES: bool = $resources;
            fn show(&self, out: &mut String) {
                match self {
                    $(Self::$case $(($payload))? => {
                        let mut _plain = true;
                        $(
                            _plain = false;
                            $crate::boundary::show::wrapped(stringify!($case), $payload, out);
                        )?
                        if _plain {
                            out.push_str(stringify!($case));
                        }
                    })+
                }
            }
            fn encode(&self, out: &mut Vec<u8>) {
                #[allow(non_camel_case_types, clippy::enum_variant_names)]
                enum Order { $($case),+ }
                match self {
                    $(Self::$case $(($payload))? => {
                        out.push(Order::$case as u8);
                        $($crate::boundary::Recordable::encode($payload, out);)?
                    })+
                }
            }
            fn decode(input: &mut troupe_log::codec::Reader<'_>) -> Result<Self, $crate::boundary::DecodeError> {
                let cases = [$(stringify!($case)),+].len();
                let found = usize::from(input.case(cases)?);
                let mut case = 0;
                $(
                    if found == case {
                        return Ok(Self::$case $(({
                            let $payload = $crate::boundary::Recordable::decode(input)?;
                            $payload
                        }))?);
                    }
                    case += 1;
                )+
                let _ = case;
                Err($crate::boundary::DecodeError::Bad { at: input.at(), what: "case" })
            }
            fn map_resources(&mut self, _map: $crate::boundary::MapResource<'_>) -> wasmtime::Result<()> {
                match self {
                    $(Self::$case $(($payload))? => { $($crate::boundary::Recordable::map_resources($payload, _map)?;)? })+
                }
                Ok(())
            }
        }
    };
}

/// Makes a Rust enum of a WIT enum recordable; cases in the order of the WIT.
#[macro_export]
#[doc(hidden)]
macro_rules! recordable_enum {
    ($ty:ty { $($case:ident),+ $(,)? }) => { $crate::recordable_variant!($ty { $($case),+ }); };
}

/// Makes a bitflags type of WIT flags recordable; `$bytes` is 1 for up to 8 flags, 2 for up to 16.
#[macro_export]
#[doc(hidden)]
macro_rules! recordable_flags {
    ($ty:ty { $($flag:ident),+ $(,)? }) => {
        impl $crate::boundary::Recordable for $ty {
            fn show(&self, out: &mut String) {
                $crate::boundary::show::debug(self, out);
            }
            fn encode(&self, out: &mut Vec<u8>) {
                let mut bits: u64 = 0;
                let mut bit = 0;
                $(if self.contains(<$ty>::$flag) { bits |= 1 << bit; } bit += 1;)+
                let bytes: usize = (bit as usize).div_ceil(8);
                out.extend_from_slice(&bits.to_le_bytes()[..bytes]);
            }
            fn decode(input: &mut troupe_log::codec::Reader<'_>) -> Result<Self, $crate::boundary::DecodeError> {
                let bytes = input.flags([$(stringify!($flag)),+].len())?;
                let mut raw = [0u8; 8];
                raw[..bytes.len()].copy_from_slice(bytes);
                let bits = u64::from_le_bytes(raw);
                let mut value = <$ty>::empty();
                let mut bit = 0;
                $(if bits & (1 << bit) != 0 { value |= <$ty>::$flag; } bit += 1;)+
                let _ = bit;
                Ok(value)
            }
        }
    };
}
