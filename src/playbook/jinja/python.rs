//! How Python prints values and reads numbers.

use std::fmt::Write as _;

use crate::playbook::jinja::value::Value;

/// Prints as Python's `repr()`.
pub fn repr(value: &Value) -> String {
    let mut out = String::new();
    write_repr(&mut out, value);
    out
}

fn write_repr(out: &mut String, value: &Value) {
    match value {
        Value::Undefined(missing) => out.push_str(&missing.name),
        Value::None => out.push_str("None"),
        Value::Bool(value) => out.push_str(if *value { "True" } else { "False" }),
        Value::Int(value) => {
            let _ = write!(out, "{value}");
        }
        Value::Float(value) => out.push_str(&float(*value)),
        Value::Str(text) => write_text(out, text),
        Value::List(items) => {
            out.push('[');
            join(out, items);
            out.push(']');
        }
        Value::Tuple(items) => {
            out.push('(');
            join(out, items);
            out.push_str(if items.len() == 1 { ",)" } else { ")" });
        }
        Value::Dict(dict) => {
            out.push('{');
            for (index, (key, value)) in dict.0.iter().enumerate() {
                if index > 0 {
                    out.push_str(", ");
                }
                write_repr(out, key);
                out.push_str(": ");
                write_repr(out, value);
            }
            out.push('}');
        }
        Value::Object(object) => match object.whole() {
            Some(whole) => write_repr(out, &whole),
            None => drop(write!(out, "{object:?}")),
        },
    }
}

fn join(out: &mut String, items: &[Value]) {
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            out.push_str(", ");
        }
        write_repr(out, item);
    }
}

fn write_text(out: &mut String, text: &str) {
    let quote = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    out.push(quote);
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c == quote => {
                out.push('\\');
                out.push(c);
            }
            c if u32::from(c) < 0x20
                || u32::from(c) == 0x7f
                || (0x80..0xa1).contains(&u32::from(c))
                || c == '\u{ad}' =>
            {
                let _ = write!(out, "\\x{:02x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push(quote);
}

/// Prints a float as Python does: shortest digits, an exponent below 1e-4 and from 1e16 on.
pub fn float(value: f64) -> String {
    if value.is_nan() {
        return "nan".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "inf" } else { "-inf" }.to_owned();
    }
    let size = value.abs();
    if size != 0.0 && !(1e-4..1e16).contains(&size) {
        let text = format!("{value:e}");
        let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
        let (sign, number) = match exponent.strip_prefix('-') {
            Some(number) => ('-', number),
            None => ('+', exponent),
        };
        return format!("{digits}e{sign}{number:0>2}");
    }
    let text = format!("{value}");
    if text.contains('.') { text } else { format!("{text}.0") }
}

/// Prints the key of a JSON object as Python's `json` does.
pub fn json_key(key: &Value) -> String {
    match key {
        Value::Bool(true) => "true".to_owned(),
        Value::Bool(false) => "false".to_owned(),
        Value::None => "null".to_owned(),
        _ => key.to_string(),
    }
}

/// How JSON is laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// On one line, `, ` and `: ` between.
    Line,
    /// On one line, `,` and `:` between.
    Dense,
    /// One entry a line, indented by this many spaces a level.
    Indented(usize),
}

/// The order of keys in printed JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// As inserted.
    Kept,
    /// By name.
    Sorted,
}

/// Which characters stand as themselves in printed JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Characters {
    /// Those of ASCII; anything else is escaped.
    Ascii,
    /// All that need not be escaped.
    All,
}

/// Prints as Python's `json.dumps`, with everything beyond ASCII escaped.
pub fn json(value: &Value, layout: Layout, order: Order) -> Result<String, String> {
    json_with(value, layout, order, Characters::Ascii)
}

/// Prints as Python's `json.dumps`.
pub fn json_with(value: &Value, layout: Layout, order: Order, characters: Characters) -> Result<String, String> {
    let mut writer = Writer { out: String::new(), layout, order, characters };
    writer.value(value, 0)?;
    Ok(writer.out)
}

struct Writer {
    out: String,
    layout: Layout,
    order: Order,
    characters: Characters,
}

impl Writer {
    fn line(&mut self, depth: usize) {
        if let Layout::Indented(width) = self.layout {
            self.out.push('\n');
            self.out.push_str(&" ".repeat(width * depth));
        }
    }

    fn value(&mut self, value: &Value, depth: usize) -> Result<(), String> {
        match value {
            Value::Undefined(missing) => return Err(missing.to_string()),
            Value::None => self.out.push_str("null"),
            Value::Bool(value) => self.out.push_str(if *value { "true" } else { "false" }),
            Value::Int(value) => self.out.push_str(&value.to_string()),
            Value::Float(value) if value.is_nan() => self.out.push_str("NaN"),
            Value::Float(value) if value.is_infinite() => {
                self.out.push_str(if *value > 0.0 { "Infinity" } else { "-Infinity" });
            }
            Value::Float(value) => self.out.push_str(&float(*value)),
            Value::Str(text) => write_json_text(&mut self.out, text, self.characters),
            Value::List(items) | Value::Tuple(items) if items.is_empty() => self.out.push_str("[]"),
            Value::List(items) | Value::Tuple(items) => {
                self.out.push('[');
                for (index, item) in items.iter().enumerate() {
                    self.between(index, depth);
                    self.value(item, depth + 1)?;
                }
                self.line(depth);
                self.out.push(']');
            }
            Value::Dict(dict) if dict.0.is_empty() => self.out.push_str("{}"),
            Value::Dict(dict) => {
                let mut entries: Vec<_> = dict.0.iter().map(|(key, value)| (json_key(key), value)).collect();
                if self.order == Order::Sorted {
                    entries.sort_by(|a, b| a.0.cmp(&b.0));
                }
                self.out.push('{');
                for (index, (key, value)) in entries.into_iter().enumerate() {
                    self.between(index, depth);
                    write_json_text(&mut self.out, &key, self.characters);
                    self.out.push_str(if self.layout == Layout::Dense { ":" } else { ": " });
                    self.value(value, depth + 1)?;
                }
                self.line(depth);
                self.out.push('}');
            }
            Value::Object(_) => {
                let plain = Value::from(&value.to_json()?);
                self.value(&plain, depth)?;
            }
        }
        Ok(())
    }

    /// What stands before an item.
    fn between(&mut self, index: usize, depth: usize) {
        if index > 0 {
            self.out.push_str(if self.layout == Layout::Line { ", " } else { "," });
        }
        self.line(depth + 1);
    }
}

fn write_json_text(out: &mut String, text: &str, characters: Characters) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            ' '..='~' => out.push(c),
            c if characters == Characters::All && !c.is_ascii_control() => out.push(c),
            _ => {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    let _ = write!(out, "\\u{unit:04x}");
                }
            }
        }
    }
    out.push('"');
}

/// Reads a whole number as Python's `int(text)` does: spaces around, a sign, single underscores between digits.
pub fn parse_int(text: &str, base: u32) -> Option<i64> {
    let text = text.trim();
    let (sign, digits) = match text.strip_prefix('-') {
        Some(rest) => ("-", rest),
        None => ("", text.strip_prefix('+').unwrap_or(text)),
    };
    let lower = digits.to_ascii_lowercase();
    let digits = match base {
        16 => lower.strip_prefix("0x").unwrap_or(&lower),
        8 => lower.strip_prefix("0o").unwrap_or(&lower),
        2 => lower.strip_prefix("0b").unwrap_or(&lower),
        _ => &lower,
    };
    let clean = !digits.is_empty() && !digits.starts_with('_') && !digits.ends_with('_') && !digits.contains("__");
    let plain = digits.replace('_', "");
    let signed = plain.starts_with(['+', '-']);
    (clean && !signed).then(|| i64::from_str_radix(&format!("{sign}{plain}"), base).ok()).flatten()
}

/// Reads a number as Python's `float(text)` does.
pub fn parse_float(text: &str) -> Option<f64> {
    let text = text.trim().replace('_', "");
    text.parse().ok()
}
