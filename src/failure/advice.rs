//! What to do about an error: who can mend it, and how. One function for each kind of error, exhaustive.

use std::error::Error as StdError;
use std::io;

use crate::backend::program;
use crate::failure::{Failure, Kind};
use crate::flow::backup::manifest;
use crate::flow::schedule::Scope;
use crate::flow::{
    apply, backup, control, file, fresh, health, history, host, image, instance, look, restore, rollback, schedule,
    session, unit,
};
use crate::http::HttpError;
use crate::machine::Lost;
use crate::{agent, archive, backend, consul, git, lxd, playbook, restic, sql, ssh, ui};

/// Who can mend an error, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Advice {
    /// Who.
    pub kind: Kind,
    /// How, most likely first.
    pub hints: Vec<String>,
}

impl Advice {
    fn world() -> Self {
        Self { kind: Kind::World, hints: vec![] }
    }

    fn of(kind: Kind, hint: &str) -> Self {
        Self { kind, hints: vec![hint.to_owned()] }
    }
}

/// The hint of every flow that stopped in the middle.
const AGAIN: &str = "run the same command again: what is done is found done";

/// The hint when an instance is back, and only that.
const BACK: &str = "Consul keys written for it alone are as before; all else that was done stays: `ryo rollback --to VERSION` takes it back";

impl Failure {
    fn advised(error: impl StdError + Send + Sync + 'static, advice: Advice) -> Self {
        Self { kind: advice.kind, error: Box::new(error), hints: advice.hints }
    }
}

impl From<ssh::Error> for Failure {
    fn from(error: ssh::Error) -> Self {
        let advice = ssh(&error);
        Self::advised(error, advice)
    }
}

impl From<lxd::Error> for Failure {
    fn from(error: lxd::Error) -> Self {
        let advice = lxd(&error);
        Self::advised(error, advice)
    }
}

impl From<agent::Error> for Failure {
    fn from(error: agent::Error) -> Self {
        let advice = agent(&error);
        Self::advised(error, advice)
    }
}

impl From<Lost> for Failure {
    fn from(error: Lost) -> Self {
        Self::advised(error, Advice::world())
    }
}

impl From<program::Error> for Failure {
    fn from(error: program::Error) -> Self {
        let advice = program(&error);
        Self::advised(error, advice)
    }
}

impl From<playbook::Error> for Failure {
    fn from(error: playbook::Error) -> Self {
        let advice = playbook(&error);
        Self::advised(error, advice)
    }
}

impl From<look::Error> for Failure {
    fn from(error: look::Error) -> Self {
        let advice = match &error {
            look::Error::Lxd(error) => lxd(error),
            look::Error::Consul(error) => consul(error),
            look::Error::Agent(error) => agent(error),
            look::Error::HostSetup(error) => backend(error),
            look::Error::File(error) => file(error),
            look::Error::Sql(error) => self::sql(error),
            look::Error::Fixed { .. } => Advice::of(
                Kind::Request,
                "write into the files what it is, or copy it into a new database, exchange the two by hand and deploy again",
            ),
            look::Error::Index { key, .. } => {
                Advice::of(Kind::World, &format!("remove the key `{key}`: it is made anew by the next deployment"))
            }
        };
        Self::advised(error, advice)
    }
}

impl From<host::status::Error> for Failure {
    fn from(error: host::status::Error) -> Self {
        match error {
            host::status::Error::Lxd(error) => error.into(),
            host::status::Error::Agent(error) => error.into(),
        }
    }
}

impl From<session::Error> for Failure {
    fn from(error: session::Error) -> Self {
        match error {
            session::Error::Look(error) => error.into(),
            session::Error::Unit(error) => error.into(),
        }
    }
}

impl From<backup::Error> for Failure {
    fn from(error: backup::Error) -> Self {
        let advice = backup(&error);
        Self::advised(error, advice)
    }
}

impl From<schedule::Error> for Failure {
    fn from(error: schedule::Error) -> Self {
        let advice = match &error {
            schedule::Error::Nobody { scope: Scope::System, .. } => {
                Advice::of(Kind::World, "run `ryo backup` from whatever starts things here at certain times")
            }
            schedule::Error::Nobody { scope: Scope::User, .. } => Advice::of(
                Kind::World,
                "log in as this account itself (not with `su`), or have root run `loginctl enable-linger` for it",
            ),
            schedule::Error::Calendar { .. } => {
                Advice::of(Kind::Request, "`man systemd.time` says how they are written, e.g. `Mon..Fri 22:30`")
            }
            schedule::Error::Word(_) => Advice { kind: Kind::Request, hints: vec![] },
            schedule::Error::Refused { .. } | schedule::Error::File { .. } | schedule::Error::Lost(_) => {
                Advice::world()
            }
        };
        Self::advised(error, advice)
    }
}

impl From<restore::Error> for Failure {
    fn from(error: restore::Error) -> Self {
        let advice = restore(&error);
        Self::advised(error, advice)
    }
}

impl From<history::Error> for Failure {
    fn from(error: history::Error) -> Self {
        let advice = history(&error);
        Self::advised(error, advice)
    }
}

impl From<rollback::Error> for Failure {
    fn from(error: rollback::Error) -> Self {
        match error {
            rollback::Error::Look(error) => error.into(),
            rollback::Error::Unit(error) => error.into(),
            rollback::Error::History(error) => error.into(),
            rollback::Error::Lxd(error) => error.into(),
        }
    }
}

impl From<unit::Error> for Failure {
    fn from(error: unit::Error) -> Self {
        let advice = match &error {
            unit::Error::Problems(_) => Advice { kind: Kind::Request, hints: vec![] },
            unit::Error::Image(error) => lxd(error),
            unit::Error::Inputs(_) | unit::Error::Writes(_) => Advice::world(),
        };
        Self::advised(error, advice)
    }
}

impl From<ui::Error> for Failure {
    fn from(error: ui::Error) -> Self {
        let advice = match &error {
            ui::Error::NoTerminal { flag, .. } => Advice::of(Kind::Request, &format!("give `{flag}`")),
            ui::Error::Interrupted { .. } => Advice { kind: Kind::Interrupted, hints: vec![] },
            ui::Error::Terminal { .. } => Advice::world(),
        };
        Self::advised(error, advice)
    }
}

impl From<git::Error> for Failure {
    fn from(error: git::Error) -> Self {
        let advice = git(&error);
        Self::advised(error, advice)
    }
}

impl From<consul::Error> for Failure {
    fn from(error: consul::Error) -> Self {
        let advice = consul(&error);
        Self::advised(error, advice)
    }
}

impl From<host::Error> for Failure {
    fn from(error: host::Error) -> Self {
        let advice = host(&error);
        Self::advised(error, advice)
    }
}

impl From<control::Error> for Failure {
    fn from(error: control::Error) -> Self {
        let advice = control(&error);
        Self::advised(error, advice)
    }
}

impl From<fresh::Error> for Failure {
    fn from(error: fresh::Error) -> Self {
        Self::advised(error, Advice::world())
    }
}

impl From<apply::Stopped> for Failure {
    fn from(stopped: apply::Stopped) -> Self {
        let mut advice = match &stopped {
            apply::Stopped::Failed { source, .. } => step(source),
            apply::Stopped::Down { source, .. } => {
                let Advice { mut hints, .. } = step(source);
                hints.push("the archives are whole; the next deployment starts the instance again".to_owned());
                return Self::advised(stopped, Advice { kind: Kind::Partly, hints });
            }
            apply::Stopped::Interrupted { .. } => Advice { kind: Kind::Interrupted, hints: vec![] },
        };
        advice.hints.push(AGAIN.to_owned());
        Self::advised(stopped, advice)
    }
}

fn host(error: &host::Error) -> Advice {
    let known = |refused: &playbook::Refused| refused.downcast_ref::<ssh::Error>().map(ssh);
    let mut advice = match error {
        host::Error::NoWay { reasons, .. } => {
            let refused = reasons.iter().filter_map(|(_, reason)| known(reason)).find(|it| it.kind == Kind::Identity);
            return refused.unwrap_or_else(|| {
                Advice::of(Kind::World, "check that the server is up, and the addresses and ports in its configuration")
            });
        }
        host::Error::Refused { source, .. } => return known(source).unwrap_or_else(Advice::world),
        host::Error::Unproven { .. } => {
            Advice::of(Kind::World, "see that its UDP port of WireGuard can be reached from here")
        }
        host::Error::Stage { source, .. } => playbook(source),
        host::Error::NotSetUp { host } => return Advice::of(Kind::World, &format!("set it up: ryo host setup {host}")),
        host::Error::Tunnel(_) => Advice { kind: Kind::Request, hints: vec![] },
        host::Error::Stopped(_) => Advice { kind: Kind::Interrupted, hints: vec![] },
    };
    advice.hints.push(AGAIN.to_owned());
    advice
}

fn control(error: &control::Error) -> Advice {
    use control::Error as E;
    let hint = match error {
        E::NoAccount(_) => "make the account, or name another one in ryo-control-node/configuration/configuration.yml",
        E::OtherAccount { owner, .. } => {
            return Advice::of(Kind::Request, &format!("run it as `{owner}` or as root"));
        }
        E::Relative(_) => "write the whole path into ryo-control-node/configuration/configuration.yml",
        E::NoDirectory { .. } => {
            "make the directory, or name another place in ryo-control-node/configuration/configuration.yml"
        }
        E::Foreign { path, user, .. } => {
            return Advice::of(Kind::Request, &format!("give it to the account: chown {user} {}", path.display()));
        }
        E::Alone { .. } => "put the private key back, or move the public one away: a new pair is made then",
        E::InTheWay { .. } | E::NoKey { .. } | E::Strangers { .. } => "move what is wrong away",
        E::Locked(path) => {
            let path = path.display();
            return Advice::of(Kind::Request, &format!("write it yourself: ssh-keygen -y -f {path} > {path}.pub"));
        }
        E::Act { .. } | E::File { .. } | E::Make(_) | E::Fresh(_) => return Advice::world(),
    };
    Advice::of(Kind::Request, hint)
}

fn history(error: &history::Error) -> Advice {
    match error {
        history::Error::Lxd(error) => lxd(error),
        history::Error::Agent(error) => agent(error),
        history::Error::Directory(error) => step(error),
        history::Error::Malformed { path, .. } => {
            Advice::of(Kind::World, &format!("move {path} on the host away: the next deployment writes it anew"))
        }
        history::Error::Nothing { .. } => {
            Advice::of(Kind::Request, "a version is kept when `ryo deploy` or `ryo upgrade` has ended well with it")
        }
        history::Error::First { .. } => Advice::of(Kind::Request, "check out what is wanted and deploy it"),
        history::Error::None { kept, .. } => Advice::of(Kind::Request, &format!("kept are {}", kept.join(", "))),
        history::Error::ImageGone { .. } => {
            Advice::of(Kind::Request, "check out that version and deploy it: its image is built anew")
        }
    }
}

fn backup(error: &backup::Error) -> Advice {
    match error {
        backup::Error::Lxd(error) => lxd(error),
        backup::Error::Agent(error) => agent(error),
        backup::Error::There(_) => Advice::of(Kind::Request, "give another stamp with `-s`"),
        backup::Error::Nothing { .. } => Advice::of(Kind::Request, "deploy it first"),
        backup::Error::Interrupted(_) => Advice { kind: Kind::Interrupted, hints: vec![] },
        backup::Error::Restic(error) => repository(error),
        backup::Error::Unlisted { source, .. } if source.kind() == std::io::ErrorKind::NotADirectory => {
            Advice { kind: Kind::Request, hints: vec![] }
        }
        backup::Error::Archive(_)
        | backup::Error::Unlisted { .. }
        | backup::Error::File { .. }
        | backup::Error::Remove { .. } => Advice::world(),
    }
}

fn repository(error: &restic::Error) -> Advice {
    match error {
        restic::Error::Password(_) => Advice::of(
            Kind::Request,
            "name the file with its password: `--password-file FILE`, or `backup: {password_file: FILE}` in the settings",
        ),
        restic::Error::Held { .. } => {
            Advice::of(Kind::Locked, "wait for its end; `restic unlock` takes away what nobody holds any more")
        }
        restic::Error::Broken { .. } => Advice::of(Kind::World, "`restic check` says more of it"),
    }
}

fn restore(error: &restore::Error) -> Advice {
    match error {
        restore::Error::Lxd(error) => lxd(error),
        restore::Error::Agent(error) => agent(error),
        restore::Error::Instance(error) => instance(error),
        restore::Error::NoSet { .. } => {
            Advice::of(Kind::Request, "name its stamp with `-s`; `ryo restore` restores a project or module alone")
        }
        restore::Error::Missing { .. } => Advice::of(
            Kind::Request,
            "put the archives back, name another stamp with `-s`, or restore what is there by `ryo restore`",
        ),
        restore::Error::None { .. } | restore::Error::Other { .. } => {
            Advice::of(Kind::Request, "name a stamp with `-s`, or an archive with `--file`")
        }
        restore::Error::Store(error) => backup(error),
        restore::Error::Archive { source, .. }
        | restore::Error::Manifest { source: manifest::Error::Sealed(source), .. }
            if matches!(source, archive::Error::Sealed | archive::Error::Foreign) =>
        {
            Advice::of(
                Kind::Request,
                "name the file with the identity: `--identity FILE`, or `backup: {identity: FILE}` in the settings",
            )
        }
        restore::Error::Archive { .. } | restore::Error::Manifest { .. } | restore::Error::Differs { .. } => {
            Advice::of(Kind::World, "restore another backup; the data on the host are as they were")
        }
        restore::Error::Kept { .. } => Advice {
            kind: Kind::Request,
            hints: vec![
                "put them back with `ryo restore … --undo`".to_owned(),
                "or remove them with `ryo restore … --commit`".to_owned(),
            ],
        },
        restore::Error::NothingKept(_) => Advice { kind: Kind::Request, hints: vec![] },
        restore::Error::SwappedBack(_) => Advice { kind: Kind::Unhealthy, hints: vec![] },
        restore::Error::File { .. } | restore::Error::Unpacked(_) => Advice::world(),
    }
}

fn step(error: &apply::Error) -> Advice {
    match error {
        apply::Error::Restore(error) => restore(error),
        apply::Error::Backup(error) => backup(error),
        apply::Error::Lxd(error) => lxd(error),
        apply::Error::Instance(error) => instance(error),
        apply::Error::Image(error) => image(error),
        apply::Error::Consul(error) => consul(error),
        apply::Error::Sql(error) => sql(error),
        apply::Error::HostSetup(error) => backend(error),
        apply::Error::Program(error) => program(error),
        apply::Error::File(error) => file(error),
        apply::Error::Agent(error) => agent(error),
        apply::Error::Record(_) | apply::Error::Module(_) | apply::Error::Remember { .. } => Advice::world(),
    }
}

fn instance(error: &instance::Error) -> Advice {
    match error {
        instance::Error::Lxd(error) => lxd(error),
        instance::Error::Consul(error) => consul(error),
        instance::Error::Gone { .. } => Advice::world(),
        instance::Error::Unhealthy { source, .. } => match source {
            health::Error::Lxd(error) => lxd(error),
            health::Error::Agent(error) => agent(error),
            health::Error::Consul(error) => consul(error),
            health::Error::Silent { .. }
            | health::Error::Critical { .. }
            | health::Error::Unknown { .. }
            | health::Error::Module(_) => Advice::world(),
        },
        instance::Error::SwappedBack { .. } => Advice::of(Kind::Unhealthy, BACK),
    }
}

fn file(error: &file::Error) -> Advice {
    match error {
        file::Error::Lxd(error) => lxd(error),
        file::Error::Source { .. } => Advice { kind: Kind::Request, hints: vec![] },
    }
}

fn image(error: &image::Error) -> Advice {
    match error {
        image::Error::Lxd(error) => lxd(error),
        image::Error::Instance(error) => instance(error),
        image::Error::Provision { source, .. } => playbook(source),
        image::Error::Program(error) => program(error),
        image::Error::Rewritten { .. } => {
            Advice::of(Kind::Request, "name the base image in the template, or let ryo build the image")
        }
        image::Error::InTheWay { instance, .. } => Advice::of(
            Kind::World,
            &format!("see that nobody builds in it, and remove it: `lxc delete --force {instance}`"),
        ),
        image::Error::Absent { .. } => Advice::of(
            Kind::World,
            "see that `lxc` has a remote named like the host, and that the template publishes to it",
        ),
        image::Error::Lost(_) | image::Error::Inputs(_) | image::Error::Script { .. } => Advice::world(),
    }
}

fn lxd(error: &lxd::Error) -> Advice {
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

fn http(error: &HttpError, start: &str, permit: &str) -> Advice {
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

fn consul(error: &consul::Error) -> Advice {
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

fn sql(error: &sql::Error) -> Advice {
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

fn git(error: &git::Error) -> Advice {
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

fn agent(error: &agent::Error) -> Advice {
    match error {
        agent::Error::Held { .. } => Advice::of(Kind::Locked, "wait until it has ended"),
        agent::Error::Become { .. } | agent::Error::Password { .. } => {
            Advice::of(Kind::Identity, "allow the account to use sudo without a password, or give its password")
        }
        _ => Advice::world(),
    }
}

fn backend(error: &backend::Error) -> Advice {
    match error {
        backend::Error::Playbook(error) => playbook(error),
        backend::Error::Program(error) => program(error),
    }
}

fn program(error: &program::Error) -> Advice {
    match error {
        program::Error::Absent { .. } | program::Error::Version { .. } => Advice::of(
            Kind::Request,
            "install it, or let ryo do the work: without the option or the setting that asks for it",
        ),
        program::Error::Io { .. } | program::Error::File { .. } | program::Error::Failed { .. } => Advice::world(),
    }
}

fn playbook(error: &playbook::Error) -> Advice {
    match error {
        playbook::Error::Problems(_) => Advice { kind: Kind::Request, hints: vec![] },
        playbook::Error::Unreachable { source, .. } => unreachable(source.as_ref()),
        playbook::Error::Failed { .. } => Advice::world(),
        playbook::Error::Stopped { .. } => Advice { kind: Kind::Interrupted, hints: vec![] },
    }
}

/// What a carrier said, if it is one of ours.
fn unreachable(error: &(dyn StdError + Send + Sync + 'static)) -> Advice {
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

fn ssh(error: &ssh::Error) -> Advice {
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
