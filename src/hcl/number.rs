//! Numbers: whole ones exactly, others as floating point.

use std::cmp::Ordering;
use std::fmt;

/// A number. A float that is whole is always an `Integer`, so that equal numbers compare equal.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Number(Form);

#[derive(Clone, Copy, Debug, PartialEq)]
enum Form {
    Integer(i128),
    Float(f64),
}

impl Number {
    /// Makes a number of `float`; `None` for what is no number.
    #[expect(clippy::cast_possible_truncation, reason = "whole and within range")]
    pub fn from_f64(float: f64) -> Option<Self> {
        if float.is_nan() {
            return None;
        }
        let whole = float.fract() == 0.0 && float.abs() < 1e38;
        Some(Self(if whole { Form::Integer(float as i128) } else { Form::Float(float) }))
    }

    /// Reads decimal text as Terraform converts text to a number, e.g. `42`, `-1.5`, `1e3`.
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
        let shape = digits.starts_with(|c: char| c.is_ascii_digit() || c == '.')
            && digits.chars().all(|c| c.is_ascii_digit() || matches!(c, '.' | 'e' | 'E' | '+' | '-'));
        if !shape {
            return None;
        }
        match text.parse::<i128>() {
            Ok(whole) => Some(Self(Form::Integer(whole))),
            Err(_) => text.parse().ok().and_then(Self::from_f64),
        }
    }

    /// Returns the whole number, unless there is a fraction.
    pub fn as_integer(self) -> Option<i128> {
        match self.0 {
            Form::Integer(whole) => Some(whole),
            Form::Float(_) => None,
        }
    }

    /// Returns it as an index or a length.
    pub fn as_usize(self) -> Option<usize> {
        self.as_integer().and_then(|whole| usize::try_from(whole).ok())
    }

    /// Returns the nearest floating point number.
    #[expect(clippy::cast_precision_loss, reason = "the nearest is wanted")]
    pub fn as_f64(self) -> f64 {
        match self.0 {
            Form::Integer(whole) => whole as f64,
            Form::Float(float) => float,
        }
    }

    /// Applies `whole` where both are whole and nothing overflows, otherwise `float`.
    pub fn combine(
        self,
        other: Self,
        whole: fn(i128, i128) -> Option<i128>,
        float: fn(f64, f64) -> f64,
    ) -> Option<Self> {
        match (self.as_integer(), other.as_integer()) {
            (Some(left), Some(right)) if let Some(exact) = whole(left, right) => Some(Self(Form::Integer(exact))),
            _ => Self::from_f64(decimal(float(self.as_f64(), other.as_f64()))),
        }
    }

    /// Orders by size.
    pub fn order(self, other: Self) -> Ordering {
        match (self.0, other.0) {
            (Form::Integer(left), Form::Integer(right)) => left.cmp(&right),
            _ => self.as_f64().total_cmp(&other.as_f64()),
        }
    }
}

/// What decimal arithmetic would have given, where that is a short number: 0.1 + 0.2 is 0.3, as Terraform has it.
fn decimal(float: f64) -> f64 {
    let written = format!("{float:.14e}");
    let short = written.split_once('e').is_some_and(|(mantissa, _)| mantissa.ends_with("00"));
    if short { written.parse().unwrap_or(float) } else { float }
}

impl From<i128> for Number {
    fn from(whole: i128) -> Self {
        Self(Form::Integer(whole))
    }
}

impl From<usize> for Number {
    fn from(whole: usize) -> Self {
        Self(Form::Integer(i128::try_from(whole).unwrap_or(i128::MAX)))
    }
}

/// Prints as Terraform does: no exponent, no `.0`.
impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Form::Integer(whole) => write!(f, "{whole}"),
            Form::Float(float) if float.is_infinite() => f.write_str(if float > 0.0 { "Inf" } else { "-Inf" }),
            Form::Float(float) => write!(f, "{float}"),
        }
    }
}
