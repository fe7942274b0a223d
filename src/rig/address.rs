//! Where a host is, read from the configuration of host and control node.

use std::path::{Path, PathBuf};

use crate::place::Problem;
use crate::project;
use crate::rig::settings::Carrier;
use crate::secret::Secret;

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
    /// Host and port of its Consul, seen from it.
    pub consul: String,
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
/// Everything that is wrong in the configuration of the host.
///
/// Source: the `vars` of the plays in ryo-host and in every project (`ansible_port`, `ansible_user`, …).
pub fn read(working_directory: &Path, host: &str) -> Result<Address, Vec<Problem>> {
    let configured = project::host::read(working_directory, host)?;
    // A control node without a key may have an SSH agent, or be the host itself.
    let key = project::control::read(working_directory).ok().map(|control| PathBuf::from(control.private_key));
    let password = Some(configured.user_password.clone()).filter(|password| !password.reveal().is_empty());
    Ok(Address {
        name: host.to_owned(),
        host: configured.tunnel_address(),
        port: configured.ssh_port,
        consul: configured.consul_address(),
        user: configured.user,
        key: key.filter(|path| path.exists()),
        password,
        inventory: project::host_inventory(working_directory, host),
        working_directory: working_directory.to_owned(),
    })
}
