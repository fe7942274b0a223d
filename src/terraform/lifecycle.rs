//! `lifecycle` blocks: what may become of a resource that is there.

use std::collections::BTreeSet;

use hcl_edit::Span;
use hcl_edit::expr::{Expression, TraversalOperator};
use hcl_edit::structure::{Block, Body};
use serde::{Deserialize, Serialize};

use crate::hcl::{Scope, Type, Value, condition};
use crate::place::Problem;
use crate::terraform::body::{Filled, unknown};
use crate::terraform::schema;

/// What may become of a resource that is there.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lifecycle {
    /// Whether a plan that destroys it is refused.
    pub protection: Protection,
    /// What stays as it is found.
    pub ignored: Ignored,
}

/// Whether a plan that destroys a resource is refused (`prevent_destroy`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Protection {
    /// It is not.
    #[default]
    None,
    /// It is.
    Destroy,
}

/// Attributes that stay as they are found (`ignore_changes`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Ignored {
    /// All.
    All,
    /// These: names of attributes or blocks, with a key where only one entry of a map is meant.
    These(BTreeSet<(String, Option<String>)>),
}

impl Default for Ignored {
    fn default() -> Self {
        Self::These(BTreeSet::new())
    }
}

impl Ignored {
    /// Whether the whole attribute `name` stays.
    pub fn whole(&self, name: &str) -> bool {
        match self {
            Self::All => true,
            Self::These(these) => these.contains(&(name.to_owned(), None)),
        }
    }

    /// Whether the entry `key` of the attribute `name` stays.
    pub fn entry(&self, name: &str, key: &str) -> bool {
        match self {
            Self::All => true,
            Self::These(these) => self.whole(name) || these.contains(&(name.to_owned(), Some(key.to_owned()))),
        }
    }
}

const ATTRIBUTES: [&str; 4] = ["create_before_destroy", "prevent_destroy", "ignore_changes", "replace_triggered_by"];
const CONDITIONS: [&str; 2] = ["precondition", "postcondition"];

/// Reads the `lifecycle` block of a resource.
pub fn read(body: &Body, schema: &schema::Block, scope: &Scope<'_>, problems: &mut Vec<Problem>) -> Lifecycle {
    let mut lifecycle = Lifecycle::default();
    for block in body.get_blocks("lifecycle") {
        for attribute in block.body.attributes() {
            match attribute.key.as_str() {
                "prevent_destroy" => {
                    if truth(scope, &attribute.value, problems) {
                        lifecycle.protection = Protection::Destroy;
                    }
                }
                // The new one always comes first here.
                "create_before_destroy" => drop(truth(scope, &attribute.value, problems)),
                "ignore_changes" => lifecycle.ignored = ignored(scope, &attribute.value, schema, problems),
                "replace_triggered_by" => {}
                other => problems.extend(unknown(
                    other,
                    ATTRIBUTES.into_iter().chain(CONDITIONS),
                    scope.lines.place(&attribute.key),
                )),
            }
        }
        for inner in block.body.blocks().filter(|inner| !CONDITIONS.contains(&inner.ident.as_str())) {
            let name = inner.ident.as_str();
            problems.extend(unknown(name, ATTRIBUTES.into_iter().chain(CONDITIONS), scope.lines.place(inner)));
        }
    }
    lifecycle
}

fn truth(scope: &Scope<'_>, expression: &Expression, problems: &mut Vec<Problem>) -> bool {
    match scope.typed(expression, &Type::Bool) {
        Ok(Value::Bool(truth)) => truth,
        Ok(other) => {
            problems.push(scope.problem(expression, format!("true or false is required, not {}", other.describe())));
            false
        }
        Err(problem) => {
            problems.push(problem);
            false
        }
    }
}

fn ignored(scope: &Scope<'_>, value: &Expression, schema: &schema::Block, problems: &mut Vec<Problem>) -> Ignored {
    if matches!(value, Expression::Variable(name) if name.as_str() == "all") {
        return Ignored::All;
    }
    let Expression::Array(items) = value else {
        problems.push(scope.problem(value, "`ignore_changes` is `all` or a list of attributes"));
        return Ignored::default();
    };
    let names = || schema.attributes.iter().map(|it| it.name).chain(schema.blocks.iter().map(|(name, _)| *name));
    let mut these = BTreeSet::new();
    for item in items {
        match path(item) {
            Some((name, key)) if names().any(|known| known == name) => drop(these.insert((name, key))),
            Some((name, _)) => problems.extend(unknown(&name, names(), scope.lines.place(item))),
            None => problems.push(scope.problem(item, "this is no attribute such as `config` or `config[\"user.x\"]`")),
        }
    }
    Ignored::These(these)
}

/// `image`, `"image"`, `config["user.x"]`, `config.x`.
fn path(item: &Expression) -> Option<(String, Option<String>)> {
    match item {
        Expression::Variable(name) => Some((name.to_string(), None)),
        Expression::String(name) => Some((name.to_string(), None)),
        Expression::Traversal(traversal) => {
            let (Expression::Variable(name), [key]) = (&traversal.expr, traversal.operators.as_slice()) else {
                return None;
            };
            let key = match key.value() {
                TraversalOperator::GetAttr(key) => key.to_string(),
                TraversalOperator::Index(key) => key.as_str()?.to_owned(),
                _ => return None,
            };
            Some((name.to_string(), Some(key)))
        }
        _ => None,
    }
}

/// Adds a problem for every condition of a resource that does not hold.
pub fn conditions(body: &Body, filled: &Filled, computed: &[&str], scope: &Scope<'_>, problems: &mut Vec<Problem>) {
    let own = crate::hcl::eval::Bound::new("self", filled.value(computed), scope.bound);
    let inner = Scope { bound: Some(&own), ..*scope };
    for block in body.get_blocks("lifecycle") {
        hold(block.body.get_blocks("precondition"), scope, problems);
        hold(block.body.get_blocks("postcondition"), &inner, problems);
    }
}

/// Adds a problem for every condition that does not hold.
pub fn hold<'a>(blocks: impl Iterator<Item = &'a Block>, scope: &Scope<'_>, problems: &mut Vec<Problem>) {
    for block in blocks {
        match condition::refused(scope, block) {
            Ok(None) => {}
            Ok(Some(message)) => problems.push(unfulfilled(scope, block, message)),
            Err(problem) => problems.push(problem),
        }
    }
}

/// Says that a condition does not hold.
pub fn unfulfilled(scope: &Scope<'_>, at: &impl Span, message: String) -> Problem {
    scope.problem(at, "the condition does not hold").hint(message)
}
