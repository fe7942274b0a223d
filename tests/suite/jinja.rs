//! Templates, against what ansible-core and Jinja2 answer.

use proptest::prelude::*;
use ryo::playbook::jinja::{self, Fault, NoValue, Scope, Source, Value};
use serde_json::{Map, Value as Json};

/// Variables from a table, rendered when they are looked at.
struct Table(Map<String, Json>);

impl Scope for Table {
    fn variable(&self, name: &str) -> Result<Option<Value>, String> {
        let Some(found) = self.0.get(name) else { return Ok(None) };
        let Some(text) = found.as_str() else { return Ok(Some(Value::from(found))) };
        match jinja::render_text(text, self) {
            Ok(value) => Ok(Some(value)),
            Err(error) if error.fault == Fault::Undefined => Ok(Some(Value::missing(name))),
            Err(error) => Err(error.message),
        }
    }

    fn lookup(&self, plugin: &str, terms: &[Value], _options: &[(String, Value)]) -> Result<Vec<Value>, NoValue> {
        match plugin {
            "env" => Ok(vec![Value::text("/root")]),
            "vars" => Ok(vec![self.variable(&terms[0].to_string())?.unwrap()]),
            _ => Err(format!("no lookup `{plugin}`").into()),
        }
    }

    fn source(&self, _name: &str) -> Result<Option<Source>, String> {
        Ok(None)
    }
}

#[derive(Debug, PartialEq)]
enum Answer {
    Text(String),
    Fault(&'static str),
}

fn answer(template: &str, scope: &Table) -> Answer {
    match jinja::render_file(template, scope) {
        Ok(text) => Answer::Text(text),
        Err(error) => Answer::Fault(match error.fault {
            Fault::Syntax => "syntax",
            Fault::Undefined => "undefined",
            Fault::Failed => "failed",
        }),
    }
}

#[test]
fn templates_give_what_ansible_gives() {
    let table: Json = serde_json::from_str(include_str!("../../proto-fixtures/jinja/templates.json")).unwrap();
    let scope = Table(table["vars"].as_object().unwrap().clone());
    let cases = table["cases"].as_array().unwrap();
    assert!(cases.len() > 150, "{}", cases.len());
    let mut wrong = vec![];
    for case in cases {
        let template = case["template"].as_str().unwrap();
        let expected = match case["fault"].as_str() {
            Some("syntax") => Answer::Fault("syntax"),
            Some("undefined") => Answer::Fault("undefined"),
            Some(_) => Answer::Fault("failed"),
            None => Answer::Text(case["text"].as_str().unwrap().to_owned()),
        };
        let got = answer(template, &scope);
        if got != expected {
            let detail = jinja::render_file(template, &scope).err().map(|error| error.message);
            wrong.push(format!("{template:?}\n  expected {expected:?}\n  got      {got:?} {detail:?}"));
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
}

/// What the library that Ansible uses finds, recorded.
#[test]
fn queries_find_what_jmespath_finds() {
    let table: Json = serde_json::from_str(include_str!("../../proto-fixtures/jinja/queries.json")).unwrap();
    let mut variables = Map::from_iter([("data".to_owned(), table["data"].clone())]);
    for case in table["cases"].as_array().unwrap() {
        variables.insert("query".to_owned(), case["query"].clone());
        let scope = Table(variables.clone());
        for filter in ["json_query", "community.general.json_query"] {
            let found = jinja::evaluate_text(&format!("[data | {filter}(query)]"), &scope).unwrap();
            assert_eq!(found.to_json().unwrap()[0], case["found"], "{}", case["query"]);
        }
    }
    for wrong in ["hosts[", "nosuch(t)", "length(`1`)", &"!".repeat(1_500), &"a.".repeat(1_500)] {
        variables.insert("query".to_owned(), Json::from(wrong));
        let error = jinja::evaluate_text("data | json_query(query)", &Table(variables.clone())).unwrap_err();
        assert!(error.message.starts_with("filter `json_query` "), "{}", error.message);
    }
}

proptest! {
    #[test]
    fn no_text_makes_the_renderer_panic(text in "[ -~\n]{0,60}") {
        let scope = Table(Map::new());
        let _ = jinja::render_file(&text, &scope);
        let _ = jinja::render_text(&text, &scope);
        let _ = jinja::evaluate(&text, &scope);
    }

    #[test]
    fn no_expression_makes_the_evaluator_panic(
        left in "[a-z0-9'\\[\\](){}., ]{0,12}",
        middle in "( \\+ | - | \\* | % | ~ | in | == | < | and | is | \\| )",
        right in "(1|-1|0|'x'|\\[1,2\\]|\\{'a':1\\}|none|true|int|list|string|sort|join|to_json|to_nice_yaml|mapping|9223372036854775807|first|dictsort|urlsplit)",
    ) {
        let scope = Table(Map::new());
        let _ = jinja::evaluate(&format!("{left}{middle}{right}"), &scope);
        let _ = jinja::render_file(&format!("{{{{ {left}{middle}{right} }}}}"), &scope);
    }
}

#[test]
fn text_that_looks_like_data_becomes_data_and_numbers_become_text() {
    let scope = Table(Map::from_iter([("n".to_owned(), Json::from(5))]));
    let render = |text: &str| jinja::render_text(text, &scope).unwrap().to_json().unwrap();
    assert_eq!(render("{{ n }}"), Json::from(5));
    assert_eq!(render("{{ n + 0 }}"), Json::from("5"));
    assert_eq!(render("{{ [1, true] }}"), serde_json::json!([1, true]));
    assert_eq!(render("[{{ n }}, true, {'a': null}]"), serde_json::json!([5, true, {"a": null}]));
    assert_eq!(render("{{ [n] | to_json }}"), Json::from("[5]"));
    assert_eq!(render("{{ '\\1' }}"), Json::from("\\1"));
}

#[test]
fn errors_say_what_and_where() {
    let scope = Table(Map::new());
    let said = |text: &str| {
        let error = jinja::render_file(text, &scope).unwrap_err();
        format!("{}:{}: {}", error.at.line, error.at.column, error.message)
    };
    assert_eq!(said("a\n  {{ nope.x }}\n"), "2:6: `nope` is undefined");
    assert_eq!(said("{{ {'a': 1}.b }}"), "1:4: `(…).b` is undefined");
    assert_eq!(said("{{ 'x' | nofilter }}"), "1:10: there is no filter `nofilter`");
    assert_eq!(said("{{ 1 is odd(2, 3) }}"), "1:9: test `odd` takes at most 1 arguments, got 2");
    assert_eq!(said("{{ 'a' + 1 }}"), "1:4: cannot add `str` and `int`");
    assert_eq!(said("x\n{% if %}"), "2:7: unexpected end of block");
    assert_eq!(said("{{ [1] | join(',', 1, 2) }}"), "1:10: filter `join` takes at most 2 arguments, got 3");
}
