//! What a project or module says of itself in its configuration.

use crate::place::Problem;
use crate::project::settings::Settings;
use crate::project::{Kind, Repository};
use crate::yaml::Node;

/// What a repository calls itself, and where its images are built.
#[derive(Clone, Debug, PartialEq)]
pub struct Identity {
    /// `project_id` or `module_id`: names its images, its folder on the host and its entry in the list of what is
    /// deployed.
    pub id: String,
    /// Whether images are built on the host (`remote_build`); `None` for modules, which follow the project.
    pub remote_build: Option<bool>,
    /// The whole file, in Ansible's dialect.
    pub values: Node,
}

impl Repository {
    /// Reads what the repository says of itself for `host`.
    ///
    /// # Errors
    ///
    /// All [`Problem`]s of the file.
    pub fn identity(&self, host: &str) -> Result<Identity, Vec<Problem>> {
        let (identity, problems, _) = self.inspect(host);
        identity.filter(|_| problems.is_empty()).ok_or(problems)
    }

    /// Reads what the repository says of itself with everything that is wrong with it, then what is doubtful.
    pub fn inspect(&self, host: &str) -> (Option<Identity>, Vec<Problem>, Vec<Problem>) {
        let mut settings = match Settings::read(&self.configuration(host)) {
            Ok(settings) => settings,
            Err(problem) => return (None, vec![problem], vec![]),
        };
        let key = format!("{}_id", self.kind.word());
        let id = settings.filled(&key);
        let fine = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if !id.is_empty() && (!id.chars().all(fine) || id.starts_with(['-', '.'])) {
            let message = format!("`{key}` must be letters, digits, dashes, dots and underscores, not `{id}`");
            settings.problems.push(Problem::new(settings.place(&key), message));
        } else if !id.is_empty() && id != self.name {
            let message = format!("`{key}` is `{id}`, but the directory is called `{}`", self.name);
            let warning = Problem::new(settings.place(&key), message);
            settings.warnings.push(warning.hint("give the directory the same name"));
        }
        let remote_build = match self.kind {
            Kind::Project => Some(settings.truth("remote_build")),
            Kind::Module => None,
        };
        let values = settings.node().clone();
        settings.placeholders(|key| matters(key, &values));
        let identity = (!id.is_empty()).then_some(Identity { id, remote_build, values });
        (identity, settings.problems, settings.warnings)
    }
}

/// Whether the value of a key is looked at: an identity provider that is not used needs no values, nor does a private
/// repository that is public.
fn matters(key: &str, values: &Node) -> bool {
    let is = |name: &str, wanted: &str| values.get(name).and_then(Node::written) == Some(wanted);
    if key.starts_with("project_idp_gitea_") {
        return is("project_idp_mode", "gitea");
    }
    let private = key.strip_suffix("_user").or_else(|| key.strip_suffix("_token"));
    private.is_none_or(|stem| !is(&format!("{stem}_private"), "false"))
}
