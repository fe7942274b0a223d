//! Profiles, networks, storage pools and volumes: one shape.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::Store;
use super::answer::{Answer, TIME};
use crate::support::exchange::Asked;

impl Store {
    /// The objects of the collection at `path`.
    pub(super) fn objects(&mut self, path: &str) -> &mut BTreeMap<String, Value> {
        self.objects.entry(path.to_owned()).or_default()
    }

    pub(super) fn object(&mut self, method: &str, path: &str, rest: &[&str], asked: &Asked) -> Answer {
        let incus = self.incus;
        let objects = self.objects(path);
        match (method, rest) {
            ("GET", []) => Answer::Sync(objects.values().cloned().collect()),
            ("POST", []) => make(objects, path, asked.json(), incus),
            (_, [name, ..]) if !objects.contains_key(*name) => Answer::missing(missing(method, path)),
            ("GET", [_, "resources"]) => {
                Answer::Sync(json!({ "space": { "used": 1_u64 << 30, "total": 20_u64 << 30 }, "inodes": {} }))
            }
            ("GET", [name]) => Answer::tagged(objects[*name].clone()),
            ("PUT", [name]) => {
                let tagged = Answer::tagged(objects[*name].clone());
                // LXD 5.0 gives storage pools no tag, and takes none.
                let wanted = asked.header("if-match").filter(|wanted| !wanted.is_empty());
                if wanted.is_some_and(|wanted| Some(wanted) != tagged.tag()) {
                    let (has, wanted) =
                        (tagged.tag().unwrap_or_default(), asked.header("if-match").unwrap_or_default());
                    let text = format!("ETag doesn't match: {} vs {}", has.trim_matches('"'), wanted.trim_matches('"'));
                    return Answer::Error(412, text);
                }
                let changed = asked.json();
                for key in ["description", "config", "devices"].iter().filter(|key| !changed[**key].is_null()) {
                    objects.get_mut(*name).expect("it is there")[*key] = changed[*key].clone();
                }
                Answer::Sync(Value::Null)
            }
            ("DELETE", [name]) => {
                objects.remove(*name);
                Answer::Sync(Value::Null)
            }
            _ => Answer::missing("not found"),
        }
    }
}

fn missing(method: &str, path: &str) -> &'static str {
    match (method, path) {
        ("GET", "profiles") => "Fetch profile: Profile not found",
        (_, "profiles") => "Profile not found",
        ("DELETE", "networks") => "Failed loading network: Network not found",
        (_, "networks") => "Network not found",
        (_, "storage-pools") => "Storage pool not found",
        _ => "Storage pool volume not found",
    }
}

fn taken(path: &str, name: &str, incus: bool) -> Answer {
    match path {
        "networks" if incus => Answer::Error(409, format!("Network \"{name}\" already exists")),
        "networks" => Answer::bad("The network already exists"),
        "profiles" => {
            Answer::Error(500, format!("Error inserting \"{name}\" into database: The profile already exists"))
        }
        "storage-pools" => Answer::Error(409, "The storage pool already exists: The record already exists".to_owned()),
        _ => Answer::Error(409, "Volume by that name already exists".to_owned()),
    }
}

fn make(objects: &mut BTreeMap<String, Value>, path: &str, mut object: Value, incus: bool) -> Answer {
    let name = object["name"].as_str().unwrap_or_default().to_owned();
    if objects.contains_key(&name) {
        return taken(path, &name, incus);
    }
    let volume = path.ends_with("/volumes/custom");
    let defaults = match path {
        "profiles" => json!({}),
        "networks" => json!({ "type": "bridge", "managed": true, "status": "Created", "locations": ["none"] }),
        "storage-pools" => json!({ "status": "Created", "locations": ["none"] }),
        _ => json!({ "content_type": "filesystem", "location": "none", "created_at": TIME }),
    };
    object["used_by"] = json!([]);
    for (key, value) in defaults.as_object().expect("an object") {
        if object[key].is_null() {
            object[key] = value.clone();
        }
    }
    objects.insert(name, object);
    if volume { Answer::Sync(Value::Null) } else { Answer::Created }
}
