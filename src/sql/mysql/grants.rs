//! What `SHOW GRANTS` says, and privileges as people write them.
//!
//! Source: community.mysql 3.8, `plugins/module_utils/user.py`.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use fancy_regex::Regex;

/// Privileges by what they are for (`` `db`.* ``), in the order in which they are named.
pub type Privileges = BTreeMap<String, Vec<String>>;

static GRANT: LazyLock<Option<Regex>> = LazyLock::new(|| {
    let pattern = r#"^GRANT (.+) ON (.+) TO (['`"]).*\3@(['`"]).*\4( IDENTIFIED BY PASSWORD (['`"]).+\6)? ?(.*)"#;
    Regex::new(pattern).ok()
});

/// Reads the lines of `SHOW GRANTS`. Lines that give roles are left out.
///
/// # Errors
///
/// A line that is none.
pub fn read<'l>(lines: impl Iterator<Item = &'l str>) -> Result<Privileges, String> {
    let mut found = Privileges::new();
    for line in lines {
        let captured = GRANT.as_ref().and_then(|pattern| pattern.captures(line).ok().flatten());
        let Some(captured) = captured else {
            if line.starts_with("GRANT ") || line.starts_with("SET DEFAULT ROLE ") {
                continue;
            }
            return Err(format!("unable to parse the MySQL grant string: {line}"));
        };
        let group = |number: usize| captured.get(number).map_or("", |group| group.as_str());
        let privileges = group(1).split(',').map(str::trim);
        let privileges = privileges.map(|name| if name == "ALL PRIVILEGES" { "ALL" } else { name }.to_owned());
        let mut privileges = columns_sorted(privileges.collect());
        if group(7).contains("WITH GRANT OPTION") {
            privileges.push("GRANT".to_owned());
        }
        found.entry(group(2).to_owned()).or_default().extend(privileges);
    }
    Ok(found)
}

/// Joins `SELECT (a` and `b)` to `SELECT (a, b)`, columns sorted.
fn columns_sorted(mut privileges: Vec<String>) -> Vec<String> {
    for name in ["SELECT", "UPDATE", "INSERT", "REFERENCES"] {
        let opens = format!("{name} (");
        let Some(start) = privileges.iter().rposition(|it| it.contains(&opens)) else { continue };
        let Some(length) = privileges[start..].iter().position(|it| it.contains(')')) else { continue };
        let whole = privileges[start..=start + length].join(", ");
        privileges.splice(start..=start + length, [sorted(&whole)]);
    }
    privileges
}

fn sorted(privilege: &str) -> String {
    let Some((name, columns)) = privilege.split_once('(') else { return privilege.to_owned() };
    let columns = columns.trim_end_matches(')').split(',');
    let mut columns: Vec<&str> = columns.map(|column| column.trim().trim_matches('`')).collect();
    columns.sort_unstable();
    format!("{name}({})", columns.join(", "))
}

/// How the server writes names: `ANSI` mode has its own quotes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quotes {
    /// `` `name` ``.
    Usual,
    /// `"name"`.
    Ansi,
}

/// Whether names of columns stay as written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ColumnCase {
    /// They do.
    Kept,
    /// They become capitals.
    Upper,
}

/// Reads `db.table:PRIVILEGE,PRIVILEGE/db.*:ALL`.
///
/// # Errors
///
/// A part without a colon.
pub fn written(text: &str, quotes: Quotes, case: ColumnCase) -> Result<Privileges, String> {
    let mut wanted = Privileges::new();
    for item in text.trim().split('/') {
        let (what, privileges) =
            item.trim().rsplit_once(':').ok_or_else(|| format!("invalid privileges string: {item}"))?;
        let named = privileges.contains('(');
        let cased = if named && case == ColumnCase::Kept { privileges.to_owned() } else { privileges.to_uppercase() };
        let parts = if named { split_outside_brackets(&cased) } else { cased.split(',').map(str::to_owned).collect() };
        wanted.insert(target(what, quotes), columns_sorted(parts));
    }
    Ok(wanted)
}

/// `db.table` with its names quoted; `*` stands for itself.
pub fn target(what: &str, quotes: Quotes) -> String {
    let quote = if quotes == Quotes::Ansi { '"' } else { '`' };
    let (kind, rest) = match what.split_once(' ') {
        Some((kind @ ("FUNCTION" | "PROCEDURE"), rest)) => (format!("{kind} "), rest),
        _ => (String::new(), what),
    };
    let quoted = |side: &str| match side.trim_matches('`') {
        "*" => side.to_owned(),
        bare => format!("{quote}{}{quote}", bare.replace(quote, &format!("{quote}{quote}"))),
    };
    match rest.rsplit_once('.') {
        Some((database, table)) => format!("{kind}{}.{}", quoted(database), quoted(table)),
        None => format!("{kind}{}", quoted(rest)),
    }
}

fn split_outside_brackets(text: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut depth = 0_usize;
    for letter in text.chars() {
        match letter {
            ',' if depth == 0 => {
                parts.push(String::new());
                continue;
            }
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            ' ' if parts.last().is_some_and(String::is_empty) => continue,
            _ => {}
        }
        if let Some(part) = parts.last_mut() {
            part.push(letter);
        }
    }
    parts
}
