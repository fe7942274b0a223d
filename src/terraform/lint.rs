//! Names that nothing declares, found without evaluating anything, so that all of them are told at once.

use hcl_edit::expr::Expression;
use hcl_edit::structure::{Body, Structure};

use crate::hcl::function;
use crate::hcl::reference::{Mentioned, Reference, in_body, in_expression};
use crate::place::{Problem, nearest};
use crate::terraform::order::position;
use crate::terraform::tree::{Declaration, Declared, Tree};

/// Adds a problem for every function and name that is not there.
pub fn check(tree: &Tree<'_>, problems: &mut Vec<Problem>) {
    for (at, module) in tree.modules.iter().enumerate() {
        for local in module.locals.values() {
            names(tree, at, &in_expression(local.expression, local.lines), problems);
        }
        let blocks = module.outputs.values().chain(&module.resources).chain(&module.providers).chain(&module.checks);
        for declaration in blocks {
            // What cannot be carried out at all is told once.
            names(tree, at, &in_body(&without_meta(&declaration.block.body), declaration.lines), problems);
        }
        for resource in &module.resources {
            problems.extend(other_provider(resource.attribute("provider")));
        }
        for call in module.calls.values().filter_map(|call| tree.modules[*call].call.as_ref()) {
            names(tree, at, &in_body(&without_meta(&call.1.block.body), call.1.lines), problems);
            problems.extend(other_providers(&call.1));
        }
    }
}

/// There is one server of each kind, so nothing can be made on another: `provider = consul.other`.
fn other_provider(declared: Option<Declared<'_>>) -> Option<Problem> {
    let declared = declared?;
    let Expression::Traversal(traversal) = declared.expression else { return None };
    let name = Reference::of(traversal, declared.lines)?.text();
    let problem =
        Problem::new(declared.lines.place(declared.expression), format!("the provider `{name}` is not supported"));
    Some(problem.hint("every provider has one configuration, that without an alias"))
}

fn other_providers(call: &Declaration<'_>) -> Vec<Problem> {
    match call.attribute("providers").map(|declared| declared.expression) {
        Some(Expression::Object(providers)) => {
            let given = providers.iter().map(|(_, value)| Declared { expression: value.expr(), lines: call.lines });
            given.filter_map(|declared| other_provider(Some(declared))).collect()
        }
        _ => vec![],
    }
}

/// `provider`, `providers` and most of `lifecycle` speak of other things than values.
fn without_meta(body: &Body) -> Body {
    let values = |structure: &Structure| match structure {
        Structure::Attribute(attribute) => {
            let meta = ["provider", "providers", "ignore_changes"].contains(&attribute.key.as_str());
            (!meta).then(|| structure.clone())
        }
        Structure::Block(block) if block.has_ident("data") => None,
        Structure::Block(block) if block.has_ident("lifecycle") => {
            let mut block = block.clone();
            block.body = without_meta(&block.body);
            Some(Structure::Block(block))
        }
        Structure::Block(_) => Some(structure.clone()),
    };
    body.iter().filter_map(values).collect()
}

fn names(tree: &Tree<'_>, module: usize, mentioned: &Mentioned, problems: &mut Vec<Problem>) {
    for called in mentioned.functions.iter().filter(|called| !function::exists(&called.name)) {
        problems.push(function::unknown(&called.name, called.place.clone()));
    }
    for reference in mentioned.references.iter().filter(|reference| !declared(tree, module, reference)) {
        problems.push(undeclared(tree, module, reference));
    }
}

fn declared(tree: &Tree<'_>, at: usize, reference: &Reference) -> bool {
    let module = &tree.modules[at];
    let Some(name) = reference.name.as_deref() else {
        return false;
    };
    match reference.root.as_str() {
        "var" => module.variables.contains_key(name),
        "local" => module.locals.contains_key(name),
        // A call that leads nowhere has been told.
        "module" => module.calls.contains_key(name) || module.order.contains(&crate::terraform::tree::Item::Nowhere),
        "path" => ["root", "module", "cwd"].contains(&name),
        "each" | "count" | "self" => true,
        // One that stands here has been told.
        "data" => module.sources.contains(name),
        "terraform" => name == "workspace",
        kind => position(tree, at, kind, name).is_some(),
    }
}

/// Says that nothing declares what `reference` speaks of.
pub fn undeclared(tree: &Tree<'_>, at: usize, reference: &Reference) -> Problem {
    let module = &tree.modules[at];
    let (root, name) = (reference.root.as_str(), reference.name.as_deref().unwrap_or_default());
    let of = |names: Vec<&str>| nearest(name, names).map(|near| format!("{root}.{near}"));
    let near = match root {
        _ if reference.name.is_none() => None,
        "var" => of(module.variables.keys().copied().collect()),
        "local" => of(module.locals.keys().copied().collect()),
        "module" => of(module.calls.keys().copied().collect()),
        "path" => of(vec!["root", "module", "cwd"]),
        _ => resource(tree, at, &reference.text()),
    };
    let message = match (root, &reference.name) {
        ("data", _) => return crate::terraform::tree::unsupported_source(name, reference.place.clone()),
        (_, None) => format!("`{root}` means nothing here"),
        _ => format!("there is no `{}`", reference.text()),
    };
    let problem = Problem::new(reference.place.clone(), message);
    match near {
        Some(near) => problem.hint(format!("did you mean `{near}`?")),
        None => problem,
    }
}

fn resource(tree: &Tree<'_>, at: usize, text: &str) -> Option<String> {
    let resources = &tree.modules[at].resources;
    let names: Vec<String> = resources.iter().map(|it| format!("{}.{}", it.label(0), it.label(1))).collect();
    let roots =
        ["var", "local", "module", "path"].map(|root| format!("{root}.{}", text.split_once('.').map_or("", |it| it.1)));
    nearest(text, names.iter().chain(&roots).map(String::as_str)).map(str::to_owned)
}
