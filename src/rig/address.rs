//! Where a host is, read from the configuration of host and control node.

use std::path::{Path, PathBuf};

use crate::failure::{Failure, Kind};
use crate::place::{Place, Problem};
use crate::project;
use crate::rig::settings::Carrier;
use crate::secret::Secret;
use crate::yaml::{self, Dialect, Node};

/// A host as the configuration describes it, before anything is opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// Its name.
    pub name: String,
    /// Name or address of its SSH server: the host's end of the tunnel.
    pub host: String,
    /// Port of its SSH server.
    pub port: u16,
    /// Login name.
    pub user: String,
    /// Private key.
    pub key: Option<PathBuf>,
    /// Password, if the configuration has one.
    pub password: Option<Secret>,
    /// Its inventory.
    pub inventory: PathBuf,
    /// Where the repositories stand side by side.
    pub working_directory: PathBuf,
}

impl Address {
    /// What carries the connection unless the settings say otherwise: the host `local` is this computer.
    pub fn carrier(&self) -> Carrier {
        if self.name == "local" { Carrier::Local } else { Carrier::Ssh }
    }
}

/// Reads where `host` is.
///
/// # Errors
///
/// The configuration of the host is missing, cannot be read, or does not say it.
///
/// Source: the `vars` of the plays in ryo-host and in every project (`ansible_port`, `ansible_user`, …).
pub fn read(working_directory: &Path, host: &str) -> Result<Address, Failure> {
    let file = project::host_configuration(working_directory, host);
    let values = document(&file, host)?;
    let need = |key: &str| {
        let found = values.get(key).and_then(Node::written).filter(|text| !text.is_empty()).map(str::to_owned);
        found.ok_or_else(|| missing(&file, &values, key))
    };
    let port = need("host_new_ssh_port")?;
    let port = port.parse().map_err(|_| {
        refused(Problem::new(Place::file(&file), format!("`host_new_ssh_port` is `{port}`, not a port")))
    })?;
    let password = values.get("host_non_root_user_password").and_then(Node::written).unwrap_or_default();
    Ok(Address {
        name: host.to_owned(),
        host: format!("{}::2", need("wireguard_network_ipv6_prefix")?),
        port,
        user: need("host_non_root_user")?,
        key: key(working_directory)?,
        password: (!password.is_empty()).then(|| Secret::new(password)),
        inventory: project::host_inventory(working_directory, host),
        working_directory: working_directory.to_owned(),
    })
}

/// The private key of the control node's configuration, if there is one. Its path names the account in braces.
fn key(working_directory: &Path) -> Result<Option<PathBuf>, Failure> {
    let file = project::control_configuration(working_directory);
    if !file.exists() {
        return Ok(None);
    }
    let values = document(&file, "the control node")?;
    let text = |key: &str| values.get(key).and_then(Node::written).unwrap_or_default().to_owned();
    let user = text("local_non_root_user");
    let path = text("local_non_root_user_ssh_private_key_file_path");
    let rendered = ["{{ local_non_root_user }}", "{{local_non_root_user}}"]
        .iter()
        .fold(path, |path, name| path.replace(name, &user));
    Ok((!rendered.is_empty()).then(|| PathBuf::from(rendered)).filter(|path| path.exists()))
}

fn document(file: &Path, whose: &str) -> Result<Node, Failure> {
    let text = std::fs::read_to_string(file).map_err(|error| {
        let hint =
            "copy the template beside it and fill it in, or name the working directory with `--working-directory`";
        Failure::new(Kind::Request, format!("cannot read the configuration of {whose}, {}: {error}", file.display()))
            .hint(hint)
    })?;
    let documents = yaml::load(&text, Dialect::Ansible)
        .map_err(|error| refused(Problem::new(Place::new(file, error.line, error.column), error.message)))?;
    documents.into_iter().next().ok_or_else(|| refused(Problem::new(Place::file(file), "the file is empty")))
}

fn missing(file: &Path, values: &Node, key: &str) -> Failure {
    let known = values.entries().iter().filter_map(|(name, _)| name.text());
    let problem = Problem::new(Place::file(file), format!("`{key}` is missing"));
    refused(match crate::place::nearest(key, known) {
        Some(near) if near != key => problem.hint(format!("there is `{near}`")),
        _ => problem,
    })
}

fn refused(problem: Problem) -> Failure {
    Failure::new(Kind::Request, problem)
}
