//! A file in a snapshot, read piece by piece.

use std::fmt;
use std::io::{self, Read};
use std::sync::{Arc, OnceLock};

use rustic_core::RusticError;
use rustic_core::repofile::Node;
use rustic_core::vfs::OpenFile;

use crate::restic::lock::Lock;
use crate::restic::{Indexed, Trouble, refused};

/// A file in a snapshot.
#[derive(Clone)]
pub struct File {
    repository: Arc<Indexed>,
    node: Arc<Node>,
    /// `SNAPSHOT/DIRECTORY/NAME`
    path: String,
    /// Where its pieces lie.
    pieces: Arc<OnceLock<OpenFile>>,
    /// Keeps others from removing them.
    lock: Option<Arc<Lock>>,
}

impl fmt::Debug for File {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("File").field(&self.path).finish()
    }
}

impl PartialEq for File {
    fn eq(&self, other: &Self) -> bool {
        self.path == other.path && self.node == other.node
    }
}

impl Eq for File {}

impl File {
    pub(super) fn new(
        repository: &Arc<Indexed>,
        lock: Option<&Arc<Lock>>,
        node: Node,
        (snapshot, directory): (&str, &str),
    ) -> Self {
        let path = format!("{}/{directory}/{}", snapshot.get(..8).unwrap_or(snapshot), node.name);
        let (repository, lock) = (repository.clone(), lock.cloned());
        Self { repository, node: Arc::new(node), path, pieces: Arc::default(), lock }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.node.name
    }

    /// Short name of the snapshot, directory, name: `1f2e3d4c/ryo-gitea/backup-web-ryo-gitea-1.tar`.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Its bytes.
    pub fn size(&self) -> u64 {
        self.node.meta.size
    }

    /// At most `most` bytes from `from` on.
    ///
    /// # Errors
    ///
    /// They are damaged ([`io::ErrorKind::InvalidData`]) or cannot be read.
    pub fn piece(&self, from: u64, most: u64) -> io::Result<Vec<u8>> {
        let told = |error| self.told(error);
        let pieces = if let Some(pieces) = self.pieces.get() {
            pieces
        } else {
            let opened = self.repository.open_file(&self.node).map_err(told)?;
            self.pieces.get_or_init(|| opened)
        };
        let [from, most] = [from, most].map(|number| usize::try_from(number).unwrap_or(usize::MAX));
        Ok(self.repository.read_file_at(pieces, from, most).map_err(told)?.into())
    }

    /// What is not read is damaged, unless the system has refused it.
    fn told(&self, error: Box<RusticError>) -> io::Error {
        let is_missing = |refused: &io::Error| self.lock.as_ref().is_some_and(|lock| lock.is_missing(refused));
        let kind = refused(&error).filter(|refused| !is_missing(refused)).map(|refused| refused.kind());
        io::Error::new(kind.unwrap_or(io::ErrorKind::InvalidData), Trouble::from(error))
    }

    /// Reads it from its beginning.
    pub fn reader(&self) -> Reader {
        Reader { file: self.clone(), at: 0 }
    }
}

/// Reads a file in a snapshot.
#[derive(Debug)]
pub struct Reader {
    file: File,
    at: u64,
}

impl Read for Reader {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let piece = self.file.piece(self.at, bytes.len() as u64)?;
        bytes[..piece.len()].copy_from_slice(&piece);
        self.at += piece.len() as u64;
        Ok(piece.len())
    }
}
