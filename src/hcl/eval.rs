//! Expressions → values.

use std::collections::BTreeMap;

use hcl_edit::Span;
use hcl_edit::expr::{Array, Conditional, Expression, ForExpr, FuncCall, Object, ObjectKey};

use crate::hcl::convert::{common, convert, kind};
use crate::hcl::function::{self, Files};
use crate::hcl::number::Number;
use crate::hcl::operator;
use crate::hcl::reference::Reference;
use crate::hcl::source::Lines;
use crate::hcl::template;
use crate::hcl::traversal;
use crate::hcl::types::Type;
use crate::hcl::value::{Mark, Value};
use crate::place::Problem;

/// Says what a reference is worth.
pub type LookUp<'a> = dyn Fn(&Reference) -> Result<Value, Problem> + 'a;

/// What an expression is evaluated in.
#[derive(Clone, Copy)]
pub struct Scope<'a> {
    /// The file that the expression stands in.
    pub lines: &'a Lines,
    /// The files that it may read.
    pub files: Files<'a>,
    /// What names are worth.
    pub names: &'a LookUp<'a>,
    /// Variables of `for` and of templates, innermost first.
    pub bound: Option<&'a Bound<'a>>,
}

/// A variable that an expression itself introduces.
pub struct Bound<'a> {
    name: &'a str,
    value: Value,
    outer: Option<&'a Bound<'a>>,
}

impl<'a> Bound<'a> {
    /// Binds `name` inside of `outer`.
    pub fn new(name: &'a str, value: Value, outer: Option<&'a Bound<'a>>) -> Self {
        Self { name, value, outer }
    }
}

impl Scope<'_> {
    /// Makes a problem at the start of `at`.
    pub fn problem(&self, at: &impl Span, message: impl Into<String>) -> Problem {
        Problem::new(self.lines.place(at), message)
    }

    /// Evaluates `expression`.
    ///
    /// # Errors
    ///
    /// The first [`Problem`] on the way.
    pub fn value(&self, expression: &Expression) -> Result<Value, Problem> {
        match expression {
            Expression::Null(_) => Ok(Value::Null),
            Expression::Bool(truth) => Ok(Value::Bool(*truth.value())),
            Expression::Number(number) => self.number(expression, number.value()),
            Expression::String(text) => Ok(Value::String(text.value().clone())),
            Expression::Array(array) => self.list(array),
            Expression::Object(object) => self.map(object),
            Expression::StringTemplate(parts) => template::string(self, parts),
            Expression::HeredocTemplate(heredoc) => template::heredoc(self, heredoc),
            Expression::Parenthesis(inner) => self.value(inner.inner()),
            Expression::Variable(name) => self.variable(expression, name.as_str()),
            Expression::Conditional(conditional) => self.conditional(conditional),
            Expression::FuncCall(call) => self.call(call),
            Expression::Traversal(traversal) => traversal::value(self, traversal),
            Expression::UnaryOp(operation) => operator::unary(self, operation),
            Expression::BinaryOp(operation) => operator::binary(self, operation),
            Expression::ForExpr(each) => self.each(each),
        }
    }

    /// Evaluates `expression` and converts the value.
    ///
    /// # Errors
    ///
    /// A [`Problem`], also where the value cannot be converted.
    pub fn typed(&self, expression: &Expression, wanted: &Type) -> Result<Value, Problem> {
        convert(self.value(expression)?, wanted).map_err(|message| self.problem(expression, message))
    }

    /// Returns what a variable of `for` or of a template is worth.
    pub fn bound(&self, name: &str) -> Option<&Value> {
        std::iter::successors(self.bound, |bound| bound.outer)
            .find(|bound| bound.name == name)
            .map(|bound| &bound.value)
    }

    /// Evaluates the key of an object item: a bare name stands for itself. `None` if it is known only later.
    ///
    /// # Errors
    ///
    /// A [`Problem`] where the key is no text.
    pub fn object_key(&self, key: &ObjectKey) -> Result<(Option<String>, Mark), Problem> {
        match key {
            ObjectKey::Ident(name) | ObjectKey::Expression(Expression::Variable(name)) => {
                Ok((Some(name.to_string()), Mark::Clear))
            }
            ObjectKey::Expression(expression) => {
                let (value, mark) = self.typed(expression, &Type::String)?.unmark();
                match value {
                    Value::String(text) => Ok((Some(text), mark)),
                    Value::Unknown => Ok((None, mark)),
                    other => Err(self.problem(expression, format!("a key must be text, not {}", other.describe()))),
                }
            }
        }
    }

    fn number(&self, at: &Expression, number: &hcl_edit::Number) -> Result<Value, Problem> {
        let whole = number.as_u64().map(|whole| Number::from(i128::from(whole)));
        whole
            .or_else(|| number.as_f64().and_then(Number::from_f64))
            .map(Value::Number)
            .ok_or_else(|| self.problem(at, "this number is too large"))
    }

    fn variable(&self, at: &Expression, name: &str) -> Result<Value, Problem> {
        if let Some(value) = self.bound(name) {
            return Ok(value.clone());
        }
        let place = self.lines.place(at);
        (self.names)(&Reference { root: name.to_owned(), name: None, attribute: None, place })
    }

    fn list(&self, array: &Array) -> Result<Value, Problem> {
        array.iter().map(|item| self.value(item)).collect::<Result<_, _>>().map(Value::List)
    }

    fn map(&self, object: &Object) -> Result<Value, Problem> {
        let mut map = BTreeMap::new();
        let mut marks = Mark::Clear;
        for (key, value) in object {
            let (key, mark) = self.object_key(key)?;
            marks = marks.and(mark);
            let value = self.value(value.expr())?;
            match key {
                Some(key) => drop(map.insert(key, value)),
                None => return Ok(Value::Unknown.marked(marks)),
            }
        }
        Ok(Value::Map(map).marked(marks))
    }

    /// Evaluates only the branch that is taken, and the other's type where it can be had.
    fn conditional(&self, conditional: &Conditional) -> Result<Value, Problem> {
        let (condition, mark) = self.typed(&conditional.cond_expr, &Type::Bool)?.unmark();
        let (taken, other) = match condition {
            Value::Bool(true) => (&conditional.true_expr, &conditional.false_expr),
            Value::Bool(false) => (&conditional.false_expr, &conditional.true_expr),
            Value::Unknown => return Ok(Value::Unknown),
            other => {
                let message = format!("a condition must be true or false, not {}", other.describe());
                return Err(self.problem(&conditional.cond_expr, message));
            }
        };
        // What is not taken decides about the type only, and may be wrong where it would be taken in vain.
        let (value, other) = (self.value(taken)?, self.value(other).unwrap_or(Value::Unknown));
        let both = common(&[kind(&value), kind(&other)]).ok_or_else(|| {
            let (this, that) = (value.describe(), other.describe());
            self.problem(
                &conditional.true_expr,
                format!("both results of a condition must have one type, not {this} and {that}"),
            )
        })?;
        convert(value, &both).map(|value| value.marked(mark)).map_err(|message| self.problem(taken, message))
    }

    fn call(&self, call: &FuncCall) -> Result<Value, Problem> {
        match function::name(self, call)?.as_str() {
            "try" => self.first_that_succeeds(call),
            "can" => self.succeeds(call),
            "templatefile" => template::file(self, call),
            "templatestring" => template::text(self, call),
            _ => function::call(self, call),
        }
    }

    fn first_that_succeeds(&self, call: &FuncCall) -> Result<Value, Problem> {
        let mut last = None;
        for argument in &call.args {
            match self.value(argument) {
                Ok(value) => return Ok(value),
                Err(problem) => last = Some(problem),
            }
        }
        Err(last.unwrap_or_else(|| self.problem(call, "`try` needs an argument")))
    }

    fn succeeds(&self, call: &FuncCall) -> Result<Value, Problem> {
        let mut arguments = call.args.iter();
        match (arguments.next(), arguments.next()) {
            (Some(argument), None) => Ok(match self.value(argument) {
                // What it will be worth may not be there yet.
                Ok(value) if value.has_unknown() => Value::Unknown,
                outcome => Value::Bool(outcome.is_ok()),
            }),
            _ => Err(self.problem(call, "`can` takes one argument")),
        }
    }

    fn each(&self, each: &ForExpr) -> Result<Value, Problem> {
        let (collection, mut mark) = self.value(&each.intro.collection_expr)?.unmark();
        if collection == Value::Unknown {
            return Ok(Value::Unknown);
        }
        let Some(pairs) = pairs(collection) else {
            return Err(self.problem(&each.intro.collection_expr, "`for` needs a list, a set or a map"));
        };
        let mut results = vec![];
        for (key, value) in pairs {
            match self.one(each, key, value, &mut mark)? {
                Turn::Result(key, value) => results.push((key, value)),
                Turn::LeftOut => {}
                Turn::Unknown => return Ok(Value::Unknown.marked(mark)),
            }
        }
        let result = match &each.key_expr {
            None => Value::List(results.into_iter().map(|(_, value)| value).collect()),
            Some(key) if each.grouping => group(results).ok_or_else(|| self.problem(key, "a key must be text"))?,
            Some(key) => self.collect(key, results)?,
        };
        Ok(result.marked(mark))
    }

    fn one(&self, each: &ForExpr, key: Value, value: Value, mark: &mut Mark) -> Result<Turn, Problem> {
        let key_name = each.intro.key_var.as_ref().map_or("", |name| name.as_str());
        let outer = Bound::new(key_name, key, self.bound);
        let inner = Bound::new(each.intro.value_var.as_str(), value, Some(&outer));
        let scope = Scope { bound: Some(&inner), ..*self };
        if let Some(condition) = &each.cond {
            let (wanted, condition_mark) = scope.typed(&condition.expr, &Type::Bool)?.unmark();
            *mark = mark.and(condition_mark);
            match wanted {
                Value::Bool(true) => {}
                Value::Bool(false) => return Ok(Turn::LeftOut),
                Value::Unknown => return Ok(Turn::Unknown),
                other => {
                    let message = format!("`if` needs true or false, not {}", other.describe());
                    return Err(scope.problem(&condition.expr, message));
                }
            }
        }
        let Some(key) = &each.key_expr else {
            return Ok(Turn::Result(None, scope.value(&each.value_expr)?));
        };
        let (text, key_mark) = scope.typed(key, &Type::String)?.unmark();
        *mark = mark.and(key_mark);
        match text {
            Value::String(text) => Ok(Turn::Result(Some(text), scope.value(&each.value_expr)?)),
            Value::Unknown => Ok(Turn::Unknown),
            other => Err(scope.problem(key, format!("a key must be text, not {}", other.describe()))),
        }
    }

    fn collect(&self, at: &Expression, results: Vec<(Option<String>, Value)>) -> Result<Value, Problem> {
        let mut map = BTreeMap::new();
        for (key, value) in results {
            let key = key.unwrap_or_default();
            if map.insert(key.clone(), value).is_some() {
                let problem = self.problem(at, format!("two elements have the key `{key}`"));
                return Err(problem.hint("add `...` behind the value to group values by key"));
            }
        }
        Ok(Value::Map(map))
    }
}

/// What one turn of a `for` makes.
enum Turn {
    /// A value, with its key if the result is a map.
    Result(Option<String>, Value),
    /// Nothing: its `if` does not want it.
    LeftOut,
    /// Something that depends on what is known only later.
    Unknown,
}

fn group(results: Vec<(Option<String>, Value)>) -> Option<Value> {
    let mut map = BTreeMap::<String, Vec<Value>>::new();
    for (key, value) in results {
        map.entry(key?).or_default().push(value);
    }
    Some(Value::Map(map.into_iter().map(|(key, values)| (key, Value::List(values))).collect()))
}

/// Returns keys and values as `for` sees them; `None` for what cannot be iterated.
pub fn pairs(collection: Value) -> Option<Vec<(Value, Value)>> {
    match collection {
        Value::List(items) => Some(items.into_iter().enumerate().map(|(at, item)| (Value::from(at), item)).collect()),
        Value::Set(items) => Some(items.into_iter().map(|item| (item.clone(), item)).collect()),
        Value::Map(entries) => Some(entries.into_iter().map(|(key, value)| (Value::String(key), value)).collect()),
        _ => None,
    }
}
