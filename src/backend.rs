//! Who carries out what repositories say: `ryo` itself, or a program of the original tools. Whoever it is: plan, lock,
//! journal and order are the same around it.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use serde_json::{Map, Value};
use thiserror::Error;
use tokio::sync::watch;

use crate::event::Events;
use crate::module::Mode;
use crate::playbook;

pub mod ansible;
mod native;
pub mod packer;
pub mod program;
pub mod terraform;

pub use ansible::Ansible;
pub use native::Native;
pub use packer::Packer;
pub use terraform::Terraform;

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

/// An image that a template describes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageBuild {
    /// The template.
    pub template: PathBuf,
    /// Which of its sources, if it has several, e.g. `lxd.container`.
    pub source: Option<String>,
    /// What its variables are given.
    pub variables: BTreeMap<String, String>,
}

/// Builds images. Where nobody else does, the flow builds them itself, over the connections that it has to the host.
pub trait Build: Send + Sync {
    /// Builds one and gives it its alias on the host.
    ///
    /// # Errors
    ///
    /// It was not built.
    fn build<'a>(&'a self, image: &'a ImageBuild, events: &'a Events) -> BoxFuture<'a, Result<(), program::Error>>;
}

/// What a repository deploys, to be brought up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rollout {
    /// The directory of its files, `project-deployment` or `module-deployment` of a repository.
    pub directory: PathBuf,
    /// The host.
    pub host: String,
    /// The version of its images.
    pub version: String,
}

/// Brings up what repositories deploy. Where nobody else does, the flow does it itself, one step after the other.
pub trait Deploy: Send + Sync {
    /// What people call it, e.g. `terraform`.
    fn name(&self) -> &'static str;

    /// Brings everything up.
    ///
    /// # Errors
    ///
    /// It was not brought up to its end. Doing it again goes on from there.
    fn deploy<'a>(&'a self, rollout: &'a Rollout, events: &'a Events) -> BoxFuture<'a, Result<(), program::Error>>;
}

/// Programs that do a part of the work in place of `ryo`.
#[derive(Clone, Default)]
pub struct Programs {
    /// Runs host-setup playbooks.
    pub configure: Option<Arc<dyn Configure>>,
    /// Builds images.
    pub build: Option<Arc<dyn Build>>,
    /// Brings instances up, and what belongs to them.
    pub deploy: Option<Arc<dyn Deploy>>,
}

impl Programs {
    /// Whether one of them changes images or instances.
    pub fn change(&self) -> bool {
        self.build.is_some() || self.deploy.is_some()
    }
}
