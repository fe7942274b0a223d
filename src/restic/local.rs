//! The files of a repository, in a directory of this computer. Each has its name only when it is whole and on the disk.

use std::fs::{self, DirBuilder, File};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, FileExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use rustic_core::{BytesList, ErrorKind, FileType, Id, ReadBackend, RusticError, RusticResult, WriteBackend};

/// The directory of what is not in the repository yet.
pub(super) const SCRATCH: &str = ".ryo";

/// What files that have no name yet end with.
const NEW: &str = ".new";

/// The directories of a repository.
const DIRECTORIES: [&str; 5] = ["data", "index", "keys", "locks", "snapshots"];

#[derive(Debug)]
pub(super) struct Local {
    directory: PathBuf,
    /// Whether there may be no snapshot, because something of it could not be read.
    unread: Arc<AtomicBool>,
}

impl Local {
    pub(super) fn new(directory: &Path) -> Self {
        Self::gated(directory, Arc::default())
    }

    /// One that takes no snapshot once `unread` is true.
    pub(super) fn gated(directory: &Path, unread: Arc<AtomicBool>) -> Self {
        Self { directory: directory.to_owned(), unread }
    }

    /// Makes the directories, and removes keys that nothing is encrypted with: they are of a run that broke off.
    pub(super) fn begin(&self) -> io::Result<()> {
        DIRECTORIES.into_iter().try_for_each(|name| make(&self.directory.join(name)))?;
        let used = [FileType::Snapshot, FileType::Index, FileType::Pack];
        for tpe in used {
            if !self.entries(tpe)?.is_empty() {
                return Err(io::Error::other("it has no configuration"));
            }
        }
        let keys = self.entries(FileType::Key)?;
        keys.iter().try_for_each(|(id, _)| fs::remove_file(self.path(FileType::Key, id)))
    }

    /// Makes the directory of what is not in it yet.
    pub(super) fn prepare(&self) -> io::Result<()> {
        make(&self.directory.join(SCRATCH))
    }

    /// Removes what killed runs have left. Nobody else may be at work.
    pub(super) fn sweep(&self) -> io::Result<()> {
        for path in files(&self.directory.join(SCRATCH))? {
            if path.to_string_lossy().ends_with(NEW) {
                fs::remove_file(path)?;
            }
        }
        Ok(())
    }

    fn path(&self, tpe: FileType, id: &Id) -> PathBuf {
        let name = id.to_hex().to_string();
        match tpe {
            FileType::Config => self.directory.join("config"),
            FileType::Pack => self.directory.join("data").join(&name[..2]).join(name),
            _ => self.directory.join(tpe.dirname()).join(name),
        }
    }

    fn entries(&self, tpe: FileType) -> io::Result<Vec<(Id, u32)>> {
        let directory = self.directory.join(tpe.dirname());
        let paths = match tpe {
            FileType::Config => vec![directory].into_iter().filter(|path| path.exists()).collect(),
            FileType::Pack => {
                let below = directories(&directory)?.into_iter().map(|path| files(&path));
                below.collect::<io::Result<Vec<_>>>()?.concat()
            }
            _ => files(&directory)?,
        };
        let mut found = vec![];
        for path in paths {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            let id = if tpe == FileType::Config { Some(Id::default()) } else { name.parse().ok() };
            // One may go while we look.
            if let (Some(id), Ok(about)) = (id, path.metadata()) {
                found.push((id, u32::try_from(about.len()).map_err(io::Error::other)?));
            }
        }
        Ok(found)
    }

    pub(super) fn write(&self, tpe: FileType, id: &Id, content: &[Bytes]) -> io::Result<()> {
        let path = self.path(tpe, id);
        let parent = path.parent().unwrap_or(&self.directory);
        let scratch = self.directory.join(SCRATCH);
        make(parent)?;
        make(&scratch)?;
        let mut file = tempfile::Builder::new().suffix(NEW).tempfile_in(scratch)?;
        content.iter().try_for_each(|bytes| file.write_all(bytes))?;
        file.as_file().sync_all()?;
        file.persist(&path).map_err(|error| error.error)?;
        File::open(parent)?.sync_all()
    }

    fn read(&self, tpe: FileType, id: &Id, offset: u32, length: u32) -> io::Result<Bytes> {
        let mut bytes = vec![0; length as usize];
        File::open(self.path(tpe, id))?.read_exact_at(&mut bytes, u64::from(offset))?;
        Ok(bytes.into())
    }

    fn told<T>(&self, what: &str, path: &Path, ended: io::Result<T>) -> RusticResult<T> {
        let path = path.strip_prefix(&self.directory).unwrap_or(path).display();
        ended.map_err(|error| RusticError::with_source(ErrorKind::Backend, format!("cannot {what} `{path}`"), error))
    }
}

/// Makes a directory for this account alone, if it is not there.
pub(super) fn make(directory: &Path) -> io::Result<()> {
    DirBuilder::new().mode(0o700).recursive(true).create(directory)
}

fn listed(directory: &Path) -> io::Result<Vec<fs::DirEntry>> {
    match fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(vec![]),
        entries => entries?.collect(),
    }
}

pub(super) fn files(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let files = listed(directory)?.into_iter().filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_file()));
    Ok(files.map(|entry| entry.path()).collect())
}

fn directories(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let below = listed(directory)?.into_iter().filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    Ok(below.map(|entry| entry.path()).collect())
}

impl ReadBackend for Local {
    fn location(&self) -> String {
        self.directory.display().to_string()
    }

    fn list_with_size(&self, tpe: FileType) -> RusticResult<Vec<(Id, u32)>> {
        self.told("read", &self.directory.join(tpe.dirname()), self.entries(tpe))
    }

    fn read_full(&self, tpe: FileType, id: &Id) -> RusticResult<Bytes> {
        let path = self.path(tpe, id);
        self.told("read", &path, fs::read(&path).map(Bytes::from))
    }

    fn read_partial(&self, tpe: FileType, id: &Id, _cacheable: bool, offset: u32, length: u32) -> RusticResult<Bytes> {
        self.told("read", &self.path(tpe, id), self.read(tpe, id, offset, length))
    }

    fn warmup_path(&self, tpe: FileType, id: &Id) -> String {
        self.path(tpe, id).display().to_string()
    }
}

impl WriteBackend for Local {
    fn write_bytes(&self, tpe: FileType, id: &Id, _cacheable: bool, content: BytesList) -> RusticResult<()> {
        if tpe == FileType::Snapshot && self.unread.load(Ordering::Relaxed) {
            return Err(RusticError::new(ErrorKind::InputOutput, "something of the snapshot could not be read"));
        }
        self.told("write", &self.path(tpe, id), self.write(tpe, id, content.slice()))
    }

    fn remove(&self, tpe: FileType, id: &Id, _cacheable: bool) -> RusticResult<()> {
        let path = self.path(tpe, id);
        let ended = match fs::remove_file(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            ended => ended,
        };
        self.told("remove", &path, ended)
    }
}
