//! Values of a block as the types of a deployment.

use std::collections::BTreeMap;

use crate::hcl::Value;
use crate::hcl::value::Mark;
use crate::place::Problem;
use crate::terraform::body::Filled;

/// Stands in a deployment for a value that depends on a file which a later step writes. Names no real value.
pub const PENDING: &str = "(known once the images are built)";

/// Whether files that are still to be written were asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Awaits {
    /// None: a value that is unknown can only be known after apply, which is an error.
    Nothing,
    /// Some: an unknown value may come from them.
    Files,
}

/// Reads values and collects what is wrong with them.
pub struct Read<'a> {
    /// What is wrong.
    pub problems: &'a mut Vec<Problem>,
    /// What unknown values mean.
    pub awaits: Awaits,
}

impl Read<'_> {
    /// Whether `text` is not known yet.
    pub fn is_pending(&self, text: &str) -> bool {
        self.awaits == Awaits::Files && text == PENDING
    }

    /// Returns a text; an empty one for what is not there.
    pub fn text(&mut self, filled: &Filled, name: &str) -> String {
        self.optional_text(filled, name).unwrap_or_default()
    }

    /// Returns a text, if it is there.
    pub fn optional_text(&mut self, filled: &Filled, name: &str) -> Option<String> {
        let value = filled.get(name)?.clone();
        self.known(value, filled, name)
    }

    /// Returns a truth value.
    pub fn truth(&mut self, filled: &Filled, name: &str, otherwise: bool) -> bool {
        match filled.get(name).map(|value| value.clone().unmark().0) {
            Some(Value::Bool(truth)) => truth,
            Some(value @ Value::Unknown) => {
                self.known(value, filled, name);
                otherwise
            }
            _ => otherwise,
        }
    }

    /// Returns texts in order.
    pub fn texts(&mut self, filled: &Filled, name: &str) -> Vec<String> {
        match filled.get(name).map(|value| value.clone().unmark().0) {
            Some(Value::List(items)) => items.into_iter().filter_map(|item| self.known(item, filled, name)).collect(),
            Some(value) => self.known(value, filled, name).into_iter().collect(),
            None => vec![],
        }
    }

    /// Returns texts by name. Null ones are left out, as the providers do.
    pub fn texts_by_name(&mut self, filled: &Filled, name: &str) -> BTreeMap<String, String> {
        match filled.get(name).map(|value| value.clone().unmark().0) {
            Some(Value::Map(entries)) => {
                let present = entries.into_iter().filter(|(_, value)| *value != Value::Null);
                present.filter_map(|(key, value)| Some((key, self.known(value, filled, name)?))).collect()
            }
            Some(value) => {
                self.known(value, filled, name);
                BTreeMap::new()
            }
            None => BTreeMap::new(),
        }
    }

    /// Returns the keys of a map whose values are not to be shown.
    pub fn hidden(&self, filled: &Filled, name: &str) -> Vec<String> {
        match filled.get(name) {
            Some(Value::Map(entries)) => {
                let secret = |value: &Value| value.clone().unmark_deep().1 == Mark::Sensitive;
                entries.iter().filter(|(_, value)| secret(value)).map(|(key, _)| key.clone()).collect()
            }
            Some(Value::Sensitive(inner)) => match inner.as_ref() {
                Value::Map(entries) => entries.keys().cloned().collect(),
                _ => vec![],
            },
            _ => vec![],
        }
    }

    fn known(&mut self, value: Value, filled: &Filled, name: &str) -> Option<String> {
        match value.unmark_deep().0 {
            Value::String(text) => Some(text),
            Value::Unknown if self.awaits == Awaits::Files => Some(PENDING.to_owned()),
            Value::Unknown => {
                let message = format!("`{name}` is known only after apply, which is not supported");
                self.problems.push(Problem::new(filled.place(name), message));
                None
            }
            _ => None,
        }
    }
}
