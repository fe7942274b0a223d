//! What a remote has.

use crate::module::Failed;
use crate::module::git::copy::Copy;

impl Copy<'_> {
    /// The references of `remote` that fit `pattern`: commit and name.
    fn listed(&self, remote: &str, pattern: &str) -> Result<Vec<(String, String)>, Failed> {
        let listed = self.good(&["ls-remote", remote, pattern], "Failed to ask the remote")?;
        let pair = |line: &str| line.split_once('\t').map(|(commit, name)| (commit.to_owned(), name.to_owned()));
        Ok(listed.lines().filter_map(pair).collect())
    }

    pub(super) fn has_branch(&self, remote: &str, name: &str) -> Result<bool, Failed> {
        let name = format!("refs/heads/{name}");
        Ok(self.listed(remote, &name)?.iter().any(|(_, found)| *found == name))
    }

    pub(super) fn has_tag(&self, remote: &str, name: &str) -> Result<bool, Failed> {
        let name = format!("refs/tags/{name}");
        Ok(self.listed(remote, &name)?.iter().any(|(_, found)| *found == name))
    }

    /// The commit that `remote` has for the version wanted.
    pub(super) fn newest(&self, remote: &str) -> Result<String, Failed> {
        let version = &self.place.arguments.version;
        let missing = || Failed::new(format!("Could not determine remote revision for {version}"));
        let find = |pattern: &str| -> Result<Option<String>, Failed> {
            let found = self.listed(remote, pattern)?;
            Ok(found.into_iter().find(|(_, name)| name == pattern).map(|(commit, _)| commit))
        };
        if version == "HEAD" {
            let name = if self.place.there() { format!("refs/heads/{}", self.branch()?) } else { "HEAD".to_owned() };
            return find(&name)?.ok_or_else(missing);
        }
        if let Some(commit) = find(&format!("refs/heads/{version}"))? {
            return Ok(commit);
        }
        // A tag with a word of its own stands for the commit behind it.
        let tags = self.listed(remote, &format!("refs/tags/{version}*"))?;
        let tag = |name: String| tags.iter().find(|(_, found)| *found == name).map(|(commit, _)| commit.clone());
        let commit = tag(format!("refs/tags/{version}^{{}}")).or_else(|| tag(format!("refs/tags/{version}")));
        Ok(commit.unwrap_or_else(|| version.clone()))
    }

    /// Where the remote is; its own name if nobody knows.
    pub(super) fn known(&self) -> Result<String, Failed> {
        let known = self.git(&["ls-remote", "--get-url", &self.place.arguments.remote])?;
        Ok(known.stdout.trim().to_owned())
    }

    /// Makes the remote be where the task says.
    pub(super) fn point(&self) -> Result<(), Failed> {
        let words = ["remote", "set-url", &self.place.arguments.remote, &self.place.repo];
        self.good(&words, "Failed to set a new url").map(|_| ())
    }
}
