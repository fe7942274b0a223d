//! What expressions work on: Python's values, as far as playbooks meet them.

use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

use serde_json::{Map, Number, Value as Json};

use crate::playbook::jinja::{dates, python};

/// A name or attribute that is not there. It chains: its attributes are not there either, for the same reason.
#[derive(Clone, Debug, PartialEq)]
pub struct Missing {
    /// The expression as a person writes it, e.g. `result.stat`.
    pub name: String,
    /// Why, if there is more to say, e.g. that the variable's own template has an undefined name.
    pub reason: Option<String>,
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` is undefined", self.name)?;
        match &self.reason {
            Some(reason) => write!(f, ": {reason}"),
            None => Ok(()),
        }
    }
}

/// Something with behaviour of its own: a macro, `loop`, `hostvars`.
pub trait Object: fmt::Debug + Send + Sync {
    /// Returns an attribute or item.
    fn get(&self, key: &str) -> Result<Option<Value>, String>;

    /// Returns its keys.
    fn keys(&self) -> Vec<String> {
        vec![]
    }

    /// Whether it stands for a dictionary.
    fn is_mapping(&self) -> bool {
        false
    }

    /// Returns it as a dictionary, if it stands for one.
    fn whole(&self) -> Option<Value> {
        None
    }

    /// Sets an attribute; only a `namespace` can.
    fn set(&self, _key: &str, _value: Value) -> Result<(), String> {
        Err("cannot assign attributes of this value".to_owned())
    }

    /// Lets the evaluator recognise the kinds it knows.
    fn as_any(&self) -> &dyn std::any::Any;
}

/// A value.
#[derive(Clone, Debug)]
pub enum Value {
    /// Not there.
    Undefined(Arc<Missing>),
    /// `None`.
    None,
    /// `True` or `False`.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// Any other number.
    Float(f64),
    /// Text.
    Str(Arc<str>),
    /// A list.
    List(Arc<Vec<Value>>),
    /// A tuple: printed with parentheses, otherwise a list.
    Tuple(Arc<Vec<Value>>),
    /// A dictionary, in the order of insertion.
    Dict(Arc<Dict>),
    /// Something with behaviour.
    Object(Arc<dyn Object>),
}

/// A dictionary: few keys, so they are looked for one by one.
#[derive(Clone, Debug, Default)]
pub struct Dict(pub Vec<(Value, Value)>, pub Keys);

/// What the keys of a dictionary are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Keys {
    /// What they are here.
    #[default]
    Exact,
    /// Those of a file: numbers are kept as their text, and are found as numbers, too.
    Text,
}

impl Dict {
    /// Returns the value under a text key.
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.0.iter().find(|(name, _)| matches!(name, Value::Str(text) if **text == *key)).map(|(_, value)| value)
    }

    /// Returns the value under any key.
    pub fn get_value(&self, key: &Value) -> Option<&Value> {
        let found = self.0.iter().find(|(name, _)| name == key).map(|(_, value)| value);
        match key {
            Value::Str(text) => self.get(text),
            Value::Int(number) if self.1 == Keys::Text => found.or_else(|| self.get(&number.to_string())),
            _ => found,
        }
    }

    /// Sets a value; a key that is there keeps its place.
    pub fn insert(&mut self, key: Value, value: Value) {
        match self.0.iter_mut().find(|(name, _)| *name == key) {
            Some(entry) => entry.1 = value,
            None => self.0.push((key, value)),
        }
    }
}

impl Value {
    /// Makes text.
    pub fn text(text: impl AsRef<str>) -> Self {
        Self::Str(Arc::from(text.as_ref()))
    }

    /// Makes a list.
    pub fn list(items: Vec<Self>) -> Self {
        Self::List(Arc::new(items))
    }

    /// Makes a tuple.
    pub fn tuple(items: Vec<Self>) -> Self {
        Self::Tuple(Arc::new(items))
    }

    /// Makes a dictionary; later values of a key win.
    pub fn dict(entries: Vec<(Self, Self)>) -> Self {
        Self::mapping(entries, Keys::Exact)
    }

    /// Makes a dictionary with such keys; later values of a key win.
    pub fn mapping(entries: Vec<(Self, Self)>, keys: Keys) -> Self {
        let mut dict = Dict(vec![], keys);
        for (key, value) in entries {
            dict.insert(key, value);
        }
        Self::Dict(Arc::new(dict))
    }

    /// Makes the value of something that is not there.
    pub fn missing(name: impl Into<String>) -> Self {
        Self::Undefined(Arc::new(Missing { name: name.into(), reason: None }))
    }

    /// Makes a number of items or characters.
    pub fn count(count: usize) -> Self {
        Self::Int(i64::try_from(count).unwrap_or(i64::MAX))
    }

    /// Returns the text of a text.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::Str(text) => Some(text),
            _ => None,
        }
    }

    /// Returns the items of a list or tuple.
    pub fn as_list(&self) -> Option<&Arc<Vec<Self>>> {
        match self {
            Self::List(items) | Self::Tuple(items) => Some(items),
            _ => None,
        }
    }

    /// Returns a dictionary.
    pub fn as_dict(&self) -> Option<&Dict> {
        match self {
            Self::Dict(dict) => Some(dict),
            _ => None,
        }
    }

    /// Returns a whole number; truth values count as 0 and 1, as in Python.
    pub fn as_int(&self) -> Option<i64> {
        match self {
            Self::Int(value) => Some(*value),
            Self::Bool(value) => Some(i64::from(*value)),
            _ => None,
        }
    }

    /// Returns any number; truth values count as 0 and 1, as in Python.
    #[expect(clippy::cast_precision_loss, reason = "as Python's float()")]
    pub fn as_float(&self) -> Option<f64> {
        match self {
            Self::Float(value) => Some(*value),
            _ => self.as_int().map(|value| value as f64),
        }
    }

    /// Whether it is not there.
    pub fn is_undefined(&self) -> bool {
        matches!(self, Self::Undefined(_))
    }

    /// Says what kind of value it is, as Python names it.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Undefined(_) => "undefined",
            Self::None => "NoneType",
            Self::Bool(_) => "bool",
            Self::Int(_) => "int",
            Self::Float(_) => "float",
            Self::Str(_) => "str",
            Self::List(_) => "list",
            Self::Tuple(_) => "tuple",
            Self::Dict(_) => "dict",
            Self::Object(_) => "object",
        }
    }

    /// Whether Python takes it for true. Undefined values are checked before.
    pub fn truth(&self) -> bool {
        match self {
            Self::Undefined(_) | Self::None => false,
            Self::Bool(value) => *value,
            Self::Int(value) => *value != 0,
            Self::Float(value) => *value != 0.0,
            Self::Str(text) => !text.is_empty(),
            Self::List(items) | Self::Tuple(items) => !items.is_empty(),
            Self::Dict(dict) => !dict.0.is_empty(),
            Self::Object(_) => true,
        }
    }

    /// Finds a value that is not there in it, at any depth.
    pub fn find_missing(&self) -> Option<&Arc<Missing>> {
        match self {
            Self::Undefined(missing) => Some(missing),
            Self::List(items) | Self::Tuple(items) => items.iter().find_map(Self::find_missing),
            Self::Dict(dict) => dict.0.iter().find_map(|(_, value)| value.find_missing()),
            _ => None,
        }
    }

    /// Whether it holds only what Python can read again as it prints it.
    pub fn is_plain(&self) -> bool {
        match self {
            Self::Undefined(_) | Self::Object(_) => false,
            Self::Float(value) => value.is_finite(),
            Self::List(items) | Self::Tuple(items) => items.iter().all(Self::is_plain),
            Self::Dict(dict) => dict.0.iter().all(|(key, value)| key.is_plain() && value.is_plain()),
            _ => true,
        }
    }

    /// Returns the items that a loop over it sees: of text its characters, of a dictionary its keys.
    pub fn iterate(&self) -> Result<Vec<Self>, String> {
        match self {
            Self::List(items) | Self::Tuple(items) => Ok(items.as_ref().clone()),
            Self::Dict(dict) => Ok(dict.0.iter().map(|(key, _)| key.clone()).collect()),
            Self::Str(text) => Ok(text.chars().map(|c| Self::text(c.encode_utf8(&mut [0; 4]))).collect()),
            Self::Object(object) => Ok(object.keys().into_iter().map(Self::text).collect()),
            Self::Undefined(missing) => Err(missing.to_string()),
            _ => Err(format!("{} cannot be iterated over", self.kind())),
        }
    }

    /// Compares as Python's `<`, which knows no order between kinds.
    pub fn order(&self, other: &Self) -> Result<Ordering, String> {
        let refused = || format!("{} and {} cannot be ordered", self.kind(), other.kind());
        match (self, other) {
            (Self::Str(a), Self::Str(b)) => Ok(a.cmp(b)),
            (Self::List(a), Self::List(b)) | (Self::Tuple(a), Self::Tuple(b)) => {
                for (x, y) in a.iter().zip(b.iter()) {
                    if x != y {
                        return x.order(y);
                    }
                }
                Ok(a.len().cmp(&b.len()))
            }
            (Self::Object(a), Self::Object(b)) => dates::order(a, b).ok_or_else(refused),
            _ => match (self.as_int(), other.as_int()) {
                (Some(a), Some(b)) => Ok(a.cmp(&b)),
                _ => match (self.as_float(), other.as_float()) {
                    (Some(a), Some(b)) => a.partial_cmp(&b).ok_or_else(refused),
                    _ => Err(refused()),
                },
            },
        }
    }
}

impl PartialEq for Value {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Undefined(_), Self::Undefined(_)) | (Self::None, Self::None) => true,
            (Self::Str(a), Self::Str(b)) => a == b,
            (Self::List(a), Self::List(b)) | (Self::Tuple(a), Self::Tuple(b)) => a == b,
            (Self::Dict(a), Self::Dict(b)) => {
                a.0.len() == b.0.len() && a.0.iter().all(|(key, value)| b.get_value(key) == Some(value))
            }
            (Self::Object(a), Self::Object(b)) => Arc::ptr_eq(a, b) || dates::order(a, b) == Some(Ordering::Equal),
            _ => match (self.as_int(), other.as_int()) {
                (Some(a), Some(b)) => a == b,
                _ => matches!((self.as_float(), other.as_float()), (Some(a), Some(b)) if a == b),
            },
        }
    }
}

impl fmt::Display for Value {
    /// Prints as Python's `str()`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Str(text) => f.write_str(text),
            _ => f.write_str(&python::repr(self)),
        }
    }
}

impl From<&Json> for Value {
    fn from(json: &Json) -> Self {
        match json {
            Json::Null => Self::None,
            Json::Bool(value) => Self::Bool(*value),
            Json::Number(number) => {
                number.as_i64().map_or_else(|| Self::Float(number.as_f64().unwrap_or(f64::INFINITY)), Self::Int)
            }
            Json::String(text) => Self::text(text),
            Json::Array(items) => Self::list(items.iter().map(Self::from).collect()),
            Json::Object(entries) => {
                let entries = entries.iter().map(|(key, value)| (Self::text(key), Self::from(value)));
                Self::Dict(Arc::new(Dict(entries.collect(), Keys::Text)))
            }
        }
    }
}

impl Value {
    /// Turns it into plain data.
    ///
    /// # Errors
    ///
    /// The text of the undefined value in it, or that it holds something with behaviour.
    pub fn to_json(&self) -> Result<Json, String> {
        match self {
            Self::Undefined(missing) => Err(missing.to_string()),
            Self::None => Ok(Json::Null),
            Self::Bool(value) => Ok(Json::Bool(*value)),
            Self::Int(value) => Ok(Json::from(*value)),
            Self::Float(value) => Ok(Number::from_f64(*value).map_or(Json::Null, Json::Number)),
            Self::Str(text) => Ok(Json::String(text.to_string())),
            Self::List(items) | Self::Tuple(items) => items.iter().map(Self::to_json).collect(),
            Self::Dict(dict) => {
                let mut map = Map::new();
                for (key, value) in &dict.0 {
                    map.insert(python::json_key(key), value.to_json()?);
                }
                Ok(Json::Object(map))
            }
            Self::Object(object) => {
                if let Some(whole) = object.whole() {
                    return whole.to_json();
                }
                let mut map = Map::new();
                for key in object.keys() {
                    if let Some(value) = object.get(&key)? {
                        map.insert(key, value.to_json()?);
                    }
                }
                Ok(Json::Object(map))
            }
        }
    }
}
