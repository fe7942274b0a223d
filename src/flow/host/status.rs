//! How a host is: what serves it, what it holds, and what it waits for.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;
use thiserror::Error;

use crate::agent;
use crate::flow::backup::DATA;
use crate::flow::found;
use crate::flow::world::World;
use crate::lxd;
use crate::machine::Command;
use crate::module::pki::certificate;
use crate::playbooks;

/// Where the agent keeps the journal on a host.
const JOURNAL: &str = "/var/lib/ryo/journal.jsonl";

/// Bytes of the journal's end in which the last backup is looked for.
const LOOKED_AT: &str = "4194304";

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
    /// Why it does not tell its version.
    pub consul_error: Option<String>,
    /// File systems of the host and storage pools of its server.
    pub spaces: Vec<Space>,
    /// Its instances, by name.
    pub instances: Vec<Instance>,
    /// When the last backup ended, in seconds since 1970.
    pub backup: Option<u64>,
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

/// An instance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Instance {
    /// Its name.
    pub name: String,
    /// What the server says of it, e.g. `Running`.
    pub status: String,
    /// The project or module that it belongs to.
    pub owner: Option<String>,
    /// The version that it was deployed with.
    pub version: Option<String>,
}

/// Looks at a host.
///
/// # Errors
///
/// See [`Error`]. A Consul that does not answer is part of the answer.
pub async fn look(world: &World) -> Result<Status, Error> {
    let (server, spaces, instances, facts, reboot, backup, kept, consul) = tokio::join!(
        world.lxd.server(),
        pools(&world.lxd),
        world.lxd.instances(),
        world.agent.facts(),
        reasons(&world.agent),
        last_backup(&world.agent),
        kept(&world.agent),
        world.own_consul.version(),
    );
    let (server, facts) = (server?, facts?);
    let (consul, consul_error) = match consul {
        Ok(version) => (Some(version), None),
        Err(error) => (None, Some(crate::playbook::in_full(&(error.into())))),
    };
    let text = |name: &str| facts[name].as_str().unwrap_or_default().to_owned();
    let mut instances: Vec<Instance> = instances?.into_iter().map(instance).collect();
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
        instances,
        backup: backup?,
        kept: kept?,
    })
}

fn instance(instance: lxd::model::Instance) -> Instance {
    let of = |key: &str| instance.config.get(key).cloned();
    Instance { owner: of(found::OWNER), version: of(found::VERSION), name: instance.name, status: instance.status }
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

/// When the last backup in the journal ended.
async fn last_backup(agent: &agent::Client) -> Result<Option<u64>, agent::Error> {
    let said = agent.run(&Command::new(["tail", "--bytes", LOOKED_AT, JOURNAL]), &[]).await?;
    let text = String::from_utf8_lossy(&said.stdout).into_owned();
    let lines = text.lines().rev().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let mut backups = lines.filter(|line| {
        line["result"] == "done" && line["plan"].as_str().is_some_and(|plan| plan.starts_with("backup "))
    });
    Ok(backups.next().and_then(|line| line["when"].as_u64()))
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

impl Status {
    /// What a person reads, at the time `now` in seconds since 1970.
    pub fn text(&self, now: u64) -> String {
        let mut text = format!("host {}: {}, Linux {}, up {}\n", self.host, self.system, self.kernel, span(self.up));
        let mut row = |name: &str, value: &str| {
            let _ = writeln!(text, "  {name:<18}{value}");
        };
        let certificate = self.certificate_until.map_or(String::new(), |until| {
            let left = until.saturating_sub(now);
            let left = if left == 0 { "it has ended".to_owned() } else { format!("in {}", span(left)) };
            format!(", certificate until {} ({left})", day(until))
        });
        row("server", &format!("{}{certificate}", self.server));
        row("consul", self.consul.as_ref().or(self.consul_error.as_ref()).map_or("-", String::as_str));
        let needed = if self.reboot.is_empty() { "not needed".to_owned() } else { self.reboot.join("; ") };
        row("reboot", &needed);
        for Space { name, used, total } in &self.spaces {
            row(name, &format!("{} of {} GiB used ({} %)", gib(*used), gib(*total), percent(*used, *total)));
        }
        let backup = self
            .backup
            .map_or("never".to_owned(), |at| format!("{} ago, on {}", span(now.saturating_sub(at)), day(at)));
        row("last backup", &backup);
        for Kept { id, stamp, since, size } in &self.kept {
            let size = size.map_or("size not counted".to_owned(), |size| format!("{} GiB", gib(size)));
            let age = span(now.saturating_sub(*since));
            row("old data", &format!("{id} from before the restore of {stamp}, {age} ago, {size}"));
        }
        row("instances", &self.instances.len().to_string());
        for Instance { name, status, owner, version } in &self.instances {
            let of = [owner.as_deref(), version.as_deref()].into_iter().flatten().collect::<Vec<_>>().join(" ");
            let _ = writeln!(text, "{}", format!("    {name:<15} {:<10}{of}", status.to_lowercase()).trim_end());
        }
        text
    }
}

fn percent(used: u64, total: u64) -> u64 {
    used.saturating_mul(100).checked_div(total).unwrap_or(0)
}

fn gib(bytes: u64) -> String {
    let tenths = bytes.saturating_mul(10) >> 30;
    format!("{}.{}", tenths / 10, tenths % 10)
}

fn day(seconds: u64) -> String {
    let time = i64::try_from(seconds).ok().and_then(|seconds| Timestamp::from_second(seconds).ok());
    time.map_or_else(|| "?".to_owned(), |time| time.strftime("%Y-%m-%d").to_string())
}

/// A span in its largest unit, e.g. `3 days`.
fn span(seconds: u64) -> String {
    let units = [(86_400, "day"), (3_600, "hour"), (60, "minute"), (1, "second")];
    let (length, unit) = units.into_iter().find(|(length, _)| seconds >= *length).unwrap_or((1, "second"));
    let count = seconds / length;
    format!("{count} {unit}{}", if count == 1 { "" } else { "s" })
}
