//! A stream whose broken writing side is not an error.

use std::io::{self, ErrorKind};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::http::Stream;

/// Drops what can no longer be written, so that what can still be read is not lost.
///
/// A server that has sent its last message may be gone before our answer to its ping; a websocket that fails at that
/// answer would lose the message. That the other side is gone is seen when reading.
pub(super) struct Quiet(pub(super) Box<dyn Stream>);

fn settled<T>(result: Poll<io::Result<T>>, instead: T) -> Poll<io::Result<T>> {
    match result {
        Poll::Ready(Err(error)) if is_gone(error.kind()) => Poll::Ready(Ok(instead)),
        other => other,
    }
}

fn is_gone(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::BrokenPipe | ErrorKind::ConnectionReset | ErrorKind::NotConnected)
}

impl AsyncRead for Quiet {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl AsyncWrite for Quiet {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        settled(Pin::new(&mut self.0).poll_write(cx, buf), buf.len())
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        settled(Pin::new(&mut self.0).poll_flush(cx), ())
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        settled(Pin::new(&mut self.0).poll_shutdown(cx), ())
    }
}
