//! `command`, `shell` and `raw`: programs.

use std::time::SystemTime;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::module::arguments::{Kind, Parameter};
use crate::module::system::System;
use crate::module::{Call, Context, Error, Failed, Mode, Outcome, clock, program, typed};

/// What they may be told, beside a line of text.
pub const PARAMETERS: &[Parameter] = &[
    Parameter::new("cmd", Kind::Text),
    Parameter::new("argv", Kind::List),
    Parameter::new("chdir", Kind::Text),
    Parameter::new("executable", Kind::Text),
    Parameter::new("creates", Kind::Text),
    Parameter::new("removes", Kind::Text),
    Parameter::new("stdin", Kind::Text),
    Parameter::new("stdin_add_newline", Kind::Flag),
    Parameter::new("strip_empty_ends", Kind::Flag),
    Parameter::new("warn", Kind::Flag),
];

/// What `raw` may be told, beside its line of text.
pub const RAW_PARAMETERS: &[Parameter] = &[Parameter::new("executable", Kind::Text)];

/// What is wanted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Arguments {
    /// What to run.
    pub what: What,
    /// Where.
    pub chdir: Option<String>,
    /// The shell of `shell` (`/bin/sh` by default).
    pub executable: Option<String>,
    /// Not if something matches this pattern.
    pub creates: Option<String>,
    /// Not if nothing matches this pattern.
    pub removes: Option<String>,
    /// What it reads.
    pub stdin: Option<String>,
    /// Whether a newline follows.
    #[serde(default = "yes")]
    pub stdin_add_newline: bool,
    /// Whether newlines at the end of what it wrote are left out of the result.
    #[serde(default = "yes")]
    pub strip_empty_ends: bool,
}

/// What to run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum What {
    /// A line for a shell.
    Shell(String),
    /// A line for a shell, of which little is told.
    Raw(String),
    /// A line that is split into words as a shell does, variables of the environment filled in.
    Line(String),
    /// Words.
    Words(Vec<String>),
}

fn yes() -> bool {
    true
}

pub(crate) fn parse(Call { module, free_form, mut arguments }: Call) -> Result<Arguments, Error> {
    arguments.remove("warn");
    let line = free_form.map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned);
    let cmd = arguments.remove("cmd").and_then(|cmd| cmd.as_str().map(str::to_owned));
    let argv = arguments.remove("argv").and_then(|argv| serde_json::from_value::<Vec<String>>(argv).ok());
    let together = |first: &str, second: &str| Error::Together {
        module: module.to_owned(),
        first: first.to_owned(),
        second: second.to_owned(),
    };
    let what = match (line, cmd, argv) {
        (Some(_), Some(_), _) => return Err(together("a line of text", "cmd")),
        (Some(_), _, Some(_)) => return Err(together("a line of text", "argv")),
        (_, Some(_), Some(_)) => return Err(together("cmd", "argv")),
        (None, None, None) => {
            let name = if module == "raw" { "a line of text" } else { "cmd" };
            return Err(Error::Missing { module: module.to_owned(), name: name.to_owned() });
        }
        (_, _, Some(_)) if module == "shell" => {
            return Err(Error::Parameter { module: module.to_owned(), name: "argv".to_owned(), nearest: None });
        }
        (_, _, Some(words)) => What::Words(words),
        (Some(line), ..) | (_, Some(line), _) if module == "shell" => What::Shell(line),
        (Some(line), ..) if module == "raw" => What::Raw(line),
        (Some(line), ..) | (_, Some(line), _) => What::Line(line),
    };
    let what = serde_json::to_value(what).unwrap_or_default();
    arguments.insert("what".to_owned(), what);
    typed(module, arguments)
}

pub(crate) fn run(arguments: &Arguments, host: &Context, mode: Mode) -> Result<Outcome, Failed> {
    if let What::Raw(line) = &arguments.what {
        return raw(line, arguments.executable.as_deref(), host, mode);
    }
    let shown = shown(&arguments.what);
    let told = |failed: Failed| failed.with("cmd", shown.clone());
    let words = words(&arguments.what, arguments.executable.as_deref(), host).map_err(told)?;
    let directory = arguments.chdir.as_deref().map(|path| host.system.path(path));
    if let Some(directory) = &directory
        && !host.system.real(directory).is_dir()
    {
        let why = format!("Unable to change directory before execution: no directory at {directory}");
        return Err(told(Failed::new(why)));
    }
    if let Some(why) = needless(arguments, directory.as_deref(), host.system) {
        let (path, state) = why;
        let why = format!("'{path}' {state}");
        let message = match mode {
            Mode::Check => format!("Would not run command since {why}"),
            Mode::Apply => format!("Did not run command since {why}"),
        };
        return Ok(Outcome {
            values: unrun(&shown, &format!("skipped, since {path} {state}"), &message),
            ..Outcome::default()
        });
    }
    if mode == Mode::Check {
        let values = unrun(&shown, "", "Command would have run if not in check mode");
        let known = arguments.creates.is_some() || arguments.removes.is_some();
        return Ok(Outcome { changed: known, skipped: !known, values, ..Outcome::default() });
    }
    let directory = directory.map(|directory| host.system.real(&directory));
    let setting = program::Setting { directory, input: input(arguments), variables: vec![] };
    let start = SystemTime::now();
    let ran = program::run(&words, &setting, host).map_err(told)?;
    Ok(ended(arguments, &shown, &ran, start))
}

/// The line is handed to a shell as it is; what was written is told as it is.
fn raw(line: &str, executable: Option<&str>, host: &Context, mode: Mode) -> Result<Outcome, Failed> {
    if mode == Mode::Check {
        return Ok(Outcome { skipped: true, ..Outcome::default() });
    }
    let words = [executable.unwrap_or("/bin/sh"), "-c", line].map(str::to_owned);
    let ran = program::run(&words, &program::Setting::default(), host)?;
    let failed = (ran.status != 0).then(|| "non-zero return code".to_owned());
    let lines = |text: &str| json!(text.lines().collect::<Vec<_>>());
    let values = [
        ("rc", json!(ran.status)),
        ("stdout_lines", lines(&ran.stdout)),
        ("stdout", json!(ran.stdout)),
        ("stderr_lines", lines(&ran.stderr)),
        ("stderr", json!(ran.stderr)),
    ];
    let values = values.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    Ok(Outcome { changed: true, failed, values, ..Outcome::default() })
}

fn input(arguments: &Arguments) -> Vec<u8> {
    let mut input = arguments.stdin.clone().unwrap_or_default();
    if arguments.stdin.is_some() && arguments.stdin_add_newline {
        input.push('\n');
    }
    input.into_bytes()
}

/// What the result calls `cmd`.
fn shown(what: &What) -> Value {
    match what {
        What::Shell(line) | What::Raw(line) => json!(line),
        What::Line(line) => program::split(line).map_or_else(|_| json!(line), |words| json!(words)),
        What::Words(words) => json!(words),
    }
}

fn words(what: &What, executable: Option<&str>, host: &Context) -> Result<Vec<String>, Failed> {
    let filled = |words: &[String]| {
        words.iter().map(|word| super::system::variables(&host.system.home(word), host.environment)).collect()
    };
    match what {
        What::Shell(line) | What::Raw(line) => {
            Ok(vec![executable.unwrap_or("/bin/sh").to_owned(), "-c".to_owned(), line.clone()])
        }
        What::Line(line) => Ok(filled(&program::split(line).map_err(Failed::new)?)),
        What::Words(words) => Ok(filled(words)),
    }
}

/// Why nothing is to be run: what it would make is there, or what it would remove is not.
fn needless<'a>(arguments: &'a Arguments, directory: Option<&str>, system: &System) -> Option<(&'a str, &'static str)> {
    let is_there = |pattern: &str| {
        let pattern = match directory {
            Some(directory) if !pattern.starts_with(['/', '~', '$']) => format!("{directory}/{pattern}"),
            _ => pattern.to_owned(),
        };
        !glob(&system.path(&pattern), system).is_empty()
    };
    match (&arguments.creates, &arguments.removes) {
        (Some(creates), _) if is_there(creates) => Some((creates, "exists")),
        (_, Some(removes)) if !is_there(removes) => Some((removes, "does not exist")),
        _ => None,
    }
}

/// The result of a command that was not run.
fn unrun(cmd: &Value, stdout: &str, message: &str) -> Map<String, Value> {
    result(cmd, 0, stdout, "", message)
}

fn ended(arguments: &Arguments, cmd: &Value, ran: &program::Ran, start: SystemTime) -> Outcome {
    let end = SystemTime::now();
    let strip = |text: &str| {
        let text = if arguments.strip_empty_ends { text.trim_end_matches(['\r', '\n']) } else { text };
        text.to_owned()
    };
    let failed = (ran.status != 0).then(|| "non-zero return code".to_owned());
    let message = failed.as_deref().unwrap_or_default();
    let mut values = result(cmd, ran.status, &strip(&ran.stdout), &strip(&ran.stderr), message);
    let took = end.duration_since(start).unwrap_or_default();
    for (name, value) in [("start", clock::stamp(start)), ("end", clock::stamp(end)), ("delta", clock::delta(took))] {
        values.insert(name.to_owned(), json!(value));
    }
    Outcome { changed: true, failed, values, ..Outcome::default() }
}

fn result(cmd: &Value, rc: i32, stdout: &str, stderr: &str, message: &str) -> Map<String, Value> {
    let lines = |text: &str| json!(text.lines().collect::<Vec<_>>());
    [
        ("cmd", cmd.clone()),
        ("rc", json!(rc)),
        ("stdout", json!(stdout)),
        ("stdout_lines", lines(stdout)),
        ("stderr", json!(stderr)),
        ("stderr_lines", lines(stderr)),
        ("msg", json!(message)),
        ("start", Value::Null),
        ("end", Value::Null),
        ("delta", Value::Null),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into_iter()
    .collect()
}

/// What is at the paths that match a pattern, in order: `*`, `?` and `[…]` within a name.
pub(crate) fn glob(pattern: &str, system: &System) -> Vec<String> {
    let mut found = vec![String::new()];
    for name in pattern.split('/').filter(|name| !name.is_empty()) {
        found = found.iter().flat_map(|above| below(above, name, system)).collect();
    }
    found.sort();
    found
}

fn below(above: &str, name: &str, system: &System) -> Vec<String> {
    if !name.contains(['*', '?', '[']) {
        let path = format!("{above}/{name}");
        return if system.found(&path).ok().flatten().is_some() { vec![path] } else { vec![] };
    }
    let Ok(entries) = std::fs::read_dir(system.real(&format!("{above}/"))) else { return vec![] };
    entries
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .filter(|entry| (!entry.starts_with('.') || name.starts_with('.')) && matches(entry, name))
        .map(|entry| format!("{above}/{entry}"))
        .collect()
}

/// Whether a name matches a pattern of a shell.
pub(crate) fn matches(name: &str, pattern: &str) -> bool {
    let mut written = String::from("^(?s:");
    let mut letters = pattern.chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            '*' => written.push_str(".*"),
            '?' => written.push('.'),
            '[' => {
                written.push('[');
                if letters.next_if_eq(&'!').is_some() {
                    written.push('^');
                }
                for letter in letters.by_ref() {
                    written.push(letter);
                    if letter == ']' {
                        break;
                    }
                }
            }
            other => written.push_str(&regex::escape(&other.to_string())),
        }
    }
    written.push_str(")$");
    regex::Regex::new(&written).is_ok_and(|pattern| pattern.is_match(name))
}
