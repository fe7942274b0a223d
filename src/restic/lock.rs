//! Restic's locks: a file in `locks` for each that is at work, encrypted, and written anew every few minutes.
//!
//! Restic counts a lock as dead that is older than half an hour, or whose process on the same computer does not take a
//! SIGHUP: this would end `ryo`, so its locks are those of another computer to restic. `ryo` sees on the same computer
//! whether the process is there.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rustic_core::jiff::{SignedDuration, Timestamp};
use rustic_core::repofile::MasterKey;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::restic::key::Cipher;
use crate::restic::local::{SCRATCH, files, make};
use crate::restic::{Error, Trouble};

/// After how long a lock is written anew.
const ANEW: Duration = Duration::from_mins(5);

/// After how long a lock is dead.
const DEAD: SignedDuration = SignedDuration::from_mins(30);

/// What is done with a repository.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Use {
    /// Something is read, which others may do too. Where nothing can be written, nobody hears of it.
    Reading,
    /// Something is added, which others may do too.
    Shared,
    /// Something is removed, and nobody else may be at work.
    Alone,
}

/// What stands in a lock.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Content {
    time: Timestamp,
    #[serde(default)]
    exclusive: bool,
    #[serde(default)]
    hostname: String,
    #[serde(default)]
    username: String,
    #[serde(default)]
    pid: u32,
}

impl Content {
    fn new(how: Use) -> Self {
        let username = std::env::var("USER").unwrap_or_else(|_| "root".to_owned());
        let hostname = computer();
        Self { time: Timestamp::now(), exclusive: how == Use::Alone, hostname, username, pid: std::process::id() }
    }

    fn held(self, directory: &Path) -> Error {
        let who = format!("{}@{}, process {}", self.username, self.hostname, self.pid);
        Error::Held { directory: directory.to_owned(), who, since: self.time.to_string() }
    }

    fn is_dead(&self) -> bool {
        let gone = || !Path::new("/proc").join(self.pid.to_string()).exists();
        Timestamp::now().duration_since(self.time) > DEAD || (self.hostname == computer() && gone())
    }
}

/// What this computer is called in locks.
fn computer() -> String {
    format!("{} (ryo)", rustix::system::uname().nodename().to_string_lossy())
}

/// A lock. Dropping it removes it.
#[derive(Debug)]
pub struct Lock {
    directory: PathBuf,
    ended: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Lock {
    pub(super) fn take(directory: &Path, key: &MasterKey, how: Use) -> Result<Self, Error> {
        let broken = |source: io::Error| Error::Broken { directory: directory.to_owned(), source: source.into() };
        let locks = Locks { directory: directory.to_owned(), cipher: Cipher::new(key) };
        let conflict = |other: &Content| other.exclusive || how == Use::Alone;
        let free = |mine: Option<&Path>| match locks.others(mine).map(|others| others.into_iter().find(conflict)) {
            Ok(None) => Ok(()),
            Ok(Some(other)) => Err(other.held(directory)),
            Err(error) => Err(broken(error)),
        };
        // Whoever waits disturbs nobody by a lock that cannot be had.
        free(None)?;
        let mine = match locks.write(how) {
            Err(error) if how == Use::Reading && is_closed(&error) => {
                return Ok(Self { directory: directory.to_owned(), ended: None, thread: None });
            }
            mine => mine.map_err(broken)?,
        };
        // Of two that come at once neither may.
        if let Err(error) = free(Some(&mine)) {
            let _ = fs::remove_file(mine);
            return Err(error);
        }
        let (ended, end) = channel();
        let thread = thread::spawn(move || {
            let mut mine = mine;
            while end.recv_timeout(ANEW) == Err(RecvTimeoutError::Timeout) {
                // Whoever cannot write goes on with the lock that there is, which others respect for a while.
                if let Ok(newer) = locks.write(how) {
                    let _ = fs::remove_file(std::mem::replace(&mut mine, newer));
                }
            }
            let _ = fs::remove_file(mine);
        });
        Ok(Self { directory: directory.to_owned(), ended: Some(ended), thread: Some(thread) })
    }

    /// Whether a file of the repository that is not there is missing: others know of this lock and remove nothing, and
    /// the file system that the repository is on has not gone.
    pub(super) fn is_missing(&self, error: &io::Error) -> bool {
        let has_packs = || fs::read_dir(self.directory.join("data")).is_ok_and(|mut entries| entries.next().is_some());
        error.kind() == io::ErrorKind::NotFound
            && self.thread.is_some()
            && self.directory.join("config").exists()
            && has_packs()
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        drop(self.ended.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Whether nothing can be written there.
fn is_closed(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::PermissionDenied)
}

struct Locks {
    directory: PathBuf,
    cipher: Cipher,
}

impl Locks {
    fn write(&self, how: Use) -> io::Result<PathBuf> {
        let text = serde_json::to_vec(&Content::new(how))?;
        let sealed = self.cipher.seal(&text).map_err(|error| io::Error::other(Trouble::from(error)))?;
        let path = self.directory.join("locks").join(hex::encode(Sha256::digest(&sealed)));
        make(&self.directory.join("locks"))?;
        make(&self.directory.join(SCRATCH))?;
        let mut file = tempfile::NamedTempFile::new_in(self.directory.join(SCRATCH))?;
        file.write_all(&sealed)?;
        file.as_file().sync_all()?;
        file.persist(&path).map_err(|error| error.error)?;
        Ok(path)
    }

    /// Those of others; dead ones are removed.
    fn others(&self, mine: Option<&Path>) -> io::Result<Vec<Content>> {
        let mut found = vec![];
        for path in files(&self.directory.join("locks"))? {
            // One may go while we look.
            let Some(content) = self.read(&path)?.filter(|_| Some(&*path) != mine) else { continue };
            if content.is_dead() {
                fs::remove_file(&path)?;
            } else {
                found.push(content);
            }
        }
        Ok(found)
    }

    fn read(&self, path: &Path) -> io::Result<Option<Content>> {
        let Ok(file) = File::open(path) else { return Ok(None) };
        let written = file.metadata()?.modified()?;
        let text = self.cipher.open(&fs::read(path)?).and_then(|text| plain(&text));
        let content = text.and_then(|text| serde_json::from_slice(&text).ok());
        // What cannot be read is somebody's, who has just begun.
        let time = Timestamp::try_from(written).unwrap_or_default();
        let somebody = Content { time, exclusive: true, hostname: "?".into(), username: "?".into(), pid: 0 };
        Ok(Some(content.unwrap_or(somebody)))
    }
}

/// What restic has written, which it compresses.
fn plain(text: &[u8]) -> Option<Vec<u8>> {
    match text {
        [2, compressed @ ..] => zstd::decode_all(compressed).ok(),
        _ => Some(text.to_vec()),
    }
}
