//! Networks of hosts: chosen so that no two hosts of a working directory meet.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;

use crate::place::Problem;
use crate::project::settings::Settings;
use crate::project::{Control, host_configuration, hosts};

/// The networks of a host, as its configuration has them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Networks {
    /// First three parts of the tunnel's IPv4 network.
    pub wireguard_part: String,
    /// Front of the tunnel's IPv6 network.
    pub wireguard_prefix: String,
    /// First three parts of the bridge's IPv4 network.
    pub bridge_part: String,
    /// Second-last group of the addresses on the bridge.
    pub bridge_subnet: String,
    /// Front of the bridge's IPv6 network where there is no public one.
    pub bridge_prefix: String,
}

/// An address and how many of its bits count. IPv4 addresses are the mapped ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    address: u128,
    bits: u32,
}

impl Network {
    /// One address.
    pub fn only(address: IpAddr) -> Self {
        let address = match address {
            IpAddr::V4(address) => address.to_ipv6_mapped(),
            IpAddr::V6(address) => address,
        };
        Self { address: address.to_bits(), bits: 128 }
    }

    /// The network of the first three parts of an IPv4 address.
    fn ipv4(part: &str) -> Option<Self> {
        let address: Ipv4Addr = format!("{part}.0").parse().ok()?;
        Some(Self { address: address.to_ipv6_mapped().to_bits(), bits: 120 })
    }

    fn ipv6(address: &str, bits: u32) -> Option<Self> {
        let address: Ipv6Addr = address.parse().ok()?;
        Some(Self { address: address.to_bits(), bits })
    }

    fn meets(self, other: Self) -> bool {
        let bits = self.bits.min(other.bits);
        (self.address ^ other.address).checked_shr(128 - bits).unwrap_or_default() == 0
    }
}

impl Networks {
    /// The shipped networks; the first host has those of number 1.
    fn numbered(number: u8) -> Self {
        Self {
            wireguard_part: format!("10.0.{number}"),
            wireguard_prefix: format!("fd10:10:0:{number}"),
            bridge_part: format!("10.10.{number}"),
            bridge_subnet: number.to_string(),
            bridge_prefix: "fd10:10:10:1".to_owned(),
        }
    }

    fn all(&self) -> Vec<Network> {
        let found = [
            Network::ipv4(&self.wireguard_part),
            Network::ipv6(&format!("{}::", self.wireguard_prefix), 64),
            Network::ipv4(&self.bridge_part),
            Network::ipv6(&format!("{}::{}:0", self.bridge_prefix, self.bridge_subnet), 112),
        ];
        found.into_iter().flatten().collect()
    }
}

/// Returns the first of the shipped networks that meet none of `taken`.
pub fn free(taken: &[Network]) -> Option<Networks> {
    let meets = |networks: &Networks| networks.all().iter().any(|own| taken.iter().any(|other| own.meets(*other)));
    (1..255).map(Networks::numbered).find(|networks| !meets(networks))
}

/// Returns what the control node and the hosts that have a configuration use, but for `except`.
///
/// # Errors
///
/// The [`Problem`]s of configurations whose networks cannot be read.
pub fn taken(working_directory: &Path, control: &Control, except: &str) -> Result<Vec<Network>, Vec<Problem>> {
    let own = [Network::ipv4(&control.veth0_part), Network::ipv6(&format!("{}::", control.veth0_prefix), 64)];
    let mut all: Vec<Network> = own.into_iter().flatten().collect();
    let mut problems = vec![];
    for name in hosts(working_directory).into_iter().filter(|name| name != except) {
        match Settings::read(&host_configuration(working_directory, &name)) {
            Ok(mut settings) => {
                all.extend(of(&mut settings));
                problems.append(&mut settings.problems);
            }
            Err(problem) => problems.push(problem),
        }
    }
    if problems.is_empty() { Ok(all) } else { Err(problems) }
}

/// The keys of a host's networks.
const KEYS: [&str; 5] = [
    "wireguard_network_part",
    "wireguard_network_ipv6_prefix",
    "lxd_host_network_part",
    "lxd_host_network_ipv6_subnet",
    "lxd_host_private_ipv6_prefix",
];

/// The addresses of a host count too; they may still be placeholders.
fn of(settings: &mut Settings) -> Vec<Network> {
    let networks = Networks {
        wireguard_part: settings.ipv4_part(KEYS[0]),
        wireguard_prefix: settings.ipv6_prefix(KEYS[1]),
        bridge_part: settings.ipv4_part(KEYS[2]),
        bridge_subnet: settings.ipv6_group(KEYS[3]),
        bridge_prefix: settings.ipv6_prefix(KEYS[4]),
    };
    settings.placeholders(|key| KEYS.contains(&key));
    let address = |key: &str| settings.node().get(key)?.written()?.parse().ok().map(Network::only);
    let addresses = ["host_control_ip", "host_control_ipv6", "host_public_ip"].map(address);
    networks.all().into_iter().chain(addresses.into_iter().flatten()).collect()
}
