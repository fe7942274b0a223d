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
            reading: playbook::reading::Reading::of_environment().unwrap_or_default(),
        };
        let playbooks = PLAYBOOKS.iter().filter(|(what, _)| *what == self.what).flat_map(|(_, playbooks)| *playbooks);
        let present = playbooks.map(|name| self.directory.join(name)).filter(|playbook| playbook.is_file());
        let found = present.flat_map(|playbook| playbook::check(&playbook, &known));
        found.filter(|problem| !is_made_on_the_way(problem, working_directory, host)).collect()
    }
}

/// Whether a problem is a file that is not there, but that a task of a set-up writes before another one reads it: keys,
/// certificates, configurations of the tunnel.
fn is_made_on_the_way(problem: &Problem, working_directory: &Path, host: &str) -> bool {
    let Some(rest) = problem.message.strip_prefix("there is no file `") else { return false };
    let name = rest.split('`').next().and_then(|path| Path::new(path).file_name()).unwrap_or_default();
    let name = name.to_string_lossy();
    ["ryo-host/host-setup", "ryo-control-node/control-node"]
        .iter()
        .any(|part| writes(&working_directory.join(part), &name, host, DEEPEST))
}

/// Deepest folder that is searched; roles are four deep.
const DEEPEST: usize = 8;

fn writes(directory: &Path, name: &str, host: &str, depth: usize) -> bool {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).any(|path| {
        if path.is_dir() && !path.is_symlink() {
            return depth > 0 && writes(&path, name, host, depth - 1);
        }
        let playbook = path.extension().is_some_and(|extension| extension == "yml" || extension == "yaml");
        playbook && std::fs::read_to_string(&path).is_ok_and(|text| text.lines().any(|line| names(line, name, host)))
    })
}

/// Whether a line says where a task writes, and that is to a file called `name`.
fn names(line: &str, name: &str, host: &str) -> bool {
    let Some((key, value)) = line.trim().trim_start_matches("- ").split_once(':') else { return false };
    let value = value.trim().trim_matches(['"', '\'']).replace("{{ host_id }}", host).replace("{{host_id}}", host);
    ["path", "dest"].contains(&key.trim()) && value.rsplit('/').next() == Some(name)
}
