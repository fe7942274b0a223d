//! The lists of what is deployed on a host: `ryo-host/backup-restore/deployed-projects_<h>.yml` and
//! `deployed-modules_<h>.yml`, a list of names in the order of first deployment.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::project::{self, Kind};
use crate::yaml::{self, Dialect};

/// A list could not be read or written.
#[derive(Debug, Error)]
pub enum Error {
    /// The file cannot be read. Nothing was written.
    #[error("cannot read `{file}`")]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file is no list of names. Nothing was written.
    #[error("`{file}` is no list of names: {message}")]
    NoList {
        /// The file.
        file: PathBuf,
        /// What it is.
        message: String,
    },
    /// The file cannot be written. The old one stands.
    #[error("cannot write `{file}`")]
    Unwritable {
        /// The file.
        file: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// Returns the file that lists what is deployed on `host`.
pub fn file(working_directory: &Path, kind: Kind, host: &str) -> PathBuf {
    working_directory.join("ryo-host/backup-restore").join(format!("deployed-{}s_{host}.yml", kind.word()))
}

/// Returns what is deployed on `host`, in the order of first deployment; nothing if there is no list yet.
///
/// # Errors
///
/// [`Error::Unreadable`] and [`Error::NoList`].
pub fn read(working_directory: &Path, kind: Kind, host: &str) -> Result<Vec<String>, Error> {
    let file = file(working_directory, kind, host);
    match fs::read_to_string(&file) {
        Ok(text) => names(&text).map_err(|message| Error::NoList { file, message }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(vec![]),
        Err(source) => Err(Error::Unreadable { file, source }),
    }
}

/// Adds `id` to the list of `host`, unless it is there. The file is replaced as a whole or not at all.
///
/// # Errors
///
/// Any [`Error`]; the old list stands.
pub fn add(working_directory: &Path, kind: Kind, host: &str, id: &str) -> Result<(), Error> {
    let mut ids = read(working_directory, kind, host)?;
    let file = file(working_directory, kind, host);
    if ids.iter().any(|other| other == id) {
        return Ok(());
    }
    ids.push(id.to_owned());
    project::replace(&file, &text(&ids), 0o666).map_err(|source| Error::Unwritable { file, source })
}

/// `- null` stands for an empty list.
fn names(text: &str) -> Result<Vec<String>, String> {
    let documents = yaml::load(text, Dialect::Ansible).map_err(|error| format!("line {}: {error}", error.line))?;
    let Some(list) = documents.first() else {
        return Ok(vec![]);
    };
    match &list.kind {
        yaml::Kind::Null => Ok(vec![]),
        yaml::Kind::Seq(items) => {
            let present = items.iter().filter(|item| item.kind != yaml::Kind::Null);
            let name = |item: &yaml::Node| {
                item.written().map(str::to_owned).ok_or_else(|| format!("line {}: {}", item.line, item.describe()))
            };
            present.map(name).collect()
        }
        _ => Err(list.describe().to_owned()),
    }
}

fn text(ids: &[String]) -> String {
    let lines: Vec<String> = ids.iter().map(|id| format!("- {id}\n")).collect();
    lines.concat()
}
