//! A client: repositories cloned and brought up to date, without a `git` program.
//!
//! - Objects, references and work trees are libgit2's matter. It is built without network transports, so what comes by
//!   `https` and `http` is asked for here (git's smart protocol, version 0); paths and `file://` it reads itself.
//! - Nothing that a person did is lost: only a branch that is behind is moved, files with changes of their own are not
//!   touched, and a clone stands beside its place until it is whole.
//!
//! Sources: git's `gitprotocol-http`, `gitprotocol-pack` and `gitprotocol-common` manuals.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use git2::build::CheckoutBuilder;
use git2::{BranchType, CheckoutNotificationType, ErrorCode, Oid, Repository, RepositoryInitOptions};
use thiserror::Error;

use crate::event::{Event, Events};

pub mod packet;
pub mod remote;
mod smart;

use remote::{Fetched, Want};
pub use smart::AGENT;

/// The remote of a clone.
const ORIGIN: &str = "origin";
/// Files that a message names.
const NAMED: usize = 3;

/// What bringing a repository up to date came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Update {
    /// There was nothing new.
    Current {
        /// The commit that is checked out, 40 hexadecimal digits.
        commit: String,
    },
    /// The branch and the work tree were moved.
    Moved {
        /// The commit before.
        from: String,
        /// The commit now.
        to: String,
    },
}

/// The repository could not be cloned or brought up to date. The work tree is as it was.
#[derive(Debug, Error)]
pub enum Error {
    /// There is no repository.
    #[error("`{}` is not a git repository", directory.display())]
    NoRepository {
        /// Where it should be.
        directory: PathBuf,
        /// What libgit2 says.
        source: git2::Error,
    },
    /// No branch is checked out, or nobody says where it comes from.
    #[error("`{}` has no branch that follows a remote one", directory.display())]
    NoUpstream {
        /// The repository.
        directory: PathBuf,
    },
    /// Changes of the person's own stand in the way of the new version.
    #[error("changes in `{}` are in the way of its update: {}", directory.display(), named(files))]
    Changed {
        /// The repository.
        directory: PathBuf,
        /// Paths in it.
        files: Vec<String>,
    },
    /// The person's own commits and the new ones have parted.
    #[error("branch `{branch}` of `{}` has {} that its remote does not have, which is {} ahead",
        directory.display(), commits(*ours), commits(*theirs))]
    Diverged {
        /// The repository.
        directory: PathBuf,
        /// The branch.
        branch: String,
        /// Commits only here.
        ours: usize,
        /// Commits only there.
        theirs: usize,
    },
    /// A clone's place is taken.
    #[error("`{}` is in the way of a clone", directory.display())]
    Exists {
        /// The place.
        directory: PathBuf,
    },
    /// The address is of a kind that cannot be fetched from.
    #[error("cannot fetch from `{url}`: only https, http, file and paths")]
    Address {
        /// The address, without a password.
        url: String,
    },
    /// The server cannot be reached, or the connection broke.
    #[error("cannot fetch from `{url}`")]
    Unreachable {
        /// The address, without a password.
        url: String,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// There is nothing, or nothing for us.
    #[error("there is no public repository at `{url}`: the server answers {status}")]
    Missing {
        /// The address, without a password.
        url: String,
        /// HTTP status.
        status: u16,
    },
    /// The remote repository has no such branch.
    #[error("`{url}` has no branch `{branch}`")]
    NoBranch {
        /// The address, without a password.
        url: String,
        /// The branch; `HEAD` for its main one.
        branch: String,
    },
    /// The answer is not what git's protocol says.
    #[error("`{url}` does not answer as a git server: {reason}")]
    Protocol {
        /// The address, without a password.
        url: String,
        /// What is wrong.
        reason: String,
    },
    /// libgit2 could not do its part.
    #[error("git cannot work in `{}`", directory.display())]
    Git {
        /// The repository.
        directory: PathBuf,
        /// What it says.
        source: git2::Error,
    },
    /// The file system could not do its part.
    #[error("cannot work in `{}`", directory.display())]
    Files {
        /// Where.
        directory: PathBuf,
        /// Why.
        source: io::Error,
    },
}

fn named(files: &[String]) -> String {
    let more = files.len().saturating_sub(NAMED);
    let first = files.iter().take(NAMED).map(|file| format!("`{file}`")).collect::<Vec<_>>().join(", ");
    if more == 0 { first } else { format!("{first} and {more} more") }
}

fn commits(count: usize) -> String {
    if count == 1 { "1 commit".to_owned() } else { format!("{count} commits") }
}

/// Returns the address of the repository called `name` under `base`, e.g. `https://github.com/rollyourown-xyz`.
pub fn address(base: &str, name: &str) -> String {
    format!("{}/{name}", base.trim_end_matches('/'))
}

/// Clones the main branch of `url` to `directory`, whose parents are made if need be.
///
/// Returns the commit that is checked out, 40 hexadecimal digits. What an earlier, broken clone left is removed.
///
/// # Errors
///
/// See [`Error`]; then there is no `directory`.
pub async fn clone(url: &str, directory: &Path, events: &Events) -> Result<String, Error> {
    let (url, directory, events) = (url.to_owned(), directory.to_owned(), events.clone());
    in_background(move || cloned(&url, &directory, &events)).await
}

/// Fetches what the checked-out branch of the repository at `directory` follows, and moves it there if it is only behind.
///
/// Changed files that the new version leaves as they were stay changed.
///
/// # Errors
///
/// See [`Error`]; the branch and the work tree are as they were.
pub async fn update(directory: &Path, events: &Events) -> Result<Update, Error> {
    let (directory, events) = (directory.to_owned(), events.clone());
    in_background(move || updated(&directory, &events)).await
}

async fn in_background<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    match tokio::task::spawn_blocking(work).await {
        Ok(outcome) => outcome,
        Err(stopped) => std::panic::resume_unwind(stopped.into_panic()),
    }
}

fn cloned(url: &str, directory: &Path, events: &Events) -> Result<String, Error> {
    if directory.exists() {
        return Err(Error::Exists { directory: directory.to_owned() });
    }
    let files = |source| Error::Files { directory: directory.to_owned(), source };
    let beside = beside(directory);
    remove(&beside).map_err(files)?;
    fs::create_dir_all(&beside).map_err(files)?;
    let outcome = clone_into(url, &beside, events);
    let outcome = outcome.and_then(|commit| fs::rename(&beside, directory).map(|()| commit).map_err(files));
    if outcome.is_err() {
        remove(&beside).map_err(files)?;
    }
    outcome
}

/// Returns where a clone is made before it is whole.
pub fn beside(directory: &Path) -> PathBuf {
    let name = directory.file_name().unwrap_or_default().to_string_lossy();
    directory.with_file_name(format!(".{name}.ryo-clone"))
}

fn remove(directory: &Path) -> io::Result<()> {
    match fs::remove_dir_all(directory) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn clone_into(url: &str, directory: &Path, events: &Events) -> Result<String, Error> {
    let failed = |source| Error::Git { directory: directory.to_owned(), source };
    events.emit(Event::Looking { what: format!("`{}`", remote::shown(url)) });
    let repository =
        Repository::init_opts(directory, RepositoryInitOptions::new().external_template(false)).map_err(failed)?;
    let Fetched { branch, commit } = remote::fetch(&repository, url, &Want::Main, events)?;
    settle(&repository, url, &branch, commit).map_err(failed)?;
    Ok(commit.to_string())
}

/// Makes `branch`, following that of `url`, the one that is checked out.
fn settle(repository: &Repository, url: &str, branch: &str, commit: Oid) -> Result<(), git2::Error> {
    repository.remote(ORIGIN, url)?;
    let local = format!("refs/heads/{branch}");
    repository.reference(&format!("refs/remotes/{ORIGIN}/{branch}"), commit, true, "clone")?;
    repository.reference(&local, commit, true, "clone")?;
    repository.set_head(&local)?;
    let mut config = repository.config()?;
    config.set_str(&format!("branch.{branch}.remote"), ORIGIN)?;
    config.set_str(&format!("branch.{branch}.merge"), &local)?;
    repository.checkout_head(Some(CheckoutBuilder::new().force()))
}

fn updated(directory: &Path, events: &Events) -> Result<Update, Error> {
    let failed = |source| Error::Git { directory: directory.to_owned(), source };
    let repository = Repository::open(directory)
        .map_err(|source| Error::NoRepository { directory: directory.to_owned(), source })?;
    let follows = follows(&repository).ok_or_else(|| Error::NoUpstream { directory: directory.to_owned() })?;
    events.emit(Event::Looking { what: format!("`{}`", remote::shown(&follows.url)) });
    let Fetched { commit: theirs, .. } =
        remote::fetch(&repository, &follows.url, &Want::Branch(follows.branch.clone()), events)?;
    let tracking = format!("refs/remotes/{}/{}", follows.remote, follows.branch);
    repository.reference(&tracking, theirs, true, "fetch").map_err(failed)?;
    let (ahead, behind) = repository.graph_ahead_behind(follows.commit, theirs).map_err(failed)?;
    match (ahead, behind) {
        (_, 0) => Ok(Update::Current { commit: follows.commit.to_string() }),
        (0, _) => forward(&repository, directory, &follows, theirs),
        (ours, theirs) => Err(Error::Diverged { directory: directory.to_owned(), branch: follows.local, ours, theirs }),
    }
}

/// The checked-out branch and where it comes from.
struct Follows {
    /// The branch's own name.
    local: String,
    commit: Oid,
    remote: String,
    url: String,
    /// The name that the remote gives the branch.
    branch: String,
}

fn follows(repository: &Repository) -> Option<Follows> {
    let head = repository.head().ok().filter(git2::Reference::is_branch)?;
    let (local, commit) = (head.shorthand().ok()?.to_owned(), head.target()?);
    let config = repository.config().ok()?;
    let remote = config.get_string(&format!("branch.{local}.remote")).unwrap_or_else(|_| ORIGIN.to_owned());
    let merge = config.get_string(&format!("branch.{local}.merge")).unwrap_or_else(|_| format!("refs/heads/{local}"));
    let branch = merge.strip_prefix("refs/heads/")?.to_owned();
    let url = repository.find_remote(&remote).ok()?.url().ok()?.to_owned();
    Some(Follows { local, commit, remote, url, branch })
}

/// Writes the files first: killed in between, the next update finds them as it wants them.
fn forward(repository: &Repository, directory: &Path, follows: &Follows, to: Oid) -> Result<Update, Error> {
    let failed = |source| Error::Git { directory: directory.to_owned(), source };
    let tree = repository.find_object(to, None).map_err(failed)?;
    let mut files = vec![];
    let mut checkout = CheckoutBuilder::new();
    checkout.safe().notify_on(CheckoutNotificationType::CONFLICT).notify(|_, path, _, _, _| {
        files.extend(path.map(|path| path.display().to_string()));
        true
    });
    let outcome = repository.checkout_tree(&tree, Some(&mut checkout));
    drop(checkout);
    match outcome {
        Err(error) if error.code() == ErrorCode::Conflict => {
            return Err(Error::Changed { directory: directory.to_owned(), files });
        }
        outcome => outcome.map_err(failed)?,
    }
    let mut branch = repository.find_branch(&follows.local, BranchType::Local).map_err(failed)?;
    branch.get_mut().set_target(to, "pull: Fast-forward").map_err(failed)?;
    Ok(Update::Moved { from: follows.commit.to_string(), to: to.to_string() })
}
