//! Repositories as restic keeps them, in a directory of this computer: encrypted, deduplicated and compressed by
//! `rustic_core`.
//!
//! Of all snapshots in a repository `ryo` sees those with its tag. It holds restic's own locks while it adds or removes
//! something, or reads all of it, so that both can work on one repository. Nothing that was not read to its end becomes a snapshot.

use std::collections::BTreeSet;
use std::error::Error as StdError;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use rustic_core::jiff::Timestamp;
use rustic_core::jiff::tz::TimeZone;
use rustic_core::repofile::{MasterKey, Node, SnapshotFile, SnapshotId, StringList};
use rustic_core::{
    BackupOptions, ConfigOptions, Credentials, IndexedFullStatus, KeyOptions, LimitOption, OpenStatus, ParentOptions,
    PruneOptions, RepositoryBackends, RepositoryOptions, RusticError,
};
use thiserror::Error;

use crate::event::Events;
use crate::restic::local::Local;
use crate::restic::lock::Use;
use crate::restic::source::Source;
use crate::secret::Secret;

mod content;
mod key;
mod local;
mod lock;
mod source;

pub use content::{File, Reader};
pub use lock::Lock;
pub use source::Addition;

/// The tag of the snapshots that are `ryo`'s.
pub const TAG: &str = "ryo";

/// Bytes of a pack of data: what is held in memory is a few of them.
const PACK: &str = "8MiB";

/// How long somebody else who is at work on a repository is waited for.
const PATIENCE: Duration = Duration::from_mins(5);

/// How long to wait between two attempts to lock it.
const PAUSE: Duration = Duration::from_secs(1);

/// A repository cannot be used.
#[derive(Debug, Error)]
pub enum Error {
    /// It is encrypted with another password.
    #[error("the password does not open the repository `{}`", .0.display())]
    Password(PathBuf),
    /// Somebody else is at work on it.
    #[error("the repository `{}` is in use by {who} since {since}", directory.display())]
    Held {
        /// Its directory.
        directory: PathBuf,
        /// Account, computer and process.
        who: String,
        /// Since when.
        since: String,
    },
    /// It is not as it must be, or cannot be read or written.
    #[error("the repository `{}` cannot be used", directory.display())]
    Broken {
        /// Its directory.
        directory: PathBuf,
        /// Why.
        source: Trouble,
    },
}

/// What is wrong, in one sentence.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{0}")]
pub struct Trouble(String);

impl From<Box<RusticError>> for Trouble {
    fn from(error: Box<RusticError>) -> Self {
        let mut texts = vec![guidance(&error)];
        texts.extend(causes(&error).map(|cause| {
            let boxed = cause.downcast_ref::<Box<RusticError>>().map(|it| &**it);
            let inner = boxed.or_else(|| cause.downcast_ref::<RusticError>());
            inner.map_or_else(|| cause.to_string(), guidance)
        }));
        texts.dedup();
        Self(texts.join(": "))
    }
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Self {
        Self(error.to_string())
    }
}

fn causes(error: &RusticError) -> impl Iterator<Item = &(dyn StdError + 'static)> {
    std::iter::successors(error.source(), |cause| (*cause).source())
}

/// What the system said, if it is the cause: then something was not read, and what it is like is not known.
fn refused(error: &RusticError) -> Option<io::Error> {
    let code = causes(error).find_map(|cause| cause.downcast_ref::<io::Error>()?.raw_os_error());
    code.map(io::Error::from_raw_os_error)
}

/// What an error says, without what it says around that.
fn guidance(error: &RusticError) -> String {
    let text = error.display_log();
    let text = text.strip_prefix("Error: ").unwrap_or(&text);
    text.split(" (kind: related to ").next().unwrap_or_default().trim().trim_end_matches('.').to_owned()
}

type Repository = rustic_core::Repository<OpenStatus>;
type Indexed = rustic_core::Repository<IndexedFullStatus>;

/// A repository, there or not yet, and the password that opens it.
#[derive(Clone)]
pub struct Place {
    directory: PathBuf,
    password: Secret,
    /// The key that the password has opened: that takes a second, and once is enough.
    key: Arc<OnceLock<MasterKey>>,
    /// How long somebody else is waited for.
    patience: Duration,
    /// What keeps others from removing what is read.
    lock: Option<Arc<Lock>>,
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Place").field(&self.directory).finish()
    }
}

impl PartialEq for Place {
    fn eq(&self, other: &Self) -> bool {
        self.directory == other.directory
    }
}

impl Eq for Place {}

/// What a snapshot is called by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct About {
    /// The host.
    pub host: String,
    /// The directory of everything in it, without slashes: restic groups by it.
    pub directory: String,
    /// Its tags, beside [`TAG`].
    pub tags: Vec<String>,
    /// When its content was as it is, in seconds since 1970.
    pub when: u64,
}

/// What a new snapshot has added to a repository.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Added {
    /// Pieces that were not there before.
    pub pieces: u64,
    /// Bytes that they take.
    pub bytes: u64,
}

/// A snapshot of `ryo`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// Its name, hexadecimal.
    pub id: String,
    /// The files in it, or why they cannot be told.
    pub files: Result<Vec<File>, Trouble>,
}

impl Place {
    /// That in `directory`.
    pub fn new(directory: &Path, password: Secret) -> Self {
        Self { directory: directory.to_owned(), password, key: Arc::default(), patience: PATIENCE, lock: None }
    }

    /// One that waits for others no longer than this.
    #[must_use]
    pub fn patient(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    /// The same, in which others remove nothing as long as it is there, or a file that was found in it.
    ///
    /// # Errors
    ///
    /// See [`Error`].
    pub fn held(mut self, events: &Events) -> Result<Self, Error> {
        if self.exists() {
            self.lock = Some(Arc::new(self.lock(&self.open()?, Use::Reading, events)?));
        }
        Ok(self)
    }

    /// Its directory.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Where what is not in it yet lies meanwhile: for this account alone, and of no interest to restic.
    pub fn scratch(&self) -> PathBuf {
        self.directory.join(local::SCRATCH)
    }

    /// Whether there is one.
    pub fn exists(&self) -> bool {
        self.directory.join("config").exists()
    }

    /// Makes it if it is not there, and sees whether the password opens it.
    ///
    /// # Errors
    ///
    /// See [`Error`].
    pub fn prepare(&self) -> Result<(), Error> {
        if !self.exists() {
            self.make()?;
        }
        Local::new(&self.directory).prepare().map_err(|error| self.broken(error))?;
        self.open().map(drop)
    }

    /// Makes it. What a run that was broken off has made is made anew: the configuration comes last.
    fn make(&self) -> Result<(), Error> {
        let local = Local::new(&self.directory);
        let key = MasterKey::new();
        local.begin().map_err(|error| self.broken(error))?;
        key::write(&local, &key, &self.password).map_err(|error| self.broken(error))?;
        let mut options = ConfigOptions::default();
        options.set_datapack_size = PACK.parse().ok();
        options.set_datapack_growfactor = Some(0);
        let repository = self.closed(local)?;
        let made = repository.init(&Credentials::Masterkey(key), &KeyOptions::default(), &options);
        made.map(drop).map_err(|error| self.broken(error))
    }

    /// Sees whether the password opens it, and opens it.
    ///
    /// # Errors
    ///
    /// See [`Error`].
    fn open(&self) -> Result<Repository, Error> {
        self.open_on(Local::new(&self.directory))
    }

    fn open_on(&self, local: Local) -> Result<Repository, Error> {
        let credentials = match self.key.get() {
            Some(key) => Credentials::Masterkey(key.clone()),
            None => Credentials::password(self.password.reveal()),
        };
        let opened = self.closed(local)?.open(&credentials).map_err(|error| {
            if error.is_incorrect_password() { Error::Password(self.directory.clone()) } else { self.broken(error) }
        })?;
        self.key.get_or_init(|| opened.key());
        Ok(opened)
    }

    fn closed(&self, local: Local) -> Result<rustic_core::Repository<()>, Error> {
        let options = RepositoryOptions::default().no_cache(true);
        let backends = RepositoryBackends::new(Arc::new(local), None);
        rustic_core::Repository::new(&options, &backends).map_err(|error| self.broken(error))
    }

    fn broken(&self, source: impl Into<Trouble>) -> Error {
        Error::Broken { directory: self.directory.clone(), source: source.into() }
    }

    /// Locks it. Somebody else is waited for, which is told.
    fn lock(&self, repository: &Repository, how: Use, events: &Events) -> Result<Lock, Error> {
        let (key, since, mut waits) = (repository.key(), Instant::now(), false);
        loop {
            match Lock::take(&self.directory, &key, how) {
                Err(error @ Error::Held { .. }) if since.elapsed() < self.patience => {
                    if !waits {
                        events.warn(format!("{error}: waiting for its end"));
                    }
                    waits = true;
                    thread::sleep(PAUSE);
                }
                ended => return ended,
            }
        }
    }

    /// Holds it, so that nobody removes anything until something can be added. Nothing is held if there is none yet.
    ///
    /// # Errors
    ///
    /// See [`Error`].
    pub fn hold(&self, events: &Events) -> Result<Option<Lock>, Error> {
        if !self.exists() {
            return Ok(None);
        }
        self.lock(&self.open()?, Use::Shared, events).map(Some)
    }

    /// The snapshots of `ryo`, in no order; none if there is no repository.
    ///
    /// # Errors
    ///
    /// See [`Error`]. What is wrong with one snapshot alone is said there.
    pub fn snapshots(&self) -> Result<Vec<Snapshot>, Error> {
        if !self.exists() {
            return Ok(vec![]);
        }
        let repository = self.open()?;
        let mine = repository.get_matching_snapshots(|snapshot| snapshot.tags.contains(TAG));
        let mine = mine.map_err(|error| self.broken(error))?;
        let indexed = Arc::new(repository.to_indexed().map_err(|error| self.broken(error))?);
        let told = |snapshot: &SnapshotFile| Snapshot {
            id: snapshot.id.to_hex().to_string(),
            files: files(&indexed, self.lock.as_ref(), snapshot).map_err(Trouble::from),
        };
        Ok(mine.iter().map(told).collect())
    }

    /// Adds a snapshot with these files, or nothing.
    ///
    /// # Errors
    ///
    /// See [`Error`].
    pub fn add(&self, about: &About, files: Vec<Addition>) -> Result<Added, Error> {
        let unread = Arc::new(AtomicBool::new(false));
        let repository = self.open_on(Local::gated(&self.directory, unread.clone()))?;
        let _lock = self.lock(&repository, Use::Shared, &Events::nowhere())?;
        let when = i64::try_from(about.when).ok().and_then(|when| Timestamp::from_second(when).ok());
        let snapshot = SnapshotFile {
            time: when.unwrap_or_default().to_zoned(TimeZone::UTC),
            program_version: format!("ryo {}", env!("CARGO_PKG_VERSION")),
            hostname: about.host.clone(),
            tags: tags(&about.tags),
            ..SnapshotFile::default()
        };
        let options = BackupOptions::default().no_scan(true).parent_opts(ParentOptions::default().force(true));
        let top = PathBuf::from(format!("/{}", about.directory));
        let source = Source::new(&top, files, unread.clone());
        let indexed = repository.to_indexed_ids().map_err(|error| self.broken(error))?;
        let added = indexed.archive(&options, &source, snapshot, std::slice::from_ref(&top));
        let failed = unread.load(Ordering::Relaxed).then(|| source.failure()).flatten();
        if let Some(failure) = failed {
            return Err(self.broken(failure));
        }
        let summary = added.map_err(|error| self.broken(error))?.summary;
        let (pieces, bytes) = summary.map_or((0, 0), |it| (it.data_blobs, it.data_added_packed));
        Ok(Added { pieces, bytes })
    }

    /// Removes snapshots, and then what nothing needs any more, of restic's snapshots too.
    ///
    /// # Errors
    ///
    /// See [`Error`]. The same again goes on from there.
    pub fn remove(&self, ids: &[String], events: &Events) -> Result<(), Error> {
        let repository = self.open()?;
        let _lock = self.lock(&repository, Use::Alone, events)?;
        let broken = |error| self.broken(error);
        let there: BTreeSet<String> =
            repository.list::<SnapshotId>().map_err(broken)?.map(|id| id.to_hex().to_string()).collect();
        let ids = ids.iter().filter(|id| there.contains(*id)).map(|id| id.parse::<SnapshotId>());
        let ids: Vec<SnapshotId> = ids.collect::<Result<_, _>>().map_err(broken)?;
        repository.delete_snapshots(&ids).map_err(broken)?;
        Local::new(&self.directory).sweep().map_err(|error| self.broken(error))?;
        let options = PruneOptions::default().instant_delete(true).max_repack(LimitOption::Unlimited);
        let plan = repository.prune_plan(&options).map_err(broken)?;
        repository.prune(&options, plan).map_err(broken)
    }
}

fn tags(tags: &[String]) -> StringList {
    let mut list = StringList::default();
    list.add(TAG.to_owned());
    for tag in tags {
        list.add(tag.clone());
    }
    list
}

/// The files in the one directory of a snapshot.
fn files(
    repository: &Arc<Indexed>,
    lock: Option<&Arc<Lock>>,
    snapshot: &SnapshotFile,
) -> Result<Vec<File>, Box<RusticError>> {
    let top = repository.get_tree(&snapshot.tree)?;
    let id = snapshot.id.to_hex().to_string();
    let mut found = vec![];
    for directory in top.nodes.into_iter().filter(Node::is_dir) {
        let Some(tree) = directory.subtree else { continue };
        let nodes = repository.get_tree(&tree)?.nodes.into_iter().filter(Node::is_file);
        found.extend(nodes.map(|node| File::new(repository, lock, node, (&id, &directory.name))));
    }
    Ok(found)
}
