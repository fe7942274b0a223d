//! What the modules of databases have in common.

use std::io;

use serde_json::{Map, Value};

use crate::module::arguments::{self, Parameter};
use crate::module::{Failed, Outcome};

/// The parameters of a module and those of its login, in one table.
///
/// # Panics
///
/// While it is compiled, if `N` is not how many there are.
pub(crate) const fn joined<const A: usize, const B: usize, const N: usize>(
    own: [Parameter; A],
    login: [Parameter; B],
) -> [Parameter; N] {
    assert!(A + B == N, "the number of parameters");
    let mut all = [own[0]; N];
    let mut at = 0;
    while at < N {
        all[at] = if at < A { own[at] } else { login[at - A] };
        at += 1;
    }
    all
}

/// Waits for what speaks to a server: modules are plain functions.
pub(crate) fn wait<T>(work: impl Future<Output = Result<T, Failed>>) -> Result<T, Failed> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failed::new(format!("cannot wait for a server: {error}")))?;
    runtime.block_on(work)
}

/// A failure of the system as Python writes it, e.g. `[Errno 2] No such file or directory`.
pub(crate) fn python(error: &io::Error) -> String {
    let text = error.to_string();
    match error.raw_os_error() {
        Some(number) => format!("[Errno {number}] {}", text.split(" (os error").next().unwrap_or_default()),
        None => text,
    }
}

/// A text as Python's `repr` gives it.
pub(crate) fn repr(text: &str) -> String {
    arguments::python(&Value::from(text))
}

/// The outcome of a module that cannot tell what it would do.
pub(crate) fn unchecked(module: &str) -> Outcome {
    let message = format!("remote module ({module}) does not support check mode");
    let mut outcome = Outcome { skipped: true, ..Outcome::default() };
    outcome.values.insert("msg".to_owned(), Value::from(message));
    outcome
}

pub(crate) fn yes() -> bool {
    true
}

/// A statement with what stands for its places: `%s` in order, or `%(name)s`.
///
/// # Errors
///
/// [`Failed`]: there are more places than values, or none of that name.
pub(crate) fn filled(
    query: &str,
    positional: Option<&[Value]>,
    named: Option<&Map<String, Value>>,
    quoted: fn(&Value) -> String,
) -> Result<String, Failed> {
    if positional.is_none_or(<[Value]>::is_empty) && named.is_none_or(Map::is_empty) {
        return Ok(query.to_owned());
    }
    let mut values = positional.unwrap_or_default().iter();
    let mut text = String::new();
    let mut rest = query;
    while let Some((before, after)) = rest.split_once('%') {
        text.push_str(before);
        let (value, after) = if let Some(after) = after.strip_prefix('%') {
            ("%".to_owned(), after)
        } else if let Some(after) = after.strip_prefix('s').filter(|_| named.is_none()) {
            let value = values.next().ok_or_else(|| Failed::new("not enough arguments for format string"))?;
            (quoted(value), after)
        } else if let Some((name, after)) = after.strip_prefix('(').and_then(|it| it.split_once(")s")) {
            let value = named.and_then(|named| named.get(name));
            (quoted(value.ok_or_else(|| Failed::new(repr(name)))?), after)
        } else {
            return Err(Failed::new("unsupported format character"));
        };
        text.push_str(&value);
        rest = after;
    }
    text.push_str(rest);
    match values.next() {
        Some(_) => Err(Failed::new("not all arguments converted during string formatting")),
        None => Ok(text),
    }
}
