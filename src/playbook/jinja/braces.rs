//! Python's `str.format`: `{}`, `{0}`, `{name.attribute[key]!r:>10.2f}`.

use crate::playbook::jinja::arguments::Arguments;
use crate::playbook::jinja::eval::LONGEST;
use crate::playbook::jinja::value::Value;
use crate::playbook::jinja::{path_of, printf, python};

/// Formats.
pub fn format(format: &str, args: &Arguments) -> Result<String, String> {
    let mut out = String::new();
    let mut next = 0;
    let mut chars = format.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '{' if chars.next_if_eq(&'{').is_some() => out.push('{'),
            '}' if chars.next_if_eq(&'}').is_some() => out.push('}'),
            '}' => return Err("a single `}` in the format".to_owned()),
            '{' => {
                let field: String = chars.by_ref().take_while(|c| *c != '}').collect();
                out.push_str(&one(&field, args, &mut next)?);
            }
            c => out.push(c),
        }
    }
    Ok(out)
}

fn one(field: &str, args: &Arguments, next: &mut usize) -> Result<String, String> {
    let (place, spec) = field.split_once(':').unwrap_or((field, ""));
    let (place, conversion) = place.split_once('!').map_or((place, None), |(place, kind)| (place, Some(kind)));
    let end = place.find(['.', '[']).unwrap_or(place.len());
    let (name, path) = place.split_at(end);
    let index = if name.is_empty() {
        *next += 1;
        Some(*next - 1)
    } else {
        name.parse().ok()
    };
    let value = match index {
        Some(index) => args.places.get(index),
        None => args.names.iter().find(|(known, _)| known == name).map(|(_, value)| value),
    };
    let value = value.ok_or_else(|| format!("there is nothing for `{{{field}}}`"))?;
    let path = path.replace('[', ".").replace(']', "");
    let value = match path.strip_prefix('.') {
        Some(path) => path_of(value, path),
        None => value.clone(),
    };
    if value.is_undefined() {
        return Err(format!("there is nothing for `{{{field}}}`"));
    }
    let value = match conversion {
        Some("r" | "a") => Value::text(python::repr(&value)),
        Some(_) => Value::text(value.to_string()),
        None => value,
    };
    written(&value, spec)
}

/// A format specification: `[[fill]align][sign][#][0][width][,][.precision][type]`.
#[derive(Default)]
struct Spec {
    fill: Option<char>,
    align: Option<char>,
    sign: Option<char>,
    prefixed: bool,
    width: usize,
    grouped: Option<char>,
    precision: Option<usize>,
    kind: Option<char>,
}

fn spec(text: &str) -> Result<Spec, String> {
    let mut spec = Spec::default();
    let mut chars = text.chars().peekable();
    let aligns = |c: &char| "<>^=".contains(*c);
    if text.chars().nth(1).as_ref().is_some_and(aligns) {
        spec.fill = chars.next();
    }
    spec.align = chars.next_if(aligns);
    spec.sign = chars.next_if(|c| "+- ".contains(*c));
    spec.prefixed = chars.next_if_eq(&'#').is_some();
    if chars.next_if_eq(&'0').is_some() {
        spec.fill = spec.fill.or(Some('0'));
        spec.align = spec.align.or(Some('='));
    }
    let mut digits = String::new();
    while let Some(digit) = chars.next_if(char::is_ascii_digit) {
        digits.push(digit);
    }
    spec.width = digits.parse().unwrap_or(0);
    spec.grouped = chars.next_if(|c| ",_".contains(*c));
    if chars.next_if_eq(&'.').is_some() {
        let mut digits = String::new();
        while let Some(digit) = chars.next_if(char::is_ascii_digit) {
            digits.push(digit);
        }
        spec.precision = digits.parse().ok();
    }
    spec.kind = chars.next();
    if chars.next().is_some() || spec.width > LONGEST || spec.precision.is_some_and(|precision| precision > 1000) {
        return Err(format!("cannot format with `{text}`"));
    }
    Ok(spec)
}

fn written(value: &Value, text: &str) -> Result<String, String> {
    if text.is_empty() {
        return Ok(value.to_string());
    }
    let spec = spec(text)?;
    let wrong = || format!("cannot format {} with `{text}`", value.kind());
    let whole = || value.as_int().ok_or_else(wrong);
    let number = || value.as_float().ok_or_else(wrong);
    let precision = spec.precision.unwrap_or(6);
    let prefix = |prefix: &'static str| if spec.prefixed { prefix } else { "" };
    let is_text = value.as_str().is_some();
    let body = match spec.kind {
        Some('s') | None if is_text => {
            let text = value.to_string();
            spec.precision.map_or_else(|| text.clone(), |length| text.chars().take(length).collect())
        }
        Some('d' | 'n') | None if value.as_int().is_some() => whole()?.to_string(),
        Some('x') => printf::prefixed(&printf::hexadecimal(whole()?), prefix("0x")),
        Some('X') => printf::prefixed(&printf::hexadecimal(whole()?), prefix("0x")).to_uppercase(),
        Some('o') => printf::prefixed(&printf::octal(whole()?), prefix("0o")),
        Some('b') => {
            let number = whole()?;
            let sign = if number < 0 { "-" } else { "" };
            format!("{sign}{}{:b}", prefix("0b"), number.unsigned_abs())
        }
        Some('c') => u32::try_from(whole()?).ok().and_then(char::from_u32).ok_or_else(wrong)?.to_string(),
        Some('f' | 'F') => format!("{:.*}", precision, number()?),
        Some('e') => printf::exponent(&format!("{:.*e}", precision, number()?)),
        Some('g') => printf::general(number()?, precision.max(1)),
        Some('%') => format!("{:.*}%", precision, number()? * 100.0),
        None => match spec.precision {
            Some(digits) => printf::general(number()?, digits.max(1)),
            None if matches!(value, Value::Float(_)) => value.to_string(),
            None => return Err(wrong()),
        },
        Some(_) => return Err(wrong()),
    };
    Ok(padded(body, &spec, is_text))
}

fn padded(body: String, spec: &Spec, is_text: bool) -> String {
    let (sign, digits) = match body.strip_prefix('-').filter(|_| !is_text) {
        Some(digits) => ("-".to_owned(), digits.to_owned()),
        None => (spec.sign.filter(|sign| *sign != '-').map(String::from).unwrap_or_default(), body),
    };
    let digits = spec.grouped.map_or_else(|| digits.clone(), |mark| grouped(&digits, mark));
    let missing = spec.width.saturating_sub(sign.chars().count() + digits.chars().count());
    let fill = |count: usize| spec.fill.unwrap_or(' ').to_string().repeat(count);
    match spec.align.unwrap_or(if is_text { '<' } else { '>' }) {
        '<' => format!("{sign}{digits}{}", fill(missing)),
        '^' => format!("{}{sign}{digits}{}", fill(missing / 2), fill(missing - missing / 2)),
        '=' => format!("{sign}{}{digits}", fill(missing)),
        _ => format!("{}{sign}{digits}", fill(missing)),
    }
}

/// Puts a mark between every three digits before the point.
fn grouped(digits: &str, mark: char) -> String {
    let end = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
    let (whole, rest) = digits.split_at(end);
    let mut out = String::new();
    for (at, digit) in whole.chars().enumerate() {
        if at > 0 && (whole.len() - at) % 3 == 0 {
            out.push(mark);
        }
        out.push(digit);
    }
    out + rest
}
