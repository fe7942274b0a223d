//! Digests of what things are made from.

use serde_json::Value;
use sha2::{Digest as _, Sha256};

/// Returns the SHA-256 of `value` as lower-case hexadecimal. Objects count in the order of their keys.
pub fn of(value: &Value) -> String {
    hex::encode(Sha256::digest(sorted(value).to_string().as_bytes()))
}

fn sorted(value: &Value) -> Value {
    match value {
        Value::Object(map) => {
            let mut entries: Vec<(&String, &Value)> = map.iter().collect();
            entries.sort_by_key(|(key, _)| *key);
            entries.into_iter().map(|(key, value)| (key.clone(), sorted(value))).collect()
        }
        Value::Array(items) => items.iter().map(sorted).collect(),
        other => other.clone(),
    }
}
