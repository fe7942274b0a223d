//! Where playbooks look for roles, templates, files and variables.

use std::path::{Path, PathBuf};

/// The places that a relative name is looked for in, best first, as Ansible searches.
///
/// - `kind`: the subdirectory of that sort of file, e.g. `templates`.
/// - `role`: the directory of the task's role.
/// - `here`: the directory of the file that the task is written in.
pub fn candidates(kind: &str, name: &str, role: Option<&Path>, here: &Path, playbook: &Path) -> Vec<PathBuf> {
    let path = Path::new(name);
    if path.is_absolute() {
        return vec![path.to_owned()];
    }
    let mut list: Vec<PathBuf> = vec![];
    for base in role.into_iter().chain([here, playbook]) {
        for candidate in [base.join(kind).join(path), base.join(path)] {
            if !list.contains(&candidate) {
                list.push(candidate);
            }
        }
    }
    list
}

/// Returns the first candidate that is there.
pub fn find(candidates: &[PathBuf]) -> Option<&PathBuf> {
    candidates.iter().find(|path| path.exists())
}

/// Reads a file of text.
///
/// # Errors
///
/// It cannot be read, or it is no text.
pub fn text(path: &Path) -> std::io::Result<String> {
    std::fs::read_to_string(path)
}

/// Returns `path` without the detours of `..`, where its directory is there.
pub fn tidy(path: &Path) -> PathBuf {
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else { return path.to_owned() };
    let detour = parent.components().any(|part| part == std::path::Component::ParentDir);
    match parent.canonicalize() {
        Ok(parent) if detour => parent.join(name),
        _ => path.to_owned(),
    }
}

/// Returns `main.yml`, `main.yaml` or `main` of a directory of a role.
pub fn main_file(role: &Path, kind: &str, name: &str) -> Option<PathBuf> {
    let directory = role.join(kind);
    ["", ".yml", ".yaml"].iter().map(|end| directory.join(format!("{name}{end}"))).find(|path| path.is_file())
}

/// The directories that a role may be in.
pub fn role_candidates(name: &str, playbook: &Path) -> Vec<PathBuf> {
    let path = Path::new(name);
    if path.is_absolute() {
        return vec![path.to_owned()];
    }
    vec![playbook.join("roles").join(path), playbook.join(path)]
}
