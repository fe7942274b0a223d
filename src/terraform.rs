//! `*.tf` and `*.tf.json` files → resources, in the order in which they are made.
//!
//! [`evaluate`] reads a root module and every module that it calls ([`load`]), lays out what they declare ([`tree`]),
//! sorts it ([`order`]), and works out values when they are asked for ([`evaluate`](mod@evaluate)). What a resource takes
//! stands in [`schema`]; anything else is a problem with its position. Sources: Terraform's language reference and the
//! documentation of the providers.

pub mod address;
pub mod awaited;
pub mod body;
pub mod consul;
pub mod database;
pub mod evaluate;
pub mod expand;
pub mod file;
pub mod health;
pub mod image;
pub mod instance;
pub mod json;
pub mod lifecycle;
pub mod lint;
pub mod load;
pub mod merge;
pub mod object;
pub mod order;
pub mod read;
pub mod run;
pub mod schema;
pub mod tree;
pub mod trigger;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

pub use self::database::{DatabaseObject, DatabaseProvider};
pub use self::file::{Content, Directories, File};
pub use self::image::CachedImage;
pub use self::lifecycle::{Ignored, Lifecycle, Protection};
pub use self::object::{Object, ObjectKind};
pub use self::read::PENDING;
pub use self::run::evaluate;

use crate::place::{Place, Problem};
use crate::secret::Secret;

/// Everything that the files of one root module want, evaluated.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Deployment {
    /// Sorted so that everything stands behind what it depends on; otherwise in the order of the files.
    pub resources: Vec<Resource>,
    /// The `consul` provider, if one is configured.
    pub consul: Option<ConsulProvider>,
    /// The providers `mysql` and `postgresql`, those that are configured.
    pub databases: Vec<DatabaseProvider>,
    /// Files that were asked for, are not there, and will be written while images are built (secrets of the host).
    /// Values that depend on them are [`PENDING`]; once the images are built, evaluate again.
    pub awaited: Vec<PathBuf>,
    /// What `check` blocks find fault with.
    pub warnings: Vec<Problem>,
}

/// Where the Consul server is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConsulProvider {
    /// Host and port, e.g. `[fd10:10:10:1::1:1]:8500`.
    pub address: String,
    /// `http` or `https`.
    pub scheme: String,
    /// Datacenter, if one is named.
    pub datacenter: Option<String>,
    /// Token of the access control lists, if there are any.
    pub token: Option<Secret>,
    /// Where it is configured.
    #[serde(skip)]
    pub place: Place,
}

/// One thing to be made.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Resource {
    /// As Terraform writes it, e.g. `module.acl.consul_keys.deny["x"]`.
    pub address: String,
    /// Where its block starts.
    #[serde(skip)]
    pub place: Place,
    /// Addresses of what must be there first.
    pub depends_on: Vec<String>,
    /// What may become of it once it is there.
    pub lifecycle: Lifecycle,
    /// What it is.
    pub kind: Kind,
}

/// What a resource is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Kind {
    /// `lxd_container`, `lxd_instance`, `incus_instance`.
    Instance(Instance),
    /// `consul_keys`, `consul_key_prefix`.
    ConsulKeys(ConsulKeys),
    /// A network, profile, storage pool or volume.
    Object(Object),
    /// A file in an instance.
    File(File),
    /// An image of an image server.
    Image(CachedImage),
    /// `mysql_*`, `postgresql_*`. What is kept of a version has none.
    #[serde(skip)]
    Database(DatabaseObject),
}

impl Deployment {
    /// The server that `object` is on.
    pub fn server(&self, object: &DatabaseObject) -> Option<&DatabaseProvider> {
        self.databases.iter().find(|provider| provider.engine == object.engine())
    }
}

/// A container or virtual machine, as wanted.
#[expect(clippy::struct_excessive_bools, reason = "each is an attribute of the provider")]
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Instance {
    /// Name on the server.
    pub name: String,
    /// Image alias or fingerprint, perhaps with `remote:` in front.
    pub image: String,
    /// Profiles in order.
    pub profiles: Vec<String>,
    /// Configuration keys, e.g. `user.user-data`; `limits` blocks become `limits.*`.
    pub config: BTreeMap<String, String>,
    /// Devices by name; `type` is one of the properties.
    pub devices: BTreeMap<String, BTreeMap<String, String>>,
    /// Whether it is a virtual machine.
    pub virtual_machine: bool,
    /// Whether it goes when it stops.
    pub ephemeral: bool,
    /// Whether it is to run (`running`, `start_container`).
    pub running: bool,
    /// Whether to wait for an address before what depends on it is made (`wait_for_network`, `wait_for`).
    pub wait_for_network: bool,
    /// Description shown by the server.
    pub description: String,
    /// Server that it is meant for, as the provider calls it; in the field the host.
    pub remote: Option<String>,
    /// Project of the server, if one is named.
    pub project: Option<String>,
    /// What is not to be shown: `config <key>`, `device <name>: <property>`.
    pub hidden: BTreeSet<String>,
}

/// Consul keys that are made together, as wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConsulKeys {
    /// Datacenter, if it is not the provider's.
    pub datacenter: Option<String>,
    /// Token, if it is not the provider's.
    pub token: Option<Secret>,
    /// The keys, in the order of the file.
    pub keys: Vec<ConsulKey>,
    /// What all keys start with, if no others may stand below it.
    pub prefix: Option<String>,
}

/// One Consul key, as wanted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConsulKey {
    /// Path without a leading slash.
    pub path: String,
    /// Value, perhaps empty.
    pub value: String,
    /// Whether it goes when it is no longer wanted.
    pub delete: bool,
}
