//! Where backups are kept: a directory of archives, or a repository of restic.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::archive::seal::Identities;
use crate::event::Events;
use crate::flow::backup::catalogue::{self, Backup, Catalogue};
use crate::flow::backup::location::{Location, Snapshot};
use crate::flow::backup::{Error, Spec, record};
use crate::restic;

/// Where backups are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Store {
    /// In a directory of archives.
    Directory(PathBuf),
    /// In a repository of restic, one snapshot each.
    Repository(Repository),
}

/// A repository of restic that holds backups.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Repository {
    /// The repository.
    pub place: restic::Place,
    /// The directory of this computer in which it is remembered what was verified.
    pub records: PathBuf,
}

impl From<&PathBuf> for Store {
    fn from(directory: &PathBuf) -> Self {
        Self::Directory(directory.clone())
    }
}

impl From<&Path> for Store {
    fn from(directory: &Path) -> Self {
        Self::Directory(directory.to_owned())
    }
}

impl From<&Store> for Store {
    fn from(store: &Store) -> Self {
        store.clone()
    }
}

impl Repository {
    /// Its archives, in no order.
    ///
    /// # Errors
    ///
    /// [`Error::Restic`].
    pub fn locations(&self) -> Result<Vec<Location>, Error> {
        let directory = self.place.directory();
        let location = |it: &restic::Snapshot| Snapshot::new(directory, &self.records, it);
        let snapshots = self.place.snapshots()?;
        Ok(snapshots.iter().map(|it| Location::Snapshot(Box::new(location(it)))).collect())
    }

    /// The archive with this name.
    ///
    /// # Errors
    ///
    /// [`Error::Restic`].
    pub fn find(&self, name: &str) -> Result<Option<Location>, Error> {
        Ok(self.locations()?.into_iter().find(|location| location.name() == name))
    }
}

/// Holds the repository that `specs` go into, if it is one: what others do with it is seen, and waited for, before anything
/// is stopped for a copy that could not be added.
///
/// # Errors
///
/// [`Error::Restic`].
pub async fn hold(specs: &[Spec], events: &Events) -> Result<Option<restic::Lock>, Error> {
    let Some(Repository { place, .. }) = specs.iter().find_map(|spec| spec.repository.clone()) else { return Ok(None) };
    let (directory, events) = (place.directory().to_owned(), events.clone());
    let held = tokio::task::spawn_blocking(move || place.hold(&events)).await;
    Ok(held.map_err(|error| Error::File { file: directory, source: io::Error::other(error) })??)
}

impl Store {
    /// As a person reads it.
    pub fn shown(&self) -> PathBuf {
        match self {
            Self::Directory(directory) => directory.clone(),
            Self::Repository(Repository { place, .. }) => {
                PathBuf::from(format!("restic:{}", place.directory().display()))
            }
        }
    }

    /// The same, in which others remove nothing as long as a backup that was found in it is there, if that can be had.
    ///
    /// # Errors
    ///
    /// [`Error::Restic`].
    pub fn held(self, events: &Events) -> Result<Self, Error> {
        match self {
            Self::Repository(Repository { place, records }) => {
                Ok(Self::Repository(Repository { place: place.held(events)?, records }))
            }
            Self::Directory(_) => Ok(self),
        }
    }

    /// Looks which backups there are. `identities` open those that are sealed; the others need none.
    ///
    /// # Errors
    ///
    /// [`Error::File`], [`Error::Restic`]: it cannot be read. One that is not there has no backups.
    pub fn look(&self, identities: &Identities) -> Result<Catalogue, Error> {
        match self {
            Self::Directory(directory) => catalogue::look(directory, identities),
            Self::Repository(repository) => {
                let leftovers = catalogue::look(&repository.place.scratch(), identities)?.leftovers;
                let found = repository.locations()?.into_iter();
                let one = |location: Location| {
                    let identity = location.identity().unwrap_or_default();
                    catalogue::one(location, &identity, identities)
                };
                Ok(Catalogue::sorted(self.shown(), found.map(one).collect(), leftovers))
            }
        }
    }

    /// Removes what broken backups have left, and backups. Says in `removed` what is gone, also if it breaks off.
    ///
    /// # Errors
    ///
    /// [`Error::Remove`], [`Error::Restic`]. The same again goes on from there.
    pub fn remove(
        &self,
        leftovers: &[PathBuf],
        gone: &[&Backup],
        removed: &mut Vec<String>,
        events: &Events,
    ) -> Result<(), Error> {
        for leftover in leftovers {
            remove(leftover)?;
            removed.push(format!("remove {}", leftover.file_name().unwrap_or_default().to_string_lossy()));
        }
        let mut ids = vec![];
        for backup in gone {
            match &backup.archive {
                // The archive first: what is left if this breaks off is known for what it is.
                Location::File(_) => {
                    for (turn, file) in backup.files().iter().enumerate() {
                        remove(file)?;
                        if turn == 0 {
                            removed.push(format!("remove {}", backup.name()));
                        }
                    }
                }
                Location::Snapshot(snapshot) => ids.push(snapshot.id.clone()),
            }
        }
        if let (Self::Repository(repository), false) = (self, ids.is_empty()) {
            repository.place.remove(&ids, events)?;
            removed.extend(gone.iter().map(|backup| format!("remove {}", backup.name())));
            gone.iter().try_for_each(|backup| remove(&backup.archive.record()))?;
        }
        Ok(())
    }
}

fn remove(file: &Path) -> Result<(), Error> {
    match fs::remove_file(file) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => Err(Error::Remove { file: file.to_owned(), source }),
        _ => Ok(()),
    }
}

/// Where it is remembered of all repositories what was verified, in the home directory.
pub fn records(home: &Path) -> PathBuf {
    home.join(record::REPOSITORIES)
}
