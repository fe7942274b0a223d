//! When an instance that was started counts as healthy.
//!
//! It has an address, cloud-init has ended without an error, what its configuration says has to answer does
//! ([`crate::terraform::health`]), and Consul finds none of its services critical.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use serde_json::{Map, Value, json};
use thiserror::Error;
use tokio::time::{sleep, timeout};

use crate::container::Container;
use crate::event::Events;
use crate::flow::world::World;
use crate::lxd::{self, wait};
use crate::machine::{self, Command};
use crate::module::{self, Blobs, Environment, Mode};
use crate::terraform::health::{self, Check, Way};
use crate::{agent, consul};

/// Seconds that one question may take.
const ANSWER: u64 = 5;

/// Lines that are shown of what an instance wrote last.
const LINES: usize = 15;

/// How long reading them may take.
const READING: Duration = Duration::from_secs(10);

/// Most bytes of what a check said that are shown.
const SHOWN: usize = 300;

/// What keeps an instance from counting as healthy.
#[derive(Debug, Error)]
pub enum Error {
    /// LXD or Incus, its address, or cloud-init.
    #[error(transparent)]
    Lxd(#[from] lxd::Error),
    /// The agent on the host, which asks.
    #[error(transparent)]
    Agent(#[from] agent::Error),
    /// A task of our own is not one that the modules take.
    #[error(transparent)]
    Module(#[from] module::Error),
    /// Something does not answer.
    #[error("`{url}` of instance `{name}` does not answer well after {} s: {said}", seconds(after))]
    Silent {
        /// The instance.
        name: String,
        /// What was asked.
        url: String,
        /// How long.
        after: Duration,
        /// What came instead of a good answer.
        said: String,
    },
    /// Consul finds services of it critical.
    #[error("Consul finds instance `{name}` critical after {} s: {}", seconds(after), found.join("; "))]
    Critical {
        /// The instance.
        name: String,
        /// How long.
        after: Duration,
        /// Each check with what it said last.
        found: Vec<String>,
    },
    /// Consul knew the one before it and does not know it.
    #[error("Consul knew instance `{name}` before and does not know it again after {} s", seconds(after))]
    Unknown {
        /// The instance.
        name: String,
        /// How long.
        after: Duration,
    },
    /// Consul does not say, and it did a moment ago.
    #[error(transparent)]
    Consul(#[from] consul::Error),
}

/// To a tenth: what is left of a limit is no round number.
fn seconds(after: &Duration) -> f64 {
    (after.as_secs_f64() * 10.0).round() / 10.0
}

/// Whether Consul knew an instance before it was stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Before {
    /// It did: it has to know it again.
    Known,
    /// It did not, or was not asked.
    Unknown,
}

/// Asks whether Consul knows an instance that serves. A Consul that does not answer knows none.
pub async fn before(world: &World, name: &str) -> Before {
    match world.own_consul.checks(name).await {
        Ok(checks) if !checks.is_empty() => Before::Known,
        _ => Before::Unknown,
    }
}

/// Waits until an instance that was started is healthy. Returns since when it serves: what has to answer does, or its
/// services run.
///
/// # Errors
///
/// See [`Error`]; everything together takes no longer than [`crate::flow::world::Limits::healthy`].
pub async fn healthy(world: &World, name: &str, before: Before, events: &Events) -> Result<Instant, Error> {
    let until = Instant::now() + world.limits.healthy;
    let within = |limit: Duration| limit.min(until.saturating_duration_since(Instant::now()));
    let limits = [world.limits.cloud_init, world.limits.address];
    let booted = wait::booted(&world.lxd, name, limits, until).await?;
    for warning in booted.warnings {
        events.warn(format!("cloud-init in instance `{name}`: {warning}"));
    }
    let mut serves = booted.services;
    for check in checks(world, name).await? {
        answers(world, name, &check, booted.addresses.first(), within(world.limits.checks)).await?;
        serves = Instant::now();
    }
    passes(world, name, before, within(world.limits.checks)).await?;
    Ok(serves)
}

/// What an instance has to answer, by its own configuration. What was written there past us is nothing to fail by.
async fn checks(world: &World, name: &str) -> Result<Vec<Check>, lxd::Error> {
    let instance = world.lxd.instance(name).await?;
    let value = instance.and_then(|it| it.value.config.get(health::KEY).cloned()).unwrap_or_default();
    Ok(health::parse(&value).unwrap_or_default())
}

/// Waits until something answers.
async fn answers(world: &World, name: &str, check: &Check, own: Option<&IpAddr>, limit: Duration) -> Result<(), Error> {
    let own = own.map(ToString::to_string).unwrap_or_default();
    let url = check.url(&own);
    let task = question(check, &own, &url)?;
    let look = async || {
        let outcome = world.agent.task(&task, &Environment::new(), &Blobs::new(), Mode::Apply).await?;
        let Some(failed) = outcome.failed else { return Ok(()) };
        let status = outcome.values.get("status").and_then(Value::as_i64).filter(|status| *status > 0);
        // The module lists every status that would be good first.
        let listed = failed.strip_prefix("Status code was ").and_then(|rest| rest.split_once("]: "));
        let why = listed.map_or(failed.as_str(), |(_, why)| why);
        let said = status.map_or_else(|| shown(why), |status| format!("status {status}"));
        Err(Error::Silent { name: name.to_owned(), url: url.clone(), after: limit, said })
    };
    patiently(limit, look).await
}

/// The task by which the host asks.
fn question(check: &Check, own: &str, url: &str) -> Result<module::Task, module::Error> {
    let host = check.host.as_deref().unwrap_or(own);
    let (module, arguments) = match check.way {
        Way::Tcp => ("wait_for", json!({ "host": host, "port": check.port, "timeout": 1, "connect_timeout": ANSWER })),
        Way::Http { .. } => {
            let good: Vec<u16> = (200..400).collect();
            let arguments = json!({
                "url": url, "status_code": good, "timeout": ANSWER, "follow_redirects": "none", "use_proxy": false,
            });
            ("uri", arguments)
        }
    };
    let arguments = arguments.as_object().cloned().unwrap_or_else(Map::new);
    module::parse(module, None, &arguments)
}

/// Waits until Consul finds nothing of an instance critical, and knows it if it did before.
async fn passes(world: &World, name: &str, before: Before, limit: Duration) -> Result<(), Error> {
    let look = async || match (world.own_consul.checks(name).await, before) {
        // It has never said anything of it.
        (Err(_), Before::Unknown) => Ok(()),
        (Err(error), Before::Known) => Err(error.into()),
        (Ok(checks), Before::Known) if checks.is_empty() => Err(Error::Unknown { name: name.to_owned(), after: limit }),
        (Ok(checks), _) => {
            let critical = checks.iter().filter(|check| check.is_critical());
            let found: Vec<String> = critical.map(described).collect();
            let well = found.is_empty();
            if well { Ok(()) } else { Err(Error::Critical { name: name.to_owned(), after: limit, found }) }
        }
    };
    patiently(limit, look).await
}

fn described(check: &consul::health::Check) -> String {
    let said = shown(&check.output);
    let of = if check.service.is_empty() { String::new() } else { format!(" of service `{}`", check.service) };
    if said.is_empty() { format!("`{}`{of}", check.name) } else { format!("`{}`{of} says: {said}", check.name) }
}

/// In one line, and not without end.
fn shown(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if line.chars().count() <= SHOWN { line } else { format!("{}…", line.chars().take(SHOWN).collect::<String>()) }
}

/// Looks again, ever more slowly, until all is well or the time is over. Returns what was wrong last.
async fn patiently(limit: Duration, look: impl AsyncFn() -> Result<(), Error>) -> Result<(), Error> {
    let since = Instant::now();
    loop {
        let looked = look().await;
        let pause = wait::pause(since);
        match looked {
            Ok(()) => return Ok(()),
            Err(error @ (Error::Agent(_) | Error::Lxd(_))) => return Err(error),
            Err(error) if since.elapsed() + pause > limit => return Err(error),
            Err(_) => sleep(pause).await,
        }
    }
}

/// What an instance wrote last.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LastWords {
    /// Where: `journal` or `console`.
    pub place: &'static str,
    /// The last lines.
    pub lines: Vec<String>,
}

/// Reads what an instance wrote last: in its journal, or on its console if it has none.
pub async fn last_words(world: &World, name: &str) -> LastWords {
    let machine = Container::new(world.lxd.clone(), name, name);
    let count = LINES.to_string();
    let words = ["journalctl", "--no-pager", "--quiet", "--output=cat", "--lines", &count];
    let read = timeout(READING, machine::run(&machine, &Command::new(words), &[])).await;
    let text = match read {
        Ok(Ok(ended)) if ended.status == 0 => String::from_utf8_lossy(&ended.stdout).into_owned(),
        _ => String::new(),
    };
    let lines: Vec<String> =
        text.lines().map(str::trim_end).filter(|line| !line.is_empty()).map(str::to_owned).collect();
    if !lines.is_empty() {
        return LastWords { place: "journal", lines };
    }
    LastWords { place: "console", lines: world.lxd.console_tail(name, LINES).await.unwrap_or_default() }
}
