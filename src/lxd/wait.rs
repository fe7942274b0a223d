//! Waiting for what the server has no operation for: an address, the end of the first boot.

use std::net::IpAddr;
use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;
use tokio::io::AsyncReadExt;
use tokio::time::{Instant, sleep, timeout};

use super::model::{Config, State};
use super::{Client, Error};

/// First pause between two looks at something.
const FIRST: Duration = Duration::from_millis(50);

/// Longest pause between two looks at something.
const SLOWEST: Duration = Duration::from_secs(1);

/// How long to pause before the next look at something that has been looked at since `since`: so that it is seen late by no
/// more than a sixteenth of the time that it takes.
pub fn pause(since: Instant) -> Duration {
    (since.elapsed() / 16).clamp(FIRST, SLOWEST)
}

/// Most bytes of one of cloud-init's files.
const REPORT: u64 = 1 << 20;

/// How the first boot went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CloudInit {
    /// There is no cloud-init in the instance, or it is turned off.
    Absent,
    /// It is done.
    Done {
        /// What it could mend by itself, for the person to know.
        warnings: Vec<String>,
    },
}

/// Waits until an instance has come up: cloud-init has ended, and there is an address. Each has a limit, in this order, and
/// both together have until `until`. Returns its addresses, and what cloud-init could mend by itself.
///
/// That an instance has an address it tells nobody, and whoever looks for it all the time takes the processor from it:
/// so it is only looked for when cloud-init has ended, and that is waited for within the instance.
///
/// # Errors
///
/// See [`cloud_init`] and [`address`].
pub async fn booted(
    client: &Client,
    name: &str,
    [first_boot, network]: [Duration; 2],
    until: Instant,
) -> Result<(Vec<IpAddr>, Vec<String>), Error> {
    let within = |limit: Duration| limit.min(until.saturating_duration_since(Instant::now()));
    let ended = cloud_init(client, name, within(first_boot)).await;
    if let Err(error @ (Error::CloudInit { .. } | Error::Timeout { .. })) = ended {
        // Of one that went down this is said, and not what broke off by it.
        check_up(name, &client.state(name).await?)?;
        return Err(error);
    }
    let addresses = address(client, name, within(network)).await?;
    let ended = match ended {
        // Nothing can be run in a virtual machine before it has got that far.
        Err(_) => cloud_init(client, name, within(first_boot)).await?,
        Ok(ended) => ended,
    };
    let warnings = if let CloudInit::Done { warnings } = ended { warnings } else { vec![] };
    Ok((addresses, warnings))
}

/// Waits until an instance has an address that others can reach; returns all it has then.
///
/// The servers tell no event when an address is there, so the state is looked at, ever more slowly.
///
/// # Errors
///
/// [`Error::Down`] as soon as it does not run, [`Error::Timeout`] after `limit`.
pub async fn address(client: &Client, instance: &str, limit: Duration) -> Result<Vec<IpAddr>, Error> {
    let what = format!("an address of instance `{instance}`");
    let since = Instant::now();
    loop {
        let state = client.state(instance).await?;
        check_up(instance, &state)?;
        let addresses = state.addresses();
        if !addresses.is_empty() {
            return Ok(addresses);
        }
        let pause = pause(since);
        if since.elapsed() + pause > limit {
            return Err(Error::Timeout { what, after: limit });
        }
        sleep(pause).await;
    }
}

fn check_up(instance: &str, state: &State) -> Result<(), Error> {
    if state.is_running() {
        return Ok(());
    }
    Err(Error::Down { instance: instance.to_owned(), status: state.status.to_lowercase() })
}

/// Waits until cloud-init has ended its first boot and reads what it says about it.
///
/// # Errors
///
/// [`Error::CloudInit`] with its own words if it failed, [`Error::Timeout`] after `limit`.
///
/// Source: cloud-init's documentation, "Reported status" and "status.json".
pub async fn cloud_init(client: &Client, instance: &str, limit: Duration) -> Result<CloudInit, Error> {
    let what = format!("cloud-init in instance `{instance}`");
    let waited = timeout(limit, ended(client, instance)).await;
    match waited.unwrap_or(Err(Error::Timeout { what, after: limit }))? {
        // No such program.
        126 | 127 => return Ok(CloudInit::Absent),
        _ => {}
    }
    let result = report(client, instance, "/run/cloud-init/result.json").await?;
    let status = report(client, instance, "/run/cloud-init/status.json").await?;
    if result.is_none() && status.is_none() {
        return Ok(CloudInit::Absent);
    }
    let errors = result.as_ref().map(Report::errors).filter(|errors| !errors.is_empty());
    let errors = errors.or_else(|| status.as_ref().map(Report::errors)).unwrap_or_default();
    if !errors.is_empty() {
        return Err(Error::CloudInit { instance: instance.to_owned(), errors });
    }
    Ok(CloudInit::Done { warnings: status.as_ref().map(Report::warnings).unwrap_or_default() })
}

/// Ends when cloud-init has, or when there is none, with 127. Its own program takes a second of a processor to say anything,
/// while the services of the instance want it to start: it is only asked if nothing comes of the first ten seconds.
///
/// Source: `status_wrapper` of cloud-init, which writes `result.json` last.
const ENDED: &str = "\
n=0
while [ $n -lt 100 ] && [ ! -e /run/cloud-init/result.json ] && [ ! -e /run/cloud-init/disabled ]; do
    command -v cloud-init >/dev/null || exit 127
    sleep 0.1 2>/dev/null || sleep 1
    n=$((n + 1))
done
[ -e /run/cloud-init/result.json ] || exec cloud-init status --wait";

/// Waits until cloud-init has ended; returns the exit status of [`ENDED`].
async fn ended(client: &Client, instance: &str) -> Result<i32, Error> {
    let words = ["sh", "-c", ENDED].map(str::to_owned);
    let mut exec = client.exec(instance, &words, &Config::new()).await?;
    drop(exec.stdin);
    let mut rest = [vec![], vec![]];
    let [out, err] = &mut rest;
    let transfer = |source| Error::Transfer { what: "the output of cloud-init".to_owned(), source };
    tokio::try_join!(exec.stdout.read_to_end(out), exec.stderr.read_to_end(err)).map_err(transfer)?;
    exec.end.await
}

async fn report(client: &Client, instance: &str, path: &str) -> Result<Option<Report>, Error> {
    let Some(file) = client.pull_file(instance, path, REPORT).await? else { return Ok(None) };
    let value: Value = serde_json::from_slice(&file.content).map_err(|source| Error::Malformed {
        host: format!("cloud-init in instance `{instance}`"),
        request: path.to_owned(),
        source: source.into(),
    })?;
    Ok(Some(Report(value)))
}

/// `result.json` or `status.json` of cloud-init.
#[derive(Deserialize)]
struct Report(Value);

impl Report {
    /// Collects the texts of every `errors` list, at any stage.
    fn errors(&self) -> Vec<String> {
        let Some(root) = self.0.get("v1").and_then(Value::as_object) else { return vec![] };
        let own = root.get("errors").into_iter();
        let stages = root.values().filter_map(|stage| stage.get("errors"));
        let mut found: Vec<String> = own.chain(stages).flat_map(texts).collect();
        found.dedup();
        found
    }

    /// Collects what could be mended, with its severity in front, e.g. `WARNING: …`.
    fn warnings(&self) -> Vec<String> {
        let Some(root) = self.0.get("v1").and_then(Value::as_object) else { return vec![] };
        let stages = root.values().filter_map(|stage| stage.get("recoverable_errors")?.as_object());
        let each = |(severity, list): (&String, &Value)| {
            texts(list).into_iter().map(|text| format!("{severity}: {text}")).collect::<Vec<_>>()
        };
        stages.flat_map(|stage| stage.iter().flat_map(each).collect::<Vec<_>>()).collect()
    }
}

fn texts(list: &Value) -> Vec<String> {
    let items = list.as_array().into_iter().flatten();
    items.map(|item| item.as_str().map_or_else(|| item.to_string(), |text| text.trim().to_owned())).collect()
}
