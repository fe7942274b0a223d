//! The task in front of a role that holds its arguments to what `meta/argument_specs.yml` says of them.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use crate::place::Place;
use crate::playbook::files;
use crate::playbook::model::{Item, Role, Task, Written};
use crate::playbook::parse::{Around, Reader};
use crate::yaml::Node;

/// Whether the arguments of a role are held to anything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Validation {
    /// If the role says to what.
    #[default]
    AsTheRoleSays,
    /// They are not (`rolespec_validate: no`).
    None,
}

impl Validation {
    /// What a task says of it.
    pub(super) fn of(task: &Task) -> Self {
        match task.says("rolespec_validate") {
            Some(false) => Self::None,
            _ => Self::AsTheRoleSays,
        }
    }
}

impl Reader {
    /// Makes the task, if the role says anything of the arguments of its tasks `name`.
    pub(super) fn validation(&mut self, role: &Arc<Role>, name: &str, around: &Around) -> Option<Item> {
        let own = files::main_file(&role.path, "meta", "argument_specs");
        let file = own.or_else(|| files::main_file(&role.path, "meta", "main"))?;
        let place = Place::file(&file);
        let specs = self.load(&file, &place)?.get("argument_specs").map(Node::value)?;
        let spec = specs.get(name)?.as_object().filter(|spec| !spec.is_empty())?;
        let about = spec.get("short_description").and_then(Value::as_str);
        let about = about.map(|about| format!(" - {about}")).unwrap_or_default();
        let options = spec.get("options").filter(|options| !options.is_null()).cloned();
        let context = json!({ "type": "role", "name": role.name, "argument_spec_name": name, "path": role.path });
        let arguments = [
            ("argument_spec", options.unwrap_or_else(|| Value::Object(Map::new()))),
            ("provided_arguments", Value::Object(role.params.clone())),
            ("validate_args_context", context),
        ];
        let mut settings = around.settings.clone();
        settings.tags.push("always".to_owned());
        Some(Item::Task(Arc::new(Task {
            place: place.clone(),
            name: Some(format!("Validating arguments against arg spec '{name}'{about}")),
            module: "validate_argument_spec".to_owned(),
            module_place: place.clone(),
            args: arguments.map(|(name, value)| (name.to_owned(), Written { value, place: place.clone() })).to_vec(),
            settings,
            role: around.role.clone(),
            chain: around.chain.clone(),
            directory: around.directory.clone(),
            ..Task::default()
        })))
    }
}
