//! What is known about a machine, named as Ansible's facts without `ansible_` in front. No program is run
//! for it but those that the machine's owner put there for it.

use std::collections::BTreeMap;
use std::fs;

use jiff::tz::Offset;
use jiff::{Timestamp, Zoned};
use serde_json::{Map, Value, json};

use crate::module::System;
use crate::module::hostname::whole;

mod local;
mod machine;
pub(super) mod mounts;
mod network;
pub mod subset;
mod virtualization;

/// Gathers them: names, distribution, firmware, processors, memory, mounts, addresses, account, environment, time.
pub fn gather(system: &System) -> Value {
    let read = |path: &str| fs::read_to_string(system.real(path)).unwrap_or_default();
    let release = assignments(&read("/etc/os-release"));
    let mut facts = Map::new();
    for part in [
        names(system),
        distribution(&release, read("/etc/debian_version").trim()),
        lsb(&release, &read("/etc/lsb-release"), system),
        machine::facts(system),
        mounts::facts(system),
        network::facts(system),
        virtualization::facts(system),
        account(system),
        time(&Zoned::now()),
        managers(system),
        keys(system),
        local::facts(system),
    ] {
        if let Value::Object(part) = part {
            facts.extend(part);
        }
    }
    facts.insert("env".to_owned(), json!(std::env::vars().collect::<BTreeMap<_, _>>()));
    facts.insert("machine_id".to_owned(), json!(read("/etc/machine-id").trim()));
    facts.insert("gather_subset".to_owned(), json!(["all"]));
    facts.insert("module_setup".to_owned(), json!(true));
    Value::Object(facts)
}

/// `NAME=value` lines, quotes taken off.
fn assignments(text: &str) -> BTreeMap<String, String> {
    let pairs = text.lines().filter_map(|line| line.trim().split_once('='));
    pairs.map(|(name, value)| (name.to_owned(), value.trim_matches(['"', '\'']).to_owned())).collect()
}

fn names(system: &System) -> Value {
    let machine = rustix::system::uname();
    let text = |bytes: &std::ffi::CStr| bytes.to_string_lossy().into_owned();
    let node = text(machine.nodename());
    let fqdn = whole(&node, system);
    json!({
        "hostname": node.split('.').next().unwrap_or_default(),
        "nodename": node,
        "domain": fqdn.split_once('.').map_or("", |(_, domain)| domain),
        "fqdn": fqdn,
        "system": text(machine.sysname()),
        "kernel": text(machine.release()),
        "kernel_version": text(machine.version()),
        "machine": text(machine.machine()),
        "architecture": text(machine.machine()),
        "userspace_bits": "64",
        "userspace_architecture": text(machine.machine()),
    })
}

fn distribution(release: &BTreeMap<String, String>, debian: &str) -> Value {
    let of = |name: &str| release.get(name).cloned().unwrap_or_default();
    let id = of("ID");
    let name = match id.as_str() {
        "debian" => "Debian".to_owned(),
        "ubuntu" => "Ubuntu".to_owned(),
        "fedora" => "Fedora".to_owned(),
        "alpine" => "Alpine".to_owned(),
        _ => of("NAME"),
    };
    // Debian's point release stands in a file of its own; a release under way has a name there.
    let point = id == "debian" && debian.starts_with(|first: char| first.is_ascii_digit());
    let version = if point { debian.to_owned() } else { of("VERSION_ID") };
    let major = version.split('.').next().unwrap_or_default().to_owned();
    let like = of("ID_LIKE");
    let family = match () {
        () if id == "debian" || like.split(' ').any(|it| it == "debian") => "Debian".to_owned(),
        () if id == "fedora" || like.split(' ').any(|it| it == "fedora" || it == "rhel") => "RedHat".to_owned(),
        () if like.split(' ').any(|it| it == "suse") => "Suse".to_owned(),
        () => name.clone(),
    };
    let codename = of("VERSION_CODENAME");
    let mut facts = json!({
        "distribution": name,
        "distribution_version": version,
        "distribution_major_version": major,
        "distribution_release": if codename.is_empty() { "NA".to_owned() } else { codename },
        "distribution_file_path": "/etc/os-release",
        "distribution_file_parsed": true,
        "distribution_file_variety": if id == "ubuntu" { "Debian" } else { &name },
        "os_family": family,
    });
    if let Some((_, minor)) = version.split_once('.').filter(|_| point) {
        facts["distribution_minor_version"] = json!(minor);
    }
    facts
}

/// What `lsb_release` says, where it is installed, or its file.
fn lsb(release: &BTreeMap<String, String>, file: &str, system: &System) -> Value {
    let file = assignments(file);
    let of = |name: &str| file.get(&format!("DISTRIB_{name}")).cloned().unwrap_or_default();
    let os = |name: &str| release.get(name).cloned().unwrap_or_default();
    let installed = system.real("/usr/bin/lsb_release").exists();
    let (id, version, description, codename) = match (installed, file.is_empty()) {
        (false, true) => return json!({ "lsb": {} }),
        (_, false) => (of("ID"), of("RELEASE"), of("DESCRIPTION"), of("CODENAME")),
        (true, true) => {
            let id = if os("ID") == "debian" { "Debian".to_owned() } else { os("NAME") };
            (id, os("VERSION_ID"), os("PRETTY_NAME"), os("VERSION_CODENAME"))
        }
    };
    let major = version.split('.').next().unwrap_or_default().to_owned();
    json!({ "lsb": { "id": id, "release": version, "major_release": major, "description": description,
        "codename": codename } })
}

fn account(system: &System) -> Value {
    let uid = rustix::process::geteuid().as_raw();
    let account = system.accounts().into_iter().find(|it| it.uid == uid);
    let Some(account) = account else {
        return json!({ "user_id": uid.to_string(), "user_uid": uid, "effective_user_id": uid });
    };
    json!({
        "user_id": account.name,
        "user_uid": account.uid,
        "user_gid": account.gid,
        "user_gecos": account.comment,
        "user_dir": account.home,
        "user_shell": account.shell,
        "real_user_id": rustix::process::getuid().as_raw(),
        "effective_user_id": uid,
        "real_group_id": rustix::process::getgid().as_raw(),
        "effective_group_id": rustix::process::getegid().as_raw(),
    })
}

fn time(now: &Zoned) -> Value {
    let utc = now.timestamp().to_zoned(jiff::tz::TimeZone::UTC);
    let local = |format: &str| now.strftime(format).to_string();
    let world = |format: &str| utc.strftime(format).to_string();
    let epoch = now.timestamp().as_second().to_string();
    let summer = now.time_zone().to_offset_info(now.timestamp()).dst().is_dst();
    let dst = if summer { local("%Z") } else { other_name(now) };
    let standard = if summer { other_name(now) } else { local("%Z") };
    json!({ "date_time": {
        "year": local("%Y"), "month": local("%m"), "day": local("%d"), "hour": local("%H"), "minute": local("%M"),
        "second": local("%S"), "date": local("%Y-%m-%d"), "time": local("%H:%M:%S"), "weekday": local("%A"),
        "weekday_number": local("%w"), "weeknumber": local("%W"), "epoch": epoch, "epoch_int": epoch,
        "iso8601": world("%Y-%m-%dT%H:%M:%SZ"), "iso8601_micro": world("%Y-%m-%dT%H:%M:%S.%6fZ"),
        "iso8601_basic": local("%Y%m%dT%H%M%S%6f"), "iso8601_basic_short": local("%Y%m%dT%H%M%S"),
        "tz": if summer { standard.clone() } else { local("%Z") }, "tz_dst": dst, "tz_offset": local("%z"),
    } })
}

/// What the zone calls the other half of the year; the same where there is none.
fn other_name(now: &Zoned) -> String {
    let here = now.time_zone().to_offset_info(now.timestamp());
    let half = [91, 182, 273].map(|days| Timestamp::from_second(now.timestamp().as_second() + days * 86_400));
    let other = half.into_iter().flatten().find(|then| {
        let there: Offset = now.time_zone().to_offset(*then);
        there != here.offset()
    });
    let then = other.unwrap_or_else(|| now.timestamp());
    then.to_zoned(now.time_zone().clone()).strftime("%Z").to_string()
}

/// The machine's own keys for SSH.
fn keys(system: &System) -> Value {
    let mut facts = Map::new();
    for kind in ["dsa", "rsa", "ecdsa", "ed25519"] {
        let folders = ["/etc/ssh", "/etc/openssh", "/etc"];
        let file = |folder| fs::read_to_string(system.real(&format!("{folder}/ssh_host_{kind}_key.pub"))).ok();
        let Some(text) = folders.into_iter().find_map(file) else { continue };
        if let [name, key, ..] = text.split_whitespace().collect::<Vec<_>>()[..] {
            facts.insert(format!("ssh_host_key_{kind}_public"), json!(key));
            facts.insert(format!("ssh_host_key_{kind}_public_keytype"), json!(name));
        }
    }
    Value::Object(facts)
}

fn managers(system: &System) -> Value {
    let is_there = |path: &str| system.real(path).exists();
    let packages = match () {
        () if is_there("/usr/bin/apt-get") => "apt",
        () if is_there("/usr/bin/dnf") => "dnf",
        () if is_there("/sbin/apk") => "apk",
        () => "unknown",
    };
    let first = fs::read_to_string(system.real("/proc/1/comm")).unwrap_or_default();
    let services = match first.trim() {
        "systemd" => "systemd",
        _ if is_there("/run/systemd/system") => "systemd",
        "init" => "sysvinit",
        _ => "service",
    };
    let fips = fs::read_to_string(system.real("/proc/sys/crypto/fips_enabled")).unwrap_or_default();
    json!({
        "pkg_mgr": packages,
        "service_mgr": services,
        "fips": fips.trim() == "1",
        "selinux": { "status": "disabled" },
        "selinux_python_present": true,
        "apparmor": { "status": if is_there("/sys/kernel/security/apparmor") { "enabled" } else { "disabled" } },
        "is_chroot": is_there("/debian_chroot"),
    })
}
