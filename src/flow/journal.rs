//! What was done, by whom and when: one JSON line for each plan, on the host and on this computer.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::plan::Plan;

pub mod read;

/// Returns the line.
///
/// - `who`: account and computer, e.g. `anna@desk`.
/// - `result`: `done`, or what went wrong.
/// - `outages`: for how many milliseconds instances did not serve.
pub fn line(who: &str, plan: &Plan, took: Duration, result: &str, outages: &BTreeMap<String, u64>) -> Value {
    let steps: Vec<String> = plan.steps.iter().map(ToString::to_string).collect();
    let mut line = entry(who, &plan.title, &steps, took, result);
    if !outages.is_empty() {
        line["outages"] = json!(outages);
    }
    line
}

/// The same of what no plan of a host is about.
pub fn entry(who: &str, title: &str, steps: &[String], took: Duration, result: &str) -> Value {
    json!({
        "when": seconds(),
        "who": who,
        "plan": title,
        "steps": steps,
        "result": result,
        "took": u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
    })
}

/// Seconds since 1970 (UTC).
pub fn seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// The name of the account that runs us.
pub fn account() -> String {
    std::env::var("USER").or_else(|_| std::env::var("LOGNAME")).unwrap_or_else(|_| "root".to_owned())
}

/// Account and computer, e.g. `anna@desk`.
pub fn who() -> String {
    format!("{}@{}", account(), rustix::system::uname().nodename().to_string_lossy())
}

/// The journal of this computer.
pub fn own(home: &Path) -> PathBuf {
    home.join(".local/state/ryo/journal.jsonl")
}

/// Appends a line to the journal of this computer.
///
/// # Errors
///
/// The file cannot be written.
pub fn append(home: &Path, line: &Value) -> std::io::Result<()> {
    let path = own(home);
    path.parent().map_or(Ok(()), std::fs::create_dir_all)?;
    let mut file = std::fs::OpenOptions::new().create(true).append(true).open(path)?;
    file.write_all(format!("{line}\n").as_bytes())
}

/// Returns a version for new images: the time in UTC, e.g. `20261123-031500`.
pub fn stamp() -> String {
    stamp_of(seconds())
}

/// Returns the stamp of a time in seconds since 1970 (UTC).
pub fn stamp_of(seconds: u64) -> String {
    let time = i64::try_from(seconds).ok().and_then(|seconds| Timestamp::from_second(seconds).ok());
    time.unwrap_or_default().strftime("%Y%m%d-%H%M%S").to_string()
}
