//! Whole trees as backups hold them: with numeric owners, extended attributes, access lists, hard links and holes.
//!
//! A tree is written as groups of members ([`roll`]): each group is compressed by itself, so that an archive is made of
//! groups by copying bytes, and a group is left out or rewritten without touching the others. One after the other,
//! they are an ordinary tar archive that `tar -xzpf` unpacks.

use std::io;
use std::os::fd::OwnedFd;

use rustix::fs::{Mode, OFlags, ResolveFlags, openat2};
use rustix::io::Errno;

use crate::archive::Error;

pub mod acl;
pub mod entry;
pub mod group;
pub mod read;
pub mod remove;
pub mod roll;
pub mod said;
pub mod scan;
pub mod shape;
pub mod sparse;
pub mod unpack;

pub use entry::{Entry, Kind};

/// Most bytes of a path in an archive. Directories can be made deeper than what the system takes for a path at once.
pub const PATH: usize = 64 << 10;

/// Longest path that is opened at once: the system takes no longer one.
const LONGEST: usize = 4000;

/// Opens the directory at `path` below `top`, never through a link, however long the path is.
pub(crate) fn open_below(top: &OwnedFd, path: &[u8]) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC;
    let within = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    let (mut at, mut rest) = (None, path);
    loop {
        let end = if rest.len() <= LONGEST { None } else { rest[..LONGEST].iter().rposition(|byte| *byte == b'/') };
        let piece = end.map_or(rest, |end| &rest[..end]);
        let piece = if piece.is_empty() { &b"."[..] } else { piece };
        let opened = openat2(at.as_ref().unwrap_or(top), piece, flags, Mode::empty(), within)?;
        let Some(end) = end else { return Ok(opened) };
        (at, rest) = (Some(opened), &rest[end + 1..]);
    }
}

/// A path without its last name, and that name.
fn split(path: &[u8]) -> (&[u8], &[u8]) {
    match path.iter().rposition(|byte| *byte == b'/') {
        Some(at) => (&path[..at], &path[at + 1..]),
        None => (b"", path),
    }
}

/// The system refused something about the member at `path`.
fn told(path: &[u8], error: Errno) -> Error {
    failed(path, io::Error::from(error))
}

/// The member at `path` cannot be read or written.
fn failed(path: &[u8], source: io::Error) -> Error {
    Error::File { path: entry::shown(path), source }
}
