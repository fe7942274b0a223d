//! Commands in an instance, over one websocket a stream.
//!
//! Source: the documentation of `POST /1.0/instances/<name>/exec` of both servers. A message is a piece of the stream,
//! an empty text message its end. The command starts when all sockets are connected, and is killed when the control
//! socket breaks.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::{SinkExt, StreamExt, stream};
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream};
use tokio_tungstenite::tungstenite::{self, Message};
use tokio_util::io::{ReaderStream, StreamReader};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::model::{Config, Operation};
use super::{Client, Error, request};
use crate::http::Socket;

/// Bytes of input on their way at most.
const PIECE: usize = 64 << 10;

/// A command that runs in an instance. It is killed when `stdout`, `stderr` and `end` have all been dropped before
/// its end.
pub struct Exec {
    /// What it reads; its end is told when this is shut down or dropped.
    pub stdin: Box<dyn AsyncWrite + Send + Unpin>,
    /// What it writes to standard output.
    pub stdout: Box<dyn AsyncRead + Send + Unpin>,
    /// What it writes to standard error.
    pub stderr: Box<dyn AsyncRead + Send + Unpin>,
    /// Its exit status: 127 if there is no such program, 128 + signal number if a signal ended it.
    pub end: BoxFuture<'static, Result<i32, Error>>,
}

impl Client {
    /// Starts a command in a running instance.
    ///
    /// # Errors
    ///
    /// [`Error::Refused`] if the instance is not there or does not run.
    pub async fn exec(&self, instance: &str, words: &[String], environment: &Config) -> Result<Exec, Error> {
        let request = request::exec(instance, words, environment);
        let line = super::line(&request);
        let operation: Operation = self.call(request).await?;
        let fds = operation.metadata.get("fds").and_then(Value::as_object);
        let open = async |name: &str| -> Result<Socket, Error> {
            let secret = fds.and_then(|fds| fds.get(name)?.as_str());
            let secret = secret.ok_or_else(|| self.malformed(&line, format!("no secret for stream `{name}`")))?;
            Ok(self.http.websocket(&request::socket(&operation.id, secret)).await?)
        };
        // `control` first: the command starts with the last of the others, and must not run out of our control.
        let control = open("control").await?;
        let (stdin, stdout, stderr) = tokio::try_join!(open("0"), open("1"), open("2"))?;

        let ended = CancellationToken::new();
        let guard = Arc::new(ended.clone().drop_guard());
        let (ours, theirs) = tokio::io::duplex(PIECE);
        tokio::spawn(ended.clone().run_until_cancelled_owned(feed(stdin, theirs)));
        tokio::spawn(ended.clone().run_until_cancelled_owned(hold(control)));
        // Asked for at once, because the server forgets an operation five seconds after its end.
        let (client, what) = (self.clone(), format!("command in instance `{instance}`"));
        let status = async move { client.status(&operation.id, &what).await };
        let status = tokio::spawn(ended.run_until_cancelled_owned(status));
        let end = {
            let (guard, what) = (guard.clone(), format!("command in instance `{instance}`"));
            async move {
                let _guard = guard;
                let abandoned = || Error::Failed { what, reason: "it was abandoned".to_owned() };
                status.await.ok().flatten().unwrap_or_else(|| Err(abandoned()))
            }
        };
        Ok(Exec {
            stdin: Box::new(ours),
            stdout: Box::new(output(stdout, guard.clone())),
            stderr: Box::new(output(stderr, guard)),
            end: Box::pin(end),
        })
    }

    async fn status(&self, operation: &str, what: &str) -> Result<i32, Error> {
        let ended = self.ended(operation).await?;
        // The servers also call an operation failed whose program was not found.
        let status = ended.metadata.get("return").and_then(Value::as_i64).and_then(|status| i32::try_from(status).ok());
        match status {
            Some(status) if status >= 0 => Ok(status),
            _ => Err(Error::Failed { what: what.to_owned(), reason: super::operation::reason(&ended) }),
        }
    }
}

/// Sends what comes from `input` until it ends, and answers the server's pings to the end.
async fn feed(socket: Socket, input: DuplexStream) {
    let (mut sink, mut source) = socket.split();
    let send = async {
        let mut pieces = ReaderStream::with_capacity(input, PIECE);
        while let Some(Ok(piece)) = pieces.next().await {
            sink.send(Message::Binary(piece)).await?;
        }
        sink.send(Message::text("")).await
    };
    let answer = async { while let Some(Ok(_)) = source.next().await {} };
    tokio::select! {
        () = answer => (),
        Err(_) = send => (),
    }
}

/// Keeps the control socket open until the server closes it.
async fn hold(mut socket: Socket) {
    while let Some(Ok(_)) = socket.next().await {}
}

/// What a command writes, read from its websocket.
fn output(socket: Socket, guard: Arc<DropGuard>) -> impl AsyncRead + Send + Unpin {
    let pieces = stream::try_unfold((socket, guard), |(mut socket, guard)| async move {
        loop {
            match socket.next().await {
                Some(Ok(Message::Binary(piece))) if !piece.is_empty() => return Ok(Some((piece, (socket, guard)))),
                Some(Ok(Message::Text(_) | Message::Close(_))) => return Ok(None),
                Some(Ok(_)) => {}
                Some(Err(error)) => return Err(broken(error)),
                None => return Err(io::Error::from(io::ErrorKind::UnexpectedEof)),
            }
        }
    });
    StreamReader::<_, Bytes>::new(Box::pin(pieces))
}

/// Says in the terms of the operating system what happened to a websocket.
pub(super) fn broken(error: tungstenite::Error) -> io::Error {
    use tungstenite::error::ProtocolError::ResetWithoutClosingHandshake;
    match error {
        tungstenite::Error::Io(error) => error,
        tungstenite::Error::ConnectionClosed
        | tungstenite::Error::AlreadyClosed
        | tungstenite::Error::Protocol(ResetWithoutClosingHandshake) => {
            io::Error::new(io::ErrorKind::UnexpectedEof, "the connection was closed")
        }
        other => io::Error::new(io::ErrorKind::InvalidData, other),
    }
}
