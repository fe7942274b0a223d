//! The module of a task and its arguments.

use std::path::Path;

use serde_json::Value;

use crate::module;
use crate::place::{Place, Problem, nearest};
use crate::playbook::local_modules;
use crate::playbook::model::{Task, Written};
use crate::playbook::parse::settings::SHARED;
use crate::playbook::parse::tasks::TASK;
use crate::playbook::parse::{Around, Reader, at, written};
use crate::playbook::words;
use crate::yaml::{Kind, Node};

impl Reader {
    /// Finds the one module of a task. Returns its name, where that stands, and its arguments.
    pub(super) fn module_of(
        &mut self,
        around: &Around,
        node: &Node,
        modules: &[(&Node, &Node)],
    ) -> Option<(String, Place, Node)> {
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

    pub(super) fn arguments(&mut self, file: &Path, task: &mut Task, value: &Node) {
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

    pub(super) fn named_arguments(&mut self, file: &Path, task: &mut Task, node: &Node) {
        let _ = &self;
        for (key, value) in node.entries() {
            let name = key.written().unwrap_or_default().to_owned();
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
    pub(super) fn known(&mut self, task: &Task) {
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
        self.meta_action(task);
    }

    /// Whether there is such an action of `meta`.
    fn meta_action(&mut self, task: &Task) {
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

    /// Adds the arguments that `module_defaults` give its module.
    pub(super) fn add_defaults(&self, task: &mut Task) {
        let _ = self;
        let defaults = task.settings.module_defaults.iter().find(|(name, _)| *name == task.module).cloned();
        for (name, given) in defaults.into_iter().flat_map(|(_, given)| given) {
            if task.arg(&name).is_none() {
                task.args.push((name, given));
            }
        }
    }
}

fn is_module(name: &str) -> bool {
    let short = module::short(name);
    module::NAMES.contains(&short) || local_modules::NAMES.contains(&short)
}
