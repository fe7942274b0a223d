//! Steps, plans, and how a plan is printed.
//!
//! A plan is a value: ordered, printable, comparable, and empty when all is well. It names secrets' keys, never their
//! values.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Write as _};
use std::path::PathBuf;

use serde::Serialize;
use serde_json::{Value, json};

use crate::agent::data::Change;
use crate::backend::Rollout;
use crate::flow::backup::{self, How};
use crate::flow::database::Difference;
use crate::flow::inputs::Inputs;
use crate::flow::keys;
use crate::flow::object;
use crate::flow::restore;
use crate::packer::Build;
use crate::project::Kind;
use crate::project::access::Writes;
use crate::terraform::database::What;
use crate::terraform::{DatabaseObject, DatabaseProvider, File, Instance, Object, ObjectKind};

/// An instance as it is to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InstanceSpec {
    /// What Terraform's files say.
    pub instance: Instance,
    /// The project or module it belongs to.
    pub owner: String,
    /// The version of the deployment.
    pub version: String,
    /// Digest of everything it is made from.
    pub digest: String,
    /// Consul keys that may be written in it, on a host where not everybody may.
    pub writes: Writes,
}

/// An image as it is to be built.
#[derive(Clone, Debug, PartialEq)]
pub struct ImageSpec {
    /// What Packer's template says.
    pub build: Build,
    /// The base image after the operator's rewrites.
    pub base: String,
    /// The project or module it belongs to.
    pub owner: String,
    /// The version of the deployment.
    pub version: String,
    /// Digest of everything it is made from, as far as it is known before the build.
    pub inputs: String,
    /// What is digested there.
    pub sources: Inputs,
}

/// A change of an instance that stays.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Update {
    /// The instance as wanted.
    pub spec: InstanceSpec,
    /// What differs, one line each, e.g. `device eth0: ipv4.address 10.10.1.20 → 10.10.1.21`.
    pub changes: Vec<String>,
    /// Whether it has to be restarted for that.
    pub restart: Restart,
}

/// Whether a change needs a restart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Restart {
    /// The change takes hold while it runs.
    No,
    /// The change takes hold at the next start.
    Yes,
}

/// One change.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Remove a build instance that a broken run left behind.
    RemoveBuild(String),
    /// Remove a new instance that a broken replacement left beside the old one.
    RemoveUnfinished(String),
    /// Remove an instance that was set aside and whose successor has proved itself.
    RemoveReplaced(String),
    /// Give an instance that a broken replacement set aside its name and devices back.
    PutBack(String),
    /// Run a host-setup playbook.
    HostSetup {
        /// The playbook.
        playbook: PathBuf,
        /// Why: `first time`, `changed since`, or how many of its tasks would change something.
        why: String,
        /// Digest of its inputs, recorded on the host when it has run.
        inputs: String,
    },
    /// Build an image.
    BuildImage {
        /// The image.
        spec: Box<ImageSpec>,
        /// Why.
        why: String,
    },
    /// Give an image that is there another alias.
    TagImage {
        /// The alias.
        alias: String,
        /// The image.
        fingerprint: String,
        /// What the alias says of itself.
        description: String,
    },
    /// Label an image of the original tools: it counts as made from the present files.
    AdoptImage {
        /// What it counts as.
        spec: Box<ImageSpec>,
        /// The image.
        fingerprint: String,
    },
    /// Remove an image that nothing uses.
    RemoveImage {
        /// The image.
        fingerprint: String,
        /// The names it goes by.
        aliases: Vec<String>,
    },
    /// Fetch an image from an image server and name it.
    FetchImage {
        /// Its name with the server in front.
        source: String,
        /// The names that it gets.
        aliases: Vec<String>,
    },
    /// Have a program do those of the following steps that are for it.
    Deploy {
        /// What it is called.
        program: String,
        /// What it brings up.
        rollout: Box<Rollout>,
    },
    /// Make a network, profile, storage pool or volume.
    CreateObject(Box<Object>),
    /// Change one in place.
    UpdateObject {
        /// As wanted.
        object: Box<Object>,
        /// What differs, one line each.
        changes: Vec<String>,
    },
    /// Remove one of ours that no file names any longer.
    RemoveObject {
        /// What it is.
        kind: ObjectKind,
        /// Its name.
        name: String,
    },
    /// Write a file in an instance.
    PutFile(Box<File>),
    /// Make an instance and start it.
    CreateInstance(Box<InstanceSpec>),
    /// Make a new instance beside the old one and exchange them.
    ReplaceInstance {
        /// The new one.
        spec: Box<InstanceSpec>,
        /// Why, one line each.
        why: Vec<String>,
    },
    /// Change an instance in place.
    UpdateInstance(Box<Update>),
    /// Label an instance of the original tools, which is as it is wanted.
    AdoptInstance(Box<InstanceSpec>),
    /// Start an instance that is stopped.
    StartInstance(Box<InstanceSpec>),
    /// Wait until an instance that a broken run left unproven is healthy, then remove the one that it replaces, if any.
    SettleInstance(Box<InstanceSpec>),
    /// Stop an instance that is not to run.
    StopInstance(String),
    /// Remove an instance of ours that no file names any longer.
    RemoveInstance(String),
    /// Write and remove Consul keys.
    Keys {
        /// Where the Consul server is.
        server: crate::terraform::ConsulProvider,
        /// Keys to be written.
        set: BTreeMap<String, String>,
        /// Keys to be removed.
        delete: BTreeSet<String>,
        /// Every key that the owner has afterwards.
        owned: BTreeSet<String>,
        /// What is there before.
        before: keys::Before,
    },
    /// Make or change something on a database server.
    Database {
        /// Where the server is.
        server: Box<DatabaseProvider>,
        /// As wanted.
        object: Box<DatabaseObject>,
        /// What it takes.
        difference: Difference,
    },
    /// Remember what the owner has on database servers.
    OwnDatabases {
        /// Everything that it has.
        owned: BTreeSet<String>,
        /// What it had and its files no longer name: it stays on the server.
        left: BTreeSet<String>,
    },
    /// Copy what instances have mounted.
    Copy {
        /// The archive that it is for.
        spec: Box<backup::Spec>,
        /// How much of it.
        how: How,
    },
    /// Stop instances for a while.
    Pause(Vec<String>),
    /// Freeze instances for a while.
    Freeze(Vec<String>),
    /// Take a snapshot of what instances have mounted, for an archive.
    Snapshot(Box<backup::Spec>),
    /// Start instances again that were stopped or frozen for a while.
    Resume(Vec<String>),
    /// Put an archive together.
    Archive(Box<backup::Spec>),
    /// Unpack an archive beside the data.
    Unpack(Box<restore::Spec>),
    /// Exchange data with those beside them, or settle that.
    Change {
        /// The project or module.
        id: String,
        /// What is done.
        change: Change,
        /// The stamp of the backup.
        stamp: String,
    },
    /// Start instances with restored data; if one does not come up, the data from before come back.
    Prove(Vec<String>),
    /// Enter the deployment in the list that backups and restores read.
    Record {
        /// Which of the two lists.
        kind: Kind,
    },
}

/// One change and whose it is.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// The project or module.
    pub owner: String,
    /// What is done.
    pub action: Action,
}

/// What will be done, in order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plan {
    /// What a person reads first, e.g. `deploy ryo-hello 1 on local`.
    pub title: String,
    /// The steps.
    pub steps: Vec<Step>,
    /// Whether values that these steps need are made by the image builds among them.
    pub values: Values,
}

/// Whether everything is known before anything is done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Values {
    /// Yes.
    #[default]
    Known,
    /// Secrets that image builds make are known only after them: instances and keys are planned again then.
    Awaited,
}

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
            Self::ReplaceInstance { spec, .. } => Some(format!(
                "the present instance `{}` with everything in it that is not on a mounted host directory",
                spec.instance.name
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
            Self::ReplaceInstance { spec, .. } => {
                write!(f, "replace instance {} by one from {}", spec.instance.name, spec.instance.image)
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

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.owner, self.action)
    }
}

impl Plan {
    /// Returns the steps up to the first that makes or changes an instance or a key: leftovers seen to, hosts set up,
    /// images built.
    #[must_use]
    pub fn preparation(&self) -> Self {
        let prepares = |step: &&Step| {
            matches!(
                step.action,
                Action::RemoveBuild(_)
                    | Action::RemoveUnfinished(_)
                    | Action::RemoveReplaced(_)
                    | Action::PutBack(_)
                    | Action::Resume(_)
                    | Action::HostSetup { .. }
                    | Action::BuildImage { .. }
                    | Action::TagImage { .. }
                    | Action::AdoptImage { .. }
            )
        };
        let steps = self.steps.iter().take_while(prepares).cloned().collect();
        Self { title: self.title.clone(), steps, values: Values::Known }
    }

    /// Returns the steps of both as one plan with the title of `next`.
    #[must_use]
    pub fn followed_by(mut self, next: Self) -> Self {
        self.steps.extend(next.steps);
        Self { steps: self.steps, ..next }
    }

    /// Returns what a person reads: every step with its differences and what it destroys.
    pub fn text(&self) -> String {
        if self.steps.is_empty() {
            return format!("{}: nothing to do\n", self.title);
        }
        let mut text = format!("{}:\n", self.title);
        for step in &self.steps {
            let _ = writeln!(text, "  {} {step}", step.action.mark());
            for line in step.action.details() {
                let _ = writeln!(text, "      {line}");
            }
            if let Some(what) = step.action.destroys() {
                let _ = writeln!(text, "      destroys {what}");
            }
        }
        let steps = if self.steps.len() == 1 { "step" } else { "steps" };
        let _ = writeln!(text, "{} {steps}", self.steps.len());
        text
    }

    /// Returns the plan for programs.
    pub fn json(&self) -> Value {
        let steps = self.steps.iter().map(|step| {
            json!({
                "owner": step.owner,
                "kind": step.action.kind(),
                "title": step.action.to_string(),
                "details": step.action.details(),
                "destroys": step.action.destroys(),
            })
        });
        json!({ "plan": self.title, "steps": steps.collect::<Vec<_>>() })
    }
}
