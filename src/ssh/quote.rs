//! Words → the one line that an SSH server hands to the account's shell.

/// Words made of these need no quotes in any shell.
const PLAIN: &str = "%+-./:=@_";

/// Returns a line that a POSIX shell splits into exactly `words`; `None` where there is no such line: without a word
/// it would start a login shell, and a NUL byte ends it.
pub(super) fn line(words: &[String]) -> Option<String> {
    if words.is_empty() || words.iter().any(|word| word.contains('\0')) {
        return None;
    }
    Some(words.iter().enumerate().map(|(at, word)| quoted(at, word)).collect::<Vec<_>>().join(" "))
}

fn quoted(at: usize, word: &str) -> String {
    let harmless = |c: char| c.is_ascii_alphanumeric() || PLAIN.contains(c);
    // `a=b` in front of a command is an assignment, `=` and `%` have meanings of their own in zsh and csh.
    let plain = !word.is_empty() && word.chars().all(harmless) && !word.starts_with(['=', '%']);
    if plain && !(at == 0 && word.contains('=')) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}
