//! PostgreSQL.

pub mod password;

use std::error::Error as _;
use std::io;

use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;
use tokio_postgres::config::SslMode;
use tokio_postgres::error::ErrorPosition;
use tokio_postgres::types::Type;
use tokio_postgres::{Config, NoTls, SimpleQueryMessage};

use crate::http::Stream;
use crate::sql::{ANSWER, Column, Error, Kind, MOST_ROWS, Rows, Server, Statement, Way, first, late};

/// A connection.
pub struct Client {
    server: String,
    client: tokio_postgres::Client,
}

/// Logs in.
///
/// # Errors
///
/// [`Error::Unreachable`] or [`Error::Login`].
pub async fn connect(server: &Server) -> Result<Client, Error> {
    first(server, async |way| one(server, way).await).await
}

async fn one(server: &Server, way: &Way) -> Result<Client, Error> {
    let unreachable = |source| Error::Unreachable { server: server.name.clone(), source };
    let stream = stream(way).await.map_err(unreachable)?;
    let mut config = Config::new();
    config.user(&server.user).application_name("ryo").ssl_mode(SslMode::Disable);
    if let Some(password) = &server.password {
        config.password(password.reveal());
    }
    if let Some(database) = &server.database {
        config.dbname(database);
    }
    match config.connect_raw(stream, NoTls).await {
        Ok((client, connection)) => {
            // It ends with the client.
            tokio::spawn(async move { drop(connection.await) });
            Ok(Client { server: server.name.clone(), client })
        }
        Err(error) => Err(match error.as_db_error() {
            Some(said) => Error::Login {
                server: server.name.clone(),
                user: server.user.clone(),
                code: said.code().code().to_owned(),
                message: format!("{}:  {}", said.severity(), said.message()),
            },
            // A server that wants a password that we do not have is told by the library.
            None if error.to_string().contains("authentication") || error.to_string().contains("password") => {
                let why = error.source().map_or_else(|| error.to_string(), ToString::to_string);
                let (server, user) = (server.name.clone(), server.user.clone());
                Error::Login { server, user, code: String::new(), message: why }
            }
            None => unreachable(io_error(&error)),
        }),
    }
}

async fn stream(way: &Way) -> io::Result<Box<dyn Stream>> {
    Ok(match way {
        Way::Socket(path) => Box::new(UnixStream::connect(path).await?),
        Way::Tcp(host, port) => {
            let stream = TcpStream::connect((host.as_str(), *port)).await?;
            stream.set_nodelay(true)?;
            Box::new(stream)
        }
        Way::Stream(dial) => dial().await?,
    })
}

fn io_error(error: &tokio_postgres::Error) -> io::Error {
    match error.source().and_then(|source| source.downcast_ref::<io::Error>()) {
        Some(source) => io::Error::new(source.kind(), source.to_string()),
        None => io::Error::other(error.to_string()),
    }
}

impl Client {
    /// Carries one or several statements out and reads the answer of the last.
    ///
    /// # Errors
    ///
    /// [`Error::Refused`] or [`Error::Cut`].
    pub async fn run(&self, statement: impl Into<Statement>) -> Result<Rows, Error> {
        let statement = statement.into();
        let answer = timeout(ANSWER, self.client.simple_query(statement.clear())).await;
        let answer = answer.map_err(|_| self.cut(&statement, late(ANSWER)))?;
        Ok(rows(answer.map_err(|error| self.refused(&statement, &error))?))
    }

    /// The same for one statement, with the kinds of its columns.
    ///
    /// # Errors
    ///
    /// [`Error::Refused`] or [`Error::Cut`].
    pub async fn typed(&self, statement: impl Into<Statement>) -> Result<Rows, Error> {
        let statement = statement.into();
        // What cannot be prepared has no columns.
        let kinds = match timeout(ANSWER, self.client.prepare(statement.clear())).await {
            Ok(Ok(prepared)) => prepared.columns().iter().map(|column| kind(column.type_())).collect(),
            _ => vec![],
        };
        let mut rows = self.run(statement).await?;
        for (column, kind) in rows.columns.iter_mut().zip(kinds) {
            column.kind = kind;
        }
        Ok(rows)
    }

    fn refused(&self, statement: &Statement, error: &tokio_postgres::Error) -> Error {
        let Some(said) = error.as_db_error() else { return self.cut(statement, io_error(error)) };
        let mut message = said.message().to_owned();
        if let Some(ErrorPosition::Original(position)) = said.position() {
            message.extend(line(statement.clear(), *position));
        }
        for (name, more) in [("DETAIL", said.detail()), ("HINT", said.hint())] {
            if let Some(more) = more {
                message = format!("{message}\n{name}:  {more}");
            }
        }
        Error::Refused {
            server: self.server.clone(),
            statement: statement.to_string(),
            code: said.code().code().to_owned(),
            message: statement.shown(&message),
        }
    }

    fn cut(&self, statement: &Statement, source: io::Error) -> Error {
        Error::Cut { server: self.server.clone(), statement: statement.to_string(), source }
    }

    /// The server's version as a number, e.g. 150014.
    pub async fn version(&self) -> Result<u32, Error> {
        let rows = self.run("SHOW server_version_num").await?;
        Ok(rows.value().and_then(|version| version.parse().ok()).unwrap_or(0))
    }
}

/// Longest line of a statement that an error shows.
const SHOWN: usize = 60;

/// The line of a statement that an error is about, with a mark below the place, as libpq shows it.
fn line(text: &str, position: u32) -> Option<String> {
    let before = usize::try_from(position).ok()?.checked_sub(1)?;
    let mut number = 1;
    let mut column = 0;
    for letter in text.chars().take(before) {
        (number, column) = if letter == '\n' { (number + 1, 0) } else { (number, column + 1) };
    }
    let shown = text.lines().nth(number - 1).filter(|line| line.chars().count() <= SHOWN)?;
    let start = format!("LINE {number}: ");
    Some(format!("\n{start}{shown}\n{}^", " ".repeat(start.len() + column)))
}

fn rows(answer: Vec<SimpleQueryMessage>) -> Rows {
    let mut rows = Rows::default();
    let mut ended = false;
    for message in answer {
        if ended && !matches!(message, SimpleQueryMessage::CommandComplete(_)) {
            rows = Rows::default();
        }
        ended = false;
        match message {
            SimpleQueryMessage::RowDescription(columns) => {
                let column = |name: &str| Column { name: name.to_owned(), kind: Kind::Text };
                rows.columns = columns.iter().map(|it| column(it.name())).collect();
            }
            SimpleQueryMessage::Row(row) if rows.rows.len() < MOST_ROWS => {
                rows.rows.push((0..row.len()).map(|at| row.get(at).map(str::to_owned)).collect());
            }
            SimpleQueryMessage::CommandComplete(count) => {
                rows.count = count;
                ended = true;
            }
            _ => {}
        }
    }
    rows
}

fn kind(column: &Type) -> Kind {
    match *column {
        Type::INT2 | Type::INT4 | Type::INT8 | Type::OID => Kind::Integer,
        Type::FLOAT4 | Type::FLOAT8 | Type::NUMERIC => Kind::Float,
        Type::BOOL => Kind::Truth,
        Type::JSON | Type::JSONB => Kind::Json,
        _ => Kind::Text,
    }
}

/// A text as a literal. Bytes of zero cannot be in one.
pub fn literal(text: &str) -> String {
    let text = text.replace('\0', "").replace('\'', "''");
    if text.contains('\\') { format!(" E'{}'", text.replace('\\', "\\\\")) } else { format!("'{text}'") }
}

/// A name as an identifier.
pub fn identifier(name: &str) -> String {
    format!("\"{}\"", name.replace('\0', "").replace('"', "\"\""))
}
