//! The bytes handed to an actor's init: `init = { text | json | base64 | file = ... }`.

use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use toml::de::DeValue;

use super::error::Error;
use super::text::Entry;

/// Where the bytes come from.
pub(super) enum Init {
    /// They are in the manifest.
    Bytes(Vec<u8>),
    /// They are in a file, relative to the manifest.
    File(PathBuf),
}

/// Reads the value of `init`.
pub(super) fn read(entry: &Entry<'_, '_>) -> Result<Init, Error> {
    let section = entry.section(&["text", "json", "base64", "file"])?;
    let mut given = section.entries().into_iter();
    let (Some((form, value)), None) = (given.next(), given.next()) else {
        return Err(entry.bad("must have exactly one of text, json, base64, file", "write init = { text = \"...\" }"));
    };
    match form.as_str() {
        "text" => Ok(Init::Bytes(value.str()?.as_bytes().to_vec())),
        "file" => Ok(Init::File(PathBuf::from(value.str()?))),
        "base64" => STANDARD
            .decode(value.str()?)
            .map(Init::Bytes)
            .map_err(|e| value.bad(format!("is not base64: {e}"), "use the standard alphabet")),
        _ => json(&value).map(Init::Bytes),
    }
}

/// A string is JSON text and stays as it is; anything else is written as JSON.
fn json(entry: &Entry<'_, '_>) -> Result<Vec<u8>, Error> {
    if let DeValue::String(text) = entry.value() {
        return match serde_json::from_str::<serde_json::Value>(text) {
            Ok(_) => Ok(text.as_bytes().to_vec()),
            Err(e) => Err(entry.bad(format!("is not JSON: {e}"), "write JSON text, or a table: json = { start = 1 }")),
        };
    }
    let value = to_json(entry, entry.value())?;
    Ok(value.to_string().into_bytes())
}

/// TOML into JSON. The parser bounds the depth.
fn to_json(entry: &Entry<'_, '_>, value: &DeValue<'_>) -> Result<serde_json::Value, Error> {
    use serde_json::Value as Json;
    Ok(match value {
        DeValue::String(s) => Json::String(s.to_string()),
        DeValue::Boolean(b) => Json::Bool(*b),
        DeValue::Integer(n) => i64::from_str_radix(n.as_str(), n.radix())
            .map(Json::from)
            .map_err(|_| entry.bad(format!("holds {n}"), "whole numbers have 64 bits"))?,
        DeValue::Float(x) => x
            .as_str()
            .parse::<f64>()
            .ok()
            .and_then(serde_json::Number::from_f64)
            .map(Json::Number)
            .ok_or_else(|| entry.bad(format!("holds {}", x.as_str()), "JSON knows finite numbers only"))?,
        DeValue::Datetime(date) => Json::String(date.to_string()),
        DeValue::Array(items) => {
            Json::Array(items.iter().map(|v| to_json(entry, v.get_ref())).collect::<Result<_, _>>()?)
        }
        DeValue::Table(table) => Json::Object(
            table
                .iter()
                .map(|(k, v)| Ok((k.get_ref().to_string(), to_json(entry, v.get_ref())?)))
                .collect::<Result<_, Error>>()?,
        ),
    })
}
