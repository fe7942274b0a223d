//! Files that the agent reads and writes for the flows, beside tasks.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use crate::agent::wire::WINDOW;
use crate::module::action::{Action, Bytes, Write, act, octal};
use crate::module::attributes::Ids;
use crate::module::source::Blob;
use crate::module::{Context, Failed, Mode, System, Task, parse};

/// Where the agent keeps what is its own: `/var/lib/ryo`, or `~/.local/state/ryo` of an account that is not root.
pub(super) fn own(system: &System) -> String {
    if rustix::process::geteuid().is_root() { "/var/lib/ryo".to_owned() } else { system.path("~/.local/state/ryo") }
}

/// What is at `path`, as the `stat` module tells it.
pub(super) fn stat(path: &str, host: &Context) -> Result<Value, Failed> {
    let arguments = Map::from_iter([
        ("path".to_owned(), Value::from(path)),
        ("follow".to_owned(), Value::from(false)),
        ("get_checksum".to_owned(), Value::from(false)),
    ]);
    let task: Task = parse("stat", None, &arguments).map_err(|error| Failed::new(error.to_string()))?;
    let mut outcome = crate::module::run(&task, host, Mode::Check);
    match outcome.failed {
        Some(message) => Err(Failed::new(message)),
        None => Ok(outcome.values.shift_remove("stat").unwrap_or_default()),
    }
}

/// Some of the file at `path`.
pub(super) fn piece(path: &str, from: u64, system: &System) -> Result<Vec<u8>, Failed> {
    let told = |error: std::io::Error| Failed::new(format!("cannot read {path}: {error}"));
    Blob::File(system.real(path)).piece(from, WINDOW).map_err(told)
}

/// Replaces the file at `path`.
pub(super) fn write(
    path: &str,
    bytes: Vec<u8>,
    mode: Option<u32>,
    owner: Option<&str>,
    group: Option<&str>,
    host: &Context,
) -> Result<(), Failed> {
    let system = host.system;
    let number = |found: Option<u32>, what: &str, name: &str| {
        found.ok_or_else(|| Failed::new(format!("failed to look up {what} {name}")))
    };
    let uid = owner.map(|name| number(system.uid(name), "user", name)).transpose()?;
    let gid = group.map(|name| number(system.gid(name), "group", name)).transpose()?;
    let write = Write {
        path: system.path(path),
        bytes: Bytes::Text(bytes),
        mode: mode.map(octal),
        ids: Ids { uid, gid },
        ..Write::default()
    };
    act(&Action::Write(write), host).map(|_| ())
}

/// Makes a directory that only its owner can enter, with those above it.
pub(super) fn private(directory: &Path) -> std::io::Result<()> {
    match directory.parent() {
        Some(above) if !above.exists() => fs::create_dir_all(above)?,
        _ => {}
    }
    match DirBuilder::new().mode(0o700).create(directory) {
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        other => other,
    }
}

/// Puts a line behind the journal.
pub(super) fn journal(line: &str, system: &System) -> Result<(), Failed> {
    let path: PathBuf = system.real(&format!("{}/journal.jsonl", own(system)));
    let told = |error: std::io::Error| Failed::new(format!("cannot write {}: {error}", path.display()));
    private(path.parent().unwrap_or(Path::new("/"))).map_err(told)?;
    let mut file = OpenOptions::new().append(true).create(true).mode(0o600).open(&path).map_err(told)?;
    let line = format!("{}\n", line.trim_end_matches('\n').replace('\n', " "));
    file.write_all(line.as_bytes()).and_then(|()| file.sync_all()).map_err(told)
}
