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
use crate::flow::restore;
use crate::packer::Build;
use crate::project::Kind;
use crate::project::access::Writes;
use crate::terraform::{DatabaseObject, DatabaseProvider, File, Instance, Object, ObjectKind};

mod words;

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
    /// Give an instance that a broken replacement set aside the name that it had, and its devices, back.
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
        /// What the old one is called.
        replaced: String,
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
        /// What is there before, where an instance waits for them.
        before: Option<Box<keys::Before>>,
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
