//! Files that are not there yet but will be: secrets that the playbook of an image makes for a host.

use std::fs;
use std::path::Path;

/// Whether a playbook of the repository that `file` belongs to writes it: `configuration/<name>_<host>.yml`, where the
/// playbook names it `<name>_{{ host_id }}.yml`.
pub fn comes_later(file: &Path, host: &str) -> bool {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    let stem =
        name.strip_suffix(".yml").and_then(|name| name.strip_suffix(host)).and_then(|name| name.strip_suffix('_'));
    let repository = file.parent().filter(|parent| parent.ends_with("configuration")).and_then(Path::parent);
    match (stem, repository) {
        (Some(stem), Some(repository)) if stem != "configuration" => {
            let written = format!("{stem}_{{{{");
            ["image-build", "host-setup"].iter().any(|part| mentions(&repository.join(part), &written, 0))
        }
        _ => false,
    }
}

/// Deepest folder that is searched; roles are five deep.
const DEEPEST: usize = 8;

fn mentions(directory: &Path, text: &str, depth: usize) -> bool {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).any(|path| {
        if path.is_dir() && !path.is_symlink() {
            return depth < DEEPEST && mentions(&path, text, depth + 1);
        }
        let playbook = path.extension().is_some_and(|extension| extension == "yml" || extension == "yaml");
        playbook && fs::read_to_string(&path).is_ok_and(|content| content.contains(text))
    })
}
