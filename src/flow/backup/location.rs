//! Where an archive is: a file with its manifest beside it, or a snapshot in a repository of restic that holds both.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use crate::archive::seal::Identities;
use crate::flow::backup::manifest;
use crate::flow::backup::record::{self, Identity};
use crate::module::source::Blob;
use crate::restic;

/// Where an archive is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Location {
    /// A file.
    File(PathBuf),
    /// A snapshot.
    Snapshot(Box<Snapshot>),
}

/// An archive and its manifest in a repository of restic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// Its name in the repository.
    pub id: String,
    /// As a person reads it: `restic:/srv/backups:1f2e3d4c/ryo-gitea/backup-web-ryo-gitea-1.tar`.
    shown: PathBuf,
    archive: Option<restic::File>,
    manifest: Option<restic::File>,
    /// What is wrong with it, if its files cannot be told.
    trouble: Option<String>,
    /// Where it is remembered how it was: not in the repository, which nothing changes.
    record: PathBuf,
}

impl Snapshot {
    /// That of a repository.
    pub fn new(repository: &Path, records: &Path, snapshot: &restic::Snapshot) -> Self {
        let (files, trouble) = match &snapshot.files {
            Ok(files) => (&files[..], None),
            Err(trouble) => (&[][..], Some(trouble.to_string())),
        };
        let ends = |end: &str| files.iter().find(|file| file.name().ends_with(end)).cloned();
        let archive = ends(".tar");
        let short = snapshot.id.get(..8).unwrap_or_default();
        let path = archive.as_ref().map_or(short, |file| file.path());
        Self {
            id: snapshot.id.clone(),
            shown: PathBuf::from(format!("restic:{}:{path}", repository.display())),
            manifest: ends(".json"),
            archive,
            trouble,
            record: records.join(format!("{}.record", snapshot.id)),
        }
    }

    fn reader(&self, file: Option<&restic::File>, what: &str) -> io::Result<restic::Reader> {
        let missing = || match &self.trouble {
            Some(trouble) => io::Error::other(trouble.clone()),
            None => io::Error::new(io::ErrorKind::InvalidData, format!("there is no {what} in it")),
        };
        file.map(restic::File::reader).ok_or_else(missing)
    }
}

/// Reads an archive or a manifest, and remembers why it could not be read on: whoever decodes it makes something else of
/// that, and what cannot be read just now may be whole.
pub struct Watched<'f, R> {
    from: R,
    failed: &'f Failed,
}

/// Why something could not be read on. That what was read is wrong is no reason.
#[derive(Debug, Default)]
pub struct Failed(Mutex<Option<io::Error>>);

impl Failed {
    /// Reads `from`, and remembers here.
    pub fn watch<R: Read>(&self, from: R) -> Watched<'_, R> {
        Watched { from, failed: self }
    }

    /// What was remembered.
    pub fn taken(&self) -> Option<io::Error> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl<R: Read> Read for Watched<'_, R> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        self.from.read(bytes).map_err(|error| match error.kind() {
            io::ErrorKind::InvalidData | io::ErrorKind::Interrupted => error,
            kind => {
                self.failed.0.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
                kind.into()
            }
        })
    }
}

impl Location {
    /// As a person reads it. Of a snapshot it is no file.
    pub fn path(&self) -> &Path {
        match self {
            Self::File(path) => path,
            Self::Snapshot(snapshot) => &snapshot.shown,
        }
    }

    /// The name of the archive.
    pub fn name(&self) -> String {
        self.path().file_name().unwrap_or_default().to_string_lossy().into_owned()
    }

    /// Whether it is encrypted to recipients of `age`.
    pub fn is_sealed(&self) -> bool {
        manifest::is_sealed(self.path())
    }

    /// The archive from its beginning, as it lies there, and its bytes.
    ///
    /// # Errors
    ///
    /// It cannot be read. Reading says [`io::ErrorKind::InvalidData`] of what was read and is wrong.
    pub fn open(&self) -> io::Result<(Box<dyn Read + Send>, u64)> {
        match self {
            Self::File(path) => {
                let file = File::open(path)?;
                let size = file.metadata()?.len();
                Ok((Box::new(file), size))
            }
            Self::Snapshot(snapshot) => {
                let size = snapshot.archive.as_ref().map_or(0, restic::File::size);
                Ok((Box::new(snapshot.reader(snapshot.archive.as_ref(), "archive")?), size))
            }
        }
    }

    /// Its manifest from the beginning, as it lies there; none if there is none, as for archives of the original.
    ///
    /// # Errors
    ///
    /// It cannot be read.
    pub fn manifest(&self) -> io::Result<Option<Box<dyn Read + Send>>> {
        match self {
            Self::File(path) => {
                let beside = manifest::beside(path);
                match std::fs::metadata(&beside) {
                    // What is no file could be waited for without end.
                    Ok(about) if about.is_file() => Ok(Some(Box::new(BufReader::new(File::open(beside)?)))),
                    Ok(_) => Err(io::Error::new(io::ErrorKind::InvalidData, "it is no file")),
                    Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
                    Err(error) => Err(error),
                }
            }
            Self::Snapshot(snapshot) => {
                let reader = snapshot.reader(snapshot.manifest.as_ref(), "manifest")?;
                Ok(Some(Box::new(BufReader::with_capacity(1 << 16, reader))))
            }
        }
    }

    /// What of it changes when somebody writes to it. Nobody writes to a snapshot.
    ///
    /// # Errors
    ///
    /// It cannot be read.
    pub fn identity(&self) -> io::Result<Identity> {
        match self {
            Self::File(path) => Ok(Identity::of(&File::open(path)?.metadata()?)),
            Self::Snapshot(snapshot) => {
                Ok(Identity { size: snapshot.archive.as_ref().map_or(0, restic::File::size), written: (0, 0) })
            }
        }
    }

    /// Where it is remembered how it was.
    pub fn record(&self) -> PathBuf {
        match self {
            Self::File(path) => record::beside(path),
            Self::Snapshot(snapshot) => snapshot.record.clone(),
        }
    }

    /// Its bytes, opened if they are sealed, for whoever unpacks them.
    pub fn blob(&self, identities: &Identities) -> Blob {
        match self {
            Self::File(path) if self.is_sealed() => Blob::Sealed(path.clone(), identities.clone()),
            Self::File(path) => Blob::File(path.clone()),
            Self::Snapshot(snapshot) => match &snapshot.archive {
                Some(file) => Blob::Snapshot(file.clone()),
                None => Blob::Held(vec![]),
            },
        }
    }
}

impl From<PathBuf> for Location {
    fn from(path: PathBuf) -> Self {
        Self::File(path)
    }
}

impl From<&PathBuf> for Location {
    fn from(path: &PathBuf) -> Self {
        Self::File(path.clone())
    }
}

impl From<&Path> for Location {
    fn from(path: &Path) -> Self {
        Self::File(path.to_owned())
    }
}

impl From<&Location> for Location {
    fn from(location: &Location) -> Self {
        location.clone()
    }
}
