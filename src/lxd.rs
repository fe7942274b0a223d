//! The client of LXD and Incus: one API, told apart by `api_extensions` alone.
//!
//! Requests are values ([`request`]), answers are typed ([`model`]); [`Client`] sends the ones, reads the others and waits
//! for background operations. [`wait`] waits for what the server has no operation for.

pub mod events;
pub mod exec;
pub mod file;
pub mod image;
pub mod instance;
pub mod model;
pub mod object;
mod operation;
pub mod request;
pub mod wait;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use thiserror::Error;
use tokio::time::timeout;

use crate::http::{Http, HttpError, Request, Response};
use model::{Config, Devices, Network, PoolResources, PoolSpace, Profile, Resources, Server, StoragePool};

pub use operation::Progress;

/// How long the server may take to answer a request that starts or reads something.
const ANSWER: Duration = Duration::from_mins(1);

/// Most bytes of an answer that is read as a whole.
const LONGEST: u64 = 64 << 20;

/// What can go wrong with LXD or Incus.
#[derive(Debug, Error)]
pub enum Error {
    /// The exchange did not happen or did not end.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// The server answered with an error; nothing was done.
    #[error("{host} refused `{request}` ({status}): {message}")]
    Refused {
        /// Whom, e.g. `LXD at /var/lib/lxd/unix.socket`.
        host: String,
        /// Method and path.
        request: String,
        /// HTTP status, e.g. 404.
        status: u16,
        /// The server's own words.
        message: String,
    },
    /// The server answers, but does not let us in.
    #[error("{host} does not trust this client")]
    Untrusted {
        /// Whom.
        host: String,
    },
    /// A background operation ended badly.
    #[error("{what} failed: {reason}")]
    Failed {
        /// What was wanted, e.g. `` start of instance `web` ``.
        what: String,
        /// The server's own words.
        reason: String,
    },
    /// Something took longer than it may. It may still be going on.
    #[error("{what} took longer than {} s", after.as_secs_f32())]
    Timeout {
        /// What was waited for.
        what: String,
        /// How long.
        after: Duration,
    },
    /// The server's answer is not what its documentation says.
    #[error("cannot understand the answer of {host} to `{request}`")]
    Malformed {
        /// Whom.
        host: String,
        /// Method and path.
        request: String,
        /// Where and why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// What arrived is not what was sent. It has been removed again where it arrived.
    #[error("the image arrived damaged: sent {sent}, received {received}")]
    Digest {
        /// SHA-256 of what was sent, lower-case hexadecimal.
        sent: String,
        /// SHA-256 of what arrived.
        received: String,
    },
    /// Reading or writing our side of a transfer failed.
    #[error("cannot transfer {what}")]
    Transfer {
        /// What was on its way.
        what: String,
        /// Why.
        source: io::Error,
    },
    /// No image has that name.
    #[error("no image is called `{name}`")]
    NoImage {
        /// The alias or fingerprint, as it was asked for.
        name: String,
    },
    /// The part of an image's name before the colon is not known.
    #[error("no remote is called `{name}` (image `{image}`)")]
    UnknownRemote {
        /// The part before the colon.
        name: String,
        /// The whole name.
        image: String,
    },
    /// The first boot of an instance went wrong.
    #[error("cloud-init failed in instance `{instance}`: {}", errors.join("; "))]
    CloudInit {
        /// The instance.
        instance: String,
        /// What cloud-init says, at least one line.
        errors: Vec<String>,
    },
    /// An instance stopped while something was expected of it.
    #[error("instance `{instance}` is {status} instead of running")]
    Down {
        /// The instance.
        instance: String,
        /// Its status in lower case, e.g. `stopped`.
        status: String,
    },
}

impl Error {
    /// Whether the server said that the thing is not there.
    pub fn is_missing(&self) -> bool {
        matches!(self, Self::Refused { status: 404, .. })
    }

    /// Whether the thing was changed by somebody else since it was read.
    pub fn is_stale(&self) -> bool {
        matches!(self, Self::Refused { status: 412, .. })
    }
}

/// Turns "it is not there" into `None`.
fn optional<T>(result: Result<T, Error>) -> Result<Option<T>, Error> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.is_missing() => Ok(None),
        Err(error) => Err(error),
    }
}

/// The frame of every JSON answer.
#[derive(Deserialize)]
struct Envelope {
    #[serde(default, rename = "type")]
    kind: String,
    #[serde(default)]
    error: String,
    #[serde(default)]
    error_code: u16,
    #[serde(default)]
    metadata: Value,
}

/// A connection to one server. Cheap to clone.
#[derive(Clone)]
pub struct Client {
    http: Arc<dyn Http>,
    progress: Option<operation::Sink>,
}

impl Client {
    /// Talks over `http`; nothing is sent yet.
    pub fn new(http: Arc<dyn Http>) -> Self {
        Self { http, progress: None }
    }

    /// What a person calls the server.
    pub fn name(&self) -> &str {
        self.http.name()
    }

    /// Asks what the server is and can.
    ///
    /// # Errors
    ///
    /// [`Error::Untrusted`] if it answers strangers only.
    pub async fn server(&self) -> Result<Server, Error> {
        let server: Server = self.call(request::server()).await?;
        if server.is_trusted() { Ok(server) } else { Err(Error::Untrusted { host: self.name().to_owned() }) }
    }

    /// Lets in whoever shows this certificate from now on.
    ///
    /// - `name`: what a person calls it.
    /// - `certificate`: X.509 in DER.
    pub async fn trust(&self, name: &str, certificate: &[u8]) -> Result<(), Error> {
        self.tell(request::trust(name, certificate)).await
    }

    /// Lists the profiles.
    pub async fn profiles(&self) -> Result<Vec<Profile>, Error> {
        self.call(request::profiles()).await
    }

    /// Makes a profile.
    pub async fn create_profile(
        &self,
        name: &str,
        description: &str,
        config: &Config,
        devices: &Devices,
    ) -> Result<(), Error> {
        self.tell(request::create_profile(name, description, config, devices)).await
    }

    /// Lists the networks, those that the server only sees included.
    pub async fn networks(&self) -> Result<Vec<Network>, Error> {
        self.call(request::networks()).await
    }

    /// Lists the storage pools.
    pub async fn storage_pools(&self) -> Result<Vec<StoragePool>, Error> {
        self.call(request::storage_pools()).await
    }

    /// Asks what the machine of the server has.
    pub async fn resources(&self) -> Result<Resources, Error> {
        self.call(request::resources()).await
    }

    /// Asks how full a storage pool is.
    pub async fn pool_space(&self, name: &str) -> Result<PoolSpace, Error> {
        Ok(self.call::<PoolResources>(request::pool_resources(name)).await?.space)
    }

    /// Sends a request whose answer is a value.
    async fn call<T: DeserializeOwned>(&self, request: Request) -> Result<T, Error> {
        Ok(self.tagged(request).await?.0)
    }

    /// Sends a request whose answer says nothing but that it is done.
    async fn tell(&self, request: Request) -> Result<(), Error> {
        self.call::<Value>(request).await.map(drop)
    }

    /// Sends a request and returns the value with its `ETag`.
    async fn tagged<T: DeserializeOwned>(&self, request: Request) -> Result<(T, String), Error> {
        let line = line(&request);
        let limited = timeout(ANSWER, async {
            let response = self.send(request, &line).await?;
            let etag = response.header("etag").unwrap_or_default().to_owned();
            Ok((self.envelope(response, &line).await?, etag))
        });
        let (envelope, etag) = limited.await.unwrap_or_else(|_| Err(late(&line, ANSWER)))?;
        Ok((self.typed(envelope.metadata, &line)?, etag))
    }

    /// Sends a request and returns the answer unread, if it is no error.
    async fn send(&self, request: Request, line: &str) -> Result<Response, Error> {
        let response = self.http.send(request).await?;
        match response.status {
            200..=299 => Ok(response),
            status => Err(self.refusal(response, status, line).await),
        }
    }

    async fn refusal(&self, response: Response, status: u16, line: &str) -> Error {
        let message = match response.bytes(LONGEST).await {
            Ok(bytes) => match serde_json::from_slice::<Envelope>(&bytes) {
                Ok(envelope) if !envelope.error.is_empty() => envelope.error,
                _ => String::from_utf8_lossy(&bytes[..bytes.len().min(500)]).trim().to_owned(),
            },
            Err(source) => return self.cut(line, source),
        };
        Error::Refused { host: self.name().to_owned(), request: line.to_owned(), status, message }
    }

    async fn envelope(&self, response: Response, line: &str) -> Result<Envelope, Error> {
        let bytes = response.bytes(LONGEST).await.map_err(|source| self.cut(line, source))?;
        let envelope: Envelope = serde_json::from_slice(&bytes).map_err(|source| self.malformed(line, source))?;
        match envelope.kind.as_str() {
            "sync" | "async" => Ok(envelope),
            // Where the answer began before its end was known, the status says nothing.
            "error" => Err(Error::Refused {
                host: self.name().to_owned(),
                request: line.to_owned(),
                status: envelope.error_code,
                message: envelope.error,
            }),
            other => Err(self.malformed(line, format!("unknown kind of answer `{other}`"))),
        }
    }

    fn typed<T: DeserializeOwned>(&self, value: Value, line: &str) -> Result<T, Error> {
        serde_path_to_error::deserialize(value).map_err(|source| self.malformed(line, source))
    }

    fn cut(&self, line: &str, source: io::Error) -> Error {
        if source.kind() == io::ErrorKind::InvalidData {
            return self.malformed(line, source);
        }
        Error::Http(HttpError::Cut { host: self.name().to_owned(), request: line.to_owned(), source })
    }

    fn malformed(&self, line: &str, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
        Error::Malformed { host: self.name().to_owned(), request: line.to_owned(), source: source.into() }
    }
}

/// Method and path of a request, for a person.
fn line(request: &Request) -> String {
    format!("{} {}", request.method, request.path)
}

fn late(what: &str, after: Duration) -> Error {
    Error::Timeout { what: format!("the answer to `{what}`"), after }
}
