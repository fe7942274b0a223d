//! Projects and modules on a host.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::flow::host::status::Instance;
use crate::flow::journal::read::Journal;
use crate::project::Kind;

/// A project or a module.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Unit {
    /// `project_id` or `module_id`.
    pub name: String,
    /// `project` or `module`; nothing if this computer does not know.
    pub kind: Option<&'static str>,
    /// The versions of its instances: more than one if some have not changed since an earlier one.
    pub versions: Vec<String>,
    /// Its instances, by name.
    pub instances: Vec<String>,
    /// What is wrong with them, with the instance in front; empty if it is healthy.
    pub problems: Vec<String>,
    /// The Consul keys that it owns.
    pub keys: Vec<String>,
    /// What was done to it last, backups left aside.
    pub change: Option<Change>,
    /// When it was backed up last, in seconds since 1970.
    pub backup: Option<u64>,
}

/// What was done.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Change {
    /// When it ended, in seconds since 1970.
    pub when: u64,
    /// Account and computer.
    pub who: String,
    /// What was planned.
    pub plan: String,
    /// `done`, or what went wrong.
    pub result: String,
    /// For how many milliseconds its instances did not serve.
    pub outages: BTreeMap<String, u64>,
}

/// Groups `instances` by whose they are. What is deployed and has none is one, too.
pub(super) fn units(
    instances: &[Instance],
    kinds: &BTreeMap<String, Kind>,
    mut keys: BTreeMap<String, Vec<String>>,
    journal: &Journal,
) -> Vec<Unit> {
    let owners = instances.iter().filter_map(|instance| instance.owner.clone());
    let names: BTreeSet<String> = owners.chain(kinds.keys().cloned()).chain(keys.keys().cloned()).collect();
    let unit = |name: String| {
        let own: Vec<&Instance> = instances.iter().filter(|it| it.owner.as_ref() == Some(&name)).collect();
        let versions: BTreeSet<String> = own.iter().filter_map(|it| it.version.clone()).collect();
        let problems =
            own.iter().flat_map(|it| it.problems.iter().map(move |problem| format!("{}: {problem}", it.name)));
        let instances: Vec<String> = own.iter().map(|it| it.name.clone()).collect();
        Unit {
            kind: kinds.get(&name).map(|kind| kind.word()),
            versions: versions.into_iter().collect(),
            problems: problems.collect(),
            keys: keys.remove(&name).unwrap_or_default(),
            change: change(&name, &instances, journal),
            backup: journal.entries.iter().rev().find(|entry| entry.backed_up(&name)).map(|entry| entry.when),
            instances,
            name,
        }
    };
    names.into_iter().map(unit).collect()
}

fn change(owner: &str, instances: &[String], journal: &Journal) -> Option<Change> {
    let entry = journal.entries.iter().rev().find(|entry| entry.changes(owner))?;
    let outages = entry.outages.iter().filter(|(name, _)| instances.contains(name));
    Some(Change {
        when: entry.when,
        who: entry.who.clone(),
        plan: entry.plan.clone(),
        result: entry.result.clone(),
        outages: outages.map(|(name, took)| (name.clone(), *took)).collect(),
    })
}
