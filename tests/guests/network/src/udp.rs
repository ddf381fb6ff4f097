//! UDP: datagrams to and from peers, options, and what holds of a socket in the wrong state.

use std::cell::RefCell;
use std::net::SocketAddr;

use crate::wasi::sockets::instance_network::instance_network;
use crate::wasi::sockets::network::{ErrorCode, IpAddressFamily};
use crate::wasi::sockets::udp::{IncomingDatagramStream, OutgoingDatagram, OutgoingDatagramStream, UdpSocket};
use crate::wasi::sockets::udp_create_socket::create_udp_socket;
use crate::{Outcome, code, family, from_wasi, line, to_wasi};

/// Streams before their socket: they are its children, and must end first.
struct Bound {
    incoming: IncomingDatagramStream,
    outgoing: OutgoingDatagramStream,
    socket: UdpSocket,
}

thread_local! {
    static HELD: RefCell<Option<Bound>> = const { RefCell::new(None) };
}

fn bound(bind: SocketAddr, peer: Option<SocketAddr>) -> Result<Bound, String> {
    let socket = create_udp_socket(family(bind)).map_err(code)?;
    socket.start_bind(&instance_network(), to_wasi(bind)).map_err(code)?;
    socket.finish_bind().map_err(code)?;
    let (incoming, outgoing) = socket.stream(peer.map(to_wasi)).map_err(code)?;
    Ok(Bound { incoming, outgoing, socket })
}

fn send(outgoing: &OutgoingDatagramStream, peer: Option<SocketAddr>, said: &[u8]) -> Result<u64, ErrorCode> {
    outgoing.subscribe().block();
    assert!(outgoing.check_send()? > 0, "ready, and none may be sent");
    outgoing.send(&[OutgoingDatagram { data: said.to_vec(), remote_address: peer.map(to_wasi) }])
}

/// Says something to a peer and hears what it answers.
pub fn exchange(bind: SocketAddr, peer: SocketAddr, said: &str) -> Outcome {
    let it = bound(bind, Some(peer))?;
    assert_eq!(from_wasi(it.socket.remote_address().map_err(code)?), peer);
    assert_eq!(send(&it.outgoing, None, said.as_bytes()).map_err(code)?, 1);
    it.incoming.subscribe().block();
    let heard = it.incoming.receive(1).map_err(code)?;
    assert_eq!(heard.len(), 1);
    assert_eq!(from_wasi(heard[0].remote_address), peer);
    assert!(it.incoming.receive(1).map_err(code)?.is_empty());
    Ok(String::from_utf8_lossy(&heard[0].data).into_owned())
}

/// Says something to a peer, from where the system likes.
pub fn send_to(peer: SocketAddr) -> Outcome {
    let it = bound(SocketAddr::new(peer.ip(), 0), None)?;
    send(&it.outgoing, Some(peer), b"said").map_err(code)?;
    Ok("sent".to_string())
}

/// Says something to two peers at once.
pub fn send_both(peer: SocketAddr, other: SocketAddr) -> Outcome {
    let it = bound(SocketAddr::new(peer.ip(), 0), None)?;
    it.outgoing.subscribe().block();
    assert!(it.outgoing.check_send().map_err(code)? >= 2);
    let both = [peer, other].map(|to| OutgoingDatagram { data: b"both".to_vec(), remote_address: Some(to_wasi(to)) });
    it.outgoing.send(&both).map(|sent| sent.to_string()).map_err(code)
}

/// Binds, and no more.
pub fn bind(at: SocketAddr) -> Outcome {
    let socket = create_udp_socket(family(at)).map_err(code)?;
    socket.start_bind(&instance_network(), to_wasi(at)).map_err(code)?;
    socket.finish_bind().map_err(code)?;
    Ok("bound".to_string())
}

/// Makes sockets until no more are given.
pub fn fill() -> Outcome {
    let mut sockets = Vec::new();
    loop {
        match create_udp_socket(IpAddressFamily::Ipv4) {
            Ok(socket) => sockets.push(socket),
            Err(error) => return Ok(format!("{} {}", sockets.len(), code(error))),
        }
    }
}

pub fn hold(bind: SocketAddr, peer: SocketAddr) -> Outcome {
    let it = bound(bind, None)?;
    let at = from_wasi(it.socket.local_address().map_err(code)?);
    send(&it.outgoing, Some(peer), b"here").map_err(code)?;
    HELD.replace(Some(it));
    Ok(at.to_string())
}

/// Waits for datagrams at the socket that is held.
pub fn receive() -> Outcome {
    HELD.with_borrow(|held| {
        let held = held.as_ref().ok_or("nothing is held")?;
        held.incoming.subscribe().block();
        let heard = held.incoming.receive(16).map_err(code)?;
        Ok(heard.iter().map(|it| String::from_utf8_lossy(&it.data).into_owned()).collect::<Vec<_>>().join(" "))
    })
}

pub fn options() -> Outcome {
    let socket = create_udp_socket(IpAddressFamily::Ipv4).map_err(code)?;
    assert!(matches!(socket.address_family(), IpAddressFamily::Ipv4));
    socket.set_unicast_hop_limit(42).map_err(code)?;
    assert_eq!(socket.unicast_hop_limit().map_err(code)?, 42);
    socket.set_receive_buffer_size(0x10000).map_err(code)?;
    assert!(socket.receive_buffer_size().map_err(code)? >= 0x10000);
    socket.set_send_buffer_size(0x10000).map_err(code)?;
    assert!(socket.send_buffer_size().map_err(code)? >= 0x10000);
    let zeroes = [socket.set_unicast_hop_limit(0), socket.set_receive_buffer_size(0), socket.set_send_buffer_size(0)];
    assert!(zeroes.iter().all(|zero| matches!(zero, Err(ErrorCode::InvalidArgument))), "{zeroes:?}");
    socket.subscribe().block();
    Ok("ok".to_string())
}

pub fn states() -> Outcome {
    let socket = create_udp_socket(IpAddressFamily::Ipv4).map_err(code)?;
    assert!(matches!(socket.finish_bind(), Err(ErrorCode::NotInProgress)));
    assert!(matches!(socket.local_address(), Err(ErrorCode::InvalidState)));
    assert!(matches!(socket.remote_address(), Err(ErrorCode::InvalidState)));
    assert!(matches!(socket.stream(None), Err(ErrorCode::InvalidState)), "not bound");
    Ok("ok".to_string())
}

/// Every function of what was held when the node stopped.
pub fn lost() -> Outcome {
    let held = HELD.take().ok_or("nothing is held")?;
    let mut lines = Vec::new();
    let all = &mut lines;
    let at = to_wasi("127.0.0.1:9".parse().unwrap());
    held.socket.subscribe().block();
    held.incoming.subscribe().block();
    held.outgoing.subscribe().block();
    line(all, "start-bind", held.socket.start_bind(&instance_network(), at));
    line(all, "finish-bind", held.socket.finish_bind());
    line(all, "stream", held.socket.stream(None));
    line(all, "local-address", held.socket.local_address());
    line(all, "remote-address", held.socket.remote_address());
    line(all, "unicast-hop-limit", held.socket.unicast_hop_limit());
    line(all, "set-unicast-hop-limit", held.socket.set_unicast_hop_limit(9));
    line(all, "receive-buffer-size", held.socket.receive_buffer_size());
    line(all, "send-buffer-size", held.socket.send_buffer_size());
    line(all, "receive", held.incoming.receive(1));
    line(all, "check-send", held.outgoing.check_send());
    line(all, "send", held.outgoing.send(&[]));
    Ok(lines.join("\n"))
}
