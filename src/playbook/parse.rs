//! Files → [`Playbook`]. Everything that is not known is a [`Problem`]; reading goes on behind it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::Value;

use crate::place::{Place, Problem, nearest};
use crate::playbook::model::{Brought, Include, Item, Playbook, Role, Settings, Task, Vars, Written};
use crate::playbook::reading::Reading;
use crate::yaml::{Kind, Node};

mod arguments;
mod includes;
mod loops;
mod play;
mod roles;
mod settings;
mod tasks;
mod validation;

pub use includes::{Included, Wanted};

/// What was read, and what stood in the way.
#[derive(Debug, Default)]
pub struct Reader {
    /// What cannot be carried out.
    pub problems: Vec<Problem>,
    /// Every file that was read or should have been there.
    pub files: BTreeSet<PathBuf>,
    /// Directories of the roles in use.
    pub roles: BTreeSet<PathBuf>,
    reading: Reading,
    /// What the roles bring that were imported so far.
    brought: Brought,
    depth: usize,
    /// Files of tasks that are being read, each included by the one before.
    open: Vec<PathBuf>,
    /// How many includes all of this is in that were known when they were reached.
    late: usize,
}

/// What surrounds a list of tasks.
#[derive(Clone)]
struct Around {
    settings: Settings,
    role: Option<Arc<Role>>,
    /// The roles that brought that role, the nearest first.
    chain: Vec<Arc<Role>>,
    /// The directory of the file.
    directory: PathBuf,
    /// The directory of the playbook.
    playbook: PathBuf,
    file: PathBuf,
}

/// Reads a playbook and everything that it imports.
pub fn playbook(path: &Path, reading: &Reading) -> (Playbook, Reader) {
    let mut reader = Reader { reading: reading.clone(), ..Reader::default() };
    let plays = reader.plays(path, &Place::file(path), &Settings::default());
    reader.problems.sort();
    reader.problems.dedup();
    (Playbook { path: path.to_owned(), plays }, reader)
}

/// Reads what an include brings, now that it is known what it wants.
///
/// # Errors
///
/// What cannot be carried out of it.
pub fn included(include: &Include, wanted: &Wanted, vars: &Vars, reading: &Reading) -> Result<Included, Vec<Problem>> {
    let mut reader = Reader { reading: reading.clone(), ..Reader::default() };
    let included = reader.resolve(include, wanted, vars);
    if reader.problems.is_empty() { Ok(included) } else { Err(reader.problems) }
}

impl Reader {
    fn problem(&mut self, place: Place, message: impl Into<String>) {
        self.problems.push(Problem::new(place, message));
    }

    /// Reads a YAML file; nothing if it is empty or cannot be read.
    fn load(&mut self, path: &Path, asked: &Place) -> Option<Node> {
        self.files.insert(path.to_owned());
        if let Err(error) = std::fs::metadata(path)
            && error.kind() == std::io::ErrorKind::NotFound
        {
            self.problem(asked.clone(), format!("`{}` is not there", path.display()));
            return None;
        }
        match self.reading.documents(path) {
            Ok(mut documents) if documents.len() <= 1 => documents.pop().filter(|node| node.kind != Kind::Null),
            Ok(documents) => {
                let second = &documents[1];
                self.problem(Place::new(path, second.line, second.column), "there is more than one document");
                None
            }
            Err(problem) => {
                self.problems.push(*problem);
                None
            }
        }
    }

    fn list<'n>(&mut self, file: &Path, node: &'n Node, what: &str) -> &'n [Node] {
        match &node.kind {
            Kind::Seq(items) => items,
            Kind::Null => &[],
            _ => {
                self.problem(at(file, node), format!("`{what}` must be a list, not {}", node.describe()));
                &[]
            }
        }
    }

    fn vars(&mut self, file: &Path, node: &Node) -> Vars {
        match &node.kind {
            Kind::Null => Vars::new(),
            Kind::Map(_) => match node.value() {
                Value::Object(map) => map,
                _ => Vars::new(),
            },
            Kind::Seq(items) if items.iter().all(|item| matches!(item.kind, Kind::Map(_))) => {
                items.iter().flat_map(|item| self.vars(file, item)).collect()
            }
            _ => {
                self.problem(at(file, node), format!("variables must be a mapping, not {}", node.describe()));
                Vars::new()
            }
        }
    }

    fn unknown(&mut self, place: Place, what: &str, word: &str, known: &[&str]) {
        let mut problem = Problem::new(place, format!("{what} has no keyword `{word}`"));
        if let Some(close) = nearest(word, known.iter().copied()) {
            problem = problem.hint(format!("did you mean `{close}`?"));
        }
        self.problems.push(problem);
    }

    fn task_file(&mut self, around: &Around, file: &Path, asked: &Place) -> Vec<Item> {
        if self.depth > 20 {
            self.problem(asked.clone(), "task files include each other without end");
            return vec![];
        }
        self.depth += 1;
        self.open.push(file.to_owned());
        let items = self.load(file, asked).map(|node| {
            let inside = Around { directory: directory(file), file: file.to_owned(), ..around.clone() };
            self.tasks(&inside, &node, "tasks")
        });
        self.open.pop();
        self.depth -= 1;
        items.unwrap_or_default()
    }
}

/// Calls `work` with every task.
pub fn each_task(items: &[Item], work: &mut dyn FnMut(&Arc<Task>)) {
    for item in items {
        match item {
            Item::Task(task) => work(task),
            Item::Include(include) => work(&include.task),
            Item::End(_) => {}
            Item::Block(block) => {
                block.gate.iter().for_each(&mut *work);
                each_task(&block.body, work);
                each_task(&block.rescue, work);
                each_task(&block.always, work);
            }
        }
    }
}

/// Calls `work` with what roles bring that are included on the way.
pub fn each_brought(items: &[Item], work: &mut dyn FnMut(&Brought)) {
    for item in items {
        if let Item::Block(block) = item {
            work(&block.brought);
            for list in [&block.body, &block.rescue, &block.always] {
                each_brought(list, work);
            }
        }
    }
}

fn first_place(items: &[Item]) -> Option<Place> {
    let mut place = None;
    each_task(items, &mut |task| {
        place.get_or_insert_with(|| task.place.clone());
    });
    place
}

fn at(file: &Path, node: &Node) -> Place {
    Place::new(file, node.line, node.column)
}

fn written(file: &Path, node: &Node) -> Written {
    Written { value: node.value(), place: at(file, node) }
}

fn directory(path: &Path) -> PathBuf {
    match path.parent() {
        Some(parent) if parent.as_os_str().is_empty() => PathBuf::from("."),
        Some(parent) => parent.to_owned(),
        None => PathBuf::from("."),
    }
}
