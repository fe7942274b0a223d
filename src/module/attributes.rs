//! Permission bits, owner and group of a file, as tasks give them.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::module::action::{Action, octal as digits};
use crate::module::arguments::{Kind, Parameter};
use crate::module::system::{FileKind, Found, System};
use crate::module::{Diff, Error, Failed, Mode};

/// `mode`.
pub const MODE: Parameter = Parameter::new("mode", Kind::Bits);
/// `owner`.
pub const OWNER: Parameter = Parameter::new("owner", Kind::Text);
/// `group`.
pub const GROUP: Parameter = Parameter::new("group", Kind::Text);
/// `unsafe_writes`.
pub const UNSAFE_WRITES: Parameter = Parameter::new("unsafe_writes", Kind::Flag);

/// What a task wants of a file's attributes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Attributes {
    /// Octal (`0644`), symbolic (`u=rwX,g+r`) or `preserve`.
    pub mode: Option<String>,
    /// Name or number.
    pub owner: Option<String>,
    /// Name or number.
    pub group: Option<String>,
    /// Whether a file that cannot be replaced may be written in place.
    pub unsafe_writes: bool,
}

/// Refuses a mode that is none.
///
/// # Errors
///
/// [`Error::Value`].
pub fn check(module: &str, name: &str, mode: Option<&str>) -> Result<(), Error> {
    let Some(mode) = mode else { return Ok(()) };
    let good = mode == "preserve" || apply(mode, 0, What::File).is_some();
    if good { Ok(()) } else { Err(wrong(module, name, mode)) }
}

fn wrong(module: &str, name: &str, mode: &str) -> Error {
    Error::Value {
        module: module.to_owned(),
        name: name.to_owned(),
        value: mode.to_owned(),
        wanted: "permission bits, e.g. `0644` or `u=rw,g=r`".to_owned(),
    }
}

/// What a symbolic mode is applied to: `X` differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// A directory.
    Directory,
    /// Anything else.
    File,
}

/// Returns the permission bits that `mode` makes of `current`, or nothing if it is no mode.
///
/// Symbolic modes as in Ansible: `[ugoa]*` then `+`, `-` or `=` with `rwxXst` or one of `ugo`, comma-separated. Without
/// a class, all three are meant; the umask plays no part.
pub fn apply(mode: &str, current: u32, what: What) -> Option<u32> {
    if let Some(bits) = octal(mode) {
        return Some(bits);
    }
    let mut bits = current & 0o7777;
    for clause in mode.split(',') {
        bits = clause_applied(clause, bits, current, what)?;
    }
    Some(bits)
}

fn octal(mode: &str) -> Option<u32> {
    let digits = mode.trim();
    let digits = digits.strip_prefix("0o").unwrap_or(digits);
    let bits = u32::from_str_radix(digits, 8).ok()?;
    (bits <= 0o7777 && !digits.starts_with('+')).then_some(bits)
}

fn clause_applied(clause: &str, mut bits: u32, current: u32, what: What) -> Option<u32> {
    let at = clause.find(['+', '-', '='])?;
    let (classes, mut rest) = clause.split_at(at);
    if !classes.chars().all(|class| "ugoa".contains(class)) {
        return None;
    }
    let classes = if classes.is_empty() || classes.contains('a') { "ugo" } else { classes };
    while let Some(operator) = rest.chars().next() {
        let end = rest[1..].find(['+', '-', '=']).map_or(rest.len(), |next| next + 1);
        let permissions = &rest[1..end];
        for class in classes.chars() {
            let meant = meant(class, permissions, bits, current, what)?;
            bits = match operator {
                '+' => bits | meant,
                '-' => bits & !meant,
                _ => (bits & !mask(class)) | meant,
            };
        }
        rest = &rest[end..];
    }
    Some(bits)
}

/// All bits that `class` has, its special one included.
fn mask(class: char) -> u32 {
    match class {
        'u' => 0o4700,
        'g' => 0o2070,
        _ => 0o1007,
    }
}

fn meant(class: char, permissions: &str, bits: u32, current: u32, what: What) -> Option<u32> {
    let shift = match class {
        'u' => 6,
        'g' => 3,
        _ => 0,
    };
    let mut meant = 0;
    for permission in permissions.chars() {
        meant |= match permission {
            'r' => 0o4 << shift,
            'w' => 0o2 << shift,
            'x' => 0o1 << shift,
            'X' if what == What::Directory || current & 0o111 != 0 => 0o1 << shift,
            's' if class == 'u' => 0o4000,
            's' if class == 'g' => 0o2000,
            't' if class == 'o' => 0o1000,
            'X' | 's' | 't' => 0,
            'u' if permissions.len() == 1 => ((bits >> 6) & 0o7) << shift,
            'g' if permissions.len() == 1 => ((bits >> 3) & 0o7) << shift,
            'o' if permissions.len() == 1 => (bits & 0o7) << shift,
            _ => return None,
        };
    }
    Some(meant)
}

/// Owner and group by number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ids {
    /// Owner; kept if none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uid: Option<u32>,
    /// Group; kept if none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gid: Option<u32>,
}

/// What a task wants of a file's attributes, accounts looked up.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wanted {
    /// As in [`Attributes`].
    #[serde(default)]
    pub mode: Option<String>,
    /// Owner and group.
    #[serde(flatten)]
    pub ids: Ids,
    /// What could not be looked up and may exist by the time of a real run.
    #[serde(default)]
    pub warnings: Vec<String>,
}

/// Looks the accounts up. In check mode one that is not there is a warning: an earlier task may make it.
///
/// # Errors
///
/// [`Failed`]: there is no such account.
pub fn look(attributes: &Attributes, system: &System, mode: Mode) -> Result<Wanted, Failed> {
    let mut wanted = Wanted { mode: attributes.mode.clone(), ..Wanted::default() };
    if let Some(owner) = &attributes.owner {
        wanted.ids.uid = system.uid(owner);
        if wanted.ids.uid.is_none() {
            wanted.warnings.push(unknown("chown", "user", owner, mode)?);
        }
    }
    if let Some(group) = &attributes.group {
        wanted.ids.gid = system.gid(group);
        if wanted.ids.gid.is_none() {
            wanted.warnings.push(unknown("chgrp", "group", group, mode)?);
        }
    }
    Ok(wanted)
}

fn unknown(doing: &str, what: &str, name: &str, mode: Mode) -> Result<String, Failed> {
    match mode {
        Mode::Apply => Err(Failed::new(format!("{doing} failed: failed to look up {what} {name}"))),
        Mode::Check => Ok(format!("failed to look up {what} {name}. Create {what} up to this point in real play")),
    }
}

impl Wanted {
    /// The permission bits that something with `current` bits shall have.
    pub fn bits(&self, current: u32, what: What) -> u32 {
        self.mode.as_deref().and_then(|mode| apply(mode, current, what)).unwrap_or(current)
    }
}

/// What is to be done so that `found` at `path` has what is wanted. A link has no permission bits of its own.
pub fn plan(path: &str, found: &Found, wanted: &Wanted) -> Vec<Action> {
    let mut actions = vec![];
    let other = |wanted: Option<u32>, has: u32| wanted.filter(|wanted| *wanted != has);
    let ids = Ids { uid: other(wanted.ids.uid, found.uid), gid: other(wanted.ids.gid, found.gid) };
    let moved = ids != Ids::default();
    if moved {
        actions.push(Action::Chown { path: path.to_owned(), ids });
    }
    let what = if found.kind == FileKind::Directory { What::Directory } else { What::File };
    let bits = wanted.bits(found.mode, what);
    // A change of owner clears the bits that lend it; they come back only if they are asked for.
    let cleared = moved && wanted.mode.is_some() && bits & 0o6000 != 0;
    if found.kind != FileKind::Link && (bits != found.mode || cleared) {
        actions.push(Action::Chmod { path: path.to_owned(), mode: digits(bits) });
    }
    actions
}

/// What `actions` of [`plan`] change, as two texts, or nothing.
pub fn diff(path: &str, found: &Found, actions: &[Action]) -> Option<Diff> {
    let mut changes = vec![];
    for action in actions {
        match action {
            Action::Chown { ids, .. } => {
                changes.extend(ids.uid.map(|uid| ("owner", json!(found.uid), json!(uid))));
                changes.extend(ids.gid.map(|gid| ("group", json!(found.gid), json!(gid))));
            }
            Action::Chmod { mode, .. } => changes.push(("mode", json!(digits(found.mode)), json!(mode))),
            _ => {}
        }
    }
    if changes.is_empty() {
        return None;
    }
    changes.push(("path", json!(path), json!(path)));
    let before = changes.iter().map(|(name, before, _)| ((*name).to_owned(), before.clone())).collect();
    let after = changes.iter().map(|(name, _, after)| ((*name).to_owned(), after.clone())).collect();
    Some(Diff { subject: path.to_owned(), before: pretty(before), after: pretty(after) })
}

/// A map as people read it in a diff: keys sorted, one a line.
pub(crate) fn pretty(mut map: Map<String, Value>) -> String {
    map.sort_keys();
    serde_json::to_string_pretty(&Value::Object(map)).map(|text| text + "\n").unwrap_or_default()
}
