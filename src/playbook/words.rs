//! Arguments on one line: `path=/a mode=0644`, `echo x chdir=/tmp`, as Ansible splits them.

/// What a line holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Line {
    /// What is no `key=value`, spaces kept.
    pub text: String,
    /// The `key=value` pairs, values without their quotes.
    pub pairs: Vec<(String, String)>,
}

/// What of a line is taken for `key=value`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keys {
    /// Everything with a `=`.
    All,
    /// These alone; anything else belongs to the text.
    Only(&'static [&'static str]),
}

/// The keys that `shell` and `command` take out of their text.
pub const OF_COMMANDS: Keys = Keys::Only(&[
    "creates",
    "removes",
    "chdir",
    "executable",
    "warn",
    "stdin",
    "stdin_add_newline",
    "strip_empty_ends",
]);

/// Splits a line.
///
/// # Errors
///
/// A quote or a template in it is not closed.
pub fn split(line: &str, keys: Keys) -> Result<Line, String> {
    let mut out = Line::default();
    for piece in pieces(line)? {
        let word = piece.trim_end();
        match word.split_once('=') {
            Some((key, value)) if wanted(key, keys) => {
                out.pairs.push((key.trim().to_owned(), unquote(&unescaped(value)).to_owned()));
            }
            _ => out.text.push_str(piece),
        }
    }
    let length = out.text.trim_end().len();
    out.text.truncate(length);
    Ok(out)
}

fn wanted(key: &str, keys: Keys) -> bool {
    match keys {
        Keys::All => !key.is_empty() && key.chars().all(|c| c.is_alphanumeric() || c == '_'),
        Keys::Only(list) => list.contains(&key),
    }
}

/// Cuts a line into words, each with the spaces after it; quotes and templates hold words together.
fn pieces(line: &str) -> Result<Vec<&str>, String> {
    let mut list = vec![];
    let (mut start, mut quote, mut depth) = (0, None, 0_usize);
    let mut ended = false;
    let mut previous = '\0';
    for (at, c) in line.char_indices() {
        if ended && !c.is_whitespace() {
            list.push(&line[start..at]);
            (start, ended) = (at, false);
        }
        match (quote, c) {
            (Some(open), _) if c == open && previous != '\\' => quote = None,
            (None, '{' | '%') if previous == '{' => depth += 1,
            (None, '}') if matches!(previous, '}' | '%') => depth = depth.saturating_sub(1),
            (None, '\'' | '"') if previous != '\\' && depth == 0 => quote = Some(c),
            (None, _) if c.is_whitespace() && depth == 0 => ended = true,
            _ => {}
        }
        // `{{{` opens one template, not two.
        previous = if matches!((previous, c), ('{', '{' | '%') | ('}' | '%', '}')) { '\0' } else { c };
    }
    if quote.is_some() {
        return Err("a quote is not closed".to_owned());
    }
    if depth > 0 {
        return Err("a template is not closed".to_owned());
    }
    list.push(&line[start..]);
    Ok(list)
}

/// What stands for another character behind a backslash, as in Python's text. Anything else keeps its backslash.
fn unescaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        match escape(rest) {
            Some((c, length)) => {
                out.push(c);
                rest = &rest[length..];
            }
            None => out.push('\\'),
        }
    }
    out.push_str(rest);
    out
}

/// The character that what follows a backslash stands for, and how many bytes say so.
fn escape(rest: &str) -> Option<(char, usize)> {
    let wide = |length: usize| {
        let code = u32::from_str_radix(rest.get(1..=length)?, 16).ok()?;
        Some((char::from_u32(code)?, length + 1))
    };
    Some(match rest.chars().next()? {
        c @ ('\\' | '\'' | '"') => (c, 1),
        'a' => ('\x07', 1),
        'b' => ('\x08', 1),
        'f' => ('\x0c', 1),
        'n' => ('\n', 1),
        'r' => ('\r', 1),
        't' => ('\t', 1),
        'v' => ('\x0b', 1),
        'x' => wide(2)?,
        'u' => wide(4)?,
        'U' => wide(8)?,
        _ => return None,
    })
}

fn unquote(value: &str) -> &str {
    ['\'', '"'].iter().find_map(|quote| value.strip_prefix(*quote)?.strip_suffix(*quote)).unwrap_or(value)
}
