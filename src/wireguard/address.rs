//! Addresses of configuration files: networks within the tunnel, endpoints outside of it.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;

use crate::wireguard::invalid::{self, Invalid};

/// Most characters of a host's name (RFC 1035).
const LONGEST_NAME: usize = 253;

/// An address and the length of its network, e.g. `10.0.1.2/32` or `fd10:10:0:1::/64`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Network {
    /// The address; what is beyond the length is kept.
    pub address: IpAddr,
    /// Bits of the address that its network has in common, 0 to 32 or 128.
    pub length: u8,
}

impl Network {
    /// Returns the network of one address.
    pub fn single(address: IpAddr) -> Self {
        Self { address, length: width(address) }
    }

    /// Returns the same network with nothing beyond its length, as routes have it.
    #[must_use]
    pub fn masked(self) -> Self {
        let free = u32::from(width(self.address) - self.length.min(width(self.address)));
        let address = match self.address {
            IpAddr::V4(address) => IpAddr::V4((u32::from(address) & u32::MAX.unbounded_shl(free)).into()),
            IpAddr::V6(address) => IpAddr::V6((u128::from(address) & u128::MAX.unbounded_shl(free)).into()),
        };
        Self { address, length: self.length }
    }

    /// Whether `address` is in this network.
    pub fn contains(&self, address: IpAddr) -> bool {
        let differ = match (self.address, address) {
            (IpAddr::V4(ours), IpAddr::V4(other)) => u128::from(u32::from(ours) ^ u32::from(other)),
            (IpAddr::V6(ours), IpAddr::V6(other)) => u128::from(ours) ^ u128::from(other),
            _ => return false,
        };
        let free = u32::from(width(address) - self.length.min(width(address)));
        differ.checked_shr(free).unwrap_or(0) == 0
    }
}

fn width(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

impl FromStr for Network {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let wrong = || Invalid::Network(invalid::shown(text));
        let (address, length) = text.split_once('/').map_or((text, None), |(address, length)| (address, Some(length)));
        let address = address.parse().map_err(|_| wrong())?;
        let length = match length {
            None => width(address),
            Some(digits) => number(digits).filter(|length| *length <= width(address)).ok_or_else(wrong)?,
        };
        Ok(Self { address, length })
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.length)
    }
}

/// Where a peer is reached, e.g. `host-1.example:52222` or `[2001:db8::7]:52222`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Endpoint {
    /// Name or address, without brackets.
    pub host: String,
    /// UDP port.
    pub port: u16,
}

impl FromStr for Endpoint {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let wrong = || Invalid::Endpoint(invalid::shown(text));
        let (host, port) = text.rsplit_once(':').ok_or_else(wrong)?;
        let port = number(port).filter(|port| *port > 0).ok_or_else(wrong)?;
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        let right = match bare {
            Some(bare) => bare.split('%').next().is_some_and(|address| address.parse::<Ipv6Addr>().is_ok()),
            None => host_name(host),
        };
        let host = bare.unwrap_or(host).to_owned();
        if right { Ok(Self { host, port }) } else { Err(wrong()) }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port } = self;
        if host.contains(':') { write!(f, "[{host}]:{port}") } else { write!(f, "{host}:{port}") }
    }
}

fn host_name(text: &str) -> bool {
    let usual = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
    !text.is_empty() && text.len() <= LONGEST_NAME && text.chars().all(usual)
}

/// Reads digits and nothing else: `+1` is no number here.
pub(super) fn number<T: FromStr>(digits: &str) -> Option<T> {
    Some(digits).filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()))?.parse().ok()
}
