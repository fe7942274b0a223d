//! A working copy, and libgit2 that works on it where the target has no `git` program. The whole history is fetched,
//! whatever depth is asked for.

use std::error::Error as _;
use std::path::PathBuf;
use std::thread;

use git2::{Repository, ResetType, StatusOptions};
use reqwest::Url;
use tokio::runtime::Builder;

use crate::event::Events;
use crate::git::remote::{Carrier, References, Remote, carrier};
use crate::git::{self, AGENT};
use crate::module::git::place::Place;
use crate::module::web::{self, Access, Request};
use crate::module::{Context, Failed};

mod fill;
mod switch;

/// A working copy.
pub(super) struct Library<'a> {
    /// Where it is.
    pub(super) place: Place<'a>,
}

/// Carries out `work` where requests can be waited for.
pub(super) fn driven<T: Send>(work: impl FnOnce() -> Result<T, Failed> + Send) -> Result<T, Failed> {
    // A runtime within a runtime is refused, and whoever calls may be in one.
    let ended = thread::scope(|scope| {
        let working = scope.spawn(|| {
            let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build();
            let runtime = runtime.map_err(|error| Failed::new(format!("cannot wait for answers: {error}")))?;
            let _within = runtime.enter();
            work()
        });
        working.join()
    });
    ended.unwrap_or_else(|_| Err(Failed::new("broken off")))
}

impl<'a> Library<'a> {
    pub(super) fn new(place: Place<'a>) -> Result<Self, Failed> {
        let arguments = place.arguments;
        let asked = [("refspec", &arguments.refspec), ("reference", &arguments.reference)];
        if let Some((name, _)) = asked.iter().find(|(_, value)| value.is_some()) {
            return Err(without(&format!("`{name}` cannot be followed")));
        }
        if carrier(&place.repo).is_err() {
            let url = git::remote::shown(&place.repo);
            return Err(without(&format!("only https, http, file and paths can be fetched from, not `{url}`")));
        }
        Ok(Self { place })
    }

    /// Where it is for the operating system.
    fn real(&self) -> PathBuf {
        self.place.host.system.real(self.place.path())
    }

    fn open(&self) -> Result<Repository, Failed> {
        Repository::open(self.real()).map_err(|error| told("Failed to open the repository", &error))
    }

    /// The commit that is checked out.
    pub(super) fn commit(&self) -> Result<String, Failed> {
        let repository = self.open()?;
        let commit = repository.head().and_then(|head| head.peel_to_commit());
        commit.map(|commit| commit.id().to_string()).map_err(|error| told("Failed to read the version", &error))
    }

    /// Whether files that belong to it are changed.
    pub(super) fn has_changes(&self) -> Result<bool, Failed> {
        if self.place.arguments.bare {
            return Ok(false);
        }
        let repository = self.open()?;
        let mut options = StatusOptions::new();
        options.include_untracked(false).include_ignored(false);
        let statuses = repository.statuses(Some(&mut options));
        let statuses = statuses.map_err(|error| told("Failed to look for local modifications", &error))?;
        Ok(!statuses.is_empty())
    }

    pub(super) fn reset(&self) -> Result<(), Failed> {
        let repository = self.open()?;
        let reset = || repository.reset(repository.head()?.peel_to_commit()?.as_object(), ResetType::Hard, None);
        reset().map_err(|error| told("Failed to reset", &error))
    }

    /// Where the remote is; its own name if nobody knows.
    pub(super) fn known(&self) -> Result<String, Failed> {
        let (repository, name) = (self.open()?, &self.place.arguments.remote);
        let known = repository.find_remote(name).ok().and_then(|it| it.url().ok().map(str::to_owned));
        Ok(known.unwrap_or_else(|| name.clone()))
    }

    /// Makes the remote be where the task says.
    pub(super) fn point(&self) -> Result<(), Failed> {
        let moved = self.open()?.remote_set_url(&self.place.arguments.remote, &self.place.repo);
        moved.map_err(|error| told("Failed to set a new url", &error))
    }

    /// The repository at `remote`, an address or the name of a remote that is known here.
    fn remote(&self, remote: &str) -> Result<Remote, Failed> {
        let url = if *remote == self.place.repo { remote.to_owned() } else { self.known()? };
        match carrier(&url).map_err(|error| foreign("Failed to ask the remote", &error))? {
            Carrier::Web => Ok(Remote::web(&url, client(&url, self.place.host)?)),
            Carrier::Files => Ok(Remote::files(&url)),
        }
    }

    fn references(&self, remote: &str) -> Result<References, Failed> {
        let references = self.remote(remote)?.references();
        references.map_err(|error| foreign("Failed to ask the remote", &error))
    }

    /// The commit that `remote` has for the version wanted.
    pub(super) fn newest(&self, remote: &str) -> Result<String, Failed> {
        let (version, references) = (&self.place.arguments.version, self.references(remote)?);
        if version == "HEAD" {
            let here = if self.place.there() { Some(self.branch(&self.open()?)?) } else { None };
            let name = here.map_or_else(|| "HEAD".to_owned(), |branch| format!("refs/heads/{branch}"));
            let missing = || Failed::new(format!("Could not determine remote revision for {version}"));
            return references.commit(&name).map(|commit| commit.to_string()).ok_or_else(missing);
        }
        // A tag with words of its own stands for the commit behind it.
        let names = ["refs/heads/NAME", "refs/tags/NAME^{}", "refs/tags/NAME"];
        let found = names.iter().find_map(|name| references.commit(&name.replace("NAME", version)));
        Ok(found.map_or_else(|| version.clone(), |commit| commit.to_string()))
    }
}

/// What asks servers, as the machine's own settings say.
fn client(url: &str, host: &Context) -> Result<reqwest::Client, Failed> {
    let access = Access { http_agent: AGENT.to_owned(), ..Access::default() };
    let parsed = Url::parse(url).map_err(|error| Failed::new(format!("`{url}` is no address: {error}")))?;
    web::client(&Request::get(url, &access), &parsed, host)
}

/// Brings objects from `remote`; nothing is told while it goes on.
fn bring(remote: &Remote, repository: &Repository, wanted: &[(String, git2::Oid)]) -> Result<(), git::Error> {
    remote.bring(repository, wanted, &Events::nowhere())
}

fn told(doing: &str, error: &git2::Error) -> Failed {
    Failed::new(format!("{doing}: {}", error.message()))
}

fn foreign(doing: &str, error: &git::Error) -> Failed {
    let because = error.source().map(|source| format!(": {source}")).unwrap_or_default();
    Failed::new(format!("{doing}: {error}{because}"))
}

/// What only the program can do.
fn without(what: &str) -> Failed {
    Failed::new(format!("there is no program `git` here, and without it {what}: install git"))
}
