//! Who carries out what repositories say: `ryo` itself, or a program of the original tools. Whoever it is: plan, lock,
//! journal and order are the same around it.

use std::path::PathBuf;

use futures_util::future::BoxFuture;
use serde_json::{Map, Value};
use thiserror::Error;
use tokio::sync::watch;

use crate::event::Events;
use crate::module::Mode;
use crate::playbook;

pub mod ansible;
mod native;
pub mod program;

pub use ansible::Ansible;
pub use native::Native;

/// A playbook was not run to its end.
#[derive(Debug, Error)]
pub enum Error {
    /// By `ryo` itself.
    #[error(transparent)]
    Playbook(#[from] playbook::Error),
    /// By a program.
    #[error(transparent)]
    Program(#[from] program::Error),
}

impl Error {
    /// Whether a person has stopped it.
    pub fn is_stopped(&self) -> bool {
        matches!(self, Self::Playbook(playbook::Error::Stopped { .. }))
    }

    /// Whether a task failed, or whatever the program calls its end.
    pub fn is_failed(&self) -> bool {
        matches!(self, Self::Playbook(playbook::Error::Failed { .. }) | Self::Program(program::Error::Failed { .. }))
    }
}

/// A playbook that sets a host up.
#[derive(Clone, Debug)]
pub struct HostSetup {
    /// The playbook.
    pub playbook: PathBuf,
    /// The host's inventory.
    pub inventory: PathBuf,
    /// Variables that win over all others: `host_id`.
    pub extra_vars: Map<String, Value>,
    /// Whether anything is changed.
    pub mode: Mode,
}

/// Runs playbooks that set hosts up.
pub trait Configure: Send + Sync {
    /// Runs one; returns how many tasks changed something, or would.
    ///
    /// # Errors
    ///
    /// It was not run to its end. Running it again goes on from there.
    fn set_up<'a>(
        &'a self,
        setup: HostSetup,
        events: &'a Events,
        stop: watch::Receiver<bool>,
    ) -> BoxFuture<'a, Result<usize, Error>>;
}
