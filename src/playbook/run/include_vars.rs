//! `include_vars`: one file, or the files of a directory.
//!
//! Source: ansible-core 2.15, `plugins/action/include_vars.py`.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value as Json, json};

use crate::playbook::files;
use crate::playbook::model::{Task, Vars};
use crate::playbook::run::connect::truth;
use crate::playbook::run::prepare::rendered;
use crate::playbook::run::result::{self, pairs};
use crate::playbook::scope::TaskScope;

/// Reads variables and keeps them for the host.
///
/// # Errors
///
/// A parameter means nothing.
pub fn run(scope: &TaskScope<'_>, task: &Task) -> Result<result::Result, String> {
    let (mut vars, read) = match task.arg("dir") {
        Some(written) => {
            let name = rendered(scope, written)?.to_string();
            match directory(scope, task, &name) {
                Ok(found) => found,
                Err(message) => return Ok(result::failed(message)),
            }
        }
        None => match file(scope, task)? {
            Ok(found) => found,
            Err(message) => return Ok(result::failed(message)),
        },
    };
    if let Some(written) = task.arg("name") {
        let name = rendered(scope, written)?.to_string();
        vars = Map::from_iter([(name, Json::Object(vars))]);
    }
    let merges = match task.arg("hash_behaviour") {
        Some(written) => rendered(scope, written)?.to_string() == "merge",
        None => false,
    };
    let read: Vec<String> = read.iter().map(|path| absolute(path)).collect();
    let told = Json::Object(vars.clone());
    // What was read without facts that are being gathered is read again.
    let kept = if scope.wanted.hosts().is_empty() { vars } else { Vars::new() };
    scope.world.change(scope.facts_host(), |state| {
        let included = std::sync::Arc::make_mut(&mut state.included);
        for (name, value) in kept {
            match (included.get_mut(&name), value) {
                (Some(Json::Object(old)), Json::Object(new)) if merges => merge(old, new),
                (_, value) => drop(included.insert(name, value)),
            }
        }
    });
    Ok(pairs([
        ("changed", json!(false)),
        ("failed", json!(false)),
        ("ansible_facts", told),
        ("ansible_included_var_files", json!(read)),
    ]))
}

fn absolute(path: &Path) -> String {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned()).to_string_lossy().into_owned()
}

fn merge(old: &mut Vars, new: Vars) {
    for (name, value) in new {
        match (old.get_mut(&name), value) {
            (Some(Json::Object(old)), Json::Object(new)) => merge(old, new),
            (_, value) => drop(old.insert(name, value)),
        }
    }
}

type Found = Result<(Vars, Vec<PathBuf>), String>;

fn file(scope: &TaskScope<'_>, task: &Task) -> Result<Found, String> {
    let written = task
        .arg("file")
        .or(task.free_form.as_ref())
        .ok_or_else(|| format!("{}: `include_vars` needs `file` or `dir`", task.place))?;
    let name = rendered(scope, written)?.to_string();
    let candidates = scope.candidates("vars", &name);
    let Some(path) = files::find(&candidates) else {
        return Ok(Err(format!("{}: `{name}` is not there", written.place)));
    };
    let read = scope.world.reading.vars(path).map_err(|problem| problem.to_string());
    Ok(read.map(|vars| (vars, vec![path.clone()])))
}

fn directory(scope: &TaskScope<'_>, task: &Task, name: &str) -> Found {
    let list = |key: &str| -> Result<Option<Vec<String>>, String> {
        let Some(written) = task.arg(key) else { return Ok(None) };
        let value = rendered(scope, written)?;
        Ok(Some(match value.as_list() {
            Some(items) => items.iter().map(ToString::to_string).collect(),
            None => value.to_string().split(',').map(|part| part.trim().to_owned()).collect(),
        }))
    };
    let texts = |key: &str| task.arg(key).map(|written| rendered(scope, written)).transpose();
    let whole = scope.candidates("vars", name).into_iter().find(|path| path.is_dir());
    let whole = whole.ok_or_else(|| format!("there is no directory `{name}`"))?;
    let depth = texts("depth")?.and_then(|value| value.to_string().parse::<usize>().ok()).unwrap_or(0);
    let extensions = list("extensions")?.unwrap_or_else(|| ["yaml", "yml", "json"].map(str::to_owned).to_vec());
    let ignored = list("ignore_files")?.unwrap_or_default();
    let lenient = texts("ignore_unknown_extensions")?.is_some_and(|value| truth(&value));
    let pattern = texts("files_matching")?.map(|value| value.to_string());
    let pattern = pattern.map(|text| fancy_regex::Regex::new(&text)).transpose().map_err(|error| error.to_string())?;
    let (mut vars, mut read) = (Vars::new(), vec![]);
    for path in files::within(&whole, if depth == 0 { usize::MAX } else { depth }) {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        if pattern.as_ref().is_some_and(|regex| !regex.is_match(&name).unwrap_or(false)) || ignored.contains(&name) {
            continue;
        }
        let end = path.extension().map(|end| end.to_string_lossy().into_owned()).unwrap_or_default();
        if !extensions.contains(&end) {
            if lenient {
                continue;
            }
            let known = extensions.join(", ");
            return Err(format!("`{}` does not have a valid extension: {known}", path.display()));
        }
        vars.extend(scope.world.reading.vars(&path).map_err(|problem| problem.to_string())?);
        read.push(path);
    }
    Ok((vars, read))
}
