//! A TCP connection through the tunnel.

use std::fmt;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use smoltcp::iface::SocketHandle;
use smoltcp::socket::tcp::{RecvError, State};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::wireguard::stack::Stack;
use crate::wireguard::tunnel::Lease;

/// A TCP connection through a tunnel, which lives as long as its streams.
///
/// Dropped, it still sends what was written (for at most 30 seconds, or 2 when it was the last that held the tunnel).
/// A peer that is silent ends no stream: whoever reads decides how long they wait.
pub struct Stream {
    lease: Arc<Lease>,
    socket: SocketHandle,
}

/// How a connection came about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Beginning {
    /// It stands.
    Open,
    /// The other end does not want it.
    Refused,
    /// There is no tunnel any more.
    Ended(String),
}

impl Stream {
    pub(super) fn new(lease: Arc<Lease>, socket: SocketHandle) -> Self {
        lease.shared().work.notify_one();
        Self { lease, socket }
    }

    /// Waits until the connection stands, or does not.
    pub(super) async fn begun(&self) -> Beginning {
        poll_fn(|context| {
            let mut stack = self.lease.shared().stack();
            let ended = stack.ended().map(|reason| Beginning::Ended(reason.to_owned()));
            let socket = stack.socket(self.socket);
            match socket.state() {
                State::Closed => Poll::Ready(ended.unwrap_or(Beginning::Refused)),
                State::SynSent | State::SynReceived | State::Listen => {
                    socket.register_send_waker(context.waker());
                    Poll::Pending
                }
                _ => Poll::Ready(Beginning::Open),
            }
        })
        .await
    }

    fn with<T>(&self, act: impl FnOnce(&mut Stack) -> Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        let shared = self.lease.shared();
        let result = ready!(act(&mut shared.stack()));
        shared.work.notify_one();
        Poll::Ready(result)
    }
}

fn broken(stack: &Stack) -> io::Error {
    match stack.ended() {
        Some(reason) => io::Error::new(io::ErrorKind::BrokenPipe, reason.to_owned()),
        None => io::ErrorKind::ConnectionReset.into(),
    }
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if buffer.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        self.with(|stack| {
            let socket = stack.socket(self.socket);
            let taken = socket.recv(|bytes| {
                let count = bytes.len().min(buffer.remaining());
                buffer.put_slice(&bytes[..count]);
                (count, count)
            });
            match taken {
                Ok(0) => {
                    socket.register_recv_waker(context.waker());
                    Poll::Pending
                }
                Ok(_) | Err(RecvError::Finished) => Poll::Ready(Ok(())),
                Err(RecvError::InvalidState) => Poll::Ready(Err(broken(stack))),
            }
        })
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.with(|stack| {
            let socket = stack.socket(self.socket);
            match socket.send_slice(bytes) {
                Ok(0) if !bytes.is_empty() => {
                    socket.register_send_waker(context.waker());
                    Poll::Pending
                }
                Ok(count) => Poll::Ready(Ok(count)),
                Err(_) if socket.state() == State::Closed => Poll::Ready(Err(broken(stack))),
                Err(_) => Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
            }
        })
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    /// Says that no more will be written. Reading goes on.
    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.with(|stack| {
            stack.socket(self.socket).close();
            Poll::Ready(Ok(()))
        })
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        let shared = self.lease.shared();
        shared.stack().leave(self.socket);
        shared.work.notify_one();
    }
}

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Stream({:?})", self.socket)
    }
}
