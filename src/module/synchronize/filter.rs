//! What is left out of a tree: the patterns of `--exclude` and `--include`.

use regex::Regex;
use serde::{Deserialize, Serialize};

use crate::module::Error;
use crate::module::synchronize::Options;

/// A pattern, and what it says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rule {
    /// As rsync writes it.
    pub pattern: String,
    /// Whether what fits comes along.
    pub include: bool,
}

/// Options that ask for what happens anyway, or for talk.
const IDLE: [&str; 14] = [
    "-a",
    "-h",
    "-q",
    "-v",
    "-vv",
    "-z",
    "--archive",
    "--compress",
    "--human-readable",
    "--progress",
    "--quiet",
    "--stats",
    "--verbose",
    "--partial",
];

/// Reads `rsync_opts`.
///
/// # Errors
///
/// [`Error::Value`]: an option is not known.
pub fn read(words: &[String], options: &mut Options) -> Result<(), Error> {
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let (name, mut value) = word.split_once('=').map_or((word.as_str(), None), |(name, value)| (name, Some(value)));
        if value.is_none() && matches!(name, "--exclude" | "--include") {
            value = words.next().map(String::as_str);
        }
        let mut rule = |pattern: &str, include: bool| {
            options.rules.push(Rule { pattern: pattern.trim_matches(['\'', '"']).to_owned(), include });
        };
        match (name, value) {
            ("--exclude", Some(pattern)) => rule(pattern, false),
            ("--include", Some(pattern)) => rule(pattern, true),
            ("--delete" | "--delete-after" | "--delete-before", None) => options.delete = true,
            ("--checksum" | "-c", None) => options.checksum = true,
            ("--copy-links" | "-L", None) => options.copy_links = true,
            ("--existing", None) => options.existing_only = true,
            ("--no-owner" | "--no-o", None) => options.owner = false,
            ("--no-group" | "--no-g", None) => options.group = false,
            ("--no-perms" | "--no-p", None) => options.perms = false,
            ("--no-times" | "--no-t", None) => options.times = false,
            ("--no-links" | "--no-l", None) => options.links = false,
            (name, None) if IDLE.contains(&name) => {}
            _ => {
                return Err(Error::Value {
                    module: "synchronize".to_owned(),
                    name: "rsync_opts".to_owned(),
                    value: word.clone(),
                    wanted: "options that are known here, e.g. `--exclude=PATTERN`".to_owned(),
                });
            }
        }
    }
    Ok(())
}

/// The rules, ready to be asked.
pub struct Filter(Vec<(Regex, Kind, bool)>);

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Anything,
    Directory,
}

impl Filter {
    /// Makes it; what cannot be a pattern fits nothing.
    pub fn new(rules: &[Rule]) -> Self {
        let made = rules.iter().filter_map(|rule| {
            let directory = rule.pattern.len() > 1 && rule.pattern.ends_with('/');
            let kind = if directory { Kind::Directory } else { Kind::Anything };
            Regex::new(&written(rule.pattern.trim_end_matches('/'))).ok().map(|regex| (regex, kind, rule.include))
        });
        Self(made.collect())
    }

    /// Whether the path below the top of the tree is left out.
    pub fn leaves_out(&self, path: &str, directory: bool) -> bool {
        let found =
            self.0.iter().find(|(regex, kind, _)| (*kind == Kind::Anything || directory) && regex.is_match(path));
        found.is_some_and(|(_, _, include)| !include)
    }
}

/// A pattern as a regular expression: anchored with a leading `/`, else it fits the end of a path.
fn written(pattern: &str) -> String {
    let (anchored, pattern) = pattern.strip_prefix('/').map_or((false, pattern), |rest| (true, rest));
    let mut out = if anchored { "^".to_owned() } else { "(?:^|/)".to_owned() };
    let mut letters = pattern.chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            '*' if letters.next_if_eq(&'*').is_some() => out.push_str(".*"),
            '*' => out.push_str("[^/]*"),
            '?' => out.push_str("[^/]"),
            '[' => {
                out.push('[');
                if letters.next_if(|it| matches!(it, '!' | '^')).is_some() {
                    out.push('^');
                }
                for letter in letters.by_ref() {
                    out.push(letter);
                    if letter == ']' {
                        break;
                    }
                }
            }
            other => out.push_str(&regex::escape(&other.to_string())),
        }
    }
    out.push('$');
    out
}
