//! `wasi:sockets/ip-name-lookup`: the addresses of a granted name.
//!
//! The name is checked as it is asked for: in ASCII, in small letters. An address that is written out needs no lookup and no
//! grant of a name. That a name is granted opens none of its addresses.

use wasmtime::component::Resource;
use wasmtime_wasi::p2::bindings::sockets::ip_name_lookup::{Host, HostResolveAddressStream, ResolveAddressStream};
use wasmtime_wasi::p2::bindings::sockets::network::{ErrorCode, IpAddress};
use wasmtime_wasi::p2::{DynPollable, Network};
use wasmtime_wasi::sockets::WasiSocketsView;

use super::super::io;
use super::{Answer, granted, outside, refused, said};
use crate::boundary::{Boundary, Effect, Extra, Guest};
use crate::manifest::sockets::MAX_NAME;

type Stream = Resource<ResolveAddressStream>;

/// Registers the interface.
pub(super) fn link(boundary: &mut Boundary) -> wasmtime::Result<()> {
    boundary
        .interface("wasi:sockets/ip-name-lookup@0.2.12")?
        .resource("resolve-address-stream", |guest, stream: Stream| {
            HostResolveAddressStream::drop(&mut guest.sockets(), stream)
        })?
        .func_async_with(
            "resolve-addresses",
            Effect::Repeatable,
            Extra::default()
                .lost(|_| Ok((Err(ErrorCode::TemporaryResolverFailure),)))
                .class(|guest, (_, name): &(Resource<Network>, String)| {
                    outside(domain(name).is_ok_and(|name| may_ask(guest, &name)))
                })
                .renew(|guest, _, (_, name)| {
                    let Ok(asked @ Some(_)) = domain(name) else { return Ok(None) };
                    let (true, Some(name)) = (may_ask(guest, &asked), asked) else { return Ok(None) };
                    let made = resolve(guest, name)?;
                    Ok(made.0.ok().map(|stream: Stream| stream.rep()))
                }),
            async |guest: &mut Guest, (_, name): (Resource<Network>, String)| match domain(&name) {
                Err(()) => Ok((Err(ErrorCode::InvalidArgument),)),
                Ok(asked) if !may_ask(guest, &asked) => refused(guest),
                Ok(asked) => resolve(guest, asked.unwrap_or(name)),
            },
        )?
        .func_with(
            "[method]resolve-address-stream.resolve-next-address",
            Effect::Read,
            // Asked again, a name may have other addresses: only what nothing was taken of is made again.
            Extra::default().lost(|_| Ok((Err(ErrorCode::TemporaryResolverFailure),))).replayed(
                |guest, (stream,): &(Stream,), (answer,): &Answer<Option<IpAddress>>| {
                    if answer.is_ok() {
                        guest.recorder.forget(stream.rep());
                    }
                },
            ),
            |guest: &mut Guest, (stream,): (Stream,)| {
                let next = guest.sockets().resolve_next_address(stream);
                said(guest, next)
            },
        )?
        .func_with(
            "[method]resolve-address-stream.subscribe",
            Effect::Read,
            Extra::default().lost(|guest| Ok((Resource::<DynPollable>::new_own(io::ready(guest)?),))).renew(
                |guest, _, (stream,): &(Stream,)| io::subscribe_again::<ResolveAddressStream>(guest, stream.rep()),
            ),
            |guest: &mut Guest, (stream,): (Stream,)| {
                Ok((HostResolveAddressStream::subscribe(&mut guest.sockets(), stream)?,))
            },
        )?;
    Ok(())
}

/// The name as it is looked up; none for an address that is written out, an error for what is no name.
fn domain(name: &str) -> Result<Option<String>, ()> {
    if name.len() > 4 * MAX_NAME {
        return Err(());
    }
    match url::Host::parse(name) {
        Ok(url::Host::Domain(domain)) if domain.len() <= MAX_NAME + 1 => Ok(Some(domain)),
        Ok(url::Host::Domain(_)) => Err(()),
        Ok(_) => Ok(None),
        Err(_) => name.parse::<std::net::Ipv6Addr>().map(|_| None).map_err(|_| ()),
    }
}

fn may_ask(guest: &Guest, name: &Option<String>) -> bool {
    granted(guest, |granted| name.as_ref().is_none_or(|name| granted.names(name)))
}

fn resolve(guest: &mut Guest, name: String) -> wasmtime::Result<Answer<Stream>> {
    let network = {
        use wasmtime_wasi::p2::bindings::sockets::instance_network::Host as _;
        guest.sockets().instance_network()?
    };
    let made = guest.sockets().resolve_addresses(Resource::new_borrow(network.rep()), name);
    guest.table.delete(network)?;
    said(guest, made)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_checked_as_it_is_looked_up() {
        assert_eq!(domain("DB.Example.com"), Ok(Some("db.example.com".to_owned())));
        assert_eq!(domain("b\u{fc}cher.example"), Ok(Some("xn--bcher-kva.example".to_owned())));
        assert_eq!(domain("%65vil.net"), Ok(Some("evil.net".to_owned())));
        for address in ["127.0.0.1", "0x7f.1", "::1", "[::1]", "2130706433"] {
            assert_eq!(domain(address), Ok(None), "{address}");
        }
        for bad in ["", "a b", "a/b", "a%2Fb", "a\0b", "evil.net:80", "user@evil.net", &"a".repeat(2000)] {
            assert_eq!(domain(bad), Err(()), "{bad:?}");
        }
        assert_eq!(domain(&format!("{}.example.com", "a.".repeat(130))), Err(()));
    }
}
