//! HCL written from JSON.

use hcl_edit::expr::Expression;
use hcl_edit::parser::{parse_expr, parse_template};

use crate::hcl::brackets::{self, Form};
use crate::hcl::source::Rewritten;
use crate::place::{Place, Problem};
use crate::terraform::json::read::{Kind, Node};
use crate::terraform::json::rules::{self, Of, Property};

/// Writes a file again.
///
/// # Errors
///
/// All [`Problem`]s of what means nothing in it.
pub fn rewritten(node: &Node, place: &dyn Fn(usize) -> Place) -> Result<Rewritten, Vec<Problem>> {
    let mut writer = Writer { done: Rewritten::default(), place, problems: vec![] };
    writer.top(node);
    if writer.problems.is_empty() { Ok(writer.done) } else { Err(writer.problems) }
}

struct Writer<'p> {
    done: Rewritten,
    place: &'p dyn Fn(usize) -> Place,
    problems: Vec<Problem>,
}

/// A property that only tells a person something.
const COMMENT: &str = "//";

impl Writer<'_> {
    fn problem(&mut self, node: &Node, message: impl Into<String>) {
        let place = (self.place)(node.at);
        self.problems.push(Problem::new(place, message));
    }

    /// Writes `text`, which comes from `node`.
    fn write(&mut self, node: &Node, text: &str) {
        self.done.origins.push((self.done.text.len(), node.at));
        self.done.text.push_str(text);
    }

    fn top(&mut self, node: &Node) {
        match &node.kind {
            Kind::List(items) => items.iter().for_each(|item| self.top(item)),
            Kind::Map(entries) => {
                for (key, value) in entries.iter().filter(|(key, _)| key.text() != Some(COMMENT)) {
                    let name = key.text().unwrap_or_default();
                    let meaning = |label: Option<&str>| rules::top(name, label);
                    self.blocks(key, &mut vec![], value, &meaning);
                }
            }
            _ => self.problem(node, format!("an object is required here, not {}", node.describe())),
        }
    }

    /// Writes the blocks that `node` stands for, once all labels are known.
    fn blocks<'n>(
        &mut self,
        key: &Node,
        labels: &mut Vec<&'n Node>,
        node: &'n Node,
        meaning: &dyn Fn(Option<&str>) -> (usize, Of),
    ) {
        let (wanted, of) = meaning(labels.first().and_then(|label| label.text()));
        match &node.kind {
            Kind::Word(word) if word == "null" => {}
            Kind::List(items) => items.iter().for_each(|item| self.blocks(key, labels, item, meaning)),
            Kind::Map(entries) if labels.len() < wanted => {
                for (label, value) in entries.iter().filter(|(label, _)| label.text() != Some(COMMENT)) {
                    labels.push(label);
                    self.blocks(key, labels, value, meaning);
                    labels.pop();
                }
            }
            Kind::Map(entries) => {
                let name = key.text().unwrap_or_default();
                if !is_identifier(name) {
                    self.problem(key, format!("`{name}` is no name of a block"));
                    return;
                }
                let first = labels.last().copied().unwrap_or(key);
                self.write(first, name);
                for label in labels.iter() {
                    let text = label.text().unwrap_or_default();
                    self.write(label, &format!(" {}", constant(text)));
                }
                self.done.text.push_str(" {\n");
                self.body(entries, of);
                self.done.text.push_str("}\n");
            }
            _ => {
                let name = key.text().unwrap_or_default();
                self.problem(node, format!("`{name}` needs an object here, not {}", node.describe()));
            }
        }
    }

    fn body(&mut self, entries: &[(Node, Node)], of: Of) {
        for (key, value) in entries {
            let name = key.text().unwrap_or_default();
            match rules::property(of, name, None) {
                _ if name == COMMENT => {}
                Property::Block(..) => {
                    let meaning = |label: Option<&str>| match rules::property(of, name, label) {
                        Property::Block(labels, of) => (labels, of),
                        _ => (0, Of::Free),
                    };
                    self.blocks(key, &mut vec![], value, &meaning);
                }
                _ if !is_identifier(name) => self.problem(key, format!("`{name}` is no name of an argument")),
                property => {
                    self.write(key, &format!("{name} = "));
                    match property {
                        Property::Reference => self.reference(value),
                        Property::Type => self.kind(value),
                        Property::Constant => self.value(value, &constant),
                        Property::Expression | Property::Block(..) => self.value(value, &quoted),
                    }
                    self.done.text.push('\n');
                }
            }
        }
    }

    /// Writes a value, its texts as `text` makes them.
    fn value(&mut self, node: &Node, text: &dyn Fn(&str) -> String) {
        match &node.kind {
            Kind::Word(word) => self.write(node, word),
            Kind::Text(written) => match template(written) {
                Err(why) if text("${x}") == quoted("${x}") => {
                    self.problem(node, format!("the template cannot be read: {why}"));
                }
                _ => self.write(node, &text(written)),
            },
            Kind::List(items) => self.list(node, items, &mut |writer, item| writer.value(item, text)),
            Kind::Map(entries) => {
                self.write(node, "{");
                for (key, value) in entries {
                    self.value(key, text);
                    self.done.text.push_str(" = ");
                    self.value(value, text);
                    self.done.text.push_str(", ");
                }
                self.done.text.push('}');
            }
        }
    }

    fn list(&mut self, node: &Node, items: &[Node], write: &mut dyn FnMut(&mut Self, &Node)) {
        self.write(node, "[");
        for item in items {
            write(self, item);
            self.done.text.push_str(", ");
        }
        self.done.text.push(']');
    }

    fn reference(&mut self, node: &Node) {
        match &node.kind {
            Kind::Text(text)
                if matches!(expression(text), Some(Expression::Variable(_) | Expression::Traversal(_))) =>
            {
                self.write(node, text);
            }
            Kind::Text(text) => self.problem(node, format!("`{text}` is no reference such as `lxd_network.lan`")),
            Kind::List(items) => self.list(node, items, &mut |writer, item| writer.reference(item)),
            Kind::Map(entries) => {
                self.write(node, "{");
                for (key, value) in entries {
                    self.reference(key);
                    self.done.text.push_str(" = ");
                    self.reference(value);
                    self.done.text.push_str(", ");
                }
                self.done.text.push('}');
            }
            Kind::Word(word) if word == "null" => self.write(node, word),
            Kind::Word(_) => self.problem(node, format!("a reference is required here, not {}", node.describe())),
        }
    }

    fn kind(&mut self, node: &Node) {
        match node.text() {
            Some(text) if expression(text).is_some() => self.write(node, text),
            Some(text) => self.problem(node, format!("`{text}` is no type such as `list(string)`")),
            None => self.problem(node, format!("a type is required here as text, not {}", node.describe())),
        }
    }
}

/// Whether `text` is a template, and why not.
fn template(text: &str) -> Result<(), String> {
    match brackets::unclosed(text, Form::Template) {
        Some(at) => Err(brackets::not_closed(&text[at..])),
        None => parse_template(text).map(drop).map_err(|error| error.message().to_owned()),
    }
}

/// The expression that `text` is, if it is one.
fn expression(text: &str) -> Option<Expression> {
    brackets::unclosed(text, Form::Code).is_none().then(|| parse_expr(text).ok()).flatten()
}

fn is_identifier(name: &str) -> bool {
    name.starts_with(|c: char| c.is_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_alphanumeric() || c == '_' || c == '-')
}

/// A text in which nothing is a template.
fn constant(text: &str) -> String {
    quoted(&text.replace("${", "$${").replace("%{", "%%{"))
}

/// A text with templates in it, in quotes: what is in `${…}` stays as it is.
fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let length = brackets::template(rest).unwrap_or(c.len_utf8());
        match c {
            _ if length > c.len_utf8() => out.push_str(&rest[..length]),
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c.is_control() => out.extend(["\\u", &format!("{:04x}", u32::from(c))]),
            c => out.push(c),
        }
        rest = &rest[length..];
    }
    out.push('"');
    out
}
