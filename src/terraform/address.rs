//! Addresses in the properties of devices.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Returns what is wrong with the addresses of a device of that type.
pub fn check(kind: &str, properties: &BTreeMap<String, String>) -> Vec<String> {
    let check = |name: &str, check: fn(&str) -> Option<String>| {
        let value = properties.get(name).filter(|value| !value.contains(crate::terraform::PENDING))?;
        check(value).map(|wrong| format!("`{name}`: {wrong}"))
    };
    let found = match kind {
        "nic" => vec![check("ipv4.address", ipv4), check("ipv6.address", ipv6)],
        "proxy" => vec![check("listen", endpoint), check("connect", endpoint)],
        _ => vec![],
    };
    found.into_iter().flatten().collect()
}

fn ipv4(value: &str) -> Option<String> {
    let fine = value == "none" || value.parse::<Ipv4Addr>().is_ok();
    (!fine).then(|| format!("`{value}` is no IPv4 address"))
}

fn ipv6(value: &str) -> Option<String> {
    let fine = value == "none" || value.parse::<Ipv6Addr>().is_ok();
    (!fine).then(|| format!("`{value}` is no IPv6 address"))
}

/// `tcp:10.0.0.1:80`, `udp:[::1]:5000-5010`, `unix:/run/x.sock`; several ports are separated by commas.
fn endpoint(value: &str) -> Option<String> {
    let wrong = || Some(format!("`{value}` is no address such as `tcp:10.0.0.1:80`"));
    match value.split_once(':') {
        Some(("unix", path)) if path.starts_with('/') || path.starts_with('@') => None,
        Some(("tcp" | "udp", rest)) => match rest.rsplit_once(':') {
            Some((host, ports)) if host_is_fine(host) && ports_are_fine(ports) => None,
            _ => wrong(),
        },
        _ => wrong(),
    }
}

fn host_is_fine(host: &str) -> bool {
    match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        Some(inner) => inner.parse::<Ipv6Addr>().is_ok(),
        // A name may stand here too; what only looks like an address is a mistake.
        None => {
            host.parse::<IpAddr>().is_ok_and(|address| address.is_ipv4())
                || (host.contains(|c: char| c.is_ascii_alphabetic()) && !host.contains(':'))
        }
    }
}

fn ports_are_fine(ports: &str) -> bool {
    let port = |text: &str| text.parse::<u16>().ok().filter(|port| *port > 0);
    ports.split(',').all(|part| match part.split_once('-') {
        Some((first, last)) => port(first).zip(port(last)).is_some_and(|(first, last)| first <= last),
        None => port(part).is_some(),
    })
}
