//! Whether the members of an archive fit together: what cannot be unpacked is seen before anything is.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher as _;

use crate::archive::Error;
use crate::archive::tree::acl;
use crate::archive::tree::entry::{ACCESS, DEFAULT, Entry, Kind, shown};

/// Most members that are remembered; those behind them are seen when they are unpacked.
const MOST: usize = 4_000_000;

/// What is known of the members so far, by the hash of their path. A path that nobody chose well has the hash of another
/// one in far less than one archive of a million.
#[derive(Default)]
pub struct Shape {
    known: HashMap<u64, What>,
    hasher: RandomState,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum What {
    Directory,
    Other,
}

impl Shape {
    /// Takes note of a member, which lies at `path` below the tree and is another name of `of`, if that is said.
    ///
    /// # Errors
    ///
    /// [`Error`]: it does not fit to those before it.
    pub fn add(&mut self, entry: &Entry, path: &[u8], of: Option<&[u8]>) -> Result<(), Error> {
        let wrong = |what: &str| Error::Format { reason: format!("`{}` {what}", shown(&entry.path)) };
        for (key, value) in &entry.records {
            let list = key == ACCESS.as_bytes() || key == DEFAULT.as_bytes();
            if list && std::str::from_utf8(value).ok().and_then(acl::attribute).is_none() {
                return Err(wrong("has an access list that cannot be read"));
            }
        }
        let what = match entry.kind {
            Kind::Directory => What::Directory,
            _ => What::Other,
        };
        if path.is_empty() {
            return if what == What::Directory { Ok(()) } else { Err(wrong("is no directory")) };
        }
        for (at, _) in path.iter().enumerate().filter(|(_, byte)| **byte == b'/') {
            match self.get(&path[..at]) {
                Some(What::Other) => return Err(Error::Through { path: shown(&entry.path) }),
                Some(What::Directory) => {}
                None => self.note(&path[..at], What::Directory),
            }
        }
        if of.is_some_and(|of| self.known.len() < MOST && self.get(of) != Some(What::Other)) {
            return Err(wrong("is another name of nothing"));
        }
        match self.get(path) {
            None => self.note(path, what),
            Some(What::Directory) if what == What::Directory => {}
            Some(_) => return Err(wrong("is there twice")),
        }
        Ok(())
    }

    fn get(&self, path: &[u8]) -> Option<What> {
        self.known.get(&self.hasher.hash_one(path)).copied()
    }

    fn note(&mut self, path: &[u8], what: What) {
        if self.known.len() < MOST {
            self.known.insert(self.hasher.hash_one(path), what);
        }
    }
}
