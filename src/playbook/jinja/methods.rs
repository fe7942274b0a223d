//! Methods of Python's values.

use crate::playbook::jinja::arguments::{self, Arguments};
use crate::playbook::jinja::braces;
use crate::playbook::jinja::call::Cycler;
use crate::playbook::jinja::dates;
use crate::playbook::jinja::filters::text as texts;
use crate::playbook::jinja::render::LoopState;
use crate::playbook::jinja::value::{Dict, Value};

/// Why a method gave no value.
#[derive(Debug)]
pub enum Trouble {
    /// There is none of that name.
    Unknown,
    /// It cannot do that.
    Refused(String),
}

impl From<String> for Trouble {
    fn from(message: String) -> Self {
        Self::Refused(message)
    }
}

impl From<&str> for Trouble {
    fn from(message: &str) -> Self {
        Self::Refused(message.to_owned())
    }
}

/// Calls a method.
pub fn call(receiver: &Value, name: &str, args: Arguments) -> Result<Value, Trouble> {
    match receiver {
        Value::Str(text) => of_text(text, name, args),
        Value::Dict(dict) => of_dict(dict, name, args),
        Value::List(items) | Value::Tuple(items) => of_list(items, name, args),
        Value::Object(object) => {
            match (object.as_any().downcast_ref::<LoopState>(), name) {
                (Some(state), "cycle") => return Ok(state.cycle(&args.places)?),
                (Some(state), "changed") => return Ok(Value::Bool(state.changed(args.places))),
                _ => {}
            }
            if let Some(cycler) = object.as_any().downcast_ref::<Cycler>() {
                return Ok(cycler.call(name)?);
            }
            if let Some(value) = dates::call(object.as_ref(), name, args.clone()) {
                return Ok(value?);
            }
            // Its other values are not looked at: one that cannot be rendered is in nobody's way.
            if let ("get", Some(key), true) = (name, args.places.first(), object.is_mapping()) {
                let found = object.get(&key.to_string())?;
                return Ok(found.or_else(|| args.places.get(1).cloned()).unwrap_or(Value::None));
            }
            if let Some(Value::Dict(whole)) = object.whole() {
                return of_dict(&whole, name, args);
            }
            let mut dict = Dict::default();
            for key in object.keys() {
                if let Some(value) = object.get(&key)? {
                    dict.insert(Value::text(key), value);
                }
            }
            of_dict(&dict, name, args)
        }
        _ => Err(Trouble::Unknown),
    }
}

fn of_dict(dict: &Dict, name: &str, args: Arguments) -> Result<Value, Trouble> {
    match name {
        "items" => {
            Ok(Value::list(dict.0.iter().map(|(key, value)| Value::tuple(vec![key.clone(), value.clone()])).collect()))
        }
        "keys" => Ok(Value::list(dict.0.iter().map(|(key, _)| key.clone()).collect())),
        "values" => Ok(Value::list(dict.0.iter().map(|(_, value)| value.clone()).collect())),
        "copy" => Ok(Value::dict(dict.0.clone())),
        "get" => {
            let [key, default] = args.bind(["key", "default"])?;
            let key = key.ok_or("needs a key")?;
            Ok(dict.get_value(&key).cloned().or(default).unwrap_or(Value::None))
        }
        _ => Err(Trouble::Unknown),
    }
}

fn of_list(items: &[Value], name: &str, args: Arguments) -> Result<Value, Trouble> {
    match name {
        "index" => {
            let [item] = args.bind(["value"])?;
            let item = item.ok_or("needs a value")?;
            let found = items.iter().position(|other| *other == item);
            found.map(Value::count).ok_or_else(|| "the value is not in the list".into())
        }
        "count" => {
            let [item] = args.bind(["value"])?;
            let item = item.ok_or("needs a value")?;
            Ok(Value::count(items.iter().filter(|other| **other == item).count()))
        }
        "copy" => Ok(Value::list(items.to_vec())),
        _ => Err(Trouble::Unknown),
    }
}

fn of_text(text: &str, name: &str, args: Arguments) -> Result<Value, Trouble> {
    let affix = |args: Arguments, test: &dyn Fn(&str, &str) -> bool| {
        let [affix, start, end] = args.bind(["value", "start", "end"])?;
        let (start, end) = (arguments::size(start, 0)?, arguments::size(end, text.len())?);
        let part: String = text.chars().take(end).skip(start).collect();
        let affix = affix.ok_or("needs a text")?;
        match affix.as_list() {
            Some(list) => Ok(list.iter().any(|affix| test(&part, &affix.to_string()))),
            None => Ok::<_, String>(test(&part, &affix.to_string())),
        }
    };
    let has = |test: fn(&char) -> bool| Value::Bool(!text.is_empty() && text.chars().all(|c| test(&c)));
    Ok(match name {
        "upper" => Value::text(text.to_uppercase()),
        "lower" => Value::text(text.to_lowercase()),
        "casefold" => Value::text(text.to_lowercase().replace('ß', "ss")),
        "capitalize" => Value::text(texts::capitalize(text)),
        "title" => Value::text(title(text)),
        "istitle" => Value::Bool(text.chars().any(char::is_alphabetic) && title(text) == text),
        "expandtabs" => expand_tabs(text, args)?,
        "swapcase" => Value::text(
            text.chars()
                .map(|c| if c.is_uppercase() { c.to_lowercase().to_string() } else { c.to_uppercase().to_string() })
                .collect::<String>(),
        ),
        "strip" | "lstrip" | "rstrip" => {
            let [chars] = args.bind(["chars"])?;
            let chars = chars.filter(|value| !matches!(value, Value::None)).map(|value| value.to_string());
            let strips = |c: char| chars.as_ref().map_or(c.is_whitespace(), |chars| chars.contains(c));
            Value::text(match name {
                "strip" => text.trim_matches(strips),
                "lstrip" => text.trim_start_matches(strips),
                _ => text.trim_end_matches(strips),
            })
        }
        "startswith" => Value::Bool(affix(args, &|text, affix| text.starts_with(affix))?),
        "endswith" => Value::Bool(affix(args, &|text, affix| text.ends_with(affix))?),
        "removeprefix" | "removesuffix" => {
            let [affix] = args.bind(["value"])?;
            let affix = arguments::text(affix, "");
            let cut = if name == "removeprefix" { text.strip_prefix(&affix) } else { text.strip_suffix(&affix) };
            Value::text(cut.unwrap_or(text))
        }
        "split" | "rsplit" => split(text, name, args)?,
        "splitlines" => Value::list(text.lines().map(Value::text).collect()),
        "partition" | "rpartition" => {
            let [separator] = args.bind(["sep"])?;
            let separator = arguments::text(separator, "");
            let found = if name == "partition" { text.split_once(&separator) } else { text.rsplit_once(&separator) };
            let parts = match (found, name) {
                (Some((before, after)), _) => [before, &separator, after],
                (None, "partition") => [text, "", ""],
                (None, _) => ["", "", text],
            };
            Value::tuple(parts.into_iter().map(Value::text).collect())
        }
        "replace" => {
            let [old, new, count] = args.bind(["old", "new", "count"])?;
            let count = arguments::int(count, -1)?;
            let (old, new) = (arguments::text(old, ""), arguments::text(new, ""));
            match usize::try_from(count) {
                Ok(count) => Value::text(text.replacen(&old, &new, count)),
                Err(_) => Value::text(text.replace(&old, &new)),
            }
        }
        "join" => {
            let [items] = args.bind(["items"])?;
            let items = items.ok_or("needs a list")?.iterate()?;
            if let Some(other) = items.iter().find(|item| item.as_str().is_none()) {
                return Err(format!("joins texts only, got {}", other.kind()).into());
            }
            Value::text(items.iter().map(ToString::to_string).collect::<Vec<_>>().join(text))
        }
        "find" | "index" | "rfind" | "rindex" => {
            let [part] = args.bind(["sub"])?;
            let part = arguments::text(part, "");
            match if name.starts_with('r') { text.rfind(&part) } else { text.find(&part) } {
                Some(at) => Value::count(text[..at].chars().count()),
                None if name.ends_with("find") => Value::Int(-1),
                None => return Err("the text is not in it".into()),
            }
        }
        "count" => {
            let [part] = args.bind(["sub"])?;
            Value::count(text.matches(&arguments::text(part, "")).count())
        }
        "zfill" | "center" | "ljust" | "rjust" => pad(text, name, args)?,
        "format" => Value::text(braces::format(text, &args)?),
        "isdigit" | "isdecimal" | "isnumeric" => has(char::is_ascii_digit),
        "isalpha" => has(|c| c.is_alphabetic()),
        "isalnum" => has(|c| c.is_alphanumeric()),
        "isspace" => has(|c| c.is_whitespace()),
        "islower" => Value::Bool(text.chars().any(char::is_lowercase) && !text.chars().any(char::is_uppercase)),
        "isupper" => Value::Bool(text.chars().any(char::is_uppercase) && !text.chars().any(char::is_lowercase)),
        "encode" | "translate" => return Err("is not supported".into()),
        _ => return Err(Trouble::Unknown),
    })
}

/// As Python's `str.title`: a word begins at every letter behind something else.
fn title(text: &str) -> String {
    let mut out = String::new();
    let mut inside = false;
    for c in text.chars() {
        let cased = if inside { c.to_lowercase().to_string() } else { c.to_uppercase().to_string() };
        out.push_str(&cased);
        inside = c.is_alphabetic();
    }
    out
}

fn expand_tabs(text: &str, args: Arguments) -> Result<Value, Trouble> {
    let [size] = args.bind(["tabsize"])?;
    let size = arguments::size(size, 8)?.clamp(1, 1000);
    let (mut out, mut column) = (String::new(), 0);
    for c in text.chars() {
        let width = if c == '\t' { size - column % size } else { 1 };
        let written = if c == '\t' { " ".repeat(width) } else { c.to_string() };
        out.push_str(&written);
        column = if matches!(c, '\n' | '\r') { 0 } else { column + width };
    }
    Ok(Value::text(out))
}

fn split(text: &str, name: &str, args: Arguments) -> Result<Value, Trouble> {
    let [separator, most] = args.bind(["sep", "maxsplit"])?;
    let most = usize::try_from(arguments::int(most, -1)?).unwrap_or(usize::MAX - 1);
    let separator = separator.filter(|value| !matches!(value, Value::None)).map(|value| value.to_string());
    let parts: Vec<&str> = match separator {
        Some(separator) if separator.is_empty() => return Err("cannot split at nothing".into()),
        Some(separator) if name == "rsplit" => {
            let mut parts: Vec<_> = text.rsplitn(most.saturating_add(1), &*separator).collect();
            parts.reverse();
            return Ok(Value::list(parts.into_iter().map(Value::text).collect()));
        }
        Some(separator) => {
            let parts = text.splitn(most.saturating_add(1), &*separator).map(Value::text).collect();
            return Ok(Value::list(parts));
        }
        None if most > text.len() => text.split_whitespace().collect(),
        None => spaces(text, most),
    };
    Ok(Value::list(parts.into_iter().map(Value::text).collect()))
}

/// Splits at runs of white space, at most `most` times.
fn spaces(text: &str, most: usize) -> Vec<&str> {
    let mut parts = vec![];
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        if parts.len() == most {
            parts.push(rest.trim_end());
            break;
        }
        let end = rest.find(char::is_whitespace).unwrap_or(rest.len());
        parts.push(&rest[..end]);
        rest = rest[end..].trim_start();
    }
    parts
}

fn pad(text: &str, name: &str, args: Arguments) -> Result<Value, Trouble> {
    let [width, fill] = args.bind(["width", "fill"])?;
    let width = arguments::size(width, 0)?;
    let fill = arguments::text(fill, if name == "zfill" { "0" } else { " " });
    let missing = width.saturating_sub(text.chars().count());
    let (before, after) = match name {
        "ljust" => (0, missing),
        "center" => texts::center(missing, width),
        _ => (missing, 0),
    };
    let (sign, digits) = match text.strip_prefix(['-', '+']) {
        Some(rest) if name == "zfill" => (&text[..1], rest),
        _ => ("", text),
    };
    Ok(Value::text(format!("{sign}{}{digits}{}", fill.repeat(before), fill.repeat(after))))
}
