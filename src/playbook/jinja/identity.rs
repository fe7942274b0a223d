//! A list or a dictionary is one thing under all its names, as in Python: what a method changes in its place has changed
//! wherever it is held.

use std::collections::HashMap;
use std::sync::{Arc, TryLockError};

use crate::playbook::jinja::call::Namespace;
use crate::playbook::jinja::value::{Dict, Value};

/// Puts a changed list or dictionary wherever the old one is held.
pub struct Swap<'v> {
    old: Option<usize>,
    new: &'v Value,
    /// What became of the lists and dictionaries that were seen: what holds the old one is made anew, once.
    seen: HashMap<usize, Option<Value>>,
}

impl<'v> Swap<'v> {
    /// Puts `new` in the place of `old`.
    pub fn new(old: &Value, new: &'v Value) -> Self {
        Self { old: address(old), new, seen: HashMap::new() }
    }

    /// Does so in what is held at `value`.
    pub fn inside(&mut self, value: &mut Value) {
        if let Some(changed) = self.of(value) {
            *value = changed;
        }
    }

    fn of(&mut self, value: &Value) -> Option<Value> {
        if let Value::Object(object) = value {
            let namespace = object.as_any().downcast_ref::<Namespace>()?;
            // One that is in itself has been seen.
            let mut entries = match namespace.0.try_lock() {
                Ok(entries) => entries,
                Err(TryLockError::Poisoned(entries)) => entries.into_inner(),
                Err(TryLockError::WouldBlock) => return None,
            };
            entries.iter_mut().for_each(|(_, value)| self.inside(value));
            return None;
        }
        let address = address(value)?;
        if Some(address) == self.old {
            return Some(self.new.clone());
        }
        if let Some(known) = self.seen.get(&address) {
            return known.clone();
        }
        let changed = match value {
            Value::List(items) => self.items(items).map(Value::list),
            Value::Tuple(items) => self.items(items).map(Value::tuple),
            Value::Dict(dict) => self.entries(dict).map(|entries| Value::Dict(Arc::new(Dict(entries, dict.1)))),
            _ => None,
        };
        self.seen.insert(address, changed.clone());
        changed
    }

    fn items(&mut self, items: &[Value]) -> Option<Vec<Value>> {
        let changed: Vec<Option<Value>> = items.iter().map(|item| self.of(item)).collect();
        let any = changed.iter().any(Option::is_some);
        any.then(|| items.iter().zip(changed).map(|(item, changed)| changed.unwrap_or_else(|| item.clone())).collect())
    }

    fn entries(&mut self, dict: &Dict) -> Option<Vec<(Value, Value)>> {
        let values: Vec<Value> = dict.0.iter().map(|(_, value)| value.clone()).collect();
        let changed = self.items(&values)?;
        Some(dict.0.iter().map(|(key, _)| key.clone()).zip(changed).collect())
    }
}

/// Where a list or dictionary is: what tells it from an equal one.
fn address(value: &Value) -> Option<usize> {
    match value {
        Value::List(items) | Value::Tuple(items) => Some(Arc::as_ptr(items).addr()),
        Value::Dict(dict) => Some(Arc::as_ptr(dict).addr()),
        _ => None,
    }
}

/// A literal, made anew: each time it is reached it is another one.
pub fn anew(value: &Value) -> Value {
    match value {
        Value::List(items) => Value::list(items.iter().map(anew).collect()),
        Value::Tuple(items) => Value::tuple(items.iter().map(anew).collect()),
        Value::Dict(dict) => {
            let entries = dict.0.iter().map(|(key, value)| (key.clone(), anew(value))).collect();
            Value::Dict(Arc::new(Dict(entries, dict.1)))
        }
        other => other.clone(),
    }
}
