//! How a module gets into a MariaDB or MySQL server.
//!
//! Source: community.mysql 3.8, `plugins/module_utils/mysql.py`, and PyMySQL, which it uses.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::module::arguments::{Kind, Parameter};
use crate::module::database::{python, repr};
use crate::module::{Context, Failed, text};
use crate::secret::Secret;
use crate::sql::mysql::{self, Client};
use crate::sql::{Error, Server, Way};

/// What every module may be told of the login.
pub const PARAMETERS: [Parameter; 7] = [
    Parameter::new("login_user", Kind::Text),
    Parameter::new("login_password", Kind::Text),
    Parameter::new("login_host", Kind::Text),
    Parameter::new("login_port", Kind::Integer),
    Parameter::new("login_unix_socket", Kind::Text),
    Parameter::new("config_file", Kind::Text),
    Parameter::new("connect_timeout", Kind::Integer),
];

/// What is wanted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Login {
    /// The account; that of the configuration file or of the process if none.
    pub login_user: Option<String>,
    /// Its password.
    pub login_password: Option<Secret>,
    /// The server's name.
    #[serde(default = "localhost")]
    pub login_host: String,
    /// Its port.
    #[serde(default = "port")]
    pub login_port: u16,
    /// Its unix socket, which wins over name and port.
    pub login_unix_socket: Option<String>,
    /// Where what is not said here stands.
    #[serde(default = "config_file")]
    pub config_file: String,
    /// Seconds.
    #[serde(default = "connect_timeout")]
    pub connect_timeout: u64,
}

fn localhost() -> String {
    "localhost".to_owned()
}

fn port() -> u16 {
    3306
}

fn config_file() -> String {
    "~/.my.cnf".to_owned()
}

fn connect_timeout() -> u64 {
    30
}

/// Whether the administrator without a password is tried first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Implicit {
    /// It is.
    Tried,
    /// It is not.
    Untried,
}

/// Logs in.
pub(crate) async fn connect(
    login: &Login,
    implicit: Implicit,
    database: Option<&str>,
    host: &Context<'_>,
) -> Result<Client, Error> {
    if implicit == Implicit::Tried {
        let root =
            Login { login_user: Some("root".to_owned()), login_password: Some(Secret::new("")), ..login.clone() };
        if let Ok(client) = mysql::connect(&server(&root, database, host)).await {
            return Ok(client);
        }
    }
    mysql::connect(&server(login, database, host)).await
}

/// Where the server is, and who goes there.
fn server(login: &Login, database: Option<&str>, host: &Context<'_>) -> Server {
    let file = host.system.path(&login.config_file);
    let said = text::read(&file, host.system).ok().flatten().map(|bytes| client_section(&bytes)).unwrap_or_default();
    let word = |name: &str| said.get(name).filter(|word| !word.is_empty()).cloned();
    let user = login.login_user.clone().filter(|user| !user.is_empty()).or_else(|| word("user"));
    let password = login.login_password.clone().filter(|password| !password.reveal().is_empty());
    let socket = login.login_unix_socket.clone().or_else(|| word("socket"));
    let way = match socket {
        Some(path) => Way::Socket(host.system.real(&path)),
        None if login.login_host == "localhost" => Way::Tcp("127.0.0.1".to_owned(), login.login_port),
        None => Way::Tcp(login.login_host.clone(), login.login_port),
    };
    Server {
        name: login.login_host.clone(),
        ways: vec![way],
        user: user.unwrap_or_else(|| host.system.owner(rustix::process::geteuid().as_raw())),
        password: password.or_else(|| word("password").map(Secret::new)),
        database: database.map(str::to_owned),
        limit: Duration::from_secs(login.connect_timeout),
    }
}

/// The words of `[client]`.
fn client_section(bytes: &[u8]) -> BTreeMap<String, String> {
    let text = String::from_utf8_lossy(bytes);
    let mut within = false;
    let mut words = BTreeMap::new();
    for line in text.lines().map(str::trim).filter(|line| !line.starts_with(['#', ';', '!'])) {
        if line.starts_with('[') {
            within = line == "[client]";
        } else if within && let Some((name, word)) = line.split_once(['=', ':']) {
            words.insert(name.trim().to_lowercase(), unquoted(word.trim()).to_owned());
        }
    }
    words
}

fn unquoted(word: &str) -> &str {
    let within = |quote: char| word.strip_prefix(quote).and_then(|word| word.strip_suffix(quote));
    within('\'').or_else(|| within('"')).unwrap_or(word)
}

/// An error as PyMySQL writes it.
pub(crate) fn exception(error: &Error) -> String {
    match error {
        Error::Login { code, message, .. } | Error::Refused { code, message, .. } => {
            format!("({code}, {})", repr(message))
        }
        Error::Unreachable { server, source } => {
            let text = format!("Can't connect to MySQL server on {} ({})", repr(server), python(source));
            format!("(2003, {})", repr(&text))
        }
        Error::Cut { .. } => "(2013, 'Lost connection to MySQL server during query')".to_owned(),
    }
}

/// Says that nobody is let in, as the modules do that name the configuration file in any case.
pub(crate) fn refused(login: &Login, error: &Error, host: &Context) -> Failed {
    Failed::new(format!(
        "unable to connect to database, check login_user and login_password are correct or {} has the credentials. \
         Exception message: {}",
        host.system.path(&login.config_file),
        exception(error)
    ))
}

/// The same, as the modules do that look whether the file is there.
pub(crate) fn refused_or_no_file(login: &Login, error: &Error, host: &Context) -> Failed {
    let file = host.system.path(&login.config_file);
    if host.system.real(&file).exists() {
        return refused(login, error, host);
    }
    Failed::new(format!("unable to find {file}. Exception message: {}", exception(error)))
}
