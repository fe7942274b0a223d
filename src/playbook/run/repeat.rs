//! The loop of a task.

use std::time::{Duration, Instant};

use serde_json::{Value as Json, json};

use crate::playbook::jinja::{NoValue, Value};
use crate::playbook::lookup;
use crate::playbook::model::{Repeat, RepeatKind, Task, Vars};
use crate::playbook::run::Engine;
use crate::playbook::run::connect::truth;
use crate::playbook::run::prepare::{conditions, rendered};
use crate::playbook::run::result;
use crate::playbook::run::task::{Ended, Report, Spot};
use crate::playbook::scope::TaskScope;

/// The items of a loop, or what to do instead.
pub(super) enum Items {
    None,
    These(Vec<Value>),
    Instead(Ended),
}

impl Engine<'_> {
    pub(super) async fn listed(&self, spot: Spot<'_>) -> Items {
        let Some(repeat) = &spot.task.repeat else { return Items::None };
        self.look(spot, &Vars::new(), |scope| these(scope, spot.task, repeat)).await.unwrap_or_else(Items::Instead)
    }

    /// The variables of every item of an include; of none, one set without any.
    pub(super) async fn overs(&self, spot: Spot<'_>) -> Result<Vec<Vars>, Box<Report>> {
        match (self.listed(spot).await, &spot.task.repeat) {
            (Items::These(items), Some(repeat)) => {
                Ok((0..items.len()).map(|index| self.over(spot, repeat, &items, index)).collect())
            }
            (Items::Instead(ended), _) => Err(Box::new(self.finish_include(spot, ended))),
            _ => Ok(vec![Vars::new()]),
        }
    }

    /// Ends an include on a host.
    pub(super) fn finish_include(&self, spot: Spot<'_>, ended: Ended) -> Report {
        self.finish(spot, &[], ended, Some(Instant::now()))
    }

    /// The variables that a loop sets for an item.
    fn over(&self, spot: Spot<'_>, repeat: &Repeat, items: &[Value], index: usize) -> Vars {
        let json = |item: Option<&Value>| item.and_then(|item| item.to_json().ok()).unwrap_or(Json::Null);
        let mut over = Vars::new();
        over.insert(repeat.var.clone(), json(items.get(index)));
        over.insert("ansible_loop_var".to_owned(), json!(repeat.var));
        if let Some(name) = &repeat.index_var {
            over.insert(name.clone(), json!(index));
            over.insert("ansible_index_var".to_owned(), json!(name));
        }
        let extended = repeat.extended.as_ref().is_some_and(|written| {
            let scope = self.scope(spot, &Vars::new());
            rendered(&scope, written).is_ok_and(|value| truth(&value))
        });
        if extended {
            let mut told = result::pairs([
                ("allitems", Json::Array(items.iter().map(|item| json(Some(item))).collect())),
                ("index", json!(index + 1)),
                ("index0", json!(index)),
                ("first", json!(index == 0)),
                ("last", json!(index + 1 == items.len())),
                ("length", json!(items.len())),
                ("revindex", json!(items.len() - index)),
                ("revindex0", json!(items.len() - index - 1)),
            ]);
            if index + 1 < items.len() {
                told.insert("nextitem".to_owned(), json(items.get(index + 1)));
            }
            if index > 0 {
                told.insert("previtem".to_owned(), json(items.get(index - 1)));
            }
            over.insert("ansible_loop".to_owned(), Json::Object(told));
        }
        over
    }

    pub(super) async fn repeated(&self, spot: Spot<'_>, items: Vec<Value>) -> Report {
        let Some(repeat) = &spot.task.repeat else {
            return self.finish(spot, &[], Ended::of(result::Result::new()), None);
        };
        let (mut results, mut notify, mut refused) = (vec![], vec![], None);
        for (index, item) in items.iter().enumerate() {
            if let (true, Some(pause)) = (index > 0, &repeat.pause) {
                tokio::time::sleep(Duration::from_secs_f64(pause.value.as_f64().unwrap_or(0.0).clamp(0.0, 3600.0)))
                    .await;
            }
            let began = Instant::now();
            let json = item.to_json().unwrap_or(Json::Null);
            let over = self.over(spot, repeat, &items, index);
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
            notify.append(&mut ended.notify);
            ended.result.insert(repeat.var.clone(), json);
            ended.result.insert("ansible_loop_var".to_owned(), json!(repeat.var));
            if let Some(name) = &repeat.index_var {
                ended.result.insert(name.clone(), json!(index));
                ended.result.insert("ansible_index_var".to_owned(), json!(name));
            }
            results.push(ended.result);
            if refused.is_some() {
                break;
            }
        }
        let mut whole = result::of_items(results.clone());
        if refused.is_some() {
            whole.insert("unreachable".to_owned(), Json::Bool(true));
        }
        let ended = Ended { refused, notify, ..Ended::of(whole) };
        self.finish(spot, &results, ended, None)
    }
}

/// The list that a loop is over.
fn these(scope: &TaskScope<'_>, task: &Task, repeat: &Repeat) -> Items {
    let listed = rendered(scope, &repeat.over).and_then(|value| match (&repeat.kind, &value) {
        (RepeatKind::Lookup(name), value) => {
            let terms = value.as_list().map_or_else(|| vec![value.clone()], |list| list.to_vec());
            lookup::run(scope, name, &terms, &[]).map_err(|trouble| match trouble {
                NoValue::Undefined(missing) => format!("{}: {missing}", repeat.over.place),
                NoValue::Refused(message) => format!("{}: `with_{name}` {message}", repeat.over.place),
            })
        }
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
        Err(message) => match conditions(scope, &task.settings.when) {
            Ok(Some(condition)) => Items::Instead(Ended::of(result::skipped(condition))),
            _ => Items::Instead(Ended::of(result::failed(message))),
        },
    }
}
