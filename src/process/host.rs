//! Facts about the machine: its name and the addresses of its interfaces.

use std::net::IpAddr;

/// The machine's name, as the kernel knows it; None when it is hidden or not text.
pub fn hostname() -> Option<String> {
    nix::unistd::gethostname().ok()?.into_string().ok()
}

/// An address of an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct InterfaceAddress {
    index: u32,
    ip: IpAddr,
}

/// Every address of every interface, loopback and link-local included, by interface index.
///
/// A process that may not ask (a sandbox without netlink) gets an empty list.
pub fn interface_addresses() -> Vec<IpAddr> {
    let Ok(interfaces) = nix::ifaddrs::getifaddrs() else { return Vec::new() };
    let mut addresses: Vec<InterfaceAddress> = interfaces
        .filter_map(|interface| {
            let address = interface.address?;
            let v4 = address.as_sockaddr_in().map(|v4| IpAddr::V4(v4.ip()));
            let ip = v4.or_else(|| address.as_sockaddr_in6().map(|v6| IpAddr::V6(v6.ip())))?;
            let index = nix::net::if_::if_nametoindex(interface.interface_name.as_str());
            Some(InterfaceAddress { index: index.unwrap_or(u32::MAX), ip })
        })
        .collect();
    addresses.sort_by_key(|address| address.index);
    addresses.into_iter().map(|address| address.ip).collect()
}

/// Whether an address can be told to clients elsewhere: not unspecified, loopback, link-local,
/// multicast or broadcast. Private ranges count as reachable.
pub fn is_global_unicast(ip: IpAddr) -> bool {
    match ip.to_canonical() {
        IpAddr::V4(ip) => {
            !(ip.is_unspecified()
                || ip.is_loopback()
                || ip.is_link_local()
                || ip.is_multicast()
                || ip.is_broadcast())
        }
        IpAddr::V6(ip) => {
            !(ip.is_unspecified()
                || ip.is_loopback()
                || ip.is_unicast_link_local()
                || ip.is_multicast())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_is_among_the_interface_addresses() {
        assert!(interface_addresses().iter().any(IpAddr::is_loopback));
    }

    #[test]
    fn the_machine_has_a_name() {
        assert!(hostname().is_some_and(|name| !name.is_empty()));
    }

    #[test]
    fn only_addresses_others_can_reach_are_global_unicast() {
        let table = [
            ("10.0.0.1", true),
            ("192.168.1.1", true),
            ("8.8.8.8", true),
            ("fd00::1", true),
            ("2001:db8::1", true),
            ("0.0.0.0", false),
            ("127.0.0.2", false),
            ("169.254.1.1", false),
            ("224.0.0.1", false),
            ("255.255.255.255", false),
            ("::", false),
            ("::1", false),
            ("::ffff:127.0.0.1", false),
            ("fe80::1", false),
            ("ff02::1", false),
        ];
        for (ip, expected) in table {
            assert_eq!(is_global_unicast(ip.parse().expect("an address")), expected, "{ip}");
        }
    }
}
