//! `postgresql_db`: databases of PostgreSQL.
//!
//! Source: community.postgresql 2.4, `plugins/modules/postgresql_db.py`. Dumps are left to the server's own programs.

use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::module::arguments::{Kind, Parameter};
use crate::module::database::{joined, wait};
use crate::module::postgresql_login::{self, Login, exception, told, trusted};
use crate::module::{Call, Context, Error, Failed, Mode, Outcome, typed};
use crate::sql::postgres::{Client, identifier, literal};

/// What it may be told.
pub const PARAMETERS: &[Parameter] = &joined::<12, 8, 20>(
    [
        Parameter::new("name", Kind::Text).or(&["db"]).required(),
        Parameter::new("owner", Kind::Text),
        Parameter::new("template", Kind::Text),
        Parameter::new("encoding", Kind::Text),
        Parameter::new("lc_collate", Kind::Text),
        Parameter::new("lc_ctype", Kind::Text),
        Parameter::new("state", Kind::Choice(&["absent", "present", "rename"])),
        Parameter::new("target", Kind::Text),
        Parameter::new("maintenance_db", Kind::Text),
        Parameter::new("conn_limit", Kind::Text),
        Parameter::new("tablespace", Kind::Text),
        Parameter::new("force", Kind::Flag),
    ],
    postgresql_login::PARAMETERS,
);

/// What is wanted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Arguments {
    /// The database.
    pub name: String,
    /// Whose it is.
    #[serde(default)]
    pub owner: String,
    /// What a new one is a copy of.
    #[serde(default)]
    pub template: String,
    /// Its encoding.
    #[serde(default)]
    pub encoding: String,
    /// Its `LC_COLLATE`.
    #[serde(default)]
    pub lc_collate: String,
    /// Its `LC_CTYPE`.
    #[serde(default)]
    pub lc_ctype: String,
    /// What becomes of it.
    #[serde(default)]
    pub state: State,
    /// Its new name.
    #[serde(default)]
    pub target: String,
    /// The database that is connected to.
    #[serde(default = "postgres")]
    pub maintenance_db: String,
    /// Most connections.
    #[serde(default)]
    pub conn_limit: String,
    /// Its tablespace.
    #[serde(default)]
    pub tablespace: String,
    /// Whether it goes while somebody is connected to it.
    #[serde(default)]
    pub force: bool,
    /// How to get in.
    #[serde(flatten)]
    pub login: Login,
}

fn postgres() -> String {
    "postgres".to_owned()
}

/// What becomes of a database.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// It is there.
    #[default]
    Present,
    /// It is not.
    Absent,
    /// It gets another name.
    Rename,
}

pub(crate) fn parse(Call { arguments, .. }: Call) -> Result<Arguments, Error> {
    let arguments: Arguments = typed("postgresql_db", arguments)?;
    if !arguments.conn_limit.is_empty() && arguments.conn_limit.parse::<i32>().is_err() {
        return Err(Error::Value {
            module: "postgresql_db".to_owned(),
            name: "conn_limit".to_owned(),
            value: arguments.conn_limit,
            wanted: "a whole number".to_owned(),
        });
    }
    if arguments.state == State::Rename {
        if arguments.target.is_empty() {
            return Err(Error::Missing { module: "postgresql_db".to_owned(), name: "target".to_owned() });
        }
        for (name, other) in [("target", &arguments.target), ("maintenance_db", &arguments.maintenance_db)] {
            if arguments.name == *other {
                return Err(Error::Value {
                    module: "postgresql_db".to_owned(),
                    name: name.to_owned(),
                    value: other.clone(),
                    wanted: "another database than the one that is renamed".to_owned(),
                });
            }
        }
    }
    Ok(arguments)
}

/// A database as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Found {
    /// Whose it is.
    pub owner: String,
    /// Its encoding.
    pub encoding: String,
    /// Whether its encoding is the one wanted, under whatever name.
    pub same_encoding: bool,
    /// Its `LC_COLLATE`.
    pub lc_collate: String,
    /// Its `LC_CTYPE`.
    pub lc_ctype: String,
    /// Most connections.
    pub conn_limit: String,
    /// Its tablespace.
    pub tablespace: String,
}

/// What is there.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Scene {
    /// The server's version.
    pub version: u32,
    /// The database.
    pub found: Option<Found>,
    /// The one of its new name.
    pub target: Option<Found>,
}

pub(crate) fn run(arguments: &Arguments, host: &Context, mode: Mode) -> Result<Outcome, Failed> {
    let Arguments { owner, conn_limit, encoding, name, template, tablespace, login, .. } = arguments;
    let role = login.session_role.as_deref();
    trusted(
        login,
        &[Some(owner), Some(conn_limit), Some(encoding), Some(name), Some(template), Some(tablespace), role],
    )?;
    wait(async {
        let client = postgresql_login::connect(login, Some(&arguments.maintenance_db), host).await?;
        let scene = look(arguments, &client).await.map_err(|error| failed(&error))?;
        let planned = plan(arguments, &scene);
        // Check mode tells that there is something to do where a real run cannot do it.
        let (statements, changed) = match (planned, mode) {
            (Err(_), Mode::Check) if arguments.state == State::Present => (vec![], true),
            (planned, _) => {
                let statements = planned?;
                let changed = !statements.is_empty();
                (statements, changed)
            }
        };
        if mode == Mode::Apply {
            for statement in &statements {
                client.run(statement.as_str()).await.map_err(|error| failed(&error))?;
            }
        }
        let executed = if mode == Mode::Apply { statements } else { vec![] };
        let values = told([("db", json!(arguments.name)), ("executed_commands", json!(executed))]);
        Ok(Outcome { changed, values, ..Outcome::default() })
    })
}

fn failed(error: &crate::sql::Error) -> Failed {
    Failed::new(format!("Database query failed: {}", exception(error)))
}

async fn look(arguments: &Arguments, client: &Client) -> Result<Scene, crate::sql::Error> {
    Ok(Scene {
        version: client.version().await?,
        found: found(&arguments.name, &arguments.encoding, client).await?,
        target: match arguments.state {
            State::Rename => found(&arguments.target, "", client).await?,
            _ => None,
        },
    })
}

async fn found(name: &str, encoding: &str, client: &Client) -> Result<Option<Found>, crate::sql::Error> {
    let select = format!(
        "SELECT rolname AS owner, pg_encoding_to_char(encoding) AS encoding, \
         encoding = pg_char_to_encoding({}) AS same_encoding, datcollate AS lc_collate, datctype AS lc_ctype, \
         datconnlimit AS conn_limit, spcname AS tablespace FROM pg_database \
         JOIN pg_roles ON pg_roles.oid = pg_database.datdba \
         JOIN pg_tablespace ON pg_tablespace.oid = pg_database.dattablespace WHERE datname = {}",
        literal(encoding),
        literal(name)
    );
    let row = client.run(select).await?.row();
    Ok(row.map(|row| {
        let word = |name: &str| row.get(name).cloned().flatten().unwrap_or_default();
        Found {
            owner: word("owner"),
            encoding: word("encoding"),
            same_encoding: word("same_encoding") == "t",
            lc_collate: word("lc_collate"),
            lc_ctype: word("lc_ctype"),
            conn_limit: word("conn_limit"),
            tablespace: word("tablespace"),
        }
    }))
}

/// The statements that make it so.
///
/// # Errors
///
/// [`Failed`]: a database cannot be changed in that way.
pub fn plan(arguments: &Arguments, scene: &Scene) -> Result<Vec<String>, Failed> {
    let name = identifier(&arguments.name);
    match (arguments.state, &scene.found) {
        (State::Absent, None) => Ok(vec![]),
        (State::Absent, Some(_)) => {
            let force = arguments.force && scene.version >= 130_000;
            Ok(vec![format!("DROP DATABASE {name}{}", if force { " WITH (FORCE)" } else { "" })])
        }
        (State::Rename, found) => match (found, &scene.target) {
            (Some(_), Some(_)) => Err(Failed::new("Both the source and the target databases exist.")),
            (None, None) => Err(Failed::new("The source and the target databases do not exist.")),
            (None, Some(_)) => Ok(vec![]),
            (Some(_), None) => Ok(vec![format!("ALTER DATABASE {name} RENAME TO {}", identifier(&arguments.target))]),
        },
        (State::Present, None) => Ok(vec![create(arguments, &name)]),
        (State::Present, Some(found)) => changed(arguments, found, &name),
    }
}

fn create(arguments: &Arguments, name: &str) -> String {
    let mut statement = format!("CREATE DATABASE {name}");
    let mut add = |word: &str, value: &str, quoted: fn(&str) -> String| {
        if !value.is_empty() {
            statement = format!("{statement} {word} {}", quoted(value).trim_start());
        }
    };
    add("OWNER", &arguments.owner, identifier);
    add("TEMPLATE", &arguments.template, identifier);
    add("ENCODING", &arguments.encoding, literal);
    add("LC_COLLATE", &arguments.lc_collate, literal);
    add("LC_CTYPE", &arguments.lc_ctype, literal);
    add("TABLESPACE", &arguments.tablespace, identifier);
    add("CONNECTION LIMIT", &arguments.conn_limit, str::to_owned);
    statement
}

fn changed(arguments: &Arguments, found: &Found, name: &str) -> Result<Vec<String>, Failed> {
    let other = |wanted: &str, has: &str| !wanted.is_empty() && wanted != has;
    if !arguments.encoding.is_empty() && !found.same_encoding {
        let text = "Changing database encoding is not supported. Current encoding: ";
        return Err(Failed::new(format!("{text}{}", found.encoding)));
    }
    if other(&arguments.lc_collate, &found.lc_collate) {
        let text = "Changing LC_COLLATE is not supported. Current LC_COLLATE: ";
        return Err(Failed::new(format!("{text}{}", found.lc_collate)));
    }
    if other(&arguments.lc_ctype, &found.lc_ctype) {
        return Err(Failed::new(format!("Changing LC_CTYPE is not supported.Current LC_CTYPE: {}", found.lc_ctype)));
    }
    let mut statements = vec![];
    if other(&arguments.owner, &found.owner) {
        statements.push(format!("ALTER DATABASE {name} OWNER TO {}", identifier(&arguments.owner)));
    }
    if other(&arguments.conn_limit, &found.conn_limit) {
        statements.push(format!("ALTER DATABASE {name} CONNECTION LIMIT {}", arguments.conn_limit));
    }
    if other(&arguments.tablespace, &found.tablespace) {
        statements.push(format!("ALTER DATABASE {name} SET TABLESPACE {}", identifier(&arguments.tablespace)));
    }
    Ok(statements)
}
