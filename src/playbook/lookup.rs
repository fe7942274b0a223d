//! Lookups: values from the control node.
//!
//! Source: ansible-core 2.15, `plugins/lookup`.

use crate::playbook::jinja::{Missing, NoValue, Scope as _, Value};
use crate::playbook::scope::TaskScope;

pub mod files;
mod lists;
mod password;
mod sequence;
mod tables;

/// The names that are known.
pub const NAMES: &[&str] = &[
    "cartesian",
    "config",
    "csvfile",
    "dict",
    "env",
    "file",
    "fileglob",
    "first_found",
    "flattened",
    "indexed_items",
    "ini",
    "inventory_hostnames",
    "items",
    "lines",
    "list",
    "nested",
    "password",
    "pipe",
    "random_choice",
    "sequence",
    "subelements",
    "template",
    "together",
    "unvault",
    "varnames",
    "vars",
];

/// The name of a lookup without its collection.
pub fn short(name: &str) -> &str {
    let known = ["ansible.builtin.", "ansible.legacy.", "community.general."];
    known.iter().find_map(|prefix| name.strip_prefix(prefix)).unwrap_or(name)
}

/// Options of a lookup, by name.
#[derive(Clone, Copy)]
pub struct Options<'o>(&'o [(String, Value)]);

impl<'o> Options<'o> {
    fn get(self, name: &str) -> Option<&'o Value> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value)
    }

    fn text(self, name: &str, default: &str) -> String {
        self.get(name).map_or_else(|| default.to_owned(), ToString::to_string)
    }

    fn flag(self, name: &str) -> bool {
        self.get(name).is_some_and(truth)
    }
}

/// Reads a truth value as Ansible's options do.
fn truth(value: &Value) -> bool {
    match value {
        Value::Str(text) => matches!(text.to_lowercase().as_str(), "yes" | "true" | "on" | "1" | "y" | "t"),
        other => other.truth(),
    }
}

/// Carries out a lookup; one value a term.
pub fn run(
    scope: &TaskScope<'_>,
    plugin: &str,
    terms: &[Value],
    options: &[(String, Value)],
) -> Result<Vec<Value>, NoValue> {
    let options = Options(options);
    let texts = || {
        let flat = |term: &Value| term.as_list().map_or_else(|| vec![term.clone()], |items| items.to_vec());
        terms.iter().flat_map(flat).map(|term| term.to_string())
    };
    Ok(match short(plugin) {
        "file" => files::read(scope, texts(), options)?,
        "unvault" => {
            texts().map(|name| files::text(scope, "files", &name).map(Value::text)).collect::<Result<_, _>>()?
        }
        "template" => files::template(scope, texts(), options)?,
        "first_found" => files::first_found(scope, terms, options)?,
        "fileglob" => files::glob(scope, texts())?,
        "env" => texts().map(|name| environment(&name, options)).collect(),
        "vars" => terms.iter().map(|term| variable(scope, &term.to_string(), options)).collect::<Result<_, _>>()?,
        "varnames" => varnames(scope, texts())?,
        "pipe" => texts().map(|command| files::pipe(scope, &command).map(Value::text)).collect::<Result<_, _>>()?,
        "lines" => files::lines(scope, texts())?,
        "inventory_hostnames" => inventory_hostnames(scope, texts())?,
        "sequence" => sequence::run(terms, options)?,
        "password" => password::run(scope, texts(), options)?,
        "ini" => tables::ini(scope, texts(), options)?,
        "csvfile" => tables::csv(scope, texts(), options)?,
        "config" => texts().map(|name| setting(&name)).collect::<Result<_, _>>()?,
        name => lists::run(name, terms).ok_or_else(|| format!("there is no lookup `{plugin}` here"))??,
    })
}

fn environment(name: &str, options: Options<'_>) -> Value {
    match (std::env::var(name), options.get("default")) {
        (Ok(value), _) => Value::text(value),
        (Err(_), Some(default)) => default.clone(),
        (Err(_), None) => Value::text(""),
    }
}

fn variable(scope: &TaskScope<'_>, name: &str, options: Options<'_>) -> Result<Value, NoValue> {
    match (scope.variable(name)?, options.get("default")) {
        (Some(Value::Undefined(_)) | None, Some(default)) => Ok(default.clone()),
        (Some(value), _) => Ok(value),
        (None, None) => Err(NoValue::Undefined(Missing { name: name.to_owned(), reason: None })),
    }
}

fn varnames(scope: &TaskScope<'_>, patterns: impl Iterator<Item = String>) -> Result<Vec<Value>, String> {
    let mut found = vec![];
    for pattern in patterns {
        let regex = fancy_regex::Regex::new(&pattern).map_err(|error| format!("`{pattern}`: {error}"))?;
        found.extend(
            scope.all_names().into_iter().filter(|name| regex.is_match(name).unwrap_or(false)).map(Value::text),
        );
    }
    Ok(found)
}

fn inventory_hostnames(scope: &TaskScope<'_>, patterns: impl Iterator<Item = String>) -> Result<Vec<Value>, String> {
    let patterns: Vec<String> = patterns.collect();
    Ok(scope.world.inventory().select(&patterns.join(","))?.into_iter().map(Value::text).collect())
}

/// The few settings that playbooks ask for.
fn setting(name: &str) -> Result<Value, String> {
    match name {
        "DEFAULT_FORKS" => Ok(Value::Int(5)),
        "DEFAULT_ROLES_PATH" => Ok(Value::list(vec![Value::text("roles")])),
        _ => Err(format!("there is no setting `{name}` here")),
    }
}
