//! Networks, profiles, storage pools and volumes: compared, made, changed, removed.
//!
//! One that we made carries labels: whose it is, and which of its keys are from a file. The server adds keys of its own;
//! those are left alone.

use std::collections::{BTreeMap, BTreeSet};

use crate::flow::found::OWNER;
use crate::flow::world::World;
use crate::lxd::Error;
use crate::lxd::model::Config;
use crate::lxd::object::{Collection, NewObject};
use crate::terraform::{Object, ObjectKind};

/// Label that lists the keys that are from a file, separated by commas.
pub const KEYS: &str = "user.ryo.keys";

/// An object as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// Description.
    pub description: String,
    /// Type of a network, driver of a pool, content type of a volume.
    pub form: String,
    /// Configuration, all keys.
    pub config: BTreeMap<String, String>,
    /// Devices of a profile.
    pub devices: BTreeMap<String, BTreeMap<String, String>>,
}

impl Found {
    /// Whose it is, if we made it.
    pub fn owner(&self) -> Option<&str> {
        self.config.get(OWNER).map(String::as_str)
    }

    /// Keys that were from a file when it was changed last.
    fn keys(&self) -> BTreeSet<&str> {
        let listed = self.config.get(KEYS).map_or("", String::as_str);
        listed.split(',').filter(|key| !key.is_empty()).collect()
    }
}

/// Returns what differs, one line each. Pure.
pub fn differences(wanted: &Object, found: &Found) -> Vec<String> {
    let mut lines = vec![];
    if wanted.description.as_ref().is_some_and(|description| *description != found.description) {
        lines.push("the description differs".to_owned());
    }
    let gone =
        found.keys().into_iter().filter(|key| !wanted.config.contains_key(*key) && found.config.contains_key(*key));
    let keys: BTreeSet<&str> = wanted.config.keys().map(String::as_str).chain(gone).collect();
    for key in keys {
        let (before, after) = (found.config.get(key), wanted.config.get(key));
        if same(key, before, after) {
            continue;
        }
        let text = |value: Option<&String>| value.map_or("not set", String::as_str).to_owned();
        let hidden = wanted.hidden.contains(&format!("config {key}"));
        let shown = || format!("config {key}: {} → {}", text(before), text(after));
        lines.push(if hidden { format!("config {key} differs") } else { shown() });
    }
    if wanted.kind == ObjectKind::Profile {
        let names: BTreeSet<&String> = wanted.devices.keys().chain(found.devices.keys()).collect();
        let changed = names.into_iter().filter(|name| wanted.devices.get(*name) != found.devices.get(*name));
        lines.extend(changed.map(|name| match (found.devices.get(name), wanted.devices.get(name)) {
            (None, _) => format!("device {name}: added"),
            (_, None) => format!("device {name}: removed"),
            _ => format!("device {name} differs"),
        }));
    }
    lines
}

/// What the server is to choose is whatever it has chosen; it keeps no empty values.
fn same(key: &str, before: Option<&String>, after: Option<&String>) -> bool {
    let value = |value: Option<&String>| value.map_or("", String::as_str).to_owned();
    let (before, after) = (value(before), value(after));
    let chosen = after == "auto" && ["ipv4.address", "ipv6.address"].contains(&key);
    before == after || (chosen && !["", "none"].contains(&before.as_str()))
}

/// Returns what keeps `found` from ever becoming what is wanted.
pub fn obstacle(wanted: &Object, found: &Found) -> Option<String> {
    let form = wanted.form.as_ref().filter(|form| **form != found.form && !found.form.is_empty())?;
    let what = match wanted.kind {
        ObjectKind::Network => "type",
        ObjectKind::Pool => "driver",
        _ => "content type",
    };
    let name = named(&wanted.kind, &wanted.name);
    Some(format!("the {what} of {name} is `{}` on the server, and cannot become `{form}`", found.form))
}

/// What a person calls it, e.g. `network web`.
pub fn named(kind: &ObjectKind, name: &str) -> String {
    match kind {
        ObjectKind::Network => format!("network {name}"),
        ObjectKind::Profile => format!("profile {name}"),
        ObjectKind::Pool => format!("storage pool {name}"),
        ObjectKind::Volume { pool } => format!("volume {name} in {pool}"),
    }
}

/// Where the server has objects of that kind.
pub fn collection(kind: &ObjectKind) -> Collection {
    match kind {
        ObjectKind::Network => Collection::Networks,
        ObjectKind::Profile => Collection::Profiles,
        ObjectKind::Pool => Collection::Pools,
        ObjectKind::Volume { pool } => Collection::Volumes { pool: pool.clone() },
    }
}

fn labels(owner: &str, wanted: &Object) -> Config {
    let keys: Vec<&str> = wanted.config.keys().map(String::as_str).collect();
    [(OWNER.to_owned(), owner.to_owned()), (KEYS.to_owned(), keys.join(","))].into()
}

/// Makes an object.
pub async fn create(world: &World, owner: &str, wanted: &Object) -> Result<(), Error> {
    let mut config = wanted.config.clone();
    config.extend(wanted.first.clone());
    config.extend(labels(owner, wanted));
    let new = NewObject {
        name: wanted.name.clone(),
        description: wanted.description.clone().unwrap_or_default(),
        kind: wanted.form.clone(),
        config,
        devices: wanted.devices.clone(),
    };
    world.lxd.create_object(&collection(&wanted.kind), &new).await
}

/// Changes an object in place. Labels are kept up only on those that we made.
pub async fn update(world: &World, owner: &str, wanted: &Object) -> Result<(), Error> {
    let collection = collection(&wanted.kind);
    let Some(found) = world.lxd.object(&collection, &wanted.name).await? else {
        return create(world, owner, wanted).await;
    };
    let mut object = found.value;
    let before = Found { config: object.config.clone(), ..Found::default() };
    object.config.retain(|key, _| !before.keys().contains(key.as_str()));
    object.config.extend(wanted.config.clone());
    if before.owner().is_some() {
        object.config.extend(labels(owner, wanted));
    }
    if let Some(description) = &wanted.description {
        object.description.clone_from(description);
    }
    if wanted.kind == ObjectKind::Profile {
        object.devices.clone_from(&wanted.devices);
    }
    // An `auto` that the server has answered would make it choose again.
    for (key, value) in &before.config {
        if same(key, Some(value), wanted.config.get(key)) && wanted.config.contains_key(key) {
            object.config.insert(key.clone(), value.clone());
        }
    }
    world.lxd.update_object(&collection, &object, &found.etag).await
}

/// Removes an object; one that is not there is removed already.
pub async fn remove(world: &World, kind: &ObjectKind, name: &str) -> Result<(), Error> {
    world.lxd.delete_object(&collection(kind), name).await
}
