//! `package_facts`: all packages that are installed, told as facts.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::module::arguments::{Kind, Parameter};
use crate::module::{Call, Context, Error, Failed, Mode, Outcome, text, typed};

/// What it may be told.
pub const PARAMETERS: &[Parameter] =
    &[Parameter::new("manager", Kind::List), Parameter::new("strategy", Kind::Choice(&["first", "all"]))];

/// What is wanted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Arguments {
    /// Whose packages: `auto` or `apt`.
    #[serde(default = "any")]
    pub manager: Vec<String>,
}

fn any() -> Vec<String> {
    vec!["auto".to_owned()]
}

pub(crate) fn parse(Call { arguments, .. }: Call) -> Result<Arguments, Error> {
    let arguments: Arguments = typed("package_facts", arguments)?;
    match arguments.manager.iter().find(|manager| !matches!(manager.to_lowercase().as_str(), "auto" | "apt")) {
        None => Ok(arguments),
        Some(other) => Err(Error::Value {
            module: "package_facts".to_owned(),
            name: "manager".to_owned(),
            value: other.clone(),
            wanted: "`auto` or `apt`".to_owned(),
        }),
    }
}

pub(crate) fn run(_: &Arguments, host: &Context, _: Mode) -> Result<Outcome, Failed> {
    let missing = || Failed::new("Could not detect a supported package manager from the following list: ['apt']");
    let status = text::read("/var/lib/dpkg/status", host.system)?.ok_or_else(missing)?;
    let mut outcome = Outcome::default();
    let found = packages(&String::from_utf8_lossy(&status));
    outcome.values.insert("ansible_facts".to_owned(), json!({ "packages": found }));
    Ok(outcome)
}

/// Installed packages by their names, each a list: one may be there for several kinds of machines.
pub fn packages(status: &str) -> Map<String, Value> {
    let mut found: Map<String, Value> = Map::new();
    for paragraph in status.split("\n\n") {
        let fields = paragraph.lines().filter_map(|line| line.split_once(": ")).collect::<BTreeMap<_, _>>();
        let field = |name: &str| fields.get(name).copied().unwrap_or_default();
        if field("Package").is_empty() || !field("Status").ends_with(" installed") {
            continue;
        }
        let package = json!({
            "name": field("Package"),
            "version": field("Version"),
            "arch": field("Architecture"),
            "category": field("Section"),
            "origin": "",
            "source": "apt",
        });
        match found.get_mut(field("Package")) {
            Some(Value::Array(known)) => known.push(package),
            _ => drop(found.insert(field("Package").to_owned(), json!([package]))),
        }
    }
    found
}
