//! Names that an expression speaks of.

use hcl_edit::Span as _;
use hcl_edit::expr::{Expression, ForExpr, FuncCall, Traversal, TraversalOperator};
use hcl_edit::structure::{Attribute, Block, Body};
use hcl_edit::template::ForDirective;
use hcl_edit::visit::{self, Visit};

use crate::hcl::source::Lines;
use crate::place::Place;

/// A name with its first attribute, e.g. `local` and `project_id`: no reference of Terraform or Packer needs more to
/// say what is meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference {
    /// The first name, e.g. `var`, `local`, `module`, `lxd_container`.
    pub root: String,
    /// The name behind the first dot.
    pub name: Option<String>,
    /// The name behind the second dot, where one is; what `module.x.y` needs.
    pub attribute: Option<String>,
    /// Where it stands.
    pub place: Place,
}

impl Reference {
    /// Reads the reference that `traversal` starts with, if it starts with a name.
    pub fn of(traversal: &Traversal, lines: &Lines) -> Option<Self> {
        let Expression::Variable(root) = &traversal.expr else {
            return None;
        };
        let names: Vec<Option<String>> =
            traversal.operators.iter().map(|operator| attribute(operator.value())).collect();
        // An index between a module or resource and its attribute chooses among instances: it is passed over.
        let attribute = match names.as_slice() {
            [_, Some(name), ..] | [_, None, Some(name), ..] => Some(name.clone()),
            _ => None,
        };
        let name = names.first().cloned().flatten();
        Some(Self { root: root.as_str().to_owned(), name, attribute, place: lines.place(&traversal.expr) })
    }

    /// Returns it as it is written, without indices.
    pub fn text(&self) -> String {
        match &self.name {
            Some(name) => format!("{}.{name}", self.root),
            None => self.root.clone(),
        }
    }
}

fn attribute(operator: &TraversalOperator) -> Option<String> {
    match operator {
        TraversalOperator::GetAttr(name) => Some(name.as_str().to_owned()),
        _ => None,
    }
}

/// A name of a function and where it is called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Called {
    /// The name.
    pub name: String,
    /// Where.
    pub place: Place,
}

/// Everything that a piece of a file speaks of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mentioned {
    /// Names, in the order of the text; variables of `for` are left out.
    pub references: Vec<Reference>,
    /// Functions, in the order of the text.
    pub functions: Vec<Called>,
}

/// Collects what `expression` speaks of.
pub fn in_expression(expression: &Expression, lines: &Lines) -> Mentioned {
    let mut collector = Collector { lines, bound: vec![], found: Mentioned::default() };
    collector.visit_expr(expression);
    collector.found
}

/// Collects what `body` speaks of, nested blocks included.
pub fn in_body(body: &Body, lines: &Lines) -> Mentioned {
    let mut collector = Collector { lines, bound: vec![], found: Mentioned::default() };
    collector.visit_body(body);
    collector.found
}

struct Collector<'a> {
    lines: &'a Lines,
    bound: Vec<String>,
    found: Mentioned,
}

impl Collector<'_> {
    fn is_bound(&self, name: &str) -> bool {
        self.bound.iter().any(|bound| bound == name)
    }
}

impl Visit for Collector<'_> {
    fn visit_attr(&mut self, attribute: &Attribute) {
        self.visit_expr(&attribute.value);
    }

    fn visit_block(&mut self, block: &Block) {
        if !block.has_ident("dynamic") {
            return self.visit_body(&block.body);
        }
        // Its name, or that of its `iterator`, stands for the element in its content.
        let attribute = |name: &str| block.body.get_attribute(name).map(|attribute| &attribute.value);
        let label = block.labels.first().map_or("", |label| label.as_str());
        if let Some(value) = attribute("for_each") {
            self.visit_expr(value);
        }
        let outer = self.bound.len();
        self.bound.push(match attribute("iterator") {
            Some(Expression::Variable(name)) => name.to_string(),
            _ => label.to_owned(),
        });
        if let Some(value) = attribute("labels") {
            self.visit_expr(value);
        }
        block.body.blocks().for_each(|content| self.visit_block(content));
        self.bound.truncate(outer);
    }

    fn visit_expr(&mut self, expression: &Expression) {
        if let Expression::Variable(name) = expression
            && !self.is_bound(name.as_str())
        {
            let place = self.lines.place(expression);
            self.found.references.push(Reference { root: name.to_string(), name: None, attribute: None, place });
        }
        visit::visit_expr(self, expression);
    }

    fn visit_traversal(&mut self, traversal: &Traversal) {
        match Reference::of(traversal, self.lines) {
            Some(reference) if !self.is_bound(&reference.root) => self.found.references.push(reference),
            Some(_) => {}
            None => self.visit_expr(&traversal.expr),
        }
        for operator in &traversal.operators {
            if let TraversalOperator::Index(index) = operator.value() {
                self.visit_expr(index);
            }
        }
    }

    fn visit_func_call(&mut self, call: &FuncCall) {
        let place = call.name.name.span().map_or_else(|| self.lines.place(call), |_| self.lines.place(&call.name.name));
        let words = call.name.namespace.iter().filter(|word| word.as_str() != "core").map(ToString::to_string);
        let name = words.chain([call.name.name.to_string()]).collect::<Vec<_>>().join("::");
        self.found.functions.push(Called { name, place });
        for argument in &call.args {
            self.visit_expr(argument);
        }
    }

    fn visit_for_expr(&mut self, expression: &ForExpr) {
        self.visit_expr(&expression.intro.collection_expr);
        let outer = self.bound.len();
        self.bound.extend(expression.intro.key_var.iter().map(ToString::to_string));
        self.bound.push(expression.intro.value_var.to_string());
        expression.key_expr.iter().for_each(|key| self.visit_expr(key));
        self.visit_expr(&expression.value_expr);
        expression.cond.iter().for_each(|condition| self.visit_expr(&condition.expr));
        self.bound.truncate(outer);
    }

    fn visit_for_directive(&mut self, directive: &ForDirective) {
        let intro = &directive.for_expr;
        self.visit_expr(&intro.collection_expr);
        let outer = self.bound.len();
        self.bound.extend(intro.key_var.iter().map(ToString::to_string));
        self.bound.push(intro.value_var.to_string());
        self.visit_template(&intro.template);
        self.bound.truncate(outer);
    }
}
