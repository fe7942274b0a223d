//! Permission bits, owner and group of a file, as tasks give them.

use serde::{Deserialize, Serialize};

use crate::module::Error;
use crate::module::arguments::{Kind, Parameter};

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
