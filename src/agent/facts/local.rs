//! Facts that a machine's owner put in `/etc/ansible/facts.d`: JSON, sections of pairs, or programs that write either.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use serde_json::{Map, Value, json};

use crate::module::System;

pub(super) fn facts(system: &System) -> Value {
    let mut local = Map::new();
    let entries = fs::read_dir(system.real("/etc/ansible/facts.d")).into_iter().flatten().flatten();
    let mut paths = entries.map(|entry| entry.path()).filter(|path| path.extension().is_some_and(|it| it == "fact"));
    let mut sorted = paths.by_ref().collect::<Vec<_>>();
    sorted.sort();
    for path in sorted {
        let name = path.file_stem().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        local.insert(name, said(&path).map_or_else(Value::String, |text| fact(&text, &path)));
    }
    json!({ "local": local })
}

/// What a file holds, or writes if it is a program.
fn said(path: &Path) -> Result<String, String> {
    let told = |error: std::io::Error| format!("Could not read fact file ({}): {error}", path.display());
    let runs = fs::metadata(path).map_err(told)?.permissions().mode() & 0o100 != 0;
    if !runs {
        return fs::read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).map_err(told);
    }
    let failed = |why: String| format!("Failure executing fact script ({}), {why}", path.display());
    let ran = Command::new(path).output().map_err(|error| failed(error.to_string()))?;
    if ran.status.success() {
        return Ok(String::from_utf8_lossy(&ran.stdout).into_owned());
    }
    let code = ran.status.code().unwrap_or(-1);
    Err(failed(format!("rc: {code}, err: {}", String::from_utf8_lossy(&ran.stderr))))
}

fn fact(text: &str, path: &Path) -> Value {
    serde_json::from_str(text).unwrap_or_else(|_| {
        let sections = sections(text);
        let why = || json!(format!("error loading facts as JSON or ini - please check content: {}", path.display()));
        sections.map_or_else(why, Value::Object)
    })
}

/// Reads `[section]` and `name = value`, names in small letters.
fn sections(text: &str) -> Option<Map<String, Value>> {
    let mut all: Map<String, Value> = Map::new();
    let mut current = None;
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with(['#', ';'])) {
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            all.entry(name).or_insert_with(|| json!({}));
            current = Some(name);
            continue;
        }
        let at = line.find(['=', ':'])?;
        let (name, value) = (line[..at].trim().to_lowercase(), line[at + 1..].trim());
        all.get_mut(current?)?.as_object_mut()?.insert(name, json!(value));
    }
    Some(all)
}
