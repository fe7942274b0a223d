//! A tree out of an archive, into an empty directory that nothing leaves.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Seek as _, SeekFrom, Write as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::Path;

use rustix::fs::{
    AtFlags, FileType, Gid, Mode, OFlags, Timespec, Timestamps, UTIME_OMIT, Uid, XattrFlags, chmodat, chownat, fchmod,
    fchown, fsetxattr, futimens, linkat, mkdirat, mknodat, openat, symlinkat, syncfs, utimensat,
};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use crate::archive::Error;
use crate::archive::flush::Flush;
use crate::archive::tree::entry::{ACCESS, DEFAULT, Entry, Kind, XATTR, shown};
use crate::archive::tree::group::digested;
use crate::archive::tree::read::{self, Sum};
use crate::archive::tree::{acl, failed, open_below, split, told};

/// Zeros of a file with holes that are left out, at once.
const HOLE: usize = 4096;

/// What an archive may hold at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Most {
    /// Members.
    pub members: u64,
    /// Bytes of all contents.
    pub bytes: u64,
    /// Bytes of them that take room: holes do not.
    pub stored: u64,
    /// Bytes of what its directories are to have, their attributes and paths: they get it last, and it is held until then.
    pub held: u64,
}

/// What may be held at most.
pub const HELD: u64 = 1 << 30;

/// What directories get once nothing more is put into them.
#[derive(Default)]
struct Directories {
    by_path: BTreeMap<Vec<u8>, Entry>,
    /// Bytes that it takes, about.
    held: u64,
}

impl Directories {
    fn add(&mut self, path: Vec<u8>, entry: &Entry, most: u64) -> Result<(), Error> {
        let records = entry.records.iter().map(|record| record.0.len() + record.1.len() + size_of_val(record));
        let held = path.len() + entry.path.len() + size_of::<Entry>() + records.sum::<usize>();
        self.held = self.held.saturating_add(held as u64);
        if self.held > most {
            return Err(Error::Large { most: format!("{most} bytes of what its directories are to have") });
        }
        self.by_path.insert(path, entry.clone());
        Ok(())
    }
}

/// Unpacks the tree called `name` to the empty directory `into`. Returns the sum of what was unpacked.
///
/// # Errors
///
/// [`Error`]; what has been unpacked so far is of no use.
pub fn unpack(stream: &mut dyn Read, name: &str, into: &Path, most: Most) -> Result<Sum, Error> {
    let flags = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let root = rustix::fs::open(into, flags, Mode::empty()).map_err(|error| told(name.as_bytes(), error))?;
    let flush = Flush::below(&root).map_err(|source| failed(name.as_bytes(), source))?;
    let (directories, sum) = (Directories::default(), Sum::default());
    let mut target = Target { root, name: name.as_bytes(), most, directories, sum, flush };
    read::whole(stream, &mut |entry, content| target.put(entry, content))?;
    target.finish()
}

struct Target<'t> {
    root: OwnedFd,
    name: &'t [u8],
    most: Most,
    directories: Directories,
    sum: Sum,
    flush: Flush,
}

/// The path of a member below the tree called `name`; empty for the tree itself.
///
/// # Errors
///
/// [`Error::Escapes`]: it is somewhere else.
pub fn below(path: &[u8], name: &[u8]) -> Result<Vec<u8>, Error> {
    let escapes = || Error::Escapes { path: shown(path) };
    if path.starts_with(b"/") || path.contains(&0) {
        return Err(escapes());
    }
    let mut parts: Vec<&[u8]> = path.split(|byte| *byte == b'/').filter(|it| !it.is_empty() && *it != b".").collect();
    if parts.contains(&&b".."[..]) || parts.first() != Some(&name) {
        return Err(escapes());
    }
    parts.remove(0);
    Ok(parts.join(&b"/"[..]))
}

impl Target<'_> {
    fn put(&mut self, entry: &Entry, content: &mut dyn Read) -> Result<(), Error> {
        let Sum { members, bytes, stored, .. } = &self.sum;
        let most = self.most;
        let (bytes, stored) = (bytes.saturating_add(entry.size), stored.saturating_add(entry.stored()));
        if *members >= most.members || bytes > most.bytes || stored > most.stored {
            return Err(Error::Large { most: format!("{} members, {} bytes", self.most.members, self.most.bytes) });
        }
        let path = below(&entry.path, self.name)?;
        let fail = |error| told(&entry.path, error);
        let mut written = None;
        if path.is_empty() && entry.kind != Kind::Directory {
            return Err(Error::Escapes { path: shown(&entry.path) });
        }
        let (above, name) = split(&path);
        let above = self.directory(above, &entry.path)?;
        match &entry.kind {
            Kind::Directory => {
                if !path.is_empty() {
                    opened(made(&above, name), &entry.path)?;
                }
                self.directories.add(path, entry, most.held)?;
            }
            Kind::File | Kind::Sparse(_) => {
                let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                let file = openat(&above, name, flags, Mode::from_raw_mode(0o600)).map_err(fail)?;
                let mut file = File::from(file);
                let member = {
                    let mut through = Through { content, file: &mut file, holes: entry.kind != Kind::File };
                    digested(entry, &mut through)?
                };
                file.set_len(entry.size).map_err(|source| failed(&entry.path, source))?;
                dress(&OwnedFd::from(file), entry)?;
                written = Some(member);
            }
            Kind::Link(to) => {
                symlinkat(&to[..], &above, name).map_err(fail)?;
                owned(&above, name, entry).map_err(fail)?;
                utimensat(&above, name, &times(entry.mtime), AtFlags::SYMLINK_NOFOLLOW).map_err(fail)?;
            }
            Kind::Name(of) => {
                let of = below(of, self.name)?;
                let (other, first) = split(&of);
                let other = self.directory(other, &entry.path)?;
                linkat(&other, first, &above, name, AtFlags::empty()).map_err(fail)?;
            }
            Kind::Fifo => {
                let mode = Mode::from_raw_mode(entry.mode);
                mknodat(&above, name, FileType::Fifo, mode, 0).map_err(fail)?;
                owned(&above, name, entry).map_err(fail)?;
                chmodat(&above, name, mode, AtFlags::empty()).map_err(fail)?;
                utimensat(&above, name, &times(entry.mtime), AtFlags::SYMLINK_NOFOLLOW).map_err(fail)?;
            }
            Kind::Device => return Err(Error::Device { path: shown(&entry.path) }),
        }
        let member = match written {
            Some(member) => member,
            None => digested(entry, content)?,
        };
        self.sum.add(&member);
        self.flush.reached(self.sum.stored);
        Ok(())
    }

    /// Opens a directory below, made if it is missing, never through a link.
    fn directory(&self, path: &[u8], member: &[u8]) -> Result<OwnedFd, Error> {
        match open_below(&self.root, path) {
            Err(Errno::NOENT) => opened(made(&self.root, path), member),
            there => opened(there, member),
        }
    }

    /// Gives directories what they are to have, the deepest first, and waits until everything is on the disk.
    fn finish(self) -> Result<Sum, Error> {
        // What is below something comes behind it.
        for (path, entry) in self.directories.by_path.iter().rev() {
            let directory = open_below(&self.root, path).map_err(|error| told(&entry.path, error))?;
            dress(&directory, entry)?;
        }
        if !self.directories.by_path.contains_key(&b""[..]) {
            // Archives of the original do not say what the directory itself is like.
            fchmod(&self.root, Mode::from_raw_mode(0o755)).map_err(|error| told(self.name, error))?;
        }
        self.flush.end().map_err(|source| failed(self.name, source))?;
        syncfs(&self.root).map_err(|error| told(self.name, error))?;
        Ok(self.sum)
    }
}

/// Makes what is missing of the directories on the way to `path` below `top`, however many, and opens the last one.
fn made(top: &OwnedFd, path: &[u8]) -> rustix::io::Result<OwnedFd> {
    let mut at = open_below(top, b"")?;
    for name in path.split(|byte| *byte == b'/') {
        match mkdirat(&at, name, Mode::from_raw_mode(0o755)) {
            Ok(()) | Err(Errno::EXIST) => at = open_below(&at, name)?,
            Err(error) => return Err(error),
        }
    }
    Ok(at)
}

/// A directory on the way to `member`, if it could be opened.
fn opened(directory: rustix::io::Result<OwnedFd>, member: &[u8]) -> Result<OwnedFd, Error> {
    directory.map_err(|error| match error {
        Errno::LOOP | Errno::XDEV | Errno::NOTDIR => Error::Through { path: shown(member) },
        error => told(member, error),
    })
}

/// Hands content on to whoever reads it, and writes it to a file.
struct Through<'t> {
    content: &'t mut dyn Read,
    file: &'t mut File,
    holes: bool,
}

impl Read for Through<'_> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let length = self.content.read(bytes)?;
        if !self.holes {
            self.file.write_all(&bytes[..length])?;
            return Ok(length);
        }
        for piece in bytes[..length].chunks(HOLE) {
            if piece.iter().all(|byte| *byte == 0) {
                self.file.seek(SeekFrom::Current(i64::try_from(piece.len()).unwrap_or(0)))?;
            } else {
                self.file.write_all(piece)?;
            }
        }
        Ok(length)
    }
}

/// Gives a file or directory its owner, bits, attributes and time.
fn dress(file: &OwnedFd, entry: &Entry) -> Result<(), Error> {
    let fail = |error| told(&entry.path, error);
    fchown(file, Some(Uid::from_raw(entry.uid)), Some(Gid::from_raw(entry.gid))).map_err(fail)?;
    fchmod(file, Mode::from_raw_mode(entry.mode)).map_err(fail)?;
    for (key, value) in &entry.records {
        let list = || {
            let text = std::str::from_utf8(value).ok().and_then(acl::attribute);
            let reason = || format!("`{}` has an access list that cannot be read", shown(&entry.path));
            text.ok_or_else(|| Error::Format { reason: reason() })
        };
        let set = |name: &[u8], value: &[u8]| fsetxattr(file.as_fd(), name, value, XattrFlags::empty()).map_err(fail);
        match key.strip_prefix(XATTR.as_bytes()) {
            Some(name) => set(name, value)?,
            None if key == ACCESS.as_bytes() => set(acl::ACCESS.as_bytes(), &list()?)?,
            None if key == DEFAULT.as_bytes() => set(acl::DEFAULT.as_bytes(), &list()?)?,
            None => {}
        }
    }
    futimens(file, &times(entry.mtime)).map_err(fail)
}

fn owned(above: &OwnedFd, name: &[u8], entry: &Entry) -> rustix::io::Result<()> {
    let (uid, gid) = (Some(Uid::from_raw(entry.uid)), Some(Gid::from_raw(entry.gid)));
    chownat(above, name, uid, gid, AtFlags::SYMLINK_NOFOLLOW)
}

fn times(modification: i64) -> Timestamps {
    Timestamps {
        last_access: Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT },
        last_modification: Timespec { tv_sec: modification, tv_nsec: 0 },
    }
}
