//! What a server answers.

use serde_json::{Map, Number, Value};

/// The answer to one statement.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rows {
    /// What the rows consist of; nothing if the statement gives no rows.
    pub columns: Vec<Column>,
    /// The rows, as text; nothing for `NULL`.
    pub rows: Vec<Vec<Option<String>>>,
    /// How many rows there are, or were changed.
    pub count: u64,
}

/// One column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// What its texts mean.
    pub kind: Kind,
}

/// What a text means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Text, and everything that has no better kind.
    Text,
    /// A whole number.
    Integer,
    /// Any other number.
    Float,
    /// A truth value, `t` or `f`.
    Truth,
    /// JSON.
    Json,
}

impl Rows {
    /// The first value of the first row.
    pub fn value(&self) -> Option<&str> {
        self.rows.first()?.first()?.as_deref()
    }

    /// The first value of each row.
    pub fn firsts(&self) -> impl Iterator<Item = &str> {
        self.rows.iter().filter_map(|row| row.first()?.as_deref())
    }

    /// The first row by the names of the columns.
    pub fn row(&self) -> Option<std::collections::BTreeMap<String, Option<String>>> {
        let names = self.columns.iter().map(|column| column.name.clone());
        Some(names.zip(self.rows.first()?.iter().cloned()).collect())
    }

    /// Every row as a map.
    pub fn maps(&self) -> Vec<Value> {
        let map = |row: &Vec<Option<String>>| {
            let values = self.columns.iter().zip(row);
            let values = values.map(|(column, text)| (column.name.clone(), value(column.kind, text.as_deref())));
            Value::Object(values.collect::<Map<_, _>>())
        };
        self.rows.iter().map(map).collect()
    }
}

fn value(kind: Kind, text: Option<&str>) -> Value {
    let Some(text) = text else { return Value::Null };
    let known = match kind {
        Kind::Text => None,
        Kind::Integer => text.parse::<i64>().map(Value::from).or_else(|_| text.parse::<u64>().map(Value::from)).ok(),
        Kind::Float => text.parse().ok().and_then(Number::from_f64).map(Value::Number),
        Kind::Truth => Some(Value::Bool(text == "t" || text == "1")),
        Kind::Json => serde_json::from_str(text).ok(),
    };
    known.unwrap_or_else(|| Value::from(text))
}
