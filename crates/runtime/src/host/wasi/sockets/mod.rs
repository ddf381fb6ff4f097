//! `wasi:sockets`: TCP, UDP and the lookup of names, through wasmtime-wasi.
//!
//! Sockets are live: what was bound, connected or listening is gone after a crash, each function answers `connection-reset`, and
//! what is waited for is ready. A socket that was only made, and a lookup of which nothing was taken, are made again. What
//! reaches the outside (binding, connecting, listening, looking up, sending) is an intent first and waits for the gate. The grant
//! is checked here, against the address itself, and once more by wasmtime-wasi; a refusal is `access-denied` and a denial.
//! docs/sockets.md has the rules.

mod lookup;
mod tcp;
mod types;
mod udp;

use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::atomic::Ordering::Relaxed;

use wasmtime::component::Resource;
use wasmtime_wasi::WasiCtxBuilder;
use wasmtime_wasi::p2::Network;
use wasmtime_wasi::p2::SocketResult;
use wasmtime_wasi::p2::bindings::sockets::instance_network::Host as _;
use wasmtime_wasi::p2::bindings::sockets::network::{ErrorCode, HostNetwork};
use wasmtime_wasi::sockets::{SocketAddrUse, WasiSocketsView};

use crate::boundary::{Boundary, Effect, Extra, Guest};
use crate::manifest::{Grants, Sockets as Granted, sockets::reaches};

/// Sockets that one actor may hold; each is an open file of the node.
pub(super) const MAX_SOCKETS: usize = 256;

/// What an actor's instance holds of the network, by the host's numbers.
#[derive(Default)]
pub(super) struct Sockets {
    sockets: HashSet<u32>,
    streams: HashSet<u32>,
}

impl Sockets {
    /// Whether this stream's other end is a peer.
    pub(super) fn has_stream(&self, stream: u32) -> bool {
        self.streams.contains(&stream)
    }

    /// A stream has ended.
    pub(super) fn stream_closed(&mut self, stream: u32) {
        self.streams.remove(&stream);
    }
}

type Answer<T> = (Result<T, ErrorCode>,);

/// Registers the package.
pub(super) fn link(boundary: &mut Boundary) -> wasmtime::Result<()> {
    boundary
        .interface("wasi:sockets/network@0.2.12")?
        .resource("network", |guest, network: Resource<Network>| HostNetwork::drop(&mut guest.sockets(), network))?;
    // A network says nothing of what may be done with it: the grant does.
    boundary.interface("wasi:sockets/instance-network@0.2.12")?.func_with(
        "instance-network",
        Effect::Read,
        Extra::default().renew(|guest, _, (): &()| Ok(Some(guest.sockets().instance_network()?.rep()))),
        |guest: &mut Guest, (): ()| Ok((guest.sockets().instance_network()?,)),
    )?;
    lookup::link(boundary)?;
    tcp::link(boundary)?;
    udp::link(boundary)
}

/// Tells wasmtime-wasi what is granted: what is not checked before a call, it checks where it happens.
pub(super) fn allow(ctx: &mut WasiCtxBuilder, grants: &Grants) {
    let granted = grants.sockets.clone().unwrap_or_default();
    ctx.allow_tcp(granted.tcp()).allow_udp(granted.is_udp()).allow_ip_name_lookup(grants.sockets.is_some());
    ctx.socket_addr_check(move |address, usage| {
        let allowed = permits(&granted, address, usage);
        Box::pin(std::future::ready(allowed))
    });
}

fn permits(granted: &Granted, address: SocketAddr, usage: SocketAddrUse) -> bool {
    // What the system binds by itself, to send from, is no address that anybody can reach.
    let by_itself = address.ip().is_unspecified() && address.port() == 0;
    match usage {
        SocketAddrUse::TcpConnect => reaches(&granted.connect, address),
        SocketAddrUse::TcpBind => by_itself && !granted.connect.is_empty() || reaches(&granted.listen, address),
        // Where port 0 is granted the system has chosen the port.
        SocketAddrUse::TcpListen => {
            let chosen = SocketAddr::new(address.ip(), 0);
            reaches(&granted.listen, address) || reaches(&granted.listen, chosen)
        }
        SocketAddrUse::TcpAccept => !granted.listen.is_empty(),
        SocketAddrUse::UdpBind => by_itself && !granted.udp.is_empty() || reaches(&granted.udp_bind, address),
        SocketAddrUse::UdpSend | SocketAddrUse::UdpReceive => reaches(&granted.udp, address),
    }
}

/// Whether the grant has this.
fn granted(guest: &Guest, has: impl FnOnce(&Granted) -> bool) -> bool {
    guest.about.grants.sockets.as_ref().is_some_and(has)
}

fn may(guest: &Guest, address: SocketAddr, usage: SocketAddrUse) -> bool {
    granted(guest, |granted| permits(granted, address, usage))
}

/// The class of what reaches the outside if it is granted: a refusal reaches nothing.
fn outside(allowed: bool) -> Effect {
    if allowed { Effect::Repeatable } else { Effect::Read }
}

/// The refusal, which is a denial.
fn refused<T>(guest: &mut Guest) -> wasmtime::Result<Answer<T>> {
    guest.recorder.deny("sockets");
    Ok((Err(ErrorCode::AccessDenied),))
}

/// A socket's answer for the guest, or a trap. What wasmtime-wasi refuses is a denial too.
fn said<T>(guest: &mut Guest, result: SocketResult<T>) -> wasmtime::Result<Answer<T>> {
    let answer = match result {
        Ok(value) => Ok(value),
        Err(error) => Err(error.downcast()?),
    };
    if matches!(answer, Err(ErrorCode::AccessDenied)) {
        guest.recorder.deny("sockets");
    }
    Ok((answer,))
}

/// What is said of a socket that did not survive, or where a crash hid the outcome.
fn answers<P, T>() -> Extra<P, Answer<T>> {
    Extra::default().lost(|_| Ok((Err(ErrorCode::ConnectionReset),))).unknown(|_, _| Ok((Err(ErrorCode::Unknown),)))
}

/// The same of a call that leaves its socket in another state: replayed, the socket is not made again.
fn moves<P: AsRefSocket, T>() -> Extra<P, Answer<T>> {
    answers().replayed(|guest, params: &P, (answer,)| {
        if answer.is_ok() {
            guest.recorder.forget(params.socket());
        }
    })
}

/// Parameters that begin with a socket.
trait AsRefSocket {
    fn socket(&self) -> u32;
}
impl<S: 'static> AsRefSocket for (Resource<S>,) {
    fn socket(&self) -> u32 {
        self.0.rep()
    }
}
impl<S: 'static, B> AsRefSocket for (Resource<S>, B) {
    fn socket(&self) -> u32 {
        self.0.rep()
    }
}
impl<S: 'static, B, C> AsRefSocket for (Resource<S>, B, C) {
    fn socket(&self) -> u32 {
        self.0.rep()
    }
}

fn held(guest: &mut Guest) -> &mut Sockets {
    &mut super::wasi(guest).sockets
}

/// A socket was made: the instance is kept as long as it is there.
fn hold(guest: &mut Guest, socket: u32) {
    let sockets = &mut held(guest).sockets;
    sockets.insert(socket);
    let count = sockets.len() as u32;
    guest.about.held.store(count, Relaxed);
}

/// A socket has ended.
fn let_go(guest: &mut Guest, socket: u32) {
    let sockets = &mut held(guest).sockets;
    sockets.remove(&socket);
    let count = sockets.len() as u32;
    guest.about.held.store(count, Relaxed);
}

/// Whether another socket may be made.
fn is_room(guest: &mut Guest) -> bool {
    held(guest).sockets.len() < MAX_SOCKETS
}

/// A socket was made.
fn made<S>(guest: &mut Guest, answer: Answer<Resource<S>>) -> Answer<Resource<S>>
where
    S: 'static,
{
    if let (Ok(socket),) = &answer {
        hold(guest, socket.rep());
    }
    answer
}
