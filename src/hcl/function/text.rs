//! Text.

use regex::Regex;

use crate::hcl::convert::convert;
use crate::hcl::function::argument::{integer, number, text, texts};
use crate::hcl::function::{Files, Function, Takes, encoding};
use crate::hcl::types::Type;
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
    Function { name: "format", least: 1, most: None, takes: Takes::Known, body: format },
    Function { name: "formatlist", least: 1, most: None, takes: Takes::Known, body: format_list },
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
        let first = !(before.is_alphanumeric() || before == '_' || before == '\'');
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
    let characters: Vec<char> = whole.chars().collect();
    let total = i128::try_from(characters.len()).unwrap_or(i128::MAX);
    let start = if offset < 0 { total + offset } else { offset }.clamp(0, total);
    let end = if length < 0 { total } else { start.saturating_add(length).min(total) };
    let (start, end) = (usize::try_from(start).unwrap_or(0), usize::try_from(end).unwrap_or(0));
    Ok(characters[start..end].iter().collect::<String>().into())
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

fn format(_: &Files<'_>, arguments: Vec<Value>) -> Result<Value, String> {
    let mut arguments = arguments.into_iter();
    let pattern = text(&mut arguments)?;
    formatted(&pattern, &arguments.collect::<Vec<_>>()).map(Value::String)
}

/// Lists are walked side by side, everything else is repeated.
fn format_list(_: &Files<'_>, arguments: Vec<Value>) -> Result<Value, String> {
    let mut arguments = arguments.into_iter();
    let pattern = text(&mut arguments)?;
    let arguments: Vec<Value> = arguments.collect();
    let lengths: Vec<usize> = arguments
        .iter()
        .filter_map(|argument| match argument {
            Value::List(items) | Value::Set(items) => Some(items.len()),
            _ => None,
        })
        .collect();
    let length = lengths.first().copied().unwrap_or(1);
    if lengths.iter().any(|other| *other != length) {
        return Err("the lists have different lengths".to_owned());
    }
    let row = |at: usize| {
        let pick = |argument: &Value| match argument {
            Value::List(items) | Value::Set(items) => items[at].clone(),
            single => single.clone(),
        };
        formatted(&pattern, &arguments.iter().map(pick).collect::<Vec<_>>()).map(Value::String)
    };
    (0..length).map(row).collect::<Result<_, _>>().map(Value::List)
}

/// One `%` verb: `%[flags][width][.precision]letter`, perhaps with `[n]` to choose an argument.
struct Verb<'a> {
    flags: &'a str,
    width: usize,
    precision: Option<usize>,
    letter: char,
}

fn formatted(pattern: &str, arguments: &[Value]) -> Result<String, String> {
    let mut output = String::new();
    let (mut rest, mut next) = (pattern, 0);
    while let Some(at) = rest.find('%') {
        output.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix('%') {
            output.push('%');
            rest = after;
            continue;
        }
        let (verb, chosen, after) = verb(rest)?;
        next = chosen.unwrap_or(next);
        let argument =
            arguments.get(next).ok_or_else(|| format!("there is no argument {} for `%{}`", next + 1, verb.letter))?;
        output.push_str(&one(&verb, argument)?);
        next += 1;
        rest = after;
    }
    output.push_str(rest);
    if next < arguments.len() && !pattern.contains("%[") {
        let given = if arguments.len() == 1 { "argument is" } else { "arguments are" };
        return Err(format!("{} {given} given, but {next} are used", arguments.len()));
    }
    Ok(output)
}

fn verb(text: &str) -> Result<(Verb<'_>, Option<usize>, &str), String> {
    let flags = text.len() - text.trim_start_matches(['-', '+', '0', ' ', '#']).len();
    let (flags, rest) = text.split_at(flags);
    let (width, rest) = digits(rest);
    let (precision, rest) = match rest.strip_prefix('.') {
        Some(rest) => {
            let (precision, rest) = digits(rest);
            (Some(precision.unwrap_or(0)), rest)
        }
        None => (None, rest),
    };
    let (chosen, rest) = match rest.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((number, rest)) => (number.parse::<usize>().ok().and_then(|number| number.checked_sub(1)), rest),
        None => (None, rest),
    };
    let letter = rest.chars().next().ok_or_else(|| "a `%` stands at the end".to_owned())?;
    let verb = Verb {
        flags,
        width: width.unwrap_or(0).min(10_000),
        precision: precision.map(|precision| precision.min(1000)),
        letter,
    };
    Ok((verb, chosen, &rest[letter.len_utf8()..]))
}

fn digits(text: &str) -> (Option<usize>, &str) {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    (text[..end].parse().ok(), &text[end..])
}

fn one(verb: &Verb<'_>, argument: &Value) -> Result<String, String> {
    let take = |wanted: &Type| convert(argument.clone(), wanted);
    let body = match verb.letter {
        'v' => match take(&Type::String) {
            Ok(Value::String(text)) => text,
            _ => encoding::json(argument),
        },
        's' => clip(&text(&mut std::iter::once(argument.clone()))?, verb.precision),
        'q' => encoding::json(&Value::String(clip(&text(&mut std::iter::once(argument.clone()))?, verb.precision))),
        't' => match take(&Type::Bool)? {
            Value::Bool(truth) => truth.to_string(),
            other => return Err(format!("a truth value is required, not {}", other.describe())),
        },
        'd' => signed(verb, &integer(&mut std::iter::once(argument.clone()))?.to_string()),
        'b' => format!("{:b}", integer(&mut std::iter::once(argument.clone()))?),
        'o' => format!("{:o}", integer(&mut std::iter::once(argument.clone()))?),
        'x' => format!("{:x}", integer(&mut std::iter::once(argument.clone()))?),
        'X' => format!("{:X}", integer(&mut std::iter::once(argument.clone()))?),
        'f' => {
            let float = number(&mut std::iter::once(argument.clone()))?.as_f64();
            signed(verb, &format!("{float:.*}", verb.precision.unwrap_or(6)))
        }
        'g' => signed(verb, &number(&mut std::iter::once(argument.clone()))?.to_string()),
        other => return Err(format!("`%{other}` is not supported")),
    };
    Ok(padded(verb, &body))
}

fn clip(text: &str, precision: Option<usize>) -> String {
    match precision {
        Some(most) => text.chars().take(most).collect(),
        None => text.to_owned(),
    }
}

fn signed(verb: &Verb<'_>, digits: &str) -> String {
    match (digits.starts_with('-'), verb.flags.contains('+'), verb.flags.contains(' ')) {
        (false, true, _) => format!("+{digits}"),
        (false, false, true) => format!(" {digits}"),
        _ => digits.to_owned(),
    }
}

fn padded(verb: &Verb<'_>, body: &str) -> String {
    let missing = verb.width.saturating_sub(body.chars().count());
    let fill = |c: &str| c.repeat(missing);
    if verb.flags.contains('-') {
        return format!("{body}{}", fill(" "));
    }
    if !verb.flags.contains('0') {
        return format!("{}{body}", fill(" "));
    }
    match body.strip_prefix(['-', '+']) {
        Some(digits) => format!("{}{}{digits}", &body[..1], fill("0")),
        None => format!("{}{body}", fill("0")),
    }
}
