//! `yamlencode`.

use std::fmt::Write as _;

use crate::hcl::function::{Files, Function, Takes, encoding};
use crate::hcl::value::Value;

/// The functions of this file.
pub const FUNCTIONS: &[Function] =
    &[Function { name: "yamlencode", least: 1, most: Some(1), takes: Takes::Known, body: encode }];

#[expect(clippy::unnecessary_wraps, reason = "the functions of the table have one shape")]
fn encode(_: &Files<'_>, arguments: Vec<Value>) -> Result<Value, String> {
    let value = arguments.into_iter().next().unwrap_or_default();
    let mut output = String::new();
    match &value {
        // A word alone needs a mark behind it, or a reader would wait for more of it.
        Value::Null | Value::Bool(_) | Value::Number(_) => {
            let _ = write!(output, "{}\n...\n", encoding::json(&value));
        }
        _ => write(&value, 0, &mut output),
    }
    Ok(output.trim_start_matches(['\n', ' ']).into())
}

/// Writes what stands behind `key:` or `-`, with its leading space or line break.
fn write(value: &Value, depth: usize, output: &mut String) {
    let indent = "  ".repeat(depth);
    match value {
        Value::List(items) | Value::Set(items) if !items.is_empty() => {
            output.push('\n');
            for item in items {
                output.push_str(&indent);
                output.push('-');
                let mut inner = String::new();
                write(item, depth + 1, &mut inner);
                // A mapping or list starts on the line of its dash.
                let compact = inner.strip_prefix('\n').map(|inner| inner.trim_start_matches(' '));
                match compact {
                    Some(inner) => output.extend([" ", inner]),
                    None => output.push_str(&inner),
                }
            }
        }
        Value::Map(entries) if !entries.is_empty() => {
            output.push('\n');
            for (key, item) in entries {
                output.push_str(&indent);
                output.push_str(&quoted(key));
                output.push(':');
                let below = if matches!(item, Value::List(_) | Value::Set(_)) { depth } else { depth + 1 };
                write(item, below, output);
            }
        }
        Value::List(_) | Value::Set(_) => output.push_str(" []\n"),
        Value::Map(_) => output.push_str(" {}\n"),
        Value::String(text) if is_block(text) => block(text, depth.max(1), output),
        Value::String(text) => {
            output.push(' ');
            let column = output.rsplit('\n').next().unwrap_or_default().chars().count();
            folded(&quoted(text), column, depth.max(1), output);
            output.push('\n');
        }
        scalar => {
            let _ = writeln!(output, " {}", encoding::json(scalar));
        }
    }
}

/// Several lines that can stand as they are.
fn is_block(text: &str) -> bool {
    let plain = |c: char| c == '\n' || c == '\t' || !c.is_control();
    text.contains('\n') && !text.contains(" \n") && !text.ends_with(' ') && text.chars().all(plain)
}

fn block(text: &str, depth: usize, output: &mut String) {
    let body = text.trim_end_matches('\n');
    output.push_str(" |");
    // What starts with a space would hide how far it is indented.
    if text.starts_with([' ', '\n']) {
        output.push('2');
    }
    output.push_str(match text.len() - body.len() {
        0 => "-\n",
        1 => "\n",
        _ => "+\n",
    });
    let lines = text.strip_suffix('\n').unwrap_or(text);
    for line in lines.split('\n') {
        if !line.is_empty() {
            output.push_str(&"  ".repeat(depth));
            output.push_str(line);
        }
        output.push('\n');
    }
}

/// Text in double quotes, by the rules of YAML.
fn quoted(text: &str) -> String {
    let mut output = "\"".to_owned();
    for c in text.chars() {
        match c {
            '"' => output.push_str("\\\""),
            '\\' => output.push_str("\\\\"),
            '\n' => output.push_str("\\n"),
            '\r' => output.push_str("\\r"),
            '\t' => output.push_str("\\t"),
            '\0' => output.push_str("\\0"),
            '\u{7}' => output.push_str("\\a"),
            '\u{8}' => output.push_str("\\b"),
            '\u{b}' => output.push_str("\\v"),
            '\u{c}' => output.push_str("\\f"),
            '\u{1b}' => output.push_str("\\e"),
            '\u{85}' => output.push_str("\\N"),
            '\u{2028}' => output.push_str("\\L"),
            '\u{2029}' => output.push_str("\\P"),
            c if c.is_control() || c == '\u{feff}' => {
                let _ = write!(output, "\\x{:02X}", u32::from(c));
            }
            c => output.push(c),
        }
    }
    output.push('"');
    output
}

/// The column behind which a line is broken at its next space.
const WIDTH: usize = 80;

/// Breaks a text in quotes as the encoder of Terraform does; it is read as one line again.
fn folded(quoted: &str, column: usize, depth: usize, output: &mut String) {
    let characters: Vec<char> = quoted.chars().collect();
    let (mut column, mut after_space) = (column, false);
    for (at, c) in characters.iter().copied().enumerate() {
        let inside = at > 1 && at + 2 < characters.len();
        if c == ' ' && !after_space && column > WIDTH && inside {
            output.push('\n');
            output.push_str(&"  ".repeat(depth));
            column = 2 * depth;
            if characters[at + 1] == ' ' {
                output.push('\\');
                column += 1;
            }
            after_space = true;
            continue;
        }
        output.push(c);
        column += 1;
        after_space = c == ' ';
    }
}
