//! An instance as wanted against the instance as it is.

use std::collections::{BTreeMap, BTreeSet};

use crate::flow::found;
use crate::plan::{InstanceSpec, Restart};
use crate::terraform::{Ignored, Instance, health, trigger};

/// What it takes to make the one the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Difference {
    /// Nothing.
    None,
    /// Labels alone: somebody else has made it.
    Adopt,
    /// A change in place.
    Update {
        /// One line each.
        changes: Vec<String>,
        /// Whether it has to be restarted.
        restart: Restart,
    },
    /// Another instance.
    Replace {
        /// One line each.
        why: Vec<String>,
    },
}

/// What the image of an instance will be when its turn comes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WantedImage {
    /// An image that is there.
    Known(String),
    /// An image that this plan builds.
    Built,
    /// An image of this name whose fingerprint cannot be told now.
    Named(String),
    /// Whichever it is: it is ignored.
    Any,
}

/// Compares `wanted` with `found`.
///
/// A different image and different `user.*` or `cloud-init.*` keys (which cloud-init reads at the first boot only) take
/// another instance; devices, profiles and other keys are changed in place.
pub fn compare(wanted: &InstanceSpec, image: &WantedImage, found: &found::Instance) -> Difference {
    let mut why = image_difference(image, found);
    let mut changes = vec![];
    let mut restart = Restart::No;
    for key in config_differences(&wanted.instance.config, &found.config) {
        if replaces(&key) {
            why.push(format!("config {key} differs"));
        } else {
            let values = (found.config.get(&key), wanted.instance.config.get(&key));
            changes.push(format!("config {}", change(&key, values, &wanted.instance.hidden)));
            if !live(&key) {
                restart = Restart::Yes;
            }
        }
    }
    let writes = wanted.writes.to_string();
    if !writes.is_empty() && found.config(found::WRITES) != Some(&writes) {
        why.push(format!("may write the Consul keys {writes}"));
    }
    match (found.config(trigger::KEY), wanted.instance.config.get(trigger::KEY)) {
        (Some(before), Some(after)) if before != after => {
            why.push("what it is to be replaced with has changed (`replace_triggered_by`)".to_owned());
        }
        (None, Some(_)) => changes.push("notes what it is to be replaced with".to_owned()),
        _ => {}
    }
    let checks = |config: &BTreeMap<String, String>| config.get(health::KEY).cloned().unwrap_or_default();
    if checks(&wanted.instance.config) != checks(&found.config) {
        changes.push(format!("config {} differs", health::KEY));
    }
    // An instance of the original tools says nothing.
    if let Some(owner) = found.config(found::OWNER).filter(|owner| *owner != wanted.owner) {
        changes.push(format!("belongs to {owner} → {}", wanted.owner));
    }
    if wanted.instance.profiles != found.profiles {
        changes.push(format!("profiles: {} → {}", found.profiles.join(", "), wanted.instance.profiles.join(", ")));
    }
    for line in device_differences(&wanted.instance, &found.devices) {
        if line.restart {
            restart = Restart::Yes;
        }
        changes.extend(line.lines);
    }
    if !why.is_empty() {
        why.extend(changes);
        return Difference::Replace { why };
    }
    match (changes.is_empty(), found.config(found::OWNER)) {
        (false, _) => Difference::Update { changes, restart },
        (true, Some(_)) => Difference::None,
        (true, None) => Difference::Adopt,
    }
}

/// Returns `wanted` with what is to be ignored as it is on the server.
pub fn ignoring(wanted: &Instance, ignored: &Ignored, found: &found::Instance) -> Instance {
    let mut instance = wanted.clone();
    let keys: BTreeSet<&String> = wanted.config.keys().chain(found.config.keys()).filter(|key| managed(key)).collect();
    for key in keys {
        let limit = key.strip_prefix("limits.").is_some_and(|limit| ignored.entry("limits", limit));
        let privileged = key == "security.privileged" && ignored.whole("privileged");
        if limit || privileged || ignored.entry("config", key) {
            match found.config.get(key) {
                Some(value) => drop(instance.config.insert(key.clone(), value.clone())),
                None => drop(instance.config.remove(key)),
            }
        }
    }
    if ignored.whole("device") {
        instance.devices.clone_from(&found.devices);
    }
    if ignored.whole("profiles") {
        instance.profiles.clone_from(&found.profiles);
    }
    if ["running", "start_container", "start_on_create"].iter().any(|name| ignored.whole(name)) {
        instance.running = found.running;
    }
    instance
}

fn image_difference(image: &WantedImage, found: &found::Instance) -> Vec<String> {
    match image {
        WantedImage::Built => vec!["its image is built anew".to_owned()],
        WantedImage::Known(fingerprint) if found.base_image() != Some(fingerprint) => {
            vec![format!("image: {} → {}", found.base_image().map_or("unknown", short), short(fingerprint))]
        }
        // One that the original tools have made does not say what its image was called.
        WantedImage::Named(name) => match found.config(found::IMAGE_NAME).filter(|before| before != name) {
            Some(before) => vec![format!("image: {before} → {name}")],
            None => vec![],
        },
        WantedImage::Known(_) | WantedImage::Any => vec![],
    }
}

fn short(fingerprint: &str) -> &str {
    fingerprint.get(..12).unwrap_or(fingerprint)
}

/// Keys that are neither the server's own nor ours.
fn managed(key: &str) -> bool {
    !["volatile.", "image.", "user.ryo."].iter().any(|prefix| key.starts_with(prefix))
}

fn config_differences(wanted: &BTreeMap<String, String>, found: &BTreeMap<String, String>) -> Vec<String> {
    let keys: BTreeSet<&String> = wanted.keys().chain(found.keys()).collect();
    // The server keeps no empty values.
    let value = |map: &BTreeMap<String, String>, key: &str| map.get(key).filter(|value| !value.is_empty()).cloned();
    keys.into_iter().filter(|key| managed(key) && value(wanted, key) != value(found, key)).cloned().collect()
}

fn replaces(key: &str) -> bool {
    key.starts_with("user.") || key.starts_with("cloud-init.")
}

/// Whether the server applies a key while the instance runs. Source: LXD `doc/reference/instance_options`.
fn live(key: &str) -> bool {
    ["limits.", "boot.", "snapshots.", "environment.", "cluster.", "migration."]
        .iter()
        .any(|prefix| key.starts_with(prefix))
}

/// Values are shown where they can hold no secret.
fn change(key: &str, (before, after): (Option<&String>, Option<&String>), hidden: &BTreeSet<String>) -> String {
    let harmless = ["limits.", "boot.", "security.", "snapshots."].iter().any(|prefix| key.starts_with(prefix));
    if harmless && !hidden.contains(&format!("config {key}")) {
        let text = |value: Option<&String>| value.map_or("not set", |value| value.as_str()).to_owned();
        format!("{key}: {} → {}", text(before), text(after))
    } else {
        format!("{key} differs")
    }
}

struct DeviceDifference {
    lines: Vec<String>,
    restart: bool,
}

type Devices = BTreeMap<String, BTreeMap<String, String>>;

fn device_differences(instance: &Instance, found: &Devices) -> Vec<DeviceDifference> {
    let wanted = &instance.devices;
    let names: BTreeSet<&String> = wanted.keys().chain(found.keys()).collect();
    names
        .into_iter()
        .filter_map(|name| match (found.get(name), wanted.get(name)) {
            (None, Some(device)) => {
                Some(DeviceDifference { lines: vec![format!("device {name}: added")], restart: nic(device) })
            }
            (Some(device), None) => {
                Some(DeviceDifference { lines: vec![format!("device {name}: removed")], restart: nic(device) })
            }
            (Some(before), Some(after)) if before != after => Some(DeviceDifference {
                lines: property_differences(name, before, after, &instance.hidden),
                restart: nic(after) || nic(before),
            }),
            _ => None,
        })
        .collect()
}

/// A changed address reaches the inside of an instance when it asks for one: at its start.
fn nic(device: &BTreeMap<String, String>) -> bool {
    device.get("type").is_some_and(|kind| kind == "nic")
}

fn property_differences(
    name: &str,
    before: &BTreeMap<String, String>,
    after: &BTreeMap<String, String>,
    hidden: &BTreeSet<String>,
) -> Vec<String> {
    let keys: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    let text = |value: Option<&String>| value.map_or("not set", |value| value.as_str()).to_owned();
    keys.into_iter()
        .filter(|key| before.get(*key) != after.get(*key))
        .map(|key| {
            if hidden.contains(&format!("device {name}: {key}")) {
                return format!("device {name}: {key} differs");
            }
            format!("device {name}: {key} {} → {}", text(before.get(key)), text(after.get(key)))
        })
        .collect()
}
