//! JSON with positions.

use std::path::Path;

use serde::de::IgnoredAny;

use crate::place::{Place, Problem};

/// A value and where it starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// Its offset.
    pub at: usize,
    /// What it is.
    pub kind: Kind,
}

/// What a value is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `null`, `true`, `false` or a number, as it is written.
    Word(String),
    /// Text.
    Text(String),
    /// A list.
    List(Vec<Node>),
    /// Values by name, in the order of the file; a name may stand there twice.
    Map(Vec<(Node, Node)>),
}

impl Node {
    /// Its text, if it is one.
    pub fn text(&self) -> Option<&str> {
        match &self.kind {
            Kind::Text(text) => Some(text),
            _ => None,
        }
    }

    /// What a person calls it.
    pub fn describe(&self) -> &'static str {
        match &self.kind {
            Kind::Word(word) if word == "null" => "null",
            Kind::Word(word) if word == "true" || word == "false" => "a truth value",
            Kind::Word(_) => "a number",
            Kind::Text(_) => "text",
            Kind::List(_) => "a list",
            Kind::Map(_) => "an object",
        }
    }
}

/// Reads `text`, which stands in `file`.
///
/// # Errors
///
/// A [`Problem`] where it is not JSON.
pub fn node(file: &Path, text: &str) -> Result<Node, Problem> {
    serde_json::from_str::<IgnoredAny>(text)
        .map_err(|error| Problem::new(Place::new(file, error.line(), error.column()), format!("not JSON: {error}")))?;
    // What is JSON can be read; this tells where everything stands.
    let mut reader = Reader { text, at: 0 };
    reader.node().ok_or_else(|| Problem::new(place(file, text, reader.at), "not JSON"))
}

/// The place of an offset.
pub fn place(file: &Path, text: &str, at: usize) -> Place {
    let before = text.get(..at).unwrap_or_default();
    let line = before.rsplit('\n').next().unwrap_or_default();
    Place::new(file, before.matches('\n').count() + 1, line.chars().count() + 1)
}

/// Reads what is known to be JSON.
struct Reader<'t> {
    text: &'t str,
    at: usize,
}

impl Reader<'_> {
    fn rest(&self) -> &str {
        &self.text[self.at..]
    }

    /// Goes to the next thing that means something.
    fn next(&mut self) -> Option<char> {
        self.at += self.rest().find(|c: char| !c.is_ascii_whitespace() && c != ',' && c != ':')?;
        self.rest().chars().next()
    }

    fn node(&mut self) -> Option<Node> {
        let first = self.next()?;
        let at = self.at;
        let kind = match first {
            '"' => Kind::Text(self.string()?),
            '[' => {
                self.at += 1;
                let mut items = vec![];
                while self.next()? != ']' {
                    items.push(self.node()?);
                }
                self.at += 1;
                Kind::List(items)
            }
            '{' => {
                self.at += 1;
                let mut entries = vec![];
                while self.next()? != '}' {
                    entries.push((self.node()?, self.node()?));
                }
                self.at += 1;
                Kind::Map(entries)
            }
            _ => {
                let end = self.rest().find(|c: char| c.is_ascii_whitespace() || ",]}".contains(c));
                let word = self.rest()[..end.unwrap_or(self.rest().len())].to_owned();
                self.at += word.len();
                Kind::Word(word)
            }
        };
        Some(Node { at, kind })
    }

    fn string(&mut self) -> Option<String> {
        let mut escaped = false;
        let end = self.rest().char_indices().skip(1).find(|(_, c)| {
            let ends = *c == '"' && !escaped;
            escaped = *c == '\\' && !escaped;
            ends
        });
        let written = &self.rest()[..=end?.0];
        let read = serde_json::from_str(written).ok();
        self.at += written.len();
        read
    }
}
