//! Carries a plan out, step by step.

use thiserror::Error;
use tokio::sync::watch;

use crate::agent::data::Change;
use crate::event::Events;
use crate::flow::backup::{self, Ongoing};
use crate::flow::instance::Pause;
use crate::flow::progress::Progress;
use crate::flow::world::World;
use crate::flow::{database, file, host_setup, image, instance, keys, names, object, program, restore};
use crate::plan::{Action, Plan, Step};
use crate::{agent, backend, consul, lxd, module, project, sql};

mod builds;

/// What can go wrong in a step.
#[derive(Debug, Error)]
pub enum Error {
    /// LXD or Incus.
    #[error(transparent)]
    Lxd(#[from] lxd::Error),
    /// An instance.
    #[error(transparent)]
    Instance(#[from] instance::Error),
    /// An image.
    #[error(transparent)]
    Image(#[from] image::Error),
    /// A file of an instance.
    #[error(transparent)]
    File(#[from] file::Error),
    /// Consul.
    #[error(transparent)]
    Consul(#[from] consul::Error),
    /// A database server.
    #[error(transparent)]
    Sql(#[from] sql::Error),
    /// A host-setup playbook.
    #[error(transparent)]
    HostSetup(#[from] backend::Error),
    /// The program that deploys.
    #[error(transparent)]
    Program(#[from] backend::program::Error),
    /// The agent on the host.
    #[error(transparent)]
    Agent(#[from] agent::Error),
    /// A task of our own is not one that the modules take.
    #[error(transparent)]
    Module(#[from] module::Error),
    /// What was done cannot be remembered on the host.
    #[error("the host cannot remember that its set-up has run: {message}")]
    Remember {
        /// Why.
        message: String,
    },
    /// A backup.
    #[error(transparent)]
    Backup(#[from] backup::Error),
    /// A restore.
    #[error(transparent)]
    Restore(#[from] restore::Error),
    /// The lists of what is deployed.
    #[error(transparent)]
    Record(#[from] project::deployed::Error),
}

impl Error {
    /// Whether a person has stopped it.
    fn is_interruption(&self) -> bool {
        match self {
            Self::HostSetup(error) => error.is_stopped(),
            Self::Backup(error) => matches!(error, backup::Error::Interrupted(_)),
            _ => false,
        }
    }
}

/// A plan that was not carried out to its end.
#[derive(Debug, Error)]
pub enum Stopped {
    /// A step failed.
    #[error("step {number} of {total} failed: {title}")]
    Failed {
        /// The step, from 1.
        number: usize,
        /// How many there are.
        total: usize,
        /// What a person reads.
        title: String,
        /// Why.
        source: Box<Error>,
    },
    /// A backup was made, and an instance that was stopped for it did not come up again.
    #[error("everything was backed up, but step {number} of {total} failed: {title}")]
    Down {
        /// The step, from 1.
        number: usize,
        /// How many there are.
        total: usize,
        /// What a person reads.
        title: String,
        /// Why.
        source: Box<Error>,
    },
    /// A person asked to stop.
    #[error("stopped after step {done} of {total}")]
    Interrupted {
        /// Steps that were carried out.
        done: usize,
        /// How many there are.
        total: usize,
    },
}

/// Carries `plan` out. Every step that has begun is carried to its end or has failed. Instances that were stopped for a
/// while are started again however it ends. A backup goes on if one of them does not come up: it would be missed most
/// then.
///
/// # Errors
///
/// See [`Stopped`]. Running the same command again goes on from there.
pub async fn apply(world: &World, plan: &Plan, events: &Events, stop: &watch::Receiver<bool>) -> Result<(), Stopped> {
    let total = plan.steps.len();
    let mut ongoing = Ongoing::default();
    let backs_up = plan.steps.iter().any(|step| matches!(step.action, Action::Archive(_)));
    let mut ended = Ok(());
    let mut down = Ok(());
    let mut begun = 0;
    while let Some(step) = plan.steps.get(begun) {
        let number = begun + 1;
        // What comes behind a backup does not go on with something down.
        if ended.is_ok() && down.is_err() && !step.action.backs_up() {
            ended = std::mem::replace(&mut down, Ok(()));
        }
        let images = if ended.is_ok() { builds::independent(world, &plan.steps[begun..]) } else { vec![] };
        begun += images.len().max(1);
        if images.len() > 1 {
            ended = builds::run(world, &images, number, total, events, stop).await;
            continue;
        }
        if ended.is_ok() && *stop.borrow() {
            ended = Err(Stopped::Interrupted { done: number - 1, total });
        }
        if ended.is_err() && !ongoing.owes(step) {
            continue;
        }
        let title = step.to_string();
        let progress = Progress { events: events.clone(), number };
        let running = progress.begin(total, &title);
        let stopped = match run(world, step, &plan.steps[..number - 1], &mut ongoing, &progress, stop).await {
            Ok(()) => {
                running.done(&title);
                continue;
            }
            Err(error) if error.is_interruption() => Stopped::Interrupted { done: number - 1, total },
            Err(source) if backs_up && ended.is_ok() && matches!(step.action, Action::Resume(_)) => {
                running.failed();
                let stopped = Stopped::Down { number, total, title, source: Box::new(source) };
                match down {
                    Ok(()) => down = Err(stopped),
                    Err(_) => events.warn(in_full(&stopped)),
                }
                continue;
            }
            Err(source) => {
                running.failed();
                Stopped::Failed { number, total, title, source: Box::new(source) }
            }
        };
        match ended {
            Ok(()) => ended = Err(stopped),
            // The first one is what it is about.
            Err(_) => events.warn(in_full(&stopped)),
        }
    }
    if ended.is_err() {
        restore::carry::discard(world, &ongoing).await;
        ongoing.remove_snapshots(world).await;
    }
    if let (Err(_), Err(Stopped::Down { title, source, .. })) = (&ended, &down) {
        events.warn(format!("{title}: {}", in_full(source.as_ref())));
    }
    ended.and(down)
}

/// An error with its causes in one line.
fn in_full(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

async fn run(
    world: &World,
    step: &Step,
    done: &[Step],
    ongoing: &mut Ongoing,
    progress: &Progress,
    stop: &watch::Receiver<bool>,
) -> Result<(), Error> {
    let events = &progress.events;
    let written = || keys::Unproven::of(&step.owner, done);
    match &step.action {
        Action::Deploy { rollout, .. } => program::run(world, &step.owner, rollout, progress).await,
        action if world.deploy(&step.owner).is_some() && program::does(action) => {
            program::after(world, step, progress).await
        }
        Action::RemoveBuild(name) | Action::RemoveUnfinished(name) | Action::RemoveReplaced(name) => {
            Ok(instance::remove(world, name).await?)
        }
        Action::RemoveInstance(name) => Ok(instance::remove_unwanted(world, name).await?),
        Action::PutBack(name) => Ok(instance::put_back(world, name, events).await?),
        Action::HostSetup { playbook, inputs, .. } => {
            host_setup::run(world, &step.owner, playbook, inputs, progress, stop.clone()).await
        }
        Action::BuildImage { spec, .. } => Ok(image::build(world, spec, progress, stop.clone()).await.map(drop)?),
        Action::AdoptImage { spec, fingerprint } => {
            Ok(world.lxd.add_properties(fingerprint, &image::labels(spec, &spec.inputs)).await?)
        }
        Action::RemoveImage { fingerprint, .. } => Ok(world.lxd.delete_image(fingerprint).await?),
        Action::TagImage { alias, fingerprint, description } => {
            Ok(world.lxd.set_alias(alias, fingerprint, description).await?)
        }
        Action::FetchImage { source, aliases } => {
            let fingerprint = names::ensure(world, source).await?;
            for alias in aliases {
                world.lxd.set_alias(alias, &fingerprint, "").await?;
            }
            Ok(())
        }
        Action::CreateObject(wanted) => Ok(object::create(world, &step.owner, wanted).await?),
        Action::UpdateObject { object: wanted, .. } => Ok(object::update(world, &step.owner, wanted).await?),
        Action::RemoveObject { kind, name } => Ok(object::remove(world, kind, name).await?),
        Action::PutFile(wanted) => Ok(file::put(world, wanted).await?),
        Action::CreateInstance(spec) => Ok(instance::create(world, spec, events).await?),
        Action::ReplaceInstance { spec, replaced, .. } => {
            Ok(instance::replace(world, spec, replaced, &written(), events).await?)
        }
        Action::UpdateInstance(update) => Ok(instance::update(world, update, events).await?),
        Action::AdoptInstance(spec) => Ok(instance::adopt(world, spec).await?),
        Action::StartInstance(spec) => Ok(instance::resume(world, &spec.instance.name, events).await?),
        Action::SettleInstance(spec) => Ok(instance::settle(world, spec, &written(), events).await?),
        Action::StopInstance(name) => Ok(world.lxd.stop(name, world.limits.stop).await?),
        Action::Keys { server, set, delete, owned, .. } => {
            Ok(keys::apply(&(world.consul)(server), &step.owner, set, delete, owned).await?)
        }
        Action::Database { server, object, difference } => {
            Ok(database::apply::object(world, server, object, difference, stop).await?)
        }
        Action::OwnDatabases { owned, .. } => database::apply::remember(world, &step.owner, owned).await,
        Action::Copy { spec, how } => Ok(ongoing.copy(world, spec, *how, progress, stop).await?),
        Action::Pause(names) => Ok(ongoing.pause(world, names, Pause::Stop).await?),
        Action::Freeze(names) => Ok(ongoing.pause(world, names, Pause::Freeze).await?),
        Action::Snapshot(spec) => Ok(ongoing.snapshot(world, spec, progress, stop).await?),
        Action::Resume(names) => Ok(ongoing.resume(world, names, progress).await?),
        Action::Archive(spec) => Ok(ongoing.archive(world, spec, progress).await?),
        Action::Unpack(spec) => {
            restore::carry::unpack(world, spec, progress).await?;
            ongoing.unpacked.push(spec.id.clone());
            Ok(())
        }
        Action::Change { id, change, stamp } => {
            world.agent.change(backup::DATA, id, *change, stamp).await?;
            if *change == Change::Exchange {
                ongoing.exchanged.push((id.clone(), stamp.clone()));
            }
            Ok(())
        }
        Action::Prove(names) => Ok(restore::carry::prove(world, ongoing, names, progress).await?),
        Action::Record { kind } => {
            Ok(project::deployed::add(&world.working_directory, *kind, &world.host, &step.owner)?)
        }
    }
}
