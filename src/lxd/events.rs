//! What the server tells by itself.

use futures_util::StreamExt;
use serde::Deserialize;
use serde_json::Value;
use tokio_tungstenite::tungstenite::Message;

use super::exec::broken;
use super::{Client, Error, request};
use crate::http::Socket;

/// Something that happened on the server.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Event {
    /// `lifecycle`, `operation` or `logging`.
    #[serde(rename = "type")]
    pub kind: String,
    /// What: an operation, or `action` and `source` of a lifecycle event.
    #[serde(default)]
    pub metadata: Value,
}

impl Event {
    /// Returns the action of a lifecycle event, e.g. `instance-started`.
    pub fn action(&self) -> Option<&str> {
        self.metadata.get("action")?.as_str()
    }

    /// Whether it is about the instance called `name`.
    pub fn is_about(&self, name: &str) -> bool {
        let source = self.metadata.get("source").and_then(Value::as_str).unwrap_or_default();
        let path = source.split('?').next().unwrap_or_default();
        path.strip_prefix("/1.0/instances/").or_else(|| path.strip_prefix("/1.0/containers/")) == Some(name)
    }
}

/// Events as they come.
pub struct Events {
    socket: Socket,
    path: String,
    client: Client,
}

impl Events {
    /// Waits for the next event; `None` when the server closes.
    ///
    /// # Errors
    ///
    /// [`Error::Http`] if the connection breaks, [`Error::Malformed`] for an event that is none.
    pub async fn next(&mut self) -> Result<Option<Event>, Error> {
        let line = format!("GET {}", self.path);
        while let Some(message) = self.socket.next().await {
            let bytes = match message.map_err(|error| self.client.cut(&line, broken(error)))? {
                Message::Text(text) => text.as_bytes().to_vec(),
                Message::Binary(bytes) => bytes.to_vec(),
                Message::Close(_) => return Ok(None),
                _ => continue,
            };
            return serde_json::from_slice(&bytes).map(Some).map_err(|source| self.client.malformed(&line, source));
        }
        Ok(None)
    }
}

impl Client {
    /// Listens to events of one kind: `lifecycle`, `operation` or `logging`.
    pub async fn events(&self, kind: &str) -> Result<Events, Error> {
        let path = request::events(kind);
        let socket = self.http.websocket(&path).await?;
        Ok(Events { socket, path, client: self.clone() })
    }
}
