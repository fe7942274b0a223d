//! One task on one host: its attempts, its result.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value as Json, json};

use crate::agent;
use crate::event::TaskStatus;
use crate::module::{Diff, Outcome};
use crate::playbook::Refused;
use crate::playbook::model::{Play, Task, Vars};
use crate::playbook::run::connect::{Agents, Way};
use crate::playbook::run::prepare::{self, Prepared, Question, conditions, prepare, rendered};
use crate::playbook::run::repeat::Items;
use crate::playbook::run::result::{self, Result as TaskResult, flag};
use crate::playbook::run::{Engine, wait};
use crate::playbook::scope::{Cast, TaskScope, Trust};

/// A task on a host.
#[derive(Clone, Copy)]
pub struct Spot<'a> {
    /// The play.
    pub play: &'a Play,
    /// The task.
    pub task: &'a Task,
    /// The host's inventory name.
    pub host: &'a str,
    /// Who plays.
    pub cast: &'a Arc<Cast>,
}

/// How a task ended on a host.
pub struct Report {
    /// The registered value.
    pub result: TaskResult,
    /// How it counts.
    pub status: TaskStatus,
    /// What the carrier said when the host could not be reached.
    pub refused: Option<Refused>,
    /// The handlers that it notifies if it changed something.
    pub notify: Vec<String>,
}

/// How one item ended.
pub(super) struct Ended {
    pub(super) result: TaskResult,
    pub(super) diffs: Vec<Diff>,
    pub(super) refused: Option<Refused>,
    pub(super) notify: Vec<String>,
}

impl Ended {
    pub(super) fn of(result: TaskResult) -> Self {
        Self { result, diffs: vec![], refused: None, notify: vec![] }
    }

    /// The host could not be reached.
    pub(super) fn away(refused: Refused) -> Self {
        Self { refused: Some(refused), ..Self::of(TaskResult::new()) }
    }

    /// Why it did not end well.
    pub(super) fn message(&self) -> String {
        let refused = self.refused.as_ref().map(ToString::to_string);
        refused.or_else(|| result::message(&self.result)).unwrap_or_default()
    }
}

impl Engine<'_> {
    pub(super) fn scope<'w>(&'w self, spot: Spot<'w>, over: &Vars) -> TaskScope<'w> {
        let mut scope = TaskScope::new(&self.world, spot.host, Some(spot.play), Some(spot.task), spot.cast);
        if !over.is_empty() {
            scope.add(over.clone(), Trust::Plain);
        }
        scope
    }

    /// Carries out a task on a host, loops and all.
    pub async fn task(&self, spot: Spot<'_>) -> Report {
        match self.listed(spot).await {
            Items::None => {
                let began = Instant::now();
                let ended = self.item(spot, &Vars::new()).await;
                self.finish(spot, &[], ended, Some(began))
            }
            Items::Instead(ended) => self.finish(spot, &[], ended, Some(Instant::now())),
            Items::These(items) => self.repeated(spot, items).await,
        }
    }

    /// One item: attempts until it is well.
    pub(super) async fn item(&self, spot: Spot<'_>, over: &Vars) -> Ended {
        let most = if spot.task.until.is_empty() {
            1
        } else {
            self.number(spot, over, spot.task.retries.as_ref(), 3).await + 1
        };
        let delay = self.number(spot, over, spot.task.delay.as_ref(), 5).await;
        let mut attempt = 1;
        loop {
            let mut ended = self.in_time(spot, over).await;
            if flag(&ended.result, "skipped") || ended.refused.is_some() {
                return ended;
            }
            if let Err(ended) = self.judge(spot, over, &mut ended.result).await {
                return ended;
            }
            if spot.task.until.is_empty() {
                return ended;
            }
            ended.result.insert("attempts".to_owned(), json!(attempt));
            match self.check(spot, over, &ended.result, &spot.task.until).await {
                Ok(true) => return ended,
                Ok(false) if attempt < most => {}
                Ok(false) => {
                    // Ansible counts the retries that were made.
                    ended.result.insert("attempts".to_owned(), json!(most.max(2) - 1));
                    ended.result.insert("failed".to_owned(), Json::Bool(true));
                    return ended;
                }
                Err(ended) => return ended,
            }
            attempt += 1;
            tokio::time::sleep(Duration::from_secs(delay)).await;
        }
    }

    async fn number(&self, spot: Spot<'_>, over: &Vars, written: Option<&super::Written>, default: u64) -> u64 {
        let Some(written) = written else { return default };
        let value = self.look(spot, over, |scope| rendered(scope, written).ok()).await.ok().flatten();
        value.and_then(|value| value.to_string().parse().ok()).unwrap_or(default)
    }

    /// Whether all conditions hold with the result in sight.
    async fn check(
        &self,
        spot: Spot<'_>,
        over: &Vars,
        result: &TaskResult,
        list: &[super::Written],
    ) -> Result<bool, Ended> {
        let mut over = over.clone();
        if let Some(name) = &spot.task.register {
            over.insert(name.clone(), Json::Object(result.clone()));
        }
        let unmet = self.look(spot, &over, |scope| conditions(scope, list)).await?;
        unmet.map(|unmet| unmet.is_none()).map_err(|message| Ended::of(result::failed(message)))
    }

    /// Applies `changed_when` and `failed_when`.
    async fn judge(&self, spot: Spot<'_>, over: &Vars, result: &mut TaskResult) -> Result<(), Ended> {
        let rules = [("failed", &spot.task.failed_when), ("changed", &spot.task.changed_when)];
        for (key, list) in rules {
            if list.is_empty() {
                continue;
            }
            match self.check(spot, over, result, list).await {
                Ok(met) => {
                    result.insert(key.to_owned(), Json::Bool(met));
                    if key == "failed" {
                        result.insert("failed_when_result".to_owned(), Json::Bool(met));
                    }
                }
                Err(ended) if ended.refused.is_some() => return Err(ended),
                Err(ended) => *result = ended.result,
            }
        }
        Ok(())
    }

    /// Carries out one attempt, in the time that it may take.
    async fn in_time(&self, spot: Spot<'_>, over: &Vars) -> Ended {
        let limit = self.look(spot, over, |scope| scope.keyword(&spot.task.settings.timeout).ok().flatten()).await;
        let limit = limit.ok().flatten().and_then(|limit| limit.to_string().parse().ok()).unwrap_or(0);
        if limit == 0 {
            return self.attempt(spot, over).await;
        }
        if let Ok(ended) = tokio::time::timeout(Duration::from_secs(limit), self.attempt(spot, over)).await {
            return ended;
        }
        // What is still under way there must not go on.
        self.agents.forget_all().await;
        let message =
            format!("The task action failed to execute in the expected time frame ({limit}) and was terminated");
        Ended::of(result::failed(message))
    }

    /// Carries out one attempt.
    async fn attempt(&self, spot: Spot<'_>, over: &Vars) -> Ended {
        match self.look(spot, over, |scope| prepare(scope, spot.task, self.request)).await {
            Ok((prepared, notify)) => Ended { notify, ..self.act(spot, over, prepared).await },
            Err(ended) => ended,
        }
    }

    /// Carries out what was prepared.
    async fn act(&self, spot: Spot<'_>, over: &Vars, prepared: Prepared) -> Ended {
        match prepared {
            Prepared::Skip(condition) => Ended::of(result::skipped(condition)),
            Prepared::Fail(message) => Ended::of(result::failed(message)),
            Prepared::Done(result) => Ended::of(result),
            Prepared::Make(made, result) => Ended::of(self.make(made, result)),
            Prepared::Wait(time) => {
                tokio::time::sleep(time).await;
                Ended::of(result::pairs([("changed", json!(false)), ("failed", json!(false))]))
            }
            Prepared::Facts(way, asked) => match self.gather(&self.facts_host(spot, over), &way).await {
                Ok(facts) => {
                    let facts = agent::facts::subset::asked(&facts, &asked.subsets, &asked.filters);
                    let named = |key: &str| match key {
                        "gather_subset" | "module_setup" => key.to_owned(),
                        key => format!("ansible_{key}"),
                    };
                    let mut facts: Vars = facts.iter().map(|(key, value)| (named(key), value.clone())).collect();
                    if let Some(subset) = facts.get_mut("gather_subset").filter(|_| !asked.subsets.is_empty()) {
                        *subset = json!(asked.subsets);
                    }
                    let pairs =
                        [("changed", json!(false)), ("failed", json!(false)), ("ansible_facts", Json::Object(facts))];
                    Ended::of(result::pairs(pairs))
                }
                Err(ended) => ended,
            },
            Prepared::Reach(way) => match self.agents.at(&way).await {
                Ok(_) => Ended::of(result::pairs([
                    ("changed", json!(false)),
                    ("failed", json!(false)),
                    ("ping", json!("pong")),
                ])),
                Err(refused) => Ended::away(refused),
            },
            Prepared::Await(way, patience) => Ended::of(wait::reached(&self.agents, &way, &patience).await),
            Prepared::Reboot(way, wanted) => match wait::reboot(&self.agents, &way, &wanted).await {
                Ok(result) => Ended::of(result),
                Err(refused) => Ended::away(refused),
            },
            Prepared::Job(question) => Ended::of(match question {
                Question::Status(id) => self.jobs.status(&id).await,
                Question::Forget(id) => self.jobs.forget(&id),
            }),
            Prepared::Remote(remote) => match self.background(spot, over).await {
                Some((limit, 0)) => self.begun(limit, *remote).await,
                Some((limit, _)) => self.awaited(limit, &remote).await,
                None => carry_out(&self.agents, &remote).await,
            },
            Prepared::Fetch(fetch) => match reached(&self.agents, &fetch.way).await {
                Ok(client) => ended(&self.agents, &fetch.way, fetch.run(&client).await).await,
                Err(ended) => ended,
            },
            Prepared::Pull(pull) => match reached(&self.agents, &pull.way).await {
                Ok(client) => ended(&self.agents, &pull.way, pull.run(&client).await).await,
                Err(ended) => ended,
            },
        }
    }

    /// Begins a task that goes on beside the others.
    async fn begun(&self, limit: Duration, remote: prepare::Remote) -> Ended {
        let client = match reached(&self.agents, &remote.way).await {
            Ok(client) => client,
            Err(ended) => return ended,
        };
        let sent = !remote.blobs.is_empty();
        match client.begin(&remote.task, &remote.environment, remote.blobs, remote.mode, limit).await {
            Ok(begun) => {
                let (agents, way) = (self.agents.clone(), remote.way);
                let work = async move { ended(&agents, &way, begun.outcome().await).await.into_result() };
                Ended::of(self.jobs.start(sent, work))
            }
            Err(error) => ended(&self.agents, &remote.way, Err(error)).await,
        }
    }

    /// Waits for a task that is looked at from time to time.
    async fn awaited(&self, limit: Duration, remote: &prepare::Remote) -> Ended {
        if let Ok(mut ended) = tokio::time::timeout(limit, carry_out(&self.agents, remote)).await {
            ended.result.insert("started".to_owned(), json!(1));
            ended.result.insert("finished".to_owned(), json!(1));
            return ended;
        }
        self.agents.forget(&remote.way).await;
        let limit = limit.as_secs();
        Ended::of(result::failed(format!("async task did not complete within the requested time - {limit}s")))
    }

    /// The time that a task may go on beside the others, and how often it is looked at.
    async fn background(&self, spot: Spot<'_>, over: &Vars) -> Option<(Duration, u64)> {
        let limit = self.number(spot, over, spot.task.background.as_ref(), 0).await;
        let poll = self.number(spot, over, spot.task.poll.as_ref(), 15).await;
        (limit > 0).then(|| (Duration::from_secs(limit), poll))
    }

    fn facts_host(&self, spot: Spot<'_>, over: &Vars) -> String {
        self.scope(spot, over).facts_host().to_owned()
    }
}

impl Ended {
    /// What is registered of it.
    fn into_result(mut self) -> TaskResult {
        if let Some(refused) = self.refused {
            self.result = result::failed(refused.to_string());
        }
        self.result
    }
}

/// Has the target do it.
async fn carry_out(agents: &Agents, remote: &prepare::Remote) -> Ended {
    let client = match reached(agents, &remote.way).await {
        Ok(client) => client,
        Err(ended) => return ended,
    };
    let outcome = client.task(&remote.task, &remote.environment, &remote.blobs, remote.mode).await;
    ended(agents, &remote.way, outcome).await
}

/// The agent, or how a task without one ends.
async fn reached(agents: &Agents, way: &Way) -> Result<Arc<agent::Client>, Ended> {
    // The host is there, the account is not to be had: the task failed.
    agents.at(way).await.map_err(|refused| match refused.downcast::<agent::Error>() {
        Ok(error) if matches!(*error, agent::Error::Become { .. } | agent::Error::Password { .. }) => {
            Ended::of(result::failed(error.to_string()))
        }
        Ok(error) => Ended::away(error),
        Err(refused) => Ended::away(refused),
    })
}

pub(super) async fn ended(agents: &Agents, way: &Way, outcome: Result<Outcome, agent::Error>) -> Ended {
    match outcome {
        Ok(outcome) => {
            let result = result::of_outcome(&outcome);
            Ended { diffs: outcome.diffs, ..Ended::of(result) }
        }
        Err(error @ agent::Error::Refused { .. }) => Ended::of(result::failed(error.to_string())),
        Err(error) => {
            agents.forget(way).await;
            Ended::away(Box::new(error))
        }
    }
}
