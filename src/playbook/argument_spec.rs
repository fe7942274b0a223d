//! Arguments held to a specification, as roles have one in `meta/argument_specs.yml`.
//!
//! Source: ansible-core 2.15, `module_utils/common/arg_spec.py`, `parameters.py` and `validation.py`.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::module::arguments::text;

mod kinds;
mod together;

/// Options by their names.
type Spec = Map<String, Value>;

/// What is not supported where: by its whole name, with what would be.
type Unsupported = BTreeMap<String, (Vec<String>, Vec<String>)>;

/// Returns every way in which `given` is not what `spec` says, in Ansible's words.
pub fn violations(spec: &Spec, given: &Map<String, Value>) -> Vec<String> {
    let mut check = Check::default();
    check.level(spec, &mut given.clone(), None);
    check.end()
}

/// What is found on the way.
#[derive(Default)]
struct Check {
    /// The options that are looked into, outermost first.
    within: Vec<String>,
    errors: Vec<String>,
    unsupported: Unsupported,
}

impl Check {
    fn end(mut self) -> Vec<String> {
        if let Some((_, (names, aliases))) = self.unsupported.last_key_value() {
            let wrong = self.unsupported.keys().cloned().collect::<Vec<_>>().join(", ");
            let aliases = if aliases.is_empty() { String::new() } else { format!(" ({})", aliases.join(", ")) };
            let names = names.join(", ");
            self.errors.push(format!("{wrong}. Supported parameters include: {names}{aliases}."));
        }
        self.errors
    }

    fn tell(&mut self, what: String) {
        let place =
            if self.within.is_empty() { String::new() } else { format!(" found in {}", self.within.join(" -> ")) };
        self.errors.push(what + &place);
    }

    /// Checks one level of options; `rules`: the option that holds them, if one does.
    fn level(&mut self, spec: &Spec, given: &mut Map<String, Value>, rules: Option<&Value>) {
        self.aliases(spec, given);
        self.errors.extend(strange(spec, given));
        if let Some(error) = rules.and_then(|rules| together::exclusive(rules, given)) {
            self.tell(error);
        }
        for (name, option) in spec {
            if !given.contains_key(name) && !option["default"].is_null() {
                given.insert(name.clone(), option["default"].clone());
            }
        }
        self.required(spec, given);
        self.kinds(spec, given);
        self.choices(spec, given);
        if let Some(rules) = rules {
            for error in together::required(rules, given) {
                self.tell(error);
            }
        }
        self.inner(spec, given);
    }

    /// Gives what has another name its first one, and notes what has no name here.
    fn aliases(&mut self, spec: &Spec, given: &mut Map<String, Value>) {
        let mut aliases: BTreeMap<String, String> = BTreeMap::new();
        for (name, option) in spec {
            let other = option["aliases"].as_array().into_iter().flatten().filter_map(Value::as_str);
            aliases.extend(other.map(|alias| (alias.to_owned(), name.clone())));
        }
        for (alias, name) in &aliases {
            if let Some(value) = given.get(alias).cloned() {
                given.insert(name.clone(), value);
            }
        }
        let unknown = given.keys().filter(|name| !spec.contains_key(*name) && !aliases.contains_key(*name));
        for name in unknown {
            let whole = self.within.iter().chain([name]).cloned().collect::<Vec<_>>().join(".");
            let mut names = spec.keys().cloned().collect::<Vec<_>>();
            names.sort();
            self.unsupported.insert(whole, (names, aliases.keys().cloned().collect()));
        }
    }

    fn required(&mut self, spec: &Spec, given: &Map<String, Value>) {
        let required = spec.iter().filter(|(_, option)| option["required"] == json!(true));
        let mut missing =
            required.map(|(name, _)| name.as_str()).filter(|name| !given.contains_key(*name)).collect::<Vec<_>>();
        missing.sort_unstable();
        if !missing.is_empty() {
            self.tell(format!("missing required arguments: {}", missing.join(", ")));
        }
    }

    fn kinds(&mut self, spec: &Spec, given: &mut Map<String, Value>) {
        for (name, option) in spec {
            let Some(value) = given.get_mut(name) else { continue };
            if value.is_null() && option["required"] != json!(true) && option["default"].is_null() {
                continue;
            }
            let wanted = option["type"].as_str().unwrap_or("str");
            let place = if self.within.is_empty() {
                String::new()
            } else {
                format!(" found in '{}'.", self.within.join(" -> "))
            };
            match kinds::converted(wanted, value) {
                Ok(converted) => *value = converted,
                Err(why) => {
                    let kind = kinds::python(value);
                    let text = format!("argument '{name}' is of type {kind}{place} and we were unable to convert to");
                    self.errors.push(format!("{text} {wanted}: {why}"));
                    continue;
                }
            }
            let (Some(wanted), Value::Array(items)) = (option["elements"].as_str(), value) else { continue };
            // What cannot be converted is not looked at any further.
            items.retain_mut(|item| match kinds::converted(wanted, item) {
                Ok(converted) => {
                    *item = converted;
                    true
                }
                Err(why) => {
                    let place = place.trim_end_matches('.');
                    let (kind, failed) = (kinds::python(item), "and we were unable to convert to");
                    let text = format!("Elements value for option '{name}'{place} is of type {kind} {failed}");
                    self.errors.push(format!("{text} {wanted}: {why}"));
                    false
                }
            });
        }
    }

    fn choices(&mut self, spec: &Spec, given: &Map<String, Value>) {
        for (name, option) in spec {
            let (Some(choices), Some(value)) = (option["choices"].as_array(), given.get(name)) else { continue };
            let listed = choices.iter().map(text).collect::<Vec<_>>().join(", ");
            match value {
                Value::Array(items) => {
                    let wrong = items.iter().filter(|item| !choices.contains(item)).map(text).collect::<Vec<_>>();
                    if !wrong.is_empty() {
                        let wrong = wrong.join(", ");
                        self.tell(format!(
                            "value of {name} must be one or more of: {listed}. Got no match for: {wrong}"
                        ));
                    }
                }
                Value::Null if option["required"] != json!(true) => {}
                value if choices.contains(value) => {}
                value => self.tell(format!("value of {name} must be one of: {listed}, got: {}", text(value))),
            }
        }
    }

    /// Looks into options that hold others.
    fn inner(&mut self, spec: &Spec, given: &mut Map<String, Value>) {
        for (name, option) in spec {
            let list = option["type"] == "list" && option["elements"] == "dict";
            let Some(inner) = option["options"].as_object().filter(|_| list || option["type"] == "dict") else {
                continue;
            };
            if option["apply_defaults"] == json!(true) && given.get(name).is_none_or(Value::is_null) {
                given.insert(name.clone(), json!({}));
            }
            let Some(value) = given.get_mut(name).filter(|value| !value.is_null()) else { continue };
            let items = match value {
                Value::Array(items) => items.as_mut_slice(),
                one => std::slice::from_mut(one),
            };
            self.within.push(name.clone());
            for item in items {
                match item {
                    Value::Object(item) => self.level(inner, item, Some(option)),
                    _ => self.errors.push(format!("value of '{name}' must be of type dict or list of dicts")),
                }
            }
            self.within.pop();
        }
    }
}

/// The first text that stands where options are held, and is none.
fn strange(spec: &Spec, given: &Map<String, Value>) -> Option<String> {
    let holders = spec.iter().filter(|(_, option)| option["options"].is_object());
    let held = holders.filter_map(|(name, _)| given.get(name));
    let items = held.flat_map(|value| value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice));
    items.filter(|item| item.is_string()).find_map(|item| kinds::converted("dict", item).err())
}
