//! Terraform or Tofu in the place of `ryo`: what they do of a plan, and what is left to `ryo` around it.
//!
//! They know of no labels: one on an instance is a difference from the files to them, for which they would make another
//! instance. So labels are taken off before they run, and put on afterwards.
//!
//! Source: terraform-provider-lxd 1.5, `resource_lxd_container.go` (every `user.*` key is read into `config`, which has
//! `ForceNew`).

use std::collections::{BTreeMap, BTreeSet};

use crate::backend::{Programs, Rollout};
use crate::flow::deploy::{Unit, specs};
use crate::flow::progress::Progress;
use crate::flow::world::World;
use crate::flow::{access, apply, found, instance, keys};
use crate::lxd::model::{Config, Instance};
use crate::plan::{Action, InstanceSpec, Plan, Restart, Step};
use crate::terraform::health;

/// What an instance shares with no other one, whatever its name.
const IDENTITY: &str = "volatile.uuid";

/// Whether a program does it where one deploys.
pub fn does(action: &Action) -> bool {
    match action {
        Action::CreateObject(_)
        | Action::UpdateObject { .. }
        | Action::RemoveObject { .. }
        | Action::PutFile(_)
        | Action::FetchImage { .. }
        | Action::CreateInstance(_)
        | Action::ReplaceInstance { .. }
        | Action::UpdateInstance(_)
        | Action::RemoveInstance(_)
        | Action::Database { .. } => true,
        Action::Keys { set, delete, .. } => !set.is_empty() || !delete.is_empty(),
        _ => false,
    }
}

/// Returns `plan` with a step for each program that deploys, in front of what it does.
#[must_use]
pub fn plan(plan: Plan, units: &[Unit], host: &str, programs: &BTreeMap<String, Programs>) -> Plan {
    let mut begun = BTreeSet::new();
    let mut steps = vec![];
    for step in plan.steps {
        let program = programs.get(&step.owner).and_then(|programs| programs.deploy.as_ref());
        let unit = units.iter().find(|unit| unit.owner == step.owner);
        if let (Some(program), Some(unit), true) = (program, unit, does(&step.action))
            && begun.insert(step.owner.clone())
        {
            let (directory, version) = (unit.directory.clone(), unit.version.clone());
            let rollout = Box::new(Rollout { directory, host: host.to_owned(), version });
            let action = Action::Deploy { program: program.name().to_owned(), rollout };
            steps.push(Step { owner: step.owner.clone(), action });
        }
        steps.push(step);
    }
    Plan { steps, ..plan }
}

/// Returns the units that a program deploys of which the host has nothing: what the program knows of them is wrong.
pub fn fresh<'a>(plan: &Plan, units: &'a [Unit], world: &World) -> Vec<&'a Unit> {
    let created: BTreeSet<&str> = plan
        .steps
        .iter()
        .filter_map(|step| match &step.action {
            Action::CreateInstance(spec) => Some(spec.instance.name.as_str()),
            _ => None,
        })
        .collect();
    let fresh = |unit: &&Unit| specs(unit).iter().all(|spec| created.contains(spec.instance.name.as_str()));
    units.iter().filter(|unit| world.deploy(&unit.owner).is_some()).filter(fresh).collect()
}

/// Has the program of `owner` bring everything up.
pub async fn run(world: &World, owner: &str, rollout: &Rollout, progress: &Progress) -> Result<(), apply::Error> {
    let Some(program) = world.deploy(owner) else { return Ok(()) };
    let labelled = take(world, owner).await?;
    let ended = program.deploy(rollout, &progress.of_playbook()).await;
    let put = put(world, &labelled).await;
    ended?;
    Ok(put?)
}

/// Does what is left to `ryo` of a step that the program has done.
pub async fn after(world: &World, step: &Step, progress: &Progress) -> Result<(), apply::Error> {
    match &step.action {
        Action::CreateInstance(spec) => see(world, spec, Restart::No, progress).await,
        Action::ReplaceInstance { spec, replaced, .. } => {
            if *replaced != spec.instance.name {
                instance::remove_unwanted(world, replaced).await?;
            }
            see(world, spec, Restart::No, progress).await
        }
        Action::UpdateInstance(update) => see(world, &update.spec, update.restart, progress).await,
        // One that the program never knew.
        Action::RemoveInstance(name) => Ok(instance::remove_unwanted(world, name).await?),
        Action::Keys { server, owned, .. } => {
            let (set, delete) = (BTreeMap::new(), BTreeSet::new());
            Ok(keys::apply(&(world.consul)(server), &step.owner, &set, &delete, owned).await?)
        }
        _ => Ok(()),
    }
}

/// Labels an instance as one of ours and sees it come up. Whether it is as it is wanted is seen by another look.
async fn see(world: &World, spec: &InstanceSpec, restart: Restart, progress: &Progress) -> Result<(), apply::Error> {
    let name = &spec.instance.name;
    let Some(present) = world.lxd.instance(name).await? else { return Ok(()) };
    if restart == Restart::Yes && present.value.is_running() {
        world.lxd.stop(name, world.limits.stop).await?;
    }
    access::give(world, spec, name).await?;
    instance::adopt(world, spec).await?;
    if spec.instance.running {
        instance::resume(world, name, &progress.events).await?;
    }
    Ok(())
}

/// Takes the labels off all instances of `owner`. Returns these as they were.
async fn take(world: &World, owner: &str) -> Result<Vec<Instance>, instance::Error> {
    let mut instances = world.lxd.instances().await?;
    instances.retain(|instance| instance.config.get(found::OWNER).is_some_and(|it| it == owner));
    for instance in &instances {
        instance::change(world, &instance.name, |settings| settings.config.retain(|key, _| !is_label(key))).await?;
    }
    Ok(instances)
}

/// Puts their labels on those instances that are still there. One that is new has taken nothing over but the name.
async fn put(world: &World, instances: &[Instance]) -> Result<(), instance::Error> {
    for before in instances {
        let present = world.lxd.instance(&before.name).await?;
        if present.is_some_and(|present| present.value.config.get(IDENTITY) == before.config.get(IDENTITY)) {
            let labels = before.config.clone().into_iter().filter(|(key, _)| is_label(key));
            let labels: Config = labels.collect();
            instance::change(world, &before.name, |settings| settings.config.extend(labels.clone())).await?;
        }
    }
    Ok(())
}

/// What has to answer stands in the files.
fn is_label(key: &str) -> bool {
    key.starts_with("user.ryo.") && key != health::KEY
}
