//! `modprobe`: modules of the kernel, now and at every start.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::module::action::{Action, Bytes, Write, act, octal, umask};
use crate::module::arguments::{Kind, Parameter};
use crate::module::lineinfile::State;
use crate::module::{Call, Context, Error, Failed, Mode, Outcome, program, text, typed};

/// What it may be told.
pub const PARAMETERS: &[Parameter] = &[
    Parameter::new("name", Kind::Text).required(),
    Parameter::new("state", Kind::Choice(&["absent", "present"])),
    Parameter::new("params", Kind::Text),
    Parameter::new("persistent", Kind::Choice(&["disabled", "present", "absent"])),
];

/// What is wanted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Arguments {
    /// The module.
    pub name: String,
    /// Whether it is loaded.
    #[serde(default)]
    pub state: State,
    /// Its parameters.
    #[serde(default)]
    pub params: String,
    /// Whether it is loaded at every start.
    #[serde(default)]
    pub persistent: Persistent,
}

/// Whether a module is loaded at every start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Persistent {
    /// That is left as it is.
    #[default]
    Disabled,
    /// It is.
    Present,
    /// It is not.
    Absent,
}

const LOADED: &str = "/etc/modules-load.d";
const OPTIONS: &str = "/etc/modprobe.d";

pub(crate) fn parse(Call { arguments, .. }: Call) -> Result<Arguments, Error> {
    typed("modprobe", arguments)
}

pub(crate) fn run(arguments: &Arguments, host: &Context, mode: Mode) -> Result<Outcome, Failed> {
    let mut outcome = Outcome::default();
    let values = Map::from_iter([
        ("name".to_owned(), json!(arguments.name)),
        ("params".to_owned(), json!(arguments.params)),
        ("state".to_owned(), json!(arguments.state)),
    ]);
    let check = (mode == Mode::Check).then(|| "-n".to_owned());
    let parameters = program::split(&arguments.params).map_err(Failed::new)?;
    let told = |mut failed: Failed| {
        failed.values.extend(values.clone());
        failed
    };
    match (arguments.state, loaded(&arguments.name, host).map_err(told)?) {
        (State::Present, false) => {
            let words = ["modprobe".to_owned()].into_iter().chain(check).chain([arguments.name.clone()]);
            must(&words.chain(parameters).collect::<Vec<_>>(), &values, host)?;
            outcome.changed = mode == Mode::Check || loaded(&arguments.name, host)?;
        }
        (State::Absent, true) => {
            let words = ["modprobe", "-r", &arguments.name].map(str::to_owned).into_iter().chain(check);
            must(&words.collect::<Vec<_>>(), &values, host)?;
            outcome.changed = true;
        }
        _ => {}
    }
    let actions = plan(arguments, &folder(LOADED, host)?, &folder(OPTIONS, host)?);
    outcome.changed |= !actions.is_empty();
    if mode == Mode::Apply {
        actions.iter().try_for_each(|action| act(action, host).map(drop))?;
    }
    outcome.values = values;
    Ok(outcome)
}

fn must(words: &[String], values: &Map<String, Value>, host: &Context) -> Result<(), Failed> {
    let ran = program::run(words, &program::Setting::default(), host)?;
    if ran.status == 0 {
        return Ok(());
    }
    let mut failed = Failed::new(ran.stderr.clone()).with("rc", ran.status);
    failed.values.extend(values.clone());
    Err(failed.with("stdout", ran.stdout).with("stderr", ran.stderr))
}

/// Whether the kernel has it, loaded or built in.
fn loaded(name: &str, host: &Context) -> Result<bool, Failed> {
    let read = |path: &str| {
        let missing = || Failed::new(format!("[Errno 2] No such file or directory: '{path}'"));
        let bytes = text::read(path, host.system)?.ok_or_else(missing)?;
        Ok::<_, Failed>(String::from_utf8_lossy(&bytes).into_owned())
    };
    let start = name.replace('-', "_") + " ";
    if read("/proc/modules")?.lines().any(|line| line.starts_with(&start)) {
        return Ok(true);
    }
    let release = rustix::system::uname().release().to_string_lossy().into_owned();
    let built_in = read(&format!("/lib/modules/{release}/modules.builtin"))?;
    Ok(built_in.lines().any(|line| line.trim_end().ends_with(&format!("/{name}.ko"))))
}

/// The files of a directory: path and content.
fn folder(path: &str, host: &Context) -> Result<Vec<(String, String)>, Failed> {
    let entries = std::fs::read_dir(host.system.real(path)).into_iter().flatten().flatten();
    let mut names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect::<Vec<_>>();
    names.sort();
    let mut files = vec![];
    for name in names {
        let path = format!("{path}/{name}");
        if host.system.real(&path).is_file() {
            let bytes = text::read(&path, host.system)?.unwrap_or_default();
            files.push((path, String::from_utf8_lossy(&bytes).into_owned()));
        }
    }
    Ok(files)
}

/// A line without the comment behind it.
fn bare(line: &str) -> &str {
    line.split(['#', ';']).next().unwrap_or_default().trim_end()
}

/// What is to be done so that it is loaded at every start, or not.
pub fn plan(arguments: &Arguments, loaded: &[(String, String)], options: &[(String, String)]) -> Vec<Action> {
    let loads = |line: &str| bare(line).trim_start_matches(' ') == arguments.name;
    let option = |line: &str| {
        let rest = bare(line).strip_prefix("options ")?.strip_prefix(arguments.name.as_str())?.strip_prefix(' ')?;
        (rest.contains('=') && !rest.contains(' ')).then(|| rest.to_owned())
    };
    let is_loaded = loaded.iter().any(|(_, text)| text.lines().any(loads));
    let mut has = options.iter().flat_map(|(_, text)| text.lines().filter_map(option)).collect::<Vec<_>>();
    let mut wanted = arguments.params.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    for list in [&mut has, &mut wanted] {
        list.sort();
        list.dedup();
    }
    let name = &arguments.name;
    let line = |parameter| format!("options {name} {parameter}\n");
    let lines = || arguments.params.split_whitespace().map(line).collect::<Vec<_>>().concat();
    match arguments.persistent {
        Persistent::Disabled => vec![],
        Persistent::Present => {
            let mut actions = vec![];
            actions.extend((!is_loaded).then(|| write(format!("{LOADED}/{name}.conf"), format!("{name}\n"), None)));
            if has != wanted {
                let own = format!("{OPTIONS}/{name}.conf");
                let others = options.iter().filter(|(path, _)| *path != own);
                actions.extend(others.filter_map(|(path, text)| out(path, text, &|line| option(line).is_some())));
                let text = if wanted.is_empty() { "\n".to_owned() } else { lines() };
                actions.push(write(own.clone(), text, options.iter().find(|(path, _)| *path == own)));
            }
            actions
        }
        Persistent::Absent => {
            let first = loaded.iter().filter_map(|(path, text)| out(path, text, &loads));
            let second = options.iter().filter_map(|(path, text)| out(path, text, &|line| option(line).is_some()));
            first.chain(second).collect()
        }
    }
}

fn write(path: String, content: String, old: Option<&(String, String)>) -> Action {
    let mode = old.is_none().then(|| octal(0o666 & !umask()));
    Action::Write(Write { path, bytes: Bytes::Text(content.into_bytes()), mode, ..Write::default() })
}

/// Comments lines out.
fn out(path: &str, text: &str, meant: &dyn Fn(&str) -> bool) -> Option<Action> {
    let line = |line: &str| if meant(line) { format!("#{line}\n") } else { format!("{line}\n") };
    let old = (path.to_owned(), text.to_owned());
    let some = text.lines().any(meant);
    some.then(|| write(path.to_owned(), text.lines().map(line).collect(), Some(&old)))
}
