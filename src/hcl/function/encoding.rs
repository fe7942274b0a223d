//! JSON, base64, URLs, and YAML as it is read.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::fmt::Write as _;

use crate::hcl::function::argument::text;
use crate::hcl::function::{Files, Function, Takes};
use crate::hcl::number::Number;
use crate::hcl::value::Value;
use crate::yaml::{self, Dialect};

/// The functions of this file.
pub const FUNCTIONS: &[Function] = &[
    Function { name: "jsonencode", least: 1, most: Some(1), takes: Takes::Known, body: json_encode },
    Function { name: "jsondecode", least: 1, most: Some(1), takes: Takes::Present, body: json_decode },
    Function { name: "yamldecode", least: 1, most: Some(1), takes: Takes::Present, body: yaml_decode },
    Function { name: "base64encode", least: 1, most: Some(1), takes: Takes::Present, body: base64_encode },
    Function { name: "base64decode", least: 1, most: Some(1), takes: Takes::Present, body: base64_decode },
    Function { name: "urlencode", least: 1, most: Some(1), takes: Takes::Present, body: url_encode },
    Function { name: "urldecode", least: 1, most: Some(1), takes: Takes::Present, body: url_decode },
];

/// Writes a value as Terraform's `jsonencode`: no spaces, keys sorted, `<`, `>` and `&` escaped.
pub fn json(value: &Value) -> String {
    let mut output = String::new();
    write_json(value, &mut output);
    output
}

fn write_json(value: &Value, output: &mut String) {
    match value {
        Value::Null | Value::Unknown => output.push_str("null"),
        Value::Bool(truth) => {
            let _ = write!(output, "{truth}");
        }
        Value::Number(number) => {
            let _ = write!(output, "{number}");
        }
        Value::String(text) => write_json_text(text, output),
        Value::List(items) | Value::Set(items) => {
            output.push('[');
            for (at, item) in items.iter().enumerate() {
                output.push_str(if at == 0 { "" } else { "," });
                write_json(item, output);
            }
            output.push(']');
        }
        Value::Map(entries) => {
            output.push('{');
            for (at, (key, item)) in entries.iter().enumerate() {
                output.push_str(if at == 0 { "" } else { "," });
                write_json_text(key, output);
                output.push(':');
                write_json(item, output);
            }
            output.push('}');
        }
        Value::Sensitive(inner) => write_json(inner, output),
    }
}

fn write_json_text(text: &str, output: &mut String) {
    output.push('"');
    for c in text.chars() {
        match c {
            '"' => output.push_str("\\\""),
            '\\' => output.push_str("\\\\"),
            '\n' => output.push_str("\\n"),
            '\r' => output.push_str("\\r"),
            '\t' => output.push_str("\\t"),
            '\u{8}' => output.push_str("\\b"),
            '\u{c}' => output.push_str("\\f"),
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' | '\u{0}'..='\u{1f}' => {
                let _ = write!(output, "\\u{:04x}", u32::from(c));
            }
            c => output.push(c),
        }
    }
    output.push('"');
}

#[expect(clippy::unnecessary_wraps, reason = "the functions of the table have one shape")]
fn json_encode(_: &Files<'_>, arguments: Vec<Value>) -> Result<Value, String> {
    Ok(json(&arguments.into_iter().next().unwrap_or_default()).into())
}

fn json_decode(_: &Files<'_>, arguments: Vec<Value>) -> Result<Value, String> {
    let text = text(&mut arguments.into_iter())?;
    let parsed: serde_json::Value = serde_json::from_str(&text).map_err(|error| format!("not JSON: {error}"))?;
    from_json(parsed)
}

/// Makes a value of JSON.
///
/// # Errors
///
/// A fragment of a message for a number that is none to us.
pub fn from_json(value: serde_json::Value) -> Result<Value, String> {
    Ok(match value {
        serde_json::Value::Null => Value::Null,
        serde_json::Value::Bool(truth) => Value::Bool(truth),
        serde_json::Value::Number(number) => {
            let written = number.to_string();
            Value::Number(Number::parse(&written).ok_or_else(|| format!("`{written}` is no number"))?)
        }
        serde_json::Value::String(text) => Value::String(text),
        serde_json::Value::Array(items) => Value::List(items.into_iter().map(from_json).collect::<Result<_, _>>()?),
        serde_json::Value::Object(entries) => {
            let entry = |(key, value)| Ok((key, from_json(value)?));
            Value::Map(entries.into_iter().map(entry).collect::<Result<_, String>>()?)
        }
    })
}

fn yaml_decode(_: &Files<'_>, arguments: Vec<Value>) -> Result<Value, String> {
    let text = text(&mut arguments.into_iter())?;
    let at =
        |error: yaml::Error| format!("{} (line {}, column {} of the text)", error.message, error.line, error.column);
    let mut documents = yaml::load(&text, Dialect::Terraform).map_err(at)?.into_iter();
    match (documents.next(), documents.next()) {
        (None, _) => Ok(Value::Null),
        (Some(document), None) => from_yaml(&document),
        _ => Err("there is more than one document".to_owned()),
    }
}

/// Makes a value of a node that was read in Terraform's dialect.
///
/// # Errors
///
/// A fragment of a message for what Terraform has no value for.
pub fn from_yaml(node: &yaml::Node) -> Result<Value, String> {
    Ok(match &node.kind {
        yaml::Kind::Null => Value::Null,
        yaml::Kind::Bool(truth) => Value::Bool(*truth),
        yaml::Kind::Int(whole) => Value::from(i128::from(*whole)),
        yaml::Kind::Float(float) => {
            // A whole number too large for 64 bits is a float to the reader, but exact to Terraform.
            let written = node.raw.as_deref().and_then(Number::parse);
            let number = written.or_else(|| Number::from_f64(*float));
            Value::Number(number.ok_or_else(|| "there is no value for `.nan`".to_owned())?)
        }
        yaml::Kind::Str(text) => Value::String(text.clone()),
        yaml::Kind::Seq(items) => Value::List(items.iter().map(from_yaml).collect::<Result<_, _>>()?),
        yaml::Kind::Map(entries) => {
            let entry = |(key, value): &(yaml::Node, yaml::Node)| {
                Ok((key.written().unwrap_or_default().to_owned(), from_yaml(value)?))
            };
            Value::Map(entries.iter().map(entry).collect::<Result<_, String>>()?)
        }
    })
}

fn base64_encode(_: &Files<'_>, arguments: Vec<Value>) -> Result<Value, String> {
    Ok(STANDARD.encode(text(&mut arguments.into_iter())?).into())
}

fn base64_decode(_: &Files<'_>, arguments: Vec<Value>) -> Result<Value, String> {
    let encoded = text(&mut arguments.into_iter())?;
    let bytes = STANDARD.decode(encoded).map_err(|_| "the text is not base64".to_owned())?;
    String::from_utf8(bytes).map(Value::String).map_err(|_| "the decoded bytes are not UTF-8".to_owned())
}

fn url_encode(_: &Files<'_>, arguments: Vec<Value>) -> Result<Value, String> {
    let mut output = String::new();
    for byte in text(&mut arguments.into_iter())?.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => output.push(char::from(byte)),
            b' ' => output.push('+'),
            _ => {
                let _ = write!(output, "%{byte:02X}");
            }
        }
    }
    Ok(output.into())
}

fn url_decode(_: &Files<'_>, arguments: Vec<Value>) -> Result<Value, String> {
    let written = text(&mut arguments.into_iter())?;
    let mut bytes = vec![];
    let mut rest = written.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        match first {
            b'+' => bytes.push(b' '),
            b'%' => {
                let digits = after.get(..2).and_then(|digits| hex::decode(digits).ok());
                bytes.extend(digits.ok_or_else(|| "a `%` is not followed by two hexadecimal digits".to_owned())?);
                rest = &after[2..];
            }
            byte => bytes.push(*byte),
        }
    }
    String::from_utf8(bytes).map(Value::String).map_err(|_| "the decoded bytes are not UTF-8".to_owned())
}
