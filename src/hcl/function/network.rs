//! Addresses.

use crate::hcl::function::argument::{integer, text};
use crate::hcl::function::{Files, Function, Takes};
use crate::hcl::value::Value;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The functions of this file.
pub const FUNCTIONS: &[Function] = &[
    Function { name: "cidrhost", least: 2, most: Some(2), takes: Takes::Present, body: host },
    Function { name: "cidrnetmask", least: 1, most: Some(1), takes: Takes::Present, body: netmask },
    Function { name: "cidrsubnet", least: 3, most: Some(3), takes: Takes::Present, body: subnet },
    Function { name: "cidrsubnets", least: 1, most: None, takes: Takes::Present, body: subnets },
];

/// A network: its first address as a number, the length of its prefix, the bits of an address.
#[derive(Clone, Copy)]
struct Network {
    base: u128,
    prefix: u32,
    bits: u32,
}

impl Network {
    fn read(written: &str) -> Result<Self, String> {
        let wrong = || format!("`{written}` is no network such as `10.0.0.0/8`");
        let (address, prefix) = written.split_once('/').ok_or_else(wrong)?;
        let address: IpAddr = address.parse().map_err(|_| wrong())?;
        let (number, bits) = match address {
            IpAddr::V4(address) => (u128::from(u32::from(address)), 32),
            IpAddr::V6(address) => (u128::from(address), 128),
        };
        let prefix = prefix.parse().ok().filter(|prefix| *prefix <= bits).ok_or_else(wrong)?;
        let hosts = Self { base: 0, prefix, bits }.last();
        Ok(Self { base: number & !hosts, prefix, bits })
    }

    /// The number of the last host.
    fn last(self) -> u128 {
        let hosts = self.bits - self.prefix;
        u128::MAX.checked_shr(128 - hosts).unwrap_or(0)
    }

    fn address(self, number: u128) -> IpAddr {
        match u32::try_from(number) {
            Ok(short) if self.bits == 32 => IpAddr::V4(Ipv4Addr::from(short)),
            _ => IpAddr::V6(Ipv6Addr::from(number)),
        }
    }
}

fn host(_: &Files<'_>, arguments: Vec<Value>) -> Result<Value, String> {
    let mut arguments = arguments.into_iter();
    let network = Network::read(&text(&mut arguments)?)?;
    let number = integer(&mut arguments)?;
    // A negative number counts from the end.
    let offset = match u128::try_from(number) {
        Ok(forward) => Some(forward),
        Err(_) => network.last().checked_sub(number.unsigned_abs() - 1),
    };
    let offset = offset.filter(|offset| *offset <= network.last());
    let offset = offset.ok_or_else(|| format!("the network has no host {number}"))?;
    Ok(network.address(network.base | offset).to_string().into())
}

fn netmask(_: &Files<'_>, arguments: Vec<Value>) -> Result<Value, String> {
    let network = Network::read(&text(&mut arguments.into_iter())?)?;
    if network.bits == 128 {
        return Err("IPv6 networks have no mask".to_owned());
    }
    Ok(network.address(u128::from(u32::MAX) & !network.last()).to_string().into())
}

fn subnet(_: &Files<'_>, arguments: Vec<Value>) -> Result<Value, String> {
    let mut arguments = arguments.into_iter();
    let network = Network::read(&text(&mut arguments)?)?;
    let (more, number) = (integer(&mut arguments)?, integer(&mut arguments)?);
    let more = u32::try_from(more).ok().filter(|more| network.prefix + more <= network.bits);
    let more = more.ok_or_else(|| "the prefix gets too long".to_owned())?;
    let count = u128::MAX.checked_shr(128 - more).unwrap_or(0);
    let number = u128::try_from(number).ok().filter(|number| *number <= count);
    let number = number.ok_or_else(|| format!("there is no network with that number in {more} bits"))?;
    let prefix = network.prefix + more;
    let base = network.base | number.checked_shl(network.bits - prefix).unwrap_or(0);
    Ok(format!("{}/{prefix}", network.address(base)).into())
}

/// Networks one behind the other, each with so many bits more; each starts where its size allows it to.
fn subnets(_: &Files<'_>, arguments: Vec<Value>) -> Result<Value, String> {
    let mut arguments = arguments.into_iter();
    let network = Network::read(&text(&mut arguments)?)?;
    let (mut found, mut next) = (vec![], Some(0_u128));
    while arguments.len() > 0 {
        let more = u32::try_from(integer(&mut arguments)?).ok().filter(|more| *more > 0);
        let more = more.ok_or_else(|| "a prefix must get longer by 1 bit at least".to_owned())?;
        let prefix = network.prefix + more;
        if prefix > network.bits {
            return Err("the prefix gets too long".to_owned());
        }
        let hosts = Network { base: 0, prefix, bits: network.bits }.last();
        let full = || "not enough addresses are left".to_owned();
        let start = next.and_then(|next| next.checked_add(hosts)).ok_or_else(full)? & !hosts;
        let end = start.checked_add(hosts).filter(|end| *end <= network.last()).ok_or_else(full)?;
        found.push(Value::from(format!("{}/{prefix}", network.address(network.base | start))));
        next = end.checked_add(1);
    }
    Ok(Value::List(found))
}
