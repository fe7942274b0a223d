//! Everything that is wrong with a repository, with the modules that it needs and with the configuration around it,
//! found without touching anything.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Map, Value as Json};

use crate::hcl::Value;
use crate::packer;
use crate::place::{Place, Problem, nearest};
use crate::playbook;
use crate::project::{Identity, Repository, control, host, load, script, setup};
use crate::terraform::{self, Deployment};

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// What cannot be carried out, sorted by place, each once.
    pub problems: Vec<Problem>,
    /// What can, but perhaps not as it looks.
    pub warnings: Vec<Problem>,
}

impl Report {
    /// Adds what was found in another repository; what is wrong around both is told once.
    pub fn add(&mut self, other: Self) {
        self.problems.extend(other.problems);
        self.warnings.extend(other.warnings);
        for list in [&mut self.problems, &mut self.warnings] {
            list.sort();
            list.dedup();
        }
    }
}

/// Stands for the version where none is chosen yet: whatever it is, the same things are wrong.
const ANY_VERSION: &str = "1";

/// Returns every problem of the repository in `directory`, for `host`.
pub fn problems(directory: &Path, host: &str) -> Vec<Problem> {
    report(directory, None, host).problems
}

/// Looks through the repository in `directory`, the modules that it needs, and the configuration of `host` and of the
/// control node, which stand in `working_directory` or else beside the repository.
pub fn report(directory: &Path, working_directory: Option<&Path>, host: &str) -> Report {
    let mut report = Report::default();
    match load(directory) {
        Ok(mut repository) => {
            if let Some(directory) = working_directory {
                directory.clone_into(&mut repository.working_directory);
            }
            around(&repository.working_directory, host, &mut report);
            if host::name_problem(host).is_none() {
                for repository in with_modules(repository, &mut report) {
                    inside(&repository, host, &mut report);
                }
            }
        }
        Err(problems) => match setup::Setup::find(directory) {
            Some(setup) => {
                let working_directory = working_directory.unwrap_or(&setup.working_directory);
                around(working_directory, host, &mut report);
                report.problems.extend(setup.problems(working_directory, host));
                forget_symptoms(&mut report.problems, vec![]);
            }
            None => report.problems = problems,
        },
    }
    forget_gone(&mut report.problems);
    let mut told = Report::default();
    told.add(report);
    told
}

fn around(working_directory: &Path, host: &str, report: &mut Report) {
    let (_, problems, warnings) = host::inspect(working_directory, host);
    report.problems.extend(problems);
    report.warnings.extend(warnings);
    let (_, problems, warnings) = control::inspect(working_directory);
    report.problems.extend(problems);
    report.warnings.extend(warnings);
}

/// A file of a repository that is not there is not told: the repository is.
fn forget_gone(problems: &mut Vec<Problem>) {
    let name = |problem: &Problem| {
        let message = &problem.message;
        let rest = message.strip_prefix("the repository `").or_else(|| message.strip_prefix("the module `"))?;
        Some(rest.strip_suffix("` is missing")?.to_owned())
    };
    let gone: Vec<String> = problems.iter().filter_map(name).collect();
    problems.retain(|problem| {
        let file = problem.message.strip_prefix("`file`: there is no file `");
        !file.is_some_and(|file| gone.iter().any(|name| file.contains(&format!("/{name}/"))))
    });
}

/// The modules that a repository needs, also those that these need, then itself.
fn with_modules(repository: Repository, report: &mut Report) -> Vec<Repository> {
    let mut all = vec![repository];
    let mut at = 0;
    while at < all.len() {
        for name in all[at].modules.clone() {
            if all.iter().any(|known| known.name == name) {
                continue;
            }
            let directory = all[at].sibling(&name);
            if directory.is_dir() {
                match load(&directory) {
                    Ok(module) => {
                        let working_directory = all[0].working_directory.clone();
                        all.push(Repository { working_directory, ..module });
                    }
                    Err(problems) => report.problems.extend(problems),
                }
            } else {
                report.problems.extend(missing(&all[at], &name));
            }
        }
        at += 1;
    }
    all.reverse();
    all
}

/// A module that only Terraform files mention is missed there.
fn missing(repository: &Repository, module: &str) -> Option<Problem> {
    let file = repository.directory.join("deploy.sh");
    let text = std::fs::read_to_string(&file).unwrap_or_default();
    let constant = script::constants(&text).into_iter().find(|constant| constant.name == "MODULES")?;
    let named = constant.value.split_whitespace().any(|word| word == module);
    if module.starts_with('<') && module.ends_with('>') {
        let place = Place::new(&file, constant.line, 1);
        let problem = Problem::new(place, format!("`MODULES` still has the placeholder `{module}`"));
        return named.then(|| problem.hint("put the name of a module in its place, or take it out"));
    }
    let siblings = std::fs::read_dir(&repository.working_directory).into_iter().flatten().flatten();
    let siblings: Vec<String> = siblings.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    let hint = match nearest(module, siblings.iter().map(String::as_str)) {
        Some(near) => format!("there is `{near}`"),
        None => format!("clone it into `{}`", repository.working_directory.display()),
    };
    let problem = Problem::new(Place::new(&file, constant.line, 1), format!("the module `{module}` is missing"));
    named.then(|| problem.hint(hint))
}

fn inside(repository: &Repository, host: &str, report: &mut Report) {
    let (identity, broken, warnings) = repository.inspect(host);
    report.warnings.extend(warnings);
    playbook_of_host(repository, host, report);
    let aliases = templates(repository, host, identity.as_ref(), report);
    let variables = [("host_id", host), ("image_version", ANY_VERSION)];
    let variables = variables.map(|(name, value)| (name.to_owned(), Value::from(value))).into();
    match terraform::evaluate(&repository.deployment, &variables) {
        Ok(deployment) => {
            report.problems.extend(aliases.iter().flat_map(|it| images(&deployment, identity.as_ref(), it)));
            report.warnings.extend(deployment.warnings);
        }
        Err(problems) => report.problems.extend(problems),
    }
    forget_symptoms(&mut report.problems, broken);
}

/// A file that is not there, or not readable, is missed by everything that needs it: that is told once. Adds what is
/// wrong with configuration files.
fn forget_symptoms(problems: &mut Vec<Problem>, broken: Vec<Problem>) {
    let unreadable: Vec<String> = unreadable(&broken).into_iter().chain(unreadable(problems)).collect();
    problems.retain(|problem| !unreadable.contains(&problem.message));
    problems.extend(broken);
}

/// Returns what expressions and plays say when they read the configuration files that `problems` say are missing or
/// broken.
fn unreadable(problems: &[Problem]) -> Vec<String> {
    let symptoms = |problem: &Problem| {
        let place = &problem.place;
        let file = place.file.display();
        if problem.message == "this configuration file is missing" {
            return vec![format!("`file`: there is no file `{file}`"), format!("`{file}` is not there")];
        }
        let Some(wrong) = problem.message.strip_prefix("not YAML: ") else { return vec![] };
        vec![format!("`yamldecode`: {wrong} (line {}, column {} of the text)", place.line, place.column)]
    };
    problems.iter().flat_map(symptoms).collect()
}

fn playbook_of_host(repository: &Repository, host: &str, report: &mut Report) {
    if let Some(playbook) = &repository.host_setup {
        let extra_vars = Map::from_iter([("host_id".to_owned(), Json::from(host))]);
        let known = playbook::Known { extra_vars, reading: reading(), ..playbook::Known::default() };
        report.problems.extend(playbook::check(playbook, &known));
    }
}

/// Evaluates the templates and their playbooks; returns the aliases that they make, unless one of them cannot be read.
fn templates(
    repository: &Repository,
    host: &str,
    identity: Option<&Identity>,
    report: &mut Report,
) -> Option<Vec<String>> {
    let (mut aliases, mut known_all) = (vec![], true);
    for template in &repository.templates {
        let declared = match packer::variables(template) {
            Ok(declared) => declared,
            Err(problem) => {
                report.problems.push(problem);
                known_all = false;
                continue;
            }
        };
        let remote = identity.and_then(|identity| identity.remote_build).unwrap_or(true);
        let mut variables: BTreeMap<String, Value> = [
            ("host_id".to_owned(), Value::from(host)),
            ("version".to_owned(), Value::from(ANY_VERSION)),
            ("remote".to_owned(), Value::Bool(remote)),
        ]
        .into();
        variables.extend(repository.versions.iter().map(|(name, value)| (name.clone(), Value::from(value.as_str()))));
        variables.retain(|name, _| declared.contains(name));
        match packer::evaluate(template, &variables) {
            Ok(builds) => {
                aliases.extend(builds.iter().map(|build| build.alias.clone()));
                for provisioner in builds.iter().flat_map(|build| &build.provisioners) {
                    report.problems.extend(playbook::check(&provisioner.playbook, &known(provisioner)));
                }
            }
            Err(problems) => {
                report.problems.extend(problems);
                known_all = false;
            }
        }
    }
    known_all.then_some(aliases)
}

/// How files are read: without a password, what is encrypted is a problem of its own.
fn reading() -> playbook::reading::Reading {
    playbook::reading::Reading::of_environment().unwrap_or_default()
}

/// The extra variables that a template gives, which are words `k=v` or JSON.
fn known(provisioner: &packer::Provisioner) -> playbook::Known {
    let mut extra_vars = Map::new();
    for text in &provisioner.extra_vars {
        if let Ok(Json::Object(object)) = serde_json::from_str(text) {
            extra_vars.extend(object);
            continue;
        }
        let pairs = text.split_whitespace().filter_map(|word| word.split_once('='));
        extra_vars.extend(pairs.map(|(name, value)| (name.to_owned(), Json::from(value.trim_matches(['"', '\''])))));
    }
    let inventory = vec![playbook::Source::File(provisioner.inventory.clone())];
    playbook::Known { extra_vars, inventory, reading: reading() }
}

/// An image that has the name of the repository is built by it.
fn images(deployment: &Deployment, identity: Option<&Identity>, aliases: &[String]) -> Vec<Problem> {
    let Some(identity) = identity else {
        return vec![];
    };
    let mut problems = vec![];
    for resource in &deployment.resources {
        let terraform::Kind::Instance(instance) = &resource.kind else {
            continue;
        };
        let own = instance.image.starts_with(&format!("{}-", identity.id));
        if own && !aliases.contains(&instance.image) {
            let message = format!("no template builds the image `{}`", instance.image);
            let problem = Problem::new(resource.place.clone(), message);
            problems.push(match nearest(&instance.image, aliases.iter().map(String::as_str)) {
                Some(near) => problem.hint(format!("did you mean `{near}`?")),
                None => problem,
            });
        }
    }
    problems
}
