//! What the machine runs in, and what runs in it.

use std::collections::BTreeSet;
use std::fs;

use serde_json::{Value, json};

use crate::module::System;

/// What is known so far: the first kind that was found counts, all are told.
#[derive(Default)]
struct Known {
    kind: Option<(&'static str, String)>,
    guest: BTreeSet<String>,
    host: BTreeSet<String>,
}

impl Known {
    fn guest(&mut self, kind: &str) {
        self.guest.insert(kind.to_owned());
        self.kind.get_or_insert_with(|| ("guest", kind.to_owned()));
    }
}

pub(super) fn facts(system: &System) -> Value {
    let read = |path: &str| fs::read(system.real(path)).unwrap_or_default();
    let text = |path: &str| String::from_utf8_lossy(&read(path)).trim().to_owned();
    let is_there = |path: &str| system.real(path).exists();
    let mut known = Known::default();
    containers(&mut known, &text("/proc/1/cgroup"), &text("/proc/1/environ"), &text("/run/systemd/container"));
    if is_there("/.dockerenv") || is_there("/.dockerinit") {
        known.guest("docker");
    }
    let inside = ["docker", "lxc", "podman", "openvz", "containerd"].iter().any(|kind| known.guest.contains(*kind));
    if inside || is_there("/run/systemd/container") {
        known.guest.insert("container".to_owned());
    }
    let firmware = |file: &str| text(&format!("/sys/devices/virtual/dmi/id/{file}"));
    machines(&mut known, &firmware("product_name"), &firmware("sys_vendor"), &firmware("bios_vendor"));
    let modules = text("/proc/modules");
    let has = |name: &str| modules.lines().any(|line| line.split(' ').next() == Some(name));
    if is_there("/dev/kvm") || has("kvm") {
        known.host.insert("kvm".to_owned());
        known.kind.get_or_insert_with(|| ("host", "kvm".to_owned()));
    }
    if has("vboxdrv") {
        known.host.insert("virtualbox".to_owned());
        known.kind.get_or_insert_with(|| ("host", "virtualbox".to_owned()));
    }
    let (role, kind) = known.kind.unwrap_or(("NA", "NA".to_owned()));
    json!({
        "virtualization_role": role,
        "virtualization_type": kind,
        "virtualization_tech_guest": known.guest,
        "virtualization_tech_host": known.host,
    })
}

fn containers(known: &mut Known, groups: &str, environment: &str, container: &str) {
    for line in groups.lines() {
        if line.contains("/docker/") || line.contains("/docker-") {
            known.guest("docker");
        }
        if line.contains("/lxc/") || line.contains("/machine.slice/machine-lxc") {
            known.guest("lxc");
        }
        if line.contains("/system.slice/containerd.service") {
            known.guest("containerd");
        }
    }
    for variable in environment.split('\0') {
        if variable.contains("container=lxc") {
            known.guest("lxc");
        }
        if variable.contains("container=podman") {
            known.guest("podman");
        }
        if variable.strip_prefix("container=").is_some_and(|kind| !kind.is_empty()) {
            known.guest("container");
        }
    }
    if !container.is_empty() {
        known.guest(container);
    }
}

/// Virtual machines, by what their firmware says.
fn machines(known: &mut Known, product: &str, vendor: &str, bios: &str) {
    let kind = match (product, vendor, bios) {
        ("KVM" | "KVM Server" | "Bochs" | "AHV", ..) => "kvm",
        (_, "oVirt", _) => "oVirt",
        (product, ..) if product.starts_with("VMware") => "VMware",
        ("OpenStack Compute" | "OpenStack Nova", ..) => "openstack",
        (_, _, "Xen") => "xen",
        (_, _, "innotek GmbH") => "virtualbox",
        (_, _, "Amazon EC2" | "DigitalOcean" | "Hetzner")
        | (_, "QEMU" | "Amazon EC2" | "DigitalOcean" | "Google" | "Scaleway" | "Nutanix", _) => "kvm",
        (_, "KubeVirt", _) => "KubeVirt",
        (_, "Microsoft Corporation", _) => "VirtualPC",
        (_, "Parallels Software International Inc.", _) => "parallels",
        (_, "OpenStack Foundation", _) => "openstack",
        _ => return,
    };
    known.guest(kind);
}
