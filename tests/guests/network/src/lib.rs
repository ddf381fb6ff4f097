//! wasi:sockets, a behaviour a message. What is held stays from message to message, so that a test can cut the node in
//! between. Errors of the interface are answers: `err: CODE`.

wit_bindgen::generate!({
    inline: "
        package guest:network;
        world network {
            import wasi:io/poll@0.2.12;
            import wasi:io/streams@0.2.12;
            import wasi:clocks/monotonic-clock@0.2.12;
            import wasi:sockets/instance-network@0.2.12;
            import wasi:sockets/network@0.2.12;
            import wasi:sockets/tcp@0.2.12;
            import wasi:sockets/udp@0.2.12;
            import wasi:sockets/tcp-create-socket@0.2.12;
            import wasi:sockets/udp-create-socket@0.2.12;
            import wasi:sockets/ip-name-lookup@0.2.12;
            export troupe:actor/gen-server@0.1.0;
        }
    ",
    path: [
        "../../../wit/deps/io.wit",
        "../../../wit/deps/clocks.wit",
        "../../../wit/deps/sockets.wit",
        "../../../wit/troupe-actor",
    ],
    world: "guest:network/network",
    generate_all,
});

mod lookup;
mod tcp;
mod udp;

use std::net::{IpAddr, SocketAddr};

use exports::troupe::actor::gen_server;
use wasi::io::streams::StreamError;
use wasi::sockets::network::{
    ErrorCode, IpAddress, IpAddressFamily, IpSocketAddress, Ipv4SocketAddress, Ipv6SocketAddress,
};

struct Guest;
export!(Guest);

impl gen_server::Guest for Guest {
    fn handle_request(_from: String, message_type: String, payload: Vec<u8>) -> Result<Vec<u8>, String> {
        let text = String::from_utf8(payload).map_err(|_| "the payload must be text")?;
        let words: Vec<&str> = text.split_whitespace().collect();
        let answer = match (message_type.as_str(), words.as_slice()) {
            ("connect", [at]) => tcp::connect(address(at)?).map(|_| "connected".to_string()),
            ("echo", [at, said]) => tcp::echo(address(at)?, said),
            ("hold", [at]) => tcp::hold(address(at)?),
            ("let-go", []) => tcp::let_go(),
            ("say", [said]) => tcp::say(said),
            ("read", []) => tcp::read(),
            ("listen", [at]) => tcp::listen(address(at)?),
            ("serve", []) => tcp::serve(),
            ("fill", []) => tcp::fill(),
            ("accept-full", []) => tcp::accept_full(),
            ("udp-fill", []) => udp::fill(),
            ("udp-bind", [bind]) => udp::bind(address(bind)?),
            ("datagrams", [peer, other]) => udp::send_both(address(peer)?, address(other)?),
            ("tcp-options", []) => tcp::options(),
            ("tcp-states", [at]) => tcp::states(address(at)?),
            ("tcp-lost", []) => tcp::lost(),
            ("datagram", [bind, peer, said]) => udp::exchange(address(bind)?, address(peer)?, said),
            ("send-to", [peer]) => udp::send_to(address(peer)?),
            ("udp-hold", [bind, peer]) => udp::hold(address(bind)?, address(peer)?),
            ("receive", []) => udp::receive(),
            ("udp-options", []) => udp::options(),
            ("udp-states", []) => udp::states(),
            ("udp-lost", []) => udp::lost(),
            ("lookup", [name]) => lookup::all(name),
            ("lookup-hold", [name]) => lookup::hold(name),
            ("lookup-next", []) => lookup::next(),
            _ => return Err(format!("unknown message type: {message_type}")),
        };
        Ok(answer.unwrap_or_else(|why| format!("err: {why}")).into_bytes())
    }
}

/// What went wrong, as it is answered.
type Outcome = Result<String, String>;

fn address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| format!("not an address: {text}"))
}

fn family(at: SocketAddr) -> IpAddressFamily {
    if at.is_ipv4() { IpAddressFamily::Ipv4 } else { IpAddressFamily::Ipv6 }
}

fn to_wasi(at: SocketAddr) -> IpSocketAddress {
    match at {
        SocketAddr::V4(at) => {
            let [a, b, c, d] = at.ip().octets();
            IpSocketAddress::Ipv4(Ipv4SocketAddress { port: at.port(), address: (a, b, c, d) })
        }
        SocketAddr::V6(at) => {
            let [a, b, c, d, e, f, g, h] = at.ip().segments();
            let (flow_info, scope_id) = (at.flowinfo(), at.scope_id());
            IpSocketAddress::Ipv6(Ipv6SocketAddress {
                port: at.port(),
                flow_info,
                address: (a, b, c, d, e, f, g, h),
                scope_id,
            })
        }
    }
}

fn ip(address: IpAddress) -> IpAddr {
    match address {
        IpAddress::Ipv4((a, b, c, d)) => IpAddr::from([a, b, c, d]),
        IpAddress::Ipv6((a, b, c, d, e, f, g, h)) => IpAddr::from([a, b, c, d, e, f, g, h]),
    }
}

fn from_wasi(at: IpSocketAddress) -> SocketAddr {
    match at {
        IpSocketAddress::Ipv4(at) => (ip(IpAddress::Ipv4(at.address)), at.port).into(),
        IpSocketAddress::Ipv6(at) => (ip(IpAddress::Ipv6(at.address)), at.port).into(),
    }
}

fn code(error: ErrorCode) -> String {
    error.name().to_string()
}

fn stream(error: StreamError) -> String {
    match error {
        StreamError::Closed => "closed".to_string(),
        StreamError::LastOperationFailed(error) => error.to_debug_string(),
    }
}

/// A line of a report: what was called, and what it said.
fn line<T>(lines: &mut Vec<String>, name: &str, result: Result<T, ErrorCode>) {
    lines.push(format!("{name} {}", result.map_or_else(code, |_| "ok".to_string())));
}
