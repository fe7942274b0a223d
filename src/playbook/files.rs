//! Where playbooks look for roles, templates, files and variables.

use std::path::{Path, PathBuf};

/// The places that a relative name is looked for in, best first, as Ansible searches.
///
/// - `kind`: the subdirectory of that sort of file, e.g. `templates`.
/// - `roles`: the directories of the task's role and of those that brought it.
/// - `here`: the directory of the file that the task is written in.
pub fn candidates<'p>(
    kind: &str,
    name: &str,
    roles: impl IntoIterator<Item = &'p Path>,
    here: &'p Path,
    playbook: &'p Path,
) -> Vec<PathBuf> {
    let path = Path::new(name);
    if path.is_absolute() {
        return vec![path.to_owned()];
    }
    let mut list: Vec<PathBuf> = vec![];
    for base in roles.into_iter().chain([here, playbook]) {
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

/// The files of a directory, as deep as that, by name; those that hide and backups left out.
pub fn within(directory: &Path, depth: usize) -> Vec<PathBuf> {
    let mut entries: Vec<PathBuf> =
        std::fs::read_dir(directory).into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path())).collect();
    entries.sort();
    let hides = |path: &Path| {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        name.starts_with('.') || name.ends_with('~')
    };
    let (directories, files): (Vec<_>, Vec<_>) =
        entries.into_iter().filter(|path| !hides(path)).partition(|path| path.is_dir());
    let deeper = directories.iter().filter(|_| depth > 1).flat_map(|path| within(path, (depth - 1).min(50)));
    files.into_iter().chain(deeper).collect()
}

/// All files below a directory.
pub fn below(directory: &Path) -> Vec<PathBuf> {
    within(directory, 50)
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
pub fn role_candidates(name: &str, playbook: &Path, more: &[PathBuf]) -> Vec<PathBuf> {
    let path = Path::new(name);
    if path.is_absolute() {
        return vec![path.to_owned()];
    }
    let more = more.iter().map(|directory| directory.join(path));
    std::iter::once(playbook.join("roles").join(path)).chain(more).chain([playbook.join(path)]).collect()
}
