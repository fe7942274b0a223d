//! `postgresql_ext`: extensions of a database of PostgreSQL.
//!
//! Source: community.postgresql 2.4, `plugins/modules/postgresql_ext.py`.

use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::module::arguments::{Kind, Parameter};
use crate::module::database::{joined, wait};
use crate::module::lineinfile::State;
use crate::module::postgresql_login::{self, Login, exception, told, trusted};
use crate::module::{Call, Context, Error, Failed, Mode, Outcome, typed};
use crate::sql::postgres::{Client, identifier, literal};

/// What it may be told.
pub const PARAMETERS: &[Parameter] = &joined::<6, 8, 14>(
    [
        Parameter::new("db", Kind::Text).or(&["login_db"]).required(),
        Parameter::new("ext", Kind::Text).or(&["name"]).required(),
        Parameter::new("schema", Kind::Text),
        Parameter::new("state", Kind::Choice(&["absent", "present"])),
        Parameter::new("cascade", Kind::Flag),
        Parameter::new("version", Kind::Text),
    ],
    postgresql_login::PARAMETERS,
);

/// What is wanted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Arguments {
    /// The database.
    pub db: String,
    /// The extension.
    pub ext: String,
    /// Where a new one puts its things.
    pub schema: Option<String>,
    /// Whether it is there.
    #[serde(default)]
    pub state: State,
    /// Whether what it needs, or what needs it, comes or goes with it.
    #[serde(default)]
    pub cascade: bool,
    /// Its version, or `latest`.
    pub version: Option<String>,
    /// How to get in.
    #[serde(flatten)]
    pub login: Login,
}

pub(crate) fn parse(Call { arguments, .. }: Call) -> Result<Arguments, Error> {
    typed("postgresql_ext", arguments)
}

/// What is there.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Scene {
    /// The version that is installed.
    pub version: Option<String>,
    /// The versions that can be.
    pub available: Vec<String>,
    /// Whether a way leads from the one to the one wanted.
    pub path: bool,
}

pub(crate) fn run(arguments: &Arguments, host: &Context, mode: Mode) -> Result<Outcome, Failed> {
    let Arguments { ext, schema, version, login, .. } = arguments;
    trusted(login, &[Some(ext), schema.as_deref(), version.as_deref(), login.session_role.as_deref()])?;
    wait(async {
        let client = postgresql_login::connect(login, Some(&arguments.db), host).await?;
        let failed = |error: crate::sql::Error| {
            Failed::new(format!("Management of PostgreSQL extension failed: {}", exception(&error)))
        };
        let statement = plan(arguments, &look(arguments, &client).await.map_err(failed)?)?;
        let mut queries = vec![];
        if let Some(statement) = statement.as_deref().filter(|_| mode == Mode::Apply) {
            client.run(statement).await.map_err(failed)?;
            queries.push(statement.to_owned());
        }
        let values = told([("db", json!(arguments.db)), ("ext", json!(ext)), ("queries", json!(queries))]);
        let ignored = arguments.state == State::Absent && version.as_ref().is_some_and(|version| !version.is_empty());
        let warnings = ignored.then(|| "Parameter version is ignored when state=absent".to_owned());
        let warnings = warnings.into_iter().collect();
        Ok(Outcome { changed: statement.is_some(), warnings, values, ..Outcome::default() })
    })
}

async fn look(arguments: &Arguments, client: &Client) -> Result<Scene, crate::sql::Error> {
    let ext = literal(&arguments.ext);
    let select = format!("SELECT extversion FROM pg_catalog.pg_extension WHERE extname = {ext}");
    let version = client.run(select).await?.value().map(str::to_owned);
    let select = format!("SELECT version FROM pg_available_extension_versions WHERE name = {ext}");
    let available = client.run(select).await?.firsts().map(str::to_owned).collect();
    let path = match (&version, arguments.version.as_deref()) {
        (Some(from), Some(to)) if to != "latest" => {
            let select = format!(
                "SELECT path FROM pg_extension_update_paths({ext}) WHERE source = {} AND target = {}",
                literal(from),
                literal(to)
            );
            !client.run(select).await?.rows.is_empty()
        }
        _ => true,
    };
    Ok(Scene { version, available, path })
}

/// The statement that makes it so, if one is needed.
///
/// # Errors
///
/// [`Failed`]: there is no such extension or version, or no way to it.
pub fn plan(arguments: &Arguments, scene: &Scene) -> Result<Option<String>, Failed> {
    let ext = identifier(&arguments.ext);
    let cascade = if arguments.cascade { " CASCADE" } else { "" };
    let version = arguments.version.as_deref().filter(|version| !version.is_empty());
    match (arguments.state, &scene.version, version) {
        (State::Absent, None, _) | (State::Present, Some(_), None) => Ok(None),
        (State::Absent, Some(_), _) => Ok(Some(format!("DROP EXTENSION {ext}{cascade}"))),
        (State::Present, Some(has), Some(wanted)) if has == wanted => Ok(None),
        (State::Present, Some(_), Some("latest")) => Ok(Some(format!("ALTER EXTENSION {ext} UPDATE"))),
        (State::Present, Some(_), Some(wanted)) if scene.path => {
            Ok(Some(format!("ALTER EXTENSION {ext} UPDATE TO {}", literal(wanted))))
        }
        (State::Present, Some(has), Some(wanted)) => Err(Failed::new(format!(
            "Passed version '{wanted}' has no valid update path from the currently installed version '{has}' or the \
             passed version is not available"
        ))),
        (State::Present, None, None) if scene.available.is_empty() => {
            Err(Failed::new(format!("Extension {} is not available", arguments.ext)))
        }
        (State::Present, None, Some(wanted))
            if wanted != "latest" && !scene.available.iter().any(|it| it == wanted) =>
        {
            Err(Failed::new(format!("Passed version '{wanted}' is not available")))
        }
        (State::Present, None, wanted) => {
            let schema = arguments.schema.as_deref().filter(|schema| !schema.is_empty());
            let schema = schema.map(|schema| format!(" WITH SCHEMA {}", identifier(schema))).unwrap_or_default();
            let version = wanted.filter(|version| *version != "latest");
            let version = version.map(|version| format!(" VERSION {}", literal(version))).unwrap_or_default();
            Ok(Some(format!("CREATE EXTENSION {ext}{schema}{version}{cascade}")))
        }
    }
}
