//! Filters of text.

use crate::playbook::jinja::arguments::{self, Arguments, Truth, truth};
use crate::playbook::jinja::eval::LONGEST;
use crate::playbook::jinja::filters::Trouble;
use crate::playbook::jinja::regexes::{self, Anchor, Flags};
use crate::playbook::jinja::value::Value;
use crate::playbook::jinja::{dates, methods, printf, python};

/// Their names.
pub const NAMES: &[&str] = &[
    "capitalize",
    "center",
    "comment",
    "e",
    "escape",
    "forceescape",
    "format",
    "indent",
    "lower",
    "quote",
    "regex_escape",
    "regex_findall",
    "regex_replace",
    "regex_search",
    "replace",
    "safe",
    "split",
    "strftime",
    "string",
    "striptags",
    "title",
    "to_datetime",
    "trim",
    "truncate",
    "upper",
    "urldecode",
    "urlencode",
    "wordcount",
    "wordwrap",
    "xmlattr",
];

/// Applies one.
pub fn apply(name: &str, input: &Value, args: Arguments) -> Result<Value, Trouble> {
    let text = input.to_string();
    Ok(match name {
        "capitalize" => Value::text(capitalize(&text)),
        "title" => Value::text(title(&text)),
        "lower" => Value::text(text.to_lowercase()),
        "upper" => Value::text(text.to_uppercase()),
        "string" | "safe" => Value::text(text),
        "trim" => {
            let [chars] = args.bind(["chars"])?;
            methods::call(&Value::text(text), "strip", Arguments::of(chars.into_iter().collect()))?
        }
        "center" => {
            let [width] = args.bind(["width"])?;
            let width = arguments::size(width, 80)?;
            let (before, after) = center(width.saturating_sub(text.chars().count()), width);
            Value::text(format!("{}{text}{}", " ".repeat(before), " ".repeat(after)))
        }
        "replace" => {
            let [old, new, count] = args.bind(["old", "new", "count"])?;
            let (old, new) = (old.ok_or("needs two texts")?, new.ok_or("needs two texts")?);
            let count = arguments::int(count.filter(|count| !matches!(count, Value::None)), -1)?;
            let arguments = Arguments::of(vec![old, new, Value::Int(count)]);
            methods::call(&Value::text(text), "replace", arguments)?
        }
        "split" => methods::call(&Value::text(text), "split", args)?,
        "format" => {
            let argument = if args.places.is_empty() {
                Value::dict(args.names.into_iter().map(|(key, value)| (Value::text(key), value)).collect())
            } else {
                Value::tuple(args.places)
            };
            Value::text(printf::format(&text, &argument)?)
        }
        "indent" => indent(&text, args)?,
        "truncate" => truncate(&text, args)?,
        "wordcount" => {
            Value::count(text.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|word| !word.is_empty()).count())
        }
        "wordwrap" => wordwrap(&text, args)?,
        "e" | "escape" | "forceescape" => Value::text(escape(&text)),
        "striptags" => striptags(&text)?,
        "urlencode" => Value::text(urlencode(input)),
        "urldecode" => Value::text(urldecode(&text)),
        "quote" => Value::text(quote(&text)),
        "comment" => comment(&text, args)?,
        "strftime" => strftime(&text, args)?,
        "to_datetime" => {
            let [format] = args.bind(["format"])?;
            dates::parse(&text, &arguments::text(format, "%Y-%m-%d %H:%M:%S"))?
        }
        "xmlattr" => xmlattr(input, args)?,
        "regex_escape" => {
            let [kind] = args.bind(["re_type"])?;
            match arguments::text(kind, "python").as_str() {
                "python" => Value::text(regex_escape(&text)),
                "posix_basic" => Value::text(posix_escape(&text)),
                other => return Err(format!("knows no expressions of type `{other}`").into()),
            }
        }
        "regex_replace" => regex_replace(&text, args)?,
        "regex_search" => regex_search(&text, args)?,
        _ => {
            let [pattern, multiline, ignore] = args.bind(["regex", "multiline", "ignorecase"])?;
            let flags = flags(multiline.as_ref(), ignore.as_ref());
            let regex = regexes::compile(&arguments::text(pattern, ""), flags, Anchor::Search)?;
            Value::list(regexes::find_all(&regex, &text)?)
        }
    })
}

fn flags(multiline: Option<&Value>, ignore: Option<&Value>) -> Flags {
    Flags { ignore_case: truth(ignore, Truth::No), multiline: truth(multiline, Truth::No) }
}

/// As Python's `str.capitalize`.
pub fn capitalize(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| format!("{}{}", first.to_uppercase(), chars.as_str().to_lowercase()))
}

/// As Jinja2's `title`: a word begins after a space or one of `-({[<`.
pub fn title(text: &str) -> String {
    let mut out = String::new();
    let mut begins = true;
    for c in text.chars() {
        if begins {
            out.extend(c.to_uppercase());
        } else {
            out.extend(c.to_lowercase());
        }
        begins = c.is_whitespace() || "-({[<".contains(c);
    }
    out
}

/// Shares the missing width as Python's `str.center` does.
pub fn center(missing: usize, width: usize) -> (usize, usize) {
    let left = missing / 2 + (missing & width & 1);
    (left, missing - left)
}

fn indent(text: &str, args: Arguments) -> Result<Value, Trouble> {
    let [width, first, blank] = args.bind(["width", "first", "blank"])?;
    let pad = match width {
        Some(Value::Str(pad)) => pad.to_string(),
        width => " ".repeat(arguments::size(width, 4)?),
    };
    if pad.len().saturating_mul(text.matches('\n').count() + 1) > LONGEST {
        return Err("would make the text too long".into());
    }
    let blank = truth(blank.as_ref(), Truth::No);
    let lines: Vec<String> = text
        .split('\n')
        .enumerate()
        .map(|(index, line)| match (index, line.is_empty()) {
            (0, _) => line.to_owned(),
            (_, true) if !blank => String::new(),
            _ => format!("{pad}{line}"),
        })
        .collect();
    let text = lines.join("\n");
    Ok(Value::text(if truth(first.as_ref(), Truth::No) { format!("{pad}{text}") } else { text }))
}

fn truncate(text: &str, args: Arguments) -> Result<Value, Trouble> {
    let [length, kill, end, leeway] = args.bind(["length", "killwords", "end", "leeway"])?;
    let (length, leeway) = (arguments::size(length, 255)?, arguments::size(leeway, 5)?);
    let end = arguments::text(end, "...");
    if text.chars().count() <= length + leeway {
        return Ok(Value::text(text));
    }
    let room = length.checked_sub(end.chars().count()).ok_or("has no room for its end")?;
    let cut: String = text.chars().take(room).collect();
    let cut = match (truth(kill.as_ref(), Truth::No), cut.rfind(' ')) {
        (false, Some(at)) => cut[..at].to_owned(),
        _ => cut,
    };
    Ok(Value::text(format!("{cut}{end}")))
}

fn wordwrap(text: &str, args: Arguments) -> Result<Value, Trouble> {
    let [width, long, with] = args.bind(["width", "break_long_words", "wrapstring"])?;
    let width = arguments::size(width, 79)?.max(1);
    let long = truth(long.as_ref(), Truth::Yes);
    let with = arguments::text(with, "\n");
    let wrap = |line: &str| {
        let mut lines = vec![String::new()];
        for word in line.split_whitespace() {
            let mut word = word.to_owned();
            let last = lines.last().map_or(0, |line| line.chars().count());
            let needed = word.chars().count() + usize::from(last > 0);
            if last > 0 && last + needed > width {
                lines.push(String::new());
            }
            while long && word.chars().count() > width {
                let head: String = word.chars().take(width).collect();
                word = word.chars().skip(width).collect();
                if let Some(line) = lines.last_mut() {
                    *line = head;
                }
                lines.push(String::new());
            }
            if let Some(line) = lines.last_mut() {
                if !line.is_empty() {
                    line.push(' ');
                }
                line.push_str(&word);
            }
        }
        lines.join(&with)
    };
    Ok(Value::text(text.lines().map(wrap).collect::<Vec<_>>().join(&with)))
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('\'', "&#39;").replace('"', "&#34;")
}

fn striptags(text: &str) -> Result<Value, Trouble> {
    let regex = regexes::compile("(<!--.*?-->|<[^>]*>)", Flags::default(), Anchor::Search)?;
    let bare = regexes::replace(&regex, text, "", 0)?;
    Ok(Value::text(bare.split_whitespace().collect::<Vec<_>>().join(" ")))
}

fn percent(text: &str, kept: &str) -> String {
    use std::fmt::Write as _;
    let mut out = String::new();
    for byte in text.bytes() {
        let c = char::from(byte);
        if byte.is_ascii_alphanumeric() || kept.contains(c) {
            out.push(c);
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

fn urlencode(input: &Value) -> String {
    let pairs = match input {
        Value::Dict(dict) => dict.0.clone(),
        Value::List(items) | Value::Tuple(items) => items
            .iter()
            .filter_map(|pair| Some((pair.as_list()?.first()?.clone(), pair.as_list()?.get(1)?.clone())))
            .collect(),
        other => return percent(&other.to_string(), "_.-~/"),
    };
    let both = |(key, value): &(Value, Value)| {
        format!("{}={}", plus(&percent(&key.to_string(), "_.-~ ")), plus(&percent(&value.to_string(), "_.-~ ")))
    };
    pairs.iter().map(both).collect::<Vec<_>>().join("&")
}

fn plus(text: &str) -> String {
    text.replace(' ', "+")
}

fn urldecode(text: &str) -> String {
    let mut bytes = vec![];
    let raw = text.replace('+', " ").into_bytes();
    let mut at = 0;
    while at < raw.len() {
        let code = (raw[at] == b'%').then(|| raw.get(at + 1..at + 3)).flatten();
        let code =
            code.and_then(|code| std::str::from_utf8(code).ok()).and_then(|code| u8::from_str_radix(code, 16).ok());
        bytes.push(code.unwrap_or(raw[at]));
        at += if code.is_some() { 3 } else { 1 };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// As Python's `shlex.quote`.
pub fn quote(text: &str) -> String {
    let safe = |c: char| c.is_ascii_alphanumeric() || "_@%+=:,./-".contains(c);
    if !text.is_empty() && text.chars().all(safe) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', "'\"'\"'"))
}

fn comment(text: &str, args: Arguments) -> Result<Value, Trouble> {
    let [style, decoration, prefix, prefixes, postfix, postfixes, beginning, end, newline] = args.bind([
        "style",
        "decoration",
        "prefix",
        "prefix_count",
        "postfix",
        "postfix_count",
        "beginning",
        "end",
        "newline",
    ])?;
    let style = arguments::text(style, "plain");
    let (mark, open, close) = match style.as_str() {
        "plain" => ("# ", "", ""),
        "erlang" => ("% ", "", ""),
        "c" => ("// ", "", ""),
        "cblock" => (" * ", "/*", " */"),
        "xml" => (" - ", "<!--", "-->"),
        _ => return Err(format!("has no style `{style}`").into()),
    };
    let newline = arguments::text(newline, "\n");
    let mark = arguments::text(decoration, mark);
    let (prefix, postfix) = (arguments::text(prefix, mark.trim_end()), arguments::text(postfix, mark.trim_end()));
    let (before, after) = (arguments::size(prefixes, 1)?.min(1000), arguments::size(postfixes, 1)?.min(1000));
    let (open, close) = (arguments::text(beginning, open), arguments::text(end, close));
    let body: Vec<String> =
        text.split(newline.as_str()).map(|line| format!("{mark}{line}").trim_end().to_owned()).collect();
    let line = |part: &str| if part.is_empty() { String::new() } else { format!("{part}{newline}") };
    let tail = if close.is_empty() { String::new() } else { format!("{newline}{close}") };
    let under = if postfix.is_empty() { String::new() } else { format!("{newline}{postfix}").repeat(after) };
    Ok(Value::text(format!("{}{}{}{under}{tail}", line(&open), line(&prefix).repeat(before), body.join(&newline))))
}

fn posix_escape(text: &str) -> String {
    text.chars().flat_map(|c| "].[^$*\\".contains(c).then_some('\\').into_iter().chain([c])).collect()
}

fn strftime(format: &str, args: Arguments) -> Result<Value, Trouble> {
    let [seconds, utc] = args.bind(["second", "utc"])?;
    let seconds = match seconds.filter(|seconds| !matches!(seconds, Value::None)) {
        None => None,
        Some(seconds) => Some(
            seconds
                .as_float()
                .or_else(|| seconds.as_str().and_then(python::parse_float))
                .ok_or_else(|| format!("needs seconds, got `{seconds}`"))?,
        ),
    };
    let utc = truth(utc.as_ref(), Truth::No);
    let zone = if utc { jiff::tz::TimeZone::UTC } else { jiff::tz::TimeZone::system() };
    Ok(Value::text(dates::format(format, seconds, zone)?))
}

/// Attributes of an XML element, those without a value left out.
fn xmlattr(input: &Value, args: Arguments) -> Result<Value, Trouble> {
    let [space] = args.bind(["autospace"])?;
    let dict = input.as_dict().ok_or_else(|| format!("needs a dict, got {}", input.kind()))?;
    let given = dict.0.iter().filter(|(_, value)| !matches!(value, Value::None | Value::Undefined(_)));
    let parts: Vec<String> =
        given.map(|(key, value)| format!("{}=\"{}\"", escape(&key.to_string()), escape(&value.to_string()))).collect();
    let lead = if truth(space.as_ref(), Truth::Yes) && !parts.is_empty() { " " } else { "" };
    Ok(Value::text(format!("{lead}{}", parts.join(" "))))
}

fn regex_escape(text: &str) -> String {
    let special = |c: char| " \t\n\r\u{b}\u{c}#$&()*+-.?[\\]^{|}~".contains(c);
    text.chars().flat_map(|c| special(c).then_some('\\').into_iter().chain([c])).collect()
}

fn regex_replace(text: &str, args: Arguments) -> Result<Value, Trouble> {
    let [pattern, replacement, ignore, multiline, count, lines] =
        args.bind(["pattern", "replacement", "ignorecase", "multiline", "count", "mandatory_count"])?;
    if lines.is_some() {
        return Err("has no `mandatory_count` here".into());
    }
    let regex =
        regexes::compile(&arguments::text(pattern, ""), flags(multiline.as_ref(), ignore.as_ref()), Anchor::Search)?;
    let count = arguments::size(count, 0)?;
    Ok(Value::text(regexes::replace(&regex, text, &arguments::text(replacement, ""), count)?))
}

fn regex_search(text: &str, mut args: Arguments) -> Result<Value, Trouble> {
    let pattern = args.shift("a pattern")?.to_string();
    let [multiline, ignore] = Arguments { places: vec![], names: args.names }.bind(["multiline", "ignorecase"])?;
    let regex = regexes::compile(&pattern, flags(multiline.as_ref(), ignore.as_ref()), Anchor::Search)?;
    let Some(captures) = regex.captures(text).map_err(|error| error.to_string())? else {
        return Ok(Value::None);
    };
    if args.places.is_empty() {
        return Ok(Value::text(captures.get(0).map_or("", |found| found.as_str())));
    }
    let mut groups = vec![];
    for wanted in &args.places {
        let wanted = wanted.to_string();
        let name = wanted.strip_prefix("\\g<").and_then(|name| name.strip_suffix('>')).or(wanted.strip_prefix('\\'));
        groups.push(Value::text(regexes::group(&captures, name.ok_or("needs groups as `\\1` or `\\g<name>`")?)?));
    }
    Ok(Value::list(groups))
}
