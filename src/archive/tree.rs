//! Whole trees as backups hold them: with numeric owners, extended attributes, access lists, hard links and holes.
//!
//! A tree is written as groups of members ([`roll`]): each group is compressed by itself, so that an archive is made of
//! groups by copying bytes, and a group is left out or rewritten without touching the others. One after the other,
//! they are an ordinary tar archive that `tar -xzpf` unpacks.

pub mod acl;
pub mod entry;
pub mod group;
pub mod read;
pub mod roll;
pub mod scan;
pub mod unpack;

pub use entry::{Entry, Kind};
