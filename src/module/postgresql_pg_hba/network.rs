//! Networks, as Python's `ipaddress` reads and writes them.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// An address with how many of its bits are fixed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    /// How many bits are fixed.
    pub prefix: u32,
}

impl Network {
    /// Reads `10.0.0.1`, `10.0.0.0/8`, `10.0.0.0/255.0.0.0` or the like; bits that are not fixed become zero.
    pub fn read(text: &str) -> Option<Self> {
        let (address, mask) = text.split_once('/').map_or((text, None), |(address, mask)| (address, Some(mask)));
        let address: IpAddr = address.parse().ok()?;
        let longest = if address.is_ipv4() { 32 } else { 128 };
        let prefix = match mask {
            None => longest,
            Some(mask) if !mask.is_empty() && mask.bytes().all(|byte| byte.is_ascii_digit()) => mask.parse().ok()?,
            Some(mask) if longest == 32 => masked(mask.parse().ok()?)?,
            Some(_) => return None,
        };
        (prefix <= longest).then(|| Self { address: cut(address, prefix), prefix })
    }

    /// Whether it is one of IPv4.
    pub fn is_ipv4(&self) -> bool {
        self.address.is_ipv4()
    }
}

/// The length of a mask, or of one with its bits turned round.
fn masked(mask: Ipv4Addr) -> Option<u32> {
    let bits = u32::from(mask);
    let whole = |bits: u32| bits.leading_ones() + bits.trailing_zeros() >= 32;
    if whole(bits) {
        return Some(bits.leading_ones());
    }
    whole(!bits).then(|| (!bits).leading_ones())
}

fn cut(address: IpAddr, prefix: u32) -> IpAddr {
    match address {
        IpAddr::V4(address) => {
            let mask = u32::MAX.checked_shl(32 - prefix).unwrap_or(0);
            IpAddr::V4(Ipv4Addr::from(u32::from(address) & mask))
        }
        IpAddr::V6(address) => {
            let mask = u128::MAX.checked_shl(128 - prefix).unwrap_or(0);
            IpAddr::V6(Ipv6Addr::from(u128::from(address) & mask))
        }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}
