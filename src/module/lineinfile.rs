//! `lineinfile`: one line of a file is there, or is not.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::module::arguments::{Kind, Parameter};
use crate::module::attributes::{self, Attributes, GROUP, MODE, OWNER, UNSAFE_WRITES};
use crate::module::{Error, apart, typed};

/// What it may be told.
pub const PARAMETERS: &[Parameter] = &[
    Parameter::new("path", Kind::Text).or(&["dest", "destfile", "name"]).required(),
    Parameter::new("state", Kind::Choice(&["absent", "present"])),
    Parameter::new("regexp", Kind::Text).or(&["regex"]),
    Parameter::new("search_string", Kind::Text),
    Parameter::new("line", Kind::Text).or(&["value"]),
    Parameter::new("insertafter", Kind::Text),
    Parameter::new("insertbefore", Kind::Text),
    Parameter::new("backrefs", Kind::Flag),
    Parameter::new("create", Kind::Flag),
    Parameter::new("backup", Kind::Flag),
    Parameter::new("firstmatch", Kind::Flag),
    Parameter::new("validate", Kind::Text),
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
    /// Whether the line is there.
    #[serde(default)]
    pub state: State,
    /// The line that is replaced or removed: the last that this Python expression finds something in.
    pub regexp: Option<String>,
    /// The same with plain text.
    pub search_string: Option<String>,
    /// The line, without its end.
    pub line: Option<String>,
    /// `EOF`, or an expression: behind the last line that matches.
    pub insertafter: Option<String>,
    /// `BOF`, or an expression: before the last line that matches.
    pub insertbefore: Option<String>,
    /// Whether `\1` in `line` means what a group of `regexp` matched.
    #[serde(default)]
    pub backrefs: bool,
    /// Whether a missing file is made.
    #[serde(default)]
    pub create: bool,
    /// Whether the old file is kept beside.
    #[serde(default)]
    pub backup: bool,
    /// Whether the first line that matches an anchor counts instead of the last.
    #[serde(default)]
    pub firstmatch: bool,
    /// A command that must accept the new file (`%s`) before it is put in place.
    pub validate: Option<String>,
    /// Mode, owner, group.
    #[serde(flatten)]
    pub attributes: Attributes,
}

/// Whether something is there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// It is.
    #[default]
    Present,
    /// It is not.
    Absent,
}

pub(crate) fn parse(arguments: Map<String, Value>) -> Result<Arguments, Error> {
    let missing = |name: &str| Error::Missing { module: "lineinfile".to_owned(), name: name.to_owned() };
    apart("lineinfile", &arguments, &["insertbefore", "insertafter"])?;
    apart("lineinfile", &arguments, &["regexp", "search_string"])?;
    let arguments: Arguments = typed("lineinfile", arguments)?;
    if arguments.backrefs && arguments.regexp.is_none() {
        return Err(missing("regexp (for `backrefs`)"));
    }
    let unfindable = arguments.regexp.is_none() && arguments.search_string.is_none();
    match arguments.state {
        State::Present if arguments.line.is_none() => return Err(missing("line")),
        State::Absent if unfindable && arguments.line.is_none() => {
            return Err(missing("line, search_string or regexp"));
        }
        _ => {}
    }
    attributes::check("lineinfile", "mode", arguments.attributes.mode.as_deref())?;
    Ok(arguments)
}
