//! `ryo backup`: what containers keep on the host, into archives on this computer.
//!
//! What instances have mounted is copied while they serve. Then they are stopped (or frozen, if a person would rather have
//! that), what has changed since is copied, and they are started again; only then the archives are put together. Where the
//! file system can make snapshots, they are stopped for no longer than it takes to make one, from which everything is
//! copied. Instances are started again whatever happens; the mark [`found::PAUSED`] tells the next run of those that a
//! broken one left stopped.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::agent::wire::Pass;
use crate::archive::seal::{self, Recipients};
use crate::archive::{self, Compression};
use crate::flow::backup::location::Location;
use crate::flow::backup::store::{Repository, Store};
use crate::flow::found;
use crate::flow::instance::Pause;
use crate::flow::look;
use crate::flow::whole::Part;
use crate::flow::world::World;
use crate::lxd::model::Instance;
use crate::plan::{Action, Plan, Step, Values};
use crate::project::Kind;
use crate::{agent, lxd, restic};

pub mod catalogue;
pub mod copy;
pub mod draft;
pub mod kept;
pub mod location;
pub mod manifest;
pub mod ongoing;
pub mod place;
pub mod record;
pub mod retention;
pub mod store;
pub mod unfinished;
pub mod verify;

pub use manifest::Manifest;
pub use ongoing::Ongoing;

/// Where the data of projects and modules are on a host.
pub const DATA: &str = "/var/containers";

/// A backup cannot be made.
#[derive(Debug, Error)]
pub enum Error {
    /// LXD or Incus.
    #[error(transparent)]
    Lxd(#[from] lxd::Error),
    /// The agent on the host.
    #[error(transparent)]
    Agent(#[from] agent::Error),
    /// There is such a backup.
    #[error("`{}` is there already", .0.display())]
    There(PathBuf),
    /// Nothing of it is on the host.
    #[error("there is no directory {path} on host `{host}`")]
    Nothing {
        /// The host.
        host: String,
        /// The directory.
        path: String,
    },
    /// What comes from the host is no archive.
    #[error("what comes from the host is not what it should be")]
    Archive(#[source] archive::Error),
    /// The archive cannot be written here.
    #[error("cannot write `{}`", file.display())]
    File {
        /// The file.
        file: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Where backups should be there is no directory that can be read.
    #[error("cannot list the backups in `{}`", directory.display())]
    Unlisted {
        /// Where.
        directory: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The repository of restic.
    #[error(transparent)]
    Restic(#[from] restic::Error),
    /// Something cannot be removed here.
    #[error("cannot remove `{}`", file.display())]
    Remove {
        /// The file.
        file: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Somebody has started an instance while nobody was to write.
    #[error("instance `{instance}` was started while the data of {id} were copied")]
    Started {
        /// The instance.
        instance: String,
        /// Whose data it writes to.
        id: String,
    },
    /// A person asked to stop.
    #[error("stopped while {0} was being copied")]
    Interrupted(String),
}

/// What is backed up: a project or a module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// `project_id` or `module_id`.
    pub id: String,
    /// Which of the two.
    pub kind: Kind,
}

/// An archive to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spec {
    /// The host.
    pub host: String,
    /// What is backed up.
    pub source: Source,
    /// The stamp of the backup.
    pub stamp: String,
    /// The archive; what it would be called while it is put together, if it goes into a repository.
    pub file: PathBuf,
    /// The repository of restic that it goes into, if it does not stay a file.
    pub repository: Option<Repository>,
    /// How it is compressed.
    pub compression: Compression,
    /// To whom archive and manifest are sealed; nobody if they are not.
    pub recipients: Recipients,
    /// Everything that is on the host, if all of it is backed up at once.
    pub of_host: Vec<Part>,
}

impl Spec {
    /// That of `source` in `store`.
    pub fn new(host: &str, source: Source, stamp: &str, store: &Store, how: (Compression, &Recipients)) -> Self {
        let (compression, recipients) = how;
        let (file, repository, compression) = match store {
            Store::Directory(directory) => {
                (file(directory, host, &source.id, stamp, compression, recipients), None, compression)
            }
            // What is compressed has nothing in common with what was there before; the repository compresses.
            Store::Repository(repository) => {
                let none = Compression::None;
                let name = name(host, &source.id, stamp, none);
                (repository.place.scratch().join(name), Some(repository.clone()), none)
            }
        };
        let (host, stamp, recipients) = (host.to_owned(), stamp.to_owned(), recipients.clone());
        Self { host, source, stamp, file, repository, compression, recipients, of_host: vec![] }
    }

    /// The directory on the host.
    pub fn data(&self) -> String {
        data(&self.source.id)
    }

    /// The name of the archive.
    pub fn name(&self) -> String {
        self.file.file_name().unwrap_or_default().to_string_lossy().into_owned()
    }

    /// Whether nobody reads it who has no key.
    pub fn is_secret(&self) -> bool {
        self.repository.is_some() || !self.recipients.is_empty()
    }

    /// Where it is, once it was made.
    ///
    /// # Errors
    ///
    /// [`Error::Restic`].
    pub fn location(&self) -> Result<Location, Error> {
        let found = self.repository.as_ref().map(|repository| repository.find(&self.name())).transpose()?;
        Ok(found.flatten().unwrap_or_else(|| self.file.clone().into()))
    }

    /// The one that has its name already.
    fn other(&self) -> Result<Option<PathBuf>, Error> {
        if let Some(repository) = &self.repository {
            return Ok(repository.find(&self.name())?.map(|location| location.path().to_owned()));
        }
        // However it is compressed: what stands beside it has the same name.
        let directory = self.file.parent().unwrap_or(Path::new("."));
        let mut names = catalogue::names(directory, &self.host, &self.source.id, &self.stamp).into_iter();
        Ok(names.find(|file| file.exists()))
    }
}

/// The directory on a host that holds the data of `id`.
pub fn data(id: &str) -> String {
    format!("{DATA}/{id}")
}

/// The directory of the archives of all hosts.
pub fn directory(working_directory: &Path) -> PathBuf {
    working_directory.join("ryo-host/backup-restore/backups")
}

/// What an archive is called.
pub fn name(host: &str, id: &str, stamp: &str, compression: Compression) -> String {
    let end = match compression {
        Compression::None => "tar",
        Compression::Zstd => "tar.zst",
        Compression::Bzip2 => "tar.bz2",
        Compression::Xz => "tar.xz",
        Compression::Gzip => "tar.gz",
    };
    format!("backup-{host}-{id}-{stamp}.{end}")
}

/// Where an archive is, in `directory`.
pub fn file(
    directory: &Path,
    host: &str,
    id: &str,
    stamp: &str,
    compression: Compression,
    recipients: &Recipients,
) -> PathBuf {
    let name = name(host, id, stamp, compression);
    directory.join(if recipients.is_empty() { name } else { format!("{name}.{}", seal::SUFFIX) })
}

/// What is wrong with a stamp, if anything: it is part of the names of files.
pub fn misfit(stamp: &str) -> Option<String> {
    let fine = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let wrong = stamp.is_empty() || !stamp.chars().all(fine) || stamp.starts_with(['-', '.']);
    wrong.then(|| format!("a stamp must be letters, digits, dashes, dots and underscores, not `{stamp}`"))
}

/// What a look at the host found.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// Every instance, by name.
    pub instances: BTreeMap<String, Instance>,
    /// What there can be a snapshot of.
    pub snapshots: BTreeSet<String>,
}

/// Looks at the host: instances, whether there is anything to be backed up, and how.
///
/// # Errors
///
/// See [`Error`]. Nothing was changed.
pub async fn look(world: &World, specs: &[Spec]) -> Result<Seen, Error> {
    let mut snapshots = BTreeSet::new();
    for spec in specs {
        if let Some(file) = spec.other()? {
            return Err(Error::There(file));
        }
        let path = spec.data();
        let there = world.agent.stat(&path).await?;
        if there["isdir"] != true {
            return Err(Error::Nothing { host: world.host.clone(), path });
        }
        if world.agent.can_snapshot(DATA, &spec.source.id).await? {
            snapshots.insert(spec.source.id.clone());
        }
    }
    let instances = look::instances(world).await?;
    Ok(Seen { instances: instances.into_iter().map(|it| (it.name.clone(), it)).collect(), snapshots })
}

/// Plans the backup of `specs`, the project last: its instances do not serve while its modules are copied, so that what
/// is in them belongs together.
pub fn plan(title: &str, specs: &[Spec], seen: &Seen, how: Pause) -> Plan {
    if let Some(last) = specs.last().filter(|_| !seen.snapshots.is_empty()) {
        return plan_at_once(title, &last.source.id, specs, seen, how);
    }
    let (mut planning, running) = Planning::new(specs, seen, how);
    let stops_first = specs.last().filter(|spec| spec.source.kind == Kind::Project);
    let outer = stops_first.map(|spec| (spec.source.id.clone(), planning.pause(&spec.source.id)));
    for (spec, how) in specs.iter().zip(&running) {
        let id = &spec.source.id;
        let names = match &outer {
            Some((first, names)) if first == id => names.clone(),
            _ => planning.pause(id),
        };
        planning.copy(spec, *how);
        planning.resume(id, names);
    }
    planning.ended(title, specs)
}

/// Plans the backup of everything on a host, modules first: all instances are stopped at once, those of projects first, so
/// that everything belongs together. Who stops them is called `owner`.
pub fn plan_at_once(title: &str, owner: &str, specs: &[Spec], seen: &Seen, how: Pause) -> Plan {
    let (mut planning, running) = Planning::new(specs, seen, how);
    let of = |kind| specs.iter().filter(move |spec| spec.source.kind == kind);
    let mut stopped = [Kind::Project, Kind::Module].map(|kind| {
        let names: BTreeSet<String> = of(kind).flat_map(|spec| planning.running(&spec.source.id)).collect();
        let names: Vec<String> = names.into_iter().collect();
        planning.stop(owner, &names);
        names
    });
    let copies = specs.iter().zip(&running);
    for (spec, how) in copies.clone() {
        match how {
            How::Snapshot => planning.push(&spec.source.id, Action::Snapshot(Box::new(spec.clone()))),
            how => planning.copy(spec, *how),
        }
    }
    stopped.reverse();
    for names in stopped {
        planning.resume(owner, names);
    }
    for (spec, how) in copies.filter(|(_, how)| **how == How::Snapshot) {
        planning.copy(spec, *how);
    }
    planning.ended(title, specs)
}

/// How a directory is copied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// While instances serve.
    Serving,
    /// What has changed since that was done.
    Changed,
    /// All of it, as nobody serves.
    Stopped,
    /// All of it, as it was when a snapshot of it was taken.
    Snapshot,
}

impl How {
    /// What the agent is asked for.
    pub fn pass(self) -> Pass {
        match self {
            Self::Serving | Self::Stopped | Self::Snapshot => Pass::First,
            Self::Changed => Pass::Again,
        }
    }
}

struct Planning<'a> {
    seen: &'a Seen,
    steps: Vec<Step>,
    /// Instances that are stopped at this point of the plan.
    paused: BTreeSet<String>,
    pause: Pause,
}

impl<'a> Planning<'a> {
    /// What is copied while instances serve, and how each one is copied when they do not.
    fn new(specs: &[Spec], seen: &'a Seen, pause: Pause) -> (Self, Vec<How>) {
        let mut planning = Self { seen, steps: vec![], paused: BTreeSet::new(), pause };
        planning.leftovers();
        let how = |spec: &Spec| match &spec.source.id {
            id if planning.running(id).is_empty() => How::Stopped,
            id if seen.snapshots.contains(id) => How::Snapshot,
            _ => How::Changed,
        };
        let how: Vec<How> = specs.iter().map(how).collect();
        for (spec, _) in specs.iter().zip(&how).filter(|(_, how)| **how == How::Changed) {
            planning.copy(spec, How::Serving);
        }
        (planning, how)
    }

    fn copy(&mut self, spec: &Spec, how: How) {
        self.push(&spec.source.id, Action::Copy { spec: Box::new(spec.clone()), how });
    }

    /// The plan, with the archives put together at its end.
    fn ended(mut self, title: &str, specs: &[Spec]) -> Plan {
        for spec in specs {
            self.push(&spec.source.id, Action::Archive(Box::new(spec.clone())));
        }
        Plan { title: title.to_owned(), steps: self.steps, values: Values::Known }
    }

    fn push(&mut self, owner: &str, action: Action) {
        self.steps.push(Step { owner: owner.to_owned(), action });
    }

    /// Instances that a broken run left stopped.
    fn leftovers(&mut self) {
        for (name, instance) in &self.seen.instances {
            if is_left(instance) {
                let owner = instance.config.get(found::OWNER).map_or("ryo", String::as_str).to_owned();
                self.push(&owner, Action::Resume(vec![name.clone()]));
            }
        }
    }

    /// Instances that write to the data of `id` and serve.
    fn running(&self, id: &str) -> Vec<String> {
        let writers = self.seen.instances.values().filter(|it| writes_to(it, id));
        let running = writers.filter(|it| it.is_running() || is_left(it));
        running.map(|it| it.name.clone()).filter(|name| !self.paused.contains(name)).collect()
    }

    fn pause(&mut self, id: &str) -> Vec<String> {
        let names = self.running(id);
        self.stop(id, &names);
        names
    }

    fn stop(&mut self, owner: &str, names: &[String]) {
        self.paused.extend(names.iter().cloned());
        if !names.is_empty() {
            let names = names.to_vec();
            self.push(owner, if self.pause == Pause::Stop { Action::Pause(names) } else { Action::Freeze(names) });
        }
    }

    fn resume(&mut self, id: &str, names: Vec<String>) {
        for name in &names {
            self.paused.remove(name);
        }
        if !names.is_empty() {
            self.push(id, Action::Resume(names));
        }
    }
}

/// Whether a broken run has stopped an instance, or has not seen it come up again.
pub fn is_left(instance: &Instance) -> bool {
    instance.config.contains_key(found::PAUSED)
}

/// Whether an instance belongs to `id` or has something of its data mounted.
pub fn writes_to(instance: &Instance, id: &str) -> bool {
    let data = data(id);
    let below =
        |source: &String| source.strip_prefix(&data).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    let disks = instance.expanded_devices.values().filter(|device| device.get("type").is_some_and(|it| it == "disk"));
    let mut sources = disks.filter_map(|device| device.get("source"));
    instance.config.get(found::OWNER).is_some_and(|owner| owner == id) || sources.any(below)
}
