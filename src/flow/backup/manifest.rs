//! What stands beside an archive: whose it is, what is in it, and what must come out of it.

use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::archive::Compression;
use crate::archive::tree::entry::shown;
use crate::archive::tree::group;
use crate::flow::whole::Part;

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
    /// Devices, which no restore would make.
    #[serde(default)]
    pub devices: Vec<String>,
    /// Everything that was on the host, if all of it was backed up at once with this stamp.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub of_host: Vec<Part>,
    /// Everything in the archive, in order.
    pub members: Vec<Member>,
}

/// The archive of a backup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Archive {
    /// Its name.
    pub file: String,
    /// How it is compressed.
    pub compression: Compression,
    /// Its bytes.
    pub size: u64,
    /// Its SHA-256.
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

impl Manifest {
    /// Writes it beside its archive, for this account alone, and makes sure that it is on the disk.
    ///
    /// # Errors
    ///
    /// It cannot be written; there is none then.
    pub fn write(&self, archive: &Path) -> io::Result<()> {
        let path = beside(archive);
        let partial = path.with_extension("json.partial");
        let _ = fs::remove_file(&partial);
        let file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&partial)?;
        let mut writer = BufWriter::new(file);
        let written = serde_json::to_writer(&mut writer, self).map_err(io::Error::from);
        let written = written.and_then(|()| writer.write_all(b"\n")).and_then(|()| writer.flush());
        let written = written.and_then(|()| writer.get_ref().sync_all()).and_then(|()| fs::rename(&partial, &path));
        written.inspect_err(|_| drop(fs::remove_file(&partial)))
    }

    /// Reads the one beside `archive`; none if there is none, as for archives of the original.
    ///
    /// # Errors
    ///
    /// It cannot be read, or is none.
    pub fn read(archive: &Path) -> io::Result<Option<Self>> {
        let file = match File::open(beside(archive)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            file => file?,
        };
        let manifest: Self = serde_json::from_reader(BufReader::new(file))?;
        if manifest.form == FORM {
            Ok(Some(manifest))
        } else {
            Err(io::Error::other(format!("it is of form {}, this `ryo` reads form {FORM}", manifest.form)))
        }
    }
}

/// The manifest of an archive: its name with `.json` in place of `.tar.…`.
pub fn beside(archive: &Path) -> PathBuf {
    let name = archive.file_name().unwrap_or_default().to_string_lossy();
    let stem = [".tar.gz", ".tar.zst", ".tar"].iter().find_map(|end| name.strip_suffix(end)).unwrap_or(&name);
    archive.with_file_name(format!("{stem}.json"))
}
