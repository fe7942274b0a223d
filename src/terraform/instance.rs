//! `lxd_container`, `lxd_instance` and `incus_instance`.

use std::collections::{BTreeMap, BTreeSet};

use crate::place::Problem;
use crate::terraform::body::Filled;
use crate::terraform::object::default_project;
use crate::terraform::read::Read;
use crate::terraform::{Instance, address, health};

/// Longest name of an instance: it becomes a host name.
const LONGEST_NAME: usize = 63;

/// Makes an instance of what its block says.
pub fn build(filled: &Filled, read: &mut Read<'_>) -> Instance {
    let mut config = read.texts_by_name(filled, "config");
    for (key, value) in read.texts_by_name(filled, "limits") {
        config.insert(format!("limits.{key}"), value);
    }
    if read.truth(filled, "privileged", false) {
        config.insert("security.privileged".to_owned(), "true".to_owned());
    }
    let mut hidden: BTreeSet<String> =
        read.hidden(filled, "config").into_iter().map(|key| format!("config {key}")).collect();
    hidden.extend(read.hidden(filled, "limits").into_iter().map(|key| format!("config limits.{key}")));
    let devices = devices(filled, read, &mut hidden);
    let instance = Instance {
        name: read.text(filled, "name"),
        image: read.text(filled, "image"),
        // Terraform's providers apply the profile `default` unless a list is given, be it empty.
        profiles: match filled.get("profiles") {
            Some(_) => read.texts(filled, "profiles"),
            None => vec!["default".to_owned()],
        },
        config,
        devices,
        virtual_machine: virtual_machine(filled, read),
        ephemeral: read.truth(filled, "ephemeral", false),
        running: read.truth(filled, "running", true)
            && read.truth(filled, "start_container", true)
            && read.truth(filled, "start_on_create", true),
        wait_for_network: read.truth(filled, "wait_for_network", true),
        description: read.text(filled, "description"),
        remote: read.optional_text(filled, "remote"),
        project: read.optional_text(filled, "project"),
        hidden,
    };
    check_name(&instance.name, filled, read);
    check_health(&instance, filled, read);
    default_project(filled, read);
    instance
}

fn virtual_machine(filled: &Filled, read: &mut Read<'_>) -> bool {
    match read.optional_text(filled, "type").as_deref() {
        None | Some("container") => false,
        Some("virtual-machine") => true,
        Some(other) => {
            let problem = Problem::new(filled.place("type"), format!("there is no type of instance `{other}`"));
            read.problems.push(problem.hint("it is `container` or `virtual-machine`"));
            false
        }
    }
}

fn check_health(instance: &Instance, filled: &Filled, read: &mut Read<'_>) {
    let value = instance.config.get(health::KEY).map_or("", String::as_str);
    if read.is_pending(value) {
        return;
    }
    if let Err(text) = health::parse(value) {
        let problem = Problem::new(filled.place("config"), format!("`{}`: cannot ask `{text}`", health::KEY));
        read.problems.push(problem.hint("it is `tcp://:PORT` or `http://:PORT/PATH`, several separated by spaces"));
    }
}

/// The servers' rule for names.
fn check_name(name: &str, filled: &Filled, read: &mut Read<'_>) {
    let length = name.chars().count();
    let problem = if name.is_empty() || read.is_pending(name) {
        return;
    } else if length > LONGEST_NAME {
        format!("the name `{name}` is too long: {length} characters, at most {LONGEST_NAME}")
    } else if !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
        || name.starts_with(|c: char| c.is_ascii_digit() || c == '-')
        || name.ends_with('-')
    {
        format!("`{name}` is no name for an instance: letters, digits and dashes, a letter first, no dash last")
    } else {
        return;
    };
    read.problems.push(Problem::new(filled.place("name"), problem));
}

/// Reads the devices of an instance or a profile; what is not to be shown of them is added to `hidden`.
pub fn devices(
    filled: &Filled,
    read: &mut Read<'_>,
    hidden: &mut BTreeSet<String>,
) -> BTreeMap<String, BTreeMap<String, String>> {
    let mut devices = BTreeMap::new();
    for (_, device) in filled.blocks.iter().filter(|(name, _)| *name == "device") {
        let name = read.text(device, "name");
        let kind = read.text(device, "type");
        let mut properties = read.texts_by_name(device, "properties");
        let secret = read.hidden(device, "properties");
        hidden.extend(secret.iter().map(|property| format!("device {name}: {property}")));
        let shown = properties.iter().filter(|(property, _)| !secret.contains(property));
        let shown: BTreeMap<String, String> = shown.map(|(key, value)| (key.clone(), value.clone())).collect();
        for problem in address::check(&kind, &shown) {
            read.problems.push(Problem::new(device.place("properties"), format!("device `{name}`: {problem}")));
        }
        properties.insert("type".to_owned(), kind);
        if devices.insert(name.clone(), properties).is_some() {
            let problem = Problem::new(device.place("name"), format!("the device `{name}` stands here twice"));
            read.problems.push(problem);
        }
    }
    devices
}
