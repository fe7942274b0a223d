//! Background operations: started by one request, waited for by another.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value};
use tokio::time::{Instant, timeout};

use super::model::Operation;
use super::{Client, Error, events, late, line, optional, request};
use crate::http::Request;

/// Longest wait that one request asks the server for; a longer one is asked for again.
const ROUND: Duration = Duration::from_secs(30);

/// What the server may take beyond that to say that time is up.
const GRACE: Duration = Duration::from_secs(15);

/// How far an operation has got.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Progress {
    /// In the server's words, e.g. `rootfs: 45% (12.30MB/s)`.
    pub message: String,
    /// Share done in percent, if it says.
    pub percent: Option<u8>,
}

impl Progress {
    /// Reads the first `*_progress` text of an operation's metadata.
    pub fn of(metadata: &Map<String, Value>) -> Option<Self> {
        let (_, message) = metadata.iter().find(|(key, value)| key.ends_with("_progress") && value.is_string())?;
        let message = message.as_str()?.to_owned();
        let digits = message.split('%').next().filter(|head| head.len() < message.len());
        let percent = digits.and_then(|head| head.rsplit(|c: char| !c.is_ascii_digit()).next()?.parse().ok());
        Some(Self { message, percent: percent.filter(|percent| *percent <= 100) })
    }
}

/// Where progress goes.
pub(super) type Sink = Arc<dyn Fn(Progress) + Send + Sync>;

impl Client {
    /// Returns a client that tells `sink` how far long operations have got.
    #[must_use]
    pub fn with_progress(&self, sink: impl Fn(Progress) + Send + Sync + 'static) -> Self {
        Self { http: self.http.clone(), progress: Some(Arc::new(sink)) }
    }

    /// Lists the operations that change something at this moment, whoever started them; commands are none of them.
    ///
    /// # Errors
    ///
    /// The server cannot be reached, or refuses.
    pub async fn changing(&self) -> Result<Vec<Operation>, Error> {
        let by_status: BTreeMap<String, Vec<Operation>> =
            optional(self.call(request::operations()).await)?.unwrap_or_default();
        Ok(by_status.into_values().flatten().filter(|it| it.class == "task" && !it.has_ended()).collect())
    }

    /// Sends a request that starts a background operation and waits for the operation's end.
    ///
    /// `what` names it in errors; `limit` is for the operation, the answer to the request has its own.
    pub(super) async fn run(&self, request: Request, what: &str, limit: Duration) -> Result<Operation, Error> {
        let started: Operation = self.call(request).await?;
        self.finish(&started.id, what, limit).await
    }

    /// Like [`Self::run`], and tells about progress meanwhile.
    pub(super) async fn run_long(&self, request: Request, what: &str, limit: Duration) -> Result<Operation, Error> {
        let Some(sink) = &self.progress else { return self.run(request, what, limit).await };
        // Progress is a courtesy: without it the work goes on.
        let Ok(mut events) = self.events("operation").await else { return self.run(request, what, limit).await };
        let started: Operation = self.call(request).await?;
        let watch = async {
            while let Ok(Some(event)) = events.next().await {
                tell(&event, &started.id, sink);
            }
            std::future::pending::<()>().await;
        };
        tokio::select! {
            ended = self.finish(&started.id, what, limit) => ended,
            () = watch => Err(Error::Timeout { what: what.to_owned(), after: limit }),
        }
    }

    /// Waits for the end of operation `id`, which must be a good one.
    pub(super) async fn finish(&self, id: &str, what: &str, limit: Duration) -> Result<Operation, Error> {
        let ended = timeout(limit, self.ended(id)).await;
        let operation = ended.unwrap_or_else(|_| Err(Error::Timeout { what: what.to_owned(), after: limit }))?;
        match operation.status_code {
            200 => Ok(operation),
            _ => Err(Error::Failed { what: what.to_owned(), reason: reason(&operation) }),
        }
    }

    /// Waits for the end of operation `id`, good or bad.
    ///
    /// LXD 5.0 answers with the operation, ended or still running; Incus and later versions of LXD answer with it only if
    /// it ended well, and otherwise with an error that leaves out the operation's results.
    pub(super) async fn ended(&self, id: &str) -> Result<Operation, Error> {
        loop {
            let request = request::wait_operation(id, ROUND.as_secs());
            let (line, began) = (line(&request), Instant::now());
            let asked = timeout(ROUND + GRACE, self.call::<Operation>(request)).await;
            match asked.unwrap_or_else(|_| Err(late(&line, ROUND + GRACE))) {
                Ok(operation) if operation.has_ended() => return Ok(operation),
                Ok(_) => {}
                Err(refused @ Error::Refused { .. }) => match self.call::<Operation>(request::operation(id)).await {
                    Ok(operation) if operation.has_ended() => return Ok(operation),
                    Ok(_) if began.elapsed() >= ROUND => {}
                    Err(error) if !error.is_missing() => return Err(error),
                    _ => return forgotten(id, refused),
                },
                Err(error) => return Err(error),
            }
        }
    }
}

/// What can be said of an operation that the server has forgotten meanwhile.
fn forgotten(id: &str, refused: Error) -> Result<Operation, Error> {
    match refused {
        Error::Refused { status: 400 | 500, message, .. } => {
            Ok(Operation { id: id.to_owned(), status_code: 400, err: message, ..Operation::default() })
        }
        other => Err(other),
    }
}

fn tell(event: &events::Event, id: &str, sink: &Sink) {
    if event.metadata.get("id").and_then(Value::as_str) == Some(id)
        && let Some(metadata) = event.metadata.get("metadata").and_then(Value::as_object)
        && let Some(progress) = Progress::of(metadata)
    {
        sink(progress);
    }
}

pub(super) fn reason(operation: &Operation) -> String {
    match operation.err.trim() {
        "" => format!("the server says `{}` and no reason", operation.status_code),
        reason => reason.to_owned(),
    }
}
