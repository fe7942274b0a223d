//! A configuration file with positions: typed values out, everything that is wrong with it told.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};

use crate::place::{self, Place, Problem, nearest};
use crate::project::value;
use crate::yaml::{self, Dialect, Kind, Node};

/// A configuration file while it is read.
pub struct Settings {
    file: PathBuf,
    node: Node,
    /// What is wrong.
    pub problems: Vec<Problem>,
    /// What works, but not as it looks.
    pub warnings: Vec<Problem>,
}

impl Settings {
    /// Reads `file`, which is one mapping.
    ///
    /// # Errors
    ///
    /// A [`Problem`]: it is not there, not YAML, or no mapping.
    pub fn read(file: &Path) -> Result<Self, Problem> {
        let bytes = std::fs::read(file).map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => missing(file),
            _ => Problem::new(Place::file(file), format!("cannot be read: {error}")),
        })?;
        Self::parse(file, &place::text(file, bytes)?)
    }

    /// Reads `text`, which stands in `file`.
    ///
    /// # Errors
    ///
    /// A [`Problem`]: it is not YAML, or no mapping.
    pub fn parse(file: &Path, text: &str) -> Result<Self, Problem> {
        let mut documents = yaml::load(text, Dialect::Ansible).map_err(|error| {
            Problem::new(Place::new(file, error.line, error.column), format!("not YAML: {}", error.message))
        })?;
        match documents.pop() {
            Some(node) if matches!(node.kind, Kind::Map(_)) => {
                let mut settings = Self { file: file.to_owned(), node, problems: vec![], warnings: vec![] };
                settings.dialects();
                settings.twice();
                Ok(settings)
            }
            Some(node) => {
                let place = Place::new(file, node.line, node.column);
                Err(Problem::new(place, format!("a mapping of keys is required, not {}", node.describe())))
            }
            None => Err(Problem::new(Place::file(file), "the file is empty")),
        }
    }

    /// Returns the whole file.
    pub fn node(&self) -> &Node {
        &self.node
    }

    /// Returns where the value of `key` stands, or the file.
    pub fn place(&self, key: &str) -> Place {
        let found = self.node.get(key);
        found.map_or_else(|| Place::file(&self.file), |node| Place::new(&self.file, node.line, node.column))
    }

    fn problem(&mut self, key: &str, message: String) {
        self.problems.push(Problem::new(self.place(key), message));
    }

    /// Returns a value that has to be there. A placeholder is as good as nothing, but is told elsewhere.
    fn required(&mut self, key: &str) -> Option<&Node> {
        if self.node.get(key).is_none() {
            let problem = Problem::new(Place::file(&self.file), format!("the key `{key}` is missing"));
            let present = self.node.entries().iter().filter_map(|(name, _)| name.text());
            self.problems.push(match nearest(key, present) {
                Some(near) => problem.hint(format!("there is `{near}`")),
                None => problem,
            });
            return None;
        }
        self.node.get(key).filter(|node| !is_placeholder(node))
    }

    /// Reads text that has to be there; a number is text too.
    pub fn text(&mut self, key: &str) -> String {
        let Some(node) = self.required(key).cloned() else {
            return String::new();
        };
        if let Some(text) = node.written() {
            return text.to_owned();
        }
        self.problem(key, format!("`{key}` must be text, not {}", node.describe()));
        String::new()
    }

    /// Reads text that has to be there and must not be empty.
    pub fn filled(&mut self, key: &str) -> String {
        let text = self.text(key);
        if text.is_empty() && self.node.get(key).is_some_and(|node| !is_placeholder(node)) {
            self.problem(key, format!("`{key}` is empty"));
        }
        text
    }

    /// Reads a truth value.
    pub fn truth(&mut self, key: &str) -> bool {
        let Some(node) = self.required(key).cloned() else {
            return false;
        };
        match (&node.kind, node.text()) {
            (Kind::Bool(truth), _) => *truth,
            // A quoted one has been warned of.
            (_, Some("true" | "True" | "yes")) => true,
            (_, Some("false" | "False" | "no")) => false,
            _ => {
                self.problem(key, format!("`{key}` must be true or false, not {}", node.describe()));
                false
            }
        }
    }

    /// Reads a port.
    pub fn port(&mut self, key: &str) -> u16 {
        self.checked(key, value::port).unwrap_or_default()
    }

    /// Reads an IPv4 address.
    pub fn ipv4(&mut self, key: &str) -> Option<Ipv4Addr> {
        self.checked(key, value::ipv4)
    }

    /// Reads an IPv6 address.
    pub fn ipv6(&mut self, key: &str) -> Option<Ipv6Addr> {
        self.checked(key, value::ipv6)
    }

    /// Reads the first three parts of an IPv4 network, e.g. `10.0.1`.
    pub fn ipv4_part(&mut self, key: &str) -> String {
        self.checked(key, value::ipv4_part).unwrap_or_default()
    }

    /// Reads the front of an IPv6 network, without the colons at its end, e.g. `fd10:10:0:1`.
    pub fn ipv6_prefix(&mut self, key: &str) -> String {
        self.checked(key, value::ipv6_prefix).unwrap_or_default()
    }

    /// Reads one group of an IPv6 address.
    pub fn ipv6_group(&mut self, key: &str) -> String {
        self.checked(key, value::ipv6_group).unwrap_or_default()
    }

    /// Reads a size, e.g. `40GB`.
    pub fn size(&mut self, key: &str) -> String {
        self.checked(key, value::size).unwrap_or_default()
    }

    fn checked<T>(&mut self, key: &str, read: fn(&str) -> Result<T, String>) -> Option<T> {
        let node = self.required(key)?.clone();
        let problem = match read(node.written().unwrap_or_default()) {
            Ok(value) => return Some(value),
            Err(problem) => problem,
        };
        let shown = node.written().map_or_else(|| node.describe().to_owned(), |text| format!("`{text}`"));
        self.problem(key, format!("`{key}` {problem}, not {shown}"));
        None
    }

    /// Tells of every placeholder that was not filled in. `matters` says whether the value of a key is looked at: what
    /// nobody looks at may stay.
    pub fn placeholders(&mut self, matters: impl Fn(&str) -> bool) {
        let mut found = vec![];
        for (key, value) in self.node.entries() {
            find_placeholders(value, &mut |node| {
                let place = Place::new(&self.file, node.line, node.column);
                let name = key.written().unwrap_or_default();
                let written = node.text().unwrap_or_default();
                let problem = Problem::new(place, format!("`{name}` is still the placeholder `{written}`"));
                found.extend(matters(name).then(|| problem.hint("put the real value in its place")));
            });
        }
        self.problems.extend(found);
    }

    /// Warns of what Ansible and Terraform read differently, or of what is no truth value to either.
    fn dialects(&mut self) {
        let mut found = vec![];
        for (key, value) in self.node.entries() {
            let secret = is_secret(key.written().unwrap_or_default());
            each(value, &mut |node| {
                let text = ambiguous(node).map(|text| if secret { unshown() } else { text });
                found.extend(text.map(|text| (node.line, node.column, text)));
            });
        }
        for (line, column, (message, hint)) in found {
            self.warnings.push(Problem::new(Place::new(&self.file, line, column), message).hint(hint));
        }
    }

    fn twice(&mut self) {
        let entries = self.node.entries();
        for (at, (key, _)) in entries.iter().enumerate() {
            let name = key.written().unwrap_or_default();
            if entries[..at].iter().any(|(other, _)| other.written() == Some(name)) {
                let place = Place::new(&self.file, key.line, key.column);
                self.problems.push(Problem::new(place, format!("the key `{name}` stands here twice")));
            }
        }
    }
}

fn missing(file: &Path) -> Problem {
    let problem = Problem::new(Place::file(file), "this configuration file is missing");
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    let stem = name.split('_').next().unwrap_or_default().trim_end_matches(".yml");
    let template = file.with_file_name(format!("{stem}_TEMPLATE.yml"));
    if template.is_file() {
        return problem.hint(format!("copy `{}` and fill it in", template.display()));
    }
    problem
}

fn each(node: &Node, see: &mut impl FnMut(&Node)) {
    see(node);
    node.items().iter().for_each(|item| each(item, see));
    node.entries().iter().for_each(|(_, value)| each(value, see));
}

fn find_placeholders(node: &Node, see: &mut impl FnMut(&Node)) {
    each(node, &mut |node| {
        if is_placeholder(node) {
            see(node);
        }
    });
}

/// `<DOMAIN>`, `<true OR false, …>`, `<SUBDOMAIN>.<DOMAIN>`.
pub fn is_placeholder(node: &Node) -> bool {
    node.text().is_some_and(|text| text.len() > 2 && text.starts_with('<') && text.ends_with('>'))
}

/// Whether the value of a key is not to be shown.
fn is_secret(key: &str) -> bool {
    ["password", "secret", "token"].iter().any(|word| key.contains(word))
}

fn unshown() -> (String, String) {
    ("this value is not the same to Ansible and Terraform as it looks".to_owned(), "put it in quotes".to_owned())
}

fn ambiguous(node: &Node) -> Option<(String, String)> {
    match (&node.kind, node.raw.as_deref()) {
        (Kind::Bool(truth), Some(raw)) if !raw.eq_ignore_ascii_case("true") && !raw.eq_ignore_ascii_case("false") => {
            Some((format!("`{raw}` is read as {truth}"), format!("write `{truth}`, or `\"{raw}\"` if text is meant")))
        }
        (Kind::Str(_), Some(raw @ ("y" | "Y" | "n" | "N"))) => Some((
            format!("`{raw}` is text to Ansible and a truth value to Terraform"),
            format!("write `true` or `false`, or `\"{raw}\"` if text is meant"),
        )),
        (Kind::Str(text), None) if ["true", "false"].contains(&text.as_str()) => {
            Some((format!("`\"{text}\"` is text, no truth value"), format!("write `{text}` without quotes")))
        }
        (Kind::Int(number), Some(raw)) if raw.len() > 1 && raw.starts_with('0') && raw.parse() != Ok(*number) => {
            Some((
                format!("`{raw}` is {number} to Ansible, but not to Terraform"),
                format!("write `{number}`, or `\"{raw}\"` if text is meant"),
            ))
        }
        _ => None,
    }
}
