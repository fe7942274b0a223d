//! A block held against its schema.

use std::collections::BTreeMap;

use hcl_edit::Span;
use hcl_edit::structure::{Body, Structure};

use crate::hcl::{Scope, Value};
use crate::place::{Place, Problem, nearest};
use crate::terraform::schema::{Block, Need};

/// A block with its values.
#[derive(Clone, Debug, Default)]
pub struct Filled {
    /// Where it starts.
    pub place: Place,
    attributes: BTreeMap<&'static str, (Value, Place)>,
    /// Its blocks by name, in the order of the file.
    pub blocks: Vec<(&'static str, Filled)>,
}

/// What every resource takes, whatever its kind.
const META: [&str; 5] = ["count", "for_each", "depends_on", "provider", "lifecycle"];

impl Filled {
    /// Evaluates a body. What is wrong with it is added to `problems`; what is right is there all the same.
    pub fn read(body: &Body, at: &impl Span, schema: &Block, scope: &Scope<'_>, problems: &mut Vec<Problem>) -> Self {
        let mut filled = Self { place: scope.lines.place(at), ..Self::default() };
        for structure in body {
            match structure {
                Structure::Attribute(attribute) => {
                    let name = attribute.key.as_str();
                    let Some(known) = schema.attributes.iter().find(|known| known.name == name) else {
                        problems.extend(unknown(name, schema, scope.lines.place(&attribute.key)));
                        continue;
                    };
                    match scope.typed(&attribute.value, &known.kind.wanted()) {
                        Ok(value) => {
                            let place = scope.lines.place(&attribute.value);
                            filled.attributes.insert(known.name, (value, place));
                        }
                        Err(problem) => problems.push(problem),
                    }
                }
                Structure::Block(block) => {
                    let name = block.ident.as_str();
                    match schema.blocks.iter().find(|(known, _)| *known == name) {
                        Some((known, inner)) => {
                            filled.blocks.push((known, Self::read(&block.body, block, inner, scope, problems)));
                        }
                        None => problems.extend(unknown(name, schema, scope.lines.place(block))),
                    }
                }
            }
        }
        filled.require(body, schema, problems);
        filled
    }

    fn require(&self, body: &Body, schema: &Block, problems: &mut Vec<Problem>) {
        for attribute in schema.attributes.iter().filter(|attribute| attribute.need == Need::Required) {
            let null = matches!(self.attributes.get(attribute.name), Some((Value::Null, _)));
            if null || !body.has_attribute(attribute.name) {
                problems.push(Problem::new(self.place.clone(), format!("`{}` is missing", attribute.name)));
            }
        }
    }

    /// Returns the value of an attribute that is there and not null.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.attributes.get(name).map(|(value, _)| value).filter(|value| **value != Value::Null)
    }

    /// Returns where the value of an attribute stands, or the block if it is not there.
    pub fn place(&self, name: &str) -> Place {
        self.attributes.get(name).map_or_else(|| self.place.clone(), |(_, place)| place.clone())
    }

    /// Returns what references see of it.
    pub fn value(&self, computed: &[&str]) -> Value {
        let mut entries: BTreeMap<String, Value> =
            computed.iter().map(|name| ((*name).to_owned(), Value::Unknown)).collect();
        entries.extend(self.attributes.iter().map(|(name, (value, _))| ((*name).to_owned(), value.clone())));
        for (name, block) in &self.blocks {
            let list = entries.entry((*name).to_owned()).or_insert(Value::List(vec![]));
            if let Value::List(items) = list {
                items.push(block.value(&[]));
            }
        }
        Value::Map(entries)
    }
}

fn unknown(name: &str, schema: &Block, place: Place) -> Option<Problem> {
    if META.contains(&name) {
        return None;
    }
    if schema.unsupported.contains(&name) || name == "provisioner" || name == "dynamic" {
        return Some(Problem::new(place, format!("`{name}` is not supported")));
    }
    let known = schema.attributes.iter().map(|known| known.name).chain(schema.blocks.iter().map(|(known, _)| *known));
    let problem = Problem::new(place, format!("there is no parameter `{name}` here"));
    Some(match nearest(name, known) {
        Some(near) => problem.hint(format!("did you mean `{near}`?")),
        None => problem,
    })
}
