//! `ini_file`: options in the sections of a file.

use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::module::arguments::{Kind, Parameter};
use crate::module::attributes::{self, Attributes, GROUP, MODE, OWNER, UNSAFE_WRITES};
use crate::module::edit::{self, Edited, How, Scene};
use crate::module::system::FileKind;
use crate::module::{Call, Context, Error, Failed, Mode, Outcome, Plan, apart, plan as planned, typed};

mod lines;

use lines::Lines;

/// What it may be told.
pub const PARAMETERS: &[Parameter] = &[
    Parameter::new("path", Kind::Text).or(&["dest"]).required(),
    Parameter::new("section", Kind::Text),
    Parameter::new("option", Kind::Text),
    Parameter::new("value", Kind::Text),
    Parameter::new("values", Kind::List),
    Parameter::new("backup", Kind::Flag),
    Parameter::new("state", Kind::Choice(&["absent", "present"])),
    Parameter::new("exclusive", Kind::Flag),
    Parameter::new("no_extra_spaces", Kind::Flag),
    Parameter::new("ignore_spaces", Kind::Flag),
    Parameter::new("allow_no_value", Kind::Flag),
    Parameter::new("create", Kind::Flag),
    Parameter::new("follow", Kind::Flag),
    MODE,
    OWNER,
    GROUP,
    UNSAFE_WRITES,
];

/// What is wanted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(clippy::struct_excessive_bools, reason = "the parameters of the module, as Ansible names them")]
pub struct Arguments {
    /// Where.
    pub path: String,
    /// The section; what stands before all sections if none.
    pub section: Option<String>,
    /// The option; the whole section if none.
    pub option: Option<String>,
    /// Its values.
    #[serde(default)]
    pub values: Vec<String>,
    /// Whether the old file is kept beside.
    #[serde(default)]
    pub backup: bool,
    /// What they shall be.
    #[serde(default)]
    pub state: State,
    /// Whether other values of the option go.
    #[serde(default = "yes")]
    pub exclusive: bool,
    /// Whether no blanks stand around `=`.
    #[serde(default)]
    pub no_extra_spaces: bool,
    /// Whether a line that differs in blanks alone stays.
    #[serde(default)]
    pub ignore_spaces: bool,
    /// Whether an option may be without a value.
    #[serde(default)]
    pub allow_no_value: bool,
    /// Whether a file that is not there is made.
    #[serde(default = "yes")]
    pub create: bool,
    /// Whether a link is followed.
    #[serde(default)]
    pub follow: bool,
    /// Mode, owner, group.
    #[serde(flatten)]
    pub attributes: Attributes,
}

/// What options shall be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// There.
    #[default]
    Present,
    /// Not there.
    Absent,
}

fn yes() -> bool {
    true
}

pub(crate) fn parse(Call { mut arguments, .. }: Call) -> Result<Arguments, Error> {
    apart("ini_file", &arguments, &["value", "values"])?;
    if let Some(value) = arguments.remove("value") {
        arguments.insert("values".to_owned(), json!([value]));
    }
    let arguments: Arguments = typed("ini_file", arguments)?;
    attributes::check("ini_file", "mode", arguments.attributes.mode.as_deref())?;
    if arguments.state == State::Present && !arguments.allow_no_value && arguments.values.is_empty() {
        return Err(Error::Missing { module: "ini_file".to_owned(), name: "value or values".to_owned() });
    }
    Ok(arguments)
}

pub(crate) fn run(arguments: &Arguments, host: &Context, mode: Mode) -> Result<Outcome, Failed> {
    let mut scene = edit::look(&arguments.path, &arguments.attributes, host, mode)?;
    let link = scene.found.as_ref().is_some_and(|found| found.kind == FileKind::Link);
    if link && !arguments.follow {
        // The link itself is replaced.
        scene.canonical.clone_from(&scene.path);
        scene.found = None;
    }
    let mut plan = plan(arguments, &scene)?;
    plan.tell("path", scene.path.clone());
    planned::finish(plan, host, mode)
}

/// Plans to make the options be there, or not be there.
///
/// # Errors
///
/// [`Failed`]: there is no such file and none is to be made, or it is no text.
pub fn plan(arguments: &Arguments, scene: &Scene) -> Result<Plan, Failed> {
    if scene.content.is_none() && !arguments.create {
        return Err(Failed::new(format!("Destination {} does not exist!", scene.path)).with("rc", 257));
    }
    let content = scene.content.clone().unwrap_or_default();
    let content = content.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&content);
    let text = std::str::from_utf8(content).map_err(|_| Failed::new(format!("{} is no UTF-8 text", scene.path)))?;
    let mut lines = Lines::read(text);
    lines.edit(arguments);
    let message = lines.message;
    let edited = Edited {
        content: lines.written().into_bytes(),
        message: if lines.changed { message.to_owned() } else { String::new() },
    };
    let how = How { backup: arguments.backup, validate: None, attributes: &arguments.attributes };
    let mut plan = edit::plan(scene, &edited, how);
    plan.tell("msg", message);
    Ok(plan)
}
