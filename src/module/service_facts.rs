//! `service_facts`: all services and how they are, told as facts.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::module::arguments::Parameter;
use crate::module::{Call, Context, Error, Failed, Mode, Outcome, program, text, typed};

/// What it may be told: nothing.
pub const PARAMETERS: &[Parameter] = &[];

/// What is wanted: all of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Arguments {}

pub(crate) fn parse(Call { arguments, .. }: Call) -> Result<Arguments, Error> {
    typed("service_facts", arguments)
}

const BAD: [&str; 3] = ["not-found", "masked", "failed"];

pub(crate) fn run(_: &Arguments, host: &Context, _: Mode) -> Result<Outcome, Failed> {
    let mut services = Map::new();
    if program::find("service").is_some() {
        old(&program::english(&["service", "--status-all"], host)?.stdout, &mut services);
    }
    let first = text::read("/proc/1/comm", host.system)?.unwrap_or_default();
    if first.starts_with(b"systemd") {
        let list =
            |what: &str| program::english(&["systemctl", what, "--no-pager", "--type", "service", "--all"], host);
        units(&list("list-units")?.stdout, &mut services);
        let files = list("list-unit-files")?.stdout;
        let unknown = unit_files(&files, &mut services);
        states(&unknown, &mut services, host)?;
    }
    let mut outcome = Outcome { skipped: services.is_empty(), ..Outcome::default() };
    if services.is_empty() {
        let why = "Failed to find any services. This can be due to privileges or some other configuration issue.";
        outcome.values.insert("msg".to_owned(), json!(why));
    } else {
        outcome.values.insert("ansible_facts".to_owned(), json!({ "services": services }));
    }
    Ok(outcome)
}

/// Reads ` [ + ]  name`.
fn old(text: &str, services: &mut Map<String, Value>) {
    for line in text.lines() {
        let words = line.split_whitespace().collect::<Vec<_>>();
        if let ["[", mark @ ("+" | "-"), "]", name, ..] = words[..] {
            let state = if mark == "+" { "running" } else { "stopped" };
            services.insert(name.to_owned(), json!({ "name": name, "state": state, "source": "sysv" }));
        }
    }
}

fn units(text: &str, services: &mut Map<String, Value>) {
    for line in text.lines().filter(|line| line.contains(".service")) {
        let mut fields = line.split_whitespace().collect::<Vec<_>>();
        let bad = BAD.into_iter().find(|bad| fields.contains(bad));
        if bad.is_some() {
            fields.remove(0);
        }
        let Some(name) = fields.first() else { continue };
        let status = bad.or(fields.get(2).copied()).unwrap_or("unknown");
        let state = if fields.get(3) == Some(&"running") { "running" } else { "stopped" };
        let about = json!({ "name": name, "state": state, "status": status, "source": "systemd" });
        services.insert((*name).to_owned(), about);
    }
}

/// Fills in what files say. Returns the units that are not loaded, with what their files say.
fn unit_files(text: &str, services: &mut Map<String, Value>) -> Vec<(String, String)> {
    let mut unknown = vec![];
    for line in text.lines().filter(|line| line.contains(".service")) {
        let mut words = line.split_whitespace();
        let (Some(name), Some(status)) = (words.next(), words.next()) else { continue };
        match services.get_mut(name) {
            None => unknown.push((name.to_owned(), status.to_owned())),
            Some(known) if !BAD.contains(&known["status"].as_str().unwrap_or_default()) => {
                known["status"] = json!(status);
            }
            Some(_) => {}
        }
    }
    unknown
}

/// Asks for all of them at once.
fn states(unknown: &[(String, String)], services: &mut Map<String, Value>, host: &Context) -> Result<(), Failed> {
    // A template has no state: it is asked for by itself, and does not answer.
    let (templates, plain): (Vec<_>, Vec<_>) = unknown.iter().partition(|(name, _)| name.contains("@.service"));
    let names = plain.iter().map(|(name, _)| name.as_str());
    let words = ["systemctl", "show", "--property=ActiveState"].into_iter().chain(names).collect::<Vec<_>>();
    let said = if plain.is_empty() { String::new() } else { program::english(&words, host)?.stdout };
    let mut found = said.lines().filter_map(|line| line.strip_prefix("ActiveState="));
    for (name, status) in plain {
        let state = found.next().unwrap_or("unknown");
        let about = json!({ "name": name, "state": state, "status": status, "source": "systemd" });
        services.insert(name.clone(), about);
    }
    for (name, status) in templates {
        let about = json!({ "name": name, "state": "unknown", "status": status, "source": "systemd" });
        services.insert(name.clone(), about);
    }
    Ok(())
}
