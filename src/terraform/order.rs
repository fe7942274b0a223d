//! What depends on what, and in which order things are made.

use std::collections::{BTreeMap, BTreeSet};

use hcl_edit::expr::Expression;

use crate::hcl::reference::{Reference, in_body, in_expression};
use crate::hcl::source::Lines;
use crate::place::{Place, Problem};
use crate::terraform::tree::{Declaration, Declared, Item, Tree};

/// Something that depends on something. The number is the index of its module; of the called one for `Call`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Node<'a> {
    /// A variable.
    Variable(usize, &'a str),
    /// A local.
    Local(usize, &'a str),
    /// An output.
    Output(usize, &'a str),
    /// A call: how often, and what it waits for.
    Call(usize),
    /// A resource, by its index in the module.
    Resource(usize, usize),
}

/// Everything in the order in which it can be worked out.
pub struct Order<'a> {
    /// Resources, each behind what it depends on: index of the module and of the resource in it.
    pub resources: Vec<(usize, usize)>,
    depends: BTreeMap<Node<'a>, Vec<Node<'a>>>,
}

impl<'a> Order<'a> {
    /// Sorts what `tree` declares: dependencies first, otherwise in the order of the files.
    ///
    /// # Errors
    ///
    /// A [`Problem`] that names a circle.
    pub fn of(tree: &Tree<'a>) -> Result<Self, Problem> {
        let mut walk = Walk { tree, depends: BTreeMap::new(), done: BTreeSet::new(), path: vec![], resources: vec![] };
        for node in all(tree) {
            walk.visit(node)?;
        }
        Ok(Self { resources: walk.resources, depends: walk.depends })
    }

    /// Returns the resources that a resource waits for, without those that these wait for.
    pub fn waits_for(&self, module: usize, resource: usize) -> BTreeSet<(usize, usize)> {
        let mut found = BTreeSet::new();
        let mut seen = BTreeSet::new();
        let mut waiting = self.depends.get(&Node::Resource(module, resource)).cloned().unwrap_or_default();
        while let Some(node) = waiting.pop() {
            match node {
                Node::Resource(module, resource) => {
                    found.insert((module, resource));
                }
                other if seen.insert(other) => waiting.extend(self.depends.get(&other).into_iter().flatten()),
                _ => {}
            }
        }
        found
    }
}

/// Resources in the order of the files first, because they decide the order; then what else could be in a circle.
fn all<'a>(tree: &Tree<'a>) -> Vec<Node<'a>> {
    let mut nodes = vec![];
    resources(tree, 0, &mut nodes);
    for (at, module) in tree.modules.iter().enumerate() {
        nodes.extend(module.locals.keys().map(|name| Node::Local(at, name)));
        nodes.extend(module.variables.keys().map(|name| Node::Variable(at, name)));
        nodes.extend(module.outputs.keys().map(|name| Node::Output(at, name)));
    }
    nodes
}

fn resources<'a>(tree: &Tree<'a>, at: usize, nodes: &mut Vec<Node<'a>>) {
    for item in &tree.modules[at].order {
        match item {
            Item::Resource(index) => nodes.push(Node::Resource(at, *index)),
            Item::Call(module) => resources(tree, *module, nodes),
            Item::Nowhere => {}
        }
    }
}

struct Walk<'a, 't> {
    tree: &'t Tree<'a>,
    depends: BTreeMap<Node<'a>, Vec<Node<'a>>>,
    done: BTreeSet<Node<'a>>,
    path: Vec<Node<'a>>,
    resources: Vec<(usize, usize)>,
}

impl<'a> Walk<'a, '_> {
    fn visit(&mut self, node: Node<'a>) -> Result<(), Problem> {
        if self.done.contains(&node) {
            return Ok(());
        }
        if let Some(start) = self.path.iter().position(|other| *other == node) {
            return Err(self.circle(start));
        }
        self.path.push(node);
        let edges = edges(self.tree, node);
        for next in &edges {
            self.visit(*next)?;
        }
        self.path.pop();
        self.done.insert(node);
        self.depends.insert(node, edges);
        if let Node::Resource(module, resource) = node {
            self.resources.push((module, resource));
        }
        Ok(())
    }

    fn circle(&self, start: usize) -> Problem {
        let chain: Vec<Node<'a>> = self.path[start..].iter().chain([&self.path[start]]).copied().collect();
        let names: Vec<String> = chain.iter().map(|node| format!("`{}`", name(self.tree, *node))).collect();
        let message = format!("these depend on each other in a circle: {}", names.join(" → "));
        Problem::new(place(self.tree, chain[0]), message)
    }
}

fn name(tree: &Tree<'_>, node: Node<'_>) -> String {
    let inside = |module: usize, what: String| {
        let path = tree.path(module);
        if path.is_empty() { what } else { format!("{path}.{what}") }
    };
    match node {
        Node::Variable(module, name) => inside(module, format!("var.{name}")),
        Node::Local(module, name) => inside(module, format!("local.{name}")),
        Node::Output(module, name) => inside(module, format!("output.{name}")),
        Node::Call(module) => tree.path(module),
        Node::Resource(module, resource) => {
            let declaration = &tree.modules[module].resources[resource];
            inside(module, format!("{}.{}", declaration.label(0), declaration.label(1)))
        }
    }
}

fn place(tree: &Tree<'_>, node: Node<'_>) -> Place {
    let declared = |declared: Option<&Declared<'_>>| declared.map(|local| local.lines.place(local.expression));
    let block = |declaration: Option<&Declaration<'_>>| declaration.map(Declaration::place);
    let found = match node {
        Node::Variable(module, name) => block(tree.modules[module].variables.get(name)),
        Node::Local(module, name) => declared(tree.modules[module].locals.get(name)),
        Node::Output(module, name) => block(tree.modules[module].outputs.get(name)),
        Node::Call(module) => tree.modules[module].call.as_ref().map(|(_, call)| call.place()),
        Node::Resource(module, resource) => block(tree.modules[module].resources.get(resource)),
    };
    found.unwrap_or_default()
}

fn edges<'a>(tree: &Tree<'a>, node: Node<'a>) -> Vec<Node<'a>> {
    match node {
        Node::Local(module, name) => {
            tree.modules[module].locals.get(name).map_or(vec![], |local| mentioned(tree, module, local))
        }
        Node::Variable(module, name) => match &tree.modules[module].call {
            Some((caller, call)) => call.attribute(name).map_or(vec![], |value| mentioned(tree, *caller, &value)),
            None => vec![],
        },
        Node::Output(module, name) => {
            tree.modules[module].outputs.get(name).map_or(vec![], |output| whole(tree, module, output))
        }
        Node::Call(module) => match &tree.modules[module].call {
            Some((caller, call)) => {
                let meta = ["count", "for_each"].iter().filter_map(|name| call.attribute(name));
                let mut edges: Vec<Node<'a>> = meta.flat_map(|value| mentioned(tree, *caller, &value)).collect();
                edges.extend(depends_on(tree, *caller, call));
                edges.push(Node::Call(*caller));
                edges
            }
            None => vec![],
        },
        Node::Resource(module, resource) => {
            let mut edges = whole(tree, module, &tree.modules[module].resources[resource]);
            edges.push(Node::Call(module));
            edges
        }
    }
}

/// Everything that a block mentions, and what its `depends_on` means.
fn whole<'a>(tree: &Tree<'a>, module: usize, declaration: &Declaration<'a>) -> Vec<Node<'a>> {
    let mentioned = in_body(&declaration.block.body, declaration.lines);
    let mut edges = nodes(tree, module, &mentioned.references);
    edges.extend(depends_on(tree, module, declaration));
    edges
}

fn mentioned<'a>(tree: &Tree<'a>, module: usize, declared: &Declared<'a>) -> Vec<Node<'a>> {
    nodes(tree, module, &in_expression(declared.expression, declared.lines).references)
}

fn nodes<'a>(tree: &Tree<'a>, module: usize, references: &[Reference]) -> Vec<Node<'a>> {
    references.iter().flat_map(|reference| node(tree, module, reference)).collect()
}

fn node<'a>(tree: &Tree<'a>, at: usize, reference: &Reference) -> Vec<Node<'a>> {
    let module = &tree.modules[at];
    let Some(name) = reference.name.as_deref() else {
        return vec![];
    };
    match reference.root.as_str() {
        "var" => module.variables.get_key_value(name).map(|(name, _)| Node::Variable(at, name)).into_iter().collect(),
        "local" => module.locals.get_key_value(name).map(|(name, _)| Node::Local(at, name)).into_iter().collect(),
        "module" => module.calls.get(name).map_or(vec![], |call| outputs(tree, *call, reference.attribute.as_deref())),
        kind => position(tree, at, kind, name).map(|index| Node::Resource(at, index)).into_iter().collect(),
    }
}

/// One output where one is named, all of them otherwise.
fn outputs<'a>(tree: &Tree<'a>, call: usize, wanted: Option<&str>) -> Vec<Node<'a>> {
    let known = &tree.modules[call].outputs;
    let one = wanted.and_then(|wanted| known.get_key_value(wanted)).map(|(name, _)| *name);
    let names: Vec<&'a str> = one.map_or_else(|| known.keys().copied().collect(), |name| vec![name]);
    names.into_iter().map(|name| Node::Output(call, name)).chain([Node::Call(call)]).collect()
}

/// Returns the index of the resource `kind.name` in a module.
pub fn position(tree: &Tree<'_>, module: usize, kind: &str, name: &str) -> Option<usize> {
    let resources = &tree.modules[module].resources;
    resources.iter().position(|resource| resource.label(0) == kind && resource.label(1) == name)
}

/// `depends_on = [module.x]` means everything in it.
fn depends_on<'a>(tree: &Tree<'a>, module: usize, declaration: &Declaration<'a>) -> Vec<Node<'a>> {
    let Some(Declared { expression: Expression::Array(items), lines }) = declaration.attribute("depends_on") else {
        return vec![];
    };
    items.iter().flat_map(|item| waited(tree, module, item, lines)).collect()
}

fn waited<'a>(tree: &Tree<'a>, at: usize, item: &Expression, lines: &Lines) -> Vec<Node<'a>> {
    let references = in_expression(item, lines).references;
    let mut found = nodes(tree, at, &references);
    let calls = references.iter().filter(|reference| reference.root == "module");
    for call in calls.filter_map(|call| tree.modules[at].calls.get(call.name.as_deref()?)) {
        for inner in tree.below(*call) {
            found.extend((0..tree.modules[inner].resources.len()).map(|index| Node::Resource(inner, index)));
        }
    }
    found
}
