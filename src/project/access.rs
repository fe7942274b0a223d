//! Which Consul keys the containers of a repository write, by its own files.
//!
//! Scripts of the field write keys with `consul kv put` and remove them with `consul kv delete`, their paths literal at
//! least at the beginning: `service/haproxy/backends/no-ssl/wellknown`, or a template such as
//! `{{ print "service/haproxy/acl/wellknown-" $domain }}`. On a host whose Consul lets nobody write, the containers of
//! the repository are given what these commands take, and nothing more.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};

/// Most bytes of a file that is looked through; scripts are smaller.
const MOST: u64 = 1 << 20;

/// How much of what begins with a path may be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Reach {
    /// The one key.
    Key,
    /// Every key that begins so.
    Beginning,
}

/// Paths of keys, and how far each reaches.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Writes(pub BTreeMap<String, Reach>);

impl Writes {
    /// Whether nothing is written.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn add(&mut self, path: String, reach: Reach) {
        let known = self.0.entry(path).or_insert(reach);
        *known = reach.max(*known);
    }

    /// The rules of a Consul policy that allows it.
    pub fn rules(&self) -> String {
        let rule = |(path, reach): (&String, &Reach)| match reach {
            Reach::Key => format!("key \"{path}\" {{ policy = \"write\" }}\n"),
            Reach::Beginning => format!("key_prefix \"{path}\" {{ policy = \"write\" }}\n"),
        };
        self.0.iter().map(rule).collect()
    }
}

impl fmt::Display for Writes {
    /// E.g. `service/a, service/b/*`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, (path, reach)) in self.0.iter().enumerate() {
            let comma = if number == 0 { "" } else { ", " };
            let star = if *reach == Reach::Beginning { "*" } else { "" };
            write!(f, "{comma}{path}{star}")?;
        }
        Ok(())
    }
}

/// Looks through the files below `directories`; one that is not there has none.
///
/// # Errors
///
/// A directory or file cannot be read.
pub fn writes(directories: &[&Path]) -> io::Result<Writes> {
    let mut writes = Writes::default();
    for directory in directories.iter().filter(|directory| directory.is_dir()) {
        below(directory, &mut writes)?;
    }
    Ok(writes)
}

fn below(directory: &Path, writes: &mut Writes) -> io::Result<()> {
    for entry in directory.read_dir()? {
        let entry = entry?;
        let kind = entry.file_type()?;
        if kind.is_dir() {
            below(&entry.path(), writes)?;
        } else if kind.is_file() && entry.metadata()?.len() <= MOST {
            let bytes = std::fs::read(entry.path())?;
            std::str::from_utf8(&bytes).unwrap_or_default().lines().for_each(|line| in_line(line, writes));
        }
    }
    Ok(())
}

/// Every command of a line.
fn in_line(line: &str, writes: &mut Writes) {
    if line.trim_start().starts_with('#') {
        return;
    }
    for command in ["consul kv put ", "consul kv delete "] {
        for (at, _) in line.match_indices(command) {
            let mut rest = line[at + command.len()..].trim_start();
            let mut reach = Reach::Key;
            while rest.starts_with('-') {
                let (flag, after) = rest.split_once(' ').unwrap_or((rest, ""));
                if flag.trim_start_matches('-').starts_with("recurse") {
                    reach = Reach::Beginning;
                }
                rest = after.trim_start();
            }
            let (path, ends) = literal(rest);
            if !path.is_empty() {
                writes.add(path, if ends { reach } else { Reach::Beginning });
            }
        }
    }
}

/// The literal beginning of a command's first argument, and whether that is all of it.
fn literal(argument: &str) -> (String, bool) {
    if let Some(call) = argument.strip_prefix("{{") {
        let call = call.trim_start_matches('-').trim_start();
        let printed = call.strip_prefix("printf ").or_else(|| call.strip_prefix("print "));
        let text = printed.and_then(|first| first.trim_start().strip_prefix('"')).unwrap_or_default();
        return (text.split(['"', '%', '\\']).next().unwrap_or_default().to_owned(), false);
    }
    let (text, stops): (&str, &[char]) = match argument.strip_prefix(['"', '\'']) {
        Some(quoted) => (quoted, &['"', '\'']),
        None => (argument, &[' ', '\t', ';', '&', '|', ')', '"', '\'']),
    };
    let end = text.find(|c| stops.contains(&c) || ['{', '$', '`', '\\'].contains(&c)).unwrap_or(text.len());
    let all = !text[end..].starts_with(['{', '$', '`', '\\']);
    (text[..end].to_owned(), all)
}
