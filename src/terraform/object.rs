//! Networks, profiles, storage pools and volumes of the server.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::place::Problem;
use crate::terraform::body::Filled;
use crate::terraform::instance::devices;
use crate::terraform::read::Read;

/// What an object is, and where it is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum ObjectKind {
    /// `lxd_storage_pool`, `incus_storage_pool`.
    Pool,
    /// `lxd_network`, `incus_network`.
    Network,
    /// `lxd_volume`, `incus_storage_volume`.
    Volume {
        /// The pool that it is in.
        pool: String,
    },
    /// `lxd_profile`, `incus_profile`.
    Profile,
}

/// An object of the server, as wanted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Object {
    /// What it is.
    pub kind: ObjectKind,
    /// Name on the server.
    pub name: String,
    /// Description, where one is given.
    pub description: Option<String>,
    /// Type of a network, driver of a pool, content type of a volume, where one is given. Cannot be changed.
    pub form: Option<String>,
    /// Configuration keys.
    pub config: BTreeMap<String, String>,
    /// Keys that count only when it is made.
    pub first: BTreeMap<String, String>,
    /// Devices of a profile.
    pub devices: BTreeMap<String, BTreeMap<String, String>>,
    /// What is not to be shown, as for instances.
    pub hidden: BTreeSet<String>,
}

/// Returns whether resources called `name` are objects.
pub fn is_one(name: &str) -> bool {
    matches!(
        name,
        "lxd_network"
            | "incus_network"
            | "lxd_profile"
            | "incus_profile"
            | "lxd_storage_pool"
            | "incus_storage_pool"
            | "lxd_volume"
            | "incus_storage_volume"
    )
}

/// Makes an object of what its block says.
pub fn build(resource: &str, filled: &Filled, read: &mut Read<'_>) -> Object {
    let mut hidden: BTreeSet<String> =
        read.hidden(filled, "config").into_iter().map(|key| format!("config {key}")).collect();
    let kind = match resource {
        "lxd_network" | "incus_network" => ObjectKind::Network,
        "lxd_profile" | "incus_profile" => ObjectKind::Profile,
        "lxd_storage_pool" | "incus_storage_pool" => ObjectKind::Pool,
        _ => ObjectKind::Volume { pool: read.text(filled, "pool") },
    };
    let form = match kind {
        ObjectKind::Network => read.optional_text(filled, "type"),
        ObjectKind::Pool => read.optional_text(filled, "driver"),
        ObjectKind::Volume { .. } => {
            if let Some(other) = read.optional_text(filled, "type").filter(|kind| kind != "custom") {
                let message = format!("volumes of the type `{other}` are not supported, only `custom`");
                read.problems.push(Problem::new(filled.place("type"), message));
            }
            read.optional_text(filled, "content_type")
        }
        ObjectKind::Profile => None,
    };
    let mut config = read.texts_by_name(filled, "config");
    // The server puts where the pool is into its place, in words of its own.
    let mut first: BTreeMap<String, String> = match kind {
        ObjectKind::Pool => config.remove("source").map(|source| ("source".to_owned(), source)).into_iter().collect(),
        _ => BTreeMap::new(),
    };
    first.extend(read.optional_text(filled, "source").map(|source| ("source".to_owned(), source)));
    default_project(filled, read);
    let name = read.text(filled, "name");
    if name.is_empty() || name.contains(['/', ' ']) {
        let problem = Problem::new(filled.place("name"), format!("`{name}` is no name on a server"));
        read.problems.push(problem);
    }
    Object {
        kind,
        name,
        description: read.optional_text(filled, "description"),
        form,
        config,
        first,
        devices: devices(filled, read, &mut hidden),
        hidden,
    }
}

/// The projects of a server, which have instances and objects of their own, are not supported.
pub fn default_project(filled: &Filled, read: &mut Read<'_>) {
    if let Some(other) = read.optional_text(filled, "project").filter(|project| project != "default") {
        let message = format!("the server's project `{other}` is not supported, only `default`");
        read.problems.push(Problem::new(filled.place("project"), message));
    }
}
