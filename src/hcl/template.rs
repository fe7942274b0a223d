//! Templates: quoted strings, heredocs and `templatefile`.

use std::collections::BTreeMap;

use hcl_edit::Span as _;
use hcl_edit::expr::{Expression, FuncCall};
use hcl_edit::template::{
    Directive, Element, ForDirective, HeredocTemplate, IfDirective, StringTemplate, Strip, Template,
};

use crate::hcl::convert::convert;
use crate::hcl::eval::{Bound, Scope, pairs};
use crate::hcl::function;
use crate::hcl::heredoc::Flushed;
use crate::hcl::reference::Reference;
use crate::hcl::source::parse_template;
use crate::hcl::types::Type;
use crate::hcl::value::{Mark, Value};
use crate::place::{Problem, nearest};

/// Evaluates a quoted string. One that is nothing but one interpolation keeps the value's kind.
pub fn string(scope: &Scope<'_>, template: &StringTemplate) -> Result<Value, Problem> {
    match template.as_single_element() {
        Some(Element::Interpolation(only)) => scope.value(&only.expr),
        _ => whole(scope, template, None),
    }
}

/// Evaluates a heredoc, which ends with the line break before its delimiter.
pub fn heredoc(scope: &Scope<'_>, heredoc: &HeredocTemplate) -> Result<Value, Problem> {
    let as_parsed = || whole(scope, &heredoc.template, None);
    let Some(span) = heredoc.template.span() else { return as_parsed() };
    let (before, text) = scope.lines.around(&span);
    if !before.trim_end().ends_with(&format!("<<-{}", heredoc.delimiter.as_str())) {
        return as_parsed();
    }
    // Once more, with all that the parser took of its lines, and with the same positions.
    let Ok(template) = hcl_edit::parser::parse_template(&format!("{}{text}", " ".repeat(span.start))) else {
        return as_parsed();
    };
    whole(scope, &template, Some(&Flushed::of(&template, span.start)))
}

/// Evaluates `templatefile(path, variables)`.
pub fn file(scope: &Scope<'_>, call: &FuncCall) -> Result<Value, Problem> {
    let mut arguments = call.args.iter();
    let (Some(path), Some(variables), None) = (arguments.next(), arguments.next(), arguments.next()) else {
        return Err(scope.problem(call, "`templatefile` takes a path and a map of variables"));
    };
    let (path_value, path_mark) = scope.typed(path, &Type::String)?.unmark();
    let (variables, mark) = scope.value(variables)?.unmark();
    let mark = mark.and(path_mark);
    let (Some(name), Value::Map(variables)) = (path_value.as_str(), variables) else {
        return Ok(Value::Unknown.marked(mark));
    };
    let file = function::path(scope.files.directory, name);
    if !file.exists() && (scope.files.comes_later)(&file) {
        return Ok(Value::Unknown.marked(mark));
    }
    let text = function::read(&file).map_err(|message| scope.problem(path, format!("`templatefile`: {message}")))?;
    Ok(filled(scope, &file, text, &variables)?.marked(mark))
}

/// Evaluates `templatestring(template, variables)`, whose template is a text that stands elsewhere.
pub fn text(scope: &Scope<'_>, call: &FuncCall) -> Result<Value, Problem> {
    let mut arguments = call.args.iter();
    let (Some(template), Some(variables), None) = (arguments.next(), arguments.next(), arguments.next()) else {
        return Err(scope.problem(call, "`templatestring` takes a template and a map of variables"));
    };
    if !matches!(template, Expression::Traversal(_) | Expression::Variable(_)) {
        let problem = scope.problem(template, "the template of `templatestring` must be a reference");
        return Err(problem.hint("give it a name in `locals`; a text that stands here is a template by itself"));
    }
    let (text, text_mark) = scope.typed(template, &Type::String)?.unmark();
    let (variables, mark) = scope.value(variables)?.unmark();
    let mark = mark.and(text_mark);
    let (Value::String(text), Value::Map(variables)) = (text, variables) else {
        return Ok(Value::Unknown.marked(mark));
    };
    let value = filled(scope, scope.lines.file(), text, &variables).map_err(|inner| {
        let hint = inner.hint.clone();
        let told =
            format!("{} (line {}, column {} of the template)", inner.message, inner.place.line, inner.place.column);
        let problem = scope.problem(call, format!("`templatestring`: {told}"));
        hint.map_or(problem.clone(), |hint| problem.hint(hint))
    })?;
    Ok(value.marked(mark))
}

/// Evaluates a template with nothing but its variables. What is wrong is told at its place in `file`.
fn filled(
    scope: &Scope<'_>,
    file: &std::path::Path,
    text: String,
    variables: &BTreeMap<String, Value>,
) -> Result<Value, Problem> {
    let (lines, template) = parse_template(file, text)?;
    let names = |reference: &Reference| variable(variables, reference);
    let inner = Scope { lines: &lines, files: scope.files, names: &names, bound: None };
    whole(&inner, &template, None)
}

fn variable(variables: &BTreeMap<String, Value>, reference: &Reference) -> Result<Value, Problem> {
    let root = &reference.root;
    match (variables.get(root), &reference.name) {
        (Some(value), None) => Ok(value.clone()),
        (Some(value), Some(name)) => attribute(value, name, reference),
        (None, _) => {
            let problem = Problem::new(reference.place.clone(), format!("there is no variable `{root}`"));
            Err(match nearest(root, variables.keys().map(String::as_str)) {
                Some(near) => problem.hint(format!("did you mean `{near}`?")),
                None => problem,
            })
        }
    }
}

fn attribute(value: &Value, name: &str, reference: &Reference) -> Result<Value, Problem> {
    let (value, mark) = value.clone().unmark();
    match value {
        Value::Map(mut entries) if entries.contains_key(name) => {
            Ok(entries.remove(name).unwrap_or_default().marked(mark))
        }
        Value::Unknown => Ok(Value::Unknown),
        _ => Err(Problem::new(reference.place.clone(), format!("`{}` has no attribute `{name}`", reference.root))),
    }
}

fn whole(scope: &Scope<'_>, template: &Template, flushed: Option<&Flushed>) -> Result<Value, Problem> {
    let mut output = Output { text: String::new(), mark: Mark::Clear, known: true, flushed };
    render(scope, template, Edges::default(), &mut output)?;
    let value = if output.known { Value::String(output.text) } else { Value::Unknown };
    Ok(value.marked(output.mark))
}

struct Output<'f> {
    text: String,
    mark: Mark,
    known: bool,
    /// What is left of the literals, if white space in front of them goes.
    flushed: Option<&'f Flushed>,
}

impl Output<'_> {
    fn push(&mut self, scope: &Scope<'_>, expression: &Expression) -> Result<(), Problem> {
        let (value, mark) = scope.value(expression)?.unmark_deep();
        self.mark = self.mark.and(mark);
        match convert(value, &Type::String) {
            Ok(Value::String(text)) => self.text.push_str(&text),
            Ok(Value::Unknown) => self.known = false,
            Ok(other) => {
                return Err(scope.problem(expression, format!("{} cannot stand in a text", other.describe())));
            }
            Err(message) => return Err(scope.problem(expression, message)),
        }
        Ok(())
    }
}

/// Whether white space at the two ends of a template or a literal goes (`~`).
#[derive(Clone, Copy, Default)]
pub(super) struct Edges {
    pub(super) start: bool,
    pub(super) end: bool,
}

fn render(scope: &Scope<'_>, template: &Template, edges: Edges, output: &mut Output<'_>) -> Result<(), Problem> {
    let elements: Vec<&Element> = template.iter().collect();
    for (at, element) in elements.iter().enumerate() {
        match element {
            Element::Literal(literal) => {
                let flushed = output.flushed.and_then(|flushed| flushed.get(literal));
                output.text.push_str(flushed.unwrap_or_else(|| trim(literal, taken(&elements, at, edges))));
            }
            Element::Interpolation(interpolation) => output.push(scope, &interpolation.expr)?,
            Element::Directive(directive) => match &**directive {
                Directive::If(directive) => choose(scope, directive, output)?,
                Directive::For(directive) => repeat(scope, directive, output)?,
            },
        }
    }
    Ok(())
}

/// What the neighbours of an element take of it.
pub(super) fn taken(elements: &[&Element], at: usize, edges: Edges) -> Edges {
    Edges {
        start: at.checked_sub(1).map_or(edges.start, |at| strips(elements[at]).end),
        end: elements.get(at + 1).map_or(edges.end, |next| strips(next).start),
    }
}

fn choose(scope: &Scope<'_>, directive: &IfDirective, output: &mut Output<'_>) -> Result<(), Problem> {
    let intro = &directive.if_expr;
    let (condition, mark) = scope.typed(&intro.cond_expr, &Type::Bool)?.unmark();
    output.mark = output.mark.and(mark);
    let end = sides(directive.endif_expr.strip).start;
    match (condition, &directive.else_expr) {
        (Value::Bool(true), other) => {
            let end = other.as_ref().map_or(end, |other| sides(other.strip).start);
            render(scope, &intro.template, Edges { start: sides(intro.strip).end, end }, output)
        }
        (Value::Bool(false), Some(other)) => {
            render(scope, &other.template, Edges { start: sides(other.strip).end, end }, output)
        }
        (Value::Bool(false), None) => Ok(()),
        (Value::Unknown, _) => {
            output.known = false;
            Ok(())
        }
        (other, _) => {
            Err(scope.problem(&intro.cond_expr, format!("`if` needs true or false, not {}", other.describe())))
        }
    }
}

fn repeat(scope: &Scope<'_>, directive: &ForDirective, output: &mut Output<'_>) -> Result<(), Problem> {
    let intro = &directive.for_expr;
    let (collection, mark) = scope.value(&intro.collection_expr)?.unmark();
    output.mark = output.mark.and(mark);
    if collection == Value::Unknown {
        output.known = false;
        return Ok(());
    }
    let Some(pairs) = pairs(collection) else {
        return Err(scope.problem(&intro.collection_expr, "`for` needs a list, a set or a map"));
    };
    let edges = Edges { start: sides(intro.strip).end, end: sides(directive.endfor_expr.strip).start };
    for (key, value) in pairs {
        let outer = Bound::new(intro.key_var.as_ref().map_or("", |name| name.as_str()), key, scope.bound);
        let inner = Bound::new(intro.value_var.as_str(), value, Some(&outer));
        render(&Scope { bound: Some(&inner), ..*scope }, &intro.template, edges, output)?;
    }
    Ok(())
}

pub(super) fn sides(strip: Strip) -> Edges {
    Edges { start: matches!(strip, Strip::Start | Strip::Both), end: matches!(strip, Strip::End | Strip::Both) }
}

/// What an element takes of its neighbours.
fn strips(element: &Element) -> Edges {
    match element {
        Element::Literal(_) => Edges { start: false, end: false },
        Element::Interpolation(interpolation) => sides(interpolation.strip),
        Element::Directive(directive) => match &**directive {
            Directive::If(directive) => {
                Edges { start: sides(directive.if_expr.strip).start, end: sides(directive.endif_expr.strip).end }
            }
            Directive::For(directive) => {
                Edges { start: sides(directive.for_expr.strip).start, end: sides(directive.endfor_expr.strip).end }
            }
        },
    }
}

/// `~` takes white space up to and with one line break: what stands on further lines stays, as in Terraform, whose
/// scanner ends a literal at each line break.
fn trim(literal: &str, taken: Edges) -> &str {
    let mut text = literal;
    if taken.start {
        let (line, rest) = text.split_at(text.find('\n').map_or(text.len(), |at| at + 1));
        let kept = line.trim_start();
        text = if kept.is_empty() { rest } else { &text[line.len() - kept.len()..] };
    }
    if taken.end {
        let start = text.strip_suffix('\n').unwrap_or(text).rfind('\n').map_or(0, |at| at + 1);
        let (rest, line) = text.split_at(start);
        let kept = line.trim_end();
        text = if kept.is_empty() { rest } else { &text[..start + kept.len()] };
    }
    text
}
