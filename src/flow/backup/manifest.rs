//! What stands beside an archive: whose it is, what is in it, and what must come out of it.
//!
//! It is JSON (`….json`, or `….json.age` if the archive is sealed). Its members come last and are never held all at
//! once by whoever reads it.

use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::archive::seal::{self, Identities, Recipients};
use crate::archive::tree::entry::shown;
use crate::archive::tree::group;
use crate::archive::{self, Compression};
use crate::flow::backup::kept::Kept;
use crate::flow::backup::location::{Failed, Location};
use crate::flow::backup::unfinished;
use crate::flow::whole::Part;

pub mod members;

/// The form of manifests.
pub const FORM: u32 = 1;

/// What is known of a backup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// The form of this file.
    pub form: u32,
    /// The version of `ryo` that made it.
    pub ryo: String,
    /// Account and computer that made it.
    pub who: String,
    /// When the data were as they are in it, in seconds since 1970.
    pub when: u64,
    /// The host.
    pub host: String,
    /// `project` or `module`.
    pub kind: String,
    /// `project_id` or `module_id`.
    pub id: String,
    /// The stamp of the backup.
    pub stamp: String,
    /// The archive.
    pub archive: Archive,
    /// Instances that work on the data, as they were.
    pub instances: Vec<Instance>,
    /// Sockets, which no archive can hold.
    pub sockets: Vec<String>,
    /// What else a lost control node would take with it.
    #[serde(default)]
    pub kept: Kept,
    /// Devices, which no restore would make.
    #[serde(default)]
    pub devices: Vec<String>,
    /// Everything that was on the host, if all of it was backed up at once with this stamp.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub of_host: Vec<Part>,
    /// Everything in the archive, in order.
    #[serde(default)]
    pub members: Vec<Member>,
}

/// The archive of a backup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Archive {
    /// Its name.
    pub file: String,
    /// How it is compressed.
    pub compression: Compression,
    /// Its bytes, as they lie there: sealed, if it is.
    pub size: u64,
    /// Their SHA-256.
    pub sha256: String,
}

/// An instance at the time of a backup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Instance {
    /// Its name.
    pub name: String,
    /// The version that it was deployed with.
    pub version: Option<String>,
    /// The fingerprint of the image that it was made from.
    pub image: Option<String>,
    /// Milliseconds for which it did not serve; none if it was stopped before.
    pub outage: Option<u64>,
}

/// Something in an archive.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// Its path; bytes that are no text are written as `\x…`.
    pub path: String,
    /// `file`, `directory`, `link`, `name` (another one of a member before it) or `fifo`.
    pub kind: String,
    /// Bytes of its content.
    pub size: u64,
    /// Permission bits, octal.
    pub mode: String,
    /// Number of its account.
    pub uid: u32,
    /// Number of its group.
    pub gid: u32,
    /// When it was last changed, in seconds since 1970.
    pub mtime: i64,
    /// Where a link points, or which member a further name is of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// SHA-256 of its content.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
}

impl From<&group::Member> for Member {
    fn from(member: &group::Member) -> Self {
        let entry = &member.entry;
        Self {
            path: shown(&entry.path),
            kind: entry.kind.word().to_owned(),
            size: entry.size,
            mode: format!("{:04o}", entry.mode),
            uid: entry.uid,
            gid: entry.gid,
            mtime: entry.mtime,
            target: entry.kind.target().map(shown),
            sha256: member.sha256.clone(),
        }
    }
}

/// A manifest cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file cannot be read. That says nothing of what is in it.
    #[error(transparent)]
    Read(io::Error),
    /// What was read of the file is damaged.
    #[error(transparent)]
    Damaged(io::Error),
    /// It is sealed, or not as it must be.
    #[error(transparent)]
    Sealed(#[from] archive::Error),
    /// It is no manifest.
    #[error("it is no manifest: {0}")]
    Shape(String),
    /// It is of a later version.
    #[error("it is of form {0}, this `ryo` reads form {FORM}")]
    Form(u32),
}

impl Manifest {
    /// Writes it beside its archive, for this account alone, and makes sure that it is on the disk.
    ///
    /// # Errors
    ///
    /// It cannot be written; there is none then.
    pub fn write(&self, archive: &Path, recipients: &Recipients) -> io::Result<()> {
        unfinished::write(&beside(archive), |writer| {
            if recipients.is_empty() {
                return self.fill(writer);
            }
            let mut sealing = recipients.seal(writer)?;
            self.fill(&mut sealing)?;
            sealing.finish().map(drop)
        })
    }

    /// Writes it.
    ///
    /// # Errors
    ///
    /// That of the writer.
    pub fn fill(&self, mut to: impl io::Write) -> io::Result<()> {
        serde_json::to_writer(&mut to, self)?;
        to.write_all(b"\n")
    }

    /// Reads that of `archive` up to its members; none if there is none, as for archives of the original.
    ///
    /// # Errors
    ///
    /// See [`Error`].
    pub fn head(archive: impl Into<Location>, identities: &Identities) -> Result<Option<Self>, Error> {
        opened(&archive.into(), identities, members::head)
    }

    /// Reads that of `archive` to its end, and hands each member to `visit`, which says whether it wants more.
    ///
    /// # Errors
    ///
    /// See [`Error`].
    pub fn read(
        archive: impl Into<Location>,
        identities: &Identities,
        visit: &mut dyn FnMut(Member) -> bool,
    ) -> Result<Option<Self>, Error> {
        opened(&archive.into(), identities, |stream| Self::parse(stream, visit))
    }

    /// Reads one to its end, and hands each member to `visit`, which says whether it wants more.
    ///
    /// # Errors
    ///
    /// See [`Error`].
    pub fn parse(stream: &mut dyn Read, visit: &mut dyn FnMut(Member) -> bool) -> Result<Self, Error> {
        members::read(stream, visit)
    }
}

fn opened<T>(
    archive: &Location,
    identities: &Identities,
    parse: impl FnOnce(&mut dyn Read) -> Result<T, Error>,
) -> Result<Option<T>, Error> {
    let failed = Failed::default();
    let stream = archive.manifest().map_err(|error| match error.kind() {
        io::ErrorKind::InvalidData => Error::Damaged(error),
        _ => Error::Read(error),
    });
    let Some(stream) = stream? else { return Ok(None) };
    let mut stream = BufReader::new(failed.watch(stream));
    let parsed = if archive.is_sealed() {
        identities.open(stream).map_err(Error::Sealed).and_then(|opened| parse(&mut BufReader::new(opened)))
    } else {
        parse(&mut stream)
    };
    match parsed {
        Err(error) => Err(failed.taken().map_or(error, Error::Read)),
        parsed => parsed.map(Some),
    }
}

/// Whether a file is sealed, by its name.
pub fn is_sealed(path: &Path) -> bool {
    path.extension().is_some_and(|end| end == seal::SUFFIX)
}

/// The endings of archives that are backups, without that of sealed ones.
const ENDS: [&str; 3] = [".tar.gz", ".tar.zst", ".tar"];

/// The name of an archive without its ending; none if it has none of an archive.
pub fn stem(archive: &Path) -> Option<String> {
    let name = archive.file_name()?.to_str()?;
    let name = name.strip_suffix(&format!(".{}", seal::SUFFIX)).unwrap_or(name);
    ENDS.iter().find_map(|end| name.strip_suffix(end)).map(str::to_owned)
}

/// The manifest of an archive: its name with `.json` in place of `.tar.…`.
pub fn beside(archive: &Path) -> PathBuf {
    let name = archive.file_name().unwrap_or_default().to_string_lossy();
    let stem = stem(archive).unwrap_or_else(|| name.into_owned());
    let end = if is_sealed(archive) { ".age" } else { "" };
    archive.with_file_name(format!("{stem}.json{end}"))
}
