//! Asks a fake what a real server was asked, and compares.

use std::collections::BTreeMap;

use bytes::Bytes;
use ryo::http::{Body, Http, Method, Request};
use serde_json::{Value, json};

/// Objects whose keys are data, not shape.
const FREE: [&str; 14] = [
    "config",
    "expanded_config",
    "devices",
    "expanded_devices",
    "properties",
    "resources",
    "environment",
    "network",
    "counters",
    "disk",
    "memory",
    "cpu",
    "kernel_features",
    "lxc_features",
];

/// Keys that only one of the servers has, or that nobody reads.
const OPTIONAL: [&str; 9] = [
    "project",
    "auth_user_name",
    "auth_user_method",
    "started_at",
    "os_info",
    "update_source",
    "Index",
    "limits",
    "allocated_time",
];

/// Sends every request of `recording` (a JSON array) to `fake`; returns what differs, one line each.
///
/// Compared are status, shape (keys and types) and, where the recording has one, the error's text.
pub async fn replay(recording: &str, fake: &dyn Http) -> Vec<String> {
    let exchanges: Vec<Value> = serde_json::from_str(recording).unwrap();
    let mut known = BTreeMap::new();
    let mut differences = vec![];
    let mut sockets = vec![];
    for exchange in &exchanges {
        let line = bound(exchange["request"].as_str().unwrap(), &known);
        let (method, path) = line.split_once(' ').unwrap();
        if method == "WEBSOCKET" {
            sockets.push(fake.websocket(path).await.unwrap());
            continue;
        }
        let answer = fake.send(request(exchange, method, path, &known)).await.unwrap();
        let status = answer.status;
        let headers: Value = answer.headers.iter().map(|(name, value)| (name.clone(), json!(value))).collect();
        let body = answer.bytes(1 << 20).await.unwrap();
        let got = serde_json::from_slice(&body).unwrap_or_else(|_| json!(String::from_utf8_lossy(&body)));
        if exchange["status"] != json!(status) {
            differences.push(format!("{line}: status {} is {status} here: {got}", exchange["status"]));
            continue;
        }
        let mut shape = Shape { known: &mut known, differences: vec![] };
        for (name, value) in exchange["headers"].as_object().into_iter().flatten() {
            // Incus calls them by its own name.
            let other = name.replace("x-incus-", "x-lxd-");
            shape.compare(value, &headers[other.as_str()], name);
        }
        shape.compare(&exchange["answer"], &got, "");
        differences.extend(shape.differences.into_iter().map(|difference| format!("{line}: {difference}")));
    }
    differences
}

fn request(exchange: &Value, method: &str, path: &str, known: &BTreeMap<String, String>) -> Request {
    let body = match (&exchange["body"], &exchange["bytes"]) {
        (Value::Null, Value::Null) => Body::Empty,
        (Value::Null, Value::String(text)) => Body::Bytes(Bytes::from(text.clone())),
        (Value::Null, length) => Body::Bytes(vec![0; usize::try_from(length.as_u64().unwrap()).unwrap()].into()),
        (body, _) => Body::Json(bound_json(body, known)),
    };
    let mut request = Request::new(Method::from_bytes(method.as_bytes()).unwrap(), path, body);
    for (name, value) in exchange["sent"].as_object().into_iter().flatten() {
        request.headers.push((name.clone(), bound(value.as_str().unwrap(), known)));
    }
    request
}

fn bound(text: &str, known: &BTreeMap<String, String>) -> String {
    known.iter().fold(text.to_owned(), |text, (token, value)| text.replace(token, value))
}

fn bound_json(value: &Value, known: &BTreeMap<String, String>) -> Value {
    match value {
        Value::String(text) => known.get(text).and_then(|found| found.parse::<u64>().ok()).map_or_else(
            || json!(bound(text, known)),
            |number| if text.starts_with("<id-") { json!(number) } else { json!(text) },
        ),
        Value::Array(list) => list.iter().map(|entry| bound_json(entry, known)).collect(),
        Value::Object(map) => map.iter().map(|(key, value)| (key.clone(), bound_json(value, known))).collect(),
        other => other.clone(),
    }
}

struct Shape<'a> {
    known: &'a mut BTreeMap<String, String>,
    differences: Vec<String>,
}

impl Shape<'_> {
    fn compare(&mut self, recorded: &Value, got: &Value, at: &str) {
        match (recorded, got) {
            (Value::Object(recorded), Value::Object(got)) => {
                for (key, value) in recorded {
                    match got.get(key) {
                        Some(found) => self.compare(value, found, &format!("{at}.{key}")),
                        None if is_free(at) || OPTIONAL.contains(&key.as_str()) => (),
                        None => self.differences.push(format!("{at}.{key} is missing")),
                    }
                }
                for key in got.keys().filter(|key| !recorded.contains_key(*key)) {
                    if !is_free(at) && !OPTIONAL.contains(&key.as_str()) {
                        self.differences.push(format!("{at}.{key} is invented"));
                    }
                }
            }
            (Value::Array(recorded), Value::Array(got)) => {
                for (recorded, got) in recorded.iter().zip(got) {
                    self.compare(recorded, got, &format!("{at}[]"));
                }
            }
            (Value::String(recorded), _) => self.text(recorded, got, at),
            (recorded, got) if is_empty(recorded) && is_empty(got) => (),
            (recorded, got) if is_free(at) && (is_empty(recorded) || is_empty(got)) => (),
            (recorded, got) if kind(recorded) != kind(got) => {
                self.differences.push(format!("{at} is {got} instead of {recorded}"));
            }
            _ => (),
        }
    }

    fn text(&mut self, recorded: &str, got: &Value, at: &str) {
        match got {
            Value::String(text) => {
                self.bind(recorded, text);
                let wanted = bound(recorded, self.known);
                if matches!(at, ".error" | ".metadata.err") && *text != wanted {
                    self.differences.push(format!("{at} is `{text}` instead of `{wanted}`"));
                }
            }
            Value::Number(number) if recorded.starts_with("<id-") => self.bind(recorded, &number.to_string()),
            other => self.differences.push(format!("{at} is {other} instead of `{recorded}`")),
        }
    }

    /// Notes what stands here for the token of the recording, if there is one.
    fn bind(&mut self, recorded: &str, got: &str) {
        let Some((before, rest)) = recorded.split_once("<id-") else { return };
        let Some((number, after)) = rest.split_once('>') else { return };
        if let Some(value) = got.strip_prefix(before).and_then(|got| got.strip_suffix(after)) {
            self.known.insert(format!("<id-{number}>"), value.to_owned());
        }
    }
}

fn is_free(at: &str) -> bool {
    at.split('.').any(|part| FREE.contains(&part.trim_end_matches("[]")))
}

/// Go writes empty lists and maps as `null` here and there.
fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(list) => list.is_empty(),
        Value::Object(map) => map.is_empty(),
        _ => false,
    }
}

fn kind(value: &Value) -> u8 {
    match value {
        Value::Null => 0,
        Value::Bool(_) => 1,
        Value::Number(_) => 2,
        Value::String(_) => 3,
        Value::Array(_) => 4,
        Value::Object(_) => 5,
    }
}
