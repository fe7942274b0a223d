//! Roles that have run on a host do not run there again.

use std::sync::PoisonError;

use crate::playbook::model::{Brought, Item, Role, Task};
use crate::playbook::run::Engine;

impl Engine<'_> {
    /// The hosts that a step is for: not those where its role has run.
    pub(super) fn due(&self, item: &Item, mut hosts: Vec<String>) -> Vec<String> {
        if let Some(role) = item.role().filter(|role| !role.repeats) {
            let fates = self.fates();
            hosts.retain(|host| fates.get(host).is_none_or(|fate| !fate.ended.contains(&role.identity)));
        }
        hosts
    }

    /// A task of a role has run.
    pub(super) fn role_begun(&self, task: &Task, hosts: &[String]) {
        let Some(role) = &task.role else { return };
        let mut fates = self.fates();
        for host in hosts {
            fates.entry(host.clone()).or_default().begun.insert(role.identity.clone());
        }
    }

    /// The end of a role was reached. Where all of its tasks were skipped, it has not run.
    pub(super) fn ended(&self, role: &Role, hosts: &[String]) {
        let mut fates = self.fates();
        for host in hosts {
            let fate = fates.entry(host.clone()).or_default();
            if fate.begun.contains(&role.identity) {
                fate.ended.insert(role.identity.clone());
            }
        }
    }

    /// Roles that were included when they were reached bring handlers, and perhaps variables.
    pub(super) fn bring(&self, brought: &Brought) {
        self.late_handlers.lock().unwrap_or_else(PoisonError::into_inner).extend(brought.handlers.iter().cloned());
        self.world.expose(&brought.roles);
    }
}
