//! `ryo rollback`: a deployment of a version that is kept on the host, instead of what a repository says.
//!
//! Instances, networks, profiles, files in instances and Consul keys become those of that version. Data stay: what is in
//! mounted directories, volumes and databases, and what a host-setup playbook has made.

use std::path::PathBuf;

use thiserror::Error;
use tokio::sync::watch;

use crate::event::{Event, Events};
use crate::flow::deploy::{self, Unit};
use crate::flow::found::{Found, IMAGE_OWNER, Writers};
use crate::flow::history::{self, History, Version};
use crate::flow::world::World;
use crate::flow::{look, session, unit};
use crate::lxd;
use crate::plan::{Action, Plan, Step};
use crate::project::Kind;
use crate::project::access::Writes;
use crate::terraform::{self, Deployment, ObjectKind};

/// There is no plan. Nothing was changed.
#[derive(Debug, Error)]
pub enum Error {
    /// The host cannot be looked at.
    #[error(transparent)]
    Look(#[from] look::Error),
    /// What is kept cannot be carried out.
    #[error(transparent)]
    Unit(#[from] unit::Error),
    /// There is no such version.
    #[error(transparent)]
    History(#[from] history::Error),
    /// An image that is not our own is not there.
    #[error(transparent)]
    Lxd(#[from] lxd::Error),
}

/// What is rolled back.
#[derive(Clone, Debug)]
pub struct Source {
    /// Its repository's name, for the title.
    pub name: String,
    /// `project_id` or `module_id`.
    pub owner: String,
    /// Which of the two.
    pub kind: Kind,
}

/// A way back.
#[derive(Clone, Debug)]
pub struct Planned {
    /// The plan.
    pub plan: Plan,
    /// What is kept, as it will be then.
    pub history: History,
}

/// Looks at the host and plans the way back to the version called `to`, or to the one before the present one.
///
/// # Errors
///
/// See [`Error`].
pub async fn plan(
    world: &World,
    source: &Source,
    to: Option<&str>,
    events: &Events,
    stop: &watch::Receiver<bool>,
) -> Result<Planned, Error> {
    events.emit(Event::Looking { what: format!("host {}", world.host) });
    let mut history = history::read(world, &source.owner).await?;
    let at = history.target(&source.owner, &world.host, to)?;
    let from = history.versions[history.present].version.clone();
    let mut version = history.versions[at].clone();
    // Keys that were not there yet are removed where they are.
    let consul = history.versions[history.present].consul.clone();
    version.consul = version.consul.or(consul);
    history.present = at;
    let title = format!("rollback {} from {from} to {} on {}", source.name, version.version, world.host);
    let mut found = look::server(world).await?;
    let tags = tags(world, source, &version, &found)?;
    bases(world, &version, &mut found)?;
    let units = [unit(source, version, &found)];
    look::rest(world, &units, &mut found, stop).await?;
    // Whether it is in the list of what is deployed is not what goes back.
    found.recorded.insert(source.owner.clone());
    found.owned_databases.clear();
    let mut plan = deploy::plan(&title, &units, &found);
    session::permitted(&plan, &units, &found)?;
    plan.steps.retain(|step| !removes_data(&step.action));
    plan.steps.splice(..0, tags);
    Ok(Planned { plan, history })
}

/// The version as something to be deployed.
fn unit(source: &Source, version: Version, found: &Found) -> Unit {
    let deployment = Deployment { resources: version.resources, consul: version.consul, ..Deployment::default() };
    Unit {
        owner: source.owner.clone(),
        kind: source.kind,
        version: version.version,
        host_setup: None,
        images: vec![],
        deployment,
        directory: PathBuf::new(),
        writes: if found.writers == Writers::Tokens { version.writes } else { Writes::default() },
    }
}

/// The steps that give images of that version their names back.
fn tags(world: &World, source: &Source, version: &Version, found: &Found) -> Result<Vec<Step>, Error> {
    let mut steps = vec![];
    for (alias, fingerprint) in &version.images {
        let Some(image) = found.images.iter().find(|image| image.fingerprint == *fingerprint) else {
            let (alias, version, host) = (alias.clone(), version.version.clone(), world.host.clone());
            return Err(history::Error::ImageGone { alias, version, host }.into());
        };
        if !image.aliases.contains(alias) {
            let description = image.properties.get("description").cloned().unwrap_or_default();
            let action = Action::TagImage { alias: alias.clone(), fingerprint: fingerprint.clone(), description };
            let owner = image.properties.get(IMAGE_OWNER).unwrap_or(&source.owner).clone();
            steps.push(Step { owner, action });
        }
    }
    Ok(steps)
}

/// Notes which image each instance will be made from.
fn bases(world: &World, version: &Version, found: &mut Found) -> Result<(), lxd::Error> {
    for resource in &version.resources {
        let terraform::Kind::Instance(instance) = &resource.kind else { continue };
        let fingerprint = match version.images.get(&instance.image) {
            Some(fingerprint) => Some(fingerprint.clone()),
            None => found.fingerprint(&world.names, &instance.image)?,
        };
        if let Some(fingerprint) = fingerprint {
            found.bases.insert(instance.image.clone(), fingerprint);
        }
    }
    Ok(())
}

/// Whether a step would remove data that a newer version has made.
fn removes_data(action: &Action) -> bool {
    matches!(
        action,
        Action::RemoveObject { kind: ObjectKind::Volume { .. } | ObjectKind::Pool, .. } | Action::OwnDatabases { .. }
    )
}
