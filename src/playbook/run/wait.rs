//! Hosts that are waited for: `wait_for_connection`, and `reboot`, which takes the connection away and opens it again.

use std::time::{Duration, Instant};

use serde_json::{Map, Value as Json, json};
use tokio::time::{sleep, timeout};

use crate::machine::{Command, Finished};
use crate::module::Mode;
use crate::playbook::connection::Connection;
use crate::playbook::run::connect::{Agents, Way};
use crate::playbook::run::result::{self, Result as TaskResult};
use crate::playbook::{Refused, in_full};

/// How long a host that is going down may take over one answer.
const ANSWER: Duration = Duration::from_secs(30);

/// How a host is waited for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Patience {
    /// Before the first try.
    delay: Duration,
    /// Between two tries.
    sleep: Duration,
    /// For one connection.
    connect: Duration,
    /// For all.
    whole: Duration,
}

impl Patience {
    /// Reads the arguments of `wait_for_connection`.
    ///
    /// # Errors
    ///
    /// One is no number.
    pub fn read(given: &Map<String, Json>) -> Result<Self, String> {
        Ok(Self {
            delay: seconds(given, &["delay"], 0)?,
            sleep: seconds(given, &["sleep"], 1)?,
            connect: seconds(given, &["connect_timeout"], 5)?,
            whole: seconds(given, &["timeout"], 600)?,
        })
    }
}

fn seconds(given: &Map<String, Json>, names: &[&str], usual: i64) -> Result<Duration, String> {
    let Some((name, value)) = names.iter().find_map(|name| Some((name, given.get(*name)?))) else {
        return Ok(Duration::from_secs(u64::try_from(usual).unwrap_or(0)));
    };
    let number = match value {
        Json::Number(number) => number.as_i64(),
        Json::String(text) => text.trim().parse().ok(),
        _ => None,
    };
    let number: i64 = number.ok_or_else(|| format!("`{name}` is `{value}`, must be a whole number"))?;
    Ok(Duration::from_secs(u64::try_from(number.max(0)).unwrap_or(0)))
}

/// How a machine is started again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reboot {
    before: Duration,
    after: Duration,
    connect: Duration,
    whole: Duration,
    message: String,
    /// A command instead of `shutdown`.
    command: Option<String>,
    paths: Vec<String>,
    /// Says something else after every start.
    boot: String,
    /// Ends well when the machine is up.
    test: String,
    mode: Mode,
}

impl Reboot {
    /// Reads the arguments of `reboot`.
    ///
    /// # Errors
    ///
    /// One is not what it must be.
    pub fn read(given: &Map<String, Json>, mode: Mode) -> Result<Self, String> {
        let text = |name: &str| given.get(name).map(crate::module::arguments::text);
        let paths = match given.get("search_paths") {
            None => ["/sbin", "/bin", "/usr/sbin", "/usr/bin", "/usr/local/sbin"].map(str::to_owned).to_vec(),
            Some(Json::Array(paths)) => paths.iter().map(crate::module::arguments::text).collect(),
            Some(path) => vec![crate::module::arguments::text(path)],
        };
        Ok(Self {
            before: seconds(given, &["pre_reboot_delay", "pre_reboot_delay_sec"], 0)?,
            after: seconds(given, &["post_reboot_delay", "post_reboot_delay_sec"], 0)?,
            connect: seconds(given, &["connect_timeout", "connect_timeout_sec"], 10)?,
            whole: seconds(given, &["reboot_timeout", "reboot_timeout_sec"], 600)?,
            message: text("msg").unwrap_or_else(|| "Reboot initiated by Ansible".to_owned()),
            command: text("reboot_command"),
            paths,
            boot: text("boot_time_command").unwrap_or_else(|| "cat /proc/sys/kernel/random/boot_id".to_owned()),
            test: text("test_command").unwrap_or_else(|| "whoami".to_owned()),
            mode,
        })
    }

    /// The program that takes the machine down, looked for where `search_paths` says.
    fn going_down(&self) -> Command {
        let path = format!("PATH={}", self.paths.join(":"));
        if let Some(line) = &self.command {
            return Command::new(["env", &path, "sh", "-c", line]);
        }
        // `shutdown` counts in minutes.
        let minutes = (self.before.as_secs() / 60).to_string();
        Command::new(["env", &path, "shutdown", "-r", &minutes, &self.message])
    }
}

/// Waits until an agent answers at the end of `way`.
pub async fn reached(agents: &Agents, way: &Way, patience: &Patience) -> TaskResult {
    let began = Instant::now();
    sleep(patience.delay).await;
    let tried = Instant::now();
    let mut why = "no time was given".to_owned();
    while tried.elapsed() < patience.whole {
        let left = patience.whole.saturating_sub(tried.elapsed());
        match asked(agents, way, "true", patience.connect, left).await {
            Ok(_) => return elapsed(began, [("changed", json!(false)), ("failed", json!(false))]),
            Err(message) => why = message,
        }
        sleep(patience.sleep).await;
    }
    let message = format!("timed out waiting for ping module test: {why}");
    elapsed(began, [("changed", json!(false)), ("failed", json!(true)), ("msg", json!(message))])
}

fn elapsed<const N: usize>(began: Instant, pairs: [(&str, Json); N]) -> TaskResult {
    let mut result = result::pairs(pairs);
    result.insert("elapsed".to_owned(), json!(began.elapsed().as_secs()));
    result
}

/// Runs a line at the end of `way` over a connection of its own.
async fn asked(agents: &Agents, way: &Way, line: &str, connect: Duration, left: Duration) -> Result<Finished, String> {
    agents.lost(&way.connection).await;
    let shown = |refused: Refused| in_full(&refused);
    if way.connection != Connection::Local {
        let opened = timeout(connect.min(left), agents.machine(&way.connection)).await;
        opened.map_err(|_| "the connection took too long".to_owned())?.map_err(shown)?;
    }
    let words = Command::new(["sh", "-c", line]);
    let answered = async {
        let client = agents.at(way).await.map_err(shown)?;
        timeout(ANSWER, client.run(&words, &[])).await.map_err(|_| "no answer".to_owned())?.map_err(|it| it.to_string())
    };
    timeout(left, answered).await.map_err(|_| "the agent took too long".to_owned())?
}

/// Starts a machine again and waits until it has.
pub async fn reboot(agents: &Agents, way: &Way, wanted: &Reboot) -> Result<TaskResult, Refused> {
    let not = |message: String| {
        let pairs = [("changed", json!(false)), ("failed", json!(true)), ("rebooted", json!(false))];
        let mut result = result::pairs(pairs);
        result.extend([("elapsed".to_owned(), json!(0)), ("msg".to_owned(), json!(message))]);
        result
    };
    if way.connection == Connection::Local {
        return Ok(not("Running reboot with local connection would reboot the control node.".to_owned()));
    }
    if wanted.mode == Mode::Check {
        return Ok(result::pairs([("changed", json!(true)), ("elapsed", json!(0)), ("rebooted", json!(true))]));
    }
    let client = agents.at(way).await?;
    let asked = client.run(&Command::new(["sh", "-c", &wanted.boot]), &[]).await?;
    let before = text(&asked.stdout);
    if asked.status != 0 {
        let (rc, said) = (asked.status, text(&asked.stderr));
        return Ok(not(format!(
            "reboot: failed to get host boot time info, rc: {rc}, stdout: {before}, stderr: {said}"
        )));
    }
    // What cuts the connection is what was asked for.
    if let Ok(Ok(ended)) = timeout(ANSWER, client.run(&wanted.going_down(), &[])).await
        && ended.status != 0
    {
        let (out, said) = (text(&ended.stdout), text(&ended.stderr));
        return Ok(not(format!("Reboot command failed. Error was: '{out}, {said}'")));
    }
    drop(client);
    let began = Instant::now();
    sleep(wanted.after).await;
    Ok(up(agents, way, wanted, &before, began).await)
}

/// Whether an answer is the one that is waited for.
type Good<'a> = dyn Fn(&Finished) -> bool + Sync + 'a;

/// Waits for another start, and then for the test to end well.
async fn up(agents: &Agents, way: &Way, wanted: &Reboot, before: &str, began: Instant) -> TaskResult {
    let changed = |ended: &Finished| {
        let now = text(&ended.stdout);
        ended.status == 0 && !now.is_empty() && now != before
    };
    let tested = |ended: &Finished| ended.status == 0;
    let steps: [(&str, &str, &Good<'_>); 2] =
        [(&wanted.boot, "last boot time check", &changed), (&wanted.test, "post-reboot test command", &tested)];
    for (line, what, good) in steps {
        if !until(agents, way, wanted, line, good).await {
            let message = format!("Timed out waiting for {what} (timeout={})", wanted.whole.as_secs());
            let pairs = [("failed", json!(true)), ("rebooted", json!(true)), ("msg", json!(message))];
            let mut result = elapsed(began, pairs);
            result.insert("changed".to_owned(), json!(false));
            return result;
        }
    }
    elapsed(began, [("changed", json!(true)), ("failed", json!(false)), ("rebooted", json!(true))])
}

/// Asks again and again, less and less often.
async fn until(agents: &Agents, way: &Way, wanted: &Reboot, line: &str, good: &Good<'_>) -> bool {
    let began = Instant::now();
    let mut pause = Duration::from_secs(1);
    while began.elapsed() < wanted.whole {
        let left = wanted.whole.saturating_sub(began.elapsed());
        if asked(agents, way, line, wanted.connect, left).await.is_ok_and(|ended| good(&ended)) {
            return true;
        }
        sleep(pause + Duration::from_millis(u64::from(rand::random::<u16>() % 1000))).await;
        pause = (pause * 2).min(Duration::from_secs(12));
    }
    false
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).trim().to_owned()
}
