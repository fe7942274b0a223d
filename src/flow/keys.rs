//! Consul keys: written and removed together with the list of what their owner has.

use std::collections::{BTreeMap, BTreeSet};

use crate::consul::{Change, Client, Error, MOST};
use crate::flow::found::OWNED;

/// What is there before keys of an owner are written and removed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Before {
    /// What these keys hold; one that is missing here is not there.
    pub values: BTreeMap<String, String>,
    /// Every key that the owner has.
    pub owned: BTreeSet<String>,
}

/// Takes back that `set` was written: the keys hold what they held before.
pub async fn back(client: &Client, owner: &str, set: &BTreeMap<String, String>, before: &Before) -> Result<(), Error> {
    let delete = set.keys().filter(|key| !before.values.contains_key(*key)).cloned().collect();
    apply(client, owner, &before.values, &delete, &before.owned).await
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
