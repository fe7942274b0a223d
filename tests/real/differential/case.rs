//! A case: a list of tasks, and the playbook that is made of it.

use std::fs;
use std::path::Path;

use sha2::{Digest as _, Sha256};

use crate::support::work::copy;

/// What stands around the tasks: each result is kept, and all of them are written down at the end.
pub const FRAME: &str = "\
- name: Twin
  hosts: twin
  tasks:
TASKS
    - name: Results
      copy: {dest: /root/results.json, content: \"{{ [RESULTS] | to_json }}\", mode: '0600'}
";

/// A list of tasks.
#[derive(Clone, Debug)]
pub struct Case {
    /// The file's name without its end.
    pub name: String,
    /// The file.
    pub text: String,
    /// Debian packages that are there before.
    pub needs: Vec<String>,
    /// The tasks' names, in order.
    pub tasks: Vec<String>,
}

impl Case {
    /// Reads all of them but the list of differences.
    pub fn all(folder: &Path) -> Vec<Self> {
        let mut names: Vec<String> = fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter_map(|name| name.strip_suffix(".yml").map(str::to_owned))
            .filter(|name| name != "differences")
            .collect();
        names.sort_unstable();
        names
            .iter()
            .map(|name| Self::of(name, fs::read_to_string(folder.join(format!("{name}.yml"))).unwrap()))
            .collect()
    }

    /// A case of this text.
    pub fn of(name: &str, text: String) -> Self {
        let needs = text.lines().next().and_then(|line| line.strip_prefix("# needs: ")).unwrap_or_default();
        let needs = needs.split_whitespace().map(str::to_owned).collect();
        let tasks = chunks(&text).iter().map(|chunk| title(chunk)).collect();
        Self { name: name.to_owned(), needs, tasks, text }
    }

    /// A digest of the case, its files and of `more`.
    pub fn digest(&self, more: &[&str]) -> String {
        let mut hash = Sha256::new();
        for part in more.iter().copied().chain([self.text.as_str()]) {
            hash.update(part.len().to_le_bytes());
            hash.update(part);
        }
        for part in ["files", "templates"] {
            let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/differential").join(part);
            files(&folder.join(&self.name), &mut hash);
        }
        hex::encode(hash.finalize())[..16].to_owned()
    }

    /// Writes playbook, files and inventory into `directory`.
    pub fn write(&self, directory: &Path, folder: &Path, inventory: &str) {
        let mut tasks = String::new();
        let mut results = vec![];
        for (number, chunk) in chunks(&self.text).iter().enumerate() {
            let mut lines: Vec<&str> = chunk.lines().collect();
            let register = format!("  register: result_{number}");
            if chunk.contains("\n  block:") {
                results.push("{}".to_owned());
            } else if let Some(own) = lines.iter().find_map(|line| line.strip_prefix("  register: ")) {
                results.push(format!("{} | default({{}})", own.trim()));
            } else {
                lines.insert(1, &register);
                results.push(format!("result_{number} | default({{}})"));
            }
            // A task that fails is compared like any other, and the rest is played.
            if !chunk.contains("\n  block:") && !chunk.contains("\n  ignore_errors:") {
                lines.insert(1, "  ignore_errors: yes");
            }
            for line in lines {
                tasks.extend(["    ", line, "\n"]);
            }
        }
        let playbook = FRAME.replace("TASKS\n", &tasks).replace("RESULTS", &results.join(", "));
        fs::write(directory.join("play.yml"), playbook).unwrap();
        fs::write(directory.join("inventory"), inventory).unwrap();
        for part in ["files", "templates"] {
            if folder.join(part).join(&self.name).is_dir() {
                copy(&folder.join(part).join(&self.name), &directory.join(part).join(&self.name));
            }
        }
    }
}

/// The tasks as written.
fn chunks(text: &str) -> Vec<String> {
    let mut chunks: Vec<String> = vec![];
    for line in text.lines() {
        if line.starts_with("- ") {
            chunks.push(String::new());
        }
        if let Some(chunk) = chunks.last_mut() {
            chunk.push_str(line);
            chunk.push('\n');
        }
    }
    chunks
}

fn title(chunk: &str) -> String {
    let first = chunk.lines().next().unwrap();
    let name = first.strip_prefix("- name:").unwrap_or_else(|| panic!("a task begins with `- name:`, not `{first}`"));
    name.trim().trim_matches(['"', '\'']).to_owned()
}

fn files(path: &Path, hash: &mut Sha256) {
    let Ok(entries) = fs::read_dir(path) else { return };
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    for path in paths {
        hash.update(path.file_name().unwrap().as_encoded_bytes());
        if path.is_dir() { files(&path, hash) } else { hash.update(fs::read(&path).unwrap()) }
    }
}
