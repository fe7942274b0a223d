//! How far the present step has got.

use std::time::Instant;

use crate::event::{Event, Events, TaskStatus};

/// Says how far one step has got.
#[derive(Clone, Debug)]
pub struct Progress {
    /// Where events go.
    pub events: Events,
    /// The number of the step, from 1.
    pub number: usize,
}

impl Progress {
    /// Says that the step begins, one of `total`.
    pub fn begin(&self, total: usize, title: &str) -> Begun {
        let (number, title) = (self.number, title.to_owned());
        self.events.emit(Event::StepStarted { number, total, title: title.clone() });
        Begun { progress: self.clone(), title, began: Instant::now() }
    }

    /// Says what the step is doing.
    pub fn say(&self, message: impl Into<String>) {
        self.events.emit(Event::StepProgress { number: self.number, message: message.into(), percent: None });
    }

    /// Says how much of it is done.
    pub fn percent(&self, message: &str, percent: u8) {
        let message = message.to_owned();
        self.events.emit(Event::StepProgress { number: self.number, message, percent: Some(percent) });
    }

    /// Returns where the events of a playbook go that is run in this step: its tasks are what the step is doing, and a
    /// task that fails is told with its message.
    pub fn of_playbook(&self) -> Events {
        let progress = self.clone();
        Events::new(move |event| match event {
            Event::TaskStarted { name, .. } => progress.say(name),
            Event::TaskDone { status: TaskStatus::Failed | TaskStatus::Unreachable, host, task, message, .. } => {
                let message = message.map_or_else(String::new, |message| format!(": {message}"));
                progress.events.warn(format!("task `{task}` failed on {host}{message}"));
            }
            Event::Warned { .. } => progress.events.emit(event),
            _ => {}
        })
    }
}

/// A step that has begun.
#[derive(Debug)]
pub struct Begun {
    progress: Progress,
    title: String,
    began: Instant,
}

impl Begun {
    /// Says that it has ended well; `title` is what a person reads then.
    pub fn done(self, title: &str) {
        let (number, took) = (self.progress.number, self.took());
        self.progress.events.emit(Event::StepDone { number, title: title.to_owned(), took });
    }

    /// Says that it has failed.
    pub fn failed(self) {
        let (number, took) = (self.progress.number, self.took());
        self.progress.events.emit(Event::StepFailed { number, title: self.title, took });
    }

    fn took(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}
