//! What `ipaddr` can be asked about an address or a network.
//!
//! Source: ansible.utils 2.12, `plugins/plugin_utils/base/ipaddr_utils.py`.

use crate::playbook::jinja::address::{Network, Version, whole};
use crate::playbook::jinja::filters::Trouble;
use crate::playbook::jinja::value::Value;

/// Whether a value was written with a prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Written {
    /// As an address.
    Address,
    /// As a network.
    Network,
}

/// An address or network that is asked about.
#[derive(Clone, Debug)]
pub struct Asked {
    /// What it is.
    pub network: Network,
    /// How it was written.
    pub written: Written,
    /// As it was written; numbers as addresses.
    pub text: String,
}

/// A number; what is too large for one stays text.
pub fn number(value: u128) -> Value {
    i64::try_from(value).map_or_else(|_| Value::text(value.to_string()), Value::Int)
}

impl Asked {
    /// Reads a value; nothing if it is neither an address nor a network.
    pub fn read(value: &Value, version: Option<Version>) -> Option<Self> {
        match value {
            Value::Int(0) | Value::Bool(_) => None,
            Value::Int(_) | Value::Str(_) => Self::of(&value.to_string(), version),
            _ => None,
        }
    }

    fn of(text: &str, version: Option<Version>) -> Option<Self> {
        let numeric = !text.is_empty() && text.bytes().all(|c| c.is_ascii_digit());
        let (value, prefix) = text.split_once('/').map_or((text, None), |(value, prefix)| (value, Some(prefix)));
        let numbers = |prefix: &dyn Fn(Version) -> Option<u32>| {
            let value = whole::<u128>(value)?;
            let first = if numeric { version.unwrap_or(Version::Four) } else { Version::Four };
            [first, Version::Six].into_iter().find_map(|version| Network::new(version, value, prefix(version)?))
        };
        if numeric {
            let network = numbers(&|version| Some(version.width()))?;
            return Some(Self { network, written: Written::Address, text: network.to_string() });
        }
        if let Some(network) = Network::read(text) {
            let written = if prefix.is_some() { Written::Network } else { Written::Address };
            return Some(Self { network, written, text: text.to_owned() });
        }
        let network = numbers(&|_| whole(prefix?))?;
        Some(Self { network, written: Written::Network, text: network.to_string() })
    }

    /// Answers a query.
    ///
    /// # Errors
    ///
    /// There is no such query, or none about such a value.
    pub fn answer(&self, query: &str) -> Result<Value, Trouble> {
        if is_query(query) {
            return self.known(query);
        }
        let digits = query.bytes().all(|c| c.is_ascii_digit());
        if let Some(other) = Network::read(query).filter(|_| !digits) {
            return Ok(self.text_if(other.network().holds(self.network)));
        }
        if query.trim().parse::<f64>().is_err() {
            return Err(format!("has no query `{query}`").into());
        }
        Ok(match (self.network.bits(), self.written) {
            (0, Written::Address) => Value::text(self.network.address()),
            (0, Written::Network) => Value::text(self.network.to_string()),
            _ => whole(query)
                .and_then(|index| self.network.at(index))
                .map_or(Value::Bool(false), |value| Value::text(Network { value, ..self.network }.to_string())),
        })
    }

    fn known(&self, query: &str) -> Result<Value, Trouble> {
        let it = self.network;
        let (write, text) = (|value: u128| it.version.write(value), |text: String| Value::text(text));
        let or_none = |wanted: Option<String>| wanted.map_or(Value::None, Value::text);
        let own = it.value != it.first();
        let (one, two) = (it.bits() == 0, it.bits() == 1);
        Ok(match query {
            "" => text(if self.written == Written::Address { it.address() } else { it.to_string() }),
            "address" | "ip" => {
                or_none((one || own || it.broadcast().is_none() || it.version == Version::Six).then(|| it.address()))
            }
            "address/prefix" | "gateway" | "gw" | "host/prefix" | "hostnet" | "router" => {
                let an_end = it.bits() > 1 && (!own || it.value == it.last());
                if an_end { Value::Bool(false) } else { text(it.to_string()) }
            }
            "bool" => Value::Bool(true),
            "broadcast" => or_none(it.broadcast().map(write)),
            "cidr" => text(it.to_string()),
            "host" => or_none((one || own || two).then(|| it.to_string())),
            "hostmask" | "wildcard" => text(write(it.hostmask())),
            "int" if self.written == Written::Address => number(it.value),
            "int" => text(format!("{}/{}", it.value, it.prefix)),
            "ip/prefix" => or_none((two || own).then(|| it.to_string())),
            "ip_netmask" => or_none((two || own).then(|| format!("{} {}", it.address(), write(it.netmask())))),
            "net" => or_none((!one && !own).then(|| it.to_string())),
            "netmask" => text(write(it.netmask())),
            "network" | "network_id" => text(write(it.first())),
            "network/prefix" | "subnet" => text(it.network().to_string()),
            "network_netmask" => text(format!("{} {}", write(it.first()), write(it.netmask()))),
            "network_wildcard" => text(format!("{} {}", write(it.first()), write(it.hostmask()))),
            "prefix" => Value::Int(i64::from(it.prefix)),
            "size" => it.hostmask().checked_add(1).map_or_else(|| text(it.size()), number),
            "size_usable" => match it.bits() {
                0 => Value::Int(0),
                1 => Value::Int(2),
                _ => number(it.hostmask() - 1),
            },
            "type" => Value::text(if one || own { "address" } else { "network" }),
            "version" => Value::Int(it.version.number()),
            "revdns" => text(reverse(it)),
            "wrap" => text(self.wrapped()),
            "ipv4" => self.as_four(),
            "ipv6" => self.as_six(),
            "6to4" => self.six_to_four(),
            "first_usable" | "last_usable" | "next_usable" | "previous_usable" | "range_usable" | "peer" => {
                self.within(query)?
            }
            _ => self.text_if(self.is(query)),
        })
    }

    fn text_if(&self, holds: bool) -> Value {
        if holds { Value::text(&self.text) } else { Value::None }
    }

    /// Whether it is of a kind of addresses.
    fn is(&self, kind: &str) -> bool {
        let address = Network { prefix: self.network.version.width(), ..self.network };
        match kind {
            "link-local" => within(address, LINK_LOCAL),
            "lo" | "loopback" => within(address, LOOPBACK),
            "multicast" => within(self.network, MULTICAST),
            "unicast" => !within(self.network, MULTICAST),
            "private" => within(self.network, PRIVATE),
            _ => {
                let one_run = |value: u128| value & value.wrapping_add(1) == 0;
                let mask = one_run(address.value) || one_run(address.value ^ address.version.most());
                !mask && ![MULTICAST, PRIVATE, LOOPBACK].iter().any(|networks| within(address, networks))
            }
        }
    }

    /// Answers about the addresses that hosts of its network can have.
    fn within(&self, query: &str) -> Result<Value, Trouble> {
        if self.written == Written::Address {
            return Err("needs a network, got an address".into());
        }
        let it = self.network;
        if query == "peer" {
            return peer(it);
        }
        let Some((first, last)) = it.usable() else { return Ok(Value::None) };
        let beside = |value: Option<u128>| value.filter(|value| (first..=last).contains(value));
        let found = match query {
            "first_usable" => Some(first),
            "last_usable" => Some(last),
            "next_usable" => beside(it.value.checked_add(1)),
            "previous_usable" => beside(it.value.checked_sub(1)),
            _ => {
                let (first, last) = (it.version.write(first), it.version.write(last));
                return Ok(Value::text(format!("{first}-{last}")));
            }
        };
        Ok(found.map_or(Value::None, |value| Value::text(it.version.write(value))))
    }

    fn wrapped(&self) -> String {
        match (self.network.version, self.written) {
            (Version::Four, _) => self.text.clone(),
            (Version::Six, Written::Address) => format!("[{}]", self.network.address()),
            (Version::Six, Written::Network) => format!("[{}]/{}", self.network.address(), self.network.prefix),
        }
    }

    /// The address of IPv4 that one of IPv6 stands for.
    fn as_four(&self) -> Value {
        let it = self.network;
        if it.version == Version::Four {
            return Value::text(&self.text);
        }
        let value = if it.value <= Version::Four.most() { Some(it.value) } else { it.value.checked_sub(MAPPED) };
        let prefix = it.prefix.checked_sub(96);
        let four = value.zip(prefix).and_then(|(value, prefix)| Network::new(Version::Four, value, prefix));
        four.map_or(Value::Bool(false), |four| Value::text(four.to_string()))
    }

    fn as_six(&self) -> Value {
        let it = self.network;
        match it.version {
            Version::Six => Value::text(&self.text),
            Version::Four => {
                let six = Network { version: Version::Six, value: MAPPED + it.value, prefix: it.prefix + 96 };
                Value::text(six.to_string())
            }
        }
    }

    fn six_to_four(&self) -> Value {
        let it = self.network;
        let alone = it.bits() == 0 || it.value != it.first();
        let address = Self {
            network: Network { prefix: it.version.width(), ..it },
            written: Written::Address,
            text: it.address(),
        };
        match it.version {
            Version::Four if alone && (address.is("public") || address.is("private")) => {
                let [a, b, c, d] = u32::try_from(it.value).unwrap_or_default().to_be_bytes();
                Value::text(format!("2002:{a:02x}{b:02x}:{c:02x}{d:02x}::1/48"))
            }
            Version::Six if (self.written == Written::Address || alone) && within(address.network, SIX_TO_FOUR) => {
                Value::text(&self.text)
            }
            _ => Value::Bool(false),
        }
    }
}

fn is_query(query: &str) -> bool {
    const QUERIES: &[&str] = &[
        "",
        "6to4",
        "address",
        "address/prefix",
        "bool",
        "broadcast",
        "cidr",
        "first_usable",
        "gateway",
        "gw",
        "host",
        "host/prefix",
        "hostmask",
        "hostnet",
        "int",
        "ip",
        "ip/prefix",
        "ip_netmask",
        "ipv4",
        "ipv6",
        "last_usable",
        "link-local",
        "lo",
        "loopback",
        "multicast",
        "net",
        "netmask",
        "network",
        "network/prefix",
        "network_id",
        "network_netmask",
        "network_wildcard",
        "next_usable",
        "peer",
        "prefix",
        "previous_usable",
        "private",
        "public",
        "range_usable",
        "revdns",
        "router",
        "size",
        "size_usable",
        "subnet",
        "type",
        "unicast",
        "version",
        "wildcard",
        "wrap",
    ];
    QUERIES.contains(&query)
}

/// `::ffff:0.0.0.0`.
const MAPPED: u128 = 0xffff_0000_0000;

const LINK_LOCAL: &[&str] = &["169.254.0.0/16", "fe80::/10"];
const LOOPBACK: &[&str] = &["127.0.0.0/8", "::1/128"];
const MULTICAST: &[&str] = &["224.0.0.0/4", "ff00::/8"];
const SIX_TO_FOUR: &[&str] = &["2002::/16"];
const PRIVATE: &[&str] = &[
    "10.0.0.0/8",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "100.64.0.0/10",
    "192.0.0.0/24",
    "198.18.0.0/15",
    "239.0.0.0/8",
    "169.254.0.0/16",
    "fc00::/7",
    "fec0::/10",
    "fe80::/10",
];

fn within(network: Network, others: &[&str]) -> bool {
    others.iter().filter_map(|other| Network::read(other)).any(|other| other.holds(network))
}

/// The other end of a network of two hosts.
fn peer(it: Network) -> Result<Value, Trouble> {
    let other = match (it.bits(), it.value % 4) {
        (1, _) => it.value ^ 1,
        (2, 0) => return Err("got the network's own address, which has no peer".into()),
        (2, 3) => return Err("got the address for all hosts, which has no peer".into()),
        (2, _) => it.value ^ 3,
        _ => return Err("needs a network of two hosts for `peer`".into()),
    };
    Ok(Value::text(it.version.write(other)))
}

/// The name under which DNS has what an address is called.
fn reverse(it: Network) -> String {
    match it.version {
        Version::Four => {
            let [a, b, c, d] = u32::try_from(it.value).unwrap_or_default().to_be_bytes();
            format!("{d}.{c}.{b}.{a}.in-addr.arpa.")
        }
        Version::Six => {
            let digits = format!("{:032x}", it.value);
            let digits: Vec<String> = digits.chars().rev().map(String::from).collect();
            format!("{}.ip6.arpa.", digits.join("."))
        }
    }
}
