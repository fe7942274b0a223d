//! Figures and foreign text as a person reads them.

use jiff::Timestamp;

/// Most characters of a foreign text that are shown.
const LONGEST: usize = 300;

/// A span of seconds in its largest unit, e.g. `3 days`.
pub fn span(seconds: u64) -> String {
    let units = [(86_400, "day"), (3_600, "hour"), (60, "minute"), (1, "second")];
    let (length, unit) = units.into_iter().find(|(length, _)| seconds >= *length).unwrap_or((1, "second"));
    let count = seconds / length;
    format!("{count} {unit}{}", if count == 1 { "" } else { "s" })
}

/// The day of a time in seconds since 1970, UTC, e.g. `2026-11-23`.
pub fn day(seconds: u64) -> String {
    time(seconds, "%Y-%m-%d")
}

/// The minute of a time in seconds since 1970, UTC, e.g. `2026-11-23 03:15`.
pub fn minute(seconds: u64) -> String {
    time(seconds, "%Y-%m-%d %H:%M")
}

fn time(seconds: u64, form: &str) -> String {
    let time = i64::try_from(seconds).ok().and_then(|seconds| Timestamp::from_second(seconds).ok());
    time.map_or_else(|| "?".to_owned(), |time| time.strftime(form).to_string())
}

/// Share in percent.
pub fn percent(part: u64, whole: u64) -> u64 {
    part.saturating_mul(100).checked_div(whole).unwrap_or(0)
}

/// Bytes in GiB with one place, e.g. `12.2`.
pub fn gib(bytes: u64) -> String {
    let tenths = bytes.saturating_mul(10) >> 30;
    format!("{}.{}", tenths / 10, tenths % 10)
}

/// A foreign text on one line: what a terminal would take for a command is a question mark, what is too long is cut.
pub fn line(text: &str) -> String {
    let harmless = |c: char| match c {
        '\n' | '\t' => ' ',
        c if c.is_control() || ('\u{202a}'..='\u{202e}').contains(&c) || ('\u{2066}'..='\u{2069}').contains(&c) => '?',
        c => c,
    };
    let mut line: String = text.trim().chars().take(LONGEST).map(harmless).collect();
    if text.trim().chars().nth(LONGEST).is_some() {
        line.push('…');
    }
    line
}

/// Rows with columns as wide as their widest cell, two spaces between them; the first row is the head.
pub fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    // The last cell of a row bounds nothing.
    let wide = |column: usize| {
        let bounded = rows.iter().filter(|row| row.len() > column + 1);
        bounded.map(|row| row[column].chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(wide).collect();
    let mut text = String::new();
    for row in rows {
        let cells = row.iter().zip(&widths).map(|(cell, width)| {
            let missing = width.saturating_sub(cell.chars().count());
            format!("{cell}{}", " ".repeat(missing))
        });
        text.push_str(cells.collect::<Vec<_>>().join("  ").trim_end());
        text.push('\n');
    }
    text
}
