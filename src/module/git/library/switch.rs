//! Switching a working copy to another version.

use git2::build::CheckoutBuilder;
use git2::{Commit, Repository};

use crate::module::Failed;
use crate::module::git::library::{Library, fill, told, without};

impl Library<'_> {
    /// Switches to the version wanted.
    pub(crate) fn switch(&self) -> Result<(), Failed> {
        let (version, remote) = (&self.place.arguments.version, &self.place.arguments.remote);
        let repository = self.open()?;
        if version == "HEAD" {
            let branch = self.branch(&repository)?;
            return self.to_branch(&repository, &branch);
        }
        if self.references(remote)?.commit(&format!("refs/heads/{version}")).is_some() {
            return self.to_branch(&repository, version);
        }
        let failed = |error: git2::Error| told(&format!("Failed to checkout {version}"), &error);
        let own = format!("refs/heads/{version}");
        if let Ok(commit) = repository.find_reference(&own).and_then(|branch| branch.peel_to_commit()) {
            self.check_out(&repository, &commit)?;
            return repository.set_head(&own).map_err(failed);
        }
        let commit = repository.revparse_single(version).and_then(|object| object.peel_to_commit());
        let unknown = "pathspec did not match any file(s) known to git";
        let commit = commit.map_err(|_| Failed::new(format!("Failed to checkout {version}: error: {unknown}")))?;
        self.check_out(&repository, &commit)?;
        repository.set_head_detached(commit.id()).map_err(failed)
    }

    /// Makes a branch what the remote's is, and switches to it.
    fn to_branch(&self, repository: &Repository, branch: &str) -> Result<(), Failed> {
        let failed = |error: git2::Error| told(&format!("Failed to checkout branch {branch}"), &error);
        let (remote, own) = (&self.place.arguments.remote, format!("refs/heads/{branch}"));
        let tip = repository.find_reference(&format!("refs/remotes/{remote}/{branch}"));
        let tip = tip.and_then(|tip| tip.peel_to_commit()).map_err(failed)?;
        self.check_out(repository, &tip)?;
        if repository.find_reference(&own).is_err() {
            fill::follow(repository, branch, remote).map_err(failed)?;
        }
        repository.reference(&own, tip.id(), true, &format!("reset: moving to {remote}/{branch}")).map_err(failed)?;
        repository.set_head(&own).map_err(failed)
    }

    /// Makes the files be those of `commit`; changes are lost.
    fn check_out(&self, repository: &Repository, commit: &Commit) -> Result<(), Failed> {
        let failed = |error: git2::Error| told(&format!("Failed to checkout {}", self.place.arguments.version), &error);
        let modules = commit.tree().map_err(failed)?.get_name(".gitmodules").is_some();
        if modules && self.place.arguments.recursive {
            return Err(without("submodules cannot be brought (`recursive: no` leaves them out)"));
        }
        repository.checkout_tree(commit.as_object(), Some(CheckoutBuilder::new().force())).map_err(failed)
    }

    /// The branch that is checked out, or the remote's main one.
    pub(super) fn branch(&self, repository: &Repository) -> Result<String, Failed> {
        let failed = |error: git2::Error| told("Failed to find the main branch", &error);
        let named = |name: &str| -> Result<Option<String>, git2::Error> {
            Ok(repository.find_reference(name)?.symbolic_target()?.map(str::to_owned))
        };
        if let Some(branch) = named("HEAD").map_err(failed)? {
            return Ok(branch.trim_start_matches("refs/heads/").to_owned());
        }
        let start = format!("refs/remotes/{}/", self.place.arguments.remote);
        let there = named(&format!("{start}HEAD")).map_err(failed)?;
        let branch = there.and_then(|name| name.strip_prefix(&start).map(str::to_owned));
        branch.ok_or_else(|| Failed::new("Failed to find the main branch"))
    }

    /// There are none: a version that has some is refused.
    #[expect(clippy::unused_self, clippy::unnecessary_wraps, reason = "as with the program")]
    pub(crate) fn submodules(&self) -> Result<bool, Failed> {
        Ok(false)
    }
}
