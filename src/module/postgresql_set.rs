//! `postgresql_set`: settings of a PostgreSQL server (`ALTER SYSTEM`).
//!
//! Source: community.postgresql 2.4, `plugins/modules/postgresql_set.py`.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::module::arguments::{Kind, Parameter};
use crate::module::database::{joined, wait};
use crate::module::postgresql_login::{self, Login, exception, trusted};
use crate::module::{Call, Context, Error, Failed, Mode, Outcome, apart, typed};
use crate::sql::postgres::{Client, literal};

/// What it may be told.
pub const PARAMETERS: &[Parameter] = &joined::<4, 8, 12>(
    [
        Parameter::new("name", Kind::Text).required(),
        Parameter::new("db", Kind::Text).or(&["login_db"]),
        Parameter::new("value", Kind::Text),
        Parameter::new("reset", Kind::Flag),
    ],
    postgresql_login::PARAMETERS,
);

/// What is wanted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Arguments {
    /// The setting.
    pub name: String,
    /// The database that is connected to.
    pub db: Option<String>,
    /// Its value.
    pub value: Option<String>,
    /// Whether it gets the value that it starts with.
    #[serde(default)]
    pub reset: bool,
    /// How to get in.
    #[serde(flatten)]
    pub login: Login,
}

pub(crate) fn parse(Call { arguments, .. }: Call) -> Result<Arguments, Error> {
    let module = "postgresql_set".to_owned();
    if arguments.get("reset") == Some(&Value::Bool(true)) {
        apart(&module, &arguments, &["value", "reset"])?;
    }
    let mut arguments: Arguments = typed(&module, arguments)?;
    if arguments.value.is_none() && !arguments.reset {
        return Err(Error::Missing { module, name: "value or reset".to_owned() });
    }
    let fine = |letter: char| letter.is_ascii_alphanumeric() || letter == '_' || letter == '.';
    if arguments.name.is_empty() || !arguments.name.chars().all(fine) {
        let (name, value) = ("name".to_owned(), arguments.name);
        return Err(Error::Value { module, name, value, wanted: "the name of a setting".to_owned() });
    }
    arguments.value = arguments.value.map(|value| spelled(&value));
    Ok(arguments)
}

/// A value as the server spells it: `1mb` → `1MB`, `True` → `on`.
fn spelled(value: &str) -> String {
    let number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let sized = ["mb", "gb", "tb", "b"].iter().any(|unit| value.strip_suffix(unit).is_some_and(number));
    match value {
        "True" => "on".to_owned(),
        "False" => "off".to_owned(),
        _ if sized => value.to_uppercase(),
        _ => value.to_owned(),
    }
}

/// A setting as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Found {
    /// As `SHOW` shows it.
    pub shown: String,
    /// As the server counts it.
    pub setting: String,
    /// What it counts.
    pub unit: Option<String>,
    /// When it can be changed.
    pub context: String,
    /// What it starts with, as the server counts it.
    pub boot: Option<String>,
}

pub(crate) fn run(arguments: &Arguments, host: &Context, mode: Mode) -> Result<Outcome, Failed> {
    let login = &arguments.login;
    trusted(login, &[Some(&arguments.name), arguments.value.as_deref(), login.session_role.as_deref()])?;
    wait(async {
        let connect = || postgresql_login::connect(login, arguments.db.as_deref(), host);
        let client = connect().await?;
        let found = look(&arguments.name, &client).await?;
        if found.context == "internal" {
            return Err(Failed::new(format!(
                "{}: cannot be changed (internal context). See \
                 https://www.postgresql.org/docs/current/runtime-config-preset.html",
                arguments.name
            )));
        }
        if mode == Mode::Check {
            return Ok(checked(arguments, &found));
        }
        let statement = plan(arguments, &found);
        let mut told = Told::new(arguments, &found);
        if let Some(statement) = &statement {
            alter(arguments, statement, &found, &client).await?;
            told.changed = true;
            told.value_pretty = arguments.value.clone().unwrap_or_else(|| found.shown.clone());
        } else if arguments.reset {
            told.value = Some(raw(&found));
            return Ok(told.outcome());
        }
        told.restart_required = found.context == "postmaster";
        if found.context != "postmaster" {
            let after = after(&found, statement.is_some(), &arguments.name, connect).await?;
            told.changed = after.setting != found.setting;
            told.value_pretty.clone_from(&after.shown);
            told.value = Some(raw(&after));
        }
        let mut outcome = told.outcome();
        if outcome.changed && told.restart_required {
            outcome.warnings.push(format!("Restart of PostgreSQL is required for setting {}", arguments.name));
        }
        Ok(outcome)
    })
}

/// How often is looked for a change that the server makes beside us, and how long is waited between two looks.
const LOOKS: usize = 20;
const PAUSE: Duration = Duration::from_millis(50);

/// The setting afterwards, as new connections have it: the server reads its files again in its own time.
async fn after<F: Future<Output = Result<Client, Failed>>>(
    found: &Found,
    altered: bool,
    name: &str,
    connect: impl Fn() -> F,
) -> Result<Found, Failed> {
    let mut after = look(name, &connect().await?).await?;
    for _ in 0..LOOKS {
        if !altered || after.setting != found.setting {
            break;
        }
        tokio::time::sleep(PAUSE).await;
        after = look(name, &connect().await?).await?;
    }
    Ok(after)
}

async fn alter(arguments: &Arguments, statement: &str, found: &Found, client: &Client) -> Result<(), Failed> {
    let told = |error: crate::sql::Error| {
        Failed::new(format!("Unable to set {} value due to : {}", arguments.name, exception(&error)))
    };
    client.run(statement).await.map_err(told)?;
    if found.context != "postmaster" {
        client.run("SELECT pg_reload_conf()").await.map_err(told)?;
    }
    Ok(())
}

async fn look(name: &str, client: &Client) -> Result<Found, Failed> {
    let told =
        |error: crate::sql::Error| Failed::new(format!("Unable to get {name} value due to : {}", exception(&error)));
    let select = format!(
        "SELECT setting, unit, context, boot_val FROM pg_settings WHERE lower(name) = lower({})",
        literal(name)
    );
    let row = client.run(select).await.map_err(told)?.row();
    let shown = client.run(format!("SHOW {name}")).await.map_err(told)?;
    let row = row.ok_or_else(|| {
        Failed::new(format!(
            "No such parameter: {name}. Please check its spelling or presence in your PostgreSQL version \
             (https://www.postgresql.org/docs/current/runtime-config.html)"
        ))
    })?;
    let word = |name: &str| row.get(name).cloned().flatten();
    Ok(Found {
        shown: shown.value().unwrap_or_default().to_owned(),
        setting: word("setting").unwrap_or_default(),
        unit: word("unit"),
        context: word("context").unwrap_or_default(),
        boot: word("boot_val"),
    })
}

/// What the result says.
struct Told {
    name: String,
    changed: bool,
    restart_required: bool,
    prev_val_pretty: String,
    value_pretty: String,
    context: String,
    value: Option<Value>,
}

impl Told {
    fn new(arguments: &Arguments, found: &Found) -> Self {
        Self {
            name: arguments.name.clone(),
            changed: false,
            restart_required: false,
            prev_val_pretty: found.shown.clone(),
            value_pretty: found.shown.clone(),
            context: found.context.clone(),
            value: None,
        }
    }

    fn outcome(&self) -> Outcome {
        let mut values = Map::new();
        let mut tell = |name: &str, value: Value| values.insert(name.to_owned(), value);
        tell("name", json!(self.name));
        tell("restart_required", json!(self.restart_required));
        tell("prev_val_pretty", json!(self.prev_val_pretty));
        tell("value_pretty", json!(self.value_pretty));
        tell("context", json!(self.context));
        if let Some(value) = &self.value {
            tell("value", value.clone());
        }
        Outcome { changed: self.changed, values, ..Outcome::default() }
    }
}

/// The value in bytes where it is one of memory.
fn raw(found: &Found) -> Value {
    let scale = match found.unit.as_deref() {
        Some("kB") => Some(1024),
        Some("MB") => Some(1024 * 1024),
        _ => None,
    };
    match (scale, found.setting.parse::<i64>()) {
        (Some(scale), Ok(number)) if number > 0 => json!({ "value": number * scale, "unit": "b" }),
        (Some(_), _) => json!({ "value": found.setting, "unit": "b" }),
        _ => json!({ "value": found.setting, "unit": found.unit }),
    }
}

fn checked(arguments: &Arguments, found: &Found) -> Outcome {
    let mut told = Told::new(arguments, found);
    if arguments.value.as_deref().map(bytes) != Some(bytes(&found.shown)) {
        told.changed = true;
        told.value_pretty = arguments.value.clone().unwrap_or_default();
    }
    told.value = Some(raw(found));
    told.restart_required = found.context == "postmaster";
    told.outcome()
}

/// A value in bytes, if it is one of memory.
fn bytes(text: &str) -> String {
    let units = [("kB", 1_i128 << 10), ("MB", 1 << 20), ("GB", 1 << 30), ("TB", 1 << 40), ("B", 1)];
    let sized = units.iter().find_map(|(unit, scale)| {
        let number: i128 = text.strip_suffix(unit)?.parse().ok()?;
        Some((number * scale).to_string())
    });
    sized.unwrap_or_else(|| text.to_owned())
}

/// The statement that makes it so, if one is needed.
pub fn plan(arguments: &Arguments, found: &Found) -> Option<String> {
    let name = &arguments.name;
    let value = match &arguments.value {
        Some(value) if *value != found.shown => value.clone(),
        Some(_) => return None,
        None if found.boot.as_ref() == Some(&found.setting) => return None,
        None => found.boot.clone().unwrap_or_default(),
    };
    if value.to_lowercase() == "default" {
        return Some(format!("ALTER SYSTEM SET {name} = DEFAULT"));
    }
    // Commands and prefixes hold commas without being lists.
    let list =
        arguments.value.is_some() && value.contains(',') && !name.ends_with("_command") && !name.ends_with("_prefix");
    let quoted = |text: &str| literal(text).trim_start().to_owned();
    let value = if list {
        value.split(',').map(|item| quoted(item.trim())).collect::<Vec<_>>().join(",")
    } else {
        quoted(&value)
    };
    Some(format!("ALTER SYSTEM SET {name} = {value}"))
}
