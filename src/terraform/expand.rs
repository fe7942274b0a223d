//! `count` and `for_each`.

use std::collections::BTreeMap;
use std::rc::Rc;

use crate::hcl::reference::Reference;
use crate::hcl::{Type, Value};
use crate::place::Problem;
use crate::terraform::evaluate::{Evaluation, Instance};
use crate::terraform::tree::{Declaration, Declared};

/// Which of its instances a block is evaluated for.
#[derive(Clone, Debug, PartialEq)]
pub enum Each {
    /// The only one.
    Single,
    /// The one of that number.
    Count(usize),
    /// The one of that key, with its value.
    Key(String, Value),
}

impl Each {
    /// Returns what stands behind the name in an address, e.g. `["x"]`.
    pub fn suffix(&self) -> String {
        match self {
            Self::Single => String::new(),
            Self::Count(number) => format!("[{number}]"),
            Self::Key(key, _) => format!("[{key:?}]"),
        }
    }

    /// Returns what `each.key`, `each.value` and `count.index` are worth.
    pub fn look_up(&self, reference: &Reference) -> Result<Value, Problem> {
        match (self, reference.root.as_str(), reference.name.as_deref()) {
            (Self::Key(key, _), "each", Some("key")) => Ok(Value::String(key.clone())),
            (Self::Key(_, value), "each", Some("value")) => Ok(value.clone()),
            (Self::Count(number), "count", Some("index")) => Ok(Value::from(*number)),
            (_, root, _) => {
                let meta = if root == "each" { "for_each" } else { "count" };
                let message = format!("`{}` is not known here", reference.text());
                let hint = format!("it needs `{meta}` in the same block");
                Err(Problem::new(reference.place.clone(), message).hint(hint))
            }
        }
    }
}

/// How often a block is made.
#[derive(Clone, Debug, PartialEq)]
pub enum Expansion {
    /// Once, without a key.
    Single,
    /// That often.
    Count(usize),
    /// Once for each key, with its value.
    Keys(BTreeMap<String, Value>),
}

impl Expansion {
    /// Returns the instances in order.
    pub fn each(&self) -> Vec<Each> {
        match self {
            Self::Single => vec![Each::Single],
            Self::Count(count) => (0..*count).map(Each::Count).collect(),
            Self::Keys(keys) => keys.iter().map(|(key, value)| Each::Key(key.clone(), value.clone())).collect(),
        }
    }

    /// Puts the values of the instances together as references see them.
    pub fn gather(&self, mut values: Vec<Value>) -> Value {
        match self {
            Self::Single => values.pop().unwrap_or_default(),
            Self::Count(_) => Value::List(values),
            Self::Keys(keys) => Value::Map(keys.keys().cloned().zip(values).collect()),
        }
    }
}

/// Most instances of one block.
const MOST: usize = 10_000;

/// Works out how often a block is made.
pub fn expand(
    evaluation: &Evaluation<'_>,
    instance: &Rc<Instance>,
    declaration: &Declaration<'_>,
) -> Result<Expansion, Problem> {
    match (declaration.attribute("count"), declaration.attribute("for_each")) {
        (None, None) => Ok(Expansion::Single),
        (Some(count), None) => counted(evaluation, instance, &count),
        (None, Some(keys)) => keyed(evaluation, instance, &keys),
        (Some(_), Some(keys)) => {
            Err(Problem::new(keys.lines.place(keys.expression), "`count` and `for_each` exclude each other"))
        }
    }
}

fn counted(evaluation: &Evaluation<'_>, instance: &Rc<Instance>, count: &Declared<'_>) -> Result<Expansion, Problem> {
    let value = evaluation
        .scoped(instance, &Each::Single, count.lines, |scope| scope.typed(count.expression, &Type::Number))?;
    let problem = |message: String| Err(Problem::new(count.lines.place(count.expression), message));
    match value.unmark().0 {
        Value::Number(number) => match number.as_usize() {
            Some(count) if count <= MOST => Ok(Expansion::Count(count)),
            _ => problem(format!("`count` must be a whole number from 0 to {MOST}, not {number}")),
        },
        other => problem(format!("`count` must be a number, not {}", other.describe())),
    }
}

fn keyed(evaluation: &Evaluation<'_>, instance: &Rc<Instance>, keys: &Declared<'_>) -> Result<Expansion, Problem> {
    let problem = |message: String| Problem::new(keys.lines.place(keys.expression), message);
    match evaluation.value(instance, &Each::Single, keys)? {
        Value::Map(keys) => Ok(Expansion::Keys(keys)),
        Value::Set(items) => {
            let key = |item: Value| match item {
                Value::String(text) => Ok((text.clone(), Value::String(text))),
                other => Err(problem(format!("`for_each` needs a set of text, not of {}", other.describe()))),
            };
            items.into_iter().map(key).collect::<Result<_, _>>().map(Expansion::Keys)
        }
        Value::List(_) => {
            Err(problem("`for_each` needs a map or a set, not a list".to_owned()).hint("convert it by `toset(…)`"))
        }
        Value::Sensitive(_) => {
            Err(problem("`for_each` shows its keys, so it cannot take a sensitive value".to_owned()))
        }
        other => Err(problem(format!("`for_each` needs a map or a set, not {}", other.describe()))),
    }
}
