//! A playbook is carried out: play by play, task by task, on all hosts of a play side by side.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::event::{Event, Events, HostRecap};
use crate::playbook::inventory;
use crate::playbook::model::{Task, Written};
use crate::playbook::scope::{Cast, Named, World};
use crate::playbook::{Connect, Error, Recap, Refused, Request, parse};

mod actions;
mod connect;
mod count;
mod facts;
mod flow;
mod handlers;
mod include;
mod include_vars;
mod jobs;
mod make;
mod play;
mod prepare;
mod repeat;
mod result;
mod roles;
mod task;
mod tell;
mod transfer;
mod wait;

use connect::Agents;

/// What has become of one host.
#[derive(Debug, Default)]
struct Fate {
    recap: HostRecap,
    failed: bool,
    out: bool,
    /// Out of this play: `meta: end_host`.
    done: bool,
    notified: BTreeSet<String>,
    /// Roles that a task of has run in this play.
    begun: BTreeSet<String>,
    /// Those of them whose end was reached.
    ended: BTreeSet<String>,
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

/// The hosts of the play that is under way.
#[derive(Debug, Default)]
struct Stage {
    all: Vec<String>,
    batch: Vec<String>,
}

/// A run under way.
pub(super) struct Engine<'e> {
    world: Arc<World>,
    request: &'e Request,
    events: Events,
    agents: Arc<Agents>,
    fates: Mutex<BTreeMap<String, Fate>>,
    refused: Mutex<Option<(String, Refused)>>,
    /// Handlers of roles that were included when they were reached.
    late_handlers: Mutex<Vec<Arc<Task>>>,
    /// Whether the task of `--start-at-task` was reached.
    started: AtomicBool,
    jobs: jobs::Jobs,
    stage: Mutex<Stage>,
    /// Facts that plays gather, by host.
    due: Mutex<BTreeMap<String, Arc<facts::Due>>>,
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
    let (playbook, reader) = parse::playbook(&request.playbook, &request.reading);
    let (mut inventory, mut problems) = inventory::load(&request.inventory, &request.reading);
    problems.extend(reader.problems);
    let directory = playbook_directory(&request.playbook);
    inventory.beside(&directory, &request.reading, &mut problems);
    if !problems.is_empty() {
        return Err(Error::Problems(problems));
    }
    let named = Named {
        tags: request.tags.clone(),
        forks: request.forks,
        limit: request.limit.clone(),
        sources: request.inventory.iter().map(ToString::to_string).collect(),
    };
    let world = World::new(inventory, request.extra_vars.clone(), request.mode, directory)
        .reading(request.reading.clone())
        .named(named);
    let engine = Engine {
        world: Arc::new(world),
        request,
        events: hiding(events, request),
        agents: Arc::new(Agents::new(connect)),
        fates: Mutex::default(),
        refused: Mutex::default(),
        late_handlers: Mutex::default(),
        started: AtomicBool::new(request.start_at.is_none()),
        jobs: jobs::Jobs::default(),
        stage: Mutex::default(),
        due: Mutex::default(),
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
    engine.jobs.wait().await;
    engine.end(stopped)
}

/// Passes events on without the values that were decrypted.
fn hiding(events: &Events, request: &Request) -> Events {
    let (events, vault) = (events.clone(), request.reading.vault.clone());
    let hide = move |text: Option<String>| text.map(|text| vault.hide(&text));
    Events::new(move |event| {
        events.emit(match event {
            Event::TaskDone { host, task, item, status, message, diff, took } => {
                let task = hide(Some(task)).unwrap_or_default();
                Event::TaskDone { host, task, item: hide(item), status, message: hide(message), diff: hide(diff), took }
            }
            Event::TaskStarted { name, handler } => {
                Event::TaskStarted { name: hide(Some(name)).unwrap_or_default(), handler }
            }
            Event::PlayStarted { name } => Event::PlayStarted { name: hide(Some(name)).unwrap_or_default() },
            Event::Warned { message } => Event::Warned { message: hide(Some(message)).unwrap_or_default() },
            other => other,
        });
    })
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
        let lives = |fate: &Fate| !fate.failed && !fate.out && !fate.done;
        hosts.iter().filter(|host| fates.get(*host).is_none_or(lives)).cloned().collect()
    }

    /// Who plays now.
    fn cast(&self) -> Arc<Cast> {
        let stage = self.stage.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::new(Cast { alive: self.alive(&stage.all), all: stage.all.clone(), batch: self.alive(&stage.batch) })
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
}
