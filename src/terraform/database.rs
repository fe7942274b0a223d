//! Databases, accounts and privileges on servers of MariaDB, MySQL and PostgreSQL, and the providers that say where.
//!
//! Sources: documentation of the providers `terraform-providers/mysql` (`petoju/mysql`) and `cyrilgdn/postgresql`.

pub mod schema;

use std::collections::BTreeMap;
use std::fmt;

use crate::place::{Place, Problem};
use crate::secret::Secret;
use crate::terraform::body::Filled;
use crate::terraform::read::{PENDING, Read};

/// A kind of server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Engine {
    /// MariaDB and MySQL.
    Mysql,
    /// PostgreSQL.
    Postgres,
}

impl fmt::Display for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Mysql => "MySQL",
            Self::Postgres => "PostgreSQL",
        })
    }
}

/// Where a server is, and who administers it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DatabaseProvider {
    /// What it is.
    pub engine: Engine,
    /// Its name or address.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// The account.
    pub user: String,
    /// Its password.
    pub password: Option<Secret>,
    /// The database that is connected to, if one has to be.
    pub database: Option<String>,
    /// Where it is configured.
    pub place: Place,
}

impl DatabaseProvider {
    /// Whether it rests on what image builds make.
    pub fn is_pending(&self) -> bool {
        let pending = |text: &str| text == PENDING;
        pending(&self.host) || pending(&self.user) || self.password.as_ref().is_some_and(|it| pending(it.reveal()))
    }
}

impl fmt::Display for DatabaseProvider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {}:{}", self.engine, self.host, self.port)
    }
}

/// Something on a server, as wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DatabaseObject {
    /// What it is, and its name.
    pub what: What,
    /// Its properties by name.
    pub properties: BTreeMap<&'static str, String>,
    /// Its password, if it has one.
    pub password: Option<Secret>,
}

/// What something on a server is, and its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// `mysql_database`.
    MysqlDatabase(String),
    /// `mysql_user`: name and host.
    MysqlUser(String, String),
    /// `mysql_grant`: name and host of the account, database and table.
    MysqlGrant {
        /// The account's name.
        user: String,
        /// Where the account comes from.
        host: String,
        /// The database, or `*`.
        database: String,
        /// The table, or `*`.
        table: String,
    },
    /// `postgresql_role`.
    PostgresRole(String),
    /// `postgresql_database`.
    PostgresDatabase(String),
}

impl DatabaseObject {
    /// The kind of server that it is on.
    pub fn engine(&self) -> Engine {
        match self.what {
            What::MysqlDatabase(_) | What::MysqlUser(..) | What::MysqlGrant { .. } => Engine::Mysql,
            What::PostgresRole(_) | What::PostgresDatabase(_) => Engine::Postgres,
        }
    }

    /// Whether it rests on what image builds make.
    pub fn is_pending(&self) -> bool {
        self.password.as_ref().is_some_and(|password| password.reveal() == PENDING)
            || self.properties.values().any(|value| value == PENDING)
            || self.to_string().contains(PENDING)
    }
}

impl fmt::Display for DatabaseObject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.what {
            What::MysqlDatabase(name) => write!(f, "MySQL database {name}"),
            What::MysqlUser(name, host) => write!(f, "MySQL user {name}@{host}"),
            What::MysqlGrant { user, host, database, table } => {
                write!(f, "privileges of MySQL user {user}@{host} on {database}.{table}")
            }
            What::PostgresRole(name) => write!(f, "PostgreSQL role {name}"),
            What::PostgresDatabase(name) => write!(f, "PostgreSQL database {name}"),
        }
    }
}

/// Whether a resource of this type is one of ours.
pub fn is_object(kind: &str) -> bool {
    kind.starts_with("mysql_") || kind.starts_with("postgresql_")
}

/// Makes an object of what its block says.
pub fn object(kind: &str, filled: &Filled, read: &mut Read<'_>) -> DatabaseObject {
    match kind {
        "mysql_database" => mysql_database(filled, read),
        "mysql_user" => mysql_user(filled, read),
        "mysql_grant" => mysql_grant(filled, read),
        "postgresql_role" => postgres_role(filled, read),
        _ => postgres_database(filled, read),
    }
}

fn or(filled: &Filled, read: &mut Read<'_>, name: &str, otherwise: &str) -> String {
    read.optional_text(filled, name).unwrap_or_else(|| otherwise.to_owned())
}

fn truth(truth: bool) -> String {
    if truth { "yes" } else { "no" }.to_owned()
}

fn mysql_database(filled: &Filled, read: &mut Read<'_>) -> DatabaseObject {
    DatabaseObject {
        what: What::MysqlDatabase(read.text(filled, "name")),
        properties: BTreeMap::from([
            ("character set", or(filled, read, "default_character_set", "utf8mb4")),
            ("collation", or(filled, read, "default_collation", "utf8mb4_general_ci")),
        ]),
        password: None,
    }
}

fn mysql_user(filled: &Filled, read: &mut Read<'_>) -> DatabaseObject {
    let password = read.optional_text(filled, "plaintext_password").or_else(|| read.optional_text(filled, "password"));
    let tls = or(filled, read, "tls_option", "NONE").to_uppercase();
    if !["NONE", "SSL", "X509"].contains(&tls.as_str()) {
        let problem = Problem::new(filled.place("tls_option"), format!("`tls_option` cannot be `{tls}` here"));
        read.problems.push(problem.hint("it is `NONE`, `SSL` or `X509`"));
    }
    DatabaseObject {
        what: What::MysqlUser(read.text(filled, "user"), or(filled, read, "host", "localhost")),
        properties: BTreeMap::from([("TLS", tls)]),
        password: password.filter(|password| !password.is_empty()).map(Secret::new),
    }
}

fn mysql_grant(filled: &Filled, read: &mut Read<'_>) -> DatabaseObject {
    let mut privileges: Vec<String> = read.texts(filled, "privileges").iter().map(|name| privilege(name)).collect();
    privileges.sort();
    privileges.dedup();
    if privileges.is_empty() {
        let problem = Problem::new(filled.place("privileges"), "there are no `privileges`");
        read.problems.push(problem.hint("roles are not supported"));
    }
    let plain = |name: &String| name.chars().all(|c| c.is_ascii_alphabetic() || c == ' ');
    if let Some(wrong) = privileges.iter().find(|name| !plain(name) && !read.is_pending(name)) {
        let message = format!("`{wrong}` is no privilege such as `SELECT`");
        read.problems.push(Problem::new(filled.place("privileges"), message));
    }
    DatabaseObject {
        what: What::MysqlGrant {
            user: read.text(filled, "user"),
            host: or(filled, read, "host", "localhost"),
            database: read.text(filled, "database"),
            table: or(filled, read, "table", "*"),
        },
        properties: BTreeMap::from([
            ("privileges", privileges.join(", ")),
            ("may be given on", truth(read.truth(filled, "grant", false))),
        ]),
        password: None,
    }
}

fn privilege(name: &str) -> String {
    let upper = name.trim().to_uppercase();
    if upper == "ALL PRIVILEGES" { "ALL".to_owned() } else { upper }
}

/// The truth values of a role: name here, name in the files, default.
const ROLE_FLAGS: [(&str, &str, bool); 7] = [
    ("superuser", "superuser", false),
    ("may make databases", "create_database", false),
    ("may make roles", "create_role", false),
    ("inherits", "inherit", true),
    ("may log in", "login", false),
    ("replicates", "replication", false),
    ("sees all rows", "bypass_row_level_security", false),
];

fn postgres_role(filled: &Filled, read: &mut Read<'_>) -> DatabaseObject {
    let mut properties: BTreeMap<&'static str, String> = ROLE_FLAGS
        .iter()
        .map(|(name, written, otherwise)| (*name, truth(read.truth(filled, written, *otherwise))))
        .collect();
    properties.insert("connection limit", or(filled, read, "connection_limit", "-1"));
    let until = read.optional_text(filled, "valid_until").filter(|until| !until.is_empty() && until != "infinity");
    if let Some(until) = until {
        properties.insert("valid until", until);
    }
    let password = read.optional_text(filled, "password").filter(|password| !password.is_empty());
    DatabaseObject {
        what: What::PostgresRole(read.text(filled, "name")),
        properties,
        password: password.map(Secret::new),
    }
}

fn postgres_database(filled: &Filled, read: &mut Read<'_>) -> DatabaseObject {
    let mut properties = BTreeMap::from([
        ("connection limit", or(filled, read, "connection_limit", "-1")),
        ("lets accounts in", truth(read.truth(filled, "allow_connections", true))),
        ("template", or(filled, read, "template", "template0")),
    ]);
    for (name, written, otherwise) in
        [("encoding", "encoding", "UTF8"), ("LC_COLLATE", "lc_collate", "C"), ("LC_CTYPE", "lc_ctype", "C")]
    {
        let value = or(filled, read, written, otherwise);
        // What the server would take anyway is taken as it is.
        if value != "DEFAULT" {
            properties.insert(name, value);
        }
    }
    if let Some(owner) = read.optional_text(filled, "owner").filter(|owner| !owner.is_empty()) {
        properties.insert("owner", owner);
    }
    DatabaseObject { what: What::PostgresDatabase(read.text(filled, "name")), properties, password: None }
}

/// Makes the provider `mysql` of what its block says.
pub fn mysql(filled: &Filled, read: &mut Read<'_>) -> DatabaseProvider {
    let endpoint = read.text(filled, "endpoint");
    let (host, port) = match endpoint.rsplit_once(':') {
        Some((host, port)) if port.parse::<u16>().is_ok() && (host.ends_with(']') || !host.contains(':')) => {
            (host.to_owned(), port.parse().unwrap_or(3306))
        }
        _ => (endpoint.clone(), 3306),
    };
    if host.starts_with('/') {
        let problem = Problem::new(filled.place("endpoint"), format!("`{endpoint}` is no host and port"));
        read.problems.push(problem.hint("unix sockets are not supported"));
    }
    let tls = or(filled, read, "tls", "false");
    if tls != "false" && tls != "preferred" {
        read.problems.push(Problem::new(filled.place("tls"), format!("`tls = {tls}` is not supported")));
    }
    DatabaseProvider {
        engine: Engine::Mysql,
        host: host.trim_matches(['[', ']']).to_owned(),
        port,
        user: read.text(filled, "username"),
        password: read.optional_text(filled, "password").filter(|it| !it.is_empty()).map(Secret::new),
        database: None,
        place: filled.place.clone(),
    }
}

/// Makes the provider `postgresql` of what its block says, with the defaults of the original.
pub fn postgres(filled: &Filled, read: &mut Read<'_>) -> DatabaseProvider {
    let mode = read.optional_text(filled, "sslmode").or_else(|| read.optional_text(filled, "ssl_mode"));
    if let Some(mode) = mode.filter(|mode| !["disable", "allow", "prefer"].contains(&mode.as_str())) {
        let problem = Problem::new(filled.place("sslmode"), format!("`sslmode = {mode}` is not supported"));
        read.problems.push(problem.hint("the connection to the host is encrypted by SSH"));
    }
    let port = or(filled, read, "port", "5432");
    let number = port.parse().unwrap_or(0);
    if number == 0 {
        read.problems.push(Problem::new(filled.place("port"), format!("`{port}` is no port")));
    }
    DatabaseProvider {
        engine: Engine::Postgres,
        host: or(filled, read, "host", "localhost"),
        port: number,
        user: or(filled, read, "username", "postgres"),
        password: read.optional_text(filled, "password").filter(|it| !it.is_empty()).map(Secret::new),
        database: Some(or(filled, read, "database", "postgres")),
        place: filled.place.clone(),
    }
}
