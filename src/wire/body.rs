//! Bodies in both directions, never held in memory as a whole.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use futures_util::TryStreamExt;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Empty, Full, StreamBody};
use hyper::body::{Body as _, Frame, Incoming};
use tokio::io::{AsyncRead, ReadBuf};
use tokio_util::io::ReaderStream;

use super::cause;
use super::pool::{Pool, Sender};
use crate::http::{Body, Response};

/// What hyper sends.
pub(super) type Outgoing = UnsyncBoxBody<Bytes, io::Error>;

/// Bytes read from a streamed body at a time.
const CHUNK: usize = 64 << 10;

/// Returns the content type and the length that a body implies.
pub(super) fn described(body: &Body) -> (Option<&'static str>, Option<u64>) {
    match body {
        Body::Empty => (None, None),
        Body::Json(_) => (Some("application/json"), None),
        Body::Bytes(bytes) => (Some("application/octet-stream"), Some(bytes.len() as u64)),
        Body::Stream(_, length) => (Some("application/octet-stream"), *length),
    }
}

/// Turns a body into what hyper sends.
pub(super) fn outgoing(body: Body) -> Outgoing {
    let whole = |bytes: Bytes| Full::new(bytes).map_err(|never| match never {}).boxed_unsync();
    match body {
        Body::Empty => Empty::new().map_err(|never| match never {}).boxed_unsync(),
        Body::Json(value) => whole(value.to_string().into()),
        Body::Bytes(bytes) => whole(bytes),
        Body::Stream(reader, _) => {
            StreamBody::new(ReaderStream::with_capacity(reader, CHUNK).map_ok(Frame::data)).boxed_unsync()
        }
    }
}

/// Turns hyper's answer into ours. The connection goes back to `pool` when the body has been read to its end.
pub(super) fn response(answer: hyper::Response<Incoming>, sender: Sender, pool: &Pool) -> Response {
    let (head, incoming) = answer.into_parts();
    let text = |value: &hyper::header::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    let headers = head.headers.iter().map(|(name, value)| (name.as_str().to_owned(), text(value))).collect();
    let reader = Reader { incoming, rest: Bytes::new(), back: Some((sender, pool.clone())) };
    Response { status: head.status.as_u16(), headers, body: Box::new(reader) }
}

/// The body of an answer as it comes.
struct Reader {
    incoming: Incoming,
    rest: Bytes,
    back: Option<(Sender, Pool)>,
}

impl AsyncRead for Reader {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        while this.rest.is_empty() {
            match ready!(Pin::new(&mut this.incoming).poll_frame(cx)) {
                Some(Ok(frame)) => this.rest = frame.into_data().unwrap_or_default(),
                Some(Err(error)) => {
                    this.back = None;
                    return Poll::Ready(Err(cause(error)));
                }
                None => {
                    if let Some((sender, pool)) = this.back.take() {
                        pool.put(sender);
                    }
                    return Poll::Ready(Ok(()));
                }
            }
        }
        let count = this.rest.len().min(buf.remaining());
        buf.put_slice(&this.rest[..count]);
        this.rest.advance(count);
        Poll::Ready(Ok(()))
    }
}
