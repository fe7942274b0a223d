//! What `lineinfile` and `blockinfile` have in common: a file's content is read, changed and written back.

use serde::{Deserialize, Serialize};

use crate::module::action::{Action, Bytes, Write, octal, umask};
use crate::module::attributes::{self, Attributes, Ids, Wanted, What};
use crate::module::system::{FileKind, Found};
use crate::module::{Context, Diff, Failed, Mode, Plan, text};

/// What is there.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Scene {
    /// The path meant, absolute.
    pub path: String,
    /// The same without links.
    pub canonical: String,
    /// What is at the path, a link not followed.
    pub found: Option<Found>,
    /// The content, links followed; in fixtures as text.
    #[serde(with = "content")]
    pub content: Option<Vec<u8>>,
    /// Parent directories that are not there, outermost first.
    pub parents: Vec<String>,
    /// Mode, owner and group wanted.
    pub wanted: Wanted,
}

mod content {
    use serde::{Deserialize as _, Deserializer, Serialize as _, Serializer};

    #[expect(clippy::ref_option, reason = "serde's shape")]
    pub(super) fn serialize<S: Serializer>(bytes: &Option<Vec<u8>>, serializer: S) -> Result<S::Ok, S::Error> {
        bytes.as_deref().map(String::from_utf8_lossy).serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<u8>>, D::Error> {
        Ok(Option::<String>::deserialize(deserializer)?.map(String::into_bytes))
    }
}

/// A content made of another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edited {
    /// The new content.
    pub content: Vec<u8>,
    /// What was done, as Ansible says it; empty if nothing.
    pub message: String,
}

/// How the new content is written.
#[derive(Clone, Copy, Debug)]
pub struct How<'a> {
    /// Whether the old file is kept beside.
    pub backup: bool,
    /// A command that must accept it first.
    pub validate: Option<&'a str>,
    /// Mode, owner and group.
    pub attributes: &'a Attributes,
}

/// Looks at the file that `path` means.
///
/// # Errors
///
/// [`Failed`]: it is a directory, cannot be read, or an account is unknown.
pub fn look(path: &str, attributes: &Attributes, host: &Context, mode: Mode) -> Result<Scene, Failed> {
    let system = host.system;
    let path = system.path(path);
    let told = |error| Failed::new(format!("cannot look at {path}: {error}"));
    if system.followed(&path).map_err(told)?.is_some_and(|found| found.kind == FileKind::Directory) {
        return Err(Failed::new(format!("Path {path} is a directory !")).with("rc", 256));
    }
    let content = text::read(&path, system)?;
    let parents = if content.is_some() { vec![] } else { missing_parents(&path, host)? };
    Ok(Scene {
        canonical: system.canonical(&path),
        found: system.found(&path).map_err(told)?,
        content,
        parents,
        wanted: attributes::look(attributes, system, mode)?,
        path,
    })
}

/// The directories above `path` that are not there, outermost first.
///
/// # Errors
///
/// [`Failed`]: something cannot be looked at.
pub fn missing_parents(path: &str, host: &Context) -> Result<Vec<String>, Failed> {
    let mut missing = vec![];
    let mut above = path.trim_end_matches('/');
    while let Some(at) = above.rfind('/') {
        above = &above[..at];
        let told = |error| Failed::new(format!("cannot look at {above}: {error}"));
        if above.is_empty() || host.system.followed(above).map_err(told)?.is_some() {
            break;
        }
        missing.push(above.to_owned());
    }
    missing.reverse();
    Ok(missing)
}

/// Plans to make the file's content and attributes as wanted. `edited`: nothing if there is no file and none is made.
pub fn plan(scene: &Scene, edited: &Edited, how: How) -> Plan {
    let mut plan = Plan { warnings: scene.wanted.warnings.clone(), ..Plan::default() };
    let writes = !edited.message.is_empty();
    let dressing = scene.found.as_ref().map(|found| (found, attributes::plan(&scene.path, found, &scene.wanted)));
    let mut message = edited.message.clone();
    if writes {
        plan.actions = written(scene, edited, how);
        let before = scene.content.as_deref().unwrap_or_default();
        plan.diffs.push(text::diff(&scene.path, before, &edited.content));
    }
    if let Some((found, actions)) = dressing {
        plan.diffs.extend(attributes::diff(&scene.path, found, &actions));
        if !actions.is_empty() {
            let joint = if writes { " and " } else { "" };
            message = format!("{message}{joint}ownership, perms or SE linux context changed");
        }
        // A file's attributes are set as it is written; a link's, and those of a file that is not, by themselves.
        if !writes || found.kind == FileKind::Link {
            plan.actions.extend(actions);
        }
    } else if writes && scene.wanted != (Wanted { warnings: scene.wanted.warnings.clone(), ..Wanted::default() }) {
        message.push_str(" and ownership, perms or SE linux context changed");
    }
    plan.tell("msg", message);
    plan
}

fn written(scene: &Scene, edited: &Edited, how: How) -> Vec<Action> {
    let directory = |path: &String| Action::Mkdir { path: path.clone(), mode: octal(0o777 & !umask()) };
    let mut actions = scene.parents.iter().map(directory).collect::<Vec<_>>();
    if how.backup && scene.content.is_some() {
        actions.push(Action::Backup { path: scene.canonical.clone() });
    }
    let link = scene.found.as_ref().is_some_and(|found| found.kind == FileKind::Link);
    let current = scene.found.as_ref().map_or(0o666 & !umask(), |found| found.mode);
    let dressed = |wanted: &Wanted| wanted.mode.is_some().then(|| octal(wanted.bits(current, What::File)));
    actions.push(Action::Write(Write {
        path: scene.canonical.clone(),
        bytes: Bytes::Text(edited.content.clone()),
        mode: if link { None } else { dressed(&scene.wanted) },
        ids: if link { Ids::default() } else { scene.wanted.ids },
        validate: how.validate.map(str::to_owned),
        unsafe_writes: how.attributes.unsafe_writes,
    }));
    actions
}

/// The file that is not there and will not be: nothing is planned.
pub fn nothing(message: &str) -> Plan {
    let mut plan = Plan { diffs: Vec::<Diff>::new(), ..Plan::default() };
    plan.tell("msg", message);
    plan
}
