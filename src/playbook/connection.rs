//! How a host of an inventory is reached, as a value. The rig turns it into a machine.

use std::path::PathBuf;

use crate::secret::Secret;

/// How a host is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Connection {
    /// This computer.
    Local,
    /// SSH.
    Ssh(Ssh),
    /// A container or virtual machine on an LXD server.
    Lxd(Guest),
    /// A container or virtual machine on an Incus server.
    Incus(Guest),
}

/// Where an SSH server is and who we are to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ssh {
    /// Name or address (`ansible_host`).
    pub host: String,
    /// Port (`ansible_port`), 22 by default.
    pub port: u16,
    /// Login name (`ansible_user`); the current account's name if none.
    pub user: Option<String>,
    /// Private key (`ansible_ssh_private_key_file`).
    pub key: Option<PathBuf>,
    /// Password (`ansible_password`, `ansible_ssh_pass`).
    pub password: Option<Secret>,
}

/// An instance of an LXD or Incus server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Guest {
    /// The server (`ansible_lxd_remote`), `local` by default.
    pub remote: String,
    /// The instance (`ansible_host`, or the inventory name).
    pub instance: String,
    /// The server's project (`ansible_lxd_project`), `default` by default.
    pub project: Option<String>,
}

/// Another account to work as (`become`).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Become {
    /// The account (`become_user`), `root` by default.
    pub user: String,
    /// How (`become_method`).
    pub method: Method,
    /// What `sudo` or `su` is told beside (`become_flags`); what is usual if nothing.
    pub flags: Vec<String>,
}

/// How another account is taken on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Method {
    /// `sudo -n`, or `sudo -S` with the password on standard input.
    Sudo,
    /// `su`.
    Su,
}
