//! `wasi:sockets/tcp` and `tcp-create-socket`.

use std::net::SocketAddr;

use wasmtime::component::Resource;
use wasmtime_wasi::p2::bindings::sockets::network::{ErrorCode, IpAddressFamily, IpSocketAddress, Network};
use wasmtime_wasi::p2::bindings::sockets::tcp::{HostTcpSocket, ShutdownType};
use wasmtime_wasi::p2::bindings::sockets::tcp_create_socket::Host as _;
use wasmtime_wasi::p2::{DynInputStream, DynOutputStream, DynPollable, SocketResult, TcpSocket};
use wasmtime_wasi::sockets::{SocketAddrUse, WasiSocketsCtxView, WasiSocketsView};

use super::super::io;
use super::{Answer, answers, granted, held, hold, is_room, let_go, made, may, moves, outside, refused, said};
use crate::boundary::{Boundary, Effect, Extra, Guest, Interface, Results};

type Tcp = Resource<TcpSocket>;
type Streams = (Resource<DynInputStream>, Resource<DynOutputStream>);
type Accepted = (Tcp, Resource<DynInputStream>, Resource<DynOutputStream>);
type At = (Tcp, Resource<Network>, IpSocketAddress);

/// Registers both interfaces.
pub(super) fn link(boundary: &mut Boundary) -> wasmtime::Result<()> {
    boundary
        .interface("wasi:sockets/tcp@0.2.12")?
        .resource("tcp-socket", |guest, socket: Tcp| {
            let_go(guest, socket.rep());
            HostTcpSocket::drop(&mut guest.sockets(), socket)
        })?
        .func_with(
            "[method]tcp-socket.subscribe",
            Effect::Read,
            Extra::default()
                .lost(|guest| Ok((Resource::<DynPollable>::new_own(io::ready(guest)?),)))
                .renew(|guest, _, (socket,): &(Tcp,)| io::subscribe_again::<TcpSocket>(guest, socket.rep())),
            |guest: &mut Guest, (socket,): (Tcp,)| Ok((HostTcpSocket::subscribe(&mut guest.sockets(), socket)?,)),
        )?;
    boundary.interface("wasi:sockets/tcp-create-socket@0.2.12")?.func_with(
        "create-tcp-socket",
        Effect::Read,
        Extra::default().renew(|guest, _, (family,): &(IpAddressFamily,)| {
            Ok(create(guest, *family)?.0.ok().map(|made| made.rep()))
        }),
        |guest: &mut Guest, (family,): (IpAddressFamily,)| create(guest, family),
    )?;
    starts(boundary)?;
    ends(boundary)?;
    state(&mut boundary.interface("wasi:sockets/tcp@0.2.12")?)?;
    options(&mut boundary.interface("wasi:sockets/tcp@0.2.12")?)
}

fn create(guest: &mut Guest, family: IpAddressFamily) -> wasmtime::Result<Answer<Tcp>> {
    if !granted(guest, |granted| granted.tcp()) {
        return refused(guest);
    }
    if !is_room(guest) {
        return Ok((Err(ErrorCode::NewSocketLimit),));
    }
    let socket = guest.sockets().create_tcp_socket(family);
    let answer = said(guest, socket)?;
    Ok(made(guest, answer))
}

fn starts(boundary: &mut Boundary) -> wasmtime::Result<()> {
    boundary
        .interface("wasi:sockets/tcp@0.2.12")?
        .func_async_with(
            "[method]tcp-socket.start-bind",
            Effect::Repeatable,
            moves().class(|guest, (_, _, at): &At| outside(may(guest, SocketAddr::from(*at), SocketAddrUse::TcpBind))),
            async |guest: &mut Guest, (socket, network, at): At| {
                if !may(guest, SocketAddr::from(at), SocketAddrUse::TcpBind) {
                    return refused(guest);
                }
                let bound = guest.sockets().start_bind(socket, network, at).await;
                said(guest, bound)
            },
        )?
        .func_async_with(
            "[method]tcp-socket.start-connect",
            Effect::Repeatable,
            moves()
                .class(|guest, (_, _, at): &At| outside(may(guest, SocketAddr::from(*at), SocketAddrUse::TcpConnect))),
            async |guest: &mut Guest, (socket, network, at): At| {
                if !may(guest, SocketAddr::from(at), SocketAddrUse::TcpConnect) {
                    return refused(guest);
                }
                let begun = guest.sockets().start_connect(socket, network, at);
                said(guest, begun)
            },
        )?
        .func_async_with(
            "[method]tcp-socket.start-listen",
            Effect::Repeatable,
            moves().class(|guest, (socket,): &(Tcp,)| {
                // Not made again here: what is replayed touches nothing.
                let real = guest.recorder.resources.get(socket.rep());
                outside(real.is_none_or(|real| may_listen(guest, real)))
            }),
            async |guest: &mut Guest, (socket,): (Tcp,)| {
                if !may_listen(guest, socket.rep()) {
                    return refused(guest);
                }
                let begun = guest.sockets().start_listen(socket).await;
                said(guest, begun)
            },
        )?
        .func_async_with(
            "[method]tcp-socket.shutdown",
            Effect::Once,
            answers(),
            async |guest: &mut Guest, (socket, how): (Tcp, ShutdownType)| {
                let done = guest.sockets().shutdown(socket, how);
                said(guest, done)
            },
        )?;
    Ok(())
}

/// One that is not bound says so itself.
fn may_listen(guest: &mut Guest, socket: u32) -> bool {
    match HostTcpSocket::local_address(&mut guest.sockets(), Resource::new_borrow(socket)) {
        Ok(at) => may(guest, SocketAddr::from(at), SocketAddrUse::TcpListen),
        Err(_) => true,
    }
}

fn ends(boundary: &mut Boundary) -> wasmtime::Result<()> {
    boundary
        .interface("wasi:sockets/tcp@0.2.12")?
        .func_with("[method]tcp-socket.finish-bind", Effect::Read, moves(), |guest: &mut Guest, (socket,): (Tcp,)| {
            let done = guest.sockets().finish_bind(socket);
            said(guest, done)
        })?
        .func_with(
            "[method]tcp-socket.finish-connect",
            Effect::Read,
            moves::<_, Streams>(),
            |guest: &mut Guest, (socket,): (Tcp,)| {
                let done = guest.sockets().finish_connect(socket);
                let answer = said(guest, done)?;
                if let (Ok((input, output)),) = &answer {
                    held(guest).streams.extend([input.rep(), output.rep()]);
                }
                Ok(answer)
            },
        )?
        .func_with(
            "[method]tcp-socket.finish-listen",
            Effect::Read,
            moves(),
            |guest: &mut Guest, (socket,): (Tcp,)| {
                let done = guest.sockets().finish_listen(socket);
                said(guest, done)
            },
        )?
        .func_with(
            "[method]tcp-socket.accept",
            Effect::Read,
            answers::<_, Accepted>(),
            |guest: &mut Guest, (socket,): (Tcp,)| {
                if !is_room(guest) {
                    return Ok((Err(ErrorCode::NewSocketLimit),));
                }
                let accepted = guest.sockets().accept(socket);
                let answer = said(guest, accepted)?;
                if let (Ok((socket, input, output)),) = &answer {
                    hold(guest, socket.rep());
                    held(guest).streams.extend([input.rep(), output.rep()]);
                }
                Ok(answer)
            },
        )?;
    Ok(())
}

fn state(interface: &mut Interface<'_>) -> wasmtime::Result<()> {
    get(interface, "local-address", |sockets, socket| sockets.local_address(socket))?;
    get(interface, "remote-address", |sockets, socket| sockets.remote_address(socket))?;
    interface
        .func_with(
            "[method]tcp-socket.is-listening",
            Effect::Read,
            Extra::default().lost(|_| Ok((false,))),
            |guest: &mut Guest, (socket,): (Tcp,)| Ok((guest.sockets().is_listening(socket)?,)),
        )?
        .func("[method]tcp-socket.address-family", Effect::Read, |guest: &mut Guest, (socket,): (Tcp,)| {
            Ok((HostTcpSocket::address_family(&mut guest.sockets(), socket)?,))
        })?;
    Ok(())
}

fn options(interface: &mut Interface<'_>) -> wasmtime::Result<()> {
    set(interface, "listen-backlog-size", |sockets, socket, size: u64| sockets.set_listen_backlog_size(socket, size))?;
    get(interface, "keep-alive-enabled", |sockets, socket| sockets.keep_alive_enabled(socket))?;
    set(interface, "keep-alive-enabled", |sockets, socket, on: bool| sockets.set_keep_alive_enabled(socket, on))?;
    get(interface, "keep-alive-idle-time", |sockets, socket| sockets.keep_alive_idle_time(socket))?;
    set(interface, "keep-alive-idle-time", |sockets, socket, nanos: u64| {
        sockets.set_keep_alive_idle_time(socket, nanos)
    })?;
    get(interface, "keep-alive-interval", |sockets, socket| sockets.keep_alive_interval(socket))?;
    set(interface, "keep-alive-interval", |sockets, socket, nanos: u64| {
        sockets.set_keep_alive_interval(socket, nanos)
    })?;
    get(interface, "keep-alive-count", |sockets, socket| sockets.keep_alive_count(socket))?;
    set(interface, "keep-alive-count", |sockets, socket, count: u32| sockets.set_keep_alive_count(socket, count))?;
    get(interface, "hop-limit", |sockets, socket| sockets.hop_limit(socket))?;
    set(interface, "hop-limit", |sockets, socket, hops: u8| sockets.set_hop_limit(socket, hops))?;
    get(interface, "receive-buffer-size", |sockets, socket| HostTcpSocket::receive_buffer_size(sockets, socket))?;
    set(interface, "receive-buffer-size", |sockets, socket, size: u64| {
        HostTcpSocket::set_receive_buffer_size(sockets, socket, size)
    })?;
    get(interface, "send-buffer-size", |sockets, socket| HostTcpSocket::send_buffer_size(sockets, socket))?;
    set(interface, "send-buffer-size", |sockets, socket, size: u64| {
        HostTcpSocket::set_send_buffer_size(sockets, socket, size)
    })
}

fn get<T>(
    interface: &mut Interface<'_>,
    name: &str,
    get: fn(&mut WasiSocketsCtxView<'_>, Tcp) -> SocketResult<T>,
) -> wasmtime::Result<()>
where
    T: 'static,
    Answer<T>: Results,
{
    let name = format!("[method]tcp-socket.{name}");
    interface.func_with(&name, Effect::Read, answers(), move |guest: &mut Guest, (socket,): (Tcp,)| {
        let got = get(&mut guest.sockets(), socket);
        said(guest, got)
    })?;
    Ok(())
}

fn set<V>(
    interface: &mut Interface<'_>,
    name: &str,
    set: fn(&mut WasiSocketsCtxView<'_>, Tcp, V) -> SocketResult<()>,
) -> wasmtime::Result<()>
where
    V: 'static,
    (Tcp, V): crate::boundary::Params,
{
    let name = format!("[method]tcp-socket.set-{name}");
    interface.func_with(&name, Effect::Read, moves(), move |guest: &mut Guest, (socket, value): (Tcp, V)| {
        let done = set(&mut guest.sockets(), socket, value);
        said(guest, done)
    })?;
    Ok(())
}
