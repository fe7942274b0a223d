//! Filters of lists and dictionaries.

use crate::playbook::jinja::arguments::{self, Arguments, Truth, truth};
use crate::playbook::jinja::eval::{Evaluator, LONGEST};
use crate::playbook::jinja::filters::{Trouble, numbers, separator};
use crate::playbook::jinja::predicates;
use crate::playbook::jinja::tree::At;
use crate::playbook::jinja::value::{Dict, Value};

/// Their names.
pub const NAMES: &[&str] = &[
    "attr",
    "batch",
    "combine",
    "count",
    "dict2items",
    "dictsort",
    "difference",
    "extract",
    "first",
    "flatten",
    "groupby",
    "intersect",
    "items",
    "items2dict",
    "join",
    "last",
    "length",
    "list",
    "map",
    "max",
    "min",
    "reject",
    "rejectattr",
    "rekey_on_member",
    "reverse",
    "select",
    "selectattr",
    "slice",
    "sort",
    "subelements",
    "sum",
    "symmetric_difference",
    "union",
    "unique",
    "zip",
    "zip_longest",
];

/// Applies one.
pub fn apply(evaluator: &mut Evaluator<'_>, name: &str, input: &Value, args: Arguments) -> Result<Value, Trouble> {
    match name {
        "length" | "count" => length(input),
        "join" => join(input, args),
        "first" => {
            Ok(input.iterate()?.into_iter().next().unwrap_or_else(|| Value::missing("the first item of nothing")))
        }
        "last" => Ok(input.iterate()?.pop().unwrap_or_else(|| Value::missing("the last item of nothing"))),
        "list" => Ok(Value::list(input.iterate()?)),
        "items" => pairs_of(input),
        "reverse" => reverse(input),
        "attr" => {
            let [name] = args.bind(["name"])?;
            let name = arguments::text(name, "");
            // Items of a dictionary are no attributes.
            Ok(if input.as_dict().is_some() { Value::missing(name) } else { path_of(input, &name) })
        }
        "map" => map(evaluator, input, args),
        "select" | "reject" | "selectattr" | "rejectattr" => select(evaluator, name, input, args),
        "unique" | "union" | "intersect" | "difference" | "symmetric_difference" => sets(name, input, args),
        "sort" | "min" | "max" => ordered(name, input, args),
        "dictsort" => dictsort(input, args),
        "groupby" => groupby(input, args),
        "batch" | "slice" => portions(name, input, args),
        "sum" => sum(input, args),
        "flatten" => flatten(input, args),
        "combine" => combine(input, args),
        "dict2items" => dict2items(input, args),
        "items2dict" => items2dict(input, args),
        "extract" => extract(input, args),
        "zip" | "zip_longest" => zip(name, input, &args),
        "rekey_on_member" => rekey(input, args),
        _ => subelements(input, args),
    }
}

fn length(input: &Value) -> Result<Value, Trouble> {
    Ok(Value::count(match input {
        Value::Str(text) => text.chars().count(),
        Value::Dict(dict) => dict.0.len(),
        Value::List(items) | Value::Tuple(items) => items.len(),
        Value::Object(object) => object.keys().len(),
        _ => return Err(format!("needs text, a list or a dict, got {}", input.kind()).into()),
    }))
}

fn join(input: &Value, args: Arguments) -> Result<Value, Trouble> {
    let [between, attribute] = args.bind(["d", "attribute"])?;
    let between = separator(between);
    let mut parts = vec![];
    for item in input.iterate()? {
        let item = attribute.as_ref().map_or_else(|| item.clone(), |path| path_of(&item, &path.to_string()));
        if let Some(missing) = item.find_missing() {
            return Err(missing.clone().into());
        }
        parts.push(item.to_string());
    }
    Ok(Value::text(parts.join(&between)))
}

fn pairs_of(input: &Value) -> Result<Value, Trouble> {
    let dict = input.as_dict().ok_or_else(|| format!("needs a dict, got {}", input.kind()))?;
    Ok(Value::list(dict.0.iter().map(|(key, value)| Value::tuple(vec![key.clone(), value.clone()])).collect()))
}

fn reverse(input: &Value) -> Result<Value, Trouble> {
    if let Value::Str(text) = input {
        return Ok(Value::text(text.chars().rev().collect::<String>()));
    }
    let mut items = input.iterate()?;
    items.reverse();
    Ok(Value::list(items))
}

/// Follows `a.b.0` into a value.
pub fn path_of(value: &Value, path: &str) -> Value {
    let mut at = value.clone();
    for part in path.split('.') {
        let next = match &at {
            Value::Dict(dict) => dict.get(part).cloned(),
            Value::Object(object) => object.get(part).ok().flatten(),
            Value::List(items) | Value::Tuple(items) => {
                part.parse::<usize>().ok().and_then(|at| items.get(at).cloned())
            }
            Value::Undefined(_) => return at,
            _ => None,
        };
        match next {
            Some(next) => at = next,
            None => return Value::missing(part),
        }
    }
    at
}

fn map(evaluator: &mut Evaluator<'_>, input: &Value, mut args: Arguments) -> Result<Value, Trouble> {
    let items = input.iterate()?;
    let attribute = args.names.iter().position(|(name, _)| name == "attribute").map(|at| args.names.remove(at).1);
    if let Some(path) = attribute {
        let default = args.names.iter().position(|(name, _)| name == "default").map(|at| args.names.remove(at).1);
        let path = path.to_string();
        let pick = |item: &Value| match (path_of(item, &path), &default) {
            (Value::Undefined(_), Some(default)) => default.clone(),
            (value, _) => value,
        };
        return Ok(Value::list(items.iter().map(pick).collect()));
    }
    let filter = args.shift("a filter or `attribute`")?.to_string();
    let mut mapped = vec![];
    for item in items {
        mapped.push(evaluator.apply_filter(&filter, item, args.clone(), At::default())?);
    }
    Ok(Value::list(mapped))
}

fn select(evaluator: &mut Evaluator<'_>, name: &str, input: &Value, mut args: Arguments) -> Result<Value, Trouble> {
    let path = if name.ends_with("attr") { Some(args.shift("an attribute")?.to_string()) } else { None };
    let test = if args.places.is_empty() { None } else { Some(args.places.remove(0).to_string()) };
    let wanted = name.starts_with("select");
    let mut kept = vec![];
    for item in input.iterate()? {
        let subject = path.as_ref().map_or_else(|| item.clone(), |path| path_of(&item, path));
        let passes = match (&test, &subject) {
            (Some(test), _) => predicates::apply(evaluator, test, &subject, args.clone())
                .map_err(|trouble| Trouble::Inside(trouble.at(test, "test", At::default())))?,
            (None, Value::Undefined(missing)) => return Err(missing.clone().into()),
            (None, subject) => subject.truth(),
        };
        if passes == wanted {
            kept.push(item);
        }
    }
    Ok(Value::list(kept))
}

fn unique(items: Vec<Value>) -> Vec<Value> {
    let mut seen: Vec<Value> = vec![];
    for item in items {
        if !seen.contains(&item) {
            seen.push(item);
        }
    }
    seen
}

fn sets(name: &str, input: &Value, args: Arguments) -> Result<Value, Trouble> {
    let items = input.iterate()?;
    if name == "unique" {
        let [sensitive, attribute] = args.bind(["case_sensitive", "attribute"])?;
        let fold = !truth(sensitive.as_ref(), Truth::No);
        let mut seen: Vec<Value> = vec![];
        let mut kept = vec![];
        for item in items {
            let subject = attribute.as_ref().map_or_else(|| item.clone(), |path| path_of(&item, &path.to_string()));
            let key = folded(subject, fold);
            if !seen.contains(&key) {
                seen.push(key);
                kept.push(item);
            }
        }
        return Ok(Value::list(kept));
    }
    let [other] = args.bind(["other"])?;
    let other = other.ok_or("needs another list")?.iterate()?;
    let without = |items: &[Value], others: &[Value]| -> Vec<Value> {
        items.iter().filter(|item| !others.contains(item)).cloned().collect()
    };
    Ok(Value::list(unique(match name {
        "union" => [items, other].concat(),
        "intersect" => items.into_iter().filter(|item| other.contains(item)).collect(),
        "difference" => without(&items, &other),
        _ => [without(&items, &other), without(&other, &items)].concat(),
    })))
}

fn folded(value: Value, fold: bool) -> Value {
    match &value {
        Value::Str(text) if fold => Value::text(text.to_lowercase()),
        _ => value,
    }
}

/// Sorts by keys, keeping the order of equal ones.
fn sort_by(items: &mut [(Value, Value)], reverse: bool) -> Result<(), String> {
    let mut trouble = None;
    items.sort_by(|a, b| {
        let (a, b) = if reverse { (b, a) } else { (a, b) };
        a.0.order(&b.0).unwrap_or_else(|message| {
            trouble.get_or_insert(message);
            std::cmp::Ordering::Equal
        })
    });
    trouble.map_or(Ok(()), Err)
}

fn ordered(name: &str, input: &Value, args: Arguments) -> Result<Value, Trouble> {
    let (reverse, sensitive, attribute) = if name == "sort" {
        let [reverse, sensitive, attribute] = args.bind(["reverse", "case_sensitive", "attribute"])?;
        (truth(reverse.as_ref(), Truth::No), sensitive, attribute)
    } else {
        let [sensitive, attribute] = args.bind(["case_sensitive", "attribute"])?;
        (false, sensitive, attribute)
    };
    // Ansible's own `min` and `max` tell upper from lower case, Jinja2's `sort` does not.
    let default = if name == "sort" { Truth::No } else { Truth::Yes };
    let fold = !truth(sensitive.as_ref(), default);
    let attribute = attribute.map(|path| path.to_string());
    let key = |item: &Value| match &attribute {
        Some(paths) => {
            let keys: Vec<_> = paths.split(',').map(|path| folded(path_of(item, path), fold)).collect();
            Value::list(keys)
        }
        None => folded(item.clone(), fold),
    };
    let mut items: Vec<_> = input.iterate()?.into_iter().map(|item| (key(&item), item)).collect();
    if let Some(missing) = items.iter().find_map(|(key, _)| key.find_missing()) {
        return Err(missing.clone().into());
    }
    sort_by(&mut items, reverse)?;
    let mut sorted = items.into_iter().map(|(_, item)| item);
    match name {
        "sort" => Ok(Value::list(sorted.collect())),
        "min" => Ok(sorted.next().unwrap_or_else(|| Value::missing("the smallest item of nothing"))),
        _ => Ok(sorted.next_back().unwrap_or_else(|| Value::missing("the largest item of nothing"))),
    }
}

fn dictsort(input: &Value, args: Arguments) -> Result<Value, Trouble> {
    let [sensitive, by, reverse] = args.bind(["case_sensitive", "by", "reverse"])?;
    let fold = !truth(sensitive.as_ref(), Truth::No);
    let by_value = arguments::text(by, "key") == "value";
    let dict = input.as_dict().ok_or("needs a dict")?;
    let mut items: Vec<_> = dict
        .0
        .iter()
        .map(|(key, value)| {
            let sort_key = folded(if by_value { value.clone() } else { key.clone() }, fold);
            (sort_key, Value::tuple(vec![key.clone(), value.clone()]))
        })
        .collect();
    sort_by(&mut items, truth(reverse.as_ref(), Truth::No))?;
    Ok(Value::list(items.into_iter().map(|(_, pair)| pair).collect()))
}

fn groupby(input: &Value, args: Arguments) -> Result<Value, Trouble> {
    let [attribute, default] = args.bind(["attribute", "default"])?;
    let path = arguments::text(attribute, "");
    let mut items = vec![];
    for item in input.iterate()? {
        let key = match (path_of(&item, &path), &default) {
            (Value::Undefined(missing), None) => return Err(missing.into()),
            (Value::Undefined(_), Some(default)) => default.clone(),
            (key, _) => key,
        };
        items.push((key, item));
    }
    sort_by(&mut items, false)?;
    let mut groups: Vec<(Value, Vec<Value>)> = vec![];
    for (key, item) in items {
        match groups.last_mut() {
            Some((last, members)) if *last == key => members.push(item),
            _ => groups.push((key, vec![item])),
        }
    }
    Ok(Value::list(groups.into_iter().map(|(key, members)| Value::tuple(vec![key, Value::list(members)])).collect()))
}

fn portions(name: &str, input: &Value, args: Arguments) -> Result<Value, Trouble> {
    let [count, fill] = args.bind(["count", "fill_with"])?;
    let count = arguments::size(count, 0)?;
    if count == 0 {
        return Err("needs a number above 0".into());
    }
    let items = input.iterate()?;
    let mut portions: Vec<Vec<Value>> = vec![];
    if name == "batch" {
        portions.extend(items.chunks(count).map(<[Value]>::to_vec));
        if let (Some(fill), Some(last)) = (fill, portions.last_mut()) {
            last.resize(count, fill);
        }
    } else {
        let (each, more) = (items.len() / count, items.len() % count);
        let mut rest = items.into_iter();
        for index in 0..count.min(LONGEST) {
            let mut portion: Vec<_> = rest.by_ref().take(each + usize::from(index < more)).collect();
            if let (Some(fill), true) = (&fill, index >= more && more > 0) {
                portion.push(fill.clone());
            }
            portions.push(portion);
        }
    }
    Ok(Value::list(portions.into_iter().map(Value::list).collect()))
}

fn sum(input: &Value, args: Arguments) -> Result<Value, Trouble> {
    let [attribute, start] = args.bind(["attribute", "start"])?;
    let path = attribute.filter(|path| !matches!(path, Value::None)).map(|path| path.to_string());
    let mut total = start.unwrap_or(Value::Int(0));
    for item in input.iterate()? {
        let item = path.as_ref().map_or_else(|| item.clone(), |path| path_of(&item, path));
        total = numbers::add(&total, &item)?;
    }
    Ok(total)
}

fn flatten(input: &Value, args: Arguments) -> Result<Value, Trouble> {
    let [levels, skip] = args.bind(["levels", "skip_nulls"])?;
    let levels = levels.and_then(|levels| levels.as_int());
    let skip = truth(skip.as_ref(), Truth::Yes);
    let mut out = vec![];
    flatten_into(&mut out, &input.iterate()?, levels, skip);
    Ok(Value::list(out))
}

fn flatten_into(out: &mut Vec<Value>, items: &[Value], levels: Option<i64>, skip: bool) {
    for item in items {
        match (item, levels) {
            (Value::None, _) if skip => {}
            (Value::Str(text), _) if skip && matches!(&**text, "None" | "null") => {}
            (Value::List(inner) | Value::Tuple(inner), None) => flatten_into(out, inner, None, skip),
            (Value::List(inner) | Value::Tuple(inner), Some(levels)) if levels > 0 => {
                flatten_into(out, inner, Some(levels - 1), skip);
            }
            _ => out.push(item.clone()),
        }
    }
}

/// What `combine` does with lists that both sides have.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Lists {
    Replace,
    Keep,
    Append,
    Prepend,
    AppendRp,
    PrependRp,
}

fn combine(input: &Value, args: Arguments) -> Result<Value, Trouble> {
    let [recursive, lists] = Arguments { places: vec![], names: args.names }.bind(["recursive", "list_merge"])?;
    let lists = match arguments::text(lists, "replace").as_str() {
        "replace" => Lists::Replace,
        "keep" => Lists::Keep,
        "append" => Lists::Append,
        "prepend" => Lists::Prepend,
        "append_rp" => Lists::AppendRp,
        "prepend_rp" => Lists::PrependRp,
        other => return Err(format!("has no `list_merge` `{other}`").into()),
    };
    let deep = truth(recursive.as_ref(), Truth::No);
    let mut all = vec![];
    let mut list = vec![];
    flatten_into(&mut list, &[vec![input.clone()], args.places].concat(), None, false);
    for value in list {
        match value {
            Value::Dict(dict) => all.push(dict),
            other => return Err(format!("needs dicts, got {}", other.kind()).into()),
        }
    }
    let mut result = Dict::default();
    for dict in all {
        result = merge(&result, &dict, deep, lists);
    }
    Ok(Value::dict(result.0))
}

fn merge(low: &Dict, high: &Dict, deep: bool, lists: Lists) -> Dict {
    let mut out = low.clone();
    for (key, value) in &high.0 {
        let merged = match (low.get_value(key), value) {
            (Some(Value::Dict(a)), Value::Dict(b)) if deep => Value::dict(merge(a, b, deep, lists).0),
            (Some(Value::List(a)), Value::List(b)) => {
                let fresh = |these: &[Value], those: &[Value]| -> Vec<Value> {
                    these.iter().filter(|item| !those.contains(item)).cloned().collect()
                };
                Value::list(match lists {
                    Lists::Replace => b.to_vec(),
                    Lists::Keep => a.to_vec(),
                    Lists::Append => [a.as_slice(), b.as_slice()].concat(),
                    Lists::Prepend => [b.as_slice(), a.as_slice()].concat(),
                    Lists::AppendRp => [fresh(a, b), b.to_vec()].concat(),
                    Lists::PrependRp => [b.to_vec(), fresh(a, b)].concat(),
                })
            }
            (Some(kept), _) if lists == Lists::Keep && matches!(value, Value::List(_)) => kept.clone(),
            _ => value.clone(),
        };
        out.insert(key.clone(), merged);
    }
    out
}

fn dict2items(input: &Value, args: Arguments) -> Result<Value, Trouble> {
    let [key_name, value_name] = args.bind(["key_name", "value_name"])?;
    let (key_name, value_name) = (arguments::text(key_name, "key"), arguments::text(value_name, "value"));
    let dict = input.as_dict().ok_or_else(|| format!("needs a dict, got {}", input.kind()))?;
    let item = |(key, value): &(Value, Value)| {
        Value::dict(vec![(Value::text(&key_name), key.clone()), (Value::text(&value_name), value.clone())])
    };
    Ok(Value::list(dict.0.iter().map(item).collect()))
}

fn items2dict(input: &Value, args: Arguments) -> Result<Value, Trouble> {
    let [key_name, value_name] = args.bind(["key_name", "value_name"])?;
    let name = |given: Option<Value>, usual: &str| given.unwrap_or_else(|| Value::text(usual));
    let (key_name, value_name) = (name(key_name, "key"), name(value_name, "value"));
    let mut entries = vec![];
    for item in input.iterate()? {
        let get = |name: &Value| match (&item, name.as_int().map(usize::try_from)) {
            (Value::Dict(dict), _) => Ok(dict.get_value(name)),
            (Value::List(items) | Value::Tuple(items), Some(Ok(at))) => Ok(items.get(at)),
            _ => Err("needs a list of dicts"),
        };
        match (get(&key_name)?, get(&value_name)?) {
            (Some(key), Some(value)) => entries.push((key.clone(), value.clone())),
            _ => return Err(format!("needs `{key_name}` and `{value_name}` in every dict").into()),
        }
    }
    Ok(Value::dict(entries))
}

fn extract(input: &Value, args: Arguments) -> Result<Value, Trouble> {
    let [container, more] = args.bind(["container", "morekeys"])?;
    let mut at = container.ok_or("needs a container")?;
    let more = match more {
        None | Some(Value::None) => vec![],
        Some(value) => value.as_list().map_or_else(|| vec![value.clone()], |items| items.to_vec()),
    };
    for key in [vec![input.clone()], more].concat() {
        let found = match (&at, &key) {
            (Value::Dict(dict), _) => dict.get_value(&key).cloned(),
            (Value::Object(object), _) => object.get(&key.to_string())?,
            (Value::List(items) | Value::Tuple(items), _) => {
                key.as_int().and_then(|at| usize::try_from(at).ok()).and_then(|at| items.get(at).cloned())
            }
            _ => None,
        };
        at = found.unwrap_or_else(|| Value::missing(key.to_string()));
    }
    Ok(at)
}

fn zip(name: &str, input: &Value, args: &Arguments) -> Result<Value, Trouble> {
    let fill = args.names.iter().find(|(name, _)| name == "fillvalue").map_or(Value::None, |(_, value)| value.clone());
    let mut columns = vec![input.iterate()?];
    for other in &args.places {
        columns.push(other.iterate()?);
    }
    let lengths = columns.iter().map(Vec::len);
    let length = if name == "zip" { lengths.min() } else { lengths.max() }.unwrap_or(0);
    let row = |at: usize| {
        Value::tuple(columns.iter().map(|column| column.get(at).cloned().unwrap_or_else(|| fill.clone())).collect())
    };
    Ok(Value::list((0..length).map(row).collect()))
}

fn subelements(input: &Value, args: Arguments) -> Result<Value, Trouble> {
    let [path, skip] = args.bind(["subelements", "skip_missing"])?;
    let path = arguments::text(path, "");
    let skip = truth(skip.as_ref(), Truth::No);
    let items = match input {
        Value::Dict(dict) => dict.0.iter().map(|(_, value)| value.clone()).collect(),
        other => other.iterate()?,
    };
    let mut out = vec![];
    for item in items {
        match path_of(&item, &path) {
            Value::Undefined(_) if skip => {}
            Value::Undefined(_) => return Err(format!("found no `{path}` in an item").into()),
            inner => out.extend(inner.iterate()?.into_iter().map(|inner| Value::tuple(vec![item.clone(), inner]))),
        }
    }
    Ok(Value::list(out))
}

/// A dictionary of dictionaries by the value of one of their keys.
fn rekey(input: &Value, args: Arguments) -> Result<Value, Trouble> {
    let [key, duplicates] = args.bind(["key", "duplicates"])?;
    let key = arguments::text(key, "");
    let overwrites = match arguments::text(duplicates, "error").as_str() {
        "error" => false,
        "overwrite" => true,
        other => return Err(format!("has no way `{other}` with duplicates").into()),
    };
    let items = match input {
        Value::Dict(dict) => dict.0.iter().map(|(_, value)| value.clone()).collect(),
        other => other.iterate()?,
    };
    let mut all = Dict::default();
    for item in items {
        let dict = item.as_dict().ok_or_else(|| format!("needs dicts, got {}", item.kind()))?;
        let name = dict.get(&key).cloned().ok_or_else(|| format!("found no `{key}` in an item"))?;
        if !overwrites && all.get_value(&name).is_some() {
            return Err(format!("found `{name}` twice").into());
        }
        all.insert(name, item.clone());
    }
    Ok(Value::dict(all.0))
}
