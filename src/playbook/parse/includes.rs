//! `include_tasks`, `import_tasks`, `include_role` and `import_role`.

use std::sync::Arc;

use serde_json::json;

use crate::place::Place;
use crate::playbook::files;
use crate::playbook::jinja;
use crate::playbook::model::{Block, Brought, Include, Item, Role, Settings, Task, Vars, Written};
use crate::playbook::parse::roles::{Compiled, Parts};
use crate::playbook::parse::validation::Validation;
use crate::playbook::parse::{Around, Reader, at};
use crate::yaml::{Kind, Node};

/// How deep files may include each other that are known when they are reached.
const DEEPEST: usize = 50;

/// What an include wants, rendered for one host and one item.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Wanted {
    /// The tasks of a file.
    File(String),
    /// The tasks of a role.
    Role {
        /// Its name.
        name: String,
        /// `tasks_from`.
        tasks: String,
        /// `vars_from`.
        vars: String,
        /// `defaults_from`.
        defaults: String,
        /// `handlers_from`.
        handlers: String,
    },
}

/// What an include brings.
#[derive(Clone, Debug, Default)]
pub struct Included {
    /// Its tasks.
    pub items: Vec<Item>,
    /// What its roles bring to the play.
    pub brought: Brought,
}

/// When tasks are read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum When {
    /// With the playbook.
    Now,
    /// When they are reached, but it is known what they are.
    Again,
    /// When they are reached: only then it is known what they are.
    Late,
}

fn when(task: &Task, names: &[Option<&Written>]) -> When {
    match names.iter().flatten().any(|name| name.text().is_some_and(jinja::is_template)) {
        true => When::Late,
        false if task.repeat.is_some() => When::Again,
        false => When::Now,
    }
}

fn parts_of(task: &Task) -> Parts {
    let text = |name: &str| task.arg(name).and_then(Written::text).unwrap_or("main").to_owned();
    let bare = |name: &str| {
        let text = text(name);
        text.strip_suffix(".yml").or_else(|| text.strip_suffix(".yaml")).unwrap_or(&text).to_owned()
    };
    Parts {
        tasks: bare("tasks_from"),
        vars: bare("vars_from"),
        defaults: bare("defaults_from"),
        handlers: bare("handlers_from"),
        validation: Validation::of(task),
    }
}

impl Reader {
    /// What included tasks have from around them. An `include_…` hands down nothing of its own but variables and what
    /// `apply` says; an `import_…` hands down everything.
    fn inside(&mut self, around: &Around, task: &Task, apply: Option<&Node>) -> Settings {
        let imports = task.module.starts_with("import_");
        let mut settings = if imports {
            task.settings.clone()
        } else {
            Settings { params: task.settings.params.clone(), ..around.settings.clone() }
        };
        if let Some(role) = around.role.as_ref().filter(|_| task.module.ends_with("_role")) {
            // What the role around it was given is stronger, as in Ansible.
            settings.params.extend(role.params.clone());
        }
        if let Some(apply) = apply.filter(|_| !imports) {
            if !matches!(apply.kind, Kind::Map(_)) {
                self.problem(at(&around.file, apply), format!("`apply` must be a mapping, not {}", apply.describe()));
            }
            self.settings(&around.file, apply, &mut settings);
        }
        settings
    }

    /// `include_tasks` and `import_tasks`: the tasks take the place of the include.
    pub(super) fn included_file(&mut self, around: &Around, task: &Task, apply: Option<&Node>) -> Option<Item> {
        let named = task.arg("file").or(task.free_form.as_ref());
        let Some(name) = named.and_then(Written::text) else {
            self.problem(task.place.clone(), format!("`{}` needs a file", task.module));
            return None;
        };
        let place = named.map_or_else(|| task.place.clone(), |named| named.place.clone());
        let settings = self.inside(around, task, apply);
        let when = when(task, &[named]);
        if when == When::Late {
            return self.late(around, task, settings, &place);
        }
        let file = self.file_of(around, name);
        // Whether it is missed depends on its conditions.
        if !file.exists() && !task.settings.when.is_empty() && task.module == "include_tasks" {
            self.files.insert(file);
            return self.late(around, task, settings, &place);
        }
        // Whether it ends is seen when it is reached.
        if task.module == "include_tasks" && self.open.contains(&file) {
            return self.late(around, task, settings, &place);
        }
        let inside = Around { settings, ..around.clone() };
        let block = self.in_place(task, |reader| reader.task_file(&inside, &file, &place));
        if when == When::Again {
            return self.late(around, task, inside.settings, &place);
        }
        Some(block)
    }

    /// Puts what an include brings in its place. An `include_…` is asked once for all: only then do roles in it bring
    /// anything to the play.
    fn in_place(&mut self, task: &Task, read: impl FnOnce(&mut Self) -> Vec<Item>) -> Item {
        if task.module.starts_with("import_") {
            return Item::Block(Arc::new(Block { body: read(self), ..Block::default() }));
        }
        let outer = std::mem::take(&mut self.brought);
        let body = read(self);
        let brought = std::mem::replace(&mut self.brought, outer);
        Item::Block(Arc::new(Block { gate: Some(Arc::new(task.clone())), brought, body, ..Block::default() }))
    }

    fn file_of(&self, around: &Around, name: &str) -> std::path::PathBuf {
        let _ = self;
        let role = around.role.as_ref().map(|role| role.path.as_path());
        let mut candidates = vec![around.directory.join(name)];
        candidates.extend(files::candidates("tasks", name, role, &around.directory, &around.playbook));
        files::find(&candidates).unwrap_or(&candidates[0]).clone()
    }

    /// Keeps an include for the time when it is reached; an import cannot wait.
    fn late(&mut self, around: &Around, task: &Task, settings: Settings, place: &Place) -> Option<Item> {
        if task.module.starts_with("import_") {
            let message = format!("templates and loops with `{}` are not supported: use `include_…`", task.module);
            self.problem(place.clone(), message);
            return None;
        }
        Some(Item::Include(Arc::new(Include {
            task: Arc::new(task.clone()),
            settings,
            playbook: around.playbook.clone(),
            depth: self.late,
        })))
    }

    pub(super) fn included_role(&mut self, around: &Around, task: &Task, apply: Option<&Node>) -> Option<Item> {
        let named = task.arg("name").or_else(|| task.arg("role"));
        let Some(name) = named.and_then(Written::text) else {
            self.problem(task.place.clone(), format!("`{}` needs `name`", task.module));
            return None;
        };
        let place = named.map_or_else(|| task.place.clone(), |name| name.place.clone());
        let settings = self.inside(around, task, apply);
        let parts = ["tasks_from", "vars_from", "defaults_from", "handlers_from"].map(|part| task.arg(part));
        let when = when(task, &[&[named], &parts[..]].concat());
        if when == When::Late {
            return self.late(around, task, settings, &place);
        }
        let inside = Around { settings, ..around.clone() };
        let block = self.in_place(task, |reader| {
            let compiled = reader.compile(name, asked(task, &Vars::new()), &parts_of(task), &inside, &place);
            compiled.map(|compiled| reader.bring(task, compiled)).unwrap_or_default()
        });
        if when == When::Again {
            return self.late(around, task, inside.settings, &place);
        }
        Some(block)
    }

    /// Keeps what a role brings to the play. Returns its tasks.
    fn bring(&mut self, task: &Task, compiled: Compiled) -> Vec<Item> {
        if task.module == "import_role" || task.says("public") == Some(true) {
            self.brought.roles.push(compiled.role);
        }
        self.brought.handlers.extend(compiled.handlers);
        compiled.items
    }

    /// Reads what an include wants.
    pub(super) fn resolve(&mut self, include: &Include, wanted: &Wanted, vars: &Vars) -> Included {
        let task = &include.task;
        if include.depth >= DEEPEST {
            self.problem(task.place.clone(), "task files include each other without end");
            return Included::default();
        }
        self.late = include.depth + 1;
        let mut settings = include.settings.clone();
        settings.params.extend(vars.clone());
        let around = Around {
            settings,
            role: task.role.clone(),
            chain: task.chain.clone(),
            directory: task.directory.clone(),
            playbook: include.playbook.clone(),
            file: task.place.file.clone(),
        };
        let items = match wanted {
            Wanted::File(name) => {
                let file = self.file_of(&around, name);
                self.task_file(&around, &file, &task.place)
            }
            Wanted::Role { name, tasks, vars: from, defaults, handlers } => {
                let parts = Parts {
                    tasks: tasks.clone(),
                    vars: from.clone(),
                    defaults: defaults.clone(),
                    handlers: handlers.clone(),
                    validation: Validation::of(task),
                };
                let compiled = self.compile(name, asked(task, vars), &parts, &around, &task.place);
                compiled.map(|compiled| self.bring(task, compiled)).unwrap_or_default()
            }
        };
        Included { items, brought: std::mem::take(&mut self.brought) }
    }
}

/// How a task uses a role, with the variables of its loop.
fn asked(task: &Task, vars: &Vars) -> Role {
    Role {
        identity: json!([task.vars, vars]).to_string(),
        repeats: task.says("allow_duplicates") != Some(false),
        included: true,
        ..Role::default()
    }
}
