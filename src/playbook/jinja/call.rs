//! Functions and macros.

use std::any::Any;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use crate::playbook::jinja::arguments::{self, Arguments};
use crate::playbook::jinja::blocks::Super;
use crate::playbook::jinja::eval::{DEEPEST, Evaluator, Frame, LONGEST, failed, no_missing, undefined};
use crate::playbook::jinja::render::LoopState;
use crate::playbook::jinja::tree::{At, Macro};
use crate::playbook::jinja::value::{Object, Value};
use crate::playbook::jinja::{Error, NoValue, dates, names, python};

/// The functions that templates may call.
pub const FUNCTIONS: &[&str] =
    &["range", "dict", "namespace", "lookup", "query", "q", "cycler", "joiner", "now", "undef"];

/// A function by name.
struct Builtin(&'static str);

impl fmt::Debug for Builtin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<function {}>", self.0)
    }
}

impl Object for Builtin {
    fn get(&self, _key: &str) -> Result<Option<Value>, String> {
        Ok(None)
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// Returns the function of that name.
pub fn builtin(name: &str) -> Option<Value> {
    let name = FUNCTIONS.iter().find(|known| **known == name)?;
    Some(Value::Object(Arc::new(Builtin(name))))
}

/// Where the names of a macro's text are looked for.
#[derive(Clone)]
pub enum Home {
    /// In the template that is being rendered, this many frames deep.
    Here(usize),
    /// In frames of its own: a module's, or those around a `call` block.
    Frames(Arc<Vec<Frame>>),
}

/// A macro that can be called.
pub struct Callable {
    /// What it does.
    pub definition: Arc<Macro>,
    /// Where its names are.
    pub home: Home,
}

impl fmt::Debug for Callable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<Macro '{}'>", self.definition.name)
    }
}

impl Object for Callable {
    fn get(&self, key: &str) -> Result<Option<Value>, String> {
        Ok(match key {
            "name" => Some(Value::text(&self.definition.name)),
            "arguments" => Some(Value::tuple(self.definition.params.iter().map(Value::text).collect())),
            _ => None,
        })
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// What an imported template defines.
pub struct Module(pub Frame);

impl fmt::Debug for Module {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<TemplateModule>")
    }
}

impl Object for Module {
    fn get(&self, key: &str) -> Result<Option<Value>, String> {
        Ok(self.0.0.iter().find(|(name, _)| name == key).map(|(_, value)| value.clone()))
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// Whether it is an imported template.
pub fn is_module(value: &Value) -> bool {
    matches!(value, Value::Object(object) if object.as_any().is::<Module>())
}

/// `namespace(…)`: the one value that can be changed, `cycler` and `joiner` beside it.
#[derive(Debug)]
pub struct Namespace(pub Mutex<Vec<(String, Value)>>);

impl Namespace {
    fn value(entries: Vec<(String, Value)>) -> Value {
        Value::Object(Arc::new(Self(Mutex::new(entries))))
    }
}

impl Object for Namespace {
    fn get(&self, key: &str) -> Result<Option<Value>, String> {
        let entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(entries.iter().find(|(name, _)| name == key).map(|(_, value)| value.clone()))
    }

    fn set(&self, key: &str, value: Value) -> Result<(), String> {
        let mut entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match entries.iter_mut().find(|(name, _)| name == key) {
            Some(entry) => entry.1 = value,
            None => entries.push((key.to_owned(), value)),
        }
        Ok(())
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// `joiner(…)`: nothing at its first call, its separator afterwards.
#[derive(Debug)]
struct Joiner {
    separator: String,
    used: std::sync::atomic::AtomicBool,
}

impl Object for Joiner {
    fn get(&self, _key: &str) -> Result<Option<Value>, String> {
        Ok(None)
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// `cycler(…)`: its values in turn.
#[derive(Debug)]
pub struct Cycler {
    values: Vec<Value>,
    at: Mutex<usize>,
}

impl Cycler {
    /// Calls `next` or `reset`.
    pub fn call(&self, name: &str) -> Result<Value, String> {
        let mut at = self.at.lock().unwrap_or_else(PoisonError::into_inner);
        let value = self.values.get(*at).cloned().unwrap_or(Value::None);
        match name {
            "next" => *at = (*at + 1) % self.values.len().max(1),
            "reset" => *at = 0,
            _ => return Err("`cycler` has no such method".to_owned()),
        }
        Ok(if name == "next" { value } else { Value::None })
    }
}

impl Object for Cycler {
    fn get(&self, key: &str) -> Result<Option<Value>, String> {
        let at = *self.at.lock().unwrap_or_else(PoisonError::into_inner);
        Ok((key == "current").then(|| self.values.get(at).cloned().unwrap_or(Value::None)))
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// Whether a value can be called.
pub fn is_callable(value: &Value) -> bool {
    let Value::Object(object) = value else { return false };
    let object = object.as_any();
    object.is::<Builtin>() || object.is::<Callable>() || object.is::<Joiner>()
}

/// Calls a function or macro.
pub fn call(
    evaluator: &mut Evaluator<'_>,
    function: &Value,
    described: &str,
    arguments: Arguments,
    at: At,
) -> Result<Value, Error> {
    let Value::Object(object) = function else {
        return Err(failed(format!("`{described}` is no function"), at));
    };
    let object = object.as_any();
    if let Some(callable) = object.downcast_ref::<Callable>() {
        return call_macro(evaluator, callable, arguments, None, at);
    }
    if let Some(state) = object.downcast_ref::<LoopState>() {
        return evaluator.again(state, arguments, at);
    }
    if let Some(of) = object.downcast_ref::<Super>() {
        return evaluator.above(of, at);
    }
    if let Some(joiner) = object.downcast_ref::<Joiner>() {
        let used = joiner.used.swap(true, std::sync::atomic::Ordering::Relaxed);
        return Ok(Value::text(if used { joiner.separator.as_str() } else { "" }));
    }
    let Some(Builtin(name)) = object.downcast_ref::<Builtin>() else {
        return Err(failed(format!("`{described}` is no function"), at));
    };
    let arguments = no_missing(arguments).map_err(|missing| undefined(&missing, at))?;
    run(evaluator, name, arguments).map_err(|trouble| match trouble {
        NoValue::Undefined(missing) => undefined(&missing, at),
        NoValue::Refused(message) => failed(format!("`{name}`: {message}"), at),
    })
}

fn run(evaluator: &Evaluator<'_>, name: &str, mut arguments: Arguments) -> Result<Value, NoValue> {
    match name {
        "range" => Ok(range(arguments)?),
        "dict" => {
            let mut entries = match arguments.places.first() {
                Some(Value::Dict(dict)) => dict.0.clone(),
                Some(other) => pairs(other)?,
                None => vec![],
            };
            entries.extend(arguments.names.into_iter().map(|(key, value)| (Value::text(key), value)));
            Ok(Value::dict(entries))
        }
        "namespace" => {
            let mut entries: Vec<_> = arguments
                .places
                .iter()
                .filter_map(Value::as_dict)
                .flat_map(|dict| dict.0.iter().map(|(key, value)| (key.to_string(), value.clone())))
                .collect();
            entries.extend(arguments.names);
            Ok(Namespace::value(entries))
        }
        "joiner" => {
            let [separator] = arguments.bind(["sep"])?;
            let separator = arguments::text(separator, ", ");
            Ok(Value::Object(Arc::new(Joiner { separator, used: false.into() })))
        }
        "lookup" | "query" | "q" => lookup(evaluator, name, arguments),
        "cycler" => Ok(Value::Object(Arc::new(Cycler { values: arguments.places, at: Mutex::new(0) }))),
        "now" => {
            let [utc, format] = arguments.bind(["utc", "fmt"])?;
            let utc = utc.is_some_and(|value| value.truth());
            let zone = if utc { jiff::tz::TimeZone::UTC } else { jiff::tz::TimeZone::system() };
            match format.filter(Value::truth) {
                Some(format) => Ok(Value::text(dates::format(&format.to_string(), None, zone)?)),
                None => Ok(dates::now(zone)),
            }
        }
        "undef" => {
            let hint = arguments.shift("a hint").map_or_else(|_| "undefined".to_owned(), |hint| hint.to_string());
            Ok(Value::missing(hint))
        }
        _ => Err("is not supported".to_owned().into()),
    }
}

fn lookup(evaluator: &Evaluator<'_>, name: &str, mut arguments: Arguments) -> Result<Value, NoValue> {
    let plugin = arguments.shift("the name of a lookup")?.to_string();
    let mut options = arguments.names;
    let take = |options: &mut Vec<(String, Value)>, key: &str| {
        options.iter().position(|(name, _)| name == key).map(|index| options.remove(index).1)
    };
    let wantlist = take(&mut options, "wantlist").is_some_and(|value| value.truth());
    let on_error = take(&mut options, "errors").map_or_else(|| "strict".to_owned(), |value| value.to_string());
    let terms = arguments.places;
    let as_list = wantlist || name != "lookup";
    let values = match evaluator.scope.lookup(&plugin, &terms, &options) {
        Ok(values) => values,
        Err(_) if matches!(on_error.as_str(), "ignore" | "warn") => {
            return Ok(if as_list { Value::list(vec![]) } else { Value::None });
        }
        Err(message) => return Err(message),
    };
    if as_list {
        return Ok(Value::list(values));
    }
    let all_text = values.iter().all(|value| matches!(value, Value::Str(_)));
    if values.is_empty() {
        return Ok(Value::list(values));
    }
    match <[Value; 1]>::try_from(values) {
        Ok([value]) => Ok(value),
        Err(values) if all_text => {
            Ok(Value::text(values.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")))
        }
        Err(values) => Ok(Value::list(values)),
    }
}

fn range(arguments: Arguments) -> Result<Value, String> {
    let [a, b, step] = arguments.bind(["start", "stop", "step"])?;
    let step = arguments::int(step, 1)?;
    let (start, stop) = match (a, b) {
        (Some(stop), None) => (0, arguments::int(Some(stop), 0)?),
        (start, stop) => (arguments::int(start, 0)?, arguments::int(stop, 0)?),
    };
    if step == 0 {
        return Err("cannot have step 0".to_owned());
    }
    let mut items = vec![];
    let mut at = start;
    while (step > 0 && at < stop) || (step < 0 && at > stop) {
        if items.len() >= LONGEST {
            return Err("the result would be too long".to_owned());
        }
        items.push(Value::Int(at));
        at = at.saturating_add(step);
    }
    Ok(Value::list(items))
}

/// Reads a list of pairs.
pub fn pairs(value: &Value) -> Result<Vec<(Value, Value)>, String> {
    value
        .iterate()?
        .into_iter()
        .map(|item| match item.as_list().map(|pair| pair.as_slice()) {
            Some([key, value]) => Ok((key.clone(), value.clone())),
            _ => Err(format!("needs pairs, got {}", python::repr(&item))),
        })
        .collect()
}

/// Calls a macro. `caller` is what `caller()` in it does.
pub fn call_macro(
    evaluator: &mut Evaluator<'_>,
    callable: &Callable,
    arguments: Arguments,
    caller: Option<Value>,
    at: At,
) -> Result<Value, Error> {
    let definition = &callable.definition;
    if evaluator.depth >= DEEPEST {
        return Err(failed(format!("macro `{}` calls itself too often", definition.name), at));
    }
    let outer = match &callable.home {
        Home::Here(depth) => evaluator.frames.split_off((*depth).min(evaluator.frames.len())),
        Home::Frames(frames) => std::mem::replace(&mut evaluator.frames, frames.as_ref().clone()),
    };
    evaluator.hidden.push(outer);
    evaluator.depth += 1;
    let result = taken(definition, &arguments)
        .map_err(|message| failed(message, at))
        .and_then(|()| enter(evaluator, definition, arguments, caller));
    evaluator.depth -= 1;
    let outer = evaluator.hidden.pop().unwrap_or_default();
    match &callable.home {
        Home::Here(depth) => {
            evaluator.frames.truncate(*depth);
            evaluator.frames.extend(outer);
        }
        Home::Frames(_) => evaluator.frames = outer,
    }
    result.map(|text| evaluator.gathered(text))
}

/// Whether a macro can take the arguments: one that asks for `varargs` or `kwargs` takes any.
fn taken(definition: &Macro, arguments: &Arguments) -> Result<(), String> {
    let strange = arguments.names.iter().find(|(name, _)| !definition.params.contains(name));
    let asks = |name: &str| names::names_in(&definition.body).needed.iter().any(|(needed, _)| needed == name);
    if arguments.places.len() > definition.params.len() && !asks("varargs") {
        return Err(format!("macro `{}` takes at most {} arguments", definition.name, definition.params.len()));
    }
    match strange {
        Some((name, _)) if !asks("kwargs") => Err(format!("macro `{}` has no parameter `{name}`", definition.name)),
        _ => Ok(()),
    }
}

fn enter(
    evaluator: &mut Evaluator<'_>,
    definition: &Macro,
    arguments: Arguments,
    caller: Option<Value>,
) -> Result<String, Error> {
    let mut frame = Frame::default();
    let mut places = arguments.places.into_iter();
    let mut names = arguments.names;
    for param in &definition.params {
        let named = names.iter().position(|(name, _)| name == param).map(|index| names.remove(index).1);
        if let Some(value) = places.next().or(named) {
            frame.set(param, value);
        }
    }
    frame.set("varargs", Value::tuple(places.collect()));
    frame.set("kwargs", Value::dict(names.into_iter().map(|(key, value)| (Value::text(key), value)).collect()));
    if let Some(caller) = caller {
        frame.set("caller", caller);
    }
    evaluator.frames.push(frame);
    let without = definition.params.len() - definition.defaults.len().min(definition.params.len());
    for (index, param) in definition.params.iter().enumerate() {
        let given = evaluator.frames.last().is_some_and(|frame| frame.0.iter().any(|(name, _)| name == param));
        if given {
            continue;
        }
        let value = match index.checked_sub(without).and_then(|index| definition.defaults.get(index)) {
            Some(default) => evaluator.expression(default)?,
            None => Value::missing(param.as_str()),
        };
        if let Some(frame) = evaluator.frames.last_mut() {
            frame.set(param, value);
        }
    }
    evaluator.render(&definition.body)
}
