//! Jinja2 with Ansible's semantics: minijinja parses, this evaluates.
//!
//! Own evaluation, because the rules differ where playbooks notice: undefined values chain and fail only when used,
//! values print as Python prints them, a template that is one expression keeps the type of its value, variables are
//! rendered when they are looked at. Sources: the Jinja2 3.1 template designer documentation, the documentation of
//! ansible-core's filters, tests and lookups; tables in `proto-fixtures/jinja` hold what the real ones answer.

use std::path::PathBuf;

use minijinja::syntax::SyntaxConfig;
use serde_json::Value as Json;
use thiserror::Error;

pub mod tree;
pub mod value;
mod versions;

mod address;
mod arguments;
mod blocks;
mod braces;
mod call;
pub mod crypt;
pub mod dates;
mod eval;
mod filters;
mod identity;
mod literal;
mod mersenne;
mod methods;
mod mutate;
mod names;
mod predicates;
pub mod printf;
mod python;
mod regexes;
mod render;
mod yamldump;

pub use eval::Evaluator;
pub use filters::lists::path_of;
pub use filters::paths as filters_text;
pub use literal::settle as data_of;
pub use mersenne::Mersenne;
pub use names::{Names, names_in, names_in_expression};
pub use tree::At;
pub use value::{Dict, Missing, Object, Value};

/// What went wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The template cannot be read.
    Syntax,
    /// Something in it is not there.
    Undefined,
    /// It can be read but not carried out.
    Failed,
}

/// A template cannot be rendered.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{message}")]
pub struct Error {
    /// What went wrong.
    pub fault: Fault,
    /// A lower-case fragment, names in backticks.
    pub message: String,
    /// Where in the text of the template.
    pub at: At,
    /// The included template it is in, if it is not the one that was rendered.
    pub file: Option<PathBuf>,
}

impl Error {
    /// Makes an error of the template that is being rendered.
    pub fn new(fault: Fault, message: impl Into<String>, at: At) -> Self {
        Self { fault, message: message.into(), at, file: None }
    }
}

/// Another template, for `include` and `import`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// Where it is.
    pub path: PathBuf,
    /// What is in it.
    pub text: String,
}

/// Why a lookup gave nothing.
#[derive(Clone, Debug, PartialEq)]
pub enum NoValue {
    /// Something is not there.
    Undefined(Missing),
    /// It cannot do that.
    Refused(String),
}

impl From<String> for NoValue {
    fn from(message: String) -> Self {
        Self::Refused(message)
    }
}

/// What templates can ask for.
pub trait Scope {
    /// Returns a variable, rendered; `None` if there is none of that name.
    ///
    /// # Errors
    ///
    /// Why it cannot be had. A variable whose own template needs something that is not there is
    /// [`Value::Undefined`], no error: it may never be used.
    fn variable(&self, name: &str) -> Result<Option<Value>, String>;

    /// Carries out `lookup(plugin, terms…, options…)`; one value a term.
    ///
    /// # Errors
    ///
    /// Why it cannot.
    fn lookup(&self, plugin: &str, terms: &[Value], options: &[(String, Value)]) -> Result<Vec<Value>, NoValue>;

    /// Returns all variables as they are written as a dictionary, if there is such a thing.
    fn whole(&self) -> Option<Value> {
        None
    }

    /// Whether a variable is written as a template: what came out of it is not looked at again.
    fn is_rendered(&self, _name: &str) -> bool {
        false
    }

    /// Returns the template of that name; `None` if there is none.
    ///
    /// # Errors
    ///
    /// Why it cannot be read.
    fn source(&self, name: &str) -> Result<Option<Source>, String>;
}

/// How backslashes in literals are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backslashes {
    /// As Jinja2 reads them: in template files and bare expressions.
    Escape,
    /// As themselves: `'\1'` in the text of a playbook is a backslash and a one, as in Ansible.
    Literal,
}

/// Renders the text of a template file: text goes in, text comes out.
///
/// # Errors
///
/// [`Error`] with the position in `text`.
pub fn render_file(text: &str, scope: &dyn Scope) -> Result<String, Error> {
    if !is_template(text) && !text.starts_with("#jinja2:") {
        return Ok(text.to_owned());
    }
    let (syntax, body, skipped) = header(text)?;
    let shift = |mut error: Error| {
        if error.file.is_none() {
            error.at.line += skipped;
        }
        error
    };
    render(body, &syntax, scope).map_err(shift)
}

/// Renders text of a playbook: text goes in, and text comes out that becomes a list, a dictionary or a truth value if it
/// looks like one. A variable that is a number stays one where nothing stands around it.
///
/// # Errors
///
/// [`Error`] with the position in `text`.
pub fn render_text(text: &str, scope: &dyn Scope) -> Result<Value, Error> {
    if !is_template(text) {
        return Ok(Value::text(text));
    }
    let text = &keep_after_raw(&literal_backslashes(&text.replace("\r\n", "\n").replace('\r', "\n")));
    let statements = tree::parse(strip_newline(text), &syntax()?)?;
    let mut evaluator = Evaluator::new(scope, Texts::BecomeData);
    let value = match statements.as_slice() {
        [tree::Stmt::Emit(expr)] => {
            let value = evaluator.expression(expr).and_then(|value| settle(value, expr.at))?;
            match (&expr.kind, value) {
                (tree::Kind::Var(_), value @ (Value::Int(_) | Value::Float(_) | Value::None)) if is_one_name(text) => {
                    return Ok(value);
                }
                (_, Value::None) => Value::text(""),
                (tree::Kind::Var(name), value @ Value::Str(_)) if scope.is_rendered(name) => value,
                (tree::Kind::Filter(_, name, _), value) if filters::makes_text(name) => Value::text(value.to_string()),
                // What Python prints of these is what it reads again.
                (_, value @ (Value::List(_) | Value::Dict(_) | Value::Bool(_))) if value.is_plain() => {
                    return Ok(value);
                }
                (_, value) => literal::settle(&value.to_string()),
            }
        }
        _ => literal::settle(&evaluator.template(&statements)?),
    };
    let ended = value.as_str().map(|out| Value::text(restore_newlines(out.to_owned(), text)));
    Ok(ended.unwrap_or(value))
}

/// Whether there is nothing but a name in braces.
fn is_one_name(text: &str) -> bool {
    let inner = strip_newline(text).strip_prefix("{{").and_then(|rest| rest.strip_suffix("}}"));
    inner.is_some_and(|name| name.trim().chars().all(|c| c.is_alphanumeric() || c == '_'))
}

/// What becomes of text that a template gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Texts {
    /// It stays text: in template files.
    Stay,
    /// A list, a dictionary or a truth value if it looks like one: in playbooks.
    BecomeData,
}

/// Evaluates one bare expression, e.g. of `when`.
///
/// # Errors
///
/// [`Error`] with the position in `text`.
pub fn evaluate(text: &str, scope: &dyn Scope) -> Result<Value, Error> {
    let expr = tree::parse_expression(text.trim_end())?;
    let value = Evaluator::new(scope, Texts::BecomeData).expression(&expr)?;
    settle(value, expr.at)
}

/// Evaluates one bare expression as if it stood in braces: text that looks like data becomes data.
///
/// # Errors
///
/// [`Error`] with the position in `text`.
pub fn evaluate_text(text: &str, scope: &dyn Scope) -> Result<Value, Error> {
    if is_template(text) {
        return render_text(text, scope);
    }
    render_text(&format!("{{{{ {text} }}}}"), scope)
}

/// Parses only.
///
/// # Errors
///
/// [`Error`] with the position in `text`.
pub fn parse_file(text: &str) -> Result<Vec<tree::Stmt>, Error> {
    let (syntax, body, skipped) = header(text)?;
    tree::parse(body, &syntax).map_err(|mut error| {
        error.at.line += skipped;
        error
    })
}

/// Parses text of a playbook.
///
/// # Errors
///
/// [`Error`] with the position in `text`.
pub fn parse_text(text: &str) -> Result<Vec<tree::Stmt>, Error> {
    tree::parse(&literal_backslashes(text), &syntax()?)
}

/// Whether there is anything to render in `text`.
pub fn is_template(text: &str) -> bool {
    text.contains("{{") || text.contains("{%") || text.contains("{#")
}

/// Jinja2 keeps the newline after `{% raw %}`, minijinja's `trim_blocks` takes it: it gets one more to take.
fn keep_after_raw(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for line in text.split_inclusive('\n') {
        out.push_str(line);
        let opens = line.trim_end_matches('\n').strip_suffix("%}").filter(|head| !head.ends_with(['-', '+']));
        let words =
            opens.and_then(|head| head.rsplit_once("{%")).map(|(_, words)| words.trim_start_matches('-').trim());
        if line.ends_with('\n') && words == Some("raw") {
            out.push('\n');
        }
    }
    out
}

fn settle(value: Value, at: At) -> Result<Value, Error> {
    match value.find_missing() {
        Some(missing) => Err(Error::new(Fault::Undefined, missing.to_string(), at)),
        None => Ok(value),
    }
}

fn render(text: &str, syntax: &SyntaxConfig, scope: &dyn Scope) -> Result<String, Error> {
    let text = keep_after_raw(&text.replace("\r\n", "\n").replace('\r', "\n"));
    let statements = tree::parse(strip_newline(&text), syntax)?;
    Evaluator::new(scope, Texts::Stay).template(&statements).map(|out| restore_newlines(out, &text))
}

/// Jinja2 drops one newline at the end of a template.
fn strip_newline(text: &str) -> &str {
    text.strip_suffix('\n').unwrap_or(text)
}

/// Ansible gives back the newlines at the end that Jinja2 dropped.
fn restore_newlines(mut out: String, text: &str) -> String {
    let ends = |text: &str| text.len() - text.trim_end_matches('\n').len();
    let lost = ends(text).saturating_sub(ends(&out));
    out.push_str(&"\n".repeat(lost));
    out
}

fn syntax() -> Result<SyntaxConfig, Error> {
    build(SyntaxConfig::builder().trim_blocks(true).keep_trailing_newline(true))
}

fn build(builder: &minijinja::syntax::SyntaxConfigBuilder) -> Result<SyntaxConfig, Error> {
    builder.build().map_err(|error| Error::new(Fault::Syntax, error.to_string(), At { line: 1, column: 1 }))
}

/// Reads Ansible's `#jinja2: key: value, …` line. Returns the syntax, the rest of the text and the lines skipped.
fn header(text: &str) -> Result<(SyntaxConfig, &str, usize), Error> {
    let Some(rest) = text.strip_prefix("#jinja2:") else {
        return Ok((syntax()?, text, 0));
    };
    let (line, body) = rest.split_once('\n').unwrap_or((rest, ""));
    let mut builder = SyntaxConfig::builder();
    builder.trim_blocks(true).keep_trailing_newline(true);
    let mut delimiters = std::collections::BTreeMap::new();
    for pair in line.split(',') {
        let (key, value) = pair.split_once(':').unwrap_or((pair, ""));
        let (key, value) = (key.trim(), value.trim().trim_matches(['\'', '"']));
        let yes = matches!(value, "True" | "true" | "yes");
        match key {
            "trim_blocks" => drop(builder.trim_blocks(yes)),
            "lstrip_blocks" => drop(builder.lstrip_blocks(yes)),
            "block_start_string"
            | "block_end_string"
            | "variable_start_string"
            | "variable_end_string"
            | "comment_start_string"
            | "comment_end_string" => drop(delimiters.insert(key, value.to_owned())),
            _ => {
                let message = format!("`{key}` is not supported in a `#jinja2:` line");
                return Err(Error::new(Fault::Syntax, message, At { line: 1, column: 1 }));
            }
        }
    }
    let mut take = |key: &str, default: &str| delimiters.remove(key).unwrap_or_else(|| default.to_owned());
    builder.block_delimiters(take("block_start_string", "{%"), take("block_end_string", "%}"));
    builder.variable_delimiters(take("variable_start_string", "{{"), take("variable_end_string", "}}"));
    builder.comment_delimiters(take("comment_start_string", "{#"), take("comment_end_string", "#}"));
    Ok((build(&builder)?, body, 1))
}

/// Doubles the backslashes of literals inside `{{ }}`, so that they stand for themselves.
fn literal_backslashes(text: &str) -> String {
    if !text.contains('\\') || !text.contains("{{") {
        return text.to_owned();
    }
    let mut out = String::with_capacity(text.len() + 8);
    let mut inside = None;
    let mut quote = None;
    let mut previous = '\0';
    for c in text.chars() {
        match (inside, quote) {
            (None, _) => {
                if previous == '{' && (c == '{' || c == '%') {
                    inside = Some(if c == '{' { '}' } else { '%' });
                }
            }
            (Some(end), Some(open)) => {
                if c == '\\' && end == '}' {
                    out.push('\\');
                }
                if c == open && previous != '\\' {
                    quote = None;
                }
            }
            (Some(end), None) => {
                if c == '\'' || c == '"' {
                    quote = Some(c);
                }
                if previous == end && c == '}' {
                    inside = None;
                }
            }
        }
        out.push(c);
        previous = if previous == '\\' && c == '\\' { '\0' } else { c };
    }
    out
}

/// Writes text so that rendering it gives it back.
pub fn raw(text: &str) -> String {
    format!("{{% raw %}}{text}{{% endraw %}}")
}

/// Writes a value so that rendering it gives it back: what looks like a template in it is kept from being rendered.
pub fn unrendered(value: &Json) -> Json {
    match value {
        Json::String(text) if is_template(text) => Json::from(raw(text)),
        Json::Array(items) => items.iter().map(unrendered).collect(),
        Json::Object(entries) => {
            Json::Object(entries.iter().map(|(key, value)| (key.clone(), unrendered(value))).collect())
        }
        other => other.clone(),
    }
}
