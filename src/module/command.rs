//! `command` and `shell`: programs.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::module::arguments::{Kind, Parameter};
use crate::module::{Error, typed};

/// What they may be told, beside a line of text.
pub const PARAMETERS: &[Parameter] = &[
    Parameter::new("cmd", Kind::Text),
    Parameter::new("argv", Kind::List),
    Parameter::new("chdir", Kind::Text),
    Parameter::new("executable", Kind::Text),
    Parameter::new("creates", Kind::Text),
    Parameter::new("removes", Kind::Text),
    Parameter::new("stdin", Kind::Text),
    Parameter::new("stdin_add_newline", Kind::Flag),
    Parameter::new("strip_empty_ends", Kind::Flag),
    Parameter::new("warn", Kind::Flag),
];

/// What is wanted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Arguments {
    /// What to run.
    pub what: What,
    /// Where.
    pub chdir: Option<String>,
    /// The shell of `shell` (`/bin/sh` by default).
    pub executable: Option<String>,
    /// Not if something matches this pattern.
    pub creates: Option<String>,
    /// Not if nothing matches this pattern.
    pub removes: Option<String>,
    /// What it reads.
    pub stdin: Option<String>,
    /// Whether a newline follows.
    #[serde(default = "yes")]
    pub stdin_add_newline: bool,
    /// Whether newlines at the end of what it wrote are left out of the result.
    #[serde(default = "yes")]
    pub strip_empty_ends: bool,
}

/// What to run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum What {
    /// A line for a shell.
    Shell(String),
    /// A line that is split into words as a shell does, variables of the environment filled in.
    Line(String),
    /// Words.
    Words(Vec<String>),
}

fn yes() -> bool {
    true
}

pub(crate) fn parse(
    module: &str,
    free_form: Option<&str>,
    mut arguments: Map<String, Value>,
) -> Result<Arguments, Error> {
    arguments.remove("warn");
    let line = free_form.map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned);
    let cmd = arguments.remove("cmd").and_then(|cmd| cmd.as_str().map(str::to_owned));
    let argv = arguments.remove("argv").and_then(|argv| serde_json::from_value::<Vec<String>>(argv).ok());
    let together = |first: &str, second: &str| Error::Together {
        module: module.to_owned(),
        first: first.to_owned(),
        second: second.to_owned(),
    };
    let what = match (line, cmd, argv) {
        (Some(_), Some(_), _) => return Err(together("a line of text", "cmd")),
        (Some(_), _, Some(_)) => return Err(together("a line of text", "argv")),
        (_, Some(_), Some(_)) => return Err(together("cmd", "argv")),
        (None, None, None) => {
            return Err(Error::Missing { module: module.to_owned(), name: "cmd".to_owned() });
        }
        (_, _, Some(_)) if module == "shell" => {
            return Err(Error::Parameter { module: module.to_owned(), name: "argv".to_owned(), nearest: None });
        }
        (_, _, Some(words)) => What::Words(words),
        (Some(line), ..) | (_, Some(line), _) if module == "shell" => What::Shell(line),
        (Some(line), ..) | (_, Some(line), _) => What::Line(line),
    };
    let what = serde_json::to_value(what).unwrap_or_default();
    arguments.insert("what".to_owned(), what);
    typed(module, arguments)
}
