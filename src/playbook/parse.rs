//! Files → [`Playbook`]. Everything that is not known is a [`Problem`]; reading goes on behind it.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::Value;

use crate::place::{Place, Problem, nearest};
use crate::playbook::files;
use crate::playbook::model::{Gather, Item, Play, Playbook, Role, Settings, Task, Vars, Written};
use crate::yaml::{self, Dialect, Kind, Node};

mod tasks;

/// The keywords of a play.
const PLAY: &[&str] = &[
    "any_errors_fatal",
    "become",
    "become_method",
    "become_user",
    "check_mode",
    "collections",
    "connection",
    "environment",
    "gather_facts",
    "gather_subset",
    "gather_timeout",
    "handlers",
    "hosts",
    "ignore_errors",
    "name",
    "no_log",
    "post_tasks",
    "pre_tasks",
    "remote_user",
    "roles",
    "run_once",
    "serial",
    "strategy",
    "tags",
    "tasks",
    "vars",
    "vars_files",
];

/// What was read, and what stood in the way.
#[derive(Debug, Default)]
pub struct Reader {
    /// What cannot be carried out.
    pub problems: Vec<Problem>,
    /// Every file that was read or should have been there.
    pub files: BTreeSet<PathBuf>,
    /// Directories of the roles in use.
    pub roles: BTreeSet<PathBuf>,
    depth: usize,
}

/// What surrounds a list of tasks.
#[derive(Clone)]
struct Around {
    settings: Settings,
    role: Option<Arc<Role>>,
    /// The directory of the file.
    directory: PathBuf,
    /// The directory of the playbook.
    playbook: PathBuf,
    file: PathBuf,
}

/// Reads a playbook and everything that it imports.
pub fn playbook(path: &Path) -> (Playbook, Reader) {
    let mut reader = Reader::default();
    let plays = reader.plays(path, &Place::file(path), &Settings::default());
    reader.problems.sort();
    reader.problems.dedup();
    (Playbook { path: path.to_owned(), plays }, reader)
}

impl Reader {
    fn problem(&mut self, place: Place, message: impl Into<String>) {
        self.problems.push(Problem::new(place, message));
    }

    /// Reads a YAML file; nothing if it is empty or cannot be read.
    fn load(&mut self, path: &Path, asked: &Place) -> Option<Node> {
        self.files.insert(path.to_owned());
        let text = match fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) => {
                let what = match error.kind() {
                    std::io::ErrorKind::NotFound => format!("`{}` is not there", path.display()),
                    _ => format!("cannot read `{}`: {error}", path.display()),
                };
                self.problem(asked.clone(), what);
                return None;
            }
        };
        match yaml::load(&text, Dialect::Ansible) {
            Ok(mut documents) if documents.len() <= 1 => documents.pop().filter(|node| node.kind != Kind::Null),
            Ok(documents) => {
                let second = &documents[1];
                self.problem(Place::new(path, second.line, second.column), "there is more than one document");
                None
            }
            Err(error) => {
                self.problem(Place::new(path, error.line, error.column), format!("not YAML: {}", error.message));
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
            Kind::Map(_) => {
                self.no_vault(file, node);
                match node.value() {
                    Value::Object(map) => map,
                    _ => Vars::new(),
                }
            }
            Kind::Seq(items) if items.iter().all(|item| matches!(item.kind, Kind::Map(_))) => {
                items.iter().flat_map(|item| self.vars(file, item)).collect()
            }
            _ => {
                self.problem(at(file, node), format!("variables must be a mapping, not {}", node.describe()));
                Vars::new()
            }
        }
    }

    fn no_vault(&mut self, file: &Path, node: &Node) {
        if node.tag.as_deref() == Some("!vault") {
            self.problem(at(file, node), "values encrypted by `ansible-vault` are not supported");
        }
        match &node.kind {
            Kind::Map(entries) => entries.iter().for_each(|(_, value)| self.no_vault(file, value)),
            Kind::Seq(items) => items.iter().for_each(|item| self.no_vault(file, item)),
            _ => {}
        }
    }

    fn unknown(&mut self, place: Place, what: &str, word: &str, known: &[&str]) {
        let mut problem = Problem::new(place, format!("{what} has no keyword `{word}`"));
        if let Some(close) = nearest(word, known.iter().copied()) {
            problem = problem.hint(format!("did you mean `{close}`?"));
        }
        self.problems.push(problem);
    }

    fn plays(&mut self, path: &Path, asked: &Place, outer: &Settings) -> Vec<Play> {
        if self.depth > 20 {
            self.problem(asked.clone(), "playbooks import each other without end");
            return vec![];
        }
        let Some(node) = self.load(path, asked) else { return vec![] };
        self.depth += 1;
        let mut plays = vec![];
        for item in self.list(path, &node, "a playbook").to_vec() {
            let import = item.get("import_playbook").or_else(|| item.get("ansible.builtin.import_playbook")).cloned();
            match import {
                Some(import) => plays.extend(self.import(path, &item, &import, outer)),
                None => plays.extend(self.play(path, &item, outer)),
            }
        }
        self.depth -= 1;
        plays
    }

    fn import(&mut self, path: &Path, item: &Node, import: &Node, outer: &Settings) -> Vec<Play> {
        let known = ["import_playbook", "ansible.builtin.import_playbook", "name", "tags", "vars", "when"];
        let mut settings = outer.clone();
        for (key, value) in item.entries() {
            match key.written().unwrap_or_default() {
                "when" => settings.when.extend(self.conditions(path, value)),
                "vars" => settings.vars.extend(self.vars(path, value)),
                word if known.contains(&word) => {}
                word => self.unknown(at(path, key), "`import_playbook`", word, &known),
            }
        }
        match import.text() {
            Some(name) if !crate::playbook::jinja::is_template(name) => {
                self.plays(&directory(path).join(name), &at(path, import), &settings)
            }
            _ => {
                self.problem(at(path, import), "`import_playbook` must name a file, without templates");
                vec![]
            }
        }
    }

    fn play(&mut self, path: &Path, node: &Node, outer: &Settings) -> Option<Play> {
        if !matches!(node.kind, Kind::Map(_)) {
            self.problem(at(path, node), format!("a play must be a mapping, not {}", node.describe()));
            return None;
        }
        for (key, value) in node.entries() {
            let word = key.written().unwrap_or_default();
            let supported = match word {
                "strategy" => value.text().is_some_and(|name| matches!(name, "linear" | "ansible.builtin.linear")),
                "serial"
                | "vars_prompt"
                | "max_fail_percentage"
                | "force_handlers"
                | "module_defaults"
                | "order"
                | "port"
                | "throttle" => false,
                _ if PLAY.contains(&word) => true,
                _ => {
                    self.unknown(at(path, key), "a play", word, PLAY);
                    true
                }
            };
            if !supported {
                self.problem(at(path, key), format!("`{word}` of a play is not supported"));
            }
        }
        let Some(hosts) = node.get("hosts") else {
            self.problem(at(path, node), "a play needs `hosts`");
            return None;
        };
        let hosts = Written { value: hosts.value(), place: at(path, hosts) };
        let mut settings = outer.clone();
        let vars = node.get("vars").map(|vars| self.vars(path, vars)).unwrap_or_default();
        self.settings(path, node, &mut settings);
        // Variables of the play have a place of their own in the order of precedence.
        settings.vars.clone_from(&outer.vars);
        let vars_files = match node.get("vars_files") {
            None => vec![],
            Some(files) if files.text().is_some() => vec![written(path, files)],
            Some(files) => self.list(path, files, "vars_files").iter().map(|file| written(path, file)).collect(),
        };
        let around = Around {
            settings,
            role: None,
            directory: directory(path),
            playbook: directory(path),
            file: path.to_owned(),
        };
        let mut play = Play {
            place: at(path, node),
            directory: directory(path),
            name: node.get("name").and_then(Node::written).map(str::to_owned),
            hosts,
            vars,
            vars_files,
            gather_facts: match node.get("gather_facts").map(|it| &it.kind) {
                Some(Kind::Bool(false)) => Gather::Never,
                _ => Gather::WhenAsked,
            },
            any_errors_fatal: matches!(node.get("any_errors_fatal").map(|it| &it.kind), Some(Kind::Bool(true))),
            roles: vec![],
            pre_tasks: vec![],
            role_tasks: vec![],
            tasks: vec![],
            post_tasks: vec![],
            handlers: vec![],
        };
        if let Some(roles) = node.get("roles") {
            for entry in self.list(path, roles, "roles").to_vec() {
                self.role_entry(path, &entry, &around, &mut play, 0);
            }
        }
        for (key, list) in
            [("pre_tasks", &mut play.pre_tasks), ("tasks", &mut play.tasks), ("post_tasks", &mut play.post_tasks)]
        {
            if let Some(node) = node.get(key) {
                *list = self.tasks(&around, node, key);
            }
        }
        if let Some(handlers) = node.get("handlers") {
            let items = self.tasks(&around, handlers, "handlers");
            self.add_handlers(&mut play, items);
        }
        self.nested_handlers(&mut play);
        Some(play)
    }

    fn add_handlers(&mut self, play: &mut Play, items: Vec<Item>) {
        for item in items {
            match item {
                Item::Task(task) => play.handlers.push(task),
                Item::Block(block) => {
                    let place = first_place(&block.body).unwrap_or_else(|| play.place.clone());
                    self.problem(place, "a `block` among handlers is not supported");
                }
            }
        }
    }

    /// Roles that tasks include bring handlers, too.
    fn nested_handlers(&mut self, play: &mut Play) {
        let mut seen: BTreeSet<PathBuf> = play.roles.iter().map(|role| role.path.clone()).collect();
        let mut included = vec![];
        for list in [&play.pre_tasks, &play.role_tasks, &play.tasks, &play.post_tasks] {
            each_task(list, &mut |task| {
                if let Some(role) = &task.role
                    && seen.insert(role.path.clone())
                {
                    included.push(role.clone());
                }
            });
        }
        for role in included {
            let around = self.around_role(&role, Settings::default(), &play.directory);
            self.role_handlers(&around, &role, play);
        }
    }

    fn around_role(&self, role: &Arc<Role>, settings: Settings, playbook: &Path) -> Around {
        let _ = self;
        let directory = role.path.join("tasks");
        Around { settings, role: Some(role.clone()), file: directory.clone(), directory, playbook: playbook.to_owned() }
    }

    fn role_handlers(&mut self, around: &Around, role: &Role, play: &mut Play) {
        if let Some(file) = files::main_file(&role.path, "handlers", "main") {
            let asked = Place::file(&file);
            if let Some(node) = self.load(&file, &asked) {
                let inside = Around { directory: directory(&file), file: file.clone(), ..around.clone() };
                let items = self.tasks(&inside, &node, "handlers");
                self.add_handlers(play, items);
            }
        }
    }

    fn role_entry(&mut self, path: &Path, entry: &Node, around: &Around, play: &mut Play, depth: usize) {
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
                "role" | "name" | "tags" | "when" | "become" | "become_user" | "become_method" | "environment"
                | "delegate_to" | "no_log" | "ignore_errors" | "connection" | "remote_user" | "check_mode"
                | "run_once" => {}
                "vars" => params.extend(self.vars(path, value)),
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
        let Some(role) = self.role(&name, params, &around.playbook, &place) else { return };
        let twice = play.roles.iter().any(|known| **known == *role);
        if let Some(meta) = files::main_file(&role.path, "meta", "main")
            && let Some(node) = self.load(&meta, &Place::file(&meta))
            && let Some(dependencies) = node.get("dependencies")
        {
            for dependency in self.list(&meta, dependencies, "dependencies").to_vec() {
                let inside = Around { settings: settings.clone(), ..around.clone() };
                self.role_entry(&meta, &dependency, &inside, play, depth + 1);
            }
        }
        if twice && around.settings.when == settings.when {
            return;
        }
        play.roles.push(role.clone());
        let items = self.role_tasks(&role, "main", settings.clone(), &around.playbook, &place);
        play.role_tasks.extend(items);
        let inside = self.around_role(&role, settings, &around.playbook);
        self.role_handlers(&inside, &role, play);
    }

    /// Finds a role and reads its variables.
    fn role(&mut self, name: &str, params: Vars, playbook: &Path, place: &Place) -> Option<Arc<Role>> {
        if crate::playbook::jinja::is_template(name) {
            self.problem(place.clone(), "templates in the name of a role are not supported");
            return None;
        }
        let candidates = files::role_candidates(name, playbook);
        let Some(path) = candidates.iter().find(|path| path.is_dir()).cloned() else {
            self.files.extend(candidates.first().cloned());
            let places: Vec<String> = candidates.iter().map(|path| format!("`{}`", path.display())).collect();
            self.problem(place.clone(), format!("there is no role `{name}` in {}", places.join(" or ")));
            return None;
        };
        self.roles.insert(path.clone());
        let mut read = |kind: &str| {
            let file = files::main_file(&path, kind, "main")?;
            let node = self.load(&file, &Place::file(&file))?;
            Some(self.vars(&file, &node))
        };
        let (defaults, vars) = (read("defaults").unwrap_or_default(), read("vars").unwrap_or_default());
        Some(Arc::new(Role { name: name.to_owned(), path, defaults, vars, params }))
    }

    fn role_tasks(
        &mut self,
        role: &Arc<Role>,
        name: &str,
        settings: Settings,
        playbook: &Path,
        asked: &Place,
    ) -> Vec<Item> {
        let around = self.around_role(role, settings, playbook);
        match files::main_file(&role.path, "tasks", name) {
            Some(file) => self.task_file(&around, &file, asked),
            None if name == "main" => vec![],
            None => {
                self.problem(asked.clone(), format!("role `{}` has no tasks `{name}`", role.name));
                vec![]
            }
        }
    }

    fn task_file(&mut self, around: &Around, file: &Path, asked: &Place) -> Vec<Item> {
        if self.depth > 20 {
            self.problem(asked.clone(), "task files include each other without end");
            return vec![];
        }
        self.depth += 1;
        let items = self.load(file, asked).map(|node| {
            let inside = Around { directory: directory(file), file: file.to_owned(), ..around.clone() };
            self.tasks(&inside, &node, "tasks")
        });
        self.depth -= 1;
        items.unwrap_or_default()
    }
}

/// Calls `work` with every task.
pub fn each_task(items: &[Item], work: &mut dyn FnMut(&Arc<Task>)) {
    for item in items {
        match item {
            Item::Task(task) => work(task),
            Item::Block(block) => {
                block.gate.iter().for_each(&mut *work);
                each_task(&block.body, work);
                each_task(&block.rescue, work);
                each_task(&block.always, work);
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
