//! Consul keys: written and removed together with the list of what their owner has.

use std::collections::{BTreeMap, BTreeSet};

use crate::consul::{Change, Client, Error, MOST};
use crate::flow::found::OWNED;
use crate::flow::world::World;
use crate::plan::{Action, Step};
use crate::terraform::ConsulProvider;

/// What is there before keys of an owner are written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Before {
    /// Those that nobody else has or wants.
    pub keys: BTreeSet<String>,
    /// What these hold; one that is missing here is not there.
    pub values: BTreeMap<String, String>,
    /// Every key that the owner has.
    pub owned: BTreeSet<String>,
}

/// Keys that a run has written for an instance which has not been seen healthy with them yet.
pub struct Unproven<'p> {
    /// Whose they are.
    pub owner: &'p str,
    /// The last ones first.
    written: Vec<(&'p ConsulProvider, &'p Before)>,
}

impl<'p> Unproven<'p> {
    /// Those that the steps `done` have written since they changed an instance of `owner`: that one serves with what was
    /// written before.
    pub fn of(owner: &'p str, done: &'p [Step]) -> Self {
        let own = done.iter().rev().filter(|step| step.owner == owner);
        let since = own.take_while(|step| !step.action.is_of_instance());
        let written = since.filter_map(|step| match &step.action {
            Action::Keys { server, before: Some(before), .. } => Some((server, before.as_ref())),
            _ => None,
        });
        Self { owner, written: written.collect() }
    }

    /// Takes them back: they hold what they held before.
    pub async fn take_back(&self, world: &World) -> Result<(), Error> {
        for (server, before) in &self.written {
            let delete = before.keys.iter().filter(|key| !before.values.contains_key(*key)).cloned().collect();
            apply(&(world.consul)(server), self.owner, &before.values, &delete, &before.owned).await?;
        }
        Ok(())
    }
}

/// Writes and removes keys of `owner`, at most [`MOST`] operations at a time.
///
/// A key is in the owner's list before it is written and until it is removed, so a run that breaks between two
/// transactions leaves no key that nobody knows of.
pub async fn apply(
    client: &Client,
    owner: &str,
    set: &BTreeMap<String, String>,
    delete: &BTreeSet<String>,
    owned: &BTreeSet<String>,
) -> Result<(), Error> {
    for changes in transactions(owner, set, delete, owned) {
        client.transaction(&changes).await?;
    }
    Ok(())
}

/// The transactions, in order. Pure.
pub fn transactions(
    owner: &str,
    set: &BTreeMap<String, String>,
    delete: &BTreeSet<String>,
    owned: &BTreeSet<String>,
) -> Vec<Vec<Change>> {
    let index = |keys: &BTreeSet<String>| Change::Set {
        key: format!("{OWNED}{owner}"),
        value: serde_json::to_vec(keys).unwrap_or_default(),
    };
    let sets = set.iter().map(|(key, value)| Change::Set { key: key.clone(), value: value.clone().into_bytes() });
    let deletes = delete.iter().map(|key| Change::Delete { key: key.clone() });
    let changes: Vec<Change> = sets.chain(deletes).collect();
    if changes.len() < MOST {
        return vec![changes.into_iter().chain([index(owned)]).collect()];
    }
    let all: BTreeSet<String> = owned.iter().chain(set.keys()).chain(delete).cloned().collect();
    let first = std::iter::once(vec![index(&all)]);
    let middle = changes.chunks(MOST).map(<[Change]>::to_vec);
    first.chain(middle).chain([vec![index(owned)]]).collect()
}
