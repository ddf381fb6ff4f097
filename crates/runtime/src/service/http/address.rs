//! Which addresses a request may be sent to: those of the open internet, unless the grant says `private = true`.
//!
//! What is checked is the address that is really connected to, never a name, so that a name which is resolved twice cannot
//! lead inside.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Whether an address lies in the open internet: not on this machine, in its networks, or in a reserved range.
pub fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => is_public_v4(v4),
        IpAddr::V6(v6) => is_public_v6(v6),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    !(a == 0
        || address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || (a == 100 && (64..128).contains(&b)) // shared by carriers
        || (a == 192 && b == 0 && c == 0) // protocol assignments
        || address.is_documentation()
        || (a == 192 && b == 88 && c == 99) // 6to4 relays
        || (a == 198 && (18..20).contains(&b)) // benchmarks
        || address == Ipv4Addr::new(168, 63, 129, 16) // the host of a cloud's machines
        || a >= 224) // multicast, reserved, broadcast
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    // What carries a v4 address is as open as that one.
    if let Some(v4) = address.to_ipv4_mapped() {
        return is_public_v4(v4);
    }
    let parts = address.segments();
    let last = Ipv4Addr::from(((parts[6] as u32) << 16) | parts[7] as u32);
    match parts {
        [0x64, 0xff9b, 0, 0, 0, 0, _, _] => is_public_v4(last), // NAT64
        [0x2002, high, low, ..] => is_public_v4(Ipv4Addr::from(((high as u32) << 16) | low as u32)), // 6to4
        [0x2001, second, ..] if second < 0x200 => false,        // protocol assignments, Teredo
        [0x2001, 0xdb8, ..] | [0x3fff, ..] => false,            // documentation
        [first, ..] => first & 0xe000 == 0x2000,                // global unicast; all else is local or reserved
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_open_internet_is_public() {
        for closed in [
            "127.0.0.1",
            "127.8.8.8",
            "10.0.0.1",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.1.1",
            "169.254.169.254",
            "0.0.0.0",
            "100.64.0.1",
            "192.0.0.1",
            "192.0.2.1",
            "198.18.0.1",
            "198.51.100.1",
            "203.0.113.1",
            "168.63.129.16",
            "224.0.0.1",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "fe80::1",
            "fc00::1",
            "fd12::1",
            "ff02::1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "64:ff9b::7f00:1",
            "64:ff9b:1::1",
            "2002:7f00:1::",
            "2002:a00:1::",
            "2001::1",
            "2001:1ff::1",
            "2001:db8::1",
            "fec0::1",
            "::127.0.0.1",
            "5f00::1",
            "3fff::1",
        ] {
            assert!(!is_public(closed.parse().unwrap()), "{closed}");
        }
        for open in [
            "1.1.1.1",
            "8.8.8.8",
            "172.32.0.1",
            "100.128.0.1",
            "2606:4700::1111",
            "::ffff:1.1.1.1",
            "64:ff9b::101:101",
            "2001:200::1",
        ] {
            assert!(is_public(open.parse().unwrap()), "{open}");
        }
    }
}
