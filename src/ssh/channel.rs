//! One channel of a connection, as streams.
//!
//! A task of its own moves the bytes, so that nobody who holds one end can stop the others.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, Bytes, BytesMut};
use russh::client::Msg;
use russh::{Channel, ChannelMsg, ChannelReadHalf, ChannelWriteHalf, Sig};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, DuplexStream, ReadBuf};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};

use crate::ssh::host_key::Ended;

/// Bytes of one output that are kept for a reader who is elsewhere.
const KEPT: usize = 16 << 20;
/// Bytes on their way from the writer to the channel.
const ON_THE_WAY: usize = 256 << 10;
/// The code of standard error in a channel (RFC 4254 §5.2).
const STDERR: u32 = 1;

/// A channel's ends.
pub(super) struct Streams {
    /// What the other side reads. Shutting it down or dropping it says that there is no more.
    pub(super) input: DuplexStream,
    /// What it writes.
    pub(super) output: Output,
    /// What it writes to standard error.
    pub(super) errors: Output,
    /// Its exit status (128 and the signal's number if one ended it), or why there is none.
    pub(super) status: oneshot::Receiver<Result<i32, String>>,
}

/// The size of a person's terminal, in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// Width.
    pub columns: u32,
    /// Height.
    pub rows: u32,
}

/// Moves the bytes of `channel` until it is closed, or until nobody holds `output`, `errors` and `status` any more.
///
/// `sizes` tells how large the terminal has become; `permit` is given back when the channel is closed; `ended` says how the connection ended, once it has.
pub(super) fn start(
    channel: Channel<Msg>,
    permit: Option<OwnedSemaphorePermit>,
    sizes: Option<mpsc::UnboundedReceiver<Size>>,
    ended: Arc<OnceLock<Ended>>,
) -> Streams {
    let (reader, writer) = channel.split();
    let (input, fed) = tokio::io::duplex(ON_THE_WAY);
    let (output, to_output) = pipe();
    let (errors, to_errors) = pipe();
    let (to_status, status) = oneshot::channel();
    let ends = Ends { output: to_output, errors: to_errors, status: Some(to_status), ended };
    tokio::spawn(async move {
        tokio::select! {
            () = ends.fill(reader) => {}
            () = feed(fed, &writer) => {}
            () = resize(sizes, &writer) => {}
        }
        let _ = writer.close().await;
        drop(permit);
    });
    Streams { input, output, errors, status }
}

/// Sends what comes from `fed`, then the end of it. Does not return: what ends a channel is its other side.
async fn feed(mut fed: DuplexStream, writer: &ChannelWriteHalf<Msg>) {
    let mut buffer = BytesMut::new();
    loop {
        buffer.reserve(64 << 10);
        match fed.read_buf(&mut buffer).await {
            Ok(0) | Err(_) => break,
            Ok(_) if writer.data_bytes(buffer.split().freeze()).await.is_err() => break,
            Ok(_) => {}
        }
    }
    let _ = writer.eof().await;
    std::future::pending::<()>().await;
}

/// Tells the other side how large the terminal has become. Does not return, like [`feed`].
async fn resize(sizes: Option<mpsc::UnboundedReceiver<Size>>, writer: &ChannelWriteHalf<Msg>) {
    if let Some(mut sizes) = sizes {
        while let Some(Size { columns, rows }) = sizes.recv().await {
            let _ = writer.window_change(columns, rows, 0, 0).await;
        }
    }
    std::future::pending::<()>().await;
}

struct Ends {
    output: Filler,
    errors: Filler,
    status: Option<oneshot::Sender<Result<i32, String>>>,
    ended: Arc<OnceLock<Ended>>,
}

impl Ends {
    async fn fill(mut self, mut reader: ChannelReadHalf) {
        loop {
            let message = tokio::select! {
                message = reader.wait() => message,
                () = self.nobody_listens() => return,
            };
            match message {
                Some(ChannelMsg::Data { data }) => self.output.put(data).await,
                Some(ChannelMsg::ExtendedData { data, ext: STDERR }) => self.errors.put(data).await,
                Some(ChannelMsg::ExitStatus { exit_status }) => {
                    self.tell(Ok(i32::try_from(exit_status).unwrap_or(i32::MAX)));
                }
                Some(ChannelMsg::ExitSignal { signal_name, .. }) => self.tell(Ok(128 + number(&signal_name))),
                Some(ChannelMsg::Failure) => {
                    return self.fail(io::ErrorKind::PermissionDenied, "the server refuses to run a command");
                }
                Some(ChannelMsg::Eof) => {
                    self.output.end();
                    self.errors.end();
                }
                Some(ChannelMsg::Close) => {
                    self.output.end();
                    self.errors.end();
                    self.tell(Err("the server ended the command without an exit status".to_owned()));
                    return;
                }
                Some(_) => {}
                None => {
                    let reason = match self.ended.get() {
                        Some(Ended::Said(reason) | Ended::Broke(reason)) => reason.clone(),
                        None => "the server closed the connection".to_owned(),
                    };
                    return self.fail(io::ErrorKind::ConnectionReset, &reason);
                }
            }
        }
    }

    fn tell(&mut self, status: Result<i32, String>) {
        if let Some(to) = self.status.take() {
            let _ = to.send(status);
        }
    }

    /// Says that the bytes so far are not all.
    fn fail(&mut self, kind: io::ErrorKind, reason: &str) {
        self.output.fail(io::Error::new(kind, reason.to_owned()));
        self.errors.fail(io::Error::new(kind, reason.to_owned()));
        self.tell(Err(reason.to_owned()));
    }

    async fn nobody_listens(&mut self) {
        self.output.left().await;
        self.errors.left().await;
        if let Some(status) = &mut self.status {
            status.closed().await;
        }
    }
}

/// Returns the two ends of a pipe that holds [`KEPT`] bytes.
fn pipe() -> (Output, Filler) {
    let (sender, receiver) = mpsc::unbounded_channel();
    let room = Arc::new(Semaphore::new(KEPT));
    (Output { receiver, room: room.clone(), current: Bytes::new() }, Filler { sender: Some(sender), room })
}

/// The writing end of a pipe.
struct Filler {
    sender: Option<mpsc::UnboundedSender<io::Result<Bytes>>>,
    room: Arc<Semaphore>,
}

impl Filler {
    /// Waits for room; what nobody will read is dropped.
    async fn put(&mut self, data: Bytes) {
        let Some(sender) = &self.sender else { return };
        let bytes = u32::try_from(data.len().min(KEPT)).unwrap_or(u32::MAX);
        if let Ok(room) = self.room.acquire_many(bytes).await {
            room.forget();
            let _ = sender.send(Ok(data));
        }
    }

    fn fail(&mut self, error: io::Error) {
        if let Some(sender) = self.sender.take() {
            let _ = sender.send(Err(error));
        }
    }

    fn end(&mut self) {
        self.sender = None;
    }

    /// Ends when there is no reader, at once if there is nothing more to read.
    async fn left(&self) {
        if let Some(sender) = &self.sender {
            sender.closed().await;
        }
    }
}

/// The reading end of a pipe: an end of file is the true end, an error says that bytes are missing.
pub(super) struct Output {
    receiver: mpsc::UnboundedReceiver<io::Result<Bytes>>,
    room: Arc<Semaphore>,
    current: Bytes,
}

impl AsyncRead for Output {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        while self.current.is_empty() {
            match ready!(self.receiver.poll_recv(cx)) {
                Some(next) => self.current = next?,
                None => return Poll::Ready(Ok(())),
            }
        }
        let count = self.current.len().min(buffer.remaining());
        buffer.put_slice(&self.current[..count]);
        self.current.advance(count);
        self.room.add_permits(count);
        Poll::Ready(Ok(()))
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        // Wakes a filler that waits for room.
        self.room.close();
    }
}

/// A channel that is one stream: a socket of the host. Dropping it closes the socket.
pub(super) struct Tunnel(pub(super) Streams);

impl AsyncRead for Tunnel {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0.output).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Tunnel {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0.input).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0.input).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0.input).poll_shutdown(cx)
    }
}

/// Returns the number that Linux gives a signal; 0 for one that it does not know.
fn number(signal: &Sig) -> i32 {
    match signal {
        Sig::HUP => 1,
        Sig::INT => 2,
        Sig::QUIT => 3,
        Sig::ILL => 4,
        Sig::ABRT => 6,
        Sig::FPE => 8,
        Sig::KILL => 9,
        Sig::USR1 => 10,
        Sig::SEGV => 11,
        Sig::PIPE => 13,
        Sig::ALRM => 14,
        Sig::TERM => 15,
        Sig::Custom(name) => match name.as_str() {
            "TRAP" => 5,
            "BUS" => 7,
            "USR2" => 12,
            "XCPU" => 24,
            "XFSZ" => 25,
            "SYS" => 31,
            _ => 0,
        },
    }
}
