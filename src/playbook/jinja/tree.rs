//! Templates as trees of our own, made from what minijinja parses. The only file that sees minijinja.

use std::sync::Arc;

use minijinja::ErrorKind;
use minijinja::machinery::{self, Span, ast};
use minijinja::syntax::SyntaxConfig;
use minijinja::value::ValueKind;

use crate::playbook::jinja::value::Value;
use crate::playbook::jinja::{Error, Fault};

/// Where in the template: line and column from 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct At {
    /// Line.
    pub line: usize,
    /// Column.
    pub column: usize,
}

impl From<Span> for At {
    fn from(span: Span) -> Self {
        Self { line: usize::from(span.start_line).max(1), column: usize::from(span.start_col) + 1 }
    }
}

/// An expression and where it stands.
#[derive(Debug)]
pub struct Expr {
    /// Where.
    pub at: At,
    /// What.
    pub kind: Kind,
}

/// Arguments as written.
pub type Args = Vec<Arg>;

/// One argument as written.
#[derive(Debug)]
pub enum Arg {
    /// By place.
    Place(Expr),
    /// By name.
    Name(String, Expr),
    /// `*list`.
    Places(Expr),
    /// `**dict`.
    Names(Expr),
}

/// What an expression is.
#[derive(Debug)]
pub enum Kind {
    /// A literal.
    Const(Value),
    /// A name.
    Var(String),
    /// `a.b`.
    Attr(Box<Expr>, String),
    /// `a[b]`.
    Item(Box<Expr>, Box<Expr>),
    /// `a[b:c:d]`.
    Slice(Box<Expr>, [Option<Box<Expr>>; 3]),
    /// `f(…)`.
    Call(Box<Expr>, Args),
    /// `a | f(…)`; without `a` in filter blocks.
    Filter(Option<Box<Expr>>, String, Args),
    /// `a is t(…)`.
    Test(Box<Expr>, String, Args),
    /// `not a`.
    Not(Box<Expr>),
    /// `-a`.
    Negative(Box<Expr>),
    /// `a and b`.
    And(Box<Expr>, Box<Expr>),
    /// `a or b`.
    Or(Box<Expr>, Box<Expr>),
    /// `a + b` and so on.
    Binary(Binary, Box<Expr>, Box<Expr>),
    /// `a < b <= c`.
    Compare(Box<Expr>, Vec<(Compare, Expr)>),
    /// `a if b else c`.
    If(Box<Expr>, Box<Expr>, Option<Box<Expr>>),
    /// `[…]`.
    List(Vec<Expr>),
    /// `(…, )`.
    Tuple(Vec<Expr>),
    /// `{…}`.
    Dict(Vec<(Expr, Expr)>),
}

/// Arithmetic and joining.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "named as what they do")]
pub enum Binary {
    Add,
    Subtract,
    Multiply,
    Divide,
    DivideFloor,
    Remainder,
    Power,
    Concatenate,
}

/// Comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "named as what they do")]
pub enum Compare {
    Equal,
    Unequal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    In,
    NotIn,
}

/// A statement.
#[derive(Debug)]
pub enum Stmt {
    /// Text.
    Raw(String),
    /// `{{ … }}`.
    Emit(Expr),
    /// `{% for %}`.
    For(Arc<For>),
    /// `{% if %}`.
    If(Expr, Vec<Stmt>, Vec<Stmt>),
    /// `{% with %}`.
    With(Vec<(Expr, Expr)>, Vec<Stmt>),
    /// `{% set a = b %}`.
    Set(Expr, Expr),
    /// `{% set a %}…{% endset %}`.
    SetBlock(Expr, Option<Expr>, Vec<Stmt>),
    /// `{% filter %}`.
    FilterBlock(Expr, Vec<Stmt>),
    /// `{% include %}`.
    Include(Expr, Absent),
    /// `{% import a as b %}`.
    Import(Expr, String),
    /// `{% from a import b as c %}`.
    FromImport(Expr, Vec<(String, String)>),
    /// `{% macro %}`.
    Macro(Arc<Macro>),
    /// `{% call %}`.
    CallBlock(Expr, Arc<Macro>),
    /// `{% do %}`.
    Do(Expr),
    /// `{% block a %}`.
    Block(String, Arc<Vec<Stmt>>),
    /// `{% extends a %}`.
    Extends(Expr),
    /// `{% continue %}`.
    Continue,
    /// `{% break %}`.
    Break,
}

/// What a template that is not there means to `include`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Absent {
    /// An error.
    Fails,
    /// Nothing is included.
    IsIgnored,
}

/// A `for` loop.
#[derive(Debug)]
pub struct For {
    /// The names it binds.
    pub target: Expr,
    /// Over what.
    pub iter: Expr,
    /// `if …`.
    pub condition: Option<Expr>,
    /// Whether `loop(…)` may be called in it.
    pub recursive: bool,
    /// Each time.
    pub body: Vec<Stmt>,
    /// If there was nothing to loop over.
    pub otherwise: Vec<Stmt>,
}

/// A macro.
#[derive(Debug)]
pub struct Macro {
    /// Its name.
    pub name: String,
    /// Its parameters.
    pub params: Vec<String>,
    /// Defaults of the last parameters.
    pub defaults: Vec<Expr>,
    /// Its text.
    pub body: Vec<Stmt>,
}

/// Parses a template. A line `#jinja2: key:value, …` at its head changes the syntax, as in Ansible.
///
/// # Errors
///
/// [`Error`] with the position of what cannot be read.
pub fn parse(text: &str, syntax: &SyntaxConfig) -> Result<Vec<Stmt>, Error> {
    let parsed = machinery::parse(text, "", syntax.clone()).map_err(|error| refused(&error, text))?;
    match parsed {
        ast::Stmt::Template(template) => statements(&template.children),
        other => Ok(vec![statement(&other)?]),
    }
}

/// Parses one expression.
///
/// # Errors
///
/// [`Error`] with the position of what cannot be read.
pub fn parse_expression(text: &str) -> Result<Expr, Error> {
    let parsed = machinery::parse_expr(text).map_err(|error| refused(&error, text))?;
    expression(&parsed)
}

fn refused(error: &minijinja::Error, text: &str) -> Error {
    let message = match (error.kind(), error.detail()) {
        (ErrorKind::SyntaxError, Some(detail)) => detail.to_owned(),
        (kind, Some(detail)) => format!("{kind}: {detail}"),
        (kind, None) => kind.to_string(),
    };
    let line = error.line().unwrap_or(1).max(1);
    let column = error
        .range()
        .and_then(|range| text.get(..range.start))
        .map_or(1, |before| before.rsplit('\n').next().unwrap_or_default().chars().count() + 1);
    Error::new(Fault::Syntax, message, At { line, column })
}

fn unsupported(what: &str, span: Span) -> Error {
    Error::new(Fault::Syntax, format!("`{what}` is not supported"), span.into())
}

fn statements(list: &[ast::Stmt<'_>]) -> Result<Vec<Stmt>, Error> {
    list.iter().map(statement).collect()
}

fn statement(stmt: &ast::Stmt<'_>) -> Result<Stmt, Error> {
    Ok(match stmt {
        ast::Stmt::Template(it) => return Err(unsupported("template", it.span())),
        ast::Stmt::EmitExpr(it) => Stmt::Emit(expression(&it.expr)?),
        ast::Stmt::EmitRaw(it) => Stmt::Raw(it.raw.to_owned()),
        ast::Stmt::ForLoop(it) => Stmt::For(Arc::new(For {
            target: expression(&it.target)?,
            iter: expression(&it.iter)?,
            condition: it.filter_expr.as_ref().map(expression).transpose()?,
            recursive: it.recursive,
            body: statements(&it.body)?,
            otherwise: statements(&it.else_body)?,
        })),
        ast::Stmt::IfCond(it) => {
            Stmt::If(expression(&it.expr)?, statements(&it.true_body)?, statements(&it.false_body)?)
        }
        ast::Stmt::WithBlock(it) => {
            let pair = |(target, value): &(ast::Expr<'_>, ast::Expr<'_>)| Ok((expression(target)?, expression(value)?));
            Stmt::With(it.assignments.iter().map(pair).collect::<Result<_, Error>>()?, statements(&it.body)?)
        }
        ast::Stmt::Set(it) => Stmt::Set(expression(&it.target)?, expression(&it.expr)?),
        ast::Stmt::SetBlock(it) => Stmt::SetBlock(
            expression(&it.target)?,
            it.filter.as_ref().map(expression).transpose()?,
            statements(&it.body)?,
        ),
        ast::Stmt::FilterBlock(it) => Stmt::FilterBlock(expression(&it.filter)?, statements(&it.body)?),
        ast::Stmt::Include(it) => {
            let absent = if it.ignore_missing { Absent::IsIgnored } else { Absent::Fails };
            Stmt::Include(expression(&it.name)?, absent)
        }
        ast::Stmt::Import(it) => Stmt::Import(expression(&it.expr)?, name_of(&it.name)?),
        ast::Stmt::FromImport(it) => Stmt::FromImport(
            expression(&it.expr)?,
            it.names
                .iter()
                .map(|(name, alias)| Ok((name_of(name)?, name_of(alias.as_ref().unwrap_or(name))?)))
                .collect::<Result<_, Error>>()?,
        ),
        ast::Stmt::Macro(it) => Stmt::Macro(Arc::new(macro_of(it)?)),
        ast::Stmt::CallBlock(it) => {
            let at = it.call.span().into();
            let call = Kind::Call(Box::new(expression(&it.call.expr)?), arguments(&it.call.args)?);
            Stmt::CallBlock(Expr { at, kind: call }, Arc::new(macro_of(&it.macro_decl)?))
        }
        ast::Stmt::Do(it) => {
            let at = it.call.span().into();
            Stmt::Do(Expr { at, kind: Kind::Call(Box::new(expression(&it.call.expr)?), arguments(&it.call.args)?) })
        }
        ast::Stmt::Continue(_) => Stmt::Continue,
        ast::Stmt::Break(_) => Stmt::Break,
        ast::Stmt::AutoEscape(it) => return Err(unsupported("autoescape", it.span())),
        ast::Stmt::Block(it) => Stmt::Block(it.name.to_owned(), Arc::new(statements(&it.body)?)),
        ast::Stmt::Extends(it) => Stmt::Extends(expression(&it.name)?),
    })
}

fn macro_of(it: &ast::Macro<'_>) -> Result<Macro, Error> {
    Ok(Macro {
        name: it.name.to_owned(),
        params: it.args.iter().map(name_of).collect::<Result<_, _>>()?,
        defaults: expressions(&it.defaults)?,
        body: statements(&it.body)?,
    })
}

fn name_of(expr: &ast::Expr<'_>) -> Result<String, Error> {
    match expr {
        ast::Expr::Var(var) => Ok(var.id.to_owned()),
        other => Err(Error::new(Fault::Syntax, "expected a name", other.span().into())),
    }
}

fn expressions(list: &[ast::Expr<'_>]) -> Result<Vec<Expr>, Error> {
    list.iter().map(expression).collect()
}

fn boxed(expr: &ast::Expr<'_>) -> Result<Box<Expr>, Error> {
    expression(expr).map(Box::new)
}

fn optional(expr: Option<&ast::Expr<'_>>) -> Result<Option<Box<Expr>>, Error> {
    expr.map(boxed).transpose()
}

fn expression(expr: &ast::Expr<'_>) -> Result<Expr, Error> {
    let kind = match expr {
        ast::Expr::Var(it) => Kind::Var(it.id.to_owned()),
        ast::Expr::Const(it) => Kind::Const(constant(&it.value)),
        ast::Expr::Slice(it) => Kind::Slice(
            boxed(&it.expr)?,
            [optional(it.start.as_ref())?, optional(it.stop.as_ref())?, optional(it.step.as_ref())?],
        ),
        ast::Expr::UnaryOp(it) => match it.op {
            ast::UnaryOpKind::Not => Kind::Not(boxed(&it.expr)?),
            ast::UnaryOpKind::Neg => Kind::Negative(boxed(&it.expr)?),
        },
        ast::Expr::BinOp(it) => binary(it)?,
        ast::Expr::Compare(it) => Kind::Compare(
            boxed(&it.expr)?,
            it.ops.iter().map(|op| Ok((comparison(op.op), expression(&op.expr)?))).collect::<Result<_, Error>>()?,
        ),
        ast::Expr::IfExpr(it) => {
            Kind::If(boxed(&it.test_expr)?, boxed(&it.true_expr)?, optional(it.false_expr.as_ref())?)
        }
        ast::Expr::Filter(it) => Kind::Filter(optional(it.expr.as_ref())?, it.name.to_owned(), arguments(&it.args)?),
        ast::Expr::Test(it) => Kind::Test(boxed(&it.expr)?, it.name.to_owned(), arguments(&it.args)?),
        ast::Expr::GetAttr(it) => Kind::Attr(boxed(&it.expr)?, it.name.to_owned()),
        ast::Expr::GetItem(it) => Kind::Item(boxed(&it.expr)?, boxed(&it.subscript_expr)?),
        ast::Expr::Call(it) => Kind::Call(boxed(&it.expr)?, arguments(&it.args)?),
        ast::Expr::List(it) => Kind::List(expressions(&it.items)?),
        ast::Expr::Tuple(it) => Kind::Tuple(expressions(&it.items)?),
        ast::Expr::Map(it) => Kind::Dict(
            it.keys
                .iter()
                .zip(&it.values)
                .map(|(key, value)| Ok((expression(key)?, expression(value)?)))
                .collect::<Result<_, Error>>()?,
        ),
    };
    Ok(Expr { at: expr.span().into(), kind })
}

fn binary(it: &ast::BinOp<'_>) -> Result<Kind, Error> {
    let (left, right) = (boxed(&it.left)?, boxed(&it.right)?);
    let compare = |op, left, right: Box<Expr>| Kind::Compare(left, vec![(op, *right)]);
    Ok(match it.op {
        ast::BinOpKind::ScAnd => Kind::And(left, right),
        ast::BinOpKind::ScOr => Kind::Or(left, right),
        ast::BinOpKind::Add => Kind::Binary(Binary::Add, left, right),
        ast::BinOpKind::Sub => Kind::Binary(Binary::Subtract, left, right),
        ast::BinOpKind::Mul => Kind::Binary(Binary::Multiply, left, right),
        ast::BinOpKind::Div => Kind::Binary(Binary::Divide, left, right),
        ast::BinOpKind::FloorDiv => Kind::Binary(Binary::DivideFloor, left, right),
        ast::BinOpKind::Rem => Kind::Binary(Binary::Remainder, left, right),
        ast::BinOpKind::Pow => Kind::Binary(Binary::Power, left, right),
        ast::BinOpKind::Concat => Kind::Binary(Binary::Concatenate, left, right),
        ast::BinOpKind::Eq => compare(Compare::Equal, left, right),
        ast::BinOpKind::Ne => compare(Compare::Unequal, left, right),
        ast::BinOpKind::Lt => compare(Compare::Less, left, right),
        ast::BinOpKind::Lte => compare(Compare::LessOrEqual, left, right),
        ast::BinOpKind::Gt => compare(Compare::Greater, left, right),
        ast::BinOpKind::Gte => compare(Compare::GreaterOrEqual, left, right),
        ast::BinOpKind::In => compare(Compare::In, left, right),
    })
}

fn comparison(op: ast::CompareOpKind) -> Compare {
    match op {
        ast::CompareOpKind::Eq => Compare::Equal,
        ast::CompareOpKind::Ne => Compare::Unequal,
        ast::CompareOpKind::Lt => Compare::Less,
        ast::CompareOpKind::Lte => Compare::LessOrEqual,
        ast::CompareOpKind::Gt => Compare::Greater,
        ast::CompareOpKind::Gte => Compare::GreaterOrEqual,
        ast::CompareOpKind::In => Compare::In,
        ast::CompareOpKind::NotIn => Compare::NotIn,
    }
}

fn arguments(list: &[ast::CallArg<'_>]) -> Result<Args, Error> {
    list.iter()
        .map(|arg| {
            Ok(match arg {
                ast::CallArg::Pos(expr) => Arg::Place(expression(expr)?),
                ast::CallArg::Kwarg(name, expr) => Arg::Name((*name).to_owned(), expression(expr)?),
                ast::CallArg::PosSplat(expr) => Arg::Places(expression(expr)?),
                ast::CallArg::KwargSplat(expr) => Arg::Names(expression(expr)?),
            })
        })
        .collect()
}

fn constant(value: &minijinja::Value) -> Value {
    match value.kind() {
        ValueKind::Bool => Value::Bool(value.is_true()),
        ValueKind::Number if value.is_integer() => value
            .as_i64()
            .map_or_else(|| Value::Float(f64::try_from(value.clone()).unwrap_or(f64::INFINITY)), Value::Int),
        ValueKind::Number => Value::Float(f64::try_from(value.clone()).unwrap_or(f64::NAN)),
        ValueKind::String => Value::text(value.as_str().unwrap_or_default()),
        _ => Value::None,
    }
}
