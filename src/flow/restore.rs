//! `ryo restore`: what containers keep on the host, out of archives of this computer.
//!
//! An archive is read to its end here, unpacked beside the data while the instances serve, and what came out of it is
//! compared. Then the instances are stopped, the directories exchanged in one step, and the instances started: if one
//! does not come up, everything goes back. The data from before are kept until a person is sure.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use thiserror::Error;

use crate::agent::data::{Change, Kept, Stock};
use crate::archive::seal::Identities;
use crate::flow::backup::location::Location;
use crate::flow::backup::{self, DATA, is_left, manifest, writes_to};
use crate::flow::world::World;
use crate::flow::{instance, look};
use crate::lxd::model::Instance;
use crate::plan::{Action, Plan, Step, Values};
use crate::project::Kind;
use crate::{agent, archive, lxd};

pub mod carry;
pub mod find;
pub mod reading;
pub mod set;

/// A restore cannot be made, or did not end well.
#[derive(Debug, Error)]
pub enum Error {
    /// LXD or Incus.
    #[error(transparent)]
    Lxd(#[from] lxd::Error),
    /// The agent on the host.
    #[error(transparent)]
    Agent(#[from] agent::Error),
    /// An instance cannot be stopped, or does not come up.
    #[error(transparent)]
    Instance(#[from] Box<instance::Error>),
    /// There is no such backup.
    #[error("there is no backup of {id} on host `{host}`{} in `{}`", stamped(stamp.as_deref()), directory.display())]
    None {
        /// The project or module.
        id: String,
        /// The host.
        host: String,
        /// The stamp that was given.
        stamp: Option<String>,
        /// Where backups are.
        directory: PathBuf,
    },
    /// There is no backup of everything on a host.
    #[error("there is no backup of all of host `{host}`{} in `{}`", stamped(stamp.as_deref()), directory.display())]
    NoSet {
        /// The host.
        host: String,
        /// The stamp that was given.
        stamp: Option<String>,
        /// Where backups are.
        directory: PathBuf,
    },
    /// Archives of a backup of everything on a host are missing.
    #[error("the backup {stamp} of host `{host}` is not whole: there is no archive of {}", missing.join(", "))]
    Missing {
        /// The host.
        host: String,
        /// The stamp.
        stamp: String,
        /// The projects and modules.
        missing: Vec<String>,
    },
    /// An archive cannot be used.
    #[error("the archive `{}` cannot be restored ({place})", file.display())]
    Archive {
        /// The archive.
        file: PathBuf,
        /// Where in it.
        place: reading::Place,
        /// Why.
        source: archive::Error,
    },
    /// A manifest cannot be used.
    #[error("cannot read `{}`", file.display())]
    Manifest {
        /// The manifest.
        file: PathBuf,
        /// Why.
        source: manifest::Error,
    },
    /// An archive is not what its manifest says.
    #[error("the archive `{}` is not what its manifest says: {what}", file.display())]
    Differs {
        /// The archive.
        file: PathBuf,
        /// What is different.
        what: String,
    },
    /// The directory of backups cannot be read.
    #[error(transparent)]
    Store(#[from] Box<backup::Error>),
    /// An archive cannot be read.
    #[error("cannot read `{}`", file.display())]
    File {
        /// The file.
        file: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// An archive is of something else.
    #[error("the archive `{}` is of {found}, not of {wanted}", file.display())]
    Other {
        /// The archive.
        file: PathBuf,
        /// What it is of.
        found: String,
        /// What was to be restored.
        wanted: String,
    },
    /// What was unpacked on the host is not what is in the archive.
    #[error("what was unpacked on the host is not what is in `{}`", .0.display())]
    Unpacked(PathBuf),
    /// An earlier restore has not been settled.
    #[error("the data of {id} from before the restore of {stamp} are still kept")]
    Kept {
        /// The project or module.
        id: String,
        /// The stamp that was restored.
        stamp: String,
    },
    /// Nothing is kept.
    #[error("nothing is kept from before a restore of {0}")]
    NothingKept(String),
    /// An instance did not come up; the data are those from before.
    #[error("with the restored data it did not come up, and the data from before are back")]
    SwappedBack(#[source] Box<instance::Error>),
}

fn stamped(stamp: Option<&str>) -> String {
    stamp.map_or(String::new(), |stamp| format!(" with the stamp {stamp}"))
}

/// Something to be restored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spec {
    /// The host.
    pub host: String,
    /// `project_id` or `module_id`.
    pub id: String,
    /// Which of the two.
    pub kind: Kind,
    /// The archive.
    pub archive: Location,
    /// The stamp of the backup.
    pub stamp: String,
    /// What opens it, if it is sealed.
    pub identities: Identities,
}

/// What a look at the host found.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// Every instance, by name.
    pub instances: BTreeMap<String, Instance>,
    /// What is kept from before restores, by project and module.
    pub kept: BTreeMap<String, Kept>,
    /// The projects and modules beside whose data something was unpacked by a restore that broke off.
    pub unfinished: BTreeSet<String>,
}

/// Looks at the host.
///
/// # Errors
///
/// See [`Error`]. Nothing was changed.
pub async fn look(world: &World, ids: &[String]) -> Result<Seen, Error> {
    let instances = look::instances(world).await?.into_iter().map(|it| (it.name.clone(), it)).collect();
    let Stock { mut kept, unfinished, .. } = world.agent.stock(DATA).await?;
    kept.retain(|id, _| ids.contains(id));
    Ok(Seen { instances, kept, unfinished })
}

impl Seen {
    /// Instances that work on the data of `id` and serve, or did before a run broke.
    fn serving(&self, id: &str) -> Vec<String> {
        let writers = self.instances.values().filter(|it| writes_to(it, id));
        writers.filter(|it| it.is_on() || is_left(it)).map(|it| it.name.clone()).collect()
    }

    /// Instances that work on the data of `id` and that a broken run has left stopped.
    fn left(&self, id: &str) -> Vec<String> {
        let left = self.instances.values().filter(|it| writes_to(it, id) && is_left(it));
        left.map(|it| it.name.clone()).collect()
    }

    /// Whether a run broke off after it had exchanged the data of `spec` and before it saw its instances come up.
    fn is_unproven(&self, spec: &Spec) -> bool {
        self.is_exchanged(spec) && !self.left(&spec.id).is_empty()
    }

    /// Whether a run over `specs` broke off. Everything is unpacked and stopped before anything is exchanged: what came
    /// later still lies unpacked beside the data, or its instances are stopped still.
    fn is_broken_off(&self, specs: &[Spec]) -> bool {
        let is_unpacked = |spec: &Spec| !self.is_exchanged(spec) && self.unfinished.contains(&spec.id);
        specs.iter().any(|spec| is_unpacked(spec) || !self.left(&spec.id).is_empty())
    }

    fn is_exchanged(&self, spec: &Spec) -> bool {
        self.kept.get(&spec.id).is_some_and(|kept| kept.stamp == spec.stamp)
    }
}

/// Plans the restore of `specs`, the project last. One that was broken off goes on.
///
/// # Errors
///
/// [`Error::Kept`]: what an earlier restore has kept would be lost.
pub fn plan(title: &str, specs: &[Spec], seen: &Seen) -> Result<Plan, Error> {
    let goes_on = seen.is_broken_off(specs);
    let of_before = |spec: &&Spec| seen.kept.contains_key(&spec.id) && !(goes_on && seen.is_exchanged(spec));
    if let Some(spec) = specs.iter().find(of_before) {
        let stamp = seen.kept[&spec.id].stamp.clone();
        return Err(Error::Kept { id: spec.id.clone(), stamp });
    }
    let wanted: Vec<&Spec> = specs.iter().filter(|spec| !seen.is_exchanged(spec) || seen.is_unproven(spec)).collect();
    let step = |spec: &Spec, action| Step { owner: spec.id.clone(), action };
    let fresh = wanted.iter().filter(|spec| !seen.is_exchanged(spec));
    let others = seen.unfinished.iter().filter(|id| !specs.iter().any(|spec| spec.id == **id));
    let left = others.map(|id| Step {
        owner: id.clone(),
        action: Action::Change { id: id.clone(), change: Change::Discard, stamp: "none".to_owned() },
    });
    let unpack = fresh.map(|spec| step(spec, Action::Unpack(Box::new((*spec).clone()))));
    let mut steps: Vec<Step> = left.chain(unpack).collect();
    // The project first: it does not serve while its modules are changed under it.
    let mut names: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    let mut stopped: Vec<String> = vec![];
    for spec in wanted.iter().rev() {
        let mut these = seen.serving(&spec.id);
        these.retain(|name| !stopped.contains(name));
        stopped.extend(these.iter().cloned());
        if !these.is_empty() {
            steps.push(step(spec, Action::Pause(these.clone())));
        }
        names.insert(&spec.id, these);
    }
    for spec in &wanted {
        let change = Change::Exchange;
        let action = Action::Change { id: spec.id.clone(), change, stamp: spec.stamp.clone() };
        steps.push(step(spec, action));
        let names = names.remove(spec.id.as_str()).unwrap_or_default();
        if !names.is_empty() {
            steps.push(step(spec, Action::Prove(names)));
        }
    }
    Ok(Plan { title: title.to_owned(), steps, values: Values::Known })
}

/// The steps of a restore that touch nothing but what is beside the data, and the others.
pub fn halves(plan: &Plan) -> (Plan, Plan) {
    let (unpack, rest) = plan.steps.iter().cloned().partition(|step| matches!(step.action, Action::Unpack(_)));
    let half = |steps| Plan { title: plan.title.clone(), steps, values: Values::Known };
    (half(unpack), half(rest))
}

/// Plans to put what was kept of `ids` back in its place. Of what an undo that broke off has put back already, instances
/// are started that it has left stopped.
///
/// # Errors
///
/// [`Error::NothingKept`].
pub fn plan_undo(title: &str, ids: &[String], seen: &Seen) -> Result<Plan, Error> {
    let mut steps = vec![];
    let mut step = |owner: &str, action| steps.push(Step { owner: owner.to_owned(), action });
    let is_kept = |id: &&String| seen.kept.contains_key(*id);
    let mut stopped: BTreeSet<String> = ids.iter().filter(is_kept).flat_map(|id| seen.serving(id)).collect();
    for id in ids {
        let Some(kept) = seen.kept.get(id) else {
            let mut left = seen.left(id);
            left.retain(|name| stopped.insert(name.clone()));
            if !left.is_empty() {
                step(id, Action::Resume(left));
            }
            continue;
        };
        let names = seen.serving(id);
        if !names.is_empty() {
            step(id, Action::Pause(names.clone()));
        }
        step(id, Action::Change { id: id.clone(), change: Change::Undo, stamp: kept.stamp.clone() });
        if !names.is_empty() {
            step(id, Action::Resume(names));
        }
    }
    if steps.is_empty() {
        Err(nothing(ids))
    } else {
        Ok(Plan { title: title.to_owned(), steps, values: Values::Known })
    }
}

/// Plans to remove what was kept of `ids`.
///
/// # Errors
///
/// [`Error::NothingKept`].
pub fn plan_commit(title: &str, ids: &[String], seen: &Seen) -> Result<Plan, Error> {
    let action = |id: &String| Step {
        owner: id.clone(),
        action: Action::Change { id: id.clone(), change: Change::Commit, stamp: seen.kept[id].stamp.clone() },
    };
    let steps: Vec<Step> = ids.iter().filter(|id| seen.kept.contains_key(*id)).map(action).collect();
    if steps.is_empty() {
        Err(nothing(ids))
    } else {
        Ok(Plan { title: title.to_owned(), steps, values: Values::Known })
    }
}

fn nothing(ids: &[String]) -> Error {
    Error::NothingKept(ids.join(", "))
}
