//! `debconf`: answers to questions that packages ask when they are configured.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::module::arguments::{Kind, Parameter};
use crate::module::program::{self, Setting};
use crate::module::{Call, Context, Error, Failed, Mode, Outcome, typed};
use crate::secret::Secret;

const TYPES: Kind =
    Kind::Choice(&["boolean", "error", "multiselect", "note", "password", "seen", "select", "string", "text", "title"]);

/// What it may be told.
pub const PARAMETERS: &[Parameter] = &[
    Parameter::new("name", Kind::Text).or(&["pkg"]).required(),
    Parameter::new("question", Kind::Text).or(&["selection", "setting"]),
    Parameter::new("vtype", TYPES),
    Parameter::new("value", Kind::Text).or(&["answer"]),
    Parameter::new("unseen", Kind::Flag),
];

/// What is wanted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Arguments {
    /// The package.
    pub name: String,
    /// The question; without one the answers are only told.
    pub question: Option<String>,
    /// Its kind.
    pub vtype: Option<String>,
    /// The answer.
    pub value: Option<Secret>,
    /// Whether it may be asked again.
    #[serde(default)]
    pub unseen: bool,
}

pub(crate) fn parse(Call { arguments, .. }: Call) -> Result<Arguments, Error> {
    let arguments: Arguments = typed("debconf", arguments)?;
    let given = [arguments.question.is_some(), arguments.vtype.is_some(), arguments.value.is_some()];
    if given.contains(&true) && given.contains(&false) {
        let name = "question, vtype and value together".to_owned();
        return Err(Error::Missing { module: "debconf".to_owned(), name });
    }
    Ok(arguments)
}

/// Reads what `debconf-show` writes.
pub fn answers(text: &str) -> BTreeMap<String, String> {
    let pair = |line: &str| {
        let (key, value) = line.split_once(':')?;
        Some((key.trim_matches('*').trim().to_owned(), value.trim().to_owned()))
    };
    text.lines().filter_map(pair).collect()
}

pub(crate) fn run(arguments: &Arguments, host: &Context, mode: Mode) -> Result<Outcome, Failed> {
    let shown = program::english(&["debconf-show", &arguments.name], host)?;
    if shown.status != 0 {
        return Err(Failed::new(shown.stderr));
    }
    let before = answers(&shown.stdout);
    let mut outcome = Outcome::default();
    let mut tell = |name: &str, value| drop(outcome.values.insert(name.to_owned(), value));
    tell("msg", json!(""));
    let (Some(question), Some(kind), Some(value)) = (&arguments.question, &arguments.vtype, &arguments.value) else {
        tell("current", json!(before));
        return Ok(outcome);
    };
    let existing = before.get(question);
    let wanted = match kind.as_str() {
        "boolean" if existing.is_some() => value.reveal().to_lowercase(),
        _ => value.reveal().to_owned(),
    };
    let same = |has: &String| if kind == "boolean" { has.to_lowercase() == wanted } else { *has == wanted };
    if existing.is_some_and(same) {
        tell("current", json!(before));
        return Ok(outcome);
    }
    if mode == Mode::Apply {
        let answer = match (kind.as_str(), wanted.as_str()) {
            ("boolean", "True") => "true",
            ("boolean", "False") => "false",
            (_, other) => other,
        };
        let line = format!("{} {question} {kind} {answer}", arguments.name);
        let unseen = arguments.unseen.then(|| "-u".to_owned());
        let words = ["debconf-set-selections".to_owned()].into_iter().chain(unseen).collect::<Vec<_>>();
        let ran = program::run(&words, &Setting { input: line.into_bytes(), ..Setting::default() }, host)?;
        if ran.status != 0 {
            return Err(Failed::new(ran.stderr));
        }
        tell("msg", json!(ran.stdout));
    }
    let mut previous = before.clone();
    if let Some(existing) = existing {
        previous = BTreeMap::from([(question.clone(), existing.clone())]);
    } else {
        previous.insert(question.clone(), String::new());
    }
    tell("current", json!({ question: wanted }));
    tell("previous", json!(previous));
    outcome.changed = true;
    Ok(outcome)
}
