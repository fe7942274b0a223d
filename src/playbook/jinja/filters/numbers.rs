//! Filters of numbers and truth values.

use crate::playbook::jinja::arguments::{self, Arguments, Truth, truth};
use crate::playbook::jinja::eval::binary;
use crate::playbook::jinja::filters::Trouble;
use crate::playbook::jinja::tree::Binary;
use crate::playbook::jinja::value::Value;
use crate::playbook::jinja::{printf, python};

/// Their names.
pub const NAMES: &[&str] = &[
    "abs",
    "bool",
    "filesizeformat",
    "float",
    "human_readable",
    "human_to_bytes",
    "int",
    "log",
    "pow",
    "root",
    "round",
];

/// Applies one.
pub fn apply(name: &str, input: &Value, args: Arguments) -> Result<Value, Trouble> {
    let number = || input.as_float().ok_or_else(|| format!("needs a number, got {}", input.kind()));
    Ok(match name {
        "bool" => boolean(input),
        "int" => int(input, args)?,
        "float" => {
            let [default] = args.bind(["default"])?;
            let read = input.as_float().or_else(|| input.as_str().and_then(python::parse_float));
            read.map_or_else(|| default.unwrap_or(Value::Float(0.0)), Value::Float)
        }
        "abs" => match input {
            Value::Float(value) => Value::Float(value.abs()),
            _ => Value::Int(input.as_int().and_then(i64::checked_abs).ok_or("needs a number")?),
        },
        "round" => match (round(number()?, args.clone())?, input) {
            // Python's round() of a whole number stays one; ceil and floor make a float.
            (Value::Float(rounded), Value::Int(_)) if !args.places.iter().any(|arg| arg.as_str().is_some()) => {
                Value::Int(printf::truncate(rounded))
            }
            (rounded, _) => rounded,
        },
        "log" => {
            let [base] = args.bind(["base"])?;
            let base = base.and_then(|base| base.as_float()).unwrap_or(std::f64::consts::E);
            let value = number()?;
            if value <= 0.0 {
                return Err("needs a positive number".into());
            }
            Value::Float(if base.to_bits() == 10_f64.to_bits() { value.log10() } else { value.ln() / base.ln() })
        }
        "pow" => {
            let [power] = args.bind(["power"])?;
            let power = power.and_then(|power| power.as_float()).ok_or("needs a power")?;
            Value::Float(number()?.powf(power))
        }
        "root" => {
            let [base] = args.bind(["base"])?;
            let base = base.and_then(|base| base.as_float()).unwrap_or(2.0);
            let value = number()?;
            Value::Float(if base.to_bits() == 2_f64.to_bits() { value.sqrt() } else { value.powf(1.0 / base) })
        }
        "filesizeformat" => {
            let [binary] = args.bind(["binary"])?;
            Value::text(size_format(number()?, truth(binary.as_ref(), Truth::No)))
        }
        "human_readable" => human_readable(number()?, args)?,
        _ => human_to_bytes(&input.to_string(), args)?,
    })
}

/// As Ansible's `bool`: the words for true are true, anything else is false.
fn boolean(input: &Value) -> Value {
    match input {
        Value::None | Value::Bool(_) => input.clone(),
        _ => {
            let text = input.to_string().to_lowercase();
            let one = input.as_float().is_some_and(|value| value.to_bits() == 1_f64.to_bits());
            Value::Bool(one || matches!(text.as_str(), "yes" | "on" | "1" | "true"))
        }
    }
}

fn int(input: &Value, args: Arguments) -> Result<Value, Trouble> {
    let [default, base] = args.bind(["default", "base"])?;
    let default = default.unwrap_or(Value::Int(0));
    let base = u32::try_from(arguments::int(base, 10)?)
        .ok()
        .filter(|base| (2..=36).contains(base))
        .ok_or("needs a base from 2 to 36")?;
    Ok(match input {
        Value::Float(value) => Value::Int(printf::truncate(*value)),
        Value::Str(text) => match python::parse_int(text, base) {
            Some(value) => Value::Int(value),
            None => python::parse_float(text)
                .filter(|value| value.is_finite())
                .map_or(default, |value| Value::Int(printf::truncate(value))),
        },
        _ => input.as_int().map_or(default, Value::Int),
    })
}

fn round(value: f64, args: Arguments) -> Result<Value, Trouble> {
    let [precision, method] = args.bind(["precision", "method"])?;
    let precision = i32::try_from(arguments::int(precision, 0)?).map_err(|_| "needs a smaller precision")?;
    let scale = 10_f64.powi(precision);
    let rounded = match arguments::text(method, "common").as_str() {
        "common" if precision >= 0 => {
            format!("{value:.*}", usize::try_from(precision.min(300)).unwrap_or(0)).parse().unwrap_or(value)
        }
        "common" => {
            let unit = 10_f64.powi(-precision);
            (value / unit).round_ties_even() * unit
        }
        "ceil" => (value * scale).ceil() / scale,
        "floor" => (value * scale).floor() / scale,
        other => return Err(format!("has no method `{other}`").into()),
    };
    Ok(Value::Float(rounded))
}

fn size_format(bytes: f64, binary: bool) -> String {
    let base = if binary { 1024.0 } else { 1000.0 };
    let names = if binary {
        ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB", "ZiB", "YiB"]
    } else {
        ["kB", "MB", "GB", "TB", "PB", "EB", "ZB", "YB"]
    };
    if bytes.to_bits() == 1_f64.to_bits() {
        return "1 Byte".to_owned();
    }
    if bytes < base {
        return format!("{} Bytes", bytes.trunc());
    }
    let mut unit = base;
    for name in names {
        if bytes < unit * base {
            return format!("{:.1} {name}", bytes / unit);
        }
        unit *= base;
    }
    format!("{:.1} {}", bytes / (unit / base), names[7])
}

const UNITS: [(char, f64); 8] = [
    ('Y', 1_208_925_819_614_629_174_706_176.0),
    ('Z', 1_180_591_620_717_411_303_424.0),
    ('E', 1_152_921_504_606_846_976.0),
    ('P', 1_125_899_906_842_624.0),
    ('T', 1_099_511_627_776.0),
    ('G', 1_073_741_824.0),
    ('M', 1_048_576.0),
    ('K', 1024.0),
];

fn human_readable(size: f64, args: Arguments) -> Result<Value, Trouble> {
    let [bits, unit] = args.bind(["isbits", "unit"])?;
    let bits = truth(bits.as_ref(), Truth::No);
    let unit = unit.map(|unit| unit.to_string().to_uppercase());
    let (letter, divisor) = match unit.as_deref().and_then(|unit| unit.chars().next()) {
        Some(wanted) => UNITS.iter().find(|(letter, _)| *letter == wanted).copied().unwrap_or((' ', 1.0)),
        None => UNITS.iter().find(|(_, limit)| size >= *limit).copied().unwrap_or((' ', 1.0)),
    };
    let base = if bits { "bits" } else { "Bytes" };
    let suffix = if letter == ' ' { base.to_owned() } else { format!("{letter}{}", if bits { "b" } else { "B" }) };
    Ok(Value::text(format!("{:.2} {suffix}", size / divisor)))
}

fn human_to_bytes(text: &str, args: Arguments) -> Result<Value, Trouble> {
    let [default_unit, bits] = args.bind(["default_unit", "isbits"])?;
    let trimmed = text.trim();
    let end = trimmed.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(trimmed.len());
    let number: f64 = trimmed[..end].parse().map_err(|_| format!("cannot read `{text}`"))?;
    let written = trimmed[end..].trim();
    let unit = if written.is_empty() { arguments::text(default_unit, "B") } else { written.to_owned() };
    // `Kb` are bits, `KB` are bytes.
    let of_bits = unit.len() == 2 && unit.ends_with('b');
    let of_bytes = unit.len() == 2 && unit.ends_with('B');
    if truth(bits.as_ref(), Truth::No) && of_bytes || !truth(bits.as_ref(), Truth::No) && of_bits {
        return Err(format!("cannot read `{text}`").into());
    }
    let letter = unit.chars().next().map_or('B', |c| c.to_ascii_uppercase());
    let factor = if letter == 'B' {
        1.0
    } else {
        UNITS.iter().find(|(known, _)| *known == letter).ok_or_else(|| format!("cannot read `{text}`"))?.1
    };
    Ok(Value::Int(printf::truncate((number * factor).round())))
}

/// Adds values, as the filter `sum` does.
pub fn add(left: &Value, right: &Value) -> Result<Value, String> {
    binary(Binary::Add, left, right)
}
