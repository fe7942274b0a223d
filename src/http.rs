//! The seam to servers: send a request.

use std::fmt;
use std::io;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use serde_json::Value;
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};
use tokio_tungstenite::WebSocketStream;

pub use hyper::Method;

/// A byte stream in both directions.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// A connected websocket.
pub type Socket = WebSocketStream<Box<dyn Stream>>;

/// What a request carries.
pub enum Body {
    /// Nothing.
    Empty,
    /// A JSON value.
    Json(Value),
    /// Bytes in memory.
    Bytes(Bytes),
    /// Bytes as they come, and how many if that is known.
    Stream(Box<dyn AsyncRead + Send + Unpin>, Option<u64>),
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("Empty"),
            Self::Json(value) => write!(f, "Json({value})"),
            Self::Bytes(bytes) => write!(f, "Bytes({} bytes)", bytes.len()),
            Self::Stream(_, length) => write!(f, "Stream({length:?})"),
        }
    }
}

/// A request as a value: made without I/O, sent by an [`Http`].
#[derive(Debug)]
pub struct Request {
    /// The method.
    pub method: Method,
    /// Path and query, e.g. `/1.0/instances?recursion=1`.
    pub path: String,
    /// Headers beyond those that the body implies.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Body,
}

impl Request {
    /// Makes a request without headers of its own.
    pub fn new(method: Method, path: impl Into<String>, body: Body) -> Self {
        Self { method, path: path.into(), headers: vec![], body }
    }
}

/// An answer; its body is read as it comes.
pub struct Response {
    /// HTTP status, e.g. 200.
    pub status: u16,
    /// Headers, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Box<dyn AsyncRead + Send + Unpin>,
}

impl Response {
    /// Returns the first header called `name` (lower case).
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// Reads the whole body, at most `limit` bytes.
    ///
    /// # Errors
    ///
    /// The stream's own error, or `InvalidData` when there is more than `limit`.
    pub async fn bytes(self, limit: u64) -> io::Result<Vec<u8>> {
        let mut bytes = vec![];
        self.body.take(limit + 1).read_to_end(&mut bytes).await?;
        if bytes.len() as u64 > limit {
            return Err(io::Error::new(io::ErrorKind::InvalidData, format!("the answer is longer than {limit} bytes")));
        }
        Ok(bytes)
    }
}

/// The exchange did not happen or did not end.
#[derive(Debug, Error)]
pub enum HttpError {
    /// Nothing was sent: safe to send again.
    #[error("cannot reach {host}")]
    Unreachable {
        /// Whom, e.g. `LXD at /var/lib/lxd/unix.socket`.
        host: String,
        /// Why.
        source: io::Error,
    },
    /// The request went out and no whole response came back: it may have been carried out.
    #[error("{host} did not finish its answer to {request}")]
    Cut {
        /// Whom.
        host: String,
        /// Method and path.
        request: String,
        /// Why.
        source: io::Error,
    },
}

/// Somewhere a request can be sent.
pub trait Http: Send + Sync {
    /// What a person calls it, e.g. `LXD at /var/lib/lxd/unix.socket`.
    fn name(&self) -> &str;

    /// Sends one request and returns the answer, whatever its status.
    ///
    /// # Errors
    ///
    /// See [`HttpError`].
    fn send(&self, request: Request) -> BoxFuture<'_, Result<Response, HttpError>>;

    /// Opens a websocket at `path`.
    ///
    /// # Errors
    ///
    /// See [`HttpError`].
    fn websocket<'a>(&'a self, path: &'a str) -> BoxFuture<'a, Result<Socket, HttpError>>;
}
