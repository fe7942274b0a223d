//! The client of Consul's key/value store: reading keys, and changing several of them at once or not at all.
//!
//! Source: Consul's HTTP API documentation, "KV Store" and "Transaction".

use std::fmt::Write as _;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Deserializer};
use serde_json::{Value, json};
use thiserror::Error;
use tokio::time::timeout;

use crate::http::{Body, Http, HttpError, Method, Request};
use crate::secret::Secret;

mod access;
pub mod health;

/// Most operations of one transaction, set by Consul.
pub const MOST: usize = 64;

/// How long the server may take to answer.
const ANSWER: Duration = Duration::from_secs(30);

/// Most bytes of an answer.
const LONGEST: u64 = 64 << 20;

/// What can go wrong with Consul.
#[derive(Debug, Error)]
pub enum Error {
    /// The exchange did not happen or did not end.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// The server answered with an error; nothing was changed.
    #[error("{host} refused `{request}` ({status}): {message}")]
    Refused {
        /// Whom, e.g. `Consul at 127.0.0.1:8500`.
        host: String,
        /// Method and path.
        request: String,
        /// HTTP status, e.g. 500.
        status: u16,
        /// The server's own words.
        message: String,
    },
    /// The servers of the datacenter have not agreed on a leader; nothing was changed.
    #[error("{host} has no leader")]
    NoLeader {
        /// Whom.
        host: String,
    },
    /// A transaction was rolled back; nothing was changed.
    #[error("{host} rolled the transaction back: {}", reasons.join("; "))]
    RolledBack {
        /// Whom.
        host: String,
        /// One for each operation that could not be done, with its key.
        reasons: Vec<String>,
    },
    /// More operations than one transaction takes; nothing was sent.
    #[error("{count} operations are more than one transaction takes ({MOST})")]
    TooMany {
        /// How many.
        count: usize,
    },
    /// The server did not answer in time. What was asked for may still be done.
    #[error("{host} did not answer `{request}` within {} s", ANSWER.as_secs())]
    Timeout {
        /// Whom.
        host: String,
        /// Method and path.
        request: String,
    },
    /// The server's answer is not what its documentation says.
    #[error("cannot understand the answer of {host} to `{request}`")]
    Malformed {
        /// Whom.
        host: String,
        /// Method and path.
        request: String,
        /// Where and why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// A key that is there.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Entry {
    /// Path without a leading slash.
    #[serde(rename = "Key")]
    pub key: String,
    /// Its value, which may be empty. Consul's `null` is an empty value; a key that is missing has no entry.
    #[serde(rename = "Value", default, deserialize_with = "value")]
    pub value: Vec<u8>,
    /// Changes with every change of the value.
    #[serde(rename = "ModifyIndex")]
    pub index: u64,
}

impl Entry {
    /// Returns the value as text; bytes that are none are replaced.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.value).into_owned()
    }
}

fn value<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<u8>, D::Error> {
    let encoded = Option::<String>::deserialize(from)?.unwrap_or_default();
    STANDARD.decode(encoded).map_err(serde::de::Error::custom)
}

/// One operation of a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Writes a key, whatever was there.
    Set {
        /// Path without a leading slash.
        key: String,
        /// Value, perhaps empty.
        value: Vec<u8>,
    },
    /// Writes a key if its index is still `index`; 0 means that it must not be there.
    SetIf {
        /// Path without a leading slash.
        key: String,
        /// Value, perhaps empty.
        value: Vec<u8>,
        /// As read.
        index: u64,
    },
    /// Removes a key; one that is not there is removed already.
    Delete {
        /// Path without a leading slash.
        key: String,
    },
    /// Removes a key if its index is still `index`.
    DeleteIf {
        /// Path without a leading slash.
        key: String,
        /// As read.
        index: u64,
    },
    /// Requires that the index of a key is still `index`.
    Check {
        /// Path without a leading slash.
        key: String,
        /// As read.
        index: u64,
    },
}

impl Change {
    /// Path of the key that it is about.
    pub fn key(&self) -> &str {
        match self {
            Self::Set { key, .. }
            | Self::SetIf { key, .. }
            | Self::Delete { key }
            | Self::DeleteIf { key, .. }
            | Self::Check { key, .. } => key,
        }
    }

    fn json(&self) -> Value {
        let operation = match self {
            Self::Set { key, value } => json!({ "Verb": "set", "Key": key, "Value": STANDARD.encode(value) }),
            Self::SetIf { key, value, index } => {
                json!({ "Verb": "cas", "Key": key, "Value": STANDARD.encode(value), "Index": index })
            }
            Self::Delete { key } => json!({ "Verb": "delete", "Key": key }),
            Self::DeleteIf { key, index } => json!({ "Verb": "delete-cas", "Key": key, "Index": index }),
            Self::Check { key, index } => json!({ "Verb": "check-index", "Key": key, "Index": index }),
        };
        json!({ "KV": operation })
    }
}

/// A connection to one agent or server. Cheap to clone.
#[derive(Clone)]
pub struct Client {
    http: Arc<dyn Http>,
    datacenter: Option<String>,
    token: Option<Secret>,
}

impl Client {
    /// Talks over `http`; nothing is sent yet. Without a datacenter it is that of the agent.
    pub fn new(http: Arc<dyn Http>, datacenter: Option<String>, token: Option<Secret>) -> Self {
        Self { http, datacenter, token }
    }

    /// What a person calls the server.
    pub fn name(&self) -> &str {
        self.http.name()
    }

    /// Asks for the version of the server, e.g. `1.20.1`.
    pub async fn version(&self) -> Result<String, Error> {
        let own: Option<Value> = self.read("/v1/agent/self", &[]).await?;
        Ok(own.and_then(|own| Some(own["Config"]["Version"].as_str()?.to_owned())).unwrap_or_default())
    }

    /// Reads one key; `None` if it is not there.
    pub async fn get(&self, key: &str) -> Result<Option<Entry>, Error> {
        let entries: Option<Vec<Entry>> = self.read(&format!("/v1/kv/{}", escaped(key)), &[]).await?;
        Ok(entries.unwrap_or_default().into_iter().next())
    }

    /// Reads every key that starts with `prefix`, sorted by key; none is no error.
    pub async fn list(&self, prefix: &str) -> Result<Vec<Entry>, Error> {
        let entries: Option<Vec<Entry>> = self.read(&format!("/v1/kv/{}", escaped(prefix)), &["recurse"]).await?;
        Ok(entries.unwrap_or_default())
    }

    /// Makes all `changes` or none. None at all sends nothing.
    ///
    /// # Errors
    ///
    /// [`Error::TooMany`] if there are more than [`MOST`]; [`Error::RolledBack`] if one of them could not be made.
    pub async fn transaction(&self, changes: &[Change]) -> Result<(), Error> {
        if changes.is_empty() {
            return Ok(());
        }
        if changes.len() > MOST {
            return Err(Error::TooMany { count: changes.len() });
        }
        let body = Body::Json(changes.iter().map(Change::json).collect());
        let request = self.request(Method::PUT, "/v1/txn", &[], body);
        let line = line(&request);
        let (status, bytes) = self.exchange(request, &line).await?;
        match status {
            200 => Ok(()),
            409 => Err(self.rolled_back(changes, &bytes, &line)),
            status => Err(self.refusal(status, &bytes, line)),
        }
    }

    async fn read<T: serde::de::DeserializeOwned>(&self, path: &str, flags: &[&str]) -> Result<Option<T>, Error> {
        let request = self.request(Method::GET, path, flags, Body::Empty);
        let line = line(&request);
        match self.exchange(request, &line).await? {
            (200, bytes) => self.parsed(&bytes, &line).map(Some),
            (404, _) => Ok(None),
            (status, bytes) => Err(self.refusal(status, &bytes, line)),
        }
    }

    fn request(&self, method: Method, path: &str, flags: &[&str], body: Body) -> Request {
        let datacenter = self.datacenter.iter().map(|name| format!("dc={}", escaped(name)));
        let query: Vec<_> = flags.iter().map(|flag| (*flag).to_owned()).chain(datacenter).collect();
        let path = if query.is_empty() { path.to_owned() } else { format!("{path}?{}", query.join("&")) };
        let mut request = Request::new(method, path, body);
        if let Some(token) = &self.token {
            request.headers.push(("X-Consul-Token".to_owned(), token.reveal().to_owned()));
        }
        request
    }

    async fn exchange(&self, request: Request, line: &str) -> Result<(u16, Vec<u8>), Error> {
        let sent = async {
            let response = self.http.send(request).await?;
            let status = response.status;
            Ok((status, response.bytes(LONGEST).await.map_err(|source| self.cut(line, source))?))
        };
        let late = || Error::Timeout { host: self.name().to_owned(), request: line.to_owned() };
        timeout(ANSWER, sent).await.unwrap_or_else(|_| Err(late()))
    }

    fn rolled_back(&self, changes: &[Change], bytes: &[u8], line: &str) -> Error {
        let told: Rollback = match self.parsed(bytes, line) {
            Ok(told) => told,
            Err(error) => return error,
        };
        let reason = |failure: &Failure| match changes.get(failure.index) {
            // Consul names the key in some of its texts and not in others.
            Some(change) if !failure.what.contains(change.key()) => format!("`{}`: {}", change.key(), failure.what),
            _ => failure.what.clone(),
        };
        let reasons = told.errors.unwrap_or_default().iter().map(reason).collect();
        Error::RolledBack { host: self.name().to_owned(), reasons }
    }

    fn refusal(&self, status: u16, bytes: &[u8], request: String) -> Error {
        let host = self.name().to_owned();
        let message = String::from_utf8_lossy(&bytes[..bytes.len().min(500)]).trim().to_owned();
        if message.contains("No cluster leader") {
            return Error::NoLeader { host };
        }
        Error::Refused { host, request, status, message }
    }

    fn parsed<T: serde::de::DeserializeOwned>(&self, bytes: &[u8], line: &str) -> Result<T, Error> {
        let mut json = serde_json::Deserializer::from_slice(bytes);
        serde_path_to_error::deserialize(&mut json).map_err(|source| self.malformed(line, source))
    }

    fn cut(&self, line: &str, source: io::Error) -> Error {
        if source.kind() == io::ErrorKind::InvalidData {
            return self.malformed(line, source);
        }
        Error::Http(HttpError::Cut { host: self.name().to_owned(), request: line.to_owned(), source })
    }

    fn malformed(&self, line: &str, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
        Error::Malformed { host: self.name().to_owned(), request: line.to_owned(), source: source.into() }
    }
}

/// Why a transaction was rolled back.
#[derive(Deserialize)]
struct Rollback {
    #[serde(rename = "Errors", default)]
    errors: Option<Vec<Failure>>,
}

#[derive(Deserialize)]
struct Failure {
    #[serde(rename = "OpIndex")]
    index: usize,
    #[serde(rename = "What")]
    what: String,
}

/// Percent-encodes everything but unreserved characters and slashes.
fn escaped(key: &str) -> String {
    let mut encoded = String::with_capacity(key.len());
    for byte in key.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

/// Method and path of a request, for a person.
fn line(request: &Request) -> String {
    format!("{} {}", request.method, request.path)
}
