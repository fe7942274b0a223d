//! `find`: what is below directories, chosen by name, age, size and content. Changes nothing.

use std::collections::BTreeMap;
use std::fs;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::module::arguments::{Kind, Parameter};
use crate::module::command::matches;
use crate::module::pattern::Pattern;
use crate::module::stat::{self, Algorithm};
use crate::module::system::{FileKind, Found};
use crate::module::{Call, Context, Error, Failed, Mode, Outcome, text, typed};

/// What it may be told.
pub const PARAMETERS: &[Parameter] = &[
    Parameter::new("paths", Kind::List).or(&["name", "path"]).required(),
    Parameter::new("patterns", Kind::List).or(&["pattern"]),
    Parameter::new("excludes", Kind::List).or(&["exclude"]),
    Parameter::new("contains", Kind::Text),
    Parameter::new("read_whole_file", Kind::Flag),
    Parameter::new("file_type", Kind::Choice(&["any", "directory", "file", "link"])),
    Parameter::new("age", Kind::Text),
    Parameter::new("age_stamp", Kind::Choice(&["atime", "ctime", "mtime"])),
    Parameter::new("size", Kind::Text),
    Parameter::new("recurse", Kind::Flag),
    Parameter::new("hidden", Kind::Flag),
    Parameter::new("follow", Kind::Flag),
    Parameter::new("get_checksum", Kind::Flag),
    Parameter::new("use_regex", Kind::Flag),
    Parameter::new("depth", Kind::Integer),
];

/// What is wanted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(clippy::struct_excessive_bools, reason = "the parameters of the module, as Ansible names them")]
pub struct Arguments {
    /// The directories.
    pub paths: Vec<String>,
    /// What names fit; all if there are none.
    #[serde(default)]
    pub patterns: Vec<String>,
    /// What names must not fit.
    #[serde(default)]
    pub excludes: Vec<String>,
    /// What a line of a file must begin with, as a pattern.
    pub contains: Option<String>,
    /// Whether it may be anywhere in the file.
    #[serde(default)]
    pub read_whole_file: bool,
    /// What is looked for.
    #[serde(default)]
    pub file_type: FileType,
    /// Seconds since the last change, at least; at most if negative.
    pub age: Option<i64>,
    /// Which change.
    #[serde(default)]
    pub age_stamp: Stamp,
    /// Bytes, at least; at most if negative.
    pub size: Option<i64>,
    /// Whether directories below are looked at.
    #[serde(default)]
    pub recurse: bool,
    /// Whether names that begin with a dot are looked at.
    #[serde(default)]
    pub hidden: bool,
    /// Whether links to directories are followed.
    #[serde(default)]
    pub follow: bool,
    /// Whether checksums are told.
    #[serde(default)]
    pub get_checksum: bool,
    /// Whether patterns are regular expressions.
    #[serde(default)]
    pub use_regex: bool,
    /// How deep; 0 for all.
    #[serde(default)]
    pub depth: u64,
}

/// What is looked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FileType {
    /// Everything.
    Any,
    /// Directories.
    Directory,
    /// Files.
    #[default]
    File,
    /// Symbolic links.
    Link,
}

/// A time of a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stamp {
    /// Of the last reading.
    Atime,
    /// Of the last change of anything.
    Ctime,
    /// Of the last change of the content.
    #[default]
    Mtime,
}

pub(crate) fn parse(Call { mut arguments, .. }: Call) -> Result<Arguments, Error> {
    let units = [("s", 1), ("m", 60), ("h", 3600), ("d", 86_400), ("w", 604_800)];
    measured(&mut arguments, "age", &units, "seconds, or with one of `s`, `m`, `h`, `d`, `w`")?;
    let units = [("b", 1), ("k", 1 << 10), ("m", 1 << 20), ("g", 1 << 30), ("t", 1 << 40)];
    measured(&mut arguments, "size", &units, "bytes, or with one of `b`, `k`, `m`, `g`, `t`")?;
    typed("find", arguments)
}

/// Makes a number of a number with a unit.
fn measured(arguments: &mut Map<String, Value>, name: &str, units: &[(&str, i64)], wanted: &str) -> Result<(), Error> {
    let Some(written) = arguments.get(name).and_then(Value::as_str).map(str::to_lowercase) else { return Ok(()) };
    let unit = units.iter().find(|(unit, _)| written.ends_with(unit));
    let digits = unit.map_or(written.as_str(), |(unit, _)| written.trim_end_matches(unit));
    let number = digits.parse::<i64>().ok().and_then(|it| it.checked_mul(unit.map_or(1, |(_, factor)| *factor)));
    let number = number.ok_or_else(|| Error::Value {
        module: "find".to_owned(),
        name: name.to_owned(),
        value: written.clone(),
        wanted: wanted.to_owned(),
    })?;
    arguments.insert(name.to_owned(), json!(number));
    Ok(())
}

pub(crate) fn run(arguments: &Arguments, host: &Context, _mode: Mode) -> Result<Outcome, Failed> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
    let names = Names::new(arguments)?;
    let contains = arguments.contains.as_deref().map(Pattern::new).transpose()?;
    let (files, skipped) = (vec![], BTreeMap::new());
    let mut search = Search { arguments, host, names, contains, now, files, examined: 0, skipped };
    for written in &arguments.paths {
        let path = host.system.path(written);
        let path = if path.len() > 1 { path.trim_end_matches('/').to_owned() } else { path };
        if host.system.real(&path).is_dir() {
            search.walk(&path, 1)?;
        } else {
            search.skipped.insert(path.clone(), format!("'{path}' is not a directory"));
        }
    }
    let all = search.skipped.is_empty();
    let message = if all { "All paths examined" } else { "Not all paths examined, check warnings for details" };
    let warning = |(path, why): (&String, &String)| format!("Skipped '{path}' path due to this access issue: {why}\n");
    let warnings = search.skipped.iter().map(warning).collect();
    let values = Map::from_iter([
        ("matched".to_owned(), json!(search.files.len())),
        ("files".to_owned(), json!(search.files)),
        ("examined".to_owned(), json!(search.examined)),
        ("skipped_paths".to_owned(), json!(search.skipped)),
        ("msg".to_owned(), json!(message)),
    ]);
    Ok(Outcome { warnings, values, ..Outcome::default() })
}

/// What names fit.
enum Names {
    Shell(Vec<String>, Vec<String>),
    Regular(Vec<Pattern>, Vec<Pattern>),
}

impl Names {
    fn new(arguments: &Arguments) -> Result<Self, Failed> {
        if !arguments.use_regex {
            return Ok(Self::Shell(arguments.patterns.clone(), arguments.excludes.clone()));
        }
        // Python matches from the beginning.
        let compiled = |list: &[String]| {
            list.iter().map(|it| Pattern::new(&format!("\\A(?:{it})"))).collect::<Result<Vec<_>, Failed>>()
        };
        Ok(Self::Regular(compiled(&arguments.patterns)?, compiled(&arguments.excludes)?))
    }

    fn fit(&self, name: &str) -> Result<bool, Failed> {
        match self {
            Self::Shell(wanted, unwanted) => {
                let any = |list: &[String]| list.iter().any(|pattern| matches(name, pattern));
                Ok((wanted.is_empty() || any(wanted)) && !any(unwanted))
            }
            Self::Regular(wanted, unwanted) => {
                let any = |list: &[Pattern]| {
                    list.iter()
                        .try_fold(false, |found, it| Ok::<bool, Failed>(found || it.find(name.as_bytes())?.is_some()))
                };
                Ok((wanted.is_empty() || any(wanted)?) && !any(unwanted)?)
            }
        }
    }
}

struct Search<'a> {
    arguments: &'a Arguments,
    host: &'a Context<'a>,
    names: Names,
    contains: Option<Pattern>,
    now: f64,
    files: Vec<Value>,
    examined: usize,
    skipped: BTreeMap<String, String>,
}

impl Search<'_> {
    fn walk(&mut self, directory: &str, depth: u64) -> Result<(), Failed> {
        let entries = match fs::read_dir(self.host.system.real(directory)) {
            Ok(entries) => entries,
            Err(error) => {
                self.skipped.insert(directory.to_owned(), error.to_string());
                return Ok(());
            }
        };
        let mut names: Vec<String> =
            entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        self.examined += names.len();
        let path = |name: &String| format!("{}/{name}", directory.trim_end_matches('/'));
        let (directories, files): (Vec<String>, Vec<String>) =
            names.into_iter().partition(|name| self.host.system.real(&path(name)).is_dir());
        if self.arguments.depth == 0 || depth <= self.arguments.depth {
            for name in files.iter().chain(&directories) {
                self.look(name, &path(name))?;
            }
        }
        let deeper = self.arguments.recurse && (self.arguments.depth == 0 || depth < self.arguments.depth);
        for name in directories.iter().filter(|_| deeper) {
            let path = path(name);
            if self.arguments.follow || !self.host.system.real(&path).is_symlink() {
                self.walk(&path, depth + 1)?;
            }
        }
        Ok(())
    }

    fn look(&mut self, name: &str, path: &str) -> Result<(), Failed> {
        let hidden = name.starts_with('.') && !self.arguments.hidden;
        let Some(found) = self.host.system.found(path).ok().flatten().filter(|_| !hidden) else { return Ok(()) };
        let file = found.kind == FileKind::File;
        let kind = match self.arguments.file_type {
            FileType::Any => true,
            FileType::Directory => found.kind == FileKind::Directory,
            FileType::File => file,
            FileType::Link => found.kind == FileKind::Link,
        };
        let sized = !file || self.sized(&found);
        let content = self.arguments.file_type != FileType::File || self.content(path)?;
        if !(kind && self.names.fit(name)? && self.aged(&found) && sized && content) {
            return Ok(());
        }
        let mut facts = stat::facts(path, &found, self.host.system);
        facts.shift_remove("exists");
        if file && self.arguments.get_checksum {
            let checksum = stat::checksum(&self.host.system.real(path), Algorithm::Sha1);
            facts.insert("checksum".to_owned(), checksum.map_or(Value::Null, Value::String));
        }
        self.files.push(Value::Object(facts));
        Ok(())
    }

    #[expect(clippy::cast_precision_loss, reason = "ages are small numbers")]
    fn aged(&self, found: &Found) -> bool {
        let time = match self.arguments.age_stamp {
            Stamp::Atime => found.atime,
            Stamp::Ctime => found.ctime,
            Stamp::Mtime => found.mtime,
        };
        let passed = self.now - time;
        self.arguments.age.is_none_or(|age| if age >= 0 { passed >= age as f64 } else { passed <= -age as f64 })
    }

    fn sized(&self, found: &Found) -> bool {
        let fits = |size: i64| {
            let limit = size.unsigned_abs();
            if size >= 0 { found.size >= limit } else { found.size <= limit }
        };
        self.arguments.size.is_none_or(fits)
    }

    /// Whether the file has what is looked for: in one place, or at the beginning of a line.
    fn content(&self, path: &str) -> Result<bool, Failed> {
        let Some(pattern) = &self.contains else { return Ok(true) };
        let Ok(Some(content)) = text::read(path, self.host.system) else { return Ok(false) };
        if self.arguments.read_whole_file {
            return Ok(pattern.find(&content)?.is_some());
        }
        for line in text::lines(&content) {
            if pattern.find(&line)?.is_some_and(|found| found.start == 0) {
                return Ok(true);
            }
        }
        Ok(false)
    }
}
