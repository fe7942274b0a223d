//! What is put into a snapshot, so that whatever cannot be read to its end is known.
//!
//! `rustic_core` leaves out a file that it cannot read, and saves the snapshot all the same.

use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use rustic_core::repofile::{Metadata, Node, NodeType};
use rustic_core::{ReadSource, ReadSourceEntry, RusticResult};

use crate::restic::Trouble;

/// Opens what is read.
type Open = Box<dyn Fn() -> io::Result<Box<dyn Read + Send>> + Send + Sync>;

/// A file that is put into a snapshot.
pub struct Addition {
    name: String,
    size: u64,
    open: Open,
}

impl Addition {
    /// One of `size` bytes, which are read from what `open` returns.
    pub fn new(
        name: &str,
        size: u64,
        open: impl Fn() -> io::Result<Box<dyn Read + Send>> + Send + Sync + 'static,
    ) -> Self {
        Self { name: name.to_owned(), size, open: Box::new(open) }
    }
}

pub(super) struct Source {
    top: PathBuf,
    files: Vec<Arc<Addition>>,
    fate: Fate,
}

/// Whether everything could be read.
#[derive(Clone)]
struct Fate {
    unread: Arc<AtomicBool>,
    why: Arc<Mutex<Option<Trouble>>>,
}

impl Source {
    /// - `unread`: becomes true if something cannot be read.
    pub(super) fn new(top: &Path, files: Vec<Addition>, unread: Arc<AtomicBool>) -> Self {
        let mut files: Vec<Arc<Addition>> = files.into_iter().map(Arc::new).collect();
        // As restic wants them.
        files.sort_by(|a, b| a.name.cmp(&b.name));
        Self { top: top.to_owned(), files, fate: Fate { unread, why: Arc::default() } }
    }

    /// Why something could not be read.
    pub(super) fn failure(&self) -> Option<Trouble> {
        self.fate.why.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn entry(&self, file: &Arc<Addition>) -> ReadSourceEntry<Watched> {
        let meta = Metadata { mode: Some(0o600), size: file.size, links: 1, ..Metadata::default() };
        let node = Node::new_node(file.name.as_ref(), NodeType::File, meta);
        let open = Watched { file: file.clone(), from: None, left: file.size, fate: self.fate.clone() };
        ReadSourceEntry { path: self.top.join(&file.name), node, open: Some(open) }
    }
}

impl ReadSource for Source {
    type Open = Watched;
    type Iter = std::vec::IntoIter<RusticResult<ReadSourceEntry<Watched>>>;

    fn size(&self) -> RusticResult<Option<u64>> {
        Ok(Some(self.files.iter().map(|file| file.size).sum()))
    }

    fn entries(&self) -> Self::Iter {
        self.files.iter().map(|file| Ok(self.entry(file))).collect::<Vec<_>>().into_iter()
    }
}

/// Reads a file, and takes note if it cannot be read to its end.
pub(super) struct Watched {
    file: Arc<Addition>,
    from: Option<Box<dyn Read + Send>>,
    left: u64,
    fate: Fate,
}

impl Watched {
    /// As many bytes as there are: whoever cuts them into pieces never asks for more than it has once got.
    fn next(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let from = match &mut self.from {
            Some(from) => from,
            none => none.insert((self.file.open)()?),
        };
        let mut length = 0;
        while length < bytes.len() {
            match from.read(&mut bytes[length..])? {
                0 => break,
                some => length += some,
            }
        }
        let left = self.left.checked_sub(length as u64).filter(|left| length == bytes.len() || *left == 0);
        self.left = left.ok_or_else(|| io::Error::other(format!("`{}` is not as long as it was", self.file.name)))?;
        Ok(length)
    }
}

impl Read for Watched {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        self.next(bytes).inspect_err(|error| {
            let mut why = self.fate.why.lock().unwrap_or_else(PoisonError::into_inner);
            why.get_or_insert_with(|| Trouble(error.to_string()));
            self.fate.unread.store(true, Ordering::Relaxed);
        })
    }
}
