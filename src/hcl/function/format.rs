//! `format` and `formatlist`.

use crate::hcl::convert::convert;
use crate::hcl::function::argument::{integer, number, text};
use crate::hcl::function::{Files, Function, Takes, encoding};
use crate::hcl::number::Number;
use crate::hcl::types::Type;
use crate::hcl::value::Value;

/// The functions of this file.
pub const FUNCTIONS: &[Function] = &[
    Function { name: "format", least: 1, most: None, takes: Takes::Known, body: format },
    Function { name: "formatlist", least: 1, most: None, takes: Takes::Known, body: format_list },
];

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

impl Verb<'_> {
    fn has(&self, flag: char) -> bool {
        self.flags.contains(flag)
    }
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
    let once = || std::iter::once(argument.clone());
    if *argument == Value::Null && verb.letter != 'v' {
        return Err(format!("null cannot be written by `%{}`", verb.letter));
    }
    match verb.letter {
        'v' => Ok(padded(verb, &plain(verb, argument), Fill::Zeros)),
        's' => Ok(padded(verb, &clip(&text(&mut once())?, verb.precision), Fill::Zeros)),
        'q' => {
            let quoted = encoding::json(&Value::String(clip(&text(&mut once())?, verb.precision)));
            Ok(padded(verb, &quoted, Fill::Zeros))
        }
        't' => match convert(argument.clone(), &Type::Bool)? {
            Value::Bool(truth) => Ok(truth.to_string()),
            other => Err(format!("a truth value is required, not {}", other.describe())),
        },
        'd' | 'b' | 'o' | 'x' | 'X' => Ok(whole(verb, integer(&mut once())?)),
        'e' | 'E' | 'f' | 'F' | 'g' | 'G' => Ok(fraction(verb, number(&mut once())?)),
        other => Err(format!("`%{other}` is not supported")),
    }
}

/// Text as it is, numbers as by `%g`, everything else, and all with `#`, as JSON.
fn plain(verb: &Verb<'_>, argument: &Value) -> String {
    match argument {
        Value::String(text) if !verb.has('#') => text.clone(),
        Value::Number(number) if !verb.has('#') => general(*number, None),
        other => encoding::json(other),
    }
}

fn clip(text: &str, precision: Option<usize>) -> String {
    match precision {
        Some(most) if most > 0 => text.chars().take(most).collect(),
        _ => text.to_owned(),
    }
}

fn whole(verb: &Verb<'_>, number: i128) -> String {
    let size = number.unsigned_abs();
    let (digits, prefix) = match verb.letter {
        'b' => (format!("{size:b}"), "0b"),
        'o' => (format!("{size:o}"), "0"),
        'x' => (format!("{size:x}"), "0x"),
        'X' => (format!("{size:X}"), "0X"),
        _ => (size.to_string(), ""),
    };
    let missing = verb.precision.unwrap_or(0).saturating_sub(digits.len());
    let prefix = if verb.has('#') { prefix } else { "" };
    let body = format!("{}{prefix}{}{digits}", sign(verb, number < 0), "0".repeat(missing));
    padded(verb, &body, if verb.precision.is_some() { Fill::Spaces } else { Fill::ZerosBehindSign })
}

fn sign(verb: &Verb<'_>, negative: bool) -> &'static str {
    match (negative, verb.has('+'), verb.has(' ')) {
        (true, _, _) => "-",
        (false, true, _) => "+",
        (false, false, true) => " ",
        _ => "",
    }
}

fn fraction(verb: &Verb<'_>, number: Number) -> String {
    let written = match verb.letter {
        'e' | 'E' => exponential(&Decimal::of(number, Some(verb.precision.unwrap_or(6) + 1))),
        'g' | 'G' => general(number, verb.precision),
        _ => fixed(number, verb.precision.unwrap_or(6)),
    };
    let written = if verb.letter.is_uppercase() { written.to_uppercase() } else { written };
    let (negative, digits) = written.strip_prefix('-').map_or((false, written.as_str()), |digits| (true, digits));
    padded(verb, &format!("{}{digits}", sign(verb, negative)), Fill::ZerosBehindSign)
}

fn fixed(number: Number, places: usize) -> String {
    match number.as_integer() {
        Some(whole) if places == 0 => whole.to_string(),
        Some(whole) => format!("{whole}.{}", "0".repeat(places)),
        None => format!("{:.places$}", number.as_f64()),
    }
}

/// A number by its significant digits.
struct Decimal {
    negative: bool,
    digits: String,
    /// The power of ten of the first digit.
    exponent: i32,
}

impl Decimal {
    /// As many digits as it takes to tell the number from every other, or `count`.
    fn of(number: Number, count: Option<usize>) -> Self {
        let written = match (number.as_integer(), count) {
            (Some(whole), None) => format!("{whole:e}"),
            (None, None) => format!("{:e}", number.as_f64()),
            (_, Some(count)) => format!("{:.*e}", count.max(1) - 1, number.as_f64()),
        };
        let (mantissa, exponent) = written.split_once('e').unwrap_or((&written, "0"));
        Self {
            negative: mantissa.starts_with('-'),
            digits: mantissa.chars().filter(char::is_ascii_digit).collect(),
            exponent: exponent.parse().unwrap_or(0),
        }
    }
}

fn exponential(decimal: &Decimal) -> String {
    let (first, rest) = decimal.digits.split_at(1);
    let point = if rest.is_empty() { "" } else { "." };
    let minus = if decimal.negative { "-" } else { "" };
    let sign = if decimal.exponent < 0 { '-' } else { '+' };
    format!("{minus}{first}{point}{rest}e{sign}{:02}", decimal.exponent.unsigned_abs())
}

/// `%g`: an exponent for what is very large or very small, as Go decides it.
fn general(number: Number, precision: Option<usize>) -> String {
    let mut decimal = Decimal::of(number, precision.map(|precision| precision.max(1)));
    let kept = decimal.digits.trim_end_matches('0').len().max(1);
    decimal.digits.truncate(kept);
    let length = i32::try_from(kept).unwrap_or(i32::MAX);
    let most = match precision.map(|precision| i32::try_from(precision.max(1)).unwrap_or(i32::MAX)) {
        None => 6,
        Some(most) if most > length && length > decimal.exponent => length,
        Some(most) => most,
    };
    if decimal.exponent < -4 || decimal.exponent >= most {
        return exponential(&decimal);
    }
    let places = usize::try_from(length - 1 - decimal.exponent).unwrap_or(0);
    let minus = if decimal.negative { "-" } else { "" };
    let zeros = |count: i32| "0".repeat(usize::try_from(count).unwrap_or(0));
    let digits = format!("{}{}{}", zeros(-decimal.exponent), decimal.digits, zeros(decimal.exponent + 1 - length));
    let (before, after) = digits.split_at(digits.len() - places);
    if after.is_empty() { format!("{minus}{before}") } else { format!("{minus}{before}.{after}") }
}

/// What fills a field that is wider than its text, if the flag `0` asks for zeros.
#[derive(Clone, Copy, PartialEq)]
enum Fill {
    Spaces,
    Zeros,
    ZerosBehindSign,
}

fn padded(verb: &Verb<'_>, body: &str, zeros: Fill) -> String {
    let missing = verb.width.saturating_sub(body.chars().count());
    let fill = |c: &str| c.repeat(missing);
    if verb.has('-') {
        return format!("{body}{}", fill(if verb.has('0') && zeros == Fill::Zeros { "0" } else { " " }));
    }
    if !verb.has('0') || zeros == Fill::Spaces {
        return format!("{}{body}", fill(" "));
    }
    match body.strip_prefix(['-', '+', ' ']) {
        Some(digits) if zeros == Fill::ZerosBehindSign => format!("{}{}{digits}", &body[..1], fill("0")),
        _ => format!("{}{body}", fill("0")),
    }
}
