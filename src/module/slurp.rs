//! `slurp`: the content of a file of the target, in Base64.

use std::fs::File;
use std::io::{self, Read as _};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::{Map, json};

use crate::module::arguments::{Kind, Parameter};
use crate::module::{Call, Context, Error, Failed, Mode, Outcome, typed};

/// What it may be told.
pub const PARAMETERS: &[Parameter] = &[Parameter::new("src", Kind::Text).or(&["path"]).required()];

/// Most bytes of a file: the whole of it goes into one answer.
const MOST: u64 = 16 << 20;

/// What is wanted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Arguments {
    /// The file.
    pub src: String,
}

pub(crate) fn parse(Call { arguments, .. }: Call) -> Result<Arguments, Error> {
    typed("slurp", arguments)
}

pub(crate) fn run(arguments: &Arguments, host: &Context, _mode: Mode) -> Result<Outcome, Failed> {
    let source = host.system.path(&arguments.src);
    let told = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound => Failed::new(format!("file not found: {source}")),
        io::ErrorKind::PermissionDenied => Failed::new(format!("file is not readable: {source}")),
        io::ErrorKind::IsADirectory => Failed::new(format!("source is a directory and must be a file: {source}")),
        _ => Failed::new(format!("unable to slurp file: {error}")),
    };
    let mut content = vec![];
    let file = File::open(host.system.real(&source)).map_err(told)?;
    file.take(MOST + 1).read_to_end(&mut content).map_err(told)?;
    if content.len() as u64 > MOST {
        return Err(Failed::new(format!("unable to slurp file: {source} is longer than {MOST} bytes; use `fetch`")));
    }
    let values = Map::from_iter([
        ("content".to_owned(), json!(STANDARD.encode(content))),
        ("source".to_owned(), json!(source)),
        ("encoding".to_owned(), json!("base64")),
    ]);
    Ok(Outcome { values, ..Outcome::default() })
}
