//! Includes whose tasks are known when they are reached.

use serde_json::{Value as Json, json};

use crate::event::{Event, TaskStatus};
use crate::playbook::jinja;
use crate::playbook::model::{Include, Play, Task, Vars, Written};
use crate::playbook::parse::{self, Wanted};
use crate::playbook::run::prepare::{conditions, rendered};
use crate::playbook::run::result;
use crate::playbook::run::task::{Ended, Report, Spot};
use crate::playbook::run::{Engine, Hope, Stop};
use crate::playbook::scope::TaskScope;

/// Tasks to read, the variables that they see, and the hosts that they are for.
struct Group {
    wanted: Wanted,
    vars: Vars,
    hosts: Vec<String>,
}

impl Engine<'_> {
    /// Reads what an include brings and carries it out, one file after the other.
    pub(super) async fn include(
        &self,
        play: &Play,
        include: &Include,
        hosts: &[String],
        hope: Hope,
    ) -> Result<Vec<String>, Stop> {
        let task = &include.task;
        if !self.request.tags.includes(&task.settings.tags) {
            return Ok(vec![]);
        }
        let cast = self.cast();
        let name = {
            let scope = TaskScope::new(&self.world, &hosts[0], Some(play), Some(task), &cast);
            self.name(task, Some(&scope))
        };
        self.events.emit(Event::TaskStarted { name, handler: false });
        let (mut groups, mut failed): (Vec<Group>, Vec<String>) = (vec![], vec![]);
        for host in hosts {
            let spot = Spot { play, task, host, cast: &cast };
            let (found, report) = self.wants(spot).await;
            if report.status != TaskStatus::Ok && self.count(play, task, host, report, hope) {
                failed.push(host.clone());
                continue;
            }
            for (wanted, vars) in found {
                // What a host wants twice is done twice, one after the other.
                let fits =
                    |group: &&mut Group| group.wanted == wanted && group.vars == vars && !group.hosts.contains(host);
                match groups.iter_mut().find(fits) {
                    Some(group) => group.hosts.push(host.clone()),
                    None => groups.push(Group { wanted, vars, hosts: vec![host.clone()] }),
                }
            }
        }
        for group in groups {
            let alive: Vec<String> =
                self.alive(&group.hosts).into_iter().filter(|host| !failed.contains(host)).collect();
            if !alive.is_empty() {
                failed.extend(self.group(play, include, &group, &alive, hope).await?);
            }
        }
        Ok(failed)
    }

    async fn group(
        &self,
        play: &Play,
        include: &Include,
        group: &Group,
        hosts: &[String],
        hope: Hope,
    ) -> Result<Vec<String>, Stop> {
        match parse::included(include, &group.wanted, &group.vars, &self.request.reading) {
            Ok(included) => {
                self.bring(&included.brought);
                self.role_begun(&include.task, hosts);
                // Ansible counts every file, but no role.
                if matches!(group.wanted, Wanted::File(_)) {
                    let mut fates = self.fates();
                    for host in hosts {
                        fates.entry(host.clone()).or_default().recap.ok += 1;
                    }
                }
                self.items(play, &included.items, hosts, hope).await
            }
            Err(problems) => {
                let message = problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
                let mut failed = vec![];
                for host in hosts {
                    let result = result::failed(message.clone());
                    let report = self.told(&include.task, host, result);
                    if self.count(play, &include.task, host, report, hope) {
                        failed.push(host.clone());
                    }
                }
                Ok(failed)
            }
        }
    }

    /// Tells a result of what is no task of a target.
    pub(super) fn told(&self, task: &Task, host: &str, result: result::Result) -> Report {
        let status = result::status(&result);
        self.events.emit(Event::TaskDone {
            host: host.to_owned(),
            task: task.title().to_owned(),
            item: None,
            status,
            message: result::message(&result),
            diff: None,
            took: 0,
        });
        Report { result, status, refused: None, notify: vec![] }
    }

    /// What a host wants of an include, item by item, and how the include itself ended there.
    async fn wants(&self, spot: Spot<'_>) -> (Vec<(Wanted, Vars)>, Report) {
        let overs = match self.overs(spot).await {
            Ok(overs) => overs,
            Err(report) => return (vec![], *report),
        };
        let mut found = vec![];
        let mut results = vec![];
        for over in overs {
            let look = |scope: &TaskScope<'_>| -> Result<Result<Wanted, Json>, String> {
                match conditions(scope, &spot.task.settings.when)? {
                    Some(condition) => Ok(Err(condition)),
                    None => wanted(scope, spot.task).map(Ok),
                }
            };
            let result = match self.look(spot, &over, look).await {
                Ok(Ok(Ok(wanted))) => {
                    let told = json!(format!("{wanted:?}"));
                    found.push((wanted, inner_vars(&over)));
                    result::pairs([("changed", json!(false)), ("failed", json!(false)), ("include", told)])
                }
                Ok(Ok(Err(condition))) => result::skipped(condition),
                Ok(Err(message)) => result::failed(message),
                Err(ended) => return (vec![], self.finish_include(spot, ended)),
            };
            results.push(result);
        }
        let whole = match (spot.task.repeat.is_some(), results.len()) {
            (false, 1) => results.remove(0),
            _ => result::of_items(results),
        };
        let status = result::status(&whole);
        if status != TaskStatus::Ok {
            let ended = self.finish_include(spot, Ended::of(whole));
            return (if status == TaskStatus::Failed { vec![] } else { found }, ended);
        }
        (found, self.finish_include(spot, Ended::of(whole)))
    }
}

/// The variables of a loop that included tasks see, too.
fn inner_vars(over: &Vars) -> Vars {
    let told = over.iter().filter(|(name, _)| *name != "ansible_loop");
    told.map(|(name, value)| (name.clone(), jinja::unrendered(value))).collect()
}

fn wanted(scope: &TaskScope<'_>, task: &Task) -> Result<Wanted, String> {
    let text = |written: &Written| rendered(scope, written).map(|value| value.to_string());
    if task.module == "include_tasks" {
        let named = task.arg("file").or(task.free_form.as_ref()).ok_or("`include_tasks` needs a file")?;
        return Ok(Wanted::File(text(named)?));
    }
    let named = task.arg("name").or_else(|| task.arg("role")).ok_or("`include_role` needs `name`")?;
    let part = |name: &str| {
        let text = task.arg(name).map_or_else(|| Ok("main".to_owned()), text)?;
        let bare = text.strip_suffix(".yml").or_else(|| text.strip_suffix(".yaml"));
        Ok::<_, String>(bare.unwrap_or(&text).to_owned())
    };
    Ok(Wanted::Role {
        name: text(named)?,
        tasks: part("tasks_from")?,
        vars: part("vars_from")?,
        defaults: part("defaults_from")?,
        handlers: part("handlers_from")?,
    })
}
