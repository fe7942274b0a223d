//! What has to be done, from what is there.

use std::fmt;
use std::path::{Path, PathBuf};

use russh::keys::ssh_key::PublicKey;

use crate::flow::control::Error;
use crate::flow::control::look::{Found, Seen};
use crate::flow::control::pair::{self, Half};
use crate::project::Control;
use crate::secret::Secret;

/// One thing to do. Its `Display` is what a person reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Make a directory (0700).
    MakeDirectory(PathBuf),
    /// Take permissions back.
    Restrict {
        /// From what.
        path: PathBuf,
        /// Permission bits that it has.
        from: u32,
        /// Permission bits that it gets.
        to: u32,
    },
    /// Make a key pair.
    MakePair {
        /// Where the private key goes (0600).
        private: PathBuf,
        /// Where the public key goes (0644).
        public: PathBuf,
    },
    /// Write the public half of a private key that is there (0644).
    WritePublic {
        /// Where.
        path: PathBuf,
        /// The half.
        key: Box<PublicKey>,
    },
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MakeDirectory(path) => write!(f, "make the directory {} (0700)", path.display()),
            Self::Restrict { path, from, to } => {
                write!(f, "take permissions of {} back: {from:04o} → {to:04o}", path.display())
            }
            Self::MakePair { private, .. } => write!(f, "make the key pair {} (ed25519)", private.display()),
            Self::WritePublic { path, .. } => write!(f, "write the public key {} from the private one", path.display()),
        }
    }
}

/// Plans what is missing or too open; nothing if all is well.
///
/// # Errors
///
/// What is there cannot be used, and we may not replace it.
pub fn plan(control: &Control, seen: &Seen) -> Result<Vec<Step>, Error> {
    let (private, public) = (Path::new(&control.private_key), Path::new(&control.public_key));
    let mut steps = vec![];
    for path in [private, public] {
        let directory = path.parent().unwrap_or(Path::new("/"));
        let step = self::directory(directory, seen)?;
        steps.extend(step.filter(|step| !steps.contains(step)));
    }
    steps.extend(keys(private, public, seen)?);
    Ok(steps)
}

/// Only a directory `.ssh` is for nothing but keys: others are left as they are.
fn directory(path: &Path, seen: &Seen) -> Result<Option<Step>, Error> {
    match seen.directories.get(path) {
        None | Some(Found::Missing) => made(path, seen).map(Some),
        Some(Found::Directory { mode, uid }) if path.ends_with(".ssh") => {
            owned(path, *uid, seen)?;
            Ok(restricted(path, *mode, 0o077, 0o700))
        }
        Some(Found::Directory { .. }) => Ok(None),
        Some(_) => Err(Error::InTheWay { path: path.to_owned(), wanted: "directory" }),
    }
}

fn made(path: &Path, seen: &Seen) -> Result<Step, Error> {
    let above = path.parent().unwrap_or(Path::new("/"));
    if matches!(seen.directories.get(above), Some(Found::Directory { .. })) {
        return Ok(Step::MakeDirectory(path.to_owned()));
    }
    Err(Error::NoDirectory { above: above.to_owned(), path: path.to_owned() })
}

fn keys(private: &Path, public: &Path, seen: &Seen) -> Result<Vec<Step>, Error> {
    let (first, second) = (file(private, &seen.private, seen)?, file(public, &seen.public, seen)?);
    let Some((mode, text)) = first else {
        return match second {
            Some(_) => Err(Error::Alone { public: public.to_owned(), private: private.to_owned() }),
            None => Ok(vec![Step::MakePair { private: private.to_owned(), public: public.to_owned() }]),
        };
    };
    let half = pair::public_half(text);
    if matches!(half, Half::None) {
        return Err(Error::NoKey { path: private.to_owned(), half: "private" });
    }
    let mut steps: Vec<Step> = restricted(private, mode, 0o077, 0o600).into_iter().collect();
    match (second, half) {
        (None, Half::Known(key)) => steps.push(Step::WritePublic { path: public.to_owned(), key }),
        (None, _) => return Err(Error::Locked(private.to_owned())),
        (Some((mode, text)), half) => {
            let no_key = || Error::NoKey { path: public.to_owned(), half: "public" };
            let key = pair::public(text).ok_or_else(no_key)?;
            if matches!(half, Half::Known(own) if own.key_data() != key.key_data()) {
                return Err(Error::Strangers { public: public.to_owned(), private: private.to_owned() });
            }
            steps.extend(restricted(public, mode, 0o022, 0o644));
        }
    }
    Ok(steps)
}

fn file<'a>(path: &Path, found: &'a Found, seen: &Seen) -> Result<Option<(u32, &'a Secret)>, Error> {
    match found {
        Found::Missing => Ok(None),
        Found::File { mode, uid, text } => owned(path, *uid, seen).map(|()| Some((*mode, text))),
        Found::Directory { .. } | Found::Other => Err(Error::InTheWay { path: path.to_owned(), wanted: "file" }),
    }
}

fn owned(path: &Path, uid: u32, seen: &Seen) -> Result<(), Error> {
    if uid == seen.acting.uid {
        return Ok(());
    }
    Err(Error::Foreign { path: path.to_owned(), uid, user: seen.acting.user.clone() })
}

fn restricted(path: &Path, from: u32, too_wide: u32, to: u32) -> Option<Step> {
    (from & too_wide != 0).then(|| Step::Restrict { path: path.to_owned(), from, to })
}
