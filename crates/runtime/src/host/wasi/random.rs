//! `wasi:random`: the node's randomness, or, with a seed in the grant, a function of seed, actor and record number.
//!
//! Promises: no request is filled, or memory taken for it, beyond `max-bytes`, else the payload limit.

use troupe_log::Seq;

use crate::boundary::{Boundary, Effect, Guest, LimitReached};

/// Registers the package.
pub(super) fn link(boundary: &mut Boundary) -> wasmtime::Result<()> {
    boundary.interface("wasi:random/random@0.2.12")?.func("get-random-bytes", Effect::Read, bytes)?.func(
        "get-random-u64",
        Effect::Read,
        number,
    )?;
    boundary.interface("wasi:random/insecure@0.2.12")?.func("get-insecure-random-bytes", Effect::Read, bytes)?.func(
        "get-insecure-random-u64",
        Effect::Read,
        number,
    )?;
    boundary.interface("wasi:random/insecure-seed@0.2.12")?.func(
        "insecure-seed",
        Effect::Read,
        |guest: &mut Guest, (): ()| {
            let mut seed = [[0; 8]; 2];
            fill(guest, seed.as_flattened_mut())?;
            Ok(((u64::from_le_bytes(seed[0]), u64::from_le_bytes(seed[1])),))
        },
    )?;
    Ok(())
}

fn bytes(guest: &mut Guest, (len,): (u64,)) -> wasmtime::Result<(Vec<u8>,)> {
    let most = guest.about.grants.random.max_bytes.unwrap_or(guest.about.limits.payload);
    if len > most.0 {
        return Err(LimitReached(format!("{len} random bytes were asked for at once; max-bytes is {most}")).into());
    }
    let mut bytes = vec![0; len as usize];
    fill(guest, &mut bytes)?;
    Ok((bytes,))
}

fn number(guest: &mut Guest, (): ()) -> wasmtime::Result<(u64,)> {
    let mut bytes = [0; 8];
    fill(guest, &mut bytes)?;
    Ok((u64::from_le_bytes(bytes),))
}

/// Fills `out` as the grant says; without one, a denial.
pub(in crate::host) fn fill(guest: &mut Guest, out: &mut [u8]) -> wasmtime::Result<()> {
    let granted = &guest.about.grants.random;
    guest.require(granted.enabled, "random")?;
    match granted.seed {
        None => guest.node.entropy(out),
        Some(seed) => {
            let seq = guest.wait_id().seq;
            seeded(seed, guest.about.id.as_str(), seq, out);
        }
    }
    Ok(())
}

/// The same three give the same bytes, on any machine and in any version.
fn seeded(seed: u64, actor: &str, seq: Seq, out: &mut [u8]) {
    let mut hasher = blake3::Hasher::new_derive_key("troupe 2026-11 seeded random of an actor");
    hasher.update(&seed.to_le_bytes());
    hasher.update(&seq.0.to_le_bytes());
    hasher.update(actor.as_bytes());
    hasher.finalize_xof().fill(out);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeded_bytes_are_a_function_of_seed_actor_and_seq() {
        let of = |seed, actor, seq| {
            let mut out = [0; 40];
            seeded(seed, actor, Seq(seq), &mut out);
            out
        };
        assert_eq!(of(7, "a/b", 3), of(7, "a/b", 3));
        assert_ne!(of(7, "a/b", 3), of(8, "a/b", 3));
        assert_ne!(of(7, "a/b", 3), of(7, "a/c", 3));
        assert_ne!(of(7, "a/b", 3), of(7, "a/b", 4));
        // What stands in journals and tests of users must not change with a version of this crate.
        let mut first = [0; 8];
        seeded(7, "default/counter", Seq(1), &mut first);
        assert_eq!(hex::encode(first), FIXED);
    }

    const FIXED: &str = "d82e2f528ba79ae6";
}
