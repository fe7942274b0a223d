//! What the names of a module are worth, worked out when they are asked for and once only.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use hcl_edit::expr::Expression;

use crate::hcl::function::Files;
use crate::hcl::reference::Reference;
use crate::hcl::source::Lines;
use crate::hcl::variable::Variable;
use crate::hcl::{Scope, Value};
use crate::place::Problem;
use crate::terraform::body::Filled;
use crate::terraform::expand::{Each, Expansion, expand};
use crate::terraform::lint::undeclared;
use crate::terraform::order::position;
use crate::terraform::tree::{Declaration, Declared, Module, Tree};
use crate::terraform::{image, schema};

/// One instance of a module: the root, or what one call makes once.
pub struct Instance {
    /// Index of the module.
    pub module: usize,
    /// As Terraform writes it, e.g. `module.acl["x"]`; nothing for the root.
    pub address: String,
    caller: Option<(Rc<Instance>, Each)>,
    memo: RefCell<HashMap<(Name, String), Result<Value, Problem>>>,
    children: RefCell<BTreeMap<usize, Result<Rc<Children>, Problem>>>,
}

/// The instances that one call makes.
pub struct Children {
    /// How often, and by which keys.
    pub expansion: Expansion,
    /// One for each key.
    pub instances: Vec<Rc<Instance>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Name {
    Variable,
    Local,
    Output,
}

impl Instance {
    fn once(&self, kind: Name, name: &str, work: impl FnOnce() -> Result<Value, Problem>) -> Result<Value, Problem> {
        let key = (kind, name.to_owned());
        if let Some(known) = self.memo.borrow().get(&key) {
            return known.clone();
        }
        let value = work();
        self.memo.borrow_mut().insert(key, value.clone());
        value
    }

    fn new(module: usize, address: String, caller: Option<(Rc<Self>, Each)>) -> Self {
        Self { module, address, caller, memo: RefCell::default(), children: RefCell::default() }
    }

    /// Returns the address of `what` in this instance.
    pub fn inside(&self, what: &str) -> String {
        if self.address.is_empty() { what.to_owned() } else { format!("{}.{what}", self.address) }
    }
}

/// A deployment while it is evaluated. The declarations are free of circles: [`crate::terraform::order`] has seen to it.
pub struct Evaluation<'a> {
    /// What is declared.
    pub tree: &'a Tree<'a>,
    /// The root module.
    pub root: Rc<Instance>,
    given: &'a BTreeMap<String, Value>,
    host: Option<&'a str>,
    awaited: RefCell<BTreeSet<PathBuf>>,
}

impl<'a> Evaluation<'a> {
    /// Starts with the values that the root module's variables are given.
    pub fn new(tree: &'a Tree<'a>, given: &'a BTreeMap<String, Value>) -> Self {
        let host = given.get("host_id").and_then(Value::as_str);
        Self { tree, root: Rc::new(Instance::new(0, String::new(), None)), given, host, awaited: RefCell::default() }
    }

    /// Returns the files that were asked for and that later steps write.
    pub fn awaited(&self) -> Vec<PathBuf> {
        self.awaited.borrow().iter().cloned().collect()
    }

    /// Returns what an instance is an instance of.
    pub fn module(&self, instance: &Instance) -> &'a Module<'a> {
        &self.tree.modules[instance.module]
    }

    /// Runs `work` in the scope of `each` in `instance`.
    pub fn scoped<T>(
        &self,
        instance: &Rc<Instance>,
        each: &Each,
        lines: &Lines,
        work: impl FnOnce(&Scope<'_>) -> T,
    ) -> T {
        let names = |reference: &Reference| self.look_up(instance, each, reference);
        let comes_later = |file: &Path| self.comes_later(file);
        let files = Files { directory: &self.tree.modules[0].directory, comes_later: &comes_later };
        work(&Scope { lines, files, names: &names, bound: None })
    }

    /// Evaluates an expression of `instance`.
    pub fn value(&self, instance: &Rc<Instance>, each: &Each, declared: &Declared<'_>) -> Result<Value, Problem> {
        self.scoped(instance, each, declared.lines, |scope| scope.value(declared.expression))
    }

    /// A secret of a host is written by the playbook that builds the image: `<name>_{{ host_id }}.yml`.
    fn comes_later(&self, file: &Path) -> bool {
        let comes = self.host.is_some_and(|host| crate::terraform::awaited::comes_later(file, host));
        if comes {
            self.awaited.borrow_mut().insert(file.to_owned());
        }
        comes
    }

    fn look_up(&self, instance: &Rc<Instance>, each: &Each, reference: &Reference) -> Result<Value, Problem> {
        let Some(name) = reference.name.as_deref() else {
            return Err(undeclared(self.tree, instance.module, reference));
        };
        match reference.root.as_str() {
            "var" => self.variable(instance, name, reference),
            "local" => self.local(instance, name, reference),
            "module" => self.outputs(instance, name, reference),
            "path" => self.path(instance, name, reference),
            "each" | "count" => each.look_up(reference),
            "data" if self.module(instance).sources.contains(name) => Ok(Value::Unknown),
            "terraform" if name == "workspace" => Ok(Value::from(self.host.unwrap_or("default"))),
            _ => self.resource(instance, name, reference),
        }
    }

    fn local(&self, instance: &Rc<Instance>, name: &str, reference: &Reference) -> Result<Value, Problem> {
        match self.module(instance).locals.get(name) {
            Some(local) => self.declared_local(instance, name, local),
            None => Err(undeclared(self.tree, instance.module, reference)),
        }
    }

    /// Works out a local.
    pub fn declared_local(&self, instance: &Rc<Instance>, name: &str, local: &Declared<'_>) -> Result<Value, Problem> {
        instance.once(Name::Local, name, || self.value(instance, &Each::Single, local))
    }

    fn variable(&self, instance: &Rc<Instance>, name: &str, reference: &Reference) -> Result<Value, Problem> {
        match self.module(instance).variables.get(name) {
            Some(declaration) => self.declared_variable(instance, name, declaration),
            None => Err(undeclared(self.tree, instance.module, reference)),
        }
    }

    /// Works out the value of a variable: given, or its default, converted and validated.
    pub fn declared_variable(
        &self,
        instance: &Rc<Instance>,
        name: &str,
        declaration: &Declaration<'a>,
    ) -> Result<Value, Problem> {
        instance.once(Name::Variable, name, || {
            let (given, place) = match &instance.caller {
                None => (self.given.get(name).cloned(), declaration.place()),
                Some((caller, each)) => self.argument(instance, caller, each, name)?,
            };
            self.scoped(instance, &Each::Single, declaration.lines, |scope| {
                Variable::read(declaration.block, scope)?.converted(given, &place)
            })
        })
    }

    /// Asks the `validation` blocks of a variable. They may speak of other variables, whose own ask this one.
    pub fn validate(&self, instance: &Rc<Instance>, name: &str, declaration: &Declaration<'a>) -> Result<(), Problem> {
        let value = self.declared_variable(instance, name, declaration)?;
        let place = match (&instance.caller, &self.module(instance).call) {
            (Some(_), Some((_, call))) => {
                call.attribute(name).map_or_else(|| call.place(), |given| given.lines.place(given.expression))
            }
            _ => declaration.place(),
        };
        self.scoped(instance, &Each::Single, declaration.lines, |scope| {
            Variable::read(declaration.block, scope)?.validate(&value, &place)
        })
    }

    /// The value that the call gives to a variable, evaluated where the call stands.
    fn argument(
        &self,
        instance: &Instance,
        caller: &Rc<Instance>,
        each: &Each,
        name: &str,
    ) -> Result<(Option<Value>, crate::place::Place), Problem> {
        let Some((_, call)) = &self.module(instance).call else {
            return Ok((None, crate::place::Place::default()));
        };
        match call.attribute(name) {
            None => Ok((None, call.place())),
            Some(given) => Ok((Some(self.value(caller, each, &given)?), given.lines.place(given.expression))),
        }
    }

    fn path(&self, instance: &Instance, name: &str, reference: &Reference) -> Result<Value, Problem> {
        let text = |path: &Path| Value::String(path.to_string_lossy().into_owned());
        match name {
            "root" => Ok(Value::from(".")),
            "module" => Ok(text(&self.module(instance).relative)),
            // Terraform is started in the deployment directory (`-chdir`); what `cwd` was before, nobody knows.
            "cwd" => Ok(text(&self.tree.modules[0].directory)),
            _ => Err(undeclared(self.tree, instance.module, reference)),
        }
    }

    /// Returns the instances that the call `name` makes in `instance`.
    pub fn children(&self, instance: &Rc<Instance>, called: usize) -> Result<Rc<Children>, Problem> {
        if let Some(known) = instance.children.borrow().get(&called) {
            return known.clone();
        }
        let children = self.make_children(instance, called).map(Rc::new);
        instance.children.borrow_mut().insert(called, children.clone());
        children
    }

    fn make_children(&self, instance: &Rc<Instance>, called: usize) -> Result<Children, Problem> {
        let Some((_, call)) = &self.tree.modules[called].call else {
            return Ok(Children { expansion: Expansion::Single, instances: vec![] });
        };
        let expansion = expand(self, instance, call)?;
        let make = |each: &Each| {
            let address = instance.inside(&format!("module.{}{}", call.label(0), each.suffix()));
            Rc::new(Instance::new(called, address, Some((Rc::clone(instance), each.clone()))))
        };
        let instances = expansion.each().iter().map(make).collect();
        Ok(Children { expansion, instances })
    }

    fn outputs(&self, instance: &Rc<Instance>, name: &str, reference: &Reference) -> Result<Value, Problem> {
        let Some(called) = self.module(instance).calls.get(name) else {
            return Err(undeclared(self.tree, instance.module, reference));
        };
        let children = self.children(instance, *called)?;
        let values = children.instances.iter().map(|child| self.outputs_of(child, reference.attribute.as_deref()));
        Ok(children.expansion.gather(values.collect::<Result<_, _>>()?))
    }

    /// Only the output that is asked for, where it is known which.
    fn outputs_of(&self, child: &Rc<Instance>, wanted: Option<&str>) -> Result<Value, Problem> {
        let outputs = &self.module(child).outputs;
        let wanted = wanted.filter(|wanted| outputs.contains_key(wanted));
        let chosen = outputs.iter().filter(|(name, _)| wanted.is_none_or(|wanted| wanted == **name));
        let pair =
            |(name, output): (&&str, &Declaration<'a>)| Ok(((*name).to_owned(), self.output(child, name, output)?));
        chosen.map(pair).collect::<Result<_, Problem>>().map(Value::Map)
    }

    /// Works out an output.
    pub fn output(&self, instance: &Rc<Instance>, name: &str, output: &Declaration<'a>) -> Result<Value, Problem> {
        instance.once(Name::Output, name, || {
            let Some(declared) = output.attribute("value") else {
                return Err(Problem::new(output.place(), format!("the output `{name}` has no `value`")));
            };
            let value = self.value(instance, &Each::Single, &declared)?;
            let hidden = output.attribute("sensitive").is_some_and(|mark| mark.expression.as_bool() == Some(true));
            Ok(if hidden { value.sensitive() } else { value })
        })
    }

    /// What a resource says of itself; what only its server knows is unknown.
    fn resource(&self, instance: &Rc<Instance>, name: &str, reference: &Reference) -> Result<Value, Problem> {
        let Some(index) = position(self.tree, instance.module, &reference.root, name) else {
            return Err(undeclared(self.tree, instance.module, reference));
        };
        let declaration = &self.module(instance).resources[index];
        let Some(schema) = schema::find(declaration.label(0)) else {
            return Ok(Value::Unknown);
        };
        let expansion = expand(self, instance, declaration)?;
        let mut values = vec![];
        for each in expansion.each() {
            let mut problems = vec![];
            let filled = self.scoped(instance, &each, declaration.lines, |scope| {
                Filled::read(&declaration.block.body, declaration.block, &schema.block, scope, &mut problems)
            });
            if let Some(problem) = problems.into_iter().next() {
                return Err(problem);
            }
            let mut value = filled.value(schema.computed);
            if let (true, Value::Map(entries)) = (image::is_one(schema.name), &mut value) {
                let reference = image::reference(&filled).map_or(Value::Unknown, Value::String);
                entries.insert("fingerprint".to_owned(), reference);
            }
            values.push(value);
        }
        Ok(expansion.gather(values))
    }
}

/// Evaluates constants, e.g. of a `terraform.tfvars` file: no name means anything there.
pub fn constant(expression: &Expression, lines: &Lines, directory: &Path) -> Result<Value, Problem> {
    let names = |reference: &Reference| {
        Err(Problem::new(reference.place.clone(), format!("`{}` cannot be used here", reference.text())))
    };
    let files = Files { directory, comes_later: &|_| false };
    Scope { lines, files, names: &names, bound: None }.value(expression)
}
