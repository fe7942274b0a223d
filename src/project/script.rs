//! The few values that only scripts know.

use std::sync::LazyLock;

use regex::Regex;

/// A value that a script sets at the start of a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Constant {
    /// The variable.
    pub name: String,
    /// The text, without quotes.
    pub value: String,
    /// Line, from 1.
    pub line: usize,
}

static ASSIGNMENT: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(r#"^([A-Za-z_][A-Za-z0-9_]*)=(?:"([^"$`\\]*)"|'([^']*)'|([^\s"'$`\\;|&()]*))\s*(?:[;#].*)?$"#).ok()
});

/// Returns the constants that `text` sets, in order. What a script computes is none.
pub fn constants(text: &str) -> Vec<Constant> {
    let Some(shape) = ASSIGNMENT.as_ref() else {
        return vec![];
    };
    let read = |(at, line): (usize, &str)| {
        let found = shape.captures(line)?;
        let value = found.iter().skip(2).flatten().next().map_or("", |value| value.as_str());
        Some(Constant { name: found[1].to_owned(), value: value.to_owned(), line: at + 1 })
    };
    text.lines().enumerate().filter_map(read).collect()
}

/// Returns the words of `MODULES="…"`, if the script sets it.
pub fn modules(text: &str) -> Option<Vec<String>> {
    let found = constants(text).into_iter().find(|constant| constant.name == "MODULES")?;
    Some(found.value.split_whitespace().map(str::to_owned).collect())
}

/// Returns the templates that a build script hands to Packer, by file name, in order and once each.
pub fn templates(text: &str) -> Vec<String> {
    let mut names: Vec<String> = vec![];
    let lines = text.lines().map(str::trim).filter(|line| !line.starts_with('#'));
    for word in lines.flat_map(|line| line.split(['/', ' ', '"', '\'', '\t'])) {
        if word.ends_with(".pkr.hcl") && !names.iter().any(|name| name == word) {
            names.push(word.to_owned());
        }
    }
    names
}
