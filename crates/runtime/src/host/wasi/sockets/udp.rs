//! `wasi:sockets/udp` and `udp-create-socket`.

use std::net::SocketAddr;

use wasmtime::component::Resource;
use wasmtime_wasi::p2::bindings::sockets::network::{ErrorCode, IpAddressFamily, IpSocketAddress, Network};
use wasmtime_wasi::p2::bindings::sockets::udp::{
    HostIncomingDatagramStream, HostOutgoingDatagramStream, HostUdpSocket, IncomingDatagram, IncomingDatagramStream,
    OutgoingDatagram, OutgoingDatagramStream,
};
use wasmtime_wasi::p2::bindings::sockets::udp_create_socket::Host as _;
use wasmtime_wasi::p2::{DynPollable, Pollable, SocketResult, UdpSocket};
use wasmtime_wasi::sockets::{SocketAddrUse, WasiSocketsCtxView, WasiSocketsView};

use super::super::io;
use super::{Answer, answers, granted, is_room, let_go, made, may, moves, outside, refused, said};
use crate::boundary::{Boundary, Effect, Extra, Guest, Interface, Params, Results};

type Udp = Resource<UdpSocket>;
type Incoming = Resource<IncomingDatagramStream>;
type Outgoing = Resource<OutgoingDatagramStream>;
type At = (Udp, Resource<Network>, IpSocketAddress);

/// Registers both interfaces.
pub(super) fn link(boundary: &mut Boundary) -> wasmtime::Result<()> {
    let mut interface = boundary.interface("wasi:sockets/udp@0.2.12")?;
    interface
        .resource("udp-socket", |guest, socket: Udp| {
            let_go(guest, socket.rep());
            HostUdpSocket::drop(&mut guest.sockets(), socket)
        })?
        .resource("incoming-datagram-stream", |guest, stream: Incoming| {
            HostIncomingDatagramStream::drop(&mut guest.sockets(), stream)
        })?
        .resource_async("outgoing-datagram-stream", async |guest: &mut Guest, (stream,): (Outgoing,)| {
            HostOutgoingDatagramStream::drop(&mut guest.sockets(), stream).await
        })?;
    pollable::<UdpSocket>(&mut interface, "udp-socket", |sockets, it| HostUdpSocket::subscribe(sockets, it))?;
    pollable::<IncomingDatagramStream>(&mut interface, "incoming-datagram-stream", |sockets, it| {
        HostIncomingDatagramStream::subscribe(sockets, it)
    })?;
    pollable::<OutgoingDatagramStream>(&mut interface, "outgoing-datagram-stream", |sockets, it| {
        HostOutgoingDatagramStream::subscribe(sockets, it)
    })?;
    sockets(&mut interface)?;
    datagrams(&mut interface)?;
    options(&mut interface)?;
    boundary.interface("wasi:sockets/udp-create-socket@0.2.12")?.func_async_with(
        "create-udp-socket",
        Effect::Read,
        Extra::default().renew(|guest, _, (family,): &(IpAddressFamily,)| {
            let made = futures_util::FutureExt::now_or_never(create(guest, *family));
            Ok(made.transpose()?.and_then(|(made,)| made.ok()).map(|made| made.rep()))
        }),
        async |guest: &mut Guest, (family,): (IpAddressFamily,)| create(guest, family).await,
    )?;
    Ok(())
}

async fn create(guest: &mut Guest, family: IpAddressFamily) -> wasmtime::Result<Answer<Udp>> {
    if !granted(guest, |granted| granted.is_udp()) {
        return refused(guest);
    }
    if !is_room(guest) {
        return Ok((Err(ErrorCode::NewSocketLimit),));
    }
    let socket = guest.sockets().create_udp_socket(family).await;
    let answer = said(guest, socket)?;
    Ok(made(guest, answer))
}

fn sockets(interface: &mut Interface<'_>) -> wasmtime::Result<()> {
    interface
        .func_async_with(
            "[method]udp-socket.start-bind",
            Effect::Repeatable,
            moves().class(|guest, (_, _, at): &At| outside(may(guest, SocketAddr::from(*at), SocketAddrUse::UdpBind))),
            async |guest: &mut Guest, (socket, network, at): At| {
                if !may(guest, SocketAddr::from(at), SocketAddrUse::UdpBind) {
                    return refused(guest);
                }
                let bound = HostUdpSocket::start_bind(&mut guest.sockets(), socket, network, at).await;
                said(guest, bound)
            },
        )?
        .func_with("[method]udp-socket.finish-bind", Effect::Read, moves(), |guest: &mut Guest, (socket,): (Udp,)| {
            let done = HostUdpSocket::finish_bind(&mut guest.sockets(), socket);
            said(guest, done)
        })?
        .func_async_with(
            "[method]udp-socket.stream",
            Effect::Read,
            moves::<_, (Incoming, Outgoing)>(),
            async |guest: &mut Guest, (socket, peer): (Udp, Option<IpSocketAddress>)| {
                if peer.is_some_and(|peer| !may(guest, SocketAddr::from(peer), SocketAddrUse::UdpSend)) {
                    return refused(guest);
                }
                let streams = guest.sockets().stream(socket, peer).await;
                said(guest, streams)
            },
        )?;
    get(interface, "local-address", |sockets, socket| HostUdpSocket::local_address(sockets, socket))?;
    get(interface, "remote-address", |sockets, socket| HostUdpSocket::remote_address(sockets, socket))?;
    interface.func("[method]udp-socket.address-family", Effect::Read, |guest: &mut Guest, (socket,): (Udp,)| {
        Ok((HostUdpSocket::address_family(&mut guest.sockets(), socket)?,))
    })?;
    Ok(())
}

fn datagrams(interface: &mut Interface<'_>) -> wasmtime::Result<()> {
    interface
        .func_with(
            "[method]incoming-datagram-stream.receive",
            Effect::Read,
            answers::<_, Vec<IncomingDatagram>>(),
            |guest: &mut Guest, (stream, most): (Incoming, u64)| {
                let received = guest.sockets().receive(stream, most);
                said(guest, received)
            },
        )?
        .func_with(
            "[method]outgoing-datagram-stream.check-send",
            Effect::Read,
            answers(),
            |guest: &mut Guest, (stream,): (Outgoing,)| {
                let permit = guest.sockets().check_send(stream);
                said(guest, permit)
            },
        )?
        .func_async_with(
            "[method]outgoing-datagram-stream.send",
            Effect::Once,
            answers().class(
                |guest, (_, datagrams): &(Outgoing, Vec<OutgoingDatagram>)| {
                    if may_send(guest, datagrams) { Effect::Once } else { Effect::Read }
                },
            ),
            async |guest: &mut Guest, (stream, datagrams): (Outgoing, Vec<OutgoingDatagram>)| {
                if !may_send(guest, &datagrams) {
                    return refused(guest);
                }
                let sent = guest.sockets().send(stream, datagrams);
                said(guest, sent)
            },
        )?;
    Ok(())
}

/// One datagram that may not be sent, and none is.
fn may_send(guest: &Guest, datagrams: &[OutgoingDatagram]) -> bool {
    let mut peers = datagrams.iter().filter_map(|datagram| datagram.remote_address);
    peers.all(|peer| may(guest, SocketAddr::from(peer), SocketAddrUse::UdpSend))
}

fn options(interface: &mut Interface<'_>) -> wasmtime::Result<()> {
    get(interface, "unicast-hop-limit", |sockets, socket| sockets.unicast_hop_limit(socket))?;
    set(interface, "unicast-hop-limit", |sockets, socket, hops: u8| sockets.set_unicast_hop_limit(socket, hops))?;
    get(interface, "receive-buffer-size", |sockets, socket| HostUdpSocket::receive_buffer_size(sockets, socket))?;
    set(interface, "receive-buffer-size", |sockets, socket, size: u64| {
        HostUdpSocket::set_receive_buffer_size(sockets, socket, size)
    })?;
    get(interface, "send-buffer-size", |sockets, socket| HostUdpSocket::send_buffer_size(sockets, socket))?;
    set(interface, "send-buffer-size", |sockets, socket, size: u64| {
        HostUdpSocket::set_send_buffer_size(sockets, socket, size)
    })
}

fn get<T>(
    interface: &mut Interface<'_>,
    name: &str,
    get: fn(&mut WasiSocketsCtxView<'_>, Udp) -> SocketResult<T>,
) -> wasmtime::Result<()>
where
    T: 'static,
    Answer<T>: Results,
{
    let name = format!("[method]udp-socket.{name}");
    interface.func_with(&name, Effect::Read, answers(), move |guest: &mut Guest, (socket,): (Udp,)| {
        let got = get(&mut guest.sockets(), socket);
        said(guest, got)
    })?;
    Ok(())
}

fn set<V>(
    interface: &mut Interface<'_>,
    name: &str,
    set: fn(&mut WasiSocketsCtxView<'_>, Udp, V) -> SocketResult<()>,
) -> wasmtime::Result<()>
where
    V: 'static,
    (Udp, V): Params,
{
    let name = format!("[method]udp-socket.set-{name}");
    interface.func_with(&name, Effect::Read, moves(), move |guest: &mut Guest, (socket, value): (Udp, V)| {
        let done = set(&mut guest.sockets(), socket, value);
        said(guest, done)
    })?;
    Ok(())
}

fn pollable<S: Pollable>(
    interface: &mut Interface<'_>,
    name: &str,
    subscribe: fn(&mut WasiSocketsCtxView<'_>, Resource<S>) -> wasmtime::Result<Resource<DynPollable>>,
) -> wasmtime::Result<()> {
    interface.func_with(
        &format!("[method]{name}.subscribe"),
        Effect::Read,
        Extra::default()
            .lost(|guest| Ok((Resource::<DynPollable>::new_own(io::ready(guest)?),)))
            .renew(|guest, _, (it,): &(Resource<S>,)| io::subscribe_again::<S>(guest, it.rep())),
        move |guest: &mut Guest, (it,): (Resource<S>,)| Ok((subscribe(&mut guest.sockets(), it)?,)),
    )?;
    Ok(())
}
