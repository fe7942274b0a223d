//! Consul's key/value store in memory.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::future::BoxFuture;
use ryo::http::{Http, HttpError, Request, Response, Socket};
use serde_json::{Value, json};

use super::exchange::{Asked, Log, decoded, response};

/// Holds keys; answers as Consul 1.8 does.
#[derive(Default)]
pub struct FakeConsul {
    store: Mutex<Store>,
    /// What it was asked.
    pub log: Log,
}

#[derive(Default)]
struct Store {
    index: u64,
    keys: BTreeMap<String, Key>,
    broken: Option<(u16, String)>,
    /// What is found of nodes, each answer once; the last one stays.
    nodes: BTreeMap<String, Vec<Value>>,
    checks: Vec<Value>,
}

#[derive(Clone)]
struct Key {
    value: Vec<u8>,
    created: u64,
    index: u64,
}

impl FakeConsul {
    fn store(&self) -> MutexGuard<'_, Store> {
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes a key from outside.
    pub fn put(&self, key: &str, value: &str) {
        let mut store = self.store();
        store.index += 1;
        store.set(key, value.as_bytes().to_vec());
    }

    /// Removes a key from outside.
    pub fn remove(&self, key: &str) {
        self.store().keys.remove(key);
    }

    /// Finds this of the node `name`, one after the other; the last one from then on.
    pub fn finds(&self, name: &str, checks: &[Value]) {
        let answers = checks.iter().rev().cloned().collect();
        self.store().nodes.insert(name.to_owned(), answers);
    }

    /// Answers everything with this from now on; `None` mends it.
    pub fn broken(&self, answer: Option<(u16, &str)>) {
        self.store().broken = answer.map(|(status, text)| (status, text.to_owned()));
    }

    /// What is known of the health of a node, or of a service there, from now on.
    pub fn check(&self, node: &str, service: &str, name: &str, status: &str) {
        let check = json!({
            "Node": node, "CheckID": name, "Name": name, "Status": status, "Notes": "", "Output": "",
            "ServiceID": service, "ServiceName": service, "ServiceTags": [], "Definition": {},
        });
        self.store().checks.push(check);
    }

    /// All keys with their values.
    pub fn world(&self) -> BTreeMap<String, String> {
        let text = |key: &Key| String::from_utf8_lossy(&key.value).into_owned();
        self.store().keys.iter().map(|(name, key)| (name.clone(), text(key))).collect()
    }

    fn answer(&self, asked: &Asked) -> Response {
        let mut store = self.store();
        if let Some((status, text)) = &store.broken {
            return plain(*status, text);
        }
        match (asked.method.as_str(), asked.path.as_str()) {
            ("GET", "/v1/status/leader") => json_answer(200, &json!("127.0.0.1:8300")),
            ("GET", "/v1/agent/self") => json_answer(200, &json!({ "Config": { "Version": "1.8.7" } })),
            ("GET", "/v1/health/state/any") => json_answer(200, &json!(store.checks)),
            ("PUT", "/v1/txn") => store.transaction(asked),
            ("GET", path) if path.starts_with("/v1/health/node/") => {
                json_answer(200, &store.node(&decoded(&path["/v1/health/node/".len()..])))
            }
            ("GET", path) if path.starts_with("/v1/kv/") => store.read(asked, &decoded(&path["/v1/kv/".len()..])),
            (method, path) => plain(404, &format!("no handler for {method} {path}")),
        }
    }
}

impl Store {
    fn node(&mut self, name: &str) -> Value {
        let Some(answers) = self.nodes.get_mut(name) else { return json!([]) };
        match answers.len() {
            0 => json!([]),
            1 => answers[0].clone(),
            _ => answers.pop().unwrap_or_default(),
        }
    }

    fn set(&mut self, name: &str, value: Vec<u8>) -> Value {
        let index = self.index;
        let created = self.keys.get(name).map_or(index, |key| key.created);
        self.keys.insert(name.to_owned(), Key { value, created, index });
        json!({ "KV": { "LockIndex": 0, "Key": name, "Flags": 0, "Value": null, "CreateIndex": created, "ModifyIndex": index } })
    }

    fn read(&self, asked: &Asked, key: &str) -> Response {
        let recurse = asked.query("recurse").is_some();
        let wanted = |name: &str| if recurse { name.starts_with(key) } else { name == key };
        let found: Vec<_> =
            self.keys.iter().filter(|(name, _)| wanted(name)).map(|(name, key)| entry(name, key)).collect();
        if found.is_empty() { plain(404, "") } else { json_answer(200, &Value::Array(found)) }
    }

    fn transaction(&mut self, asked: &Asked) -> Response {
        let body = asked.json();
        let changes = body.as_array().cloned().unwrap_or_default();
        if changes.len() > 64 {
            return plain(413, &format!("Transaction contains too many operations ({} > 64)", changes.len()));
        }
        let before = (self.index, self.keys.clone());
        // One number for everything that is changed at once.
        self.index += 1;
        let (mut results, mut errors) = (vec![], vec![]);
        for (number, change) in changes.iter().enumerate() {
            match self.change(&change["KV"]) {
                Ok(result) => results.extend(result),
                Err(what) => errors.push(json!({ "OpIndex": number, "What": what })),
            }
        }
        if errors.is_empty() {
            return json_answer(200, &json!({ "Results": results, "Errors": null }));
        }
        (self.index, self.keys) = before;
        let mut answer = json!({ "Results": null, "Errors": errors });
        if changes.iter().all(|change| change["KV"]["Verb"] == "check-index") {
            // A transaction that only reads is answered like a read.
            for (key, value) in [
                ("Index", json!(0)),
                ("LastContact", json!(0)),
                ("KnownLeader", json!(true)),
                ("ConsistencyLevel", json!("")),
            ] {
                answer[key] = value;
            }
        }
        json_answer(409, &answer)
    }

    fn change(&mut self, change: &Value) -> Result<Option<Value>, String> {
        let key = change["Key"].as_str().unwrap_or_default();
        let value = || STANDARD.decode(change["Value"].as_str().unwrap_or_default()).map_err(|error| error.to_string());
        let index = change["Index"].as_u64().unwrap_or_default();
        let current = self.keys.get(key).map(|key| key.index);
        let stale = |verb: &str| Err(format!("failed to {verb} key \"{key}\", index is stale"));
        match change["Verb"].as_str().unwrap_or_default() {
            "set" => Ok(Some(self.set(key, value()?))),
            "cas" if current.unwrap_or_default() == index => Ok(Some(self.set(key, value()?))),
            "cas" => stale("set"),
            "delete" => {
                self.keys.remove(key);
                Ok(None)
            }
            "delete-cas" if current.is_none() || current == Some(index) => {
                self.keys.remove(key);
                Ok(None)
            }
            "delete-cas" => stale("delete"),
            "check-index" => match current {
                None => Err(format!("failed to check index, key \"{key}\" doesn't exist")),
                Some(now) if now == index => Ok(self.keys.get(key).map(|found| {
                    let mut entry = entry(key, found);
                    entry["Value"] = Value::Null;
                    json!({ "KV": entry })
                })),
                Some(now) => Err(format!("current modify index {now} for key \"{key}\" does not match {index}")),
            },
            verb => Err(format!("unknown KV verb \"{verb}\"")),
        }
    }
}

fn entry(name: &str, key: &Key) -> Value {
    let value = if key.value.is_empty() { Value::Null } else { json!(STANDARD.encode(&key.value)) };
    json!({
        "LockIndex": 0, "Key": name, "Flags": 0, "Value": value, "CreateIndex": key.created, "ModifyIndex": key.index,
    })
}

fn json_answer(status: u16, value: &Value) -> Response {
    let kind = ("content-type".to_owned(), "application/json".to_owned());
    response(status, vec![kind], value.to_string().into_bytes())
}

fn plain(status: u16, text: &str) -> Response {
    response(status, vec![], text.as_bytes().to_vec())
}

impl Http for FakeConsul {
    fn name(&self) -> &'static str {
        "fake Consul"
    }

    fn send(&self, request: Request) -> BoxFuture<'_, Result<Response, HttpError>> {
        Box::pin(async move {
            self.log.note(request.method.as_str(), &request.path);
            let line = format!("{} {}", request.method, request.path);
            let asked = Asked::read(request).await;
            let asked =
                asked.map_err(|source| HttpError::Cut { host: self.name().to_owned(), request: line, source })?;
            Ok(self.answer(&asked))
        })
    }

    fn websocket<'a>(&'a self, path: &'a str) -> BoxFuture<'a, Result<Socket, HttpError>> {
        let refused = HttpError::Cut {
            host: self.name().to_owned(),
            request: format!("GET {path}"),
            source: std::io::Error::other("Consul has no websockets"),
        };
        Box::pin(async move { Err(refused) })
    }
}
