//! What an expression is worth.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::fmt;

use crate::hcl::number::Number;

/// A value of the language. Tuples and lists are one kind here, as are objects and maps: the difference only decides
/// which programs are refused.
#[derive(Clone, PartialEq, Default)]
pub enum Value {
    /// Absence.
    #[default]
    Null,
    /// A truth value.
    Bool(bool),
    /// A number.
    Number(Number),
    /// Text.
    String(String),
    /// Values in order.
    List(Vec<Value>),
    /// Distinct values in Terraform's order of sets; made by [`Value::set`].
    Set(Vec<Value>),
    /// Values by key, sorted by key as Terraform iterates.
    Map(BTreeMap<String, Value>),
    /// Known only after apply.
    Unknown,
    /// A value that is not to be shown.
    Sensitive(Box<Value>),
}

impl Value {
    /// Makes a set: sorted, each value once.
    pub fn set(values: impl IntoIterator<Item = Self>) -> Self {
        let mut items: Vec<Self> = values.into_iter().collect();
        items.sort_by(Self::order);
        items.dedup();
        Self::Set(items)
    }

    /// Makes it not to be shown; once is enough.
    #[must_use]
    pub fn sensitive(self) -> Self {
        match self {
            Self::Sensitive(_) => self,
            clear => Self::Sensitive(Box::new(clear)),
        }
    }

    /// Marks it if `mark` says so.
    #[must_use]
    pub fn marked(self, mark: Mark) -> Self {
        match mark {
            Mark::Clear => self,
            Mark::Sensitive => self.sensitive(),
        }
    }

    /// Takes off the mark of the value itself.
    pub fn unmark(self) -> (Self, Mark) {
        match self {
            Self::Sensitive(inner) => (inner.unmark().0, Mark::Sensitive),
            clear => (clear, Mark::Clear),
        }
    }

    /// Takes off all marks, also of what is inside.
    pub fn unmark_deep(self) -> (Self, Mark) {
        let mut mark = Mark::Clear;
        let clear = self.strip(&mut mark);
        (clear, mark)
    }

    fn strip(self, mark: &mut Mark) -> Self {
        match self {
            Self::Sensitive(inner) => {
                *mark = Mark::Sensitive;
                inner.strip(mark)
            }
            Self::List(items) => Self::List(items.into_iter().map(|item| item.strip(mark)).collect()),
            Self::Set(items) => Self::set(items.into_iter().map(|item| item.strip(mark))),
            Self::Map(entries) => Self::Map(entries.into_iter().map(|(key, value)| (key, value.strip(mark))).collect()),
            other => other,
        }
    }

    /// Whether it, or anything in it, is known only after apply.
    pub fn has_unknown(&self) -> bool {
        match self {
            Self::Unknown => true,
            Self::Sensitive(inner) => inner.has_unknown(),
            Self::List(items) | Self::Set(items) => items.iter().any(Self::has_unknown),
            Self::Map(entries) => entries.values().any(Self::has_unknown),
            Self::Null | Self::Bool(_) | Self::Number(_) | Self::String(_) => false,
        }
    }

    /// Returns the text of a text, sensitive or not.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::String(text) => Some(text),
            Self::Sensitive(inner) => inner.as_str(),
            _ => None,
        }
    }

    /// Says what kind of value it is, for messages.
    pub fn describe(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "a truth value",
            Self::Number(_) => "a number",
            Self::String(_) => "text",
            Self::List(_) => "a list",
            Self::Set(_) => "a set",
            Self::Map(_) => "a map",
            Self::Unknown => "a value known only after apply",
            Self::Sensitive(inner) => inner.describe(),
        }
    }

    /// The order of sets: by kind, then by value.
    pub fn order(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Bool(left), Self::Bool(right)) => left.cmp(right),
            (Self::Number(left), Self::Number(right)) => left.order(*right),
            (Self::String(left), Self::String(right)) => left.cmp(right),
            (Self::List(left) | Self::Set(left), Self::List(right) | Self::Set(right)) => left
                .iter()
                .zip(right)
                .map(|(left, right)| left.order(right))
                .find(|order| order.is_ne())
                .unwrap_or(left.len().cmp(&right.len())),
            (Self::Map(left), Self::Map(right)) => left
                .iter()
                .zip(right)
                .map(|(left, right)| left.0.cmp(right.0).then_with(|| left.1.order(right.1)))
                .find(|order| order.is_ne())
                .unwrap_or(left.len().cmp(&right.len())),
            (Self::Sensitive(inner), _) => inner.order(other),
            (_, Self::Sensitive(inner)) => self.order(inner),
            _ => self.rank().cmp(&other.rank()),
        }
    }

    fn rank(&self) -> u8 {
        match self {
            Self::Null => 0,
            Self::Bool(_) => 1,
            Self::Number(_) => 2,
            Self::String(_) => 3,
            Self::List(_) | Self::Set(_) => 4,
            Self::Map(_) => 5,
            Self::Unknown | Self::Sensitive(_) => 6,
        }
    }
}

/// Whether a value may be shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// It may.
    Clear,
    /// It may not.
    Sensitive,
}

impl Mark {
    /// A result is sensitive if anything that went into it was.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        if self == Self::Clear { other } else { self }
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::String(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::String(text)
    }
}

impl From<bool> for Value {
    fn from(truth: bool) -> Self {
        Self::Bool(truth)
    }
}

impl From<i128> for Value {
    fn from(whole: i128) -> Self {
        Self::Number(whole.into())
    }
}

impl From<usize> for Value {
    fn from(whole: usize) -> Self {
        Self::Number(whole.into())
    }
}

impl From<Number> for Value {
    fn from(number: Number) -> Self {
        Self::Number(number)
    }
}

/// Shows everything but what is sensitive.
impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("null"),
            Self::Bool(truth) => write!(f, "{truth}"),
            Self::Number(number) => write!(f, "{number}"),
            Self::String(text) => write!(f, "{text:?}"),
            Self::List(items) => f.debug_list().entries(items).finish(),
            Self::Set(items) => f.debug_set().entries(items).finish(),
            Self::Map(entries) => f.debug_map().entries(entries).finish(),
            Self::Unknown => f.write_str("(unknown)"),
            Self::Sensitive(_) => f.write_str("(sensitive)"),
        }
    }
}
