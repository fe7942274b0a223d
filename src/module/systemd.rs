//! `systemd` and `service`: units, through `systemctl`.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::module::arguments::{Kind, Parameter};
use crate::module::{Context, Error, Failed, Mode, Outcome, typed};

const STATES: Kind = Kind::Choice(&["reloaded", "restarted", "started", "stopped"]);

/// What `systemd` may be told.
pub const PARAMETERS: &[Parameter] = &[
    Parameter::new("name", Kind::Text).or(&["service", "unit"]),
    Parameter::new("state", STATES),
    Parameter::new("enabled", Kind::Flag),
    Parameter::new("force", Kind::Flag),
    Parameter::new("masked", Kind::Flag),
    Parameter::new("daemon_reload", Kind::Flag).or(&["daemon-reload"]),
    Parameter::new("daemon_reexec", Kind::Flag).or(&["daemon-reexec"]),
    Parameter::new("scope", Kind::Choice(&["system", "user", "global"])),
    Parameter::new("no_block", Kind::Flag),
];

/// What `service` may be told.
pub const SERVICE_PARAMETERS: &[Parameter] = &[
    Parameter::new("name", Kind::Text).required(),
    Parameter::new("state", STATES),
    Parameter::new("enabled", Kind::Flag),
    Parameter::new("sleep", Kind::Integer),
    Parameter::new("pattern", Kind::Text),
    Parameter::new("runlevel", Kind::Text),
    Parameter::new("arguments", Kind::Text).or(&["args"]),
    Parameter::new("use", Kind::Choice(&["auto", "systemd"])),
    Parameter::new("daemon_reload", Kind::Flag).or(&["daemon-reload"]),
];

/// What is wanted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(clippy::struct_excessive_bools, reason = "the parameters of the module, as Ansible names them")]
pub struct Arguments {
    /// The unit, `.service` understood.
    pub name: Option<String>,
    /// Whether it runs.
    pub state: Option<State>,
    /// Whether it starts at boot.
    pub enabled: Option<bool>,
    /// Whether it can be started at all.
    pub masked: Option<bool>,
    /// Whether existing links may be overwritten.
    #[serde(default)]
    pub force: bool,
    /// Whether unit files are read again first.
    #[serde(default)]
    pub daemon_reload: bool,
    /// Whether systemd is started again first.
    #[serde(default)]
    pub daemon_reexec: bool,
    /// Whose units.
    #[serde(default)]
    pub scope: Scope,
    /// Whether not to wait for the unit.
    #[serde(default)]
    pub no_block: bool,
    /// Seconds between stop and start of a restart.
    pub sleep: Option<i64>,
}

/// Whether a unit runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// It runs, and has read its configuration again.
    Reloaded,
    /// It was stopped and started.
    Restarted,
    /// It runs.
    Started,
    /// It does not.
    Stopped,
}

/// Whose units.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// The machine's.
    #[default]
    System,
    /// The agent's account's.
    User,
    /// Every account's.
    Global,
}

pub(crate) fn parse(module: &str, arguments: Map<String, Value>) -> Result<Arguments, Error> {
    let acting = ["state", "enabled", "masked"].iter().any(|name| arguments.contains_key(*name));
    if acting && !arguments.contains_key("name") {
        return Err(Error::Missing { module: module.to_owned(), name: "name".to_owned() });
    }
    if !acting && !arguments.contains_key("daemon_reload") && !arguments.contains_key("daemon_reexec") {
        return Err(Error::Missing { module: module.to_owned(), name: "state or enabled".to_owned() });
    }
    typed(module, arguments)
}

pub(crate) fn run(_arguments: &Arguments, _context: &Context, _mode: Mode) -> Result<Outcome, Failed> {
    Err(Failed::new("not yet"))
}
