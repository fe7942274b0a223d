//! Files and paths.

use std::path::{Component, Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use regex::Regex;

use crate::hcl::function::argument::text;
use crate::hcl::function::{Files, Function, Takes};
use crate::hcl::value::Value;

/// The functions of this file.
pub const FUNCTIONS: &[Function] = &[
    Function { name: "file", least: 1, most: Some(1), takes: Takes::Present, body: contents },
    Function { name: "filebase64", least: 1, most: Some(1), takes: Takes::Present, body: contents_base64 },
    Function { name: "fileexists", least: 1, most: Some(1), takes: Takes::Present, body: exists },
    Function { name: "abspath", least: 1, most: Some(1), takes: Takes::Present, body: absolute },
    Function { name: "basename", least: 1, most: Some(1), takes: Takes::Present, body: base_name },
    Function { name: "dirname", least: 1, most: Some(1), takes: Takes::Present, body: directory_name },
    Function { name: "fileset", least: 2, most: Some(2), takes: Takes::Present, body: set },
    Function { name: "pathexpand", least: 1, most: Some(1), takes: Takes::Present, body: expand },
];

/// Returns the file that `name` means in `directory`, without `.` and `..` where that changes nothing to read.
pub fn path(directory: &Path, name: &str) -> PathBuf {
    clean(&directory.join(home(name)))
}

/// Reads text.
///
/// # Errors
///
/// A fragment of a message.
pub fn read(file: &Path) -> Result<String, String> {
    String::from_utf8(bytes(file)?).map_err(|_| format!("`{}` is not UTF-8", file.display()))
}

fn bytes(file: &Path) -> Result<Vec<u8>, String> {
    std::fs::read(file).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => format!("there is no file `{}`", file.display()),
        _ => format!("`{}` cannot be read: {error}", file.display()),
    })
}

/// Reads the file that the next argument names. One that is still to be written has contents, but nobody knows them yet.
pub(super) fn found(files: &Files<'_>, arguments: Vec<Value>) -> Result<Option<Vec<u8>>, String> {
    let file = path(files.directory, &text(&mut arguments.into_iter())?);
    if !file.exists() && (files.comes_later)(&file) {
        return Ok(None);
    }
    bytes(&file).map(Some)
}

fn contents(files: &Files<'_>, arguments: Vec<Value>) -> Result<Value, String> {
    let file = path(files.directory, &text(&mut arguments.into_iter())?);
    if !file.exists() && (files.comes_later)(&file) {
        return Ok(Value::Unknown);
    }
    read(&file).map(Value::String)
}

fn contents_base64(files: &Files<'_>, arguments: Vec<Value>) -> Result<Value, String> {
    Ok(found(files, arguments)?.map_or(Value::Unknown, |bytes| Value::String(STANDARD.encode(bytes))))
}

/// Most files that one pattern may look at.
const MOST_FILES: usize = 10_000;

/// The files below a directory whose paths match a pattern. Directories are no files, links count as what they lead to.
fn set(files: &Files<'_>, arguments: Vec<Value>) -> Result<Value, String> {
    let mut arguments = arguments.into_iter();
    let (directory, pattern) = (path(files.directory, &text(&mut arguments)?), text(&mut arguments)?);
    let wanted = glob(&pattern).ok_or_else(|| format!("`{pattern}` is no pattern of files"))?;
    let deep = pattern.contains("**");
    let depth = pattern.matches('/').count();
    let (mut names, mut open) = (vec![], vec![(directory, String::new(), 0)]);
    while let Some((directory, prefix, level)) = open.pop() {
        for entry in std::fs::read_dir(&directory).into_iter().flatten().flatten() {
            let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
            let path = entry.path();
            if path.is_dir() {
                let goes_on = if deep { !path.is_symlink() } else { level < depth };
                open.extend(goes_on.then(|| (path, format!("{name}/"), level + 1)));
            } else if path.is_file() && wanted.is_match(&name) {
                names.push(Value::String(name));
            }
            if names.len() + open.len() > MOST_FILES {
                return Err(format!("there are more than {MOST_FILES} files"));
            }
        }
    }
    Ok(Value::set(names))
}

/// `*`, `**`, `?`, `[a-z]` and `{a,b}` as a regular expression.
fn glob(pattern: &str) -> Option<Regex> {
    let mut expression = "^".to_owned();
    let (mut rest, mut braces) = (pattern, 0_usize);
    while let Some(c) = rest.chars().next() {
        let mut length = c.len_utf8();
        match c {
            '*' if rest.starts_with("**/") => {
                length = 3;
                expression.push_str("(?:.*/)?");
            }
            '*' if rest.starts_with("**") => {
                length = 2;
                expression.push_str(".*");
            }
            '*' => expression.push_str("[^/]*"),
            '?' => expression.push_str("[^/]"),
            '[' => {
                length = rest.find(']')? + 1;
                let inside = rest[1..length - 1].replace('\\', "\\\\");
                let inside = inside.strip_prefix('!').map_or(inside.clone(), |inside| format!("^{inside}"));
                expression.extend(["[", &inside, "]"]);
            }
            '{' => {
                braces += 1;
                expression.push_str("(?:");
            }
            '}' if braces > 0 => {
                braces -= 1;
                expression.push(')');
            }
            ',' if braces > 0 => expression.push('|'),
            '\\' => {
                let literal = rest[1..].chars().next()?;
                length += literal.len_utf8();
                expression.push_str(&regex::escape(&literal.to_string()));
            }
            literal => expression.push_str(&regex::escape(&literal.to_string())),
        }
        rest = &rest[length..];
    }
    Regex::new(&format!("{expression}$")).ok()
}

fn exists(files: &Files<'_>, arguments: Vec<Value>) -> Result<Value, String> {
    let file = path(files.directory, &text(&mut arguments.into_iter())?);
    if file.is_dir() {
        return Err(format!("`{}` is a directory", file.display()));
    }
    Ok(Value::Bool(file.is_file()))
}

fn absolute(files: &Files<'_>, arguments: Vec<Value>) -> Result<Value, String> {
    let name = text(&mut arguments.into_iter())?;
    let from = std::path::absolute(files.directory).unwrap_or_else(|_| files.directory.to_owned());
    Ok(Value::String(clean(&from.join(name)).to_string_lossy().into_owned()))
}

fn base_name(_: &Files<'_>, arguments: Vec<Value>) -> Result<Value, String> {
    let name = text(&mut arguments.into_iter())?;
    let last = name.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
    Ok(match (name.as_str(), last) {
        ("", _) => ".".into(),
        (_, "") => "/".into(),
        (_, last) => last.into(),
    })
}

fn directory_name(_: &Files<'_>, arguments: Vec<Value>) -> Result<Value, String> {
    let name = text(&mut arguments.into_iter())?;
    Ok(match name.rfind('/') {
        None => ".".into(),
        Some(0) => "/".into(),
        Some(at) => clean(Path::new(&name[..at])).to_string_lossy().into_owned().into(),
    })
}

fn expand(_: &Files<'_>, arguments: Vec<Value>) -> Result<Value, String> {
    Ok(Value::String(home(&text(&mut arguments.into_iter())?)))
}

fn home(name: &str) -> String {
    match (name.strip_prefix('~'), std::env::home_dir()) {
        (Some(rest), Some(home)) if rest.is_empty() || rest.starts_with('/') => format!("{}{rest}", home.display()),
        _ => name.to_owned(),
    }
}

/// Takes `.` and `x/..` out by the letters alone, as Go's `filepath.Clean` does.
fn clean(path: &Path) -> PathBuf {
    let mut parts: Vec<Component<'_>> = vec![];
    for part in path.components() {
        match (part, parts.last()) {
            (Component::CurDir, _) | (Component::ParentDir, Some(Component::RootDir)) => {}
            (Component::ParentDir, Some(Component::Normal(_))) => {
                parts.pop();
            }
            _ => parts.push(part),
        }
    }
    if parts.is_empty() { PathBuf::from(".") } else { parts.into_iter().collect() }
}
