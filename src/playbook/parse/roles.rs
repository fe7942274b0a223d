//! Roles: found, read, with the roles that they depend on.

use std::path::Path;
use std::sync::Arc;

use crate::place::Place;
use crate::playbook::files;
use crate::playbook::jinja::is_template;
use crate::playbook::model::{Item, Play, Role, Settings, Vars};
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

impl Reader {
    pub(super) fn around_role(&self, role: &Arc<Role>, settings: Settings, playbook: &Path) -> Around {
        let _ = self;
        let directory = role.path.join("tasks");
        Around {
            settings,
            role: Some(role.clone()),
            parents: vec![],
            file: directory.clone(),
            directory,
            playbook: playbook.to_owned(),
        }
    }

    pub(super) fn role_handlers(&mut self, around: &Around, role: &Role, play: &mut Play) {
        let items = self.handler_file(around, role, &role.handlers);
        self.add_handlers(play, items);
    }

    pub(super) fn handler_file(&mut self, around: &Around, role: &Role, name: &str) -> Vec<Item> {
        let Some(file) = files::main_file(&role.path, "handlers", name) else { return vec![] };
        let asked = Place::file(&file);
        let Some(node) = self.load(&file, &asked) else { return vec![] };
        let inside = Around { directory: directory(&file), file: file.clone(), ..around.clone() };
        self.tasks(&inside, &node, "handlers")
    }

    pub(super) fn role_entry(&mut self, path: &Path, entry: &Node, around: &Around, play: &mut Play, depth: usize) {
        if depth > 20 {
            self.problem(at(path, entry), "roles depend on each other without end");
            return;
        }
        let mut settings = around.settings.clone();
        let mut params = Vars::new();
        let name_node =
            if entry.text().is_some() { Some(entry) } else { entry.get("role").or_else(|| entry.get("name")) };
        for (key, value) in entry.entries() {
            match key.written().unwrap_or_default() {
                "vars" => params.extend(self.vars(path, value)),
                "role" => {}
                word if SHARED.contains(&word) => {}
                word => drop(params.insert(word.to_owned(), value.value())),
            }
        }
        self.settings(path, entry, &mut settings);
        settings.vars.clone_from(&around.settings.vars);
        let Some(name_node) = name_node else {
            self.problem(at(path, entry), "an entry of `roles` needs `role`");
            return;
        };
        let place = at(path, name_node);
        let name = name_node.written().unwrap_or_default().to_owned();
        let Some(role) = self.role(&name, params, &around.playbook, &place, &Parts::default()) else { return };
        let twice = play.roles.iter().any(|known| **known == *role);
        let (dependencies, again) = self.meta(&role);
        for dependency in dependencies {
            let mut inside = Around { settings: settings.clone(), ..around.clone() };
            inside.parents.insert(0, role.name.clone());
            self.role_entry(&role.path.join("meta/main.yml"), &dependency, &inside, play, depth + 1);
        }
        if twice && !again && around.settings.when == settings.when {
            return;
        }
        play.roles.push(role.clone());
        let items = self.role_tasks(&role, &Parts::default(), around, settings.clone(), &place);
        play.role_tasks.extend(items);
        let inside = self.around_role(&role, settings, &around.playbook);
        self.role_handlers(&inside, &role, play);
    }

    /// The roles that a role depends on, and whether it may run twice.
    fn meta(&mut self, role: &Role) -> (Vec<Node>, bool) {
        let Some(meta) = files::main_file(&role.path, "meta", "main") else { return (vec![], false) };
        let Some(node) = self.load(&meta, &Place::file(&meta)) else { return (vec![], false) };
        let again = node.get("allow_duplicates").is_some_and(|it| it.value() == serde_json::Value::Bool(true));
        let list = node.get("dependencies").map(|list| self.list(&meta, list, "dependencies").to_vec());
        (list.unwrap_or_default(), again)
    }

    /// Finds a role and reads its variables.
    pub(super) fn role(
        &mut self,
        name: &str,
        params: Vars,
        playbook: &Path,
        place: &Place,
        from: &Parts,
    ) -> Option<Arc<Role>> {
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
        Some(Arc::new(Role { name, path, defaults, vars, params, handlers: from.handlers.clone() }))
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

    pub(super) fn role_tasks(
        &mut self,
        role: &Arc<Role>,
        parts: &Parts,
        outer: &Around,
        settings: Settings,
        asked: &Place,
    ) -> Vec<Item> {
        let mut around = self.around_role(role, settings, &outer.playbook);
        around.parents = match &outer.role {
            Some(parent) => [std::slice::from_ref(&parent.name), &outer.parents].concat(),
            None => outer.parents.clone(),
        };
        let name = parts.tasks.as_str();
        let validated = match parts.validation {
            Validation::AsTheRoleSays => self.validation(role, name, &around),
            Validation::None => None,
        };
        let items = match files::main_file(&role.path, "tasks", name) {
            Some(file) => self.task_file(&around, &file, asked),
            None if name == "main" => vec![],
            None => {
                self.problem(asked.clone(), format!("role `{}` has no tasks `{name}`", role.name));
                vec![]
            }
        };
        validated.into_iter().chain(items).collect()
    }
}
