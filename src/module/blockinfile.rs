//! `blockinfile`: some lines between two marker lines of a file are there, or are not.

use serde::{Deserialize, Serialize};

use crate::module::arguments::{Kind, Parameter};
use crate::module::attributes::{self, Attributes, GROUP, MODE, OWNER, UNSAFE_WRITES};
use crate::module::edit::{self, Edited, How, Scene};
use crate::module::lineinfile::State;
use crate::module::pattern::Pattern;
use crate::module::{Call, Context, Error, Failed, Mode, Outcome, Plan, apart, plan as planned, text, typed};

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

pub(crate) fn parse(Call { arguments, .. }: Call) -> Result<Arguments, Error> {
    apart("blockinfile", &arguments, &["insertbefore", "insertafter"])?;
    let arguments: Arguments = typed("blockinfile", arguments)?;
    attributes::check("blockinfile", "mode", arguments.attributes.mode.as_deref())?;
    Ok(arguments)
}

pub(crate) fn run(arguments: &Arguments, host: &Context, mode: Mode) -> Result<Outcome, Failed> {
    let scene = edit::look(&arguments.path, &arguments.attributes, host, mode)?;
    planned::finish(plan(arguments, &scene)?, host, mode)
}

/// Plans to make the block be there, or not be there.
///
/// # Errors
///
/// [`Failed`]: there is no such file and none is to be made, or a pattern is none.
pub fn plan(arguments: &Arguments, scene: &Scene) -> Result<Plan, Failed> {
    match (&scene.content, arguments.create, arguments.state) {
        (None, false, _) => return Err(Failed::new(format!("Path {} does not exist !", scene.path)).with("rc", 257)),
        (None, true, State::Absent) => return Ok(edit::nothing(&format!("File {} not present", scene.path))),
        _ => {}
    }
    let how =
        How { backup: arguments.backup, validate: arguments.validate.as_deref(), attributes: &arguments.attributes };
    Ok(edit::plan(scene, &edited(arguments, scene.content.as_deref())?, how))
}

fn edited(arguments: &Arguments, before: Option<&[u8]>) -> Result<Edited, Failed> {
    let whole = before.unwrap_or_default();
    let mut lines = text::lines_of_any_kind(whole);
    let wanted = wanted(arguments);
    let at = place(arguments, &mut lines, whole)?;
    if at > 0 && !lines[at - 1].ends_with(b"\n") {
        lines[at - 1].push(b'\n');
    }
    let mut block = wanted.clone();
    let blank = |line: &Vec<u8>| text::bare(line).is_empty();
    if arguments.append_newline && !block.is_empty() && lines.get(at).is_some_and(|next| !blank(next)) {
        block.push(b"\n".to_vec());
    }
    if arguments.prepend_newline && !block.is_empty() && at > 0 && !blank(&lines[at - 1]) {
        block.insert(0, b"\n".to_vec());
    }
    lines.splice(at..at, block);
    let content = lines.concat();
    let message = match before {
        Some(before) if before == content => "",
        None => "File created",
        Some(_) if wanted.is_empty() => "Block removed",
        Some(_) => "Block inserted",
    };
    Ok(Edited { content, message: message.to_owned() })
}

fn marker_line(arguments: &Arguments, word: &str) -> Vec<u8> {
    format!("{}\n", arguments.marker.replace("{mark}", word)).into_bytes()
}

/// The lines wanted, markers included; none if the block shall not be there.
fn wanted(arguments: &Arguments) -> Vec<Vec<u8>> {
    if arguments.state == State::Absent || arguments.block.is_empty() {
        return vec![];
    }
    let mut block = arguments.block.clone().into_bytes();
    if !block.ends_with(b"\n") {
        block.push(b'\n');
    }
    let mut lines = vec![marker_line(arguments, &arguments.marker_begin)];
    lines.extend(text::lines_of_any_kind(&block));
    lines.push(marker_line(arguments, &arguments.marker_end));
    lines
}

/// Takes the block out of `lines` and returns the line before which it goes.
fn place(arguments: &Arguments, lines: &mut Vec<Vec<u8>>, whole: &[u8]) -> Result<usize, Failed> {
    let last = |word: &str| lines.iter().rposition(|line| *line == marker_line(arguments, word));
    if let (Some(begin), Some(end)) = (last(&arguments.marker_begin), last(&arguments.marker_end)) {
        let (from, to) = if begin < end { (begin, end) } else { (end, begin) };
        lines.drain(from..=to);
        return Ok(from);
    }
    let after = arguments.insertafter.as_deref();
    let anchor = match (after, arguments.insertbefore.as_deref()) {
        (Some("EOF"), _) | (None, None) => return Ok(lines.len()),
        (None, Some("BOF")) => return Ok(0),
        (Some(anchor), _) | (None, Some(anchor)) => anchor,
    };
    let found = anchored(&Pattern::new(anchor)?, lines, whole, after.is_some())?;
    Ok(found.map_or(lines.len(), |at| (at + usize::from(after.is_some())).min(lines.len())))
}

/// The line that an anchor finds: the last, or where the only match of a multi-line one ends or begins.
fn anchored(pattern: &Pattern, lines: &[Vec<u8>], whole: &[u8], after: bool) -> Result<Option<usize>, Failed> {
    if pattern.multiline {
        let newlines = |end: usize| whole[..end].split(|byte| *byte == b'\n').count() - 1;
        return Ok(pattern.find(whole)?.map(|it| newlines(if after { it.end } else { it.start })));
    }
    let mut found = None;
    for (at, line) in lines.iter().enumerate() {
        if pattern.find(line)?.is_some() {
            found = Some(at);
        }
    }
    Ok(found)
}
