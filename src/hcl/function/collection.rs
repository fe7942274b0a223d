//! Lists, sets and maps.

use std::collections::{BTreeMap, BTreeSet};

use unicode_segmentation::UnicodeSegmentation as _;

use crate::hcl::convert::{common, convert, kind};
use crate::hcl::function::argument::{integer, list, map, text};
use crate::hcl::function::{Files, Function, Takes};
use crate::hcl::types::Type;
use crate::hcl::value::Value;

/// The functions of this file.
pub const FUNCTIONS: &[Function] = &[
    Function { name: "length", least: 1, most: Some(1), takes: Takes::Partly, body: length },
    Function { name: "concat", least: 0, most: None, takes: Takes::Partly, body: concat },
    Function { name: "merge", least: 0, most: None, takes: Takes::Partly, body: merge },
    Function { name: "lookup", least: 2, most: Some(3), takes: Takes::Partly, body: lookup },
    Function { name: "keys", least: 1, most: Some(1), takes: Takes::Partly, body: keys },
    Function { name: "values", least: 1, most: Some(1), takes: Takes::Partly, body: values },
    Function { name: "zipmap", least: 2, most: Some(2), takes: Takes::Partly, body: zipmap },
    Function { name: "element", least: 2, most: Some(2), takes: Takes::Partly, body: element },
    Function { name: "index", least: 2, most: Some(2), takes: Takes::Present, body: index },
    Function { name: "slice", least: 3, most: Some(3), takes: Takes::Partly, body: slice },
    Function { name: "reverse", least: 1, most: Some(1), takes: Takes::Partly, body: reverse },
    Function { name: "sort", least: 1, most: Some(1), takes: Takes::Present, body: sort },
    Function { name: "contains", least: 2, most: Some(2), takes: Takes::Known, body: contains },
    Function { name: "distinct", least: 1, most: Some(1), takes: Takes::Present, body: distinct },
    Function { name: "flatten", least: 1, most: Some(1), takes: Takes::Partly, body: flatten },
    Function { name: "compact", least: 1, most: Some(1), takes: Takes::Present, body: compact },
    Function { name: "coalesce", least: 1, most: None, takes: Takes::Known, body: coalesce },
    Function { name: "coalescelist", least: 1, most: None, takes: Takes::Known, body: coalesce_list },
    Function { name: "one", least: 1, most: Some(1), takes: Takes::Partly, body: one },
    Function { name: "alltrue", least: 1, most: Some(1), takes: Takes::Present, body: all_true },
    Function { name: "anytrue", least: 1, most: Some(1), takes: Takes::Present, body: any_true },
    Function { name: "setunion", least: 1, most: None, takes: Takes::Present, body: set_union },
    Function { name: "setintersection", least: 1, most: None, takes: Takes::Present, body: set_intersection },
    Function { name: "setsubtract", least: 2, most: Some(2), takes: Takes::Present, body: set_subtract },
    Function { name: "chunklist", least: 2, most: Some(2), takes: Takes::Present, body: chunk_list },
    Function { name: "transpose", least: 1, most: Some(1), takes: Takes::Present, body: transpose },
    Function { name: "setproduct", least: 2, most: None, takes: Takes::Partly, body: set_product },
    Function { name: "matchkeys", least: 3, most: Some(3), takes: Takes::Present, body: match_keys },
];

fn length(_: &Files<'_>, arguments: Vec<Value>) -> Result<Value, String> {
    match arguments.into_iter().next().unwrap_or_default() {
        Value::List(items) | Value::Set(items) => Ok(items.len().into()),
        Value::Map(entries) => Ok(entries.len().into()),
        Value::String(text) => Ok(text.graphemes(true).count().into()),
        other => Err(format!("{} has no length", other.describe())),
    }
}

fn concat(_: &Files<'_>, arguments: Vec<Value>) -> Result<Value, String> {
    let mut all = vec![];
    for argument in arguments {
        all.extend(list(&mut std::iter::once(argument))?);
    }
    Ok(Value::List(all))
}

fn merge(_: &Files<'_>, arguments: Vec<Value>) -> Result<Value, String> {
    let mut all = BTreeMap::new();
    for argument in arguments.into_iter().filter(|argument| *argument != Value::Null) {
        all.extend(map(&mut std::iter::once(argument))?);
    }
    Ok(Value::Map(all))
}

fn lookup(_: &Files<'_>, arguments: Vec<Value>) -> Result<Value, String> {
    let mut arguments = arguments.into_iter();
    let (mut entries, key) = (map(&mut arguments)?, text(&mut arguments)?);
    entries.remove(&key).or_else(|| arguments.next()).ok_or_else(|| format!("there is no key `{key}`"))
}

fn keys(_: &Files<'_>, arguments: Vec<Value>) -> Result<Value, String> {
    Ok(Value::List(map(&mut arguments.into_iter())?.into_keys().map(Value::String).collect()))
}

fn values(_: &Files<'_>, arguments: Vec<Value>) -> Result<Value, String> {
    Ok(Value::List(map(&mut arguments.into_iter())?.into_values().collect()))
}

fn zipmap(_: &Files<'_>, arguments: Vec<Value>) -> Result<Value, String> {
    let mut arguments = arguments.into_iter();
    let (keys, values) = (list(&mut arguments)?, list(&mut arguments)?);
    if keys.len() != values.len() {
        return Err(format!("there are {} keys and {} values", keys.len(), values.len()));
    }
    let pair = |(key, value)| Ok((text(&mut std::iter::once(key))?, value));
    keys.into_iter().zip(values).map(pair).collect::<Result<_, String>>().map(Value::Map)
}

fn element(_: &Files<'_>, arguments: Vec<Value>) -> Result<Value, String> {
    let mut arguments = arguments.into_iter();
    let (mut items, at) = (list(&mut arguments)?, integer(&mut arguments)?);
    let length = i128::try_from(items.len()).unwrap_or(i128::MAX);
    if length == 0 {
        return Err("the list is empty".to_owned());
    }
    Ok(items.swap_remove(usize::try_from(at.rem_euclid(length)).unwrap_or(0)))
}

fn index(_: &Files<'_>, arguments: Vec<Value>) -> Result<Value, String> {
    let mut arguments = arguments.into_iter();
    let (items, wanted) = (list(&mut arguments)?, arguments.next().unwrap_or_default());
    let found = items.iter().position(|item| *item == wanted);
    found.map(Value::from).ok_or_else(|| "the list does not contain the value".to_owned())
}

fn slice(_: &Files<'_>, arguments: Vec<Value>) -> Result<Value, String> {
    let mut arguments = arguments.into_iter();
    let (items, start, end) = (list(&mut arguments)?, integer(&mut arguments)?, integer(&mut arguments)?);
    let bounds = usize::try_from(start).ok().zip(usize::try_from(end).ok());
    let part = bounds.and_then(|(start, end)| items.get(start..end)).map(<[Value]>::to_vec);
    part.map(Value::List).ok_or_else(|| format!("a list of {} has no part {start} to {end}", items.len()))
}

fn reverse(_: &Files<'_>, arguments: Vec<Value>) -> Result<Value, String> {
    let mut items = list(&mut arguments.into_iter())?;
    items.reverse();
    Ok(Value::List(items))
}

fn sort(_: &Files<'_>, arguments: Vec<Value>) -> Result<Value, String> {
    let mut items = texts(arguments)?;
    items.sort();
    Ok(Value::List(items.into_iter().map(Value::String).collect()))
}

fn texts(arguments: Vec<Value>) -> Result<Vec<String>, String> {
    crate::hcl::function::argument::texts(&mut arguments.into_iter())
}

fn contains(_: &Files<'_>, arguments: Vec<Value>) -> Result<Value, String> {
    let mut arguments = arguments.into_iter();
    let (items, wanted) = (list(&mut arguments)?, arguments.next().unwrap_or_default());
    Ok(Value::Bool(items.contains(&wanted)))
}

fn distinct(_: &Files<'_>, arguments: Vec<Value>) -> Result<Value, String> {
    let mut kept: Vec<Value> = vec![];
    for item in list(&mut arguments.into_iter())? {
        if !kept.contains(&item) {
            kept.push(item);
        }
    }
    Ok(Value::List(kept))
}

fn flatten(_: &Files<'_>, arguments: Vec<Value>) -> Result<Value, String> {
    Ok(Value::List(flat(list(&mut arguments.into_iter())?)))
}

fn flat(items: Vec<Value>) -> Vec<Value> {
    let mut all = vec![];
    for item in items {
        match item {
            Value::List(inner) | Value::Set(inner) => all.extend(flat(inner)),
            single => all.push(single),
        }
    }
    all
}

fn compact(_: &Files<'_>, arguments: Vec<Value>) -> Result<Value, String> {
    let items = list(&mut arguments.into_iter())?;
    let present = items.into_iter().filter(|item| *item != Value::Null);
    let texts = present.map(|item| text(&mut std::iter::once(item))).collect::<Result<Vec<_>, _>>()?;
    Ok(Value::List(texts.into_iter().filter(|item| !item.is_empty()).map(Value::String).collect()))
}

/// The first that is neither null nor empty text, in the type that suits all.
fn coalesce(_: &Files<'_>, arguments: Vec<Value>) -> Result<Value, String> {
    let shared = common(&arguments.iter().map(kind).collect::<Vec<_>>());
    let shared = shared.ok_or_else(|| "all arguments must have the same type".to_owned())?;
    let found = arguments.into_iter().find(|argument| *argument != Value::Null && *argument != Value::from(""));
    convert(found.ok_or_else(|| "all arguments are null or empty".to_owned())?, &shared)
}

fn coalesce_list(_: &Files<'_>, arguments: Vec<Value>) -> Result<Value, String> {
    let full = |argument: &Value| matches!(argument, Value::List(items) | Value::Set(items) if !items.is_empty());
    arguments.into_iter().find(full).ok_or_else(|| "all lists are empty".to_owned())
}

fn one(_: &Files<'_>, arguments: Vec<Value>) -> Result<Value, String> {
    let mut items = match arguments.into_iter().next().unwrap_or_default() {
        Value::List(items) | Value::Set(items) => items,
        Value::Null => vec![],
        single => vec![single],
    };
    match items.len() {
        0 => Ok(Value::Null),
        1 => Ok(items.swap_remove(0)),
        more => Err(format!("there are {more} elements")),
    }
}

fn truths(arguments: Vec<Value>) -> Result<Vec<Value>, String> {
    list(&mut arguments.into_iter())?.into_iter().map(|item| convert(item, &Type::Bool)).collect()
}

fn all_true(_: &Files<'_>, arguments: Vec<Value>) -> Result<Value, String> {
    Ok(Value::Bool(truths(arguments)?.iter().all(|item| *item == Value::Bool(true))))
}

fn any_true(_: &Files<'_>, arguments: Vec<Value>) -> Result<Value, String> {
    Ok(Value::Bool(truths(arguments)?.contains(&Value::Bool(true))))
}

fn sets(arguments: Vec<Value>) -> Result<Vec<Vec<Value>>, String> {
    arguments.into_iter().map(|argument| list(&mut std::iter::once(argument))).collect()
}

fn set_union(_: &Files<'_>, arguments: Vec<Value>) -> Result<Value, String> {
    Ok(Value::set(sets(arguments)?.into_iter().flatten()))
}

fn set_intersection(_: &Files<'_>, arguments: Vec<Value>) -> Result<Value, String> {
    let sets = sets(arguments)?;
    let (first, others) = sets.split_first().ok_or_else(|| "a set is required".to_owned())?;
    Ok(Value::set(first.iter().filter(|item| others.iter().all(|other| other.contains(item))).cloned()))
}

fn set_subtract(_: &Files<'_>, arguments: Vec<Value>) -> Result<Value, String> {
    let mut arguments = arguments.into_iter();
    let (kept, gone) = (list(&mut arguments)?, list(&mut arguments)?);
    Ok(Value::set(kept.into_iter().filter(|item| !gone.contains(item))))
}

fn chunk_list(_: &Files<'_>, arguments: Vec<Value>) -> Result<Value, String> {
    let mut arguments = arguments.into_iter();
    let (items, size) = (list(&mut arguments)?, integer(&mut arguments)?);
    let size = usize::try_from(size).map_err(|_| "the size is negative".to_owned())?;
    let size = if size == 0 { items.len().max(1) } else { size };
    Ok(Value::List(items.chunks(size).map(|part| Value::List(part.to_vec())).collect()))
}

fn transpose(_: &Files<'_>, arguments: Vec<Value>) -> Result<Value, String> {
    let mut turned = BTreeMap::<String, BTreeSet<String>>::new();
    for (key, values) in map(&mut arguments.into_iter())? {
        for value in texts(vec![values])? {
            turned.entry(value).or_default().insert(key.clone());
        }
    }
    let listed = |keys: BTreeSet<String>| Value::List(keys.into_iter().map(Value::String).collect());
    Ok(Value::Map(turned.into_iter().map(|(key, keys)| (key, listed(keys))).collect()))
}

/// Most combinations of one call.
const MOST_COMBINATIONS: usize = 100_000;

/// Every combination of one element of each collection; a set if all of them are sets.
fn set_product(_: &Files<'_>, arguments: Vec<Value>) -> Result<Value, String> {
    let all_sets = arguments.iter().all(|argument| matches!(argument, Value::Set(_)));
    let mut rows = vec![vec![]];
    for items in sets(arguments)? {
        if rows.len().saturating_mul(items.len()) > MOST_COMBINATIONS {
            return Err(format!("there are more than {MOST_COMBINATIONS} combinations"));
        }
        let longer = |row: &Vec<Value>| {
            let row = row.clone();
            items.iter().map(move |item| [row.clone(), vec![item.clone()]].concat()).collect::<Vec<_>>()
        };
        rows = rows.iter().flat_map(longer).collect();
    }
    let rows = rows.into_iter().map(Value::List);
    Ok(if all_sets { Value::set(rows) } else { Value::List(rows.collect()) })
}

/// The values whose keys are wanted. Keys are compared in the type that suits all of them.
fn match_keys(_: &Files<'_>, arguments: Vec<Value>) -> Result<Value, String> {
    let mut arguments = arguments.into_iter();
    let (values, keys, wanted) = (list(&mut arguments)?, list(&mut arguments)?, list(&mut arguments)?);
    if values.len() != keys.len() {
        return Err(format!("there are {} values and {} keys", values.len(), keys.len()));
    }
    let shared = common(&keys.iter().chain(&wanted).map(kind).collect::<Vec<_>>());
    let shared = shared.ok_or_else(|| "all keys must have the same type".to_owned())?;
    let same = |items: Vec<Value>| items.into_iter().map(|item| convert(item, &shared)).collect::<Result<Vec<_>, _>>();
    let (keys, wanted) = (same(keys)?, same(wanted)?);
    let found = values.into_iter().zip(keys).filter(|(_, key)| wanted.contains(key));
    Ok(Value::List(found.map(|(value, _)| value).collect()))
}
