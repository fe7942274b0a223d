//! What happened, in order. The engines emit; terminals, logs and JSON lines consume the same stream.

use std::fmt;
use std::sync::Arc;

use serde::Serialize;

/// How a task ended on one host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TaskStatus {
    /// Nothing had to be done.
    Ok,
    /// Something was changed (or, in check mode, would be).
    Changed,
    /// Its condition was false.
    Skipped,
    /// It failed.
    Failed,
    /// It failed and `ignore_errors` was set.
    Ignored,
    /// The host could not be reached.
    Unreachable,
}

/// The counts of Ansible's recap for one host.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct HostRecap {
    /// Inventory name.
    pub host: String,
    /// Tasks that ended well, changed ones included.
    pub ok: usize,
    /// Tasks that changed something.
    pub changed: usize,
    /// 1 if the host could not be reached.
    pub unreachable: usize,
    /// Tasks that failed.
    pub failed: usize,
    /// Tasks whose condition was false.
    pub skipped: usize,
    /// Failures that `rescue` mended.
    pub rescued: usize,
    /// Failures that were ignored.
    pub ignored: usize,
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// Something that takes a while began outside any step, e.g. looking at the host.
    Looking {
        /// At what.
        what: String,
    },
    /// A step of a plan began.
    StepStarted {
        /// From 1.
        number: usize,
        /// How many there are.
        total: usize,
        /// What a person reads.
        title: String,
    },
    /// A step has got on.
    StepProgress {
        /// The step.
        number: usize,
        /// What it is doing.
        message: String,
        /// Share done in percent, if it can be known.
        percent: Option<u8>,
    },
    /// A step ended well.
    StepDone {
        /// The step.
        number: usize,
        /// What a person reads.
        title: String,
        /// Milliseconds it took.
        took: u64,
    },
    /// A step failed; the flow's error follows.
    StepFailed {
        /// The step.
        number: usize,
        /// What a person reads.
        title: String,
        /// Milliseconds it took.
        took: u64,
    },
    /// A play began.
    PlayStarted {
        /// Its name, or its hosts pattern.
        name: String,
    },
    /// A task began.
    TaskStarted {
        /// Its name with the role in front, e.g. `install-nginx : install package`.
        name: String,
        /// Whether it is a handler.
        handler: bool,
    },
    /// A task (or one item of its loop) ended on one host.
    TaskDone {
        /// Inventory name; `host -> localhost` when delegated.
        host: String,
        /// Its name.
        task: String,
        /// The loop item, as text.
        item: Option<String>,
        /// How.
        status: TaskStatus,
        /// The module's message, if there is one; censored under `no_log`.
        message: Option<String>,
        /// Unified diff, if one was asked for.
        diff: Option<String>,
        /// Milliseconds it took.
        took: u64,
    },
    /// A playbook ended.
    Recap {
        /// One a host, sorted by name.
        hosts: Vec<HostRecap>,
    },
    /// An instance serves again that was stopped for a while.
    Outage {
        /// The instance.
        instance: String,
        /// Milliseconds from the request to stop until it had come up.
        took: u64,
    },
    /// Something a person should know.
    Warned {
        /// What.
        message: String,
    },
}

/// Where events go.
#[derive(Clone)]
pub struct Events(Arc<dyn Fn(Event) + Send + Sync>);

impl Events {
    /// Hands every event to `sink`, in order.
    pub fn new(sink: impl Fn(Event) + Send + Sync + 'static) -> Self {
        Self(Arc::new(sink))
    }

    /// Drops every event.
    pub fn nowhere() -> Self {
        Self::new(|_| ())
    }

    /// Says that something happened.
    pub fn emit(&self, event: Event) {
        (self.0)(event);
    }

    /// Says something that a person should know.
    pub fn warn(&self, message: impl Into<String>) {
        self.emit(Event::Warned { message: message.into() });
    }
}

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Events")
    }
}

/// Returns milliseconds as a person says them, e.g. `35 ms`, `1.2 s`, `3 min 20 s`.
pub fn duration(milliseconds: u64) -> String {
    match milliseconds {
        0..1_000 => format!("{milliseconds} ms"),
        1_000..60_000 => format!("{}.{} s", milliseconds / 1_000, milliseconds % 1_000 / 100),
        _ => format!("{} min {} s", milliseconds / 60_000, milliseconds % 60_000 / 1_000),
    }
}
