//! `template`: a file rendered on the control node. On the target it is a `copy`.

use serde::{Deserialize, Serialize};

use crate::module::arguments::{Kind, Parameter};
use crate::module::attributes::{self, Attributes, GROUP, MODE, OWNER, UNSAFE_WRITES};
use crate::module::copy::Source;
use crate::module::{Call, Context, Error, Failed, Mode, Outcome, copy, typed};

/// What it may be told.
pub const PARAMETERS: &[Parameter] = &[
    Parameter::new("src", Kind::Text).required(),
    Parameter::new("dest", Kind::Text).required(),
    Parameter::new("backup", Kind::Flag),
    Parameter::new("force", Kind::Flag),
    Parameter::new("validate", Kind::Text),
    Parameter::new("follow", Kind::Flag),
    Parameter::new("newline_sequence", Kind::Choice(&["\n", "\r", "\r\n", "\\n", "\\r", "\\r\\n"])),
    Parameter::new("block_start_string", Kind::Text),
    Parameter::new("block_end_string", Kind::Text),
    Parameter::new("variable_start_string", Kind::Text),
    Parameter::new("variable_end_string", Kind::Text),
    Parameter::new("comment_start_string", Kind::Text),
    Parameter::new("comment_end_string", Kind::Text),
    Parameter::new("trim_blocks", Kind::Flag),
    Parameter::new("lstrip_blocks", Kind::Flag),
    Parameter::new("output_encoding", Kind::Choice(&["utf-8", "UTF-8", "utf8"])),
    MODE,
    OWNER,
    GROUP,
    UNSAFE_WRITES,
];

/// What is wanted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(clippy::struct_excessive_bools, reason = "the parameters of the module, as Ansible names them")]
pub struct Arguments {
    /// The template, as written. The control node finds, reads and renders it.
    pub src: String,
    /// The rendered template, put here by the control node: [`Source::File`] with the template's file name.
    pub source: Option<Source>,
    /// Where it goes.
    pub dest: String,
    /// Whether a replaced file is kept beside.
    #[serde(default)]
    pub backup: bool,
    /// Whether a file that differs is replaced.
    #[serde(default = "yes")]
    pub force: bool,
    /// A command that must accept the new file (`%s`) before it is put in place.
    pub validate: Option<String>,
    /// Whether a link at `dest` is followed.
    #[serde(default)]
    pub follow: bool,
    /// What ends a line of the result: `\n`, `\r` or `\r\n`, possibly written with backslashes.
    pub newline_sequence: Option<String>,
    /// `{%` by default.
    pub block_start_string: Option<String>,
    /// `%}` by default.
    pub block_end_string: Option<String>,
    /// `{{` by default.
    pub variable_start_string: Option<String>,
    /// `}}` by default.
    pub variable_end_string: Option<String>,
    /// `{#` by default.
    pub comment_start_string: Option<String>,
    /// `#}` by default.
    pub comment_end_string: Option<String>,
    /// Whether the newline after a block goes; true by default.
    #[serde(default = "yes")]
    pub trim_blocks: bool,
    /// Whether blanks before a block go.
    #[serde(default)]
    pub lstrip_blocks: bool,
    /// Mode, owner, group.
    #[serde(flatten)]
    pub attributes: Attributes,
}

fn yes() -> bool {
    true
}

pub(crate) fn parse(Call { arguments, .. }: Call) -> Result<Arguments, Error> {
    let arguments: Arguments = typed("template", arguments)?;
    attributes::check("template", "mode", arguments.attributes.mode.as_deref())?;
    Ok(arguments)
}

pub(crate) fn run(arguments: &Arguments, host: &Context, mode: Mode) -> Result<Outcome, Failed> {
    copy::run(&as_copy(arguments), host, mode)
}

fn as_copy(arguments: &Arguments) -> copy::Arguments {
    copy::Arguments {
        src: Some(arguments.src.clone()),
        content: None,
        source: arguments.source.clone(),
        dest: arguments.dest.clone(),
        backup: arguments.backup,
        force: arguments.force,
        validate: arguments.validate.clone(),
        directory_mode: None,
        remote_src: false,
        local_follow: true,
        follow: arguments.follow,
        checksum: None,
        attributes: arguments.attributes.clone(),
    }
}
