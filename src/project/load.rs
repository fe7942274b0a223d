//! Finding the parts of a repository.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::hcl::Source;
use crate::packer;
use crate::place::{Place, Problem, nearest};
use crate::project::{Kind, Repository, script};

/// Finds the parts of the repository in `directory`. Reads scripts and the heads of Terraform files, no configuration.
///
/// # Errors
///
/// All [`Problem`]s that keep it from being a repository: no deployment directory, or two.
pub fn load(directory: &Path) -> Result<Repository, Vec<Problem>> {
    let directory = std::path::absolute(directory).unwrap_or_else(|_| directory.to_owned());
    let directory = directory.canonicalize().unwrap_or(directory);
    if !directory.is_dir() {
        return Err(vec![missing(&directory)]);
    }
    let kind = kind(&directory).map_err(|problem| vec![problem])?;
    let name = directory.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let working_directory = directory.parent().unwrap_or(&directory).to_owned();
    let deployment = directory.join(format!("{}-deployment", kind.word()));
    let host_setup = Some(directory.join("host-setup/main.yml")).filter(|playbook| playbook.is_file());
    let scripts = build_scripts(&directory, kind);
    let templates = templates(&directory, &scripts);
    Ok(Repository {
        modules: modules(&directory, &deployment, &name),
        versions: versions(&scripts, &templates),
        templates,
        name,
        kind,
        working_directory,
        host_setup,
        deployment,
        directory,
    })
}

/// There is no such directory; perhaps the one beside it with nearly that name is meant.
fn missing(directory: &Path) -> Problem {
    let problem = Problem::new(Place::file(directory), "there is no such directory");
    let beside = directory.parent().and_then(|parent| std::fs::read_dir(parent).ok()).into_iter().flatten().flatten();
    let beside =
        beside.filter(|entry| entry.path().is_dir()).map(|entry| entry.file_name().to_string_lossy().into_owned());
    let beside = beside.collect::<Vec<_>>();
    let wanted = directory.file_name().unwrap_or_default().to_string_lossy();
    match nearest(&wanted, beside.iter().map(String::as_str)) {
        Some(name) => problem.hint(format!("did you mean `{name}`?")),
        None => problem,
    }
}

fn kind(directory: &Path) -> Result<Kind, Problem> {
    let directory = if directory.as_os_str().is_empty() { Path::new(".") } else { directory };
    let has = |kind: Kind| directory.join(format!("{}-deployment", kind.word())).is_dir();
    match (has(Kind::Project), has(Kind::Module)) {
        (true, false) => Ok(Kind::Project),
        (false, true) => Ok(Kind::Module),
        (false, false) => {
            let problem = Problem::new(Place::file(directory), "this is no repository of a project or module");
            Err(problem.hint("it has neither `project-deployment/` nor `module-deployment/`"))
        }
        (true, true) => {
            let message = "this has both `project-deployment/` and `module-deployment/`";
            Err(Problem::new(Place::file(directory), message))
        }
    }
}

/// Returns the texts of the scripts that build images.
fn build_scripts(directory: &Path, kind: Kind) -> Vec<String> {
    let scripts = directory.join(format!("scripts-{}", kind.word()));
    let build = |file: &PathBuf| {
        let name = file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        name.starts_with("build-image") && file.extension().is_some_and(|extension| extension == "sh")
    };
    files(&scripts).into_iter().filter(build).filter_map(|file| std::fs::read_to_string(file).ok()).collect()
}

/// Returns the files of `directory`, sorted by name; none if it is not there.
pub(super) fn files(directory: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.path()).filter(|path| path.is_file()).collect();
    files.sort();
    files
}

/// Variables that the build itself gives; scripts may use the same names for their own arguments.
const GIVEN: [&str; 3] = ["host_id", "version", "remote"];

fn versions(scripts: &[String], templates: &[PathBuf]) -> BTreeMap<String, String> {
    let variables: Vec<String> =
        templates.iter().filter_map(|template| packer::variables(template).ok()).flatten().collect();
    let constants = scripts.iter().flat_map(|text| script::constants(text));
    let version = |constant: &script::Constant| {
        variables.contains(&constant.name) && !GIVEN.contains(&constant.name.as_str()) && !constant.value.is_empty()
    };
    constants.filter(version).map(|constant| (constant.name, constant.value)).collect()
}

/// Those that the scripts build, in their order, then any others.
fn templates(directory: &Path, scripts: &[String]) -> Vec<PathBuf> {
    let present = files(&directory.join("image-build"));
    let named = |path: &Path, name: &str| path.file_name().is_some_and(|file| file == name);
    let present: Vec<PathBuf> =
        present.into_iter().filter(|path| path.to_string_lossy().ends_with(".pkr.hcl")).collect();
    let wanted: Vec<String> = scripts.iter().flat_map(|text| script::templates(text)).collect();
    let first = wanted.iter().filter_map(|name| present.iter().find(|path| named(path, name)));
    let mut templates: Vec<PathBuf> = vec![];
    for template in first.chain(&present) {
        if !templates.contains(template) {
            templates.push(template.clone());
        }
    }
    templates
}

fn modules(directory: &Path, deployment: &Path, name: &str) -> Vec<String> {
    let deploy = std::fs::read_to_string(directory.join("deploy.sh")).unwrap_or_default();
    let mut modules = script::modules(&deploy).unwrap_or_default();
    for module in mentioned(deployment) {
        if module != name && !modules.contains(&module) {
            modules.push(module);
        }
    }
    modules
}

/// Returns the repositories that module calls of Terraform files lead to: `source = "../../<repository>/…"`.
fn mentioned(deployment: &Path) -> Vec<String> {
    let terraform = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "tf");
    let sources = files(deployment).into_iter().filter(terraform).filter_map(|file| Source::read(&file).ok());
    let mut repositories = vec![];
    for source in sources {
        for block in source.body.get_blocks("module") {
            let path = block.body.get_attribute("source").and_then(|attribute| attribute.value.as_str());
            let rest = path.and_then(|path| path.strip_prefix("../../"));
            repositories.extend(rest.and_then(|rest| rest.split('/').next()).map(str::to_owned));
        }
    }
    repositories
}
