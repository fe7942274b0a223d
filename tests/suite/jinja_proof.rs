//! Templates and expressions, each against what the real Ansible answered. Made by `tests/differential/jinja/make`.

use std::path::Path;
use std::sync::Arc;

use ryo::module::Mode;
use ryo::playbook::inventory;
use ryo::playbook::jinja::{self, Fault, Value};
use ryo::playbook::reading::Reading;
use ryo::playbook::scope::{TaskScope, World};
use serde_json::Value as Json;

#[derive(Debug, PartialEq)]
enum Answer {
    Value(Json),
    Fault(String),
}

/// What a template of that kind gives.
fn answer(kind: &str, template: &str, scope: &TaskScope<'_>) -> Result<Json, (Fault, String)> {
    let value = match kind {
        "file" => jinja::render_file(template, scope).map(Value::text),
        "text" => jinja::render_text(template, scope),
        _ => condition(template, scope),
    };
    let value = value.map_err(|error| (error.fault, error.message))?;
    value.to_json().map_err(|message| (Fault::Failed, message))
}

/// Conditions are rendered if they are templates, and evaluated if text came out.
fn condition(text: &str, scope: &TaskScope<'_>) -> Result<Value, jinja::Error> {
    let rendered = jinja::render_text(text, scope)?;
    match rendered.as_str() {
        Some("") | None => Ok(Value::Bool(rendered.truth())),
        Some(text) => jinja::evaluate(text, scope).map(|value| Value::Bool(value.truth())),
    }
}

#[test]
fn everything_gives_what_ansible_gives() {
    let place = Path::new(env!("CARGO_MANIFEST_DIR")).join("proto-fixtures/jinja");
    let table: Json = serde_json::from_str(&std::fs::read_to_string(place.join("expressions.json")).unwrap()).unwrap();
    let mut vars = table["vars"].as_object().unwrap().clone();
    vars.insert("ansible_managed".to_owned(), Json::from("Ansible managed"));
    let (hosts, problems) = inventory::load(&[ryo::playbook::Source::Names("host-1,".to_owned())], &Reading::default());
    assert!(problems.is_empty());
    let world = Arc::new(World::new(hosts, vars, Mode::Apply, place));
    let cast = Arc::default();
    let cases = table["cases"].as_array().unwrap();
    assert!(cases.len() > 1500, "{}", cases.len());
    let mut wrong = vec![];
    for case in cases {
        let (kind, template) = (case["kind"].as_str().unwrap(), case["template"].as_str().unwrap());
        let expected = match case["fault"].as_str() {
            Some(fault) => Answer::Fault(fault.to_owned()),
            None => Answer::Value(case["value"].clone()),
        };
        let scope = TaskScope::new(&world, "host-1", None, None, &cast);
        let got = answer(kind, template, &scope);
        let said = got.as_ref().err().map(|(_, message)| message.clone()).unwrap_or_default();
        let got = match got {
            Ok(value) => Answer::Value(value),
            Err((fault, _)) => Answer::Fault(format!("{fault:?}").to_lowercase()),
        };
        if got != expected {
            wrong.push(format!("{kind} {template:?}\n  expected {expected:?}\n  got      {got:?} {said}"));
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
}
