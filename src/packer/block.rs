//! A block of a template, read attribute by attribute.

use std::collections::{BTreeMap, BTreeSet};

use hcl_edit::structure::{Block, Structure};

use crate::hcl::{Scope, Type, Value};
use crate::place::{Place, Problem, nearest};

/// Reads a block and collects what is wrong with it.
pub struct Reader<'a> {
    block: &'a Block,
    scope: &'a Scope<'a>,
    known: BTreeSet<&'static str>,
}

impl<'a> Reader<'a> {
    /// Starts to read `block`.
    pub fn new(block: &'a Block, scope: &'a Scope<'a>) -> Self {
        Self { block, scope, known: BTreeSet::new() }
    }

    /// Returns where the block starts.
    pub fn place(&self) -> Place {
        self.scope.lines.place(self.block)
    }

    /// Returns where an attribute stands, or the block if it is not there.
    pub fn place_of(&self, name: &str) -> Place {
        let attribute = self.block.body.get_attribute(name);
        attribute.map_or_else(|| self.place(), |attribute| self.scope.lines.place(&attribute.value))
    }

    fn typed(&mut self, name: &'static str, wanted: &Type, problems: &mut Vec<Problem>) -> Option<Value> {
        self.known.insert(name);
        let attribute = self.block.body.get_attribute(name)?;
        match self.scope.typed(&attribute.value, wanted) {
            Ok(value) => Some(value.unmark_deep().0).filter(|value| *value != Value::Null),
            Err(problem) => {
                problems.push(problem);
                None
            }
        }
    }

    /// Reads a text.
    pub fn text(&mut self, name: &'static str, problems: &mut Vec<Problem>) -> Option<String> {
        match self.typed(name, &Type::String, problems)? {
            Value::String(text) => Some(text),
            _ => None,
        }
    }

    /// Reads a text that must be there.
    pub fn required(&mut self, name: &'static str, problems: &mut Vec<Problem>) -> String {
        if !self.block.body.has_attribute(name) {
            problems.push(Problem::new(self.place(), format!("`{name}` is missing")));
        }
        self.text(name, problems).unwrap_or_default()
    }

    /// Reads a truth value.
    pub fn truth(&mut self, name: &'static str, problems: &mut Vec<Problem>) -> Option<bool> {
        match self.typed(name, &Type::Bool, problems)? {
            Value::Bool(truth) => Some(truth),
            _ => None,
        }
    }

    /// Reads texts in order.
    pub fn texts(&mut self, name: &'static str, problems: &mut Vec<Problem>) -> Vec<String> {
        match self.typed(name, &Type::List(Box::new(Type::String)), problems) {
            Some(Value::List(items)) => items.iter().filter_map(|item| item.as_str().map(str::to_owned)).collect(),
            _ => vec![],
        }
    }

    /// Reads texts by name, written as an attribute or as a block.
    pub fn texts_by_name(&mut self, name: &'static str, problems: &mut Vec<Problem>) -> BTreeMap<String, String> {
        let mut texts = BTreeMap::new();
        if let Some(Value::Map(entries)) = self.typed(name, &Type::Map(Box::new(Type::String)), problems) {
            texts.extend(entries.into_iter().filter_map(|(key, value)| Some((key, value.as_str()?.to_owned()))));
        }
        for block in self.block.body.get_blocks(name) {
            for attribute in block.body.attributes() {
                match self.scope.typed(&attribute.value, &Type::String) {
                    Ok(value) => {
                        let text = value.as_str().unwrap_or_default().to_owned();
                        texts.insert(attribute.key.as_str().to_owned(), text);
                    }
                    Err(problem) => problems.push(problem),
                }
            }
        }
        texts
    }

    /// Says of attributes that they are known and need not be carried out.
    pub fn without_effect(&mut self, names: &[&'static str]) {
        self.known.extend(names);
    }

    /// Names everything that was not read. Of these, `unsupported` says what Packer would know.
    pub fn end(self, unsupported: &[&str], problems: &mut Vec<Problem>) {
        for structure in &self.block.body {
            let (name, place) = match structure {
                Structure::Attribute(attribute) => (attribute.key.as_str(), self.scope.lines.place(&attribute.key)),
                Structure::Block(block) => (block.ident.as_str(), self.scope.lines.place(block)),
            };
            if self.known.contains(name) {
                continue;
            }
            if unsupported.contains(&name) {
                problems.push(Problem::new(place, format!("`{name}` is not supported")));
                continue;
            }
            let problem = Problem::new(place, format!("there is no parameter `{name}` here"));
            problems.push(match nearest(name, self.known.iter().copied()) {
                Some(near) => problem.hint(format!("did you mean `{near}`?")),
                None => problem,
            });
        }
    }
}
