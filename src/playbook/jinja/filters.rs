//! Filters: what may stand after `|`.

use std::sync::Arc;

use crate::playbook::jinja::arguments::{Arguments, text};
use crate::playbook::jinja::eval::{Evaluator, failed, no_missing, undefined};
use crate::playbook::jinja::tree::At;
use crate::playbook::jinja::value::{Missing, Value};
use crate::playbook::jinja::{Error, Fault, methods};

pub mod addresses;
pub mod choices;
pub mod data;
pub mod hardware;
pub mod lists;
pub mod numbers;
pub mod paths;
pub mod queries;
pub mod query;
pub mod secrets;
pub mod text;

/// Why a filter or test gave no value.
#[derive(Debug)]
pub enum Trouble {
    /// There is none of that name.
    Unknown,
    /// It got something that is not there.
    Undefined(Arc<Missing>),
    /// It cannot do that.
    Refused(String),
    /// Something inside it went wrong.
    Inside(Error),
}

impl Trouble {
    /// Says what went wrong, and where.
    pub fn at(self, name: &str, what: &str, at: At) -> Error {
        match self {
            Self::Unknown => Error::new(Fault::Syntax, format!("there is no {what} `{name}`"), at),
            Self::Undefined(missing) => undefined(&missing, at),
            Self::Refused(message) => failed(format!("{what} `{name}` {message}"), at),
            Self::Inside(error) => error,
        }
    }
}

impl From<String> for Trouble {
    fn from(message: String) -> Self {
        Self::Refused(message)
    }
}

impl From<&str> for Trouble {
    fn from(message: &str) -> Self {
        Self::Refused(message.to_owned())
    }
}

impl From<Arc<Missing>> for Trouble {
    fn from(missing: Arc<Missing>) -> Self {
        Self::Undefined(missing)
    }
}

impl From<methods::Trouble> for Trouble {
    fn from(trouble: methods::Trouble) -> Self {
        match trouble {
            methods::Trouble::Unknown => Self::Unknown,
            methods::Trouble::Refused(message) => Self::Refused(message),
        }
    }
}

impl From<Error> for Trouble {
    fn from(error: Error) -> Self {
        Self::Inside(error)
    }
}

/// Whether there is a filter of that name.
pub fn known(name: &str) -> bool {
    let name = short(name);
    all().any(|known| known == name)
}

/// Whether what a filter gives stays text, even if it looks like data.
pub fn makes_text(name: &str) -> bool {
    matches!(short(name), "string" | "to_json" | "to_nice_json" | "to_yaml" | "to_nice_yaml" | "ppretty" | "json")
}

/// The name of a filter or test without its collection.
pub fn short(name: &str) -> &str {
    let known = ["ansible.builtin.", "ansible.legacy.", "ansible.netcommon.", "ansible.utils.", "community.general."];
    known.iter().find_map(|prefix| name.strip_prefix(prefix)).unwrap_or(name)
}

/// All names.
pub fn all() -> impl Iterator<Item = &'static str> {
    ["default", "d", "mandatory", "ternary", "type_debug"]
        .iter()
        .chain(text::NAMES)
        .chain(numbers::NAMES)
        .chain(lists::NAMES)
        .chain(choices::NAMES)
        .chain(data::NAMES)
        .chain(paths::NAMES)
        .chain(query::NAMES)
        .chain(secrets::NAMES)
        .chain(addresses::NAMES)
        .copied()
}

/// Applies a filter.
pub fn apply(evaluator: &mut Evaluator<'_>, name: &str, input: Value, args: Arguments) -> Result<Value, Trouble> {
    let name = short(name);
    match name {
        "default" | "d" => return default(input, args),
        "mandatory" => return mandatory(input, args),
        "type_debug" => {
            let kind = if input.is_undefined() { "AnsibleUndefined" } else { input.kind() };
            return Ok(Value::text(kind));
        }
        _ => {}
    }
    if let Value::Undefined(missing) = input {
        return Err(if known(name) { missing.into() } else { Trouble::Unknown });
    }
    if name == "ternary" {
        return ternary(&input, args);
    }
    let args = no_missing(args)?;
    if text::NAMES.contains(&name) {
        text::apply(name, &input, args)
    } else if numbers::NAMES.contains(&name) {
        numbers::apply(name, &input, args)
    } else if lists::NAMES.contains(&name) {
        lists::apply(evaluator, name, &input, args)
    } else if choices::NAMES.contains(&name) {
        choices::apply(name, &input, args)
    } else if data::NAMES.contains(&name) {
        data::apply(name, &input, args)
    } else if paths::NAMES.contains(&name) {
        paths::apply(name, &input, args)
    } else if query::NAMES.contains(&name) {
        query::apply(&input, args)
    } else if secrets::NAMES.contains(&name) {
        secrets::apply(name, &input, args)
    } else if addresses::NAMES.contains(&name) {
        addresses::apply(name, &input, args)
    } else {
        Err(Trouble::Unknown)
    }
}

fn default(input: Value, args: Arguments) -> Result<Value, Trouble> {
    let [value, boolean] = args.bind(["default_value", "boolean"])?;
    let replaced = input.is_undefined() || (boolean.is_some_and(|boolean| boolean.truth()) && !input.truth());
    Ok(if replaced { value.unwrap_or_else(|| Value::text("")) } else { input })
}

fn mandatory(input: Value, args: Arguments) -> Result<Value, Trouble> {
    let [message] = args.bind(["msg"])?;
    match (&input, message) {
        (Value::Undefined(_), Some(message)) if message.truth() => Err(format!("says: {message}").into()),
        (Value::Undefined(missing), _) => Err(format!("needs a value: {missing}").into()),
        _ => Ok(input),
    }
}

fn ternary(input: &Value, args: Arguments) -> Result<Value, Trouble> {
    let [yes, no, none] = args.bind(["true_val", "false_val", "none_val"])?;
    if let (Value::None, Some(none)) = (input, none) {
        return Ok(none);
    }
    let chosen = if input.truth() { yes } else { no };
    chosen.ok_or_else(|| Trouble::Refused("needs two values".to_owned()))
}

/// The separator argument that many filters share.
pub(super) fn separator(value: Option<Value>) -> String {
    text_or(value, "")
}

fn text_or(value: Option<Value>, default: &str) -> String {
    text(value, default)
}
