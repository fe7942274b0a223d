//! A task on a host before it is sent: conditions and arguments rendered, files of the control node read.

use std::path::Path;

use serde_json::{Map, Value as Json};

use crate::module::source::Wanted;
use crate::module::{self, Blobs, Environment, Mode, copy, synchronize};
use crate::playbook::Request;
use crate::playbook::inventory::Made;
use crate::playbook::jinja::{self, Fault, Value, filters_text};
use crate::playbook::model::{Task, Written};
use crate::playbook::run::connect::{Way, truth, way};
use crate::playbook::run::wait::{Patience, Reboot};
use crate::playbook::run::{actions, transfer};
use crate::playbook::scope::{OMIT, TaskScope};
use crate::playbook::{files, origin, run::result, vault};

/// What is to be done.
pub enum Prepared {
    /// The condition is false.
    Skip(Json),
    /// It cannot be done, and why.
    Fail(String),
    /// It is done: a module of the control node.
    Done(Map<String, Json>),
    /// A host or a group is added.
    Make(Made, Map<String, Json>),
    /// Facts of the target are gathered; these parts of them are told.
    Facts(Way, Asked),
    /// Something is waited for.
    Wait(std::time::Duration),
    /// A job that was started before is asked about.
    Job(Question),
    /// The target is asked whether it is there.
    Reach(Way),
    /// The target is waited for.
    Await(Way, Patience),
    /// The target is started again.
    Reboot(Way, Box<Reboot>),
    /// The target does it.
    Remote(Box<Remote>),
    /// A file of the target comes here.
    Fetch(Box<transfer::Fetch>),
    /// A tree of the target comes here.
    Pull(Box<transfer::Pull>),
}

/// What is asked about a job.
pub enum Question {
    /// What has become of it.
    Status(String),
    /// It is forgotten.
    Forget(String),
}

/// Which facts are told.
pub struct Asked {
    /// Parts of them.
    pub subsets: Vec<String>,
    /// Patterns of names.
    pub filters: Vec<String>,
}

fn asked(given: &Map<String, Json>) -> Asked {
    let list = |name: &str| match given.get(name) {
        Some(Json::Array(items)) => items.iter().map(module::arguments::text).collect(),
        Some(Json::String(text)) => text.split(',').map(|word| word.trim().to_owned()).collect(),
        _ => vec![],
    };
    let filled = |list: Vec<String>| list.into_iter().filter(|word| !word.is_empty()).collect();
    Asked { subsets: filled(list("gather_subset")), filters: filled(list("filter")) }
}

/// What an agent is sent.
pub struct Remote {
    /// The task.
    pub task: module::Task,
    /// Contents of the control node.
    pub blobs: Blobs,
    /// Variables for programs.
    pub environment: Environment,
    /// Whether it acts.
    pub mode: Mode,
    /// Where.
    pub way: Way,
}

/// Prepares a task, and names the handlers that it notifies. `scope` sees the host's variables and those of the loop.
pub fn prepare(scope: &TaskScope<'_>, task: &Task, request: &Request) -> (Prepared, Vec<String>) {
    match conditions(scope, &task.settings.when) {
        Ok(None) => {}
        Ok(Some(condition)) => return (Prepared::Skip(condition), vec![]),
        Err(message) => return (Prepared::Fail(message), vec![]),
    }
    // What is only looked at once it has ended is asked for its facts now.
    let settings = &task.settings;
    let later = [&settings.ignore_errors, &settings.ignore_unreachable, &settings.no_log, &settings.any_errors_fatal];
    for keyword in later {
        drop(scope.keyword(keyword));
    }
    match notified(scope, task) {
        Ok(names) => (ready(scope, task, request).unwrap_or_else(Prepared::Fail), names),
        Err(message) => (Prepared::Fail(message), vec![]),
    }
}

fn notified(scope: &TaskScope<'_>, task: &Task) -> Result<Vec<String>, String> {
    let mut names = vec![];
    for written in &task.notify {
        let value = rendered(scope, written)?;
        match value.as_list() {
            Some(items) => names.extend(items.iter().map(ToString::to_string)),
            None => names.push(value.to_string()),
        }
    }
    Ok(names)
}

fn ready(scope: &TaskScope<'_>, task: &Task, request: &Request) -> Result<Prepared, String> {
    if let Some(prepared) = actions::here(scope, task)? {
        return Ok(prepared);
    }
    let target = delegated(scope, task)?;
    let way = match &target {
        Some(target) => way(target, request)?,
        None => way(scope, request)?,
    };
    match task.module.as_str() {
        "setup" | "gather_facts" => return Ok(Prepared::Facts(way, asked(&arguments(scope, task)?))),
        "async_status" => {
            let mut given = arguments(scope, task)?;
            let id = given.remove("jid").map(|id| Value::from(&id).to_string());
            let id = id.ok_or_else(|| format!("{}: `async_status` needs `jid`", task.place))?;
            let forgets = given.get("mode").and_then(Json::as_str) == Some("cleanup");
            return Ok(Prepared::Job(if forgets { Question::Forget(id) } else { Question::Status(id) }));
        }
        "ping" => return Ok(Prepared::Reach(way)),
        _ => {}
    }
    let mode = match scope.keyword(&task.settings.check_mode)? {
        None => request.mode,
        Some(value) if truth(&value) => Mode::Check,
        Some(_) => Mode::Apply,
    };
    let arguments = arguments(scope, task)?;
    match task.module.as_str() {
        "wait_for_connection" if mode == Mode::Check => return Ok(Prepared::Done(result::unasked())),
        "wait_for_connection" => return Ok(Prepared::Await(way, Patience::read(&arguments)?)),
        "reboot" => return Ok(Prepared::Reboot(way, Box::new(Reboot::read(&arguments, mode)?))),
        "fetch" => return Ok(transfer::fetch(scope, &arguments, way, mode)),
        _ => {}
    }
    let free_form =
        task.free_form.as_ref().map(|text| rendered(scope, text)).transpose()?.map(|value| value.to_string());
    let mut parsed =
        module::parse(&task.module, free_form.as_deref(), &arguments).map_err(|error| error.to_string())?;
    let mut blobs = Blobs::new();
    if let module::Task::Template(template) = &mut parsed {
        fill_template(scope, template, &mut blobs)?;
    }
    if let Some(mut wanted) = parsed.wanted() {
        fill(scope, &mut wanted, &mut blobs)?;
    }
    if let module::Task::Synchronize(arguments) = &mut parsed {
        match arguments.mode {
            synchronize::Way::Pull => {
                let pull =
                    transfer::Pull { arguments: arguments.clone(), dest: here(scope, &arguments.dest), way, mode };
                return Ok(Prepared::Pull(Box::new(pull)));
            }
            synchronize::Way::Push => offer(scope, arguments, &mut blobs)?,
        }
    }
    let environment = environment(scope, task)?;
    Ok(Prepared::Remote(Box::new(Remote { task: parsed, blobs, environment, mode, way })))
}

/// A path of the control node, absolute; beside the playbook if it is written as a relative one.
pub fn here(scope: &TaskScope<'_>, path: &str) -> String {
    let path = filters_text::expand_user(path);
    let whole = scope.world.directory.join(&path);
    let whole = std::path::absolute(&whole).unwrap_or(whole).to_string_lossy().into_owned();
    if path.ends_with('/') && !whole.ends_with('/') { whole + "/" } else { whole }
}

/// Lists the tree that a task pushes.
fn offer(scope: &TaskScope<'_>, arguments: &mut synchronize::Arguments, blobs: &mut Blobs) -> Result<(), String> {
    let src = filters_text::expand_user(&arguments.src);
    let path = found(scope, "files", src.trim_end_matches('/'))?;
    let offered = synchronize::tree::offered(&src, &path, &arguments.options, blobs);
    arguments.nodes = offered.map_err(|failed| failed.message)?;
    Ok(())
}

/// Returns the scope of the host that the task is delegated to.
fn delegated<'w>(scope: &TaskScope<'w>, task: &'w Task) -> Result<Option<TaskScope<'w>>, String> {
    let Some(name) = delegate_name(scope, task)? else { return Ok(None) };
    let mut target = TaskScope::new(scope.world, &name, scope.play, Some(task), &scope.cast);
    target.wanted = scope.wanted.clone();
    for (vars, trust) in &scope.over {
        target.add(vars.clone(), *trust);
    }
    Ok(Some(target))
}

/// The name of the host that a task is delegated to.
///
/// # Errors
///
/// It cannot be rendered.
pub fn delegate_name(scope: &TaskScope<'_>, task: &Task) -> Result<Option<String>, String> {
    let name = scope.keyword(&task.settings.delegate_to)?.map(|name| name.to_string());
    Ok(name.filter(|name| !name.is_empty() && *name != scope.host))
}

/// Evaluates conditions from left to right. Returns the first that is false.
///
/// # Errors
///
/// The condition that cannot be evaluated, why and where.
pub fn conditions(scope: &TaskScope<'_>, list: &[Written]) -> Result<Option<Json>, String> {
    for written in list {
        if !condition(scope, written)? {
            return Ok(Some(written.value.clone()));
        }
    }
    Ok(None)
}

fn condition(scope: &TaskScope<'_>, written: &Written) -> Result<bool, String> {
    let text = match &written.value {
        Json::Bool(value) => return Ok(*value),
        Json::String(text) if text.is_empty() => return Ok(true),
        Json::String(text) => text,
        other => return Ok(Value::from(other).truth()),
    };
    let wrong = |error: jinja::Error| {
        format!("{}: the condition `{}` cannot be evaluated: {}", written.place, text.trim(), error.message)
    };
    let value = if jinja::is_template(text) {
        // Ansible warns and renders; what comes out is an expression again.
        let rendered = jinja::render_text(text, scope).map_err(wrong)?;
        match rendered.as_str() {
            Some(inner) => jinja::evaluate(inner, scope).map_err(wrong)?,
            None => rendered,
        }
    } else {
        jinja::evaluate(text, scope).map_err(wrong)?
    };
    // Text counts as true in Ansible. Where it spells the opposite, that is surely not what is meant.
    match value.as_str().map(|text| text.trim().to_lowercase()) {
        Some(word) if matches!(word.as_str(), "false" | "no" | "off" | "0") => {
            let message = format!(
                "{}: the condition `{}` is the text `{word}`, which counts as true: write `| bool` behind it",
                written.place,
                text.trim()
            );
            Err(message)
        }
        _ => Ok(value.truth()),
    }
}

/// Renders a value, with its place in the message.
pub fn rendered(scope: &TaskScope<'_>, written: &Written) -> Result<Value, String> {
    scope.render(&written.value).map_err(|error| match error.file {
        Some(file) => format!("{}:{}:{}: {}", file.display(), error.at.line, error.at.column, error.message),
        None => format!("{}: {}", written.place, error.message),
    })
}

/// Renders the arguments of a task; those that are `omit` are left out.
pub fn arguments(scope: &TaskScope<'_>, task: &Task) -> Result<Map<String, Json>, String> {
    let mut out = Map::new();
    if let Some(whole) = &task.args_template {
        match rendered(scope, whole)?.to_json()? {
            Json::Object(map) => out.extend(map),
            _ => return Err(format!("{}: the arguments must be a mapping", whole.place)),
        }
    }
    for (name, written) in &task.args {
        let value = rendered(scope, written)?.to_json().map_err(|message| format!("{}: {message}", written.place))?;
        out.insert(name.clone(), value);
    }
    out.retain(|_, value| value.as_str() != Some(OMIT));
    out.values_mut().for_each(drop_omitted);
    Ok(out)
}

fn drop_omitted(value: &mut Json) {
    match value {
        Json::Object(map) => {
            map.retain(|_, value| value.as_str() != Some(OMIT));
            map.values_mut().for_each(drop_omitted);
        }
        Json::Array(items) => {
            items.retain(|value| value.as_str() != Some(OMIT));
            items.iter_mut().for_each(drop_omitted);
        }
        _ => {}
    }
}

fn environment(scope: &TaskScope<'_>, task: &Task) -> Result<Environment, String> {
    let mut out = Environment::new();
    for written in &task.settings.environment {
        if let Value::Dict(dict) = rendered(scope, written)? {
            out.extend(dict.0.iter().map(|(key, value)| (key.to_string(), value.to_string())));
        }
    }
    Ok(out)
}

fn found(scope: &TaskScope<'_>, kind: &str, name: &str) -> Result<std::path::PathBuf, String> {
    let candidates = scope.candidates(kind, name);
    files::find(&candidates).cloned().ok_or_else(|| {
        let places: Vec<String> = candidates.iter().map(|path| format!("`{}`", path.display())).collect();
        format!("`{name}` is not there: looked for {}", places.join(", "))
    })
}

/// Reads what a task wants of the control node.
fn fill(scope: &TaskScope<'_>, wanted: &mut Wanted<'_>, blobs: &mut Blobs) -> Result<(), String> {
    let path = found(scope, "files", &wanted.src)?;
    if let Some(opened) = opened(scope, &path)? {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        *wanted.source = Some(copy::Source::made(&name, opened, blobs));
        return Ok(());
    }
    let source = copy::gather(&wanted.src, &path, wanted.follow, blobs)
        .map_err(|error| format!("cannot read `{}`: {error}", path.display()))?;
    *wanted.source = Some(source);
    Ok(())
}

/// The contents of a file that is encrypted, decrypted.
fn opened(scope: &TaskScope<'_>, path: &Path) -> Result<Option<Vec<u8>>, String> {
    use std::io::Read as _;
    let mut head = vec![];
    let known = std::fs::File::open(path).and_then(|file| file.take(32).read_to_end(&mut head));
    if known.is_err() || !vault::is_encrypted(&String::from_utf8_lossy(&head)) {
        return Ok(None);
    }
    let cannot = |error: &dyn std::fmt::Display| format!("cannot read `{}`: {error}", path.display());
    let text = std::fs::read_to_string(path).map_err(|error| cannot(&error))?;
    scope.world.reading.vault.open(&text).map(Some).map_err(|error| cannot(&error))
}

fn fill_template(
    scope: &TaskScope<'_>,
    arguments: &mut module::template::Arguments,
    blobs: &mut Blobs,
) -> Result<(), String> {
    let path = found(scope, "templates", &arguments.src)?;
    let text =
        scope.world.reading.vault.text(&path).map_err(|error| format!("cannot read `{}`: {error}", path.display()))?;
    let text = result::with_syntax(arguments, text);
    origin::tell(scope, &arguments.src, &path, Some(&arguments.dest));
    let rendered = jinja::render_file(&text.text, scope).map_err(|error| {
        let file = error.file.as_deref().unwrap_or(&path);
        let line = if error.file.is_none() { error.at.line.saturating_sub(text.shift) } else { error.at.line };
        match error.fault {
            Fault::Undefined | Fault::Syntax | Fault::Failed => {
                format!("{}:{line}:{}: {}", file.display(), error.at.column, error.message)
            }
        }
    })?;
    let rendered = match arguments.newline_sequence.as_deref() {
        Some("\\r\\n" | "\r\n") => rendered.replace('\n', "\r\n"),
        Some("\\r" | "\r") => rendered.replace('\n', "\r"),
        _ => rendered,
    };
    let name = Path::new(&path).file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    arguments.source = Some(copy::Source::made(&name, rendered.into_bytes(), blobs));
    Ok(())
}
