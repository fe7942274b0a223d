//! Tests: what may stand after `is`.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use crate::playbook::jinja::arguments::{Arguments, Truth, text, truth};
use crate::playbook::jinja::eval::{Evaluator, compare, contains, no_missing};
use crate::playbook::jinja::filters::{self, Trouble};
use crate::playbook::jinja::regexes::{self, Anchor, Flags};
use crate::playbook::jinja::tree::Compare;
use crate::playbook::jinja::value::Value;
use crate::playbook::jinja::{call, versions};

/// The names that are known.
pub const NAMES: &[&str] = &[
    "!=",
    "<",
    "<=",
    "==",
    ">",
    ">=",
    "abs",
    "all",
    "any",
    "boolean",
    "callable",
    "change",
    "changed",
    "contains",
    "defined",
    "directory",
    "divisibleby",
    "eq",
    "equalto",
    "even",
    "exists",
    "escaped",
    "failed",
    "failure",
    "false",
    "falsy",
    "file",
    "filter",
    "finished",
    "float",
    "ge",
    "greaterthan",
    "gt",
    "in",
    "integer",
    "is_abs",
    "is_dir",
    "is_file",
    "is_link",
    "is_mount",
    "is_same_file",
    "isnan",
    "issubset",
    "issuperset",
    "iterable",
    "le",
    "lessthan",
    "link",
    "link_exists",
    "lower",
    "lt",
    "mapping",
    "match",
    "mount",
    "nan",
    "ne",
    "none",
    "number",
    "odd",
    "reachable",
    "regex",
    "same_file",
    "sameas",
    "search",
    "sequence",
    "skip",
    "skipped",
    "started",
    "string",
    "subset",
    "succeeded",
    "success",
    "successful",
    "superset",
    "test",
    "true",
    "truthy",
    "undefined",
    "unreachable",
    "upper",
    "uri",
    "url",
    "urn",
    "vault_encrypted",
    "version",
    "version_compare",
];

/// Applies a test.
pub fn apply(evaluator: &mut Evaluator<'_>, name: &str, input: &Value, args: Arguments) -> Result<bool, Trouble> {
    let _ = evaluator;
    let name = filters::short(name);
    match name {
        "defined" => return Ok(!input.is_undefined()),
        "undefined" => return Ok(input.is_undefined()),
        _ if !NAMES.contains(&name) => return Err(Trouble::Unknown),
        // Python asks for the type of the undefined value itself, and it is none of these.
        "none" | "boolean" | "string" | "number" | "integer" | "float" | "mapping" | "sequence" | "true" | "false"
        | "sameas"
            if input.is_undefined() =>
        {
            return Ok(false);
        }
        _ => {}
    }
    if let Value::Undefined(missing) = input {
        return Err(missing.clone().into());
    }
    let args = no_missing(args)?;
    if matches!(name, "truthy" | "falsy") {
        let [convert] = args.bind(["convert_bool"])?;
        let meant = if truth(convert.as_ref(), Truth::No) { means_true(input) } else { input.truth() };
        return Ok(meant == (name == "truthy"));
    }
    if matches!(name, "same_file" | "is_same_file") {
        let [other] = args.bind(["path"])?;
        return Ok(same_file(&input.to_string(), &text(other, "")));
    }
    if let Some(result) = of_type(name, input) {
        return Ok(result);
    }
    if let Some(result) = of_result(name, input)? {
        return Ok(result);
    }
    if let Some(result) = of_path(name, input) {
        return Ok(result);
    }
    match name {
        "match" | "search" | "regex" => matches(name, input, args),
        "version" | "version_compare" => versions::test(input, args),
        _ => by_comparison(name, input, args),
    }
}

fn of_type(name: &str, input: &Value) -> Option<bool> {
    Some(match name {
        "none" => matches!(input, Value::None),
        "boolean" => matches!(input, Value::Bool(_)),
        "true" => matches!(input, Value::Bool(true)),
        "false" => matches!(input, Value::Bool(false)),
        "integer" => matches!(input, Value::Int(_)),
        "float" => matches!(input, Value::Float(_)),
        "number" => matches!(input, Value::Int(_) | Value::Float(_) | Value::Bool(_)),
        "string" => matches!(input, Value::Str(_)),
        "mapping" => matches!(input, Value::Dict(_) | Value::Object(_)),
        "sequence" | "iterable" => {
            matches!(input, Value::Str(_) | Value::List(_) | Value::Tuple(_) | Value::Dict(_) | Value::Object(_))
        }
        "lower" => {
            let text = input.to_string();
            text.chars().any(char::is_lowercase) && !text.chars().any(char::is_uppercase)
        }
        "upper" => {
            let text = input.to_string();
            text.chars().any(char::is_uppercase) && !text.chars().any(char::is_lowercase)
        }
        "callable" => call::is_callable(input),
        "escaped" | "vault_encrypted" => false,
        "nan" | "isnan" => matches!(input, Value::Float(value) if value.is_nan()),
        "uri" | "url" | "urn" => of_address(name, &input.to_string()),
        "all" => input.iterate().is_ok_and(|items| items.iter().all(Value::truth)),
        "any" => input.iterate().is_ok_and(|items| items.iter().any(Value::truth)),
        "filter" => filters::known(&input.to_string()),
        "test" => NAMES.contains(&&*input.to_string()),
        _ => return None,
    })
}

/// `changed`, `failed` and their like, of what a task left behind.
fn of_result(name: &str, input: &Value) -> Result<Option<bool>, String> {
    let key = match name {
        "changed" | "change" => "changed",
        "failed" | "failure" | "succeeded" | "success" | "successful" => "failed",
        "skipped" | "skip" => "skipped",
        "unreachable" | "reachable" => "unreachable",
        "started" | "finished" => name,
        _ => return Ok(None),
    };
    let Some(result) = input.as_dict() else {
        return Err(format!("needs what a task registered, got {}", input.kind()));
    };
    let flag = |dict: &crate::playbook::jinja::Dict| dict.get(key).is_some_and(Value::truth);
    let mut set = flag(result);
    if key == "changed" && result.get("changed").is_none() {
        let items = result.get("results").and_then(Value::as_list);
        set = items.is_some_and(|items| items.iter().filter_map(Value::as_dict).any(flag));
    }
    if matches!(name, "started" | "finished") && result.get(key).is_none() {
        return Ok(Some(name == "finished"));
    }
    Ok(Some(if name.starts_with("succe") || name == "reachable" { !set } else { set }))
}

/// Tests of files on the control node.
fn of_path(name: &str, input: &Value) -> Option<bool> {
    let text = input.to_string();
    let path = Path::new(&text);
    Some(match name {
        "file" | "is_file" => path.is_file(),
        "directory" | "is_dir" => path.is_dir(),
        "link" | "is_link" => path.is_symlink(),
        "mount" | "is_mount" => is_mount(path),
        "exists" => path.exists(),
        "link_exists" => path.symlink_metadata().is_ok(),
        "abs" | "is_abs" => path.is_absolute(),
        _ => return None,
    })
}

/// Whether another file system begins at a directory.
fn is_mount(path: &Path) -> bool {
    let parent = path.join("..");
    match (path.symlink_metadata(), parent.symlink_metadata()) {
        (Ok(here), Ok(above)) => here.is_dir() && (here.dev() != above.dev() || here.ino() == above.ino()),
        _ => false,
    }
}

fn same_file(left: &str, right: &str) -> bool {
    match (Path::new(left).metadata(), Path::new(right).metadata()) {
        (Ok(left), Ok(right)) => left.dev() == right.dev() && left.ino() == right.ino(),
        _ => false,
    }
}

/// Whether Ansible takes a word for true.
fn means_true(input: &Value) -> bool {
    match input {
        Value::Str(text) => match text.to_lowercase().trim() {
            "y" | "yes" | "on" | "1" | "true" | "t" => true,
            "n" | "no" | "off" | "0" | "false" | "f" => false,
            other => !other.is_empty(),
        },
        other => other.truth(),
    }
}

/// Whether text is an address: with a scheme, for a URL with a host, for a URN with `urn` as scheme.
fn of_address(name: &str, text: &str) -> bool {
    let Some((scheme, rest)) = text.split_once(':') else { return false };
    let named = !scheme.is_empty() && scheme.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c));
    let located = rest.strip_prefix("//").is_some_and(|rest| !rest.is_empty() && !rest.starts_with(['/', '?', '#']));
    named
        && match name {
            "url" => located,
            "urn" => scheme == "urn",
            _ => !rest.is_empty(),
        }
}

fn matches(name: &str, input: &Value, args: Arguments) -> Result<bool, Trouble> {
    let given = if name == "regex" {
        let [pattern, ignore, multiline, kind] = args.bind(["pattern", "ignorecase", "multiline", "match_type"])?;
        (pattern, ignore, multiline, text(kind, "search"))
    } else {
        let [pattern, ignore, multiline] = args.bind(["pattern", "ignorecase", "multiline"])?;
        (pattern, ignore, multiline, name.to_owned())
    };
    let (pattern, ignore, multiline, kind) = given;
    let anchor = match kind.as_str() {
        "match" => Anchor::Match,
        "fullmatch" => Anchor::Full,
        _ => Anchor::Search,
    };
    let flags =
        Flags { ignore_case: truth(ignore.as_ref(), Truth::No), multiline: truth(multiline.as_ref(), Truth::No) };
    let regex = regexes::compile(&text(pattern, ""), flags, anchor)?;
    Ok(regex.is_match(&input.to_string()).map_err(|error| error.to_string())?)
}

fn by_comparison(name: &str, input: &Value, args: Arguments) -> Result<bool, Trouble> {
    let [other] = args.bind(["value"])?;
    if name == "odd" || name == "even" {
        let number = input.as_int().ok_or_else(|| format!("needs a whole number, got {}", input.kind()))?;
        return Ok((number % 2 == 0) == (name == "even"));
    }
    let other = other.ok_or("needs an argument")?;
    let op = match name {
        "divisibleby" => {
            return match (input.as_int(), other.as_int()) {
                (Some(_), Some(0)) => Err("division by zero".to_owned().into()),
                (Some(a), Some(b)) => Ok(a % b == 0),
                _ => Err("needs whole numbers".to_owned().into()),
            };
        }
        "subset" | "issubset" => return within(input, &other),
        "superset" | "issuperset" => return within(&other, input),
        "contains" => return Ok(contains(input, &other)?),
        "sameas" => return Ok(std::mem::discriminant(input) == std::mem::discriminant(&other) && *input == other),
        "in" => return Ok(contains(&other, input)?),
        "==" | "eq" | "equalto" => Compare::Equal,
        "!=" | "ne" => Compare::Unequal,
        "<" | "lt" | "lessthan" => Compare::Less,
        "<=" | "le" => Compare::LessOrEqual,
        ">" | "gt" | "greaterthan" => Compare::Greater,
        _ => Compare::GreaterOrEqual,
    };
    Ok(compare(op, input, &other)?)
}

fn within(part: &Value, whole: &Value) -> Result<bool, Trouble> {
    let whole = whole.iterate()?;
    Ok(part.iterate()?.iter().all(|item| whole.contains(item)))
}
