//! One task on one host: its loop, its attempts, its result.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Map, Value as Json, json};

use crate::agent;
use crate::event::{Event, TaskStatus};
use crate::module::{Diff, Outcome};
use crate::playbook::jinja::Value;
use crate::playbook::model::{Play, RepeatKind, Task, Vars};
use crate::playbook::run::connect::Way;
use crate::playbook::run::prepare::{self, Prepared, conditions, prepare, rendered};
use crate::playbook::run::result::{self, Result as TaskResult, flag};
use crate::playbook::run::{Engine, actions, wait};
use crate::playbook::scope::{Cast, TaskScope, Trust};
use crate::playbook::{Diffs, Refused, local_modules};

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
}

/// How one item ended.
struct Ended {
    result: TaskResult,
    diffs: Vec<Diff>,
    refused: Option<Refused>,
}

impl Ended {
    fn of(result: TaskResult) -> Self {
        Self { result, diffs: vec![], refused: None }
    }
}

/// The items of a loop, or what to do instead.
enum Items {
    None,
    These(Vec<Value>),
    Instead(TaskResult),
    Facts(Way),
}

impl Engine<'_> {
    fn scope<'w>(&'w self, spot: Spot<'w>, over: &Vars) -> TaskScope<'w> {
        let mut scope = TaskScope::new(&self.world, spot.host, Some(spot.play), Some(spot.task), spot.cast);
        if !over.is_empty() {
            scope.add(over.clone(), Trust::Plain);
        }
        scope
    }

    /// Carries out a task on a host, loops and all.
    pub async fn task(&self, spot: Spot<'_>) -> Report {
        let items = match self.listed(spot) {
            Items::Facts(way) => {
                if let Err(refused) = self.gather(spot.host, &way).await {
                    return self.finish(
                        spot,
                        &[],
                        Ended { refused: Some(refused), ..Ended::of(TaskResult::new()) },
                        None,
                    );
                }
                self.listed(spot)
            }
            items => items,
        };
        match items {
            Items::None => {
                let began = Instant::now();
                let ended = self.item(spot, &Vars::new()).await;
                self.finish(spot, &[], ended, Some(began))
            }
            Items::Instead(result) => self.finish(spot, &[], Ended::of(result), Some(Instant::now())),
            Items::Facts(_) => {
                self.finish(spot, &[], Ended::of(result::failed("facts are asked for again and again")), None)
            }
            Items::These(items) => self.repeated(spot, items).await,
        }
    }

    fn listed(&self, spot: Spot<'_>) -> Items {
        let Some(repeat) = &spot.task.repeat else { return Items::None };
        let scope = self.scope(spot, &Vars::new());
        let value = rendered(&scope, &repeat.over);
        if scope.wants_facts.get()
            && let Ok(way) = super::connect::way(&scope, self.request)
        {
            return Items::Facts(way);
        }
        let listed = value.and_then(|value| match (repeat.kind, &value) {
            (RepeatKind::Dict, Value::Dict(dict)) => Ok(dict
                .0
                .iter()
                .map(|(key, value)| {
                    Value::dict(vec![(Value::text("key"), key.clone()), (Value::text("value"), value.clone())])
                })
                .collect()),
            (RepeatKind::Items, Value::List(items)) => Ok(items
                .iter()
                .flat_map(|item| match item {
                    Value::List(inner) => inner.to_vec(),
                    other => vec![other.clone()],
                })
                .collect()),
            (RepeatKind::Items, other) => Ok(vec![other.clone()]),
            (RepeatKind::List, Value::List(items) | Value::Tuple(items)) => Ok(items.to_vec()),
            (_, other) => Err(format!("{}: a loop needs a list, got {}", repeat.over.place, other.kind())),
        });
        match listed {
            Ok(items) => Items::These(items),
            // A loop over nothing that is there does not matter where the condition is false.
            Err(message) => match conditions(&scope, &spot.task.settings.when) {
                Ok(Some(condition)) => Items::Instead(result::skipped(condition)),
                _ => Items::Instead(result::failed(message)),
            },
        }
    }

    async fn repeated(&self, spot: Spot<'_>, items: Vec<Value>) -> Report {
        let Some(repeat) = &spot.task.repeat else {
            return self.finish(spot, &[], Ended::of(TaskResult::new()), None);
        };
        let (mut results, mut refused) = (vec![], None);
        for (index, item) in items.iter().enumerate() {
            if let (true, Some(pause)) = (index > 0, &repeat.pause) {
                tokio::time::sleep(Duration::from_secs_f64(pause.value.as_f64().unwrap_or(0.0).clamp(0.0, 3600.0)))
                    .await;
            }
            let began = Instant::now();
            let json = item.to_json().unwrap_or(Json::Null);
            let mut over = Vars::new();
            over.insert(repeat.var.clone(), json.clone());
            over.insert("ansible_loop_var".to_owned(), json!(repeat.var));
            if let Some(name) = &repeat.index_var {
                over.insert(name.clone(), json!(index));
            }
            let mut ended = self.item(spot, &over).await;
            let label = match &repeat.label {
                Some(label) => {
                    let scope = self.scope(spot, &over);
                    rendered(&scope, label).map_or_else(|message| message, |value| value.to_string())
                }
                None => item.to_string(),
            };
            self.tell(spot, &ended, Some(label), began);
            refused = ended.refused.take();
            ended.result.insert(repeat.var.clone(), json);
            ended.result.insert("ansible_loop_var".to_owned(), json!(repeat.var));
            results.push(ended.result);
            if refused.is_some() {
                break;
            }
        }
        let mut whole = result::of_items(results.clone());
        if refused.is_some() {
            whole.insert("unreachable".to_owned(), Json::Bool(true));
        }
        let ended = Ended { result: whole, diffs: vec![], refused };
        self.finish(spot, &results, ended, None)
    }

    /// Registers a result, tells it if `began` is given, and says how it counts.
    fn finish(&self, spot: Spot<'_>, items: &[TaskResult], ended: Ended, began: Option<Instant>) -> Report {
        let mut ended = ended;
        if ended.refused.is_some() {
            ended.result.insert("unreachable".to_owned(), Json::Bool(true));
            let message = ended.refused.as_ref().map(ToString::to_string).unwrap_or_default();
            ended.result.insert("msg".to_owned(), Json::from(message));
        }
        if spot.task.repeat.is_some() && items.is_empty() && began.is_none() {
            self.tell(spot, &ended, None, Instant::now());
        } else if let Some(began) = began {
            self.tell(spot, &ended, None, began);
        }
        let status = self.status(spot, &ended.result);
        for result in items.iter().chain([&ended.result]) {
            self.keep_facts(spot, result);
        }
        if let Some(name) = &spot.task.register {
            let value = Json::Object(ended.result.clone());
            self.world.change(spot.host, |state| {
                Arc::make_mut(&mut state.set).insert(name.clone(), value);
            });
        }
        Report { result: ended.result, status, refused: ended.refused }
    }

    /// Keeps facts that a module of the target told.
    fn keep_facts(&self, spot: Spot<'_>, result: &TaskResult) {
        let Some(Json::Object(facts)) = result.get("ansible_facts") else { return };
        if local_modules::NAMES.contains(&spot.task.module.as_str()) {
            return;
        }
        self.world.change(spot.host, |state| Arc::make_mut(&mut state.told).extend(facts.clone()));
    }

    fn status(&self, spot: Spot<'_>, result: &TaskResult) -> TaskStatus {
        let status = result::status(result);
        if status != TaskStatus::Failed {
            return status;
        }
        let scope = self.scope(spot, &Vars::new());
        let ignored = actions::keyword(&scope, spot.task.settings.ignore_errors.as_ref()).unwrap_or(false);
        if ignored { TaskStatus::Ignored } else { status }
    }

    fn hidden(&self, spot: Spot<'_>) -> bool {
        let scope = self.scope(spot, &Vars::new());
        // What cannot be known is hidden.
        actions::keyword(&scope, spot.task.settings.no_log.as_ref()).unwrap_or(true)
    }

    fn tell(&self, spot: Spot<'_>, ended: &Ended, item: Option<String>, began: Instant) {
        let hidden = spot.task.settings.no_log.is_some() && self.hidden(spot);
        let status = self.status(spot, &ended.result);
        let scope = self.scope(spot, &Vars::new());
        let host = match prepare::delegate_name(&scope, spot.task) {
            Some(target) => format!("{} -> {target}", spot.host),
            None => spot.host.to_owned(),
        };
        let shown = match (spot.task.module.as_str(), status) {
            (_, TaskStatus::Failed | TaskStatus::Ignored | TaskStatus::Unreachable)
            | ("debug" | "assert", TaskStatus::Ok) => {
                debug_value(spot.task, &ended.result).or_else(|| result::message(&ended.result))
            }
            _ => None,
        };
        let message = if hidden {
            let censored =
                "the output has been hidden due to the fact that 'no_log: true' was specified for this result";
            Some(censored.to_owned())
        } else {
            shown
        };
        if !hidden {
            for warning in ended.result.get("warnings").and_then(Json::as_array).into_iter().flatten() {
                self.events.warn(warning.as_str().unwrap_or_default());
            }
        }
        let diff = (self.request.diffs == Diffs::Shown && !hidden).then(|| result::unified(&ended.diffs)).flatten();
        self.events.emit(Event::TaskDone {
            host,
            task: self.name(spot.task, Some(&scope)),
            item: if hidden { item.map(|_| "(censored due to no_log)".to_owned()) } else { item },
            status,
            message,
            diff,
            took: u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX),
        });
    }

    /// One item: attempts until it is well.
    async fn item(&self, spot: Spot<'_>, over: &Vars) -> Ended {
        let most =
            if spot.task.until.is_empty() { 1 } else { self.number(spot, over, spot.task.retries.as_ref(), 3) + 1 };
        let delay = self.number(spot, over, spot.task.delay.as_ref(), 5);
        let mut attempt = 1;
        loop {
            let mut ended = self.attempt(spot, over).await;
            if flag(&ended.result, "skipped") || ended.refused.is_some() {
                return ended;
            }
            self.judge(spot, over, &mut ended.result);
            if spot.task.until.is_empty() {
                return ended;
            }
            ended.result.insert("attempts".to_owned(), json!(attempt));
            match self.check(spot, over, &ended.result, &spot.task.until) {
                Ok(true) => return ended,
                Ok(false) if attempt < most => {}
                Ok(false) => {
                    ended.result.insert("failed".to_owned(), Json::Bool(true));
                    return ended;
                }
                Err(message) => return Ended::of(result::failed(message)),
            }
            attempt += 1;
            tokio::time::sleep(Duration::from_secs(delay)).await;
        }
    }

    fn number(&self, spot: Spot<'_>, over: &Vars, written: Option<&super::Written>, default: u64) -> u64 {
        let Some(written) = written else { return default };
        let scope = self.scope(spot, over);
        rendered(&scope, written).ok().and_then(|value| value.to_string().parse().ok()).unwrap_or(default)
    }

    /// Whether all conditions hold with the result in sight.
    fn check(&self, spot: Spot<'_>, over: &Vars, result: &TaskResult, list: &[super::Written]) -> Result<bool, String> {
        let mut scope = self.scope(spot, over);
        if let Some(name) = &spot.task.register {
            scope.add(Map::from_iter([(name.clone(), Json::Object(result.clone()))]), Trust::Plain);
        }
        conditions(&scope, list).map(|unmet| unmet.is_none())
    }

    /// Applies `changed_when` and `failed_when`.
    fn judge(&self, spot: Spot<'_>, over: &Vars, result: &mut TaskResult) {
        let rules = [("failed", &spot.task.failed_when), ("changed", &spot.task.changed_when)];
        for (key, list) in rules {
            if list.is_empty() {
                continue;
            }
            match self.check(spot, over, result, list) {
                Ok(met) => {
                    result.insert(key.to_owned(), Json::Bool(met));
                    if key == "failed" {
                        result.insert("failed_when_result".to_owned(), Json::Bool(met));
                    }
                }
                Err(message) => *result = result::failed(message),
            }
        }
    }

    /// Carries out one attempt. Facts that turn out to be needed are gathered, and it is prepared again.
    async fn attempt(&self, spot: Spot<'_>, over: &Vars) -> Ended {
        let (mut prepared, facts) = self.prepared(spot, over);
        if let Some(way) = facts {
            if let Err(refused) = self.gather(spot.host, &way).await {
                return Ended { refused: Some(refused), ..Ended::of(TaskResult::new()) };
            }
            prepared = self.prepared(spot, over).0;
        }
        match prepared {
            Prepared::Skip(condition) => Ended::of(result::skipped(condition)),
            Prepared::Fail(message) => Ended::of(result::failed(message)),
            Prepared::Done(result) => Ended::of(result),
            Prepared::Wait(time) => {
                tokio::time::sleep(time).await;
                Ended::of(result::pairs([("changed", json!(false)), ("failed", json!(false))]))
            }
            Prepared::Facts(way, asked) => match self.gather(spot.host, &way).await {
                Ok(facts) => {
                    let facts = agent::facts::subset::asked(&facts, &asked.subsets, &asked.filters);
                    let facts = facts.iter().map(|(key, value)| (format!("ansible_{key}"), value.clone())).collect();
                    let pairs =
                        [("changed", json!(false)), ("failed", json!(false)), ("ansible_facts", Json::Object(facts))];
                    Ended::of(result::pairs(pairs))
                }
                Err(refused) => Ended { refused: Some(refused), ..Ended::of(TaskResult::new()) },
            },
            Prepared::Reach(way) => match self.agents.at(&way).await {
                Ok(_) => Ended::of(result::pairs([
                    ("changed", json!(false)),
                    ("failed", json!(false)),
                    ("ping", json!("pong")),
                ])),
                Err(refused) => Ended { refused: Some(refused), ..Ended::of(TaskResult::new()) },
            },
            Prepared::Await(way, patience) => Ended::of(wait::reached(&self.agents, &way, &patience).await),
            Prepared::Reboot(way, wanted) => match wait::reboot(&self.agents, &way, &wanted).await {
                Ok(result) => Ended::of(result),
                Err(refused) => Ended { refused: Some(refused), ..Ended::of(TaskResult::new()) },
            },
            Prepared::Remote(remote) => self.remote(&remote).await,
            Prepared::Fetch(fetch) => match self.reached(&fetch.way).await {
                Ok(client) => self.ended(&fetch.way, fetch.run(&client).await).await,
                Err(ended) => ended,
            },
            Prepared::Pull(pull) => match self.reached(&pull.way).await {
                Ok(client) => self.ended(&pull.way, pull.run(&client).await).await,
                Err(ended) => ended,
            },
        }
    }

    fn prepared(&self, spot: Spot<'_>, over: &Vars) -> (Prepared, Option<Way>) {
        let scope = self.scope(spot, over);
        let prepared = prepare(&scope, spot.task, self.request);
        let way = if scope.wants_facts.get() { super::connect::way(&scope, self.request).ok() } else { None };
        (prepared, way)
    }

    async fn remote(&self, remote: &prepare::Remote) -> Ended {
        let client = match self.reached(&remote.way).await {
            Ok(client) => client,
            Err(ended) => return ended,
        };
        let outcome = client.task(&remote.task, &remote.environment, &remote.blobs, remote.mode).await;
        self.ended(&remote.way, outcome).await
    }

    /// The agent, or how a task without one ends.
    async fn reached(&self, way: &Way) -> Result<Arc<agent::Client>, Ended> {
        // The host is there, the account is not to be had: the task failed.
        self.agents.at(way).await.map_err(|refused| match refused.downcast::<agent::Error>() {
            Ok(error) if matches!(*error, agent::Error::Become { .. } | agent::Error::Password { .. }) => {
                Ended::of(result::failed(error.to_string()))
            }
            Ok(error) => Ended { refused: Some(error), ..Ended::of(TaskResult::new()) },
            Err(refused) => Ended { refused: Some(refused), ..Ended::of(TaskResult::new()) },
        })
    }

    async fn ended(&self, way: &Way, outcome: Result<Outcome, agent::Error>) -> Ended {
        match outcome {
            Ok(outcome) => Ended { result: result::of_outcome(&outcome), diffs: outcome.diffs, refused: None },
            Err(error @ agent::Error::Refused { .. }) => Ended::of(result::failed(error.to_string())),
            Err(error) => {
                self.agents.forget(way).await;
                Ended { refused: Some(Box::new(error)), ..Ended::of(TaskResult::new()) }
            }
        }
    }

    async fn gather(&self, host: &str, way: &Way) -> Result<Arc<Vars>, Refused> {
        let client = self.agents.at(way).await?;
        let facts = match client.facts().await? {
            Json::Object(facts) => facts,
            _ => Vars::new(),
        };
        let facts = Arc::new(facts);
        self.world.change(host, |state| state.facts = Some(facts.clone()));
        Ok(facts)
    }

    /// What a person calls a task: with its role in front, rendered where it can be.
    pub fn name(&self, task: &Task, scope: Option<&TaskScope<'_>>) -> String {
        let _ = self;
        let written = task.title();
        let title = match scope.map(|scope| scope.render(&Json::from(written))) {
            Some(Ok(value)) => value.to_string(),
            _ => written.to_owned(),
        };
        match &task.role {
            Some(role) => format!("{} : {title}", role.name),
            None => title,
        }
    }
}

/// What `debug: var=…` shows.
fn debug_value(task: &Task, result: &TaskResult) -> Option<String> {
    if task.module != "debug" || task.arg("var").is_none() {
        return None;
    }
    let (name, value) = result.iter().find(|(key, _)| !matches!(key.as_str(), "changed" | "failed"))?;
    let text = match value {
        Json::String(text) => text.clone(),
        other => serde_json::to_string_pretty(other).unwrap_or_default(),
    };
    Some(format!("{name}: {text}"))
}
