//! The data of a project or module on the host, and what a restore puts beside them.
//!
//! Beside `<id>` there may be `.ryo-restore-<id>`, into which an archive is unpacked and which nobody needs, and
//! `.ryo-kept-<id>@<inode>@<stamp>`: the other half of an exchange. `<inode>` is that of the data before the exchange,
//! so that the name alone tells which half is which, whenever a run was killed.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, Read as _, Write};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::thread;

use rustix::fs::{CWD, RenameFlags, renameat_with, statvfs};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use crate::archive::Compression;
use crate::archive::pipe::{Reader, Writer, pipe};
use crate::archive::tree::remove::remove;
use crate::archive::tree::unpack::{Most, unpack};
use crate::module::Failed;

/// What is done with the data of a project or module.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// Put what was unpacked in their place, at once; they are kept.
    Exchange,
    /// Put what was kept back in its place, at once; what was restored is removed.
    Undo,
    /// Remove what was kept.
    Commit,
    /// Remove what was unpacked beside them and is in nobody's way but that of the disk.
    Discard,
}

/// The data of all projects and modules on a host.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stock {
    /// The projects and modules that have some.
    pub present: BTreeSet<String>,
    /// What is kept of the data before a restore, by project and module.
    pub kept: BTreeMap<String, Kept>,
    /// The projects and modules beside whose data something was unpacked by a restore that broke off.
    pub unfinished: BTreeSet<String>,
}

/// What is kept of the data before a restore.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// The stamp of the backup that was restored.
    pub stamp: String,
    /// When it was restored, in seconds since 1970.
    pub since: u64,
    /// The name of the directory that holds them.
    pub directory: String,
}

/// Most entries of a directory of data that are looked at.
const ENTRIES: usize = 100_000;

/// In front of the name of what an archive is unpacked to.
const WORK: &str = ".ryo-restore-";

/// In front of the name of what is kept.
const KEPT: &str = ".ryo-kept-";

/// Looks at the data in `directory`.
pub(super) fn stock(directory: &Path) -> Result<Stock, Failed> {
    let told = |error: io::Error| Failed::new(format!("cannot look at {}: {error}", directory.display()));
    let mut stock = Stock::default();
    let entries = match fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(stock),
        entries => entries.map_err(told)?,
    };
    for entry in entries.take(ENTRIES) {
        let entry = entry.map_err(told)?;
        let Ok(name) = entry.file_name().into_string() else { continue };
        let about = entry.metadata().map_err(told)?;
        if let Some((id, half)) = half(directory, &name, &about).filter(|(_, half)| half.done) {
            let since = u64::try_from(about.ctime()).unwrap_or(0);
            stock.kept.insert(id.to_owned(), Kept { stamp: half.stamp, since, directory: name });
        } else if let Some(id) = name.strip_prefix(WORK) {
            stock.unfinished.insert(id.to_owned());
        } else if about.is_dir() && is_name(&name) {
            stock.present.insert(name);
        }
    }
    Ok(stock)
}

/// Whether something can be what a project, a module or a stamp is called: it becomes part of the names of files.
fn is_name(text: &str) -> bool {
    let fine = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    text.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_') && text.chars().all(fine)
}

/// What the entry called `name` keeps, and of which project or module.
fn half<'n>(directory: &Path, name: &'n str, about: &fs::Metadata) -> Option<(&'n str, Half)> {
    let (id, rest) = name.strip_prefix(KEPT)?.split_once('@')?;
    let (inode, stamp) = rest.split_once('@')?;
    Some((id, Half { path: directory.join(name), stamp: stamp.to_owned(), done: inode.parse() == Ok(about.ino()) }))
}

/// The data of one project or module.
pub(super) struct Place<'a> {
    directory: &'a Path,
    id: &'a str,
}

/// One half of an exchange.
struct Half {
    path: PathBuf,
    stamp: String,
    /// Whether the exchange has happened: it holds what was there before.
    done: bool,
}

impl<'a> Place<'a> {
    /// The data of `id` in `directory`.
    pub(super) fn new(directory: &'a Path, id: &'a str) -> Result<Self, Failed> {
        let named = is_name(id).then_some(Self { directory, id });
        named.ok_or_else(|| Failed::new(format!("`{id}` is no name of a project or module")))
    }

    fn live(&self) -> PathBuf {
        self.directory.join(self.id)
    }

    fn work(&self) -> PathBuf {
        self.directory.join(format!("{WORK}{}", self.id))
    }

    fn halves(&self) -> io::Result<Vec<Half>> {
        let mut halves = vec![];
        for entry in fs::read_dir(self.directory)? {
            let entry = entry?;
            let Ok(name) = entry.file_name().into_string() else { continue };
            let about = entry.metadata()?;
            halves.extend(half(self.directory, &name, &about).filter(|(id, _)| *id == self.id).map(|(_, half)| half));
        }
        Ok(halves)
    }

    fn told(&self, error: &io::Error) -> Failed {
        Failed::new(format!("cannot change the data of {}: {error}", self.id))
    }

    /// Changes the data.
    pub(super) fn change(&self, change: Change, stamp: &str) -> Result<(), Failed> {
        if !is_name(stamp) {
            return Err(Failed::new(format!("`{stamp}` is no stamp")));
        }
        let ended = match change {
            Change::Exchange => self.exchange(stamp),
            Change::Undo => self.undo(),
            Change::Commit => self.commit(),
            Change::Discard => self.discard(),
        };
        ended.map_err(|error| self.told(&error))
    }

    fn exchange(&self, stamp: &str) -> io::Result<()> {
        let (live, work) = (self.live(), self.work());
        if self.halves()?.iter().any(|half| half.done && half.stamp == stamp) {
            return Ok(());
        }
        let inode = match fs::symlink_metadata(&live) {
            Ok(about) => about.ino(),
            // Nothing is kept as well as anything: a run that goes on sees by it that this has been exchanged.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                fs::create_dir(&live)?;
                fs::symlink_metadata(&live)?.ino()
            }
            Err(error) => return Err(error),
        };
        let kept = self.directory.join(format!("{KEPT}{}@{inode}@{stamp}", self.id));
        renameat_with(CWD, &work, CWD, &kept, RenameFlags::NOREPLACE)?;
        self.sync()?;
        renameat_with(CWD, &kept, CWD, &live, RenameFlags::EXCHANGE)?;
        self.sync()
    }

    fn undo(&self) -> io::Result<()> {
        let Some(half) = self.halves()?.into_iter().find(|half| half.done) else { return Ok(()) };
        match renameat_with(CWD, &half.path, CWD, self.live(), RenameFlags::EXCHANGE) {
            // What was restored is gone already.
            Err(Errno::NOENT) => {
                renameat_with(CWD, &half.path, CWD, self.live(), RenameFlags::NOREPLACE)?;
                return self.sync();
            }
            exchanged => exchanged?,
        }
        self.sync()?;
        remove(&half.path)
    }

    fn commit(&self) -> io::Result<()> {
        for half in self.halves()? {
            // Under a name by which nobody could take what is left of it for the data.
            self.discard()?;
            renameat_with(CWD, &half.path, CWD, self.work(), RenameFlags::NOREPLACE)?;
            self.sync()?;
            self.discard()?;
        }
        self.sync()
    }

    fn discard(&self) -> io::Result<()> {
        match remove(&self.work()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            removed => removed,
        }
    }

    fn sync(&self) -> io::Result<()> {
        File::open(self.directory)?.sync_all()
    }

    /// An empty directory beside the data. What broken runs have left of others is removed.
    fn beside(&self, bytes: u64) -> io::Result<PathBuf> {
        fs::create_dir_all(self.directory)?;
        for half in self.halves()?.into_iter().filter(|half| !half.done) {
            remove(&half.path)?;
        }
        self.discard()?;
        let work = self.work();
        let space = statvfs(self.directory)?;
        let free = space.f_bavail.saturating_mul(space.f_frsize);
        if bytes > free {
            return Err(io::Error::other(format!("{bytes} bytes are needed beside them and {free} are free")));
        }
        fs::DirBuilder::new().mode(0o700).create(&work)?;
        Ok(work)
    }

    /// Unpacks what `receive` writes, an archive, beside the data. Returns the sum of what was unpacked.
    pub(super) fn unpack(
        &self,
        most: Most,
        receive: impl FnOnce(&mut dyn Write) -> Result<(), Failed> + Send,
    ) -> Result<String, Failed> {
        let work = self.beside(most.stored).map_err(|error| self.told(&error))?;
        let told = |error: crate::archive::Error| Failed::new(error.sentence());
        let ((mut pieces, coming), (opened, mut stream)) = (pipe(), pipe());
        let into = work.as_path();
        let unpacked = thread::scope(|scope| {
            let opening = scope.spawn(move || open(coming, &opened));
            let unpacking = scope.spawn(move || unpack(&mut stream, self.id, into, most).map_err(told));
            let received = receive(&mut pieces);
            drop(pieces);
            let opened = opening.join().unwrap_or_else(|_| Err(io::Error::other("it was not opened")));
            let unpacked = unpacking.join().unwrap_or_else(|_| Err(Failed::new("it was not unpacked")));
            received?;
            opened.map_err(|error| Failed::new(error.to_string()))?;
            unpacked.map(|sum| sum.text())
        });
        unpacked.inspect_err(|_| drop(remove(&work)))
    }
}

/// Hands on what is in an archive, however it is compressed.
fn open(mut archive: Reader, into: &Writer) -> io::Result<()> {
    let (_, mut stream) = Compression::detected(archive.by_ref())?;
    // Whoever unpacks says why nothing more is wanted.
    let _ = into.carry(&mut stream, || 0);
    drop(stream);
    // To the end, so that whoever sends it is not left waiting.
    io::copy(&mut archive, &mut io::sink()).map(drop)
}
