//! `copy`: files from the control node, or from elsewhere on the target.

use std::fs;
use std::io;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::module::action::{Action, Bytes, Write, octal, umask};
use crate::module::arguments::{Kind, Parameter};
use crate::module::attributes::{self, Attributes, GROUP, MODE, OWNER, UNSAFE_WRITES};
use crate::module::attributes::{Ids, Wanted, What};
use crate::module::stat::{self, Algorithm};
use crate::module::system::{FileKind, Found, System};
use crate::module::{Call, Context, Error, Failed, Mode, Outcome, Plan, apart, edit, plan as planned, text, typed};

pub use crate::module::source::{Content, Entry, EntryKind, Source, content, gather};

/// What it may be told.
pub const PARAMETERS: &[Parameter] = &[
    Parameter::new("src", Kind::Text),
    Parameter::new("content", Kind::Any),
    Parameter::new("dest", Kind::Text).required(),
    Parameter::new("backup", Kind::Flag),
    Parameter::new("force", Kind::Flag).or(&["thirsty"]),
    Parameter::new("validate", Kind::Text),
    Parameter::new("directory_mode", Kind::Bits),
    Parameter::new("remote_src", Kind::Flag),
    Parameter::new("local_follow", Kind::Flag),
    Parameter::new("follow", Kind::Flag),
    Parameter::new("checksum", Kind::Text),
    Parameter::new("decrypt", Kind::Flag),
    MODE,
    OWNER,
    GROUP,
    UNSAFE_WRITES,
];

/// What is wanted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(clippy::struct_excessive_bools, reason = "the parameters of the module, as Ansible names them")]
pub struct Arguments {
    /// As written; a trailing `/` means the contents of a directory.
    pub src: Option<String>,
    /// The content itself; [`parse`](super::parse) makes JSON of lists and maps, as Ansible does.
    pub content: Option<String>,
    /// What the control node has at `src`; unused with `remote_src` or `content`.
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
    /// Mode of directories that are made.
    pub directory_mode: Option<String>,
    /// Whether `src` is on the target.
    #[serde(default)]
    pub remote_src: bool,
    /// Whether links in a source directory are followed.
    #[serde(default = "yes")]
    pub local_follow: bool,
    /// Whether a link at `dest` is followed.
    #[serde(default)]
    pub follow: bool,
    /// SHA-1 that the source must have.
    pub checksum: Option<String>,
    /// Mode, owner, group.
    #[serde(flatten)]
    pub attributes: Attributes,
}

fn yes() -> bool {
    true
}

pub(crate) fn parse(Call { mut arguments, .. }: Call) -> Result<Arguments, Error> {
    apart("copy", &arguments, &["src", "content"])?;
    if !arguments.contains_key("src") && !arguments.contains_key("content") {
        return Err(Error::Missing { module: "copy".to_owned(), name: "src or content".to_owned() });
    }
    if let Some(content) = arguments.get_mut("content") {
        *content = match &*content {
            Value::Array(_) | Value::Object(_) => Value::String(spaced(content)),
            other => Value::String(super::arguments::text(other)),
        };
    }
    let arguments: Arguments = typed("copy", arguments)?;
    attributes::check("copy", "mode", arguments.attributes.mode.as_deref())?;
    attributes::check("copy", "directory_mode", arguments.directory_mode.as_deref())?;
    Ok(arguments)
}

/// JSON with a space after `,` and `:` and nothing beyond ASCII, as Python's `json.dumps` writes it.
pub(crate) fn spaced(value: &Value) -> String {
    match value {
        Value::Array(items) => format!("[{}]", items.iter().map(spaced).collect::<Vec<_>>().join(", ")),
        Value::Object(map) => {
            let pairs = map
                .iter()
                .map(|(key, value)| format!("{}: {}", ascii(&Value::String(key.clone()).to_string()), spaced(value)));
            format!("{{{}}}", pairs.collect::<Vec<_>>().join(", "))
        }
        other => ascii(&other.to_string()),
    }
}

fn ascii(json: &str) -> String {
    let escaped = |letter: char| {
        let mut units = [0; 2];
        let units = letter.encode_utf16(&mut units).iter();
        units.fold(String::new(), |text, unit| text + &format!("\\u{unit:04x}"))
    };
    json.chars().map(|letter| if letter.is_ascii() { letter.to_string() } else { escaped(letter) }).collect()
}

/// What is there.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Scene {
    /// The file that is to be written, absolute; links followed if that is wanted.
    pub path: String,
    /// What is there, a link not followed.
    pub found: Option<Found>,
    /// SHA-256 of a file that is there.
    pub sha256: Option<String>,
    /// Whether something is there, links followed.
    pub exists: bool,
    /// Parent directories that are not there, outermost first.
    pub parents: Vec<String>,
    /// Mode, owner and group wanted.
    pub wanted: Wanted,
    /// Mode, owner and group of new directories.
    pub directory: Wanted,
}

/// What is to be at a path.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct File {
    /// Its bytes.
    pub bytes: Bytes,
    /// SHA-256 of them.
    pub sha256: String,
    /// Its permission bits at the source, for `preserve` and copies on the target.
    pub mode: Option<u32>,
}

pub(crate) fn run(arguments: &Arguments, host: &Context, mode: Mode) -> Result<Outcome, Failed> {
    let mut wanted = attributes::look(&arguments.attributes, host.system, mode)?;
    let directory = Wanted { mode: arguments.directory_mode.clone(), ids: wanted.ids, warnings: vec![] };
    let source = match (&arguments.content, arguments.remote_src) {
        (Some(content), _) => None.ok_or(content),
        (None, true) => Ok(on_target(arguments, host)?),
        (None, false) => Ok(on_control(arguments)?),
    };
    let to = Destination { arguments, host, mode, directory };
    match source {
        Err(content) => {
            let bytes = Bytes::Text(content.clone().into_bytes());
            let sha256 = hex::encode(Sha256::digest(content));
            to.file(None, &File { bytes, sha256, mode: None }, wanted)
        }
        Ok(Gathered::File(name, file)) => {
            preserve(&mut wanted, file.mode);
            to.file(Some(&name), &file, wanted)
        }
        Ok(Gathered::Tree(name, mode, entries)) => match to.only(name.as_deref(), &entries)? {
            Some((dest, below, file)) => {
                preserve(&mut wanted, file.mode);
                let arguments = &Arguments { dest, ..arguments.clone() };
                Destination { arguments, ..to }.file(Some(&below), file, wanted)
            }
            None => to.tree(name.as_deref(), mode, &entries, &wanted),
        },
    }
}

fn preserve(wanted: &mut Wanted, mode: Option<u32>) {
    if wanted.mode.as_deref() == Some("preserve") {
        wanted.mode = mode.map(octal);
    }
}

/// A source, wherever it is.
enum Gathered {
    /// Its name and what is in it.
    File(String, File),
    /// Its name below the destination, if it has one there, and what is in it.
    /// With a mode of its own if it is copied as it is.
    Tree(Option<String>, Option<u32>, Vec<(String, Part)>),
}

/// Something in a directory.
enum Part {
    Directory(u32),
    File(File),
    Link(String),
}

fn on_control(arguments: &Arguments) -> Result<Gathered, Failed> {
    let file = |content: &Content, mode: Option<u32>| File {
        bytes: Bytes::Content(content.clone()),
        sha256: content.sha256.clone(),
        mode,
    };
    let missing = || Failed::new(format!("Source {} not found", arguments.src.as_deref().unwrap_or_default()));
    Ok(match arguments.source.as_ref().ok_or_else(missing)? {
        Source::File { name, content, mode } => Gathered::File(name.clone(), file(content, *mode)),
        Source::Tree { name, entries } => {
            let part = |entry: &Entry| {
                let part = match &entry.kind {
                    EntryKind::Directory { mode } => Part::Directory(*mode),
                    EntryKind::File { content, mode } => Part::File(file(content, Some(*mode))),
                    EntryKind::Link { target } => Part::Link(target.clone()),
                };
                (entry.path.clone(), part)
            };
            Gathered::Tree(name.clone(), None, entries.iter().map(part).collect())
        }
    })
}

fn on_target(arguments: &Arguments, host: &Context) -> Result<Gathered, Failed> {
    let src = arguments.src.as_deref().unwrap_or_default();
    let path = host.system.path(src);
    let told = |error: io::Error| Failed::new(format!("cannot read {path}: {error}"));
    let found = host.system.followed(&path).map_err(told)?;
    let found = found.ok_or_else(|| Failed::new(format!("Source {src} not found")))?;
    let name = path.trim_end_matches('/').rsplit('/').next().unwrap_or_default().to_owned();
    match found.kind {
        FileKind::Directory => {
            let mut parts = vec![];
            gather_on_target(path.trim_end_matches('/'), "", arguments.local_follow, host, &mut parts)?;
            Ok(Gathered::Tree((!src.ends_with('/')).then_some(name), Some(found.mode), parts))
        }
        FileKind::File => Ok(Gathered::File(name, file_on_target(&path, &found, host.system).map_err(told)?)),
        _ => Err(Failed::new(format!("Cannot copy invalid source '{src}': not a file"))),
    }
}

fn file_on_target(path: &str, found: &Found, system: &System) -> io::Result<File> {
    let sha256 = stat::checksum(&system.real(path), Algorithm::Sha256)?;
    Ok(File { bytes: Bytes::Target(path.to_owned()), sha256, mode: Some(found.mode) })
}

fn gather_on_target(
    top: &str,
    below: &str,
    follow: bool,
    host: &Context,
    parts: &mut Vec<(String, Part)>,
) -> Result<(), Failed> {
    let system = host.system;
    let here = format!("{top}/{below}");
    let told = |error: io::Error| Failed::new(format!("cannot read {here}: {error}"));
    let names = fs::read_dir(system.real(&here)).map_err(told)?;
    let mut names = names.map(|it| it.map(|it| it.file_name())).collect::<io::Result<Vec<_>>>().map_err(told)?;
    names.sort();
    for name in names {
        let name = name.to_string_lossy();
        let path = if below.is_empty() { name.into_owned() } else { format!("{below}/{name}") };
        let whole = format!("{top}/{path}");
        let found = if follow { system.followed(&whole) } else { system.found(&whole) }.map_err(told)?;
        match found {
            Some(found) if found.kind == FileKind::Directory => {
                parts.push((path.clone(), Part::Directory(found.mode)));
                gather_on_target(top, &path, follow, host, parts)?;
            }
            Some(found) if found.kind == FileKind::File => {
                let file = file_on_target(&whole, &found, system).map_err(told)?;
                parts.push((path, Part::File(file)));
            }
            Some(Found { target: Some(target), .. }) => parts.push((path, Part::Link(target))),
            Some(_) | None => return Err(Failed::new(format!("Cannot copy invalid source '{whole}': not a file"))),
        }
    }
    Ok(())
}

/// Where it goes.
struct Destination<'a> {
    arguments: &'a Arguments,
    host: &'a Context<'a>,
    mode: Mode,
    directory: Wanted,
}

impl Destination<'_> {
    fn file(&self, name: Option<&str>, file: &File, wanted: Wanted) -> Result<Outcome, Failed> {
        let system = self.host.system;
        let mut path = system.path(&self.arguments.dest);
        let told = |error| Failed::new(format!("cannot look at {path}: {error}"));
        let directory = system.followed(&path).map_err(told)?.is_some_and(|it| it.kind == FileKind::Directory);
        match name {
            None if directory => return Err(Failed::new("can not use content with a dir as dest")),
            Some(name) if directory || path.ends_with('/') => path = format!("{}/{name}", path.trim_end_matches('/')),
            _ => {}
        }
        let sha1 = sha1(file, self.host)?;
        if let Some(expected) = self.arguments.checksum.as_ref().filter(|expected| **expected != sha1) {
            let why = "Copied file does not match the expected checksum. Transfer failed.";
            return Err(Failed::new(why).with("checksum", sha1).with("expected_checksum", expected.clone()));
        }
        let scene = self.look(&path, wanted)?;
        let parents = self.arguments.dest.ends_with('/');
        if !parents && self.mode == Mode::Apply && !scene.parents.is_empty() {
            let above = path.rsplit_once('/').map_or("/", |(above, _)| above);
            return Err(Failed::new(format!("Destination directory {above} does not exist")));
        }
        let mut plan = plan(self.arguments, &scene, file);
        if let Some(Action::Write(write)) = plan.actions.iter().find(|it| matches!(it, Action::Write(_))) {
            plan.diffs.insert(0, self.diff(&scene, &write.bytes, file)?);
        }
        if !plan.actions.iter().any(|it| matches!(it, Action::Write(_))) {
            plan.tell("path", scene.path.clone());
        }
        plan.tell("dest", scene.path);
        plan.tell("src", self.arguments.src.clone().map_or(Value::Null, Value::String));
        plan.tell("checksum", sha1);
        planned::finish(plan, self.host, self.mode)
    }

    fn look(&self, path: &str, wanted: Wanted) -> Result<Scene, Failed> {
        let system = self.host.system;
        let told = |error: io::Error| Failed::new(format!("cannot look at {path}: {error}"));
        let mut path = path.to_owned();
        if self.arguments.follow {
            path = system.canonical(&path);
        }
        let found = system.found(&path).map_err(told)?;
        let file = found.as_ref().is_some_and(|found| found.kind == FileKind::File);
        let sha256 = file.then(|| stat::checksum(&system.real(&path), Algorithm::Sha256)).transpose().map_err(told)?;
        Ok(Scene {
            exists: system.followed(&path).map_err(told)?.is_some(),
            parents: if found.is_some() { vec![] } else { edit::missing_parents(&path, self.host)? },
            path,
            found,
            sha256,
            wanted,
            directory: self.directory.clone(),
        })
    }

    /// The contents as a diff; what is too long for one is not fetched.
    fn diff(&self, scene: &Scene, bytes: &Bytes, file: &File) -> Result<super::Diff, Failed> {
        let before = text::read(&scene.path, self.host.system).unwrap_or_default().unwrap_or_default();
        let after = match bytes {
            Bytes::Text(bytes) => bytes.clone(),
            Bytes::Content(content) if content.size <= text::SHOWN as u64 => self.host.whole(content)?,
            Bytes::Target(path) => text::read(path, self.host.system)?.unwrap_or_default(),
            Bytes::Content(content) => format!("({} bytes, SHA-256 {})\n", content.size, file.sha256).into_bytes(),
        };
        Ok(text::diff(&scene.path, &before, &after))
    }

    /// The one file of a directory of the control node that has nothing else in it, with the directory that it goes into
    /// and its path in there: Ansible tells of it as of a file. Nothing where one that is there stays as it is.
    fn only<'f>(
        &self,
        name: Option<&str>,
        entries: &'f [(String, Part)],
    ) -> Result<Option<(String, String, &'f File)>, Failed> {
        let ([(below, Part::File(file))], false) = (entries, self.arguments.remote_src) else { return Ok(None) };
        let dest = format!("{}/", self.arguments.dest.trim_end_matches('/'));
        let below = name.map_or_else(|| below.clone(), |name| format!("{name}/{below}"));
        let path = self.host.system.path(&format!("{dest}{below}"));
        let there = self.host.system.followed(&path);
        let there = there.map_err(|error| Failed::new(format!("cannot look at {path}: {error}")))?.is_some();
        Ok((self.arguments.force || !there).then_some((dest, below, file)))
    }

    fn tree(
        &self,
        name: Option<&str>,
        mode: Option<u32>,
        entries: &[(String, Part)],
        wanted: &Wanted,
    ) -> Result<Outcome, Failed> {
        let system = self.host.system;
        let dest = system.path(&self.arguments.dest).trim_end_matches('/').to_owned();
        let top = name.map_or(dest.clone(), |name| format!("{dest}/{name}"));
        let mut whole = Plan { warnings: wanted.warnings.clone(), ..Plan::default() };
        let mut fresh = vec![];
        // A directory that is copied to a place that is not there keeps its mode only if it takes that place itself.
        let there = self.arguments.dest.ends_with('/') || system.real(&dest).is_dir();
        self.directory(&top, mode.filter(|_| name.is_none() || there), &mut fresh, &mut whole)?;
        for (below, part) in entries {
            let path = format!("{top}/{below}");
            match part {
                Part::Directory(mode) => self.directory(&path, Some(*mode), &mut fresh, &mut whole)?,
                Part::Link(target) => {
                    let found = system.found(&path).map_err(|error| Failed::new(format!("{path}: {error}")))?;
                    if found.and_then(|found| found.target).as_ref() != Some(target) {
                        whole.actions.push(Action::Link { path, target: target.clone() });
                    }
                }
                Part::File(file) => {
                    let mut scene = self.look(&path, wanted.clone())?;
                    scene.parents.retain(|parent| !fresh.contains(parent));
                    preserve(&mut scene.wanted, file.mode);
                    if self.arguments.remote_src
                        && scene.wanted.mode.is_none()
                        && scene.sha256.as_ref() != Some(&file.sha256)
                    {
                        scene.wanted.mode = file.mode.map(octal);
                    }
                    let mut plan = plan(self.arguments, &scene, file);
                    if let Some(Action::Write(write)) = plan.actions.iter().find(|it| matches!(it, Action::Write(_))) {
                        plan.diffs.insert(0, self.diff(&scene, &write.bytes, file)?);
                    }
                    whole.actions.extend(plan.actions);
                    whole.diffs.extend(plan.diffs);
                }
            }
        }
        whole.tell("dest", top);
        whole.tell("src", self.arguments.src.clone().map_or(Value::Null, Value::String));
        let mut outcome = planned::finish(whole, self.host, self.mode)?;
        outcome.values.shift_remove("backup_file");
        Ok(outcome)
    }

    /// Plans a directory, with its parents, unless it is there or in `fresh` already.
    fn directory(&self, path: &str, mode: Option<u32>, fresh: &mut Vec<String>, plan: &mut Plan) -> Result<(), Failed> {
        let found = self.host.system.followed(path);
        let found = found.map_err(|error| Failed::new(format!("cannot look at {path}: {error}")))?;
        if let Some(found) = found {
            let ids = Wanted { ids: self.directory.ids, ..Wanted::default() };
            if self.arguments.remote_src {
                plan.actions.extend(attributes::plan(path, &found, &ids));
            }
            return Ok(());
        }
        for above in edit::missing_parents(path, self.host)? {
            if !fresh.contains(&above) {
                plan.actions.extend(super::file::made(&above, &self.directory));
                fresh.push(above);
            }
        }
        if !fresh.iter().any(|it| it == path) {
            let mut wanted = self.directory.clone();
            if self.arguments.remote_src && wanted.mode.is_none() {
                wanted.mode = mode.map(octal);
            }
            plan.actions.extend(super::file::made(path, &wanted));
            fresh.push(path.to_owned());
        }
        Ok(())
    }
}

fn sha1(file: &File, host: &Context) -> Result<String, Failed> {
    match &file.bytes {
        Bytes::Text(bytes) => Ok(hex::encode(sha1::Sha1::digest(bytes))),
        Bytes::Content(content) => Ok(content.sha1.clone()),
        Bytes::Target(path) => stat::checksum(&host.system.real(path), Algorithm::Sha1)
            .map_err(|error| Failed::new(format!("cannot read {path}: {error}"))),
    }
}

/// Plans to make the file be what is wanted.
pub fn plan(arguments: &Arguments, scene: &Scene, file: &File) -> Plan {
    let mut plan = Plan { warnings: scene.wanted.warnings.clone(), ..Plan::default() };
    if scene.exists && !arguments.force {
        return plan;
    }
    let link = scene.found.as_ref().is_some_and(|found| found.kind == FileKind::Link);
    let dressing = |found: &Found| attributes::plan(&scene.path, found, &scene.wanted);
    if scene.sha256.as_ref() == Some(&file.sha256) {
        if let Some(found) = &scene.found {
            plan.actions = dressing(found);
            plan.diffs.extend(attributes::diff(&scene.path, found, &plan.actions));
        }
        return plan;
    }
    for parent in &scene.parents {
        plan.actions.extend(super::file::made(parent, &scene.directory));
    }
    if arguments.backup && scene.exists {
        plan.actions.push(Action::Backup { path: scene.path.clone() });
    }
    let before = scene.found.as_ref().filter(|_| !link);
    let current = before.map_or(0o666 & !umask(), |found| found.mode);
    let mode = scene.wanted.mode.is_some().then(|| octal(scene.wanted.bits(current, What::File)));
    plan.actions.push(Action::Write(Write {
        path: scene.path.clone(),
        bytes: file.bytes.clone(),
        mode,
        ids: Ids { ..scene.wanted.ids },
        validate: arguments.validate.clone(),
        unsafe_writes: arguments.attributes.unsafe_writes,
    }));
    if let Some(found) = before {
        plan.diffs.extend(attributes::diff(&scene.path, found, &dressing(found)));
    }
    plan
}
