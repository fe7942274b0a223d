//! Of errors of the flows and of what they work on.

use super::servers::{agent, backend, consul, lxd, playbook, program, sql, ssh};
use super::{AGAIN, Advice, BACK, BACK_WITH_KEYS};
use crate::failure::Kind;
use crate::flow::backup::manifest;
use crate::flow::{apply, backup, control, file, health, history, host, image, instance, restore};
use crate::{archive, playbook, restic, ssh};

pub(super) fn host(error: &host::Error) -> Advice {
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

pub(super) fn control(error: &control::Error) -> Advice {
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

pub(super) fn history(error: &history::Error) -> Advice {
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

pub(super) fn backup(error: &backup::Error) -> Advice {
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
        | backup::Error::Started { .. }
        | backup::Error::Unlisted { .. }
        | backup::Error::File { .. }
        | backup::Error::Remove { .. } => Advice::world(),
    }
}

pub(super) fn repository(error: &restic::Error) -> Advice {
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

pub(super) fn restore(error: &restore::Error) -> Advice {
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
        restore::Error::File { .. }
        | restore::Error::Manifest { source: manifest::Error::Read(_), .. }
        | restore::Error::Unpacked(_) => Advice::world(),
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
    }
}

pub(super) fn step(error: &apply::Error) -> Advice {
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

pub(super) fn instance(error: &instance::Error) -> Advice {
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
        instance::Error::Protected { name } => Advice::of(
            Kind::World,
            &format!(
                "if it is to go, take the protection away: `lxc config set {name} security.protection.delete false`"
            ),
        ),
        instance::Error::SwappedBack { keys_stay, .. } | instance::Error::Stays { keys_stay, .. } => {
            Advice::of(Kind::Unhealthy, if *keys_stay { BACK_WITH_KEYS } else { BACK })
        }
    }
}

pub(super) fn file(error: &file::Error) -> Advice {
    match error {
        file::Error::Lxd(error) => lxd(error),
        file::Error::Source { .. } => Advice { kind: Kind::Request, hints: vec![] },
    }
}

pub(super) fn image(error: &image::Error) -> Advice {
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
