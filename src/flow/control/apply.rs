//! Doing it.

use std::fs::{self, DirBuilder, Permissions};
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::Path;

use crate::flow::control::plan::Step;
use crate::flow::control::{Error, pair};
use crate::flow::fresh::{self, Fresh};
use crate::secret::Secret;

/// Carries one step out. `comment` is that of a new key.
pub(super) fn apply(step: &Step, comment: &str) -> Result<(), Error> {
    match step {
        Step::MakeDirectory(path) => {
            let failed = |source| Error::File { what: "make", path: path.clone(), source };
            DirBuilder::new().mode(0o700).create(path).map_err(failed)
        }
        Step::Restrict { path, to, .. } => {
            let failed = |source| Error::File { what: "take back permissions of", path: path.clone(), source };
            fs::set_permissions(path, Permissions::from_mode(*to)).map_err(failed)
        }
        Step::MakePair { private, public } => {
            let (key, half) = pair::make(comment).map_err(Error::Make)?;
            let public = Fresh { path: public.clone(), text: Secret::new(half), mode: 0o644 };
            // The private key comes first: its other half can be had from it should we be killed in between.
            Ok(fresh::write(&[Fresh { path: private.clone(), text: key, mode: 0o600 }, public])?)
        }
        Step::WritePublic { path, key } => write_public(path, key, comment),
    }
}

fn write_public(path: &Path, key: &russh::keys::ssh_key::PublicKey, comment: &str) -> Result<(), Error> {
    let mut key = key.clone();
    if key.comment().is_empty() {
        key.set_comment(comment);
    }
    let text = Secret::new(pair::line(&key).map_err(Error::Make)?);
    Ok(fresh::write(&[Fresh { path: path.to_owned(), text, mode: 0o644 }])?)
}
