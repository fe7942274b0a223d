//! Files of the control node, and what its programs say.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::playbook::files;
use crate::playbook::jinja::{self, Value};
use crate::playbook::lookup::{Options, truth};
use crate::playbook::origin;
use crate::playbook::scope::{TaskScope, Trust};

/// Reads a file that is found as those of that kind are.
pub fn text(scope: &TaskScope<'_>, kind: &str, name: &str) -> Result<String, String> {
    contents(scope, &path(scope, kind, name)?)
}

fn path(scope: &TaskScope<'_>, kind: &str, name: &str) -> Result<PathBuf, String> {
    let candidates = scope.candidates(kind, name);
    files::find(&candidates).cloned().ok_or_else(|| format!("there is no file `{name}`"))
}

fn contents(scope: &TaskScope<'_>, path: &Path) -> Result<String, String> {
    scope.world.reading.vault.text(path).map_err(|error| format!("cannot read `{}`: {error}", path.display()))
}

/// `file`.
pub fn read(
    scope: &TaskScope<'_>,
    names: impl Iterator<Item = String>,
    options: Options<'_>,
) -> Result<Vec<Value>, String> {
    let one = |name: String| {
        let text = text(scope, "files", &name)?;
        let keep = options.get("rstrip").is_some_and(|value| !truth(value));
        let text = if keep { text.as_str() } else { text.trim_end() };
        Ok(Value::text(if options.flag("lstrip") { text.trim_start() } else { text }))
    };
    names.map(one).collect()
}

/// `template`.
pub fn template(
    scope: &TaskScope<'_>,
    names: impl Iterator<Item = String>,
    options: Options<'_>,
) -> Result<Vec<Value>, String> {
    let converts = options.get("convert_data").is_none_or(truth);
    let one = |name: String| {
        let path = path(scope, "templates", &name)?;
        let text = format!("{}{}", syntax(options), contents(scope, &path)?);
        let mut inner = scope.again();
        if let Some(Value::Dict(vars)) = options.get("template_vars") {
            let vars = Value::Dict(vars.clone()).to_json()?;
            inner.add(vars.as_object().cloned().unwrap_or_default(), Trust::Plain);
        }
        origin::tell(&inner, &name, &path, None);
        let rendered = jinja::render_file(&text, &inner).map_err(|error| format!("`{name}`: {error}"))?;
        Ok(if converts { jinja::data_of(&rendered) } else { Value::text(rendered) })
    };
    names.map(one).collect()
}

/// The first line of a template that says what else begins and ends its parts; empty if nothing else does.
fn syntax(options: Options<'_>) -> String {
    let names = ["variable_start_string", "variable_end_string", "comment_start_string", "comment_end_string"];
    let given = names.iter().filter_map(|name| Some(format!("{name}:'{}'", options.get(name)?)));
    let given: Vec<String> = given.collect();
    if given.is_empty() { String::new() } else { format!("#jinja2: {}\n", given.join(", ")) }
}

/// `first_found`.
pub fn first_found(scope: &TaskScope<'_>, terms: &[Value], options: Options<'_>) -> Result<Vec<Value>, String> {
    let mut search = Search::default();
    if terms.is_empty() {
        search.look_at(|name| options.get(name), None);
    }
    search.terms(terms, options);
    for name in &search.names {
        for kind in ["files", "templates", "vars", "tasks"] {
            if let Some(path) = files::find(&scope.candidates(kind, name)) {
                return Ok(vec![Value::text(absolute(path).to_string_lossy())]);
            }
        }
    }
    if search.skips { Ok(vec![]) } else { Err(format!("none of `{}` is there", search.names.join("`, `"))) }
}

/// Where a path leads whatever the present directory is.
fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

/// What `first_found` looks for.
#[derive(Default)]
struct Search {
    names: Vec<String>,
    skips: bool,
}

impl Search {
    fn terms(&mut self, terms: &[Value], options: Options<'_>) {
        for term in terms {
            match term {
                Value::Dict(dict) => self.look_at(|name| dict.get(name), None),
                Value::List(inner) | Value::Tuple(inner) => self.terms(inner, options),
                other => self.look_at(|name| options.get(name), Some(other.to_string())),
            }
        }
    }

    fn look_at<'v>(&mut self, get: impl Fn(&str) -> Option<&'v Value>, term: Option<String>) {
        let list = |key: &str, separators: &[char]| -> Vec<String> {
            let split = |value: &Value| value.to_string().split(separators).map(str::to_owned).collect::<Vec<_>>();
            match get(key) {
                Some(Value::List(items) | Value::Tuple(items)) => items.iter().flat_map(split).collect(),
                Some(value) => split(value),
                None => vec![],
            }
        };
        self.skips = get("skip").is_some_and(truth);
        let (files, paths) = (list("files", &[',', ';']), list("paths", &[',', ':', ';']));
        if paths.is_empty() {
            if files.is_empty() { self.names.extend(term) } else { self.names = files }
        } else {
            self.names.extend(paths.iter().flat_map(|path| files.iter().map(move |file| format!("{path}/{file}"))));
        }
    }
}

/// `fileglob`: files, never directories.
pub fn glob(scope: &TaskScope<'_>, patterns: impl Iterator<Item = String>) -> Result<Vec<Value>, String> {
    let mut found = vec![];
    for pattern in patterns {
        let (directory, name) = pattern.rsplit_once('/').unwrap_or((".", &pattern));
        let directory = if pattern.starts_with('/') && directory.is_empty() { "/" } else { directory };
        let Some(directory) = scope.candidates("files", directory).into_iter().find(|path| path.is_dir()) else {
            continue;
        };
        found.extend(matching(&absolute(&directory), name)?);
    }
    Ok(found.into_iter().map(Value::text).collect())
}

/// The files of a directory whose name a shell pattern matches, sorted.
pub fn matching(directory: &std::path::Path, pattern: &str) -> Result<Vec<String>, String> {
    let regex = shell_pattern(pattern)?;
    let mut names = vec![];
    let entries =
        std::fs::read_dir(directory).map_err(|error| format!("cannot read `{}`: {error}", directory.display()))?;
    for path in entries.filter_map(|entry| Some(entry.ok()?.path())).filter(|path| path.is_file()) {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let hidden = name.starts_with('.') && !pattern.starts_with('.');
        if !hidden && regex.is_match(&name) {
            names.push(directory.join(name).to_string_lossy().into_owned());
        }
    }
    names.sort();
    Ok(names)
}

/// `*`, `?` and `[…]` of a shell.
fn shell_pattern(pattern: &str) -> Result<regex::Regex, String> {
    let mut text = String::from("^");
    for c in pattern.chars() {
        match c {
            '*' => text.push_str(".*"),
            '?' => text.push('.'),
            '[' | ']' | '-' => text.push(c),
            '!' if text.ends_with('[') => text.push('^'),
            c => text.push_str(&regex::escape(&c.to_string())),
        }
    }
    text.push('$');
    regex::Regex::new(&text).map_err(|_| format!("`{pattern}` is no pattern"))
}

/// `pipe`: what a command says, without the newlines at its end.
pub fn pipe(scope: &TaskScope<'_>, command: &str) -> Result<String, String> {
    let directory = scope.play.map_or(&scope.world.directory, |play| &play.directory);
    let ran = Command::new("/bin/sh")
        .args(["-c", command])
        .current_dir(directory)
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("cannot start `{command}`: {error}"))?;
    if !ran.status.success() {
        return Err(format!("`{command}` ended with {}", ran.status));
    }
    Ok(String::from_utf8_lossy(&ran.stdout).trim_end().to_owned())
}

/// `lines`: what a command says, line by line.
pub fn lines(scope: &TaskScope<'_>, commands: impl Iterator<Item = String>) -> Result<Vec<Value>, String> {
    let mut all = vec![];
    for command in commands {
        all.extend(pipe(scope, &command)?.lines().map(Value::text));
    }
    Ok(all)
}
