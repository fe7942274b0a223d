//! `ini` and `csvfile`.

use crate::playbook::jinja::Value;
use crate::playbook::lookup::{Options, files};
use crate::playbook::scope::TaskScope;
use crate::playbook::words;

/// Options of a lookup, those written in its term over those given by name.
struct Given<'o> {
    options: Options<'o>,
    inline: Vec<(String, String)>,
}

impl Given<'_> {
    fn text(&self, name: &str, default: &str) -> String {
        let inline = self.inline.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone());
        inline.unwrap_or_else(|| self.options.text(name, default))
    }

    fn default(&self) -> Option<Value> {
        let inline = self.inline.iter().find(|(known, _)| known == "default").map(|(_, value)| Value::text(value));
        inline.or_else(|| self.options.get("default").cloned())
    }
}

fn given<'o>(term: &str, options: Options<'o>) -> Result<(String, Given<'o>), String> {
    let line = words::split(term, words::Keys::All)?;
    Ok((line.text.trim().to_owned(), Given { options, inline: line.pairs }))
}

/// `ini`: values of a section.
pub fn ini(
    scope: &TaskScope<'_>,
    terms: impl Iterator<Item = String>,
    options: Options<'_>,
) -> Result<Vec<Value>, String> {
    let mut found = vec![];
    for term in terms {
        let (key, given) = given(&term, options)?;
        let file = given.text("file", "ansible.ini");
        let text = files::text(scope, "files", &file)?;
        let properties = given.text("type", "ini") == "properties";
        let wanted = if properties { String::new() } else { given.text("section", "global") };
        let entries = section(&text, &wanted).ok_or_else(|| format!("there is no section `{wanted}` in `{file}`"))?;
        let same = |name: &str| match given.text("case_sensitive", "false").to_lowercase().as_str() {
            "true" | "yes" => name == key,
            _ => name.eq_ignore_ascii_case(&key),
        };
        if options.flag("re") {
            let regex = fancy_regex::Regex::new(&format!("^(?:{key})")).map_err(|error| error.to_string())?;
            let matched = entries.iter().filter(|(name, _)| regex.is_match(name).unwrap_or(false));
            found.extend(matched.map(|(_, value)| Value::text(value)));
        } else {
            let entry = entries.iter().rev().find(|(name, _)| same(name)).map(|(_, value)| Value::text(value));
            found.extend(entry.or_else(|| given.default()).or_else(|| Some(Value::text(""))));
        }
    }
    Ok(found)
}

/// The entries of a section; those before the first section belong to none.
fn section(text: &str, wanted: &str) -> Option<Vec<(String, String)>> {
    let mut here = wanted.is_empty();
    let mut entries: Option<Vec<(String, String)>> = here.then(Vec::new);
    let (mut defaults, mut in_defaults): (Vec<(String, String)>, bool) = (vec![], false);
    for line in text.lines() {
        let bare = line.trim();
        if bare.is_empty() || bare.starts_with(['#', ';']) {
            continue;
        }
        if let Some(name) = bare.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            here = name == wanted;
            in_defaults = name == "DEFAULT";
            if here {
                entries.get_or_insert_default();
            }
            continue;
        }
        let list = if in_defaults { Some(&mut defaults) } else { entries.as_mut().filter(|_| here) };
        let Some(list) = list else { continue };
        let continued = line.starts_with([' ', '\t']) && !list.is_empty();
        match (bare.split_once(['=', ':']), list.last_mut()) {
            (_, Some((_, value))) if continued => {
                value.push('\n');
                value.push_str(bare);
            }
            (Some((name, value)), _) => list.push((name.trim().to_lowercase(), value.trim().to_owned())),
            (None, _) => {}
        }
    }
    entries.map(|entries| [defaults, entries].concat())
}

/// `csvfile`: a field of the first row that begins with a key.
pub fn csv(
    scope: &TaskScope<'_>,
    terms: impl Iterator<Item = String>,
    options: Options<'_>,
) -> Result<Vec<Value>, String> {
    let mut found = vec![];
    for term in terms {
        let (key, given) = given(&term, options)?;
        if key.is_empty() {
            return Err("needs a key to look for".to_owned());
        }
        let text = files::text(scope, "files", &given.text("file", "ansible.csv"))?;
        let delimiter = match given.text("delimiter", "TAB").as_str() {
            "TAB" | "\\t" => '\t',
            other => other.chars().next().ok_or("needs a delimiter")?,
        };
        let column: usize = given.text("col", "1").parse().map_err(|_| "needs a number as `col`")?;
        let row = rows(&text, delimiter).into_iter().find(|row| row.first() == Some(&key));
        match row {
            Some(row) => found.push(Value::text(row.get(column).ok_or("the row has no such column")?)),
            None => found.extend(given.default()),
        }
    }
    Ok(found)
}

/// Rows of fields; a field may stand in quotes, doubled quotes stand for one.
fn rows(text: &str, delimiter: char) -> Vec<Vec<String>> {
    let (mut rows, mut row, mut field) = (vec![], vec![], String::new());
    let mut quoted = false;
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '"' if quoted && chars.next_if_eq(&'"').is_some() => field.push('"'),
            '"' => quoted = !quoted,
            c if quoted => field.push(c),
            c if c == delimiter => row.push(std::mem::take(&mut field)),
            '\n' => {
                row.push(std::mem::take(&mut field));
                rows.push(std::mem::take(&mut row));
            }
            '\r' => {}
            c => field.push(c),
        }
    }
    if !field.is_empty() || !row.is_empty() {
        row.push(field);
        rows.push(row);
    }
    rows
}
