//! Expressions.

use std::sync::Arc;

use crate::playbook::jinja::arguments::Arguments;
use crate::playbook::jinja::identity::Swap;
use crate::playbook::jinja::tree::{Arg, Args, At, Binary, Compare, Expr, Kind};
use crate::playbook::jinja::value::{Missing, Value};
use crate::playbook::jinja::{
    Error, Fault, Scope, Texts, blocks, call, dates, filters, identity, literal, methods, mutate, predicates, printf,
};

/// Most characters or items that one value may have.
pub const LONGEST: usize = 1 << 24;
/// Deepest nesting of macros, includes and loops.
pub const DEEPEST: usize = 60;

/// Names that were set in a template.
#[derive(Clone, Debug, Default)]
pub struct Frame(pub Vec<(String, Value)>);

impl Frame {
    /// Sets a name.
    pub fn set(&mut self, name: &str, value: Value) {
        match self.0.iter_mut().find(|(known, _)| known == name) {
            Some(entry) => entry.1 = value,
            None => self.0.push((name.to_owned(), value)),
        }
    }

    fn get(&self, name: &str) -> Option<&Value> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value)
    }
}

/// Evaluates expressions and renders statements against a [`Scope`].
pub struct Evaluator<'s> {
    pub(super) scope: &'s dyn Scope,
    pub(super) frames: Vec<Frame>,
    /// Names of whoever has called the macro that is being rendered.
    pub(super) hidden: Vec<Vec<Frame>>,
    /// Variables of the scope that were used.
    resolved: Frame,
    /// What loops go over.
    pub(super) iterated: Vec<Vec<Value>>,
    pub(super) depth: usize,
    pub(super) texts: Texts,
    pub(super) blocks: Vec<(String, blocks::Levels)>,
}

impl<'s> Evaluator<'s> {
    /// Starts with nothing set.
    pub fn new(scope: &'s dyn Scope, texts: Texts) -> Self {
        let (frames, hidden, iterated) = (vec![Frame::default()], vec![], vec![]);
        Self { scope, frames, hidden, resolved: Frame::default(), iterated, depth: 0, texts, blocks: vec![] }
    }

    /// Makes a value of text that a part of the template gave.
    pub(super) fn gathered(&self, text: String) -> Value {
        match self.texts {
            Texts::Stay => Value::text(text),
            Texts::BecomeData => literal::settle(&text),
        }
    }

    /// Evaluates an expression.
    ///
    /// # Errors
    ///
    /// [`Error`] at the part of the expression that cannot be evaluated.
    pub fn expression(&mut self, expr: &Expr) -> Result<Value, Error> {
        let at = expr.at;
        match &expr.kind {
            Kind::Const(value) => Ok(identity::anew(value)),
            Kind::Var(name) => self.name(name, at),
            Kind::Attr(base, name) => {
                let value = self.expression(base)?;
                attribute(&value, name, expr)
            }
            Kind::Item(base, key) => {
                let value = self.expression(base)?;
                let key = self.used(key)?;
                item(&value, &key, expr)
            }
            Kind::Slice(base, [start, stop, step]) => {
                let value = self.used(base)?;
                let mut bound = |part: &Option<Box<Expr>>| part.as_ref().map(|part| self.used(part)).transpose();
                let bounds = [bound(start)?, bound(stop)?, bound(step)?];
                slice(&value, bounds).map_err(|message| failed(message, at))
            }
            Kind::Call(callee, args) => self.call_expression(callee, args, at),
            Kind::Filter(input, name, args) => {
                let input = match input {
                    Some(input) => self.expression(input)?,
                    None => Value::None,
                };
                self.filter(name, input, args, at)
            }
            Kind::Test(input, name, args) => {
                let input = self.expression(input)?;
                let args = self.arguments(args)?;
                predicates::apply(self, name, &input, args).map(Value::Bool).map_err(|fault| fault.at(name, "test", at))
            }
            Kind::Not(inner) => Ok(Value::Bool(!self.truth(inner)?)),
            Kind::Negative(inner) => match self.used(inner)? {
                Value::Float(value) => Ok(Value::Float(-value)),
                value => value
                    .as_int()
                    .and_then(i64::checked_neg)
                    .map(Value::Int)
                    .ok_or_else(|| failed(format!("`{}` cannot be negated", value.kind()), at)),
            },
            Kind::And(left, right) => {
                let value = self.used(left)?;
                if value.truth() { self.expression(right) } else { Ok(value) }
            }
            Kind::Or(left, right) => {
                let value = self.used(left)?;
                if value.truth() { Ok(value) } else { self.expression(right) }
            }
            Kind::Binary(op, left, right) => {
                let (left, right) = (self.used(left)?, self.used(right)?);
                binary(*op, &left, &right).map_err(|message| failed(message, at))
            }
            Kind::Compare(first, rest) => self.compare(first, rest, at),
            Kind::If(test, yes, no) => match (self.truth(test)?, no) {
                (true, _) => self.expression(yes),
                (false, Some(no)) => self.expression(no),
                // Jinja2 makes this a lenient undefined that prints as nothing.
                (false, None) => Ok(Value::text("")),
            },
            Kind::List(items) => Ok(Value::list(self.all(items)?)),
            Kind::Tuple(items) => Ok(Value::tuple(self.all(items)?)),
            Kind::Dict(entries) => {
                let mut dict = Vec::with_capacity(entries.len());
                for (key, value) in entries {
                    dict.push((self.used(key)?, self.expression(value)?));
                }
                Ok(Value::dict(dict))
            }
        }
    }

    /// Evaluates an expression whose value is needed.
    pub(super) fn used(&mut self, expr: &Expr) -> Result<Value, Error> {
        match self.expression(expr)? {
            Value::Undefined(missing) => Err(undefined(&missing, expr.at)),
            value => Ok(value),
        }
    }

    /// Evaluates a condition.
    pub(super) fn truth(&mut self, expr: &Expr) -> Result<bool, Error> {
        self.used(expr).map(|value| value.truth())
    }

    fn all(&mut self, items: &[Expr]) -> Result<Vec<Value>, Error> {
        items.iter().map(|item| self.expression(item)).collect()
    }

    fn name(&mut self, name: &str, at: At) -> Result<Value, Error> {
        let known = self.frames.iter().rev().chain([&self.resolved]).find_map(|frame| frame.get(name));
        if let Some(value) = known {
            return Ok(value.clone());
        }
        let found = match self.scope.variable(name) {
            Ok(None) if name == "vars" => Ok(self.scope.whole()),
            found => found,
        };
        match found {
            Ok(Some(value)) => {
                if matches!(value, Value::List(_) | Value::Dict(_)) {
                    self.resolved.set(name, value.clone());
                }
                Ok(value)
            }
            Ok(None) => Ok(call::builtin(name).unwrap_or_else(|| Value::missing(name))),
            Err(message) => Err(failed(message, at)),
        }
    }

    fn call_expression(&mut self, callee: &Expr, args: &Args, at: At) -> Result<Value, Error> {
        if let Kind::Attr(base, name) = &callee.kind {
            if matches!(&base.kind, Kind::Var(known) if known == "self") && self.has_block(name) {
                return self.block(name, 0, at).map(|text| self.gathered(text));
            }
            let receiver = self.expression(base)?;
            if let Value::Undefined(missing) = &receiver {
                return Err(undefined(missing, base.at));
            }
            let callable = matches!(&receiver, Value::Object(_)) && call::is_module(&receiver);
            if !callable {
                let arguments = self.arguments(args)?;
                let arguments = no_missing(arguments).map_err(|missing| undefined(&missing, at))?;
                return self.method(callee, &receiver, name, arguments, at);
            }
        }
        let function = self.used(callee)?;
        let arguments = self.arguments(args)?;
        call::call(self, &function, &describe(callee), arguments, at)
    }

    fn method(
        &mut self,
        callee: &Expr,
        receiver: &Value,
        name: &str,
        arguments: Arguments,
        at: At,
    ) -> Result<Value, Error> {
        let refused = |message: String| failed(format!("`{}`: {message}", describe(callee)), at);
        if let Some(changed) = mutate::call(receiver, name, arguments.clone()) {
            let changed = changed.map_err(refused)?;
            self.put(receiver, &changed.value);
            return Ok(changed.result);
        }
        match methods::call(receiver, name, arguments) {
            Ok(value) => Ok(value),
            Err(methods::Trouble::Refused(message)) => Err(refused(message)),
            Err(methods::Trouble::Unknown) => Err(Error::new(
                Fault::Undefined,
                format!("`{}`: `{}` has no such method", describe(callee), receiver.kind()),
                at,
            )),
        }
    }

    /// Lets a list or dictionary that a method has changed be seen wherever the old one was held.
    fn put(&mut self, old: &Value, new: &Value) {
        let mut swap = Swap::new(old, new);
        let frames = self.frames.iter_mut().chain(self.hidden.iter_mut().flatten()).chain([&mut self.resolved]);
        let named = frames.flat_map(|frame| frame.0.iter_mut().map(|(_, value)| value));
        named.chain(self.iterated.iter_mut().flatten()).for_each(|value| swap.inside(value));
    }

    fn filter(&mut self, name: &str, input: Value, args: &Args, at: At) -> Result<Value, Error> {
        let args = self.arguments(args)?;
        self.apply_filter(name, input, args, at)
    }

    /// Applies a filter to values.
    pub(super) fn apply_filter(&mut self, name: &str, input: Value, args: Arguments, at: At) -> Result<Value, Error> {
        let whole = match &input {
            Value::Object(object) if !matches!(name, "default" | "d" | "mandatory") => object.whole(),
            _ => None,
        };
        filters::apply(self, name, whole.unwrap_or(input), args).map_err(|fault| fault.at(name, "filter", at))
    }

    pub(super) fn arguments(&mut self, args: &Args) -> Result<Arguments, Error> {
        let mut given = Arguments::default();
        for arg in args {
            match arg {
                Arg::Place(expr) => given.places.push(self.expression(expr)?),
                Arg::Name(name, expr) => given.names.push((name.clone(), self.expression(expr)?)),
                Arg::Places(expr) => {
                    let items = self.used(expr)?.iterate().map_err(|message| failed(message, expr.at))?;
                    given.places.extend(items);
                }
                Arg::Names(expr) => match self.used(expr)? {
                    Value::Dict(dict) => {
                        given.names.extend(dict.0.iter().map(|(key, value)| (key.to_string(), value.clone())));
                    }
                    other => return Err(failed(format!("`**` needs a dict, got {}", other.kind()), expr.at)),
                },
            }
        }
        Ok(given)
    }

    fn compare(&mut self, first: &Expr, rest: &[(Compare, Expr)], at: At) -> Result<Value, Error> {
        let mut left = self.used(first)?;
        for (op, expr) in rest {
            let right = self.used(expr)?;
            if !compare(*op, &left, &right).map_err(|message| failed(message, at))? {
                return Ok(Value::Bool(false));
            }
            left = right;
        }
        Ok(Value::Bool(true))
    }
}

fn attribute(value: &Value, name: &str, expr: &Expr) -> Result<Value, Error> {
    let found = match value {
        Value::Undefined(_) => Some(value.clone()),
        Value::Dict(dict) => dict.get(name).cloned(),
        Value::Object(object) => object.get(name).map_err(|message| failed(message, expr.at))?,
        // What `groupby` gives has names, too.
        Value::Tuple(pair) if pair.len() == 2 => match name {
            "grouper" => pair.first().cloned(),
            "list" => pair.get(1).cloned(),
            _ => None,
        },
        _ => None,
    };
    Ok(found.unwrap_or_else(|| Value::missing(describe(expr))))
}

fn item(value: &Value, key: &Value, expr: &Expr) -> Result<Value, Error> {
    let found = match (value, key) {
        (Value::Undefined(_), _) => Some(value.clone()),
        (Value::Dict(dict), _) => dict.get_value(key).cloned(),
        (Value::List(items) | Value::Tuple(items), _) => {
            key.as_int().and_then(|index| place(index, items.len())).and_then(|index| items.get(index).cloned())
        }
        (Value::Str(text), _) => key
            .as_int()
            .and_then(|index| place(index, text.chars().count()))
            .and_then(|index| text.chars().nth(index))
            .map(|c| Value::text(c.to_string())),
        (Value::Object(object), Value::Str(name)) => object.get(name).map_err(|message| failed(message, expr.at))?,
        _ => None,
    };
    Ok(found.unwrap_or_else(|| Value::missing(describe(expr))))
}

/// Returns the first argument that is not there.
pub(super) fn no_missing(arguments: Arguments) -> Result<Arguments, Arc<Missing>> {
    let values = arguments.places.iter().chain(arguments.names.iter().map(|(_, value)| value));
    for value in values {
        if let Value::Undefined(missing) = value {
            return Err(missing.clone());
        }
    }
    Ok(arguments)
}

pub(super) fn failed(message: impl Into<String>, at: At) -> Error {
    Error::new(Fault::Failed, message, at)
}

pub(super) fn undefined(missing: &Missing, at: At) -> Error {
    Error::new(Fault::Undefined, missing.to_string(), at)
}

/// Writes an expression as a person would, for messages.
pub(super) fn describe(expr: &Expr) -> String {
    match &expr.kind {
        Kind::Var(name) => name.clone(),
        Kind::Attr(base, name) => format!("{}.{name}", describe(base)),
        Kind::Item(base, key) => match &key.kind {
            Kind::Const(value) => format!("{}[{}]", describe(base), super::python::repr(value)),
            _ => format!("{}[{}]", describe(base), describe(key)),
        },
        Kind::Call(callee, _) => format!("{}()", describe(callee)),
        Kind::Filter(Some(input), name, _) => format!("{} | {name}", describe(input)),
        Kind::Const(value) => super::python::repr(value),
        _ => "(…)".to_owned(),
    }
}

/// Turns an index that may count from the end into a place.
fn place(index: i64, length: usize) -> Option<usize> {
    let length = i64::try_from(length).ok()?;
    usize::try_from(if index < 0 { index.checked_add(length)? } else { index }).ok()
}

pub(super) fn compare(op: Compare, left: &Value, right: &Value) -> Result<bool, String> {
    Ok(match op {
        Compare::Equal => left == right,
        Compare::Unequal => left != right,
        Compare::Less => left.order(right)?.is_lt(),
        Compare::LessOrEqual => left.order(right)?.is_le(),
        Compare::Greater => left.order(right)?.is_gt(),
        Compare::GreaterOrEqual => left.order(right)?.is_ge(),
        Compare::In => contains(right, left)?,
        Compare::NotIn => !contains(right, left)?,
    })
}

/// Whether `item` is in `whole`, as Python's `in`.
pub(super) fn contains(whole: &Value, item: &Value) -> Result<bool, String> {
    match (whole, item) {
        (Value::Str(text), Value::Str(part)) => Ok(text.contains(&**part)),
        (Value::Str(_), _) => Err(format!("`in` needs text on the left of text, got {}", item.kind())),
        (Value::List(items) | Value::Tuple(items), _) => Ok(items.contains(item)),
        (Value::Dict(dict), _) => Ok(dict.get_value(item).is_some()),
        (Value::Object(object), Value::Str(name)) => Ok(object.get(name)?.is_some()),
        _ => Err(format!("`{}` holds nothing that `in` could find", whole.kind())),
    }
}

pub(super) fn binary(op: Binary, left: &Value, right: &Value) -> Result<Value, String> {
    match (op, left, right) {
        (Binary::Add | Binary::Subtract, Value::Object(_), Value::Object(_)) => {
            let sign = if op == Binary::Add { 1 } else { -1 };
            dates::combine(left, right, sign).ok_or_else(|| format!("cannot {} these values", verb(op)))
        }
        (Binary::Concatenate, _, _) => Ok(Value::text(format!("{left}{right}"))),
        (Binary::Remainder, Value::Str(format), _) => printf::format(format, right).map(Value::text),
        (Binary::Add, Value::Str(a), Value::Str(b)) => Ok(Value::text(format!("{a}{b}"))),
        (Binary::Add, Value::List(a), Value::List(b)) => Ok(Value::list([a.as_slice(), b.as_slice()].concat())),
        (Binary::Add, Value::Tuple(a), Value::Tuple(b)) => Ok(Value::tuple([a.as_slice(), b.as_slice()].concat())),
        (Binary::Multiply, Value::Str(_) | Value::List(_) | Value::Tuple(_), Value::Int(count))
        | (Binary::Multiply, Value::Int(count), Value::Str(_) | Value::List(_) | Value::Tuple(_)) => {
            repeat(if matches!(left, Value::Int(_)) { right } else { left }, *count)
        }
        _ => match (left.as_int(), right.as_int()) {
            (Some(a), Some(b)) => whole(op, a, b),
            _ => match (left.as_float(), right.as_float()) {
                (Some(a), Some(b)) => fraction(op, a, b),
                _ => Err(format!("cannot {} `{}` and `{}`", verb(op), left.kind(), right.kind())),
            },
        },
    }
}

fn verb(op: Binary) -> &'static str {
    match op {
        Binary::Add => "add",
        Binary::Subtract => "subtract",
        Binary::Multiply => "multiply",
        Binary::Divide | Binary::DivideFloor | Binary::Remainder => "divide",
        Binary::Power => "raise",
        Binary::Concatenate => "join",
    }
}

fn repeat(value: &Value, count: i64) -> Result<Value, String> {
    let count = usize::try_from(count).unwrap_or(0);
    let length = match value {
        Value::Str(text) => text.len(),
        _ => value.as_list().map_or(0, |items| items.len()),
    };
    if length.checked_mul(count).is_none_or(|size| size > LONGEST) {
        return Err("the result would be too long".to_owned());
    }
    if let Value::Str(text) = value {
        return Ok(Value::text(text.repeat(count)));
    }
    let once = value.as_list().map(|items| items.as_slice()).unwrap_or_default();
    let items: Vec<Value> = (0..count).flat_map(|_| once.iter().cloned()).collect();
    Ok(if matches!(value, Value::Tuple(_)) { Value::tuple(items) } else { Value::list(items) })
}

fn whole(op: Binary, a: i64, b: i64) -> Result<Value, String> {
    let zero = || "division by zero".to_owned();
    let result = match op {
        Binary::Add => a.checked_add(b),
        Binary::Subtract => a.checked_sub(b),
        Binary::Multiply => a.checked_mul(b),
        Binary::DivideFloor | Binary::Remainder if b == 0 => return Err(zero()),
        // Python rounds towards minus infinity; the remainder has the sign of the divisor.
        Binary::DivideFloor => {
            a.checked_div(b).map(|quotient| if a % b != 0 && (a < 0) != (b < 0) { quotient - 1 } else { quotient })
        }
        Binary::Remainder => {
            a.checked_rem(b).map(|rest| if rest != 0 && (rest < 0) != (b < 0) { rest + b } else { rest })
        }
        Binary::Power if b >= 0 => u32::try_from(b).ok().and_then(|power| a.checked_pow(power)),
        Binary::Power | Binary::Divide | Binary::Concatenate => return fraction_of_whole(op, a, b),
    };
    result.map(Value::Int).ok_or_else(|| "the number is too large".to_owned())
}

#[expect(clippy::cast_precision_loss, reason = "as Python's true division")]
fn fraction_of_whole(op: Binary, a: i64, b: i64) -> Result<Value, String> {
    fraction(op, a as f64, b as f64)
}

fn fraction(op: Binary, a: f64, b: f64) -> Result<Value, String> {
    let divides = matches!(op, Binary::Divide | Binary::DivideFloor | Binary::Remainder);
    if divides && b == 0.0 {
        return Err("division by zero".to_owned());
    }
    Ok(Value::Float(match op {
        Binary::Add => a + b,
        Binary::Subtract => a - b,
        Binary::Multiply => a * b,
        Binary::Divide => a / b,
        Binary::DivideFloor => (a / b).floor(),
        Binary::Remainder => a - b * (a / b).floor(),
        Binary::Power => a.powf(b),
        Binary::Concatenate => return Err("cannot join numbers".to_owned()),
    }))
}

fn slice(value: &Value, [start, stop, step]: [Option<Value>; 3]) -> Result<Value, String> {
    let number = |value: Option<Value>| match value {
        None | Some(Value::None) => Ok(None),
        Some(value) => value.as_int().map(Some).ok_or_else(|| "a slice needs whole numbers".to_owned()),
    };
    let (start, stop, step) = (number(start)?, number(stop)?, number(step)?.unwrap_or(1));
    let items = match value {
        Value::Str(_) | Value::List(_) | Value::Tuple(_) => value.iterate()?,
        _ => return Err(format!("`{}` cannot be sliced", value.kind())),
    };
    let picked: Vec<Value> = indices(items.len(), start, stop, step)?.into_iter().map(|at| items[at].clone()).collect();
    Ok(match value {
        Value::Str(_) => Value::text(picked.iter().map(ToString::to_string).collect::<String>()),
        Value::Tuple(_) => Value::tuple(picked),
        _ => Value::list(picked),
    })
}

fn indices(length: usize, start: Option<i64>, stop: Option<i64>, step: i64) -> Result<Vec<usize>, String> {
    if step == 0 {
        return Err("a slice cannot have step 0".to_owned());
    }
    let length = i64::try_from(length).unwrap_or(i64::MAX);
    let (low, high) = if step > 0 { (0, length) } else { (-1, length - 1) };
    let bound = |value: Option<i64>, default: i64| match value {
        None => default,
        Some(value) if value < 0 => value.saturating_add(length).clamp(low, high),
        Some(value) => value.clamp(low, high),
    };
    let (first, end) =
        if step > 0 { (bound(start, low), bound(stop, high)) } else { (bound(start, high), bound(stop, low)) };
    let mut picked = vec![];
    let mut at = first;
    while (step > 0 && at < end) || (step < 0 && at > end) {
        picked.extend(usize::try_from(at));
        at = at.saturating_add(step);
    }
    Ok(picked)
}
