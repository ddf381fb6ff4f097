//! wasi:sockets: tries to reach the outside, and tells how far it came.

use crate::Probe;
use crate::wasi::sockets::instance_network::instance_network;
use crate::wasi::sockets::ip_name_lookup;
use crate::wasi::sockets::network::{ErrorCode, IpAddressFamily, IpSocketAddress, Ipv4SocketAddress};
use crate::wasi::sockets::{tcp_create_socket, udp_create_socket};

pub const PROBES: &[Probe] = &[
    ("tcp-create-socket#create-tcp-socket", |_| {
        said(tcp_create_socket::create_tcp_socket(IpAddressFamily::Ipv4).map(|_| "created"))
    }),
    ("udp-create-socket#create-udp-socket", |_| {
        said(udp_create_socket::create_udp_socket(IpAddressFamily::Ipv4).map(|_| "created"))
    }),
    // To the discard port of this machine.
    ("tcp#tcp-socket.start-connect", |_| said(connect())),
    ("ip-name-lookup#resolve-addresses", |name| {
        said(ip_name_lookup::resolve_addresses(&instance_network(), name).map(|_| "resolving"))
    }),
];

fn connect() -> Result<&'static str, ErrorCode> {
    let socket = tcp_create_socket::create_tcp_socket(IpAddressFamily::Ipv4)?;
    let address = IpSocketAddress::Ipv4(Ipv4SocketAddress { port: 9, address: (127, 0, 0, 1) });
    socket.start_connect(&instance_network(), address)?;
    socket.subscribe().block();
    socket.finish_connect().map(|_| "connected")
}

fn said(result: Result<&str, ErrorCode>) -> String {
    match result {
        Ok(words) => words.to_string(),
        Err(code) => format!("err: {}", code.name()),
    }
}
