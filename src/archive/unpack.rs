//! Putting members into a directory that nothing leaves.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read, Write as _};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{
    AtFlags, FileType, Gid, Mode, OFlags, ResolveFlags, Timespec, Timestamps, UTIME_OMIT, Uid, fchmod, fchown,
    futimens, linkat, mkdirat, openat, openat2, renameat, statat, symlinkat, unlinkat, utimensat,
};
use rustix::io::Errno;

use crate::archive::member::below;
use crate::archive::{Error, Kind, Member};

/// Most bytes that are unpacked of one archive.
const LARGEST: u64 = 1 << 40;

/// What a member gets when it is unpacked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Dress {
    /// Permission bits.
    pub mode: u32,
    /// Numbers of owner and group; who unpacks if none.
    pub ids: Option<(u32, u32)>,
}

/// A directory that is unpacked into.
///
/// Files and links are replaced at once, each by itself. Directories get their bits and times at the end, when
/// nothing more is put into them.
#[derive(Debug)]
pub struct Target {
    root: OwnedFd,
    directories: Vec<(PathBuf, Dress, i64)>,
    written: u64,
}

impl Target {
    /// Opens the directory `dest`.
    ///
    /// # Errors
    ///
    /// [`Error::File`].
    pub fn open(dest: &Path) -> Result<Self, Error> {
        let flags = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC;
        let root = rustix::fs::open(dest, flags, Mode::empty()).map_err(|error| told(dest, error))?;
        Ok(Self { root, directories: vec![], written: 0 })
    }

    /// Puts `member` to `path` below the directory; missing directories above it are made.
    ///
    /// # Errors
    ///
    /// [`Error`]; what was there is as it was, except that a file in the place of a directory is removed.
    pub fn put(&mut self, member: &Member, path: &Path, dress: Dress, content: &mut dyn Read) -> Result<(), Error> {
        let Some(name) = path.file_name() else {
            // The directory itself.
            self.directories.push((PathBuf::from("."), dress, member.mtime));
            return Ok(());
        };
        let above = self.directory(path.parent().unwrap_or(Path::new("")), member)?;
        match &member.kind {
            Kind::Directory => {
                make_directory(&above, name, path)?;
                self.directories.push((path.to_owned(), dress, member.mtime));
                Ok(())
            }
            Kind::File => self.file(&above, name, path, (dress, member.mtime), content),
            Kind::Link(target) => placed(&above, name, path, |beside| {
                symlinkat(target.as_str(), &above, beside)?;
                owned(&above, beside, dress)?;
                utimensat(&above, beside, &times(member.mtime), AtFlags::SYMLINK_NOFOLLOW)
            }),
            Kind::Name(target) => {
                let target = below(target)?;
                let other = self.directory(target.parent().unwrap_or(Path::new("")), member)?;
                let of = target.file_name().ok_or_else(|| Error::Escapes { path: member.path.clone() })?;
                placed(&above, name, path, |beside| linkat(&other, of, &above, beside, AtFlags::empty()))
            }
            Kind::Fifo => placed(&above, name, path, |beside| {
                let mode = Mode::from_raw_mode(dress.mode & 0o777);
                rustix::fs::mknodat(&above, beside, FileType::Fifo, mode, 0)?;
                owned(&above, beside, dress)
            }),
            Kind::Device => Err(Error::Device { path: member.path.clone() }),
        }
    }

    /// Gives the directories their bits, owners and times, the deepest first.
    ///
    /// # Errors
    ///
    /// [`Error::File`].
    pub fn finish(mut self) -> Result<(), Error> {
        self.directories.sort_by_key(|(path, ..)| std::cmp::Reverse(path.components().count()));
        for (path, dress, mtime) in &self.directories {
            let fail = |error: Errno| told(path, error);
            let flags = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC;
            let directory = openat2(&self.root, path, flags, Mode::empty(), within()).map_err(fail)?;
            if let Some((uid, gid)) = dress.ids {
                fchown(&directory, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid))).map_err(fail)?;
            }
            fchmod(&directory, Mode::from_raw_mode(dress.mode)).map_err(fail)?;
            futimens(&directory, &times(*mtime)).map_err(fail)?;
        }
        Ok(())
    }

    /// Opens a directory below, made if it is missing, never through a link.
    fn directory(&self, path: &Path, member: &Member) -> Result<OwnedFd, Error> {
        let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
        let flags = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC;
        match openat2(&self.root, path, flags, Mode::empty(), within()) {
            Ok(directory) => Ok(directory),
            Err(Errno::NOENT) => {
                let name = path.file_name().ok_or_else(|| Error::Escapes { path: member.path.clone() })?;
                let above = self.directory(path.parent().unwrap_or(Path::new("")), member)?;
                match mkdirat(&above, name, Mode::from_raw_mode(0o777)) {
                    Ok(()) | Err(Errno::EXIST) => {}
                    Err(error) => return Err(told(path, error)),
                }
                openat2(&self.root, path, flags, Mode::empty(), within()).map_err(|error| told(path, error))
            }
            Err(Errno::LOOP | Errno::XDEV) => Err(Error::Through { path: member.path.clone() }),
            Err(error) => Err(told(path, error)),
        }
    }

    fn file(
        &mut self,
        above: &OwnedFd,
        name: &OsStr,
        path: &Path,
        (dress, mtime): (Dress, i64),
        content: &mut dyn Read,
    ) -> Result<(), Error> {
        let beside = beside();
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = openat(above, &beside, flags, Mode::from_raw_mode(0o600)).map_err(|error| told(path, error))?;
        let mut file = File::from(file);
        let ended = self.fill(&mut file, path, content).and_then(|()| {
            let dressed = || {
                if let Some((uid, gid)) = dress.ids {
                    fchown(&file, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)))?;
                }
                fchmod(&file, Mode::from_raw_mode(dress.mode))?;
                futimens(&file, &times(mtime))?;
                renameat(above, &beside, above, name)
            };
            dressed().map_err(|error| told(path, error))
        });
        ended.inspect_err(|_| {
            let _ = unlinkat(above, &beside, AtFlags::empty());
        })
    }

    fn fill(&mut self, file: &mut File, path: &Path, content: &mut dyn Read) -> Result<(), Error> {
        let mut piece = vec![0; 128 << 10];
        loop {
            let length = content.read(&mut piece).map_err(Error::Read)?;
            if length == 0 {
                return Ok(());
            }
            self.written += length as u64;
            if self.written > LARGEST {
                return Err(Error::Large { most: format!("{LARGEST} bytes") });
            }
            let write = |source| Error::File { path: path.display().to_string(), source };
            file.write_all(&piece[..length]).map_err(write)?;
        }
    }
}

fn make_directory(above: &OwnedFd, name: &OsStr, path: &Path) -> Result<(), Error> {
    let fail = |error: Errno| told(path, error);
    let make = || mkdirat(above, name, Mode::from_raw_mode(0o700));
    match make() {
        Ok(()) => Ok(()),
        Err(Errno::EXIST) => {
            let there = statat(above, name, AtFlags::SYMLINK_NOFOLLOW).map_err(fail)?;
            if FileType::from_raw_mode(there.st_mode) == FileType::Directory {
                return Ok(());
            }
            unlinkat(above, name, AtFlags::empty()).and_then(|()| make()).map_err(fail)
        }
        Err(error) => Err(fail(error)),
    }
}

/// Makes something under a name beside its own and moves it there at once.
fn placed(
    above: &OwnedFd,
    name: &OsStr,
    path: &Path,
    make: impl Fn(&str) -> rustix::io::Result<()>,
) -> Result<(), Error> {
    let beside = beside();
    let ended = make(&beside).and_then(|()| renameat(above, beside.as_str(), above, name));
    // Of two names of one file, the rename leaves both.
    let _ = unlinkat(above, beside.as_str(), AtFlags::empty());
    ended.map_err(|error| told(path, error))
}

fn owned(above: &OwnedFd, name: &str, dress: Dress) -> rustix::io::Result<()> {
    let Some((uid, gid)) = dress.ids else { return Ok(()) };
    let (uid, gid) = (Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)));
    rustix::fs::chownat(above, name, uid, gid, AtFlags::SYMLINK_NOFOLLOW)
}

fn beside() -> String {
    format!(".ryo-{:016x}", rand::random::<u64>())
}

fn within() -> ResolveFlags {
    ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS
}

fn times(modification: i64) -> Timestamps {
    Timestamps {
        last_access: Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT },
        last_modification: Timespec { tv_sec: modification, tv_nsec: 0 },
    }
}

fn told(path: &Path, error: Errno) -> Error {
    Error::File { path: path.display().to_string(), source: io::Error::from(error) }
}
