//! Which addresses are those of strangers on the internet, and which are inside somebody's network.
//!
//! Apart because it is a table, and the one that keeps guests out of the operator's network. It must not look up a name.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Whether an address is one of the public internet: what a guest may reach under a name.
pub(super) fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

/// Whether an address may be a host of the operator's own network: private and loopback ones, but none that a machine's surroundings
/// answer at (metadata services, link-local neighbours, groups).
pub(super) fn is_inside(address: IpAddr) -> bool {
    let v4 = |address: Ipv4Addr| {
        let [a, b, ..] = address.octets();
        address.is_private() || address.is_loopback() || (a == 100 && (b & 0xc0) == 64 && address != ALIBABA)
    };
    match address {
        IpAddr::V4(address) => v4(address),
        IpAddr::V6(address) => match address.to_ipv4_mapped() {
            Some(mapped) => v4(mapped),
            None => {
                let [a, b, ..] = address.segments();
                address.is_loopback() || (a & 0xfe00 == 0xfc00 && !SURROUNDINGS_V6.contains(&[a, b]))
            }
        },
    }
}

/// Alibaba's metadata service, among addresses that else are those of private networks.
const ALIBABA: Ipv4Addr = Ipv4Addr::new(100, 100, 100, 200);
/// The same of Amazon (`fd00:ec2::254`, and what gives out credentials beside it) and Google (`fd20:ce::254`): how their networks begin.
const SURROUNDINGS_V6: [[u16; 2]; 2] = [[0xfd00, 0x0ec2], [0xfd20, 0x00ce]];

/// Networks of IPv4 that are not public: IANA's special-purpose registry, multicast, and the metadata service of Azure.
const SPECIAL_V4: [([u8; 4], u32); 17] = [
    ([0, 0, 0, 0], 8),
    ([10, 0, 0, 0], 8),
    ([100, 64, 0, 0], 10),
    ([127, 0, 0, 0], 8),
    ([168, 63, 129, 16], 32),
    ([169, 254, 0, 0], 16),
    ([172, 16, 0, 0], 12),
    ([192, 0, 0, 0], 24),
    ([192, 0, 2, 0], 24),
    ([192, 31, 196, 0], 24),
    ([192, 52, 193, 0], 24),
    ([192, 88, 99, 0], 24),
    ([192, 168, 0, 0], 16),
    ([198, 18, 0, 0], 15),
    ([198, 51, 100, 0], 24),
    ([203, 0, 113, 0], 24),
    ([224, 0, 0, 0], 3),
];

fn is_public_v4(address: Ipv4Addr) -> bool {
    let bits = address.to_bits();
    let within = |(network, length): &([u8; 4], u32)| (bits ^ u32::from_be_bytes(*network)) >> (32 - length) == 0;
    !SPECIAL_V4.iter().any(within)
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let [a, b, ..] = address.segments();
    match (a, b) {
        // An address of IPv4 in the clothes of IPv6 is as public as it is itself.
        (0x0064, 0xff9b) if address.segments()[2..6] == [0; 4] => is_public_v4(last_four(address)),
        // Only this is given out to the public. What else is special lies within it: protocol assignments with Teredo, 6to4,
        // documentation, and their successors.
        (0x2001, b) if b < 0x0200 || b == 0x0db8 => false,
        (0x2002, _) => false,
        (0x3fff, b) if b < 0x1000 => false,
        (a, _) => a & 0xe000 == 0x2000,
    }
}

fn last_four(address: Ipv6Addr) -> Ipv4Addr {
    let bytes = address.octets();
    Ipv4Addr::new(bytes[12], bytes[13], bytes[14], bytes[15])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_the_internet_are_public() {
        for text in ["8.8.8.8", "1.1.1.1", "100.63.0.1", "100.128.0.1", "172.32.0.1", "2606:4700::1111", "64:ff9b::808:808"] {
            assert!(is_public(text.parse().unwrap()), "{text}");
        }
    }

    #[test]
    fn addresses_of_somebodys_network_are_not() {
        let inside = [
            "127.0.0.1",
            "10.1.2.3",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.1.1",
            "100.64.0.1",
            "::1",
            "fd00::1",
            "::ffff:10.0.0.1",
        ];
        let never = [
            "0.0.0.0",
            "169.254.169.254",
            "168.63.129.16",
            "192.0.0.1",
            "192.0.2.1",
            "198.18.0.1",
            "198.51.100.1",
            "203.0.113.1",
            "224.0.0.1",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "fe80::1",
            "fec0::1",
            "ff02::1",
            "::ffff:169.254.169.254",
            "100.100.100.200",
            "::ffff:100.100.100.200",
            "fd00:ec2::254",
            "fd20:ce::254",
            "::7f00:1",
            "64:ff9b:1::1",
            "100::1",
            "2001::1",
            "2001:db8::1",
            "2002:7f00:1::",
            "3fff::1",
            "5f00::1",
        ];
        for text in inside {
            assert!(!is_public(text.parse().unwrap()) && is_inside(text.parse().unwrap()), "{text}");
        }
        for text in never {
            assert!(!is_public(text.parse().unwrap()) && !is_inside(text.parse().unwrap()), "{text}");
        }
        for text in ["64:ff9b::7f00:1", "64:ff9b::a00:1", "::ffff:8.8.8.8"] {
            assert!(!is_public(text.parse().unwrap()), "{text}");
        }
    }
}
