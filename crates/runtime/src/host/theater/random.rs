//! `theater:simple/random`: the same randomness as `wasi:random`, under the same grant, so that a seed makes it reproducible.
//!
//! Promises: no memory is taken for more than `max-bytes`, else the payload limit; no range is wider than `max-int`; numbers of a range are all equally likely.

use super::super::common::denied;
use super::super::wasi::random::fill;
use crate::boundary::{Boundary, Effect, Guest};

/// Registers the interface.
pub(super) fn link(boundary: &mut Boundary) -> wasmtime::Result<()> {
    boundary
        .interface("theater:simple/random")?
        .func("random-bytes", Effect::Read, |guest: &mut Guest, (length,): (u32,)| {
            let most = guest.about.grants.random.max_bytes.unwrap_or(guest.about.limits.payload);
            if u64::from(length) > most.0 {
                return Ok((Err(format!("{length} random bytes were asked for at once; max-bytes is {most}")),));
            }
            Ok((filled(guest, vec![0; length as usize]),))
        })?
        .func("random-range", Effect::Read, |guest: &mut Guest, (min, max): (u64, u64)| Ok((range(guest, min, max),)))?
        .func("random-float", Effect::Read, |guest: &mut Guest, (): ()| {
            // 53 bits: what a double below 1 holds exactly.
            Ok((number(guest).map(|bits| (bits >> 11) as f64 / (1u64 << 53) as f64),))
        })?
        .func("generate-uuid", Effect::Read, |guest: &mut Guest, (): ()| Ok((uuid(guest),)))?;
    Ok(())
}

fn filled<B: AsMut<[u8]>>(guest: &mut Guest, mut out: B) -> Result<B, String> {
    if !guest.about.grants.random.enabled {
        return Err(denied(guest, "random", "random = true".to_owned()).to_string());
    }
    fill(guest, out.as_mut()).map_err(|error| error.to_string())?;
    Ok(out)
}

fn number(guest: &mut Guest) -> Result<u64, String> {
    filled(guest, [0; 8]).map(u64::from_le_bytes)
}

/// From `min` to below `max`.
fn range(guest: &mut Guest, min: u64, max: u64) -> Result<u64, String> {
    let Some(width) = max.checked_sub(min).filter(|width| *width > 0) else {
        return Err(format!("an empty range: {min} to {max}"));
    };
    if let Some(most) = guest.about.grants.random.max_int.filter(|most| width > *most) {
        return Err(format!("a range of {width} numbers was asked for; max-int is {most}"));
    }
    // A draw out of 128 bits: no number is likelier than another by more than one in 2^64.
    let bits = u128::from_le_bytes(filled(guest, [0; 16])?);
    Ok(min + (bits % u128::from(width)) as u64)
}

fn uuid(guest: &mut Guest) -> Result<String, String> {
    let mut bytes: [u8; 16] = filled(guest, [0; 16])?;
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let text = hex::encode(bytes);
    Ok([&text[..8], &text[8..12], &text[12..16], &text[16..20], &text[20..]].join("-"))
}
