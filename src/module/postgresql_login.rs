//! How a module gets into a PostgreSQL server.
//!
//! Source: community.postgresql 2.4, `plugins/module_utils/postgres.py`, and libpq, which it uses.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::module::arguments::{Kind, Parameter};
use crate::module::{Context, Failed};
use crate::secret::Secret;
use crate::sql::postgres::{self, Client, identifier};
use crate::sql::{Error, Server, Way};

/// What every module may be told of the login.
pub const PARAMETERS: [Parameter; 8] = [
    Parameter::new("login_user", Kind::Text).or(&["login"]),
    Parameter::new("login_password", Kind::Text),
    Parameter::new("login_host", Kind::Text).or(&["host"]),
    Parameter::new("login_unix_socket", Kind::Text).or(&["unix_socket"]),
    Parameter::new("port", Kind::Integer).or(&["login_port"]),
    Parameter::new("ssl_mode", Kind::Choice(&["allow", "disable", "prefer"])),
    Parameter::new("session_role", Kind::Text),
    Parameter::new("trust_input", Kind::Flag),
];

/// Where Debian's server has its socket.
const SOCKETS: &str = "/var/run/postgresql";

/// What is wanted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Login {
    /// The account.
    pub login_user: Option<String>,
    /// Its password.
    pub login_password: Option<Secret>,
    /// Name or address of the server, or the directory of its socket.
    #[serde(default)]
    pub login_host: String,
    /// The directory of its socket, or the socket.
    #[serde(default)]
    pub login_unix_socket: String,
    /// Its port.
    pub port: Option<u16>,
    /// The role that the account acts as.
    pub session_role: Option<String>,
    /// Whether everything may be given; anything that looks like a statement of its own is refused otherwise.
    #[serde(default = "crate::module::database::yes")]
    pub trust_input: bool,
}

/// Logs in.
pub(crate) async fn connect(login: &Login, database: Option<&str>, host: &Context<'_>) -> Result<Client, Failed> {
    let server = server(login, database, host);
    let told = |error: &Error| Failed::new(format!("unable to connect to database: {}", connection(&server, error)));
    let client = postgres::connect(&server).await.map_err(|error| told(&error))?;
    if let Some(role) = &login.session_role {
        let switched = client.run(format!("SET ROLE {}", identifier(role))).await;
        switched.map_err(|error| Failed::new(format!("Could not switch role: {}", exception(&error))))?;
    }
    Ok(client)
}

fn server(login: &Login, database: Option<&str>, host: &Context<'_>) -> Server {
    let variable = |name: &str| {
        let own = || std::env::var(name).ok();
        host.environment.get(name).cloned().or_else(own).filter(|value| !value.is_empty())
    };
    let user = login.login_user.clone().filter(|user| !user.is_empty()).or_else(|| variable("PGUSER"));
    let user = user.unwrap_or_else(|| "postgres".to_owned());
    let port = login.port.or_else(|| variable("PGPORT")?.parse().ok()).unwrap_or(5432);
    let password = login.login_password.clone().filter(|password| !password.reveal().is_empty());
    let local = login.login_host.is_empty() || login.login_host == "localhost";
    let place = if local && !login.login_unix_socket.is_empty() {
        login.login_unix_socket.clone()
    } else {
        login.login_host.clone()
    };
    let place = Some(place).filter(|place| !place.is_empty()).or_else(|| variable("PGHOST"));
    let (name, way) = way(&place.unwrap_or_else(|| SOCKETS.to_owned()), port, host);
    Server {
        name,
        ways: vec![way],
        database: Some(database.filter(|name| !name.is_empty()).unwrap_or(&user).to_owned()),
        password: password.or_else(|| variable("PGPASSWORD").map(Secret::new)),
        user,
        limit: Duration::from_secs(30),
    }
}

/// What libpq calls the place, and the way there.
fn way(place: &str, port: u16, host: &Context) -> (String, Way) {
    if place.starts_with('/') {
        let path = format!("{}/.s.PGSQL.{port}", place.trim_end_matches('/'));
        return (format!("socket \"{path}\""), Way::Socket(host.system.real(&path)));
    }
    let address = if place == "localhost" { "127.0.0.1" } else { place };
    (format!("\"{place}\" ({address}), port {port}"), Way::Tcp(address.to_owned(), port))
}

fn connection(server: &Server, error: &Error) -> String {
    let place = &server.name;
    let at = if place.starts_with("socket") { format!("on {place}") } else { format!("at {place}") };
    match error {
        Error::Unreachable { source, .. } => {
            let text = source.to_string();
            let why = text.split(" (os error").next().unwrap_or_default();
            format!("connection to server {at} failed: {why}")
        }
        other => format!("connection to server {at} failed: {}", other.message()),
    }
}

/// An error as psycopg2 writes it.
pub(crate) fn exception(error: &Error) -> String {
    format!("{}\n", error.message())
}

/// Refuses what looks like a statement of its own, unless the task trusts what it is given.
///
/// # Errors
///
/// [`Failed`] with what looks so.
pub(crate) fn trusted(login: &Login, given: &[Option<&str>]) -> Result<(), Failed> {
    if login.trust_input {
        return Ok(());
    }
    let dangerous: Vec<&str> = given.iter().flatten().copied().filter(|text| is_dangerous(text)).collect();
    if dangerous.is_empty() {
        return Ok(());
    }
    Err(Failed::new(format!("Passed input '{}' is potentially dangerous", dangerous.join(", "))))
}

fn is_dangerous(text: &str) -> bool {
    let upper = text.to_uppercase();
    let behind = |first: &[&str], then: &[&str]| {
        let starts = first.iter().filter_map(|word| upper.find(word).map(|at| at + word.len()));
        starts.min().is_some_and(|at| then.iter().any(|word| upper[at..].contains(word)))
    };
    behind(&["'", "\""], &["--"])
        || behind(&["UNION", "INTERSECT", "EXCEPT"], &["SELECT"])
        || behind(&[";"], &["SELECT", "UPDATE", "INSERT", "DELETE", "DROP", "TRUNCATE", "ALTER"])
}

/// The values of a result that names its statements.
pub(crate) fn told<const N: usize>(values: [(&str, Value); N]) -> serde_json::Map<String, Value> {
    values.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}
