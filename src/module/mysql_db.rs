//! `mysql_db`: databases of MariaDB and MySQL.
//!
//! Source: community.mysql 3.8, `plugins/modules/mysql_db.py`. Dumps are left to the server's own programs.

use serde::{Deserialize, Serialize};
use serde_json::{Map, json};

use crate::module::arguments::{Kind, Parameter};
use crate::module::database::{joined, wait};
use crate::module::lineinfile::State;
use crate::module::mysql_login::{self, Implicit, Login, exception};
use crate::module::{Call, Context, Error, Failed, Mode, Outcome, typed};
use crate::sql::mysql::{Client, identifier, literal};

/// What it may be told.
pub const PARAMETERS: &[Parameter] = &joined::<5, 7, 12>(
    [
        Parameter::new("name", Kind::List).or(&["db"]).required(),
        Parameter::new("state", Kind::Choice(&["absent", "present"])),
        Parameter::new("encoding", Kind::Text),
        Parameter::new("collation", Kind::Text),
        Parameter::new("check_implicit_admin", Kind::Flag),
    ],
    mysql_login::PARAMETERS,
);

/// What is wanted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Arguments {
    /// The databases.
    pub name: Vec<String>,
    /// Whether they are there.
    #[serde(default)]
    pub state: State,
    /// The character set of new ones.
    #[serde(default)]
    pub encoding: String,
    /// The collation of new ones.
    #[serde(default)]
    pub collation: String,
    /// Whether the administrator without a password is tried first.
    #[serde(default)]
    pub check_implicit_admin: bool,
    /// How to get in.
    #[serde(flatten)]
    pub login: Login,
}

pub(crate) fn parse(Call { arguments, .. }: Call) -> Result<Arguments, Error> {
    let mut arguments: Arguments = typed("mysql_db", arguments)?;
    arguments.name = arguments.name.iter().map(|name| name.trim().to_owned()).collect();
    if arguments.name == ["all"] {
        return Err(Error::Value {
            module: "mysql_db".to_owned(),
            name: "name".to_owned(),
            value: "all".to_owned(),
            wanted: "names of databases".to_owned(),
        });
    }
    Ok(arguments)
}

pub(crate) fn run(arguments: &Arguments, host: &Context, mode: Mode) -> Result<Outcome, Failed> {
    wait(async {
        let login = &arguments.login;
        let implicit = if arguments.check_implicit_admin { Implicit::Tried } else { Implicit::Untried };
        let client = mysql_login::connect(login, implicit, None, host).await;
        let mut client = client.map_err(|error| mysql_login::refused_or_no_file(login, &error, host))?;
        let statements = plan(arguments, &look(arguments, &mut client).await?);
        let mut values = Map::new();
        values.insert("db".to_owned(), json!(arguments.name.join(" ")));
        values.insert("db_list".to_owned(), json!(arguments.name));
        if mode == Mode::Apply {
            for statement in &statements {
                client.run(statement.as_str()).await.map_err(|error| failed(arguments, &error))?;
            }
            values.insert("executed_commands".to_owned(), json!(statements));
        }
        client.close().await;
        Ok(Outcome { changed: !statements.is_empty(), values, ..Outcome::default() })
    })
}

fn failed(arguments: &Arguments, error: &crate::sql::Error) -> Failed {
    let doing = if arguments.state == State::Present { "creating" } else { "deleting" };
    Failed::new(format!("error {doing} database: {}", exception(error)))
}

/// Those of the databases that are there.
async fn look(arguments: &Arguments, client: &mut Client) -> Result<Vec<String>, Failed> {
    let mut there = vec![];
    for name in &arguments.name {
        let select =
            format!("SELECT SCHEMA_NAME FROM information_schema.SCHEMATA WHERE SCHEMA_NAME = {}", literal(name));
        let rows = client.run(select).await.map_err(|error| Failed::new(exception(&error)))?;
        if !rows.rows.is_empty() {
            there.push(name.clone());
        }
    }
    Ok(there)
}

/// The statements that make it so, given the databases that are there.
pub fn plan(arguments: &Arguments, there: &[String]) -> Vec<String> {
    let named = |there_already: bool| arguments.name.iter().filter(move |name| there.contains(name) == there_already);
    match arguments.state {
        State::Absent => named(true).map(|name| format!("DROP DATABASE {}", quoted(name))).collect(),
        State::Present => named(false).map(|name| create(arguments, name)).collect(),
    }
}

fn create(arguments: &Arguments, name: &str) -> String {
    let mut statement = format!("CREATE DATABASE {}", quoted(name));
    for (word, value) in [("CHARACTER SET", &arguments.encoding), ("COLLATE", &arguments.collation)] {
        if !value.is_empty() {
            statement = format!("{statement} {word} {}", literal(value));
        }
    }
    statement
}

/// A name that somebody has quoted already stays as it is.
fn quoted(name: &str) -> String {
    let bare = name.strip_prefix('`').and_then(|name| name.strip_suffix('`')).filter(|name| !name.contains('`'));
    identifier(bare.unwrap_or(name))
}
