//! Brackets, texts, templates, comments and heredocs that are opened and never closed.
//!
//! They are looked for before HCL is parsed: the parser takes up to twice the time for every one of them, and tells the
//! end of the file where a person looks for the beginning.
//!
//! Source: HCL's syntax specification, "Lexical Elements" and "Templates".

/// What a text is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// A file, or an expression.
    Code,
    /// A template without quotes around it.
    Template,
}

/// What is open, innermost last, each with its place.
struct Scan<'a> {
    text: &'a str,
    at: usize,
    open: Vec<(Open<'a>, usize)>,
}

enum Open<'a> {
    /// Something that ends with this bracket.
    Bracket(char),
    /// A text in quotes.
    Text,
    /// A heredoc up to a line with this alone.
    Heredoc(&'a str),
    /// A template without an end of its own.
    Template,
}

/// The place of the innermost thing that `text` opens and does not close, in bytes.
pub fn unclosed(text: &str, form: Form) -> Option<usize> {
    let mut scan = Scan { text, at: 0, open: vec![] };
    if form == Form::Template {
        scan.open.push((Open::Template, 0));
    }
    scan.run(None);
    match scan.open.pop() {
        None | Some((Open::Template, _)) => None,
        Some((_, at)) => Some(at),
    }
}

/// Says that what `text` begins with is not closed.
pub fn not_closed(text: &str) -> String {
    let two = ["${", "%{", "/*"].into_iter().find(|two| text.starts_with(two));
    let heredoc = || text.starts_with("<<").then(|| text.lines().next().unwrap_or_default().trim_end());
    let what = two.or_else(heredoc).unwrap_or_else(|| text.get(..1).unwrap_or_default());
    format!("`{what}` is not closed")
}

/// Characters of `$${` and `%%{`, which begin no template.
const ESCAPE: usize = 3;

fn is_escape(text: &str) -> bool {
    text.starts_with("$${") || text.starts_with("%%{")
}

/// The length of the template in braces with which `text` begins, or of the escape of one; nothing if it begins with
/// neither, or with a template that is not closed.
pub fn template(text: &str) -> Option<usize> {
    if is_escape(text) {
        return Some(ESCAPE);
    }
    if !text.starts_with("${") && !text.starts_with("%{") {
        return None;
    }
    let mut scan = Scan { text, at: 0, open: vec![(Open::Template, 0)] };
    scan.run(Some(1));
    (scan.open.len() == 1).then_some(scan.at)
}

impl<'a> Scan<'a> {
    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    /// Goes on to the end, to a bracket that does not close what is open, or until no more than `depth` things are open.
    fn run(&mut self, depth: Option<usize>) {
        while let Some(c) = self.rest().chars().next() {
            let begun = self.at;
            match self.open.last() {
                None | Some((Open::Bracket(_), _)) => {
                    if !self.code(c) {
                        return;
                    }
                }
                Some((Open::Text, _)) if c == '\n' => return,
                Some((Open::Text, _)) if c == '"' => self.close(1),
                Some((Open::Text, _)) if c == '\\' => {
                    self.at += 1 + self.rest()[1..].chars().next().map_or(0, char::len_utf8);
                }
                Some((Open::Heredoc(end), _)) if self.at_line() && self.line().trim() == *end => {
                    let length = self.line().len();
                    self.close(length);
                }
                Some(_) => self.literal(c),
            }
            if depth.is_some_and(|depth| self.open.len() <= depth && self.at > begun) {
                return;
            }
        }
    }

    fn open(&mut self, what: Open<'a>, length: usize) {
        self.open.push((what, self.at));
        self.at += length;
    }

    fn close(&mut self, length: usize) {
        self.open.pop();
        self.at += length;
    }

    fn at_line(&self) -> bool {
        self.text[..self.at].ends_with('\n')
    }

    /// The line from here on, without its end.
    fn line(&self) -> &'a str {
        self.rest().split('\n').next().unwrap_or_default()
    }

    /// One step in what is no template. Returns whether there is a next one.
    fn code(&mut self, c: char) -> bool {
        let rest = self.rest();
        match c {
            '#' => self.at += self.line().len(),
            '/' if rest.starts_with("//") => self.at += self.line().len(),
            '/' if rest.starts_with("/*") => {
                let Some(end) = rest[2..].find("*/") else {
                    self.open(Open::Bracket('/'), 2);
                    return false;
                };
                self.at += 2 + end + 2;
            }
            '"' => self.open(Open::Text, 1),
            '<' if rest.starts_with("<<") => self.heredoc(),
            '(' => self.open(Open::Bracket(')'), 1),
            '[' => self.open(Open::Bracket(']'), 1),
            '{' => self.open(Open::Bracket('}'), 1),
            ')' | ']' | '}' => match self.open.last() {
                Some((Open::Bracket(end), _)) if *end == c => self.close(1),
                // Another is open, or none: of that the parser tells.
                _ => return false,
            },
            c => self.at += c.len_utf8(),
        }
        true
    }

    /// `<<END` or `<<-END` at the end of a line begins a heredoc with the next one.
    fn heredoc(&mut self) {
        let line = self.line();
        let end = line[2..].trim_start_matches('-').trim_end();
        let named = !end.is_empty() && end.chars().all(|c| c.is_alphanumeric() || "_-".contains(c));
        if named && self.rest().len() > line.len() {
            self.open(Open::Heredoc(end), line.len() + 1);
        } else {
            self.at += 2;
        }
    }

    /// One step in a template.
    fn literal(&mut self, c: char) {
        let rest = self.rest();
        if is_escape(rest) {
            self.at += ESCAPE;
        } else if rest.starts_with("${") || rest.starts_with("%{") {
            self.open(Open::Bracket('}'), 2);
        } else {
            self.at += c.len_utf8();
        }
    }
}
