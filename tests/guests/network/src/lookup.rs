//! Names.

use std::cell::RefCell;

use crate::wasi::sockets::instance_network::instance_network;
use crate::wasi::sockets::ip_name_lookup::{ResolveAddressStream, resolve_addresses};
use crate::wasi::sockets::network::{ErrorCode, IpAddress};
use crate::{Outcome, code, ip};

thread_local! {
    static HELD: RefCell<Option<ResolveAddressStream>> = const { RefCell::new(None) };
}

fn one(stream: &ResolveAddressStream) -> Result<Option<IpAddress>, String> {
    loop {
        match stream.resolve_next_address() {
            Err(ErrorCode::WouldBlock) => stream.subscribe().block(),
            Err(error) => return Err(code(error)),
            Ok(address) => return Ok(address),
        }
    }
}

/// All addresses of a name, each once.
pub fn all(name: &str) -> Outcome {
    let stream = resolve_addresses(&instance_network(), name).map_err(code)?;
    let mut found = Vec::new();
    while let Some(address) = one(&stream)? {
        found.push(ip(address).to_string());
    }
    assert!(one(&stream)?.is_none(), "an end is an end");
    found.sort();
    found.dedup();
    Ok(found.join(" "))
}

pub fn hold(name: &str) -> Outcome {
    let stream = resolve_addresses(&instance_network(), name).map_err(code)?;
    HELD.replace(Some(stream));
    Ok("held".to_string())
}

/// The next address of the name that is held.
pub fn next() -> Outcome {
    HELD.with_borrow(|held| {
        let held = held.as_ref().ok_or("nothing is held")?;
        Ok(one(held)?.map_or("none".to_string(), |address| ip(address).to_string()))
    })
}
