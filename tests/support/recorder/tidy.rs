//! Takes out of recordings what differs from run to run and from machine to machine.

use std::collections::BTreeMap;

use regex::Regex;
use serde_json::{Map, Value, json};

/// Puts tokens for everything volatile: `<id-1>` for the first identifier, the same wherever it stands again.
pub(super) fn tidy(exchanges: Vec<Value>, names: &[(String, String)]) -> Vec<Value> {
    let mut tokens = Tokens::new(names);
    let own: Vec<&str> = names.iter().map(|(name, _)| name.as_str()).collect();
    let mut kept = exchanges;
    for exchange in &mut kept {
        only_own(exchange, &own);
        clean(exchange, &mut tokens);
    }
    kept
}

/// Keeps of a list only what this run made; answers to `recursion` alone are lists of values.
fn only_own(exchange: &mut Value, own: &[&str]) {
    if let Some(list) = exchange.pointer_mut("/answer/metadata").and_then(Value::as_array_mut) {
        list.retain(|entry| own.iter().any(|name| entry.to_string().contains(name)) || !entry.is_object());
    }
}

fn clean(value: &mut Value, tokens: &mut Tokens) {
    match value {
        Value::String(text) => *text = tokens.replace(text),
        Value::Array(list) => list.iter_mut().for_each(|entry| clean(entry, tokens)),
        Value::Object(map) => clean_map(map, tokens),
        _ => (),
    }
}

fn clean_map(map: &mut Map<String, Value>, tokens: &mut Tokens) {
    let old = std::mem::take(map);
    for (key, mut value) in old {
        match key.as_str() {
            // How far it got is told or not, as it happens.
            "progress" => continue,
            key if key.ends_with("_progress") => continue,
            "created_at" | "updated_at" | "last_used_at" | "uploaded_at" => value = json!("<time>"),
            "certificate" | "server_name" | "kernel_version" if value.is_string() => value = json!(format!("<{key}>")),
            "addresses" if value.as_array().is_some_and(|list| list.iter().all(Value::is_string)) => value = json!([]),
            "pid" | "server_pid" | "processes" | "usage" | "usage_peak" | "size" if value.is_number() => {
                value = json!(0);
            }
            key if value.is_number() && (key.starts_with("bytes_") || key.starts_with("packets_")) => value = json!(0),
            "parent" => value = json!("bridge"),
            "size" if value.is_string() => value = json!("<size>"),
            "CreateIndex" | "ModifyIndex" | "Index" if value.as_u64() > Some(1) => value = tokens.number(&value),
            key if key.starts_with("volatile.") && key != "volatile.base_image" => value = json!("<volatile>"),
            "hwaddr" | "host_name" if value.as_str() != Some("") => value = json!(format!("<{key}>")),
            _ => clean(&mut value, tokens),
        }
        map.insert(tokens.replace(&key), value);
    }
}

struct Tokens {
    names: Vec<(String, String)>,
    volatile: Regex,
    known: BTreeMap<String, String>,
}

impl Tokens {
    fn new(names: &[(String, String)]) -> Self {
        let id = "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}";
        // Digests, times inside texts, addresses that a server hands out, and interface numbers.
        let pattern = format!(
            r"{id}|\b[0-9a-f]{{64}}\b|\d{{4}}-\d\d-\d\d[ T][0-9:.]+( \+0000 UTC|Z)|fe80::[0-9a-f:]+|10\.\d+\.\d+\.\d+|fd[0-9a-f]{{2}}:[0-9a-f:]+|/var/tmp/[a-z0-9/-]+"
        );
        Self { names: names.to_vec(), volatile: Regex::new(&pattern).unwrap(), known: BTreeMap::new() }
    }

    fn replace(&mut self, text: &str) -> String {
        let named = self.names.iter().fold(text.to_owned(), |text, (name, instead)| text.replace(name, instead));
        let known = &mut self.known;
        let token = |found: &regex::Captures<'_>| {
            let next = format!("<id-{}>", known.len() + 1);
            known.entry(found[0].to_owned()).or_insert(next).clone()
        };
        self.volatile.replace_all(&named, token).into_owned()
    }

    fn number(&mut self, value: &Value) -> Value {
        let next = format!("<id-{}>", self.known.len() + 1);
        json!(self.known.entry(format!("number {value}")).or_insert(next))
    }
}
