//! `mysql_variables`: global variables of MariaDB and MySQL.
//!
//! Source: community.mysql 3.8, `plugins/modules/mysql_variables.py`.

use serde::{Deserialize, Serialize};
use serde_json::{Map, json};

use crate::module::arguments::{Kind, Parameter};
use crate::module::database::{joined, unchecked, wait};
use crate::module::mysql_login::{self, Implicit, Login, exception};
use crate::module::{Call, Context, Error, Failed, Mode, Outcome, typed};
use crate::sql::mysql::{Client, literal};

/// What it may be told.
pub const PARAMETERS: &[Parameter] = &joined::<3, 7, 10>(
    [
        Parameter::new("variable", Kind::Text).required(),
        Parameter::new("value", Kind::Text),
        Parameter::new("mode", Kind::Choice(&["global"])),
    ],
    mysql_login::PARAMETERS,
);

/// What is wanted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Arguments {
    /// The variable.
    pub variable: String,
    /// Its value; it is only read if there is none.
    pub value: Option<String>,
    /// How to get in.
    #[serde(flatten)]
    pub login: Login,
}

pub(crate) fn parse(Call { arguments, .. }: Call) -> Result<Arguments, Error> {
    let arguments: Arguments = typed("mysql_variables", arguments)?;
    let fine = |letter: char| letter.is_ascii_alphanumeric() || letter == '_' || letter == '.';
    if !arguments.variable.is_empty() && arguments.variable.chars().all(fine) {
        return Ok(arguments);
    }
    Err(Error::Value {
        module: "mysql_variables".to_owned(),
        name: "variable".to_owned(),
        value: arguments.variable,
        wanted: "the name of a variable".to_owned(),
    })
}

pub(crate) fn run(arguments: &Arguments, host: &Context, mode: Mode) -> Result<Outcome, Failed> {
    if mode == Mode::Check {
        return Ok(unchecked("community.mysql.mysql_variables"));
    }
    wait(async {
        let login = &arguments.login;
        let client = mysql_login::connect(login, Implicit::Untried, Some("mysql"), host).await;
        let mut client = client.map_err(|error| mysql_login::refused_or_no_file(login, &error, host))?;
        let outcome = carried_out(arguments, &mut client).await?;
        client.close().await;
        Ok(outcome)
    })
}

async fn carried_out(arguments: &Arguments, client: &mut Client) -> Result<Outcome, Failed> {
    let name = &arguments.variable;
    let show = format!("SHOW VARIABLES WHERE Variable_name = {}", literal(name));
    let rows = client.run(show).await.map_err(|error| Failed::new(exception(&error)))?;
    let found = rows.rows.first().and_then(|row| row.get(1).cloned().flatten());
    let found = found.ok_or_else(|| Failed::new(format!("Variable not available \"{name}\"")))?;
    let Some(wanted) = &arguments.value else { return Ok(told(&found, None)) };
    if Typed::of(wanted) == Typed::of(&found) {
        return Ok(told("Variable is already set to requested value.", None));
    }
    let quoted = format!("`{}`", name.replace('.', "`.`"));
    let (value, shown) = match Typed::of(wanted) {
        Typed::Text(text) => (literal(&text), text),
        number => (number.text(), number.text()),
    };
    client.run(format!("SET GLOBAL {quoted} = {value}")).await.map_err(|error| Failed::new(exception(&error)))?;
    let message = format!("Variable change succeeded prev_value={}", Typed::of(&found).text());
    Ok(told(&message, Some(&format!("SET GLOBAL {quoted} = {shown}"))))
}

fn told(message: &str, query: Option<&str>) -> Outcome {
    let mut values = Map::new();
    values.insert("msg".to_owned(), json!(message));
    if let Some(query) = query {
        values.insert("queries".to_owned(), json!([query]));
    }
    Outcome { changed: query.is_some(), values, ..Outcome::default() }
}

/// A value as Python sees it: a number if it can be one.
#[derive(Clone, Debug, PartialEq)]
enum Typed {
    Integer(i128),
    Float(f64),
    Text(String),
}

impl Typed {
    fn of(text: &str) -> Self {
        let trimmed = text.trim();
        match (trimmed.parse(), trimmed.parse()) {
            (Ok(number), _) => Self::Integer(number),
            (Err(_), Ok(number)) => Self::Float(number),
            (Err(_), Err(_)) => Self::Text(text.to_owned()),
        }
    }

    fn text(&self) -> String {
        match self {
            Self::Integer(number) => number.to_string(),
            Self::Float(number) => format!("{number:?}"),
            Self::Text(text) => text.clone(),
        }
    }
}
