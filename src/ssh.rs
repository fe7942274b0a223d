//! A carrier: one SSH connection through which commands run and sockets of the host are reached.
//!
//! - A [`Session`] is a [`Machine`]; [`Session::unix`] and [`Session::tcp`] reach LXD's socket and Consul's port through
//!   the same connection, so that one open port on the host is enough.
//! - Who the server is, is always verified ([`Settings`]); no setting turns that off.
//! - Names are looked up without the C library ([`resolve`](crate::resolve)): the binary is static.
//! - `~/.ssh/config` is not read. What is needed is in the [`Target`].
//!
//! A server sends as fast as we read the connection, not as fast as one command's output is read. Output that nobody
//! reads is kept up to 16 MiB a command; beyond that the whole connection waits for its reader. Read what you open, or
//! drop it.
//!
//! Sources: RFC 4252, 4253, 4254; OpenSSH's `PROTOCOL` (streamlocal) and `sshd(8)` (`known_hosts`).

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;

use crate::secret::Secret;

mod channel;
mod connect;
mod host_key;
mod keys;
pub mod known_hosts;
mod login;
mod quote;
mod route;
mod session;

pub use channel::Size;
pub use connect::{connect, forget_others};
pub use route::Route;
pub use session::Session;

/// Where an SSH server is and who we are to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// What a person calls the machine, e.g. `host-1`.
    pub name: String,
    /// Name or address, e.g. `host-1.example`, `192.0.2.7`, `fe80::1%eth0`.
    pub host: String,
    /// TCP port, 22 by default.
    pub port: u16,
    /// Login name.
    pub user: String,
    /// A private key to be tried first.
    pub key: Option<PathBuf>,
    /// A password, tried last.
    pub password: Option<Secret>,
    /// How the server is reached.
    pub route: Route,
}

/// A host whose key is seen for the first time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewHost {
    /// As in `known_hosts`: `host-1`, or `[host-1]:2222`.
    pub host: String,
    /// Kind of its key, e.g. `ssh-ed25519`.
    pub algorithm: String,
    /// `SHA256:` and the digest of the key in base64.
    pub fingerprint: String,
}

impl fmt::Display for NewHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the key of `{}` is {} {}", self.host, self.algorithm, self.fingerprint)
    }
}

/// Asks a person whether a new host is the right one. It may block.
pub type Question = Arc<dyn Fn(&NewHost) -> bool + Send + Sync>;

/// Asks a person for the passphrase of the key at this path; `None` if there is nobody to ask. It may block.
pub type Passphrase = Arc<dyn Fn(&Path) -> Option<Secret> + Send + Sync>;

/// What is done about a host whose key is not known yet.
#[derive(Clone)]
pub enum OnNew {
    /// It is an error.
    Refuse,
    /// The fingerprint is shown as a warning, the key is remembered.
    Accept,
    /// A person decides; the key is remembered if they say yes.
    Ask(Question),
}

/// What connections have in common.
#[derive(Clone)]
pub struct Settings {
    /// Files of known host keys that are read; one that is not there counts as empty.
    pub known_hosts: Vec<PathBuf>,
    /// Read as the last of them, and where new keys are remembered.
    pub remember_in: PathBuf,
    /// The one fingerprint to be accepted, e.g. `SHA256:…`; it decides in place of the known keys.
    pub pinned: Option<String>,
    /// What is done about a new host.
    pub on_new: OnNew,
    /// Socket of an SSH agent (`SSH_AUTH_SOCK`).
    pub agent: Option<PathBuf>,
    /// Private keys that are tried when they are there.
    pub keys: Vec<PathBuf>,
    /// How the passphrase of an encrypted key is had.
    pub passphrase: Option<Passphrase>,
    /// Longest time that may pass until the server has said who it is, and for each answer while we log in.
    pub timeout: Duration,
    /// How long a server may be silent before it is asked whether it is still there; the fourth question without an
    /// answer ends the connection.
    pub patience: Duration,
}

impl Settings {
    /// Returns what holds for an account: OpenSSH's files are read, new keys are remembered in `remember_in`.
    ///
    /// New hosts are refused, nothing is pinned, nobody is asked; 20 seconds, and 15.
    pub fn new(home: &Path, remember_in: impl Into<PathBuf>) -> Self {
        let ssh = home.join(".ssh");
        Self {
            known_hosts: vec![ssh.join("known_hosts"), PathBuf::from("/etc/ssh/ssh_known_hosts")],
            remember_in: remember_in.into(),
            pinned: None,
            on_new: OnNew::Refuse,
            agent: None,
            keys: ["id_ed25519", "id_ecdsa", "id_rsa"].map(|name| ssh.join(name)).to_vec(),
            passphrase: None,
            timeout: Duration::from_secs(20),
            patience: Duration::from_secs(15),
        }
    }
}

/// The connection could not be made, or the server is not who it should be, or it does not let us in.
#[derive(Debug, Error)]
pub enum Error {
    /// Nobody answers. Nothing was sent.
    #[error("cannot reach `{host}` on port {port}")]
    Unreachable {
        /// As in the target.
        host: String,
        /// As in the target.
        port: u16,
        /// Why, for each address that was tried.
        source: io::Error,
    },
    /// Somebody answers who does not speak SSH as we do, or stops in the middle.
    #[error("`{host}` on port {port} does not complete the SSH handshake")]
    Handshake {
        /// As in the target.
        host: String,
        /// As in the target.
        port: u16,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The server did not accept anything that we have. Nothing was done.
    #[error("`{host}` does not let `{user}` in: tried {}{}", list(tried), allows(allowed))]
    Refused {
        /// As in the target.
        host: String,
        /// As in the target.
        user: String,
        /// What was tried, in order, e.g. ``key `/root/.ssh/id_ed25519` ``; never a secret.
        tried: Vec<String>,
        /// What the server would accept, e.g. `publickey`.
        allowed: Vec<String>,
    },
    /// The host has another key than the one that is known. Nothing was sent to it.
    #[error("the host key of `{host}` has changed: it is {fingerprint}, not the one in {}:{line}", file.display())]
    HostKeyChanged {
        /// As in `known_hosts`: `host-1`, or `[host-1]:2222`.
        host: String,
        /// Kind and digest of the key that it has now.
        fingerprint: String,
        /// The file with the known key.
        file: PathBuf,
        /// Line in it, from 1.
        line: usize,
    },
    /// The host has a key that was revoked. Nothing was sent to it.
    #[error("the host key of `{host}`, {fingerprint}, is revoked in {}:{line}", file.display())]
    HostKeyRevoked {
        /// As in `known_hosts`.
        host: String,
        /// Kind and digest of the key.
        fingerprint: String,
        /// The file with the revocation.
        file: PathBuf,
        /// Line in it, from 1.
        line: usize,
    },
    /// The host has another key than the pinned one. Nothing was sent to it.
    #[error("the host key of `{host}` is {fingerprint}, not the pinned {pinned}")]
    HostKeyNotPinned {
        /// As in `known_hosts`.
        host: String,
        /// Kind and digest of the key that it has.
        fingerprint: String,
        /// What was pinned.
        pinned: String,
    },
    /// The host is new and nobody said that it is the right one. Nothing was sent to it.
    #[error("the host key of `{host}` is not known: {fingerprint}")]
    HostKeyUnknown {
        /// As in `known_hosts`.
        host: String,
        /// Kind and digest of its key.
        fingerprint: String,
    },
    /// A file of known hosts cannot be read or written.
    #[error("cannot use the known hosts in {}", file.display())]
    KnownHosts {
        /// The file.
        file: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The private key of the target cannot be used.
    #[error("cannot use the private key `{}`", path.display())]
    Key {
        /// The file.
        path: PathBuf,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The private key of the target is encrypted, and there is no passphrase for it.
    #[error("the private key `{}` is encrypted", path.display())]
    KeyEncrypted {
        /// The file.
        path: PathBuf,
    },
    /// The connection broke while we logged in.
    #[error("lost the connection to `{host}` while logging in as `{user}`")]
    Lost {
        /// As in the target.
        host: String,
        /// As in the target.
        user: String,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl Error {
    /// Whether this way to a server is closed, as opposed to one that must not be gone: nobody answers, or we are not
    /// let in.
    pub fn is_closed(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::Handshake { .. } | Self::Refused { .. } | Self::Lost { .. } => true,
            Self::HostKeyChanged { .. }
            | Self::HostKeyRevoked { .. }
            | Self::HostKeyNotPinned { .. }
            | Self::HostKeyUnknown { .. }
            | Self::KnownHosts { .. }
            | Self::Key { .. }
            | Self::KeyEncrypted { .. } => false,
        }
    }
}

fn list(tried: &[String]) -> String {
    if tried.is_empty() { "nothing, for there is no key and no password".to_owned() } else { tried.join(", ") }
}

fn allows(allowed: &[String]) -> String {
    if allowed.is_empty() { String::new() } else { format!("; it allows {}", allowed.join(", ")) }
}
