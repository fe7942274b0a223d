//! What our playbooks are told.

use std::path::Path;

use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::flow::host::Ends;
use crate::project::control::Control;
use crate::project::host::Host;

/// What serves the containers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Server {
    /// LXD, as in the original.
    #[default]
    Lxd,
    /// Incus.
    Incus,
}

/// What the storage pool of the containers is made of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Storage {
    /// A file with btrfs in it, which every kernel of the distributions has.
    #[default]
    Btrfs,
    /// A file with ZFS in it, as in the original.
    Zfs,
}

/// What Consul lets those do who have no token.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DefaultPolicy {
    /// Everything, as in the original.
    #[default]
    Allow,
    /// To read keys and to enter services; to write keys takes the token that is on the host.
    Deny,
}

/// The version of Consul that is taken where nobody says another.
const VERSION: &str = "1.20.1";

/// Where Consul's program comes from.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(untagged, deny_unknown_fields)]
pub enum Consul {
    /// The packages of `HashiCorp`.
    Packages {
        /// The version, e.g. `1.20.1`.
        version: String,
    },
    /// A zip with the program in it.
    File {
        /// Where.
        url: String,
        /// Its SHA-256, in hexadecimal.
        sha256: String,
    },
}

impl Default for Consul {
    fn default() -> Self {
        Self::Packages { version: VERSION.to_owned() }
    }
}

/// A host that is to be set up.
#[derive(Clone, Debug)]
pub struct Request {
    /// The host.
    pub host: Host,
    /// The control node.
    pub control: Control,
    /// The line of the operator's public key.
    pub public_key: String,
    /// The tunnel's two ends.
    pub ends: Ends,
    /// What serves the containers.
    pub server: Server,
    /// What their storage pool is made of.
    pub storage: Storage,
    /// Where Consul comes from.
    pub consul: Consul,
    /// What it lets those do who have no token.
    pub consul_default_policy: DefaultPolicy,
    /// Network of the bridge that images are built on, e.g. `10.99.0.1/24`, or `auto`.
    pub build_network: String,
}

impl Request {
    /// Returns the variables: those of the two configuration files under their names, and what is computed here.
    pub fn variables(&self, directory: &Path) -> Map<String, Value> {
        let Self { host, control, .. } = self;
        let public = host.public_ipv6.as_ref();
        let mut variables = json!({
            "host_id": host.name,
            "host_public_ip": host.public_ip.to_string(),
            "host_public_ipv6": public.is_some(),
            "host_public_ipv6_prefix": public.map_or("", |public| &public.prefix),
            "host_public_ipv6_address": public.map_or(String::new(), |public| public.address.to_string()),
            "host_non_root_user": host.user,
            "host_non_root_user_password": host.user_password.reveal(),
            "host_new_ssh_port": host.ssh_port,
            "host_wireguard_port": host.wireguard_port,
            "wireguard_network_part": host.wireguard_part,
            "wireguard_network_ipv6_prefix": host.wireguard_prefix,
            "lxd_host_network_part": host.bridge_part,
            "lxd_host_network_ipv6_subnet": host.bridge_subnet,
            "lxd_host_private_ipv6_prefix": host.bridge_prefix,
            "bridge_ipv6": host.bridge_ipv6(),
            "lxd_storage_pool_size": host.storage_pool_size,
            "lxd_storage_pool_bytes": host.storage_pool_bytes(),
            "veth0_network_part": control.veth0_part,
            "veth0_network_ipv6_prefix": control.veth0_prefix,
            "operator_public_key": self.public_key,
            "control_public_key": self.ends.public_key(),
            "tunnel_preshared_key": self.ends.preshared_key(),
            "control_directory": directory,
            "control_clock": jiff::Timestamp::now().as_second(),
            "build_network": self.build_network,
            "consul_default_policy": match self.consul_default_policy {
                DefaultPolicy::Allow => "allow",
                DefaultPolicy::Deny => "deny",
            },
            "storage_driver": match self.storage {
                Storage::Btrfs => "btrfs",
                Storage::Zfs => "zfs",
            },
            "container_server": match self.server {
                Server::Lxd => "lxd",
                Server::Incus => "incus",
            },
        });
        match &self.consul {
            Consul::Packages { version } => variables["consul_version"] = json!(version),
            Consul::File { url, sha256 } => {
                variables["consul_url"] = json!(url);
                variables["consul_sha256"] = json!(sha256);
            }
        }
        match variables {
            Value::Object(variables) => variables,
            _ => Map::new(),
        }
    }
}
