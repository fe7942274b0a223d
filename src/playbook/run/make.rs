//! Hosts and groups that are added while a play runs: `add_host`, `group_by` and `meta: refresh_inventory`.

use std::net::Ipv6Addr;
use std::sync::PoisonError;

use serde_json::{Map, Value as Json, json};

use crate::module::arguments::text;
use crate::place::listed;
use crate::playbook::inventory::{self, Grouping, Made, NewHost};
use crate::playbook::model::Vars;
use crate::playbook::run::Engine;
use crate::playbook::run::prepare::Prepared;
use crate::playbook::run::result::{self, Result as TaskResult, pairs};

/// Reads the arguments of `add_host`.
///
/// # Errors
///
/// What is missing or no list.
pub fn host(given: &Map<String, Json>) -> Result<Prepared, String> {
    let named = ["name", "hostname", "host"].iter().find_map(|key| given.get(*key)).map(text);
    let named = named.ok_or("name, host or hostname needs to be provided")?;
    let (name, port) = address(&named);
    let groups = groups(["groupname", "groups", "group"].iter().find_map(|key| given.get(*key)))?;
    let mut vars: Vars = given.clone();
    vars.retain(|key, _| !matches!(key.as_str(), "name" | "hostname" | "groupname" | "groups"));
    if let Some(port) = port {
        vars.insert("ansible_ssh_port".to_owned(), json!(port));
    }
    let told = json!({ "host_name": name, "groups": groups, "host_vars": vars });
    let result = pairs([("changed", json!(false)), ("add_host", told), ("failed", json!(false))]);
    Ok(Prepared::Make(Made::Host(NewHost { name: name.to_owned(), groups, vars }), result))
}

/// Reads the arguments of `group_by`.
///
/// # Errors
///
/// What is missing.
pub fn group(host: &str, given: &Map<String, Json>) -> Result<Prepared, String> {
    let key = given.get("key").ok_or("the 'key' param is required when using group_by")?;
    let safe = |value: &Json| text(value).replace(' ', "-");
    let parents = match given.get("parents") {
        None => vec!["all".to_owned()],
        Some(Json::Array(names)) => names.iter().map(safe).collect(),
        Some(name) => vec![safe(name)],
    };
    let group = safe(key);
    let result = pairs([
        ("changed", json!(false)),
        ("add_group", json!(group)),
        ("parent_groups", json!(parents)),
        ("failed", json!(false)),
    ]);
    Ok(Prepared::Make(Made::Group(Grouping { host: host.to_owned(), group, parents }), result))
}

/// Groups as a list or as text with commas.
fn groups(given: Option<&Json>) -> Result<Vec<String>, String> {
    let names: Vec<String> = match given {
        None | Some(Json::Null | Json::Bool(false)) => vec![],
        Some(Json::String(text)) if text.is_empty() => vec![],
        Some(Json::String(text)) => text.split(',').map(str::to_owned).collect(),
        Some(Json::Array(names)) => names.iter().map(text).collect(),
        Some(_) => return Err("Groups must be specified as a list.".to_owned()),
    };
    let mut found: Vec<String> = vec![];
    for name in names {
        if !found.contains(&name) {
            found.push(name.trim().to_owned());
        }
    }
    Ok(found)
}

/// Takes the port off `name:22` and `[fd00::1]:22`.
fn address(named: &str) -> (&str, Option<u16>) {
    let Some((name, port)) = named.rsplit_once(':') else { return (named, None) };
    let inside = name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let plain = !name.contains(':') || inside.is_some();
    match port.parse() {
        Ok(port) if plain && !name.is_empty() && named.parse::<Ipv6Addr>().is_err() => {
            (inside.unwrap_or(name), Some(port))
        }
        _ => (named, None),
    }
}

impl Engine<'_> {
    /// Adds a host or a group, with what files say about it.
    pub(super) fn make(&self, made: Made, told: TaskResult) -> TaskResult {
        let name = if let Made::Host(host) = &made { Some(host.name.clone()) } else { None };
        let done = self.world.change_inventory(|inventory| {
            let changed = inventory.make(made)?;
            let mut problems = vec![];
            inventory.complete(&self.request.reading, &mut problems);
            if problems.is_empty() { Ok(changed) } else { Err(listed(&problems)) }
        });
        let changed = match done {
            Ok(changed) => changed,
            Err(message) => return result::failed(message),
        };
        if let Some(name) = name.filter(|_| changed) {
            let mut stage = self.stage.lock().unwrap_or_else(PoisonError::into_inner);
            if !stage.all.contains(&name) {
                stage.all.push(name);
            }
        }
        let mut told = told;
        told.insert("changed".to_owned(), json!(changed));
        told
    }

    /// Reads the inventories again; what was added to them stays.
    ///
    /// # Errors
    ///
    /// What cannot be read. The hosts and groups are those from before.
    pub(super) fn refresh(&self) -> Result<(), String> {
        let reading = &self.request.reading;
        let (mut fresh, mut problems) = inventory::load(&self.request.inventory, reading);
        fresh.beside(&self.world.directory, reading, &mut problems);
        fresh.make_again(&self.world.inventory());
        fresh.complete(reading, &mut problems);
        if !problems.is_empty() {
            return Err(listed(&problems));
        }
        self.world.change_inventory(|inventory| *inventory = fresh);
        Ok(())
    }
}
