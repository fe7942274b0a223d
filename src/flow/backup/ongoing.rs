//! Backups that a run is making, and the instances that it has stopped for them.

use std::collections::BTreeMap;
use std::time::Instant;

use tokio::sync::watch;

use crate::archive::tree::scan::LeftOut;
use crate::event::Event;
use crate::flow::backup::catalogue::bytes;
use crate::flow::backup::copy::copy;
use crate::flow::backup::draft::{Draft, Whole};
use crate::flow::backup::manifest::{self, Archive, Manifest};
use crate::flow::backup::{DATA, Error, How, Spec, kept, place, writes_to};
use crate::flow::instance::Pause;
use crate::flow::progress::Progress;
use crate::flow::world::World;
use crate::flow::{found, instance, journal};
use crate::lxd::model::Instance;
use crate::plan::{Action, Step};

/// What is under way. Dropping it removes what is unfinished.
#[derive(Default)]
pub struct Ongoing {
    copies: BTreeMap<String, Copied>,
    /// Where snapshots are, and when they were taken, in seconds since 1970.
    snapshots: BTreeMap<String, (String, u64)>,
    /// When each instance was stopped.
    stopped: BTreeMap<String, Instant>,
    /// For how many milliseconds each one did not serve.
    outages: BTreeMap<String, u64>,
    /// What this run has unpacked beside the data.
    pub unpacked: Vec<String>,
    /// What this run has restored, with the stamps.
    pub exchanged: Vec<(String, String)>,
    /// Instances that have come up with restored data.
    pub proven: Vec<String>,
}

struct Copied {
    draft: Draft,
    left: LeftOut,
    /// When nothing was missing any more, in seconds since 1970.
    whole: Option<u64>,
}

impl Ongoing {
    /// Whether everything of `id` has been copied.
    pub fn is_whole(&self, id: &str) -> bool {
        self.copies.get(id).is_some_and(|copied| copied.whole.is_some())
    }

    /// Whether a step has to be carried out although another one has failed: what this run stopped is started again.
    pub fn owes(&self, step: &Step) -> bool {
        match &step.action {
            Action::Resume(names) | Action::Prove(names) => names.iter().any(|name| self.stopped.contains_key(name)),
            _ => false,
        }
    }

    /// Takes note of instances that have come up with restored data.
    pub fn proven(&mut self, names: &[String]) {
        self.proven.extend(names.iter().cloned());
    }

    /// Copies a directory, or what has changed in it.
    ///
    /// # Errors
    ///
    /// See [`Error`].
    pub async fn copy(
        &mut self,
        world: &World,
        spec: &Spec,
        how: How,
        progress: &Progress,
        stop: &watch::Receiver<bool>,
    ) -> Result<(), Error> {
        let id = spec.source.id.clone();
        if how == How::Snapshot && self.is_whole(&id) {
            return Ok(());
        }
        // All of it may take hours: who runs is seen before as well.
        if how == How::Stopped {
            at_rest(world, &id).await?;
        }
        let draft = match self.copies.remove(&id) {
            Some(copied) => copied.draft,
            None => begun(spec).await?,
        };
        let snapshot = self.snapshots.get(&id).cloned();
        let path = snapshot.as_ref().map_or_else(|| spec.data(), |(path, _)| path.clone());
        let (draft, left) = copy(world, spec, (&path, how), draft, progress, stop).await?;
        if matches!(how, How::Stopped | How::Changed) {
            at_rest(world, &id).await?;
        }
        if self.snapshots.remove(&id).is_some() {
            world.agent.remove_snapshot(DATA, &id).await?;
        }
        let count = draft.count(how);
        progress.say(format!("{count} {}", if count == 1 { "member" } else { "members" }));
        let whole = (how != How::Serving).then(|| snapshot.map_or_else(journal::seconds, |(_, when)| when));
        if whole.is_some() {
            left.lines().into_iter().for_each(|line| progress.events.warn(line));
        }
        self.copies.insert(id, Copied { draft, left, whole });
        Ok(())
    }

    /// Takes a snapshot of a directory, for a copy later. If there can be none, it is copied now, while nobody serves.
    ///
    /// # Errors
    ///
    /// See [`Error`].
    pub async fn snapshot(
        &mut self,
        world: &World,
        spec: &Spec,
        progress: &Progress,
        stop: &watch::Receiver<bool>,
    ) -> Result<(), Error> {
        let id = &spec.source.id;
        match world.agent.make_snapshot(DATA, id).await {
            Ok(path) => {
                self.snapshots.insert(id.clone(), (path, journal::seconds()));
                Ok(())
            }
            Err(error) => {
                progress.events.warn(format!("{error}; {} is copied while nothing serves", spec.data()));
                self.copy(world, spec, How::Stopped, progress, stop).await
            }
        }
    }

    /// Removes the snapshots that were not copied. One that stays goes with the next backup.
    pub async fn remove_snapshots(&self, world: &World) {
        for id in self.snapshots.keys() {
            let _ = world.agent.remove_snapshot(DATA, id).await;
        }
    }

    /// Stops or freezes instances, all at once, and marks them before.
    ///
    /// # Errors
    ///
    /// One could not be stopped.
    pub async fn pause(&mut self, world: &World, names: &[String], how: Pause) -> Result<(), instance::Error> {
        let now = Instant::now();
        self.stopped.extend(names.iter().map(|name| (name.clone(), now)));
        let ended = futures_util::future::join_all(names.iter().map(|name| instance::pause(world, name, how))).await;
        for (name, ended) in names.iter().zip(ended) {
            match ended? {
                Some(asked) => self.stopped.insert(name.clone(), asked),
                None => self.stopped.remove(name),
            };
        }
        Ok(())
    }

    /// Starts instances, all at once, and sees them come up.
    ///
    /// # Errors
    ///
    /// One does not come up.
    pub async fn resume(
        &mut self,
        world: &World,
        names: &[String],
        progress: &Progress,
    ) -> Result<(), instance::Error> {
        let events = &progress.events;
        let ended = names.iter().map(|name| async move { (name, instance::unpause(world, name, events).await) });
        let mut failed = Ok(());
        for (name, ended) in futures_util::future::join_all(ended).await {
            let since = self.stopped.remove(name);
            match (ended, since) {
                (Ok(Some(serves)), Some(since)) => {
                    let took = u64::try_from((serves - since).as_millis()).unwrap_or(u64::MAX);
                    self.outages.insert(name.clone(), took);
                    events.emit(Event::Outage { instance: name.clone(), took });
                }
                (Ok(_), _) => {}
                (Err(error), _) => failed = failed.and(Err(error)),
            }
        }
        failed
    }

    /// Puts an archive together and where it belongs.
    ///
    /// # Errors
    ///
    /// See [`Error`].
    pub async fn archive(&mut self, world: &World, spec: &Spec, progress: &Progress) -> Result<(), Error> {
        let fail = |source| Error::File { file: spec.file.clone(), source };
        let Some(Copied { draft, left, whole: Some(when) }) = self.copies.remove(&spec.source.id) else {
            return Err(fail(std::io::Error::other("it was not copied")));
        };
        let instances = world.lxd.instances().await?;
        let instances = instances.iter().filter(|it| writes_to(it, &spec.source.id)).map(|it| self.instance(it));
        let instances = instances.collect();
        let kept = kept::gather(world, spec).await;
        for what in kept.left_out.iter().filter(|what| *what != kept::UNSEALED) {
            progress.events.warn(format!("not kept in the manifest of {}: {what}", spec.source.id));
        }
        let spec = spec.clone();
        let made = tokio::task::spawn_blocking(move || {
            let manifest = |whole: Whole| Manifest {
                form: manifest::FORM,
                ryo: env!("CARGO_PKG_VERSION").to_owned(),
                who: journal::who(),
                when,
                host: spec.host.clone(),
                kind: spec.source.kind.word().to_owned(),
                id: spec.source.id.clone(),
                stamp: spec.stamp.clone(),
                archive: Archive {
                    file: spec.name(),
                    compression: spec.compression,
                    size: whole.size,
                    sha256: whole.sha256,
                },
                instances,
                sockets: left.sockets,
                devices: left.devices,
                of_host: spec.of_host.clone(),
                kept,
                members: whole.members.iter().map(manifest::Member::from).collect(),
            };
            match &spec.repository {
                None => place::in_directory(draft, &spec, manifest).map(|()| None),
                Some(repository) => place::in_repository(repository, draft, &spec, manifest).map(Some),
            }
        });
        if let Some(added) = made.await.map_err(|error| fail(std::io::Error::other(error)))?? {
            progress.say(format!("{} are new in the repository", bytes(added.bytes)));
        }
        Ok(())
    }

    fn instance(&self, instance: &Instance) -> manifest::Instance {
        manifest::Instance {
            name: instance.name.clone(),
            version: instance.config.get(found::VERSION).cloned(),
            image: instance.base_image().map(str::to_owned),
            outage: self.outages.get(&instance.name).copied(),
        }
    }
}

/// Sees that nobody writes to the data of `id`. Since the plan was made a person may have started an instance.
async fn at_rest(world: &World, id: &str) -> Result<(), Error> {
    let instances = world.lxd.instances().await?;
    match instances.into_iter().find(|it| writes_to(it, id) && it.is_running()) {
        Some(instance) => Err(Error::Started { instance: instance.name, id: id.to_owned() }),
        None => Ok(()),
    }
}

/// Begins an archive. A repository that it goes into is there, and can be opened, before anything is stopped.
async fn begun(spec: &Spec) -> Result<Draft, Error> {
    let (spec, file) = (spec.clone(), spec.file.clone());
    let begun = tokio::task::spawn_blocking(move || {
        if let Some(repository) = &spec.repository {
            repository.place.prepare()?;
        }
        Draft::begin(&spec)
    });
    begun.await.map_err(|error| Error::File { file, source: std::io::Error::other(error) })?
}
