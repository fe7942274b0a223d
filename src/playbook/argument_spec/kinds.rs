//! What values of each kind may be written as.

use serde_json::{Value, json};

use crate::module::arguments::text;
use crate::playbook::words;

/// What Python calls the kind of a value.
pub(super) fn python(value: &Value) -> &'static str {
    match value {
        Value::Null => "<class 'NoneType'>",
        Value::Bool(_) => "<class 'bool'>",
        Value::Number(number) if number.is_f64() => "<class 'float'>",
        Value::Number(_) => "<class 'int'>",
        Value::String(_) => "<class 'str'>",
        Value::Array(_) => "<class 'list'>",
        Value::Object(_) => "<class 'dict'>",
    }
}

/// Makes a value what `wanted` says, or says why it cannot be.
pub(super) fn converted(wanted: &str, value: &Value) -> Result<Value, String> {
    let cannot = |what: &str| Err(format!("{} cannot be converted to {what}", python(value)));
    match wanted {
        "str" | "path" => match value {
            Value::Null => Err("'None' is not a string and conversion is not allowed".to_owned()),
            value => Ok(json!(text(value))),
        },
        "list" => match value {
            Value::Array(_) => Ok(value.clone()),
            Value::String(text) => Ok(json!(text.split(',').collect::<Vec<_>>())),
            Value::Number(_) | Value::Bool(_) => Ok(json!([text(value)])),
            _ => cannot("a list"),
        },
        "dict" => match value {
            Value::Object(_) => Ok(value.clone()),
            Value::String(text) => dict(text),
            _ => cannot("a dict"),
        },
        "bool" => match value {
            Value::Bool(_) => Ok(value.clone()),
            Value::String(_) | Value::Number(_) => boolean(value),
            _ => cannot("a bool"),
        },
        "int" => match value {
            Value::Number(number) if !number.is_f64() => Ok(value.clone()),
            Value::Bool(flag) => Ok(json!(i64::from(*flag))),
            Value::String(text) => {
                text.trim().parse::<i64>().map_or_else(|_| cannot("an int"), |number| Ok(json!(number)))
            }
            _ => cannot("an int"),
        },
        "float" => match value {
            Value::Number(number) => Ok(json!(number.as_f64())),
            Value::Bool(flag) => Ok(json!(f64::from(u8::from(*flag)))),
            Value::String(text) => {
                text.trim().parse::<f64>().map_or_else(|_| cannot("a float"), |number| Ok(json!(number)))
            }
            _ => cannot("a float"),
        },
        "bytes" | "bits" => {
            let written = text(value);
            let number = written.trim().trim_end_matches(|letter: char| letter.is_ascii_alphabetic()).trim();
            let what = if wanted == "bytes" { "a Byte value" } else { "a Bit value" };
            if number.parse::<f64>().is_ok() { Ok(value.clone()) } else { cannot(what) }
        }
        _ => Ok(value.clone()),
    }
}

fn boolean(value: &Value) -> Result<Value, String> {
    match text(value).trim().to_lowercase().as_str() {
        "y" | "yes" | "on" | "1" | "true" | "t" | "1.0" => Ok(json!(true)),
        "n" | "no" | "off" | "0" | "false" | "f" | "0.0" => Ok(json!(false)),
        _ => Err(format!(
            "The value '{}' is not a valid boolean.  Valid booleans include: 'y', 'yes', 'on', '1', 'true', 't', 1, \
             'n', 'no', 'off', '0', 'false', 'f', 0",
            text(value)
        )),
    }
}

/// Reads JSON or `name=value`.
fn dict(text: &str) -> Result<Value, String> {
    if text.starts_with('{') {
        return serde_json::from_str(text).map_err(|_| "unable to evaluate string as dictionary".to_owned());
    }
    let neither = || "dictionary requested, could not parse JSON or key=value".to_owned();
    if !text.contains('=') {
        return Err(neither());
    }
    let line = words::split(&text.replace(',', " "), words::Keys::All).map_err(|_| neither())?;
    Ok(Value::Object(line.pairs.into_iter().map(|(name, value)| (name, json!(value))).collect()))
}
