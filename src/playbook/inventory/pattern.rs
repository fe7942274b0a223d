//! Patterns of hosts: `all`, `web`, `web:db`, `web,db`, `!old`, `&staging`, `web*`, `~web\d+`, `web[0]`.

use fancy_regex::Regex;

use crate::playbook::inventory::{Inventory, is_this_computer};

/// Returns the hosts that `pattern` means, in the order of the inventory.
pub fn select(inventory: &Inventory, pattern: &str) -> Result<Vec<String>, String> {
    let mut chosen: Vec<String> = vec![];
    let parts = split(pattern);
    // What takes away counts after what adds, wherever it stands.
    let order = |part: &&String| match part.chars().next() {
        Some('&') => 1,
        Some('!') => 2,
        _ => 0,
    };
    let mut sorted: Vec<&String> = parts.iter().collect();
    sorted.sort_by_key(order);
    if sorted.first().is_some_and(|part| part.starts_with(['!', '&'])) {
        chosen = inventory.members("all");
    }
    for part in sorted {
        if let Some(rest) = part.strip_prefix('!') {
            let out = one(inventory, rest)?;
            chosen.retain(|host| !out.contains(host));
        } else if let Some(rest) = part.strip_prefix('&') {
            let kept = one(inventory, rest)?;
            chosen.retain(|host| kept.contains(host));
        } else {
            for host in one(inventory, part)? {
                if !chosen.contains(&host) {
                    chosen.push(host);
                }
            }
        }
    }
    Ok(chosen)
}

/// Splits at commas, or at colons where no part is an IPv6 address or has a range.
fn split(pattern: &str) -> Vec<String> {
    let trimmed = |parts: Vec<&str>| {
        parts.into_iter().map(|part| part.trim().to_owned()).filter(|part| !part.is_empty()).collect::<Vec<_>>()
    };
    if pattern.contains(',') {
        return trimmed(pattern.split(',').collect()).iter().flat_map(|part| split(part)).collect();
    }
    if pattern.parse::<std::net::Ipv6Addr>().is_ok() || pattern.starts_with('~') {
        return vec![pattern.trim().to_owned()];
    }
    let mut depth = 0_usize;
    let parts = pattern
        .split(|c: char| {
            match c {
                '[' => depth += 1,
                ']' => depth = depth.saturating_sub(1),
                _ => {}
            }
            c == ':' && depth == 0
        })
        .collect();
    trimmed(parts)
}

fn one(inventory: &Inventory, pattern: &str) -> Result<Vec<String>, String> {
    let (name, picked) = subscript(pattern);
    let hosts = if name == "all" || name == "*" {
        inventory.members("all")
    } else if inventory.groups.contains_key(name) || name == "ungrouped" {
        inventory.members(name)
    } else if inventory.own_vars(name).is_some() {
        vec![name.to_owned()]
    } else if let Some(expression) = name.strip_prefix('~') {
        let regex =
            Regex::new(&format!("^(?:{expression})")).map_err(|error| format!("`{pattern}` is no pattern: {error}"))?;
        matching(inventory, &|text| regex.is_match(text).unwrap_or(false))
    } else if name.contains(['*', '?', '[']) {
        let regex = Regex::new(&glob(name)).map_err(|error| format!("`{pattern}` is no pattern: {error}"))?;
        matching(inventory, &|text| regex.is_match(text).unwrap_or(false))
    } else if is_this_computer(name) {
        vec![name.to_owned()]
    } else {
        vec![]
    };
    Ok(match picked {
        Some((first, last)) => {
            let place = |index: i64| {
                let length = i64::try_from(hosts.len()).unwrap_or(i64::MAX);
                usize::try_from(if index < 0 { index + length } else { index }).unwrap_or(usize::MAX)
            };
            let (first, last) = (place(first), place(last));
            hosts.into_iter().enumerate().filter(|(at, _)| (first..=last).contains(at)).map(|(_, host)| host).collect()
        }
        None => hosts,
    })
}

/// Hosts whose name, or the name of one of whose groups, matches.
fn matching(inventory: &Inventory, test: &dyn Fn(&str) -> bool) -> Vec<String> {
    let hosts = inventory.hosts.iter().map(|(name, _)| name.clone());
    hosts.filter(|host| test(host) || inventory.groups_of(host).iter().any(|group| test(group))).collect()
}

/// Takes `[1]`, `[0:2]` and `[-1]` off the end of a pattern.
fn subscript(pattern: &str) -> (&str, Option<(i64, i64)>) {
    let Some((name, inside)) = pattern.strip_suffix(']').and_then(|rest| rest.rsplit_once('[')) else {
        return (pattern, None);
    };
    let picked = match inside.split_once([':', '-']).filter(|(first, _)| !first.is_empty()) {
        Some((first, last)) => first.parse().ok().zip(if last.is_empty() { Some(-1) } else { last.parse().ok() }),
        None => inside.parse().ok().map(|at| (at, at)),
    };
    if picked.is_some() && !name.is_empty() { (name, picked) } else { (pattern, None) }
}

fn glob(pattern: &str) -> String {
    let mut out = String::from("^");
    for c in pattern.chars() {
        match c {
            '*' => out.push_str(".*"),
            '?' => out.push('.'),
            '[' | ']' | '-' => out.push(c),
            c if c.is_alphanumeric() || c == '_' => out.push(c),
            c => {
                out.push('\\');
                out.push(c);
            }
        }
    }
    out.push('$');
    out
}
