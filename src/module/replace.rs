//! `replace`: everything in a file that a pattern finds.

use serde::{Deserialize, Serialize};

use crate::module::arguments::{Kind, Parameter};
use crate::module::attributes::{self, Attributes, GROUP, MODE, OWNER, UNSAFE_WRITES};
use crate::module::edit::{self, Edited, How, Scene};
use crate::module::pattern::Pattern;
use crate::module::{Call, Context, Error, Failed, Mode, Outcome, Plan, plan as planned, typed};

/// What it may be told.
pub const PARAMETERS: &[Parameter] = &[
    Parameter::new("path", Kind::Text).or(&["dest", "destfile", "name"]).required(),
    Parameter::new("regexp", Kind::Text).required(),
    Parameter::new("replace", Kind::Text),
    Parameter::new("after", Kind::Text),
    Parameter::new("before", Kind::Text),
    Parameter::new("backup", Kind::Flag),
    Parameter::new("validate", Kind::Text),
    Parameter::new("encoding", Kind::Choice(&["utf-8", "UTF-8", "utf8"])),
    MODE,
    OWNER,
    GROUP,
    UNSAFE_WRITES,
];

/// What is wanted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Arguments {
    /// Where.
    pub path: String,
    /// What is looked for; `^` and `$` match at every line.
    pub regexp: String,
    /// What takes its place, groups filled in.
    #[serde(default)]
    pub replace: String,
    /// Only behind this pattern.
    pub after: Option<String>,
    /// Only before this pattern.
    pub before: Option<String>,
    /// Whether the old file is kept beside.
    #[serde(default)]
    pub backup: bool,
    /// A command that must accept the new file first.
    pub validate: Option<String>,
    /// Mode, owner, group.
    #[serde(flatten)]
    pub attributes: Attributes,
}

pub(crate) fn parse(Call { arguments, .. }: Call) -> Result<Arguments, Error> {
    let arguments: Arguments = typed("replace", arguments)?;
    attributes::check("replace", "mode", arguments.attributes.mode.as_deref())?;
    Ok(arguments)
}

pub(crate) fn run(arguments: &Arguments, host: &Context, mode: Mode) -> Result<Outcome, Failed> {
    let scene = edit::look(&arguments.path, &arguments.attributes, host, mode)?;
    planned::finish(plan(arguments, &scene)?, host, mode)
}

/// Plans to replace what is found.
///
/// # Errors
///
/// [`Failed`]: there is no such file, or a pattern is none.
pub fn plan(arguments: &Arguments, scene: &Scene) -> Result<Plan, Failed> {
    let Some(content) = &scene.content else {
        return Err(Failed::new(format!("Path {} does not exist !", scene.path)).with("rc", 257));
    };
    let mut plan = match edited(arguments, content)? {
        Ok(edited) => {
            let (validate, attributes) = (arguments.validate.as_deref(), &arguments.attributes);
            edit::plan(scene, &edited, How { backup: arguments.backup, validate, attributes })
        }
        Err(why) => edit::nothing(&why),
    };
    plan.tell("rc", 0);
    Ok(plan)
}

/// The content with everything replaced, or why there is nothing to replace in.
fn edited(arguments: &Arguments, content: &[u8]) -> Result<Result<Edited, String>, Failed> {
    let given = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
    let (after, before) = (given(&arguments.after), given(&arguments.before));
    let (start, end) = if after.is_none() && before.is_none() {
        (0, content.len())
    } else {
        let lazy = if after.is_some() && before.is_some() { "?" } else { "" };
        let (after, before) = (after.unwrap_or_default(), before.unwrap_or_default());
        let around = format!("{after}(?P<subsection>.*{lazy}){before}");
        let found = Pattern::new(&format!("(?s){around}"))?.find(content)?;
        let Some(place) = found.and_then(|found| found.place("subsection")) else {
            return Ok(Err(format!("Pattern for before/after params did not match the given file: {around}")));
        };
        (place.start, place.end)
    };
    let section = &content[start..end];
    let pattern = Pattern::new(&format!("(?m){}", arguments.regexp))?;
    let mut replaced = vec![];
    let (mut at, mut count) = (0, 0);
    for found in pattern.all(section)? {
        replaced.extend(&section[at..found.start]);
        replaced.extend(found.expand(&arguments.replace)?);
        (at, count) = (found.end, count + 1);
    }
    replaced.extend(&section[at..]);
    let message = if replaced == section { String::new() } else { format!("{count} replacements made") };
    let content = [&content[..start], &replaced, &content[end..]].concat();
    Ok(Ok(Edited { content, message }))
}
