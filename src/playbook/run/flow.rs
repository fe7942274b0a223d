//! Lists of tasks, blocks, and one task on all hosts.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use futures_util::future::BoxFuture;
use futures_util::stream::{self, StreamExt as _};
use serde_json::Value as Json;

use crate::event::{Event, TaskStatus};
use crate::playbook::model::{Block, Item, Keyword, Play, Task, Vars};
use crate::playbook::run::task::{Ended, Report, Spot};
use crate::playbook::run::{Engine, Hope, Stop, actions, prepare, result};
use crate::playbook::scope::TaskScope;

impl Engine<'_> {
    pub(super) fn items<'a>(
        &'a self,
        play: &'a Play,
        items: &'a [Item],
        hosts: &'a [String],
        hope: Hope,
    ) -> BoxFuture<'a, Result<Vec<String>, Stop>> {
        Box::pin(async move {
            let mut failed: Vec<String> = vec![];
            for item in items {
                let alive: Vec<String> = self.alive(hosts).into_iter().filter(|host| !failed.contains(host)).collect();
                if alive.is_empty() {
                    break;
                }
                let alive = self.due(item, alive);
                if alive.is_empty() {
                    continue;
                }
                let (fell, fatal) = match item {
                    Item::Task(task) => {
                        (self.everywhere(play, task, &alive, hope).await?, self.is_fatal(play, task, &alive))
                    }
                    Item::Block(block) => (self.block(play, block, &alive, hope).await?, play.any_errors_fatal),
                    Item::End(role) => {
                        self.ended(role, &alive);
                        continue;
                    }
                    Item::Include(include) => (self.include(play, include, &alive, hope).await?, play.any_errors_fatal),
                };
                // Where a `rescue` may mend it, the others go on.
                if fatal && !fell.is_empty() && hope == Hope::None {
                    return Err(Stop::All);
                }
                failed.extend(fell);
                self.enough(play, hosts)?;
            }
            Ok(failed)
        })
    }

    /// Whether a failure of a task on one host ends it for all.
    fn is_fatal(&self, play: &Play, task: &Task, hosts: &[String]) -> bool {
        let cast = Arc::default();
        let scope = TaskScope::new(&self.world, &hosts[0], Some(play), Some(task), &cast);
        let set = |written: &Keyword| actions::keyword(&scope, written).unwrap_or(false);
        let once = task.module == "add_host" || set(&task.settings.run_once);
        once || set(&task.settings.any_errors_fatal)
    }

    /// Ends everything once more hosts failed than `max_fail_percentage` lets.
    fn enough(&self, play: &Play, hosts: &[String]) -> Result<(), Stop> {
        let Some(most) = &play.max_fail_percentage else { return Ok(()) };
        let cast = Arc::default();
        let scope = TaskScope::new(&self.world, &hosts[0], Some(play), None, &cast);
        let most = scope.render(&most.value).ok().and_then(|value| value.to_string().parse::<f64>().ok());
        let failed = hosts.iter().filter(|host| self.fates().get(*host).is_some_and(|fate| fate.failed)).count();
        let share = failed * 100;
        #[expect(clippy::cast_precision_loss, reason = "hosts are few")]
        let over = most.is_some_and(|most| share as f64 > most * hosts.len() as f64);
        if over && failed > 0 { Err(Stop::All) } else { Ok(()) }
    }

    async fn block(&self, play: &Play, block: &Block, hosts: &[String], hope: Hope) -> Result<Vec<String>, Stop> {
        let let_in;
        let mut hosts = hosts;
        let mut unlet = vec![];
        if let Some(gate) = &block.gate {
            if !self.request.tags.includes(&gate.settings.tags) {
                return Ok(vec![]);
            }
            let mut kept = vec![];
            for host in hosts {
                if matches!(self.wanted(play, gate, host).await, Ok(true)) {
                    kept.push(host.clone());
                }
            }
            // Ansible counts the include of a file, but that of a role only where it is skipped.
            let counted: Vec<String> = match gate.module.as_str() {
                "include_tasks" => hosts.to_vec(),
                _ => hosts.iter().filter(|host| !kept.contains(host)).cloned().collect(),
            };
            unlet = if counted.is_empty() { vec![] } else { self.everywhere(play, gate, &counted, hope).await? };
            kept.retain(|host| !unlet.contains(host));
            let_in = kept;
            hosts = &let_in;
            if !hosts.is_empty() {
                self.bring(&block.brought);
                self.role_begun(gate, hosts);
            }
        }
        let inner = if block.rescue.is_empty() { hope } else { Hope::Rescue };
        let mut failed = self.items(play, &block.body, hosts, inner).await?;
        if !block.rescue.is_empty() && !failed.is_empty() {
            failed = self.items(play, &block.rescue, &failed, hope).await?;
        }
        if !block.always.is_empty() {
            let revived: Vec<String> = {
                let mut fates = self.fates();
                failed
                    .iter()
                    .filter(|host| fates.get_mut(*host).is_some_and(|fate| std::mem::take(&mut fate.failed)))
                    .cloned()
                    .collect()
            };
            let more = self.items(play, &block.always, hosts, hope).await?;
            let mut fates = self.fates();
            for host in revived {
                fates.entry(host).or_default().failed = true;
            }
            failed.extend(more);
        }
        failed.extend(unlet);
        Ok(failed)
    }

    /// Whether the conditions of a task hold on a host.
    pub(super) async fn wanted(&self, play: &Play, task: &Task, host: &str) -> Result<bool, Ended> {
        let spot = Spot { play, task, host, cast: &self.cast() };
        let unmet = self.look(spot, &Vars::new(), |scope| prepare::conditions(scope, &task.settings.when)).await?;
        unmet.map(|unmet| unmet.is_none()).map_err(|message| Ended::of(result::failed(message)))
    }

    /// Whether a task is to be carried out at all: by its tags, and once the first task was reached.
    fn is_chosen(&self, task: &Task, name: &str) -> bool {
        if !self.request.tags.includes(&task.settings.tags) {
            return false;
        }
        if !self.started.load(Ordering::Relaxed) {
            let plain = name.rsplit(" : ").next().unwrap_or(name);
            let reached = self.request.start_at.as_deref().is_some_and(|wanted| wanted == name || wanted == plain);
            self.started.store(reached, Ordering::Relaxed);
            return reached;
        }
        true
    }

    /// Carries out a task on all hosts, as many at a time as there are forks. Returns the hosts it failed on.
    pub(super) async fn everywhere(
        &self,
        play: &Play,
        task: &Task,
        hosts: &[String],
        hope: Hope,
    ) -> Result<Vec<String>, Stop> {
        let handler = self.is_handler(play, task);
        let cast = self.cast();
        let first = Spot { play, task, host: &hosts[0], cast: &cast };
        let name = self.name(task, Some(&self.scope(first, &Vars::new())));
        if !handler && !self.is_chosen(task, &name) {
            return Ok(vec![]);
        }
        let limits = |scope: &TaskScope<'_>| {
            let once = actions::keyword(scope, &task.settings.run_once).unwrap_or(false);
            let throttle = scope.keyword(&task.settings.throttle).ok().flatten();
            (once, throttle.and_then(|value| value.to_string().parse::<usize>().ok()).filter(|most| *most > 0))
        };
        // A host that cannot be reached tells so itself.
        let (once, throttle) = self.look(first, &Vars::new(), limits).await.unwrap_or_default();
        if task.module == "meta" {
            return self.meta(play, task, hosts).await;
        }
        self.events.emit(Event::TaskStarted { name: name.clone(), handler });
        // Hosts are added by the first one alone, and only it keeps the result.
        let chosen = if once || task.module == "add_host" { &hosts[..1] } else { hosts };
        let work: Vec<_> = chosen.iter().map(|host| self.on_host(Spot { play, task, host, cast: &cast })).collect();
        let most = self.request.forks.max(1).min(throttle.unwrap_or(usize::MAX));
        let reports: Vec<(String, Report)> = stream::iter(work).buffer_unordered(most).collect().await;
        let mut failed = vec![];
        for (host, report) in reports {
            if !matches!(report.status, TaskStatus::Skipped | TaskStatus::Unreachable) {
                self.role_begun(task, std::slice::from_ref(&host));
            }
            if once && let Some(name) = &task.register {
                for other in &hosts[1..] {
                    let value = Json::Object(report.result.clone());
                    self.world.change(other, |state| drop(Arc::make_mut(&mut state.set).insert(name.clone(), value)));
                }
            }
            if once
                && task.module == "set_fact"
                && let Some(Json::Object(facts)) = report.result.get("ansible_facts")
            {
                for other in &hosts[1..] {
                    self.world.change(other, |state| Arc::make_mut(&mut state.set).extend(facts.clone()));
                }
            }
            if self.count(play, task, &host, report, hope) {
                failed.push(host);
            }
        }
        if *self.request.stop.borrow() {
            return Err(Stop::Asked(name));
        }
        Ok(failed)
    }

    fn on_host<'a>(&'a self, spot: Spot<'a>) -> BoxFuture<'a, (String, Report)> {
        Box::pin(async move { (spot.host.to_owned(), self.task(spot).await) })
    }
}
