//! Attributes, indices and splats.

use std::collections::BTreeMap;

use hcl_edit::expr::{Expression, Traversal, TraversalOperator};
use hcl_edit::{Decorated, Span};

use crate::hcl::eval::Scope;
use crate::hcl::number::Number;
use crate::hcl::reference::Reference;
use crate::hcl::value::Value;
use crate::place::{Problem, nearest};

type Operators<'a> = &'a [Decorated<TraversalOperator>];

/// Evaluates `a.b["c"][*].d`.
pub fn value(scope: &Scope<'_>, traversal: &Traversal) -> Result<Value, Problem> {
    if let Expression::Variable(root) = &traversal.expr
        && scope.bound(root.as_str()).is_none()
        && let Some(reference) = Reference::of(traversal, scope.lines)
    {
        let value = (scope.names)(&reference)?;
        let consumed = usize::from(reference.name.is_some());
        return walk(scope, value, &traversal.operators[consumed..]);
    }
    walk(scope, scope.value(&traversal.expr)?, &traversal.operators)
}

fn walk(scope: &Scope<'_>, value: Value, operators: Operators<'_>) -> Result<Value, Problem> {
    let Some((operator, rest)) = operators.split_first() else {
        return Ok(value);
    };
    let (value, mark) = value.unmark();
    match operator.value() {
        TraversalOperator::AttrSplat(_) => {
            let attributes =
                rest.iter().take_while(|operator| matches!(operator.value(), TraversalOperator::GetAttr(_))).count();
            let (inner, outer) = rest.split_at(attributes);
            walk(scope, splat(scope, value, inner)?.marked(mark), outer)
        }
        TraversalOperator::FullSplat(_) => Ok(splat(scope, value, rest)?.marked(mark)),
        TraversalOperator::GetAttr(name) => {
            walk(scope, attribute(scope, value, name.as_str(), operator)?.marked(mark), rest)
        }
        TraversalOperator::LegacyIndex(at) => {
            let key = Value::Number(Number::from(i128::from(*at.value())));
            walk(scope, index(scope, value, key, operator)?.marked(mark), rest)
        }
        TraversalOperator::Index(key) => {
            let (key, key_mark) = scope.value(key)?.unmark();
            walk(scope, index(scope, value, key, operator)?.marked(mark.and(key_mark)), rest)
        }
    }
}

/// A value that is no list is taken for a list of itself, null for an empty one.
fn splat(scope: &Scope<'_>, value: Value, inner: Operators<'_>) -> Result<Value, Problem> {
    let items = match value {
        Value::Unknown => return Ok(Value::Unknown),
        Value::Null => vec![],
        Value::List(items) | Value::Set(items) => items,
        single => vec![single],
    };
    items.into_iter().map(|item| walk(scope, item, inner)).collect::<Result<_, _>>().map(Value::List)
}

fn attribute(scope: &Scope<'_>, value: Value, name: &str, at: &impl Span) -> Result<Value, Problem> {
    match value {
        Value::Unknown => Ok(Value::Unknown),
        Value::Map(entries) => entry(scope, entries, name, at),
        other => Err(scope.problem(at, format!("{} has no attribute `{name}`", other.describe()))),
    }
}

fn entry(scope: &Scope<'_>, mut entries: BTreeMap<String, Value>, key: &str, at: &impl Span) -> Result<Value, Problem> {
    if let Some(value) = entries.remove(key) {
        return Ok(value);
    }
    let problem = scope.problem(at, format!("there is no key `{key}`"));
    Err(match nearest(key, entries.keys().map(String::as_str)) {
        Some(near) => problem.hint(format!("did you mean `{near}`?")),
        None => problem,
    })
}

fn index(scope: &Scope<'_>, value: Value, key: Value, at: &impl Span) -> Result<Value, Problem> {
    match (value, key) {
        (Value::Unknown, _) | (_, Value::Unknown) => Ok(Value::Unknown),
        (Value::List(items), key) => {
            let position = position(&key).ok_or_else(|| {
                scope.problem(at, format!("a list is indexed by whole numbers, not by {}", key.describe()))
            })?;
            let length = items.len();
            items
                .into_iter()
                .nth(position)
                .ok_or_else(|| scope.problem(at, format!("there is no element {position} in a list of {length}")))
        }
        (Value::Map(entries), key) => {
            let key = match key {
                Value::String(text) => text,
                Value::Number(number) => number.to_string(),
                Value::Bool(truth) => truth.to_string(),
                other => return Err(scope.problem(at, format!("a key must be text, not {}", other.describe()))),
            };
            entry(scope, entries, &key, at)
        }
        (Value::Set(_), _) => Err(scope.problem(at, "a set has no index").hint("convert it by `tolist(…)`")),
        (other, _) => Err(scope.problem(at, format!("{} has no index", other.describe()))),
    }
}

fn position(key: &Value) -> Option<usize> {
    match key {
        Value::Number(number) => number.as_usize(),
        Value::String(text) => Number::parse(text).and_then(Number::as_usize),
        _ => None,
    }
}
