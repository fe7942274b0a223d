//! How a host is: what serves it, what it holds, and what it waits for.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;
use thiserror::Error;

use crate::agent;
use crate::consul::health::Check;
use crate::flow::backup::DATA;
use crate::flow::found;
use crate::flow::journal::read as journal;
use crate::flow::world::World;
use crate::lxd;
use crate::machine::Command;
use crate::module::pki::certificate;
use crate::playbooks;
use crate::project::{Kind, deployed};

mod instance;
pub mod page;
mod text;
mod unit;

pub use instance::{Instance, Mount, Port};
pub use text::table;
pub use unit::{Change, Unit};

/// Seconds in which the size of old data is counted.
const COUNTING: &str = "5";

/// A host could not be looked at. Nothing was changed.
#[derive(Debug, Error)]
pub enum Error {
    /// LXD or Incus did not answer.
    #[error(transparent)]
    Lxd(#[from] lxd::Error),
    /// The agent did not answer.
    #[error(transparent)]
    Agent(#[from] agent::Error),
}

/// How a host is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Status {
    /// Its name.
    pub host: String,
    /// Distribution and version, e.g. `Debian 12.8`.
    pub system: String,
    /// The running kernel, e.g. `6.1.0-27-amd64`.
    pub kernel: String,
    /// Seconds since it started.
    pub up: u64,
    /// Why it should start again; empty if it need not.
    pub reboot: Vec<String>,
    /// What serves the containers, e.g. `lxd 5.0.2`.
    pub server: String,
    /// When the server's certificate ends, in seconds since 1970.
    pub certificate_until: Option<u64>,
    /// The version of Consul.
    pub consul: Option<String>,
    /// Why it does not tell what it knows.
    pub consul_error: Option<String>,
    /// File systems of the host and storage pools of its server.
    pub spaces: Vec<Space>,
    /// Its instances, by name.
    pub instances: Vec<Instance>,
    /// Projects and modules: what is deployed, and what instances say that they belong to; by name.
    pub units: Vec<Unit>,
    /// When the last backup ended, in seconds since 1970.
    pub backup: Option<u64>,
    /// How many lines of its journal cannot be read.
    pub damaged: usize,
    /// Data from before restores that nobody has settled.
    pub kept: Vec<Kept>,
}

/// Data from before a restore.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Kept {
    /// The project or module.
    pub id: String,
    /// The stamp of the backup that was restored.
    pub stamp: String,
    /// When it was restored, in seconds since 1970.
    pub since: u64,
    /// Bytes on the disk; none if they could not be counted in a few seconds.
    pub size: Option<u64>,
}

/// Something that can fill up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Space {
    /// E.g. `disk /`, `pool lxd`.
    pub name: String,
    /// Bytes in use.
    pub used: u64,
    /// Bytes there are.
    pub total: u64,
}

/// What Consul tells.
struct Told {
    version: String,
    checks: Vec<Check>,
    /// Keys by who owns them.
    keys: BTreeMap<String, Vec<String>>,
}

/// Looks at a host.
///
/// # Errors
///
/// See [`Error`]. A Consul that does not answer is part of the answer.
pub async fn look(world: &World) -> Result<Status, Error> {
    let (server, spaces, instances, images, facts, reboot, journal, kept, told) = tokio::join!(
        world.lxd.server(),
        pools(&world.lxd),
        world.lxd.instances(),
        world.lxd.images(),
        world.agent.facts(),
        reasons(&world.agent),
        journal::of_host(&world.agent),
        kept(&world.agent),
        consul(world),
    );
    let (server, facts, journal) = (server?, facts?, journal?);
    let kinds = kinds(world);
    let (consul, checks, keys, consul_error) = match told {
        Ok(Told { version, checks, keys }) => (Some(version), checks, keys, None),
        Err(error) => (None, vec![], BTreeMap::new(), Some(crate::playbook::in_full(&(error.into())))),
    };
    let text = |name: &str| facts[name].as_str().unwrap_or_default().to_owned();
    let images = images?;
    let mut instances: Vec<Instance> =
        instances?.into_iter().map(|it| instance::of(it, &images, &kinds, &checks)).collect();
    instances.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(Status {
        host: world.host.clone(),
        system: format!("{} {}", text("distribution"), text("distribution_version")),
        kernel: text("kernel"),
        up: facts["uptime_seconds"].as_u64().unwrap_or(0),
        reboot: reboot?,
        certificate_until: certificate::read(server.environment.certificate.as_bytes()).map(|it| it.until),
        server: format!("{} {}", server.environment.server, server.environment.server_version),
        consul,
        consul_error,
        spaces: disks(&facts).into_iter().chain(spaces?).collect(),
        units: unit::units(&instances, &kinds, keys, &journal),
        instances,
        backup: journal.last_backup(),
        damaged: journal.damaged,
        kept: kept?,
    })
}

/// What is deployed on the host, by the lists on this computer. A list that cannot be read says nothing.
fn kinds(world: &World) -> BTreeMap<String, Kind> {
    let list = |kind| deployed::read(&world.working_directory, kind, &world.host).unwrap_or_default();
    let of = |kind: Kind| list(kind).into_iter().map(move |id| (id, kind));
    of(Kind::Module).chain(of(Kind::Project)).collect()
}

async fn consul(world: &World) -> Result<Told, crate::consul::Error> {
    let client = &world.own_consul;
    let (version, checks, owned) = tokio::try_join!(client.version(), client.all_checks(), client.list(found::OWNED))?;
    let keys = owned.into_iter().map(|entry| {
        let owner = entry.key.trim_start_matches(found::OWNED).to_owned();
        (owner, serde_json::from_slice(&entry.value).unwrap_or_default())
    });
    Ok(Told { version, checks, keys: keys.collect() })
}

async fn pools(client: &lxd::Client) -> Result<Vec<Space>, lxd::Error> {
    let mut spaces = vec![];
    for pool in client.storage_pools().await? {
        let space = client.pool_space(&pool.name).await?;
        spaces.push(Space { name: format!("pool {}", pool.name), used: space.used, total: space.total });
    }
    Ok(spaces)
}

/// The file systems that matter here, each once: containers' data may have one of its own.
fn disks(facts: &Value) -> Vec<Space> {
    let mounts = facts["mounts"].as_array().map(Vec::as_slice).unwrap_or_default();
    let wanted = ["/", "/var", "/var/containers"];
    let mounts = mounts.iter().filter(|mount| wanted.contains(&mount["mount"].as_str().unwrap_or_default()));
    mounts
        .map(|mount| {
            let number = |key: &str| mount[key].as_u64().unwrap_or(0);
            let (total, free) = (number("size_total"), number("size_available"));
            let name = format!("disk {}", mount["mount"].as_str().unwrap_or_default());
            Space { name, used: total.saturating_sub(free), total }
        })
        .collect()
}

async fn reasons(agent: &agent::Client) -> Result<Vec<String>, agent::Error> {
    let script = playbooks::file("host/files/reboot-reasons.sh");
    let said = agent.run(&Command::new(["sh", "-s"]), script).await?;
    Ok(String::from_utf8_lossy(&said.stdout).lines().map(str::to_owned).collect())
}

/// What is kept from before restores, and how much room it takes.
async fn kept(agent: &agent::Client) -> Result<Vec<Kept>, agent::Error> {
    let stock = agent.stock(DATA).await?;
    if stock.kept.is_empty() {
        return Ok(vec![]);
    }
    let place = |directory: &str| format!("{DATA}/{directory}");
    let words = ["timeout", COUNTING, "du", "--summarize", "--block-size=1", "--null", "--"].map(str::to_owned);
    let places = stock.kept.values().map(|kept| place(&kept.directory));
    let said = agent.run(&Command::new(words.into_iter().chain(places)), &[]).await?;
    let said = String::from_utf8_lossy(&said.stdout).into_owned();
    let sizes: BTreeMap<&str, u64> = said
        .split('\0')
        .filter_map(|line| line.split_once('\t'))
        .filter_map(|(size, path)| Some((path, size.parse().ok()?)))
        .collect();
    let row = |(id, kept): (&String, &agent::data::Kept)| Kept {
        id: id.clone(),
        stamp: kept.stamp.clone(),
        since: kept.since,
        size: sizes.get(place(&kept.directory).as_str()).copied(),
    };
    Ok(stock.kept.iter().map(row).collect())
}
