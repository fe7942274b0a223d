//! MariaDB and MySQL.

pub mod grants;

use std::io;

use mysql_async::consts::ColumnType;
use mysql_async::prelude::Queryable as _;
use mysql_async::{Conn, OptsBuilder, Row, Value};
use sha1::{Digest as _, Sha1};
use tokio::time::timeout;

use crate::secret::Secret;
use crate::sql::{ANSWER, Column, Error, Kind, MOST_ROWS, Rows, Server, Statement, Way, first, late, relay};

/// Largest packet that is read.
const PACKET: usize = 64 << 20;

/// A connection.
pub struct Client {
    server: String,
    connection: Conn,
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
    let options = OptsBuilder::default()
        .user(Some(&server.user))
        .pass(server.password.as_ref().map(Secret::reveal))
        .db_name(server.database.as_ref())
        // What is at the other end of a tunnel has its sockets elsewhere.
        .prefer_socket(false)
        .max_allowed_packet(Some(PACKET))
        .wait_timeout(Some(28_800))
        .stmt_cache_size(0)
        .tcp_nodelay(true);
    let options = match way {
        Way::Socket(path) => options.socket(Some(path.to_string_lossy())),
        Way::Tcp(host, port) => options.ip_or_hostname(host).tcp_port(*port),
        Way::Stream(dial) => {
            let address = relay::open(dial).await.map_err(unreachable)?;
            options.ip_or_hostname(address.ip().to_string()).tcp_port(address.port())
        }
    };
    match Conn::new(options).await {
        Ok(connection) => Ok(Client { server: server.name.clone(), connection }),
        Err(mysql_async::Error::Server(said)) => Err(Error::Login {
            server: server.name.clone(),
            user: server.user.clone(),
            code: said.code.to_string(),
            message: said.message,
        }),
        Err(error) => Err(unreachable(io_error(error))),
    }
}

fn io_error(error: mysql_async::Error) -> io::Error {
    match error {
        mysql_async::Error::Io(mysql_async::IoError::Io(error)) => error,
        mysql_async::Error::Driver(mysql_async::DriverError::ConnectionClosed) => {
            io::Error::new(io::ErrorKind::UnexpectedEof, "the connection was closed")
        }
        other => io::Error::other(other),
    }
}

impl Client {
    /// Carries a statement out and reads its answer.
    ///
    /// # Errors
    ///
    /// [`Error::Refused`] or [`Error::Cut`].
    pub async fn run(&mut self, statement: impl Into<Statement>) -> Result<Rows, Error> {
        let statement = statement.into();
        match timeout(ANSWER, rows(&mut self.connection, &statement)).await {
            Ok(Ok(rows)) => Ok(rows),
            Ok(Err(mysql_async::Error::Server(said))) => Err(Error::Refused {
                server: self.server.clone(),
                statement: statement.to_string(),
                code: said.code.to_string(),
                message: statement.shown(&said.message),
            }),
            Ok(Err(error)) => Err(self.cut(&statement, io_error(error))),
            Err(_) => Err(self.cut(&statement, late(ANSWER))),
        }
    }

    fn cut(&self, statement: &Statement, source: io::Error) -> Error {
        Error::Cut { server: self.server.clone(), statement: statement.to_string(), source }
    }

    /// What the server calls its version, e.g. `10.11.14-MariaDB-0+deb12u2`.
    pub async fn version(&mut self) -> Result<Version, Error> {
        let rows = self.run("SELECT VERSION()").await?;
        Ok(Version(rows.value().unwrap_or_default().to_owned()))
    }

    /// Says goodbye.
    pub async fn close(self) {
        let _ = self.connection.disconnect().await;
    }
}

async fn rows(connection: &mut Conn, statement: &Statement) -> Result<Rows, mysql_async::Error> {
    let mut answer = connection.query_iter(statement.clear()).await?;
    let columns = answer.columns_ref().iter();
    let columns: Vec<Column> =
        columns.map(|it| Column { name: it.name_str().into_owned(), kind: kind(it.column_type()) }).collect();
    let mut rows = vec![];
    while let Some(row) = answer.next().await? {
        if rows.len() < MOST_ROWS {
            rows.push(texts(row));
        }
    }
    let count = if columns.is_empty() { answer.affected_rows() } else { rows.len() as u64 };
    answer.drop_result().await?;
    Ok(Rows { columns, rows, count })
}

fn kind(column: ColumnType) -> Kind {
    match column {
        ColumnType::MYSQL_TYPE_TINY
        | ColumnType::MYSQL_TYPE_SHORT
        | ColumnType::MYSQL_TYPE_LONG
        | ColumnType::MYSQL_TYPE_INT24
        | ColumnType::MYSQL_TYPE_LONGLONG
        | ColumnType::MYSQL_TYPE_YEAR => Kind::Integer,
        ColumnType::MYSQL_TYPE_FLOAT | ColumnType::MYSQL_TYPE_DOUBLE => Kind::Float,
        _ => Kind::Text,
    }
}

fn texts(row: Row) -> Vec<Option<String>> {
    let text = |value: Value| match value {
        Value::NULL => None,
        Value::Bytes(bytes) => Some(String::from_utf8_lossy(&bytes).into_owned()),
        other => Some(other.as_sql(true).trim_matches('\'').to_owned()),
    };
    row.unwrap_raw().into_iter().map(|value| value.and_then(text)).collect()
}

/// What a server calls its version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version(pub String);

impl Version {
    /// Whether it is a MariaDB.
    pub fn is_mariadb(&self) -> bool {
        self.0.to_lowercase().contains("mariadb")
    }

    /// Whether it is that version or a newer one.
    pub fn is_at_least(&self, major: u32, minor: u32) -> bool {
        let mut numbers = self.0.split(|c: char| !c.is_ascii_digit()).map(|part| part.parse().unwrap_or(0));
        (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0)) >= (major, minor)
    }
}

/// A text as a literal.
pub fn literal(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('\'');
    for letter in text.chars() {
        match letter {
            '\0' => quoted.push_str("\\0"),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\u{1a}' => quoted.push_str("\\Z"),
            '\'' | '"' | '\\' => quoted.extend(['\\', letter]),
            other => quoted.push(other),
        }
    }
    quoted.push('\'');
    quoted
}

/// A name as an identifier.
pub fn identifier(name: &str) -> String {
    format!("`{}`", name.replace('`', "``"))
}

/// What `mysql_native_password` keeps of a password.
pub fn native_hash(password: &str) -> String {
    format!("*{}", hex::encode_upper(Sha1::digest(Sha1::digest(password.as_bytes()))))
}
