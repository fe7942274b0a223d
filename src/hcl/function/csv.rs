//! Comma-separated values.

use std::collections::BTreeMap;

use crate::hcl::function::argument::text;
use crate::hcl::function::{Files, Function, Takes};
use crate::hcl::value::Value;

/// The functions of this file.
pub const FUNCTIONS: &[Function] =
    &[Function { name: "csvdecode", least: 1, most: Some(1), takes: Takes::Present, body: decode }];

/// The first row names the columns; every further one becomes an object of text.
fn decode(_: &Files<'_>, arguments: Vec<Value>) -> Result<Value, String> {
    let mut rows = rows(&text(&mut arguments.into_iter())?)?.into_iter();
    let names = rows.next().ok_or_else(|| "the line of column names is missing".to_owned())?;
    if let Some(twice) = names.iter().enumerate().find(|(at, name)| names[..*at].contains(name)) {
        return Err(format!("the column `{}` stands there twice", twice.1));
    }
    let object = |(number, row): (usize, Vec<String>)| {
        if row.len() != names.len() {
            return Err(format!("row {number} has {} fields, not {}", row.len(), names.len()));
        }
        let fields = names.iter().cloned().zip(row.into_iter().map(Value::String));
        Ok(Value::Map(fields.collect::<BTreeMap<_, _>>()))
    };
    (2..).zip(rows).map(object).collect::<Result<_, _>>().map(Value::List)
}

/// Fields by row. Empty lines are none; a field in quotes may hold commas, line breaks and doubled quotes.
///
/// Source: RFC 4180, and the documentation of Go's `encoding/csv` for what that leaves open.
fn rows(text: &str) -> Result<Vec<Vec<String>>, String> {
    let text = text.replace("\r\n", "\n");
    let (mut rows, mut row, mut rest) = (vec![], vec![], text.as_str());
    while !rest.is_empty() {
        if row.is_empty() && rest.starts_with('\n') {
            rest = &rest[1..];
            continue;
        }
        let (field, after) = field(rest)?;
        row.push(field);
        match after.strip_prefix(',') {
            Some(more) if more.is_empty() || more.starts_with('\n') => {
                row.push(String::new());
                rows.push(std::mem::take(&mut row));
                rest = more.strip_prefix('\n').unwrap_or(more);
            }
            Some(more) => rest = more,
            None => {
                rows.push(std::mem::take(&mut row));
                rest = after.strip_prefix('\n').unwrap_or(after);
            }
        }
    }
    Ok(rows)
}

fn field(text: &str) -> Result<(String, &str), String> {
    let Some(mut inside) = text.strip_prefix('"') else {
        let end = text.find([',', '\n']).unwrap_or(text.len());
        if text[..end].contains('"') {
            return Err("a quote stands inside of a field that is not in quotes".to_owned());
        }
        return Ok((text[..end].to_owned(), &text[end..]));
    };
    let mut field = String::new();
    loop {
        let end = inside.find('"').ok_or_else(|| "a quote is not closed".to_owned())?;
        field.push_str(&inside[..end]);
        inside = &inside[end + 1..];
        match inside.chars().next() {
            Some('"') => {
                field.push('"');
                inside = &inside[1..];
            }
            None | Some(',' | '\n') => return Ok((field, inside)),
            Some(_) => return Err("something stands between a quote and the end of its field".to_owned()),
        }
    }
}
