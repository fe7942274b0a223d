//! How far the present step has got.

use crate::event::{Event, Events};

/// Says how far one step has got.
#[derive(Clone, Debug)]
pub struct Progress {
    /// Where events go.
    pub events: Events,
    /// The number of the step, from 1.
    pub number: usize,
}

impl Progress {
    /// Says what the step is doing.
    pub fn say(&self, message: impl Into<String>) {
        self.events.emit(Event::StepProgress { number: self.number, message: message.into(), percent: None });
    }

    /// Says how much of it is done.
    pub fn percent(&self, message: &str, percent: u8) {
        let message = message.to_owned();
        self.events.emit(Event::StepProgress { number: self.number, message, percent: Some(percent) });
    }
}
