//! Remote repositories, wherever they are: what they have, and bringing it here.

use git2::{Direction, Oid, RemoteHead, Repository};
use reqwest::{Client, Url};

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
    let mut remote = match carrier(url)? {
        Carrier::Web => Remote::web(url, smart::client(url)?),
        Carrier::Files => Remote::files(url),
    };
    let references = remote.references()?;
    let missing = || Error::NoBranch { url: shown(url), branch: want.name().to_owned() };
    let name = match want {
        Want::Branch(name) => format!("refs/heads/{name}"),
        Want::Main => references.main_branch().ok_or_else(missing)?,
    };
    let commit = references.commit(&name).ok_or_else(missing)?;
    remote.bring(repository, &[(name.clone(), commit)], events)?;
    Ok(Fetched { branch: name.trim_start_matches("refs/heads/").to_owned(), commit })
}

/// How an address is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Carrier {
    /// By requests, `https` or `http`.
    Web,
    /// It is on this machine: a path or `file://`.
    Files,
}

/// Says how `url` is reached.
///
/// # Errors
///
/// [`Error::Address`]: not by us.
pub fn carrier(url: &str) -> Result<Carrier, Error> {
    match scheme(url) {
        Some("https" | "http") => Ok(Carrier::Web),
        Some("file") | None => Ok(Carrier::Files),
        Some(_) => Err(Error::Address { url: shown(url) }),
    }
}

/// Returns what stands before `://`, or `ssh` for `user@host:path`; `None` for a path.
fn scheme(url: &str) -> Option<&str> {
    let before = |mark| url.split_once(mark).map(|(before, _)| before).filter(|before| !before.contains('/'));
    before("://").or_else(|| before(":").map(|_| "ssh"))
}

/// Returns `url` without what may be a password.
pub fn shown(url: &str) -> String {
    match Url::parse(url) {
        Ok(mut parsed) if !parsed.username().is_empty() || parsed.password().is_some() => {
            let _ = parsed.set_username("");
            let _ = parsed.set_password(None);
            parsed.to_string()
        }
        _ => url.to_owned(),
    }
}

/// What a remote repository has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct References {
    /// Name and object; a tag with words of its own also as `refs/tags/NAME^{}`, with the commit behind it.
    pub names: Vec<(String, Oid)>,
    /// What its `HEAD` names, if it says so, e.g. `refs/heads/main`.
    pub head: Option<String>,
}

impl References {
    /// The object of this name.
    pub fn commit(&self, name: &str) -> Option<Oid> {
        self.names.iter().find(|(known, _)| known == name).map(|(_, commit)| *commit)
    }

    /// The branch that `HEAD` names. Who does not say it has it among the branches.
    pub fn main_branch(&self) -> Option<String> {
        let branch = |name: &&String| name.starts_with("refs/heads/");
        self.head.clone().filter(|name| branch(&name)).or_else(|| {
            let head = self.commit("HEAD")?;
            let same = self.names.iter().filter(|(_, commit)| *commit == head);
            same.map(|(name, _)| name).find(branch).cloned()
        })
    }
}

/// A remote repository. Its calls block; those for [`Carrier::Web`] need a runtime that somebody else drives.
pub struct Remote(Way);

enum Way {
    Web(smart::Server),
    Files(String),
}

impl Remote {
    /// One that is asked with `client`.
    pub fn web(url: &str, client: Client) -> Self {
        Self(Way::Web(smart::Server::new(url, client)))
    }

    /// One of this machine.
    pub fn files(url: &str) -> Self {
        Self(Way::Files(url.to_owned()))
    }

    /// Asks what it has.
    ///
    /// # Errors
    ///
    /// See [`Error`].
    pub fn references(&mut self) -> Result<References, Error> {
        match &mut self.0 {
            Way::Web(server) => server.references(),
            Way::Files(url) => listed(url),
        }
    }

    /// Brings objects of these names, and all that they lead to, into `repository`; no reference is touched.
    ///
    /// # Errors
    ///
    /// See [`Error`].
    pub fn bring(&self, repository: &Repository, wanted: &[(String, Oid)], events: &Events) -> Result<(), Error> {
        let failed = |source| Error::Git { directory: repository.path().to_owned(), source };
        let odb = repository.odb().map_err(failed)?;
        let missing = wanted.iter().filter(|(_, object)| !odb.exists(*object)).cloned().collect::<Vec<_>>();
        if missing.is_empty() {
            return Ok(());
        }
        let url = match &self.0 {
            Way::Web(server) => {
                server.bring(repository, &missing, events)?;
                server.url()
            }
            Way::Files(url) => {
                copied(repository, url, &missing)?;
                url
            }
        };
        odb.refresh().map_err(failed)?;
        match missing.iter().find(|(_, object)| !odb.exists(*object)) {
            Some((_, object)) => {
                Err(Error::Protocol { url: shown(url), reason: format!("it did not send commit {object}") })
            }
            None => Ok(()),
        }
    }
}

fn listed(url: &str) -> Result<References, Error> {
    let unreachable = |source: git2::Error| Error::Unreachable { url: shown(url), source: source.into() };
    let mut remote = git2::Remote::create_detached(url).map_err(unreachable)?;
    remote.connect(Direction::Fetch).map_err(unreachable)?;
    let heads = remote.list().map_err(unreachable)?;
    let head = heads.iter().find(|head| head.name() == "HEAD").and_then(RemoteHead::symref_target);
    let names = heads.iter().map(|head| (head.name().to_owned(), head.oid())).collect();
    Ok(References { names, head: head.map(str::to_owned) })
}

fn copied(repository: &Repository, url: &str, wanted: &[(String, Oid)]) -> Result<(), Error> {
    let unreachable = |source: git2::Error| Error::Unreachable { url: shown(url), source: source.into() };
    let mut remote = repository.remote_anonymous(url).map_err(unreachable)?;
    let names = wanted.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>();
    remote.download(&names, None).map_err(unreachable)
}
