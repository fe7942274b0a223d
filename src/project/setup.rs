//! The repositories that set up hosts and control nodes: playbooks and nothing else.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use crate::place::Problem;
use crate::playbook;
use crate::project::host_inventory;

/// What a repository sets up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum What {
    Host,
    ControlNode,
}

/// Where each kind has its playbooks; the first one must be there.
const PLAYBOOKS: [(What, &[&str]); 2] = [
    (What::Host, &["host-setup/setup.yml", "host-setup/upgrade.yml"]),
    (What::ControlNode, &["control-node/main.yml"]),
];

/// A repository that sets something up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setup {
    what: What,
    directory: PathBuf,
    /// The directory that it stands in, beside the others.
    pub working_directory: PathBuf,
}

impl Setup {
    /// Looks whether `directory` is such a repository.
    pub fn find(directory: &Path) -> Option<Self> {
        let directory = directory.canonicalize().ok()?;
        let (what, _) = PLAYBOOKS.iter().find(|(_, playbooks)| directory.join(playbooks[0]).is_file())?;
        let working_directory = directory.parent().unwrap_or(&directory).to_owned();
        Some(Self { what: *what, directory, working_directory })
    }

    /// Returns what is wrong with its playbooks, as they are run for `host`.
    pub fn problems(&self, working_directory: &Path, host: &str) -> Vec<Problem> {
        let inventory = match self.what {
            What::Host => host_inventory(working_directory, host),
            What::ControlNode => self.directory.join("configuration/inventory"),
        };
        let known = playbook::Known {
            extra_vars: Map::from_iter([("host_id".to_owned(), Value::from(host))]),
            inventory: vec![playbook::Source::File(inventory)],
        };
        let playbooks = PLAYBOOKS.iter().filter(|(what, _)| *what == self.what).flat_map(|(_, playbooks)| *playbooks);
        let present = playbooks.map(|name| self.directory.join(name)).filter(|playbook| playbook.is_file());
        present.flat_map(|playbook| playbook::check(&playbook, &known)).collect()
    }
}
