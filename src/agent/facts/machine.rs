//! The machine itself: firmware, processors, memory, how it was started and how long ago.

use std::collections::BTreeSet;
use std::fs;

use serde_json::{Map, Value, json};

use crate::module::System;

pub(super) fn facts(system: &System) -> Value {
    let read = |path: &str| fs::read_to_string(system.real(path)).unwrap_or_default();
    let mut facts = firmware(system);
    let line = read("/proc/cmdline");
    facts.insert("cmdline".to_owned(), command_line(&line, Again::Last));
    facts.insert("proc_cmdline".to_owned(), command_line(&line, Again::All));
    facts.insert("dns".to_owned(), resolver(&read("/etc/resolv.conf")));
    for part in [processors(&read("/proc/cpuinfo")), memory(&read("/proc/meminfo")), load(&read("/proc/loadavg"))] {
        if let Value::Object(part) = part {
            facts.extend(part);
        }
    }
    let uptime = read("/proc/uptime").split('.').next().and_then(|seconds| seconds.parse::<u64>().ok());
    facts.extend(uptime.map(|seconds| ("uptime_seconds".to_owned(), json!(seconds))));
    Value::Object(facts)
}

/// Facts of the firmware and their files.
const FIRMWARE: &[(&str, &str)] = &[
    ("bios_date", "bios_date"),
    ("bios_vendor", "bios_vendor"),
    ("bios_version", "bios_version"),
    ("board_asset_tag", "board_asset_tag"),
    ("board_name", "board_name"),
    ("board_serial", "board_serial"),
    ("board_vendor", "board_vendor"),
    ("board_version", "board_version"),
    ("chassis_asset_tag", "chassis_asset_tag"),
    ("chassis_serial", "chassis_serial"),
    ("chassis_vendor", "chassis_vendor"),
    ("chassis_version", "chassis_version"),
    ("product_name", "product_name"),
    ("product_serial", "product_serial"),
    ("product_uuid", "product_uuid"),
    ("product_version", "product_version"),
    ("system_vendor", "sys_vendor"),
];

/// Kinds of cases, by the number that the firmware gives them.
const FORMS: &[&str] = &[
    "Unknown",
    "Other",
    "Unknown",
    "Desktop",
    "Low Profile Desktop",
    "Pizza Box",
    "Mini Tower",
    "Tower",
    "Portable",
    "Laptop",
    "Notebook",
    "Hand Held",
    "Docking Station",
    "All In One",
    "Sub Notebook",
    "Space-saving",
    "Lunch Box",
    "Main Server Chassis",
    "Expansion Chassis",
    "Sub Chassis",
    "Bus Expansion Chassis",
    "Peripheral Chassis",
    "RAID Chassis",
    "Rack Mount Chassis",
    "Sealed-case PC",
    "Multi-system",
    "CompactPCI",
    "AdvancedTCA",
    "Blade",
    "Blade Enclosure",
    "Tablet",
    "Convertible",
    "Detachable",
    "IoT Gateway",
    "Embedded PC",
    "Mini PC",
    "Stick PC",
];

fn firmware(system: &System) -> Map<String, Value> {
    let text = |file: &str| {
        let text = fs::read_to_string(system.real(&format!("/sys/devices/virtual/dmi/id/{file}"))).ok()?;
        Some(text.trim().to_owned()).filter(|text| !text.is_empty())
    };
    let value = |file: &str| text(file).unwrap_or_else(|| "NA".to_owned());
    let mut facts = FIRMWARE.iter().map(|(name, file)| ((*name).to_owned(), json!(value(file)))).collect::<Map<_, _>>();
    let form = text("chassis_type").map(|number| {
        let known = number.parse::<usize>().ok().and_then(|number| FORMS.get(number));
        known.map_or_else(|| format!("unknown ({number})"), |form| (*form).to_owned())
    });
    facts.insert("form_factor".to_owned(), json!(form.unwrap_or_else(|| "NA".to_owned())));
    facts
}

/// What a word that comes again leaves behind.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Again {
    /// The last one.
    Last,
    /// All of them, in a list.
    All,
}

fn command_line(line: &str, again: Again) -> Value {
    let mut words: Map<String, Value> = Map::new();
    for word in line.split_whitespace() {
        let (name, value) = match word.split_once('=') {
            Some((name, value)) => (name, json!(value)),
            None => (word, json!(true)),
        };
        match words.get_mut(name).filter(|_| again == Again::All) {
            Some(Value::Array(known)) => known.push(value),
            Some(known) => *known = json!([known.take(), value]),
            None => drop(words.insert(name.to_owned(), value)),
        }
    }
    Value::Object(words)
}

fn resolver(text: &str) -> Value {
    let mut facts = Map::new();
    for line in text.lines().filter(|line| !line.starts_with(['#', ';'])) {
        let words = line.split_whitespace().collect::<Vec<_>>();
        let [name, rest @ ..] = &words[..] else { continue };
        match *name {
            "nameserver" => {
                let list = facts.entry("nameservers").or_insert_with(|| json!([]));
                list.as_array_mut().into_iter().for_each(|list| list.extend(rest.iter().map(|it| json!(it))));
            }
            "domain" => drop(rest.first().map(|domain| facts.insert("domain".to_owned(), json!(domain)))),
            "search" | "sortlist" => drop(facts.insert((*name).to_owned(), json!(rest))),
            "options" => {
                let option = |word: &&str| match word.split_once(':') {
                    Some((name, value)) => (name.to_owned(), json!(value)),
                    None => ((*word).to_owned(), json!(true)),
                };
                let options = rest.iter().map(option).collect::<Map<_, _>>();
                facts.insert("options".to_owned(), Value::Object(options));
            }
            _ => {}
        }
    }
    Value::Object(facts)
}

fn processors(cpuinfo: &str) -> Value {
    let pairs = || cpuinfo.lines().filter_map(|line| line.split_once(':'));
    let values = |wanted: &'static str| {
        pairs().filter(move |(name, _)| name.trim() == wanted).map(|(_, it)| it.trim().to_owned())
    };
    let count = values("processor").count().max(1);
    let sockets = values("physical id").collect::<BTreeSet<_>>().len().max(1);
    let cores = values("cpu cores").find_map(|cores| cores.parse::<usize>().ok()).unwrap_or(1);
    let siblings = values("siblings").find_map(|threads| threads.parse::<usize>().ok()).unwrap_or(cores);
    let threads = (siblings / cores.max(1)).max(1);
    let shown = ["processor", "vendor_id", "model name", "Processor", "cpu", "Vendor", "uarch"];
    let named = pairs().filter(|(name, _)| shown.contains(&name.trim())).map(|(_, value)| value.trim());
    json!({
        "processor": named.collect::<Vec<_>>(),
        "processor_count": sockets,
        "processor_cores": cores,
        "processor_threads_per_core": threads,
        "processor_vcpus": threads * sockets * cores,
        "processor_nproc": std::thread::available_parallelism().map_or(count, std::num::NonZero::get),
    })
}

fn memory(meminfo: &str) -> Value {
    let megabytes = |wanted: &str| {
        let value = meminfo.lines().filter_map(|line| line.split_once(':')).find(|(name, _)| *name == wanted);
        let kilobytes = value.and_then(|(_, value)| value.split_whitespace().next()?.parse::<u64>().ok());
        kilobytes.unwrap_or(0) / 1024
    };
    let (total, free) = (megabytes("MemTotal"), megabytes("MemFree"));
    let (swap, swap_free) = (megabytes("SwapTotal"), megabytes("SwapFree"));
    let reusable = free + megabytes("Cached") + megabytes("Buffers");
    json!({
        "memtotal_mb": total,
        "memfree_mb": free,
        "swaptotal_mb": swap,
        "swapfree_mb": swap_free,
        "memory_mb": {
            "real": { "total": total, "used": total.saturating_sub(free), "free": free },
            "nocache": { "free": reusable, "used": total.saturating_sub(reusable) },
            "swap": { "total": swap, "free": swap_free, "used": swap.saturating_sub(swap_free),
                "cached": megabytes("SwapCached") },
        },
    })
}

fn load(text: &str) -> Value {
    let numbers = text.split_whitespace().take(3).map(|word| word.parse::<f64>().unwrap_or(0.0)).collect::<Vec<_>>();
    match numbers[..] {
        [one, five, fifteen] => json!({ "loadavg": { "1m": one, "5m": five, "15m": fifteen } }),
        _ => json!({}),
    }
}
