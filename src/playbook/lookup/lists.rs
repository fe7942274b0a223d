//! Lists made of lists.

use rand::seq::IndexedRandom as _;

use crate::playbook::jinja::{Value, path_of};
use crate::playbook::lookup::truth;

type Listed = Result<Vec<Value>, String>;

/// Makes a list of terms; nothing if there is no lookup of that name.
pub fn run(name: &str, terms: &[Value]) -> Option<Listed> {
    Some(match name {
        "items" => Ok(terms.iter().flat_map(|term| inner(term).unwrap_or_else(|| vec![term.clone()])).collect()),
        "list" => Ok(terms.to_vec()),
        "flattened" => Ok(flattened(terms)),
        "dict" => dict(terms),
        "together" => together(terms),
        "nested" | "cartesian" => nested(terms),
        "indexed_items" => Ok(indexed(terms)),
        "random_choice" => Ok(terms.choose(&mut rand::rng()).cloned().into_iter().collect()),
        "subelements" => subelements(terms),
        _ => return None,
    })
}

fn inner(value: &Value) -> Option<Vec<Value>> {
    value.as_list().map(|items| items.to_vec())
}

fn flattened(terms: &[Value]) -> Vec<Value> {
    let mut all = vec![];
    for term in terms {
        match term {
            Value::None => {}
            Value::List(items) | Value::Tuple(items) => all.extend(flattened(items)),
            other if matches!(other.as_str(), Some("None" | "null")) => {}
            other => all.push(other.clone()),
        }
    }
    all
}

fn dict(terms: &[Value]) -> Listed {
    let mut entries = vec![];
    for term in terms.iter().flat_map(|term| inner(term).unwrap_or_else(|| vec![term.clone()])) {
        let dict = term.as_dict().ok_or_else(|| format!("needs dicts, got {}", term.kind()))?;
        let entry = |(key, value): &(Value, Value)| {
            Value::dict(vec![(Value::text("key"), key.clone()), (Value::text("value"), value.clone())])
        };
        entries.extend(dict.0.iter().map(entry));
    }
    Ok(entries)
}

fn columns(terms: &[Value]) -> Vec<Vec<Value>> {
    terms.iter().map(|term| inner(term).unwrap_or_else(|| vec![term.clone()])).collect()
}

fn together(terms: &[Value]) -> Listed {
    let columns = columns(terms);
    let length = columns.iter().map(Vec::len).max().ok_or("needs at least one list")?;
    let row = |at: usize| columns.iter().map(|column| column.get(at).cloned().unwrap_or(Value::None)).collect();
    Ok((0..length).map(|at| Value::list(row(at))).collect())
}

fn nested(terms: &[Value]) -> Listed {
    if terms.is_empty() {
        return Err("needs at least one list".to_owned());
    }
    let mut rows: Vec<Vec<Value>> = vec![vec![]];
    for column in columns(terms) {
        if rows.len().saturating_mul(column.len()) > 1 << 20 {
            return Err("would make a list that is too long".to_owned());
        }
        rows = rows
            .iter()
            .flat_map(|row| column.iter().map(move |item| [row.as_slice(), std::slice::from_ref(item)].concat()))
            .collect();
    }
    Ok(rows.into_iter().map(Value::list).collect())
}

fn indexed(terms: &[Value]) -> Vec<Value> {
    let items = terms.iter().flat_map(|term| inner(term).unwrap_or_else(|| vec![term.clone()]));
    items.enumerate().map(|(at, item)| Value::tuple(vec![Value::count(at), item])).collect()
}

fn subelements(terms: &[Value]) -> Listed {
    let [items, path, flags @ ..] = terms else {
        return Err("needs a list and the name of a list in each of its items".to_owned());
    };
    let path = path.as_str().ok_or("needs a name as its second term")?;
    let skips = flags.first().and_then(Value::as_dict).and_then(|flags| flags.get("skip_missing")).is_some_and(truth);
    let items = match items {
        Value::Dict(dict) => dict.0.iter().map(|(_, value)| value.clone()).collect(),
        other => other.iterate()?,
    };
    let mut all = vec![];
    for item in items {
        let dict = item.as_dict().ok_or_else(|| format!("needs dicts, got {}", item.kind()))?;
        if dict.get("skipped").is_some_and(Value::truth) {
            continue;
        }
        match path_of(&item, path) {
            Value::Undefined(_) if skips => {}
            Value::List(found) => {
                let outer = without(&item, path);
                all.extend(found.iter().map(|found| Value::tuple(vec![outer.clone(), found.clone()])));
            }
            _ => return Err(format!("found no list `{path}` in an item")),
        }
    }
    Ok(all)
}

/// An item without the list that its elements came from, as Ansible leaves it.
fn without(item: &Value, path: &str) -> Value {
    let Some(dict) = item.as_dict() else { return item.clone() };
    let (head, rest) = path.split_once('.').map_or((path, None), |(head, rest)| (head, Some(rest)));
    let entries = dict.0.iter().filter_map(|(key, value)| match (key.as_str() == Some(head), rest) {
        (false, _) => Some((key.clone(), value.clone())),
        (true, Some(rest)) => Some((key.clone(), without(value, rest))),
        (true, None) => None,
    });
    Value::dict(entries.collect())
}
