//! `group_vars` and `host_vars` beside an inventory or a playbook.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use crate::place::Problem;
use crate::playbook::files;
use crate::playbook::inventory::Inventory;
use crate::playbook::model::Vars;
use crate::playbook::reading::Reading;

/// What was read of the two folders of one directory.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Beside {
    directory: PathBuf,
    groups: BTreeMap<String, Vars>,
    hosts: BTreeMap<String, Vars>,
    files: BTreeSet<PathBuf>,
}

impl Beside {
    /// The variables of a group.
    pub fn group(&self, name: &str) -> Vars {
        self.groups.get(name).cloned().unwrap_or_default()
    }

    /// The variables of a host.
    pub fn host(&self, name: &str) -> Vars {
        self.hosts.get(name).cloned().unwrap_or_default()
    }

    fn read(&mut self, groups: &[String], hosts: &[String], reading: &Reading, problems: &mut Vec<Problem>) {
        for name in groups {
            if !self.groups.contains_key(name) {
                let vars = self.vars(&self.directory.join("group_vars"), name, reading, problems);
                self.groups.insert(name.clone(), vars);
            }
        }
        for name in hosts {
            if !self.hosts.contains_key(name) {
                let vars = self.vars(&self.directory.join("host_vars"), name, reading, problems);
                self.hosts.insert(name.clone(), vars);
            }
        }
    }

    /// Reads `NAME`, `NAME.yml`, `NAME.yaml`, `NAME.json` and every file of the directory `NAME`.
    fn vars(&mut self, directory: &Path, name: &str, reading: &Reading, problems: &mut Vec<Problem>) -> Vars {
        let mut vars = Vars::new();
        let mut found = vec![];
        for end in ["", ".yml", ".yaml", ".json"] {
            let path = directory.join(format!("{name}{end}"));
            if path.is_dir() {
                let read = |path: &PathBuf| {
                    let end = path.extension().map(|end| end.to_string_lossy().into_owned());
                    matches!(end.as_deref(), None | Some("yml" | "yaml" | "json"))
                };
                found.extend(files::below(&path).into_iter().filter(read));
            } else if path.is_file() {
                found.push(path);
            }
        }
        for path in found {
            self.files.insert(path.clone());
            match reading.vars(&path) {
                Ok(read) => vars.extend(read),
                Err(problem) => problems.push(*problem),
            }
        }
        vars
    }
}

impl Inventory {
    /// Reads `group_vars` and `host_vars` of a directory: beside an inventory or a playbook. Those of a playbook win.
    pub fn beside(&mut self, directory: &Path, reading: &Reading, problems: &mut Vec<Problem>) {
        self.beside.push(Beside { directory: directory.to_owned(), ..Beside::default() });
        self.complete(reading, problems);
    }

    /// Reads the files of hosts and groups for which they were not read yet.
    pub fn complete(&mut self, reading: &Reading, problems: &mut Vec<Problem>) {
        let always = ["all".to_owned(), "ungrouped".to_owned()];
        let groups: Vec<String> = always.into_iter().chain(self.groups.keys().cloned()).collect();
        let named = self.hosts.iter().map(|(name, _)| name.clone());
        let hosts: Vec<String> = named.chain(["localhost".to_owned()]).collect();
        for beside in &mut self.beside {
            beside.read(&groups, &hosts, reading, problems);
            self.files.extend(beside.files.iter().cloned());
        }
    }
}
