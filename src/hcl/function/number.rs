//! Numbers.

use crate::hcl::function::argument::{integer, list, number, text};
use crate::hcl::function::{Files, Function, Takes};
use crate::hcl::number::Number;
use crate::hcl::value::Value;

/// The functions of this file.
pub const FUNCTIONS: &[Function] = &[
    Function { name: "min", least: 1, most: None, takes: Takes::Present, body: min },
    Function { name: "max", least: 1, most: None, takes: Takes::Present, body: max },
    Function { name: "floor", least: 1, most: Some(1), takes: Takes::Present, body: floor },
    Function { name: "ceil", least: 1, most: Some(1), takes: Takes::Present, body: ceil },
    Function { name: "abs", least: 1, most: Some(1), takes: Takes::Present, body: abs },
    Function { name: "pow", least: 2, most: Some(2), takes: Takes::Present, body: pow },
    Function { name: "log", least: 2, most: Some(2), takes: Takes::Present, body: log },
    Function { name: "signum", least: 1, most: Some(1), takes: Takes::Present, body: sign },
    Function { name: "sum", least: 1, most: Some(1), takes: Takes::Present, body: sum },
    Function { name: "parseint", least: 2, most: Some(2), takes: Takes::Present, body: parse_int },
    Function { name: "range", least: 1, most: Some(3), takes: Takes::Present, body: range },
];

fn numbers(arguments: Vec<Value>) -> Result<Vec<Number>, String> {
    arguments.into_iter().map(|argument| number(&mut std::iter::once(argument))).collect()
}

fn result(number: Option<Number>) -> Result<Value, String> {
    number.map(Value::Number).ok_or_else(|| "the result is no number".to_owned())
}

fn min(_: &Files<'_>, arguments: Vec<Value>) -> Result<Value, String> {
    result(numbers(arguments)?.into_iter().min_by(|a, b| a.order(*b)))
}

fn max(_: &Files<'_>, arguments: Vec<Value>) -> Result<Value, String> {
    result(numbers(arguments)?.into_iter().max_by(|a, b| a.order(*b)))
}

fn floor(_: &Files<'_>, arguments: Vec<Value>) -> Result<Value, String> {
    rounded(arguments, f64::floor)
}

fn ceil(_: &Files<'_>, arguments: Vec<Value>) -> Result<Value, String> {
    rounded(arguments, f64::ceil)
}

fn rounded(arguments: Vec<Value>, round: fn(f64) -> f64) -> Result<Value, String> {
    let number = number(&mut arguments.into_iter())?;
    match number.as_integer() {
        Some(_) => Ok(Value::Number(number)),
        None => result(Number::from_f64(round(number.as_f64()))),
    }
}

fn abs(_: &Files<'_>, arguments: Vec<Value>) -> Result<Value, String> {
    let number = number(&mut arguments.into_iter())?;
    match number.as_integer().and_then(i128::checked_abs) {
        Some(whole) => Ok(whole.into()),
        None => result(Number::from_f64(number.as_f64().abs())),
    }
}

fn pow(_: &Files<'_>, arguments: Vec<Value>) -> Result<Value, String> {
    let mut arguments = arguments.into_iter();
    let (base, exponent) = (number(&mut arguments)?, number(&mut arguments)?);
    let exact = |base: i128, exponent: i128| base.checked_pow(u32::try_from(exponent).ok()?);
    result(base.combine(exponent, exact, f64::powf))
}

fn log(_: &Files<'_>, arguments: Vec<Value>) -> Result<Value, String> {
    let mut arguments = arguments.into_iter();
    let (number, base) = (number(&mut arguments)?.as_f64(), number(&mut arguments)?.as_f64());
    let quotient = number.ln() / base.ln();
    if quotient.is_nan() {
        return Err("there is no such logarithm".to_owned());
    }
    result(Number::from_f64(quotient))
}

fn sign(_: &Files<'_>, arguments: Vec<Value>) -> Result<Value, String> {
    let order = number(&mut arguments.into_iter())?.order(Number::from(0_i128));
    Ok(i128::from(order as i8).into())
}

fn sum(_: &Files<'_>, arguments: Vec<Value>) -> Result<Value, String> {
    let items = numbers(list(&mut arguments.into_iter())?)?;
    if items.is_empty() {
        return Err("the list is empty".to_owned());
    }
    let zero = Number::from(0_i128);
    result(items.into_iter().try_fold(zero, |total, item| total.combine(item, i128::checked_add, |a, b| a + b)))
}

fn parse_int(_: &Files<'_>, arguments: Vec<Value>) -> Result<Value, String> {
    let mut arguments = arguments.into_iter();
    let (digits, base) = (text(&mut arguments)?, integer(&mut arguments)?);
    let base = u32::try_from(base).ok().filter(|base| (2..=36).contains(base));
    let base = base.ok_or_else(|| "the base is not between 2 and 36".to_owned())?;
    let whole = i128::from_str_radix(&digits, base).map_err(|_| format!("`{digits}` is no number to base {base}"))?;
    Ok(whole.into())
}

fn range(_: &Files<'_>, arguments: Vec<Value>) -> Result<Value, String> {
    let bounds = numbers(arguments)?;
    let (zero, one) = (Number::from(0_i128), Number::from(1_i128));
    let (start, end) = if bounds.len() == 1 { (zero, bounds[0]) } else { (bounds[0], bounds[1]) };
    let down = end.order(start).is_lt();
    let step = bounds.get(2).copied().unwrap_or(if down { Number::from(-1_i128) } else { one });
    if step.order(zero).is_eq() || step.order(zero).is_lt() != down {
        return if start.order(end).is_eq() { Ok(Value::List(vec![])) } else { Err("the step leads away".to_owned()) };
    }
    let (mut items, mut at) = (vec![], start);
    while if down { at.order(end).is_gt() } else { at.order(end).is_lt() } {
        if items.len() == 1024 {
            return Err("more than 1024 numbers".to_owned());
        }
        items.push(Value::Number(at));
        at = at.combine(step, i128::checked_add, |a, b| a + b).ok_or_else(|| "the numbers get too large".to_owned())?;
    }
    Ok(Value::List(items))
}
