//! The variants, records and enums of `wasi:sockets` as they stand in journals, cases and fields in the order of the WIT.

use wasmtime_wasi::p2::bindings::sockets::network::{
    ErrorCode, IpAddress, IpAddressFamily, IpSocketAddress, Ipv4SocketAddress, Ipv6SocketAddress,
};
use wasmtime_wasi::p2::bindings::sockets::tcp::ShutdownType;
use wasmtime_wasi::p2::bindings::sockets::udp::{IncomingDatagram, OutgoingDatagram};

use crate::{recordable_enum, recordable_record, recordable_variant};

recordable_enum!(ErrorCode {
    Unknown,
    AccessDenied,
    NotSupported,
    InvalidArgument,
    OutOfMemory,
    Timeout,
    ConcurrencyConflict,
    NotInProgress,
    WouldBlock,
    InvalidState,
    NewSocketLimit,
    AddressNotBindable,
    AddressInUse,
    RemoteUnreachable,
    ConnectionRefused,
    ConnectionReset,
    ConnectionAborted,
    DatagramTooLarge,
    NameUnresolvable,
    TemporaryResolverFailure,
    PermanentResolverFailure,
});
recordable_enum!(IpAddressFamily { Ipv4, Ipv6 });
recordable_variant!(IpAddress { Ipv4(address), Ipv6(address) });
recordable_record!(Ipv4SocketAddress { port, address });
recordable_record!(Ipv6SocketAddress { port, flow_info, address, scope_id });
recordable_variant!(IpSocketAddress { Ipv4(address), Ipv6(address) });
recordable_enum!(ShutdownType { Receive, Send, Both });
recordable_record!(IncomingDatagram { data, remote_address });
recordable_record!(OutgoingDatagram { data, remote_address });
