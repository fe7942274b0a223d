//! Addresses and networks, read and written as Python's `netaddr` 0.10 does, which Ansible's filters use.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

/// Which protocol an address is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Version {
    /// IPv4.
    Four,
    /// IPv6.
    Six,
}

impl Version {
    /// How many bits its addresses have.
    pub fn width(self) -> u32 {
        match self {
            Self::Four => 32,
            Self::Six => 128,
        }
    }

    /// Its number.
    pub fn number(self) -> i64 {
        match self {
            Self::Four => 4,
            Self::Six => 6,
        }
    }

    /// Its highest address.
    pub fn most(self) -> u128 {
        u128::MAX >> (128 - self.width())
    }

    /// Writes an address.
    pub fn write(self, value: u128) -> String {
        let Some(four) = u32::try_from(value).ok().filter(|_| self == Self::Four) else { return six(value) };
        Ipv4Addr::from(four).to_string()
    }

    /// Reads an address; four numbers, or what IPv6 has.
    pub fn read(self, text: &str) -> Option<u128> {
        match self {
            Self::Four => text.parse::<Ipv4Addr>().ok().map(|address| u128::from(u32::from(address))),
            Self::Six => text.parse::<Ipv6Addr>().ok().map(u128::from),
        }
    }
}

/// Writes the last four bytes of addresses that stand for one of IPv4 as C's library does.
fn six(value: u128) -> String {
    let groups = Ipv6Addr::from(value).segments();
    let compatible = groups[..6].iter().all(|group| *group == 0) && (groups[6] != 0);
    match (compatible, u32::try_from(value)) {
        (true, Ok(four)) => format!("::{}", Ipv4Addr::from(four)),
        _ => Ipv6Addr::from(value).to_string(),
    }
}

/// An address with the length of its network's prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    /// Of which protocol.
    pub version: Version,
    /// The address.
    pub value: u128,
    /// How many bits the network has.
    pub prefix: u32,
}

impl Network {
    /// Makes one of numbers; nothing if there is no such address or prefix.
    pub fn new(version: Version, value: u128, prefix: u32) -> Option<Self> {
        (value <= version.most() && prefix <= version.width()).then_some(Self { version, value, prefix })
    }

    /// Reads `10.0.0.1`, `10.0.0.0/8`, `10/8`, `10.0.0.0/255.0.0.0`, `10.0.0.0/0.255.255.255`, `fd00::/8`.
    pub fn read(text: &str) -> Option<Self> {
        let (address, prefix) = text.split_once('/').map_or((text, None), |(address, prefix)| (address, Some(prefix)));
        [Version::Four, Version::Six].into_iter().find_map(|version| {
            let value = version.read(address).or_else(|| partial(address).filter(|_| version == Version::Four))?;
            let prefix = prefix.map_or(Some(version.width()), |prefix| prefix_of(version, prefix))?;
            Self::new(version, value, prefix)
        })
    }

    /// How many bits tell its hosts apart.
    pub fn bits(self) -> u32 {
        self.version.width() - self.prefix
    }

    /// The bits that tell its hosts apart.
    pub fn hostmask(self) -> u128 {
        if self.bits() == 0 { 0 } else { u128::MAX >> (128 - self.bits()) }
    }

    /// The bits of the network.
    pub fn netmask(self) -> u128 {
        self.version.most() & !self.hostmask()
    }

    /// Its first address.
    pub fn first(self) -> u128 {
        self.value & self.netmask()
    }

    /// Its last address.
    pub fn last(self) -> u128 {
        self.value | self.hostmask()
    }

    /// The address for all of its hosts; networks of one or two have none.
    pub fn broadcast(self) -> Option<u128> {
        (self.bits() > 1).then(|| self.last())
    }

    /// The network itself.
    pub fn network(self) -> Self {
        Self { value: self.first(), ..self }
    }

    /// Its first and last address that a host can have; nothing for a single address.
    pub fn usable(self) -> Option<(u128, u128)> {
        match self.bits() {
            0 => None,
            1 => Some((self.first(), self.last())),
            _ => Some((self.first() + 1, self.last() - 1)),
        }
    }

    /// Whether all of another one is in it.
    pub fn holds(self, other: Self) -> bool {
        self.version == other.version && self.first() <= other.first() && other.last() <= self.last()
    }

    /// Its address of that number, from its end if it is negative; nothing if it has not so many.
    pub fn at(self, index: i128) -> Option<u128> {
        let back = index.unsigned_abs().checked_sub(1);
        let (offset, value) = match u128::try_from(index) {
            Ok(index) => (index, self.first().checked_add(index)),
            Err(_) => (back?, self.last().checked_sub(back?)),
        };
        value.filter(|_| offset <= self.hostmask())
    }

    /// The address alone.
    pub fn address(self) -> String {
        self.version.write(self.value)
    }

    /// How many addresses it has.
    pub fn size(self) -> String {
        match self.hostmask().checked_add(1) {
            Some(size) => size.to_string(),
            None => "340282366920938463463374607431768211456".to_owned(),
        }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address(), self.prefix)
    }
}

/// A whole number as Python's `int` reads it, as far as it is one here.
pub fn whole<T: std::str::FromStr>(text: &str) -> Option<T> {
    text.trim().parse().ok()
}

/// The beginning of an IPv4 address: `10`, `10.1`.
fn partial(text: &str) -> Option<u128> {
    let mut parts: Vec<u8> = text.split('.').map(whole).collect::<Option<_>>()?;
    if parts.len() > 4 {
        return None;
    }
    parts.resize(4, 0);
    let [a, b, c, d] = parts.try_into().ok()?;
    Some(u128::from(u32::from(Ipv4Addr::new(a, b, c, d))))
}

/// The length of a prefix: a number, or a mask of the network or of its hosts.
fn prefix_of(version: Version, text: &str) -> Option<u32> {
    if let Some(prefix) = whole::<i64>(text) {
        return u32::try_from(prefix).ok();
    }
    let mask = version.read(text)?;
    let ones = |value: u128| u128::BITS - value.leading_zeros();
    let hosts = version.most() ^ mask;
    if hosts & hosts.wrapping_add(1) == 0 {
        return Some(version.width() - ones(hosts));
    }
    (mask & mask.wrapping_add(1) == 0).then(|| version.width() - ones(mask))
}

/// The networks that hold the addresses from `first` to `last` and no others, as few as can be.
pub fn covering(version: Version, first: u128, last: u128) -> Vec<Network> {
    let mut found = vec![];
    let mut next = Some(first);
    while let Some(value) = next.filter(|value| *value <= last) {
        let aligned = value.trailing_zeros().min(version.width());
        let network = |bits: u32| Network { version, value, prefix: version.width() - bits };
        let widest = (0..=aligned).rev().map(network).find(|network| network.last() <= last);
        let Some(network) = widest else { break };
        next = network.last().checked_add(1);
        found.push(network);
    }
    found
}

/// The smallest network that holds all of some networks; nothing if there is none.
pub fn spanning(networks: &[Network]) -> Option<Network> {
    let key = |network: &&Network| (network.version, network.first(), network.prefix, network.value);
    let (least, most) = (networks.iter().min_by_key(key)?, networks.iter().max_by_key(key)?);
    if least.version != most.version {
        return None;
    }
    let mut span = Network { value: most.last(), ..*most };
    while span.prefix > 0 && span.value > least.first() {
        span.prefix -= 1;
        span.value = span.first();
    }
    Some(span)
}
