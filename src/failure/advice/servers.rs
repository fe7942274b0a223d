//! Of errors of what answers on a host or elsewhere: servers, SSH, programs, playbooks.

use std::error::Error as StdError;
use std::io;

use super::Advice;
use crate::backend::program;
use crate::failure::Kind;
use crate::http::HttpError;
use crate::{agent, backend, consul, git, lxd, playbook, sql, ssh};

pub(super) fn lxd(error: &lxd::Error) -> Advice {
    match error {
        lxd::Error::Http(error) => http(
            error,
            "start LXD or Incus on the host",
            "add the account to the group of LXD or Incus on the host (`lxd`, `incus-admin`)",
        ),
        lxd::Error::Untrusted { .. } => {
            Advice::of(Kind::Identity, "add this client's certificate to the trust store of the server")
        }
        lxd::Error::NoImage { name } => Advice::of(
            Kind::World,
            &format!(
                "import an image under this name, or name another one under `images:` in the settings: `{name}: …`"
            ),
        ),
        lxd::Error::Failed { reason, .. } if reason.contains("no space left") => {
            Advice::of(Kind::World, "make room on the storage pool: `ryo image prune` removes images that nothing uses")
        }
        lxd::Error::CloudInit { instance, .. } => {
            Advice::of(Kind::World, &format!("its log is /var/log/cloud-init-output.log in instance `{instance}`"))
        }
        _ => Advice::world(),
    }
}

pub(super) fn http(error: &HttpError, start: &str, permit: &str) -> Advice {
    match error {
        HttpError::Unreachable { source, .. } => match source.kind() {
            io::ErrorKind::PermissionDenied => Advice::of(Kind::World, permit),
            // Through SSH, a socket that we may not use looks as one on which nobody listens.
            io::ErrorKind::ConnectionRefused => {
                Advice { kind: Kind::World, hints: vec![start.to_owned(), permit.to_owned()] }
            }
            _ => Advice::of(Kind::World, start),
        },
        HttpError::Cut { .. } => Advice::world(),
    }
}

pub(super) fn consul(error: &consul::Error) -> Advice {
    match error {
        consul::Error::Http(error) => http(
            error,
            "start Consul on the host, or say under `hosts:` in the settings where it is",
            "if it is reached through SSH, allow that in the server's configuration (`AllowTcpForwarding`)",
        ),
        consul::Error::NoLeader { .. } => Advice::of(Kind::World, "wait until the Consul server is ready"),
        consul::Error::Refused { status: 500.., .. } => {
            Advice::of(Kind::World, "Consul's own log on the host says more")
        }
        consul::Error::Refused { status: 401 | 403, .. } => {
            Advice::of(Kind::Identity, "Consul wants a token that allows this")
        }
        consul::Error::Refused { .. }
        | consul::Error::RolledBack { .. }
        | consul::Error::TooMany { .. }
        | consul::Error::Timeout { .. }
        | consul::Error::Malformed { .. } => Advice::world(),
    }
}

pub(super) fn sql(error: &sql::Error) -> Advice {
    match error {
        sql::Error::Unreachable { .. } => {
            Advice::of(Kind::World, "start the database server, or deploy the module that it is in")
        }
        sql::Error::Login { .. } => Advice::of(
            Kind::Identity,
            "check account and password of the provider, and from where the server lets that account in",
        ),
        sql::Error::Refused { .. } | sql::Error::Cut { .. } => Advice::world(),
    }
}

pub(super) fn git(error: &git::Error) -> Advice {
    use git::Error as E;
    let (kind, first) = match error {
        E::Changed { .. } => (Kind::Request, Some("commit these changes or take them back")),
        E::Diverged { .. } => (Kind::Request, Some("merge the two, or go back to the remote's commits")),
        E::NoUpstream { .. } => (Kind::Request, Some("check out a branch that follows one of the remote repository")),
        E::Address { .. } => (Kind::Request, Some("give the remote an https address: `git remote set-url origin …`")),
        E::NoRepository { .. } => (Kind::Request, None),
        E::Exists { .. } => return Advice::of(Kind::Request, "move it away, or clone the repository into its place"),
        E::Missing { .. } | E::NoBranch { .. } => {
            return Advice::of(
                Kind::Request,
                "check the name, and where modules are cloned from (`modules:` in the settings)",
            );
        }
        E::Unreachable { .. } | E::Protocol { .. } | E::Git { .. } | E::Files { .. } => (Kind::World, None),
    };
    let hints = first.into_iter().chain(["give `--no-pull` to deploy what is checked out"]);
    Advice { kind, hints: hints.map(str::to_owned).collect() }
}

pub(super) fn agent(error: &agent::Error) -> Advice {
    match error {
        agent::Error::Held { .. } => Advice::of(Kind::Locked, "wait until it has ended"),
        agent::Error::Become { .. } | agent::Error::Password { .. } => {
            Advice::of(Kind::Identity, "allow the account to use sudo without a password, or give its password")
        }
        _ => Advice::world(),
    }
}

pub(super) fn backend(error: &backend::Error) -> Advice {
    match error {
        backend::Error::Playbook(error) => playbook(error),
        backend::Error::Program(error) => program(error),
    }
}

pub(super) fn program(error: &program::Error) -> Advice {
    match error {
        program::Error::Absent { .. } | program::Error::Version { .. } => Advice::of(
            Kind::Request,
            "install it, or let ryo do the work: without the option or the setting that asks for it",
        ),
        program::Error::Io { .. } | program::Error::File { .. } | program::Error::Failed { .. } => Advice::world(),
    }
}

pub(super) fn playbook(error: &playbook::Error) -> Advice {
    match error {
        playbook::Error::Problems(_) => Advice { kind: Kind::Request, hints: vec![] },
        playbook::Error::Unreachable { source, .. } => unreachable(source.as_ref()),
        playbook::Error::Failed { .. } => Advice::world(),
        playbook::Error::Stopped { .. } => Advice { kind: Kind::Interrupted, hints: vec![] },
    }
}

/// What a carrier said, if it is one of ours.
pub(super) fn unreachable(error: &(dyn StdError + Send + Sync + 'static)) -> Advice {
    if let Some(error) = error.downcast_ref::<ssh::Error>() {
        ssh(error)
    } else if let Some(error) = error.downcast_ref::<agent::Error>() {
        agent(error)
    } else if let Some(masked) = error.downcast_ref::<playbook::Masked>() {
        unreachable(masked.cause())
    } else {
        Advice::world()
    }
}

pub(super) fn ssh(error: &ssh::Error) -> Advice {
    match error {
        ssh::Error::Unreachable { .. } => {
            Advice::of(Kind::World, "check that the host is up, and the address and port in its configuration")
        }
        ssh::Error::Handshake { .. } => {
            Advice::of(Kind::World, "check that the port in its configuration is that of its SSH server")
        }
        ssh::Error::Lost { .. } => Advice::world(),
        ssh::Error::KnownHosts { .. } => {
            Advice::of(Kind::World, "make the file readable and writable for this account")
        }
        ssh::Error::Refused { .. } => {
            Advice::of(Kind::Identity, "check the account, the key and the password in the configuration")
        }
        ssh::Error::HostKeyChanged { file, line, .. } => Advice {
            kind: Kind::Identity,
            hints: vec![
                "somebody may be between you and the host: compare the fingerprint with the one on its console"
                    .to_owned(),
                format!("if the host was set up anew, remove line {line} of {} and connect again", file.display()),
            ],
        },
        ssh::Error::HostKeyUnknown { fingerprint, .. } => {
            let digest = fingerprint.split_once(' ').map_or(fingerprint.as_str(), |(_, digest)| digest);
            let pin = format!(
                "if this is the right host, add `--host-key {digest}`, or write `host_key: {digest}` for it under \
                 `hosts:` in the settings"
            );
            Advice {
                kind: Kind::Identity,
                hints: vec![pin, "or run this on a terminal and confirm it once".to_owned()],
            }
        }
        ssh::Error::HostKeyRevoked { .. } => {
            Advice::of(Kind::Identity, "do not connect: give the host a new key from its console")
        }
        ssh::Error::HostKeyNotPinned { .. } => Advice::of(
            Kind::Identity,
            "somebody may be between you and the host: compare the fingerprint with the one on its console",
        ),
        ssh::Error::Key { .. } => Advice::of(Kind::Identity, "name a private key that this account can read"),
        ssh::Error::KeyEncrypted { .. } => Advice::of(
            Kind::Identity,
            "add it to an SSH agent, or run this on a terminal to be asked for the passphrase",
        ),
    }
}
