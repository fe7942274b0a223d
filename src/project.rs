//! A checked-out repository, typed: where its parts are, what its configuration says, what only its scripts know.
//!
//! Repositories stand side by side in one working directory and refer to each other as `../<repository>`.

pub mod access;
pub mod check;
pub mod control;
pub mod deployed;
pub mod host;
pub mod identity;
pub mod load;
pub mod networks;
mod replace;
pub mod script;
pub mod settings;
pub mod setup;
pub mod value;
pub mod written;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::place::Problem;

pub use self::control::Control;
pub use self::host::Host;
pub use self::identity::Identity;
pub use self::load::load;
pub use self::replace::replace;

/// Which of the two shapes a repository has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A service of one's own: `project-deployment/`, configured per host.
    Project,
    /// Something that projects share: `module-deployment/`, configured once.
    Module,
}

impl Kind {
    /// Returns `project` or `module`: names of keys, folders and scripts are made of it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Project => "project",
            Self::Module => "module",
        }
    }
}

/// A checked-out repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Repository {
    /// Name of its directory, which other repositories and scripts call it by. What it calls itself (`project_id`,
    /// `module_id`) stands in its configuration.
    pub name: String,
    /// Its shape.
    pub kind: Kind,
    /// Where it is; absolute.
    pub directory: PathBuf,
    /// Where the repositories stand side by side; absolute.
    pub working_directory: PathBuf,
    /// Modules that it needs, in the order of `MODULES=`, then those that only Terraform files mention.
    pub modules: Vec<String>,
    /// Values of the build scripts that templates have variables for, by name, e.g. `gitea_version`.
    pub versions: BTreeMap<String, String>,
    /// Packer templates, in the order in which the build scripts use them.
    pub templates: Vec<PathBuf>,
    /// The playbook that prepares the host, if there is one.
    pub host_setup: Option<PathBuf>,
    /// The directory of the Terraform files.
    pub deployment: PathBuf,
}

impl Repository {
    /// Which Consul keys its containers write.
    ///
    /// # Errors
    ///
    /// A file of its images or of its deployment cannot be read.
    pub fn writes(&self) -> std::io::Result<access::Writes> {
        access::writes(&[&self.directory.join("image-build"), &self.deployment])
    }

    /// Returns its configuration for `host`: projects have one per host, modules one for all.
    pub fn configuration(&self, host: &str) -> PathBuf {
        let directory = self.directory.join("configuration");
        match self.kind {
            Kind::Project => directory.join(format!("configuration_{host}.yml")),
            Kind::Module => directory.join("configuration.yml"),
        }
    }

    /// Returns the directory of the repository called `name` in the same working directory.
    pub fn sibling(&self, name: &str) -> PathBuf {
        self.working_directory.join(name)
    }
}

/// Returns the configuration of `host`.
pub fn host_configuration(working_directory: &Path, host: &str) -> PathBuf {
    working_directory.join("ryo-host/configuration").join(format!("configuration_{host}.yml"))
}

/// Returns the inventory of `host`.
pub fn host_inventory(working_directory: &Path, host: &str) -> PathBuf {
    working_directory.join("ryo-host/configuration").join(format!("inventory_{host}"))
}

/// Returns the configuration of the control node.
pub fn control_configuration(working_directory: &Path) -> PathBuf {
    working_directory.join("ryo-control-node/configuration/configuration.yml")
}

/// Returns the names of the hosts that have a configuration, sorted.
pub fn hosts(working_directory: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(working_directory.join("ryo-host/configuration")).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries.filter_map(|entry| host_of(entry.file_name().to_str()?)).collect();
    names.sort();
    names
}

/// Returns the repositories in `working_directory` that are configured for `host`, by what they call themselves, and what
/// is wrong with those that do not tell.
pub fn of_host(working_directory: &Path, host: &str) -> (BTreeMap<String, Repository>, Vec<Problem>) {
    let working_directory = std::path::absolute(working_directory).unwrap_or_else(|_| working_directory.to_owned());
    let entries = std::fs::read_dir(&working_directory).into_iter().flatten().flatten();
    let mut directories: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
    directories.retain(|it| ["project-deployment", "module-deployment"].iter().any(|part| it.join(part).is_dir()));
    directories.sort();
    let (mut repositories, mut problems) = (BTreeMap::new(), vec![]);
    for directory in directories {
        let loaded = load(&directory).and_then(|repository| {
            let repository = Repository { working_directory: working_directory.clone(), ..repository };
            let is_for_it = repository.configuration(host).is_file();
            is_for_it.then(|| Ok((repository.identity(host)?.id, repository))).transpose()
        });
        match loaded {
            Ok(found) => repositories.extend(found),
            Err(these) => problems.extend(these),
        }
    }
    (repositories, problems)
}

/// The host that a configuration file is for. The original's template is for none.
fn host_of(file: &str) -> Option<String> {
    let name = file.strip_prefix("configuration_")?.strip_suffix(".yml")?;
    (name != "TEMPLATE").then(|| name.to_owned())
}
