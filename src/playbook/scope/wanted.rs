//! Facts that are asked for before they are there.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

/// Whose facts were asked for although they are still to be gathered.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    hosts: Arc<Mutex<BTreeSet<String>>>,
    /// Those whose facts are not to be had.
    lost: Arc<BTreeSet<String>>,
}

impl Wanted {
    /// Starts with none. Those of `lost` are never among them.
    pub fn but(lost: &BTreeSet<String>) -> Self {
        Self { hosts: Arc::default(), lost: Arc::new(lost.clone()) }
    }

    /// Returns them.
    pub fn hosts(&self) -> BTreeSet<String> {
        self.hosts.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn add(&self, host: &str) {
        if !self.lost.contains(host) {
            self.hosts.lock().unwrap_or_else(PoisonError::into_inner).insert(host.to_owned());
        }
    }
}
