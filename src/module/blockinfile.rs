//! `blockinfile`: some lines between two marker lines of a file are there, or are not.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::module::arguments::{Kind, Parameter};
use crate::module::attributes::{self, Attributes, GROUP, MODE, OWNER, UNSAFE_WRITES};
use crate::module::lineinfile::State;
use crate::module::{Error, apart, typed};

/// What it may be told.
pub const PARAMETERS: &[Parameter] = &[
    Parameter::new("path", Kind::Text).or(&["dest", "destfile", "name"]).required(),
    Parameter::new("state", Kind::Choice(&["absent", "present"])),
    Parameter::new("marker", Kind::Text),
    Parameter::new("marker_begin", Kind::Text),
    Parameter::new("marker_end", Kind::Text),
    Parameter::new("block", Kind::Text).or(&["content"]),
    Parameter::new("insertafter", Kind::Text),
    Parameter::new("insertbefore", Kind::Text),
    Parameter::new("create", Kind::Flag),
    Parameter::new("backup", Kind::Flag),
    Parameter::new("validate", Kind::Text),
    Parameter::new("append_newline", Kind::Flag),
    Parameter::new("prepend_newline", Kind::Flag),
    MODE,
    OWNER,
    GROUP,
    UNSAFE_WRITES,
];

/// What is wanted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(clippy::struct_excessive_bools, reason = "the parameters of the module, as Ansible names them")]
pub struct Arguments {
    /// The file.
    pub path: String,
    /// Whether the block is there.
    #[serde(default)]
    pub state: State,
    /// The marker lines, with `{mark}` for the word that tells them apart.
    #[serde(default = "marker")]
    pub marker: String,
    /// The word in the line before the block.
    #[serde(default = "begin")]
    pub marker_begin: String,
    /// The word in the line behind the block.
    #[serde(default = "end")]
    pub marker_end: String,
    /// The lines; none means that the block is not there.
    #[serde(default)]
    pub block: String,
    /// `EOF`, or an expression: behind the last line that matches.
    pub insertafter: Option<String>,
    /// `BOF`, or an expression: before the last line that matches.
    pub insertbefore: Option<String>,
    /// Whether a missing file is made.
    #[serde(default)]
    pub create: bool,
    /// Whether the old file is kept beside.
    #[serde(default)]
    pub backup: bool,
    /// A command that must accept the new file (`%s`) before it is put in place.
    pub validate: Option<String>,
    /// Whether an empty line is wanted behind the block.
    #[serde(default)]
    pub append_newline: bool,
    /// Whether an empty line is wanted before the block.
    #[serde(default)]
    pub prepend_newline: bool,
    /// Mode, owner, group.
    #[serde(flatten)]
    pub attributes: Attributes,
}

fn marker() -> String {
    "# {mark} ANSIBLE MANAGED BLOCK".to_owned()
}

fn begin() -> String {
    "BEGIN".to_owned()
}

fn end() -> String {
    "END".to_owned()
}

pub(crate) fn parse(arguments: Map<String, Value>) -> Result<Arguments, Error> {
    apart("blockinfile", &arguments, &["insertbefore", "insertafter"])?;
    let arguments: Arguments = typed("blockinfile", arguments)?;
    attributes::check("blockinfile", "mode", arguments.attributes.mode.as_deref())?;
    Ok(arguments)
}
