//! Jinja: as a file, as text of a playbook and as a bare expression.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ryo::playbook::jinja::{NoValue, Scope, Source, Value, evaluate, render_file, render_text};

struct Names;

impl Scope for Names {
    fn variable(&self, name: &str) -> Result<Option<Value>, String> {
        let json = match name {
            "a" => serde_json::json!("text"),
            "b" => serde_json::json!([1, 2.5, "three", null, { "k": ["v"] }]),
            "c" => serde_json::json!({ "x": 1, "y": { "z": true } }),
            _ => return Ok(None),
        };
        Ok(Some(Value::from(&json)))
    }

    fn lookup(&self, _: &str, _: &[Value], _: &[(String, Value)]) -> Result<Vec<Value>, NoValue> {
        Err(NoValue::Refused("there is no lookup".to_owned()))
    }

    fn source(&self, _: &str) -> Result<Option<Source>, String> {
        Ok(None)
    }
}

fuzz_target!(|text: &str| {
    drop(render_file(text, &Names));
    drop(render_text(text, &Names));
    drop(evaluate(text, &Names));
});
