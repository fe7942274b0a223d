//! Which backups there are in a directory, and how they are. Nothing of an archive is read but its beginning, and that
//! only if nothing beside it says whose it is.

use std::cmp::Reverse;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::archive::seal::Identities;
use crate::archive::{self, Compression};
use crate::flow::backup::location::Location;
use crate::flow::backup::manifest::{self, Archive, Manifest};
use crate::flow::backup::record::{About, Identity, Record};
use crate::flow::backup::{Error, unfinished};
use crate::flow::restore::{self, reading};

/// The backups in a directory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Catalogue {
    /// Where they are, as a person reads it.
    pub directory: PathBuf,
    /// By host and id, the newest first; then those of which neither is known.
    pub backups: Vec<Backup>,
    /// What broken backups have left: of no use to anybody.
    pub leftovers: Vec<PathBuf>,
}

/// A backup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backup {
    /// The archive.
    pub archive: Location,
    /// Whose data are in it, if that can be told.
    pub about: Option<About>,
    /// Who made it.
    pub made: Made,
    /// Bytes of the archive.
    pub size: u64,
    /// When the archive was written to last: seconds since 1970, nanoseconds.
    pub written: (i64, i64),
    /// What the archive was when it was made, or verified first.
    pub known: Option<Archive>,
    /// How it is.
    pub state: State,
}

/// Who made a backup.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Made {
    /// `ryo`
    Ryo,
    /// The original, or somebody by hand: there is no manifest.
    Original,
}

/// How a backup is, as far as is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// All of it was read and was right, at this time in seconds since 1970. It has not changed since.
    Verified(u64),
    /// It is as long as it should be.
    Whole,
    /// Nothing says how it should be, for this reason.
    Unknown(String),
    /// It is not as it should be, in this.
    Damaged(String),
}

impl State {
    /// Whether it can be expected to be restored.
    pub fn is_good(&self) -> bool {
        matches!(self, Self::Verified(_) | Self::Whole)
    }

    /// `verified`, `whole`, `unknown` or `damaged`.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Verified(_) => "verified",
            Self::Whole => "whole",
            Self::Unknown(_) => "unknown",
            Self::Damaged(_) => "damaged",
        }
    }

    /// Why, if there is more to be said.
    pub fn reason(&self) -> Option<&str> {
        match self {
            Self::Verified(_) | Self::Whole => None,
            Self::Unknown(reason) | Self::Damaged(reason) => Some(reason),
        }
    }
}

/// Which backups are meant.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Choice {
    /// Projects and modules; all if there is none.
    pub ids: Vec<String>,
    /// A host.
    pub host: Option<String>,
    /// A stamp.
    pub stamp: Option<String>,
}

impl Choice {
    /// Whether `backup` is meant. Of one that cannot be told, its name counts.
    pub fn takes(&self, backup: &Backup) -> bool {
        let Some(about) = &backup.about else {
            let name = backup.name();
            let part = |word: &str| name.contains(&format!("-{word}-"));
            return self.host.as_deref().is_none_or(|host| name.starts_with(&format!("backup-{host}-")))
                && (self.ids.is_empty() || self.ids.iter().any(|id| part(id)))
                && self.stamp.as_deref().is_none_or(|stamp| name.contains(&format!("-{stamp}.")));
        };
        (self.ids.is_empty() || self.ids.contains(&about.id))
            && self.host.as_ref().is_none_or(|host| *host == about.host)
            && self.stamp.as_ref().is_none_or(|stamp| *stamp == about.stamp)
    }

    /// In words, e.g. ` of ryo-gitea on host web`.
    pub fn words(&self) -> String {
        let ids = if self.ids.is_empty() { String::new() } else { format!(" of {}", self.ids.join(", ")) };
        let host = self.host.as_ref().map_or(String::new(), |host| format!(" on host `{host}`"));
        let stamp = self.stamp.as_ref().map_or(String::new(), |stamp| format!(" with the stamp {stamp}"));
        format!("{ids}{host}{stamp}")
    }
}

impl Backup {
    /// The name of its archive.
    pub fn name(&self) -> String {
        self.archive.name()
    }

    /// What a person calls it.
    pub fn title(&self) -> String {
        match &self.about {
            Some(About { host, id, stamp, .. }) => format!("{host} {id} {stamp}"),
            None => self.name(),
        }
    }

    /// Whether it is encrypted.
    pub fn is_sealed(&self) -> bool {
        self.archive.is_sealed()
    }

    /// The files that it is made of, the archive first: what is left if it is removed in this order is found again.
    pub fn files(&self) -> Vec<PathBuf> {
        let path = self.archive.path();
        let beside = [manifest::beside(path), self.archive.record()];
        [path.to_owned()].into_iter().chain(beside.into_iter().filter(|path| path.exists())).collect()
    }

    /// What a program reads.
    pub fn json(&self) -> Value {
        let about = self.about.as_ref();
        json!({
            "host": about.map(|it| &it.host),
            "id": about.map(|it| &it.id),
            "kind": about.and_then(|it| it.kind.as_ref()),
            "stamp": about.map(|it| &it.stamp),
            "when": about.map(|it| it.when),
            "archive": self.archive.path(),
            "size": self.size,
            "made_by": match self.made { Made::Ryo => "ryo", Made::Original => "original" },
            "encrypted": self.is_sealed(),
            "state": self.state.word(),
            "verified": match self.state { State::Verified(when) => Some(when), _ => None },
            "reason": self.state.reason(),
        })
    }
}

/// Looks which backups there are in `directory`. `identities` open those that are sealed; the others need none.
///
/// # Errors
///
/// [`Error::File`]: the directory cannot be read. One that is not there has no backups.
pub fn look(directory: &Path, identities: &Identities) -> Result<Catalogue, Error> {
    let fail = |source| Error::File { file: directory.to_owned(), source };
    let mut catalogue = Catalogue { directory: directory.to_owned(), ..Catalogue::default() };
    let entries = match fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(catalogue),
        entries => entries.map_err(|source| Error::Unlisted { directory: directory.to_owned(), source })?,
    };
    let (mut stems, mut beside, mut under_way) = (vec![], vec![], vec![]);
    for entry in entries {
        let path = entry.map_err(fail)?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        // One may go while we look.
        let Ok(about) = fs::symlink_metadata(&path) else { continue };
        if !name.starts_with("backup-") || !about.is_file() {
            continue;
        }
        if let Some(stem) = manifest::stem(&path) {
            catalogue.backups.push(one(path.into(), &Identity::of(&about), identities));
            stems.push(stem);
        } else if unfinished::is_unfinished(&path) {
            if unfinished::is_locked(&path) { under_way.push(name) } else { catalogue.leftovers.push(path) }
        } else if let Some(stem) = [".json", ".json.age", ".record"].iter().find_map(|end| name.strip_suffix(end)) {
            beside.push((stem.to_owned(), path));
        }
    }
    // A manifest is there before its archive has its name, and goes after it.
    let lonely =
        |stem: &String| !stems.contains(stem) && !under_way.iter().any(|name| name.starts_with(&format!("{stem}.")));
    catalogue.leftovers.extend(beside.into_iter().filter(|(stem, _)| lonely(stem)).map(|(_, path)| path));
    catalogue.leftovers.sort();
    Ok(Catalogue::sorted(catalogue.directory, catalogue.backups, catalogue.leftovers))
}

impl Catalogue {
    /// One with these backups.
    pub fn sorted(directory: PathBuf, mut backups: Vec<Backup>, leftovers: Vec<PathBuf>) -> Self {
        backups.sort_by(|a, b| order(a).cmp(&order(b)).then_with(|| a.archive.path().cmp(b.archive.path())));
        Self { directory, backups, leftovers }
    }
}

type Order<'b> = (bool, Option<(&'b str, &'b str, Reverse<(u64, (i64, i64), &'b str)>)>);

fn order(backup: &Backup) -> Order<'_> {
    let about = backup.about.as_ref();
    // Two of the same second are told apart by their files, or by what they are called.
    let key = about.map(|about| {
        let when = Reverse((about.when, backup.written, about.stamp.as_str()));
        (about.host.as_str(), about.id.as_str(), when)
    });
    (about.is_none(), key)
}

/// What is known of the backup in `archive`, which is as `file` says.
pub fn one(archive: Location, file: &Identity, identities: &Identities) -> Backup {
    let record = Record::read(&archive);
    let recorded = record.as_ref().map(|record| (record.about.clone(), record.archive.clone()));
    let (made, said, reason) = match Manifest::head(&archive, identities) {
        Ok(Some(manifest)) => (Made::Ryo, Some((About::of(&manifest), manifest.archive)), None),
        Ok(None) => (Made::Original, recorded, Some("it has no manifest".to_owned())),
        // Whoever cannot open it goes by what is known without.
        Err(manifest::Error::Sealed(archive::Error::Sealed | archive::Error::Foreign)) if recorded.is_some() => {
            (Made::Ryo, recorded, None)
        }
        Err(error) => (Made::Ryo, recorded, Some(format!("its manifest cannot be read: {}", sentence(&error)))),
    };
    let (about, known, unknown) = match said {
        Some((about, known)) => (Some(about), Some(known), reason),
        None => match named(&archive, file, identities) {
            Ok(about) => (Some(about), None, reason),
            Err(why) => (None, None, Some(why)),
        },
    };
    let unreadable = unknown.clone().filter(|_| made == Made::Ryo);
    let verified = record.and_then(|record| record.verified).filter(|it| it.file == *file);
    let state = match (unreadable, &known, verified) {
        (Some(why), ..) => State::Unknown(why),
        (None, Some(known), _) if made == Made::Ryo && known.size != file.size => {
            State::Damaged(format!("it has {} bytes, not {}", file.size, known.size))
        }
        (None, _, Some(verified)) => verified.wrong.map_or(State::Verified(verified.when), State::Damaged),
        (None, Some(_), None) if made == Made::Ryo => State::Whole,
        (None, ..) => State::Unknown(unknown.unwrap_or_default()),
    };
    Backup { archive, about, made, size: file.size, written: file.written, known, state }
}

/// Whose data are in an archive that nothing stands beside: its name says it, together with the name of the tree in it.
/// (`backup-web-a-b-1` may be of `a` with the stamp `b-1`, or of `a-b` with the stamp `1`.)
fn named(archive: &Location, file: &Identity, identities: &Identities) -> Result<About, String> {
    let top = reading::top(archive, identities).map_err(|error| match error {
        restore::Error::Archive { source, place, .. } => format!("{}, {place}", source.sentence()),
        error => sentence(&error),
    })?;
    let id = String::from_utf8(top).map_err(|_| "what is in it has a name that is no text".to_owned())?;
    let stem = manifest::stem(archive.path()).unwrap_or_default();
    let name = stem.strip_prefix("backup-").unwrap_or_default();
    let Some((host, stamp)) = name.split_once(&format!("-{id}-")).filter(|(host, _)| !host.is_empty()) else {
        return Err(format!("`{id}` is in it, which its name does not say"));
    };
    let when = file.written.0.max(0).unsigned_abs();
    Ok(About { host: host.to_owned(), kind: None, id, stamp: stamp.to_owned(), when })
}

/// An error with its causes as one sentence.
pub fn sentence(error: &dyn std::error::Error) -> String {
    let mut causes: Vec<String> =
        std::iter::successors(Some(error), |it| it.source()).map(ToString::to_string).collect();
    causes.dedup();
    causes.join(": ")
}

/// Bytes as a person says them.
pub fn bytes(count: u64) -> String {
    match count {
        0..1024 => format!("{count} bytes"),
        1024..1_048_576 => format!("{} KiB", count >> 10),
        1_048_576..1_073_741_824 => format!("{} MiB", count >> 20),
        _ => format!("{}.{} GiB", count >> 30, ((count & 0x3fff_ffff) * 10) >> 30),
    }
}

/// What archives of a backup may be called, however they were made.
pub fn names(directory: &Path, host: &str, id: &str, stamp: &str) -> Vec<PathBuf> {
    let kinds = [Compression::Gzip, Compression::Zstd, Compression::None];
    let plain = kinds.map(|it| super::name(host, id, stamp, it));
    let sealed = plain.clone().map(|name| format!("{name}.{}", archive::seal::SUFFIX));
    plain.iter().chain(&sealed).map(|name| directory.join(name)).collect()
}
