//! What is registered of a task, and what a person is told of it.

use std::sync::Arc;
use std::time::Instant;

use serde_json::Value as Json;

use crate::event::{Event, TaskStatus};
use crate::playbook::model::{Task, Vars};
use crate::playbook::run::connect::truth;
use crate::playbook::run::result::{self, Result as TaskResult};
use crate::playbook::run::task::{Ended, Report, Spot};
use crate::playbook::run::{Engine, actions, prepare};
use crate::playbook::scope::TaskScope;
use crate::playbook::{Diffs, local_modules};

impl Engine<'_> {
    /// Registers a result, tells it if `began` is given, and says how it counts.
    pub(super) fn finish(&self, spot: Spot<'_>, items: &[TaskResult], ended: Ended, began: Option<Instant>) -> Report {
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
        Report { result: ended.result, status, refused: ended.refused, notify: ended.notify }
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
        let ignored = actions::keyword(&scope, &spot.task.settings.ignore_errors).unwrap_or(false);
        if ignored { TaskStatus::Ignored } else { status }
    }

    fn hidden(&self, spot: Spot<'_>) -> bool {
        let scope = self.scope(spot, &Vars::new());
        // What cannot be known is hidden.
        actions::keyword(&scope, &spot.task.settings.no_log).unwrap_or(true)
    }

    pub(super) fn tell(&self, spot: Spot<'_>, ended: &Ended, item: Option<String>, began: Instant) {
        let hidden = self.hidden(spot);
        let status = self.status(spot, &ended.result);
        let scope = self.scope(spot, &Vars::new());
        let host = match prepare::delegate_name(&scope, spot.task) {
            Ok(Some(target)) => format!("{} -> {target}", spot.host),
            Ok(None) | Err(_) => spot.host.to_owned(),
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
        let shows = match scope.keyword(&spot.task.settings.diff) {
            Ok(None) => self.request.diffs == Diffs::Shown,
            Ok(Some(value)) => truth(&value),
            Err(_) => false,
        };
        let diff = (shows && !hidden).then(|| result::unified(&ended.diffs)).flatten();
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
