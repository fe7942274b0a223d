//! A block held against its schema.

use std::collections::BTreeMap;

use hcl_edit::Span;
use hcl_edit::expr::Expression;
use hcl_edit::structure::{Block as Written, Body, Structure};

use crate::hcl::eval::{Bound, pairs};
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
                        problems.extend(unknown_in(schema, name, scope.lines.place(&attribute.key)));
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
                Structure::Block(block) if block.has_ident("dynamic") => {
                    filled.dynamic(block, schema, scope, problems);
                }
                Structure::Block(block) => {
                    let name = block.ident.as_str();
                    match schema.blocks.iter().find(|(known, _)| *known == name) {
                        Some((known, inner)) => {
                            filled.blocks.push((known, Self::read(&block.body, block, inner, scope, problems)));
                        }
                        None => problems.extend(unknown_in(schema, name, scope.lines.place(block))),
                    }
                }
            }
        }
        filled.require(body, schema, problems);
        filled
    }

    /// Adds the blocks that a `dynamic` block makes: one for each element.
    fn dynamic(&mut self, block: &Written, schema: &Block, scope: &Scope<'_>, problems: &mut Vec<Problem>) {
        let label = block.labels.first().map_or("", |label| label.as_str());
        let Some((known, inner)) = schema.blocks.iter().find(|(known, _)| *known == label) else {
            problems.extend(unknown_in(schema, label, scope.lines.place(block)));
            return;
        };
        let content = block.body.get_blocks("content").next();
        let elements = block.body.get_attribute("for_each").map(|it| elements(scope, &it.value)).transpose();
        match (elements, content) {
            (Err(problem), _) => problems.push(problem),
            (Ok(None), _) => problems.push(scope.problem(block, "`for_each` is missing")),
            (_, None) => problems.push(scope.problem(block, "`content` is missing")),
            (Ok(Some(elements)), Some(content)) => {
                let name = iterator(block, scope, problems).unwrap_or_else(|| label.to_owned());
                for (key, value) in elements {
                    let element = BTreeMap::from([("key".to_owned(), key), ("value".to_owned(), value)]);
                    let bound = Bound::new(&name, Value::Map(element), scope.bound);
                    let scope = Scope { bound: Some(&bound), ..*scope };
                    self.blocks.push((known, Self::read(&content.body, content, inner, &scope, problems)));
                }
            }
        }
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

/// What a `dynamic` block goes over.
fn elements(scope: &Scope<'_>, for_each: &Expression) -> Result<Vec<(Value, Value)>, Problem> {
    match scope.value(for_each)? {
        Value::Unknown => Err(scope.problem(for_each, "`for_each` is known only after apply, which is not supported")),
        Value::Sensitive(_) => {
            Err(scope
                .problem(for_each, "`for_each` shows how many blocks there are, so it cannot take a sensitive value"))
        }
        other => {
            let kind = other.describe();
            let wrong = || scope.problem(for_each, format!("`for_each` needs a list, a map or a set, not {kind}"));
            pairs(other).ok_or_else(wrong)
        }
    }
}

/// The name that an `iterator` gives to the element.
fn iterator(block: &Written, scope: &Scope<'_>, problems: &mut Vec<Problem>) -> Option<String> {
    for attribute in block.body.attributes() {
        match attribute.key.as_str() {
            "for_each" | "iterator" => {}
            "labels" => problems.push(scope.problem(attribute, "`labels`: blocks of this kind have no labels")),
            other => {
                problems.extend(unknown(other, ["for_each", "iterator", "labels"], scope.lines.place(&attribute.key)));
            }
        }
    }
    match &block.body.get_attribute("iterator")?.value {
        Expression::Variable(name) => Some(name.to_string()),
        other => {
            problems.push(scope.problem(other, "`iterator` must be a bare name"));
            None
        }
    }
}

fn unknown_in(schema: &Block, name: &str, place: Place) -> Option<Problem> {
    if META.contains(&name) {
        return None;
    }
    if schema.unsupported.contains(&name) || ["provisioner", "connection"].contains(&name) {
        return Some(Problem::new(place, format!("`{name}` is not supported")));
    }
    let known = schema.attributes.iter().map(|known| known.name).chain(schema.blocks.iter().map(|(known, _)| *known));
    unknown(name, known, place)
}

/// Says that there is no `name`, and which of the `known` ones is near.
pub fn unknown<'a>(name: &str, known: impl IntoIterator<Item = &'a str>, place: Place) -> Option<Problem> {
    let problem = Problem::new(place, format!("there is no parameter `{name}` here"));
    Some(match nearest(name, known) {
        Some(near) => problem.hint(format!("did you mean `{near}`?")),
        None => problem,
    })
}
