//! `sequence`: numbers, formatted.

use crate::playbook::jinja::{Value, printf};
use crate::playbook::lookup::Options;
use crate::playbook::words;

/// Most numbers of one sequence.
const MOST: i64 = 1_000_000;

struct Sequence {
    start: i64,
    count: Option<i64>,
    end: Option<i64>,
    stride: i64,
    format: String,
}

impl Default for Sequence {
    fn default() -> Self {
        Self { start: 1, count: None, end: None, stride: 1, format: "%d".to_owned() }
    }
}

/// Makes the numbers of every term.
pub fn run(terms: &[Value], options: Options<'_>) -> Result<Vec<Value>, String> {
    let mut all = vec![];
    if terms.is_empty() {
        let mut sequence = Sequence::default();
        for (name, value) in options.0 {
            sequence.set(name, &value.to_string())?;
        }
        return sequence.numbers();
    }
    for term in terms {
        let text = term.to_string();
        let sequence = match shortcut(text.trim())? {
            Some(sequence) => sequence,
            None => pairs(&text)?,
        };
        all.extend(sequence.numbers()?);
    }
    Ok(all)
}

fn pairs(text: &str) -> Result<Sequence, String> {
    let line = words::split(text, words::Keys::All)?;
    if !line.text.trim().is_empty() {
        return Err(format!("cannot read `{}` of a sequence", line.text.trim()));
    }
    let mut sequence = Sequence::default();
    for (name, value) in line.pairs {
        sequence.set(&name, &value)?;
    }
    Ok(sequence)
}

/// Reads `[start-]end[/stride][:format]`.
fn shortcut(text: &str) -> Result<Option<Sequence>, String> {
    let (numbers, format) = text.split_once(':').map_or((text, None), |(numbers, format)| (numbers, Some(format)));
    let (range, stride) = numbers.split_once('/').map_or((numbers, None), |(range, stride)| (range, Some(stride)));
    let (start, end) = range.split_once('-').map_or((None, range), |(start, end)| (Some(start), end));
    let shaped = |text: &str| text.starts_with(|c: char| c.is_ascii_digit());
    if ![start, Some(end), stride].into_iter().flatten().all(shaped) {
        return Ok(None);
    }
    let mut sequence = Sequence { end: Some(whole("end", end)?), ..Sequence::default() };
    if let Some(start) = start {
        sequence.start = whole("start", start)?;
    }
    if let Some(stride) = stride {
        sequence.stride = whole("stride", stride)?;
    }
    if let Some(format) = format.filter(|format| !format.is_empty()) {
        format.clone_into(&mut sequence.format);
    }
    Ok(Some(sequence))
}

/// Reads a number as Python's `int(text, 0)`.
fn whole(name: &str, text: &str) -> Result<i64, String> {
    let (sign, digits) = text.trim().strip_prefix('-').map_or((1, text.trim()), |digits| (-1, digits));
    let lower = digits.to_ascii_lowercase();
    let read = match (lower.strip_prefix("0x"), lower.strip_prefix("0o")) {
        (Some(digits), _) => i64::from_str_radix(digits, 16),
        (_, Some(digits)) => i64::from_str_radix(digits, 8),
        _ => lower.parse(),
    };
    read.map(|number| sign * number).map_err(|_| format!("cannot read `{name}={text}` as a whole number"))
}

impl Sequence {
    fn set(&mut self, name: &str, value: &str) -> Result<(), String> {
        match name {
            "start" => self.start = whole(name, value)?,
            "end" => self.end = Some(whole(name, value)?),
            "count" => self.count = Some(whole(name, value)?),
            "stride" => self.stride = whole(name, value)?,
            "format" => value.clone_into(&mut self.format),
            _ => return Err(format!("a sequence has no `{name}`")),
        }
        Ok(())
    }

    fn numbers(self) -> Result<Vec<Value>, String> {
        let end = match (self.count, self.end) {
            (None, None) => return Err("a sequence needs `count` or `end`".to_owned()),
            (Some(_), Some(_)) => return Err("a sequence cannot have both `count` and `end`".to_owned()),
            (Some(0), None) => return Ok(vec![]),
            (Some(count), None) => {
                self.start.saturating_add(count.saturating_mul(self.stride)).saturating_sub(self.stride.signum())
            }
            (None, Some(end)) => end,
        };
        match self.stride {
            1.. if end < self.start => return Err("to count backwards `stride` must be negative".to_owned()),
            ..=-1 if end > self.start => return Err("to count forwards `stride` must not be negative".to_owned()),
            0 => return Ok(vec![]),
            _ => {}
        }
        if self.format.matches('%').count() != 1 {
            return Err(format!("`{}` must have one place for a number", self.format));
        }
        if (end - self.start).abs() / self.stride.abs() > MOST {
            return Err("the sequence would be too long".to_owned());
        }
        let mut all = vec![];
        let mut at = self.start;
        while (self.stride > 0 && at <= end) || (self.stride < 0 && at >= end) {
            all.push(Value::text(printf::format(&self.format, &Value::Int(at))?));
            at = at.saturating_add(self.stride);
        }
        Ok(all)
    }
}
