//! `script`: a program of the control node, run on the target.

use std::fs::{self, DirBuilder, OpenOptions};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use serde_json::{Map, json};

use crate::module::arguments::{Kind, Parameter};
use crate::module::get_url::there;
use crate::module::program::{self, Setting};
use crate::module::source::Source;
use crate::module::{Call, Context, Error, Failed, Mode, Outcome, typed};

/// What it may be told, beside a line of text.
pub const PARAMETERS: &[Parameter] = &[
    Parameter::new("cmd", Kind::Text),
    Parameter::new("chdir", Kind::Text),
    Parameter::new("creates", Kind::Text),
    Parameter::new("removes", Kind::Text),
    Parameter::new("executable", Kind::Text),
    Parameter::new("decrypt", Kind::Flag),
];

/// What is wanted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Arguments {
    /// The program, as written.
    pub script: String,
    /// What follows it, for a shell.
    pub rest: String,
    /// Its content, put here by the control node.
    pub source: Option<Source>,
    /// Where it runs.
    pub chdir: Option<String>,
    /// Not if this is there.
    pub creates: Option<String>,
    /// Not if this is not there.
    pub removes: Option<String>,
    /// What runs it.
    pub executable: Option<String>,
}

pub(crate) fn parse(Call { free_form, mut arguments, .. }: Call) -> Result<Arguments, Error> {
    arguments.remove("decrypt");
    let cmd = arguments.remove("cmd").and_then(|cmd| cmd.as_str().map(str::to_owned));
    let line = free_form.map(str::to_owned).filter(|line| !line.trim().is_empty()).or(cmd);
    let missing = || Error::Missing { module: "script".to_owned(), name: "cmd".to_owned() };
    let line = line.ok_or_else(missing)?;
    let script = program::split(&line).ok().and_then(|words| words.into_iter().next()).ok_or_else(missing)?;
    arguments.insert("rest".to_owned(), json!(rest(line.trim())));
    arguments.insert("script".to_owned(), json!(script));
    typed("script", arguments)
}

/// What follows the first word of a line, its quotes kept.
fn rest(line: &str) -> &str {
    let mut open = None;
    let mut escaped = false;
    for (at, letter) in line.char_indices() {
        match (open, letter) {
            _ if escaped => escaped = false,
            (None | Some('"'), '\\') => escaped = true,
            (None, '\'' | '"') => open = Some(letter),
            (Some(quote), letter) if quote == letter => open = None,
            (None, letter) if letter.is_whitespace() => return line[at..].trim_start(),
            _ => {}
        }
    }
    ""
}

pub(crate) fn run(arguments: &Arguments, host: &Context, mode: Mode) -> Result<Outcome, Failed> {
    let skipped = |why: String| Outcome {
        skipped: true,
        values: Map::from_iter([("msg".to_owned(), json!(why))]),
        ..Outcome::default()
    };
    match (&arguments.creates, &arguments.removes) {
        (Some(path), _) if there(path, host) => {
            return Ok(skipped(format!("{path} exists, matching creates option")));
        }
        (_, Some(path)) if !there(path, host) => {
            return Ok(skipped(format!("{path} does not exist, matching removes option")));
        }
        _ => {}
    }
    if let Some(directory) = arguments.chdir.as_ref().filter(|path| !path.starts_with('/')) {
        return Err(Failed::new(format!("chdir {directory} must be an absolute path for a Unix-aware remote node")));
    }
    if mode == Mode::Check {
        let known = arguments.creates.is_some() || arguments.removes.is_some();
        let outcome = skipped("Check mode is not supported for this task.".to_owned());
        return Ok(if known { Outcome { changed: true, ..Outcome::default() } } else { outcome });
    }
    let placed = Placed::new(arguments, host)?;
    ran(arguments, &placed, host)
}

/// The script on the target while it runs.
struct Placed {
    directory: PathBuf,
    file: PathBuf,
}

impl Drop for Placed {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.directory);
    }
}

impl Placed {
    fn new(arguments: &Arguments, host: &Context) -> Result<Self, Failed> {
        let Some(Source::File { name, content, .. }) = &arguments.source else {
            return Err(Failed::new(format!("`{}` is no file", arguments.script)));
        };
        let above = ["/var/tmp", "/tmp"].into_iter().find(|path| host.system.real(path).is_dir()).unwrap_or("/");
        let directory = host.system.real(&format!("{above}/.ryo-{:016x}", rand::random::<u64>()));
        let told = |error: std::io::Error| Failed::new(format!("cannot put the script on the target: {error}"));
        DirBuilder::new().mode(0o700).create(&directory).map_err(told)?;
        let placed = Self { file: directory.join(name), directory };
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o700).open(&placed.file).map_err(told)?;
        (host.content)(content, &mut file)?;
        Ok(placed)
    }
}

fn ran(arguments: &Arguments, placed: &Placed, host: &Context) -> Result<Outcome, Failed> {
    let path = placed.file.to_string_lossy().replace('\'', "'\\''");
    let program = arguments.executable.as_ref().map(|it| format!("{it} ")).unwrap_or_default();
    let line = format!("{program}'{path}' {}", arguments.rest);
    let directory = arguments.chdir.as_ref().map(|path| host.system.real(path));
    let words = ["/bin/sh".to_owned(), "-c".to_owned(), line];
    let ran = program::run(&words, &Setting { directory, ..Setting::default() }, host)?;
    let lines = |text: &str| json!(text.lines().collect::<Vec<_>>());
    let values = Map::from_iter([
        ("rc".to_owned(), json!(ran.status)),
        ("stdout_lines".to_owned(), lines(&ran.stdout)),
        ("stdout".to_owned(), json!(ran.stdout)),
        ("stderr_lines".to_owned(), lines(&ran.stderr)),
        ("stderr".to_owned(), json!(ran.stderr)),
    ]);
    let failed = (ran.status != 0).then(|| "non-zero return code".to_owned());
    Ok(Outcome { changed: true, failed, values, ..Outcome::default() })
}
