//! `tempfile`: a new file or directory of the target for a while.

use std::fs::{DirBuilder, OpenOptions};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};

use serde::{Deserialize, Serialize};
use serde_json::{Map, json};

use crate::module::arguments::{Kind, Parameter};
use crate::module::{Call, Context, Error, Failed, Mode, Outcome, plan, typed};

/// What it may be told.
pub const PARAMETERS: &[Parameter] = &[
    Parameter::new("state", Kind::Choice(&["directory", "file"])),
    Parameter::new("path", Kind::Text),
    Parameter::new("prefix", Kind::Text),
    Parameter::new("suffix", Kind::Text),
];

/// Letters of the names.
const LETTERS: &[u8] = b"abcdefghijklmnopqrstuvwxyz0123456789_";

/// What is wanted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Arguments {
    /// What is made.
    #[serde(default)]
    pub state: State,
    /// The directory that it is made in.
    pub path: Option<String>,
    /// How its name begins.
    #[serde(default = "ansible")]
    pub prefix: String,
    /// How its name ends.
    #[serde(default)]
    pub suffix: String,
}

/// What is made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// A directory.
    Directory,
    /// A file.
    #[default]
    File,
}

fn ansible() -> String {
    "ansible.".to_owned()
}

pub(crate) fn parse(Call { arguments, .. }: Call) -> Result<Arguments, Error> {
    typed("tempfile", arguments)
}

pub(crate) fn run(arguments: &Arguments, host: &Context, mode: Mode) -> Result<Outcome, Failed> {
    if mode == Mode::Check {
        let why = "remote module (tempfile) does not support check mode";
        let values = Map::from_iter([("msg".to_owned(), json!(why))]);
        return Ok(Outcome { skipped: true, values, ..Outcome::default() });
    }
    let named = || host.environment.get("TMPDIR").cloned().or_else(|| std::env::var("TMPDIR").ok());
    let above = arguments.path.clone().or_else(named).unwrap_or_else(|| "/tmp".to_owned());
    let above = host.system.path(&above);
    let random = std::iter::repeat_with(|| char::from(LETTERS[rand::random_range(0..LETTERS.len())]));
    let name: String = random.take(8).collect();
    let path = format!("{}/{}{name}{}", above.trim_end_matches('/'), arguments.prefix, arguments.suffix);
    let real = host.system.real(&path);
    let made = match arguments.state {
        State::Directory => DirBuilder::new().mode(0o700).create(real),
        State::File => OpenOptions::new().write(true).create_new(true).mode(0o600).open(real).map(|_| ()),
    };
    made.map_err(|error| Failed::new(format!("cannot make {path}: {error}")))?;
    let mut values = Map::from_iter([("path".to_owned(), json!(path))]);
    plan::about(&path, host.system, &mut values);
    Ok(Outcome { changed: true, values, ..Outcome::default() })
}
