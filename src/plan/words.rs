//! What a person and a program read of each change.

use std::collections::BTreeMap;
use std::fmt;

use super::{Action, Restart};
use crate::agent::data::Change;
use crate::flow::backup::{self, How};
use crate::flow::database::Difference;
use crate::flow::object;
use crate::project::Kind;
use crate::terraform::database::What;
use crate::terraform::{DatabaseObject, Instance, ObjectKind};

impl Action {
    /// What it is called in JSON.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::RemoveBuild(_) => "remove_build",
            Self::RemoveUnfinished(_) => "remove_unfinished",
            Self::RemoveReplaced(_) => "remove_replaced",
            Self::PutBack(_) => "put_back",
            Self::HostSetup { .. } => "host_setup",
            Self::BuildImage { .. } => "build_image",
            Self::TagImage { .. } => "tag_image",
            Self::AdoptImage { .. } => "adopt_image",
            Self::RemoveImage { .. } => "remove_image",
            Self::FetchImage { .. } => "fetch_image",
            Self::Deploy { .. } => "deploy",
            Self::CreateObject(_) => "create_object",
            Self::UpdateObject { .. } => "update_object",
            Self::RemoveObject { .. } => "remove_object",
            Self::PutFile(_) => "put_file",
            Self::CreateInstance(_) => "create_instance",
            Self::ReplaceInstance { .. } => "replace_instance",
            Self::UpdateInstance(_) => "update_instance",
            Self::AdoptInstance(_) => "adopt_instance",
            Self::StartInstance(_) => "start_instance",
            Self::SettleInstance(_) => "settle_instance",
            Self::StopInstance(_) => "stop_instance",
            Self::RemoveInstance(_) => "remove_instance",
            Self::Keys { .. } => "consul_keys",
            Self::Database { .. } => "database",
            Self::OwnDatabases { .. } => "own_databases",
            Self::Copy { .. } => "copy",
            Self::Pause(_) => "pause",
            Self::Freeze(_) => "freeze",
            Self::Snapshot(_) => "snapshot",
            Self::Resume(_) => "resume",
            Self::Archive(_) => "archive",
            Self::Unpack(_) => "unpack",
            Self::Change { change: Change::Exchange, .. } => "exchange",
            Self::Change { change: Change::Undo, .. } => "undo",
            Self::Change { change: Change::Commit, .. } => "commit",
            Self::Change { change: Change::Discard, .. } => "discard",
            Self::Prove(_) => "prove",
            Self::Record { .. } => "record",
        }
    }

    /// Whether it is a part of a backup: it changes nothing.
    pub fn backs_up(&self) -> bool {
        matches!(
            self,
            Self::Copy { .. }
                | Self::Pause(_)
                | Self::Freeze(_)
                | Self::Snapshot(_)
                | Self::Resume(_)
                | Self::Archive(_)
        )
    }

    /// Whether an instance serves with what was there when it was carried out.
    pub fn is_of_instance(&self) -> bool {
        matches!(
            self,
            Self::CreateInstance(_)
                | Self::ReplaceInstance { .. }
                | Self::UpdateInstance(_)
                | Self::SettleInstance(_)
                | Self::StartInstance(_)
        )
    }

    /// The mark in front of it: `+` makes, `~` changes, `±` replaces, `-` removes.
    pub fn mark(&self) -> char {
        match self {
            Self::RemoveBuild(_)
            | Self::RemoveUnfinished(_)
            | Self::RemoveReplaced(_)
            | Self::RemoveInstance(_)
            | Self::RemoveObject { .. }
            | Self::Change { change: Change::Commit | Change::Discard, .. }
            | Self::RemoveImage { .. } => '-',
            Self::Change { .. } | Self::ReplaceInstance { .. } => '±',
            Self::BuildImage { .. }
            | Self::TagImage { .. }
            | Self::FetchImage { .. }
            | Self::CreateObject(_)
            | Self::CreateInstance(_)
            | Self::Archive(_)
            | Self::Database { difference: Difference::Make | Difference::Unknown(_), .. }
            | Self::Record { .. } => '+',
            Self::Keys { set, delete, .. } if set.is_empty() && !delete.is_empty() => '-',
            _ => '~',
        }
    }

    /// What it destroys, if anything.
    pub fn destroys(&self) -> Option<String> {
        match self {
            Self::RemoveBuild(name) => Some(format!("build instance `{name}`")),
            Self::RemoveUnfinished(name) => Some(format!("instance `{name}`, which was never in use")),
            Self::RemoveInstance(name) | Self::RemoveReplaced(name) => {
                Some(format!("instance `{name}` with everything in it that is not on a mounted host directory"))
            }
            Self::RemoveObject { kind: kind @ ObjectKind::Volume { .. }, name } => {
                Some(format!("{} with everything in it", object::named(kind, name)))
            }
            Self::RemoveObject { kind, name } => Some(object::named(kind, name)),
            Self::ReplaceInstance { replaced, .. } => Some(format!(
                "the present instance `{replaced}` with everything in it that is not on a mounted host directory"
            )),
            Self::Change { id, change: Change::Undo, .. } => {
                Some(format!("the restored data of {id}, with everything that was written to them since"))
            }
            Self::Change { id, change: Change::Commit, stamp } => {
                Some(format!("the data of {id} from before the restore of {stamp}"))
            }
            Self::Keys { delete, .. } if !delete.is_empty() => Some(format!("{} Consul keys", delete.len())),
            _ => None,
        }
    }

    /// What differs or is done, one line each.
    pub fn details(&self) -> Vec<String> {
        match self {
            Self::ReplaceInstance { why, .. } => why.clone(),
            Self::UpdateObject { changes, .. } => changes.clone(),
            Self::CreateInstance(spec) => {
                let writes = (!spec.writes.is_empty()).then(|| format!("may write the Consul keys {}", spec.writes));
                devices(&spec.instance).into_iter().chain(writes).collect()
            }
            Self::UpdateInstance(update) => {
                let mut lines = update.changes.clone();
                if update.restart == Restart::Yes {
                    lines.push("needs a restart".to_owned());
                }
                lines
            }
            Self::Keys { set, delete, .. } => {
                let set = set.keys().map(|key| format!("set {key}"));
                set.chain(delete.iter().map(|key| format!("delete {key}"))).collect()
            }
            Self::Database { difference, .. } => match difference {
                Difference::Change(lines) => lines.clone(),
                Difference::Unknown(why) => vec![format!("not looked at yet: {why}")],
                Difference::Make | Difference::None => vec![],
            },
            Self::OwnDatabases { left, .. } => {
                left.iter().map(|name| format!("{name}: no file names it any longer, it stays as it is")).collect()
            }
            _ => vec![],
        }
    }
}

/// What is made or changed on a database server, in one line.
fn database(object: &DatabaseObject, difference: &Difference, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let unless = if matches!(difference, Difference::Unknown(_)) { ", unless it is so already" } else { "" };
    match (&object.what, difference) {
        (_, Difference::Change(_)) => write!(f, "change {object}"),
        (What::MysqlGrant { user, host, database, table }, _) => {
            let privileges = object.properties.get("privileges").map_or("", String::as_str);
            write!(f, "grant {privileges} on {database}.{table} to MySQL user {user}@{host}{unless}")
        }
        _ => write!(f, "make {object}{unless}"),
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::RemoveBuild(name) => write!(f, "remove the left-over build instance {name}"),
            Self::RemoveUnfinished(name) => write!(f, "remove the unfinished instance {name}"),
            Self::RemoveReplaced(name) => write!(f, "remove instance {name}, which has been replaced"),
            Self::PutBack(name) => write!(f, "put instance {name} back under its name"),
            Self::HostSetup { why, .. } => write!(f, "set up the host ({why})"),
            Self::BuildImage { spec, why } => write!(f, "build image {} from {} ({why})", spec.build.alias, spec.base),
            Self::TagImage { alias, fingerprint, .. } => {
                write!(f, "call image {} also {alias}", fingerprint.get(..12).unwrap_or(fingerprint))
            }
            Self::AdoptImage { spec, .. } => {
                write!(f, "take image {} over as made from the present files", spec.build.alias)
            }
            Self::RemoveImage { fingerprint, aliases } => {
                let name = fingerprint.get(..12).unwrap_or(fingerprint);
                let names = if aliases.is_empty() { "no name".to_owned() } else { aliases.join(", ") };
                write!(f, "remove image {name} ({names})")
            }
            Self::FetchImage { source, aliases } => write!(f, "fetch image {source} as {}", aliases.join(", ")),
            Self::Deploy { program, rollout } => write!(f, "have {program} bring up version {}", rollout.version),
            Self::CreateObject(wanted) => write!(f, "create {}", object::named(&wanted.kind, &wanted.name)),
            Self::UpdateObject { object: wanted, .. } => {
                write!(f, "change {} in place", object::named(&wanted.kind, &wanted.name))
            }
            Self::RemoveObject { kind, name } => {
                write!(f, "remove {}, which no file names any longer", object::named(kind, name))
            }
            Self::PutFile(file) => write!(f, "write {} in instance {}", file.path, file.instance),
            Self::CreateInstance(spec) => {
                write!(f, "create instance {} from {}", spec.instance.name, spec.instance.image)
            }
            Self::ReplaceInstance { spec, replaced, .. } if *replaced == spec.instance.name => {
                write!(f, "replace instance {replaced} by one from {}", spec.instance.image)
            }
            Self::ReplaceInstance { spec, replaced, .. } => {
                write!(f, "replace instance {replaced} by {} from {}", spec.instance.name, spec.instance.image)
            }
            Self::UpdateInstance(update) => write!(f, "change instance {} in place", update.spec.instance.name),
            Self::AdoptInstance(spec) => write!(f, "take instance {} over as it is", spec.instance.name),
            Self::StartInstance(spec) => write!(f, "start instance {}", spec.instance.name),
            Self::SettleInstance(spec) => write!(f, "see instance {} become healthy", spec.instance.name),
            Self::StopInstance(name) => write!(f, "stop instance {name}"),
            Self::RemoveInstance(name) => write!(f, "remove instance {name}, which no file names any longer"),
            Self::Keys { set, delete, .. } => match (set.len(), delete.len()) {
                (0, 0) => f.write_str("note which Consul keys are its own"),
                (set, 0) => write!(f, "write {}", keys(set)),
                (0, delete) => write!(f, "remove {}", keys(delete)),
                (set, delete) => write!(f, "write {}, remove {delete}", keys(set)),
            },
            Self::Database { object, difference, .. } => database(object, difference, f),
            Self::OwnDatabases { .. } => f.write_str("note what on database servers is its own"),
            Self::Copy { spec, how: How::Serving } => write!(f, "copy {} while it serves", spec.data()),
            Self::Copy { spec, how: How::Changed } => write!(f, "copy what has changed in {}", spec.data()),
            Self::Copy { spec, how: How::Stopped } => write!(f, "copy {}", spec.data()),
            Self::Copy { spec, how: How::Snapshot } => write!(f, "copy the snapshot of {}", spec.data()),
            Self::Pause(names) => write!(f, "stop {}", instances(names)),
            Self::Freeze(names) => write!(f, "freeze {}", instances(names)),
            Self::Snapshot(spec) => write!(f, "take a snapshot of {}", spec.data()),
            Self::Resume(names) => write!(f, "start {} again", instances(names)),
            Self::Archive(spec) => match &spec.repository {
                None => write!(f, "write {}", spec.name()),
                Some(_) => write!(f, "add {} to the repository", spec.name()),
            },
            Self::Unpack(spec) => write!(f, "unpack {} beside the data", spec.archive.name()),
            Self::Change { id, change: Change::Exchange, .. } => {
                write!(f, "exchange {} and what was unpacked", backup::data(id))
            }
            Self::Change { id, change: Change::Undo, .. } => {
                write!(f, "put {} back as it was before the restore", backup::data(id))
            }
            Self::Change { id, change: Change::Commit, .. } => write!(f, "remove what was kept of {id}"),
            Self::Change { id, change: Change::Discard, .. } => {
                write!(f, "remove what a restore of {id} that broke off has unpacked")
            }
            Self::Prove(names) => write!(f, "see {} come up with the restored data", instances(names)),
            Self::Record { kind: Kind::Project } => f.write_str("enter the project in the list of deployed projects"),
            Self::Record { kind: Kind::Module } => f.write_str("enter the module in the list of deployed modules"),
        }
    }
}

/// The devices of an instance, one line each, without what is not to be shown.
fn devices(instance: &Instance) -> Vec<String> {
    let line = |(name, properties): (&String, &BTreeMap<String, String>)| {
        let shown = |(key, value): (&String, &String)| {
            let hidden = instance.hidden.contains(&format!("device {name}: {key}"));
            if hidden { format!("{key} (sensitive)") } else { format!("{key} {value}") }
        };
        let kind = properties.get("type").map_or("none", String::as_str);
        let others: Vec<String> = properties.iter().filter(|(key, _)| *key != "type").map(shown).collect();
        format!("device {name}: {kind}, {}", others.join(", "))
    };
    instance.devices.iter().map(line).collect()
}

fn instances(names: &[String]) -> String {
    format!("{} {}", if names.len() == 1 { "instance" } else { "instances" }, names.join(", "))
}

fn keys(count: usize) -> String {
    format!("{count} Consul {}", if count == 1 { "key" } else { "keys" })
}
