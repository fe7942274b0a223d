//! Whether the members of an archive fit together: what cannot be unpacked is seen before anything is.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher as _, Hasher as _};

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
        let hashes = self.hashes(path);
        let Some((own, above)) = hashes.split_last() else { return Ok(()) };
        for directory in above {
            match self.known.get(directory) {
                Some(What::Other) => return Err(Error::Through { path: shown(&entry.path) }),
                Some(What::Directory) => {}
                None => self.note(*directory, What::Directory),
            }
        }
        let is_other = |of| self.hashes(of).last().is_some_and(|of| self.known.get(of) == Some(&What::Other));
        if of.is_some_and(|of| self.known.len() < MOST && !is_other(of)) {
            return Err(wrong("is another name of nothing"));
        }
        match self.known.get(own) {
            None => self.note(*own, what),
            Some(What::Directory) if what == What::Directory => {}
            Some(_) => return Err(wrong("is there twice")),
        }
        Ok(())
    }

    /// The hashes of the directories that a path leads through, and last its own.
    fn hashes(&self, path: &[u8]) -> Vec<u64> {
        let mut hasher = self.hasher.build_hasher();
        let parts = path.split(|byte| *byte == b'/');
        let reached = parts.map(|part| {
            hasher.write(part);
            hasher.write(b"/");
            hasher.finish()
        });
        reached.collect()
    }

    fn note(&mut self, path: u64, what: What) {
        if self.known.len() < MOST {
            self.known.insert(path, what);
        }
    }
}
