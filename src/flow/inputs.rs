//! What an image or a host-setup is made from, so that it is made again only when that has changed.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use thiserror::Error;

use crate::flow::digest;

/// Files and values that a result depends on.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Inputs {
    /// The directory that the files' names count from: moving all repositories changes nothing.
    base: PathBuf,
    /// SHA-256 of each file; nothing for one that is not there.
    files: BTreeMap<PathBuf, Option<String>>,
    /// Everything else.
    values: Value,
}

/// A file cannot be read.
#[derive(Debug, Error)]
#[error("cannot read `{}`", path.display())]
pub struct Error {
    /// The file.
    pub path: PathBuf,
    /// Why.
    pub source: std::io::Error,
}

impl Inputs {
    /// Reads `files` as they are now.
    ///
    /// # Errors
    ///
    /// A file is there and cannot be read. A file that is not there is none.
    pub fn read(base: &Path, files: &[PathBuf], values: Value) -> Result<Self, Error> {
        let read = |path: &PathBuf| Ok((path.clone(), file(path)?));
        Ok(Self { base: base.to_owned(), files: files.iter().map(read).collect::<Result<_, Error>>()?, values })
    }

    /// Returns the inputs with the files that were not there and are now: secrets that the work has made. Files that
    /// have changed meanwhile count as they were, because nobody knows which of the two was used.
    ///
    /// # Errors
    ///
    /// As [`Self::read`].
    pub fn after(&self) -> Result<Self, Error> {
        let again = |(path, before): (&PathBuf, &Option<String>)| {
            Ok((path.clone(), if before.is_none() { file(path)? } else { before.clone() }))
        };
        Ok(Self { files: self.files.iter().map(again).collect::<Result<_, Error>>()?, ..self.clone() })
    }

    /// Returns one digest of all, lower-case hexadecimal.
    pub fn digest(&self) -> String {
        let name = |path: &Path| path.strip_prefix(&self.base).unwrap_or(path).display().to_string();
        let files: BTreeMap<String, &Option<String>> =
            self.files.iter().map(|(path, digest)| (name(path), digest)).collect();
        digest::of(&json!({ "files": files, "values": self.values }))
    }
}

fn file(path: &Path) -> Result<Option<String>, Error> {
    match std::fs::read(path) {
        Ok(content) => Ok(Some(hex::encode(Sha256::digest(content)))),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(Error { path: path.to_owned(), source }),
    }
}
