//! Which facts a task asks for: `gather_subset` and `filter`.

use serde_json::{Map, Value};

use crate::agent::facts::network::fact;
use crate::module::command::matches;

/// Facts of firmware, processors, memory and disks begin with these.
const HARDWARE: &[&str] = &[
    "bios_",
    "board_",
    "chassis_",
    "devices",
    "device_links",
    "form_factor",
    "memfree_mb",
    "memory_mb",
    "memtotal_mb",
    "mounts",
    "processor",
    "product_",
    "swapfree_mb",
    "swaptotal_mb",
    "system_vendor",
    "uptime_seconds",
];

/// Facts of networks begin with these, beside those named as interfaces.
const NETWORK: &[&str] =
    &["all_ipv4", "all_ipv6", "default_ipv4", "default_ipv6", "interfaces", "locally_reachable_ips"];

/// What facts are about.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Hardware,
    Network,
    Virtual,
    Least,
}

fn part(name: &str, facts: &Map<String, Value>) -> Part {
    let begins = |list: &[&str]| list.iter().any(|start| name.starts_with(start));
    let interface = || {
        let names = facts.get("interfaces").and_then(Value::as_array).into_iter().flatten();
        names.filter_map(Value::as_str).any(|it| fact(it) == name)
    };
    match () {
        () if begins(HARDWARE) => Part::Hardware,
        () if begins(NETWORK) || interface() => Part::Network,
        () if name.starts_with("virtualization_") => Part::Virtual,
        () => Part::Least,
    }
}

/// The facts that are asked for.
///
/// - `subsets`: `all`, `min`, `hardware`, `network`, `virtual`, or the name of one fact's part; `!` takes out. All if
///   empty.
/// - `filters`: patterns of names, with or without `ansible_`. All if empty.
pub fn asked(facts: &Map<String, Value>, subsets: &[String], filters: &[String]) -> Map<String, Value> {
    let has = |word: &str| subsets.iter().any(|subset| subset == word);
    let only = subsets.iter().any(|subset| !subset.starts_with('!'));
    let wanted = |name: &str| {
        let (part, word) = match part(name, facts) {
            Part::Hardware => (Part::Hardware, "hardware"),
            Part::Network => (Part::Network, "network"),
            Part::Virtual => (Part::Virtual, "virtual"),
            Part::Least => (Part::Least, "min"),
        };
        if has(&format!("!{word}")) {
            return false;
        }
        if part == Part::Least {
            return true;
        }
        has(word) || has("all") || (!only && !has("!all"))
    };
    let named = |name: &str| {
        let whole = format!("ansible_{name}");
        filters.is_empty() || filters.iter().any(|filter| matches(&whole, filter) || matches(name, filter))
    };
    let kept = facts.iter().filter(|(name, _)| wanted(name) && named(name));
    kept.map(|(name, value)| (name.clone(), value.clone())).collect()
}
