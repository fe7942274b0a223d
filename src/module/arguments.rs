//! What a module may be told: names, aliases, kinds and the coercions that Ansible makes before a module sees a value.
//!
//! Source: ansible-core 2.15, `module_utils/common/parameters.py` and `module_utils/common/validation.py`.

use std::fmt::Write as _;

use serde_json::{Map, Number, Value};

use crate::module::Error;

/// One parameter of a module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parameter {
    /// Its name, e.g. `path`.
    pub name: &'static str,
    /// Other names for it, e.g. `dest`.
    pub aliases: &'static [&'static str],
    /// What a value may be.
    pub kind: Kind,
    /// Whether the module cannot do without it.
    pub need: Need,
}

/// Whether a parameter may be left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// It may.
    Optional,
    /// It may not.
    Required,
}

/// What a value may be, after coercion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Text; numbers and booleans become text.
    Text,
    /// `yes`, `no`, `true`, `1`, … or a boolean.
    Flag,
    /// A whole number, or text that is one.
    Integer,
    /// A list of texts; one text is split at commas.
    List,
    /// Permission bits: a number, octal text, or symbolic text.
    Bits,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// Anything, kept as it is.
    Any,
}

impl Parameter {
    /// An optional parameter.
    pub const fn new(name: &'static str, kind: Kind) -> Self {
        Self { name, aliases: &[], kind, need: Need::Optional }
    }

    /// The same with other names.
    #[must_use]
    pub const fn or(mut self, aliases: &'static [&'static str]) -> Self {
        self.aliases = aliases;
        self
    }

    /// The same, required.
    #[must_use]
    pub const fn required(mut self) -> Self {
        self.need = Need::Required;
        self
    }

    /// Whether `name` means this parameter.
    pub fn is(&self, name: &str) -> bool {
        self.name == name || self.aliases.contains(&name)
    }
}

/// Gives every argument its first name and the kind its parameter has. Nulls count as left out.
///
/// # Errors
///
/// [`Error::Parameter`], [`Error::Twice`], [`Error::Missing`] or [`Error::Value`].
pub fn normalise(
    module: &str,
    parameters: &[Parameter],
    arguments: &Map<String, Value>,
) -> Result<Map<String, Value>, Error> {
    let mut clean = Map::new();
    for (name, value) in arguments.iter().filter(|(_, value)| !value.is_null()) {
        let parameter = find(module, parameters, name)?;
        let value = coerce(parameter.kind, value).ok_or_else(|| Error::Value {
            module: module.to_owned(),
            name: name.clone(),
            value: shown(value),
            wanted: wanted(parameter.kind),
        })?;
        if clean.insert(parameter.name.to_owned(), value).is_some() {
            return Err(Error::Twice { module: module.to_owned(), name: parameter.name.to_owned() });
        }
    }
    match parameters.iter().find(|it| it.need == Need::Required && !clean.contains_key(it.name)) {
        Some(missing) => Err(Error::Missing { module: module.to_owned(), name: missing.name.to_owned() }),
        None => Ok(clean),
    }
}

fn find<'p>(module: &str, parameters: &'p [Parameter], name: &str) -> Result<&'p Parameter, Error> {
    parameters.iter().find(|it| it.is(name)).ok_or_else(|| Error::Parameter {
        module: module.to_owned(),
        name: name.to_owned(),
        nearest: nearest(name, parameters.iter().flat_map(|it| std::iter::once(it.name).chain(it.aliases.to_vec()))),
    })
}

/// Returns the word most like `name`, if one is like it at all.
pub fn nearest<'w>(name: &str, words: impl Iterator<Item = &'w str>) -> Option<String> {
    words
        .map(|word| (strsim::jaro_winkler(name, word), word))
        .filter(|(likeness, _)| *likeness > 0.75)
        .max_by(|left, right| left.0.total_cmp(&right.0))
        .map(|(_, word)| word.to_owned())
}

/// Makes `value` what `kind` wants, or nothing if it cannot be.
fn coerce(kind: Kind, value: &Value) -> Option<Value> {
    match kind {
        Kind::Any => Some(value.clone()),
        Kind::Text => Some(Value::String(text(value))),
        Kind::Flag => flag(value).map(Value::Bool),
        Kind::Integer => integer(value).map(|it| Value::Number(it.into())),
        Kind::List => list(value),
        Kind::Bits => bits(value).map(Value::String),
        Kind::Choice(words) => choice(value, words).map(|word| Value::String(word.to_owned())),
    }
}

/// The text of a value as Python's `str` gives it.
pub fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => "None".to_owned(),
        other => python(other),
    }
}

/// A value as Python's `repr` gives it.
pub(crate) fn python(value: &Value) -> String {
    match value {
        Value::Null => "None".to_owned(),
        Value::Bool(true) => "True".to_owned(),
        Value::Bool(false) => "False".to_owned(),
        Value::Number(number) => number.to_string(),
        Value::String(text) if text.contains('\'') && !text.contains('"') => format!("\"{text}\""),
        Value::String(text) => format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'").replace('\n', "\\n")),
        Value::Array(items) => format!("[{}]", items.iter().map(python).collect::<Vec<_>>().join(", ")),
        Value::Object(map) => {
            let pairs = map.iter().map(|(key, value)| format!("'{key}': {}", python(value)));
            format!("{{{}}}", pairs.collect::<Vec<_>>().join(", "))
        }
    }
}

fn flag(value: &Value) -> Option<bool> {
    match value {
        Value::Bool(flag) => Some(*flag),
        Value::Number(number) if number.as_f64() == Some(1.0) => Some(true),
        Value::Number(number) if number.as_f64() == Some(0.0) => Some(false),
        Value::String(text) => match text.trim().to_lowercase().as_str() {
            "y" | "yes" | "on" | "1" | "true" | "t" | "1.0" => Some(true),
            "n" | "no" | "off" | "0" | "false" | "f" | "0.0" => Some(false),
            _ => None,
        },
        _ => None,
    }
}

fn integer(value: &Value) -> Option<i64> {
    match value {
        Value::Number(number) => number.as_i64(),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    }
}

fn list(value: &Value) -> Option<Value> {
    let items = match value {
        Value::Array(items) => items.iter().map(text).collect(),
        Value::String(whole) => whole.split(',').map(str::to_owned).collect(),
        Value::Number(number) => vec![number.to_string()],
        _ => return None,
    };
    Some(Value::Array(items.into_iter().map(Value::String).collect::<Vec<_>>()))
}

/// Numbers become octal text, e.g. 493 → `0755`; text is kept.
fn bits(value: &Value) -> Option<String> {
    match value {
        Value::Number(number) => octal(number),
        Value::String(text) => Some(text.clone()),
        _ => None,
    }
}

fn octal(number: &Number) -> Option<String> {
    number.as_u64().filter(|bits| *bits <= 0o7777).map(|bits| format!("{bits:04o}"))
}

/// A word, or the boolean that YAML made of one of `yes`, `no`, `on`, `off`, `true`, `false`.
fn choice(value: &Value, words: &[&'static str]) -> Option<&'static str> {
    let written = text(value);
    words.iter().find(|word| **word == written).copied().or_else(|| {
        let meant = match value {
            Value::Bool(flag) => *flag,
            Value::String(text) if text == "True" => true,
            Value::String(text) if text == "False" => false,
            _ => return None,
        };
        let mut same = words.iter().filter(|word| flag(&Value::String((**word).to_owned())) == Some(meant));
        same.next().copied()
    })
}

/// What a person reads of a value that will not do.
fn shown(value: &Value) -> String {
    let whole = text(value);
    let mut short = whole.chars().take(60).collect::<String>();
    if short.len() < whole.len() {
        short.push('…');
    }
    short
}

fn wanted(kind: Kind) -> String {
    match kind {
        Kind::Text | Kind::Any => "text".to_owned(),
        Kind::Flag => "yes or no".to_owned(),
        Kind::Integer => "a whole number".to_owned(),
        Kind::List => "a list".to_owned(),
        Kind::Bits => "permission bits".to_owned(),
        Kind::Choice(words) => {
            let mut text = "one of ".to_owned();
            for (place, word) in words.iter().enumerate() {
                let _ = write!(text, "{}`{word}`", if place == 0 { "" } else { ", " });
            }
            text
        }
    }
}
