//! `file`: a file's kind, owner, group and mode.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::module::arguments::{Kind, Parameter};
use crate::module::attributes::{self, Attributes, GROUP, MODE, OWNER, UNSAFE_WRITES};
use crate::module::{Error, typed};

/// What it may be told.
pub const PARAMETERS: &[Parameter] = &[
    Parameter::new("path", Kind::Text).or(&["dest", "name"]).required(),
    Parameter::new("state", Kind::Choice(&["absent", "directory", "file", "hard", "link", "touch"])),
    Parameter::new("src", Kind::Text),
    Parameter::new("recurse", Kind::Flag),
    Parameter::new("force", Kind::Flag),
    Parameter::new("follow", Kind::Flag),
    Parameter::new("modification_time", Kind::Text),
    Parameter::new("modification_time_format", Kind::Text),
    Parameter::new("access_time", Kind::Text),
    Parameter::new("access_time_format", Kind::Text),
    MODE,
    OWNER,
    GROUP,
    UNSAFE_WRITES,
];

/// What is wanted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Arguments {
    /// Where; `~` is the agent's home.
    pub path: String,
    /// What it shall be; without one: what it is, `link` or `hard` being told by `src` alone no more.
    pub state: Option<State>,
    /// What a link points at.
    pub src: Option<String>,
    /// Whether the attributes are meant for everything below a directory too.
    #[serde(default)]
    pub recurse: bool,
    /// Whether a link may replace a file, or point at nothing.
    #[serde(default)]
    pub force: bool,
    /// Whether a link at `path` is followed.
    #[serde(default = "yes")]
    pub follow: bool,
    /// `preserve`, `now` or a time.
    pub modification_time: Option<String>,
    /// How it is written (strftime).
    pub modification_time_format: Option<String>,
    /// `preserve`, `now` or a time.
    pub access_time: Option<String>,
    /// How it is written (strftime).
    pub access_time_format: Option<String>,
    /// Mode, owner, group.
    #[serde(flatten)]
    pub attributes: Attributes,
}

/// What a path shall be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Nothing.
    Absent,
    /// A directory, its parents too.
    Directory,
    /// A file that is already there.
    File,
    /// A hard link to `src`.
    Hard,
    /// A symbolic link to `src`.
    Link,
    /// A file, made empty if it is not there, its times set.
    Touch,
}

fn yes() -> bool {
    true
}

pub(crate) fn parse(arguments: Map<String, Value>) -> Result<Arguments, Error> {
    let arguments: Arguments = typed("file", arguments)?;
    attributes::check("file", "mode", arguments.attributes.mode.as_deref())?;
    let wants = |state| arguments.state == Some(state);
    if arguments.recurse && !wants(State::Directory) {
        return Err(Error::Missing { module: "file".to_owned(), name: "state: directory (for `recurse`)".to_owned() });
    }
    if wants(State::Hard) && arguments.src.is_none() {
        return Err(Error::Missing { module: "file".to_owned(), name: "src".to_owned() });
    }
    Ok(arguments)
}
