//! Filters of paths and addresses on the control node.

use std::path::{Component, Path, PathBuf};

use crate::playbook::jinja::arguments::{self, Arguments};
use crate::playbook::jinja::filters::Trouble;
use crate::playbook::jinja::value::Value;
use crate::playbook::lookup::files;

/// Their names.
pub const NAMES: &[&str] = &[
    "basename",
    "commonpath",
    "dirname",
    "expanduser",
    "expandvars",
    "fileglob",
    "normpath",
    "path_join",
    "realpath",
    "relpath",
    "splitext",
    "urlsplit",
    "win_basename",
    "win_dirname",
    "win_splitdrive",
];

/// Applies one.
pub fn apply(name: &str, input: &Value, args: Arguments) -> Result<Value, Trouble> {
    let text = input.to_string();
    Ok(match name {
        "basename" => Value::text(text.rsplit_once('/').map_or(text.as_str(), |(_, name)| name)),
        "dirname" => Value::text(dirname(&text)),
        "commonpath" => Value::text(common(&input.iterate()?)?),
        "fileglob" => {
            let (directory, name) = text.rsplit_once('/').unwrap_or((".", &text));
            let directory = if directory.is_empty() { "/" } else { directory };
            let found = files::matching(Path::new(directory), name).unwrap_or_default();
            Value::list(found.into_iter().map(Value::text).collect())
        }
        "win_basename" => Value::text(text.rsplit(['\\', '/']).next().unwrap_or_default()),
        "win_dirname" => Value::text(text.rfind(['\\', '/']).map_or("", |at| &text[..at])),
        "win_splitdrive" => {
            let (drive, rest) =
                if text.as_bytes().get(1) == Some(&b':') { text.split_at(2) } else { ("", text.as_str()) };
            Value::tuple(vec![Value::text(drive), Value::text(rest)])
        }
        "splitext" => {
            let (root, end) = splitext(&text);
            Value::tuple(vec![Value::text(root), Value::text(end)])
        }
        "expanduser" => Value::text(expand_user(&text)),
        "expandvars" => Value::text(expand_vars(&text)),
        "normpath" => Value::text(normal(&text)),
        "path_join" => {
            let parts = if input.as_list().is_some() { input.iterate()? } else { vec![input.clone()] };
            let mut path = PathBuf::new();
            for part in parts.into_iter().chain(args.places) {
                path.push(part.to_string());
            }
            Value::text(path.to_string_lossy())
        }
        "realpath" => {
            let path = std::path::absolute(&text).map_err(|error| error.to_string())?;
            Value::text(real(&path))
        }
        "relpath" => {
            let [start] = args.bind(["start"])?;
            let absolute = |text: &str| std::path::absolute(text).map_err(|error| error.to_string());
            let (path, start) = (absolute(&text)?, absolute(&arguments::text(start, "."))?);
            Value::text(relative(Path::new(&normal(&path.to_string_lossy())), &start).to_string_lossy())
        }
        _ => {
            let [part] = args.bind(["query"])?;
            urlsplit(&text, &arguments::text(part, ""))?
        }
    })
}

fn dirname(text: &str) -> &str {
    match text.rsplit_once('/') {
        None => "",
        Some((head, _)) => {
            let trimmed = head.trim_end_matches('/');
            if trimmed.is_empty() { &text[..text.len() - text.trim_start_matches('/').len()] } else { trimmed }
        }
    }
}

/// The real place of a path, as far as it is there.
fn real(path: &Path) -> String {
    let normal = normal(&path.to_string_lossy());
    let mut there = PathBuf::from(&normal);
    let mut rest = vec![];
    loop {
        if let Ok(mut real) = there.canonicalize() {
            real.extend(rest.iter().rev());
            return real.to_string_lossy().into_owned();
        }
        match (there.file_name().map(std::ffi::OsStr::to_owned), there.pop()) {
            (Some(name), true) => rest.push(name),
            _ => return normal,
        }
    }
}

/// The longest path that all begin with.
fn common(paths: &[Value]) -> Result<String, String> {
    let texts: Vec<String> = paths.iter().map(ToString::to_string).collect();
    let first = texts.first().ok_or("needs at least one path")?;
    let mut shared: Vec<&str> = first.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
    for text in &texts {
        if text.starts_with('/') != first.starts_with('/') {
            return Err("cannot mix absolute and relative paths".to_owned());
        }
        let parts = text.split('/').filter(|part| !part.is_empty() && *part != ".");
        let same = shared.iter().zip(parts).take_while(|(a, b)| **a == *b).count();
        shared.truncate(same);
    }
    let lead = if first.starts_with('/') { "/" } else { "" };
    Ok(format!("{lead}{}", shared.join("/")))
}

fn splitext(text: &str) -> (&str, &str) {
    let name = text.rsplit_once('/').map_or(text, |(_, name)| name);
    let lead = name.len() - name.trim_start_matches('.').len();
    match name[lead..].rfind('.') {
        Some(at) => text.split_at(text.len() - name.len() + lead + at),
        None => (text, ""),
    }
}

/// Replaces `~` at the beginning by the home directory of this account.
pub fn expand_user(text: &str) -> String {
    match (text.strip_prefix('~'), std::env::var("HOME")) {
        (Some(rest), Ok(home)) if rest.is_empty() || rest.starts_with('/') => format!("{home}{rest}"),
        _ => text.to_owned(),
    }
}

fn expand_vars(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        out.push_str(&rest[..at]);
        let after = &rest[at + 1..];
        let (name, tail) = match after.strip_prefix('{').and_then(|inner| inner.split_once('}')) {
            Some(split) => split,
            None => after.split_at(after.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(after.len())),
        };
        match std::env::var(name) {
            Ok(value) if !name.is_empty() => out.push_str(&value),
            _ => out.push_str(&rest[at..rest.len() - tail.len()]),
        }
        rest = tail;
    }
    out + rest
}

fn normal(text: &str) -> String {
    let mut parts: Vec<Component<'_>> = vec![];
    for part in Path::new(text).components() {
        match (part, parts.last()) {
            (Component::CurDir, _) | (Component::ParentDir, Some(Component::RootDir)) => {}
            (Component::ParentDir, Some(Component::Normal(_))) => drop(parts.pop()),
            _ => parts.push(part),
        }
    }
    let path: PathBuf = parts.iter().collect();
    if path.as_os_str().is_empty() { ".".to_owned() } else { path.to_string_lossy().into_owned() }
}

fn relative(path: &Path, start: &Path) -> PathBuf {
    let common = path.components().zip(start.components()).take_while(|(a, b)| a == b).count();
    let up = start.components().skip(common).map(|_| Component::ParentDir);
    let out: PathBuf = up.chain(path.components().skip(common)).collect();
    if out.as_os_str().is_empty() { PathBuf::from(".") } else { out }
}

fn urlsplit(text: &str, part: &str) -> Result<Value, Trouble> {
    let (rest, fragment) = text.split_once('#').unwrap_or((text, ""));
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (scheme, rest) = rest.split_once("://").map_or(("", rest), |(scheme, rest)| (scheme, rest));
    let (place, path) =
        if scheme.is_empty() { ("", rest) } else { rest.split_at(rest.find('/').unwrap_or(rest.len())) };
    let (account, address) =
        place.rsplit_once('@').map_or((None, place), |(account, address)| (Some(account), address));
    let (user, password) = match account {
        Some(account) => account.split_once(':').map_or((Some(account), None), |(user, word)| (Some(user), Some(word))),
        None => (None, None),
    };
    let (host, port) = match address.rsplit_once(':') {
        Some((host, port)) if port.parse::<u16>().is_ok() && !host.ends_with(':') => (host, port.parse().ok()),
        _ => (address, None),
    };
    let host = host.trim_matches(['[', ']']).to_lowercase();
    let optional = |text: Option<&str>| text.map_or(Value::None, Value::text);
    let all = vec![
        (Value::text("fragment"), Value::text(fragment)),
        (Value::text("hostname"), if host.is_empty() { Value::None } else { Value::text(host) }),
        (Value::text("netloc"), Value::text(place)),
        (Value::text("password"), optional(password)),
        (Value::text("path"), Value::text(path)),
        (Value::text("port"), port.map_or(Value::None, |port: u16| Value::Int(i64::from(port)))),
        (Value::text("query"), Value::text(query)),
        (Value::text("scheme"), Value::text(scheme)),
        (Value::text("username"), optional(user)),
    ];
    let all = Value::dict(all);
    if part.is_empty() {
        return Ok(all);
    }
    let found = all.as_dict().and_then(|dict| dict.get(part)).cloned();
    found.ok_or_else(|| format!("knows no part `{part}`").into())
}
