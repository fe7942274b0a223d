//! `cron`: entries of a crontab, found again by a marker line.

use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::module::action::{Action, Bytes, Write, act, octal};
use crate::module::arguments::{Kind, Parameter};
use crate::module::attributes::Ids;
use crate::module::lineinfile::State;
use crate::module::program::{self, Setting};
use crate::module::{Call, Context, Error, Failed, Mode, Outcome, apart, text, typed};

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

pub(crate) fn parse(Call { arguments, .. }: Call) -> Result<Arguments, Error> {
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

/// What marks an entry that Ansible made.
const MARK: &str = "#Ansible: ";

pub(crate) fn run(arguments: &Arguments, host: &Context, mode: Mode) -> Result<Outcome, Failed> {
    let path = arguments
        .cron_file
        .as_deref()
        .map(|file| if file.starts_with('/') { file.to_owned() } else { format!("/etc/cron.d/{file}") });
    let before = match &path {
        Some(path) => String::from_utf8_lossy(&text::read(path, host.system)?.unwrap_or_default()).into_owned(),
        None => listed(arguments, host)?,
    };
    let after = plan(arguments, &before)?;
    let mut outcome = Outcome { changed: after != before, ..Outcome::default() };
    if outcome.changed {
        let subject = path.as_deref().unwrap_or("crontab");
        outcome.diffs.push(text::diff(subject, before.as_bytes(), after.as_bytes()));
        if mode == Mode::Apply {
            if arguments.backup && !before.is_empty() {
                outcome.values.insert("backup_file".to_owned(), json!(backup(&before, host)?));
            }
            match &path {
                Some(path) => write(path, &after, host)?,
                None => drop(crontab(arguments, &["-"], after.clone().into_bytes(), host)?),
            }
        }
    }
    let (jobs, envs) = names(&after);
    outcome.values.insert("jobs".to_owned(), json!(jobs));
    outcome.values.insert("envs".to_owned(), json!(envs));
    Ok(outcome)
}

/// Runs `crontab` for the account wanted; exit 1 of a list means that there is none.
fn crontab(arguments: &Arguments, words: &[&str], input: Vec<u8>, host: &Context) -> Result<String, Failed> {
    let uid = rustix::process::geteuid().as_raw();
    let other = arguments.user.as_ref().filter(|user| host.system.owner(uid) != **user);
    let user = other.into_iter().flat_map(|user| ["-u".to_owned(), user.clone()]);
    let words = words.iter().map(|word| (*word).to_owned());
    let all = ["crontab".to_owned()].into_iter().chain(user).chain(words).collect::<Vec<_>>();
    let listing = all.last().is_some_and(|word| word == "-l");
    let ran = program::run(&all, &Setting { input, ..Setting::default() }, host)?;
    match ran.status {
        0 => Ok(ran.stdout),
        1 if listing => Ok(String::new()),
        _ => Err(Failed::new(ran.stderr.trim()).with("rc", ran.status)),
    }
}

/// The account's crontab without the lines that `crontab` puts on top.
fn listed(arguments: &Arguments, host: &Context) -> Result<String, Failed> {
    let whole = crontab(arguments, &["-l"], vec![], host)?;
    let top = |line: &str| {
        line.starts_with("# DO NOT EDIT THIS FILE - edit the master and reinstall.")
            || (line.starts_with("# (/tmp/") && line.contains("installed on"))
            || (line.starts_with("# (") && line.contains("version"))
    };
    let lines = whole.split_inclusive('\n').enumerate().filter(|(at, line)| *at > 2 || !top(line));
    Ok(lines.map(|(_, line)| line).collect())
}

fn backup(before: &str, host: &Context) -> Result<String, Failed> {
    let path = format!("/tmp/crontab{:016x}", rand::random::<u64>());
    write(&path, before, host)?;
    Ok(path)
}

/// Writes a file of entries; an empty one is removed.
fn write(path: &str, content: &str, host: &Context) -> Result<(), Failed> {
    let action = if content.is_empty() {
        Action::Remove { path: path.to_owned() }
    } else {
        let mode = host.system.found(path).ok().flatten().is_none().then(|| octal(0o644));
        let bytes = Bytes::Text(content.as_bytes().to_vec());
        Action::Write(Write { path: path.to_owned(), bytes, mode, ids: Ids::default(), ..Write::default() })
    };
    act(&action, host).map(|_| ())
}

/// The crontab with the entry as wanted.
///
/// # Errors
///
/// [`Failed`]: a variable that another is to stand beside is not there.
pub fn plan(arguments: &Arguments, before: &str) -> Result<String, Failed> {
    let lines = before.lines().map(str::to_owned).collect::<Vec<_>>();
    let lines = if arguments.env { variable(arguments, lines.clone())? } else { job(arguments, lines.clone()) };
    let whole = lines.join("\n");
    let whole = whole.trim_end_matches(['\r', '\n']);
    if before.lines().eq(lines.iter().map(String::as_str)) {
        return Ok(before.to_owned());
    }
    Ok(if whole.trim().is_empty() { String::new() } else { format!("{whole}\n") })
}

fn entry(arguments: &Arguments) -> String {
    let Arguments { minute, hour, day, month, weekday, .. } = arguments;
    let time = match &arguments.special_time {
        Some(word) => format!("@{word}"),
        None => format!("{minute} {hour} {day} {month} {weekday}"),
    };
    let user = match (&arguments.cron_file, &arguments.user) {
        (Some(_), Some(user)) => format!("{user} "),
        _ => String::new(),
    };
    let disabled = if arguments.disabled { "#" } else { "" };
    let job = arguments.job.as_deref().unwrap_or_default().trim_matches(['\r', '\n']);
    format!("{disabled}{time} {user}{job}")
}

fn job(arguments: &Arguments, lines: Vec<String>) -> Vec<String> {
    let mark = format!("{MARK}{}", arguments.name);
    let wanted = (arguments.state == State::Present).then(|| entry(arguments));
    let mut after: Vec<String> = vec![];
    let mut found = false;
    let mut lines = lines.into_iter();
    while let Some(line) = lines.next() {
        if line != mark {
            // The same job without a mark is taken over.
            let adopted = !found && Some(&line) == wanted.as_ref();
            if adopted && after.last().is_none_or(|above| !above.starts_with(MARK)) {
                after.push(mark.clone());
                found = true;
            }
            after.push(line);
            continue;
        }
        lines.next();
        if let Some(wanted) = &wanted {
            after.extend([mark.clone(), wanted.clone()]);
        }
        found = true;
    }
    if let Some(wanted) = wanted.filter(|_| !found) {
        after.extend([mark, wanted]);
    }
    after
}

fn variable(arguments: &Arguments, mut lines: Vec<String>) -> Result<Vec<String>, Failed> {
    let place = |name: &str, lines: &[String]| lines.iter().position(|line| line.starts_with(&format!("{name}=")));
    let value = arguments.job.as_deref().unwrap_or_default();
    let wanted = format!("{}=\"{value}\"", arguments.name);
    match (arguments.state, place(&arguments.name, &lines)) {
        (State::Absent, _) => lines.retain(|line| !line.starts_with(&format!("{}=", arguments.name))),
        (State::Present, Some(at)) => lines[at] = wanted,
        (State::Present, None) => {
            let beside = arguments.insertafter.as_ref().map(|name| (name, 1));
            let beside = beside.or_else(|| arguments.insertbefore.as_ref().map(|name| (name, 0)));
            let at = match beside {
                None => 0,
                Some((name, behind)) => {
                    let why = || Failed::new(format!("Variable named '{name}' not found."));
                    place(name, &lines).ok_or_else(why)? + behind
                }
            };
            lines.insert(at, wanted);
        }
    }
    Ok(lines)
}

/// The names of jobs and of variables.
fn names(whole: &str) -> (Vec<&str>, Vec<&str>) {
    let jobs = whole.lines().filter_map(|line| line.strip_prefix(MARK)).collect();
    let pairs = whole.lines().filter_map(|line| line.split_once('='));
    let variables = pairs.map(|(name, _)| name).filter(|name| !name.is_empty() && !name.contains([' ', '\t', '#']));
    (jobs, variables.collect())
}
