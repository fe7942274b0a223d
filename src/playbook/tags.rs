//! Which tasks are carried out: `--tags` and `--skip-tags` against the tags of a task.
//!
//! Source: ansible-core 2.15, `playbook/taggable.py`.

/// What is asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Tags that a task must have one of; none means `all`.
    pub only: Vec<String>,
    /// Tags that a task must not have.
    pub skip: Vec<String>,
}

impl Wanted {
    /// Whether a task with these tags is carried out.
    pub fn includes(&self, tags: &[String]) -> bool {
        let has = |name: &str| tags.iter().any(|tag| tag == name);
        let only =
            |name: &str| if self.only.is_empty() { name == "all" } else { self.only.iter().any(|tag| tag == name) };
        let skip = |name: &str| self.skip.iter().any(|tag| tag == name);
        let named = |list: &[String]| tags.iter().any(|tag| list.contains(tag));
        let untagged = tags.is_empty();
        let chosen = has("always")
            || (only("all") && !has("never"))
            || named(&self.only)
            || (untagged && only("untagged"))
            || (only("tagged") && !untagged && !has("never"));
        let skipped = if skip("all") {
            !has("always") || skip("always")
        } else {
            named(&self.skip) || (untagged && skip("untagged")) || (!untagged && skip("tagged"))
        };
        chosen && !skipped
    }
}

/// Reads a list of tags, each perhaps several between commas.
pub fn read(lists: &[String]) -> Vec<String> {
    lists
        .iter()
        .flat_map(|list| list.split(','))
        .map(str::trim)
        .filter(|tag| !tag.is_empty())
        .map(str::to_owned)
        .collect()
}
