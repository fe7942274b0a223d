//! `lineinfile`: one line of a file is there, or is not.

use serde::{Deserialize, Serialize};

use crate::module::arguments::{Kind, Parameter};
use crate::module::attributes::{self, Attributes, GROUP, MODE, OWNER, UNSAFE_WRITES};
use crate::module::edit::{self, Edited, How, Scene};
use crate::module::pattern::{Match, Pattern};
use crate::module::{Call, Context, Error, Failed, Mode, Outcome, Plan, apart, plan as planned, text, typed};

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

pub(crate) fn parse(Call { arguments, .. }: Call) -> Result<Arguments, Error> {
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

pub(crate) fn run(arguments: &Arguments, host: &Context, mode: Mode) -> Result<Outcome, Failed> {
    let scene = edit::look(&arguments.path, &arguments.attributes, host, mode)?;
    let mut outcome = planned::finish(plan(arguments, &scene)?, host, mode)?;
    let backup = outcome.values.shift_remove("backup_file").unwrap_or_else(|| "".into());
    outcome.values.insert("backup".to_owned(), backup);
    Ok(outcome)
}

/// Plans to make the line be there, or not be there.
///
/// # Errors
///
/// [`Failed`]: there is no such file and none is to be made, or a pattern is none.
pub fn plan(arguments: &Arguments, scene: &Scene) -> Result<Plan, Failed> {
    let how =
        How { backup: arguments.backup, validate: arguments.validate.as_deref(), attributes: &arguments.attributes };
    let lines = match (&scene.content, arguments.state, arguments.create) {
        (Some(content), ..) => text::lines(content),
        (None, State::Absent, _) => return Ok(edit::nothing("file not present")),
        (None, State::Present, true) => vec![],
        (None, State::Present, false) => {
            return Err(Failed::new(format!("Destination {} does not exist !", scene.path)).with("rc", 257));
        }
    };
    let mut plan = match arguments.state {
        State::Present => edit::plan(scene, &present(arguments, lines)?, how),
        State::Absent => {
            let (edited, found) = absent(arguments, lines)?;
            let mut plan = edit::plan(scene, &edited, how);
            plan.tell("found", found);
            plan
        }
    };
    plan.warnings.extend(everything(arguments));
    Ok(plan)
}

/// An empty pattern finds something in every line, which is hardly meant.
fn everything(arguments: &Arguments) -> Option<String> {
    let empty = |text: &Option<String>| text.as_deref() == Some("");
    let what = match (empty(&arguments.regexp), empty(&arguments.search_string)) {
        (true, _) => "regular expression",
        (_, true) => "search string",
        _ => return None,
    };
    Some(format!("The {what} is an empty string, which will match every line in the file."))
}

fn absent(arguments: &Arguments, lines: Vec<Vec<u8>>) -> Result<(Edited, usize), Failed> {
    let pattern = arguments.regexp.as_deref().map(Pattern::new).transpose()?;
    let before = lines.len();
    let mut kept = vec![];
    for line in lines {
        let found = match (&pattern, &arguments.search_string) {
            (Some(pattern), _) => pattern.find(&line)?.is_some(),
            (None, Some(text)) => contains(&line, text),
            (None, None) => Some(text::bare(&line)) == arguments.line.as_deref().map(str::as_bytes),
        };
        if !found {
            kept.push(line);
        }
    }
    let found = before - kept.len();
    let message = if found == 0 { String::new() } else { format!("{found} line(s) removed") };
    Ok((Edited { content: kept.concat(), message }, found))
}

fn contains(line: &[u8], text: &str) -> bool {
    text.is_empty() || line.windows(text.len()).any(|window| window == text.as_bytes())
}

/// Where the line goes.
enum Spot {
    /// In place of this line: a pattern found it, or it is the line itself.
    At(usize, Option<Match>),
    /// Before this line (possibly the one behind the last), which an anchor found.
    Before(usize),
    /// Nowhere yet.
    Nowhere,
}

fn present(arguments: &Arguments, mut lines: Vec<Vec<u8>>) -> Result<Edited, Failed> {
    let line = arguments.line.as_deref().unwrap_or_default();
    let edit = match spot(arguments, &lines)? {
        Spot::At(at, found) => {
            let line = match found.filter(|_| arguments.backrefs) {
                Some(found) => ended(found.expand(line)?),
                None => ended(line.into()),
            };
            (lines[at] != line).then_some((at, at + 1, line))
        }
        _ if arguments.backrefs => None,
        Spot::Before(at) => {
            let neighbour = if at == lines.len() { lines.last() } else { lines.get(at) };
            let there = neighbour.is_some_and(|there| text::bare(there) == line.as_bytes());
            let after = arguments.insertafter.is_some();
            (!(after && there)).then(|| (at, at, ended(line.into())))
        }
        Spot::Nowhere if at_the_start(arguments) => Some((0, 0, ended(line.into()))),
        Spot::Nowhere => Some((lines.len(), lines.len(), ended(line.into()))),
    };
    let Some((from, to, line)) = edit else {
        return Ok(Edited { content: lines.concat(), message: String::new() });
    };
    let message = if from == to { "line added" } else { "line replaced" }.to_owned();
    if from == to && from == lines.len() && from > 0 {
        let last = ended(std::mem::take(&mut lines[from - 1]));
        lines[from - 1] = last;
    }
    lines.splice(from..to, [line]);
    Ok(Edited { content: lines.concat(), message })
}

fn ended(mut line: Vec<u8>) -> Vec<u8> {
    if !line.ends_with(b"\n") {
        line.push(b'\n');
    }
    line
}

fn at_the_start(arguments: &Arguments) -> bool {
    [&arguments.insertbefore, &arguments.insertafter].iter().any(|place| place.as_deref() == Some("BOF"))
}

fn spot(arguments: &Arguments, lines: &[Vec<u8>]) -> Result<Spot, Failed> {
    let pattern = arguments.regexp.as_deref().map(Pattern::new).transpose()?;
    let mut spot = None;
    for (at, line) in lines.iter().enumerate() {
        let found = match (&pattern, &arguments.search_string) {
            (Some(pattern), _) => pattern.find(line)?.map(Some),
            (None, Some(text)) => contains(line, text).then_some(None),
            (None, None) => None,
        };
        if let Some(found) = found {
            spot = Some(Spot::At(at, found));
            if arguments.firstmatch {
                break;
            }
        }
    }
    spot.map_or_else(|| anchored(arguments, lines), Ok)
}

/// The line itself counts before any anchor does, wherever it is; `firstmatch` ends the search at the first anchor.
fn anchored(arguments: &Arguments, lines: &[Vec<u8>]) -> Result<Spot, Failed> {
    let anchor = match (arguments.insertafter.as_deref(), arguments.insertbefore.as_deref()) {
        (Some(after), _) if after != "EOF" && after != "BOF" => Some(Pattern::new(after)?),
        (None, Some(before)) if before != "BOF" => Some(Pattern::new(before)?),
        _ => None,
    };
    let line = arguments.line.as_deref().unwrap_or_default().as_bytes();
    let (mut there, mut before) = (None, None);
    for (at, current) in lines.iter().enumerate() {
        if text::bare(current) == line {
            there = Some(at);
        } else if let Some(anchor) = &anchor
            && anchor.find(current)?.is_some()
        {
            before = Some(if arguments.insertafter.is_some() { at + 1 } else { at });
            if arguments.firstmatch {
                break;
            }
        }
    }
    Ok(match (there, before) {
        (Some(at), _) => Spot::At(at, None),
        (None, Some(at)) => Spot::Before(at),
        (None, None) => Spot::Nowhere,
    })
}
