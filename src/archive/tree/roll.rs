//! A tree as groups of members, each about as long as a piece.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::Path;

use crate::archive::Error;
use crate::archive::tree::entry::{Entry, Kind, padding, shown};
use crate::archive::tree::scan::{Firsts, Found, LeftOut, Scan, Stamp};

/// Bytes after which a group ends with the present member. One that is longer is a group by itself.
pub const PIECE: usize = 1 << 20;

/// What was in a tree when it was looked at.
#[derive(Debug, Default)]
pub struct Past {
    /// All of it, by path.
    paths: HashMap<Vec<u8>, Stamp>,
    /// What has several names.
    firsts: Firsts,
}

/// What a look at a tree came to.
#[derive(Debug, Default)]
pub struct Rolled {
    /// What is in it now.
    pub present: Past,
    /// What was in it before and is no more.
    pub gone: Vec<Vec<u8>>,
    /// What was left out.
    pub left: LeftOut,
}

/// Whether a group ends with a piece.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ends {
    /// It does.
    Yes,
    /// More of it follows.
    No,
}

/// Takes a piece of a tar stream.
pub type Sink<'s> = dyn FnMut(Vec<u8>, Ends) -> io::Result<()> + 's;

/// Packs what is at `root` under `name`: all of it, or only what has changed since `past`.
///
/// # Errors
///
/// [`Error::File`], and [`Error::Write`] if the sink takes no more.
pub fn roll(root: &Path, name: &[u8], past: Option<&Past>, sink: &mut Sink) -> Result<Rolled, Error> {
    let nothing = Past::default();
    let past = past.unwrap_or(&nothing);
    let mut scan = Scan::open(root, name, &past.firsts)?;
    let mut rolling = Rolling { sink, buffer: Vec::with_capacity(PIECE) };
    let mut paths = HashMap::new();
    let mut unchanged = HashMap::new();
    let mut wanted = |path: &[u8], now: &Stamp| match past.paths.get(path) {
        Some(before) if before.holds(now) => {
            unchanged.insert(path.to_vec(), *before);
            false
        }
        _ => true,
    };
    scan.walk(&mut wanted, &mut |found| {
        paths.insert(found.entry.path.clone(), found.stamp);
        rolling.add(found)
    })?;
    rolling.end()?;
    paths.extend(unchanged);
    let gone = past.paths.keys().filter(|path| !paths.contains_key(*path)).cloned().collect();
    Ok(Rolled { present: Past { paths, firsts: scan.known }, gone, left: scan.left })
}

struct Rolling<'s, 'f> {
    sink: &'s mut Sink<'f>,
    buffer: Vec<u8>,
}

impl Rolling<'_, '_> {
    fn add(&mut self, found: Found) -> Result<(), Error> {
        let Found { entry, file, .. } = found;
        if entry.stored() > PIECE as u64 {
            self.end()?;
        }
        self.buffer.extend(entry.head());
        if let Some(mut file) = file {
            self.content(&entry, &mut file)?;
        }
        if self.buffer.len() >= PIECE || entry.stored() > PIECE as u64 { self.end() } else { Ok(()) }
    }

    fn content(&mut self, entry: &Entry, file: &mut File) -> Result<(), Error> {
        let whole = [(0, entry.size)];
        let segments = match &entry.kind {
            Kind::Sparse(segments) => &segments[..],
            _ => &whole,
        };
        for (from, length) in segments {
            let fail = |source| Error::File { path: shown(&entry.path), source };
            if *from > 0 {
                file.seek(SeekFrom::Start(*from)).map_err(fail)?;
            }
            self.copy(file, *length, fail)?;
        }
        let end = self.buffer.len() + padding(entry.stored());
        self.buffer.resize(end, 0);
        Ok(())
    }

    /// Takes `length` bytes of a file. One that has become shorter is filled up with zeros: it has changed, and comes
    /// again when nobody writes to it.
    fn copy(&mut self, file: &mut File, length: u64, fail: impl Fn(io::Error) -> Error) -> Result<(), Error> {
        let mut left = length;
        while left > 0 {
            if self.buffer.len() >= PIECE {
                self.give(Ends::No)?;
            }
            let room = (PIECE - self.buffer.len()) as u64;
            let wanted = room.min(left);
            let read = file.by_ref().take(wanted).read_to_end(&mut self.buffer).map_err(&fail)? as u64;
            if read < wanted {
                let short = usize::try_from(wanted - read).unwrap_or(0);
                self.buffer.resize(self.buffer.len() + short, 0);
            }
            left -= wanted;
        }
        Ok(())
    }

    fn end(&mut self) -> Result<(), Error> {
        if self.buffer.is_empty() { Ok(()) } else { self.give(Ends::Yes) }
    }

    fn give(&mut self, ends: Ends) -> Result<(), Error> {
        let piece = std::mem::replace(&mut self.buffer, Vec::with_capacity(PIECE));
        (self.sink)(piece, ends).map_err(Error::Write)
    }
}
