//! Hosts and groups that a playbook adds while it runs: `add_host` and `group_by`.

use crate::playbook::inventory::{Inventory, add};
use crate::playbook::jinja;
use crate::playbook::model::Vars;

/// A host that is added, or that is there and gets more groups and variables.
#[derive(Clone, Debug, PartialEq)]
pub struct NewHost {
    /// Its name.
    pub name: String,
    /// Groups that it is put into.
    pub groups: Vec<String>,
    /// Its variables, as values: nothing in them is a template.
    pub vars: Vars,
}

/// A host that is put into a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grouping {
    /// Its name.
    pub host: String,
    /// The group.
    pub group: String,
    /// Groups that the group is put into.
    pub parents: Vec<String>,
}

/// What was added, to be added again to an inventory that is read anew.
#[derive(Clone, Debug, PartialEq)]
pub enum Made {
    /// By `add_host`.
    Host(NewHost),
    /// By `group_by`.
    Group(Grouping),
}

impl Inventory {
    /// Adds a host or a group. Returns whether anything is different.
    ///
    /// # Errors
    ///
    /// Why it cannot be added.
    pub fn make(&mut self, made: Made) -> Result<bool, String> {
        let changed = match &made {
            Made::Host(host) => self.make_host(host)?,
            Made::Group(grouping) => self.make_group(grouping)?,
        };
        self.made.push(made);
        self.reconcile();
        Ok(changed)
    }

    /// Adds all that was added to another one: first its hosts, then its groups.
    pub fn make_again(&mut self, other: &Self) {
        let (hosts, groups): (Vec<Made>, Vec<Made>) =
            other.made.iter().cloned().partition(|made| matches!(made, Made::Host(_)));
        for made in hosts.into_iter().chain(groups) {
            let gone = matches!(&made, Made::Group(it) if other.own_vars(&it.host).is_some() && self.own_vars(&it.host).is_none());
            if !gone {
                // What could be added once can be added again.
                drop(self.make(made));
            }
        }
    }

    fn make_host(&mut self, host: &NewHost) -> Result<bool, String> {
        if host.groups.iter().any(String::is_empty) {
            return Err("a group needs a name".to_owned());
        }
        let mut changed = self.own_vars(&host.name).is_none();
        if changed {
            let own = self.add_host(&host.name);
            for name in ["inventory_file", "inventory_dir"] {
                own.insert(name.to_owned(), serde_json::Value::Null);
            }
            add(&mut self.all.hosts, vec![host.name.clone()]);
        }
        let own = self.add_host(&host.name);
        for (name, value) in &host.vars {
            let value = jinja::unrendered(value);
            changed |= own.get(name) != Some(&value);
            own.insert(name.clone(), value);
        }
        for group in host.groups.iter().filter(|name| *name != "all") {
            changed |= self.put(&host.name, group);
        }
        Ok(changed)
    }

    fn make_group(&mut self, grouping: &Grouping) -> Result<bool, String> {
        let Grouping { host, group, parents } = grouping;
        if group.is_empty() || parents.iter().any(String::is_empty) {
            return Err("a group needs a name".to_owned());
        }
        let mut changed = false;
        self.add_group(group);
        for parent in parents {
            if self.is_within(parent, group) {
                return Err(format!("the group `{group}` cannot be in `{parent}`, which is in `{group}` itself"));
            }
            changed |= parent != "all" && !self.groups.contains_key(parent);
            let children = &mut self.add_group(parent).children;
            if !children.contains(group) {
                children.push(group.clone());
                changed = true;
            }
        }
        if !self.members(group).contains(host) {
            changed |= self.put(host, group);
        }
        Ok(changed)
    }

    /// Puts a host into a group. Returns whether it was not there.
    fn put(&mut self, host: &str, group: &str) -> bool {
        let fresh = !self.groups.contains_key(group) && group != "ungrouped";
        let hosts = &mut self.add_group(group).hosts;
        let outside = !hosts.iter().any(|name| name == host);
        if outside {
            hosts.push(host.to_owned());
        }
        fresh || outside
    }

    /// Whether a group is another one or somewhere in it.
    fn is_within(&self, group: &str, other: &str) -> bool {
        let (mut seen, mut open) = (vec![], vec![other.to_owned()]);
        while let Some(name) = open.pop() {
            if name == group {
                return true;
            }
            if !seen.contains(&name) {
                open.extend(self.groups.get(&name).map(|it| it.children.clone()).unwrap_or_default());
                seen.push(name);
            }
        }
        false
    }
}
