//! Interfaces and addresses, from what the kernel tells in `/proc` and `/sys`.

use std::collections::BTreeSet;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, UdpSocket};

use serde_json::{Map, Value, json};

use crate::module::System;

/// One line of the kernel's table of routes.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Route {
    interface: String,
    destination: Ipv4Addr,
    gateway: Ipv4Addr,
    mask: Ipv4Addr,
    metric: u32,
}

pub(super) fn facts(system: &System) -> Value {
    let read = |path: &str| fs::read_to_string(system.real(path)).unwrap_or_default();
    let routes = routes(&read("/proc/net/route"));
    let addresses = local_addresses(&read("/proc/net/fib_trie"));
    let sixes = sixes(&read("/proc/net/if_inet6"));
    let interfaces = interfaces(system);
    let mut facts = Map::new();
    let fours = addresses.iter().filter(|it| !it.is_loopback()).map(ToString::to_string);
    facts.insert("all_ipv4_addresses".to_owned(), json!(fours.collect::<Vec<_>>()));
    let known = sixes.iter().filter(|(_, address, _)| !address.is_loopback());
    facts.insert("all_ipv6_addresses".to_owned(), json!(known.map(|it| it.1.to_string()).collect::<Vec<_>>()));
    facts.insert("interfaces".to_owned(), json!(interfaces));
    facts.insert("default_ipv4".to_owned(), default_four(&routes, system));
    facts.insert("default_ipv6".to_owned(), default_six(&sixes, &read("/proc/net/ipv6_route"), system));
    let reachable = sixes.iter().map(|(_, address, _)| address.to_string()).collect::<BTreeSet<_>>();
    let local = addresses.iter().map(ToString::to_string).chain(["127.0.0.0/8".to_owned()]).collect::<BTreeSet<_>>();
    facts.insert("locally_reachable_ips".to_owned(), json!({ "ipv4": local, "ipv6": reachable }));
    for interface in &interfaces {
        let mut fours = addresses.iter().filter_map(|address| {
            if address.is_loopback() {
                return (interface == "lo").then(|| loopback(*address));
            }
            let route = on_link(&routes, *address)?;
            (route.interface == *interface).then(|| four(*address, route))
        });
        let four = fours.next();
        let more = fours.collect::<Vec<_>>();
        let six = sixes.iter().filter(|(name, ..)| name == interface).map(|(_, address, prefix)| {
            json!({ "address": address.to_string(), "prefix": prefix.to_string(), "scope": scope(*address) })
        });
        let mut about = link(interface, system);
        let six = six.collect::<Vec<_>>();
        about.extend((!six.is_empty()).then(|| ("ipv6".to_owned(), json!(six))));
        about.extend(four.map(|four| ("ipv4".to_owned(), four)));
        about.extend((!more.is_empty()).then(|| ("ipv4_secondaries".to_owned(), json!(more))));
        facts.insert(fact(interface), Value::Object(about));
    }
    Value::Object(facts)
}

/// What the fact about an interface is called.
pub(super) fn fact(interface: &str) -> String {
    interface.replace(['-', ':'], "_")
}

/// Their names, in the order in which the kernel tells them.
fn interfaces(system: &System) -> Vec<String> {
    let entries = fs::read_dir(system.real("/sys/class/net")).into_iter().flatten().flatten();
    let entries = entries.filter(|entry| entry.path().is_dir());
    entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}

fn link(interface: &str, system: &System) -> Map<String, Value> {
    let read = |name: &str| fs::read_to_string(system.real(&format!("/sys/class/net/{interface}/{name}")));
    let text = |name: &str| read(name).unwrap_or_default().trim().to_owned();
    let is_there = |name: &str| system.real(&format!("/sys/class/net/{interface}/{name}")).exists();
    let kind = match text("type").as_str() {
        _ if is_there("bridge") => "bridge",
        _ if is_there("bonding") => "bonding",
        "1" => "ether",
        "32" => "infiniband",
        "512" => "ppp",
        "772" => "loopback",
        "65534" => "tunnel",
        _ => "unknown",
    };
    let mut about = Map::from_iter([("device".to_owned(), json!(interface)), ("type".to_owned(), json!(kind))]);
    let flags = u32::from_str_radix(text("flags").trim_start_matches("0x"), 16).unwrap_or(0);
    about.insert("active".to_owned(), json!(text("operstate") != "down"));
    about.insert("promisc".to_owned(), json!(flags & 0x100 != 0));
    for (name, link) in [("module", "device/driver/module"), ("pciid", "device")] {
        let path = fs::canonicalize(system.real(&format!("/sys/class/net/{interface}/{link}"))).ok();
        let last = path.as_ref().and_then(|path| path.file_name()).map(|it| it.to_string_lossy().into_owned());
        about.extend(last.map(|last| (name.to_owned(), json!(last))));
    }
    about.extend(text("speed").parse::<i64>().ok().map(|speed| ("speed".to_owned(), json!(speed))));
    if kind == "bridge" {
        let ports =
            fs::read_dir(system.real(&format!("/sys/class/net/{interface}/brif"))).into_iter().flatten().flatten();
        let ports = ports.map(|port| port.file_name().to_string_lossy().into_owned()).collect::<Vec<_>>();
        about.insert("interfaces".to_owned(), json!(ports));
        about.insert("id".to_owned(), json!(text("bridge/bridge_id")));
        about.insert("stp".to_owned(), json!(text("bridge/stp_state") == "1"));
    }
    about.extend(text("mtu").parse::<u64>().ok().map(|mtu| ("mtu".to_owned(), json!(mtu))));
    about.extend(
        Some(text("address"))
            .filter(|it| !it.is_empty() && kind != "loopback")
            .map(|it| ("macaddress".to_owned(), json!(it))),
    );
    about
}

/// Parses `/proc/net/route`: hexadecimal words in the byte order of the machine.
fn routes(text: &str) -> Vec<Route> {
    let address = |word: &str| u32::from_str_radix(word, 16).ok().map(|word| Ipv4Addr::from(word.to_ne_bytes()));
    let route = |line: &str| {
        let words = line.split_whitespace().collect::<Vec<_>>();
        Some(Route {
            interface: (*words.first()?).to_owned(),
            destination: address(words.get(1)?)?,
            gateway: address(words.get(2)?)?,
            metric: words.get(6)?.parse().ok()?,
            mask: address(words.get(7)?)?,
        })
    };
    text.lines().skip(1).filter_map(route).collect()
}

/// The addresses of the machine itself: those that `/proc/net/fib_trie` marks `/32 host LOCAL`.
fn local_addresses(trie: &str) -> Vec<Ipv4Addr> {
    let mut found = vec![];
    let mut last = None;
    for line in trie.lines() {
        match line.trim().strip_prefix("|-- ") {
            Some(address) => last = address.parse::<Ipv4Addr>().ok(),
            None if line.trim() == "/32 host LOCAL" => {
                if let Some(address) = last.filter(|address| !found.contains(address)) {
                    found.push(address);
                }
            }
            None => {}
        }
    }
    found
}

/// Interface, address and prefix length of each line of `/proc/net/if_inet6`.
fn sixes(text: &str) -> Vec<(String, Ipv6Addr, u8)> {
    let line = |line: &str| {
        let words = line.split_whitespace().collect::<Vec<_>>();
        let address = u128::from_str_radix(words.first()?, 16).ok()?;
        let prefix = u8::from_str_radix(words.get(2)?, 16).ok()?;
        Some(((*words.get(5)?).to_owned(), Ipv6Addr::from(address), prefix))
    };
    text.lines().filter_map(line).collect()
}

/// The narrowest directly connected network that `address` is in.
fn on_link(routes: &[Route], address: Ipv4Addr) -> Option<&Route> {
    let inside = |route: &&Route| route.gateway.is_unspecified() && address & route.mask == route.destination;
    routes.iter().filter(inside).filter(|it| !it.mask.is_unspecified()).max_by_key(|it| it.mask)
}

fn four(address: Ipv4Addr, route: &Route) -> Value {
    let prefix = u32::from(route.mask).count_ones();
    json!({
        "address": address.to_string(),
        "netmask": route.mask.to_string(),
        "network": route.destination.to_string(),
        "prefix": prefix.to_string(),
        "broadcast": (route.destination | !route.mask).to_string(),
    })
}

/// The machine's own address: it has a network, and no broadcast.
fn loopback(address: Ipv4Addr) -> Value {
    json!({
        "address": address.to_string(),
        "netmask": "255.0.0.0",
        "network": "127.0.0.0",
        "prefix": "8",
        "broadcast": "",
    })
}

fn scope(address: Ipv6Addr) -> &'static str {
    if address.is_loopback() {
        "host"
    } else if address.is_unicast_link_local() {
        "link"
    } else {
        "global"
    }
}

/// The address that this machine has towards `far`; nothing is sent.
fn towards(far: IpAddr) -> Option<IpAddr> {
    let any: IpAddr = if far.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind((any, 0)).ok()?;
    socket.connect((far, 53)).ok()?;
    Some(socket.local_addr().ok()?.ip())
}

fn default_four(routes: &[Route], system: &System) -> Value {
    let defaults = routes.iter().filter(|it| it.destination.is_unspecified() && it.mask.is_unspecified());
    let Some(route) = defaults.min_by_key(|it| it.metric) else { return json!({}) };
    let mut about = link(&route.interface, system);
    about.retain(|name, _| matches!(name.as_str(), "macaddress" | "mtu" | "type"));
    about.insert("interface".to_owned(), json!(route.interface));
    about.insert("alias".to_owned(), json!(route.interface));
    about.insert("gateway".to_owned(), json!(route.gateway.to_string()));
    if let Some(IpAddr::V4(address)) = towards(Ipv4Addr::new(8, 8, 8, 8).into()) {
        about.insert("address".to_owned(), json!(address.to_string()));
        if let Some(Value::Object(four)) = on_link(routes, address).map(|route| four(address, route)) {
            about.extend(four);
        }
    }
    Value::Object(about)
}

/// The way out of an interface, as `/proc/net/ipv6_route` tells it.
fn gateway(routes: &str, interface: &str) -> Option<Ipv6Addr> {
    let hops = routes.lines().filter_map(|line| {
        let words = line.split_whitespace().collect::<Vec<_>>();
        let any = words.first()?.bytes().all(|byte| byte == b'0') && *words.get(1)? == "00";
        let hop = u128::from_str_radix(words.get(4)?, 16).ok().map(Ipv6Addr::from)?;
        let metric = u32::from_str_radix(words.get(5)?, 16).ok()?;
        let wanted = any && *words.get(9)? == interface && !hop.is_unspecified();
        wanted.then_some((metric, hop))
    });
    hops.min().map(|(_, hop)| hop)
}

fn default_six(sixes: &[(String, Ipv6Addr, u8)], routes: &str, system: &System) -> Value {
    let far = Ipv6Addr::new(0x2001, 0x4860, 0x4860, 0, 0, 0, 0, 0x8888);
    let Some(IpAddr::V6(own)) = towards(far.into()) else { return json!({}) };
    let Some((interface, _, prefix)) = sixes.iter().find(|(_, address, _)| *address == own) else { return json!({}) };
    let mut about = link(interface, system);
    about.retain(|name, _| matches!(name.as_str(), "macaddress" | "mtu" | "type"));
    about.insert("interface".to_owned(), json!(interface));
    about.insert("address".to_owned(), json!(own.to_string()));
    about.insert("prefix".to_owned(), json!(prefix.to_string()));
    about.insert("scope".to_owned(), json!(scope(own)));
    about.extend(gateway(routes, interface).map(|gateway| ("gateway".to_owned(), json!(gateway.to_string()))));
    Value::Object(about)
}
