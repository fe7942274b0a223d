//! Text that looks like a list, a dictionary or a truth value becomes one: what Ansible does to the text that a template
//! of a playbook gives, with Python's `literal_eval`.
//!
//! Source: ansible-core 2.15, `template/native_helpers.py`.

use crate::playbook::jinja::python;
use crate::playbook::jinja::value::Value;

/// Deepest nesting that Python's parser takes.
const DEEPEST: usize = 90;

/// Returns the value that `text` spells, or the text.
pub fn settle(text: &str) -> Value {
    match text {
        "True" => Value::Bool(true),
        "False" => Value::Bool(false),
        spelled if spelled.starts_with(['{', '[']) => read(spelled).unwrap_or_else(|| Value::text(text)),
        _ => Value::text(text),
    }
}

/// Reads a literal that is the whole of `text`.
fn read(text: &str) -> Option<Value> {
    let mut reader = Reader { rest: text, depth: 0 };
    let value = reader.value()?;
    reader.space();
    reader.rest.is_empty().then_some(value)
}

struct Reader<'t> {
    rest: &'t str,
    depth: usize,
}

impl Reader<'_> {
    fn space(&mut self) {
        loop {
            self.rest = self.rest.trim_start_matches([' ', '\t', '\n', '\r', '\x0c']);
            if !self.rest.starts_with('#') {
                return;
            }
            self.rest = self.rest.find('\n').map_or("", |end| &self.rest[end..]);
        }
    }

    fn take(&mut self, c: char) -> bool {
        self.space();
        let rest = self.rest.strip_prefix(c);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    fn value(&mut self) -> Option<Value> {
        if self.depth >= DEEPEST {
            return None;
        }
        self.depth += 1;
        self.space();
        let value = match self.rest.chars().next()? {
            '[' => self.items('[', ']').map(|(items, _)| Value::list(items)),
            '(' => match self.items('(', ')')? {
                (mut items, false) if items.len() == 1 => items.pop(),
                (items, _) => Some(Value::tuple(items)),
            },
            '{' => self.dict(),
            '\'' | '"' | 'u' | 'U' => self.texts(),
            c if c.is_alphabetic() => self.word(),
            _ => self.number(),
        };
        self.depth -= 1;
        value
    }

    /// Reads items between brackets, and whether a comma stood behind the last.
    fn items(&mut self, open: char, close: char) -> Option<(Vec<Value>, bool)> {
        self.take(open);
        let (mut items, mut comma) = (vec![], false);
        while !self.take(close) {
            if !items.is_empty() && !comma {
                return None;
            }
            items.push(self.value()?);
            comma = self.take(',');
        }
        Some((items, comma))
    }

    fn dict(&mut self) -> Option<Value> {
        self.take('{');
        let (mut entries, mut comma) = (vec![], true);
        while !self.take('}') {
            if !comma {
                return None;
            }
            let key = self.value()?;
            if !self.take(':') || matches!(key, Value::List(_) | Value::Dict(_)) {
                return None;
            }
            entries.push((key, self.value()?));
            comma = self.take(',');
        }
        Some(Value::dict(entries))
    }

    fn word(&mut self) -> Option<Value> {
        let end = self.rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        match word {
            "True" | "true" => Some(Value::Bool(true)),
            "False" | "false" => Some(Value::Bool(false)),
            "None" | "null" => Some(Value::None),
            _ => None,
        }
    }

    fn number(&mut self) -> Option<Value> {
        let mut negative = false;
        while let Some(sign) = self.rest.chars().next().filter(|c| "+-".contains(*c)) {
            negative ^= sign == '-';
            self.rest = &self.rest[1..];
            self.space();
        }
        let bytes = self.rest.as_bytes();
        let in_number = |at: usize| {
            let exponent = bytes[at].is_ascii_digit() || matches!(bytes[at], b'.' | b'_' | b'a'..=b'z' | b'A'..=b'Z');
            let sign = matches!(bytes[at], b'+' | b'-') && at > 0 && matches!(bytes[at - 1], b'e' | b'E');
            exponent || (sign && !self.rest.starts_with("0x"))
        };
        let end = (0..bytes.len()).find(|at| !in_number(*at)).unwrap_or(bytes.len());
        let (written, rest) = self.rest.split_at(end);
        self.rest = rest;
        number(written).map(|value| match value {
            Value::Int(value) if negative => Value::Int(-value),
            Value::Float(value) if negative => Value::Float(-value),
            other => other,
        })
    }

    /// Reads text; texts beside each other are one.
    fn texts(&mut self) -> Option<Value> {
        let mut out = String::new();
        loop {
            self.rest = self.rest.strip_prefix(['u', 'U']).unwrap_or(self.rest);
            let quote = self.rest.chars().next().filter(|c| matches!(c, '\'' | '"'))?;
            let triple = quote.to_string().repeat(3);
            let end = if self.rest.starts_with(&triple) { triple } else { quote.to_string() };
            self.rest = &self.rest[end.len()..];
            self.text(&end, &mut out)?;
            self.space();
            if !self.rest.starts_with(['\'', '"']) {
                return Some(Value::text(out));
            }
        }
    }

    fn text(&mut self, end: &str, out: &mut String) -> Option<()> {
        loop {
            if let Some(rest) = self.rest.strip_prefix(end) {
                self.rest = rest;
                return Some(());
            }
            let c = self.rest.chars().next()?;
            self.rest = &self.rest[c.len_utf8()..];
            match c {
                '\\' => self.escape(out)?,
                '\n' if end.len() == 1 => return None,
                c => out.push(c),
            }
        }
    }

    fn escape(&mut self, out: &mut String) -> Option<()> {
        let c = self.rest.chars().next()?;
        self.rest = &self.rest[c.len_utf8()..];
        match c {
            '\n' => {}
            'a' => out.push('\u{7}'),
            'b' => out.push('\u{8}'),
            'f' => out.push('\u{c}'),
            'n' => out.push('\n'),
            'r' => out.push('\r'),
            't' => out.push('\t'),
            'v' => out.push('\u{b}'),
            '\\' | '\'' | '"' => out.push(c),
            'x' => out.push(self.code(16, 2, 2)?),
            'u' => out.push(self.code(16, 4, 4)?),
            'U' => out.push(self.code(16, 8, 8)?),
            '0'..='7' => {
                let digits: String = std::iter::once(c)
                    .chain(self.rest.chars().take_while(|c| ('0'..='7').contains(c)).take(2))
                    .collect();
                self.rest = &self.rest[digits.len() - 1..];
                out.push(u32::from_str_radix(&digits, 8).ok().and_then(char::from_u32)?);
            }
            // Names of characters are nothing that a template prints.
            'N' => return None,
            other => {
                out.push('\\');
                out.push(other);
            }
        }
        Some(())
    }

    fn code(&mut self, base: u32, least: usize, most: usize) -> Option<char> {
        let digits: String = self.rest.chars().take_while(|c| c.is_digit(base)).take(most).collect();
        self.rest = &self.rest[digits.len()..];
        (digits.len() >= least).then(|| u32::from_str_radix(&digits, base).ok().and_then(char::from_u32)).flatten()
    }
}

/// Reads a number as Python writes it in programs.
fn number(written: &str) -> Option<Value> {
    let lower = written.to_ascii_lowercase();
    for (prefix, base) in [("0x", 16), ("0o", 8), ("0b", 2)] {
        if let Some(digits) = lower.strip_prefix(prefix) {
            return python::parse_int(digits, base).map(Value::Int);
        }
    }
    if !lower.starts_with(|c: char| c.is_ascii_digit() || c == '.') {
        return None;
    }
    let zeroes = lower.len() > 1 && lower.starts_with('0') && lower.bytes().all(|c| c.is_ascii_digit());
    if zeroes && lower.bytes().any(|c| c != b'0') {
        return None;
    }
    python::parse_int(&lower, 10).map(Value::Int).or_else(|| {
        let shaped = lower.bytes().all(|c| c.is_ascii_digit() || matches!(c, b'.' | b'e' | b'+' | b'-' | b'_'));
        shaped.then(|| python::parse_float(&lower)).flatten().map(Value::Float)
    })
}
