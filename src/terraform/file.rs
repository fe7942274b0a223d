//! `lxd_container_file`, `lxd_instance_file` and `incus_instance_file`.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::hcl::Value;
use crate::hcl::function::path;
use crate::place::Problem;
use crate::secret::Secret;
use crate::terraform::body::Filled;
use crate::terraform::object::default_project;
use crate::terraform::read::Read;

/// A file in an instance, as wanted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct File {
    /// The instance.
    pub instance: String,
    /// Absolute path in it.
    pub path: String,
    /// What is in it.
    pub content: Content,
    /// User id inside the instance.
    pub uid: u32,
    /// Group id inside the instance.
    pub gid: u32,
    /// Permission bits, e.g. `0o755`.
    pub mode: u32,
    /// Whether missing directories above it are made.
    pub directories: Directories,
}

/// What is in a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Content {
    /// This.
    Text(Secret),
    /// What is in a file of this computer.
    Source(PathBuf),
}

/// Whether missing directories above a file are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Directories {
    /// They are.
    Make,
    /// They must be there.
    Expect,
}

/// Returns whether resources called `name` are files.
pub fn is_one(name: &str) -> bool {
    matches!(name, "lxd_container_file" | "lxd_instance_file" | "incus_instance_file")
}

/// Makes a file of what its block says. Relative sources start in `root`.
pub fn build(filled: &Filled, root: &Path, read: &mut Read<'_>) -> File {
    default_project(filled, read);
    if read.truth(filled, "append", false) {
        let problem = Problem::new(filled.place("append"), "`append` is not supported");
        read.problems.push(problem.hint("what was appended before cannot be told from what was there"));
    }
    let either = |read: &mut Read<'_>, names: [&str; 3]| {
        let found = names.iter().find_map(|name| read.optional_text(filled, name));
        if found.is_none() {
            let message = format!("`{}` is missing", names[0]);
            read.problems.push(Problem::new(filled.place.clone(), message));
        }
        found.unwrap_or_default()
    };
    let instance = either(read, ["instance", "container_name", "instance_name"]);
    let target = either(read, ["target_path", "target_file", "target_path"]);
    if !target.is_empty() && !target.starts_with('/') && !read.is_pending(&target) {
        let place = filled.place(if filled.get("target_path").is_some() { "target_path" } else { "target_file" });
        read.problems.push(Problem::new(place, format!("`{target}` is no absolute path")));
    }
    File {
        instance,
        path: target,
        content: content(filled, root, read),
        uid: number(filled, "uid"),
        gid: number(filled, "gid"),
        mode: mode(filled, read),
        directories: if read.truth(filled, "create_directories", false) {
            Directories::Make
        } else {
            Directories::Expect
        },
    }
}

fn content(filled: &Filled, root: &Path, read: &mut Read<'_>) -> Content {
    let name = if filled.get("source_path").is_some() { "source_path" } else { "source" };
    match (read.optional_text(filled, "content"), read.optional_text(filled, name)) {
        (None, Some(source)) => {
            let file = path(root, &source);
            if !file.is_file() {
                read.problems.push(Problem::new(filled.place(name), format!("there is no file `{}`", file.display())));
            }
            Content::Source(file)
        }
        (Some(text), None) => Content::Text(Secret::new(text)),
        (text, _) => {
            let problem = Problem::new(filled.place.clone(), "a file has either `content` or a source");
            read.problems.push(problem);
            Content::Text(Secret::new(text.unwrap_or_default()))
        }
    }
}

fn number(filled: &Filled, name: &str) -> u32 {
    match filled.get(name).map(|value| value.clone().unmark().0) {
        Some(Value::Number(number)) => number.as_usize().and_then(|number| u32::try_from(number).ok()).unwrap_or(0),
        _ => 0,
    }
}

fn mode(filled: &Filled, read: &mut Read<'_>) -> u32 {
    let Some(written) = read.optional_text(filled, "mode") else { return 0o755 };
    let mode = u32::from_str_radix(&written, 8).ok().filter(|mode| *mode <= 0o7777);
    if mode.is_none() && !read.is_pending(&written) {
        let problem = Problem::new(filled.place("mode"), format!("`{written}` is no mode such as `0644`"));
        read.problems.push(problem);
    }
    mode.unwrap_or(0o755)
}
