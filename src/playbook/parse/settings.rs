//! What plays, roles, blocks and tasks have in common.

use std::path::Path;

use crate::module;
use crate::playbook::model::{Settings, Written};
use crate::playbook::parse::{Reader, at, written};
use crate::playbook::tags;
use crate::yaml::{Kind, Node};

/// Keywords that blocks and tasks share.
pub(super) const SHARED: &[&str] = &[
    "any_errors_fatal",
    "become",
    "become_flags",
    "become_method",
    "become_user",
    "check_mode",
    "collections",
    "connection",
    "delegate_facts",
    "delegate_to",
    "diff",
    "environment",
    "ignore_errors",
    "ignore_unreachable",
    "module_defaults",
    "name",
    "no_log",
    "port",
    "remote_user",
    "run_once",
    "tags",
    "throttle",
    "timeout",
    "vars",
    "when",
];

/// Keywords that exist but are not carried out here.
pub(super) const UNSUPPORTED: &[&str] = &["become_exe", "debugger"];

impl Reader {
    /// Reads what blocks, tasks, plays and roles have in common, on top of what is around them.
    pub(super) fn settings(&mut self, file: &Path, node: &Node, settings: &mut Settings) {
        for (key, value) in node.entries() {
            let given = written(file, value);
            match key.written().unwrap_or_default() {
                "when" => settings.when.extend(self.conditions(file, value)),
                "any_errors_fatal" => settings.any_errors_fatal.push(given),
                "become" => settings.becomes.push(given),
                "become_user" => settings.become_user.push(given),
                "become_flags" => settings.become_flags.push(given),
                "become_method" => settings.become_method.push(given),
                "connection" => settings.connection.push(given),
                "remote_user" => settings.remote_user.push(given),
                "delegate_facts" => settings.delegate_facts.push(given),
                "delegate_to" => settings.delegate_to.push(given),
                "diff" => settings.diff.push(given),
                "no_log" => settings.no_log.push(given),
                "ignore_errors" => settings.ignore_errors.push(given),
                "ignore_unreachable" => settings.ignore_unreachable.push(given),
                "check_mode" => settings.check_mode.push(given),
                "port" => settings.port.push(given),
                "run_once" => settings.run_once.push(given),
                "throttle" => settings.throttle.push(given),
                "timeout" => settings.timeout.push(given),
                "vars" => settings.vars.extend(self.vars(file, value)),
                "environment" => match &value.kind {
                    Kind::Seq(items) => settings.environment.extend(items.iter().map(|item| written(file, item))),
                    _ => settings.environment.push(given),
                },
                "tags" => {
                    for tag in self.tags(file, value) {
                        if !settings.tags.contains(&tag) {
                            settings.tags.push(tag);
                        }
                    }
                }
                "module_defaults" => self.module_defaults(file, value, settings),
                _ => {}
            }
        }
    }

    /// Reads `tags`: one text with commas, or a list, in which commas mean nothing.
    pub(super) fn tags(&mut self, file: &Path, node: &Node) -> Vec<String> {
        match &node.kind {
            Kind::Seq(items) => items.iter().map(|item| self.tag(file, item).to_owned()).collect(),
            _ => tags::read(&[self.tag(file, node).to_owned()]),
        }
    }

    fn tag<'n>(&mut self, file: &Path, node: &'n Node) -> &'n str {
        let text = node.written().unwrap_or_default();
        if crate::playbook::jinja::is_template(text) {
            self.problem(at(file, node), "templates in `tags` are not supported");
        }
        text
    }

    fn module_defaults(&mut self, file: &Path, node: &Node, settings: &mut Settings) {
        let lists = match &node.kind {
            Kind::Seq(items) => items.clone(),
            _ => vec![node.clone()],
        };
        for (key, value) in lists.iter().flat_map(Node::entries) {
            let name = key.written().unwrap_or_default();
            if name.starts_with("group/") {
                self.problem(at(file, key), "defaults of a group of modules are not supported");
                continue;
            }
            if !matches!(value.kind, Kind::Map(_) | Kind::Null) {
                self.problem(
                    at(file, value),
                    format!("the defaults of a module must be a mapping, not {}", value.describe()),
                );
            }
            let given: Vec<(String, Written)> = value
                .entries()
                .iter()
                .map(|(key, value)| (key.written().unwrap_or_default().to_owned(), written(file, value)))
                .collect();
            let short = module::short(name).to_owned();
            settings.module_defaults.retain(|(known, _)| *known != short);
            settings.module_defaults.push((short, given));
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

    pub(super) fn conditions_of(&mut self, file: &Path, node: &Node, key: &str) -> Vec<Written> {
        node.get(key).map(|value| self.conditions(file, value)).unwrap_or_default()
    }
}
