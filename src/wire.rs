//! HTTP/1.1 and websockets over any byte stream: a unix socket, TCP, a channel of an SSH connection.

mod body;
mod dial;
mod pool;
mod quiet;
pub mod tls;

use std::io;
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;
use hyper::header::{CONTENT_LENGTH, CONTENT_TYPE, HOST, HeaderName, HeaderValue};
use tokio::time::timeout;
use tokio_tungstenite::client_async_with_config;
use tokio_tungstenite::tungstenite;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;

use crate::http::{Body, Http, HttpError, Method, Request, Response, Socket, Stream};
use body::{Outgoing, outgoing};
use pool::Pool;
use quiet::Quiet;

pub use dial::{Dial, tcp, unix};

/// How long opening a stream, or the handshake of a websocket, may take unless somebody says otherwise.
pub const CONNECT: Duration = Duration::from_secs(10);

/// Most bytes of one websocket message; LXD's and Incus' are far below.
const MESSAGE: usize = 4 << 20;

/// HTTP over whatever a [`Dial`] opens. Keeps a few connections open between requests.
pub struct Wire {
    name: String,
    host: String,
    dial: Dial,
    limit: Duration,
    pool: Pool,
}

impl Wire {
    /// Makes a wire; nothing is opened yet.
    ///
    /// - `name`: what a person calls it, e.g. `LXD at /var/lib/lxd/unix.socket`.
    /// - `host`: the `Host` header, e.g. `lxd` or `[fd10::1]:8500`.
    pub fn new(name: impl Into<String>, host: impl Into<String>, dial: Dial) -> Self {
        Self { name: name.into(), host: host.into(), dial, limit: CONNECT, pool: Pool::default() }
    }

    /// Sets how long opening a stream, or the handshake of a websocket, may take; [`CONNECT`] if not set.
    #[must_use]
    pub fn within(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    fn unreachable(&self, source: io::Error) -> HttpError {
        HttpError::Unreachable { host: self.name.clone(), source }
    }

    fn cut(&self, method: &Method, path: &str, source: io::Error) -> HttpError {
        HttpError::Cut { host: self.name.clone(), request: format!("{method} {path}"), source }
    }

    fn late(&self) -> io::Error {
        let seconds = self.limit.as_secs_f32();
        io::Error::new(io::ErrorKind::TimedOut, format!("no connection within {seconds} s"))
    }

    async fn exchange(&self, request: Request) -> Result<Response, HttpError> {
        let Request { method, path, headers, body } = request;
        let again = matches!((&method, &body), (&Method::GET, Body::Empty)).then(|| headers.clone());
        let mut outgoing = self.head(&method, &path, headers, body)?;
        while let Some(mut sender) = self.pool.take().await {
            match sender.try_send_request(outgoing).await {
                Ok(answer) => return Ok(body::response(answer, sender, &self.pool)),
                Err(mut failed) => match (failed.take_message(), &again) {
                    (Some(unsent), _) => outgoing = unsent,
                    // The server may have closed the kept connection meanwhile. Reading twice harms nobody.
                    (None, Some(headers)) => outgoing = self.head(&method, &path, headers.clone(), Body::Empty)?,
                    (None, None) => return Err(self.cut(&method, &path, cause(failed.into_error()))),
                },
            }
        }
        let stream = self.dialled().await?;
        let mut sender = pool::connect(stream).await.map_err(|error| self.unreachable(cause(error)))?;
        match sender.try_send_request(outgoing).await {
            Ok(answer) => Ok(body::response(answer, sender, &self.pool)),
            Err(mut failed) => match failed.take_message() {
                Some(_) => Err(self.unreachable(cause(failed.into_error()))),
                None => Err(self.cut(&method, &path, cause(failed.into_error()))),
            },
        }
    }

    async fn dialled(&self) -> Result<Box<dyn Stream>, HttpError> {
        match timeout(self.limit, (self.dial)()).await {
            Ok(opened) => opened.map_err(|source| self.unreachable(source)),
            Err(_) => Err(self.unreachable(self.late())),
        }
    }

    fn head(
        &self,
        method: &Method,
        path: &str,
        headers: Vec<(String, String)>,
        body: Body,
    ) -> Result<hyper::Request<Outgoing>, HttpError> {
        let invalid =
            |source: hyper::http::Error| self.unreachable(io::Error::new(io::ErrorKind::InvalidInput, source));
        let (kind, length) = body::described(&body);
        let mut head = hyper::Request::builder().method(method).uri(path).header(HOST, self.host.as_str());
        if let Some(kind) = kind
            && !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case(CONTENT_TYPE.as_str()))
        {
            head = head.header(CONTENT_TYPE, kind);
        }
        if let Some(length) = length {
            head = head.header(CONTENT_LENGTH, length);
        }
        for (name, value) in headers {
            let name = HeaderName::try_from(name).map_err(|error| invalid(error.into()))?;
            let value = HeaderValue::try_from(value).map_err(|error| invalid(error.into()))?;
            head = head.header(name, value);
        }
        head.body(outgoing(body)).map_err(invalid)
    }

    async fn upgrade(&self, path: &str) -> Result<Socket, HttpError> {
        let stream: Box<dyn Stream> = Box::new(Quiet(self.dialled().await?));
        let cut = |source| self.cut(&Method::GET, path, source);
        let config = WebSocketConfig::default().max_message_size(Some(MESSAGE)).max_frame_size(Some(MESSAGE));
        let url = format!("ws://{}{path}", self.host);
        match timeout(self.limit, client_async_with_config(url, stream, Some(config))).await {
            Ok(Ok((socket, _))) => Ok(socket),
            Ok(Err(error)) => Err(cut(refusal(error))),
            Err(_) => Err(cut(self.late())),
        }
    }
}

impl Http for Wire {
    fn name(&self) -> &str {
        &self.name
    }

    fn send(&self, request: Request) -> BoxFuture<'_, Result<Response, HttpError>> {
        Box::pin(async move {
            let (method, path, began) = (request.method.clone(), request.path.clone(), Instant::now());
            let answer = self.exchange(request).await;
            let status = answer.as_ref().map_or(0, |answer| answer.status);
            // What is behind the question mark may be a secret, as for the websockets of LXD.
            let path = path.split('?').next().unwrap_or_default();
            tracing::debug!(host = self.name, %method, path, status, took = ?began.elapsed(), "request");
            answer
        })
    }

    fn websocket<'a>(&'a self, path: &'a str) -> BoxFuture<'a, Result<Socket, HttpError>> {
        Box::pin(self.upgrade(path))
    }
}

fn refusal(error: tungstenite::Error) -> io::Error {
    match error {
        tungstenite::Error::Io(error) => error,
        tungstenite::Error::Http(answer) => {
            io::Error::other(format!("the server answered {} instead of opening a websocket", answer.status().as_u16()))
        }
        other => io::Error::new(io::ErrorKind::InvalidData, other),
    }
}

/// Says in the terms of the operating system what hyper says in its own.
fn cause(error: hyper::Error) -> io::Error {
    let mut inner: Option<&(dyn std::error::Error + 'static)> = Some(&error);
    while let Some(candidate) = inner {
        if let Some(found) = candidate.downcast_ref::<io::Error>() {
            return io::Error::new(found.kind(), found.to_string());
        }
        inner = candidate.source();
    }
    if error.is_incomplete_message() || error.is_closed() || error.is_canceled() {
        return io::Error::new(io::ErrorKind::UnexpectedEof, "the connection was closed");
    }
    let kind = if error.is_parse() { io::ErrorKind::InvalidData } else { io::ErrorKind::Other };
    io::Error::new(kind, error)
}
