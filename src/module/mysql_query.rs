//! `mysql_query`: statements carried out by MariaDB or MySQL.
//!
//! Source: community.mysql 3.8, `plugins/modules/mysql_query.py`.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::module::arguments::{self, Kind, Parameter};
use crate::module::database::{filled, joined, unchecked, wait};
use crate::module::mysql_login::{self, Implicit, Login, exception};
use crate::module::{Call, Context, Error, Failed, Mode, Outcome, apart, typed};
use crate::sql::mysql::{Client, literal};

/// What it may be told.
pub const PARAMETERS: &[Parameter] = &joined::<5, 7, 12>(
    [
        Parameter::new("query", Kind::Any).required(),
        Parameter::new("login_db", Kind::Text),
        Parameter::new("positional_args", Kind::Any),
        Parameter::new("named_args", Kind::Any),
        Parameter::new("single_transaction", Kind::Flag),
    ],
    mysql_login::PARAMETERS,
);

/// What is wanted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Arguments {
    /// One statement or several.
    pub query: Value,
    /// The database to work in.
    pub login_db: Option<String>,
    /// What stands for each `%s`.
    pub positional_args: Option<Vec<Value>>,
    /// What stands for each `%(name)s`.
    pub named_args: Option<Map<String, Value>>,
    /// Whether all statements are carried out or none.
    #[serde(default)]
    pub single_transaction: bool,
    /// How to get in.
    #[serde(flatten)]
    pub login: Login,
}

pub(crate) fn parse(Call { arguments, .. }: Call) -> Result<Arguments, Error> {
    apart("mysql_query", &arguments, &["positional_args", "named_args"])?;
    let arguments: Arguments = typed("mysql_query", arguments)?;
    let fine = match &arguments.query {
        Value::String(_) => true,
        Value::Array(items) => items.iter().all(Value::is_string),
        _ => false,
    };
    if fine {
        return Ok(arguments);
    }
    Err(Error::Value {
        module: "mysql_query".to_owned(),
        name: "query".to_owned(),
        value: arguments::text(&arguments.query),
        wanted: "text or a list of texts".to_owned(),
    })
}

const CHANGES_ROWS: [&str; 4] = ["INSERT", "UPDATE", "DELETE", "REPLACE"];
const CHANGES_TABLES: [&str; 5] = ["CREATE", "DROP", "ALTER", "RENAME", "TRUNCATE"];

/// As many letters as the longest of these words has.
const LETTERS: usize = 8;

pub(crate) fn run(arguments: &Arguments, host: &Context, mode: Mode) -> Result<Outcome, Failed> {
    if mode == Mode::Check {
        return Ok(unchecked("community.mysql.mysql_query"));
    }
    wait(async {
        let login = &arguments.login;
        let client = mysql_login::connect(login, Implicit::Untried, arguments.login_db.as_deref(), host).await;
        let mut client = client.map_err(|error| mysql_login::refused(login, &error, host))?;
        let outcome = carried_out(arguments, &mut client).await?;
        client.close().await;
        Ok(outcome)
    })
}

async fn carried_out(arguments: &Arguments, client: &mut Client) -> Result<Outcome, Failed> {
    let queries: Vec<&str> = match &arguments.query {
        Value::Array(items) => items.iter().filter_map(Value::as_str).collect(),
        other => other.as_str().into_iter().collect(),
    };
    let told = |error: crate::sql::Error| Failed::new(exception(&error));
    if arguments.single_transaction {
        client.run("START TRANSACTION").await.map_err(told)?;
    }
    let (mut executed, mut results, mut counts, mut changed) = (vec![], vec![], vec![], false);
    for query in queries {
        let statement = filled(query, arguments.positional_args.as_deref(), arguments.named_args.as_ref(), quoted)?;
        let rows = client.run(statement.as_str()).await;
        let rows = rows.map_err(|error| Failed::new(refused(query, arguments, &error)))?;
        let start = query.trim_start().chars().take(LETTERS).collect::<String>().to_uppercase();
        changed |= CHANGES_ROWS.iter().any(|word| start.contains(word)) && rows.count > 0;
        changed |= CHANGES_TABLES.iter().any(|word| start.contains(word));
        results.push(rows.maps());
        counts.push(rows.count);
        executed.push(statement);
    }
    if arguments.single_transaction {
        client.run("COMMIT").await.map_err(told)?;
    }
    let mut values = Map::new();
    values.insert("executed_queries".to_owned(), json!(executed));
    values.insert("query_result".to_owned(), json!(results));
    values.insert("rowcount".to_owned(), json!(counts));
    Ok(Outcome { changed, values, ..Outcome::default() })
}

fn refused(query: &str, arguments: &Arguments, error: &crate::sql::Error) -> String {
    let given = match (&arguments.positional_args, &arguments.named_args) {
        (Some(list), _) => Value::from(list.clone()),
        (None, Some(map)) => Value::from(map.clone()),
        (None, None) => Value::Null,
    };
    format!("Cannot execute SQL '{query}' args [{}]: {}", arguments::python(&given), exception(error))
}

fn quoted(value: &Value) -> String {
    match value {
        Value::Null => "NULL".to_owned(),
        Value::Bool(truth) => u8::from(*truth).to_string(),
        // As PyMySQL writes it, so that the server takes it for no decimal.
        Value::Number(number) if number.is_f64() && !number.to_string().contains('e') => format!("{number}e0"),
        Value::Number(number) => number.to_string(),
        other => literal(&arguments::text(other)),
    }
}
