//! Roles: found, read, with the roles that they depend on.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::{Value, json};

use crate::place::Place;
use crate::playbook::files;
use crate::playbook::jinja::is_template;
use crate::playbook::model::{Item, Role, Task, Vars};
use crate::playbook::parse::settings::SHARED;
use crate::playbook::parse::validation::Validation;
use crate::playbook::parse::{Around, Reader, at, directory};
use crate::yaml::Node;

/// Which files of a role are read.
#[derive(Clone, Debug)]
pub(super) struct Parts {
    pub(super) tasks: String,
    pub(super) vars: String,
    pub(super) defaults: String,
    pub(super) handlers: String,
    /// Whether its arguments are held to anything.
    pub(super) validation: Validation,
}

impl Default for Parts {
    fn default() -> Self {
        let main = || "main".to_owned();
        Self { tasks: main(), vars: main(), defaults: main(), handlers: main(), validation: Validation::default() }
    }
}

/// A role as it is used, with the roles that it depends on.
pub(super) struct Compiled {
    pub(super) role: Arc<Role>,
    /// Its tasks, those of its dependencies first.
    pub(super) items: Vec<Item>,
    /// Its handlers, those of its dependencies first.
    pub(super) handlers: Vec<Arc<Task>>,
}

impl Reader {
    fn around_role(&self, role: &Arc<Role>, outer: &Around) -> Around {
        let _ = self;
        let directory = role.path.join("tasks");
        Around {
            settings: outer.settings.clone(),
            role: Some(role.clone()),
            chain: outer.role.iter().chain(&outer.chain).cloned().collect(),
            file: directory.clone(),
            directory,
            playbook: outer.playbook.clone(),
        }
    }

    fn role_handlers(&mut self, around: &Around, role: &Role, name: &str) -> Vec<Arc<Task>> {
        let Some(file) = files::main_file(&role.path, "handlers", name) else { return vec![] };
        let asked = Place::file(&file);
        let Some(node) = self.load(&file, &asked) else { return vec![] };
        let inside = Around { directory: directory(&file), file: file.clone(), ..around.clone() };
        let items = self.tasks(&inside, &node, "handlers");
        self.handlers_of(items, &asked)
    }

    /// Reads an entry of `roles` or of `dependencies`.
    pub(super) fn role_entry(&mut self, path: &Path, entry: &Node, around: &Around) -> Option<Compiled> {
        let mut settings = around.settings.clone();
        let mut params = Vars::new();
        let name_node =
            if entry.text().is_some() { Some(entry) } else { entry.get("role").or_else(|| entry.get("name")) };
        for (key, value) in entry.entries() {
            match key.written().unwrap_or_default() {
                "role" => {}
                word if SHARED.contains(&word) => {}
                word => drop(params.insert(word.to_owned(), value.value())),
            }
        }
        let outer = std::mem::take(&mut settings.vars);
        self.settings(path, entry, &mut settings);
        let given = std::mem::replace(&mut settings.vars, outer);
        let Some(name_node) = name_node else {
            self.problem(at(path, entry), "an entry of `roles` needs `role`");
            return None;
        };
        let own = ["when", "tags"].map(|key| match entry.get(key).map(Node::value) {
            Some(Value::Array(list)) => list,
            own => own.into_iter().collect(),
        });
        let asked = Role { given, params, identity: json!(own).to_string(), ..Role::default() };
        let inside = Around { settings, ..around.clone() };
        let name = name_node.written().unwrap_or_default();
        self.compile(name, asked, &Parts::default(), &inside, &at(path, name_node))
    }

    /// Reads a role and all that it depends on. What `asked` says of its use is kept.
    pub(super) fn compile(
        &mut self,
        name: &str,
        asked: Role,
        parts: &Parts,
        around: &Around,
        place: &Place,
    ) -> Option<Compiled> {
        if self.depth > 20 {
            self.problem(place.clone(), "roles include or depend on each other without end");
            return None;
        }
        let mut role = Arc::new(self.role(name, asked, &around.playbook, place, parts)?);
        let (mut items, mut handlers, mut all) = (vec![], vec![], vec![]);
        self.depth += 1;
        if let Some((file, meta)) = self.meta(&role) {
            if !role.included {
                let repeats = meta.get("allow_duplicates").is_some_and(|it| it.value() == Value::Bool(true));
                Arc::make_mut(&mut role).repeats = repeats;
            }
            let outer = self.around_role(&role, around);
            let list = meta.get("dependencies").map(|list| self.list(&file, list, "dependencies").to_vec());
            for dependency in list.unwrap_or_default() {
                let Some(compiled) = self.role_entry(&file, &dependency, &outer) else { continue };
                all.extend(compiled.role.dependencies.iter().chain([&compiled.role]).cloned());
                items.extend(compiled.items);
                handlers.extend(compiled.handlers);
            }
            Arc::make_mut(&mut role).dependencies = all;
        }
        let inside = self.around_role(&role, around);
        items.extend(self.role_tasks(&role, parts, &inside, place));
        items.push(Item::End(role.clone()));
        handlers.extend(self.role_handlers(&inside, &role, &parts.handlers));
        self.depth -= 1;
        Some(Compiled { role, items, handlers })
    }

    /// What a role says of itself, and the file that it stands in.
    fn meta(&mut self, role: &Role) -> Option<(PathBuf, Node)> {
        let file = files::main_file(&role.path, "meta", "main")?;
        let node = self.load(&file, &Place::file(&file))?;
        Some((file, node))
    }

    /// Finds a role and reads its variables.
    fn role(&mut self, name: &str, asked: Role, playbook: &Path, place: &Place, from: &Parts) -> Option<Role> {
        if is_template(name) {
            self.problem(place.clone(), "templates in the name of a role are not supported here");
            return None;
        }
        let candidates = files::role_candidates(name, playbook, &self.reading.roles);
        let Some(path) = candidates.iter().find(|path| path.is_dir()).cloned() else {
            self.files.extend(candidates.first().cloned());
            let places: Vec<String> = candidates.iter().map(|path| format!("`{}`", path.display())).collect();
            self.problem(place.clone(), format!("there is no role `{name}` in {}", places.join(" or ")));
            return None;
        };
        self.roles.insert(path.clone());
        let defaults = self.role_vars(&path, "defaults", &from.defaults, place);
        let vars = self.role_vars(&path, "vars", &from.vars, place);
        let name = name.rsplit('/').next().unwrap_or(name).to_owned();
        let files = [&from.tasks, &from.vars, &from.defaults, &from.handlers];
        let identity = json!([path, files, asked.given, asked.params, asked.included, asked.identity]).to_string();
        Some(Role { name, path, defaults, vars, identity, ..asked })
    }

    /// Reads `main` of a directory of a role: a file, or every file of a directory of that name.
    fn role_vars(&mut self, role: &Path, kind: &str, name: &str, place: &Place) -> Vars {
        if let Some(file) = files::main_file(role, kind, name) {
            let node = self.load(&file, &Place::file(&file));
            return node.map(|node| self.vars(&file, &node)).unwrap_or_default();
        }
        let whole = role.join(kind).join(name);
        if name == "main" && whole.is_dir() {
            let mut vars = Vars::new();
            for file in files::below(&whole) {
                if let Some(node) = self.load(&file, &Place::file(&file)) {
                    vars.extend(self.vars(&file, &node));
                }
            }
            return vars;
        }
        if name != "main" {
            self.problem(place.clone(), format!("the role has no {kind} `{name}`"));
        }
        Vars::new()
    }

    fn role_tasks(&mut self, role: &Arc<Role>, parts: &Parts, around: &Around, asked: &Place) -> Vec<Item> {
        let name = parts.tasks.as_str();
        let validated = match parts.validation {
            Validation::AsTheRoleSays => self.validation(role, name, around),
            Validation::None => None,
        };
        let items = match files::main_file(&role.path, "tasks", name) {
            Some(file) => self.task_file(around, &file, asked),
            None if name == "main" => vec![],
            None => {
                self.problem(asked.clone(), format!("role `{}` has no tasks `{name}`", role.name));
                vec![]
            }
        };
        validated.into_iter().chain(items).collect()
    }
}
