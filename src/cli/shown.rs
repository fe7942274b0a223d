//! What commands that change a host have in common: they show, ask, carry out and remember.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use serde_json::json;
use tokio::sync::watch;

use crate::cli::{Common, interrupt};
use crate::event::{Event, Events};
use crate::failure::{Failure, Kind};
use crate::flow::world::World;
use crate::flow::{apply, journal};
use crate::plan::Plan;
use crate::rig;
use crate::ui::{self, Ui};

/// Where a command shows what happens, and how it hears that it should stop.
pub struct Shown {
    /// The screen.
    pub ui: Ui,
    /// Events that are emitted here are shown there.
    pub events: Events,
    /// True once a person wants it to stop.
    pub stop: watch::Receiver<bool>,
}

impl Shown {
    /// Opens the screen and listens to Ctrl-C.
    pub fn new(common: &Common) -> Self {
        let (ui, events) = Ui::new(common.format());
        let stop = interrupt::listen(&ui);
        Self { ui, events, stop }
    }

    /// Closes the screen.
    ///
    /// # Errors
    ///
    /// What the command ended with.
    pub fn end(self, ended: Result<ExitCode, Failure>) -> Result<ExitCode, Failure> {
        if let Err(failure) = &ended {
            self.ui.failed(failure);
        }
        let written = self.ui.finish();
        let code = ended?;
        match written {
            Ok(()) => Ok(code),
            Err(error) => Err(Failure::new(Kind::World, format!("what was to be shown cannot be written: {error}"))),
        }
    }

    /// Asks whether the plan that was shown is to be carried out.
    ///
    /// # Errors
    ///
    /// There is nobody to ask.
    pub fn agreed(&self, yes: bool) -> Result<bool, Failure> {
        let agreed = yes || self.ui.pause(|| ui::confirm("Carry this out?", ui::Default::No, "--yes"))?;
        if !agreed {
            self.ui.talk("nothing was done");
        }
        Ok(agreed)
    }
}

/// Carries a plan out and enters it in the journals. Returns for how many milliseconds instances did not serve.
///
/// # Errors
///
/// A step failed, or a person interrupted it.
pub async fn carry_out(world: &World, plan: &Plan, shown: &Shown) -> Result<BTreeMap<String, u64>, Failure> {
    let began = Instant::now();
    let (outages, events) = outages(&shown.events);
    let ended = apply::apply(world, plan, &events, &shown.stop).await;
    let outages = std::mem::take(&mut *outages.lock().unwrap_or_else(PoisonError::into_inner));
    let result = ended.as_ref().map_or_else(ToString::to_string, |()| "done".to_owned());
    let line = journal::line(&journal::who(), plan, began.elapsed(), &result, &outages);
    // The journal is for people who look back; what was done is done without it.
    if let Err(error) = world.agent.journal(&line.to_string()).await {
        shown.events.warn(format!("the journal on the host was not written: {error}"));
    }
    if let Err(error) = journal::append(&rig::home(), &line) {
        shown.events.warn(format!("the journal of this computer was not written: {error}"));
    }
    ended?;
    Ok(outages)
}

/// Collects the outages among what is emitted through the events that are returned.
fn outages(events: &Events) -> (Arc<Mutex<BTreeMap<String, u64>>>, Events) {
    let (outages, shown) = (Arc::<Mutex<BTreeMap<String, u64>>>::default(), events.clone());
    let collected = outages.clone();
    let events = Events::new(move |event| {
        if let Event::Outage { instance, took } = &event {
            collected.lock().unwrap_or_else(PoisonError::into_inner).insert(instance.clone(), *took);
        }
        shown.emit(event);
    });
    (outages, events)
}

/// Says what would be done; with `exit_code`, by the exit code too.
pub fn foretold(plan: &Plan, exit_code: bool, shown: &Shown) -> ExitCode {
    shown.ui.result(&plan.json(), plan.text().trim_end());
    let pending = exit_code && !plan.steps.is_empty();
    if pending { ExitCode::from(Kind::Pending.code()) } else { ExitCode::SUCCESS }
}

/// Says how it ended.
pub fn settled(plan: &Plan, shown: &Shown) {
    let text = if plan.steps.is_empty() { plan.text() } else { format!("{}: done", plan.title) };
    shown.ui.result(&json!({ "plan": plan.title, "steps": plan.steps.len() }), text.trim_end());
}
