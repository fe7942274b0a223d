//! Options that need or shut out each other.

use serde_json::{Map, Value};

use crate::module::arguments::text;

type Given = Map<String, Value>;

fn names(list: &Value) -> Vec<&str> {
    match list {
        Value::Array(items) => items.iter().filter_map(Value::as_str).collect(),
        Value::String(name) => vec![name],
        _ => vec![],
    }
}

fn groups(rule: &Value) -> impl Iterator<Item = Vec<&str>> {
    rule.as_array().into_iter().flatten().map(names)
}

/// `mutually_exclusive`.
pub(super) fn exclusive(rules: &Value, given: &Given) -> Option<String> {
    let both = |group: &Vec<&str>| group.iter().filter(|name| given.contains_key(**name)).count() > 1;
    let found = groups(&rules["mutually_exclusive"]).filter(both).map(|group| group.join("|")).collect::<Vec<_>>();
    (!found.is_empty()).then(|| format!("parameters are mutually exclusive: {}", found.join(", ")))
}

/// `required_together`, `required_one_of`, `required_if` and `required_by`: of each the first that does not hold.
pub(super) fn required(rules: &Value, given: &Given) -> Vec<String> {
    let has = |name: &&&str| given.contains_key(**name);
    let part = groups(&rules["required_together"]).find(|group| {
        let count = group.iter().filter(has).count();
        count > 0 && count < group.len()
    });
    let none = groups(&rules["required_one_of"]).find(|group| !group.iter().any(|name| given.contains_key(*name)));
    let mut conditions = rules["required_if"].as_array().into_iter().flatten();
    [
        part.map(|group| format!("parameters are required together: {}", group.join(", "))),
        none.map(|group| format!("one of the following is required: {}", group.join(", "))),
        conditions.find_map(|condition| conditional(condition, given)),
        by(&rules["required_by"], given),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn conditional(condition: &Value, given: &Given) -> Option<String> {
    let parts = condition.as_array()?;
    let (name, value, wanted) = (parts.first()?.as_str()?, parts.get(1)?, names(parts.get(2)?));
    let any = parts.get(3) == Some(&Value::Bool(true));
    if given.get(name) != Some(value) {
        return None;
    }
    let missing = wanted.iter().copied().filter(|name| !given.contains_key(*name)).collect::<Vec<_>>();
    let enough = missing.is_empty() || (any && missing.len() < wanted.len());
    let which = if any { "any" } else { "all" };
    let missing = missing.join(", ");
    (!enough).then(|| format!("{name} is {} but {which} of the following are missing: {missing}", text(value)))
}

fn by(rule: &Value, given: &Given) -> Option<String> {
    let has = |name: &str| given.get(name).is_some_and(|value| !value.is_null());
    rule.as_object()?.iter().filter(|(name, _)| has(name)).find_map(|(name, wanted)| {
        let missing = names(wanted).into_iter().filter(|name| !has(name)).collect::<Vec<_>>().join(", ");
        (!missing.is_empty()).then(|| format!("missing parameter(s) required by '{name}': {missing}"))
    })
}
