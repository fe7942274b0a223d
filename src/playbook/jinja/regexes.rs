//! Python's regular expressions, as far as Rust's are the same.

use fancy_regex::{Captures, Regex, RegexBuilder};

use crate::playbook::jinja::value::Value;

/// What changes how an expression matches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flags {
    /// Ignore case.
    pub ignore_case: bool,
    /// `^` and `$` match at every line.
    pub multiline: bool,
}

/// Where a match may begin and end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Anchor {
    /// Anywhere.
    Search,
    /// At the beginning.
    Match,
    /// At the beginning, ending at the end.
    Full,
}

/// Compiles an expression.
pub fn compile(pattern: &str, flags: Flags, anchor: Anchor) -> Result<Regex, String> {
    let pattern = pattern.replace("\\Z", "\\z");
    let options = match (flags.ignore_case, flags.multiline) {
        (true, true) => "(?im)",
        (true, false) => "(?i)",
        (false, true) => "(?m)",
        (false, false) => "",
    };
    let whole = match anchor {
        Anchor::Search => format!("{options}{pattern}"),
        Anchor::Match => format!("{options}\\A(?:{pattern})"),
        Anchor::Full => format!("{options}\\A(?:{pattern})\\z"),
    };
    RegexBuilder::new(&whole)
        .backtrack_limit(1_000_000)
        .build()
        .map_err(|error| format!("`{pattern}` is no regular expression: {error}"))
}

/// Replaces what matches; `count` 0 means all of it. Groups are `\1` and `\g<name>` in `replacement`.
pub fn replace(regex: &Regex, text: &str, replacement: &str, count: usize) -> Result<String, String> {
    let mut out = String::new();
    let mut end = 0;
    for (done, found) in regex.captures_iter(text).enumerate() {
        if count > 0 && done == count {
            break;
        }
        let captures = found.map_err(|error| error.to_string())?;
        let Some(whole) = captures.get(0) else { continue };
        out.push_str(&text[end..whole.start()]);
        expand(&captures, replacement, &mut out)?;
        end = whole.end();
    }
    out.push_str(&text[end..]);
    Ok(out)
}

/// Writes a replacement with its groups.
pub fn expand(captures: &Captures<'_, str>, replacement: &str, out: &mut String) -> Result<(), String> {
    let mut chars = replacement.chars().peekable();
    while let Some(c) = chars.next() {
        if c != '\\' {
            out.push(c);
            continue;
        }
        match chars.next() {
            Some('n') => out.push('\n'),
            Some('t') => out.push('\t'),
            Some('r') => out.push('\r'),
            Some('\\') | None => out.push('\\'),
            Some('g') if chars.next_if_eq(&'<').is_some() => {
                let name: String = chars.by_ref().take_while(|c| *c != '>').collect();
                out.push_str(&group(captures, &name)?);
            }
            Some(digit) if digit.is_ascii_digit() => {
                let mut number = digit.to_string();
                number.extend(chars.next_if(char::is_ascii_digit));
                out.push_str(&group(captures, &number)?);
            }
            Some(other) if other.is_ascii_alphabetic() => {
                return Err(format!("bad escape `\\{other}` in the replacement"));
            }
            Some(other) => {
                out.push('\\');
                out.push(other);
            }
        }
    }
    Ok(())
}

/// Returns the text of a group by number or name; nothing if it took no part in the match.
pub fn group(captures: &Captures<'_, str>, name: &str) -> Result<String, String> {
    let found = match name.parse::<usize>() {
        Ok(number) if number >= captures.len() => return Err(format!("there is no group `{name}`")),
        Ok(number) => captures.get(number),
        Err(_) => captures.name(name),
    };
    Ok(found.map(|group| group.as_str().to_owned()).unwrap_or_default())
}

/// Returns all matches as Python's `findall`: the whole, the one group, or tuples of all groups.
pub fn find_all(regex: &Regex, text: &str) -> Result<Vec<Value>, String> {
    let mut all = vec![];
    for found in regex.captures_iter(text) {
        let captures = found.map_err(|error| error.to_string())?;
        let text = |index: usize| Value::text(captures.get(index).map_or("", |group| group.as_str()));
        all.push(match captures.len() {
            1 => text(0),
            2 => text(1),
            count => Value::tuple((1..count).map(text).collect()),
        });
    }
    Ok(all)
}
