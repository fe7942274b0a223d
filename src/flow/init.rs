//! The first configuration of a host, and of the control node where there is none yet.

use std::path::{Path, PathBuf};

use crate::flow::fresh::Fresh;
use crate::place::Problem;
use crate::project::networks::{self, Network};
use crate::project::{self, Control, Host, control_configuration, host_configuration, host_inventory, written};
use crate::secret::Secret;

/// What is there already.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// The control node's configuration.
    pub control: Option<Control>,
    /// The host's configuration.
    pub host: Option<Host>,
    /// The host's inventory.
    pub inventory: Inventory,
}

/// Whether the host has an inventory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Inventory {
    /// Yes.
    There,
    /// No.
    Missing,
}

/// What will be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Files that are made.
    pub files: Vec<Fresh>,
    /// Files that are there and stay as they are.
    pub kept: Vec<PathBuf>,
}

/// Looks what there is for `host`.
///
/// # Errors
///
/// What is wrong with the files that are there.
pub fn look(working_directory: &Path, host: &str) -> Result<Seen, Vec<Problem>> {
    let control = control_configuration(working_directory).exists().then(|| project::control::read(working_directory));
    let configured = host_configuration(working_directory, host).exists();
    let configured = configured.then(|| project::host::read(working_directory, host));
    let inventory =
        if host_inventory(working_directory, host).exists() { Inventory::There } else { Inventory::Missing };
    match (control.transpose(), configured.transpose()) {
        (Ok(control), Ok(host)) => Ok(Seen { control, host, inventory }),
        (control, host) => Err(control.err().into_iter().chain(host.err()).flatten().collect()),
    }
}

/// Returns what is in the way of the networks of a new host, `host`, that has these addresses.
///
/// # Errors
///
/// The configurations of other hosts cannot be read.
pub fn taken(
    working_directory: &Path,
    control: &Control,
    host: &str,
    addresses: &[std::net::IpAddr],
) -> Result<Vec<Network>, Vec<Problem>> {
    let mut taken = networks::taken(working_directory, control, host)?;
    taken.extend(addresses.iter().copied().map(Network::only));
    Ok(taken)
}

/// Plans what is missing.
pub fn plan(working_directory: &Path, seen: &Seen, control: &Control, host: &Host) -> Plan {
    let mut plan = Plan { files: vec![], kept: vec![] };
    let mut file = |path: PathBuf, there: bool, text: &dyn Fn() -> String, mode: u32| {
        if there {
            plan.kept.push(path);
        } else {
            plan.files.push(Fresh { path, text: Secret::new(text()), mode });
        }
    };
    let name = &host.name;
    let control_file = control_configuration(working_directory);
    file(control_file, seen.control.is_some(), &|| written::control(control), 0o600);
    file(host_configuration(working_directory, name), seen.host.is_some(), &|| written::host(host), 0o600);
    let inventory = seen.inventory == Inventory::There;
    file(host_inventory(working_directory, name), inventory, &|| written::inventory(host), 0o644);
    plan
}
