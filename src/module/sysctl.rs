//! `sysctl`: settings of the kernel, in its file and at once.

use serde::{Deserialize, Serialize};

use crate::module::action::{Action, Bytes, Write, act};
use crate::module::arguments::{Kind, Parameter};
use crate::module::lineinfile::State;
use crate::module::program::{self, Ran};
use crate::module::{Call, Context, Error, Failed, Mode, Outcome, text, typed};

/// What it may be told.
pub const PARAMETERS: &[Parameter] = &[
    Parameter::new("name", Kind::Text).or(&["key"]).required(),
    Parameter::new("value", Kind::Text).or(&["val"]),
    Parameter::new("state", Kind::Choice(&["present", "absent"])),
    Parameter::new("reload", Kind::Flag),
    Parameter::new("sysctl_set", Kind::Flag),
    Parameter::new("ignoreerrors", Kind::Flag),
    Parameter::new("sysctl_file", Kind::Text),
];

/// What is wanted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Arguments {
    /// The setting, e.g. `net.ipv4.ip_forward`.
    pub name: String,
    /// Its value; truth values are `1` and `0`.
    #[serde(default)]
    pub value: String,
    /// Whether the file has it.
    #[serde(default)]
    pub state: State,
    /// Whether the kernel reads the file again when something changed.
    #[serde(default = "yes")]
    pub reload: bool,
    /// Whether the kernel is told at once.
    #[serde(default)]
    pub sysctl_set: bool,
    /// Whether settings that the kernel does not have are passed over.
    #[serde(default)]
    pub ignoreerrors: bool,
    /// The file.
    #[serde(default = "usual")]
    pub sysctl_file: String,
}

fn yes() -> bool {
    true
}

fn usual() -> String {
    "/etc/sysctl.conf".to_owned()
}

pub(crate) fn parse(Call { arguments, .. }: Call) -> Result<Arguments, Error> {
    let missing = |name: &str| Error::Missing { module: "sysctl".to_owned(), name: name.to_owned() };
    let mut arguments: Arguments = typed("sysctl", arguments)?;
    arguments.name = arguments.name.trim().to_owned();
    arguments.value = plain(&arguments.value);
    if arguments.name.is_empty() {
        return Err(missing("name"));
    }
    if arguments.state == State::Present && arguments.value.is_empty() {
        return Err(missing("value"));
    }
    Ok(arguments)
}

fn plain(value: &str) -> String {
    match value.to_lowercase().as_str() {
        "y" | "yes" | "on" | "1" | "true" | "t" => "1".to_owned(),
        "n" | "no" | "off" | "0" | "false" | "f" => "0".to_owned(),
        _ => value.trim().to_owned(),
    }
}

/// What is there.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Scene {
    /// The file's content.
    pub file: String,
    /// What the kernel says; nothing if it cannot be asked.
    pub kernel: Option<String>,
}

/// What is going to be done.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Plan {
    /// Whether anything is.
    pub changed: bool,
    /// Whether the kernel is told the value.
    pub set: bool,
    /// The file's new content, if it is written.
    pub file: Option<String>,
}

pub(crate) fn run(arguments: &Arguments, host: &Context, mode: Mode) -> Result<Outcome, Failed> {
    let path = host.system.path(&arguments.sysctl_file);
    let before = text::read(&path, host.system)?.unwrap_or_default();
    let asked = program::english(&["sysctl", "-e", "-n", &arguments.name], host)?;
    let kernel = (asked.status == 0).then_some(asked.stdout);
    let scene = Scene { file: String::from_utf8_lossy(&before).into_owned(), kernel };
    let plan = plan(arguments, &scene);
    let mut outcome = Outcome { changed: plan.changed, ..Outcome::default() };
    if let Some(after) = &plan.file {
        outcome.diffs.push(text::diff(&path, &before, after.as_bytes()));
    }
    if mode == Mode::Apply {
        carry_out(arguments, &plan, &path, host)?;
    }
    Ok(outcome)
}

/// What has to be done, and whether that is anything.
pub fn plan(arguments: &Arguments, scene: &Scene) -> Plan {
    let Arguments { name, value, state, reload, sysctl_set, .. } = arguments;
    let in_file = scene.file.lines().filter_map(setting).rfind(|(key, _)| key == name).map(|(_, value)| value);
    let told = scene.kernel.as_deref().is_some_and(|kernel| kernel.split_whitespace().eq(value.split_whitespace()));
    let write = match (in_file, state) {
        (None, state) => *state == State::Present,
        (Some(""), State::Absent) => false,
        (Some(_), State::Absent) => true,
        (Some(has), State::Present) => has != value,
    };
    let present = *state == State::Present;
    let stale = present && !told && !write && *reload;
    let set = present && *sysctl_set && !told;
    Plan {
        changed: write || stale || set,
        set: set && scene.kernel.is_some(),
        file: write.then(|| written(arguments, &scene.file)),
    }
}

fn setting(line: &str) -> Option<(&str, &str)> {
    let line = line.trim();
    let pair = line.split_once('=').filter(|_| !line.starts_with(['#', ';']))?;
    Some((pair.0.trim(), pair.1.trim()))
}

/// The file with the setting once, where it first stood, or at the end.
fn written(arguments: &Arguments, file: &str) -> String {
    let mut known: Vec<&str> = vec![];
    let mut lines = vec![];
    let wanted = (arguments.state == State::Present).then(|| format!("{}={}", arguments.name, arguments.value));
    for line in file.lines() {
        match setting(line) {
            None => lines.push(line.trim().to_owned()),
            Some((key, _)) if known.contains(&key) => {}
            Some((key, value)) => {
                known.push(key);
                if key == arguments.name {
                    lines.extend(wanted.clone());
                } else {
                    lines.push(format!("{key}={value}"));
                }
            }
        }
    }
    lines.extend(wanted.filter(|_| !known.contains(&arguments.name.as_str())));
    lines.into_iter().map(|line| line + "\n").collect()
}

fn carry_out(arguments: &Arguments, plan: &Plan, path: &str, host: &Context) -> Result<(), Failed> {
    let lenient = arguments.ignoreerrors.then_some("-e");
    if plan.set {
        let pair = format!("{}={}", arguments.name, arguments.value);
        let words = ["sysctl"].into_iter().chain(lenient).chain(["-w", &pair]).collect::<Vec<_>>();
        let ran = program::english(&words, host)?;
        if wrong(&ran) {
            return Err(Failed::new(format!("setting {} failed: {}{}", arguments.name, ran.stdout, ran.stderr)));
        }
    }
    if let Some(file) = &plan.file {
        let bytes = Bytes::Text(file.clone().into_bytes());
        act(&Action::Write(Write { path: path.to_owned(), bytes, ..Write::default() }), host)?;
    }
    if plan.changed && arguments.reload {
        let words = ["sysctl"].into_iter().chain(lenient).chain(["-p", path]).collect::<Vec<_>>();
        let ran = program::english(&words, host)?;
        if wrong(&ran) {
            return Err(Failed::new(format!("Failed to reload sysctl: {}{}", ran.stdout, ran.stderr)));
        }
    }
    Ok(())
}

/// Some refusals end with status 0.
fn wrong(ran: &Ran) -> bool {
    let refused = |line: &str| {
        line.starts_with("sysctl: setting key \"")
            && (line.ends_with("\": Invalid argument") || line.ends_with("\": Read-only file system"))
    };
    ran.status != 0 || ran.stderr.lines().any(refused)
}
