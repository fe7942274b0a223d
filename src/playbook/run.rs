//! A playbook is carried out: play by play, task by task, on all hosts of a play side by side.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::future::BoxFuture;
use futures_util::stream::{self, StreamExt as _};
use serde_json::{Value as Json, json};

use crate::event::{Event, Events, HostRecap, TaskStatus};
use crate::place::Problem;
use crate::playbook::inventory::{self, Inventory};
use crate::playbook::jinja::{Value, is_template};
use crate::playbook::model::{Item, Play, Task, Vars, Written};
use crate::playbook::scope::{Cast, TaskScope, Trust, World};
use crate::playbook::{Connect, Error, Recap, Refused, Request, files, parse};

mod actions;
mod connect;
mod prepare;
mod result;
mod task;
mod transfer;
mod wait;

use connect::Agents;
use task::{Report, Spot};

/// What has become of one host.
#[derive(Debug, Default)]
struct Fate {
    recap: HostRecap,
    failed: bool,
    out: bool,
    notified: BTreeSet<String>,
}

/// Why a play goes no further.
enum Stop {
    /// A person asked for it.
    Asked(String),
    /// `meta: end_play`, or every host failed.
    Play,
    /// A failure that ends everything.
    All,
}

/// A run under way.
pub(super) struct Engine<'e> {
    world: Arc<World>,
    request: &'e Request,
    events: &'e Events,
    agents: Agents,
    fates: Mutex<BTreeMap<String, Fate>>,
    refused: Mutex<Option<(String, Refused)>>,
}

/// Whether a failure may still be mended.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Hope {
    /// By a `rescue`.
    Rescue,
    /// It may not.
    None,
}

/// Runs a playbook that was read without problems.
pub(super) async fn run(request: &Request, connect: Connect, events: &Events) -> Result<Recap, Error> {
    let (playbook, reader) = parse::playbook(&request.playbook);
    let (mut inventory, mut problems) = inventory::load(&request.inventory);
    problems.extend(reader.problems);
    let directory = playbook_directory(&request.playbook);
    inventory.beside(&directory, &mut problems);
    if !problems.is_empty() {
        return Err(Error::Problems(problems));
    }
    let world = World::new(inventory, request.extra_vars.clone(), request.mode, directory);
    let engine = Engine {
        world: Arc::new(world),
        request,
        events,
        agents: Agents::new(connect),
        fates: Mutex::default(),
        refused: Mutex::default(),
    };
    let mut stopped = None;
    for play in &playbook.plays {
        match engine.play(play).await? {
            None | Some(Stop::Play) => {}
            Some(Stop::All) => break,
            Some(Stop::Asked(task)) => {
                stopped = Some(task);
                break;
            }
        }
    }
    engine.end(stopped)
}

/// The directory of a playbook.
pub(super) fn playbook_directory(playbook: &Path) -> std::path::PathBuf {
    match playbook.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => std::path::PathBuf::from("."),
    }
}

impl Engine<'_> {
    fn fates(&self) -> MutexGuard<'_, BTreeMap<String, Fate>> {
        self.fates.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn alive(&self, hosts: &[String]) -> Vec<String> {
        let fates = self.fates();
        hosts.iter().filter(|host| fates.get(*host).is_none_or(|fate| !fate.failed && !fate.out)).cloned().collect()
    }

    fn end(self, stopped: Option<String>) -> Result<Recap, Error> {
        let fates = self.fates.into_inner().unwrap_or_else(PoisonError::into_inner);
        let hosts: Vec<HostRecap> = fates.into_iter().map(|(host, fate)| HostRecap { host, ..fate.recap }).collect();
        self.events.emit(Event::Recap { hosts: hosts.clone() });
        let recap = Recap { hosts };
        if let Some(task) = stopped {
            return Err(Error::Stopped { task });
        }
        let failed: Vec<String> =
            recap.hosts.iter().filter(|host| host.failed > 0).map(|host| host.host.clone()).collect();
        if !failed.is_empty() {
            return Err(Error::Failed { hosts: failed, recap });
        }
        match self.refused.into_inner().unwrap_or_else(PoisonError::into_inner) {
            Some((host, source)) => Err(Error::Unreachable { host, recap, source }),
            None => Ok(recap),
        }
    }

    fn hosts(&self, play: &Play) -> Result<Vec<String>, Error> {
        let wrong =
            |place: &crate::place::Place, message: String| Error::Problems(vec![Problem::new(place.clone(), message)]);
        let cast = Arc::default();
        let scope = TaskScope::new(&self.world, "localhost", Some(play), None, &cast);
        let value = scope.render(&play.hosts.value).map_err(|error| wrong(&play.hosts.place, error.message))?;
        let pattern = match value.as_list() {
            Some(items) => items.iter().map(ToString::to_string).collect::<Vec<_>>().join(","),
            None => value.to_string(),
        };
        let inventory: &Inventory = &self.world.inventory;
        let mut hosts = inventory.select(&pattern).map_err(|message| wrong(&play.hosts.place, message))?;
        if let Some(limit) = &self.request.limit {
            let kept = inventory.select(limit).map_err(|message| wrong(&play.hosts.place, message))?;
            hosts.retain(|host| kept.contains(host));
        }
        Ok(hosts)
    }

    /// What a person calls a play: its name or its hosts, rendered where no host need be asked.
    fn title(&self, play: &Play, all: &[String]) -> String {
        let written = play.name.as_deref().map_or_else(|| play.hosts.value.clone(), Json::from);
        let cast = Arc::default();
        let mut scope = TaskScope::new(&self.world, "localhost", Some(play), None, &cast);
        if play.name.as_deref().is_some_and(is_template) {
            let mut vars = self.vars_files(play, "localhost", all).unwrap_or_default();
            vars.retain(|name, _| !self.world.extra.contains_key(name));
            scope.add(vars, Trust::Rendered);
        }
        scope.render(&written).unwrap_or_else(|_| Value::from(&written)).to_string()
    }

    async fn play(&self, play: &Play) -> Result<Option<Stop>, Error> {
        let all = self.hosts(play)?;
        self.events.emit(Event::PlayStarted { name: self.title(play, &all) });
        if all.is_empty() {
            self.events.warn(format!("{}: no hosts match", play.hosts.place));
            return Ok(None);
        }
        let hosts = self.alive(&all);
        for host in &hosts {
            self.fates().entry(host.clone()).or_default();
            self.world.change(host, |state| state.vars_files = Arc::default());
            let vars = self.vars_files(play, host, &all).map_err(|problem| Error::Problems(vec![*problem]))?;
            self.world.change(host, |state| state.vars_files = Arc::new(vars));
        }
        for list in [&play.pre_tasks, &play.role_tasks, &play.tasks, &play.post_tasks] {
            if list.is_empty() {
                continue;
            }
            // Roles and tasks are one section: handlers run behind both.
            let ends_section = !std::ptr::eq(list, &raw const play.role_tasks) || play.tasks.is_empty();
            let mut ended = self.items(play, list, &all, Hope::None).await.err();
            if ended.is_none() && ends_section {
                ended = self.flush(play, &all).await.err();
            }
            match ended {
                None => {}
                Some(Stop::Play) => return Ok(Some(if self.alive(&all).is_empty() { Stop::All } else { Stop::Play })),
                Some(stop) => return Ok(Some(stop)),
            }
        }
        Ok(None)
    }

    /// Reads the `vars_files` of a play as one host sees them.
    fn vars_files(&self, play: &Play, host: &str, all: &[String]) -> Result<Vars, Box<Problem>> {
        let cast = Arc::new(Cast { alive: all.to_vec(), all: all.to_vec() });
        let mut vars = Vars::new();
        for written in &play.vars_files {
            let names = match &written.value {
                Json::Array(names) => names.clone(),
                name => vec![name.clone()],
            };
            let mut scope = TaskScope::new(&self.world, host, Some(play), None, &cast);
            let mut before = vars.clone();
            before.retain(|name, _| !self.world.extra.contains_key(name));
            scope.add(before, Trust::Rendered);
            let mut candidates = vec![];
            for name in names {
                let name = scope
                    .render(&name)
                    .map_err(|error| Box::new(Problem::new(written.place.clone(), error.message)))?;
                let found = files::candidates("vars", &name.to_string(), None, &play.directory, &play.directory);
                // Ansible looks beside the playbook first.
                candidates.extend(found.into_iter().rev());
            }
            let Some(path) = files::find(&candidates) else {
                let named = candidates.first().map(|path| path.display().to_string()).unwrap_or_default();
                return Err(Box::new(Problem::new(written.place.clone(), format!("`{named}` is not there"))));
            };
            vars.extend(inventory::read_vars(path).map_err(Box::new)?);
        }
        Ok(vars)
    }

    fn items<'a>(
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
                let fell = match item {
                    Item::Task(task) => self.everywhere(play, task, &alive, hope).await?,
                    Item::Block(block) => self.block(play, block, &alive, hope).await?,
                };
                if play.any_errors_fatal && !fell.is_empty() && hope == Hope::None {
                    return Err(Stop::All);
                }
                failed.extend(fell);
            }
            Ok(failed)
        })
    }

    async fn block(
        &self,
        play: &Play,
        block: &crate::playbook::model::Block,
        hosts: &[String],
        hope: Hope,
    ) -> Result<Vec<String>, Stop> {
        let let_in;
        let mut hosts = hosts;
        if let Some(gate) = &block.gate {
            // Ansible counts the include of a file, but not that of a role.
            let counted = gate.module == "include_tasks";
            let failed = if counted { self.everywhere(play, gate, hosts, hope).await? } else { vec![] };
            let kept = hosts.iter().filter(|host| !failed.contains(host) && self.wanted(play, gate, host));
            let_in = kept.cloned().collect::<Vec<_>>();
            hosts = &let_in;
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
        Ok(failed)
    }

    /// Whether the conditions of a task hold on a host.
    fn wanted(&self, play: &Play, task: &Task, host: &str) -> bool {
        let cast = Arc::default();
        let scope = TaskScope::new(&self.world, host, Some(play), Some(task), &cast);
        matches!(prepare::conditions(&scope, &task.settings.when), Ok(None))
    }

    /// Carries out a task on all hosts, as many at a time as there are forks. Returns the hosts it failed on.
    async fn everywhere(&self, play: &Play, task: &Task, hosts: &[String], hope: Hope) -> Result<Vec<String>, Stop> {
        if task.settings.never {
            return Ok(vec![]);
        }
        if task.module == "meta" {
            return self.meta(play, task, hosts).await;
        }
        let cast = Arc::new(Cast { alive: hosts.to_vec(), all: hosts.to_vec() });
        let (name, once) = {
            let scope = TaskScope::new(&self.world, &hosts[0], Some(play), Some(task), &cast);
            let once = actions::keyword(&scope, task.settings.run_once.as_ref()).unwrap_or(false);
            (self.name(task, Some(&scope)), once)
        };
        let handler = play.handlers.iter().any(|known| std::ptr::eq(&raw const **known, task));
        self.events.emit(Event::TaskStarted { name: name.clone(), handler });
        let chosen = if once { &hosts[..1] } else { hosts };
        let work: Vec<_> = chosen.iter().map(|host| self.on_host(Spot { play, task, host, cast: &cast })).collect();
        let reports: Vec<(String, Report)> =
            stream::iter(work).buffer_unordered(self.request.forks.max(1)).collect().await;
        let mut failed = vec![];
        for (host, report) in reports {
            if once && let Some(name) = &task.register {
                for other in &hosts[1..] {
                    let value = Json::Object(report.result.clone());
                    self.world.change(other, |state| drop(Arc::make_mut(&mut state.set).insert(name.clone(), value)));
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

    /// Counts a result. Returns whether the host failed.
    fn count(&self, play: &Play, task: &Task, host: &str, report: Report, hope: Hope) -> bool {
        let changed = result::flag(&report.result, "changed");
        let mut fates = self.fates();
        let fate = fates.entry(host.to_owned()).or_default();
        let recap = &mut fate.recap;
        match report.status {
            TaskStatus::Ok => recap.ok += 1,
            TaskStatus::Changed => {
                recap.ok += 1;
                recap.changed += 1;
            }
            TaskStatus::Skipped => recap.skipped += 1,
            TaskStatus::Ignored => {
                recap.ok += 1;
                recap.ignored += 1;
                recap.changed += usize::from(changed);
            }
            TaskStatus::Unreachable => {
                recap.unreachable = 1;
                fate.out = true;
            }
            TaskStatus::Failed if hope == Hope::Rescue => recap.rescued += 1,
            TaskStatus::Failed => {
                recap.failed += 1;
                fate.failed = true;
            }
        }
        if changed && matches!(report.status, TaskStatus::Changed | TaskStatus::Ignored) && !task.notify.is_empty() {
            let names = self.notified(play, task, host);
            fate.notified.extend(names);
        }
        drop(fates);
        if let Some(refused) = report.refused {
            let mut kept = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
            kept.get_or_insert((host.to_owned(), refused));
        }
        let failed = report.status == TaskStatus::Failed;
        if failed {
            let name = task.name.clone().unwrap_or_default();
            self.world.change(host, |state| {
                let set = Arc::make_mut(&mut state.set);
                set.insert("ansible_failed_result".to_owned(), Json::Object(report.result));
                set.insert("ansible_failed_task".to_owned(), json!({ "name": name, "action": task.module }));
            });
        }
        failed
    }

    fn notified(&self, play: &Play, task: &Task, host: &str) -> Vec<String> {
        let cast = Arc::default();
        let scope = TaskScope::new(&self.world, host, Some(play), Some(task), &cast);
        task.notify
            .iter()
            .filter_map(|written| scope.render(&written.value).ok())
            .flat_map(|value| {
                value
                    .as_list()
                    .map_or_else(|| vec![value.to_string()], |items| items.iter().map(ToString::to_string).collect())
            })
            .collect()
    }

    /// Runs the handlers that were notified, in the order of their definition, until none is left.
    async fn flush(&self, play: &Play, hosts: &[String]) -> Result<(), Stop> {
        for _ in 0..20 {
            let alive = self.alive(hosts);
            let waiting = alive.iter().any(|host| self.fates().get(host).is_some_and(|fate| !fate.notified.is_empty()));
            if !waiting {
                return Ok(());
            }
            let wanted: BTreeMap<String, BTreeSet<String>> = {
                let mut fates = self.fates();
                alive
                    .iter()
                    .map(|host| (host.clone(), std::mem::take(&mut fates.entry(host.clone()).or_default().notified)))
                    .collect()
            };
            let mut reached: BTreeSet<String> = BTreeSet::new();
            for handler in &play.handlers {
                let answers = self.answers(play, handler, &alive[0]);
                let chosen: Vec<String> = self
                    .alive(&alive)
                    .into_iter()
                    .filter(|host| {
                        let late = self
                            .fates()
                            .get(host)
                            .is_some_and(|fate| fate.notified.iter().any(|name| answers.contains(name)));
                        late || wanted.get(host).is_some_and(|names| names.iter().any(|name| answers.contains(name)))
                    })
                    .collect();
                reached.extend(answers.iter().cloned());
                if chosen.is_empty() {
                    continue;
                }
                for host in &chosen {
                    if let Some(fate) = self.fates().get_mut(host) {
                        fate.notified.retain(|name| !answers.contains(name));
                    }
                }
                self.everywhere(play, handler, &chosen, Hope::None).await?;
            }
            let lost: BTreeSet<&String> = wanted.values().flatten().filter(|name| !reached.contains(*name)).collect();
            if let Some(name) = lost.first() {
                self.events.warn(format!("there is no handler `{name}`"));
            }
        }
        Ok(())
    }

    /// What a handler answers to: its name, with its role in front too, and its topics.
    fn answers(&self, play: &Play, handler: &Task, host: &str) -> BTreeSet<String> {
        let cast = Arc::default();
        let scope = TaskScope::new(&self.world, host, Some(play), Some(handler), &cast);
        let mut names = BTreeSet::new();
        let title = handler.name.clone().unwrap_or_default();
        let rendered = scope.render(&Json::from(title.as_str())).map_or(title, |value| value.to_string());
        if let Some(role) = &handler.role {
            names.insert(format!("{} : {rendered}", role.name));
        }
        names.insert(rendered);
        names.extend(handler.listen.iter().filter_map(|topic| topic.text()).map(str::to_owned));
        names
    }

    async fn meta(&self, play: &Play, task: &Task, hosts: &[String]) -> Result<Vec<String>, Stop> {
        let mut meant = vec![];
        for host in hosts {
            if self.wanted(play, task, host) {
                meant.push(host.clone());
            }
        }
        let word = task.free_form.as_ref().and_then(Written::text).unwrap_or_default().trim();
        match word {
            "flush_handlers" => Box::pin(self.flush(play, hosts)).await?,
            "end_play" if !meant.is_empty() => return Err(Stop::Play),
            "end_host" => {
                // Out for the rest of the play only.
                return Ok(meant);
            }
            "clear_facts" => meant.iter().for_each(|host| self.world.forget_facts(host)),
            "reset_connection" => {
                for host in &meant {
                    let cast = Arc::default();
                    let scope = TaskScope::new(&self.world, host, Some(play), Some(task), &cast);
                    if let Ok(way) = connect::way(&scope, self.request) {
                        self.agents.lost(&way.connection).await;
                    }
                }
            }
            "clear_host_errors" => self.fates().values_mut().for_each(|fate| fate.failed = false),
            _ => {}
        }
        Ok(vec![])
    }
}
