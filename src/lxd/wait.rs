//! Waiting for what the server has no operation for: an address, the end of the first boot.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use serde::Deserialize;
use serde_json::Value;
use tokio::io::AsyncReadExt;
use tokio::time::{sleep, timeout};

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
        /// When systemd had started the services of the instance, if it says and if nothing else starts any.
        services: Option<Instant>,
    },
}

/// An instance that has come up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Booted {
    /// Its addresses.
    pub addresses: Vec<IpAddr>,
    /// What cloud-init could mend by itself.
    pub warnings: Vec<String>,
    /// Since when its services run: what cloud-init does behind them on every boot keeps nobody waiting. On a first boot it
    /// is its end that counts.
    pub services: Instant,
}

/// Waits until an instance has come up: cloud-init has ended, and there is an address. Each has a limit, in this order, and
/// both together have until `until`.
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
) -> Result<Booted, Error> {
    let begun = Instant::now();
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
    let (warnings, services) = match ended {
        CloudInit::Done { warnings, services } => (warnings, services),
        CloudInit::Absent => (vec![], None),
    };
    // What ran before is not what was waited for.
    let services = services.filter(|since| *since >= begun).unwrap_or_else(Instant::now);
    Ok(Booted { addresses, warnings, services })
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
    let (status, services) = waited.unwrap_or(Err(Error::Timeout { what, after: limit }))?;
    // No such program.
    if matches!(status, 126 | 127) {
        return Ok(CloudInit::Absent);
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
    Ok(CloudInit::Done { warnings: status.as_ref().map(Report::warnings).unwrap_or_default(), services })
}

/// Ends when cloud-init has, or when there is none, with 127. Its own program takes a second of a processor to say anything,
/// while the services of the instance want it to start: it is only asked if nothing comes of the first ten seconds.
///
/// Prints for how many milliseconds the services have been running then: the time of the machine at which the program that
/// is asked was started, which the kernel tells in hundredths of a second, less the time at which systemd had started them.
/// Prints nothing if cloud-init has run the commands of its user in this boot, which may make services and start them.
///
/// Sources: cloud-init, where `status_wrapper` writes `result.json` last, semaphores are written for what is done once, and
/// `enabled` early in each boot; proc(5), `starttime`; org.freedesktop.systemd1(5).
const ENDED: &str = "\
n=0
while [ $n -lt 100 ] && [ ! -e /run/cloud-init/result.json ] && [ ! -e /run/cloud-init/disabled ]; do
    command -v cloud-init >/dev/null || exit 127
    sleep 0.1 2>/dev/null || sleep 1
    n=$((n + 1))
done
[ -e /run/cloud-init/result.json ] || cloud-init status --wait >/dev/null
[ ! /var/lib/cloud/instance/sem/config_scripts_user -nt /run/cloud-init/enabled ] || exit 0
since=$(systemctl show --value --property=ActiveEnterTimestampMonotonic multi-user.target) || exit 0
now=$(cut -d' ' -f22 /proc/self/stat) || exit 0
[ \"${since:-0}\" -eq 0 ] || echo $((now * 10 - since / 1000))
exit 0";

/// Most bytes that are read of what [`ENDED`] prints.
const PRINTED: u64 = 64 << 10;

/// Waits until cloud-init has ended; returns the exit status of [`ENDED`] and when the services had been started.
async fn ended(client: &Client, instance: &str) -> Result<(i32, Option<Instant>), Error> {
    let words = ["sh", "-c", ENDED].map(str::to_owned);
    let exec = client.exec(instance, &words, &Config::new()).await?;
    drop(exec.stdin);
    let [mut printed, mut errors] = [vec![], vec![]];
    let (mut stdout, mut stderr) = (exec.stdout.take(PRINTED), exec.stderr.take(PRINTED));
    let transfer = |source| Error::Transfer { what: "the output of cloud-init".to_owned(), source };
    tokio::try_join!(stdout.read_to_end(&mut printed), stderr.read_to_end(&mut errors)).map_err(transfer)?;
    let now = Instant::now();
    let ago = String::from_utf8_lossy(&printed).trim().parse().ok().map(Duration::from_millis);
    Ok((exec.end.await?, ago.and_then(|ago| now.checked_sub(ago))))
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
