//! HTTP and websockets over a stream, against a server that does as it is told.

use std::error::Error as _;
use std::io::ErrorKind;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use ryo::http::{Body, Http, HttpError, Method, Request, Stream};
use ryo::wire::{self, Wire};
use serde_json::json;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio_tungstenite::tungstenite::Message;

/// What the server does once it has read a request.
#[derive(Clone, Copy)]
enum Reply {
    /// Sends this.
    Bytes(&'static [u8]),
    /// Sends this, one byte at a time.
    Slowly(&'static [u8]),
    /// Sends this and hangs up.
    Last(&'static [u8]),
}

const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Tag: a\r\n\r\nhi";

/// A server on a unix socket; every connection is served the same replies.
struct Server {
    directory: TempDir,
    connections: Arc<AtomicUsize>,
    asked: tokio::sync::mpsc::UnboundedReceiver<String>,
}

impl Server {
    fn path(&self) -> PathBuf {
        self.directory.path().join("s")
    }

    fn wire(&self) -> Wire {
        Wire::new("the server", "lxd", wire::unix(self.path()))
    }

    fn start(replies: &'static [Reply]) -> Self {
        let directory = TempDir::new().unwrap();
        let listener = UnixListener::bind(directory.path().join("s")).unwrap();
        let connections = Arc::new(AtomicUsize::new(0));
        let count = connections.clone();
        let (tell, asked) = tokio::sync::mpsc::unbounded_channel();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                count.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(serve(stream, replies, tell.clone()));
            }
        });
        Self { directory, connections, asked }
    }
}

async fn serve(mut stream: UnixStream, replies: &[Reply], tell: tokio::sync::mpsc::UnboundedSender<String>) {
    for reply in replies {
        let Some(request) = read(&mut stream).await else { return };
        let _ = tell.send(request);
        match reply {
            Reply::Bytes(bytes) => stream.write_all(bytes).await.unwrap(),
            Reply::Slowly(bytes) => {
                for byte in *bytes {
                    stream.write_all(&[*byte]).await.unwrap();
                    tokio::task::yield_now().await;
                }
            }
            Reply::Last(bytes) => {
                stream.write_all(bytes).await.unwrap();
                return;
            }
        }
    }
    // Keeps the connection open.
    let _ = stream.read(&mut [0]).await;
}

/// Reads one request with its body.
async fn read(stream: &mut UnixStream) -> Option<String> {
    let mut text = String::new();
    let body = loop {
        let mut byte = [0];
        if stream.read(&mut byte).await.ok()? == 0 {
            return None;
        }
        text.push(char::from(byte[0]));
        if text.ends_with("\r\n\r\n") {
            break text.to_lowercase();
        }
    };
    if let Some((_, rest)) = body.split_once("content-length: ") {
        let mut bytes = vec![0; rest.split("\r\n").next()?.parse().ok()?];
        stream.read_exact(&mut bytes).await.ok()?;
        text.push_str(&String::from_utf8(bytes).ok()?);
    } else if body.contains("transfer-encoding: chunked") {
        while !text.ends_with("0\r\n\r\n") {
            text.push(char::from(stream.read_u8().await.ok()?));
        }
    }
    Some(text)
}

fn get(path: &str) -> Request {
    Request::new(Method::GET, path, Body::Empty)
}

async fn text(wire: &Wire, request: Request) -> String {
    let answer = wire.send(request).await.unwrap();
    String::from_utf8(answer.bytes(1000).await.unwrap()).unwrap()
}

/// The error with its causes, as a person reads it.
fn told(error: &HttpError) -> String {
    format!("{error}: {}", error.source().unwrap())
}

#[tokio::test]
async fn requests_that_follow_each_other_share_a_connection() {
    let mut server = Server::start(&[Reply::Bytes(OK), Reply::Slowly(OK), Reply::Bytes(OK)]);
    let wire = server.wire();
    for _ in 0..3 {
        let answer = wire.send(get("/1.0?a=b")).await.unwrap();
        assert_eq!((answer.status, answer.header("x-tag")), (200, Some("a")));
        assert_eq!(answer.bytes(2).await.unwrap(), b"hi");
    }
    assert_eq!(server.connections.load(Ordering::SeqCst), 1);
    assert_eq!(server.asked.recv().await.unwrap(), "GET /1.0?a=b HTTP/1.1\r\nhost: lxd\r\n\r\n");
}

#[tokio::test]
async fn requests_at_the_same_time_have_connections_of_their_own() {
    let server = Server::start(&[Reply::Bytes(OK)]);
    let wire = server.wire();
    let (one, two) = tokio::join!(text(&wire, get("/1")), text(&wire, get("/2")));
    assert_eq!((one.as_str(), two.as_str()), ("hi", "hi"));
    assert_eq!(server.connections.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn a_connection_that_the_server_closed_meanwhile_is_not_missed() {
    let server = Server::start(&[Reply::Last(OK)]);
    let wire = server.wire();
    for _ in 0..20 {
        assert_eq!(text(&wire, get("/")).await, "hi");
    }
    assert_eq!(server.connections.load(Ordering::SeqCst), 20);
}

#[tokio::test]
async fn an_answer_that_is_not_read_to_its_end_ends_its_connection() {
    let server = Server::start(&[Reply::Bytes(OK), Reply::Bytes(OK)]);
    let wire = server.wire();
    drop(wire.send(get("/")).await.unwrap());
    assert_eq!(text(&wire, get("/")).await, "hi");
    assert_eq!(server.connections.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn bodies_go_out_as_they_are_described() {
    let mut server = Server::start(&[Reply::Bytes(OK), Reply::Bytes(OK), Reply::Bytes(OK), Reply::Bytes(OK)]);
    let wire = server.wire();
    let stream = || Box::new(&b"streamed"[..]);
    let bodies = [
        Body::Json(json!({ "a": 1 })),
        Body::Bytes(Bytes::from_static(b"raw")),
        Body::Stream(stream(), Some(8)),
        Body::Stream(stream(), None),
    ];
    let mut seen = vec![];
    for body in bodies {
        let mut request = Request::new(Method::POST, "/x", body);
        request.headers.push(("X-One".to_owned(), "1".to_owned()));
        assert_eq!(text(&wire, request).await, "hi");
        seen.push(server.asked.recv().await.unwrap());
    }
    let head = |kind: &str, rest: &str| format!("POST /x HTTP/1.1\r\nhost: lxd\r\ncontent-type: {kind}\r\n{rest}");
    let expected = [
        head("application/json", "x-one: 1\r\ncontent-length: 7\r\n\r\n{\"a\":1}"),
        head("application/octet-stream", "content-length: 3\r\nx-one: 1\r\n\r\nraw"),
        head("application/octet-stream", "content-length: 8\r\nx-one: 1\r\n\r\nstreamed"),
        head("application/octet-stream", "x-one: 1\r\ntransfer-encoding: chunked\r\n\r\n8\r\nstreamed\r\n0\r\n\r\n"),
    ];
    assert_eq!(seen, expected);
}

#[tokio::test]
async fn a_content_type_of_the_request_goes_before_that_of_the_body() {
    let mut server = Server::start(&[Reply::Bytes(OK)]);
    let mut request = Request::new(Method::POST, "/", Body::Bytes(Bytes::new()));
    request.headers.push(("Content-Type".to_owned(), "text/plain".to_owned()));
    text(&server.wire(), request).await;
    let expected = "POST / HTTP/1.1\r\nhost: lxd\r\ncontent-length: 0\r\ncontent-type: text/plain\r\n\r\n";
    assert_eq!(server.asked.recv().await.unwrap(), expected);
}

#[tokio::test]
async fn an_answer_in_chunks_is_one_answer() {
    let chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nh\r\n4\r\nello\r\n0\r\n\r\n";
    let server = Server::start(Box::leak(Box::new([Reply::Slowly(chunked), Reply::Bytes(OK)])));
    let wire = server.wire();
    assert_eq!(text(&wire, get("/")).await, "hello");
    assert_eq!(text(&wire, get("/")).await, "hi");
    assert_eq!(server.connections.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_missing_socket_is_unreachable_and_says_so() {
    let wire = Wire::new("LXD at /nowhere", "lxd", wire::unix("/nowhere/unix.socket"));
    let error = wire.send(get("/")).await.err().unwrap();
    assert_eq!(told(&error), "cannot reach LXD at /nowhere: No such file or directory (os error 2)");
    let HttpError::Unreachable { source, .. } = error else { panic!() };
    assert_eq!(source.kind(), ErrorKind::NotFound);
    let error = wire.websocket("/1.0/events").await.err().unwrap();
    assert!(matches!(error, HttpError::Unreachable { .. }));
}

#[tokio::test]
async fn a_port_where_nobody_listens_is_unreachable() {
    let wire = Wire::new("Consul at 127.0.0.1:1", "x", wire::tcp("127.0.0.1:1"));
    let error = wire.send(get("/")).await.err().unwrap();
    assert_eq!(told(&error), "cannot reach Consul at 127.0.0.1:1: Connection refused (os error 111)");
}

#[tokio::test]
async fn a_connection_that_does_not_come_is_given_up() {
    let never: wire::Dial = Arc::new(|| Box::pin(std::future::pending()));
    let wire = Wire::new("the server", "lxd", never).within(Duration::from_millis(10));
    let error = wire.send(get("/")).await.err().unwrap();
    assert_eq!(told(&error), "cannot reach the server: no connection within 0.01 s");
}

#[tokio::test]
async fn what_went_out_and_was_not_answered_is_cut() {
    let server = Server::start(&[Reply::Last(b"")]);
    let wire = server.wire();
    let error = wire.send(Request::new(Method::POST, "/1.0/images", Body::Json(json!({})))).await.err().unwrap();
    let expected = "the server did not finish its answer to POST /1.0/images: the connection was closed";
    assert_eq!(told(&error), expected);
    assert!(matches!(error, HttpError::Cut { .. }));
}

#[tokio::test]
async fn half_a_head_is_cut() {
    let server = Server::start(&[Reply::Last(b"HTTP/1.1 200 O")]);
    let error = server.wire().send(get("/")).await.err().unwrap();
    assert_eq!(told(&error), "the server did not finish its answer to GET /: the connection was closed");
}

#[tokio::test]
async fn something_else_than_http_is_cut() {
    let server = Server::start(&[Reply::Last(b"SSH-2.0-OpenSSH_9.2\r\n")]);
    let HttpError::Cut { source, .. } = server.wire().send(get("/")).await.err().unwrap() else { panic!() };
    assert_eq!(source.kind(), ErrorKind::InvalidData);
}

#[tokio::test]
async fn half_a_body_is_an_error_and_never_an_end() {
    let halves: [&'static [u8]; 3] = [
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nhello",
    ];
    for half in halves {
        let server = Server::start(Box::leak(Box::new([Reply::Last(half)])));
        let answer = server.wire().send(get("/")).await.unwrap();
        let error = answer.bytes(1000).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::UnexpectedEof, "{error}");
    }
}

#[tokio::test]
async fn more_than_was_asked_for_is_an_error() {
    let server = Server::start(&[Reply::Bytes(OK)]);
    let answer = server.wire().send(get("/")).await.unwrap();
    assert_eq!(answer.bytes(1).await.unwrap_err().to_string(), "the answer is longer than 1 bytes");
}

#[tokio::test]
async fn a_body_that_breaks_here_is_cut() {
    let server = Server::start(&[Reply::Bytes(OK)]);
    let broken = broken_reader();
    let request = Request::new(Method::POST, "/", Body::Stream(broken, None));
    let error = server.wire().send(request).await.err().unwrap();
    assert_eq!(told(&error), "the server did not finish its answer to POST /: the disk is gone");
}

/// A stream that breaks at once.
fn broken_reader() -> Box<dyn tokio::io::AsyncRead + Send + Unpin> {
    let broken = futures_util::stream::iter([Err::<Bytes, _>(std::io::Error::other("the disk is gone"))]);
    Box::new(tokio_util::io::StreamReader::new(broken))
}

#[tokio::test]
async fn a_long_answer_waits_until_it_is_read() {
    let (ours, mut theirs) = tokio::io::duplex(16 << 10);
    let slot = Arc::new(std::sync::Mutex::new(Some(ours)));
    let dial: wire::Dial = Arc::new(move || {
        let stream = slot.lock().unwrap().take().unwrap();
        Box::pin(async move { Ok(Box::new(stream) as Box<dyn Stream>) })
    });
    let sent = Arc::new(AtomicUsize::new(0));
    let count = sent.clone();
    tokio::spawn(async move {
        let mut head = [0; 30];
        let _ = theirs.read(&mut head).await;
        theirs.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n").await.unwrap();
        while theirs.write_all(&[0; 1000]).await.is_ok() {
            count.fetch_add(1000, Ordering::SeqCst);
        }
    });
    let wire = Wire::new("the server", "lxd", dial);
    let mut answer = wire.send(get("/")).await.unwrap();
    answer.body.read_exact(&mut [0; 1000]).await.unwrap();
    for _ in 0..10_000 {
        tokio::task::yield_now().await;
    }
    assert!(sent.load(Ordering::SeqCst) < 2 << 20, "{} bytes are held in memory", sent.load(Ordering::SeqCst));
}

#[tokio::test]
async fn a_websocket_carries_messages_both_ways() {
    let directory = TempDir::new().unwrap();
    let listener = UnixListener::bind(directory.path().join("s")).unwrap();
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let mut socket = tokio_tungstenite::accept_async(stream).await.unwrap();
        let message = socket.next().await.unwrap().unwrap();
        socket.send(message).await.unwrap();
    });
    let wire = Wire::new("the server", "lxd", wire::unix(directory.path().join("s")));
    let mut socket = wire.websocket("/1.0/events?type=lifecycle").await.unwrap();
    socket.send(Message::text("hello")).await.unwrap();
    assert_eq!(socket.next().await.unwrap().unwrap(), Message::text("hello"));
}

#[tokio::test]
async fn what_a_server_said_before_it_left_is_not_lost() {
    let directory = TempDir::new().unwrap();
    let listener = UnixListener::bind(directory.path().join("s")).unwrap();
    let left = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let mut socket = tokio_tungstenite::accept_async(stream).await.unwrap();
        // The answer to the ping cannot be written any more when it is read.
        socket.send(Message::Ping(Bytes::new())).await.unwrap();
        socket.send(Message::text("last words")).await.unwrap();
    });
    let wire = Wire::new("the server", "lxd", wire::unix(directory.path().join("s")));
    let mut socket = wire.websocket("/").await.unwrap();
    left.await.unwrap();
    assert_eq!(socket.next().await.unwrap().unwrap(), Message::Ping(Bytes::new()));
    assert_eq!(socket.next().await.unwrap().unwrap(), Message::text("last words"));
    assert!(socket.next().await.is_none_or(|end| end.is_err()));
}

#[tokio::test]
async fn a_refused_websocket_is_cut_with_the_status() {
    let server = Server::start(&[Reply::Bytes(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")]);
    let error = server.wire().websocket("/x").await.err().unwrap();
    let expected = "the server did not finish its answer to GET /x: \
                    the server answered 404 instead of opening a websocket";
    assert_eq!(told(&error), expected);
}

#[tokio::test]
async fn an_impossible_request_is_not_sent() {
    let server = Server::start(&[Reply::Bytes(OK)]);
    let mut request = get("/");
    request.headers.push(("bad name".to_owned(), "x".to_owned()));
    assert!(matches!(server.wire().send(request).await, Err(HttpError::Unreachable { .. })));
    assert!(matches!(server.wire().send(get("/a b\n")).await, Err(HttpError::Unreachable { .. })));
    assert_eq!(server.connections.load(Ordering::SeqCst), 0);
}
