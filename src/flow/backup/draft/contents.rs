//! What an archive is made of, read out of the sealed groups of a draft, as often as somebody wants.

use std::fs::File;
use std::io::{self, BufReader, Cursor, Read};
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;

use crate::archive::Compression;
use crate::archive::seal::Identities;
use crate::archive::tree::group::{self, END};
use crate::flow::backup::draft::{LARGEST, too_long};

/// The parts of an archive.
#[derive(Clone, Debug)]
pub struct Contents {
    pub(super) file: Arc<File>,
    pub(super) identities: Identities,
    pub(super) compression: Compression,
    pub(super) parts: Arc<Vec<Part>>,
}

/// Where a group lies in the file, and which of its members stay.
#[derive(Debug)]
pub(super) struct Part {
    pub(super) from: u64,
    pub(super) length: u64,
    pub(super) keep: Vec<bool>,
}

impl Contents {
    /// Reads the archive from its beginning.
    pub fn reader(&self) -> Reader {
        Reader { contents: self.clone(), next: 0, current: Box::new(io::empty()) }
    }

    fn part(&self, part: &Part) -> io::Result<Box<dyn Read + Send>> {
        if !part.keep.iter().any(|keep| *keep) {
            return Ok(Box::new(io::empty()));
        }
        let section = Section { file: self.file.clone(), at: part.from, end: part.from + part.length };
        let opened = self.identities.open(BufReader::new(section)).map_err(io::Error::other)?;
        if part.keep.iter().all(|keep| *keep) {
            return Ok(Box::new(opened));
        }
        let mut bytes = vec![];
        opened.take(LARGEST + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > LARGEST {
            return Err(too_long());
        }
        let kept = group::without(&bytes, self.compression, |turn| part.keep.get(turn) == Some(&true));
        Ok(Box::new(Cursor::new(kept.map_err(io::Error::other)?)))
    }
}

/// Reads an archive.
pub struct Reader {
    contents: Contents,
    next: usize,
    current: Box<dyn Read + Send>,
}

impl Reader {
    /// What comes next; nothing behind the end.
    fn following(&mut self) -> io::Result<Option<Box<dyn Read + Send>>> {
        let turn = self.next;
        self.next += 1;
        match self.contents.parts.get(turn) {
            Some(part) => self.contents.part(part).map(Some),
            None if turn == self.contents.parts.len() => {
                Ok(Some(Box::new(Cursor::new(self.contents.compression.whole(&END)?))))
            }
            None => Ok(None),
        }
    }
}

impl Read for Reader {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        loop {
            let length = self.current.read(bytes)?;
            if length > 0 || bytes.is_empty() {
                return Ok(length);
            }
            match self.following()? {
                Some(next) => self.current = next,
                None => return Ok(0),
            }
        }
    }
}

/// A part of a file, which others read at the same time.
pub struct Section {
    /// The file.
    pub file: Arc<File>,
    /// Where it is read next.
    pub at: u64,
    /// Where the part ends.
    pub end: u64,
}

impl Read for Section {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.end - self.at).unwrap_or(usize::MAX).min(bytes.len());
        let length = self.file.read_at(&mut bytes[..left], self.at)?;
        self.at += length as u64;
        Ok(length)
    }
}
