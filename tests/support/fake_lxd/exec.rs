//! Operations, and the commands that are the only ones to take a while.

use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::{SinkExt, StreamExt};
use ryo::http::{Socket, Stream};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::sync::watch;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::{Message, protocol::Role};

use super::FakeLxd;
use super::answer::{Answer, TIME};
use crate::support::exchange::{Asked, decoded};

/// A command to be run by the test.
pub struct Exec {
    pub instance: String,
    pub words: Vec<String>,
    pub environment: BTreeMap<String, String>,
    pub stdin: DuplexStream,
    pub stdout: DuplexStream,
    pub stderr: DuplexStream,
}

impl Exec {
    /// Answers with fixed texts, without reading the input.
    pub async fn prints(mut self, status: i32, stdout: &str, stderr: &str) -> i32 {
        let _ = self.stdout.write_all(stdout.as_bytes()).await;
        let _ = self.stderr.write_all(stderr.as_bytes()).await;
        status
    }
}

/// Runs commands; what it returns is the exit status.
pub type Handler = Arc<dyn Fn(Exec) -> BoxFuture<'static, i32> + Send + Sync>;

/// All operations so far.
#[derive(Default)]
pub(super) struct Operations {
    count: AtomicU64,
    all: Mutex<BTreeMap<String, Operation>>,
}

struct Operation {
    what: &'static str,
    metadata: Value,
    /// `None` while it runs.
    end: watch::Sender<Option<End>>,
    waiting: Option<Waiting>,
}

/// How an operation ended.
#[derive(Clone)]
pub(super) struct End {
    /// What it adds to its metadata.
    metadata: Value,
    /// Empty if it ended well.
    error: String,
}

/// A command whose websockets are not all there yet.
struct Waiting {
    instance: String,
    words: Vec<String>,
    environment: BTreeMap<String, String>,
    sockets: BTreeMap<String, Socket>,
}

impl Operations {
    fn all(&self) -> MutexGuard<'_, BTreeMap<String, Operation>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, operation: Operation) -> String {
        let number = self.count.fetch_add(1, Ordering::Relaxed);
        let id = format!("00000000-0000-4000-8000-{number:012}");
        self.all().insert(id.clone(), operation);
        id
    }

    /// Notes an operation that has ended, and describes how it was when it began.
    pub(super) fn ended(&self, what: &'static str, result: Result<Value, String>) -> Value {
        let (metadata, error) = result.map_or_else(|error| (Value::Null, error), |metadata| (metadata, String::new()));
        let end = watch::Sender::new(Some(End { metadata, error }));
        let id = self.add(Operation { what, metadata: Value::Null, end, waiting: None });
        described(&id, what, &Value::Null, None)
    }

    pub(super) fn describe(&self, id: &str) -> Value {
        let all = self.all();
        let operation = &all[id];
        described(id, operation.what, &operation.metadata, None)
    }

    pub(super) async fn wait(&self, id: &str, seconds: Option<&str>) -> Answer {
        let Some((what, metadata, mut end)) =
            self.all().get(id).map(|operation| (operation.what, operation.metadata.clone(), operation.end.subscribe()))
        else {
            return Answer::missing("Operation not found");
        };
        let limit = Duration::from_secs(seconds.and_then(|text| text.parse().ok()).unwrap_or(3600));
        let ended = tokio::time::timeout(limit, end.wait_for(Option::is_some)).await;
        let result = ended.ok().and_then(|end| end.ok().and_then(|end| end.clone()));
        Answer::Sync(described(id, what, &metadata, result.as_ref()))
    }
}

pub(super) fn described(id: &str, what: &str, metadata: &Value, end: Option<&End>) -> Value {
    let (status, code, error) = match end {
        None => ("Running", 103, ""),
        Some(End { error, .. }) if error.is_empty() => ("Success", 200, ""),
        Some(End { error, .. }) => ("Failure", 400, error.as_str()),
    };
    let mut merged = metadata.clone();
    if let Some(End { metadata: Value::Object(more), .. }) = end {
        let mut both = merged.as_object().cloned().unwrap_or_default();
        both.extend(more.clone());
        merged = Value::Object(both);
    }
    json!({
        "id": id, "class": if metadata.get("fds").is_some() { "websocket" } else { "task" }, "description": what,
        "created_at": TIME, "updated_at": TIME, "status": status, "status_code": code, "resources": {},
        "metadata": merged, "may_cancel": false, "err": error, "location": "none",
    })
}

impl FakeLxd {
    pub(super) fn prepare_exec(&self, name: &str, asked: &Asked) -> Answer {
        match self.store().instances.get(name) {
            None => return Answer::missing("Instance not found"),
            Some(instance) if !instance.running => return Answer::bad("Instance is not running"),
            Some(_) => {}
        }
        let body = asked.json();
        let fds: BTreeMap<_, _> = ["0", "1", "2", "control"].map(|fd| (fd, format!("secret-{fd}"))).into();
        let metadata = json!({
            "command": body["command"], "environment": body["environment"], "fds": fds,
            "interactive": body["interactive"],
        });
        let waiting = Waiting {
            instance: name.to_owned(),
            words: serde_json::from_value(body["command"].clone()).unwrap_or_default(),
            environment: serde_json::from_value(body["environment"].clone()).unwrap_or_default(),
            sockets: BTreeMap::new(),
        };
        let end = watch::Sender::new(None);
        let operation = Operation { what: "Executing command", metadata, end, waiting: Some(waiting) };
        Answer::Started(self.operations.add(operation))
    }

    /// Connects a websocket: events, which never come, or a stream of a command.
    pub(super) async fn connect(&self, path: &str) -> io::Result<Socket> {
        let (ours, theirs) = duplex(64 << 10);
        let socket = |stream: DuplexStream, role| {
            WebSocketStream::from_raw_socket(Box::new(stream) as Box<dyn Stream>, role, None)
        };
        let (client, mut server) = (socket(ours, Role::Client).await, socket(theirs, Role::Server).await);
        if path.starts_with("/1.0/events") {
            tokio::spawn(async move { while let Some(Ok(_)) = server.next().await {} });
            return Ok(client);
        }
        let refused = || io::Error::other(format!("the fake has no websocket {path}"));
        let (id, secret) = path
            .strip_prefix("/1.0/operations/")
            .and_then(|rest| rest.split_once("/websocket?secret="))
            .ok_or_else(refused)?;
        let mut all = self.operations.all();
        let operation = all.get_mut(id).ok_or_else(refused)?;
        let waiting = operation.waiting.as_mut().ok_or_else(refused)?;
        let secret = decoded(secret);
        waiting.sockets.insert(secret.strip_prefix("secret-").ok_or_else(refused)?.to_owned(), server);
        if waiting.sockets.len() == 4
            && let Some(complete) = operation.waiting.take()
        {
            let handler = self.handler.lock().unwrap_or_else(PoisonError::into_inner).clone();
            tokio::spawn(run(complete, handler, operation.end.clone()));
        }
        Ok(client)
    }
}

/// Runs a command until it ends or its control socket breaks.
async fn run(waiting: Waiting, handler: Handler, end: watch::Sender<Option<End>>) {
    let Waiting { instance, words, environment, mut sockets } = waiting;
    let mut take = |name: &str| sockets.remove(name).unwrap_or_else(|| panic!("no socket {name}"));
    let (input, output, errors, mut control) = (take("0"), take("1"), take("2"), take("control"));
    let ((stdin, write), (stdout, read_out), (stderr, read_err)) = (duplex(PIPE), duplex(PIPE), duplex(PIPE));
    let exec = Exec { instance, words, environment, stdin, stdout, stderr };
    let feed = tokio::spawn(feed(input, write));
    let streams = async { tokio::join!(handler(exec), drain(read_out, output), drain(read_err, errors)).0 };
    let broken = async { while let Some(Ok(_)) = control.next().await {} };
    let status = tokio::select! {
        status = streams => status,
        () = broken => 137,
    };
    feed.abort();
    // A program that is not there is a failed operation, and has a status all the same.
    let error = if status == 127 { "Command not found".to_owned() } else { String::new() };
    end.send_replace(Some(End { metadata: json!({ "return": status }), error }));
    let _ = control.close(None).await;
}

/// Bytes that a pipe holds, as on Linux.
const PIPE: usize = 64 << 10;

async fn feed(mut socket: Socket, mut pipe: DuplexStream) {
    while let Some(Ok(message)) = socket.next().await {
        match message {
            Message::Binary(bytes) if pipe.write_all(&bytes).await.is_err() => return,
            Message::Text(_) | Message::Close(_) => break,
            _ => {}
        }
    }
    drop(pipe);
    while let Some(Ok(_)) = socket.next().await {}
}

async fn drain(mut pipe: DuplexStream, mut socket: Socket) {
    let mut piece = vec![0; 32 << 10];
    while let Ok(count @ 1..) = pipe.read(&mut piece).await {
        if socket.send(Message::binary(piece[..count].to_vec())).await.is_err() {
            return;
        }
    }
    let _ = socket.send(Message::text("")).await;
    let _ = socket.close(None).await;
}
