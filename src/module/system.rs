//! The machine that a module works on: its paths, accounts and programs.

use std::collections::BTreeSet;
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::{Component, Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use crate::module::Environment;

/// The machine, or what pretends to be one below a directory.
///
/// Below another root than `/`, absolute links are not followed as the machine would.
#[derive(Clone, Debug)]
pub struct System {
    root: PathBuf,
    children: Children,
}

/// Programs that run for tasks, by the number of their process group.
#[derive(Clone, Debug, Default)]
pub struct Children(Arc<Mutex<BTreeSet<u32>>>);

impl Children {
    pub(crate) fn add(&self, group: u32) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(group);
    }

    pub(crate) fn remove(&self, group: u32) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&group);
    }

    /// Kills them all, with what they started.
    pub fn kill(&self) {
        for group in self.0.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            let pid = i32::try_from(*group).ok().and_then(rustix::process::Pid::from_raw);
            if let Some(pid) = pid {
                let _ = rustix::process::kill_process_group(pid, rustix::process::Signal::KILL);
            }
        }
    }
}

/// An account of `/etc/passwd`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// Its name.
    pub name: String,
    /// Its number.
    pub uid: u32,
    /// The number of its first group.
    pub gid: u32,
    /// Its description.
    pub comment: String,
    /// Its home.
    pub home: String,
    /// Its shell.
    pub shell: String,
}

/// A group of `/etc/group`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Group {
    /// Its name.
    pub name: String,
    /// Its number.
    pub gid: u32,
    /// Accounts that have it beside their first.
    pub members: Vec<String>,
}

impl System {
    /// This machine.
    pub fn whole() -> Self {
        Self::below("/")
    }

    /// What is below `root`.
    pub fn below(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into(), children: Children::default() }
    }

    /// The same machine, with programs of its own.
    #[must_use]
    pub fn apart(&self) -> Self {
        Self::below(&self.root)
    }

    /// The programs that run for tasks.
    pub fn children(&self) -> &Children {
        &self.children
    }

    /// The absolute path that `text` means: `~`, `~name`, `$NAME` and `${NAME}` filled in, no `.`, no doubled `/`.
    ///
    /// A `/` at the end is kept; `..` is kept, because what is before it may be a link.
    pub fn path(&self, text: &str) -> String {
        let filled = variables(&self.home(text), &Environment::new());
        let mut path = match filled.strip_prefix('/') {
            Some(_) => PathBuf::from("/"),
            None => std::env::current_dir().unwrap_or_else(|_| PathBuf::from("/")),
        };
        for component in Path::new(&filled).components() {
            match component {
                Component::Normal(name) => path.push(name),
                Component::ParentDir => path.push(".."),
                Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
            }
        }
        let mut path = path.to_string_lossy().into_owned();
        if filled.ends_with('/') && !path.ends_with('/') {
            path.push('/');
        }
        path
    }

    /// `text` with `~` or `~name` at its start filled in.
    pub fn home(&self, text: &str) -> String {
        let Some(rest) = text.strip_prefix('~') else { return text.to_owned() };
        let (name, below) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
        let accounts = self.accounts();
        let home = if name.is_empty() {
            std::env::var("HOME").ok().or_else(|| {
                let uid = rustix::process::geteuid().as_raw();
                accounts.iter().find(|it| it.uid == uid).map(|it| it.home.clone())
            })
        } else {
            accounts.iter().find(|it| it.name == name).map(|it| it.home.clone())
        };
        home.map_or_else(|| text.to_owned(), |home| format!("{}{below}", home.trim_end_matches('/')))
    }

    /// Where `path` is for the operating system.
    pub fn real(&self, path: &str) -> PathBuf {
        self.root.join(path.trim_start_matches('/'))
    }

    /// What is at `path`, a link not followed.
    ///
    /// # Errors
    ///
    /// What the file system says, except that there is nothing.
    pub fn found(&self, path: &str) -> io::Result<Option<Found>> {
        let real = self.real(path.trim_end_matches('/'));
        none_if_missing(fs::symlink_metadata(&real))?.map(|about| found(&real, &about)).transpose()
    }

    /// What is at `path`, links followed.
    ///
    /// # Errors
    ///
    /// What the file system says, except that there is nothing.
    pub fn followed(&self, path: &str) -> io::Result<Option<Found>> {
        let real = self.real(path);
        none_if_missing(fs::metadata(&real))?.map(|about| found(&real, &about)).transpose()
    }

    /// The path without links, as far as it exists.
    pub fn canonical(&self, path: &str) -> String {
        let (mut known, mut rest) = (self.real(path), PathBuf::new());
        loop {
            if let Ok(real) = known.canonicalize() {
                let below = if rest.as_os_str().is_empty() { real } else { real.join(&rest) };
                return self.seen(&below);
            }
            let Some(name) = known.file_name().map(std::ffi::OsStr::to_os_string) else { return path.to_owned() };
            let target = fs::read_link(&known).ok();
            known.pop();
            rest = match target {
                Some(target) => target.join(&rest),
                None => Path::new(&name).join(&rest),
            };
        }
    }

    /// The path of the machine that `real` is.
    fn seen(&self, real: &Path) -> String {
        let root = self.root.canonicalize().unwrap_or_else(|_| self.root.clone());
        let below = real.strip_prefix(&root).unwrap_or(real);
        Path::new("/").join(below).to_string_lossy().into_owned()
    }

    /// Its accounts; none if they cannot be read.
    pub fn accounts(&self) -> Vec<Account> {
        lines(&self.real("/etc/passwd")).iter().filter_map(|line| account(line)).collect()
    }

    /// Its groups; none if they cannot be read.
    pub fn groups(&self) -> Vec<Group> {
        lines(&self.real("/etc/group")).iter().filter_map(|line| group(line)).collect()
    }

    /// The number of an account, by its name or as a number.
    pub fn uid(&self, name: &str) -> Option<u32> {
        let named = || self.accounts().into_iter().find(|it| it.name == name).map(|it| it.uid);
        name.parse().ok().or_else(named)
    }

    /// The number of a group, by its name or as a number.
    pub fn gid(&self, name: &str) -> Option<u32> {
        let named = || self.groups().into_iter().find(|it| it.name == name).map(|it| it.gid);
        name.parse().ok().or_else(named)
    }

    /// The name of an account, or its number if it has none.
    pub fn owner(&self, uid: u32) -> String {
        self.accounts().into_iter().find(|it| it.uid == uid).map_or_else(|| uid.to_string(), |it| it.name)
    }

    /// The name of a group, or its number if it has none.
    pub fn group(&self, gid: u32) -> String {
        self.groups().into_iter().find(|it| it.gid == gid).map_or_else(|| gid.to_string(), |it| it.name)
    }
}

/// What is at a path.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Found {
    /// What it is.
    pub kind: FileKind,
    /// Its permission bits.
    #[serde(with = "octal", default = "octal::usual")]
    pub mode: u32,
    /// Its owner.
    #[serde(default)]
    pub uid: u32,
    /// Its group.
    #[serde(default)]
    pub gid: u32,
    /// In bytes.
    #[serde(default)]
    pub size: u64,
    /// How many names it has.
    #[serde(default = "one")]
    pub links: u64,
    /// Which one it is, on its device.
    #[serde(default)]
    pub inode: u64,
    /// The device.
    #[serde(default)]
    pub device: u64,
    /// Where a link points.
    #[serde(default)]
    pub target: Option<String>,
    /// When it was last read, in seconds since 1970.
    #[serde(default)]
    pub atime: f64,
    /// When its content last changed.
    #[serde(default)]
    pub mtime: f64,
    /// When it last changed.
    #[serde(default)]
    pub ctime: f64,
}

/// What something in the file system is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FileKind {
    /// A file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link.
    Link,
    /// A named pipe.
    Fifo,
    /// A socket.
    Socket,
    /// A block device.
    Block,
    /// A character device.
    Character,
}

fn one() -> u64 {
    1
}

mod octal {
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    pub(super) fn usual() -> u32 {
        0o644
    }

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's shape")]
    pub(super) fn serialize<S: Serializer>(bits: &u32, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&format!("{bits:04o}"))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
        let text = String::deserialize(deserializer)?;
        u32::from_str_radix(&text, 8).map_err(D::Error::custom)
    }
}

#[expect(clippy::cast_precision_loss, reason = "times are told as Python tells them")]
fn found(real: &Path, about: &Metadata) -> io::Result<Found> {
    let kind = about.file_type();
    let kind = match kind {
        _ if kind.is_dir() => FileKind::Directory,
        _ if kind.is_symlink() => FileKind::Link,
        _ if kind.is_fifo() => FileKind::Fifo,
        _ if kind.is_socket() => FileKind::Socket,
        _ if kind.is_block_device() => FileKind::Block,
        _ if kind.is_char_device() => FileKind::Character,
        _ => FileKind::File,
    };
    let target = match kind {
        FileKind::Link => Some(fs::read_link(real)?.to_string_lossy().into_owned()),
        _ => None,
    };
    let time = |seconds: i64, nanoseconds: i64| seconds as f64 + nanoseconds as f64 / 1e9;
    Ok(Found {
        kind,
        mode: about.mode() & 0o7777,
        uid: about.uid(),
        gid: about.gid(),
        size: about.size(),
        links: about.nlink(),
        inode: about.ino(),
        device: about.dev(),
        target,
        atime: time(about.atime(), about.atime_nsec()),
        mtime: time(about.mtime(), about.mtime_nsec()),
        ctime: time(about.ctime(), about.ctime_nsec()),
    })
}

/// Nothing there is an answer, also below a file or at the end of a link that leads nowhere.
fn none_if_missing<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(None),
        Err(error) => Err(error),
    }
}

fn lines(path: &Path) -> Vec<String> {
    let bytes = fs::read(path).unwrap_or_default();
    String::from_utf8_lossy(&bytes).lines().map(str::to_owned).collect()
}

fn account(line: &str) -> Option<Account> {
    let fields = line.split(':').collect::<Vec<_>>();
    let [name, _, uid, gid, comment, home, shell] = fields[..] else { return None };
    Some(Account {
        name: name.to_owned(),
        uid: uid.parse().ok()?,
        gid: gid.parse().ok()?,
        comment: comment.to_owned(),
        home: home.to_owned(),
        shell: shell.to_owned(),
    })
}

fn group(line: &str) -> Option<Group> {
    let fields = line.split(':').collect::<Vec<_>>();
    let [name, _, gid, members] = fields[..] else { return None };
    let members = members.split(',').filter(|it| !it.is_empty()).map(str::to_owned).collect();
    Some(Group { name: name.to_owned(), gid: gid.parse().ok()?, members })
}

/// Fills in `$NAME` and `${NAME}` of `set` and the environment; what is not set stays as it is.
pub(crate) fn variables(text: &str, set: &Environment) -> String {
    let mut filled = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        filled.push_str(&rest[..at]);
        let (name, length) = variable(&rest[at + 1..]);
        match set.get(name).cloned().or_else(|| std::env::var(name).ok()) {
            Some(value) if !name.is_empty() => filled.push_str(&value),
            _ => filled.push_str(&rest[at..=at + length]),
        }
        rest = &rest[at + 1 + length..];
    }
    filled.push_str(rest);
    filled
}

/// The name at the start of `text` and how many bytes it takes there.
fn variable(text: &str) -> (&str, usize) {
    if let Some(braced) = text.strip_prefix('{') {
        return braced.find('}').map_or(("", 0), |end| (&braced[..end], end + 2));
    }
    let end = text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(text.len());
    (&text[..end], end)
}
