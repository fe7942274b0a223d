//! Fetching one branch, from wherever it is.

use git2::{Direction, Oid, Repository};
use reqwest::Url;

use crate::event::Events;
use crate::git::{Error, smart};

/// Which branch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Want {
    /// The one that the remote's `HEAD` names.
    Main,
    /// This one.
    Branch(String),
}

impl Want {
    /// Returns what a person calls it.
    pub(super) fn name(&self) -> &str {
        match self {
            Self::Main => "HEAD",
            Self::Branch(name) => name,
        }
    }
}

/// A branch whose commits are in the repository now.
pub(super) struct Fetched {
    /// Its name.
    pub(super) branch: String,
    /// Its newest commit.
    pub(super) commit: Oid,
}

/// Brings the commits of a branch of `url` into `repository`; no reference is touched.
pub(super) fn fetch(repository: &Repository, url: &str, want: &Want, events: &Events) -> Result<Fetched, Error> {
    let fetched = match scheme(url) {
        Some("https" | "http") => smart::fetch(repository, url, want, events)?,
        Some("file") | None => local(repository, url, want)?,
        Some(_) => return Err(Error::Address { url: shown(url) }),
    };
    if repository.find_commit(fetched.commit).is_err() {
        let reason = format!("it did not send commit {}", fetched.commit);
        return Err(Error::Protocol { url: shown(url), reason });
    }
    Ok(fetched)
}

/// Returns what stands before `://`, or `ssh` for `user@host:path`; `None` for a path.
fn scheme(url: &str) -> Option<&str> {
    let before = |mark| url.split_once(mark).map(|(before, _)| before).filter(|before| !before.contains('/'));
    before("://").or_else(|| before(":").map(|_| "ssh"))
}

/// Returns `url` without what may be a password.
pub(super) fn shown(url: &str) -> String {
    match Url::parse(url) {
        Ok(mut parsed) if !parsed.username().is_empty() || parsed.password().is_some() => {
            let _ = parsed.set_username("");
            let _ = parsed.set_password(None);
            parsed.to_string()
        }
        _ => url.to_owned(),
    }
}

fn local(repository: &Repository, url: &str, want: &Want) -> Result<Fetched, Error> {
    let unreachable = |source: git2::Error| Error::Unreachable { url: shown(url), source: source.into() };
    let missing = || Error::NoBranch { url: shown(url), branch: want.name().to_owned() };
    let mut remote = repository.remote_anonymous(url).map_err(unreachable)?;
    remote.connect(Direction::Fetch).map_err(unreachable)?;
    let name = match want {
        Want::Branch(name) => format!("refs/heads/{name}"),
        Want::Main => {
            remote.default_branch().ok().and_then(|it| it.as_str().map(str::to_owned).ok()).ok_or_else(missing)?
        }
    };
    let heads = remote.list().map_err(unreachable)?;
    let commit = heads.iter().find(|head| head.name() == name).map(git2::RemoteHead::oid).ok_or_else(missing)?;
    remote.download(&[&name], None).map_err(unreachable)?;
    Ok(Fetched { branch: name.trim_start_matches("refs/heads/").to_owned(), commit })
}
