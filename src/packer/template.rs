//! A template and what its names are worth.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use hcl_edit::expr::Expression;
use hcl_edit::structure::Block;

use crate::hcl::function::Files;
use crate::hcl::reference::Reference;
use crate::hcl::variable::Variable;
use crate::hcl::{Scope, Source, Value};
use crate::place::{Problem, nearest};

/// A template with the values that its variables are given.
pub struct Template<'a> {
    source: &'a Source,
    /// Where it stands: `path.root`.
    directory: PathBuf,
    given: &'a BTreeMap<String, Value>,
    variables: BTreeMap<&'a str, &'a Block>,
    locals: BTreeMap<&'a str, Local<'a>>,
    memo: RefCell<HashMap<String, Known>>,
}

#[derive(Clone, Copy)]
struct Local<'a> {
    expression: &'a Expression,
    hidden: bool,
}

#[derive(Clone)]
enum Known {
    /// It is being worked out: asking for it again is a circle.
    Asked,
    Worth(Result<Value, Problem>),
}

impl<'a> Template<'a> {
    /// Collects variables and locals of `source`.
    pub fn new(source: &'a Source, given: &'a BTreeMap<String, Value>, problems: &mut Vec<Problem>) -> Self {
        let directory = source.lines.file().parent().map_or_else(PathBuf::new, Path::to_owned);
        let directory = std::path::absolute(&directory).unwrap_or(directory);
        let mut template = Self {
            source,
            directory,
            given,
            variables: BTreeMap::new(),
            locals: BTreeMap::new(),
            memo: RefCell::default(),
        };
        for block in source.body.blocks() {
            template.declare(block, problems);
        }
        template
    }

    fn declare(&mut self, block: &'a Block, problems: &mut Vec<Problem>) {
        let label = block.labels.first().map_or("", |label| label.as_str());
        let twice = match block.ident.as_str() {
            "variable" => self.variables.insert(label, block).is_some(),
            "local" => {
                let hidden = block.body.get_attribute("sensitive").and_then(|mark| mark.value.as_bool()) == Some(true);
                match block.body.get_attribute("expression") {
                    Some(attribute) => {
                        let local = Local { expression: &attribute.value, hidden };
                        self.locals.insert(label, local).is_some()
                    }
                    None => false,
                }
            }
            "locals" => {
                for attribute in block.body.attributes() {
                    let local = Local { expression: &attribute.value, hidden: false };
                    if self.locals.insert(attribute.key.as_str(), local).is_some() {
                        let message = format!("`{}` is declared twice", attribute.key.as_str());
                        problems.push(Problem::new(self.source.lines.place(&attribute.key), message));
                    }
                }
                false
            }
            _ => false,
        };
        if twice {
            problems.push(Problem::new(self.source.lines.place(block), format!("`{label}` is declared twice")));
        }
    }

    /// Returns the names of the variables.
    pub fn variables(&self) -> impl Iterator<Item = &'a str> {
        self.variables.keys().copied()
    }

    /// Works out every variable and local, and collects what is wrong with them.
    pub fn check(&self, problems: &mut Vec<Problem>) {
        for name in self.variables.keys() {
            problems.extend(self.worth("var", name).and_then(Result::err));
        }
        for name in self.locals.keys() {
            problems.extend(self.worth("local", name).and_then(Result::err));
        }
    }

    /// Runs `work` in the scope of the template.
    pub fn scoped<T>(&self, work: impl FnOnce(&Scope<'_>) -> T) -> T {
        let names = |reference: &Reference| self.look_up(reference);
        let files = Files { directory: &self.directory, comes_later: &|_| false };
        work(&Scope { lines: &self.source.lines, files, names: &names, bound: None })
    }

    fn look_up(&self, reference: &Reference) -> Result<Value, Problem> {
        let name = reference.name.as_deref().unwrap_or_default();
        match (reference.root.as_str(), name) {
            ("path", "root" | "cwd") => Ok(self.directory.to_string_lossy().into_owned().into()),
            (root @ ("var" | "local"), name) => match self.worth(root, name) {
                Some(worth) => worth,
                None => Err(self.undeclared(reference)),
            },
            _ => Err(self.undeclared(reference)),
        }
    }

    /// Whether `reference` means something.
    pub fn declares(&self, reference: &Reference) -> bool {
        match (reference.root.as_str(), reference.name.as_deref().unwrap_or_default()) {
            ("var", name) => self.variables.contains_key(name),
            ("local", name) => self.locals.contains_key(name),
            ("path", name) => ["root", "cwd"].contains(&name),
            _ => false,
        }
    }

    /// Says that nothing declares what `reference` speaks of.
    pub fn undeclared(&self, reference: &Reference) -> Problem {
        let name = reference.name.as_deref().unwrap_or_default();
        let near = match reference.root.as_str() {
            "var" => nearest(name, self.variables.keys().copied()),
            "local" => nearest(name, self.locals.keys().copied()),
            "path" => nearest(name, ["root", "cwd"]),
            _ => None,
        };
        let message = match reference.name {
            Some(_) => format!("there is no `{}`", reference.text()),
            None => format!("`{}` means nothing here", reference.root),
        };
        let problem = Problem::new(reference.place.clone(), message);
        match near {
            Some(near) => problem.hint(format!("did you mean `{}.{near}`?", reference.root)),
            None => problem,
        }
    }

    /// Works out a variable or local once; `None` if there is none of that name.
    fn worth(&self, root: &str, name: &str) -> Option<Result<Value, Problem>> {
        let key = format!("{root}.{name}");
        let known = self.memo.borrow().get(&key).cloned();
        match known {
            Some(Known::Worth(worth)) => return Some(worth),
            Some(Known::Asked) => return Some(Err(self.circle(&key))),
            None => {}
        }
        self.memo.borrow_mut().insert(key.clone(), Known::Asked);
        let worth = if root == "var" { self.variable(name) } else { self.local(name) };
        match &worth {
            Some(worth) => self.memo.borrow_mut().insert(key, Known::Worth(worth.clone())),
            None => self.memo.borrow_mut().remove(&key),
        };
        worth
    }

    fn variable(&self, name: &str) -> Option<Result<Value, Problem>> {
        let block = self.variables.get(name)?;
        let place = self.source.lines.place(*block);
        Some(self.scoped(|scope| Variable::read(block, scope)?.value(self.given.get(name).cloned(), &place)))
    }

    fn local(&self, name: &str) -> Option<Result<Value, Problem>> {
        let local = self.locals.get(name)?;
        let value = self.scoped(|scope| scope.value(local.expression));
        Some(value.map(|value| if local.hidden { value.sensitive() } else { value }))
    }

    fn circle(&self, key: &str) -> Problem {
        let memo = self.memo.borrow();
        let mut asked: Vec<String> =
            memo.iter().filter(|(_, known)| matches!(known, Known::Asked)).map(|(key, _)| format!("`{key}`")).collect();
        asked.sort();
        let name = key.split_once('.').map_or("", |(_, name)| name);
        let place = match (self.locals.get(name), self.variables.get(name)) {
            (Some(local), _) if key.starts_with("local.") => self.source.lines.place(local.expression),
            (_, Some(block)) => self.source.lines.place(*block),
            _ => crate::place::Place::file(self.source.lines.file()),
        };
        Problem::new(place, format!("these depend on each other in a circle: {}", asked.join(", ")))
    }
}
