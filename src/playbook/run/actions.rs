//! Modules that are carried out on the control node.

use std::time::Duration;

use serde_json::{Map, Value as Json, json};

use crate::playbook::argument_spec;
use crate::playbook::jinja::{self, Value};
use crate::playbook::model::{Keyword, Task, Written};
use crate::playbook::run::connect::truth;
use crate::playbook::run::prepare::{Prepared, arguments, conditions, rendered};
use crate::playbook::run::result::{self, pairs};
use crate::playbook::run::{include_vars, make};
use crate::playbook::scope::TaskScope;

/// Carries out a module of the control node; nothing if the target has to.
pub fn here(scope: &TaskScope<'_>, task: &Task) -> Result<Option<Prepared>, String> {
    Ok(Some(match task.module.as_str() {
        "debug" => Prepared::Done(debug(scope, task)?),
        "fail" => {
            let message =
                arguments(scope, task)?.remove("msg").map_or_else(|| "Failed as requested from task".to_owned(), shown);
            Prepared::Done(result::failed(message))
        }
        "assert" => Prepared::Done(assert(scope, task)?),
        "set_fact" => Prepared::Done(set_fact(scope, task)?),
        "add_host" => make::host(&arguments(scope, task)?)?,
        "group_by" => make::group(&scope.host, &arguments(scope, task)?)?,
        "validate_argument_spec" => Prepared::Done(validate(scope, task)?),
        "include_vars" => Prepared::Done(include_vars::run(scope, task)?),
        "meta" | "include_tasks" | "include_role" => {
            Prepared::Done(pairs([("changed", json!(false)), ("failed", json!(false))]))
        }
        "pause" => {
            let given = arguments(scope, task)?;
            let number = |key: &str| given.get(key).map(|value| shown(value.clone()).parse::<u64>().unwrap_or(0));
            Prepared::Wait(Duration::from_secs(number("seconds").unwrap_or(0) + 60 * number("minutes").unwrap_or(0)))
        }
        _ => return Ok(None),
    }))
}

fn shown(value: Json) -> String {
    match value {
        Json::String(text) => text,
        other => Value::from(&other).to_string(),
    }
}

fn debug(scope: &TaskScope<'_>, task: &Task) -> Result<Map<String, Json>, String> {
    let mut out = pairs([("changed", json!(false)), ("failed", json!(false))]);
    if let Some(written) = task.arg("verbosity")
        && rendered(scope, written)?.as_int().is_some_and(|level| level > 0)
    {
        out.insert("skipped".to_owned(), Json::Bool(true));
        out.insert("skipped_reason".to_owned(), json!("Verbosity threshold not met."));
        return Ok(out);
    }
    if let Some(var) = task.arg("var") {
        let expression = rendered(scope, var)?;
        let (name, value) = match &expression {
            Value::Str(name) => match jinja::evaluate_text(name, scope) {
                Ok(value) => (name.to_string(), value.to_json()?),
                Err(error) if error.fault == jinja::Fault::Undefined => {
                    (name.to_string(), json!("VARIABLE IS NOT DEFINED!"))
                }
                Err(error) => return Err(format!("{}: {}", var.place, error.message)),
            },
            other => (other.kind().to_owned(), other.to_json()?),
        };
        out.insert(name, value);
        return Ok(out);
    }
    let message = task.arg("msg").map(|written| rendered(scope, written)?.to_json()).transpose()?;
    out.insert("msg".to_owned(), message.unwrap_or_else(|| json!("Hello world!")));
    Ok(out)
}

fn assert(scope: &TaskScope<'_>, task: &Task) -> Result<Map<String, Json>, String> {
    let that = task.arg("that").ok_or_else(|| format!("{}: `assert` needs `that`", task.place))?;
    let items = match &that.value {
        Json::Array(items) => items.clone(),
        other => vec![other.clone()],
    };
    let given = |name: &str| task.arg(name).map(|written| rendered(scope, written)?.to_json()).transpose();
    for item in items {
        let written = Written { value: item.clone(), place: that.place.clone() };
        if conditions(scope, &[written])?.is_some() {
            let message = given("fail_msg")?.or(given("msg")?).unwrap_or_else(|| json!("Assertion failed"));
            return Ok(pairs([
                ("changed", json!(false)),
                ("failed", json!(true)),
                ("assertion", item),
                ("evaluated_to", json!(false)),
                ("msg", message),
            ]));
        }
    }
    let message = given("success_msg")?.unwrap_or_else(|| json!("All assertions passed"));
    Ok(pairs([("changed", json!(false)), ("failed", json!(false)), ("msg", message)]))
}

fn validate(scope: &TaskScope<'_>, task: &Task) -> Result<Map<String, Json>, String> {
    let mut arguments = arguments(scope, task)?;
    let Some(Json::Object(spec)) = arguments.remove("argument_spec") else {
        return Err(format!("{}: `validate_argument_spec` needs `argument_spec`, a mapping", task.place));
    };
    let mut given = Map::new();
    for name in spec.keys() {
        if let Some(value) = jinja::Scope::variable(scope, name)? {
            given.insert(name.clone(), value.to_json()?);
        }
    }
    if let Some(Json::Object(provided)) = arguments.remove("provided_arguments") {
        given.extend(provided);
    }
    let context = arguments.remove("validate_args_context").unwrap_or_else(|| json!({}));
    let errors = argument_spec::violations(&spec, &given);
    let mut out = pairs([("changed", json!(false)), ("validate_args_context", context)]);
    out.insert("failed".to_owned(), json!(!errors.is_empty()));
    if errors.is_empty() {
        out.insert("msg".to_owned(), json!("The arg spec validation passed"));
        return Ok(out);
    }
    out.insert("msg".to_owned(), json!(format!("Validation of arguments failed:\n{}", errors.join("\n"))));
    out.insert("argument_spec_data".to_owned(), Json::Object(spec));
    out.insert("argument_errors".to_owned(), json!(errors));
    Ok(out)
}

fn set_fact(scope: &TaskScope<'_>, task: &Task) -> Result<Map<String, Json>, String> {
    let mut facts = Map::new();
    for (name, value) in arguments(scope, task)? {
        let written = Written { value: Json::String(name), place: task.place.clone() };
        facts.insert(rendered(scope, &written)?.to_string(), value);
    }
    facts.remove("cacheable");
    for (name, value) in &mut facts {
        let valid = !name.is_empty()
            && !name.starts_with(|c: char| c.is_ascii_digit())
            && name.chars().all(|c| c.is_alphanumeric() || c == '_');
        if !valid {
            return Err(format!("{}: `{name}` cannot be the name of a variable", task.place));
        }
        // Ansible makes truth values of these words.
        if let Some(word) = value.as_str().map(str::to_lowercase)
            && matches!(word.as_str(), "true" | "false" | "yes" | "no")
        {
            *value = Json::Bool(matches!(word.as_str(), "true" | "yes"));
        }
    }
    let facts_json = Json::Object(facts.clone());
    // What was made without facts that are being gathered is made again.
    if scope.wanted.hosts().is_empty() {
        scope.world.change(scope.facts_host(), |state| {
            std::sync::Arc::make_mut(&mut state.set).extend(facts);
        });
    }
    Ok(pairs([("changed", json!(false)), ("failed", json!(false)), ("ansible_facts", facts_json)]))
}

/// Reads a keyword that is a truth value.
pub fn keyword(scope: &TaskScope<'_>, written: &Keyword) -> Result<bool, String> {
    Ok(scope.keyword(written)?.is_some_and(|value| truth(&value)))
}
