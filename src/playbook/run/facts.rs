//! Facts: gathered when the first of them is asked for, as if that had been done at the start of the play.

use std::collections::BTreeSet;
use std::sync::{Arc, OnceLock, PoisonError};
use std::time::Instant;

use serde_json::Value as Json;
use tokio::sync::OnceCell;

use crate::playbook::model::{Gather, Play, Vars};
use crate::playbook::run::connect::{self, Way};
use crate::playbook::run::prepare::conditions;
use crate::playbook::run::result;
use crate::playbook::run::task::{Ended, Spot, ended};
use crate::playbook::run::{Engine, Hope};
use crate::playbook::scope::{TaskScope, Wanted};

/// The facts of a host that a play gathers.
pub(super) struct Due {
    /// How the play reaches the host: not as the task does that asks first.
    way: Result<Way, String>,
    gathered: OnceCell<()>,
    /// Why they are not to be had, once another host has asked for them.
    lost: OnceLock<String>,
}

impl Engine<'_> {
    /// Whether a play gathers the facts of a host: one that is imported on a condition may not.
    pub(super) fn gathers(&self, play: &Play, host: &str) -> bool {
        let cast = self.cast();
        let scope = TaskScope::new(&self.world, host, Some(play), Some(&play.setup), &cast);
        let skipped = matches!(conditions(&scope, &play.setup.settings.when), Ok(Some(_)));
        play.gather_facts == Gather::WhenAsked && !skipped
    }

    /// Keeps how a play that gathers the facts of a host reaches it.
    pub(super) fn keep_due(&self, play: &Play, host: &str) {
        let cast = self.cast();
        let scope = TaskScope::new(&self.world, host, Some(play), Some(&play.setup), &cast);
        let way = connect::way(&scope, self.request);
        let due = Due { way, gathered: OnceCell::new(), lost: OnceLock::new() };
        self.due.lock().unwrap_or_else(PoisonError::into_inner).insert(host.to_owned(), Arc::new(due));
    }

    /// Looks at what a task says. Facts that it asks for are gathered, and it is looked at again.
    pub(super) async fn look<T>(
        &self,
        spot: Spot<'_>,
        over: &Vars,
        work: impl Fn(&TaskScope<'_>) -> T,
    ) -> Result<T, Ended> {
        let mut lost = BTreeSet::new();
        loop {
            let (seen, wanted) = {
                let mut scope = self.scope(spot, over);
                scope.wanted = Wanted::but(&lost);
                (work(&scope), scope.wanted.hosts())
            };
            if wanted.is_empty() {
                return Ok(seen);
            }
            for host in wanted {
                match self.gather_due(&host).await {
                    Ok(()) => {}
                    Err(ended) if host == spot.host => return Err(ended),
                    Err(ended) => {
                        self.lose(spot, &host, ended);
                        lost.insert(host);
                    }
                }
            }
        }
    }

    /// Gathers the facts of a host that are due, once for all who ask.
    pub(super) async fn gather_due(&self, host: &str) -> Result<(), Ended> {
        let due = self.due.lock().unwrap_or_else(PoisonError::into_inner).get(host).cloned();
        let Some(due) = due else { return Ok(()) };
        let gather = || async {
            if let Some(message) = due.lost.get() {
                return Err(Ended::away(message.clone().into()));
            }
            // A `setup` may have been there first.
            if !self.world.state(host).due {
                return Ok(());
            }
            let way = due.way.as_ref().map_err(|message| Ended::of(result::failed(message.clone())))?;
            self.gather(host, way).await.map(drop)
        };
        due.gathered.get_or_try_init(gather).await.map(drop)
    }

    /// Another host's facts are not to be had: that host ends here, who asked goes on without them.
    fn lose(&self, spot: Spot<'_>, host: &str, ended: Ended) {
        let due = self.due.lock().unwrap_or_else(PoisonError::into_inner).get(host).cloned();
        let message = ended.message();
        if due.is_some_and(|due| due.lost.set(message).is_ok()) {
            let play = spot.play;
            let there = Spot { task: &play.setup, host, ..spot };
            let report = self.finish(there, &[], ended, Some(Instant::now()));
            self.count(play, &play.setup, host, report, Hope::None);
        }
    }

    /// Gathers the facts of a host.
    pub(super) async fn gather(&self, host: &str, way: &Way) -> Result<Arc<Vars>, Ended> {
        // An account that is not to be had is told as what it is, with what to do.
        let client = self.agents.at(way).await.map_err(Ended::away)?;
        let facts = match client.facts().await {
            Ok(Json::Object(facts)) => Arc::new(facts),
            Ok(_) => Arc::default(),
            Err(error) => return Err(ended(&self.agents, way, Err(error)).await),
        };
        self.world.change(host, |state| (state.facts, state.due) = (Some(facts.clone()), false));
        Ok(facts)
    }
}
