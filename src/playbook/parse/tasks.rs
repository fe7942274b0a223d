//! Tasks and blocks.

use std::sync::Arc;

use serde_json::Value;

use crate::module;
use crate::playbook::jinja;
use crate::playbook::model::{Block, Item, Task, Written};
use crate::playbook::parse::loops::lookup_of;
use crate::playbook::parse::settings::{SHARED, UNSUPPORTED};
use crate::playbook::parse::{Around, Reader, at, written};
use crate::yaml::{Kind, Node};

/// Keywords of tasks alone.
pub(super) const TASK: &[&str] = &[
    "action",
    "args",
    "async",
    "changed_when",
    "delay",
    "failed_when",
    "listen",
    "local_action",
    "loop",
    "loop_control",
    "notify",
    "poll",
    "register",
    "retries",
    "until",
];

impl Reader {
    pub(super) fn tasks(&mut self, around: &Around, node: &Node, what: &str) -> Vec<Item> {
        let mut items = vec![];
        for entry in self.list(&around.file, node, what).to_vec() {
            if !matches!(entry.kind, Kind::Map(_)) {
                self.problem(at(&around.file, &entry), format!("a task must be a mapping, not {}", entry.describe()));
            } else if entry.get("block").is_some() {
                items.push(self.block(around, &entry));
            } else {
                items.extend(self.task(around, &entry));
            }
        }
        items
    }

    fn block(&mut self, around: &Around, node: &Node) -> Item {
        let parts = ["block", "rescue", "always"];
        for (key, _) in node.entries() {
            let word = key.written().unwrap_or_default();
            if UNSUPPORTED.contains(&word) {
                self.problem(at(&around.file, key), format!("`{word}` is not supported"));
            } else if !parts.contains(&word) && !SHARED.contains(&word) {
                self.unknown(at(&around.file, key), "a block", word, SHARED);
            }
        }
        let mut inside = around.clone();
        self.settings(&around.file, node, &mut inside.settings);
        let [body, rescue, always] =
            parts.map(|part| node.get(part).map(|tasks| self.tasks(&inside, tasks, part)).unwrap_or_default());
        Item::Block(Arc::new(Block { body, rescue, always, ..Block::default() }))
    }

    fn task(&mut self, around: &Around, node: &Node) -> Option<Item> {
        let file = &around.file;
        let mut modules: Vec<(&Node, &Node)> = vec![];
        for (key, value) in node.entries() {
            let word = key.written().unwrap_or_default();
            if UNSUPPORTED.contains(&word) {
                self.problem(at(file, key), format!("`{word}` is not supported"));
            } else if !SHARED.contains(&word) && !TASK.contains(&word) && lookup_of(word).is_none() {
                modules.push((key, value));
            }
        }
        let (name, module_place, value) = self.module_of(around, node, &modules)?;
        let short = module::short(&name).to_owned();
        let mut settings = around.settings.clone();
        let outer = std::mem::take(&mut settings.vars);
        self.settings(file, node, &mut settings);
        let vars = std::mem::replace(&mut settings.vars, outer);
        match short.as_str() {
            "include_tasks" | "include_role" => settings.params.extend(vars.clone()),
            _ => settings.vars.extend(vars.clone()),
        }
        if node.get("local_action").is_some() {
            settings.delegate_to.push(Written { value: Value::from("localhost"), place: module_place.clone() });
        }
        let value_of = |key: &str| node.get(key).map(|value| written(file, value));
        let mut task = Task {
            place: at(file, node),
            name: node.get("name").and_then(Node::written).map(str::to_owned),
            module: short,
            module_place,
            free_form: None,
            args: vec![],
            args_template: None,
            settings,
            vars,
            register: node.get("register").and_then(Node::written).map(str::to_owned),
            repeat: self.repeat(file, node),
            notify: self.conditions_of(file, node, "notify"),
            listen: self.conditions_of(file, node, "listen"),
            changed_when: self.conditions_of(file, node, "changed_when"),
            failed_when: self.conditions_of(file, node, "failed_when"),
            until: self.conditions_of(file, node, "until"),
            retries: value_of("retries"),
            delay: value_of("delay"),
            background: value_of("async"),
            poll: value_of("poll"),
            role: around.role.clone(),
            chain: around.chain.clone(),
            directory: around.directory.clone(),
        };
        self.arguments(file, &mut task, &value);
        if let Some(args) = node.get("args") {
            match &args.kind {
                Kind::Map(_) => self.named_arguments(file, &mut task, args),
                Kind::Str(text) if jinja::is_template(text) => task.args_template = Some(written(file, args)),
                _ => self.problem(at(file, args), format!("`args` must be a mapping, not {}", args.describe())),
            }
        }
        self.add_defaults(&mut task);
        self.known(&task);
        let apply = value.get("apply").or_else(|| node.get("args").and_then(|args| args.get("apply")));
        match task.module.as_str() {
            "import_tasks" | "include_tasks" => self.included_file(around, &task, apply),
            "import_role" | "include_role" => self.included_role(around, &task, apply),
            _ => Some(Item::Task(Arc::new(task))),
        }
    }
}
