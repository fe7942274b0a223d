//! Filters of addresses and networks, those of the collection ansible.utils.
//!
//! Source: ansible.utils 2.12, `plugins/filter`.

use crate::playbook::jinja::address::{self, Network, Version};
use crate::playbook::jinja::arguments::{Arguments, text};
use crate::playbook::jinja::filters::queries::{Asked, number};
use crate::playbook::jinja::filters::{Trouble, hardware};
use crate::playbook::jinja::value::Value;

/// Their names.
pub const NAMES: &[&str] = &[
    "cidr_merge",
    "hwaddr",
    "ip4_hex",
    "ipaddr",
    "ipmath",
    "ipsubnet",
    "ipv4",
    "ipv6",
    "ipwrap",
    "macaddr",
    "network_in_network",
    "network_in_usable",
    "next_nth_usable",
    "nthhost",
    "previous_nth_usable",
    "reduce_on_network",
];

/// Applies one.
pub fn apply(name: &str, input: &Value, args: Arguments) -> Result<Value, Trouble> {
    match name {
        "ipaddr" => {
            let [query, version, alias] = args.bind(["query", "version", "alias"])?;
            let _ = alias;
            let version = match version.map(|version| version.to_string()).as_deref() {
                None | Some("None" | "0" | "False") => None,
                Some("4") => Some(Version::Four),
                Some("6") => Some(Version::Six),
                Some(other) => return Err(format!("knows the versions 4 and 6, got {other}").into()),
            };
            of_addresses(input, &text(query, ""), version)
        }
        "ipv4" | "ipv6" => {
            let [query] = args.bind(["query"])?;
            let version = if name == "ipv4" { Version::Four } else { Version::Six };
            of_addresses(input, &text(query, ""), Some(version))
        }
        "ipwrap" => {
            let [] = args.bind([])?;
            wrapped(input)
        }
        "hwaddr" => {
            let [query, alias] = args.bind(["query", "alias"])?;
            let _ = alias;
            hardware::apply(&input.to_string(), &text(query, ""))
        }
        "macaddr" => {
            let [query] = args.bind(["query"])?;
            hardware::apply(&input.to_string(), &text(query, ""))
        }
        "cidr_merge" => {
            let [action] = args.bind(["action"])?;
            merged(input, &text(action, "merge"))
        }
        "reduce_on_network" => {
            let [network] = args.bind(["network"])?;
            let network = normal(&text(network, ""));
            let kept = list(input)?.into_iter().filter(|item| is_within(ends(network), &item.to_string()));
            Ok(Value::list(kept.collect()))
        }
        "network_in_network" | "network_in_usable" => {
            let [test] = args.bind(["test"])?;
            let network = normal(&input.to_string());
            let usable = network.and_then(Network::usable).filter(|_| name == "network_in_usable");
            Ok(Value::Bool(is_within(usable.unwrap_or_else(|| ends(network)), &text(test, "None"))))
        }
        "ip4_hex" => {
            let [delimiter] = args.bind(["delimiter"])?;
            let named = input.to_string();
            let value = Version::Four.read(&named).and_then(|value| u32::try_from(value).ok());
            let bytes = value.ok_or_else(|| no_address(&named))?.to_be_bytes();
            Ok(Value::text(bytes.map(|byte| format!("{byte:02x}")).join(&text(delimiter, ""))))
        }
        _ => of_numbers(name, &input.to_string(), args),
    }
}

/// Filters that reckon with an address.
fn of_numbers(name: &str, input: &str, args: Arguments) -> Result<Value, Trouble> {
    match name {
        "ipmath" => {
            let [amount] = args.bind(["amount"])?;
            let address = Network::read(input).filter(|it| input.contains('/') || it.version.read(input).is_some());
            let it = address.ok_or_else(|| no_address(input))?;
            let value = moved(it.value, integer(amount)?).filter(|value| *value <= it.version.most());
            Ok(Value::text(it.version.write(value.ok_or("leaves the addresses that there are")?)))
        }
        "nthhost" => {
            let [query] = args.bind(["query"])?;
            let query = text(query, "");
            let (Some(it), Some(index)) = (normal(input), address::whole::<i128>(&query)) else {
                return Ok(Value::Bool(false));
            };
            match it.at(index) {
                Some(value) => Ok(Value::text(it.version.write(value))),
                None if index < 0 => Err(format!("got {index}, and `{it}` has {} addresses", it.size()).into()),
                None => Ok(Value::Bool(false)),
            }
        }
        "next_nth_usable" | "previous_nth_usable" => {
            let [offset] = args.bind(["offset"])?;
            let Some(asked) = Asked::read(&Value::text(input), None) else { return Ok(Value::Bool(false)) };
            let offset = integer(offset)?;
            let it = asked.network;
            let value = moved(it.value, if name == "next_nth_usable" { offset } else { -offset });
            let found = it.usable().zip(value).filter(|((first, last), value)| (first..=last).contains(&value));
            Ok(found.map_or(Value::None, |(_, value)| Value::text(it.version.write(value))))
        }
        _ => {
            let [query, index] = args.bind(["query", "index"])?;
            subnet(input, &text(query, ""), index)
        }
    }
}

fn no_address(input: &str) -> String {
    format!("needs an address, got `{input}`")
}

fn integer(value: Option<Value>) -> Result<i128, Trouble> {
    let written = value.map(|value| value.to_string()).unwrap_or_default();
    address::whole(&written).ok_or_else(|| format!("needs a whole number, got `{written}`").into())
}

fn moved(value: u128, by: i128) -> Option<u128> {
    value.checked_add_signed(by)
}

fn list(input: &Value) -> Result<Vec<Value>, Trouble> {
    match (input, input.as_list()) {
        (_, Some(items)) => Ok(items.to_vec()),
        (Value::Str(text), None) => Ok(text.split(',').map(Value::text).collect()),
        (Value::Int(_) | Value::Float(_), None) => Ok(vec![Value::text(input.to_string())]),
        _ => Err(format!("needs a list, got {}", input.kind()).into()),
    }
}

/// Asks about one address or about each of a list; of a list only those with an answer are kept.
fn of_addresses(input: &Value, query: &str, version: Option<Version>) -> Result<Value, Trouble> {
    match input {
        Value::List(_) | Value::Str(_) | Value::Int(_) | Value::Bool(_) => asked(input, query, version),
        other => Err(format!("needs an address or a list of them, got {}", other.kind()).into()),
    }
}

fn asked(input: &Value, query: &str, version: Option<Version>) -> Result<Value, Trouble> {
    if let Some(items) = input.as_list() {
        let answers = items.iter().map(|item| asked(item, query, version)).collect::<Result<Vec<_>, _>>()?;
        return Ok(Value::list(answers.into_iter().filter(Value::truth).collect()));
    }
    match Asked::read(input, version) {
        Some(asked) if version.is_none_or(|version| version == asked.network.version) => asked.answer(query),
        _ => Ok(Value::Bool(false)),
    }
}

/// Puts brackets around addresses of IPv6; everything else stays.
fn wrapped(input: &Value) -> Result<Value, Trouble> {
    match input {
        Value::List(items) => {
            let wrap = |item: &Value| asked(item, "wrap", None).map(|it| if it.truth() { it } else { item.clone() });
            Ok(Value::list(items.iter().map(wrap).collect::<Result<_, _>>()?))
        }
        Value::Str(_) | Value::Bool(_) => match Asked::read(input, None) {
            Some(it) => asked(&it.answer("")?, "wrap", None),
            None => Ok(input.clone()),
        },
        other => Err(format!("needs an address or a list of them, got {}", other.kind()).into()),
    }
}

/// The network of an address or network.
fn normal(input: &str) -> Option<Network> {
    Some(Asked::read(&Value::text(input), None)?.network.network())
}

/// The first and last address of a network; of two addresses the first counts twice.
fn ends(network: Option<Network>) -> (u128, u128) {
    network.map_or((0, 0), |it| (it.first(), it.broadcast().unwrap_or_else(|| it.first())))
}

fn is_within((first, last): (u128, u128), test: &str) -> bool {
    let (from, to) = ends(normal(test));
    (first..=last).contains(&from) && (first..=last).contains(&to)
}

/// Merges networks, or finds the one that holds them all.
fn merged(input: &Value, action: &str) -> Result<Value, Trouble> {
    let read = |item: &Value| {
        let written = item.to_string();
        Network::read(&written).ok_or_else(|| Trouble::Refused(format!("needs networks, got `{written}`")))
    };
    let networks = list(input)?.iter().map(read).collect::<Result<Vec<_>, _>>()?;
    match (action, networks.as_slice()) {
        ("merge", networks) => Ok(Value::list(merge(networks).iter().map(|it| Value::text(it.to_string())).collect())),
        ("span", []) => Ok(Value::None),
        ("span", [one]) => Ok(Value::text(one.to_string())),
        ("span", networks) => {
            let span = address::spanning(networks).ok_or("cannot span IPv4 and IPv6 together")?;
            Ok(Value::text(span.to_string()))
        }
        _ => Err(format!("knows `merge` and `span`, got `{action}`").into()),
    }
}

/// Networks that touch become as few as can be; the others stay as they are.
fn merge(networks: &[Network]) -> Vec<Network> {
    /// Addresses beside each other, and the network if there is only one.
    type Range = (Version, u128, u128, Option<Network>);
    let mut ranges: Vec<Range> = networks.iter().map(|it| (it.version, it.last(), it.first(), Some(*it))).collect();
    ranges.sort_by_key(|(version, last, first, it)| (*version, *last, *first, it.map(|it| (it.prefix, it.value))));
    let mut done: Vec<Range> = vec![];
    for (version, last, first, network) in ranges.into_iter().rev() {
        match done.last_mut() {
            Some(next) if next.0 == version && next.2.saturating_sub(1) <= last => {
                *next = (version, next.1, next.2.min(first), None);
            }
            _ => done.push((version, last, first, network)),
        }
    }
    let whole = |(version, last, first, network): Range| match network {
        Some(network) => vec![network],
        None => address::covering(version, first, last),
    };
    done.into_iter().rev().flat_map(whole).collect()
}

/// A part of a network, the number of its parts, or the place of a network among the parts of another one.
fn subnet(input: &str, query: &str, index: Option<Value>) -> Result<Value, Trouble> {
    let Some(it) = Asked::read(&Value::text(input), None).map(|asked| asked.network.network()) else {
        return Ok(Value::Bool(false));
    };
    if query.is_empty() {
        return Ok(Value::text(it.to_string()));
    }
    if !query.bytes().all(|c| c.is_ascii_digit()) {
        return place(it, query);
    }
    let Some(prefix) = query.parse::<u32>().ok().filter(|prefix| *prefix <= it.version.width()) else {
        return Ok(Value::Bool(false));
    };
    let index = match index {
        Some(Value::None) | None => None,
        given => Some(integer(given)?),
    };
    if it.bits() == 0 { around(it, prefix, index) } else { part(it, prefix, index) }
}

/// A network around an address, the widest first.
fn around(it: Network, prefix: u32, index: Option<i128>) -> Result<Value, Trouble> {
    let width = i128::from(it.version.width());
    let count = width - i128::from(prefix);
    let at = match index {
        None => 0,
        Some(index) if index > width + 1 - index || index < -count => return Ok(Value::Bool(false)),
        Some(index) if index < 0 => count + index,
        Some(index) => index,
    };
    let prefix = u32::try_from(at).ok().filter(|_| at < count).map(|at| prefix + at);
    let prefix = prefix.ok_or_else(|| format!("got {at}, and there are {count} such networks around `{it}`"))?;
    Ok(Value::text(Network { prefix, ..it }.network().to_string()))
}

/// A part of a network, or how many there are.
fn part(it: Network, prefix: u32, index: Option<i128>) -> Result<Value, Trouble> {
    let bits = prefix.checked_sub(it.prefix);
    let Some(index) = index else {
        let bits = bits.ok_or_else(|| format!("cannot cut `{it}` into networks of {prefix} bits"))?;
        let parts = Network { version: Version::Six, value: 0, prefix: 128 - bits };
        return Ok(Value::text(parts.size()));
    };
    // Of parts that are larger than the whole there is one.
    let parts = Network { version: Version::Six, value: 0, prefix: 128 - bits.unwrap_or(0) };
    let Some(at) = parts.at(index).filter(|_| bits.is_some() || index == 0) else { return Ok(Value::Bool(false)) };
    let shift = it.version.width() - prefix;
    let value = it.first() + at.checked_shl(shift).unwrap_or(0);
    Ok(Value::text(Network { value, prefix, ..it }.to_string()))
}

/// The place of a network among the parts of another one, from 1.
fn place(it: Network, query: &str) -> Result<Value, Trouble> {
    let other = Asked::read(&Value::text(query), None).map(|asked| asked.network);
    let other = other.ok_or_else(|| format!("needs an address or a network, got `{query}`"))?;
    if !other.network().holds(it) {
        return Err(format!("needs a network that `{it}` is in, got `{other}`").into());
    }
    let number_of = it.first() - other.first();
    Ok(Value::text(number(number_of.checked_shr(it.bits()).unwrap_or(0) + 1).to_string()))
}
