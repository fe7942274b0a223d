//! Hosts, groups and their variables. Source: Ansible's documentation of inventories and its `ini` and `yaml` plugins.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::place::{Place, Problem};
use crate::playbook::Source;
use crate::playbook::model::Vars;
use crate::playbook::reading::Reading;

mod beside;
mod dynamic;
mod ini;
mod pattern;
mod yml;

pub use beside::Beside;
pub use dynamic::{Grouping, Made, NewHost};

/// A group.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Group {
    /// Hosts that are directly in it.
    pub hosts: Vec<String>,
    /// Groups in it.
    pub children: Vec<String>,
    /// Its variables, without those of `group_vars`.
    pub vars: Vars,
    /// How many groups were there before it.
    pub number: usize,
}

/// What inventories say.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Inventory {
    /// Hosts in the order they were first named, with their own variables, without those of `host_vars`.
    pub hosts: Vec<(String, Vars)>,
    /// Groups by name; `all` and `ungrouped` are not kept here.
    pub groups: BTreeMap<String, Group>,
    /// `all`, with what is directly in it.
    pub all: Group,
    /// `ungrouped`: its variables. Its hosts are those that are in no other group.
    pub ungrouped: Group,
    /// `group_vars` and `host_vars` beside inventories and the playbook, the weakest first.
    pub beside: Vec<Beside>,
    /// Hosts and groups that were added while a playbook ran.
    pub made: Vec<Made>,
    /// The files that were read.
    pub files: BTreeSet<PathBuf>,
    /// The first source that is a file.
    pub file: Option<PathBuf>,
}

/// Reads inventories, later ones over earlier ones.
pub fn load(sources: &[Source], reading: &Reading) -> (Inventory, Vec<Problem>) {
    let mut inventory = Inventory::default();
    let mut problems = vec![];
    for source in sources {
        match source {
            Source::Names(names) => {
                for name in names.split(',').map(str::trim).filter(|name| !name.is_empty()) {
                    inventory.add_host(name);
                }
            }
            Source::File(path) => {
                inventory.file.get_or_insert_with(|| path.clone());
                inventory.read(path, reading, &mut problems);
            }
        }
        inventory.reconcile();
    }
    let directories: BTreeSet<PathBuf> =
        inventory.files.iter().filter_map(|file| file.parent().map(Path::to_owned)).collect();
    for directory in directories {
        inventory.beside(&directory, reading, &mut problems);
    }
    (inventory, problems)
}

/// Names of files in an inventory directory that are none.
const IGNORED: &[&str] = &["~", ".orig", ".bak", ".cfg", ".retry", ".pyc", ".pyo", ".md", ".license"];

impl Inventory {
    /// Returns the variables of a host by its name.
    pub fn own_vars(&self, host: &str) -> Option<&Vars> {
        self.hosts.iter().find(|(name, _)| name == host).map(|(_, vars)| vars)
    }

    /// Adds a host if it is not there.
    pub fn add_host(&mut self, name: &str) -> &mut Vars {
        let at = self.hosts.iter().position(|(known, _)| known == name).unwrap_or_else(|| {
            self.hosts.push((name.to_owned(), Vars::new()));
            self.hosts.len() - 1
        });
        &mut self.hosts[at].1
    }

    /// Adds a group if it is not there.
    pub fn add_group(&mut self, name: &str) -> &mut Group {
        let number = self.groups.len();
        match name {
            "all" => &mut self.all,
            "ungrouped" => &mut self.ungrouped,
            _ => self.groups.entry(name.to_owned()).or_insert_with(|| Group { number, ..Group::default() }),
        }
    }

    /// Puts groups that are in no other into `all`.
    fn reconcile(&mut self) {
        let inside: BTreeSet<&String> = self.groups.values().chain([&self.all]).flat_map(|it| &it.children).collect();
        let mut outside: Vec<(usize, String)> = self
            .groups
            .iter()
            .filter(|(name, _)| !inside.contains(name))
            .map(|(name, group)| (group.number, name.clone()))
            .collect();
        outside.sort();
        self.all.children.extend(outside.into_iter().map(|(_, name)| name));
    }

    fn read(&mut self, path: &Path, reading: &Reading, problems: &mut Vec<Problem>) {
        if path.is_dir() {
            let mut entries: Vec<PathBuf> =
                fs::read_dir(path).into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path())).collect();
            entries.sort();
            for entry in entries {
                let name = entry.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
                let skipped = name.starts_with('.') || IGNORED.iter().any(|end| name.ends_with(end));
                if entry.is_file() && !skipped {
                    self.read(&entry, reading, problems);
                }
            }
            return;
        }
        self.files.insert(path.to_owned());
        if is_program(path) {
            let message = "the inventory is a program: dynamic inventories are not supported";
            problems.push(Problem::new(Place::file(path), message));
            return;
        }
        let text = match reading.vault.text(path) {
            Ok(text) => text,
            Err(error) => {
                problems.push(Problem::new(Place::file(path), format!("cannot read the inventory: {error}")));
                return;
            }
        };
        let end = path.extension().and_then(|end| end.to_str()).unwrap_or_default();
        if matches!(end, "yml" | "yaml" | "json") {
            yml::read(self, path, &text, reading, problems);
        } else {
            ini::read(self, path, &text, problems);
        }
    }

    /// Returns all groups that a host is in, with their ancestors, sorted by name.
    pub fn groups_of(&self, host: &str) -> Vec<String> {
        let mut found: BTreeSet<&str> = self
            .groups
            .iter()
            .filter(|(_, group)| group.hosts.iter().any(|name| name == host))
            .map(|(name, _)| name.as_str())
            .collect();
        loop {
            let more: Vec<&str> = self
                .groups
                .iter()
                .filter(|(name, group)| {
                    !found.contains(name.as_str()) && group.children.iter().any(|child| found.contains(child.as_str()))
                })
                .map(|(name, _)| name.as_str())
                .collect();
            if more.is_empty() {
                break;
            }
            found.extend(more);
        }
        found.into_iter().map(str::to_owned).collect()
    }

    /// How far below `all` a group is.
    fn depth(&self, group: &str, guard: usize) -> usize {
        if guard == 0 {
            return 0;
        }
        let parents = self.groups.iter().filter(|(_, parent)| parent.children.iter().any(|child| child == group));
        1 + parents.map(|(name, _)| self.depth(name, guard - 1)).max().unwrap_or(0)
    }

    /// Returns the variables of a host: those of `all`, then of its groups from the outermost in, then its own; of each
    /// the inventory's first, then those of files beside it.
    pub fn vars(&self, host: &str) -> Vars {
        let groups = self.outermost_first(host);
        let mut vars = self.all.vars.clone();
        let known = groups.iter().filter_map(|name| self.group(name));
        vars.extend(known.flat_map(|group| group.vars.clone()));
        vars.extend(self.beside.iter().flat_map(|beside| beside.group("all")));
        vars.extend(self.beside.iter().flat_map(|beside| groups.iter().flat_map(|name| beside.group(name))));
        vars.extend(self.own_vars(host).cloned().unwrap_or_default());
        vars.extend(self.beside.iter().flat_map(|beside| beside.host(host)));
        vars
    }

    fn group(&self, name: &str) -> Option<&Group> {
        if name == "ungrouped" { Some(&self.ungrouped) } else { self.groups.get(name) }
    }

    fn outermost_first(&self, host: &str) -> Vec<String> {
        let priority = |name: &str| {
            let given = self.groups.get(name).and_then(|group| group.vars.get("ansible_group_priority"));
            given.and_then(Value::as_i64).unwrap_or(1)
        };
        let names = self.groups_of(host).into_iter();
        let mut groups: Vec<(usize, i64, String)> =
            names.map(|name| (self.depth(&name, 50), priority(&name), name)).collect();
        groups.sort();
        if groups.is_empty() && self.own_vars(host).is_some() {
            return vec!["ungrouped".to_owned()];
        }
        groups.into_iter().map(|(_, _, name)| name).collect()
    }

    /// Returns the hosts of a group with those of the groups in it, the outermost first.
    pub fn members(&self, group: &str) -> Vec<String> {
        match group {
            "all" => {
                let mut found = self.all.hosts.clone();
                add(&mut found, self.members("ungrouped"));
                add(&mut found, self.below(&self.all.children));
                found.retain(|host| self.own_vars(host).is_some());
                found
            }
            "ungrouped" => {
                let hosts = self.hosts.iter().map(|(name, _)| name.clone());
                hosts.filter(|host| self.groups_of(host).is_empty()).collect()
            }
            _ => self.below(&[group.to_owned()]),
        }
    }

    /// The hosts of groups and of all groups in them, level by level.
    fn below(&self, groups: &[String]) -> Vec<String> {
        let (mut found, mut seen) = (vec![], vec![]);
        let mut level = groups.to_vec();
        while !level.is_empty() {
            add(&mut seen, level.clone());
            let known: Vec<&Group> = level.iter().filter_map(|name| self.groups.get(name)).collect();
            for group in &known {
                add(&mut found, group.hosts.clone());
            }
            let mut next = vec![];
            let children = known.iter().flat_map(|group| &group.children);
            add(&mut next, children.filter(|name| !seen.contains(name)).cloned().collect());
            level = next;
        }
        found
    }

    /// Returns the hosts that a pattern means, in the order of the inventory. A name of this computer that is not in
    /// the inventory is meant all the same.
    pub fn select(&self, pattern: &str) -> Result<Vec<String>, String> {
        pattern::select(self, pattern)
    }
}

/// Adds what is not there yet.
fn add(list: &mut Vec<String>, more: Vec<String>) {
    for name in more {
        if !list.contains(&name) {
            list.push(name);
        }
    }
}

/// Whether a file is to be run: one that is executable and says by what.
fn is_program(path: &Path) -> bool {
    use std::io::Read as _;
    use std::os::unix::fs::PermissionsExt as _;
    let executable = path.metadata().is_ok_and(|facts| facts.permissions().mode() & 0o111 != 0);
    let mut head = [0; 2];
    executable && fs::File::open(path).and_then(|mut file| file.read_exact(&mut head)).is_ok() && head == *b"#!"
}

/// Whether a name means this computer without an inventory.
pub fn is_this_computer(name: &str) -> bool {
    matches!(name, "localhost" | "127.0.0.1" | "::1")
}

/// Expands ranges: `web[01:03]` → `web01`, `web02`, `web03`; `db[a:c]`.
pub(crate) fn expand(name: &str) -> Vec<String> {
    let Some((head, inside, tail)) = range_of(name) else { return vec![name.to_owned()] };
    let parts: Vec<&str> = inside.split(':').collect();
    let step = parts.get(2).and_then(|step| step.parse::<usize>().ok()).unwrap_or(1).max(1);
    let letters =
        |text: &str| (text.len() == 1).then(|| text.chars().next()).flatten().filter(char::is_ascii_alphabetic);
    let middles: Vec<String> = match (parts[0].parse::<u64>(), parts[1].parse::<u64>()) {
        (Ok(first), Ok(last)) if last.saturating_sub(first) < 65_536 => {
            let width = if parts[0].starts_with('0') { parts[0].len() } else { 0 };
            (first..=last).step_by(step).map(|number| format!("{number:0width$}")).collect()
        }
        _ => match (letters(parts[0]), letters(parts[1])) {
            (Some(first), Some(last)) => (first..=last).step_by(step).map(|c| c.to_string()).collect(),
            _ => return vec![name.to_owned()],
        },
    };
    let tails = expand(tail);
    middles.iter().flat_map(|middle| tails.iter().map(move |tail| format!("{head}{middle}{tail}"))).collect()
}

fn range_of(name: &str) -> Option<(&str, &str, &str)> {
    let open = name.find('[')?;
    let close = open + name[open..].find(']')?;
    let inside = &name[open + 1..close];
    let count = inside.split(':').count();
    // `[::1]:22` is an address with a port, no range.
    let shaped = (2..=3).contains(&count) && inside.split(':').take(2).all(|part| !part.is_empty());
    shaped.then_some((&name[..open], inside, &name[close + 1..]))
}
