//! What a module of files is going to do, and doing it.

use serde_json::{Map, Value, json};

use crate::module::action::{self, Action};
use crate::module::system::{FileKind, Found, System};
use crate::module::{Context, Diff, Failed, Mode, Outcome};

/// What is going to be done: nothing if all is as wanted.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plan {
    /// In this order.
    pub actions: Vec<Action>,
    /// What they change.
    pub diffs: Vec<Diff>,
    /// What a person should know.
    pub warnings: Vec<String>,
    /// Keys of the result.
    pub values: Map<String, Value>,
}

impl Plan {
    /// Adds a key of the result.
    pub fn tell(&mut self, name: &str, value: impl Into<Value>) {
        self.values.insert(name.to_owned(), value.into());
    }
}

/// Carries `plan` out (in check mode: does not) and tells what is then at the `path` or `dest` of its result.
///
/// # Errors
///
/// [`Failed`]: an action cannot be done; those before it are.
pub fn finish(plan: Plan, host: &Context, mode: Mode) -> Result<Outcome, Failed> {
    let Plan { actions, diffs, warnings, mut values } = plan;
    if mode == Mode::Apply {
        for action in &actions {
            if let Some(backup) = action::act(action, host)? {
                values.insert("backup_file".to_owned(), json!(backup));
            }
        }
    }
    let path = ["path", "dest"].iter().find_map(|name| values.get(*name)?.as_str().map(str::to_owned));
    if let Some(path) = path {
        about(&path, host.system, &mut values);
    }
    Ok(Outcome { changed: !actions.is_empty(), diffs, warnings, values, ..Outcome::default() })
}

/// Tells owner, group, mode, size and state of what is at `path`, as Ansible does for every result with a path.
pub fn about(path: &str, system: &System, values: &mut Map<String, Value>) {
    let found = system.found(path).ok().flatten();
    let mut tell = |name: &str, value: Value| values.insert(name.to_owned(), value);
    tell("state", json!(state(found.as_ref())));
    if let Some(found) = found {
        tell("uid", json!(found.uid));
        tell("gid", json!(found.gid));
        tell("owner", json!(system.owner(found.uid)));
        tell("group", json!(system.group(found.gid)));
        tell("mode", json!(format!("0{:03o}", found.mode)));
        tell("size", json!(found.size));
    }
}

/// What Ansible calls it.
pub fn state(found: Option<&Found>) -> &'static str {
    match found {
        None => "absent",
        Some(Found { kind: FileKind::Link, .. }) => "link",
        Some(Found { kind: FileKind::Directory, .. }) => "directory",
        Some(Found { links: 2.., .. }) => "hard",
        Some(_) => "file",
    }
}
