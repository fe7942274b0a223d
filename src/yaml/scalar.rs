//! What plain scalars mean, in each dialect.

use std::sync::LazyLock;

use regex::Regex;

use crate::yaml::Kind;

/// The resolver of `PyYAML` knows whole numbers by this shape.
static INT_1_1: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(r"^[-+]?(?:0b[01_]+|0[0-7_]+|0|[1-9][0-9_]*|0x[0-9a-fA-F_]+|[1-9][0-9_]*(?::[0-5]?[0-9])+)$").ok()
});

/// And other numbers by this one: an exponent needs a point before it and a sign.
static FLOAT_1_1: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(
        r"^(?:[-+]?[0-9][0-9_]*\.[0-9_]*(?:[eE][-+][0-9]+)?|\.[0-9][0-9_]*(?:[eE][-+][0-9]+)?|[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+\.[0-9_]*)$",
    )
    .ok()
});

/// What go-cty-yaml takes for a whole number.
static INT_TERRAFORM: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"^(?:[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+)$").ok());

/// And for any other number.
static FLOAT_TERRAFORM: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"^[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?$").ok());

/// The times that go-cty-yaml rewrites.
static TIME_TERRAFORM: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(
        r"^([0-9]{4})-([0-9]{1,2})-([0-9]{1,2})(?:([Tt ])([0-9]{1,2}):([0-9]{1,2}):([0-9]{1,2})(?:[.,][0-9]+)?(Z|[-+][0-9]{2}:[0-9]{2})?)?$",
    )
    .ok()
});

fn matches(shape: Option<&Regex>, text: &str) -> bool {
    shape.is_some_and(|shape| shape.is_match(text))
}

fn null(text: &str) -> bool {
    matches!(text, "" | "~" | "null" | "Null" | "NULL")
}

/// Reads a plain scalar as `PyYAML` does. Numbers too large for a machine word stay text, which prints alike; so do
/// dates, infinities and what is no number.
pub fn ansible(text: &str) -> Kind {
    match text {
        _ if null(text) => Kind::Null,
        "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => Kind::Bool(true),
        "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => Kind::Bool(false),
        _ if matches(INT_1_1.as_ref(), text) => int_1_1(text).map_or_else(|| Kind::Str(text.to_owned()), Kind::Int),
        _ if matches(FLOAT_1_1.as_ref(), text) => {
            float_1_1(text).map_or_else(|| Kind::Str(text.to_owned()), Kind::Float)
        }
        _ => Kind::Str(text.to_owned()),
    }
}

fn int_1_1(text: &str) -> Option<i64> {
    let plain = text.replace('_', "");
    let digits = plain.strip_prefix(['-', '+']).unwrap_or(&plain);
    let sign = if plain.starts_with('-') { -1_i128 } else { 1 };
    let size = if let Some(binary) = digits.strip_prefix("0b") {
        i128::from_str_radix(binary, 2).ok()
    } else if let Some(hex) = digits.strip_prefix("0x") {
        i128::from_str_radix(hex, 16).ok()
    } else if digits.starts_with('0') {
        i128::from_str_radix(digits, 8).ok()
    } else {
        sexagesimal(digits)
    };
    i64::try_from(size? * sign).ok()
}

/// `12:30:45` → seconds; a single part is a plain number.
fn sexagesimal(text: &str) -> Option<i128> {
    text.split(':').try_fold(0_i128, |total, part| total.checked_mul(60)?.checked_add(part.parse().ok()?))
}

fn float_1_1(text: &str) -> Option<f64> {
    let plain = text.replace('_', "");
    let digits = plain.strip_prefix(['-', '+']).unwrap_or(&plain);
    let sign = if plain.starts_with('-') { -1.0 } else { 1.0 };
    let size = digits.split(':').try_fold(0.0, |total, part| Some(total * 60.0 + part.parse::<f64>().ok()?));
    size.map(|size| sign * size)
}

/// Reads a plain scalar as Terraform's and Packer's `yamldecode` do: truth as in YAML 1.1 with `y` and `n`, numbers as in
/// 1.2 (`0644` is 644), dates as RFC 3339 text.
pub fn terraform(text: &str) -> Kind {
    match text {
        _ if null(text) => Kind::Null,
        "y" | "Y" | "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => Kind::Bool(true),
        "n" | "N" | "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => Kind::Bool(false),
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => Kind::Float(f64::INFINITY),
        "-.inf" | "-.Inf" | "-.INF" => Kind::Float(f64::NEG_INFINITY),
        ".nan" | ".NaN" | ".NAN" => Kind::Float(f64::NAN),
        _ if matches(INT_TERRAFORM.as_ref(), text) => whole_terraform(text),
        _ if matches(FLOAT_TERRAFORM.as_ref(), text) => {
            text.parse().map_or_else(|_| Kind::Str(text.to_owned()), Kind::Float)
        }
        _ => Kind::Str(time_terraform(text).unwrap_or_else(|| text.to_owned())),
    }
}

fn whole_terraform(text: &str) -> Kind {
    let whole = if let Some(octal) = text.strip_prefix("0o") {
        i64::from_str_radix(octal, 8).ok()
    } else if let Some(hex) = text.strip_prefix("0x") {
        i64::from_str_radix(hex, 16).ok()
    } else {
        text.parse().ok()
    };
    match (whole, text.parse::<f64>()) {
        (Some(whole), _) => Kind::Int(whole),
        (None, Ok(float)) => Kind::Float(float),
        (None, Err(_)) => Kind::Str(text.to_owned()),
    }
}

fn time_terraform(text: &str) -> Option<String> {
    let parts = TIME_TERRAFORM.as_ref()?.captures(text)?;
    let number = |at: usize| parts.get(at).map_or(Some(0), |part| part.as_str().parse::<u32>().ok());
    let (year, month, day) = (number(1)?, number(2)?, number(3)?);
    let (hour, minute, second) = (number(5)?, number(6)?, number(7)?);
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days = match month {
        2 => 28 + u32::from(leap),
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return None,
    };
    let separator = parts.get(4).map(|separator| separator.as_str());
    let zone = parts.get(8).map(|zone| zone.as_str());
    // A `T` asks for a zone, a space forbids one.
    let fits = matches!((separator, zone), (None | Some(" "), None) | (Some("T" | "t"), Some(_)));
    if !fits || !(1..=days).contains(&day) || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let zone = zone.filter(|zone| !matches!(*zone, "+00:00" | "-00:00")).unwrap_or("Z");
    Some(format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}{zone}"))
}
