//! `getent`: entries of the system's databases, told as facts.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::module::arguments::{Kind, Parameter};
use crate::module::{Call, Context, Error, Failed, Mode, Outcome, program, typed};

/// What it may be told.
pub const PARAMETERS: &[Parameter] = &[
    Parameter::new("database", Kind::Text).required(),
    Parameter::new("key", Kind::Text),
    Parameter::new("service", Kind::Text),
    Parameter::new("split", Kind::Text),
    Parameter::new("fail_key", Kind::Flag),
];

/// What is wanted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Arguments {
    /// The database, e.g. `passwd`.
    pub database: String,
    /// The entry; all of them if none.
    pub key: Option<String>,
    /// Where it is looked for, e.g. `files`.
    pub service: Option<String>,
    /// What stands between fields.
    pub split: Option<String>,
    /// Whether an entry that is not there is a failure.
    #[serde(default = "yes")]
    pub fail_key: bool,
}

fn yes() -> bool {
    true
}

pub(crate) fn parse(Call { arguments, .. }: Call) -> Result<Arguments, Error> {
    typed("getent", arguments)
}

pub(crate) fn run(arguments: &Arguments, host: &Context, _: Mode) -> Result<Outcome, Failed> {
    let mut words = vec!["getent", &arguments.database];
    words.extend(arguments.key.as_deref());
    words.extend(arguments.service.iter().flat_map(|service| ["-s", service]));
    let ran = program::english(&words, host)?;
    let mut outcome = Outcome::default();
    let missing = "One or more supplied key could not be found in the database.";
    let found = match (ran.status, &arguments.key) {
        (0, _) => entries(arguments, &ran.stdout),
        (2, Some(key)) if !arguments.fail_key => {
            outcome.values.insert("msg".to_owned(), json!(missing));
            Map::from_iter([(key.clone(), Value::Null)])
        }
        (1, _) => return Err(Failed::new("Missing arguments, or database unknown.")),
        (2, _) => return Err(Failed::new(missing)),
        (3, _) => return Err(Failed::new("Enumeration not supported on this database.")),
        _ => return Err(Failed::new("Unexpected failure!")),
    };
    let facts = Map::from_iter([(format!("getent_{}", arguments.database), Value::Object(found))]);
    outcome.values.insert("ansible_facts".to_owned(), Value::Object(facts));
    Ok(outcome)
}

/// The entries by their first fields. Of one that comes again all are kept, in a list.
fn entries(arguments: &Arguments, text: &str) -> Map<String, Value> {
    let colons = matches!(arguments.database.as_str(), "passwd" | "shadow" | "group" | "gshadow");
    let split = arguments.split.as_deref().or(colons.then_some(":"));
    let mut found: Map<String, Value> = Map::new();
    let mut again: Vec<String> = vec![];
    for line in text.lines() {
        let mut fields = match split {
            Some(split) => line.split(split).map(str::to_owned).collect::<Vec<_>>(),
            None => line.split_whitespace().map(str::to_owned).collect(),
        };
        if fields.is_empty() {
            continue;
        }
        let key = fields.remove(0);
        let rest = json!(fields);
        match found.get_mut(&key) {
            None => drop(found.insert(key, rest)),
            Some(Value::Array(known)) if again.contains(&key) => known.push(rest),
            Some(known) => {
                *known = json!([known.take(), rest]);
                again.push(key);
            }
        }
    }
    found
}
