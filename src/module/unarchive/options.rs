//! Which members are unpacked, and where to.

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::archive::{self, Kind, Member, member};
use crate::module::Error;
use crate::module::command::matches;
use crate::module::unarchive::{Arguments, below};

/// What `extra_opts` say, which are written for `tar` or `unzip`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[expect(clippy::struct_excessive_bools, reason = "each is an option of the programs")]
pub struct Options {
    /// How many parts of each name are left out.
    pub strip: usize,
    /// Whether members belong to who unpacks (`--no-same-owner`).
    pub own: bool,
    /// Whether numbers of owners count, not their names (`--numeric-owner`).
    pub numeric: bool,
    /// Whether the umask counts (`--no-same-permissions`).
    pub masked: bool,
    /// Whether directories are left out (`-j` of `unzip`).
    pub junk: bool,
    /// Patterns of names that are left out.
    pub exclude: Vec<String>,
}

/// Options that ask for what happens anyway, or for talk.
const IDLE: [&str; 22] = [
    "--same-owner",
    "-p",
    "--preserve-permissions",
    "--same-permissions",
    "--overwrite",
    "--no-overwrite-dir",
    "--wildcards",
    "--delay-directory-restore",
    "--no-acls",
    "--no-selinux",
    "--no-xattrs",
    "-v",
    "-z",
    "-j",
    "-J",
    "--gzip",
    "--bzip2",
    "--xz",
    "--zstd",
    "-o",
    "-q",
    "-qq",
];

impl Options {
    /// Reads the words.
    ///
    /// # Errors
    ///
    /// [`Error::Value`]: one is not known.
    pub fn read(words: &[String]) -> Result<Self, Error> {
        let mut options = Self::default();
        let mut words = words.iter().flat_map(|word| word.split_whitespace());
        while let Some(word) = words.next() {
            let (name, mut value) = word.split_once('=').map_or((word, None), |(name, value)| (name, Some(value)));
            if value.is_none() && matches!(name, "--strip-components" | "--strip" | "--exclude") {
                value = words.next();
            }
            match (name, value) {
                ("--strip-components" | "--strip", Some(value)) => {
                    options.strip = value.parse().map_err(|_| unknown(word))?;
                }
                ("--exclude", Some(value)) => options.exclude.push(value.trim_matches(['\'', '"']).to_owned()),
                ("--no-same-owner", None) => options.own = true,
                ("--numeric-owner", None) => options.numeric = true,
                ("--no-same-permissions", None) => options.masked = true,
                ("-j", None) => options.junk = true,
                ("--warning", Some(_)) => {}
                (name, None) if IDLE.contains(&name) => {}
                _ => return Err(unknown(word)),
            }
        }
        Ok(options)
    }
}

fn unknown(word: &str) -> Error {
    Error::Value {
        module: "unarchive".to_owned(),
        name: "extra_opts".to_owned(),
        value: word.to_owned(),
        wanted: "options that are known here, e.g. `--strip-components=1`, `--exclude=PATTERN`, `--no-same-owner`"
            .to_owned(),
    }
}

/// Chooses members.
pub(super) struct Chosen<'a> {
    pub(super) arguments: &'a Arguments,
    pub(super) zip: bool,
}

impl Chosen<'_> {
    /// Where a member goes below the directory; nothing if it is left out.
    pub(super) fn placed(&self, member: &Member) -> Result<Option<PathBuf>, archive::Error> {
        if !self.wanted(&member.path) {
            return Ok(None);
        }
        let options = &self.arguments.options;
        let path = below(member)?;
        if self.zip {
            let name = path.file_name().map(PathBuf::from).filter(|_| member.kind != Kind::Directory);
            return Ok(if options.junk { name } else { Some(path) });
        }
        if options.strip == 0 {
            return Ok(Some(path));
        }
        let rest = behind(&member.path, options.strip)?;
        Ok((!rest.as_os_str().is_empty()).then_some(rest))
    }

    /// A member whose link to another member is as short as that one's name.
    pub(super) fn stripped<'m>(&self, member: &'m Member) -> Result<Cow<'m, Member>, archive::Error> {
        let Kind::Name(target) = &member.kind else { return Ok(Cow::Borrowed(member)) };
        let target = behind(target, self.arguments.options.strip)?;
        let kind = Kind::Name(target.to_string_lossy().into_owned());
        Ok(Cow::Owned(Member { kind, ..member.clone() }))
    }

    fn wanted(&self, name: &str) -> bool {
        let (include, exclude) = (&self.arguments.include, &self.arguments.exclude);
        if self.zip {
            let listed = |list: &[String]| list.iter().any(|pattern| matches(name, pattern));
            return (include.is_empty() || listed(include)) && !listed(exclude);
        }
        let name = name.trim_start_matches("./").trim_end_matches('/');
        let within = |wanted: &String| {
            let wanted = wanted.trim_start_matches("./").trim_end_matches('/');
            Path::new(name).starts_with(wanted)
        };
        let left_out = exclude.iter().chain(&self.arguments.options.exclude).any(|pattern| excludes(pattern, name));
        (include.is_empty() || include.iter().any(within)) && !left_out
    }
}

/// What of a path is left behind its first `count` parts, of which `.` is one, as for GNU tar.
fn behind(path: &str, count: usize) -> Result<PathBuf, archive::Error> {
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    member::below(&parts.get(count..).unwrap_or_default().join("/"))
}

/// Whether `tar --exclude=PATTERN` leaves out `name`: it, a directory above it, or the end of one of them fits.
fn excludes(pattern: &str, name: &str) -> bool {
    let pattern = pattern.trim_end_matches('/');
    let above = name.match_indices('/').map(|(at, _)| &name[..at]).chain([name]);
    above.into_iter().any(|path| {
        let ends = path.match_indices('/').map(|(at, _)| &path[at + 1..]);
        std::iter::once(path).chain(ends).any(|end| matches(end, pattern))
    })
}
