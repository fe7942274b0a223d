//! Tasks and blocks.

use std::path::Path;
use std::sync::Arc;

use serde_json::Value;

use crate::module;
use crate::place::{Place, Problem, nearest};
use crate::playbook::jinja;
use crate::playbook::local_modules;
use crate::playbook::model::{Block, Item, Repeat, RepeatKind, Settings, Task, Vars, Written};
use crate::playbook::parse::{Around, Reader, at, written};
use crate::playbook::{files, words};
use crate::yaml::{Kind, Node};

/// Keywords that blocks and tasks share.
const SHARED: &[&str] = &[
    "become",
    "become_method",
    "become_user",
    "check_mode",
    "collections",
    "connection",
    "delegate_to",
    "environment",
    "ignore_errors",
    "name",
    "no_log",
    "remote_user",
    "run_once",
    "tags",
    "vars",
    "when",
];

/// Keywords of tasks alone.
const TASK: &[&str] = &[
    "action",
    "args",
    "changed_when",
    "delay",
    "failed_when",
    "listen",
    "local_action",
    "loop",
    "loop_control",
    "notify",
    "register",
    "retries",
    "until",
    "with_dict",
    "with_items",
    "with_list",
];

/// Keywords that exist but are not carried out here.
const UNSUPPORTED: &[&str] = &[
    "any_errors_fatal",
    "async",
    "debugger",
    "delegate_facts",
    "diff",
    "ignore_unreachable",
    "max_fail_percentage",
    "module_defaults",
    "poll",
    "port",
    "throttle",
    "timeout",
    "become_flags",
    "become_exe",
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
        Item::Block(Arc::new(Block { gate: None, body, rescue, always }))
    }

    /// Reads what blocks, tasks, plays and roles have in common, on top of what is around them.
    pub(super) fn settings(&mut self, file: &Path, node: &Node, settings: &mut Settings) {
        for (key, value) in node.entries() {
            let given = Some(written(file, value));
            match key.written().unwrap_or_default() {
                "when" => settings.when.extend(self.conditions(file, value)),
                "become" => settings.becomes = given,
                "become_user" => settings.become_user = given,
                "become_method" => settings.become_method = given,
                "connection" => settings.connection = given,
                "remote_user" => settings.remote_user = given,
                "delegate_to" => settings.delegate_to = given,
                "no_log" => settings.no_log = given,
                "ignore_errors" => settings.ignore_errors = given,
                "check_mode" => settings.check_mode = given,
                "run_once" => settings.run_once = given,
                "vars" => settings.vars.extend(self.vars(file, value)),
                "environment" => match &value.kind {
                    Kind::Seq(items) => settings.environment.extend(items.iter().map(|item| written(file, item))),
                    _ => settings.environment.extend(given),
                },
                "tags" => {
                    let never = |node: &Node| {
                        node.written().is_some_and(|tags| tags.split(',').any(|tag| tag.trim() == "never"))
                    };
                    settings.never |= never(value) || value.items().iter().any(never);
                }
                _ => {}
            }
        }
    }

    /// Reads `when` and its like: one condition or a list of them.
    pub(super) fn conditions(&mut self, file: &Path, node: &Node) -> Vec<Written> {
        match &node.kind {
            Kind::Seq(items) => items.iter().flat_map(|item| self.conditions(file, item)).collect(),
            Kind::Null => vec![],
            Kind::Map(_) => {
                self.problem(at(file, node), "a condition must be text, not a mapping");
                vec![]
            }
            _ => vec![written(file, node)],
        }
    }

    fn task(&mut self, around: &Around, node: &Node) -> Option<Item> {
        let file = &around.file;
        let mut modules: Vec<(&Node, &Node)> = vec![];
        for (key, value) in node.entries() {
            let word = key.written().unwrap_or_default();
            if UNSUPPORTED.contains(&word) {
                self.problem(at(file, key), format!("`{word}` is not supported"));
            } else if let Some(lookup) = word.strip_prefix("with_").filter(|_| !TASK.contains(&word)) {
                self.problem(at(file, key), format!("`with_{lookup}` is not supported, write it as `loop`"));
            } else if !SHARED.contains(&word) && !TASK.contains(&word) {
                modules.push((key, value));
            }
        }
        let (name, module_place, value) = self.module_of(around, node, &modules)?;
        let short = module::short(&name).to_owned();
        let mut settings = around.settings.clone();
        self.settings(file, node, &mut settings);
        if node.get("local_action").is_some() {
            settings.delegate_to = Some(Written { value: Value::from("localhost"), place: module_place.clone() });
        }
        let mut task = Task {
            place: at(file, node),
            name: node.get("name").and_then(Node::written).map(str::to_owned),
            module: short,
            module_place,
            free_form: None,
            args: vec![],
            args_template: None,
            settings,
            register: node.get("register").and_then(Node::written).map(str::to_owned),
            repeat: self.repeat(file, node),
            notify: self.conditions_of(file, node, "notify"),
            listen: self.conditions_of(file, node, "listen"),
            changed_when: self.conditions_of(file, node, "changed_when"),
            failed_when: self.conditions_of(file, node, "failed_when"),
            until: self.conditions_of(file, node, "until"),
            retries: node.get("retries").map(|value| written(file, value)),
            delay: node.get("delay").map(|value| written(file, value)),
            role: around.role.clone(),
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
        self.known(&task);
        match task.module.as_str() {
            "import_tasks" | "include_tasks" => self.included_file(around, &task),
            "import_role" | "include_role" => self.included_role(around, &task),
            _ => Some(Item::Task(Arc::new(task))),
        }
    }

    fn conditions_of(&mut self, file: &Path, node: &Node, key: &str) -> Vec<Written> {
        node.get(key).map(|value| self.conditions(file, value)).unwrap_or_default()
    }

    /// Finds the one module of a task. Returns its name, where that stands, and its arguments.
    fn module_of(&mut self, around: &Around, node: &Node, modules: &[(&Node, &Node)]) -> Option<(String, Place, Node)> {
        let file = &around.file;
        let action = node.get("action").or_else(|| node.get("local_action"));
        match (action, modules) {
            (Some(action), []) => self.action(file, action),
            (None, [(key, value)]) => Some((key.written()?.to_owned(), at(file, key), (*value).clone())),
            (None, []) => {
                self.problem(at(file, node), "a task needs a module");
                None
            }
            (_, list) => {
                // What is no module is a keyword written wrongly, most likely.
                let strange: Vec<_> =
                    list.iter().filter(|(key, _)| !is_module(key.written().unwrap_or_default())).collect();
                for (key, _) in &strange {
                    let known = [SHARED, TASK].concat();
                    self.unknown(at(file, key), "a task", key.written().unwrap_or_default(), &known);
                }
                if strange.is_empty() {
                    let names: Vec<String> =
                        list.iter().map(|(key, _)| format!("`{}`", key.written().unwrap_or_default())).collect();
                    self.problem(at(file, node), format!("a task can have one module, not {}", names.join(" and ")));
                }
                None
            }
        }
    }

    fn action(&mut self, file: &Path, action: &Node) -> Option<(String, Place, Node)> {
        let place = at(file, action);
        if let Some(line) = action.text() {
            let (name, rest) = line.trim().split_once(char::is_whitespace).unwrap_or((line.trim(), ""));
            let value = Node { kind: Kind::Str(rest.to_owned()), ..action.clone() };
            return Some((name.to_owned(), place, value));
        }
        let Some(name) = action.get("module").and_then(Node::text).map(str::to_owned) else {
            self.problem(place, "`action` needs a module");
            return None;
        };
        let mut rest = action.clone();
        if let Kind::Map(entries) = &mut rest.kind {
            entries.retain(|(key, _)| key.written() != Some("module"));
        }
        Some((name, place, rest))
    }

    fn arguments(&mut self, file: &Path, task: &mut Task, value: &Node) {
        match &value.kind {
            Kind::Null => {}
            Kind::Map(_) => self.named_arguments(file, task, value),
            Kind::Str(text) => self.line(file, task, value, text),
            _ if task.module == "set_fact" || task.module == "debug" => {
                self.problem(at(file, value), format!("`{}` takes parameters, not {}", task.module, value.describe()));
            }
            _ => {
                let text = value.written().unwrap_or_default().to_owned();
                self.line(file, task, value, &text);
            }
        }
    }

    fn line(&mut self, file: &Path, task: &mut Task, value: &Node, text: &str) {
        let place = at(file, value);
        let of_command = module::takes_text(&task.module);
        let whole = text.trim();
        if !of_command && whole.starts_with("{{") && whole.ends_with("}}") && !local_modules::takes_text(&task.module) {
            task.args_template = Some(written(file, value));
            return;
        }
        let keys = if of_command { words::OF_COMMANDS } else { words::Keys::All };
        match words::split(text, keys) {
            Ok(line) => {
                for (key, value) in line.pairs {
                    task.args.push((key, Written { value: Value::from(value), place: place.clone() }));
                }
                if !line.text.is_empty() {
                    task.free_form = Some(Written { value: Value::from(line.text), place });
                }
            }
            Err(message) => self.problem(place, message),
        }
    }

    fn named_arguments(&mut self, file: &Path, task: &mut Task, node: &Node) {
        for (key, value) in node.entries() {
            let name = key.written().unwrap_or_default().to_owned();
            self.no_vault(file, value);
            let mut given = written(file, value);
            // `0644` and `644` both mean octal: what was written decides.
            if name.ends_with("mode")
                && matches!(value.kind, Kind::Int(_))
                && let Some(raw) = &value.raw
            {
                given.value = Value::from(raw.clone());
            }
            if name == "_raw_params" {
                task.free_form = Some(given);
            } else {
                task.args.retain(|(known, _)| *known != name);
                task.args.push((name, given));
            }
        }
    }

    /// Whether module and parameters exist.
    fn known(&mut self, task: &Task) {
        let names: Vec<&str> = match local_modules::parameters(&task.module) {
            Some(local_modules::Takes::Anything) => return,
            Some(local_modules::Takes::These(names)) => names.to_vec(),
            None => {
                let Some(known) = module::parameters(&task.module) else {
                    self.no_module(task);
                    return;
                };
                known.iter().flat_map(|known| [known.name].into_iter().chain(known.aliases.iter().copied())).collect()
            }
        };
        for (name, value) in &task.args {
            if !names.contains(&name.as_str()) {
                let problem = Problem::new(value.place.clone(), format!("`{}` has no parameter `{name}`", task.module));
                self.problems.push(match nearest(name, names.iter().copied()) {
                    Some(close) => problem.hint(format!("did you mean `{close}`?")),
                    None => problem,
                });
            }
        }
        let takes_text = module::takes_text(&task.module) || local_modules::takes_text(&task.module);
        if let (Some(text), false) = (&task.free_form, takes_text) {
            let message = format!("`{}` takes parameters, not a line of text", task.module);
            self.problem(text.place.clone(), message);
        }
        self.meta(task);
    }

    /// Whether there is such an action of `meta`.
    fn meta(&mut self, task: &Task) {
        let Some(text) = task.free_form.as_ref().filter(|_| task.module == "meta") else { return };
        let word = text.text().unwrap_or_default().trim();
        if local_modules::META.contains(&word) {
            return;
        }
        let problem = Problem::new(text.place.clone(), format!("there is no `meta` action `{word}`"));
        self.problems.push(match nearest(word, local_modules::META.iter().copied()) {
            Some(close) => problem.hint(format!("did you mean `{close}`?")),
            None => problem,
        });
    }

    fn no_module(&mut self, task: &Task) {
        let problem = Problem::new(task.module_place.clone(), format!("there is no module `{}`", task.module));
        let all = module::NAMES.iter().chain(local_modules::NAMES).copied();
        self.problems.push(match nearest(&task.module, all) {
            Some(close) => problem.hint(format!("did you mean `{close}`?")),
            None => problem,
        });
    }

    fn repeat(&mut self, file: &Path, node: &Node) -> Option<Repeat> {
        let kinds = [
            ("loop", RepeatKind::List),
            ("with_list", RepeatKind::List),
            ("with_items", RepeatKind::Items),
            ("with_dict", RepeatKind::Dict),
        ];
        let (over, kind) = kinds.iter().find_map(|(key, kind)| Some((written(file, node.get(key)?), *kind)))?;
        let control = node.get("loop_control");
        for (key, _) in control.map(Node::entries).unwrap_or_default() {
            let word = key.written().unwrap_or_default();
            let known = ["loop_var", "index_var", "label", "pause"];
            if !known.contains(&word) {
                self.unknown(at(file, key), "`loop_control`", word, &known);
            }
        }
        let text = |key: &str| control.and_then(|control| control.get(key)).and_then(Node::written).map(str::to_owned);
        let value = |key: &str| control.and_then(|control| control.get(key)).map(|value| written(file, value));
        Some(Repeat {
            over,
            kind,
            var: text("loop_var").unwrap_or_else(|| "item".to_owned()),
            index_var: text("index_var"),
            label: value("label"),
            pause: value("pause"),
        })
    }

    /// `include_tasks` and `import_tasks`: the tasks take the place of the include, with its settings.
    fn included_file(&mut self, around: &Around, task: &Task) -> Option<Item> {
        let named = task.arg("file").or(task.free_form.as_ref());
        let Some(name) = named.and_then(Written::text) else {
            self.problem(task.place.clone(), format!("`{}` needs a file", task.module));
            return None;
        };
        let place = named.map_or_else(|| task.place.clone(), |named| named.place.clone());
        if jinja::is_template(name) || task.repeat.is_some() {
            self.problem(place, format!("templates and loops with `{}` are not supported", task.module));
            return None;
        }
        let role = around.role.as_ref().map(|role| role.path.as_path());
        let mut candidates = vec![around.directory.join(name)];
        candidates.extend(files::candidates("tasks", name, role, &around.directory, &around.playbook));
        let file = files::find(&candidates).unwrap_or(&candidates[0]).clone();
        let (gate, settings) = gate(around, task);
        let inside = Around { settings, ..around.clone() };
        let body = self.task_file(&inside, &file, &place);
        Some(Item::Block(Arc::new(Block { gate, body, rescue: vec![], always: vec![] })))
    }

    fn included_role(&mut self, around: &Around, task: &Task) -> Option<Item> {
        let Some(name) = task.arg("name").and_then(Written::text) else {
            self.problem(task.place.clone(), format!("`{}` needs `name`", task.module));
            return None;
        };
        let place = task.arg("name").map_or_else(|| task.place.clone(), |name| name.place.clone());
        if task.repeat.is_some() {
            self.problem(place, format!("loops with `{}` are not supported", task.module));
            return None;
        }
        let role = self.role(name, Vars::new(), &around.playbook, &place)?;
        let from = task.arg("tasks_from").and_then(Written::text).unwrap_or("main").to_owned();
        if self.depth > 20 {
            self.problem(place, "roles include each other without end");
            return None;
        }
        self.depth += 1;
        let (gate, settings) = gate(around, task);
        let body = self.role_tasks(&role, &from, settings, &around.playbook, &place);
        self.depth -= 1;
        Some(Item::Block(Arc::new(Block { gate, body, rescue: vec![], always: vec![] })))
    }
}

/// What stands before included tasks, and what they have from around them: an `include_…` is asked once for all, an
/// `import_…` hands its conditions down.
fn gate(around: &Around, task: &Task) -> (Option<Arc<Task>>, Settings) {
    if task.module.starts_with("import_") {
        return (None, task.settings.clone());
    }
    let settings = Settings { when: around.settings.when.clone(), ..task.settings.clone() };
    (Some(Arc::new(task.clone())), settings)
}

fn is_module(name: &str) -> bool {
    let short = module::short(name);
    module::NAMES.contains(&short) || local_modules::NAMES.contains(&short)
}
