//! Filters that find something in what is nested: `JMESPath`.

use jmespath::Variable;
use serde_json::Value as Json;

use crate::playbook::jinja::arguments::Arguments;
use crate::playbook::jinja::filters::Trouble;
use crate::playbook::jinja::value::Value;

/// Their names.
pub const NAMES: &[&str] = &["json_query"];

/// Longest expression that is read, and most of the signs that begin something within something.
const LONGEST: usize = 2_000;
const DEEPEST: usize = 200;

/// Applies one.
pub fn apply(input: &Value, args: Arguments) -> Result<Value, Trouble> {
    let [expression] = args.bind(["expr"])?;
    let expression = expression.ok_or("needs an expression")?.to_string();
    let deep = expression.bytes().filter(|byte| b"([{!&".contains(byte)).count();
    if expression.len() > LONGEST || deep > DEEPEST {
        return Err("has an expression that is too long".into());
    }
    let wrong = |error: jmespath::JmespathError| Trouble::Refused(format!("cannot be answered: {}", said(&error)));
    let compiled = jmespath::compile(&expression).map_err(wrong)?;
    let data = Variable::try_from(input.to_json()?).map_err(wrong)?;
    let found = compiled.search(data).map_err(wrong)?;
    let found: Json = serde_json::to_value(found.as_ref()).map_err(|error| error.to_string())?;
    Ok(Value::from(&whole(found)))
}

/// Sums and lengths are told as fractions: those that are whole numbers become such.
fn whole(value: Json) -> Json {
    match value {
        Json::Array(items) => items.into_iter().map(whole).collect(),
        Json::Object(entries) => entries.into_iter().map(|(name, value)| (name, whole(value))).collect(),
        Json::Number(number) if number.is_f64() => {
            let text = number.to_string();
            text.strip_suffix(".0").and_then(|whole| whole.parse::<i64>().ok()).map_or(Json::Number(number), Json::from)
        }
        other => other,
    }
}

/// The first line: the others show the place in the expression.
fn said(error: &jmespath::JmespathError) -> String {
    error.to_string().lines().next().unwrap_or_default().to_owned()
}
