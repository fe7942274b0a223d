//! `dpkg_selections`: what `dpkg` is to do with a package, e.g. hold it.

use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::module::arguments::{Kind, Parameter};
use crate::module::{Call, Context, Error, Failed, Mode, Outcome, program, typed};

/// What it may be told.
pub const PARAMETERS: &[Parameter] = &[
    Parameter::new("name", Kind::Text).required(),
    Parameter::new("selection", Kind::Choice(&["install", "hold", "deinstall", "purge"])).required(),
];

/// What is wanted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Arguments {
    /// The package.
    pub name: String,
    /// What is to be done with it.
    pub selection: String,
}

pub(crate) fn parse(Call { arguments, .. }: Call) -> Result<Arguments, Error> {
    typed("dpkg_selections", arguments)
}

pub(crate) fn run(arguments: &Arguments, host: &Context, mode: Mode) -> Result<Outcome, Failed> {
    let Arguments { name, selection } = arguments;
    let said = program::must(&["dpkg", "--get-selections", name], "", host)?.stdout;
    let before = said.split_whitespace().nth(1).unwrap_or("not present").to_owned();
    let changed = before != *selection;
    if changed && mode == Mode::Apply {
        program::must(&["dpkg", "--set-selections"], &format!("{name} {selection}"), host)?;
    }
    let mut outcome = Outcome { changed, ..Outcome::default() };
    outcome.values.insert("before".to_owned(), json!(before));
    outcome.values.insert("after".to_owned(), json!(selection));
    Ok(outcome)
}
