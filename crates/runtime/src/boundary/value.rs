//! The value codec over types known only at run time: the same bytes as [`Recordable`](super::Recordable) writes.
//!
//! Owns encoding and decoding of `Val` by `Type`, and the text form of arguments (WAVE). Promises: equal byte for byte to
//! the typed codec; decoding never panics and allocates no more than the bytes at hand justify. Types do not recurse and
//! the engine refuses deep ones when it loads a component, so neither does this.

use troupe_log::codec::{self, Reader};
use wasmtime::Result;
use wasmtime::component::wasm_wave::ast::Node;
use wasmtime::component::wasm_wave::parser::ParserError;
use wasmtime::component::wasm_wave::untyped::{UntypedFuncCall, UntypedValue};
use wasmtime::component::wasm_wave::wasm::DisplayType;
use wasmtime::component::{Type, Val};

use super::recordable::DecodeError;

/// Appends a value. An error if it is not of the type, or of a type that has no bytes (resources, streams, futures).
pub fn encode(val: &Val, ty: &Type, out: &mut Vec<u8>) -> Result<()> {
    match (val, ty) {
        (Val::Bool(v), Type::Bool) => codec::put_bool(out, *v),
        (Val::S8(v), Type::S8) => codec::put_s8(out, *v),
        (Val::U8(v), Type::U8) => codec::put_u8(out, *v),
        (Val::S16(v), Type::S16) => codec::put_s16(out, *v),
        (Val::U16(v), Type::U16) => codec::put_u16(out, *v),
        (Val::S32(v), Type::S32) => codec::put_s32(out, *v),
        (Val::U32(v), Type::U32) => codec::put_u32(out, *v),
        (Val::S64(v), Type::S64) => codec::put_s64(out, *v),
        (Val::U64(v), Type::U64) => codec::put_u64(out, *v),
        (Val::Float32(v), Type::Float32) => codec::put_f32(out, *v),
        (Val::Float64(v), Type::Float64) => codec::put_f64(out, *v),
        (Val::Char(v), Type::Char) => codec::put_char(out, *v),
        (Val::String(v), Type::String) => codec::put_str(out, v),
        (Val::List(items), Type::List(ty)) => {
            let ty = ty.ty();
            codec::put_len(out, items.len());
            for item in items {
                encode(item, &ty, out)?;
            }
        }
        (Val::FixedLengthList(items), Type::FixedLengthList(ty)) => {
            if items.len() != ty.len() as usize {
                return Err(mismatch(val, &Type::FixedLengthList(ty.clone())));
            }
            let ty = ty.ty();
            for item in items {
                encode(item, &ty, out)?;
            }
        }
        (Val::Map(pairs), Type::Map(ty)) => {
            let (key, value) = (ty.key(), ty.value());
            codec::put_len(out, pairs.len());
            for (k, v) in pairs {
                encode(k, &key, out)?;
                encode(v, &value, out)?;
            }
        }
        (Val::Record(fields), Type::Record(ty)) => {
            if fields.len() != ty.fields().len() {
                return Err(mismatch(val, &Type::Record(ty.clone())));
            }
            for ((label, field), expected) in fields.iter().zip(ty.fields()) {
                if label != expected.name {
                    return Err(wasmtime::Error::msg(format!("field `{label}` stands where `{}` must", expected.name)));
                }
                encode(field, &expected.ty, out)?;
            }
        }
        (Val::Tuple(items), Type::Tuple(ty)) => {
            if items.len() != ty.types().len() {
                return Err(mismatch(val, &Type::Tuple(ty.clone())));
            }
            for (item, ty) in items.iter().zip(ty.types()) {
                encode(item, &ty, out)?;
            }
        }
        (Val::Variant(label, payload), Type::Variant(ty)) => {
            let found = ty.cases().enumerate().find(|(_, case)| case.name == label);
            let Some((number, case)) = found else { return Err(no_case(label)) };
            codec::put_case(out, ty.cases().len(), number as u16);
            encode_payload(payload.as_deref(), case.ty.as_ref(), out)?;
        }
        (Val::Enum(label), Type::Enum(ty)) => {
            let number = ty.names().position(|case| case == label).ok_or_else(|| no_case(label))?;
            codec::put_case(out, ty.names().len(), number as u16);
        }
        (Val::Option(value), Type::Option(ty)) => match value {
            None => out.push(0),
            Some(value) => {
                out.push(1);
                encode(value, &ty.ty(), out)?;
            }
        },
        (Val::Result(result), Type::Result(ty)) => match result {
            Ok(value) => {
                out.push(0);
                encode_payload(value.as_deref(), ty.ok().as_ref(), out)?;
            }
            Err(error) => {
                out.push(1);
                encode_payload(error.as_deref(), ty.err().as_ref(), out)?;
            }
        },
        (Val::Flags(set), Type::Flags(ty)) => {
            if let Some(unknown) = set.iter().find(|flag| !ty.names().any(|known| known == flag.as_str())) {
                return Err(no_case(unknown));
            }
            codec::put_flags(out, ty.names().map(|flag| set.iter().any(|one| one == flag)));
        }
        (Val::Resource(_), Type::Own(_) | Type::Borrow(_)) => {
            return Err(wasmtime::Error::msg("a resource has no bytes outside of its instance"));
        }
        (val, ty) => return Err(mismatch(val, ty)),
    }
    Ok(())
}

fn encode_payload(val: Option<&Val>, ty: Option<&Type>, out: &mut Vec<u8>) -> Result<()> {
    match (val, ty) {
        (None, None) => Ok(()),
        (Some(val), Some(ty)) => encode(val, ty, out),
        _ => Err(wasmtime::Error::msg("a case has a payload where its type has none, or none where it has one")),
    }
}

fn mismatch(val: &Val, ty: &Type) -> wasmtime::Error {
    wasmtime::Error::msg(format!("a value ({}) that is not of its type ({})", kind(val), shown(ty)))
}

fn no_case(label: &str) -> wasmtime::Error {
    wasmtime::Error::msg(format!("the type has no case `{label}`"))
}

fn kind(val: &Val) -> &'static str {
    match val {
        Val::Bool(_) => "bool",
        Val::S8(_) | Val::U8(_) | Val::S16(_) | Val::U16(_) => "a small integer",
        Val::S32(_) | Val::U32(_) | Val::S64(_) | Val::U64(_) => "an integer",
        Val::Float32(_) | Val::Float64(_) => "a float",
        Val::Char(_) => "a char",
        Val::String(_) => "a string",
        Val::List(_) | Val::FixedLengthList(_) => "a list",
        Val::Map(_) => "a map",
        Val::Record(_) => "a record",
        Val::Tuple(_) => "a tuple",
        Val::Variant(..) => "a variant",
        Val::Enum(_) => "an enum",
        Val::Option(_) => "an option",
        Val::Result(_) => "a result",
        Val::Flags(_) => "flags",
        Val::Resource(_) => "a resource",
        Val::Future(_) | Val::Stream(_) | Val::ErrorContext(_) => "a stream or a future",
    }
}

/// Reads one value. A type without bytes (see [`has_resource`]) is an error.
pub fn decode(input: &mut Reader<'_>, ty: &Type) -> Result<Val, DecodeError> {
    Ok(match ty {
        Type::Bool => Val::Bool(input.bool()?),
        Type::S8 => Val::S8(input.s8()?),
        Type::U8 => Val::U8(input.u8()?),
        Type::S16 => Val::S16(input.s16()?),
        Type::U16 => Val::U16(input.u16()?),
        Type::S32 => Val::S32(input.s32()?),
        Type::U32 => Val::U32(input.u32()?),
        Type::S64 => Val::S64(input.s64()?),
        Type::U64 => Val::U64(input.u64()?),
        Type::Float32 => Val::Float32(input.f32()?),
        Type::Float64 => Val::Float64(input.f64()?),
        Type::Char => Val::Char(input.char()?),
        Type::String => Val::String(input.str()?.to_owned()),
        Type::List(ty) => {
            let ty = ty.ty();
            let count = input.len(least(&ty))?;
            Val::List(items(input, &ty, count)?)
        }
        Type::FixedLengthList(list) => {
            let (ty, count) = (list.ty(), list.len() as usize);
            let (needed, left) = (count.saturating_mul(least(&ty)), input.rest().len());
            if needed > left {
                return Err(DecodeError::Short { at: input.at(), needed, left });
            }
            Val::FixedLengthList(items(input, &ty, count)?)
        }
        Type::Map(map) => {
            let (key, value) = (map.key(), map.value());
            let count = input.len(least(&key) + least(&value))?;
            let mut pairs = Vec::with_capacity(count);
            for _ in 0..count {
                pairs.push((decode(input, &key)?, decode(input, &value)?));
            }
            Val::Map(pairs)
        }
        Type::Record(ty) => {
            let fields = ty.fields().map(|field| Ok((field.name.to_owned(), decode(input, &field.ty)?)));
            Val::Record(fields.collect::<Result<_, DecodeError>>()?)
        }
        Type::Tuple(ty) => Val::Tuple(ty.types().map(|ty| decode(input, &ty)).collect::<Result<_, _>>()?),
        Type::Variant(ty) => {
            let at = input.at();
            let number = usize::from(input.case(ty.cases().len())?);
            let case = ty.cases().nth(number).ok_or(DecodeError::Bad { at, what: "case" })?;
            let payload = decode_payload(input, case.ty.as_ref())?;
            Val::Variant(case.name.to_owned(), payload)
        }
        Type::Enum(ty) => {
            let at = input.at();
            let number = usize::from(input.case(ty.names().len())?);
            let case = ty.names().nth(number).ok_or(DecodeError::Bad { at, what: "case" })?;
            Val::Enum(case.to_owned())
        }
        Type::Option(ty) => match input.case(2)? {
            0 => Val::Option(None),
            _ => Val::Option(Some(Box::new(decode(input, &ty.ty())?))),
        },
        Type::Result(ty) => Val::Result(match input.case(2)? {
            0 => Ok(decode_payload(input, ty.ok().as_ref())?),
            _ => Err(decode_payload(input, ty.err().as_ref())?),
        }),
        Type::Flags(ty) => {
            let bytes = input.flags(ty.names().len())?;
            let set = |bit: usize| bytes.get(bit / 8).is_some_and(|byte| byte >> (bit % 8) & 1 == 1);
            let names = ty.names().enumerate().filter(|(bit, _)| set(*bit));
            Val::Flags(names.map(|(_, name)| name.to_owned()).collect())
        }
        Type::Own(_) | Type::Borrow(_) | Type::Future(_) | Type::Stream(_) | Type::ErrorContext => {
            return Err(DecodeError::Bad { at: input.at(), what: "value: its type has no bytes" });
        }
    })
}

fn items(input: &mut Reader<'_>, ty: &Type, count: usize) -> Result<Vec<Val>, DecodeError> {
    let mut items = Vec::with_capacity(count);
    for _ in 0..count {
        items.push(decode(input, ty)?);
    }
    Ok(items)
}

fn decode_payload(input: &mut Reader<'_>, ty: Option<&Type>) -> Result<Option<Box<Val>>, DecodeError> {
    ty.map(|ty| decode(input, ty).map(Box::new)).transpose()
}

/// Fewest bytes that a value takes, or fewer: no type is empty, and a deep look would cost more than it saves.
fn least(ty: &Type) -> usize {
    match ty {
        Type::S16 | Type::U16 => 2,
        Type::S32 | Type::U32 | Type::Float32 | Type::Char | Type::String | Type::List(_) | Type::Map(_) => 4,
        Type::S64 | Type::U64 | Type::Float64 => 8,
        _ => 1,
    }
}

/// True if values of the type can hold something that lives in an instance only: a resource, a stream, a future.
pub fn has_resource(ty: &Type) -> bool {
    match ty {
        Type::Own(_) | Type::Borrow(_) | Type::Future(_) | Type::Stream(_) | Type::ErrorContext => true,
        Type::List(ty) => has_resource(&ty.ty()),
        Type::FixedLengthList(ty) => has_resource(&ty.ty()),
        Type::Map(ty) => has_resource(&ty.key()) || has_resource(&ty.value()),
        Type::Record(ty) => ty.fields().any(|field| has_resource(&field.ty)),
        Type::Tuple(ty) => ty.types().any(|ty| has_resource(&ty)),
        Type::Variant(ty) => ty.cases().any(|case| case.ty.is_some_and(|ty| has_resource(&ty))),
        Type::Option(ty) => has_resource(&ty.ty()),
        Type::Result(ty) => ty.ok().is_some_and(|ty| has_resource(&ty)) || ty.err().is_some_and(|ty| has_resource(&ty)),
        Type::Bool | Type::S8 | Type::U8 | Type::S16 | Type::U16 | Type::S32 | Type::U32 | Type::S64 | Type::U64 => {
            false
        }
        Type::Float32 | Type::Float64 | Type::Char | Type::String | Type::Enum(_) | Type::Flags(_) => false,
    }
}

/// Values of these types as WAVE, with commas between them.
pub fn text(types: &[Type], bytes: &[u8]) -> Result<String, String> {
    let mut input = Reader::new(bytes);
    let mut texts = Vec::new();
    for ty in types {
        let val = decode(&mut input, ty).map_err(|error| error.to_string())?;
        texts.push(wasmtime::component::wasm_wave::to_string(&val).map_err(|error| error.to_string())?);
    }
    input.finish().map_err(|error| error.to_string())?;
    Ok(texts.join(", "))
}

/// Reads arguments written as WAVE, `(42, "x")`, or without the parentheses where there is one, into the bytes of a call.
/// Options at the end may be left out. The error names the parameter and its type.
pub fn parse_arguments(params: &[(String, Type)], wave: &str) -> Result<Vec<u8>, String> {
    let wave = wave.trim();
    let vals = match params {
        [] if wave.is_empty() || wave == "()" => Vec::new(),
        [] => return Err(format!("the function takes no arguments, but got `{}`", cut(wave))),
        [(name, ty)] if !wave.starts_with('(') && !wave.is_empty() => vec![one(name, ty, wave)?],
        // `(1, 2)` is both two arguments and one tuple.
        [(name, ty @ Type::Tuple(_))] => match listed(params, wave) {
            Ok(vals) => vals,
            Err(error) => vec![one(name, ty, wave).map_err(|_| error)?],
        },
        _ => listed(params, wave)?,
    };
    let mut out = Vec::new();
    for (val, (name, ty)) in vals.iter().zip(params) {
        encode(val, ty, &mut out).map_err(|error| format!("argument `{name}`: {error}"))?;
    }
    Ok(out)
}

fn one(name: &str, ty: &Type, wave: &str) -> Result<Val, String> {
    let value = UntypedValue::parse(wave).map_err(|error| wrong(name, ty, wave, &error))?;
    typed(name, ty, value.node(), wave)
}

fn listed(params: &[(String, Type)], wave: &str) -> Result<Vec<Val>, String> {
    let expects = || {
        let params: Vec<String> = params.iter().map(|(name, ty)| format!("{name}: {}", shown(ty))).collect();
        format!("the function takes ({})", params.join(", "))
    };
    let optional = params.iter().rev().take_while(|(_, ty)| matches!(ty, Type::Option(_))).count();
    if wave.is_empty() && optional < params.len() {
        return Err(format!("{}, but got nothing", expects()));
    }
    // The parser knows argument lists only behind a function's name.
    let source = match wave.starts_with('(') {
        true => format!("f{wave}"),
        false => format!("f({wave})"),
    };
    let call = UntypedFuncCall::parse(&source)
        .map_err(|error| format!("{}, but `{}` cannot be read: {}", expects(), cut(wave), reason(&error)))?;
    let nodes: Vec<&Node> = match call.params_node() {
        Some(node) => node.as_tuple().map_err(|error| reason(&error))?.collect(),
        None => Vec::new(),
    };
    if nodes.len() > params.len() || nodes.len() + optional < params.len() {
        return Err(format!("{}, but got {} arguments", expects(), nodes.len()));
    }
    let given = nodes.iter().zip(params).map(|(node, (name, ty))| typed(name, ty, node, &source));
    let left_out = params[nodes.len()..].iter().map(|_| Ok(Val::Option(None)));
    given.chain(left_out).collect()
}

fn typed(name: &str, ty: &Type, node: &Node, source: &str) -> Result<Val, String> {
    let text = source.get(node.span()).unwrap_or(source);
    node.to_wasm_value(ty, source).map_err(|error| wrong(name, ty, text, &error))
}

fn wrong(name: &str, ty: &Type, text: &str, error: &ParserError) -> String {
    format!("argument `{name}` is of type {}, and `{}` does not fit: {}", shown(ty), cut(text), reason(error))
}

fn reason(error: &ParserError) -> String {
    match error.detail() {
        Some(detail) => format!("{}: {detail}", error.kind()),
        None => error.kind().to_string(),
    }
}

fn shown(ty: &Type) -> String {
    DisplayType(ty).to_string()
}

/// At most 60 characters of it.
fn cut(text: &str) -> String {
    match text.char_indices().nth(60) {
        Some((at, _)) => format!("{}...", &text[..at]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests;
