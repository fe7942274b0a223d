//! One look at a host for a set of repositories, and the plan that follows from it.

use thiserror::Error;
use tokio::sync::watch;

use crate::event::{Event, Events};
use crate::flow::deploy::{self, Unit};
use crate::flow::found::{Found, Seen};
use crate::flow::look;
use crate::flow::names::Names;
use crate::flow::program;
use crate::flow::unit::{self, Version};
use crate::flow::world::World;
use crate::plan::Plan;
use crate::project::Repository;

/// There is no plan. Nothing was changed.
#[derive(Debug, Error)]
pub enum Error {
    /// The host cannot be looked at.
    #[error(transparent)]
    Look(#[from] look::Error),
    /// What a repository wants cannot be told.
    #[error(transparent)]
    Unit(#[from] unit::Error),
}

/// Which repositories, in the order in which they are deployed, and which version of them.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// What a person reads first, e.g. `deploy ryo-hello on local`.
    pub title: String,
    /// The repositories; what others need comes before them.
    pub repositories: Vec<Repository>,
    /// The version.
    pub version: Version,
}

/// A plan, and what it was made for.
#[derive(Clone, Debug, Default)]
pub struct Planned {
    /// The plan.
    pub plan: Plan,
    /// What the host is to have.
    pub units: Vec<Unit>,
}

/// Looks at the host and plans.
///
/// # Errors
///
/// See [`Error`].
pub async fn plan(
    world: &World,
    wanted: &Wanted,
    events: &Events,
    stop: &watch::Receiver<bool>,
) -> Result<Planned, Error> {
    events.emit(Event::Looking { what: format!("host {}", world.host) });
    let mut found = look::server(world).await?;
    let units = units(&world.host, &world.names, wanted, &mut found, unit::evaluate)?;
    warn(&units, events);
    look::rest(world, &units, &mut found, stop).await?;
    recorded(world, &mut found);
    let plan = deploy::plan(&wanted.title, &units, &found);
    permitted(&plan, &units, &found)?;
    let plan = program::plan(plan, &units, &world.host, &world.programs);
    Ok(Planned { plan, units })
}

/// Refuses a plan that cannot be carried out, or destroys what may not be destroyed.
///
/// # Errors
///
/// [`unit::Error::Problems`].
pub fn permitted(plan: &Plan, units: &[Unit], found: &Found) -> Result<(), unit::Error> {
    let mut problems = deploy::obstacles(units, found);
    problems.extend(deploy::forbidden(plan, units));
    if problems.is_empty() { Ok(()) } else { Err(unit::Error::Problems(problems)) }
}

/// Plans as if the host named `host` had nothing: reads the repositories alone.
///
/// # Errors
///
/// [`Error::Unit`].
pub fn plan_offline(host: &str, names: &Names, wanted: &Wanted) -> Result<Plan, Error> {
    let mut found = Found { seen: Seen::Nothing, ..Found::default() };
    let units = units(host, names, wanted, &mut found, unit::evaluate)?;
    let title = format!("{} (offline, as on an empty host)", wanted.title);
    Ok(deploy::plan(&title, &units, &found))
}

/// Looks at the images of the host and plans those of the repositories alone.
///
/// # Errors
///
/// See [`Error`].
pub async fn plan_images(world: &World, wanted: &Wanted, events: &Events) -> Result<Plan, Error> {
    events.emit(Event::Looking { what: format!("the images of host {}", world.host) });
    let mut found = look::server(world).await?;
    let units = units(&world.host, &world.names, wanted, &mut found, unit::images_only)?;
    Ok(deploy::plan_images(&wanted.title, &units, &found))
}

type Evaluate = fn(&Repository, &str, &Version, &Names, &mut Found) -> Result<Unit, unit::Error>;

/// Tells what the checks of the files find fault with.
fn warn(units: &[Unit], events: &Events) {
    for warning in units.iter().flat_map(|unit| &unit.deployment.warnings) {
        events.warn(warning.to_string());
    }
}

fn units(
    host: &str,
    names: &Names,
    wanted: &Wanted,
    found: &mut Found,
    evaluate: Evaluate,
) -> Result<Vec<Unit>, Error> {
    let mut units = vec![];
    let mut problems = vec![];
    for repository in &wanted.repositories {
        match evaluate(repository, host, &wanted.version, names, found) {
            Ok(unit) => units.push(unit),
            Err(unit::Error::Problems(these)) => problems.extend(these),
            Err(error) => return Err(error.into()),
        }
    }
    if problems.is_empty() { Ok(units) } else { Err(unit::Error::Problems(problems).into()) }
}

/// What the lists of deployed things say. A list that cannot be read is written anew by the step that enters something.
fn recorded(world: &World, found: &mut Found) {
    for kind in [crate::project::Kind::Project, crate::project::Kind::Module] {
        let list = crate::project::deployed::read(&world.working_directory, kind, &world.host);
        found.recorded.extend(list.unwrap_or_default());
    }
}
