//! The two ends of the tunnel between a control node and a host.
//!
//! As `ryo-host` writes them (`HOST_wg.conf`, `HOST_wg_local.conf`), with a keepalive at the control node: what is
//! behind NAT is reached by the host only while packets go through.

use std::net::IpAddr;

use crate::wireguard::{Configuration, Endpoint, Interface, Network, Peer, PresharedKey, PrivateKey, PublicKey};

/// Seconds; the ways through NAT are forgotten after 30 by the strictest.
const KEEPALIVE: u16 = 25;

/// Who is where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ends {
    /// Addresses of the control node within the tunnel, e.g. `10.0.1.1` and `fd10:10:0:1::1`.
    pub control: Vec<IpAddr>,
    /// Addresses of the host within the tunnel, e.g. `10.0.1.2` and `fd10:10:0:1::2`.
    pub host: Vec<IpAddr>,
    /// What the host reaches at the control node beside it, e.g. `10.100.100.1/32`.
    pub behind_control: Vec<Network>,
    /// What the control node reaches through the host, e.g. `10.10.1.0/24`.
    pub behind_host: Vec<Network>,
    /// Where the host is reached from outside, and the port that it listens on.
    pub endpoint: Endpoint,
}

/// What is secret between the two.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keys {
    /// Of the control node.
    pub control: PrivateKey,
    /// Of the host.
    pub host: PrivateKey,
    /// Of both.
    pub shared: PresharedKey,
}

impl Keys {
    /// Makes new ones.
    pub fn generate() -> Self {
        Self { control: PrivateKey::generate(), host: PrivateKey::generate(), shared: PresharedKey::generate() }
    }
}

/// Returns what the host is told.
pub fn host(ends: &Ends, keys: &Keys) -> Configuration {
    let peer = Peer {
        public_key: keys.control.public(),
        preshared_key: Some(keys.shared.clone()),
        allowed: singles(&ends.control).chain(ends.behind_control.iter().copied()).collect(),
        endpoint: None,
        keepalive: None,
    };
    Configuration { interface: interface(&keys.host, &ends.host, Some(ends.endpoint.port)), peers: vec![peer] }
}

/// Returns what the control node is told. The private key of the host stays there.
pub fn control(ends: &Ends, key: &PrivateKey, shared: &PresharedKey, host: PublicKey) -> Configuration {
    let peer = Peer {
        public_key: host,
        preshared_key: Some(shared.clone()),
        allowed: singles(&ends.host).chain(ends.behind_host.iter().copied()).collect(),
        endpoint: Some(ends.endpoint.clone()),
        keepalive: Some(KEEPALIVE),
    };
    Configuration { interface: interface(key, &ends.control, None), peers: vec![peer] }
}

fn interface(key: &PrivateKey, addresses: &[IpAddr], listen_port: Option<u16>) -> Interface {
    Interface { private_key: key.clone(), addresses: singles(addresses).collect(), listen_port, mtu: None }
}

fn singles(addresses: &[IpAddr]) -> impl Iterator<Item = Network> {
    addresses.iter().copied().map(Network::single)
}
