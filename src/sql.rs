//! MariaDB, MySQL and PostgreSQL: statements in, rows out, over a unix socket, TCP or any other byte stream.
//!
//! Passwords are in no error: a statement says what it hides ([`Statement::hiding`]), and what a server answers is shown
//! without that.

pub mod mysql;
pub mod postgres;
pub mod relay;
pub mod rows;

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use thiserror::Error;
use tokio::time::timeout;

use crate::http::Stream;
use crate::secret::Secret;

pub use rows::{Column, Kind, Rows};

/// How long a server may take to carry one statement out.
pub const ANSWER: Duration = Duration::from_mins(10);

/// Most rows of one answer.
pub const MOST_ROWS: usize = 1 << 20;

/// Opens a byte stream to a server.
pub type Dial = Arc<dyn Fn() -> BoxFuture<'static, io::Result<Box<dyn Stream>>> + Send + Sync>;

/// A way to a server.
#[derive(Clone)]
pub enum Way {
    /// The unix socket at this path.
    Socket(PathBuf),
    /// Host and port.
    Tcp(String, u16),
    /// Anything else, e.g. a channel of an SSH connection.
    Stream(Dial),
}

impl fmt::Debug for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Socket(path) => write!(f, "Socket({})", path.display()),
            Self::Tcp(host, port) => write!(f, "Tcp({host}:{port})"),
            Self::Stream(_) => f.write_str("Stream"),
        }
    }
}

/// A server, the ways to it, and who goes there.
#[derive(Clone, Debug)]
pub struct Server {
    /// What a person calls it, e.g. `MySQL at mariadb:3306`.
    pub name: String,
    /// The ways to it, tried in this order: what one account may do can depend on where it comes from.
    pub ways: Vec<Way>,
    /// The account.
    pub user: String,
    /// Its password, if it has one.
    pub password: Option<Secret>,
    /// The database to work in, if one is named.
    pub database: Option<String>,
    /// How long connecting may take, each way.
    pub limit: Duration,
}

/// What can go wrong with a database server.
#[derive(Debug, Error)]
pub enum Error {
    /// Nobody answers there. Nothing was done.
    #[error("cannot reach {server}")]
    Unreachable {
        /// Whom.
        server: String,
        /// Why.
        source: io::Error,
    },
    /// The server does not let us in. Nothing was done.
    #[error("{server} refused {user}: {message}")]
    Login {
        /// Whom.
        server: String,
        /// The account.
        user: String,
        /// The server's own number of it, e.g. `1045` or `28P01`.
        code: String,
        /// The server's own words.
        message: String,
    },
    /// The server refused a statement, which changed nothing.
    #[error("{server} refused `{statement}`: {message}")]
    Refused {
        /// Whom.
        server: String,
        /// The statement, without what it hides.
        statement: String,
        /// The server's own number of it, e.g. `1396` or `42710`.
        code: String,
        /// The server's own words, without what the statement hides.
        message: String,
    },
    /// The connection ended in the middle of a statement, which may have been carried out.
    #[error("{server} did not finish its answer to `{statement}`")]
    Cut {
        /// Whom.
        server: String,
        /// The statement, without what it hides.
        statement: String,
        /// Why.
        source: io::Error,
    },
}

impl Error {
    /// The server's own number of what is wrong, if it gave one.
    pub fn code(&self) -> Option<&str> {
        match self {
            Self::Login { code, .. } | Self::Refused { code, .. } => Some(code),
            Self::Unreachable { .. } | Self::Cut { .. } => None,
        }
    }

    /// What is wrong, without whom it concerns.
    pub fn message(&self) -> String {
        match self {
            Self::Login { message, .. } | Self::Refused { message, .. } => message.clone(),
            Self::Unreachable { source, .. } | Self::Cut { source, .. } => source.to_string(),
        }
    }
}

/// A statement, with what nobody may see of it.
#[derive(Clone, PartialEq, Eq)]
pub struct Statement {
    text: String,
    hidden: Vec<Secret>,
}

impl Statement {
    /// A statement without secrets.
    pub fn new(text: impl Into<String>) -> Self {
        Self { text: text.into(), hidden: vec![] }
    }

    /// The same, with a part of it that is not shown.
    #[must_use]
    pub fn hiding(mut self, secret: impl Into<String>) -> Self {
        let secret = secret.into();
        if !secret.is_empty() {
            self.hidden.push(Secret::new(secret));
        }
        self
    }

    /// Returns the clear text, for the one place that sends it.
    fn clear(&self) -> &str {
        &self.text
    }

    /// Returns `text` without what this statement hides.
    fn shown(&self, text: &str) -> String {
        self.hidden.iter().fold(text.to_owned(), |text, secret| text.replace(secret.reveal(), "********"))
    }
}

impl From<&str> for Statement {
    fn from(text: &str) -> Self {
        Self::new(text)
    }
}

impl From<String> for Statement {
    fn from(text: String) -> Self {
        Self::new(text)
    }
}

impl fmt::Display for Statement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown(&self.text))
    }
}

impl fmt::Debug for Statement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{self}`")
    }
}

fn late(limit: Duration) -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, format!("no answer within {} s", limit.as_secs()))
}

/// Tries the ways one after the other. What a server says of an account tells more than that nobody answers.
async fn first<C>(server: &Server, connect: impl AsyncFn(&Way) -> Result<C, Error>) -> Result<C, Error> {
    let mut told: Option<Error> = None;
    for way in &server.ways {
        let unreachable = |source| Error::Unreachable { server: server.name.clone(), source };
        let connected = timeout(server.limit, connect(way)).await;
        match connected.unwrap_or_else(|_| Err(unreachable(late(server.limit)))) {
            Ok(client) => return Ok(client),
            Err(error) => match told {
                Some(Error::Login { .. }) => {}
                Some(_) if !matches!(error, Error::Login { .. }) => {}
                _ => told = Some(error),
            },
        }
    }
    let nowhere = || io::Error::new(io::ErrorKind::NotFound, "there is no way to it");
    Err(told.unwrap_or_else(|| Error::Unreachable { server: server.name.clone(), source: nowhere() }))
}
