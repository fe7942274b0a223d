//! Python's two ways to format text: `%` and `str.format`.

use crate::playbook::jinja::eval::LONGEST;
use crate::playbook::jinja::python;
use crate::playbook::jinja::value::Value;

#[derive(Default)]
#[expect(clippy::struct_excessive_bools, reason = "the flags of a format")]
struct Spec {
    left: bool,
    zero: bool,
    plus: bool,
    space: bool,
    prefixed: bool,
    width: usize,
    precision: Option<usize>,
}

/// Formats as `format % argument`.
pub fn format(format: &str, argument: &Value) -> Result<String, String> {
    let mut out = String::new();
    let mut places = match argument {
        Value::Tuple(items) => items.iter().cloned().collect::<Vec<_>>(),
        other => vec![other.clone()],
    }
    .into_iter();
    let mut chars = format.chars().peekable();
    while let Some(c) = chars.next() {
        if c != '%' {
            out.push(c);
            continue;
        }
        if chars.peek() == Some(&'%') {
            chars.next();
            out.push('%');
            continue;
        }
        let mut value = None;
        if chars.peek() == Some(&'(') {
            chars.next();
            let name: String = chars.by_ref().take_while(|c| *c != ')').collect();
            let dict = argument.as_dict().ok_or("`%(name)` needs a dict")?;
            value = Some(dict.get(&name).cloned().ok_or_else(|| format!("there is no `{name}` to format"))?);
        }
        let mut spec = Spec::default();
        while let Some(flag) = chars.next_if(|c| "-0+ #".contains(*c)) {
            match flag {
                '-' => spec.left = true,
                '0' => spec.zero = true,
                '+' => spec.plus = true,
                ' ' => spec.space = true,
                _ => spec.prefixed = true,
            }
        }
        let number = |next: &mut dyn FnMut() -> Option<char>| {
            let mut digits = String::new();
            while let Some(digit) = next() {
                digits.push(digit);
            }
            digits.parse::<usize>().ok()
        };
        spec.width = number(&mut || chars.next_if(char::is_ascii_digit)).unwrap_or(0);
        if chars.next_if_eq(&'.').is_some() {
            spec.precision = Some(number(&mut || chars.next_if(char::is_ascii_digit)).unwrap_or(0));
        }
        if spec.width > LONGEST || spec.precision.is_some_and(|precision| precision > 1000) {
            return Err("the width is too large".to_owned());
        }
        let kind = chars.next().ok_or("the format ends after `%`")?;
        let value = match value {
            Some(value) => value,
            None => places.next().ok_or("not enough arguments for the format")?,
        };
        out.push_str(&one(kind, &spec, &value)?);
    }
    let left_over = places.next().is_some() && argument.as_dict().is_none();
    if left_over { Err("not all arguments were used by the format".to_owned()) } else { Ok(out) }
}

fn one(kind: char, spec: &Spec, value: &Value) -> Result<String, String> {
    let number = || value.as_float().ok_or_else(|| format!("`%{kind}` needs a number, got {}", value.kind()));
    let whole = || match value {
        Value::Float(float) => Ok(truncate(*float)),
        _ => value.as_int().ok_or_else(|| format!("`%{kind}` needs a whole number, got {}", value.kind())),
    };
    let precision = spec.precision.unwrap_or(6);
    let text = match kind {
        's' => cut(value.to_string(), spec.precision),
        'r' => cut(python::repr(value), spec.precision),
        'd' | 'i' | 'u' => whole()?.to_string(),
        'x' | 'X' => {
            let text = prefixed(&hexadecimal(whole()?), if spec.prefixed { "0x" } else { "" });
            if kind == 'X' { text.to_uppercase() } else { text }
        }
        'o' => prefixed(&octal(whole()?), if spec.prefixed { "0o" } else { "" }),
        'f' | 'F' => format!("{:.*}", precision, number()?),
        'e' => exponent(&format!("{:.*e}", precision, number()?)),
        'g' => general(number()?, precision.max(1)),
        'c' => match value.as_int().and_then(|code| u32::try_from(code).ok()).and_then(char::from_u32) {
            Some(c) => c.to_string(),
            None => value.to_string(),
        },
        _ => return Err(format!("`%{kind}` is not supported")),
    };
    let numeric = !matches!(kind, 's' | 'r' | 'c');
    let signed = match (numeric, text.starts_with('-')) {
        (true, false) if spec.plus => format!("+{text}"),
        (true, false) if spec.space => format!(" {text}"),
        _ => text,
    };
    let missing = spec.width.saturating_sub(signed.chars().count());
    Ok(if spec.left {
        format!("{signed}{}", " ".repeat(missing))
    } else if spec.zero && numeric {
        let digits = signed.trim_start_matches(['-', '+', ' ']);
        let sign = &signed[..signed.len() - digits.len()];
        format!("{sign}{}{digits}", "0".repeat(missing))
    } else {
        format!("{}{signed}", " ".repeat(missing))
    })
}

/// Puts a prefix behind the sign of a number.
pub(super) fn prefixed(text: &str, prefix: &str) -> String {
    match text.strip_prefix('-') {
        Some(digits) => format!("-{prefix}{digits}"),
        None => format!("{prefix}{text}"),
    }
}

pub(super) fn hexadecimal(value: i64) -> String {
    if value < 0 { format!("-{:x}", value.unsigned_abs()) } else { format!("{value:x}") }
}

pub(super) fn octal(value: i64) -> String {
    if value < 0 { format!("-{:o}", value.unsigned_abs()) } else { format!("{value:o}") }
}

#[expect(clippy::cast_possible_truncation, reason = "saturates, as no playbook counts that far")]
pub(super) fn truncate(value: f64) -> i64 {
    value.trunc() as i64
}

fn cut(text: String, precision: Option<usize>) -> String {
    match precision {
        Some(length) => text.chars().take(length).collect(),
        None => text,
    }
}

/// Writes `1.5e3` as `1.5e+03`.
pub(super) fn exponent(text: &str) -> String {
    match text.split_once('e') {
        Some((digits, power)) => {
            let (sign, power) = power.strip_prefix('-').map_or(('+', power), |power| ('-', power));
            format!("{digits}e{sign}{power:0>2}")
        }
        None => text.to_owned(),
    }
}

/// Writes a number as `%g`: so many digits, without zeroes at the end, with an exponent where it is short.
pub(super) fn general(value: f64, digits: usize) -> String {
    if value == 0.0 || !value.is_finite() {
        return python::float(value).trim_end_matches(".0").to_owned();
    }
    let scientific = format!("{:.*e}", digits - 1, value);
    let (mantissa, power) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let power: i64 = power.parse().unwrap_or(0);
    let trim = |text: &str| {
        if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text.to_owned() }
    };
    let most = i64::try_from(digits).unwrap_or(i64::MAX);
    if power < -4 || power >= most {
        return exponent(&format!("{}e{power}", trim(mantissa)));
    }
    let places = usize::try_from(most - 1 - power).unwrap_or(0);
    trim(&format!("{value:.places$}"))
}
