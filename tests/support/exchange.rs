//! What a fake answers, and the log that it keeps.

use std::sync::{Mutex, PoisonError};

use ryo::http::{Body, Request, Response};
use serde_json::Value;
use tokio::io::AsyncReadExt;

/// A request with its body read.
pub struct Asked {
    pub method: String,
    /// Without the query.
    pub path: String,
    /// Pairs of the query, decoded.
    pub query: Vec<(String, String)>,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Asked {
    /// Reads the body of `request` to its end.
    ///
    /// # Errors
    ///
    /// The error of a streamed body.
    pub async fn read(request: Request) -> std::io::Result<Self> {
        let mut body = vec![];
        match request.body {
            Body::Empty => (),
            Body::Json(value) => body = value.to_string().into_bytes(),
            Body::Bytes(bytes) => body = bytes.to_vec(),
            Body::Stream(mut reader, _) => {
                reader.read_to_end(&mut body).await?;
            }
        }
        let (path, query) = request.path.split_once('?').unwrap_or((&request.path, ""));
        let pair = |pair: &str| {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decoded(key), decoded(value))
        };
        let query = query.split('&').filter(|pair| !pair.is_empty()).map(pair).collect();
        Ok(Self { method: request.method.to_string(), path: path.to_owned(), query, headers: request.headers, body })
    }

    /// The segments of the path, decoded.
    pub fn segments(&self) -> Vec<String> {
        self.path.split('/').skip(1).map(decoded).collect()
    }

    pub fn query(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// The body as JSON, `null` if it is none.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }
}

/// Undoes percent-encoding.
pub fn decoded(text: &str) -> String {
    let mut bytes = vec![];
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let hex = tail.get(..2).and_then(|hex| u8::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok());
        let byte = hex.filter(|_| *first == b'%');
        bytes.push(byte.unwrap_or(*first));
        rest = if byte.is_some() { &tail[2..] } else { tail };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Makes an answer from memory.
pub fn response(status: u16, headers: Vec<(String, String)>, body: Vec<u8>) -> Response {
    Response { status, headers, body: Box::new(std::io::Cursor::new(body)) }
}

/// Method and path of everything that was asked, in order.
#[derive(Default)]
pub struct Log(Mutex<Vec<String>>);

impl Log {
    pub fn note(&self, method: &str, path: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(format!("{method} {path}"));
    }

    /// Everything so far; websockets as `WEBSOCKET path`.
    pub fn all(&self) -> Vec<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Everything but reads.
    pub fn writes(&self) -> Vec<String> {
        self.all().into_iter().filter(|line| !line.starts_with("GET ") && !line.starts_with("WEBSOCKET ")).collect()
    }

    pub fn clear(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}
