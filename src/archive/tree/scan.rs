//! What is in a tree of the file system, as it is at the moment: it may be changed while it is looked at.

use std::collections::HashMap;
use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use rustix::fs::{
    AtFlags, Dir, FileType, Mode, OFlags, SeekFrom, Stat, fdatasync, fgetxattr, flistxattr, fstat, openat, readlinkat,
    seek, statat,
};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use crate::archive::Error;
use crate::archive::tree::entry::{self, Entry, Kind, shown};
use crate::archive::tree::{PATH, acl, failed, open_below, split, told};

/// Most bytes of the names, and of one value, of a file's extended attributes.
const ATTRIBUTES: usize = 64 << 10;

/// Seconds that a file must have been left alone for to be known by its times: what is written into a mapped page that
/// is dirty already leaves no trace in them, and file systems round.
const SETTLED: i64 = 2;

/// Most pieces of a file with holes: what says where they are is read into memory by whoever unpacks it. A file with
/// more is packed with its zeros.
const PIECES: usize = 100_000;

/// Bytes of a path that is too long, of which a person is told.
const BEGINNING: usize = 100;

/// What tells whether something is still as it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    size: i64,
    mtime: (i64, u64),
    ctime: (i64, u64),
    inode: (u64, u64),
    /// Whether times tell: it had been left alone for a while.
    trusted: Trusted,
}

/// Whether the times of something tell that it has not changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trusted {
    /// They do.
    Yes,
    /// It was being changed when it was read.
    No,
}

impl Stamp {
    /// Whether `now` is surely the same thing, unchanged.
    pub fn holds(&self, now: &Self) -> bool {
        self.trusted == Trusted::Yes
            && (self.size, self.mtime, self.ctime, self.inode) == (now.size, now.mtime, now.ctime, now.inode)
    }
}

/// Something that was found.
pub struct Found {
    /// What.
    pub entry: Entry,
    /// What tells whether it is still the same later.
    pub stamp: Stamp,
    /// Its content.
    pub file: Option<File>,
}

/// What to do with something before it is opened.
pub type Wanted<'w> = dyn FnMut(&[u8], &Stamp) -> bool + 'w;

/// A tree under `root`, called `name` in the archive.
pub struct Scan<'s> {
    top: OwnedFd,
    name: &'s [u8],
    past: &'s Firsts,
    /// What has several names.
    pub known: Firsts,
    /// What was left out.
    pub left: LeftOut,
}

/// Of what has several names, by inode, the one that its content is packed under.
pub type Firsts = HashMap<(u64, u64), First>;

/// The name that something with several is packed under.
#[derive(Clone, Debug)]
pub struct First {
    path: Vec<u8>,
    stamp: Stamp,
    packed: Packed,
}

/// What is not packed, by path.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeftOut {
    /// Sockets, which no archive can hold.
    pub sockets: Vec<String>,
    /// Devices, which no restore would make.
    pub devices: Vec<String>,
    /// Beginnings of paths that are longer than [`PATH`].
    pub long: Vec<String>,
}

impl LeftOut {
    /// What a person is told, a line each.
    pub fn lines(&self) -> Vec<String> {
        let kinds = [
            (&self.sockets, "they are sockets"),
            (&self.devices, "they are devices"),
            (&self.long, "their paths are longer than 64 KiB"),
        ];
        let some = kinds.into_iter().filter(|(paths, _)| !paths.is_empty());
        some.map(|(paths, why)| format!("not in the archive, because {why}: {}", paths.join(", "))).collect()
    }
}

/// When something was packed under its first name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Packed {
    Now,
    Before,
}

impl<'s> Scan<'s> {
    /// Opens the directory `root`. `past` is of what was packed before, if only what has changed since is wanted.
    ///
    /// # Errors
    ///
    /// [`Error::File`].
    pub fn open(root: &Path, name: &'s [u8], past: &'s Firsts) -> Result<Self, Error> {
        let flags = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let top = rustix::fs::open(root, flags, Mode::empty());
        let top = top.map_err(|error| told(root.as_os_str().as_bytes(), error))?;
        Ok(Self { top, name, past, known: Firsts::new(), left: LeftOut::default() })
    }

    /// Visits the tree, each directory before what is in it and that before anything else, as GNU tar wants it, so that it
    /// can leave a directory for good: `wanted` says of each whether it is opened
    /// and handed to `visit`. What vanishes meanwhile is left out.
    ///
    /// # Errors
    ///
    /// [`Error::File`], and that of `visit`.
    pub fn walk(
        &mut self,
        wanted: &mut Wanted,
        visit: &mut dyn FnMut(Found) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let mut open: Vec<Vec<u8>> = vec![vec![]];
        while let Some(path) = open.pop() {
            let fail = |error| told(&path, error);
            let Some(directory) = vanishing(open_below(&self.top, &path)).map_err(fail)? else {
                continue;
            };
            let about = fstat(&directory).map_err(fail)?;
            let opened = directory.try_clone().map_err(|source| failed(&path, source))?;
            let whole = if path.is_empty() { self.name.to_vec() } else { [self.name, b"/", &path].concat() };
            self.visit(&whole, &about, Some(opened), wanted, visit)?;
            let mut below = vec![];
            for name in names(&directory).map_err(fail)? {
                let relative = if path.is_empty() { name.clone() } else { [&path[..], b"/", &name].concat() };
                if self.name.len() + 1 + relative.len() > PATH {
                    self.left.long.push(format!("{}…", shown(&[self.name, b"/", &relative[..BEGINNING]].concat())));
                    continue;
                }
                let about = statat(&directory, &name, AtFlags::SYMLINK_NOFOLLOW);
                let Some(about) = vanishing(about).map_err(|error| told(&relative, error))? else { continue };
                if FileType::from_raw_mode(about.st_mode) == FileType::Directory {
                    below.push(relative);
                } else {
                    self.one(&directory, &name, &relative, &about, wanted, visit)?;
                }
            }
            open.extend(below.into_iter().rev());
        }
        Ok(())
    }

    fn one(
        &mut self,
        above: &OwnedFd,
        name: &[u8],
        relative: &[u8],
        about: &Stat,
        wanted: &mut Wanted,
        visit: &mut dyn FnMut(Found) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let fail = |error| told(relative, error);
        let path = [self.name, b"/", relative].concat();
        match FileType::from_raw_mode(about.st_mode) {
            FileType::RegularFile => {
                let opened = openat(above, name, OFlags::NONBLOCK | reading(), Mode::empty());
                let Some(opened) = vanishing(opened).map_err(fail)? else { return Ok(()) };
                self.visit(&path, about, Some(opened), wanted, visit)?;
            }
            FileType::Symlink => {
                let Some(target) = vanishing(readlinkat(above, name, vec![])).map_err(fail)? else { return Ok(()) };
                self.offer(path, about, Kind::Link(target.into_bytes()), wanted, visit)?;
            }
            FileType::Fifo => self.offer(path, about, Kind::Fifo, wanted, visit)?,
            FileType::Socket => self.left.sockets.push(shown(&path)),
            _ => self.left.devices.push(shown(&path)),
        }
        Ok(())
    }

    /// Something without content.
    fn offer(
        &mut self,
        path: Vec<u8>,
        about: &Stat,
        kind: Kind,
        wanted: &mut Wanted,
        visit: &mut dyn FnMut(Found) -> Result<(), Error>,
    ) -> Result<(), Error> {
        if self.again(&path, about, wanted, visit)? {
            return Ok(());
        }
        let stamp = stamp(about, now());
        if about.st_nlink == 1 && !wanted(&path, &stamp) {
            return Ok(());
        }
        self.note(&path, about, stamp);
        visit(Found { entry: entry(path, about, kind), stamp, file: None })
    }

    /// Takes note of the first name of something that has others.
    fn note(&mut self, path: &[u8], about: &Stat, stamp: Stamp) {
        if about.st_nlink > 1 {
            self.known.insert(inode(about), First { path: path.to_vec(), stamp, packed: Packed::Now });
        }
    }

    /// Whether it is a name of something that is packed under its first one: it is handed out as another name then, if
    /// it is not packed as that already.
    ///
    /// What has several names is as it was before only if the first is still one of them. A directory above that may
    /// have been renamed, which leaves no trace in what is below it.
    fn again(
        &mut self,
        path: &[u8],
        about: &Stat,
        wanted: &mut Wanted,
        visit: &mut dyn FnMut(Found) -> Result<(), Error>,
    ) -> Result<bool, Error> {
        let inode = inode(about);
        if !self.known.contains_key(&inode)
            && let Some(first) = self.past.get(&inode)
            && first.stamp.holds(&stamp(about, now()))
            && self.is_at(&first.path, inode)
        {
            self.known.insert(inode, First { packed: Packed::Before, ..first.clone() });
        }
        let Some(first) = self.known.get(&inode) else { return Ok(false) };
        // A name is as trustworthy as the content, which came under the first.
        if first.packed == Packed::Now || wanted(path, &first.stamp) {
            let entry = entry(path.to_vec(), about, Kind::Name(first.path.clone()));
            visit(Found { entry, stamp: first.stamp, file: None })?;
        }
        Ok(true)
    }

    /// Whether this is what is at `path`, as that is called in the archive.
    fn is_at(&self, path: &[u8], wanted: (u64, u64)) -> bool {
        let below = path.strip_prefix(self.name).and_then(|path| path.strip_prefix(b"/"));
        let (above, name) = split(below.unwrap_or_default());
        let found = open_below(&self.top, above).and_then(|above| statat(&above, name, AtFlags::SYMLINK_NOFOLLOW));
        found.is_ok_and(|about| inode(&about) == wanted)
    }

    /// A file or directory that is open.
    fn visit(
        &mut self,
        path: &[u8],
        about: &Stat,
        opened: Option<OwnedFd>,
        wanted: &mut Wanted,
        visit: &mut dyn FnMut(Found) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let Some(opened) = opened else { return Ok(()) };
        let fail = |error| told(path, error);
        if self.again(path, about, wanted, visit)? {
            return Ok(());
        }
        let began = now();
        let is_file = FileType::from_raw_mode(about.st_mode) == FileType::RegularFile;
        let before = stamp(about, began);
        let has_others = is_file && about.st_nlink > 1;
        if !has_others && !wanted(path, &before) {
            return Ok(());
        }
        if is_file {
            // Pages that are clean make a fault when they are written to, which shows in the times.
            let _ = fdatasync(&opened);
        }
        let about = fstat(&opened).map_err(fail)?;
        let stamp = stamp(&about, began);
        let kind = if is_file { holes(&opened, &about).map_err(fail)? } else { Kind::Directory };
        let mut entry = entry(path.to_vec(), &about, kind);
        entry.records = records(&opened).map_err(fail)?;
        if is_file {
            self.note(path, &about, stamp);
        }
        visit(Found { entry, stamp, file: is_file.then(|| File::from(opened)) })
    }
}

fn reading() -> OFlags {
    OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC
}

fn names(directory: &OwnedFd) -> rustix::io::Result<Vec<Vec<u8>>> {
    let mut names = vec![];
    for entry in Dir::read_from(directory)? {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if name != b"." && name != b".." {
            names.push(name.to_vec());
        }
    }
    names.sort();
    // One that is changed meanwhile may be listed twice.
    names.dedup();
    Ok(names)
}

fn entry(path: Vec<u8>, about: &Stat, kind: Kind) -> Entry {
    let size = if matches!(kind, Kind::File | Kind::Sparse(_)) { about.st_size.unsigned_abs() } else { 0 };
    Entry {
        path,
        kind,
        mode: about.st_mode & 0o7777,
        uid: about.st_uid,
        gid: about.st_gid,
        mtime: about.st_mtime,
        size,
        records: vec![],
    }
}

fn stamp(about: &Stat, now: i64) -> Stamp {
    let settled = about.st_mtime.max(about.st_ctime) < now - SETTLED;
    Stamp {
        size: about.st_size,
        mtime: (about.st_mtime, about.st_mtime_nsec),
        ctime: (about.st_ctime, about.st_ctime_nsec),
        inode: inode(about),
        trusted: if settled { Trusted::Yes } else { Trusted::No },
    }
}

fn inode(about: &Stat) -> (u64, u64) {
    (about.st_dev, about.st_ino)
}

fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

/// Where there is something in a file that has fewer blocks than bytes.
fn holes(file: &OwnedFd, about: &Stat) -> rustix::io::Result<Kind> {
    let size = about.st_size.unsigned_abs();
    if about.st_blocks.unsigned_abs() * 512 >= size {
        return Ok(Kind::File);
    }
    let mut segments = vec![];
    let mut at = 0;
    while at < size {
        let from = match seek(file, SeekFrom::Data(at)) {
            Ok(from) => from,
            Err(Errno::NXIO) => break,
            // The file system does not tell.
            Err(Errno::INVAL | Errno::OPNOTSUPP) => return Ok(Kind::File),
            Err(error) => return Err(error),
        };
        let until = match seek(file, SeekFrom::Hole(from)) {
            Ok(until) => until.min(size),
            // It has just become shorter.
            Err(Errno::NXIO) => break,
            Err(error) => return Err(error),
        };
        if segments.len() >= PIECES {
            seek(file, SeekFrom::Start(0))?;
            return Ok(Kind::File);
        }
        if from < until {
            segments.push((from, until - from));
        }
        at = until.max(at + 1);
    }
    seek(file, SeekFrom::Start(0))?;
    // An odd end within the file would not be at the edge of a block.
    let odd = segments.iter().any(|(from, length)| from % 512 != 0 || (length % 512 != 0 && from + length != size));
    if odd || segments == [(0, size)] {
        return Ok(Kind::File);
    }
    if segments.last().is_none_or(|(from, length)| from + length < size) {
        segments.push((size, 0));
    }
    Ok(Kind::Sparse(segments))
}

/// Extended attributes and access lists as records of an extended header.
fn records(file: &OwnedFd) -> rustix::io::Result<Vec<(Vec<u8>, Vec<u8>)>> {
    let mut list = vec![0; ATTRIBUTES];
    let length = match flistxattr(file, &mut list[..]) {
        Ok(length) => length,
        Err(Errno::OPNOTSUPP) => return Ok(vec![]),
        Err(error) => return Err(error),
    };
    let mut records = vec![];
    for name in list[..length].split(|byte| *byte == 0).filter(|name| !name.is_empty()) {
        let mut value = vec![0; ATTRIBUTES];
        let Ok(length) = fgetxattr(file.as_fd(), name, &mut value[..]) else { continue };
        value.truncate(length);
        let list = match name {
            _ if name == acl::ACCESS.as_bytes() => Some(entry::ACCESS),
            _ if name == acl::DEFAULT.as_bytes() => Some(entry::DEFAULT),
            _ => None,
        };
        match (list, list.and_then(|_| acl::text(&value))) {
            (Some(key), Some(text)) => records.push((key.as_bytes().to_vec(), text.into_bytes())),
            _ => records.push(([entry::XATTR.as_bytes(), name].concat(), value)),
        }
    }
    records.sort();
    Ok(records)
}

/// What has gone meanwhile is nothing; neither is what has become something else.
pub(crate) fn vanishing<T>(looked: rustix::io::Result<T>) -> rustix::io::Result<Option<T>> {
    match looked {
        Ok(found) => Ok(Some(found)),
        Err(Errno::NOENT | Errno::LOOP | Errno::NOTDIR | Errno::NXIO) => Ok(None),
        Err(error) => Err(error),
    }
}
