//! A wire that breaks once, where the test says.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::future::{BoxFuture, join_all};
use futures_util::{SinkExt, StreamExt};
use ryo::http::{Http, HttpError, Method, Request, Response, Socket, Stream};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, duplex};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::Role;

use super::exchange::response;

/// How many stages are played on side by side: most of their time is spent waiting.
const AT_ONCE: usize = 8;

/// Has `broken` break every exchange, one at a time, by its number, until it says that there is none of that number.
/// Returns how many there were.
pub async fn every_exchange<B: Future<Output = bool>>(broken: impl Fn(usize) -> B) -> usize {
    let mut at = 0;
    loop {
        let there = join_all((at..at + AT_ONCE).map(&broken)).await.into_iter().filter(|there| *there).count();
        at += there;
        if there < AT_ONCE {
            return at;
        }
    }
}

/// A way in which an exchange breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Nothing arrives.
    BeforeSend,
    /// It is done, and the answer is lost.
    AfterSend,
    /// It is done, and the answer breaks off in the middle; a websocket breaks after its first message.
    HalfAnswer,
    /// The server does not do it: a background operation fails, anything else is answered with 500.
    JobFails,
}

/// All of them.
pub const FAULTS: [Fault; 4] = [Fault::BeforeSend, Fault::AfterSend, Fault::HalfAnswer, Fault::JobFails];

/// The operation that [`Fault::JobFails`] makes up.
const MADE_UP: &str = "ffffffff-ffff-4fff-8fff-ffffffffffff";

/// Passes everything on but exchange number `at` (from 0, websockets included), which breaks by `fault`.
pub struct Faulty {
    inner: Arc<dyn Http>,
    fault: Fault,
    at: usize,
    count: AtomicUsize,
}

impl Faulty {
    pub fn new(inner: Arc<dyn Http>, fault: Fault, at: usize) -> Self {
        Self { inner, fault, at, count: AtomicUsize::new(0) }
    }

    /// Whether there was an exchange with that number.
    pub fn happened(&self) -> bool {
        self.count.load(Ordering::SeqCst) > self.at
    }

    fn is_now(&self) -> bool {
        self.count.fetch_add(1, Ordering::SeqCst) == self.at
    }

    fn unreachable(&self) -> HttpError {
        HttpError::Unreachable { host: self.name().to_owned(), source: io::ErrorKind::ConnectionRefused.into() }
    }

    fn cut(&self, request: String) -> HttpError {
        HttpError::Cut { host: self.name().to_owned(), request, source: io::ErrorKind::UnexpectedEof.into() }
    }

    async fn broken(&self, request: Request) -> Result<Response, HttpError> {
        let line = format!("{} {}", request.method, request.path);
        match self.fault {
            Fault::BeforeSend => Err(self.unreachable()),
            Fault::AfterSend => {
                self.inner.send(request).await?;
                Err(self.cut(line))
            }
            Fault::HalfAnswer => half(self.inner.send(request).await?).await,
            Fault::JobFails if starts_job(&request) => Ok(made_up()),
            Fault::JobFails => Ok(refusal()),
        }
    }
}

impl Http for Faulty {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn send(&self, request: Request) -> BoxFuture<'_, Result<Response, HttpError>> {
        Box::pin(async move {
            if request.path.starts_with(&format!("/1.0/operations/{MADE_UP}/wait")) {
                self.count.fetch_add(1, Ordering::SeqCst);
                return Ok(failed());
            }
            if self.is_now() { self.broken(request).await } else { self.inner.send(request).await }
        })
    }

    fn websocket<'a>(&'a self, path: &'a str) -> BoxFuture<'a, Result<Socket, HttpError>> {
        Box::pin(async move {
            if !self.is_now() {
                return self.inner.websocket(path).await;
            }
            match self.fault {
                Fault::BeforeSend => Err(self.unreachable()),
                Fault::AfterSend | Fault::JobFails => {
                    self.inner.websocket(path).await?;
                    Err(self.cut(format!("GET {path}")))
                }
                Fault::HalfAnswer => Ok(short_lived(self.inner.websocket(path).await?).await),
            }
        })
    }
}

/// Whether LXD or Incus answers `request` with a background operation.
fn starts_job(request: &Request) -> bool {
    let path = request.path.split('?').next().unwrap_or_default();
    let segments: Vec<_> = path.split('/').skip(2).collect();
    match segments.as_slice() {
        ["instances" | "images"] => request.method == Method::POST,
        ["instances", _] => request.method != Method::GET,
        ["instances", _, "state"] => request.method == Method::PUT,
        ["images", _] => request.method == Method::DELETE,
        _ => false,
    }
}

/// Cuts the body of an answer in half.
async fn half(answer: Response) -> Result<Response, HttpError> {
    let Response { status, headers, mut body } = answer;
    let mut whole = vec![];
    // The answers of fakes cannot break.
    let _ = body.read_to_end(&mut whole).await;
    let first = io::Cursor::new(whole[..whole.len() / 2].to_vec());
    Ok(Response { status, headers, body: Box::new(first.chain(Broken)) })
}

/// A stream that is broken.
struct Broken;

impl tokio::io::AsyncRead for Broken {
    fn poll_read(
        self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
        _: &mut tokio::io::ReadBuf<'_>,
    ) -> std::task::Poll<io::Result<()>> {
        std::task::Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()))
    }
}

/// Passes on one message, in whichever direction, and then breaks both ends.
async fn short_lived(inner: Socket) -> Socket {
    let (ours, theirs) = duplex(64 << 10);
    let client = WebSocketStream::from_raw_socket(Box::new(ours) as Box<dyn Stream>, Role::Client, None).await;
    tokio::spawn(async move {
        let mut server = WebSocketStream::from_raw_socket(theirs, Role::Server, None).await;
        let mut inner = inner;
        tokio::select! {
            Some(Ok(message)) = inner.next() => drop(server.send(message).await),
            Some(Ok(message)) = server.next() => drop(inner.send(message).await),
            else => (),
        }
    });
    client
}

fn framed(status: u16, body: &Value) -> Response {
    let kind = ("content-type".to_owned(), "application/json".to_owned());
    response(status, vec![kind], body.to_string().into_bytes())
}

fn refusal() -> Response {
    let body = json!({
        "type": "error", "status": "", "status_code": 0, "operation": "", "error_code": 500,
        "error": "the test wants it to fail", "metadata": null,
    });
    framed(500, &body)
}

fn operation(status: &str, code: u16, error: &str) -> Value {
    json!({
        "id": MADE_UP, "class": "task", "description": "Failing", "created_at": "2026-01-01T00:00:00Z",
        "updated_at": "2026-01-01T00:00:00Z", "status": status, "status_code": code, "resources": {},
        "metadata": null, "may_cancel": false, "err": error, "location": "none",
    })
}

fn made_up() -> Response {
    let body = json!({
        "type": "async", "status": "Operation created", "status_code": 100,
        "operation": format!("/1.0/operations/{MADE_UP}"), "error_code": 0, "error": "",
        "metadata": operation("Running", 103, ""),
    });
    framed(202, &body)
}

fn failed() -> Response {
    let body = json!({
        "type": "sync", "status": "Success", "status_code": 200, "operation": "", "error_code": 0, "error": "",
        "metadata": operation("Failure", 400, "the test wants it to fail"),
    });
    framed(200, &body)
}
