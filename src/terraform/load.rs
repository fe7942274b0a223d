//! Reading the files of a root module and of every module that it calls.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use hcl_edit::structure::Block;

use crate::hcl::function::encoding::from_json;
use crate::hcl::function::path;
use crate::hcl::{Source, Value, source::Lines};
use crate::place::{Place, Problem};
use crate::terraform::evaluate::constant;
use crate::terraform::{json, merge};

/// The files of each module directory, by directory.
pub type Sources = BTreeMap<PathBuf, Vec<Source>>;

/// Reads the `*.tf` files of `root` and of all modules below it, each directory once.
pub fn read(root: &Path, problems: &mut Vec<Problem>) -> Sources {
    let mut sources = Sources::new();
    let mut waiting = vec![root.to_owned()];
    while let Some(directory) = waiting.pop() {
        if sources.contains_key(&directory) {
            continue;
        }
        let files = directory_files(&directory, problems);
        for source in &files {
            for block in source.body.get_blocks("module") {
                waiting.extend(target(&directory, block, &source.lines, problems));
            }
        }
        sources.insert(directory, files);
    }
    sources
}

fn directory_files(directory: &Path, problems: &mut Vec<Problem>) -> Vec<Source> {
    let mut names: Vec<PathBuf> = match std::fs::read_dir(directory) {
        Ok(entries) => entries.flatten().map(|entry| entry.path()).filter(|path| path.is_file()).collect(),
        Err(error) => {
            problems.push(Problem::new(Place::file(directory), format!("cannot be read: {error}")));
            return vec![];
        }
    };
    names.sort();
    let (mut sources, mut over) = (vec![], vec![]);
    for file in names {
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        let read = match () {
            () if is_of_an_editor(&name) => continue,
            () if name.ends_with(".tf.json") => json::read(&file),
            () if name.ends_with(".tf") => Source::read(&file).map_err(|problem| vec![problem]),
            () => continue,
        };
        match read {
            Ok(source) if merge::is_one(&file) => over.push(source),
            Ok(source) => sources.push(source),
            Err(told) => problems.extend(told),
        }
    }
    let mut sources = merge::merged(sources, over, problems);
    sources.retain(|source| !source.body.is_empty() || !merge::is_one(source.lines.file()));
    if sources.is_empty() && problems.is_empty() {
        problems.push(Problem::new(Place::file(directory), "there are no Terraform files here"));
    }
    sources
}

/// Whether a file is one that an editor keeps beside that of a person.
fn is_of_an_editor(name: &str) -> bool {
    name.starts_with('.') || name.ends_with('~') || (name.starts_with('#') && name.ends_with('#'))
}

/// Returns the values of `terraform.tfvars` and of `*.auto.tfvars`, which Terraform reads by itself; later files win.
pub fn values(root: &Path, problems: &mut Vec<Problem>) -> BTreeMap<String, Value> {
    let entries = std::fs::read_dir(root).into_iter().flatten().flatten();
    let name = |path: &PathBuf| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let mut files: Vec<PathBuf> = entries
        .map(|entry| entry.path())
        .filter(|path| {
            let name = name(path);
            let name = name.strip_suffix(".json").unwrap_or(&name);
            name == "terraform.tfvars" || name.ends_with(".auto.tfvars")
        })
        .collect();
    files.sort_by_key(|path| (!name(path).starts_with("terraform.tfvars"), name(path)));
    let mut values = BTreeMap::new();
    for file in files {
        if file.extension().is_some_and(|extension| extension == "json") {
            match json_values(&file) {
                Ok(given) => values.extend(given),
                Err(problem) => problems.push(problem),
            }
            continue;
        }
        let source = match Source::read(&file) {
            Ok(source) => source,
            Err(problem) => {
                problems.push(problem);
                continue;
            }
        };
        for attribute in source.body.attributes() {
            match constant(&attribute.value, &source.lines, root) {
                Ok(value) => {
                    values.insert(attribute.key.as_str().to_owned(), value);
                }
                Err(problem) => problems.push(problem),
            }
        }
    }
    values
}

fn json_values(file: &Path) -> Result<BTreeMap<String, Value>, Problem> {
    let problem = |message: String| Problem::new(Place::file(file), message);
    let text = std::fs::read_to_string(file).map_err(|error| problem(format!("cannot be read: {error}")))?;
    let parsed: serde_json::Value = serde_json::from_str(&text)
        .map_err(|error| Problem::new(Place::new(file, error.line(), error.column()), format!("not JSON: {error}")))?;
    match from_json(parsed).map_err(problem)? {
        Value::Map(values) => Ok(values),
        other => Err(problem(format!("an object is required, not {}", other.describe()))),
    }
}

/// Returns the directory that a module call leads to, if it can be entered.
pub fn target(directory: &Path, block: &Block, lines: &Lines, problems: &mut Vec<Problem>) -> Option<PathBuf> {
    let Some(attribute) = block.body.get_attribute("source") else {
        problems.push(Problem::new(lines.place(block), "this module call has no `source`"));
        return None;
    };
    let place = lines.place(&attribute.value);
    let Some(source) = attribute.value.as_str() else {
        problems.push(Problem::new(place, "`source` must be a plain text"));
        return None;
    };
    if !source.starts_with("./") && !source.starts_with("../") {
        let problem = Problem::new(place, format!("the module `{source}` is not in a local directory"));
        problems.push(problem.hint("only sources that start with `./` or `../` are supported"));
        return None;
    }
    let target = path(directory, source);
    if target.is_dir() {
        return Some(target);
    }
    problems.push(missing(&target, place));
    None
}

/// Names the repository if it is the repository that is missing.
fn missing(target: &Path, place: Place) -> Problem {
    let gone = target.ancestors().take_while(|ancestor| !ancestor.exists()).last().unwrap_or(target);
    let name = gone.file_name().unwrap_or_default().to_string_lossy();
    if name.starts_with("ryo-") {
        let place_of = gone.parent().unwrap_or(gone).display();
        return Problem::new(place, format!("the repository `{name}` is missing"))
            .hint(format!("clone it into `{place_of}`"));
    }
    Problem::new(place, format!("there is no directory `{}`", target.display()))
}
