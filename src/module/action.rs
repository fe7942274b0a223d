//! What modules do to files, as values, and the one place that does it.

use std::fs::{self, File, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;

use rustix::fs::{AtFlags, CWD, Gid, Timespec, Timestamps, UTIME_NOW, UTIME_OMIT, Uid};
use serde::{Deserialize, Serialize};

use crate::module::attributes::Ids;
use crate::module::draft::{Draft, beside};
use crate::module::source::Content;
use crate::module::{Context, Failed, clock};

/// Something done to the file system.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// A directory made.
    Mkdir {
        /// Where.
        path: String,
        /// Its permission bits, octal.
        mode: String,
    },
    /// A file written whole, in place of what was there.
    Write(Write),
    /// A copy of a file kept beside it.
    Backup {
        /// The file.
        path: String,
    },
    /// Permission bits set.
    Chmod {
        /// Where.
        path: String,
        /// The bits, octal.
        mode: String,
    },
    /// Owner and group set, of a link itself.
    Chown {
        /// Where.
        path: String,
        /// Who.
        #[serde(flatten)]
        ids: Ids,
    },
    /// A symbolic link made, in place of a file or link.
    Link {
        /// Where.
        path: String,
        /// What it points at.
        target: String,
    },
    /// Another name given to a file, in place of a file or link.
    Name {
        /// The new name.
        path: String,
        /// The file.
        target: String,
    },
    /// A file or link removed.
    Remove {
        /// Where.
        path: String,
    },
    /// An empty directory removed.
    RemoveDirectory {
        /// Where.
        path: String,
    },
    /// A directory removed with everything below it.
    RemoveTree {
        /// Where.
        path: String,
    },
    /// Times set.
    Touch {
        /// Where.
        path: String,
        /// When it was last read; kept if none.
        access: Option<Time>,
        /// When it was last changed; kept if none.
        modification: Option<Time>,
    },
}

/// A file written whole.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Write {
    /// Where.
    pub path: String,
    /// What.
    pub bytes: Bytes,
    /// Its permission bits, octal; those of the file that was there, else 0666 without the umask, if none.
    pub mode: Option<String>,
    /// Who; as the file that was there, if none.
    #[serde(flatten)]
    pub ids: Ids,
    /// A command that must accept it (`%s`) first.
    pub validate: Option<String>,
    /// Whether it may be written in place if it cannot be replaced.
    pub unsafe_writes: bool,
}

/// The content of a file that is written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Bytes {
    /// Bytes, written in the fixtures as text.
    Text(#[serde(with = "text")] Vec<u8>),
    /// Bytes of the control node.
    Content(Content),
    /// The bytes of another file of the target.
    Target(String),
}

impl Default for Bytes {
    fn default() -> Self {
        Self::Text(vec![])
    }
}

mod text {
    use serde::{Deserialize as _, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&String::from_utf8_lossy(bytes))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        Ok(String::deserialize(deserializer)?.into_bytes())
    }
}

/// A time to set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Time {
    /// When it is set.
    Now,
    /// Seconds since 1970.
    At(i64),
}

/// Does `action`. Returns the backup's path if it made one.
///
/// # Errors
///
/// [`Failed`] with a sentence. A file that was to be replaced is as it was.
pub fn act(action: &Action, host: &Context) -> Result<Option<String>, Failed> {
    let system = host.system;
    let told = |path: &str, doing: &str| {
        let place = path.to_owned();
        let doing = doing.to_owned();
        move |error: io::Error| Failed::new(format!("cannot {doing} {place}: {error}"))
    };
    match action {
        Action::Mkdir { path, mode } => {
            let real = system.real(path);
            fs::create_dir(&real).map_err(told(path, "create directory"))?;
            fs::set_permissions(&real, bits(mode)).map_err(told(path, "set mode of"))?;
        }
        Action::Write(write) => put(write, host)?,
        Action::Backup { path } => return backup(path, host).map(Some).map_err(told(path, "make backup of")),
        Action::Chmod { path, mode } => {
            fs::set_permissions(system.real(path), bits(mode)).map_err(told(path, "set mode of"))?;
        }
        Action::Chown { path, ids } => {
            chown(&system.real(path), ids).map_err(told(path, "set owner of"))?;
        }
        Action::Link { path, target } => {
            replace(&system.real(path), |beside| std::os::unix::fs::symlink(target, beside))
                .map_err(told(path, "create link"))?;
        }
        Action::Name { path, target } => {
            let target = system.real(target);
            replace(&system.real(path), |beside| fs::hard_link(&target, beside)).map_err(told(path, "create link"))?;
        }
        Action::Remove { path } => {
            fs::remove_file(system.real(path.trim_end_matches('/'))).map_err(told(path, "remove"))?;
        }
        Action::RemoveDirectory { path } => fs::remove_dir(system.real(path)).map_err(told(path, "remove"))?,
        Action::RemoveTree { path } => fs::remove_dir_all(system.real(path)).map_err(told(path, "remove"))?,
        Action::Touch { path, access, modification } => {
            touch(&system.real(path), *access, *modification).map_err(told(path, "set times of"))?;
        }
    }
    Ok(None)
}

pub(crate) fn bits(mode: &str) -> Permissions {
    Permissions::from_mode(u32::from_str_radix(mode, 8).unwrap_or(0))
}

/// Octal text of permission bits, as actions carry them.
pub(crate) fn octal(bits: u32) -> String {
    format!("{bits:04o}")
}

/// Sets owner and group, of a link itself.
pub(crate) fn chown(real: &Path, ids: &Ids) -> io::Result<()> {
    let (uid, gid) = (ids.uid.map(Uid::from_raw), ids.gid.map(Gid::from_raw));
    Ok(rustix::fs::chownat(CWD, real, uid, gid, AtFlags::SYMLINK_NOFOLLOW)?)
}

/// Sets times.
pub(crate) fn touch(real: &Path, access: Option<Time>, modification: Option<Time>) -> io::Result<()> {
    let time = |time: Option<Time>| match time {
        None => Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT },
        Some(Time::Now) => Timespec { tv_sec: 0, tv_nsec: UTIME_NOW },
        Some(Time::At(seconds)) => Timespec { tv_sec: seconds, tv_nsec: 0 },
    };
    let times = Timestamps { last_access: time(access), last_modification: time(modification) };
    Ok(rustix::fs::utimensat(CWD, real, &times, AtFlags::empty())?)
}

/// Makes something beside `real` and moves it there at once.
fn replace(real: &Path, make: impl Fn(&Path) -> io::Result<()>) -> io::Result<()> {
    let beside = beside(real);
    make(&beside)?;
    fs::rename(&beside, real).inspect_err(|_| {
        let _ = fs::remove_file(&beside);
    })?;
    // Renaming one name of a file onto another of the same file does nothing at all.
    if beside.symlink_metadata().is_ok() { fs::remove_file(&beside) } else { Ok(()) }
}

/// Keeps a copy of the file at `path` beside it; returns where.
pub(crate) fn backup(path: &str, host: &Context) -> io::Result<String> {
    let real = host.system.real(path);
    let kept = format!("{path}.{}.{}~", std::process::id(), clock::backup_stamp());
    let copy = host.system.real(&kept);
    let about = fs::metadata(&real)?;
    fs::copy(&real, &copy)?;
    chown(&copy, &Ids { uid: Some(about.uid()), gid: Some(about.gid()) })?;
    fs::set_permissions(&copy, about.permissions())?;
    touch(&copy, Some(Time::At(about.atime())), Some(Time::At(about.mtime())))?;
    Ok(kept)
}

fn put(write: &Write, host: &Context) -> Result<(), Failed> {
    let draft = Draft::new(&write.path, host)?;
    fill(&draft.file, &write.bytes, host)?;
    draft.place(write, host)
}

fn fill(mut file: &File, bytes: &Bytes, host: &Context) -> Result<(), Failed> {
    let told = |error: io::Error| Failed::new(format!("cannot write: {error}"));
    match bytes {
        Bytes::Text(bytes) => file.write_all(bytes).map_err(told),
        Bytes::Content(content) => (host.content)(content, &mut file),
        Bytes::Target(path) => {
            let read = |error: io::Error| Failed::new(format!("cannot read {path}: {error}"));
            let mut source = File::open(host.system.real(path)).map_err(read)?;
            io::copy(&mut source, &mut file).map(|_| ()).map_err(told)
        }
    }
}

/// The permission bits that new files do not get.
pub(crate) fn umask() -> u32 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("Umask:"));
    line.and_then(|bits| u32::from_str_radix(bits.trim(), 8).ok()).unwrap_or(0o022)
}
