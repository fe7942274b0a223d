//! The lines of `sources.list` files, as Ansible reads and writes them.

/// A line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Line {
    /// Whether it names a repository.
    pub(super) valid: bool,
    /// Whether it is not commented out.
    pub(super) enabled: bool,
    /// What it says, blanks made single if it is valid.
    pub(super) source: String,
    /// What stands behind a `#`.
    pub(super) comment: String,
}

impl Line {
    pub(super) fn read(line: &str) -> Self {
        let line = line.trim();
        let (enabled, line) = line.strip_prefix('#').map_or((true, line), |rest| (false, rest));
        let (line, comment) = match line.find('#') {
            Some(at) if at > 0 => (&line[..at], line[at + 1..].trim()),
            _ => (line, ""),
        };
        let words = line.split_whitespace().collect::<Vec<_>>();
        let valid = matches!(words.first(), Some(&("deb" | "deb-src")));
        let source = if valid { words.join(" ") } else { line.trim().to_owned() };
        Self { valid, enabled, source, comment: comment.to_owned() }
    }

    fn written(&self) -> String {
        let mark = if self.enabled { "" } else { "# " };
        let comment = if self.comment.is_empty() { String::new() } else { format!(" # {}", self.comment) };
        format!("{mark}{}{comment}\n", self.source)
    }
}

pub(super) fn read(text: &str) -> Vec<Line> {
    text.lines().map(Line::read).collect()
}

pub(super) fn written(lines: &[Line]) -> String {
    lines.iter().map(Line::written).collect()
}

/// The name of a file for a repository: its address in letters and digits.
pub(super) fn name(source: &str) -> String {
    let mut bare = String::new();
    let mut rest = source;
    while let Some((before, inside)) = rest.split_once('[') {
        bare.push_str(before);
        rest = inside.split_once(']').map_or("", |(_, after)| after);
    }
    bare.push_str(rest);
    let words = bare.split_whitespace().map(|word| word.split_once("://").map_or(word, |(_, rest)| rest));
    let first = words.into_iter().find(|word| !matches!(*word, "deb" | "deb-src")).unwrap_or_default();
    let first = first.split_once('@').map_or(first, |(_, rest)| rest);
    let words = first.split(|letter: char| !letter.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    format!("{}.list", words.collect::<Vec<_>>().join("_"))
}
