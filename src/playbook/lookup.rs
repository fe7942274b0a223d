//! Lookups: values from the control node.

use crate::playbook::files;
use crate::playbook::jinja::{self, Scope as _, Value};
use crate::playbook::scope::TaskScope;

/// Carries out a lookup; one value a term.
pub fn run(
    scope: &TaskScope<'_>,
    plugin: &str,
    terms: &[Value],
    options: &[(String, Value)],
) -> Result<Vec<Value>, String> {
    let option = |name: &str| options.iter().find(|(known, _)| known == name).map(|(_, value)| value);
    let texts = terms.iter().map(ToString::to_string);
    match plugin {
        "file" => texts
            .map(|name| {
                let text = read(scope, "files", &name)?;
                let keep = option("rstrip").is_some_and(|value| !value.truth());
                Ok(Value::text(if keep { text.as_str() } else { text.trim_end() }))
            })
            .collect(),
        "template" => texts
            .map(|name| {
                let text = read(scope, "templates", &name)?;
                let rendered = jinja::render_file(&text, scope).map_err(|error| format!("`{name}`: {error}"))?;
                Ok(Value::text(rendered))
            })
            .collect(),
        "env" => texts
            .map(|name| match (std::env::var(&name), option("default")) {
                (Ok(value), _) => Ok(Value::text(value)),
                (Err(_), Some(default)) => Ok(default.clone()),
                (Err(_), None) => Ok(Value::text("")),
            })
            .collect(),
        "vars" => texts
            .map(|name| match (scope.variable(&name)?, option("default")) {
                (Some(Value::Undefined(_)) | None, Some(default)) => Ok(default.clone()),
                (Some(value), _) => Ok(value),
                (None, None) => Err(format!("there is no variable `{name}`")),
            })
            .collect(),
        "first_found" => first_found(scope, terms, option("skip").is_some_and(Value::truth)),
        "items" | "flattened" | "list" => Ok(terms.to_vec()),
        "dict" => {
            let mut entries = vec![];
            for dict in terms.iter().filter_map(Value::as_dict) {
                for (key, value) in &dict.0 {
                    entries.push(Value::dict(vec![
                        (Value::text("key"), key.clone()),
                        (Value::text("value"), value.clone()),
                    ]));
                }
            }
            Ok(entries)
        }
        "fileglob" => fileglob(scope, texts),
        _ => Err(format!("there is no lookup `{plugin}` here")),
    }
}

fn read(scope: &TaskScope<'_>, kind: &str, name: &str) -> Result<String, String> {
    let candidates = scope.candidates(kind, name);
    let path = files::find(&candidates).ok_or_else(|| format!("there is no file `{name}`"))?;
    std::fs::read_to_string(path).map_err(|error| format!("cannot read `{}`: {error}", path.display()))
}

fn first_found(scope: &TaskScope<'_>, terms: &[Value], skip: bool) -> Result<Vec<Value>, String> {
    let mut names = vec![];
    for term in terms {
        match term {
            Value::Dict(dict) => {
                let list = |key: &str| match dict.get(key) {
                    Some(value) => value.as_list().map_or_else(
                        || vec![value.to_string()],
                        |items| items.iter().map(ToString::to_string).collect(),
                    ),
                    None => vec![],
                };
                let paths = list("paths");
                for file in list("files") {
                    if paths.is_empty() {
                        names.push(file);
                    } else {
                        names.extend(paths.iter().map(|path| format!("{path}/{file}")));
                    }
                }
            }
            other => names.push(other.to_string()),
        }
    }
    for name in &names {
        for kind in ["files", "templates", "vars"] {
            let candidates = scope.candidates(kind, name);
            if let Some(path) = files::find(&candidates) {
                return Ok(vec![Value::text(path.to_string_lossy())]);
            }
        }
    }
    if skip { Ok(vec![]) } else { Err(format!("none of `{}` is there", names.join("`, `"))) }
}

fn fileglob(scope: &TaskScope<'_>, patterns: impl Iterator<Item = String>) -> Result<Vec<Value>, String> {
    let mut found = vec![];
    for pattern in patterns {
        let (directory, name) = pattern.rsplit_once('/').unwrap_or((".", &pattern));
        let (head, tail) = name.split_once('*').ok_or_else(|| format!("`{pattern}` has no `*`"))?;
        let Some(directory) = scope.candidates("files", directory).into_iter().find(|path| path.is_dir()) else {
            continue;
        };
        let mut names: Vec<_> = std::fs::read_dir(&directory)
            .map_err(|error| format!("cannot read `{}`: {error}", directory.display()))?
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|path| {
                let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
                path.is_file()
                    && name.len() >= head.len() + tail.len()
                    && name.starts_with(head)
                    && name.ends_with(tail)
            })
            .collect();
        names.sort();
        found.extend(names.into_iter().map(|path| Value::text(path.to_string_lossy())));
    }
    Ok(found)
}
