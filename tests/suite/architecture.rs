//! Who may import whom, as a table: a change of the architecture is a change of this file.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Part → the parts that it may import. `main` sees only the library from outside.
const MAY_IMPORT: &[(&str, &[&str])] = &[
    // Words: know nothing of ours.
    ("event", &[]),
    ("place", &[]),
    ("resolve", &[]),
    ("secret", &[]),
    ("yaml", &[]),
    // Seams.
    ("http", &[]),
    ("machine", &[]),
    // Carriers: implement a seam.
    ("local", &["machine"]),
    ("wire", &["http"]),
    ("ssh", &["event", "http", "machine", "resolve", "secret", "wireguard"]),
    ("container", &["lxd", "machine"]),
    // Clients: speak to one kind of server. The agent runs modules on its target, and this computer is one.
    ("consul", &["http", "secret"]),
    ("git", &["event"]),
    ("playbooks", &[]),
    ("lxd", &["event", "http", "secret"]),
    ("restic", &["event", "secret"]),
    ("sql", &["http", "secret"]),
    ("wireguard", &["place", "resolve", "secret"]),
    ("agent", &["archive", "local", "machine", "module", "playbook", "secret"]),
    // Engines: give meaning to what repositories say. Modules run on both sides of the wire: the playbook plans with
    // them here, the agent acts with them there.
    ("archive", &[]),
    ("module", &["archive", "event", "git", "place", "restic", "secret", "sql"]),
    ("hcl", &["place", "yaml"]),
    ("project", &["hcl", "packer", "place", "playbook", "secret", "terraform", "yaml"]),
    ("packer", &["hcl", "place", "yaml"]),
    ("terraform", &["hcl", "place", "secret", "yaml"]),
    ("backend", &["event", "module", "playbook"]),
    ("playbook", &["agent", "event", "machine", "module", "place", "secret", "yaml"]),
    // Flows: what happens, in which order. A plan is what a flow makes and carries out: the two are one layer.
    ("plan", &["agent", "backend", "flow", "packer", "project", "terraform"]),
    (
        "flow",
        &[
            "agent",
            "archive",
            "backend",
            "consul",
            "container",
            "event",
            "git",
            "hcl",
            "http",
            "local",
            "lxd",
            "machine",
            "module",
            "packer",
            "place",
            "plan",
            "playbook",
            "playbooks",
            "project",
            "restic",
            "secret",
            "sql",
            "terraform",
            "wireguard",
            "yaml",
        ],
    ),
    // Edge: sees everything below; `ui` knows only events and how a failure is written.
    ("ui", &["event", "failure", "secret"]),
    ("failure", &EVERYTHING_BELOW_THE_EDGE),
    ("rig", &EVERYTHING_BELOW_THE_EDGE),
    ("cli", &CLI),
];

const EVERYTHING_BELOW_THE_EDGE: [&str; 32] = [
    "agent",
    "archive",
    "backend",
    "consul",
    "container",
    "event",
    "flow",
    "git",
    "hcl",
    "http",
    "local",
    "lxd",
    "machine",
    "module",
    "packer",
    "place",
    "plan",
    "playbook",
    "playbooks",
    "project",
    "resolve",
    "restic",
    "secret",
    "sql",
    "ssh",
    "terraform",
    "ui",
    "wire",
    "wireguard",
    "yaml",
    "failure",
    "rig",
];

const CLI: [&str; 32] = EVERYTHING_BELOW_THE_EDGE;

/// An import that the table does not have.
#[derive(Debug, PartialEq, Eq)]
struct Breach {
    file: PathBuf,
    line: usize,
    import: String,
}

fn part(file: &Path) -> String {
    let first = file.components().next().unwrap();
    Path::new(&first).with_extension("").display().to_string()
}

/// Returns the parts that a line of code names: `crate::a::b`, `crate::{a, b::c}`. Comments name nothing.
fn imports(line: &str) -> Vec<String> {
    let code = line.split("//").next().unwrap();
    let mut found = vec![];
    for rest in code.split("crate::").skip(1) {
        let name =
            |text: &str| text.trim().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
        match rest.strip_prefix('{') {
            None => found.push(name(rest)),
            Some(list) => found.extend(top_level(list).iter().map(|item| name(item))),
        }
    }
    found
}

/// Cuts `a, b::{c, d}, e}` at the commas that are not within braces, up to the closing one.
fn top_level(list: &str) -> Vec<String> {
    let (mut items, mut depth) = (vec![String::new()], 0);
    for c in list.chars() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                items.push(String::new());
                continue;
            }
            _ => {}
        }
        items.last_mut().unwrap().push(c);
    }
    items.retain(|item| !item.trim().is_empty());
    items
}

/// Joins lines, so that a list over several lines is read as one; keeps the number of the first.
fn statements(text: &str) -> Vec<(usize, String)> {
    let mut statements: Vec<(usize, String)> = vec![];
    let mut open = false;
    for (number, line) in (1..).zip(text.lines()) {
        let code = line.split("//").next().unwrap();
        match statements.last_mut().filter(|_| open) {
            Some((_, statement)) => statement.push_str(code),
            None => statements.push((number, code.to_owned())),
        }
        open = statements.last().is_some_and(|(_, statement)| {
            statement.trim_start().trim_start_matches("pub ").starts_with("use ") && !statement.contains(';')
        });
    }
    statements
}

fn breaches(file: &Path, text: &str) -> Vec<Breach> {
    let table: BTreeMap<&str, &[&str]> = MAY_IMPORT.iter().copied().collect();
    let part = part(file);
    let allowed = table.get(part.as_str()).unwrap_or_else(|| panic!("`{part}` is not in the table of {}", file!()));
    statements(text)
        .into_iter()
        .flat_map(|(line, code)| imports(&code).into_iter().map(move |import| (line, import)))
        .filter(|(_, import)| *import != part && !allowed.contains(&import.as_str()))
        .map(|(line, import)| Breach { file: file.to_owned(), line, import })
        .collect()
}

fn sources() -> Vec<(PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let (mut folders, mut files) = (vec![root.clone()], vec![]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                files.push((path.strip_prefix(&root).unwrap().to_owned(), text));
            }
        }
    }
    files.retain(|(path, _)| path != Path::new("main.rs") && path != Path::new("lib.rs"));
    files.sort();
    files
}

#[test]
fn imports_go_down_the_architecture() {
    let found: Vec<Breach> = sources().iter().flat_map(|(file, text)| breaches(file, text)).collect();
    let told: Vec<String> = found
        .iter()
        .map(|Breach { file, line, import }| format!("src/{}:{line} imports `{import}`", file.display()))
        .collect();
    assert!(told.is_empty(), "against the table of {}:\n{}", file!(), told.join("\n"));
}

#[test]
fn the_table_names_every_part_and_no_other() {
    let parts: BTreeSet<String> = sources().iter().map(|(file, _)| part(file)).collect();
    let table: BTreeSet<String> = MAY_IMPORT.iter().map(|(part, _)| (*part).to_owned()).collect();
    assert_eq!(parts, table);
}

#[test]
fn a_seeded_breach_is_found_with_its_file_and_line() {
    let text = "//! Words; `crate::flow` in a comment is none.\n\
                use std::fmt;\n\
                \n\
                use crate::{\n    event::Event,\n    lxd::{model::Instance, Client},\n};\n\
                fn f() { crate::flow::deploy(); } // crate::cli\n";
    let file = Path::new("event/deep.rs");
    let breach = |line, import: &str| Breach { file: file.to_owned(), line, import: import.to_owned() };
    assert_eq!(breaches(file, text), [breach(4, "lxd"), breach(8, "flow")]);
    assert_eq!(
        breaches(Path::new("flow.rs"), "use crate::ssh::Session;"),
        [Breach { file: PathBuf::from("flow.rs"), line: 1, import: "ssh".to_owned() }]
    );
}
