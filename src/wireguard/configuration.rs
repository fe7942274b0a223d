//! What one end of a tunnel is told, and how it is written for `wg-quick`.

use std::fmt::Write as _;

use crate::secret::Secret;
use crate::wireguard::{Endpoint, Network, PresharedKey, PrivateKey, PublicKey};

/// One end of a tunnel, e.g. the content of `/etc/wireguard/wg0.conf`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Configuration {
    /// This end.
    pub interface: Interface,
    /// The others.
    pub peers: Vec<Peer>,
}

/// This end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interface {
    /// Who it is.
    pub private_key: PrivateKey,
    /// Its addresses within the tunnel.
    pub addresses: Vec<Network>,
    /// The UDP port that it listens on; any when there is none or it is 0.
    pub listen_port: Option<u16>,
    /// Bytes of the largest packet within the tunnel; 1420 when there is none.
    pub mtu: Option<u16>,
}

/// Another end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Who it is.
    pub public_key: PublicKey,
    /// What both know beside their keys.
    pub preshared_key: Option<PresharedKey>,
    /// The addresses that it may send from, and that are sent to it.
    pub allowed: Vec<Network>,
    /// Where it is reached; unknown when it is the one to begin.
    pub endpoint: Option<Endpoint>,
    /// Seconds between packets that keep the ways through NAT open.
    pub keepalive: Option<u16>,
}

impl Configuration {
    /// Returns the file's content. It holds the private key: file mode 0600.
    pub fn render(&self) -> Secret {
        let mut text = self.interface.render();
        for peer in &self.peers {
            text.push('\n');
            text.push_str(&peer.render());
        }
        Secret::new(text)
    }
}

impl Interface {
    fn render(&self) -> String {
        let mut text = "[Interface]\n".to_owned();
        line(&mut text, "PrivateKey", Some(self.private_key.reveal()));
        line(&mut text, "Address", listed(&self.addresses));
        line(&mut text, "ListenPort", self.listen_port);
        line(&mut text, "MTU", self.mtu);
        text
    }
}

impl Peer {
    fn render(&self) -> String {
        let mut text = "[Peer]\n".to_owned();
        line(&mut text, "PublicKey", Some(self.public_key));
        line(&mut text, "PresharedKey", self.preshared_key.as_ref().map(PresharedKey::reveal));
        line(&mut text, "AllowedIPs", listed(&self.allowed));
        line(&mut text, "Endpoint", self.endpoint.as_ref());
        line(&mut text, "PersistentKeepalive", self.keepalive);
        text
    }
}

fn line(text: &mut String, key: &str, value: Option<impl std::fmt::Display>) {
    if let Some(value) = value {
        // Writing to a string does not fail.
        let _ = writeln!(text, "{key} = {value}");
    }
}

fn listed(networks: &[Network]) -> Option<String> {
    let each: Vec<String> = networks.iter().map(ToString::to_string).collect();
    (!each.is_empty()).then(|| each.join(", "))
}
