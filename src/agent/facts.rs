//! What is known about a machine, named as Ansible's facts without `ansible_` in front. No program is run for it.

use std::collections::BTreeMap;
use std::fs;
use std::time::SystemTime;

use serde_json::{Map, Value, json};

use crate::module::System;
use crate::module::clock::{self, Moment};

mod network;

/// Gathers them: names, distribution, processors, memory, addresses, account, environment, time.
pub fn gather(system: &System) -> Value {
    let read = |path: &str| fs::read_to_string(system.real(path)).unwrap_or_default();
    let release = assignments(&read("/etc/os-release"));
    let mut facts = Map::new();
    for part in [
        names(&read("/etc/hosts")),
        distribution(&release, read("/etc/debian_version").trim()),
        processors(&read("/proc/cpuinfo")),
        memory(&read("/proc/meminfo")),
        network::facts(system),
        account(system),
        time(),
        managers(system),
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

fn names(hosts: &str) -> Value {
    let machine = rustix::system::uname();
    let text = |bytes: &std::ffi::CStr| bytes.to_string_lossy().into_owned();
    let node = text(machine.nodename());
    let known = hosts.lines().filter(|line| !line.trim_start().starts_with('#')).find_map(|line| {
        let names = line.split_whitespace().skip(1).collect::<Vec<_>>();
        let whole = names.iter().find(|name| name.starts_with(&format!("{node}.")));
        names.contains(&node.as_str()).then(|| whole.map(|name| (*name).to_owned())).flatten()
    });
    let fqdn = if node.contains('.') { node.clone() } else { known.unwrap_or_else(|| node.clone()) };
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
    json!({
        "lsb": { "codename": codename, "id": name, "release": version, "major_release": major,
            "description": of("PRETTY_NAME") },
        "distribution": name,
        "distribution_version": version,
        "distribution_major_version": major,
        "distribution_release": if codename.is_empty() { "NA".to_owned() } else { codename },
        "distribution_file_path": "/etc/os-release",
        "distribution_file_parsed": true,
        "os_family": family,
    })
}

fn processors(cpuinfo: &str) -> Value {
    let values = |wanted: &'static str| {
        let pairs = cpuinfo.lines().filter_map(|line| line.split_once(':'));
        pairs.filter(move |(name, _)| name.trim() == wanted).map(|(_, value)| value.trim().to_owned())
    };
    let count = values("processor").count().max(1);
    let sockets = values("physical id").collect::<std::collections::BTreeSet<_>>().len().max(1);
    let cores = values("cpu cores").find_map(|cores| cores.parse::<usize>().ok()).unwrap_or(1);
    let threads = (count / (sockets * cores)).max(1);
    json!({
        "processor": values("model name").collect::<Vec<_>>(),
        "processor_count": sockets,
        "processor_cores": cores,
        "processor_threads_per_core": threads,
        "processor_vcpus": count,
        "processor_nproc": std::thread::available_parallelism().map_or(count, std::num::NonZero::get),
    })
}

fn memory(meminfo: &str) -> Value {
    let megabytes = |wanted: &str| {
        let value = meminfo.lines().filter_map(|line| line.split_once(':')).find(|(name, _)| *name == wanted);
        let kilobytes = value.and_then(|(_, value)| value.split_whitespace().next()?.parse::<u64>().ok());
        kilobytes.unwrap_or(0) / 1024
    };
    json!({
        "memtotal_mb": megabytes("MemTotal"),
        "memfree_mb": megabytes("MemFree"),
        "swaptotal_mb": megabytes("SwapTotal"),
        "swapfree_mb": megabytes("SwapFree"),
    })
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

fn time() -> Value {
    let now = SystemTime::now();
    let Moment { year, month, day, hour, minute, second, microsecond } = clock::moment(now);
    let epoch = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
    let weekdays = ["Thursday", "Friday", "Saturday", "Sunday", "Monday", "Tuesday", "Wednesday"];
    let weekday = usize::try_from(epoch / 86_400 % 7).unwrap_or(0);
    let date = format!("{year:04}-{month:02}-{day:02}");
    let clock = format!("{hour:02}:{minute:02}:{second:02}");
    json!({ "date_time": {
        "year": format!("{year:04}"), "month": format!("{month:02}"), "day": format!("{day:02}"),
        "hour": format!("{hour:02}"), "minute": format!("{minute:02}"), "second": format!("{second:02}"),
        "date": date, "time": clock, "weekday": weekdays[weekday], "weekday_number": (weekday + 4) % 7,
        "epoch": epoch.to_string(), "epoch_int": epoch.to_string(),
        "iso8601": format!("{date}T{clock}Z"), "iso8601_micro": format!("{date}T{clock}.{microsecond:06}Z"),
        "iso8601_basic_short": format!("{year:04}{month:02}{day:02}T{hour:02}{minute:02}{second:02}"),
        "tz": "UTC", "tz_offset": "+0000",
    } })
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
    let container = fs::read_to_string(system.real("/run/systemd/container")).unwrap_or_default();
    let mut facts = json!({ "pkg_mgr": packages, "service_mgr": services });
    if !container.trim().is_empty() {
        facts["virtualization_type"] = json!(container.trim());
        facts["virtualization_role"] = json!("guest");
    }
    facts
}
