//! The lines of a file with sections.
//!
//! Source: `community.general` 7, `plugins/modules/ini_file.py`.

use crate::module::ini_file::{Arguments, State};

/// A file while it is edited.
pub(super) struct Lines {
    all: Vec<String>,
    /// Whether something is changed.
    pub(super) changed: bool,
    /// What Ansible says of it.
    pub(super) message: &'static str,
}

/// A line of a section, and whether it has its final form.
struct Line {
    text: String,
    settled: bool,
}

impl Lines {
    pub(super) fn read(text: &str) -> Self {
        let mut lines: Vec<String> = text.split_inclusive('\n').map(str::to_owned).collect();
        if lines.is_empty() {
            lines.push("\n".to_owned());
        }
        let mut changed = false;
        if let Some(last) = lines.last_mut().filter(|last| !last.ends_with('\n')) {
            last.push('\n');
            changed = true;
        }
        Self { all: lines, changed, message: "OK" }
    }

    pub(super) fn written(&self) -> String {
        self.all.concat()
    }

    /// Makes the file be as the task says.
    pub(super) fn edit(&mut self, arguments: &Arguments) {
        let section = arguments.section.as_deref().filter(|it| !it.is_empty());
        let Some((start, end)) = self.bounds(section) else {
            if let (Some(name), State::Present) = (section, arguments.state) {
                self.append(name, arguments);
            }
            return;
        };
        let mut part: Vec<Line> =
            self.all[start..end].iter().map(|text| Line { text: text.clone(), settled: false }).collect();
        match arguments.state {
            State::Present => self.present(arguments, &mut part, section.is_some()),
            State::Absent => self.absent(arguments, &mut part, section.is_some()),
        }
        self.all.splice(start..end, part.into_iter().map(|line| line.text));
    }

    /// Where a section begins, with its head, and ends; without a name, what stands before all sections.
    fn bounds(&self, section: Option<&str>) -> Option<(usize, usize)> {
        let start = match section {
            None => 0,
            Some(name) => {
                let head = format!("[{name}]");
                self.all.iter().position(|line| line.starts_with(&head))?
            }
        };
        let behind = start + usize::from(section.is_some());
        let end = self.all[behind..].iter().position(|line| line.starts_with('['));
        Some((start, end.map_or(self.all.len(), |end| behind + end)))
    }

    fn append(&mut self, name: &str, arguments: &Arguments) {
        self.changed = true;
        self.all.push(format!("[{name}]\n"));
        self.message = "section and option added";
        match &arguments.option {
            Some(option) if !arguments.values.is_empty() => {
                let lines = arguments.values.iter().map(|value| assignment(arguments, option, value));
                self.all.extend(lines);
            }
            Some(option) if arguments.allow_no_value => self.all.push(format!("{option}\n")),
            _ => self.message = "only section added",
        }
    }

    fn present(&mut self, arguments: &Arguments, part: &mut Vec<Line>, headed: bool) {
        let Some(option) = &arguments.option else { return };
        let mut values: Vec<String> = vec![];
        for value in &arguments.values {
            if !values.contains(value) {
                values.push(value.clone());
            }
        }
        let bare = self.matched(arguments, option, part, &mut values);
        if arguments.exclusive && !arguments.allow_no_value {
            self.overwritten(arguments, option, part, &mut values, usize::from(headed));
        }
        self.added(arguments, option, part, &values, bare);
    }

    /// Settles the lines that have a wanted value. Returns whether the option is there without one.
    fn matched(&mut self, arguments: &Arguments, option: &str, part: &mut [Line], values: &mut Vec<String>) -> bool {
        let mut bare = false;
        for line in part {
            let Some(found) = Assigned::read(option, &line.text, Comments::Count) else { continue };
            if let Some(at) = values.iter().position(|value| *value == found.value) {
                let empty = found.value.is_empty() && arguments.allow_no_value;
                bare |= empty;
                let text = if empty { format!("{option}\n") } else { assignment(arguments, option, &found.value) };
                self.settle(arguments, option, line, text);
                values.remove(at);
            } else if values.is_empty() && arguments.values.is_empty() && arguments.allow_no_value {
                self.settle(arguments, option, line, format!("{option}\n"));
                return true;
            }
        }
        bare
    }

    /// Gives lines with other values the wanted ones, and takes out those that are left.
    fn overwritten(
        &mut self,
        arguments: &Arguments,
        option: &str,
        part: &mut Vec<Line>,
        values: &mut Vec<String>,
        first: usize,
    ) {
        let is = |line: &Line| !line.settled && Assigned::read(option, &line.text, Comments::Count).is_some();
        for line in part.iter_mut() {
            if values.is_empty() {
                break;
            }
            if is(line) {
                let text = assignment(arguments, option, &values.remove(0));
                self.settle(arguments, option, line, text);
            }
        }
        for at in (first..part.len()).rev() {
            if is(&part[at]) {
                part.remove(at);
                self.changed = true;
                self.message = "option changed";
            }
        }
    }

    /// Puts what is missing behind the last line of the section that says something.
    fn added(&mut self, arguments: &Arguments, option: &str, part: &mut Vec<Line>, values: &[String], bare: bool) {
        let says = |line: &Line| {
            let text = line.text.trim_matches([' ', '\t', '\n', '\r']);
            !text.is_empty() && !text.starts_with(['#', ';'])
        };
        let at = part.iter().rposition(says).map_or(0, |at| at + 1);
        // Without a head, there is always a place: the beginning of the file.
        let mut lines: Vec<String> = values.iter().map(|value| assignment(arguments, option, value)).collect();
        if values.is_empty() && arguments.values.is_empty() && arguments.allow_no_value && !bare {
            lines.push(format!("{option}\n"));
        }
        if !lines.is_empty() {
            self.changed = true;
            self.message = "option added";
            part.splice(at..at, lines.into_iter().map(|text| Line { text, settled: true }));
        }
    }

    fn settle(&mut self, arguments: &Arguments, option: &str, line: &mut Line, text: String) {
        let value = |text: &str| Assigned::read(option, text, Comments::Count).map(|it| it.value);
        let commented = line.text.starts_with(['#', ';']);
        let differs =
            if arguments.ignore_spaces && !commented { value(&line.text) != value(&text) } else { line.text != text };
        if differs {
            line.text = text;
            self.changed = true;
            self.message = "option changed";
        }
        line.settled = true;
    }

    fn absent(&mut self, arguments: &Arguments, part: &mut Vec<Line>, headed: bool) {
        let before = part.len();
        let Some(option) = &arguments.option else {
            if headed || before > 0 {
                part.clear();
                self.changed = true;
                self.message = "section removed";
            }
            return;
        };
        part.retain(|line| match Assigned::read(option, &line.text, Comments::Ignored) {
            None => true,
            Some(found) => !arguments.exclusive && !arguments.values.contains(&found.value),
        });
        if part.len() != before {
            self.changed = true;
            self.message = "option changed";
        }
    }
}

fn assignment(arguments: &Arguments, option: &str, value: &str) -> String {
    if arguments.no_extra_spaces { format!("{option}={value}\n") } else { format!("{option} = {value}\n") }
}

/// Whether a line that is commented out counts as one of the option.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Comments {
    Count,
    Ignored,
}

/// An option as a line has it.
struct Assigned {
    value: String,
}

impl Assigned {
    fn read(option: &str, line: &str, comments: Comments) -> Option<Self> {
        let line = line.strip_suffix('\n').unwrap_or(line);
        let line = match comments {
            Comments::Count => line.strip_prefix(['#', ';']).unwrap_or(line),
            Comments::Ignored => line,
        };
        let blanks = [' ', '\t'];
        let rest = line.trim_start_matches(blanks).strip_prefix(option)?.trim_start_matches(blanks);
        let value = if rest.is_empty() { rest } else { rest.strip_prefix('=')?.trim_start_matches(blanks) };
        Some(Self { value: value.to_owned() })
    }
}
