//! Methods that change a list or a dictionary in its place, as `{% set _ = list.append(1) %}` does.

use crate::playbook::jinja::arguments::{Arguments, Truth, truth};
use crate::playbook::jinja::value::{Dict, Value};

/// What a call leaves: the changed value and what the call gives.
pub struct Changed {
    /// The list or dictionary afterwards.
    pub value: Value,
    /// The result of the call.
    pub result: Value,
}

/// Calls a method that changes its receiver; nothing if it is none of these.
pub fn call(receiver: &Value, name: &str, args: Arguments) -> Option<Result<Changed, String>> {
    match receiver {
        Value::List(items) if LIST.contains(&name) => Some(of_list(items.to_vec(), name, args)),
        Value::Dict(dict) if DICT.contains(&name) => Some(of_dict(dict.as_ref().clone(), name, args)),
        _ => None,
    }
}

const LIST: &[&str] = &["append", "clear", "extend", "insert", "pop", "remove", "reverse", "sort"];
const DICT: &[&str] = &["clear", "pop", "popitem", "setdefault", "update"];

fn of_list(mut items: Vec<Value>, name: &str, args: Arguments) -> Result<Changed, String> {
    let mut result = Value::None;
    match name {
        "append" => {
            let [item] = args.bind(["object"])?;
            items.push(item.ok_or("needs a value")?);
        }
        "extend" => {
            let [more] = args.bind(["iterable"])?;
            items.extend(more.ok_or("needs a list")?.iterate()?);
        }
        "insert" => {
            let [at, item] = args.bind(["index", "object"])?;
            let at = place(at, items.len())?.min(items.len());
            items.insert(at, item.ok_or("needs a value")?);
        }
        "pop" => {
            let [at] = args.bind(["index"])?;
            let at = if at.is_none() { items.len().wrapping_sub(1) } else { place(at, items.len())? };
            if at >= items.len() {
                return Err("there is no such item to take".to_owned());
            }
            result = items.remove(at);
        }
        "remove" => {
            let [item] = args.bind(["value"])?;
            let item = item.ok_or("needs a value")?;
            let at = items.iter().position(|known| *known == item).ok_or("the value is not in the list")?;
            items.remove(at);
        }
        "reverse" => items.reverse(),
        "sort" => {
            let [reverse] = args.bind(["reverse"])?;
            sort(&mut items)?;
            if truth(reverse.as_ref(), Truth::No) {
                items.reverse();
            }
        }
        _ => items.clear(),
    }
    Ok(Changed { value: Value::list(items), result })
}

fn sort(items: &mut [Value]) -> Result<(), String> {
    let mut trouble = None;
    items.sort_by(|a, b| {
        a.order(b).unwrap_or_else(|message| {
            trouble.get_or_insert(message);
            std::cmp::Ordering::Equal
        })
    });
    trouble.map_or(Ok(()), Err)
}

fn place(at: Option<Value>, length: usize) -> Result<usize, String> {
    let at = at.and_then(|at| at.as_int()).ok_or("needs a whole number")?;
    let length = i64::try_from(length).unwrap_or(i64::MAX);
    Ok(usize::try_from(if at < 0 { (at + length).max(0) } else { at }).unwrap_or(0))
}

fn of_dict(mut dict: Dict, name: &str, args: Arguments) -> Result<Changed, String> {
    let mut result = Value::None;
    match name {
        "update" => {
            for (key, value) in
                args.places.first().and_then(Value::as_dict).map(|more| more.0.clone()).unwrap_or_default()
            {
                dict.insert(key, value);
            }
            args.names.into_iter().for_each(|(key, value)| dict.insert(Value::text(key), value));
        }
        "pop" => {
            let [key, default] = args.bind(["key", "default"])?;
            let key = key.ok_or("needs a key")?;
            match dict.0.iter().position(|(known, _)| *known == key) {
                Some(at) => result = dict.0.remove(at).1,
                None => result = default.ok_or("the key is not in the dict")?,
            }
        }
        "popitem" => {
            let (key, value) = dict.0.pop().ok_or("the dict is empty")?;
            result = Value::tuple(vec![key, value]);
        }
        "setdefault" => {
            let [key, default] = args.bind(["key", "default"])?;
            let (key, default) = (key.ok_or("needs a key")?, default.unwrap_or(Value::None));
            result = dict.get_value(&key).cloned().unwrap_or(default);
            dict.insert(key, result.clone());
        }
        _ => dict.0.clear(),
    }
    Ok(Changed { value: Value::Dict(dict.into()), result })
}
