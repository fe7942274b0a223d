//! Bringing what a remote has: into a new working copy, and into one that is there.

use std::fs;
use std::io;
use std::path::Path;

use git2::build::CheckoutBuilder;
use git2::{Direction, Oid, Repository, RepositoryInitOptions};

use crate::git::remote::{References, Remote};
use crate::module::Failed;
use crate::module::git::library::{Library, bring, foreign, told};

const CLONING: &str = "Failed to clone";
const FETCHING: &str = "Failed to download remote objects and refs";

impl Library<'_> {
    /// Makes it. What is half made does not stay.
    pub(crate) fn clone_it(&self) -> Result<(), Failed> {
        let path = self.place.path();
        let files = |error: io::Error| Failed::new(format!("{CLONING}: cannot work in {path}: {error}"));
        let mut remote = self.remote(&self.place.repo)?;
        let references = remote.references().map_err(|error| foreign(CLONING, &error))?;
        self.place.make_room()?;
        let (real, room) = (self.real(), Room::find(&self.real()).map_err(files)?);
        let Room::Free { beside } = &room else {
            if matches!(room, Room::Taken) {
                let why = "already exists and is not an empty directory";
                return Err(Failed::new(format!("{CLONING}: destination path '{path}' {why}.")));
            }
            // Who may write here may not be allowed to beside it.
            return self.fill(&real, &remote, &references).inspect_err(|_| drop(emptied(&real)));
        };
        let made = self.fill(beside, &remote, &references);
        let made = made.and_then(|()| fs::rename(beside, &real).map_err(files));
        made.inspect_err(|_| drop(fs::remove_dir_all(beside)))
    }

    fn fill(&self, at: &Path, remote: &Remote, references: &References) -> Result<(), Failed> {
        let failed = |error: git2::Error| told(CLONING, &error);
        let bare = self.place.arguments.bare;
        let mut options = RepositoryInitOptions::new();
        let repository = Repository::init_opts(at, options.external_template(false).bare(bare)).map_err(failed)?;
        let mut wanted = kept(references);
        if references.head.is_none() {
            wanted.extend(references.commit("HEAD").map(|commit| ("HEAD".to_owned(), commit)));
        }
        bring(remote, &repository, &wanted).map_err(|error| foreign(CLONING, &error))?;
        let settled =
            if bare { self.settle_bare(&repository, references) } else { self.settle(&repository, references) };
        settled.map_err(failed)
    }

    /// Names what was brought, and checks out what the remote has checked out.
    fn settle(&self, repository: &Repository, references: &References) -> Result<(), git2::Error> {
        let name = &self.place.arguments.remote;
        repository.remote(name, &self.place.repo)?;
        for (reference, object) in kept(references) {
            let own = match reference.strip_prefix("refs/heads/") {
                Some(branch) => format!("refs/remotes/{name}/{branch}"),
                None => reference,
            };
            repository.reference(&own, object, true, "clone")?;
        }
        if let Some(main) = references.main_branch() {
            let branch = main.trim_start_matches("refs/heads/");
            let tip = format!("refs/remotes/{name}/{branch}");
            repository.reference_symbolic(&format!("refs/remotes/{name}/HEAD"), &tip, true, "clone")?;
            let Some(commit) = references.commit(&main) else { return repository.set_head(&main) };
            repository.reference(&main, commit, true, "clone")?;
            follow(repository, branch, name)?;
            repository.set_head(&main)?;
        } else if let Some(commit) = references.commit("HEAD") {
            repository.set_head_detached(commit)?;
        } else {
            return Ok(());
        }
        repository.checkout_head(Some(CheckoutBuilder::new().force()))
    }

    fn settle_bare(&self, repository: &Repository, references: &References) -> Result<(), git2::Error> {
        for (reference, object) in kept(references) {
            repository.reference(&reference, object, true, "clone")?;
        }
        repository.config()?.set_str("remote.origin.url", &self.place.repo)?;
        let name = &self.place.arguments.remote;
        if name != "origin" {
            repository.remote(name, &self.place.repo)?;
        }
        match (references.main_branch(), references.commit("HEAD")) {
            (Some(main), _) => repository.set_head(&main),
            (None, Some(commit)) => repository.set_head_detached(commit),
            (None, None) => Ok(()),
        }
    }

    /// Brings what is new.
    pub(crate) fn fetch(&self) -> Result<(), Failed> {
        let failed = |error: git2::Error| told(FETCHING, &error);
        let (repository, name) = (self.open()?, &self.place.arguments.remote);
        let known = repository.find_remote(name).map_err(failed)?;
        let mut remote = self.remote(name)?;
        let references = remote.references().map_err(|error| foreign(FETCHING, &error))?;
        bring(&remote, &repository, &kept(&references)).map_err(|error| foreign(FETCHING, &error))?;
        let mut refused = vec![];
        for (reference, object) in kept(&references) {
            if let Some(tag) = reference.strip_prefix("refs/tags/") {
                let forced = self.place.arguments.force || self.place.arguments.bare;
                if !forced && repository.refname_to_id(&reference).is_ok_and(|here| here != object) {
                    refused.push(format!("! [rejected] {tag} -> {tag} (would clobber existing tag)"));
                    continue;
                }
            }
            for own in self.owns(&known, &reference).map_err(failed)? {
                repository.reference(&own, object, true, "fetch").map_err(failed)?;
            }
        }
        if refused.is_empty() { Ok(()) } else { Err(Failed::new(format!("{FETCHING}: {}", refused.join("\n")))) }
    }

    /// What a reference of the remote is called here.
    fn owns(&self, known: &git2::Remote, reference: &str) -> Result<Vec<String>, git2::Error> {
        if self.place.arguments.bare || reference.starts_with("refs/tags/") {
            return Ok(vec![reference.to_owned()]);
        }
        let specs = known.refspecs().filter(|spec| spec.direction() == Direction::Fetch && spec.src_matches(reference));
        let own = |spec: git2::Refspec| spec.transform(reference).map(|own| String::from_utf8_lossy(&own).into_owned());
        specs.map(own).collect()
    }
}

/// Makes `branch` follow the one of the same name at `remote`.
pub(super) fn follow(repository: &Repository, branch: &str, remote: &str) -> Result<(), git2::Error> {
    let mut config = repository.config()?;
    config.set_str(&format!("branch.{branch}.remote"), remote)?;
    config.set_str(&format!("branch.{branch}.merge"), &format!("refs/heads/{branch}"))
}

/// Branches and tags of the remote.
fn kept(references: &References) -> Vec<(String, Oid)> {
    let is_kept =
        |name: &str| (name.starts_with("refs/heads/") || name.starts_with("refs/tags/")) && !name.ends_with("^{}");
    references.names.iter().filter(|(name, _)| is_kept(name) && git2::Reference::is_valid_name(name)).cloned().collect()
}

/// What is where a working copy shall be.
enum Room {
    /// Nothing: it is made beside, and takes its place when it is whole.
    Free { beside: std::path::PathBuf },
    /// An empty directory.
    Empty,
    /// Something.
    Taken,
}

impl Room {
    fn find(real: &Path) -> io::Result<Self> {
        if real.symlink_metadata().is_err() {
            let beside = crate::git::beside(real);
            if beside.exists() {
                fs::remove_dir_all(&beside)?;
            }
            return Ok(Self::Free { beside });
        }
        let empty = real.is_dir() && fs::read_dir(real)?.next().is_none();
        Ok(if empty { Self::Empty } else { Self::Taken })
    }
}

/// Removes what is in a directory.
fn emptied(directory: &Path) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() { fs::remove_dir_all(entry.path())? } else { fs::remove_file(entry.path())? }
    }
    Ok(())
}
