//! What is there.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use crate::flow::control::{Acting, Error};
use crate::project::Control;
use crate::secret::Secret;

/// A key is smaller than this.
const LARGEST_KEY: u64 = 64 * 1024;

/// What is at a path; links are followed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// Nothing.
    Missing,
    /// A directory.
    Directory {
        /// Permission bits.
        mode: u32,
        /// Whose it is.
        uid: u32,
    },
    /// A file.
    File {
        /// Permission bits.
        mode: u32,
        /// Whose it is.
        uid: u32,
        /// What is in it.
        text: Secret,
    },
    /// Something else.
    Other,
}

/// What there is of the key pair.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Who acts: what is there has to be his.
    pub acting: Acting,
    /// The private key.
    pub private: Found,
    /// The public key.
    pub public: Found,
    /// The directories that they are in and those above.
    pub directories: BTreeMap<PathBuf, Found>,
}

impl Seen {
    /// Looks.
    ///
    /// # Errors
    ///
    /// [`Error::File`], [`Error::Relative`].
    pub fn look(control: &Control, acting: &Acting) -> Result<Self, Error> {
        let mut directories = BTreeMap::new();
        for path in [&control.private_key, &control.public_key].map(Path::new) {
            if path.is_relative() {
                return Err(Error::Relative(path.to_owned()));
            }
            for directory in path.ancestors().skip(1).take(2) {
                directories.insert(directory.to_owned(), found(directory)?);
            }
        }
        let (private, public) = (found(Path::new(&control.private_key))?, found(Path::new(&control.public_key))?);
        Ok(Self { acting: acting.clone(), private, public, directories })
    }
}

fn found(path: &Path) -> Result<Found, Error> {
    let failed = |source| Error::File { what: "read", path: path.to_owned(), source };
    let meta = match fs::metadata(path) {
        Ok(meta) => meta,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Found::Missing),
        Err(error) => return Err(failed(error)),
    };
    let (mode, uid) = (meta.permissions().mode() & 0o7777, meta.uid());
    match meta.file_type() {
        kind if kind.is_dir() => Ok(Found::Directory { mode, uid }),
        kind if kind.is_file() => Ok(Found::File { mode, uid, text: text(path).map_err(failed)? }),
        _ => Ok(Found::Other),
    }
}

fn text(path: &Path) -> io::Result<Secret> {
    let mut bytes = vec![];
    File::open(path)?.take(LARGEST_KEY).read_to_end(&mut bytes)?;
    Ok(Secret::new(String::from_utf8_lossy(&bytes)))
}
