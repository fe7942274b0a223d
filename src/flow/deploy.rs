//! `ryo deploy`: from repositories to running instances.
//!
//! Planning is pure: the same arguments give the same plan, and applying it and planning again gives an empty one. All
//! images stand before any instance is touched; modules come before the project that needs them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use crate::flow::compare::{Difference, WantedImage, compare, ignoring};
use crate::flow::database;
use crate::flow::found::{self, Found, Pending};
use crate::flow::object;
use crate::lxd::model::Devices;
use crate::place::Problem;
use crate::plan::{Action, ImageSpec, InstanceSpec, Plan, Restart, Step, Update, Values};
use crate::project;
use crate::project::access::Writes;
use crate::terraform::{ConsulKey, DatabaseObject, Deployment, Kind, ObjectKind, Protection, Resource};

mod images;
mod keys;

pub use keys::{prefixes, wanted_keys};

/// A project or a module, evaluated: what it wants of the host.
#[derive(Clone, Debug, PartialEq)]
pub struct Unit {
    /// `project_id` or `module_id`.
    pub owner: String,
    /// Which list it is entered in.
    pub kind: project::Kind,
    /// The version of this deployment.
    pub version: String,
    /// Its host-setup playbook and the digest of the playbook's inputs.
    pub host_setup: Option<(PathBuf, String)>,
    /// Its images.
    pub images: Vec<ImageSpec>,
    /// Its resources.
    pub deployment: Deployment,
    /// Where the files are that say so; nowhere if what is wanted is remembered from before.
    pub directory: PathBuf,
    /// Consul keys that its containers write, on a host where they have to be allowed to.
    pub writes: Writes,
}

/// Plans the shortest way from `found` to everything that `units` want.
pub fn plan(title: &str, units: &[Unit], found: &Found) -> Plan {
    let mut planning = Planning::new(units, found);
    planning.leftovers();
    for unit in units {
        planning.host_setup(unit);
    }
    // One after the other, so that they can be built at the same time.
    for unit in units {
        planning.images(unit);
    }
    for unit in units {
        planning.resources(unit);
        planning.unwanted(unit);
        planning.record(unit);
    }
    let awaited = units.iter().any(|unit| !unit.deployment.awaited.is_empty());
    let values = if awaited { Values::Awaited } else { Values::Known };
    Plan { title: title.to_owned(), steps: planning.steps, values }
}

/// Plans the images of `units` alone.
pub fn plan_images(title: &str, units: &[Unit], found: &Found) -> Plan {
    let mut planning = Planning::new(units, found);
    planning.left_builds();
    for unit in units {
        planning.images(unit);
    }
    Plan { title: title.to_owned(), steps: planning.steps, values: Values::Known }
}

struct Planning<'a> {
    units: &'a [Unit],
    found: &'a Found,
    /// Instances as they will be when their turn comes, by name.
    instances: BTreeMap<String, found::Instance>,
    /// Names whose present instance is the unproven new one of a broken replacement.
    unsettled: BTreeSet<String>,
    /// Aliases that this plan builds, and those that it only gives away.
    built: BTreeSet<String>,
    tagged: BTreeMap<String, String>,
    /// Instances that are new after this plan, or other ones than before it.
    renewed: BTreeSet<String>,
    /// Keys that owners have after the steps so far, where these say so.
    noted: BTreeMap<String, BTreeSet<String>>,
    steps: Vec<Step>,
}

impl<'a> Planning<'a> {
    fn new(units: &'a [Unit], found: &'a Found) -> Self {
        let mut planning = Self {
            units,
            found,
            instances: found.instances.clone(),
            unsettled: BTreeSet::new(),
            built: BTreeSet::new(),
            tagged: BTreeMap::new(),
            renewed: BTreeSet::new(),
            noted: BTreeMap::new(),
            steps: vec![],
        };
        planning.decide();
        planning
    }

    fn push(&mut self, owner: &str, action: Action) {
        self.steps.push(Step { owner: owner.to_owned(), action });
    }

    /// Build instances that broken runs left behind.
    fn left_builds(&mut self) {
        for instance in self.found.instances.values().filter(|instance| instance.config(found::BUILD).is_some()) {
            let owner = instance.config(found::OWNER).unwrap_or("ryo").to_owned();
            self.instances.remove(&instance.name);
            self.push(&owner, Action::RemoveBuild(instance.name.clone()));
        }
    }

    /// Instances that a broken backup or restore left stopped.
    fn left_paused(&mut self) {
        let aside = |it: &&found::Instance| {
            it.config(found::PAUSED).is_some() && it.config(found::REPLACED).or(it.config(found::REPLACES)).is_none()
        };
        for instance in self.found.instances.values().filter(aside) {
            let owner = instance.config(found::OWNER).unwrap_or("ryo").to_owned();
            self.instances.insert(instance.name.clone(), found::Instance { running: true, ..instance.clone() });
            self.push(&owner, Action::Resume(vec![instance.name.clone()]));
        }
    }

    /// New instances that were never in use, and old ones that were set aside.
    fn leftovers(&mut self) {
        self.left_builds();
        self.left_paused();
        for instance in self.found.instances.values() {
            let owner = instance.config(found::OWNER).unwrap_or("ryo").to_owned();
            if instance.config(found::REPLACES).is_some_and(|name| name != instance.name) {
                self.instances.remove(&instance.name);
                self.push(&owner, Action::RemoveUnfinished(instance.name.clone()));
            }
        }
        // The one that still has its name is seen to last: those that it replaced go before it comes back.
        let set_aside = |it: &'a found::Instance| Some((it, it.was()?, it.config(found::REPLACED)?));
        let mut aside: Vec<_> = self.found.instances.values().filter_map(set_aside).collect();
        aside.sort_by_key(|(instance, was, _)| instance.name == *was);
        for (instance, was, successor) in aside {
            self.set_aside(instance, was, successor);
        }
    }

    /// What becomes of `instance`, which was set aside for `name` when its own name was `was`: it goes if a new one has
    /// proved itself, waits for one that is wanted and may still do so, and comes back otherwise.
    fn set_aside(&mut self, instance: &found::Instance, was: &str, name: &str) {
        let owner = instance.config(found::OWNER).unwrap_or("ryo").to_owned();
        self.instances.remove(&instance.name);
        let present = self.found.instances.get(name).filter(|present| present.name != instance.name);
        // A later replacement broke as well: what stands under the name is the newer one.
        if present.is_some_and(|present| present.config(found::REPLACED).is_some()) {
            return self.push(&owner, Action::RemoveReplaced(instance.name.clone()));
        }
        // One that still has the mark of standing beside the old one has not got its devices yet.
        let taken = present.filter(|present| present.config(found::REPLACES).is_none());
        if taken.is_some_and(|present| self.as_wanted(present)) {
            self.unsettled.insert(name.to_owned());
        } else if taken.is_some_and(|present| present.config(found::UNPROVEN).is_none()) {
            self.push(&owner, Action::RemoveReplaced(instance.name.clone()));
        } else {
            self.instances.remove(name);
            self.instances.insert(was.to_owned(), put_back(instance, was));
            self.renewed.insert(was.to_owned());
            self.push(&owner, Action::PutBack(was.to_owned()));
        }
    }

    /// Whether `present` is what somebody wants.
    fn as_wanted(&self, present: &found::Instance) -> bool {
        let mut wanted = self.units.iter().flat_map(instances).filter(|(_, spec)| spec.instance.name == present.name);
        wanted.any(|(resource, spec)| self.compare(resource, spec, present).0 == Difference::None)
    }

    /// Compares what `resource` wants with `present`. What is to be ignored is wanted as it is.
    fn compare(
        &self,
        resource: &Resource,
        wanted: InstanceSpec,
        present: &found::Instance,
    ) -> (Difference, InstanceSpec) {
        let ignored = &resource.lifecycle.ignored;
        let effective = InstanceSpec { instance: ignoring(&wanted.instance, ignored, present), ..wanted.clone() };
        let image = if ignored.whole("image") { WantedImage::Any } else { self.wanted_image(&wanted.instance.image) };
        match compare(&effective, &image, present) {
            // A new one has nothing that could stay as it is.
            difference @ Difference::Replace { .. } => (difference, wanted),
            difference => (difference, effective),
        }
    }

    fn host_setup(&mut self, unit: &Unit) {
        let Some((playbook, inputs)) = &unit.host_setup else { return };
        let state = self.found.host_setup.get(&unit.owner).cloned().unwrap_or_default();
        let why = match (state.recorded, state.pending) {
            (None, _) => "first time".to_owned(),
            (Some(recorded), _) if recorded != *inputs => "its files have changed".to_owned(),
            (Some(_), Pending::Nothing) => return,
            (Some(_), Pending::Changes(1)) => "1 task would change something".to_owned(),
            (Some(_), Pending::Changes(count)) => format!("{count} tasks would change something"),
            (Some(_), Pending::Unknown) => "the host has changed".to_owned(),
        };
        self.push(&unit.owner, Action::HostSetup { playbook: playbook.clone(), why, inputs: inputs.clone() });
    }

    /// Instances, databases and Consul keys in the order of their dependencies; keys that follow each other in one step.
    fn resources(&mut self, unit: &Unit) {
        let mut keys = BTreeMap::new();
        for resource in &unit.deployment.resources {
            match &resource.kind {
                Kind::ConsulKeys(wanted) => {
                    let ignored = resource.lifecycle.ignored.whole("key");
                    let differs = |key: &&ConsulKey| !(ignored && self.found.keys.contains_key(&key.path));
                    let wanted = wanted.keys.iter().filter(differs);
                    keys.extend(wanted.map(|key| (key.path.clone(), key.value.clone())));
                }
                other => {
                    if let Some(action) = self.action(unit, resource, other) {
                        self.set_keys(unit, std::mem::take(&mut keys));
                        self.push(&unit.owner, action);
                    }
                }
            }
        }
        self.last_keys(unit, keys);
        self.own_databases(unit);
    }

    fn database(&self, unit: &Unit, object: &DatabaseObject) -> Option<Action> {
        let server = unit.deployment.server(object)?;
        match database::compare(object, self.found.databases.get(&database::identity(server, object))) {
            database::Difference::None => None,
            difference => Some(Action::Database {
                server: Box::new(server.clone()),
                object: Box::new(object.clone()),
                difference,
            }),
        }
    }

    /// Remembers what the owner has on database servers. What its files no longer name is left as it is: data are
    /// removed by nobody but a person.
    fn own_databases(&mut self, unit: &Unit) {
        let before = self.found.owned_databases.get(&unit.owner).cloned().unwrap_or_default();
        let owned = wanted_databases(&unit.deployment);
        if before != owned {
            let left = before.difference(&owned).cloned().collect();
            self.push(&unit.owner, Action::OwnDatabases { owned, left });
        }
    }

    /// What is to be done for a resource that is no Consul key.
    fn action(&mut self, unit: &Unit, resource: &Resource, kind: &Kind) -> Option<Action> {
        match kind {
            Kind::ConsulKeys(_) => None,
            Kind::Database(wanted) => self.database(unit, wanted),
            Kind::Instance(_) => {
                let action = self.instance(resource, spec(unit, kind)?)?;
                if let Action::ReplaceInstance { replaced, .. } = &action {
                    self.instances.remove(replaced);
                }
                if let Action::CreateInstance(spec)
                | Action::ReplaceInstance { spec, .. }
                | Action::SettleInstance(spec) = &action
                {
                    self.renewed.insert(spec.instance.name.clone());
                }
                Some(action)
            }
            Kind::Object(wanted) => {
                let Some(found) = self.found.objects.get(&(wanted.kind.clone(), wanted.name.clone())) else {
                    return Some(Action::CreateObject(Box::new(wanted.clone())));
                };
                let changes = object::differences(wanted, found);
                let object = Box::new(wanted.clone());
                (!changes.is_empty()).then_some(Action::UpdateObject { object, changes })
            }
            Kind::File(wanted) => {
                let there = self.found.files.contains(&(wanted.instance.clone(), wanted.path.clone()));
                let stays = there && !self.renewed.contains(&wanted.instance);
                (!stays).then(|| Action::PutFile(Box::new(wanted.clone())))
            }
            Kind::Image(wanted) => {
                let missing = |alias: &&String| self.found.image(alias).is_none();
                let aliases: Vec<String> = wanted.aliases.iter().filter(missing).cloned().collect();
                (!aliases.is_empty()).then(|| Action::FetchImage { source: wanted.source.clone(), aliases })
            }
        }
    }

    fn instance(&self, resource: &Resource, spec: InstanceSpec) -> Option<Action> {
        let Some(present) = self.instances.get(&spec.instance.name) else {
            let spec = Box::new(spec);
            return Some(match self.predecessor(&spec) {
                Some((replaced, why)) => Action::ReplaceInstance { spec, replaced, why: vec![why] },
                None => Action::CreateInstance(spec),
            });
        };
        let (difference, spec) = self.compare(resource, spec, present);
        let spec = Box::new(spec);
        match difference {
            Difference::Replace { why } => Some(Action::ReplaceInstance { replaced: present.name.clone(), spec, why }),
            Difference::Update { changes, restart } => {
                Some(Action::UpdateInstance(Box::new(Update { spec: *spec, changes, restart })))
            }
            _ if self.unsettled.contains(&spec.instance.name) || present.config(found::UNPROVEN).is_some() => {
                Some(Action::SettleInstance(spec))
            }
            Difference::Adopt if spec.instance.running == present.running => Some(Action::AdoptInstance(spec)),
            Difference::Adopt => {
                let changes = vec!["is taken over from the original tools".to_owned()];
                Some(Action::UpdateInstance(Box::new(Update { spec: *spec, changes, restart: Restart::No })))
            }
            Difference::None if spec.instance.running && !present.running => Some(Action::StartInstance(spec)),
            Difference::None if !spec.instance.running && present.running => {
                Some(Action::StopInstance(spec.instance.name.clone()))
            }
            Difference::None => None,
        }
    }

    /// The instance that no file names any longer and that cannot be there beside the new one `spec`: it is called so now.
    /// Returns its name, and what both have.
    fn predecessor(&self, spec: &InstanceSpec) -> Option<(String, String)> {
        self.no_longer_wanted(&spec.owner).find_map(|old| {
            let both = in_both(&old.devices, &spec.instance.devices)?;
            Some((old.name.clone(), format!("no file names instance {} any longer, and both have {both}", old.name)))
        })
    }

    /// Instances that we made for `owner` and that no file names any longer, neither its own nor another's.
    fn no_longer_wanted<'s>(&'s self, owner: &'s str) -> impl Iterator<Item = &'s found::Instance> {
        let wanted: BTreeSet<String> = self.units.iter().flat_map(specs).map(|spec| spec.instance.name).collect();
        let ours = self.instances.values().filter(move |instance| instance.config(found::OWNER) == Some(owner));
        ours.filter(move |instance| !wanted.contains(&instance.name))
    }

    fn unwanted(&mut self, unit: &Unit) {
        let names: Vec<String> = self.no_longer_wanted(&unit.owner).map(|instance| instance.name.clone()).collect();
        for name in names {
            self.push(&unit.owner, Action::RemoveInstance(name));
        }
        let wanted: BTreeSet<(&ObjectKind, &str)> = self.units.iter().flat_map(objects).collect();
        let mut gone: Vec<(ObjectKind, String)> = vec![];
        for ((kind, name), found) in &self.found.objects {
            if found.owner() == Some(&unit.owner) && !wanted.contains(&(kind, name.as_str())) {
                gone.push((kind.clone(), name.clone()));
            }
        }
        // What others are in goes last.
        for (kind, name) in gone.into_iter().rev() {
            self.push(&unit.owner, Action::RemoveObject { kind, name });
        }
    }

    fn record(&mut self, unit: &Unit) {
        if !self.found.recorded.contains(&unit.owner) {
            self.push(&unit.owner, Action::Record { kind: unit.kind });
        }
    }
}

/// What both have and can only have one after the other.
fn in_both(old: &Devices, new: &Devices) -> Option<String> {
    let taken: Vec<String> = old.values().flat_map(exclusive).collect();
    new.values().flat_map(exclusive).find(|it| taken.contains(it))
}

/// What of a device only one instance can have: an address, a port that a proxy listens on, a directory or volume that it
/// writes.
fn exclusive(device: &BTreeMap<String, String>) -> Vec<String> {
    let property = |name: &str| device.get(name).filter(|value| !value.is_empty());
    let fixed = |name: &str| property(name).filter(|value| !["none", "auto"].contains(&value.as_str()));
    match device.get("type").map(String::as_str) {
        Some("nic") => ["ipv4.address", "ipv6.address"]
            .iter()
            .filter_map(|name| Some(format!("the address {}", fixed(name)?)))
            .collect(),
        Some("proxy") => property("listen").map(|listen| format!("the proxy for {listen}")).into_iter().collect(),
        Some("disk") if property("readonly").is_none_or(|value| value != "true") => {
            let mounted = property("source").filter(|_| property("path").is_some_and(|path| path != "/"));
            let pool = property("pool").map_or(String::new(), |pool| format!("{pool}: "));
            mounted.map(|source| format!("{pool}{source}")).into_iter().collect()
        }
        _ => vec![],
    }
}

fn put_back(instance: &found::Instance, name: &str) -> found::Instance {
    let devices = instance.config(found::DEVICES).and_then(|text| serde_json::from_str(text).ok());
    found::Instance {
        name: name.to_owned(),
        running: true,
        devices: devices.unwrap_or_else(|| instance.devices.clone()),
        ..instance.clone()
    }
}

fn objects(unit: &Unit) -> impl Iterator<Item = (&ObjectKind, &str)> {
    unit.deployment.resources.iter().filter_map(|resource| match &resource.kind {
        Kind::Object(object) => Some((&object.kind, object.name.as_str())),
        _ => None,
    })
}

/// Returns what of `units` can never be had on the host.
pub fn obstacles(units: &[Unit], found: &Found) -> Vec<Problem> {
    let resources = units.iter().flat_map(|unit| &unit.deployment.resources);
    let obstacle = |resource: &Resource| {
        let Kind::Object(wanted) = &resource.kind else { return None };
        let found = found.objects.get(&(wanted.kind.clone(), wanted.name.clone()))?;
        Some(Problem::new(resource.place.clone(), object::obstacle(wanted, found)?))
    };
    resources.filter_map(obstacle).collect()
}

/// Returns what of `plan` is forbidden by a `prevent_destroy` of what it destroys.
pub fn forbidden(plan: &Plan, units: &[Unit]) -> Vec<Problem> {
    let mut problems = vec![];
    for step in &plan.steps {
        let Action::ReplaceInstance { spec, why, .. } = &step.action else { continue };
        let mut wanted = units.iter().filter(|unit| unit.owner == step.owner).flat_map(instances);
        let resource =
            wanted.find(|(_, other)| other.instance.name == spec.instance.name).map(|(resource, _)| resource);
        if let Some(resource) = resource.filter(|resource| resource.lifecycle.protection == Protection::Destroy) {
            let message = format!(
                "the instance `{}` would have to be replaced ({}), which `prevent_destroy` forbids",
                spec.instance.name,
                why.join("; ")
            );
            let problem = Problem::new(resource.place.clone(), message);
            problems.push(problem.hint("take `prevent_destroy` out for this one deployment"));
        }
    }
    problems
}

fn instances(unit: &Unit) -> impl Iterator<Item = (&Resource, InstanceSpec)> {
    unit.deployment.resources.iter().filter_map(|resource| Some((resource, spec(unit, &resource.kind)?)))
}

/// Returns everything that `deployment` wants of database servers, as it is remembered.
fn wanted_databases(deployment: &Deployment) -> BTreeSet<String> {
    let objects = deployment.resources.iter().filter_map(|resource| match &resource.kind {
        Kind::Database(object) => Some(database::identity(deployment.server(object)?, object)),
        _ => None,
    });
    objects.collect()
}

/// Returns every instance that `unit` wants.
pub fn specs(unit: &Unit) -> Vec<InstanceSpec> {
    unit.deployment.resources.iter().filter_map(|resource| spec(unit, &resource.kind)).collect()
}

fn spec(unit: &Unit, kind: &Kind) -> Option<InstanceSpec> {
    let Kind::Instance(instance) = kind else { return None };
    Some(InstanceSpec {
        instance: instance.clone(),
        owner: unit.owner.clone(),
        version: unit.version.clone(),
        digest: crate::flow::digest::of(&serde_json::json!({
            "config": instance.config, "devices": instance.devices, "profiles": instance.profiles,
            "image": instance.image,
        })),
        writes: unit.writes.clone(),
    })
}
