//! What is wanted of Consul keys.

use std::collections::{BTreeMap, BTreeSet};

use super::{Planning, Unit};
use crate::flow::keys::Before;
use crate::plan::Action;
use crate::terraform::{Deployment, Kind};

impl Planning<'_> {
    fn owned(&self, owner: &str) -> BTreeSet<String> {
        self.noted.get(owner).or_else(|| self.found.owned.get(owner)).cloned().unwrap_or_default()
    }

    /// Writes what differs of keys that an instance waits for. Nothing is removed yet.
    pub(super) fn set_keys(&mut self, unit: &Unit, keys: BTreeMap<String, String>) {
        let Some(server) = unit.deployment.consul.clone() else { return };
        let has = self.owned(&unit.owner);
        let owned: BTreeSet<String> = has.iter().chain(keys.keys()).cloned().collect();
        let set = self.differing(keys);
        if !set.is_empty() {
            self.noted.insert(unit.owner.clone(), owned.clone());
            let before = Some(Box::new(self.before(&unit.owner, &set, has)));
            self.push(&unit.owner, Action::Keys { server, set, delete: BTreeSet::new(), owned, before });
        }
    }

    /// Writes what differs of the last keys and removes those that the owner no longer wants and nobody else has.
    pub(super) fn last_keys(&mut self, unit: &Unit, keys: BTreeMap<String, String>) {
        let Some(server) = unit.deployment.consul.clone() else { return };
        let wanted = wanted_keys(&unit.deployment);
        let has = self.owned(&unit.owner);
        let others = self.others_keys(&unit.owner);
        let gone = has.difference(&wanted).filter(|key| !others.contains(*key));
        let mut delete: BTreeSet<String> = gone.filter(|key| self.found.keys.contains_key(*key)).cloned().collect();
        let below = |key: &String| prefixes(&unit.deployment).any(|prefix| key.starts_with(prefix));
        let foreign =
            self.found.keys.keys().filter(|key| below(key) && !wanted.contains(*key) && !others.contains(*key));
        delete.extend(foreign.cloned());
        let set = self.differing(keys);
        if !set.is_empty() || !delete.is_empty() || has != wanted {
            self.push(&unit.owner, Action::Keys { server, set, delete, owned: wanted, before: None });
        }
    }

    /// What is there before `set` is written.
    fn before(&self, owner: &str, set: &BTreeMap<String, String>, owned: BTreeSet<String>) -> Before {
        let others = self.others_keys(owner);
        let keys: BTreeSet<String> = set.keys().filter(|key| !others.contains(*key)).cloned().collect();
        let values = keys.iter().filter_map(|key| Some((key.clone(), self.found.keys.get(key)?.clone()))).collect();
        Before { keys, values, owned }
    }

    /// Keys that others have, or will have after this plan.
    fn others_keys(&self, owner: &str) -> BTreeSet<String> {
        let indexed = self.found.owned.iter().filter(|(other, _)| *other != owner).flat_map(|(_, keys)| keys.clone());
        let wanted = self.units.iter().filter(|unit| unit.owner != owner).flat_map(|it| wanted_keys(&it.deployment));
        indexed.chain(wanted).collect()
    }

    fn differing(&self, keys: BTreeMap<String, String>) -> BTreeMap<String, String> {
        keys.into_iter().filter(|(key, value)| self.found.keys.get(key) != Some(value)).collect()
    }
}

/// Returns every Consul key that `deployment` wants.
pub fn wanted_keys(deployment: &Deployment) -> BTreeSet<String> {
    let keys = deployment.resources.iter().filter_map(|resource| match &resource.kind {
        Kind::ConsulKeys(keys) => Some(keys.keys.iter().map(|key| key.path.clone())),
        _ => None,
    });
    keys.flatten().collect()
}

/// Returns the starts of keys that `deployment` has to itself.
pub fn prefixes(deployment: &Deployment) -> impl Iterator<Item = &str> {
    deployment.resources.iter().filter_map(|resource| match &resource.kind {
        Kind::ConsulKeys(keys) => keys.prefix.as_deref(),
        _ => None,
    })
}
