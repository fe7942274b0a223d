//! Tasks that go on beside all others.

use std::sync::Arc;
use std::time::Duration;

use super::{Asked, Client, Shared, eager};
use crate::agent::Error;
use crate::agent::wire::{Answer, Ask};
use crate::module::{Blobs, Environment, Mode, Outcome, Task};

/// A task that was begun beside all others.
pub struct Begun {
    shared: Arc<Shared>,
    asked: Asked,
    blobs: Blobs,
}

impl Client {
    /// Begins `task` beside all others. It may take as long as `limit`, and goes on when this end goes away unless it
    /// still needs some of `blobs`.
    ///
    /// # Errors
    ///
    /// The agent went away: the task may have been begun.
    pub async fn begin(
        &self,
        task: &Task,
        environment: &Environment,
        blobs: Blobs,
        mode: Mode,
        limit: Duration,
    ) -> Result<Begun, Error> {
        let beside = Some(limit.as_secs());
        let ask = Ask::Task { task: Box::new(task.clone()), mode, environment: environment.clone(), beside };
        let mut asked = self.shared.send(ask, eager(task, &blobs), &blobs).await?;
        match self.shared.answer(&mut asked, &blobs).await? {
            (Answer::Done, _) => Ok(Begun { shared: Arc::clone(&self.shared), asked, blobs }),
            (other, _) => Err(self.shared.refused(other)),
        }
    }
}

impl Begun {
    /// Waits for its outcome.
    ///
    /// # Errors
    ///
    /// The agent went away: the task may have been carried out.
    pub async fn outcome(mut self) -> Result<Outcome, Error> {
        match self.shared.answer(&mut self.asked, &self.blobs).await? {
            (Answer::Outcome(outcome), _) => Ok(*outcome),
            (other, _) => Err(self.shared.refused(other)),
        }
    }
}
