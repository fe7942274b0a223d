//! What is known of a backup without opening it: `….record` beside the archive, for everybody who may read the
//! directory.
//!
//! It is there so that a backup can be listed, and pruned, where nothing opens it, and it remembers when the backup was
//! verified. It says no more than names and sizes of the files do. It is replaced as a whole and is no part of the
//! manifest, whose bytes stay as they are.

use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::flow::backup::location::Location;
use crate::flow::backup::manifest::{self, Archive, Manifest};
use crate::flow::backup::unfinished;

/// The form of records.
const FORM: u32 = 1;

/// Where the records of what is in repositories of restic are, in the home directory.
pub const REPOSITORIES: &str = ".local/state/ryo/restic";

/// Most bytes of a record.
const MOST: u64 = 64 << 10;

/// What is known of a backup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// The form of this file.
    pub form: u32,
    /// Whose data are in it.
    pub about: About,
    /// The archive, as it was when this was written.
    pub archive: Archive,
    /// How it was when somebody looked last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verified: Option<Verified>,
}

/// Whose data are in a backup, and as of when.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct About {
    /// The host.
    pub host: String,
    /// `project` or `module`; the original does not say.
    pub kind: Option<String>,
    /// `project_id` or `module_id`.
    pub id: String,
    /// The stamp of the backup.
    pub stamp: String,
    /// When the data were as they are in it, in seconds since 1970; of the original's the time of the file.
    pub when: u64,
}

/// How an archive was when all of it was read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verified {
    /// When, in seconds since 1970.
    pub when: u64,
    /// What was wrong; nothing if it is whole.
    pub wrong: Option<String>,
    /// The archive, so that it shows when it has changed since.
    pub file: Identity,
}

/// What of a file changes when somebody writes to it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// Its bytes.
    pub size: u64,
    /// When it was last written to: seconds since 1970, and nanoseconds.
    pub written: (i64, i64),
}

impl Identity {
    /// That of `file`.
    pub fn of(about: &fs::Metadata) -> Self {
        Self { size: about.len(), written: (about.mtime(), about.mtime_nsec()) }
    }
}

impl About {
    /// What a manifest says of it.
    pub fn of(manifest: &Manifest) -> Self {
        Self {
            host: manifest.host.clone(),
            kind: Some(manifest.kind.clone()),
            id: manifest.id.clone(),
            stamp: manifest.stamp.clone(),
            when: manifest.when,
        }
    }
}

impl Record {
    /// A first one.
    pub fn new(about: About, archive: Archive) -> Self {
        Self { form: FORM, about, archive, verified: None }
    }

    /// Reads that of `archive`. One that cannot be read is as good as none: verifying writes it anew.
    pub fn read(archive: impl Into<Location>) -> Option<Self> {
        let mut text = String::new();
        File::open(archive.into().record()).ok()?.take(MOST).read_to_string(&mut text).ok()?;
        serde_json::from_str(&text).ok().filter(|record: &Self| record.form == FORM)
    }

    /// Writes that of `archive`, in place of the one that is there.
    ///
    /// # Errors
    ///
    /// That one is there as it was.
    pub fn write(&self, archive: impl Into<Location>) -> io::Result<()> {
        let file = archive.into().record();
        fs::create_dir_all(file.parent().unwrap_or(Path::new(".")))?;
        unfinished::write(&file, |writer| {
            serde_json::to_writer(&mut *writer, self)?;
            writer.write_all(b"\n")
        })
    }
}

/// The record of an archive. No manifest is called so.
pub fn beside(archive: &Path) -> PathBuf {
    let name = archive.file_name().unwrap_or_default().to_string_lossy();
    let stem = manifest::stem(archive).unwrap_or_else(|| name.into_owned());
    archive.with_file_name(format!("{stem}.record"))
}
