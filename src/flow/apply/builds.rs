//! Images that are built at the same time, each in an instance of its own.

use std::cell::Cell;

use futures_util::stream::{self, StreamExt as _};
use tokio::sync::watch;

use crate::event::Events;
use crate::flow::apply::{Stopped, in_full};
use crate::flow::image;
use crate::flow::names::Place;
use crate::flow::progress::Progress;
use crate::flow::world::World;
use crate::lxd::model::Resources;
use crate::plan::{Action, ImageSpec, Step};

/// What installing packages takes at its worst; the host has to serve beside it.
const MEMORY: u64 = 1 << 30;
/// More at the same time wait for the disk and the network, and for each other.
const MOST: usize = 4;

/// The images that the first of `steps` build and that need nothing of each other. What a program builds is not among
/// them: it has the host to itself.
pub fn independent<'a>(world: &World, steps: &'a [Step]) -> Vec<(&'a Step, &'a ImageSpec)> {
    let mut found: Vec<(&Step, &ImageSpec)> = vec![];
    for step in steps {
        let Action::BuildImage { spec, .. } = &step.action else { break };
        let base = match world.names.place(&spec.build.image) {
            Place::Store(alias) => Some(alias),
            Place::Remote { .. } => None,
        };
        let needs = |other: &ImageSpec| base.as_ref() == Some(&other.build.alias);
        if world.build(&spec.owner).is_some() || found.iter().any(|(_, other)| needs(other)) {
            break;
        }
        found.push((step, spec));
    }
    found
}

/// Builds `images`, whose steps begin with number `first` of `total`, as many at the same time as the host can take. None
/// begins once one has failed or a person has asked to stop; those that have begun are carried to their end.
pub async fn run(
    world: &World,
    images: &[(&Step, &ImageSpec)],
    first: usize,
    total: usize,
    events: &Events,
    stop: &watch::Receiver<bool>,
) -> Result<(), Stopped> {
    // One that does not say what it has is not asked for more than it was ever asked for.
    let most = world.lxd.resources().await.map_or(1, most);
    let builds = Builds { world, total, events, stop, failed: Cell::new(false), done: Cell::new(first - 1) };
    let each = (first..).zip(images).map(|(number, (step, spec))| builds.one(number, step, spec));
    let mut ended: Vec<_> = stream::iter(each).buffer_unordered(most).collect().await;
    ended.sort_by_key(|(number, _)| *number);
    let mut failures = ended.into_iter().filter_map(|(_, ended)| ended.err());
    // The first one is what it is about.
    let first = failures.next();
    failures.for_each(|other| events.warn(in_full(&other)));
    first.map_or(Ok(()), Err)
}

struct Builds<'a> {
    world: &'a World,
    total: usize,
    events: &'a Events,
    stop: &'a watch::Receiver<bool>,
    /// Whether no other one is to begin.
    failed: Cell<bool>,
    /// Steps of the plan that were carried out.
    done: Cell<usize>,
}

impl Builds<'_> {
    /// Returns the number too: they end in any order.
    async fn one(&self, number: usize, step: &Step, spec: &ImageSpec) -> (usize, Result<(), Stopped>) {
        (number, self.build(number, step, spec).await)
    }

    async fn build(&self, number: usize, step: &Step, spec: &ImageSpec) -> Result<(), Stopped> {
        let Self { total, .. } = *self;
        if self.failed.get() {
            return Ok(());
        }
        if *self.stop.borrow() {
            self.failed.set(true);
            return Err(Stopped::Interrupted { done: self.done.get(), total });
        }
        let (title, progress) = (step.to_string(), Progress { events: self.events.clone(), number });
        let running = progress.begin(total, &title);
        match image::build(self.world, spec, &progress, self.stop.clone()).await {
            Ok(_) => {
                running.done(&title);
                self.done.set(self.done.get() + 1);
                Ok(())
            }
            Err(error) => {
                running.failed();
                self.failed.set(true);
                Err(Stopped::Failed { number, total, title, source: Box::new(error.into()) })
            }
        }
    }
}

/// One for each processor, and for each part of the memory that nobody uses.
fn most(machine: Resources) -> usize {
    let free = machine.memory.total.saturating_sub(machine.memory.used) / MEMORY;
    usize::try_from(free).unwrap_or(MOST).min(machine.cpu.total).clamp(1, MOST)
}
