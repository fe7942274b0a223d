//! Conversions between kinds of values, as Terraform makes them silently.

use std::collections::BTreeMap;

use crate::hcl::number::Number;
use crate::hcl::types::{Attribute, Type};
use crate::hcl::value::Value;
use crate::place::nearest;

/// Converts `value` to what `wanted` says.
///
/// # Errors
///
/// A fragment for a message that says where inside the value it fails and why.
pub fn convert(value: Value, wanted: &Type) -> Result<Value, String> {
    match value {
        Value::Sensitive(inner) => return convert(*inner, wanted).map(Value::sensitive),
        Value::Null | Value::Unknown => return Ok(value),
        _ => {}
    }
    match wanted {
        Type::Any => Ok(value),
        Type::Bool => to_bool(value),
        Type::Number => to_number(value),
        Type::String => to_string(value),
        Type::List(element) => elements(value, wanted).and_then(|items| each(items, element)).map(Value::List),
        Type::Set(element) => elements(value, wanted).and_then(|items| each(items, element)).map(Value::set),
        Type::Map(element) => entries(value, wanted).and_then(|map| each_entry(map, element)).map(Value::Map),
        Type::Tuple(kinds) => tuple(elements(value, wanted)?, kinds),
        Type::Object(attributes) => object(entries(value, wanted)?, attributes),
    }
}

fn wrong(value: &Value, wanted: &str) -> String {
    format!("{wanted} is required, not {}", value.describe())
}

fn to_bool(value: Value) -> Result<Value, String> {
    match &value {
        Value::Bool(_) => Ok(value),
        Value::String(text) if text == "true" || text == "1" => Ok(Value::Bool(true)),
        Value::String(text) if text == "false" || text == "0" => Ok(Value::Bool(false)),
        _ => Err(wrong(&value, "a truth value")),
    }
}

fn to_number(value: Value) -> Result<Value, String> {
    match &value {
        Value::Number(_) => Ok(value),
        Value::String(text) => Number::parse(text).map(Value::Number).ok_or_else(|| wrong(&value, "a number")),
        _ => Err(wrong(&value, "a number")),
    }
}

fn to_string(value: Value) -> Result<Value, String> {
    match value {
        Value::String(_) => Ok(value),
        Value::Bool(truth) => Ok(Value::String(truth.to_string())),
        Value::Number(number) => Ok(Value::String(number.to_string())),
        other => Err(wrong(&other, "text")),
    }
}

fn elements(value: Value, wanted: &Type) -> Result<Vec<Value>, String> {
    match value {
        Value::List(items) | Value::Set(items) => Ok(items),
        other => Err(wrong(&other, wanted.describe())),
    }
}

fn entries(value: Value, wanted: &Type) -> Result<BTreeMap<String, Value>, String> {
    match value {
        Value::Map(entries) => Ok(entries),
        other => Err(wrong(&other, wanted.describe())),
    }
}

/// All elements have one type; `any` stands for whatever type suits them all.
fn each(items: Vec<Value>, element: &Type) -> Result<Vec<Value>, String> {
    let element = shared(items.iter(), element)?;
    let convert = |(at, item)| convert(item, &element).map_err(|message| format!("element {at}: {message}"));
    items.into_iter().enumerate().map(convert).collect()
}

fn each_entry(entries: BTreeMap<String, Value>, element: &Type) -> Result<BTreeMap<String, Value>, String> {
    let element = shared(entries.values(), element)?;
    let convert = |(key, value)| match convert(value, &element) {
        Ok(value) => Ok((key, value)),
        Err(message) => Err(format!("`{key}`: {message}")),
    };
    entries.into_iter().map(convert).collect()
}

fn shared<'a>(values: impl Iterator<Item = &'a Value>, element: &Type) -> Result<Type, String> {
    match element {
        Type::Any => {
            let kinds: Vec<Type> = values.map(kind).collect();
            common(&kinds).ok_or_else(|| "all elements must have the same type".to_owned())
        }
        fixed => Ok(fixed.clone()),
    }
}

fn tuple(items: Vec<Value>, kinds: &[Type]) -> Result<Value, String> {
    if items.len() != kinds.len() {
        return Err(format!("{} elements are required, not {}", kinds.len(), items.len()));
    }
    let convert = |(at, (item, kind))| convert(item, kind).map_err(|message| format!("element {at}: {message}"));
    items.into_iter().zip(kinds).enumerate().map(convert).collect::<Result<_, _>>().map(Value::List)
}

/// Attributes that the type does not name are dropped, as Terraform drops them.
fn object(mut entries: BTreeMap<String, Value>, attributes: &BTreeMap<String, Attribute>) -> Result<Value, String> {
    let mut converted = BTreeMap::new();
    for (name, attribute) in attributes {
        let value = match (entries.remove(name), &attribute.default) {
            (Some(Value::Null) | None, Some(default)) => default.clone(),
            (Some(value), _) => value,
            (None, None) => {
                let near = nearest(name, entries.keys().map(String::as_str))
                    .filter(|near| !attributes.contains_key(*near))
                    .map(|near| format!("; did you mean it by `{near}`?"));
                return Err(format!("attribute `{name}` is required{}", near.unwrap_or_default()));
            }
        };
        let value = convert(value, &attribute.kind).map_err(|message| format!("`{name}`: {message}"))?;
        converted.insert(name.clone(), value);
    }
    Ok(Value::Map(converted))
}

/// Returns the type of a value, taking every list for a tuple and every map for an object.
pub fn kind(value: &Value) -> Type {
    match value {
        Value::Null | Value::Unknown => Type::Any,
        Value::Bool(_) => Type::Bool,
        Value::Number(_) => Type::Number,
        Value::String(_) => Type::String,
        Value::List(items) => Type::Tuple(items.iter().map(kind).collect()),
        Value::Set(items) => {
            Type::Set(Box::new(common(&items.iter().map(kind).collect::<Vec<_>>()).unwrap_or(Type::Any)))
        }
        Value::Map(entries) => Type::Object(
            entries.iter().map(|(key, value)| (key.clone(), Attribute { kind: kind(value), default: None })).collect(),
        ),
        Value::Sensitive(inner) => kind(inner),
    }
}

/// Returns the type that all of `kinds` can be converted to, if there is one. `Any` (null, unknown) suits every type.
pub fn common(kinds: &[Type]) -> Option<Type> {
    let known: Vec<&Type> = kinds.iter().filter(|kind| **kind != Type::Any).collect();
    let Some(first) = known.first() else {
        return Some(Type::Any);
    };
    if known.iter().all(|kind| kind == first) {
        return Some((*first).clone());
    }
    if known.iter().all(|kind| matches!(kind, Type::Bool | Type::Number | Type::String)) {
        return known.contains(&&Type::String).then_some(Type::String);
    }
    if known.iter().all(|kind| matches!(kind, Type::Tuple(_) | Type::List(_) | Type::Set(_))) {
        return sequences(&known);
    }
    mappings(&known)
}

/// Tuples of one length stay tuples; everything else becomes a list, or a set where one is.
fn sequences(kinds: &[&Type]) -> Option<Type> {
    let tuples: Vec<&Vec<Type>> =
        kinds.iter().filter_map(|kind| if let Type::Tuple(items) = kind { Some(items) } else { None }).collect();
    let length = tuples.first().map_or(0, |items| items.len());
    if tuples.len() == kinds.len() && tuples.iter().all(|items| items.len() == length) {
        let column = |at: usize| common(&tuples.iter().map(|items| items[at].clone()).collect::<Vec<_>>());
        return (0..length).map(column).collect::<Option<_>>().map(Type::Tuple);
    }
    let inner = kinds.iter().flat_map(|kind| match kind {
        Type::Tuple(items) => items.clone(),
        Type::List(inner) | Type::Set(inner) => vec![(**inner).clone()],
        _ => vec![],
    });
    let element = Box::new(common(&inner.collect::<Vec<_>>())?);
    let set = kinds.iter().any(|kind| matches!(kind, Type::Set(_)));
    Some(if set { Type::Set(element) } else { Type::List(element) })
}

/// Objects with the same attributes stay objects; others become maps.
fn mappings(kinds: &[&Type]) -> Option<Type> {
    let mut objects = vec![];
    for kind in kinds {
        match kind {
            Type::Object(attributes) => objects.push(attributes),
            _ => return None,
        }
    }
    let first = objects.first()?;
    if objects.iter().all(|attributes| attributes.keys().eq(first.keys())) {
        let column = |name: &String| {
            let kinds: Vec<Type> = objects.iter().map(|attributes| attributes[name].kind.clone()).collect();
            Some((name.clone(), Attribute { kind: common(&kinds)?, default: None }))
        };
        return first.keys().map(column).collect::<Option<_>>().map(Type::Object);
    }
    let inner: Vec<Type> =
        objects.iter().flat_map(|attributes| attributes.values().map(|attribute| attribute.kind.clone())).collect();
    Some(Type::Map(Box::new(common(&inner)?)))
}
