//! Any error → message, causes, hints, exit code. The one place that decides what a person reads at the end.

pub mod advice;

use std::error::Error;
use std::fmt::Write as _;
use std::iter;

use serde_json::{Value, json};

/// Who can mend it. Decides the exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The world: host, network, LXD, Consul.
    World,
    /// The person: arguments, configuration, a project file.
    Request,
    /// Some of it was done, some was not.
    Partly,
    /// Changes are pending (`plan --exit-code`).
    Pending,
    /// Another `ryo` is at work on the host.
    Locked,
    /// Authentication failed or a host key is not the expected one.
    Identity,
    /// The new version was unhealthy; the old one is back.
    Unhealthy,
    /// A person interrupted it.
    Interrupted,
    /// Nobody but us.
    Bug,
}

impl Kind {
    /// The exit code, as in the design §7.
    pub fn code(self) -> u8 {
        match self {
            Self::World => 1,
            Self::Request => 2,
            Self::Partly => 3,
            Self::Pending => 4,
            Self::Locked => 11,
            Self::Identity => 12,
            Self::Unhealthy => 13,
            Self::Interrupted => 130,
            Self::Bug => 101,
        }
    }
}

/// An error on its way to a person.
#[derive(Debug)]
pub struct Failure {
    /// Who can mend it.
    pub kind: Kind,
    /// What went wrong, with its causes.
    pub error: Box<dyn Error + Send + Sync>,
    /// What to do about it.
    pub hints: Vec<String>,
}

impl Failure {
    /// Makes a failure without hints.
    pub fn new(kind: Kind, error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { kind, error: error.into(), hints: vec![] }
    }

    /// Adds what to do about it.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// Returns what a program reads: `event` (`failed`), `error`, `because` (each cause), `hints` and `code`.
    pub fn json(&self) -> Value {
        json!({
            "event": "failed",
            "error": self.error.to_string(),
            "because": self.causes(),
            "hints": self.hints,
            "code": self.kind.code(),
        })
    }

    fn causes(&self) -> Vec<String> {
        let first: Option<&dyn Error> = self.error.source();
        iter::successors(first, |error| (*error).source()).map(ToString::to_string).collect()
    }

    /// Returns the error with its causes on one line.
    pub fn line(&self) -> String {
        [vec![self.error.to_string()], self.causes()].concat().join(": ")
    }

    /// Returns what a person reads: `error:`, then each cause, then each hint.
    pub fn text(&self) -> String {
        let mut text = format!("error: {}\n", self.error);
        for cause in self.causes() {
            let _ = writeln!(text, "  because: {}", cause.replace('\n', "\n    "));
        }
        for hint in &self.hints {
            let _ = writeln!(text, "hint: {hint}");
        }
        text
    }
}
