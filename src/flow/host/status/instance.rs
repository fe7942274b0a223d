//! An instance, and what is wrong with it.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::consul::health::Check;
use crate::flow::found;
use crate::lxd::model;
use crate::project::Kind;

/// Where the data of projects and modules are on a host.
const DATA: &str = "/var/containers/";

/// An instance.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Instance {
    /// Its name.
    pub name: String,
    /// What the server says of it, e.g. `Running`.
    pub status: String,
    /// The project or module that it belongs to.
    pub owner: Option<String>,
    /// The version that it was deployed with.
    pub version: Option<String>,
    /// What is wrong with it; empty if it is healthy.
    pub problems: Vec<String>,
    /// Addresses that others can reach.
    pub addresses: Vec<String>,
    /// Host directories and volumes in it.
    pub mounts: Vec<Mount>,
    /// Ports of the host that lead to it.
    pub ports: Vec<Port>,
}

/// A directory of the host, or a volume, in an instance.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Mount {
    /// On the host.
    pub source: String,
    /// In the instance.
    pub path: String,
    /// Whether it cannot be written to.
    pub read_only: bool,
}

impl Mount {
    /// The project or module whose data it shows.
    pub fn of(&self) -> Option<&str> {
        self.source.strip_prefix(DATA)?.split('/').next().filter(|id| !id.is_empty())
    }
}

/// A port of the host that leads to an instance.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Port {
    /// On the host, e.g. `tcp:10.10.1.1:443`.
    pub listen: String,
    /// In the instance, e.g. `tcp:10.10.1.10:443`.
    pub connect: String,
}

/// Reads an instance. One of the original tools says neither whose it is nor which version: its image and its mounts do.
pub(super) fn of(
    instance: model::Instance,
    images: &[model::Image],
    kinds: &BTreeMap<String, Kind>,
    checks: &[Check],
) -> Instance {
    let label = |key: &str| instance.config.get(key).cloned();
    let mounts: Vec<Mount> = instance.devices.values().filter_map(mount).collect();
    let addresses = instance.state.iter().flat_map(model::State::addresses);
    Instance {
        owner: label(found::OWNER).or_else(|| owner(&instance, images, kinds, &mounts)),
        version: label(found::VERSION).or_else(|| version(&instance)),
        problems: problems(&instance, checks),
        addresses: addresses.map(|address| address.to_string()).collect(),
        ports: instance.devices.values().filter_map(port).collect(),
        mounts,
        name: instance.name,
        status: instance.status,
    }
}

fn mount(device: &model::Config) -> Option<Mount> {
    let of = |key: &str| device.get(key).cloned();
    let path = of("path").filter(|path| path != "/")?;
    let disk = device.get("type").is_some_and(|kind| kind == "disk");
    disk.then(|| Mount {
        source: of("source").unwrap_or_default(),
        path,
        read_only: device.get("readonly").is_some_and(|value| ["true", "1", "yes", "on"].contains(&value.as_str())),
    })
}

fn port(device: &model::Config) -> Option<Port> {
    let proxy = device.get("type").is_some_and(|kind| kind == "proxy");
    Some(Port { listen: device.get("listen")?.clone(), connect: device.get("connect")?.clone() }).filter(|_| proxy)
}

/// The deployed project or module that its image is named after, or whose data it has.
fn owner(
    instance: &model::Instance,
    images: &[model::Image],
    kinds: &BTreeMap<String, Kind>,
    mounts: &[Mount],
) -> Option<String> {
    let image = images.iter().find(|image| instance.base_image() == Some(&image.fingerprint));
    let mut aliases = image.into_iter().flat_map(|image| &image.aliases);
    let named = |alias: &str| {
        let ids = kinds.keys().filter(|id| alias.strip_prefix(id.as_str()).is_some_and(|rest| rest.starts_with('-')));
        ids.max_by_key(|id| id.len()).cloned()
    };
    let by_image = aliases.find_map(|alias| named(&alias.name));
    by_image.or_else(|| mounts.iter().filter_map(Mount::of).find(|id| kinds.contains_key(*id)).map(str::to_owned))
}

/// `ubuntu-minimal:focal image for gitea - v 20261123`, as Packer's templates describe images.
fn version(instance: &model::Instance) -> Option<String> {
    let (_, version) = instance.config.get("image.description")?.rsplit_once(" - v ")?;
    Some(version.trim().to_owned())
}

fn problems(instance: &model::Instance, checks: &[Check]) -> Vec<String> {
    let has = |key: &str| instance.config.contains_key(key);
    let mut problems = vec![];
    if has(found::BUILD) {
        problems.push("builds an image".to_owned());
    } else if has(found::REPLACES) {
        problems.push("is to replace another".to_owned());
    } else if has(found::REPLACED) {
        problems.push("has been replaced".to_owned());
    } else if has(found::PAUSED) {
        problems.push("stopped for a backup or a restore".to_owned());
    } else if !instance.is_running() {
        problems.push(instance.status.to_lowercase());
    } else if has(found::UNPROVEN) {
        problems.push("not seen to come up yet".to_owned());
    }
    if instance.is_running() {
        let failing = checks.iter().filter(|check| check.node == instance.name && check.status != "passing");
        problems.extend(failing.map(|check| {
            let what = if check.service.is_empty() { &check.name } else { &check.service };
            format!("Consul: {what} is {}", check.status)
        }));
    }
    problems
}
