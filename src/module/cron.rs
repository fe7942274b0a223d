//! `cron`: entries of a crontab, found again by a marker line.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::module::arguments::{Kind, Parameter};
use crate::module::lineinfile::State;
use crate::module::{Context, Error, Failed, Mode, Outcome, apart, typed};

const SPECIAL: &[&str] = &["reboot", "yearly", "annually", "monthly", "weekly", "daily", "hourly"];

/// What it may be told.
pub const PARAMETERS: &[Parameter] = &[
    Parameter::new("name", Kind::Text).required(),
    Parameter::new("user", Kind::Text),
    Parameter::new("job", Kind::Text).or(&["value"]),
    Parameter::new("cron_file", Kind::Text),
    Parameter::new("state", Kind::Choice(&["present", "absent"])),
    Parameter::new("backup", Kind::Flag),
    Parameter::new("minute", Kind::Text),
    Parameter::new("hour", Kind::Text),
    Parameter::new("day", Kind::Text).or(&["dom"]),
    Parameter::new("month", Kind::Text),
    Parameter::new("weekday", Kind::Text).or(&["dow"]),
    Parameter::new("special_time", Kind::Choice(SPECIAL)),
    Parameter::new("disabled", Kind::Flag),
    Parameter::new("env", Kind::Flag),
    Parameter::new("insertafter", Kind::Text),
    Parameter::new("insertbefore", Kind::Text),
];

/// What is wanted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Arguments {
    /// What its marker line says; with `env`, the variable.
    pub name: String,
    /// Whose crontab, the agent's account's by default; in a `cron_file`, who runs it.
    pub user: Option<String>,
    /// The command; with `env`, the value.
    pub job: Option<String>,
    /// A file in `/etc/cron.d` (or an absolute path) instead of an account's crontab.
    pub cron_file: Option<String>,
    /// Whether it is there.
    #[serde(default)]
    pub state: State,
    /// Whether the old crontab is kept.
    #[serde(default)]
    pub backup: bool,
    /// `*` by default, as the next four.
    #[serde(default = "star")]
    pub minute: String,
    /// See `minute`.
    #[serde(default = "star")]
    pub hour: String,
    /// See `minute`.
    #[serde(default = "star")]
    pub day: String,
    /// See `minute`.
    #[serde(default = "star")]
    pub month: String,
    /// See `minute`.
    #[serde(default = "star")]
    pub weekday: String,
    /// A word instead of the five fields, e.g. `daily`.
    pub special_time: Option<String>,
    /// Whether the entry is commented out.
    #[serde(default)]
    pub disabled: bool,
    /// Whether it is a variable, not a job.
    #[serde(default)]
    pub env: bool,
    /// The variable behind which a variable stands.
    pub insertafter: Option<String>,
    /// The variable before which a variable stands.
    pub insertbefore: Option<String>,
}

fn star() -> String {
    "*".to_owned()
}

pub(crate) fn parse(arguments: Map<String, Value>) -> Result<Arguments, Error> {
    let missing = |name: &str| Error::Missing { module: "cron".to_owned(), name: name.to_owned() };
    apart("cron", &arguments, &["insertafter", "insertbefore"])?;
    for field in ["minute", "hour", "day", "month", "weekday"] {
        let given = |name: &str| arguments.contains_key(name);
        if given("special_time") && given(field) {
            return Err(Error::Together {
                module: "cron".to_owned(),
                first: "special_time".to_owned(),
                second: field.to_owned(),
            });
        }
    }
    let arguments: Arguments = typed("cron", arguments)?;
    if arguments.state == State::Present && arguments.job.is_none() {
        return Err(missing("job"));
    }
    if arguments.cron_file.is_some() && arguments.user.is_none() && arguments.state == State::Present {
        return Err(missing("user (for `cron_file`)"));
    }
    Ok(arguments)
}

pub(crate) fn run(_arguments: &Arguments, _context: &Context, _mode: Mode) -> Result<Outcome, Failed> {
    Err(Failed::new("not yet"))
}
