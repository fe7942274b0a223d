//! A wire that writes down what real servers answer, and the test of a fake against what was written.

mod replay;
mod tidy;

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::future::BoxFuture;
use ryo::http::{Body, Http, HttpError, Request, Response, Socket};
use serde_json::{Value, json};

use super::exchange::response;
pub use replay::replay;

/// Longest body that is written down as text.
const TEXT: usize = 2000;

/// Passes everything on and keeps it.
pub struct Recorder {
    inner: Arc<dyn Http>,
    exchanges: Mutex<Vec<Value>>,
    /// Names of this run, with what they are written down as.
    names: Vec<(String, String)>,
}

impl Recorder {
    /// - `names`: what differs from run to run, with what is written instead. Of lists, only entries that hold one of
    ///   the names are kept, as the server may have others at the same time.
    pub fn new(inner: Arc<dyn Http>, names: &[(&str, &str)]) -> Self {
        let names = names.iter().map(|(name, instead)| ((*name).to_owned(), (*instead).to_owned())).collect();
        Self { inner, exchanges: Mutex::default(), names }
    }

    /// Writes `scenario.json` to the directory that `RYO_RECORD` names, beneath `server`; does nothing without it.
    pub fn save(&self, server: &str, scenario: &str) {
        let Ok(root) = std::env::var("RYO_RECORD") else { return };
        let directory = Path::new(&root).join(server);
        std::fs::create_dir_all(&directory).unwrap();
        let exchanges = self.exchanges.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let tidied = tidy::tidy(exchanges, &self.names);
        let lines: Vec<_> = tidied.iter().map(|exchange| format!("  {exchange}")).collect();
        std::fs::write(directory.join(format!("{scenario}.json")), format!("[\n{}\n]\n", lines.join(",\n"))).unwrap();
    }

    /// Takes a place in the order of sending.
    fn begin(&self, exchange: Value) -> usize {
        let mut exchanges = self.exchanges.lock().unwrap_or_else(PoisonError::into_inner);
        exchanges.push(exchange);
        exchanges.len() - 1
    }

    fn finish(&self, at: usize, status: u16, headers: &Value, answer: Value) {
        let mut exchanges = self.exchanges.lock().unwrap_or_else(PoisonError::into_inner);
        exchanges[at]["status"] = json!(status);
        if headers.as_object().is_some_and(|headers| !headers.is_empty()) {
            exchanges[at]["headers"] = headers.clone();
        }
        exchanges[at]["answer"] = answer;
    }

    async fn passed(&self, request: Request) -> Result<Response, HttpError> {
        let mut exchange = json!({ "request": format!("{} {}", request.method, request.path) });
        let sent: Vec<_> = request.headers.iter().filter(|(name, _)| name != "X-Consul-Token").collect();
        if !sent.is_empty() {
            exchange["sent"] = sent.into_iter().map(|(name, value)| (name.clone(), json!(value))).collect();
        }
        match &request.body {
            Body::Empty => (),
            Body::Json(value) => exchange["body"] = value.clone(),
            Body::Bytes(bytes) => exchange["bytes"] = text(bytes),
            Body::Stream(_, length) => exchange["bytes"] = json!(length),
        }
        let at = self.begin(exchange);
        let Response { status, headers, body } = self.inner.send(request).await?;
        let whole = Response { status, headers: headers.clone(), body }.bytes(64 << 20).await.unwrap();
        let told = |name: &str| name.starts_with("x-lxd-") || name.starts_with("x-incus-") || name == "etag";
        let kept: Value = headers.iter().filter(|(name, _)| told(name)).map(|(k, v)| (k.clone(), json!(v))).collect();
        self.finish(at, status, &kept, serde_json::from_slice(&whole).unwrap_or_else(|_| text(&whole)));
        Ok(response(status, headers, whole))
    }
}

/// Short texts as they are, anything else by its length.
fn text(bytes: &[u8]) -> Value {
    match std::str::from_utf8(bytes) {
        Ok(text) if text.len() <= TEXT => json!(text),
        _ => json!(bytes.len()),
    }
}

impl Http for Recorder {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn send(&self, request: Request) -> BoxFuture<'_, Result<Response, HttpError>> {
        Box::pin(self.passed(request))
    }

    fn websocket<'a>(&'a self, path: &'a str) -> BoxFuture<'a, Result<Socket, HttpError>> {
        Box::pin(async move {
            self.begin(json!({ "request": format!("WEBSOCKET {path}") }));
            self.inner.websocket(path).await
        })
    }
}
