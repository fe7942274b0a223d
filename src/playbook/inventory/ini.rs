//! Inventories in Ansible's INI.

use std::path::Path;

use serde_json::Value;

use crate::place::{Place, Problem};
use crate::playbook::inventory::{Inventory, expand};
use crate::playbook::model::Vars;
use crate::yaml::{self, Dialect};

enum Section {
    Hosts(String),
    Children(String),
    Vars(String),
}

/// Reads one.
pub fn read(inventory: &mut Inventory, path: &Path, text: &str, problems: &mut Vec<Problem>) {
    let mut section = Section::Hosts("ungrouped".to_owned());
    for (number, line) in text.lines().enumerate() {
        let place = Place::new(path, number + 1, 1);
        let line = line.trim();
        if line.is_empty() || line.starts_with(['#', ';']) {
            continue;
        }
        let result = if let Some(rest) = line.strip_prefix('[').filter(|_| !is_address(line)) {
            header(inventory, rest).map(|next| section = next)
        } else {
            match &section {
                Section::Hosts(group) => hosts(inventory, group, line),
                Section::Children(group) => {
                    let child = without_comment(line).to_owned();
                    inventory.add_group(&child);
                    let parent = inventory.add_group(group);
                    if !parent.children.contains(&child) {
                        parent.children.push(child);
                    }
                    Ok(())
                }
                Section::Vars(group) => variable(inventory, group, line),
            }
        };
        if let Err(message) = result {
            problems.push(Problem::new(place, message));
        }
    }
}

/// `[::1]:22` and `[fd00::1]` are hosts.
fn is_address(line: &str) -> bool {
    line.strip_prefix('[')
        .and_then(|rest| rest.split_once(']'))
        .is_some_and(|(inside, _)| inside.parse::<std::net::Ipv6Addr>().is_ok())
}

fn header(inventory: &mut Inventory, rest: &str) -> Result<Section, String> {
    let Some((inside, after)) = rest.split_once(']') else {
        return Err("a section needs a `]`".to_owned());
    };
    if !without_comment(after).is_empty() {
        return Err("nothing may follow the `]` of a section".to_owned());
    }
    let (name, kind) = inside.split_once(':').map_or((inside, None), |(name, kind)| (name, Some(kind)));
    let name = name.trim().to_owned();
    if name.is_empty() {
        return Err("a section needs a name".to_owned());
    }
    inventory.add_group(&name);
    match kind {
        None => Ok(Section::Hosts(name)),
        Some("children") => Ok(Section::Children(name)),
        Some("vars") => Ok(Section::Vars(name)),
        Some(other) => Err(format!("a section can end in `:children` or `:vars`, not `:{other}`")),
    }
}

fn hosts(inventory: &mut Inventory, group: &str, line: &str) -> Result<(), String> {
    let words = words(line)?;
    let Some((name, pairs)) = words.split_first() else { return Ok(()) };
    let mut vars = Vars::new();
    let (name, port) = port_of(name);
    if let Some(port) = port {
        vars.insert("ansible_port".to_owned(), Value::from(port));
    }
    for pair in pairs {
        let Some((key, value)) = pair.split_once('=') else {
            return Err(format!("expected `key=value`, got `{pair}`"));
        };
        vars.insert(key.trim().to_owned(), literal(value.trim()));
    }
    for host in expand(name) {
        inventory.add_host(&host).extend(vars.clone());
        let members = &mut inventory.add_group(group).hosts;
        if !members.contains(&host) {
            members.push(host);
        }
    }
    Ok(())
}

/// Takes the port off `host:22` and `[::1]:22`; bare IPv6 addresses have none.
fn port_of(name: &str) -> (&str, Option<u16>) {
    if let Some((address, port)) = name.strip_prefix('[').and_then(|rest| rest.split_once(']'))
        && address.parse::<std::net::Ipv6Addr>().is_ok()
    {
        return (address, port.strip_prefix(':').and_then(|port| port.parse().ok()));
    }
    if name.parse::<std::net::Ipv6Addr>().is_ok() {
        return (name, None);
    }
    match name.rsplit_once(':') {
        Some((host, port)) if !host.contains(':') && !host.is_empty() || host_range(name) => {
            let (host, port) = if host_range(name) { (name, "") } else { (host, port) };
            match port.parse() {
                Ok(port) => (host, Some(port)),
                Err(_) => (name, None),
            }
        }
        _ => (name, None),
    }
}

/// Whether the last colon belongs to a range, as in `web[1:3]`.
fn host_range(name: &str) -> bool {
    name.rfind(']').is_some_and(|close| name.rfind(':').is_some_and(|colon| colon < close))
}

fn variable(inventory: &mut Inventory, group: &str, line: &str) -> Result<(), String> {
    let Some((key, value)) = line.split_once('=') else {
        return Err(format!("expected `key=value`, got `{line}`"));
    };
    inventory.add_group(group).vars.insert(key.trim().to_owned(), commented(value.trim()));
    Ok(())
}

/// Reads a value behind which a comment may stand. Behind text there is none: it is part of the text.
fn commented(text: &str) -> Value {
    let bare = without_comment(text);
    match literal(bare) {
        Value::String(_) if !text.starts_with(['\'', '"']) => Value::from(text),
        value => value,
    }
}

fn without_comment(text: &str) -> &str {
    let behind = match text.chars().next().filter(|c| matches!(c, '\'' | '"')) {
        Some(quote) => text[1..].find(quote).map_or(text.len(), |at| at + 2),
        None => 0,
    };
    text[behind..].find(" #").map_or(text, |at| &text[..behind + at]).trim()
}

/// Splits a line at spaces; quotes hold words together and go away, `#` begins a comment.
fn words(line: &str) -> Result<Vec<String>, String> {
    let mut list = vec![];
    let mut word = None::<String>;
    let mut quote = None;
    let mut chars = line.chars().peekable();
    while let Some(c) = chars.next() {
        match (quote, c) {
            (Some(open), _) if c == open => quote = None,
            (Some('"') | None, '\\') => word.get_or_insert_default().extend(chars.next()),
            (None, '\'' | '"') => {
                word.get_or_insert_default();
                quote = Some(c);
            }
            (None, '#') => break,
            (None, _) if c.is_whitespace() => list.extend(word.take()),
            _ => word.get_or_insert_default().push(c),
        }
    }
    if quote.is_some() {
        return Err("a quote is not closed".to_owned());
    }
    list.extend(word);
    Ok(list)
}

/// Reads a value as a Python literal where it is one; anything else is text.
fn literal(text: &str) -> Value {
    match text {
        "True" => return Value::Bool(true),
        "False" => return Value::Bool(false),
        "None" => return Value::Null,
        _ => {}
    }
    let plain = text.strip_prefix('-').unwrap_or(text);
    let number = plain.starts_with(|c: char| c.is_ascii_digit())
        && (plain == "0" || !plain.starts_with('0') || plain.contains('.'));
    if number {
        if let Ok(whole) = text.parse::<i64>() {
            return Value::from(whole);
        }
        if let Some(float) = text.parse::<f64>().ok().filter(|_| plain.chars().all(|c| c.is_ascii_digit() || c == '.'))
        {
            return Value::from(float);
        }
    }
    for quote in ['\'', '"'] {
        if let Some(inner) = text.strip_prefix(quote).and_then(|rest| rest.strip_suffix(quote)) {
            return Value::from(inner);
        }
    }
    let container = (text.starts_with('[') && text.ends_with(']'))
        || (text.starts_with('{') && text.ends_with('}') && !text.starts_with("{{"));
    if container {
        let yaml = yaml::load(text, Dialect::Ansible);
        if let Ok([node]) = yaml.as_deref() {
            return node.value();
        }
    }
    Value::from(text)
}
