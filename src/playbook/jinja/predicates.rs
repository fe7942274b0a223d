//! Tests: what may stand after `is`.

use crate::playbook::jinja::arguments::{Arguments, Truth, text, truth};
use crate::playbook::jinja::eval::{Evaluator, compare, contains, no_missing};
use crate::playbook::jinja::filters::{self, Trouble};
use crate::playbook::jinja::regexes::{self, Anchor, Flags};
use crate::playbook::jinja::tree::Compare;
use crate::playbook::jinja::value::Value;

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
    "failed",
    "failure",
    "false",
    "falsy",
    "file",
    "filter",
    "float",
    "ge",
    "greaterthan",
    "gt",
    "in",
    "integer",
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
    "ne",
    "none",
    "number",
    "odd",
    "regex",
    "sameas",
    "search",
    "sequence",
    "skip",
    "skipped",
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
    "version",
    "version_compare",
];

/// Applies a test.
pub fn apply(evaluator: &mut Evaluator<'_>, name: &str, input: &Value, args: Arguments) -> Result<bool, Trouble> {
    let _ = evaluator;
    let name = name.strip_prefix("ansible.builtin.").unwrap_or(name);
    match name {
        "defined" => return Ok(!input.is_undefined()),
        "undefined" => return Ok(input.is_undefined()),
        _ if !NAMES.contains(&name) => return Err(Trouble::Unknown),
        // Python asks for the type of the undefined value itself, and it is none of these.
        "none" | "boolean" | "string" | "number" | "integer" | "float" | "mapping" | "sequence" | "true" | "false"
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
        "version" | "version_compare" => version(input, args),
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
        "truthy" => input.truth(),
        "falsy" => !input.truth(),
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
        "unreachable" => "unreachable",
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
    Ok(Some(if name.starts_with("succe") { !set } else { set }))
}

/// Tests of files on the control node.
fn of_path(name: &str, input: &Value) -> Option<bool> {
    let text = input.to_string();
    let path = std::path::Path::new(&text);
    Some(match name {
        "file" => path.is_file(),
        "directory" => path.is_dir(),
        "link" => path.is_symlink(),
        "exists" => path.exists(),
        "link_exists" => path.symlink_metadata().is_ok(),
        "abs" => path.is_absolute(),
        _ => return None,
    })
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

/// A piece of a version: numbers come before words of the same place.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Piece {
    Number(u64),
    Word(String),
}

/// Compares as Python's `LooseVersion`.
fn version(input: &Value, args: Arguments) -> Result<bool, Trouble> {
    let [other, operator, strict, kind] = args.bind(["version", "operator", "strict", "version_type"])?;
    if truth(strict.as_ref(), Truth::No) || kind.as_ref().is_some_and(|kind| kind.to_string() != "loose") {
        return Err("compares loose versions only".to_owned().into());
    }
    let (left, right) = (input.to_string(), text(other, ""));
    if left.is_empty() || right.is_empty() {
        return Err("needs two versions".to_owned().into());
    }
    let order = pieces(&left).cmp(&pieces(&right));
    match text(operator, "eq").as_str() {
        "==" | "=" | "eq" => Ok(order.is_eq()),
        "!=" | "<>" | "ne" => Ok(order.is_ne()),
        "<" | "lt" => Ok(order.is_lt()),
        "<=" | "le" => Ok(order.is_le()),
        ">" | "gt" => Ok(order.is_gt()),
        ">=" | "ge" => Ok(order.is_ge()),
        other => Err(format!("`{other}` is no comparison").into()),
    }
}

fn pieces(version: &str) -> Vec<Piece> {
    let mut list = vec![];
    let mut rest = version;
    while let Some(first) = rest.chars().next() {
        let kind = |c: char| (c.is_ascii_digit(), c.is_ascii_lowercase());
        let end = rest.find(|c: char| kind(c) != kind(first)).unwrap_or(rest.len());
        let (piece, after) = rest.split_at(end);
        rest = after;
        if piece == "." {
            continue;
        }
        list.push(piece.parse().map_or_else(|_| Piece::Word(piece.to_owned()), Piece::Number));
    }
    list
}
