//! Host-setup playbooks of modules and projects: run on the host, and remembered there.

use std::path::Path;

use serde_json::{Map, Value};
use tokio::sync::watch;

use crate::agent;
use crate::agent::client::Attributes;
use crate::backend::HostSetup;
use crate::flow::apply;
use crate::flow::progress::Progress;
use crate::flow::world::World;
use crate::module::{self, Mode};

/// Returns the digest of the inputs that the owner's playbook ran with last, if it did.
pub async fn recorded(world: &World, owner: &str) -> Result<Option<String>, agent::Error> {
    let content = world.agent.read(&place(world, owner)).await?;
    Ok(content.map(|content| String::from_utf8_lossy(&content).trim().to_owned()))
}

/// Where it is remembered. Several hosts of ours may share one machine.
fn place(world: &World, owner: &str) -> String {
    format!("{}/{}/{owner}/host-setup", world.state, world.host)
}

/// What running `playbook` on the host is.
pub fn setup(world: &World, playbook: &Path, mode: Mode) -> HostSetup {
    HostSetup {
        playbook: playbook.to_owned(),
        inventory: world.inventory.clone(),
        extra_vars: Map::from_iter([("host_id".to_owned(), Value::from(world.host.clone()))]),
        mode,
    }
}

/// Runs the playbook and remembers that it has.
pub async fn run(
    world: &World,
    owner: &str,
    playbook: &Path,
    inputs: &str,
    progress: &Progress,
    stop: watch::Receiver<bool>,
) -> Result<(), apply::Error> {
    world.configure(owner).set_up(setup(world, playbook, Mode::Apply), &progress.of_playbook(), stop).await?;
    make_directory(world, &format!("{}/{}/{owner}", world.state, world.host)).await?;
    let attributes = Attributes { mode: Some(0o644), ..Attributes::default() };
    world.agent.write(&place(world, owner), inputs.as_bytes(), &attributes).await?;
    Ok(())
}

/// Makes a directory on the host.
pub async fn make_directory(world: &World, path: &str) -> Result<(), apply::Error> {
    let arguments = Map::from_iter(
        [("path", path), ("state", "directory"), ("mode", "0755")]
            .map(|(key, value)| (key.to_owned(), Value::from(value))),
    );
    let task = module::parse("file", None, &arguments)?;
    let outcome = world.agent.task(&task, &module::Environment::default(), &module::Blobs::new(), Mode::Apply).await?;
    match outcome.failed {
        Some(message) => Err(apply::Error::Remember { message }),
        None => Ok(()),
    }
}
