//! `apt_repository`: lines of `sources.list` files.

use std::collections::BTreeMap;
use std::fs;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::module::action::{Action, Bytes, Write, act};
use crate::module::apt::{self, Apt};
use crate::module::arguments::{Kind, Parameter};
use crate::module::attributes::{self, MODE, What};
use crate::module::web::VALIDATE_CERTS;
use crate::module::{Call, Context, Diff, Error, Failed, Mode, Outcome, text, typed};

mod lists;

use lists::Line;

/// What it may be told.
pub const PARAMETERS: &[Parameter] = &[
    Parameter::new("repo", Kind::Text).required(),
    Parameter::new("state", Kind::Choice(&["absent", "present"])),
    MODE,
    Parameter::new("update_cache", Kind::Flag).or(&["update-cache"]),
    Parameter::new("update_cache_retries", Kind::Integer),
    Parameter::new("update_cache_retry_max_delay", Kind::Integer),
    Parameter::new("filename", Kind::Text),
    Parameter::new("codename", Kind::Text),
    Parameter::new("install_python_apt", Kind::Flag),
    VALIDATE_CERTS,
];

/// Where the lines are, beside files in [`PARTS`].
const MAIN: &str = "/etc/apt/sources.list";
/// Where files of lines are.
const PARTS: &str = "/etc/apt/sources.list.d";

/// What is wanted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Arguments {
    /// The line.
    pub repo: String,
    /// What it shall be.
    #[serde(default)]
    pub state: State,
    /// Mode of a new file.
    pub mode: Option<String>,
    /// Whether the package lists are fetched after a change.
    #[serde(default = "yes")]
    pub update_cache: bool,
    /// How often fetching is tried.
    #[serde(default = "five")]
    pub update_cache_retries: i64,
    /// Most seconds between two tries.
    #[serde(default = "twelve")]
    pub update_cache_retry_max_delay: i64,
    /// The file for a new line, without `.list`.
    pub filename: Option<String>,
}

/// What a line shall be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// There, and not commented out.
    #[default]
    Present,
    /// Not there.
    Absent,
}

fn yes() -> bool {
    true
}

fn five() -> i64 {
    5
}

fn twelve() -> i64 {
    12
}

pub(crate) fn parse(Call { mut arguments, .. }: Call) -> Result<Arguments, Error> {
    // Of these, one is for a library that is not used here, the others for PPAs alone.
    for name in ["install_python_apt", "validate_certs", "codename"] {
        arguments.remove(name);
    }
    let arguments: Arguments = typed("apt_repository", arguments)?;
    attributes::check("apt_repository", "mode", arguments.mode.as_deref())?;
    if arguments.repo.starts_with("ppa:") {
        return Err(Error::Value {
            module: "apt_repository".to_owned(),
            name: "repo".to_owned(),
            value: arguments.repo,
            wanted:
                "a line of `sources.list`: write the PPA's own (`deb https://ppa.launchpadcontent.net/… SUITE main`) \
                     and its key"
                    .to_owned(),
        });
    }
    Ok(arguments)
}

/// The files of lines, by their paths.
pub type Files = BTreeMap<String, String>;

/// Says what the files shall hold. Those that shall hold nothing are not in it any more.
///
/// # Errors
///
/// [`Failed`]: the task's line is none.
pub fn plan(arguments: &Arguments, found: &Files) -> Result<Files, Failed> {
    let wanted = Line::read(&arguments.repo);
    if !wanted.valid || !wanted.enabled {
        return Err(Failed::new(format!("Invalid repository string: {}", arguments.repo.trim())));
    }
    let mut after = found.clone();
    let mut known = false;
    for (path, text) in found {
        let mut lines = lists::read(text);
        let same = |line: &Line| line.valid && line.source == wanted.source;
        let before = lines.clone();
        match arguments.state {
            State::Present => lines.iter_mut().filter(|line| same(line)).for_each(|line| {
                known = true;
                line.enabled = true;
            }),
            State::Absent => lines.retain(|line| !(same(line) && line.enabled)),
        }
        if lines.is_empty() && !before.is_empty() {
            after.remove(path);
        } else if lines != before {
            after.insert(path.clone(), lists::written(&lines));
        }
    }
    if arguments.state == State::Present && !known {
        let lines = after.entry(file(arguments, &wanted)).or_default();
        let mut all = lists::read(lines);
        all.push(wanted);
        *lines = lists::written(&all);
    }
    Ok(after)
}

fn file(arguments: &Arguments, wanted: &Line) -> String {
    let name = arguments.filename.as_ref().map_or_else(|| lists::name(&wanted.source), |name| format!("{name}.list"));
    if name.contains('/') { name } else { format!("{PARTS}/{name}") }
}

fn look(host: &Context) -> Result<Files, Failed> {
    let mut files = Files::new();
    let parts = fs::read_dir(host.system.real(PARTS)).into_iter().flatten().flatten();
    let parts = parts.map(|entry| format!("{PARTS}/{}", entry.file_name().to_string_lossy()));
    let parts = parts.filter(|path| matches!(path.rsplit_once('.'), Some((_, "list"))) && !path.contains("/."));
    for path in parts.chain([MAIN.to_owned()]) {
        if let Some(bytes) = text::read(&path, host.system)? {
            files.insert(path, String::from_utf8_lossy(&bytes).into_owned());
        }
    }
    Ok(files)
}

pub(crate) fn run(arguments: &Arguments, host: &Context, mode: Mode) -> Result<Outcome, Failed> {
    let before = look(host)?;
    let after = plan(arguments, &before)?;
    let changed = before != after;
    let only = |these: &Files, others: &Files| {
        these.keys().filter(|path| !others.contains_key(*path)).cloned().collect::<Vec<_>>()
    };
    let values = Map::from_iter([
        ("repo".to_owned(), json!(arguments.repo)),
        ("state".to_owned(), json!(arguments.state)),
        ("sources_added".to_owned(), json!(only(&after, &before))),
        ("sources_removed".to_owned(), json!(only(&before, &after))),
    ]);
    if changed && mode == Mode::Apply {
        let done = write(arguments.mode.as_deref(), &before, &after, host).and_then(|()| update(arguments, host, mode));
        if let Err(failed) = done {
            write(None, &after, &before, host)?;
            return Err(failed);
        }
    }
    Ok(Outcome { changed, diffs: diffs(&before, &after), values, ..Outcome::default() })
}

fn diffs(before: &Files, after: &Files) -> Vec<Diff> {
    let mut paths = before.keys().chain(after.keys()).collect::<Vec<_>>();
    paths.sort();
    paths.dedup();
    let differ = paths.into_iter().filter(|path| before.get(*path) != after.get(*path));
    let text = |files: &Files, path: &String| files.get(path).cloned().unwrap_or_default();
    differ.map(|path| Diff { subject: path.clone(), before: text(before, path), after: text(after, path) }).collect()
}

/// Makes the files that hold `from` hold `to`.
fn write(mode: Option<&str>, from: &Files, to: &Files, host: &Context) -> Result<(), Failed> {
    for path in from.keys().filter(|path| !to.contains_key(*path) && host.system.real(path).exists()) {
        act(&Action::Remove { path: path.clone() }, host)?;
    }
    for (path, text) in to.iter().filter(|(path, text)| from.get(*path) != Some(text)) {
        let above = path.rsplit_once('/').map_or("/", |(above, _)| above);
        let told = |error| Failed::new(format!("Failed to create directory {above}: {error}"));
        fs::create_dir_all(host.system.real(above)).map_err(told)?;
        let fresh = !from.contains_key(path);
        let mode = mode.filter(|_| fresh).and_then(|mode| attributes::apply(mode, 0o644, What::File));
        let write = Write {
            path: path.clone(),
            bytes: Bytes::Text(text.clone().into_bytes()),
            mode: mode.map(super::action::octal),
            ..Write::default()
        };
        act(&Action::Write(write), host)?;
    }
    Ok(())
}

fn update(arguments: &Arguments, host: &Context, mode: Mode) -> Result<(), Failed> {
    if !arguments.update_cache {
        return Ok(());
    }
    let fetching = Value::from_iter([
        ("update_cache".to_owned(), json!(true)),
        ("update_cache_retries".to_owned(), json!(arguments.update_cache_retries)),
        ("update_cache_retry_max_delay".to_owned(), json!(arguments.update_cache_retry_max_delay)),
    ]);
    let fetching: apt::Arguments = serde_json::from_value(fetching)
        .map_err(|error| Failed::new(format!("cannot fetch package lists: {error}")))?;
    Apt::new(&fetching, host, mode).update()
}
