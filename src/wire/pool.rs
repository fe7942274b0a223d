//! Connections kept between requests.

use std::sync::{Arc, Mutex, PoisonError};

use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;

use super::body::Outgoing;
use crate::http::Stream;

/// One connection, ready to send the next request.
pub(super) type Sender = http1::SendRequest<Outgoing>;

/// Most connections kept; more than that are closed when they fall idle.
const KEPT: usize = 4;

/// The connections that wait for their next request.
#[derive(Clone, Default)]
pub(super) struct Pool(Arc<Mutex<Vec<Sender>>>);

impl Pool {
    /// Takes out one connection that is still open.
    pub(super) async fn take(&self) -> Option<Sender> {
        loop {
            let mut sender = self.0.lock().unwrap_or_else(PoisonError::into_inner).pop()?;
            if sender.ready().await.is_ok() {
                return Some(sender);
            }
        }
    }

    /// Keeps a connection whose answer has been read to its end.
    pub(super) fn put(&self, sender: Sender) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() < KEPT && !sender.is_closed() {
            kept.push(sender);
        }
    }
}

/// Speaks HTTP on a stream. The connection lives until the sender and the last answer are dropped.
pub(super) async fn connect(stream: Box<dyn Stream>) -> Result<Sender, hyper::Error> {
    let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    // Its errors reach whoever waits for an answer.
    tokio::spawn(async move {
        let _ = connection.await;
    });
    Ok(sender)
}
