//! Text.

use regex::Regex;
use unicode_segmentation::UnicodeSegmentation as _;

use crate::hcl::function::argument::{integer, text, texts};
use crate::hcl::function::{Files, Function, Takes};
use crate::hcl::value::Value;

/// The functions of this file.
pub const FUNCTIONS: &[Function] = &[
    Function { name: "join", least: 2, most: None, takes: Takes::Present, body: join },
    Function { name: "split", least: 2, most: Some(2), takes: Takes::Present, body: split },
    Function { name: "lower", least: 1, most: Some(1), takes: Takes::Present, body: lower },
    Function { name: "upper", least: 1, most: Some(1), takes: Takes::Present, body: upper },
    Function { name: "title", least: 1, most: Some(1), takes: Takes::Present, body: title },
    Function { name: "trim", least: 2, most: Some(2), takes: Takes::Present, body: trim },
    Function { name: "trimspace", least: 1, most: Some(1), takes: Takes::Present, body: trim_space },
    Function { name: "trimprefix", least: 2, most: Some(2), takes: Takes::Present, body: trim_prefix },
    Function { name: "trimsuffix", least: 2, most: Some(2), takes: Takes::Present, body: trim_suffix },
    Function { name: "chomp", least: 1, most: Some(1), takes: Takes::Present, body: chomp },
    Function { name: "indent", least: 2, most: Some(2), takes: Takes::Present, body: indent },
    Function { name: "replace", least: 3, most: Some(3), takes: Takes::Present, body: replace },
    Function { name: "regex", least: 2, most: Some(2), takes: Takes::Present, body: regex },
    Function { name: "regexall", least: 2, most: Some(2), takes: Takes::Present, body: regex_all },
    Function { name: "substr", least: 3, most: Some(3), takes: Takes::Present, body: substring },
    Function { name: "startswith", least: 2, most: Some(2), takes: Takes::Present, body: starts_with },
    Function { name: "endswith", least: 2, most: Some(2), takes: Takes::Present, body: ends_with },
    Function { name: "strcontains", least: 2, most: Some(2), takes: Takes::Present, body: contains },
    Function { name: "strrev", least: 1, most: Some(1), takes: Takes::Present, body: reverse },
];

fn join(_: &Files<'_>, arguments: Vec<Value>) -> Result<Value, String> {
    let mut arguments = arguments.into_iter();
    let separator = text(&mut arguments)?;
    let mut parts = vec![];
    while arguments.len() > 0 {
        parts.extend(texts(&mut arguments)?);
    }
    Ok(Value::String(parts.join(&separator)))
}

fn split(_: &Files<'_>, arguments: Vec<Value>) -> Result<Value, String> {
    let mut arguments = arguments.into_iter();
    let (separator, whole) = (text(&mut arguments)?, text(&mut arguments)?);
    if whole.is_empty() {
        return Ok(Value::List(vec!["".into()]));
    }
    if separator.is_empty() {
        return Ok(Value::List(whole.chars().map(|c| c.to_string().into()).collect()));
    }
    Ok(Value::List(whole.split(separator.as_str()).map(Value::from).collect()))
}

fn lower(_: &Files<'_>, arguments: Vec<Value>) -> Result<Value, String> {
    Ok(text(&mut arguments.into_iter())?.to_lowercase().into())
}

fn upper(_: &Files<'_>, arguments: Vec<Value>) -> Result<Value, String> {
    Ok(text(&mut arguments.into_iter())?.to_uppercase().into())
}

fn title(_: &Files<'_>, arguments: Vec<Value>) -> Result<Value, String> {
    let mut before = ' ';
    let capital = |c: char| {
        // As Go's `strings.Title` divides words.
        let inside = before.is_alphanumeric() || before == '_' || !(before.is_ascii() || before.is_whitespace());
        let first = !inside;
        before = c;
        if first { c.to_uppercase().collect::<String>() } else { c.to_string() }
    };
    Ok(text(&mut arguments.into_iter())?.chars().map(capital).collect::<String>().into())
}

fn trim(_: &Files<'_>, arguments: Vec<Value>) -> Result<Value, String> {
    let mut arguments = arguments.into_iter();
    let (whole, cut) = (text(&mut arguments)?, text(&mut arguments)?);
    Ok(whole.trim_matches(|c| cut.contains(c)).into())
}

fn trim_space(_: &Files<'_>, arguments: Vec<Value>) -> Result<Value, String> {
    Ok(text(&mut arguments.into_iter())?.trim().into())
}

fn trim_prefix(_: &Files<'_>, arguments: Vec<Value>) -> Result<Value, String> {
    let mut arguments = arguments.into_iter();
    let (whole, cut) = (text(&mut arguments)?, text(&mut arguments)?);
    Ok(whole.strip_prefix(cut.as_str()).unwrap_or(&whole).into())
}

fn trim_suffix(_: &Files<'_>, arguments: Vec<Value>) -> Result<Value, String> {
    let mut arguments = arguments.into_iter();
    let (whole, cut) = (text(&mut arguments)?, text(&mut arguments)?);
    Ok(whole.strip_suffix(cut.as_str()).unwrap_or(&whole).into())
}

fn chomp(_: &Files<'_>, arguments: Vec<Value>) -> Result<Value, String> {
    Ok(text(&mut arguments.into_iter())?.trim_end_matches(['\r', '\n']).into())
}

fn indent(_: &Files<'_>, arguments: Vec<Value>) -> Result<Value, String> {
    let mut arguments = arguments.into_iter();
    let (count, whole) = (integer(&mut arguments)?, text(&mut arguments)?);
    let count = usize::try_from(count).map_err(|_| "the number of spaces is negative".to_owned())?;
    let spaces = " ".repeat(count.min(1000));
    Ok(whole.replace('\n', &format!("\n{spaces}")).into())
}

fn replace(_: &Files<'_>, arguments: Vec<Value>) -> Result<Value, String> {
    let mut arguments = arguments.into_iter();
    let (whole, wanted, other) = (text(&mut arguments)?, text(&mut arguments)?, text(&mut arguments)?);
    match wanted.strip_prefix('/').and_then(|rest| rest.strip_suffix('/')) {
        Some(pattern) => Ok(compile(pattern)?.replace_all(&whole, other.as_str()).into_owned().into()),
        None => Ok(whole.replace(&wanted, &other).into()),
    }
}

fn compile(pattern: &str) -> Result<Regex, String> {
    Regex::new(pattern).map_err(|_| format!("`{pattern}` is no regular expression"))
}

fn regex(_: &Files<'_>, arguments: Vec<Value>) -> Result<Value, String> {
    let mut arguments = arguments.into_iter();
    let (pattern, whole) = (text(&mut arguments)?, text(&mut arguments)?);
    let pattern = compile(&pattern)?;
    let found = pattern.captures(&whole).map(|found| captured(&pattern, &found));
    found.ok_or_else(|| "the pattern does not match".to_owned())
}

fn regex_all(_: &Files<'_>, arguments: Vec<Value>) -> Result<Value, String> {
    let mut arguments = arguments.into_iter();
    let (pattern, whole) = (text(&mut arguments)?, text(&mut arguments)?);
    let pattern = compile(&pattern)?;
    let found = pattern.captures_iter(&whole).map(|found| captured(&pattern, &found));
    Ok(Value::List(found.collect()))
}

/// No groups: the match; named groups: a map; unnamed groups: a list.
fn captured(pattern: &Regex, found: &regex::Captures<'_>) -> Value {
    let group = |at: usize| found.get(at).map_or(Value::Null, |group| group.as_str().into());
    let names: Vec<Option<&str>> = pattern.capture_names().collect();
    if names.len() == 1 {
        return group(0);
    }
    if names.iter().any(Option::is_some) {
        let entry = |(at, name): (usize, Option<&str>)| Some((name?.to_owned(), group(at)));
        return Value::Map(names.into_iter().enumerate().filter_map(entry).collect());
    }
    Value::List((1..names.len()).map(group).collect())
}

fn substring(_: &Files<'_>, arguments: Vec<Value>) -> Result<Value, String> {
    let mut arguments = arguments.into_iter();
    let (whole, offset, length) = (text(&mut arguments)?, integer(&mut arguments)?, integer(&mut arguments)?);
    let characters: Vec<&str> = whole.graphemes(true).collect();
    let total = i128::try_from(characters.len()).unwrap_or(i128::MAX);
    let start = if offset < 0 { total + offset } else { offset }.clamp(0, total);
    let end = if length < 0 { total } else { start.saturating_add(length).min(total) };
    let (start, end) = (usize::try_from(start).unwrap_or(0), usize::try_from(end).unwrap_or(0));
    Ok(characters[start..end].concat().into())
}

fn starts_with(_: &Files<'_>, arguments: Vec<Value>) -> Result<Value, String> {
    let mut arguments = arguments.into_iter();
    Ok(Value::Bool(text(&mut arguments)?.starts_with(&text(&mut arguments)?)))
}

fn ends_with(_: &Files<'_>, arguments: Vec<Value>) -> Result<Value, String> {
    let mut arguments = arguments.into_iter();
    Ok(Value::Bool(text(&mut arguments)?.ends_with(&text(&mut arguments)?)))
}

fn contains(_: &Files<'_>, arguments: Vec<Value>) -> Result<Value, String> {
    let mut arguments = arguments.into_iter();
    Ok(Value::Bool(text(&mut arguments)?.contains(&text(&mut arguments)?)))
}

fn reverse(_: &Files<'_>, arguments: Vec<Value>) -> Result<Value, String> {
    Ok(text(&mut arguments.into_iter())?.graphemes(true).rev().collect::<String>().into())
}
