//! Plays and what they import.

use std::path::Path;
use std::sync::Arc;

use crate::place::Place;
use crate::playbook::jinja::is_template;
use crate::playbook::model::{Gather, Item, Order, Play, Prompt, Settings, Task, Vars, Written};
use crate::playbook::parse::{Around, Reader, at, directory, first_place, written};
use crate::yaml::{Kind, Node};

/// The keywords of a play.
const PLAY: &[&str] = &[
    "any_errors_fatal",
    "become",
    "become_flags",
    "become_method",
    "become_user",
    "check_mode",
    "collections",
    "connection",
    "diff",
    "environment",
    "fact_path",
    "force_handlers",
    "gather_facts",
    "gather_subset",
    "gather_timeout",
    "handlers",
    "hosts",
    "ignore_errors",
    "ignore_unreachable",
    "max_fail_percentage",
    "module_defaults",
    "name",
    "no_log",
    "order",
    "port",
    "post_tasks",
    "pre_tasks",
    "remote_user",
    "roles",
    "run_once",
    "serial",
    "strategy",
    "tags",
    "tasks",
    "throttle",
    "timeout",
    "vars",
    "vars_files",
    "vars_prompt",
];

impl Reader {
    pub(super) fn plays(&mut self, path: &Path, asked: &Place, outer: &Settings) -> Vec<Play> {
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
                "tags" => settings.tags.extend(self.tags(path, value)),
                word if known.contains(&word) => {}
                word => self.unknown(at(path, key), "`import_playbook`", word, &known),
            }
        }
        match import.text() {
            Some(name) if !is_template(name) => self.plays(&directory(path).join(name), &at(path, import), &settings),
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
            if !PLAY.contains(&word) {
                self.unknown(at(path, key), "a play", word, PLAY);
            } else if word == "strategy" && !value.text().is_some_and(is_strategy) {
                self.problem(at(path, value), "there is no such strategy here: `linear` or `free`");
            }
        }
        let Some(hosts) = node.get("hosts") else {
            self.problem(at(path, node), "a play needs `hosts`");
            return None;
        };
        let hosts = Written { value: hosts.value(), place: at(path, hosts) };
        let mut settings = outer.clone();
        let mut vars = node.get("vars").map(|vars| self.vars(path, vars)).unwrap_or_default();
        // Those of an `import_playbook` win.
        vars.extend(outer.vars.clone());
        self.settings(path, node, &mut settings);
        // Variables of the play have a place of their own in the order of precedence.
        settings.vars = Vars::new();
        let vars_files = match node.get("vars_files") {
            None => vec![],
            Some(files) if files.text().is_some() => vec![written(path, files)],
            Some(files) => self.list(path, files, "vars_files").iter().map(|file| written(path, file)).collect(),
        };
        let tags = settings.tags.clone();
        let around = Around {
            settings,
            role: None,
            chain: vec![],
            directory: directory(path),
            playbook: directory(path),
            file: path.to_owned(),
        };
        let setup = Task {
            place: at(path, node),
            name: Some("Gathering Facts".to_owned()),
            module: "gather_facts".to_owned(),
            module_place: at(path, node),
            settings: around.settings.clone(),
            directory: directory(path),
            ..Task::default()
        };
        let is_set = |key: &str| matches!(node.get(key).map(|it| &it.kind), Some(Kind::Bool(true)));
        let value_of = |key: &str| node.get(key).map(|value| written(path, value));
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
            setup: Arc::new(setup),
            any_errors_fatal: is_set("any_errors_fatal"),
            serial: value_of("serial"),
            max_fail_percentage: value_of("max_fail_percentage"),
            force_handlers: is_set("force_handlers"),
            order: self.order(path, node),
            prompts: self.prompts(path, node),
            tags,
            roles: vec![],
            exposed: vec![],
            pre_tasks: vec![],
            role_tasks: vec![],
            tasks: vec![],
            post_tasks: vec![],
            handlers: vec![],
        };
        let handlers = node.get("handlers").map(|handlers| self.tasks(&around, handlers, "handlers"));
        let handlers = self.handlers_of(handlers.unwrap_or_default(), &play.place);
        // In the order of Ansible, as what is imported last is the strongest.
        for (key, list) in
            [("pre_tasks", &mut play.pre_tasks), ("post_tasks", &mut play.post_tasks), ("tasks", &mut play.tasks)]
        {
            if let Some(node) = node.get(key) {
                *list = self.tasks(&around, node, key);
            }
        }
        if let Some(roles) = node.get("roles") {
            for entry in self.list(path, roles, "roles").to_vec() {
                let Some(compiled) = self.role_entry(path, &entry, &around) else { continue };
                play.roles.push(compiled.role);
                play.role_tasks.extend(compiled.items);
                play.handlers.extend(compiled.handlers);
            }
        }
        let brought = std::mem::take(&mut self.brought);
        play.handlers.extend(handlers.into_iter().chain(brought.handlers));
        play.exposed = brought.roles;
        Some(play)
    }

    fn order(&mut self, path: &Path, node: &Node) -> Order {
        let Some(order) = node.get("order") else { return Order::Inventory };
        match order.text() {
            Some("inventory") => Order::Inventory,
            Some("reverse_inventory") => Order::Reversed,
            Some("sorted") => Order::Sorted,
            Some("reverse_sorted") => Order::ReverseSorted,
            Some("shuffle") => Order::Shuffled,
            _ => {
                self.problem(at(path, order), "there is no such order of hosts");
                Order::Inventory
            }
        }
    }

    fn prompts(&mut self, path: &Path, node: &Node) -> Vec<Prompt> {
        let Some(list) = node.get("vars_prompt") else { return vec![] };
        let mut prompts = vec![];
        for entry in self.list(path, list, "vars_prompt").to_vec() {
            let known = ["name", "prompt", "default", "private", "confirm", "unsafe", "encrypt", "salt", "salt_size"];
            for (key, _) in entry.entries() {
                match key.written().unwrap_or_default() {
                    "encrypt" | "salt" | "salt_size" => {
                        self.problem(at(path, key), "encrypted answers are not supported: use `password_hash`");
                    }
                    word if known.contains(&word) => {}
                    word => self.unknown(at(path, key), "`vars_prompt`", word, &known),
                }
            }
            let text = |key: &str| entry.get(key).and_then(Node::written).map(str::to_owned);
            let Some(name) = text("name") else {
                self.problem(at(path, &entry), "an entry of `vars_prompt` needs `name`");
                continue;
            };
            let flag = |key: &str, default: bool| match entry.get(key).map(|it| &it.kind) {
                Some(Kind::Bool(value)) => *value,
                _ => default,
            };
            prompts.push(Prompt {
                question: text("prompt").unwrap_or_else(|| name.clone()),
                name,
                default: text("default"),
                private: flag("private", true),
                confirm: flag("confirm", false),
                place: at(path, &entry),
            });
        }
        prompts
    }

    /// The handlers of a list: those of a file that is included unconditionally are among them.
    pub(super) fn handlers_of(&mut self, items: Vec<Item>, place: &Place) -> Vec<Arc<Task>> {
        let mut handlers = vec![];
        for item in items {
            match item {
                Item::Task(task) => handlers.push(task),
                Item::Block(block) if block.rescue.is_empty() && block.always.is_empty() && block.gate.is_none() => {
                    handlers.extend(self.handlers_of(block.body.clone(), place));
                }
                Item::Block(block) => {
                    let place = first_place(&block.body).unwrap_or_else(|| place.clone());
                    self.problem(place, "a `block` among handlers is not supported");
                }
                Item::End(_) => {}
                Item::Include(include) => {
                    let message = "includes with loops or templates among handlers are not supported";
                    self.problem(include.task.place.clone(), message);
                }
            }
        }
        handlers
    }
}

fn is_strategy(name: &str) -> bool {
    matches!(name.rsplit('.').next(), Some("linear" | "free"))
}
