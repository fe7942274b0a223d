//! YAML with positions, in the two dialects that the repositories are read in.
//!
//! Ansible reads YAML 1.1 (`yes` is true, `0644` is octal), Terraform's `yamldecode` a mixture (`yes` is true, `0644` is
//! 644). Sources: `PyYAML`'s resolver, go-cty-yaml's resolver.

mod scalar;

use std::collections::HashMap;

use granit_parser::{Event, Parser, ScalarStyle};
use serde_json::{Map, Number, Value};
use thiserror::Error;

/// How plain scalars are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// YAML 1.1, as Ansible (`PyYAML`).
    Ansible,
    /// As Terraform's and Packer's `yamldecode`.
    Terraform,
}

/// The text is not YAML, or more than a reader should take.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{message}")]
pub struct Error {
    /// What is wrong.
    pub message: String,
    /// Line, from 1.
    pub line: usize,
    /// Column, from 1.
    pub column: usize,
}

/// What a node holds.
#[derive(Clone, Debug, PartialEq)]
pub enum Kind {
    /// Nothing.
    Null,
    /// A truth value.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// Any other number.
    Float(f64),
    /// Text.
    Str(String),
    /// A list.
    Seq(Vec<Node>),
    /// Keys and values in the order of the text.
    Map(Vec<(Node, Node)>),
}

/// A value and where it stands.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// What it holds.
    pub kind: Kind,
    /// The text of a plain scalar as written, e.g. `0644` where `kind` is `Int(420)`.
    pub raw: Option<String>,
    /// Its tag, e.g. `!vault`.
    pub tag: Option<String>,
    /// Line, from 1.
    pub line: usize,
    /// Column, from 1.
    pub column: usize,
}

impl Node {
    /// Returns the value under `key` of a mapping.
    pub fn get(&self, key: &str) -> Option<&Self> {
        self.entries().iter().rev().find(|(name, _)| name.text() == Some(key)).map(|(_, value)| value)
    }

    /// Returns keys and values of a mapping; nothing for anything else.
    pub fn entries(&self) -> &[(Self, Self)] {
        match &self.kind {
            Kind::Map(entries) => entries,
            _ => &[],
        }
    }

    /// Returns the items of a list; nothing for anything else.
    pub fn items(&self) -> &[Self] {
        match &self.kind {
            Kind::Seq(items) => items,
            _ => &[],
        }
    }

    /// Returns the text of a text scalar.
    pub fn text(&self) -> Option<&str> {
        match &self.kind {
            Kind::Str(text) => Some(text),
            _ => None,
        }
    }

    /// Returns the text of any scalar as it was written.
    pub fn written(&self) -> Option<&str> {
        self.text().or(self.raw.as_deref())
    }

    /// Says what kind of value it is, for messages.
    pub fn describe(&self) -> &'static str {
        match self.kind {
            Kind::Null => "nothing",
            Kind::Bool(_) => "a truth value",
            Kind::Int(_) | Kind::Float(_) => "a number",
            Kind::Str(_) => "text",
            Kind::Seq(_) => "a list",
            Kind::Map(_) => "a mapping",
        }
    }

    /// Returns the value without positions. Keys that are no text become text as written.
    pub fn value(&self) -> Value {
        match &self.kind {
            Kind::Null => Value::Null,
            Kind::Bool(value) => Value::Bool(*value),
            Kind::Int(value) => Value::from(*value),
            Kind::Float(value) => Number::from_f64(*value).map_or(Value::Null, Value::Number),
            Kind::Str(text) => Value::String(text.clone()),
            Kind::Seq(items) => items.iter().map(Self::value).collect(),
            Kind::Map(entries) => Value::Object(
                entries
                    .iter()
                    .map(|(key, value)| (key.written().unwrap_or_default().to_owned(), value.value()))
                    .collect::<Map<_, _>>(),
            ),
        }
    }
}

/// Most nodes in one text, aliases counted each time: a bound against "billion laughs".
const MOST_NODES: usize = 1_000_000;
/// Deepest nesting.
const DEEPEST: usize = 200;

struct Open {
    node: Node,
    anchor: usize,
    key: Option<Node>,
}

/// Reads all documents of `text`.
///
/// # Errors
///
/// [`Error`] with the position of what cannot be read.
pub fn load(text: &str, dialect: Dialect) -> Result<Vec<Node>, Error> {
    let mut anchors = HashMap::<usize, (Node, usize)>::new();
    let mut stack = Vec::<Open>::new();
    let mut documents = vec![];
    let mut count = 0_usize;
    for read in Parser::new_from_str_with_options(text, granit_parser::options! { emit_comments: false }) {
        let (event, span) = read.map_err(|error| Error {
            message: error.info().clone(),
            line: error.marker().line(),
            column: error.marker().col() + 1,
        })?;
        let (line, column) = (span.start.line(), span.start.col() + 1);
        let fail = |message: &str| Error { message: message.to_owned(), line, column };
        let tag_text = |tag: Option<std::borrow::Cow<'_, granit_parser::Tag>>| {
            tag.map(|tag| format!("{}{}", tag.handle(), tag.suffix()))
        };
        let at = |kind, raw, tag| Node { kind, raw, tag, line, column };
        let (node, anchor) = match event {
            Event::DocumentStart(..) => {
                anchors.clear();
                continue;
            }
            Event::Scalar(text, style, anchor, tag) => {
                count += 1;
                let tag = tag_text(tag);
                let node = if style == ScalarStyle::Plain && tag.is_none() {
                    at(scalar(&text, dialect), Some(text.into_owned()), tag)
                } else {
                    at(tagged(text.into_owned(), tag.as_deref(), dialect), None, tag)
                };
                (node, anchor)
            }
            Event::Alias(id) => {
                let (node, size) = anchors.get(&id).cloned().ok_or_else(|| fail("an alias to no anchor"))?;
                count += size;
                (node, 0)
            }
            Event::SequenceStart(_, anchor, tag) => {
                count += 1;
                stack.push(Open { node: at(Kind::Seq(vec![]), None, tag_text(tag)), anchor, key: None });
                if stack.len() > DEEPEST {
                    return Err(fail("nested too deeply"));
                }
                continue;
            }
            Event::MappingStart(_, anchor, tag) => {
                count += 1;
                stack.push(Open { node: at(Kind::Map(vec![]), None, tag_text(tag)), anchor, key: None });
                if stack.len() > DEEPEST {
                    return Err(fail("nested too deeply"));
                }
                continue;
            }
            Event::SequenceEnd | Event::MappingEnd => {
                let Some(Open { mut node, anchor, .. }) = stack.pop() else {
                    return Err(fail("an end without a start"));
                };
                if let Kind::Map(entries) = &mut node.kind {
                    merge(entries);
                }
                (node, anchor)
            }
            _ => continue,
        };
        if count > MOST_NODES {
            return Err(fail("more than a million values"));
        }
        if anchor > 0 {
            anchors.insert(anchor, (node.clone(), size(&node)));
        }
        match stack.last_mut() {
            None => documents.push(node),
            Some(Open { node: Node { kind: Kind::Seq(items), .. }, .. }) => items.push(node),
            Some(Open { node: Node { kind: Kind::Map(entries), .. }, key, .. }) => match key.take() {
                Some(name) => entries.push((name, node)),
                None if matches!(node.kind, Kind::Seq(_) | Kind::Map(_)) => {
                    return Err(Error {
                        message: "a key must be a scalar: quote values that start with `{{`".to_owned(),
                        line: node.line,
                        column: node.column,
                    });
                }
                None => *key = Some(node),
            },
            Some(_) => return Err(fail("a value inside a scalar")),
        }
    }
    Ok(documents)
}

fn size(node: &Node) -> usize {
    match &node.kind {
        Kind::Seq(items) => 1 + items.iter().map(size).sum::<usize>(),
        Kind::Map(entries) => 1 + entries.iter().map(|(key, value)| size(key) + size(value)).sum::<usize>(),
        _ => 1,
    }
}

/// Carries out `<<`: what a mapping says itself wins over what it merges, earlier merged mappings over later ones.
fn merge(entries: &mut Vec<(Node, Node)>) {
    if !entries.iter().any(|(key, _)| key.written() == Some("<<")) {
        return;
    }
    let (mut own, mut base) = (vec![], Vec::<(Node, Node)>::new());
    for (key, value) in std::mem::take(entries) {
        match (key.written(), value.kind) {
            (Some("<<"), Kind::Map(merged)) => base.splice(0..0, merged).for_each(drop),
            (Some("<<"), Kind::Seq(list)) => {
                for node in list {
                    if let Kind::Map(merged) = node.kind {
                        base.extend(merged);
                    }
                }
            }
            (_, kind) => own.push((key, Node { kind, ..value })),
        }
    }
    let mut merged: Vec<(Node, Node)> = vec![];
    for (key, value) in base {
        let known = |(other, _): &(Node, Node)| other.kind == key.kind;
        if !own.iter().any(known) && !merged.iter().any(known) {
            merged.push((key, value));
        }
    }
    merged.extend(own);
    *entries = merged;
}

fn tagged(text: String, tag: Option<&str>, dialect: Dialect) -> Kind {
    match tag.map(|tag| tag.rsplit(['!', ':']).next().unwrap_or(tag)) {
        Some("int" | "float" | "bool" | "null") => scalar(&text, dialect),
        _ => Kind::Str(text),
    }
}

fn scalar(text: &str, dialect: Dialect) -> Kind {
    match dialect {
        Dialect::Ansible => scalar::ansible(text),
        Dialect::Terraform => scalar::terraform(text),
    }
}
