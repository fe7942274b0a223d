//! YAML as `PyYAML` prints it.

use std::fmt::Write as _;

use crate::playbook::jinja::python;
use crate::playbook::jinja::value::Value;
use crate::yaml::{self, Dialect, Kind};

/// How it is laid out.
#[derive(Clone, Copy, Debug)]
pub struct Style {
    /// Spaces a level.
    pub indent: usize,
    /// Column after which lines are folded.
    pub width: usize,
    /// Whether keys are sorted.
    pub sorted: bool,
    /// Always (true) or never (false) in braces; in braces where nothing is nested if `None`.
    pub flow: Option<bool>,
}

/// Prints one document.
pub fn dump(value: &Value, style: Style) -> Result<String, String> {
    let mut out = String::new();
    let plain = Value::from(&value.to_json()?);
    match &plain {
        Value::Dict(_) | Value::List(_) if !in_flow(&plain, style) => block(&mut out, &plain, style, 0, Place::Line)?,
        Value::Dict(_) | Value::List(_) => {
            flow(&mut out, &plain, style);
            out.push('\n');
        }
        scalar => {
            let text = scalar_text(scalar, style, 0, 0);
            out.push_str(&text);
            out.push('\n');
        }
    }
    Ok(out)
}

fn in_flow(value: &Value, style: Style) -> bool {
    let nested = |value: &Value| matches!(value, Value::Dict(_) | Value::List(_));
    match value {
        Value::Dict(dict) if dict.0.is_empty() => true,
        Value::List(items) if items.is_empty() => true,
        Value::Dict(dict) => style.flow.unwrap_or_else(|| !dict.0.iter().any(|(_, value)| nested(value))),
        Value::List(items) => style.flow.unwrap_or_else(|| !items.iter().any(nested)),
        _ => true,
    }
}

fn entries(value: &Value, style: Style) -> Vec<(String, Value)> {
    let mut entries: Vec<_> = value
        .as_dict()
        .map_or(&[][..], |dict| &dict.0)
        .iter()
        .map(|(key, value)| (key.to_string(), value.clone()))
        .collect();
    if style.sorted {
        entries.sort_by(|a, b| a.0.cmp(&b.0));
    }
    entries
}

/// Where a block begins.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    /// On a line of its own.
    Line,
    /// Behind the `- ` of a list.
    Item,
}

fn block(out: &mut String, value: &Value, style: Style, depth: usize, place: Place) -> Result<(), String> {
    let mut first = place == Place::Item;
    let mut lead = |out: &mut String| {
        if !std::mem::take(&mut first) {
            out.push_str(&" ".repeat(depth));
        }
    };
    if let Some(items) = value.as_list() {
        for item in items.iter() {
            lead(out);
            out.push('-');
            let pad = style.indent.saturating_sub(1).max(1);
            if in_flow(item, style) {
                out.push(' ');
                one(out, item, style, depth);
            } else {
                out.push_str(&" ".repeat(pad));
                block(out, item, style, depth + 1 + pad, Place::Item)?;
            }
        }
        return Ok(());
    }
    for (key, value) in entries(value, style) {
        lead(out);
        out.push_str(&scalar_text(&Value::text(&key), style, depth, 0));
        out.push(':');
        if in_flow(&value, style) {
            out.push(' ');
            one(out, &value, style, depth);
        } else {
            out.push('\n');
            // PyYAML does not indent lists in mappings.
            let deeper = if value.as_list().is_some() { depth } else { depth + style.indent };
            block(out, &value, style, deeper, Place::Line)?;
        }
    }
    Ok(())
}

fn one(out: &mut String, value: &Value, style: Style, depth: usize) {
    match value {
        Value::Dict(_) | Value::List(_) => flow(out, value, style),
        scalar => {
            let column = out.len() - out.rfind('\n').map_or(0, |at| at + 1);
            out.push_str(&scalar_text(scalar, style, column, depth + style.indent));
        }
    }
    out.push('\n');
}

fn flow(out: &mut String, value: &Value, style: Style) {
    match value {
        Value::List(items) => {
            let parts: Vec<String> = items.iter().map(|item| flow_text(item, style)).collect();
            out.push('[');
            out.push_str(&parts.join(", "));
            out.push(']');
        }
        Value::Dict(_) => {
            let part = |(key, value): (String, Value)| {
                format!("{}: {}", flow_text(&Value::text(key), style), flow_text(&value, style))
            };
            let parts: Vec<String> = entries(value, style).into_iter().map(part).collect();
            out.push('{');
            out.push_str(&parts.join(", "));
            out.push('}');
        }
        scalar => out.push_str(&flow_text(scalar, style)),
    }
}

fn flow_text(value: &Value, style: Style) -> String {
    match value {
        Value::Dict(_) | Value::List(_) => {
            let mut out = String::new();
            flow(&mut out, value, style);
            out
        }
        Value::Str(text) if text.contains([',', '[', ']', '{', '}', '?']) && plain_allowed(text) => quoted(text),
        scalar => scalar_text(scalar, Style { width: usize::MAX, ..style }, 0, 0),
    }
}

fn scalar_text(value: &Value, style: Style, column: usize, indent: usize) -> String {
    match value {
        Value::None => "null".to_owned(),
        Value::Bool(value) => if *value { "true" } else { "false" }.to_owned(),
        Value::Float(value) => {
            let text = python::float(*value);
            if text.contains('e') && !text.contains('.') { text.replacen('e', ".0e", 1) } else { text }
        }
        Value::Str(text) if text.is_empty() => "''".to_owned(),
        Value::Str(text) if double_needed(text) => double_quoted(text),
        Value::Str(text) if plain_allowed(text) => folded(text, style.width, column, indent),
        Value::Str(text) => {
            // A newline inside single quotes is written as an empty line, and the text goes on indented.
            let lines = format!("\n\n{}", " ".repeat(indent));
            folded(&quoted(text).replace('\n', &lines), style.width, column, indent)
        }
        other => other.to_string(),
    }
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

fn double_needed(text: &str) -> bool {
    let special = text.chars().any(|c| {
        (c.is_control() && c != '\n')
            || c == '\u{feff}'
            || u32::from(c) > 0x7e && !c.is_alphanumeric() && u32::from(c) > 0xffff
    });
    let spaced = text.contains(" \n")
        || text.contains("\n ")
        || (text.contains('\n') && (text.starts_with([' ', '\n']) && text.trim().is_empty()));
    special || spaced
}

fn double_quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\r' => out.push_str("\\r"),
            '\u{1b}' => out.push_str("\\e"),
            '\0' => out.push_str("\\0"),
            '\u{7}' => out.push_str("\\a"),
            '\u{8}' => out.push_str("\\b"),
            '\u{b}' => out.push_str("\\v"),
            '\u{c}' => out.push_str("\\f"),
            c if c.is_control() => {
                let _ = write!(out, "\\x{:02X}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// Whether text can stand without quotes and is read back as text.
fn plain_allowed(text: &str) -> bool {
    let Some(first) = text.chars().next() else { return false };
    let second_is_space = text.chars().nth(1).is_none_or(char::is_whitespace);
    let bad_start = match first {
        '#' | ',' | '[' | ']' | '{' | '}' | '&' | '*' | '!' | '|' | '>' | '\'' | '"' | '%' | '@' | '`' => true,
        '?' | ':' | '-' => second_is_space,
        _ => false,
    };
    let inner = text.contains(": ") || text.ends_with(':') || text.contains(" #") || text.contains('\n');
    let edges = text.starts_with(' ') || text.ends_with(' ') || text.starts_with("---") || text.starts_with("...");
    let number = text.trim_start_matches(['-', '+']).to_lowercase();
    if bad_start || inner || edges || matches!(text, "=" | "<<") || matches!(&*number, ".inf" | ".nan") {
        return false;
    }
    match yaml::load(text, Dialect::Ansible).as_deref() {
        Ok([node]) => matches!(&node.kind, Kind::Str(read) if read == text) && !timestamp(text),
        _ => false,
    }
}

/// Whether YAML 1.1 reads it as a date.
fn timestamp(text: &str) -> bool {
    let bytes = text.as_bytes();
    let digits =
        |range: std::ops::Range<usize>| bytes.get(range).is_some_and(|part| part.iter().all(u8::is_ascii_digit));
    digits(0..4) && bytes.get(4) == Some(&b'-') && digits(5..7) && bytes.get(7) == Some(&b'-') && digits(8..10)
}

/// Folds at single spaces once a line is longer than `width`.
fn folded(text: &str, width: usize, column: usize, indent: usize) -> String {
    if column.saturating_add(text.chars().count()) <= width {
        return text.to_owned();
    }
    let mut out = String::new();
    let mut at = column;
    let words: Vec<&str> = text.split(' ').collect();
    for (index, word) in words.iter().enumerate() {
        if index > 0 {
            let single = !word.is_empty() && !words[index - 1].is_empty();
            if at > width && single {
                out.push('\n');
                out.push_str(&" ".repeat(indent));
                at = indent;
            } else {
                out.push(' ');
                at += 1;
            }
        }
        out.push_str(word);
        at += word.chars().count();
    }
    out
}
