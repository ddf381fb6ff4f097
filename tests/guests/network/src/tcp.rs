//! TCP: connections out, connections in, options, and what holds of a socket in the wrong state.

use std::cell::RefCell;
use std::net::SocketAddr;

use crate::wasi::io::streams::{InputStream, OutputStream, StreamError};
use crate::wasi::sockets::instance_network::instance_network;
use crate::wasi::sockets::network::{ErrorCode, IpAddressFamily};
use crate::wasi::sockets::tcp::{ShutdownType, TcpSocket};
use crate::wasi::sockets::tcp_create_socket::create_tcp_socket;
use crate::{Outcome, code, family, from_wasi, line, stream, to_wasi};

/// Streams before their socket: they are its children, and must end first.
pub struct Connection {
    input: InputStream,
    output: OutputStream,
    socket: TcpSocket,
}

thread_local! {
    static HELD: RefCell<Option<Connection>> = const { RefCell::new(None) };
    static LISTENER: RefCell<Option<TcpSocket>> = const { RefCell::new(None) };
}

pub fn connect(at: SocketAddr) -> Result<Connection, String> {
    let socket = create_tcp_socket(family(at)).map_err(code)?;
    socket.start_connect(&instance_network(), to_wasi(at)).map_err(code)?;
    let connected = socket.subscribe();
    let (input, output) = loop {
        match socket.finish_connect() {
            Ok(streams) => break streams,
            Err(ErrorCode::WouldBlock) => connected.block(),
            Err(error) => return Err(code(error)),
        }
    };
    Ok(Connection { input, output, socket })
}

/// Reads to the end.
fn rest(input: &InputStream) -> Result<Vec<u8>, String> {
    let mut all = Vec::new();
    loop {
        match input.blocking_read(4096) {
            Ok(bytes) => all.extend(bytes),
            Err(StreamError::Closed) => return Ok(all),
            Err(error) => return Err(stream(error)),
        }
    }
}

pub fn echo(at: SocketAddr, said: &str) -> Outcome {
    let connection = connect(at)?;
    assert_eq!(from_wasi(connection.socket.remote_address().map_err(code)?), at);
    assert!(connection.socket.local_address().is_ok());
    connection.output.blocking_write_and_flush(said.as_bytes()).map_err(stream)?;
    connection.socket.shutdown(ShutdownType::Send).map_err(code)?;
    let heard = rest(&connection.input)?;
    assert!(matches!(connection.output.check_write(), Err(StreamError::Closed)), "written behind the end");
    Ok(String::from_utf8_lossy(&heard).into_owned())
}

pub fn hold(at: SocketAddr) -> Outcome {
    let connection = connect(at)?;
    HELD.replace(Some(connection));
    Ok("held".to_string())
}

pub fn let_go() -> Outcome {
    HELD.take();
    Ok("let go".to_string())
}

/// Writes to the connection that is held.
pub fn say(said: &str) -> Outcome {
    HELD.with_borrow(|held| {
        let held = held.as_ref().ok_or("nothing is held")?;
        held.output.blocking_write_and_flush(said.as_bytes()).map_err(stream)?;
        Ok("said".to_string())
    })
}

/// Waits for something on the connection that is held.
pub fn read() -> Outcome {
    HELD.with_borrow(|held| {
        let held = held.as_ref().ok_or("nothing is held")?;
        held.input.subscribe().block();
        let heard = held.input.read(4096).map_err(stream)?;
        assert!(!heard.is_empty(), "ready, and nothing is there");
        Ok(String::from_utf8_lossy(&heard).into_owned())
    })
}

pub fn listen(at: SocketAddr) -> Outcome {
    let socket = create_tcp_socket(family(at)).map_err(code)?;
    socket.set_listen_backlog_size(16).map_err(code)?;
    socket.start_bind(&instance_network(), to_wasi(at)).map_err(code)?;
    socket.finish_bind().map_err(code)?;
    assert!(!socket.is_listening());
    socket.start_listen().map_err(code)?;
    socket.finish_listen().map_err(code)?;
    assert!(socket.is_listening());
    let at = from_wasi(socket.local_address().map_err(code)?);
    assert_ne!(at.port(), 0);
    LISTENER.replace(Some(socket));
    Ok(at.to_string())
}

/// Takes one connection and says back what it sends, until it ends.
pub fn serve() -> Outcome {
    LISTENER.with_borrow(|listener| {
        let listener = listener.as_ref().ok_or("no listener")?;
        let arrived = listener.subscribe();
        let (socket, input, output) = loop {
            match listener.accept() {
                Ok(accepted) => break accepted,
                Err(ErrorCode::WouldBlock) => arrived.block(),
                Err(error) => return Err(code(error)),
            }
        };
        let heard = rest(&input)?;
        output.blocking_write_and_flush(&heard).map_err(stream)?;
        drop((input, output));
        drop(socket);
        Ok(String::from_utf8_lossy(&heard).into_owned())
    })
}

/// Makes sockets until no more are given.
pub fn fill() -> Outcome {
    let mut sockets = Vec::new();
    loop {
        match create_tcp_socket(IpAddressFamily::Ipv4) {
            Ok(socket) => sockets.push(socket),
            Err(error) => return Ok(format!("{} {}", sockets.len(), code(error))),
        }
    }
}

/// Takes a connection when there is no room for one more socket, and when there is; how many more there is room for then.
pub fn accept_full() -> Outcome {
    LISTENER.with_borrow(|listener| {
        let listener = listener.as_ref().ok_or("no listener")?;
        listener.subscribe().block();
        let mut sockets: Vec<TcpSocket> =
            std::iter::from_fn(|| create_tcp_socket(IpAddressFamily::Ipv4).ok()).collect();
        let refused = listener.accept().map(drop).expect_err("more than may be");
        sockets.pop();
        let accepted = listener.accept().map_err(code)?;
        let more = std::iter::from_fn(|| create_tcp_socket(IpAddressFamily::Ipv4).ok()).count();
        let (socket, input, output) = accepted;
        drop((input, output));
        drop(socket);
        Ok(format!("{}, then {more} more", code(refused)))
    })
}

pub fn options() -> Outcome {
    let socket = create_tcp_socket(IpAddressFamily::Ipv4).map_err(code)?;
    assert!(matches!(socket.address_family(), IpAddressFamily::Ipv4));
    assert!(!socket.is_listening());
    socket.set_keep_alive_enabled(true).map_err(code)?;
    assert!(socket.keep_alive_enabled().map_err(code)?);
    socket.set_keep_alive_idle_time(60_000_000_000).map_err(code)?;
    assert_eq!(socket.keep_alive_idle_time().map_err(code)?, 60_000_000_000);
    socket.set_keep_alive_interval(5_000_000_000).map_err(code)?;
    assert_eq!(socket.keep_alive_interval().map_err(code)?, 5_000_000_000);
    socket.set_keep_alive_count(7).map_err(code)?;
    assert_eq!(socket.keep_alive_count().map_err(code)?, 7);
    socket.set_hop_limit(42).map_err(code)?;
    assert_eq!(socket.hop_limit().map_err(code)?, 42);
    socket.set_receive_buffer_size(0x10000).map_err(code)?;
    assert!(socket.receive_buffer_size().map_err(code)? >= 0x10000);
    socket.set_send_buffer_size(0x10000).map_err(code)?;
    assert!(socket.send_buffer_size().map_err(code)? >= 0x10000);
    // Zero means nothing for any of them.
    let zeroes = [
        socket.set_listen_backlog_size(0),
        socket.set_keep_alive_idle_time(0),
        socket.set_keep_alive_interval(0),
        socket.set_keep_alive_count(0),
        socket.set_hop_limit(0),
        socket.set_receive_buffer_size(0),
        socket.set_send_buffer_size(0),
    ];
    assert!(zeroes.iter().all(|zero| matches!(zero, Err(ErrorCode::InvalidArgument))), "{zeroes:?}");
    Ok("ok".to_string())
}

/// What a socket says that is not in the state for it; `at` is granted for listening.
pub fn states(at: SocketAddr) -> Outcome {
    let new = || create_tcp_socket(family(at)).map_err(code);
    let socket = new()?;
    let network = instance_network();
    assert!(matches!(socket.finish_bind(), Err(ErrorCode::NotInProgress)));
    assert!(matches!(socket.finish_connect(), Err(ErrorCode::NotInProgress)));
    assert!(matches!(socket.finish_listen(), Err(ErrorCode::NotInProgress)));
    assert!(matches!(socket.start_listen(), Err(ErrorCode::InvalidState)));
    assert!(matches!(socket.accept(), Err(ErrorCode::InvalidState)));
    assert!(matches!(socket.local_address(), Err(ErrorCode::InvalidState)));
    assert!(matches!(socket.remote_address(), Err(ErrorCode::InvalidState)));
    assert!(matches!(socket.shutdown(ShutdownType::Both), Err(ErrorCode::InvalidState)));
    socket.start_bind(&network, to_wasi(at)).map_err(code)?;
    assert!(matches!(socket.start_bind(&network, to_wasi(at)), Err(ErrorCode::ConcurrencyConflict)));
    socket.finish_bind().map_err(code)?;
    assert!(matches!(socket.start_bind(&network, to_wasi(at)), Err(ErrorCode::InvalidState)));
    // The other family's address, and a port that nobody can have.
    let other: SocketAddr = if at.is_ipv4() { "[::1]:1".parse() } else { "127.0.0.1:1".parse() }.unwrap();
    assert!(matches!(new()?.start_connect(&network, to_wasi(other)), Err(ErrorCode::InvalidArgument)));
    let nowhere = SocketAddr::new(at.ip(), 0);
    assert!(matches!(new()?.start_connect(&network, to_wasi(nowhere)), Err(ErrorCode::InvalidArgument)));
    Ok("ok".to_string())
}

/// Every function of what was held when the node stopped.
pub fn lost() -> Outcome {
    let mut lines = Vec::new();
    let all = &mut lines;
    LISTENER.with_borrow(|listener| {
        let listener = listener.as_ref().ok_or("no listener")?;
        listener.subscribe().block();
        line(all, "accept", listener.accept());
        all.push(format!("is-listening {}", listener.is_listening()));
        line(all, "listener.local-address", listener.local_address());
        Ok::<_, String>(())
    })?;
    let held = HELD.take().ok_or("nothing is held")?;
    let socket = &held.socket;
    let network = instance_network();
    let at = to_wasi("127.0.0.1:9".parse().unwrap());
    socket.subscribe().block();
    line(all, "start-bind", socket.start_bind(&network, at));
    line(all, "finish-bind", socket.finish_bind());
    line(all, "start-connect", socket.start_connect(&network, at));
    line(all, "finish-connect", socket.finish_connect());
    line(all, "start-listen", socket.start_listen());
    line(all, "finish-listen", socket.finish_listen());
    line(all, "local-address", socket.local_address());
    line(all, "remote-address", socket.remote_address());
    line(all, "keep-alive-enabled", socket.keep_alive_enabled());
    line(all, "set-hop-limit", socket.set_hop_limit(9));
    line(all, "shutdown", socket.shutdown(ShutdownType::Both));
    held.input.subscribe().block();
    held.output.subscribe().block();
    let said = |result: Result<(), StreamError>| result.map_or_else(stream, |()| "ok".to_string());
    all.push(format!("read {}", said(held.input.read(9).map(drop))));
    all.push(format!("blocking-read {}", said(held.input.blocking_read(9).map(drop))));
    all.push(format!("skip {}", said(held.input.skip(9).map(drop))));
    all.push(format!("check-write {}", said(held.output.check_write().map(drop))));
    all.push(format!("write {}", said(held.output.write(b"more"))));
    all.push(format!("blocking-flush {}", said(held.output.blocking_flush())));
    drop(held);
    Ok(lines.join("\n"))
}
