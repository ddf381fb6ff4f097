//! `[grants.sockets]`: the addresses that an actor may reach and be reached at, and the names that it may look up.
//!
//! Owns what an address range means. Some blocks stay closed: this machine, private networks, link-local addresses (where
//! clouds keep the metadata of a machine), addresses that carry others inside. `*` and ranges wider than such a block do not
//! open it; only a range that lies inside of it does.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::types::glob;

/// Which addresses an actor may use; denied are those of an empty list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sockets {
    /// Peers of TCP connections that it opens.
    pub connect: Vec<AddressRange>,
    /// Own addresses of TCP sockets: those that it listens at, or binds before it connects.
    pub listen: Vec<AddressRange>,
    /// Peers that it may send datagrams to and get them from; those of others are dropped.
    pub udp: Vec<AddressRange>,
    /// Own addresses of UDP sockets.
    pub udp_bind: Vec<AddressRange>,
    /// Names that it may look up; `*` is any run of characters.
    pub lookup: Vec<NamePattern>,
}

impl Sockets {
    /// Whether it may have TCP sockets at all.
    pub fn tcp(&self) -> bool {
        !self.connect.is_empty() || !self.listen.is_empty()
    }

    /// Whether it may have UDP sockets at all.
    pub fn is_udp(&self) -> bool {
        !self.udp.is_empty() || !self.udp_bind.is_empty()
    }

    /// Whether it may look this name up.
    pub fn names(&self, name: &str) -> bool {
        self.lookup.iter().any(|pattern| pattern.matches(name))
    }
}

/// Whether one of the ranges has the address.
pub fn reaches(ranges: &[AddressRange], address: SocketAddr) -> bool {
    ranges.iter().any(|range| range.has(address))
}

/// Whether the address lies in a block that stays closed unless it is named.
pub fn is_closed(ip: IpAddr) -> bool {
    block_of(ip.to_canonical()).is_some()
}

/// Addresses and ports: `203.0.113.0/24:443`, `[2001:db8::1]:*`, `*:8000-8100`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AddressRange {
    /// None is any address outside of the closed blocks.
    net: Option<Net>,
    ports: (u16, u16),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Net {
    ip: IpAddr,
    bits: u8,
}

impl AddressRange {
    /// Reads a range; the error says in words what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let Some((net, ports)) = text.rsplit_once(':') else { return Err("it has no port".to_owned()) };
        let net = match net {
            "*" => None,
            bracketed if bracketed.starts_with('[') && bracketed.ends_with(']') => {
                let net = Net::parse(&bracketed[1..bracketed.len() - 1])?;
                if net.ip.is_ipv4() {
                    return Err("only an address of IPv6 stands in brackets".to_owned());
                }
                Some(net)
            }
            other => {
                let net = Net::parse(other)?;
                if net.ip.is_ipv6() {
                    return Err("an address of IPv6 stands in brackets".to_owned());
                }
                Some(net)
            }
        };
        let port = |text: &str| match text.parse::<u16>() {
            Ok(port) if text.bytes().all(|b| b.is_ascii_digit()) => Ok(port),
            _ => Err(format!("`{text}` is no port; write one from 0 to 65535, `8000-8100`, or `*`")),
        };
        let ports = match ports.split_once('-') {
            _ if ports == "*" => (0, u16::MAX),
            Some((first, last)) => (port(first)?, port(last)?),
            None => (port(ports)?, port(ports)?),
        };
        if ports.0 > ports.1 {
            return Err(format!("its ports go from {} down to {}", ports.0, ports.1));
        }
        Ok(Self { net, ports })
    }

    /// Whether the address is in the range.
    pub fn has(&self, address: SocketAddr) -> bool {
        let (first, last) = self.ports;
        (first..=last).contains(&address.port()) && self.has_ip(address.ip())
    }

    /// Whether the address is in the range, at some port.
    pub fn has_ip(&self, ip: IpAddr) -> bool {
        let ip = ip.to_canonical();
        self.net.is_none_or(|net| net.has(ip)) && block_of(ip).is_none_or(|block| self.inside(block))
    }

    /// Whether this one has every address that `child` has.
    pub fn covers_all_of(&self, child: &AddressRange) -> bool {
        let ports = self.ports.0 <= child.ports.0 && child.ports.1 <= self.ports.1;
        let nets = match (self.net, child.net) {
            (None, _) => true,
            (Some(_), None) => false,
            (Some(parent), Some(child)) => parent.bits <= child.bits && parent.has(child.ip),
        };
        ports && nets && BLOCKS.iter().all(|block| !child.inside(*block) || self.inside(*block))
    }

    fn inside(&self, block: Net) -> bool {
        self.net.is_some_and(|net| block.bits <= net.bits && block.has(net.ip))
    }
}

impl fmt::Display for AddressRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.net {
            None => f.write_str("*")?,
            Some(Net { ip: IpAddr::V4(ip), bits: 32 }) => write!(f, "{ip}")?,
            Some(Net { ip: IpAddr::V4(ip), bits }) => write!(f, "{ip}/{bits}")?,
            Some(Net { ip: IpAddr::V6(ip), bits: 128 }) => write!(f, "[{ip}]")?,
            Some(Net { ip: IpAddr::V6(ip), bits }) => write!(f, "[{ip}/{bits}]")?,
        }
        match self.ports {
            (0, u16::MAX) => f.write_str(":*"),
            (first, last) if first == last => write!(f, ":{first}"),
            (first, last) => write!(f, ":{first}-{last}"),
        }
    }
}

impl Net {
    fn parse(text: &str) -> Result<Net, String> {
        let (ip, bits) = match text.split_once('/') {
            Some((ip, bits)) => (ip, Some(bits)),
            None => (text, None),
        };
        let ip: IpAddr = ip.parse().map_err(|_| format!("`{ip}` is no address; a name is looked up first"))?;
        if ip.to_canonical() != ip {
            return Err(format!("`{ip}` is the address {} in another form; write that", ip.to_canonical()));
        }
        let most = if ip.is_ipv4() { 32 } else { 128 };
        let bits = match bits {
            None => most,
            Some(bits) => match bits.parse::<u8>() {
                Ok(bits) if bits <= most => bits,
                _ => return Err(format!("`/{bits}` is no length of a prefix; it is at most /{most}")),
            },
        };
        let net = Net { ip: cut(ip, bits), bits };
        if net.ip != ip {
            return Err(format!("`{ip}/{bits}` has bits behind its prefix; write {}/{bits}", net.ip));
        }
        Ok(net)
    }

    fn has(self, ip: IpAddr) -> bool {
        self.ip.is_ipv4() == ip.is_ipv4() && cut(ip, self.bits) == self.ip
    }
}

/// The address without what lies behind its prefix.
fn cut(ip: IpAddr, bits: u8) -> IpAddr {
    match ip {
        IpAddr::V4(ip) => {
            let mask = u32::MAX.checked_shl(32 - u32::from(bits.min(32))).unwrap_or(0);
            IpAddr::V4(Ipv4Addr::from_bits(ip.to_bits() & mask))
        }
        IpAddr::V6(ip) => {
            let mask = u128::MAX.checked_shl(128 - u32::from(bits.min(128))).unwrap_or(0);
            IpAddr::V6(Ipv6Addr::from_bits(ip.to_bits() & mask))
        }
    }
}

const fn v4(a: u8, b: u8, c: u8, bits: u8) -> Net {
    Net { ip: IpAddr::V4(Ipv4Addr::new(a, b, c, 0)), bits }
}

const fn v6(a: u16, b: u16, c: u16, bits: u8) -> Net {
    Net { ip: IpAddr::V6(Ipv6Addr::new(a, b, c, 0, 0, 0, 0, 0)), bits }
}

/// What stays closed unless it is named. No two of them overlap.
const BLOCKS: [Net; 23] = [
    v4(0, 0, 0, 8),      // this network, and the wildcard address
    v4(10, 0, 0, 8),     // private
    v4(100, 64, 0, 10),  // shared by customers of a provider
    v4(127, 0, 0, 8),    // this machine
    v4(169, 254, 0, 16), // link-local; the metadata of clouds
    // The host's agent in a cloud.
    Net { ip: IpAddr::V4(Ipv4Addr::new(168, 63, 129, 16)), bits: 32 },
    v4(172, 16, 0, 12),      // private
    v4(192, 0, 0, 24),       // protocol assignments
    v4(192, 168, 0, 16),     // private
    v4(198, 18, 0, 15),      // benchmarks of networks
    v4(224, 0, 0, 4),        // multicast
    v4(240, 0, 0, 4),        // reserved, and broadcast
    v6(0, 0, 0, 96),         // the wildcard address, this machine, addresses of IPv4 in the old form
    v6(0x64, 0xff9b, 0, 96), // IPv4 inside, by NAT64
    v6(0x64, 0xff9b, 1, 48), // the same, local
    v6(0x100, 0, 0, 64),     // discarded
    v6(0x2001, 0, 0, 23),    // protocol assignments; IPv4 inside, by Teredo
    v6(0x2002, 0, 0, 16),    // IPv4 inside, by 6to4
    v6(0x5f00, 0, 0, 16),    // segment routing
    v6(0xfc00, 0, 0, 7),     // private
    v6(0xfe80, 0, 0, 10),    // link-local
    v6(0xfec0, 0, 0, 10),    // private, in the old form
    v6(0xff00, 0, 0, 8),     // multicast
];

fn block_of(ip: IpAddr) -> Option<Net> {
    BLOCKS.into_iter().find(|block| block.has(ip))
}

/// A pattern over names of machines: `db.example.com`, `*.example.com`, `*`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamePattern(String);

impl NamePattern {
    /// Reads a pattern; the error says in words what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.is_empty() || text.len() > MAX_NAME {
            return Err(format!("a name has 1 to {MAX_NAME} characters"));
        }
        let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "._-*".contains(c);
        match text.chars().find(|c| !allowed(*c)) {
            Some(c) => {
                Err(format!("`{c}` cannot stand there; use a-z, 0-9, `.`, `_`, `-`, and `*` for any run of them"))
            }
            None => Ok(Self(text.to_owned())),
        }
    }

    /// The pattern as written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the name, in ASCII and small letters, matches. A dot at its end means nothing here.
    pub fn matches(&self, name: &str) -> bool {
        glob(self.0.as_bytes(), name.strip_suffix('.').unwrap_or(name).as_bytes())
    }

    /// Whether this one matches all that `child` matches. May say no to what it does.
    pub fn covers_all_of(&self, child: &NamePattern) -> bool {
        glob(self.0.as_bytes(), child.0.as_bytes())
    }
}

/// Letters of a name, the most that DNS has.
pub const MAX_NAME: usize = 253;

#[cfg(test)]
mod tests {
    use super::*;

    fn range(text: &str) -> AddressRange {
        AddressRange::parse(text).unwrap_or_else(|why| panic!("{text}: {why}"))
    }

    fn at(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_range_has_what_it_says_at_each_edge() {
        let net = range("203.0.113.0/24:8000-8100");
        for inside in ["203.0.113.0:8000", "203.0.113.255:8100"] {
            assert!(net.has(at(inside)), "{inside}");
        }
        for outside in
            ["203.0.112.255:8000", "203.0.114.0:8000", "203.0.113.1:7999", "203.0.113.1:8101", "[2001:db8::1]:8000"]
        {
            assert!(!net.has(at(outside)), "{outside}");
        }
        assert!(range("[2001:db8::/32]:443").has(at("[2001:db8:ffff::1]:443")));
        assert!(!range("[2001:db8::/32]:443").has(at("[2001:db9::1]:443")));
        assert!(range("0.0.0.0/0:80").has(at("8.8.8.8:80")));
        assert!(range("203.0.113.7:*").has(at("[::ffff:203.0.113.7]:1")), "the same address in another form");
    }

    #[test]
    fn closed_blocks_are_opened_only_by_a_range_inside_of_them() {
        let closed = [
            "0.0.0.0:80",
            "10.1.2.3:80",
            "100.64.0.1:80",
            "127.0.0.1:80",
            "169.254.169.254:80",
            "172.31.0.1:80",
            "192.0.0.8:80",
            "192.168.1.1:80",
            "198.19.0.1:80",
            "224.0.0.1:80",
            "255.255.255.255:80",
            "[::]:80",
            "[::1]:80",
            "[::ffff:127.0.0.1]:80",
            "[::ffff:169.254.169.254]:80",
            "[::7f00:1]:80",
            "[64:ff9b::a9fe:a9fe]:80",
            "[2001::1]:80",
            "[2002:7f00:1::]:80",
            "[fd00::1]:80",
            "[fe80::1]:80",
            "[fec0::1]:80",
            "[ff02::1]:80",
            "[100::1]:80",
            "[64:ff9b:1::1]:80",
        ];
        for address in closed {
            let address = at(address);
            assert!(is_closed(address.ip()), "{address}");
            for wide in
                ["*:*", "0.0.0.0/0:*", "[::/0]:*", "0.0.0.0/1:*", "128.0.0.0/1:*", "[fc00::/6]:*", "8.0.0.0/5:*"]
            {
                assert!(!range(wide).has(address), "{wide} opens {address}");
            }
            let ip = address.ip().to_canonical();
            let named = if ip.is_ipv4() { format!("{ip}:80") } else { format!("[{ip}]:80") };
            assert!(range(&named).has(address), "{named}");
        }
        for open in
            ["8.8.8.8:80", "9.255.255.255:80", "11.0.0.0:80", "172.32.0.1:80", "[2606:4700::1]:80", "[2001:200::1]:80"]
        {
            assert!(!is_closed(at(open).ip()) && range("*:80").has(at(open)), "{open}");
        }
        assert!(range("10.0.0.0/8:*").has(at("10.1.2.3:80")));
        assert!(range("10.1.0.0/16:*").has(at("10.1.2.3:80")));
    }

    #[test]
    fn what_is_no_range_is_said() {
        for bad in [
            "",
            "*",
            "80",
            "example.com:80",
            "1.2.3.4",
            "1.2.3.4/33:1",
            "1.2.3.4/24:1",
            "::1:80",
            "[1.2.3.4]:80",
            "[::1/129]:1",
            "1.2.3.4:65536",
            "1.2.3.4:9-8",
            "1.2.3.4:+8",
            "1.2.3.4:",
            "[::ffff:1.2.3.4]:80",
            "1.2.3.4/:1",
            "*:1-",
            "[::1:80",
        ] {
            assert!(AddressRange::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_range_is_written_as_it_is_read() {
        for text in ["*:*", "*:80", "1.2.3.4:0", "10.0.0.0/8:1-65535", "[::1]:443", "[fc00::/7]:*", "0.0.0.0/0:5"] {
            assert_eq!(range(text).to_string(), text);
        }
    }

    /// Whatever a range has that another covers, that one has.
    #[test]
    fn what_is_covered_is_had() {
        let ranges = [
            "*:*",
            "*:80",
            "0.0.0.0/0:*",
            "8.0.0.0/5:*",
            "10.0.0.0/8:80",
            "10.0.0.0/8:*",
            "10.1.0.0/16:80-90",
            "10.1.2.3:80",
            "8.8.8.8:80",
            "[::/0]:*",
            "[fc00::/7]:*",
            "[fd00::1]:80",
            "[::1]:*",
        ];
        let addresses = [
            "10.1.2.3:80",
            "10.1.2.3:81",
            "8.8.8.8:80",
            "9.9.9.9:443",
            "[fd00::1]:80",
            "[fe80::1]:80",
            "[::1]:80",
            "[2606::1]:80",
        ];
        let mut covered = 0;
        for parent in ranges.map(range) {
            for child in ranges.map(range) {
                if parent.covers_all_of(&child) {
                    covered += 1;
                    for address in addresses.map(at) {
                        assert!(
                            !child.has(address) || parent.has(address),
                            "{parent} covers {child} but not {address}"
                        );
                    }
                }
            }
        }
        assert!(covered > ranges.len(), "{covered}");
        assert!(
            !range("*:*").covers_all_of(&range("10.0.0.0/8:*")),
            "a child does not open what its parent has closed"
        );
        assert!(range("0.0.0.0/0:*").covers_all_of(&range("8.0.0.0/5:*")));
    }

    #[test]
    fn names_are_matched_whole() {
        let pattern = NamePattern::parse("*.example.com").unwrap();
        assert!(pattern.matches("db.example.com") && pattern.matches("a.b.example.com."));
        for other in ["example.com", "db.example.com.evil.net", "dbxexample.com"] {
            assert!(!pattern.matches(other), "{other}");
        }
        for bad in ["", "A.com", "a b", "a/b", &"a".repeat(254)] {
            assert!(NamePattern::parse(bad).is_err(), "{bad}");
        }
    }
}
