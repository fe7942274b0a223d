//! Files that are made where there are none: all of them, or none. What is there is never written over.

use std::fs::{self, DirBuilder, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _, chown, fchown};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;
use thiserror::Error;

use crate::secret::Secret;

/// A file that is to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fresh {
    /// Where.
    pub path: PathBuf,
    /// What is in it.
    pub text: Secret,
    /// Permission bits, e.g. `0o600`.
    pub mode: u32,
}

/// The files could not be made; none of them is there.
#[derive(Debug, Error)]
pub enum Error {
    /// Somebody else has made one of them by now.
    #[error("`{}` is there already", .0.display())]
    Exists(PathBuf),
    /// One of them cannot be written.
    #[error("cannot write `{}`", path.display())]
    Unwritable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// Makes the files, and directories (0755) that are missing above them. Root makes them for whom the directory above
/// belongs to.
///
/// # Errors
///
/// See [`Error`].
pub fn write(files: &[Fresh]) -> Result<(), Error> {
    let mut made = Made::default();
    let ended = files.iter().try_for_each(|file| made.prepare(file)).and_then(|()| made.place());
    if ended.is_err() {
        made.take_back();
    }
    ended
}

/// What has been made so far.
#[derive(Default)]
struct Made<'a> {
    directories: Vec<PathBuf>,
    drafts: Vec<(&'a Fresh, NamedTempFile)>,
    placed: Vec<&'a Path>,
}

impl<'a> Made<'a> {
    fn prepare(&mut self, file: &'a Fresh) -> Result<(), Error> {
        let draft = self.draft(file).map_err(|source| Error::Unwritable { path: file.path.clone(), source })?;
        self.drafts.push((file, draft));
        Ok(())
    }

    fn draft(&mut self, file: &Fresh) -> io::Result<NamedTempFile> {
        let directory = file.path.parent().unwrap_or(Path::new("/"));
        self.directory(directory)?;
        let mut draft = tempfile::Builder::new().prefix(".ryo-").tempfile_in(directory)?;
        draft.write_all(file.text.reveal().as_bytes())?;
        let owner = owner(directory)?;
        if let Some((uid, gid)) = owner {
            fchown(draft.as_file(), Some(uid), Some(gid))?;
        }
        draft.as_file().set_permissions(Permissions::from_mode(file.mode))?;
        draft.as_file().sync_all()?;
        Ok(draft)
    }

    fn directory(&mut self, directory: &Path) -> io::Result<()> {
        let Some(above) = directory.parent().filter(|_| !directory.exists()) else { return Ok(()) };
        self.directory(above)?;
        DirBuilder::new().mode(0o755).create(directory)?;
        self.directories.push(directory.to_owned());
        match owner(above)? {
            Some((uid, gid)) => chown(directory, Some(uid), Some(gid)),
            None => Ok(()),
        }
    }

    fn place(&mut self) -> Result<(), Error> {
        for (file, draft) in self.drafts.drain(..) {
            draft.persist_noclobber(&file.path).map_err(|failed| match failed.error.kind() {
                io::ErrorKind::AlreadyExists => Error::Exists(file.path.clone()),
                _ => Error::Unwritable { path: file.path.clone(), source: failed.error },
            })?;
            self.placed.push(&file.path);
        }
        Ok(())
    }

    /// What cannot be taken back stays: there is a better error to tell.
    fn take_back(mut self) {
        self.drafts.clear();
        for file in self.placed {
            let _ = fs::remove_file(file);
        }
        for directory in self.directories.iter().rev() {
            let _ = fs::remove_dir(directory);
        }
    }
}

/// Whom root makes files for in `directory`.
fn owner(directory: &Path) -> io::Result<Option<(u32, u32)>> {
    if !rustix::process::geteuid().is_root() {
        return Ok(None);
    }
    let found = fs::metadata(directory)?;
    Ok(Some((found.uid(), found.gid())))
}
