//! The whole evaluation, and everything that is wrong on the way.

use std::collections::BTreeMap;
use std::path::Path;
use std::rc::Rc;

use crate::hcl::{Value, condition};
use crate::place::{Place, Problem};
use crate::terraform::Ignored;
use crate::terraform::body::Filled;
use crate::terraform::evaluate::{Evaluation, Instance};
use crate::terraform::expand::{Each, expand};
use crate::terraform::order::Order;
use crate::terraform::read::{Awaits, Read};
use crate::terraform::schema::Block;
use crate::terraform::tree::{Declaration, Tree};
use crate::terraform::{
    Deployment, Kind, Resource, consul, database, file, image, instance, lifecycle, lint, load, object, schema, trigger,
};

/// Evaluates the root module in `root_directory` with the values that its variables are given.
///
/// Touches nothing: it reads the files of the module, of the modules that it calls, and those that its expressions
/// name. Paths are relative to `root_directory`, as with `terraform -chdir`.
///
/// # Errors
///
/// All [`Problem`]s, sorted by place.
pub fn evaluate(root_directory: &Path, variables: &BTreeMap<String, Value>) -> Result<Deployment, Vec<Problem>> {
    let mut problems = vec![];
    let root = std::path::absolute(root_directory).unwrap_or_else(|_| root_directory.to_owned());
    let sources = load::read(&root, &mut problems);
    let tree = Tree::build(&sources, &root, &mut problems);
    lint::check(&tree, &mut problems);
    let given = given(&tree, variables, &root, &mut problems);
    let deployment = match Order::of(&tree) {
        Ok(order) => {
            Run { evaluation: Evaluation::new(&tree, &given), order, made: BTreeMap::new() }.all(&mut problems)
        }
        // In a circle nothing has a value.
        Err(problem) => {
            problems.push(problem);
            Deployment::default()
        }
    };
    problems.sort();
    problems.dedup();
    if problems.is_empty() { Ok(deployment) } else { Err(problems) }
}

/// What is given wins over what files give. Variables that nobody declares are told, but not those of files.
fn given(
    tree: &Tree<'_>,
    variables: &BTreeMap<String, Value>,
    root: &Path,
    problems: &mut Vec<Problem>,
) -> BTreeMap<String, Value> {
    let declared = &tree.modules[0].variables;
    for name in variables.keys().filter(|name| !declared.contains_key(name.as_str())) {
        let place = Place::file(root);
        problems.push(Problem::new(place, format!("the variable `{name}` is given but not declared")));
    }
    let mut given = load::values(root, problems);
    given.extend(variables.clone());
    given
}

/// What a module call takes beside the variables of the module.
const META: [&str; 6] = ["source", "version", "providers", "count", "for_each", "depends_on"];

struct Run<'a> {
    evaluation: Evaluation<'a>,
    order: Order<'a>,
    /// Addresses of what each resource block makes.
    made: BTreeMap<(usize, usize), Vec<String>>,
}

impl Run<'_> {
    fn all(mut self, problems: &mut Vec<Problem>) -> Deployment {
        let instances = self.instances(problems);
        self.names(&instances, problems);
        let mut resources = vec![];
        for (module, index) in self.order.resources.clone() {
            let owners: Vec<Rc<Instance>> =
                instances.iter().filter(|instance| instance.module == module).cloned().collect();
            let mut addresses = vec![];
            for owner in owners {
                let made = self.make(&owner, index, &resources, problems);
                addresses.extend(made.iter().map(|resource| resource.address.clone()));
                resources.extend(made);
            }
            self.made.insert((module, index), addresses);
        }
        twice(&resources, problems);
        let consul = self.provider("consul", &consul::PROVIDER, consul::provider, problems);
        let consul = consul.or_else(|| {
            let keys = resources.iter().find(|resource| matches!(resource.kind, Kind::ConsulKeys(_)))?;
            Some(consul::unconfigured(&keys.place))
        });
        let mysql = self.provider("mysql", &database::schema::MYSQL, database::mysql, problems);
        let postgres = self.provider("postgresql", &database::schema::POSTGRESQL, database::postgres, problems);
        let databases = mysql.into_iter().chain(postgres).collect();
        let warnings = self.checks(&instances, problems);
        let awaited = self.evaluation.awaited();
        let deployment = Deployment { resources, consul, databases, awaited, warnings };
        nowhere(&deployment, problems);
        deployment
    }

    /// What `check` blocks find fault with does not keep anybody from going on.
    fn checks(&self, instances: &[Rc<Instance>], problems: &mut Vec<Problem>) -> Vec<Problem> {
        let mut warnings = vec![];
        for instance in instances {
            for check in &self.evaluation.module(instance).checks {
                self.evaluation.scoped(instance, &Each::Single, check.lines, |scope| {
                    for assertion in check.block.body.get_blocks("assert") {
                        match condition::refused(scope, assertion) {
                            Ok(None) => {}
                            Ok(Some(message)) => {
                                let told = format!("the check `{}` fails", check.label(0));
                                warnings.push(scope.problem(assertion, told).hint(message));
                            }
                            Err(problem) => problems.push(problem),
                        }
                    }
                });
            }
        }
        warnings
    }

    /// All module instances, callers first.
    fn instances(&self, problems: &mut Vec<Problem>) -> Vec<Rc<Instance>> {
        let mut all = vec![Rc::clone(&self.evaluation.root)];
        let mut at = 0;
        while let Some(instance) = all.get(at).cloned() {
            for called in self.evaluation.module(&instance).calls.values() {
                match self.evaluation.children(&instance, *called) {
                    Ok(children) => all.extend(children.instances.iter().cloned()),
                    Err(problem) => problems.push(problem),
                }
            }
            at += 1;
        }
        all
    }

    /// Works out every variable, local and output, also those that no resource asks for.
    fn names(&self, instances: &[Rc<Instance>], problems: &mut Vec<Problem>) {
        for instance in instances {
            let module = self.evaluation.module(instance);
            self.arguments(instance, problems);
            for (name, variable) in &module.variables {
                problems.extend(self.evaluation.validate(instance, name, variable).err());
            }
            for (name, local) in &module.locals {
                problems.extend(self.evaluation.declared_local(instance, name, local).err());
            }
            for (name, output) in &module.outputs {
                problems.extend(self.evaluation.output(instance, name, output).err());
                self.evaluation.scoped(instance, &Each::Single, output.lines, |scope| {
                    lifecycle::hold(output.block.body.get_blocks("precondition"), scope, problems);
                });
            }
        }
    }

    /// What a call gives must be a variable of the module.
    fn arguments(&self, instance: &Instance, problems: &mut Vec<Problem>) {
        let module = self.evaluation.module(instance);
        let Some((_, call)) = &module.call else {
            return;
        };
        for attribute in call.block.body.attributes() {
            let name = attribute.key.as_str();
            if META.contains(&name) || module.variables.contains_key(name) {
                continue;
            }
            let message = format!("the module `{}` has no variable `{name}`", call.label(0));
            let problem = Problem::new(call.lines.place(&attribute.key), message);
            problems.push(match crate::place::nearest(name, module.variables.keys().copied()) {
                Some(near) => problem.hint(format!("did you mean `{near}`?")),
                None => problem,
            });
        }
    }

    fn make(
        &self,
        owner: &Rc<Instance>,
        index: usize,
        before: &[Resource],
        problems: &mut Vec<Problem>,
    ) -> Vec<Resource> {
        let declaration = &self.evaluation.module(owner).resources[index];
        let kind = declaration.label(0);
        let Some(schema) = schema::find(kind) else {
            problems.push(unknown(kind, declaration));
            return vec![];
        };
        let expansion = match expand(&self.evaluation, owner, declaration) {
            Ok(expansion) => expansion,
            Err(problem) => {
                problems.push(problem);
                return vec![];
            }
        };
        let depends_on = self.depends_on(owner.module, index);
        let trigger = trigger::read(declaration, owner, before, problems);
        let body = &declaration.block.body;
        let root = &self.evaluation.tree.modules[0].directory;
        let one = |each: Each| {
            let (filled, lifecycle) = self.evaluation.scoped(owner, &each, declaration.lines, |scope| {
                let filled = Filled::read(body, declaration.block, &schema.block, scope, problems);
                lifecycle::conditions(body, &filled, schema.computed, scope, problems);
                (filled, lifecycle::read(body, &schema.block, scope, problems))
            });
            let mut read = Read { problems, awaits: self.awaits() };
            Resource {
                lifecycle,
                address: owner.inside(&format!("{kind}.{}{}", declaration.label(1), each.suffix())),
                place: declaration.place(),
                depends_on: depends_on.clone(),
                kind: match kind {
                    "consul_keys" => Kind::ConsulKeys(consul::keys(&filled, &mut read)),
                    kind if database::is_object(kind) => Kind::Database(database::object(kind, &filled, &mut read)),
                    "consul_key_prefix" => Kind::ConsulKeys(consul::prefix(&filled, &mut read)),
                    kind if object::is_one(kind) => Kind::Object(object::build(kind, &filled, &mut read)),
                    kind if file::is_one(kind) => Kind::File(file::build(&filled, root, &mut read)),
                    kind if image::is_one(kind) => Kind::Image(image::build(&filled, &mut read)),
                    _ => Kind::Instance(trigger::noted(instance::build(&filled, &mut read), trigger.as_deref())),
                },
            }
        };
        expansion.each().into_iter().map(one).collect()
    }

    fn awaits(&self) -> Awaits {
        if self.evaluation.awaited().is_empty() { Awaits::Nothing } else { Awaits::Files }
    }

    /// What a block that makes nothing waits for is waited for in its place.
    fn depends_on(&self, module: usize, index: usize) -> Vec<String> {
        let mut addresses = vec![];
        let mut waiting: Vec<(usize, usize)> = self.order.waits_for(module, index).into_iter().collect();
        let mut at = 0;
        while let Some(block) = waiting.get(at).copied() {
            match self.made.get(&block) {
                Some(made) if !made.is_empty() => addresses.extend(made.iter().cloned()),
                _ => {
                    for next in self.order.waits_for(block.0, block.1) {
                        if !waiting.contains(&next) {
                            waiting.push(next);
                        }
                    }
                }
            }
            at += 1;
        }
        addresses.sort();
        addresses
    }

    fn provider<P>(
        &self,
        name: &str,
        block: &Block,
        build: fn(&Filled, &mut Read<'_>) -> P,
        problems: &mut Vec<Problem>,
    ) -> Option<P> {
        let root = Rc::clone(&self.evaluation.root);
        let providers = &self.evaluation.module(&root).providers;
        let plain = |provider: &&Declaration<'_>| provider.label(0) == name && provider.attribute("alias").is_none();
        let declaration = providers.iter().find(plain)?;
        let filled = self.evaluation.scoped(&root, &Each::Single, declaration.lines, |scope| {
            Filled::read(&declaration.block.body, declaration.block, block, scope, problems)
        });
        let mut read = Read { problems, awaits: self.awaits() };
        Some(build(&filled, &mut read))
    }
}

/// What is on a server needs to know on which.
fn nowhere(deployment: &Deployment, problems: &mut Vec<Problem>) {
    for resource in &deployment.resources {
        let Kind::Database(object) = &resource.kind else { continue };
        if resource.lifecycle.ignored != Ignored::default() {
            let message = "`ignore_changes` is not supported for what is on database servers";
            problems.push(Problem::new(resource.place.clone(), message));
        }
        if deployment.server(object).is_none() {
            let name = if object.engine() == database::Engine::Mysql { "mysql" } else { "postgresql" };
            let message = format!("the provider `{name}` is not configured");
            problems.push(Problem::new(resource.place.clone(), message));
        }
    }
}

fn unknown(kind: &str, declaration: &Declaration<'_>) -> Problem {
    let problem = Problem::new(declaration.place(), format!("the resource `{kind}` is not supported"));
    if let Some(hint) = instead(kind) {
        return problem.hint(hint);
    }
    match crate::place::nearest(kind, schema::SCHEMAS.iter().map(|schema| schema.name)) {
        Some(near) => problem.hint(format!("did you mean `{near}`?")),
        None => problem,
    }
}

/// What to do instead of a resource that only makes sense with a state that remembers it.
fn instead(kind: &str) -> Option<&'static str> {
    Some(match kind {
        "random_password" | "random_string" | "random_id" | "random_bytes" | "random_uuid" | "random_pet"
        | "random_integer" | "random_shuffle" => {
            "there is no state that would remember what was drawn; have the image's playbook make the secret \
             (`lookup('password', …)`) and read it by `file(…)`"
        }
        "tls_private_key" | "tls_self_signed_cert" | "tls_cert_request" | "tls_locally_signed_cert" => {
            "there is no state that would remember the key; have the image's playbook make it"
        }
        "null_resource" | "terraform_data" => {
            "there is no state that would remember its triggers; put what it runs into a playbook"
        }
        "local_file" | "local_sensitive_file" => "write the file in a playbook (`copy`, `template`)",
        "lxd_snapshot" | "lxd_instance_snapshot" | "incus_instance_snapshot" => {
            "a replaced instance would lose its snapshots; keep what is to be kept in a mounted directory"
        }
        "time_sleep" => "instances are waited for by themselves",
        "time_static" | "time_rotating" | "time_offset" => "there is no state that would remember the time",
        _ => return None,
    })
}

/// One server has one instance of a name.
fn twice(resources: &[Resource], problems: &mut Vec<Problem>) {
    let mut known = BTreeMap::new();
    for resource in resources {
        if let Kind::Instance(instance) = &resource.kind
            && !instance.name.is_empty()
            && let Some(other) = known.insert((&instance.remote, &instance.project, &instance.name), &resource.address)
        {
            let message = format!("the instance `{}` is already made by `{other}`", instance.name);
            problems.push(Problem::new(resource.place.clone(), message));
        }
    }
}
