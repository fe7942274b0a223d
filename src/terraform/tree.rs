//! The modules of a deployment as a tree of calls, each with what it declares.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use hcl_edit::Span;
use hcl_edit::expr::Expression;
use hcl_edit::structure::{Block, Structure};

use crate::hcl::source::Lines;
use crate::place::{Place, Problem};
use crate::terraform::body::unknown;
use crate::terraform::load::{Sources, target};

/// An expression and the file that it stands in.
#[derive(Clone, Copy)]
pub struct Declared<'a> {
    /// The expression.
    pub expression: &'a Expression,
    /// The file.
    pub lines: &'a Lines,
}

/// A block and the file that it stands in.
#[derive(Clone, Copy)]
pub struct Declaration<'a> {
    /// The block.
    pub block: &'a Block,
    /// The file.
    pub lines: &'a Lines,
}

impl<'a> Declaration<'a> {
    /// Returns where the block starts.
    pub fn place(&self) -> Place {
        self.lines.place(self.block)
    }

    /// Returns the label at `position`.
    pub fn label(&self, position: usize) -> &'a str {
        self.block.labels.get(position).map_or("", |label| label.as_str())
    }

    /// Returns the value of an attribute.
    pub fn attribute(&self, name: &str) -> Option<Declared<'a>> {
        let attribute = self.block.body.get_attribute(name)?;
        Some(Declared { expression: &attribute.value, lines: self.lines })
    }
}

/// One call of a module; the first is the root module.
pub struct Module<'a> {
    /// Its directory.
    pub directory: PathBuf,
    /// `path.module`: relative to the root module.
    pub relative: PathBuf,
    /// The call that it comes from: index of the calling module and the block.
    pub call: Option<(usize, Declaration<'a>)>,
    /// Variables by name.
    pub variables: BTreeMap<&'a str, Declaration<'a>>,
    /// Locals by name.
    pub locals: BTreeMap<&'a str, Declared<'a>>,
    /// Outputs by name.
    pub outputs: BTreeMap<&'a str, Declaration<'a>>,
    /// Resources, in the order of the files.
    pub resources: Vec<Declaration<'a>>,
    /// Providers, in the order of the files.
    pub providers: Vec<Declaration<'a>>,
    /// Checks, in the order of the files.
    pub checks: Vec<Declaration<'a>>,
    /// Kinds of data sources that stand here, which is told.
    pub sources: BTreeSet<&'a str>,
    /// Called modules by name: their indices.
    pub calls: BTreeMap<&'a str, usize>,
    /// Resources and calls in the order of the files.
    pub order: Vec<Item>,
}

/// Something of a module that leads to resources.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Item {
    /// The resource of that index.
    Resource(usize),
    /// The called module of that index.
    Call(usize),
    /// A call that leads nowhere; that is told elsewhere.
    Nowhere,
}

/// All calls of a deployment.
pub struct Tree<'a> {
    /// The root module, then the others.
    pub modules: Vec<Module<'a>>,
}

/// Most module calls in one deployment: what calls itself would not end.
const MOST_MODULES: usize = 1000;

impl<'a> Tree<'a> {
    /// Follows the module calls from `root` on.
    pub fn build(sources: &'a Sources, root: &Path, problems: &mut Vec<Problem>) -> Self {
        let mut tree = Self { modules: vec![] };
        tree.enter(sources, root.to_owned(), PathBuf::from("."), None, problems);
        tree
    }

    fn enter(
        &mut self,
        sources: &'a Sources,
        directory: PathBuf,
        relative: PathBuf,
        call: Option<(usize, Declaration<'a>)>,
        problems: &mut Vec<Problem>,
    ) -> usize {
        let index = self.modules.len();
        let mut module = Module {
            directory,
            relative,
            call,
            variables: BTreeMap::new(),
            locals: BTreeMap::new(),
            outputs: BTreeMap::new(),
            resources: vec![],
            providers: vec![],
            checks: vec![],
            sources: BTreeSet::new(),
            calls: BTreeMap::new(),
            order: vec![],
        };
        let mut calls = vec![];
        for source in sources.get(&module.directory).into_iter().flatten() {
            for structure in &source.body {
                declare(&mut module, structure, &source.lines, &mut calls, problems);
            }
        }
        self.modules.push(module);
        for call in calls {
            self.follow(sources, index, call, problems);
        }
        index
    }

    fn follow(&mut self, sources: &'a Sources, from: usize, call: Call<'a>, problems: &mut Vec<Problem>) {
        let caller = &self.modules[from];
        // What cannot be entered has been told while the files were read.
        let Some(directory) = target(&caller.directory, call.declaration.block, call.declaration.lines, &mut vec![])
        else {
            return;
        };
        if self.calls_itself(from, &directory) || self.modules.len() >= MOST_MODULES {
            problems.push(Problem::new(call.declaration.place(), "this module calls itself"));
            return;
        }
        let source = call.declaration.attribute("source").and_then(|source| source.expression.as_str());
        let relative = crate::hcl::function::path(&caller.relative, source.unwrap_or_default());
        let index = self.enter(sources, directory, relative, Some((from, call.declaration)), problems);
        let caller = &mut self.modules[from];
        if caller.calls.insert(call.declaration.label(0), index).is_some() {
            let message = format!("the module call `{}` stands here twice", call.declaration.label(0));
            problems.push(Problem::new(call.declaration.place(), message));
        }
        caller.order[call.position] = Item::Call(index);
    }

    fn calls_itself(&self, from: usize, directory: &Path) -> bool {
        let mut at = Some(from);
        while let Some(index) = at {
            let module = &self.modules[index];
            if module.directory == directory {
                return true;
            }
            at = module.call.as_ref().map(|(caller, _)| *caller);
        }
        false
    }

    /// Returns `module.a.module.b` for the module of that index, nothing for the root.
    pub fn path(&self, index: usize) -> String {
        match &self.modules[index].call {
            None => String::new(),
            Some((caller, call)) => {
                let outer = self.path(*caller);
                let dot = if outer.is_empty() { "" } else { "." };
                format!("{outer}{dot}module.{}", call.label(0))
            }
        }
    }

    /// Returns the indices of a module and of all modules called below it.
    pub fn below(&self, index: usize) -> Vec<usize> {
        let mut all = vec![index];
        let mut at = 0;
        while at < all.len() {
            all.extend(self.modules[all[at]].calls.values());
            at += 1;
        }
        all
    }
}

#[derive(Clone, Copy)]
struct Call<'a> {
    declaration: Declaration<'a>,
    position: usize,
}

fn declare<'a>(
    module: &mut Module<'a>,
    structure: &'a Structure,
    lines: &'a Lines,
    calls: &mut Vec<Call<'a>>,
    problems: &mut Vec<Problem>,
) {
    let block = match structure {
        Structure::Block(block) => block,
        Structure::Attribute(attribute) => {
            let message = format!("`{}` cannot stand outside of a block", attribute.key.as_str());
            problems.push(Problem::new(lines.place(&attribute.key), message));
            return;
        }
    };
    let declaration = Declaration { block, lines };
    let labels = match block.ident.as_str() {
        "resource" | "data" => 2,
        "variable" | "output" | "module" | "provider" | "check" => 1,
        "terraform" | "locals" | "moved" | "import" | "removed" => 0,
        _ => block.labels.len(),
    };
    if block.labels.len() != labels {
        let message = format!("`{}` takes {labels} labels, not {}", block.ident.as_str(), block.labels.len());
        problems.push(Problem::new(declaration.place(), message));
        return;
    }
    match block.ident.as_str() {
        "terraform" => {}
        "variable" => {
            known_only(&declaration, &VARIABLE, problems);
            once(&mut module.variables, declaration.label(0), declaration, block, lines, problems);
        }
        "output" => {
            known_only(&declaration, &OUTPUT, problems);
            once(&mut module.outputs, declaration.label(0), declaration, block, lines, problems);
        }
        // What is on a server is known there by its name, whatever it is called here: there is nothing to be moved, and
        // what is there already is taken over.
        "moved" => complete(&declaration, &["from", "to"], problems),
        "import" => complete(&declaration, &["to"], problems),
        "removed" => removed(&declaration, problems),
        "check" => {
            for source in block.body.get_blocks("data") {
                let problem =
                    unsupported_source(source.labels.first().map_or("", |label| label.as_str()), lines.place(source));
                problems.push(problem);
            }
            module.checks.push(declaration);
        }
        "locals" => locals(module, block, lines, problems),
        "provider" => module.providers.push(declaration),
        "resource" => resource(module, declaration, problems),
        "module" => {
            calls.push(Call { declaration, position: module.order.len() });
            // Replaced once it is known where the call leads.
            module.order.push(Item::Nowhere);
        }
        "data" => {
            module.sources.insert(declaration.label(0));
            problems.push(unsupported_source(declaration.label(0), declaration.place()));
        }
        other => problems.push(Problem::new(declaration.place(), format!("the block `{other}` is not supported"))),
    }
}

const VARIABLE: [&str; 8] =
    ["type", "default", "description", "sensitive", "nullable", "ephemeral", "deprecated", "validation"];
const OUTPUT: [&str; 7] =
    ["value", "description", "sensitive", "depends_on", "ephemeral", "deprecated", "precondition"];

fn known_only(declaration: &Declaration<'_>, known: &[&str], problems: &mut Vec<Problem>) {
    for structure in &declaration.block.body {
        let (name, place) = match structure {
            Structure::Attribute(attribute) => (attribute.key.as_str(), declaration.lines.place(&attribute.key)),
            Structure::Block(block) => (block.ident.as_str(), declaration.lines.place(block)),
        };
        if !known.contains(&name) {
            problems.extend(unknown(name, known.iter().copied(), place));
        }
    }
}

fn complete(declaration: &Declaration<'_>, required: &[&str], problems: &mut Vec<Problem>) {
    let missing = required.iter().filter(|name| declaration.attribute(name).is_none());
    problems.extend(missing.map(|name| Problem::new(declaration.place(), format!("`{name}` is missing"))));
}

/// What no file names any longer is removed anyway.
fn removed(declaration: &Declaration<'_>, problems: &mut Vec<Problem>) {
    complete(declaration, &["from"], problems);
    for lifecycle in declaration.block.body.get_blocks("lifecycle") {
        let destroy = lifecycle.body.get_attribute("destroy");
        if let Some(kept) = destroy.filter(|destroy| destroy.value.as_bool() != Some(true)) {
            let problem = Problem::new(declaration.lines.place(kept), "`destroy = false` is not supported");
            problems.push(problem.hint("what no file names any longer is removed from the server"));
        }
    }
    for provisioner in declaration.block.body.get_blocks("provisioner") {
        problems.push(Problem::new(declaration.lines.place(provisioner), "`provisioner` is not supported"));
    }
}

/// Names a data source that is not supported, with what to do instead.
pub fn unsupported_source(kind: &str, place: Place) -> Problem {
    let problem = Problem::new(place, format!("the data source `{kind}` is not supported"));
    match kind {
        "terraform_remote_state" => problem.hint("there is no state; give the values as variables"),
        "local_file" | "local_sensitive_file" => problem.hint("read the file by `file(…)`"),
        "external" | "http" => problem.hint("give what it answers as a variable"),
        "template_file" => problem.hint("fill the template in by `templatefile(…)`"),
        _ => problem,
    }
}

fn once<'a, T>(
    known: &mut BTreeMap<&'a str, T>,
    name: &'a str,
    value: T,
    at: &impl Span,
    lines: &Lines,
    problems: &mut Vec<Problem>,
) {
    if known.insert(name, value).is_some() {
        problems.push(Problem::new(lines.place(at), format!("`{name}` is declared twice")));
    }
}

fn locals<'a>(module: &mut Module<'a>, block: &'a Block, lines: &'a Lines, problems: &mut Vec<Problem>) {
    for attribute in block.body.attributes() {
        let declared = Declared { expression: &attribute.value, lines };
        once(&mut module.locals, attribute.key.as_str(), declared, &attribute.key, lines, problems);
    }
    for inner in block.body.blocks() {
        let message = format!("the block `{}` cannot stand in `locals`", inner.ident.as_str());
        problems.push(Problem::new(lines.place(inner), message));
    }
}

fn resource<'a>(module: &mut Module<'a>, declaration: Declaration<'a>, problems: &mut Vec<Problem>) {
    let same = |other: &&Declaration<'_>| (0..2).all(|at| other.label(at) == declaration.label(at));
    if module.resources.iter().find(same).is_some() {
        let message = format!("`{}.{}` is declared twice", declaration.label(0), declaration.label(1));
        problems.push(Problem::new(declaration.place(), message));
        return;
    }
    module.order.push(Item::Resource(module.resources.len()));
    module.resources.push(declaration);
}
