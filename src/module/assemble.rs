//! `assemble`: a file made of the files of a directory.

use std::fs;

use serde::{Deserialize, Serialize};
use sha1::{Digest as _, Sha1};

use crate::module::action::{Action, Bytes, Write, octal, umask};
use crate::module::arguments::{Kind, Parameter};
use crate::module::attributes::{self, Attributes, GROUP, MODE, OWNER, UNSAFE_WRITES, What};
use crate::module::pattern::Pattern;
use crate::module::source::{EntryKind, Source};
use crate::module::{Call, Context, Error, Failed, Mode, Outcome, Plan, plan, text, typed};

/// What it may be told.
pub const PARAMETERS: &[Parameter] = &[
    Parameter::new("src", Kind::Text).required(),
    Parameter::new("dest", Kind::Text).required(),
    Parameter::new("delimiter", Kind::Text),
    Parameter::new("backup", Kind::Flag),
    Parameter::new("remote_src", Kind::Flag),
    Parameter::new("regexp", Kind::Text),
    Parameter::new("ignore_hidden", Kind::Flag),
    Parameter::new("validate", Kind::Text),
    Parameter::new("decrypt", Kind::Flag),
    MODE,
    OWNER,
    GROUP,
    UNSAFE_WRITES,
];

/// What is wanted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Arguments {
    /// The directory.
    pub src: String,
    /// What the control node has at `src`; unused with `remote_src`.
    pub source: Option<Source>,
    /// The file that is made.
    pub dest: String,
    /// What stands between two parts.
    pub delimiter: Option<String>,
    /// Whether a replaced file is kept beside.
    #[serde(default)]
    pub backup: bool,
    /// Whether `src` is on the target.
    #[serde(default = "yes")]
    pub remote_src: bool,
    /// Only files whose names this pattern finds.
    pub regexp: Option<String>,
    /// Whether files whose names begin with a dot are left out.
    #[serde(default)]
    pub ignore_hidden: bool,
    /// A command that must accept the new file first.
    pub validate: Option<String>,
    /// Mode, owner, group.
    #[serde(flatten)]
    pub attributes: Attributes,
}

fn yes() -> bool {
    true
}

pub(crate) fn parse(Call { mut arguments, .. }: Call) -> Result<Arguments, Error> {
    arguments.remove("decrypt");
    let arguments: Arguments = typed("assemble", arguments)?;
    attributes::check("assemble", "mode", arguments.attributes.mode.as_deref())?;
    Ok(arguments)
}

pub(crate) fn run(arguments: &Arguments, host: &Context, mode: Mode) -> Result<Outcome, Failed> {
    let wanted = attributes::look(&arguments.attributes, host.system, mode)?;
    let content = assembled(&parts(arguments, host)?, arguments.delimiter.as_deref());
    let dest = host.system.path(&arguments.dest);
    let before = text::read(&dest, host.system)?;
    let found = host.system.found(&dest).map_err(|error| Failed::new(format!("cannot look at {dest}: {error}")))?;
    let mut whole = Plan { warnings: wanted.warnings.clone(), ..Plan::default() };
    whole.tell("checksum", hex::encode(Sha1::digest(&content)));
    if arguments.remote_src {
        whole.tell("md5sum", hex::encode(md5::compute(&content).0));
        whole.tell("msg", "OK");
    }
    whole.tell("src", arguments.src.clone());
    whole.tell("dest", dest.clone());
    if before.as_ref() == Some(&content) {
        whole.actions = found.iter().flat_map(|found| attributes::plan(&dest, found, &wanted)).collect();
        return plan::finish(whole, host, mode);
    }
    if arguments.backup && before.is_some() {
        whole.actions.push(Action::Backup { path: dest.clone() });
    }
    whole.diffs.push(text::diff(&dest, before.as_deref().unwrap_or_default(), &content));
    let current = found.map_or(0o666 & !umask(), |found| found.mode);
    whole.actions.push(Action::Write(Write {
        path: dest,
        bytes: Bytes::Text(content),
        mode: wanted.mode.is_some().then(|| octal(wanted.bits(current, What::File))),
        ids: wanted.ids,
        validate: arguments.validate.clone(),
        unsafe_writes: arguments.attributes.unsafe_writes,
    }));
    plan::finish(whole, host, mode)
}

/// Names and contents of the parts, in order.
fn parts(arguments: &Arguments, host: &Context) -> Result<Vec<Vec<u8>>, Failed> {
    let src = &arguments.src;
    let pattern = arguments.regexp.as_deref().map(Pattern::new).transpose()?;
    let chosen = |name: &str| {
        let fits = pattern.as_ref().map_or(Ok(true), |it| it.find(name.as_bytes()).map(|found| found.is_some()))?;
        Ok::<bool, Failed>(fits && !(arguments.ignore_hidden && name.starts_with('.')))
    };
    let mut parts = vec![];
    if !arguments.remote_src {
        let Some(Source::Tree { entries, .. }) = &arguments.source else {
            return Err(Failed::new(format!("Source ({src}) is not a directory")));
        };
        for entry in entries.iter().filter(|entry| !entry.path.contains('/')) {
            if let (EntryKind::File { content, .. }, true) = (&entry.kind, chosen(&entry.path)?) {
                parts.push(host.whole(content)?);
            }
        }
        return Ok(parts);
    }
    let path = host.system.path(src);
    let real = host.system.real(&path);
    if !real.exists() {
        return Err(Failed::new(format!("Source ({src}) does not exist")));
    }
    if !real.is_dir() {
        return Err(Failed::new(format!("Source ({src}) is not a directory")));
    }
    let told = |error: std::io::Error| Failed::new(format!("cannot read {path}: {error}"));
    let entries = fs::read_dir(&real).map_err(told)?.collect::<Result<Vec<_>, _>>().map_err(told)?;
    let mut names: Vec<String> = entries.iter().map(|it| it.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    for name in names {
        if real.join(&name).is_file() && chosen(&name)? {
            parts.push(fs::read(real.join(&name)).map_err(told)?);
        }
    }
    Ok(parts)
}

/// The parts one behind the other: each begins on a line of its own, the delimiter between two.
pub fn assembled(parts: &[Vec<u8>], delimiter: Option<&str>) -> Vec<u8> {
    let delimiter = delimiter.filter(|it| !it.is_empty()).map(unescaped);
    let mut whole: Vec<u8> = vec![];
    for (number, part) in parts.iter().enumerate() {
        let open = number > 0 && !parts[number - 1].ends_with(b"\n");
        whole.extend(open.then_some(b'\n'));
        if let Some(delimiter) = delimiter.as_ref().filter(|_| number > 0) {
            whole.extend(delimiter);
            whole.extend((!delimiter.ends_with(b"\n")).then_some(b'\n'));
        }
        whole.extend(part);
    }
    whole
}

/// `\n`, `\t`, `\r` and `\\` as Python reads them.
fn unescaped(text: &str) -> Vec<u8> {
    let mut plain = String::new();
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        match (letter, letter == '\\') {
            (_, true) => match letters.next() {
                Some('n') => plain.push('\n'),
                Some('t') => plain.push('\t'),
                Some('r') => plain.push('\r'),
                Some('\\') | None => plain.push('\\'),
                Some(other) => plain.extend(['\\', other]),
            },
            (other, false) => plain.push(other),
        }
    }
    plain.into_bytes()
}
