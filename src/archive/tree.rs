//! Whole trees as backups hold them: with numeric owners, extended attributes, access lists, hard links and holes.
//!
//! A tree is written as groups of members ([`roll`]): each group is compressed by itself, so that an archive is made of
//! groups by copying bytes, and a group is left out or rewritten without touching the others. One after the other,
//! they are an ordinary tar archive that `tar -xzpf` unpacks.

use std::io;

use rustix::io::Errno;

use crate::archive::Error;

pub mod acl;
pub mod entry;
pub mod group;
pub mod read;
pub mod roll;
pub mod said;
pub mod scan;
pub mod shape;
pub mod unpack;

pub use entry::{Entry, Kind};

/// The system refused something about the member at `path`.
fn told(path: &[u8], error: Errno) -> Error {
    failed(path, io::Error::from(error))
}

/// The member at `path` cannot be read or written.
fn failed(path: &[u8], source: io::Error) -> Error {
    Error::File { path: entry::shown(path), source }
}
