//! What LXD and Incus answer, as far as a deployment needs it. Unknown fields are left out, missing ones are empty.
//!
//! Source: the `rest-api.yaml` of both servers.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::{Deserialize, Deserializer, Serialize};

/// Configuration keys with their values.
pub type Config = BTreeMap<String, String>;

/// Devices by name, each with its properties; `type` is one of them.
pub type Devices = BTreeMap<String, Config>;

/// Takes `null` for the empty value, as Go writes empty lists and maps.
fn nullable<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(from: D) -> Result<T, D::Error> {
    Option::<T>::deserialize(from).map(Option::unwrap_or_default)
}

/// What the server is and can (`GET /1.0`).
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Server {
    /// Names of what it can beyond the first version of its API, e.g. `image_compression_algorithm`.
    #[serde(deserialize_with = "nullable")]
    pub api_extensions: Vec<String>,
    /// `trusted` or `untrusted`.
    pub auth: String,
    /// Server configuration; empty if not trusted.
    #[serde(deserialize_with = "nullable")]
    pub config: serde_json::Map<String, serde_json::Value>,
    /// Where it runs.
    #[serde(deserialize_with = "nullable")]
    pub environment: Environment,
}

impl Server {
    /// Whether it has the API extension called `name`.
    pub fn can(&self, name: &str) -> bool {
        self.api_extensions.iter().any(|extension| extension == name)
    }

    /// Whether it lets us in.
    pub fn is_trusted(&self) -> bool {
        self.auth == "trusted"
    }
}

/// Where a server runs.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Environment {
    /// `lxd` or `incus`; for people only.
    pub server: String,
    /// E.g. `5.0.2`; for people only.
    pub server_version: String,
    /// Host name.
    pub server_name: String,
    /// E.g. `x86_64`, the native one first.
    #[serde(deserialize_with = "nullable")]
    pub architectures: Vec<String>,
    /// Kernel architecture, e.g. `x86_64`.
    pub kernel_architecture: String,
    /// Storage drivers in use, e.g. `btrfs | zfs`.
    pub storage: String,
    /// The server's certificate, PEM.
    pub certificate: String,
}

/// An instance, with its state where that was asked for.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Instance {
    /// Name.
    pub name: String,
    /// `container` or `virtual-machine`.
    #[serde(rename = "type")]
    pub kind: String,
    /// `Running`, `Stopped`, `Frozen`, `Error` and others.
    pub status: String,
    /// Description.
    pub description: String,
    /// E.g. `x86_64`.
    pub architecture: String,
    /// Whether it goes when it stops.
    pub ephemeral: bool,
    /// Whether its memory was kept at the last stop.
    pub stateful: bool,
    /// Profiles in order.
    #[serde(deserialize_with = "nullable")]
    pub profiles: Vec<String>,
    /// Its own configuration, `image.*` and `volatile.*` included.
    #[serde(deserialize_with = "nullable")]
    pub config: Config,
    /// Its own devices.
    #[serde(deserialize_with = "nullable")]
    pub devices: Devices,
    /// Configuration with that of the profiles.
    #[serde(deserialize_with = "nullable")]
    pub expanded_config: Config,
    /// Devices with those of the profiles.
    #[serde(deserialize_with = "nullable")]
    pub expanded_devices: Devices,
    /// RFC 3339.
    pub created_at: String,
    /// RFC 3339.
    pub last_used_at: String,
    /// Addresses and processes; only from [`super::Client::instances`].
    pub state: Option<State>,
}

impl Instance {
    /// Whether it runs.
    pub fn is_running(&self) -> bool {
        self.status == "Running"
    }

    /// Whether it has processes: it runs, or is frozen.
    pub fn is_on(&self) -> bool {
        self.is_running() || self.status == "Frozen"
    }

    /// Fingerprint of the image it was made from.
    pub fn base_image(&self) -> Option<&str> {
        self.config.get("volatile.base_image").map(String::as_str)
    }

    /// Returns what may be changed, as it is now. Leave the `volatile.*` and `image.*` keys in it.
    pub fn settings(&self) -> Settings {
        Settings {
            architecture: self.architecture.clone(),
            config: self.config.clone(),
            description: self.description.clone(),
            devices: self.devices.clone(),
            ephemeral: self.ephemeral,
            profiles: self.profiles.clone(),
            stateful: self.stateful,
        }
    }
}

/// Everything of an instance that can be changed in place (the body of `PUT /1.0/instances/<name>`).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Settings {
    /// E.g. `x86_64`.
    pub architecture: String,
    /// Configuration, `image.*` and `volatile.*` included.
    pub config: Config,
    /// Description.
    pub description: String,
    /// Its own devices.
    pub devices: Devices,
    /// Whether it goes when it stops.
    pub ephemeral: bool,
    /// Profiles in order.
    pub profiles: Vec<String>,
    /// Whether its memory was kept at the last stop.
    pub stateful: bool,
}

/// A value and the tag that it had when it was read; an update with that tag is refused if somebody else was faster.
#[derive(Clone, Debug, PartialEq)]
pub struct Tagged<T> {
    /// The value.
    pub value: T,
    /// Its `ETag`.
    pub etag: String,
}

/// How an instance is at the moment.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct State {
    /// `Running`, `Stopped` and others.
    pub status: String,
    /// First process, 0 or -1 if there is none.
    pub pid: i64,
    /// Number of processes, -1 if unknown.
    pub processes: i64,
    /// Interfaces by name; empty when stopped.
    #[serde(deserialize_with = "nullable")]
    pub network: BTreeMap<String, Interface>,
}

impl State {
    /// Whether it runs.
    pub fn is_running(&self) -> bool {
        self.status == "Running"
    }

    /// Whether none of its processes goes on.
    pub fn is_frozen(&self) -> bool {
        self.status == "Frozen"
    }

    /// Whether it has processes: it runs, or is frozen.
    pub fn is_on(&self) -> bool {
        self.is_running() || self.is_frozen()
    }

    /// Returns the addresses that others can reach: of global scope, not of the loopback; by interface, IPv4 first.
    pub fn addresses(&self) -> Vec<IpAddr> {
        let of = |interface: &Interface| {
            let mut addresses: Vec<IpAddr> = interface
                .addresses
                .iter()
                .filter(|address| address.scope == "global")
                .filter_map(|address| address.address.parse().ok())
                .collect();
            addresses.sort_by_key(|address| (address.is_ipv6(), *address));
            addresses
        };
        self.network.values().filter(|interface| interface.kind != "loopback").flat_map(of).collect()
    }
}

/// A network interface of an instance.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Interface {
    /// Addresses.
    #[serde(deserialize_with = "nullable")]
    pub addresses: Vec<Address>,
    /// Hardware address.
    pub hwaddr: String,
    /// `up` or `down`.
    pub state: String,
    /// `broadcast`, `loopback` and others.
    #[serde(rename = "type")]
    pub kind: String,
}

/// An address of an interface.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Address {
    /// `inet` or `inet6`.
    pub family: String,
    /// E.g. `10.99.0.15`.
    pub address: String,
    /// Prefix length, e.g. `24`.
    pub netmask: String,
    /// `global`, `link` or `local`.
    pub scope: String,
}

/// An image in the server's store.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Image {
    /// SHA-256 of its files, lower-case hexadecimal.
    pub fingerprint: String,
    /// Names.
    #[serde(deserialize_with = "nullable")]
    pub aliases: Vec<ImageAlias>,
    /// Properties; instances made from it carry them as `image.*`.
    #[serde(deserialize_with = "nullable")]
    pub properties: Config,
    /// E.g. `x86_64`.
    pub architecture: String,
    /// `container` or `virtual-machine`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Bytes as stored.
    pub size: u64,
    /// Whether the server fetched it by itself and may drop it.
    pub cached: bool,
    /// Whether the server keeps it like its source.
    pub auto_update: bool,
    /// Where it is from, if from another server.
    pub update_source: Option<ImageOrigin>,
    /// RFC 3339.
    pub created_at: String,
    /// RFC 3339.
    pub uploaded_at: String,
    /// RFC 3339.
    pub last_used_at: String,
}

/// A name of an image, as listed with the image.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default)]
pub struct ImageAlias {
    /// The name.
    pub name: String,
    /// Description.
    pub description: String,
}

/// Where an image is from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct ImageOrigin {
    /// Address of the image server.
    pub server: String,
    /// `simplestreams`, `lxd` or `incus`.
    pub protocol: String,
    /// Name there.
    pub alias: String,
}

/// A name of an image.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Alias {
    /// The name.
    pub name: String,
    /// Fingerprint of the image.
    pub target: String,
    /// Description.
    pub description: String,
    /// `container` or `virtual-machine`.
    #[serde(rename = "type")]
    pub kind: String,
}

/// A profile.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Profile {
    /// Name.
    pub name: String,
    /// Description.
    pub description: String,
    /// Configuration.
    #[serde(deserialize_with = "nullable")]
    pub config: Config,
    /// Devices.
    #[serde(deserialize_with = "nullable")]
    pub devices: Devices,
}

/// A network that the server knows.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Network {
    /// Name, which is the interface on the host.
    pub name: String,
    /// `bridge`, `physical`, `loopback` and others.
    #[serde(rename = "type")]
    pub kind: String,
    /// Whether the server made it.
    pub managed: bool,
    /// Configuration, e.g. `ipv4.address`.
    #[serde(deserialize_with = "nullable")]
    pub config: Config,
}

/// A storage pool.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct StoragePool {
    /// Name.
    pub name: String,
    /// `dir`, `btrfs`, `zfs` and others.
    pub driver: String,
    /// `Created` and others.
    pub status: String,
    /// Configuration.
    #[serde(deserialize_with = "nullable")]
    pub config: Config,
}

/// What the machine of a server has (`GET /1.0/resources`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Resources {
    /// Processors.
    pub cpu: Processors,
    /// Memory.
    pub memory: Memory,
}

/// Processors of a machine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Processors {
    /// How many threads run at once.
    pub total: usize,
}

/// Memory of a machine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Memory {
    /// Bytes in use, without what only caches files.
    pub used: u64,
    /// Bytes in all.
    pub total: u64,
}

/// How full a storage pool is (`GET /1.0/storage-pools/NAME/resources`).
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct PoolResources {
    /// Its bytes.
    pub space: PoolSpace,
}

/// Bytes of a storage pool.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct PoolSpace {
    /// In use.
    pub used: u64,
    /// All.
    pub total: u64,
}

/// A network, profile, storage pool or volume, whichever it is.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Object {
    /// Name.
    pub name: String,
    /// Description.
    pub description: String,
    /// Of networks: `bridge` and others.
    #[serde(rename = "type")]
    pub kind: String,
    /// Of pools: `dir` and others.
    pub driver: String,
    /// Of volumes: `filesystem` or `block`.
    pub content_type: String,
    /// Of networks: whether the server made it.
    pub managed: Option<bool>,
    /// Configuration.
    #[serde(deserialize_with = "nullable")]
    pub config: Config,
    /// Devices, of profiles.
    #[serde(deserialize_with = "nullable")]
    pub devices: Devices,
}

/// A background operation.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Operation {
    /// A UUID.
    pub id: String,
    /// `task`, `websocket` or `token`.
    pub class: String,
    /// E.g. `Creating instance`.
    pub description: String,
    /// Paths of what it works on, by kind, e.g. `instances` → `/1.0/instances/web`.
    #[serde(deserialize_with = "nullable")]
    pub resources: BTreeMap<String, Vec<String>>,
    /// 103 running, 200 done, 400 failed, 401 cancelled; others are on the way.
    pub status_code: u16,
    /// What went wrong, if it failed.
    pub err: String,
    /// What it says of itself: progress, results.
    #[serde(deserialize_with = "nullable")]
    pub metadata: serde_json::Map<String, serde_json::Value>,
}

impl Operation {
    /// Whether it has ended, well or not.
    pub fn has_ended(&self) -> bool {
        self.status_code >= 200
    }

    /// Names of the instances that it works on.
    pub fn instances(&self) -> impl Iterator<Item = &str> {
        let paths = ["instances", "containers"].iter().filter_map(|kind| self.resources.get(*kind)).flatten();
        paths.filter_map(|path| path.rsplit('/').next())
    }
}
