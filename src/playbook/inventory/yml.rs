//! Inventories in YAML.

use std::path::Path;

use serde_json::Value;

use crate::place::{Place, Problem};
use crate::playbook::inventory::{Inventory, expand};
use crate::playbook::model::Vars;
use crate::playbook::reading::Reading;
use crate::yaml::{self, Dialect, Kind, Node};

/// Reads one.
pub fn read(inventory: &mut Inventory, path: &Path, text: &str, reading: &Reading, problems: &mut Vec<Problem>) {
    let mut documents = match yaml::load(text, Dialect::Ansible) {
        Ok(documents) => documents,
        Err(error) => {
            problems.push(Problem::new(Place::new(path, error.line, error.column), error.message));
            return;
        }
    };
    for node in &mut documents {
        if let Err((line, column, error)) = reading.vault.open_values(node) {
            problems.push(Problem::new(Place::new(path, line, column), error.to_string()));
        }
    }
    for node in documents.iter().filter(|node| node.kind != Kind::Null) {
        if !matches!(node.kind, Kind::Map(_)) {
            problems.push(problem(
                path,
                node,
                format!("an inventory must be a mapping of groups, not {}", node.describe()),
            ));
        }
        for (name, node) in node.entries() {
            group(inventory, path, name.written().unwrap_or_default(), node, problems, 0);
        }
    }
}

fn problem(path: &Path, node: &Node, message: impl Into<String>) -> Problem {
    Problem::new(Place::new(path, node.line, node.column), message)
}

fn group(inventory: &mut Inventory, path: &Path, name: &str, node: &Node, problems: &mut Vec<Problem>, depth: usize) {
    inventory.add_group(name);
    if depth > 50 {
        problems.push(problem(path, node, "groups are nested too deeply"));
        return;
    }
    if !matches!(node.kind, Kind::Map(_) | Kind::Null) {
        problems.push(problem(path, node, format!("a group must be a mapping, not {}", node.describe())));
    }
    for (key, value) in node.entries() {
        match key.written().unwrap_or_default() {
            "hosts" => hosts(inventory, path, name, value, problems),
            "vars" => {
                let vars = mapping(path, value, problems);
                inventory.add_group(name).vars.extend(vars);
            }
            "children" => {
                for (child, inside) in value.entries() {
                    let child = child.written().unwrap_or_default();
                    let children = &mut inventory.add_group(name).children;
                    if !children.iter().any(|known| known == child) {
                        children.push(child.to_owned());
                    }
                    group(inventory, path, child, inside, problems, depth + 1);
                }
            }
            other => problems.push(problem(path, key, format!("a group has no key `{other}`"))),
        }
    }
}

/// Hosts are a mapping, or one name as text.
fn hosts(inventory: &mut Inventory, path: &Path, group: &str, node: &Node, problems: &mut Vec<Problem>) {
    let named: Vec<(String, Vars)> = match &node.kind {
        Kind::Map(entries) => entries
            .iter()
            .map(|(name, vars)| (name.written().unwrap_or_default().to_owned(), mapping(path, vars, problems)))
            .collect(),
        Kind::Str(name) => vec![(name.clone(), Vars::new())],
        Kind::Null => vec![],
        _ => {
            problems.push(problem(path, node, format!("`hosts` must be a mapping or a name, not {}", node.describe())));
            vec![]
        }
    };
    for (pattern, vars) in named {
        for host in expand(&pattern) {
            inventory.add_host(&host).extend(vars.clone());
            let members = &mut inventory.add_group(group).hosts;
            if !members.contains(&host) {
                members.push(host);
            }
        }
    }
}

fn mapping(path: &Path, node: &Node, problems: &mut Vec<Problem>) -> Vars {
    match node.value() {
        Value::Object(vars) => vars,
        Value::Null => Vars::new(),
        _ => {
            problems.push(problem(path, node, format!("variables must be a mapping, not {}", node.describe())));
            Vars::new()
        }
    }
}
