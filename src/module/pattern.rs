//! Python's regular expressions on bytes.
//!
//! Bytes become the characters of the same number, so that every file can be searched; what Python writes otherwise than
//! the engine is written anew: `$` also means the place before a last newline, `{` that begins no count is a brace,
//! `[` within a class is a bracket, `\d`, `\s` and `\w` mean ASCII.

use std::borrow::Cow;
use std::ops::Range;

use fancy_regex::{Captures, Regex};

use crate::module::Failed;

/// A Python expression.
#[derive(Clone, Debug)]
pub struct Pattern {
    regex: Regex,
    /// Whether `^` and `$` match at every line (`(?m)`).
    pub multiline: bool,
}

/// Where a pattern matched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Match {
    /// First byte.
    pub start: usize,
    /// Behind the last byte.
    pub end: usize,
    groups: Vec<Option<Vec<u8>>>,
    places: Vec<Option<Range<usize>>>,
    names: Vec<Option<String>>,
}

impl Pattern {
    /// Compiles it.
    ///
    /// # Errors
    ///
    /// [`Failed`]: it is no expression.
    pub fn new(python: &str) -> Result<Self, Failed> {
        let multiline = flags(python).contains('m');
        let regex = Regex::new(&translated(&latin(python.as_bytes()), multiline))
            .map_err(|error| Failed::new(format!("`{python}` is no regular expression: {error}")))?;
        Ok(Self { regex, multiline })
    }

    /// Finds it in `bytes`.
    ///
    /// # Errors
    ///
    /// [`Failed`]: the search takes too long.
    pub fn find(&self, bytes: &[u8]) -> Result<Option<Match>, Failed> {
        let text = latin(bytes);
        let found = self.regex.captures(&*text).map_err(|error| Failed::new(error.to_string()))?;
        Ok(found.map(|found| self.matched(&text, &found)))
    }

    /// Finds all places of it in `bytes`, one behind the other.
    ///
    /// # Errors
    ///
    /// [`Failed`]: the search takes too long.
    pub fn all(&self, bytes: &[u8]) -> Result<Vec<Match>, Failed> {
        let text = latin(bytes);
        let found = self.regex.captures_iter(&*text);
        found
            .map(|found| found.map(|found| self.matched(&text, &found)))
            .collect::<Result<_, _>>()
            .map_err(|error: fancy_regex::Error| Failed::new(error.to_string()))
    }

    fn matched(&self, text: &str, found: &Captures<'_, str>) -> Match {
        let plain = text.is_ascii();
        let bytes = |end: usize| if plain { end } else { text[..end].chars().count() };
        let whole = found.get(0);
        Match {
            start: whole.as_ref().map_or(0, |whole| bytes(whole.start())),
            end: whole.as_ref().map_or(0, |whole| bytes(whole.end())),
            groups: found.iter().map(|group| group.map(|group| unlatin(group.as_str()))).collect(),
            places: found.iter().map(|group| group.map(|group| bytes(group.start())..bytes(group.end()))).collect(),
            names: self.regex.capture_names().map(|name| name.map(str::to_owned)).collect(),
        }
    }
}

impl Match {
    /// Where the group `name` matched.
    pub fn place(&self, name: &str) -> Option<Range<usize>> {
        let at = self.names.iter().position(|it| it.as_deref() == Some(name))?;
        self.places.get(at)?.clone()
    }

    /// What its groups hold, nothing for one that took no part.
    pub fn groups(&self) -> Vec<serde_json::Value> {
        self.groups.iter().skip(1).map(|group| shown(group.as_deref())).collect()
    }

    /// What its named groups hold.
    pub fn names(&self) -> serde_json::Map<String, serde_json::Value> {
        let pairs = self.names.iter().zip(&self.groups);
        pairs.filter_map(|(name, group)| Some((name.clone()?, shown(group.as_deref())))).collect()
    }

    /// Fills in `\1`, `\g<1>` and `\g<name>` of `template`, and the escapes `\n`, `\t`, … as Python's `expand`.
    ///
    /// # Errors
    ///
    /// [`Failed`]: it names a group that is not there, or escapes what cannot be.
    pub fn expand(&self, template: &str) -> Result<Vec<u8>, Failed> {
        let mut filled = vec![];
        let mut rest = template;
        while let Some(at) = rest.find('\\') {
            filled.extend(&rest.as_bytes()[..at]);
            let (bytes, used) = self.escape(&rest[at + 1..])?;
            filled.extend(bytes);
            rest = &rest[at + 1 + used..];
        }
        filled.extend(rest.as_bytes());
        Ok(filled)
    }

    /// What the escape at the start of `rest` stands for, and how long it is.
    fn escape(&self, rest: &str) -> Result<(Vec<u8>, usize), Failed> {
        let Some(letter) = rest.chars().next() else {
            return Err(Failed::new("bad escape (end of pattern)"));
        };
        if let Some(name) = rest.strip_prefix("g<").and_then(|rest| rest.split_once('>')).map(|(name, _)| name) {
            return Ok((self.group(name)?, name.len() + 3));
        }
        if letter.is_ascii_digit() && letter != '0' {
            let digits = rest.bytes().take(2).take_while(u8::is_ascii_digit).count();
            return Ok((self.group(&rest[..digits])?, digits));
        }
        let plain = match letter {
            'n' => "\n",
            't' => "\t",
            'r' => "\r",
            'a' => "\x07",
            'b' => "\x08",
            'f' => "\x0c",
            'v' => "\x0b",
            '0' => "\0",
            '\\' => "\\",
            letter if letter.is_ascii_alphabetic() => {
                return Err(Failed::new(format!("bad escape \\{letter}")));
            }
            other => return Ok((format!("\\{other}").into_bytes(), other.len_utf8())),
        };
        Ok((plain.as_bytes().to_vec(), 1))
    }

    fn group(&self, name: &str) -> Result<Vec<u8>, Failed> {
        let named = || self.names.iter().position(|it| it.as_deref() == Some(name));
        let place = name.parse().ok().or_else(named);
        match place.and_then(|place: usize| self.groups.get(place)) {
            Some(group) => Ok(group.clone().unwrap_or_default()),
            None => Err(Failed::new(format!("invalid group reference {name}"))),
        }
    }
}

/// Bytes as characters of the same number.
fn latin(bytes: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(bytes) {
        Ok(text) if bytes.is_ascii() => Cow::Borrowed(text),
        _ => Cow::Owned(bytes.iter().copied().map(char::from).collect()),
    }
}

fn unlatin(text: &str) -> Vec<u8> {
    text.chars().map(|letter| u8::try_from(u32::from(letter)).unwrap_or(b'?')).collect()
}

/// The letters of flags at the start, e.g. `im` of `(?im)`.
fn flags(python: &str) -> &str {
    let flags = python.strip_prefix("(?").and_then(|rest| rest.split_once(')')).map_or("", |(flags, _)| flags);
    if flags.chars().all(|flag| "aiLmsux".contains(flag)) { flags } else { "" }
}

fn translated(python: &str, multiline: bool) -> String {
    let letters = python.chars().collect::<Vec<_>>();
    let mut written = String::new();
    let mut at = 0;
    if flags(python).contains(['a', 'L', 'u']) {
        let kept = flags(python).replace(['a', 'L', 'u'], "");
        if !kept.is_empty() {
            written.extend(["(?", &kept, ")"]);
        }
        at = flags(python).len() + 3;
    }
    while let Some(letter) = letters.get(at) {
        at += match letter {
            '\\' => escape(&letters[at..], &mut written, Place::Outside),
            '[' => class(&letters[at..], &mut written),
            '$' => {
                written.push_str(if multiline { "(?=\\n|\\z)" } else { "(?=\\n?\\z)" });
                1
            }
            '{' if !counts(&letters[at..]) => {
                written.push_str("\\{");
                1
            }
            '}' if !written_count(&letters[..at]) => {
                written.push_str("\\}");
                1
            }
            other => {
                written.push(*other);
                1
            }
        };
    }
    written
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Outside,
    Class,
}

/// Writes the escape at the start of `letters`; returns how many it takes.
fn escape(letters: &[char], written: &mut String, place: Place) -> usize {
    let Some(letter) = letters.get(1) else {
        written.push('\\');
        return 1;
    };
    let ascii = match letter {
        'd' => Some("0-9"),
        's' => Some(" \\t\\n\\r\\x0b\\x0c"),
        'w' => Some("0-9A-Za-z_"),
        _ => None,
    };
    let negated = match letter {
        'D' => Some("[^0-9]"),
        'S' => Some("[^ \\t\\n\\r\\x0b\\x0c]"),
        'W' => Some("[^0-9A-Za-z_]"),
        _ => None,
    };
    match (ascii, negated, letter) {
        (Some(set), ..) if place == Place::Class => written.push_str(set),
        (Some(set), ..) => written.extend(["[", set, "]"]),
        (_, Some(set), _) => written.push_str(set),
        (.., 'Z') => written.push_str("\\z"),
        (.., 'b') if place == Place::Class => written.push_str("\\x08"),
        (.., '<' | '>') => written.push(*letter),
        (.., letter) if !letter.is_ascii() => written.push(*letter),
        (.., letter) => written.extend(['\\', *letter]),
    }
    2
}

/// Writes the class at the start of `letters`; returns how many letters it takes.
fn class(letters: &[char], written: &mut String) -> usize {
    written.push('[');
    let mut at = 1;
    if letters.get(at) == Some(&'^') {
        written.push('^');
        at += 1;
    }
    let first = at;
    while let Some(letter) = letters.get(at) {
        match letter {
            ']' if at > first => {
                written.push(']');
                return at + 1;
            }
            '\\' => at += escape(&letters[at..], written, Place::Class) - 1,
            '[' | ']' | '&' | '~' => written.extend(['\\', *letter]),
            other => written.push(*other),
        }
        at += 1;
    }
    at
}

/// Whether `{` begins a count such as `{2}`, `{2,}`, `{,3}` or `{2,3}`.
fn counts(letters: &[char]) -> bool {
    let inside = letters[1..].iter().take_while(|letter| **letter != '}').collect::<String>();
    letters.len() > inside.len() + 1
        && inside.chars().any(|letter| letter.is_ascii_digit())
        && inside.chars().all(|letter| letter.is_ascii_digit() || letter == ',')
        && inside.matches(',').count() < 2
}

/// Whether what stands before a `}` opened a count.
fn written_count(before: &[char]) -> bool {
    let Some(open) = before.iter().rposition(|letter| *letter == '{') else { return false };
    let mut whole = before[open..].to_vec();
    whole.push('}');
    counts(&whole)
}

fn shown(group: Option<&[u8]>) -> serde_json::Value {
    group.map(|bytes| String::from_utf8_lossy(bytes).into_owned()).into()
}
