//! `postgresql_query`: statements carried out by PostgreSQL.
//!
//! Source: community.postgresql 2.4, `plugins/modules/postgresql_query.py`, without scripts, which are deprecated there.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::module::arguments::{self, Kind, Parameter};
use crate::module::database::{filled, joined, repr, wait};
use crate::module::postgresql_login::{self, Login, exception, told, trusted};
use crate::module::{Call, Context, Error, Failed, Mode, Outcome, apart, typed};
use crate::sql::Rows;
use crate::sql::postgres::{Client, literal};

/// What it may be told.
pub const PARAMETERS: &[Parameter] = &joined::<6, 8, 14>(
    [
        Parameter::new("query", Kind::Any).required(),
        Parameter::new("db", Kind::Text).or(&["login_db"]),
        Parameter::new("positional_args", Kind::Any),
        Parameter::new("named_args", Kind::Any),
        Parameter::new("autocommit", Kind::Flag),
        Parameter::new("search_path", Kind::List),
    ],
    postgresql_login::PARAMETERS,
);

/// What is wanted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Arguments {
    /// One statement or several.
    pub query: Value,
    /// The database.
    pub db: Option<String>,
    /// What stands for each `%s`.
    pub positional_args: Option<Vec<Value>>,
    /// What stands for each `%(name)s`.
    pub named_args: Option<Map<String, Value>>,
    /// Whether each statement stands for itself.
    #[serde(default)]
    pub autocommit: bool,
    /// Where names are looked for.
    pub search_path: Option<Vec<String>>,
    /// How to get in.
    #[serde(flatten)]
    pub login: Login,
}

pub(crate) fn parse(Call { arguments, .. }: Call) -> Result<Arguments, Error> {
    apart("postgresql_query", &arguments, &["positional_args", "named_args"])?;
    let arguments: Arguments = typed("postgresql_query", arguments)?;
    match &arguments.query {
        Value::String(_) => Ok(arguments),
        Value::Array(items) if items.iter().all(Value::is_string) => Ok(arguments),
        other => Err(Error::Value {
            module: "postgresql_query".to_owned(),
            name: "query".to_owned(),
            value: arguments::text(other),
            wanted: "text or a list of texts".to_owned(),
        }),
    }
}

pub(crate) fn run(arguments: &Arguments, host: &Context, mode: Mode) -> Result<Outcome, Failed> {
    let login = &arguments.login;
    trusted(login, &[login.session_role.as_deref()])?;
    if arguments.autocommit && mode == Mode::Check {
        return Err(Failed::new("Using autocommit is mutually exclusive with check_mode"));
    }
    wait(async {
        let client = postgresql_login::connect(login, arguments.db.as_deref(), host).await?;
        let said = |error: crate::sql::Error| Failed::new(exception(&error));
        if let Some(path) = &arguments.search_path {
            let path: Vec<&str> = path.iter().map(|name| name.trim_matches(' ')).collect();
            client.run(format!("SET search_path TO {}", path.join(","))).await.map_err(said)?;
        }
        if !arguments.autocommit {
            client.run("BEGIN").await.map_err(said)?;
        }
        let mut outcome = carried_out(arguments, &client).await?;
        if !arguments.autocommit {
            client.run(if mode == Mode::Apply { "COMMIT" } else { "ROLLBACK" }).await.map_err(said)?;
        }
        if arguments.db.as_deref().unwrap_or_default().is_empty() {
            let text = "Database name has not been passed, used default database to connect to.";
            outcome.warnings.push(text.to_owned());
        }
        Ok(outcome)
    })
}

async fn carried_out(arguments: &Arguments, client: &Client) -> Result<Outcome, Failed> {
    let queries: Vec<&str> = match &arguments.query {
        Value::Array(items) => items.iter().filter_map(Value::as_str).collect(),
        other => other.as_str().into_iter().collect(),
    };
    let (mut results, mut count, mut changed) = (vec![], 0, false);
    let (mut last, mut status) = (String::new(), String::new());
    for query in &queries {
        last = filled(query, arguments.positional_args.as_deref(), arguments.named_args.as_ref(), quoted)?;
        let rows = client.typed(last.as_str()).await;
        let rows = rows.map_err(|error| Failed::new(refused(query, &queries, arguments, &error)))?;
        status = self::status(&last, &rows);
        changed |= !status.contains("SELECT") && {
            let words: Vec<&str> = status.split(' ').collect();
            let counts = ["UPDATE", "INSERT", "DELETE"].contains(&words[0]);
            !(counts && words.last() == Some(&"0"))
        };
        count += rows.count;
        results.push(if rows.columns.is_empty() { json!({}) } else { Value::from(rows.maps()) });
    }
    let values = told([
        ("query", json!(last)),
        ("query_list", json!(queries)),
        ("statusmessage", json!(status)),
        ("query_result", results.last().cloned().unwrap_or_default()),
        ("query_all_results", json!(results)),
        ("rowcount", json!(count)),
    ]);
    Ok(Outcome { changed, values, ..Outcome::default() })
}

fn refused(query: &str, queries: &[&str], arguments: &Arguments, error: &crate::sql::Error) -> String {
    let given = match (&arguments.positional_args, &arguments.named_args) {
        (Some(list), _) => arguments::python(&Value::from(list.clone())),
        (None, Some(map)) => arguments::python(&Value::from(map.clone())),
        (None, None) => "None".to_owned(),
    };
    let list = queries.iter().map(|query| repr(query)).collect::<Vec<_>>().join(", ");
    format!("Cannot execute SQL '{query}' {given}: {}, query list: [{list}]", exception(error))
}

/// What the server says at the end of a statement: its verb and what it is about, or how many rows.
fn status(query: &str, rows: &Rows) -> String {
    let upper = query.trim_start().to_uppercase();
    let words: Vec<&str> = upper.split(|c: char| !c.is_ascii_alphabetic()).filter(|word| !word.is_empty()).collect();
    let about = words.iter().skip(1).find(|word| {
        !["OR", "REPLACE", "UNIQUE", "TEMP", "TEMPORARY", "UNLOGGED", "RECURSIVE", "TRUSTED", "GLOBAL", "LOCAL"]
            .contains(word)
    });
    match (words.first().copied().unwrap_or_default(), about) {
        ("SELECT" | "VALUES" | "TABLE" | "WITH", _) => format!("SELECT {}", rows.count),
        ("INSERT", _) => format!("INSERT 0 {}", rows.count),
        (verb @ ("UPDATE" | "DELETE" | "MERGE" | "COPY" | "FETCH" | "MOVE"), _) => format!("{verb} {}", rows.count),
        ("TRUNCATE", _) => "TRUNCATE TABLE".to_owned(),
        ("CREATE" | "ALTER" | "DROP", Some(&"USER")) => format!("{} ROLE", words[0]),
        (verb @ ("CREATE" | "ALTER" | "DROP"), Some(about)) => format!("{verb} {about}"),
        (verb, _) => verb.to_owned(),
    }
}

fn quoted(value: &Value) -> String {
    match value {
        Value::Null => "NULL".to_owned(),
        Value::Bool(truth) => truth.to_string(),
        Value::Number(number) => number.to_string(),
        Value::Array(_) => {
            let list = arguments::python(value);
            literal(&format!("{{{}}}", list.trim_matches(['[', ']'])))
        }
        other => literal(&arguments::text(other)).trim_start().to_owned(),
    }
}
