//! `postgresql_schema`: schemas of a database of PostgreSQL.
//!
//! Source: community.postgresql 2.4, `plugins/modules/postgresql_schema.py`.

use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::module::arguments::{Kind, Parameter};
use crate::module::database::{joined, wait};
use crate::module::lineinfile::State;
use crate::module::postgresql_login::{self, Login, exception, told, trusted};
use crate::module::{Call, Context, Error, Failed, Mode, Outcome, typed};
use crate::sql::postgres::{identifier, literal};

/// What it may be told.
pub const PARAMETERS: &[Parameter] = &joined::<5, 8, 13>(
    [
        Parameter::new("schema", Kind::Text).or(&["name"]).required(),
        Parameter::new("owner", Kind::Text),
        Parameter::new("database", Kind::Text).or(&["db", "login_db"]),
        Parameter::new("cascade_drop", Kind::Flag),
        Parameter::new("state", Kind::Choice(&["absent", "present"])),
    ],
    postgresql_login::PARAMETERS,
);

/// What is wanted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Arguments {
    /// The schema.
    pub schema: String,
    /// Whose it is.
    #[serde(default)]
    pub owner: String,
    /// The database.
    #[serde(default = "postgres")]
    pub database: String,
    /// Whether what is in it goes with it.
    #[serde(default)]
    pub cascade_drop: bool,
    /// Whether it is there.
    #[serde(default)]
    pub state: State,
    /// How to get in.
    #[serde(flatten)]
    pub login: Login,
}

fn postgres() -> String {
    "postgres".to_owned()
}

pub(crate) fn parse(Call { arguments, .. }: Call) -> Result<Arguments, Error> {
    typed("postgresql_schema", arguments)
}

pub(crate) fn run(arguments: &Arguments, host: &Context, mode: Mode) -> Result<Outcome, Failed> {
    let login = &arguments.login;
    trusted(login, &[Some(&arguments.schema), Some(&arguments.owner), login.session_role.as_deref()])?;
    wait(async {
        let client = postgresql_login::connect(login, Some(&arguments.database), host).await?;
        let failed = |error: crate::sql::Error| Failed::new(format!("Database query failed: {}", exception(&error)));
        let name = literal(&arguments.schema);
        let select = format!("SELECT schema_owner FROM information_schema.schemata WHERE schema_name = {name}");
        let rows = client.run(select).await.map_err(failed)?;
        let statement = plan(arguments, rows.value());
        let mut values = told([("schema", json!(arguments.schema))]);
        if mode == Mode::Apply {
            if let Some(statement) = &statement {
                client.run(statement.as_str()).await.map_err(failed)?;
            }
            values.insert("queries".to_owned(), json!(statement.iter().collect::<Vec<_>>()));
        }
        Ok(Outcome { changed: statement.is_some(), values, ..Outcome::default() })
    })
}

/// The statement that makes it so, if one is needed, given whose it is if it is there.
pub fn plan(arguments: &Arguments, owner: Option<&str>) -> Option<String> {
    let name = identifier(&arguments.schema);
    let wanted = Some(arguments.owner.as_str()).filter(|owner| !owner.is_empty());
    match (arguments.state, owner, wanted) {
        (State::Absent, None, _) | (State::Present, Some(_), None) => None,
        (State::Absent, Some(_), _) => {
            Some(format!("DROP SCHEMA {name}{}", if arguments.cascade_drop { " CASCADE" } else { "" }))
        }
        (State::Present, None, None) => Some(format!("CREATE SCHEMA {name}")),
        (State::Present, None, Some(wanted)) => {
            Some(format!("CREATE SCHEMA {name} AUTHORIZATION {}", identifier(wanted)))
        }
        (State::Present, Some(has), Some(wanted)) => {
            (has != wanted).then(|| format!("ALTER SCHEMA {name} OWNER TO {}", identifier(wanted)))
        }
    }
}
