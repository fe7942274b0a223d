//! What a task leaves behind, as Ansible names it.

use std::fmt::Write as _;

use serde_json::{Map, Value as Json, json};

use crate::event::TaskStatus;
use crate::module::{Diff, Outcome, template};

/// A result: the registered value of a task or of one item.
pub type Result = Map<String, Json>;

/// Makes a result of an outcome.
pub fn of_outcome(outcome: &Outcome) -> Result {
    let mut result = Result::new();
    result.insert("changed".to_owned(), Json::Bool(outcome.changed));
    result.extend(outcome.values.clone());
    result.insert("failed".to_owned(), Json::Bool(outcome.failed.is_some()));
    if let Some(message) = &outcome.failed {
        result.insert("msg".to_owned(), Json::from(message.as_str()));
    }
    if outcome.skipped {
        result.insert("skipped".to_owned(), Json::Bool(true));
    }
    if !outcome.warnings.is_empty() {
        result.insert("warnings".to_owned(), json!(outcome.warnings));
    }
    result
}

/// Makes the result of a task that failed before it was sent.
pub fn failed(message: impl Into<String>) -> Result {
    pairs([("changed", json!(false)), ("failed", json!(true)), ("msg", Json::from(message.into()))])
}

/// Makes the result of a task whose condition is false.
pub fn skipped(condition: Json) -> Result {
    pairs([
        ("changed", json!(false)),
        ("skipped", json!(true)),
        ("skip_reason", json!("Conditional result was False")),
        ("false_condition", condition),
    ])
}

/// Makes the result of a task that does nothing in check mode.
pub fn unasked() -> Result {
    pairs([("changed", json!(false)), ("skipped", json!(true))])
}

/// Makes a result of keys and values.
pub fn pairs<const N: usize>(pairs: [(&str, Json); N]) -> Result {
    pairs.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
}

/// Reads a truth value of a result.
pub fn flag(result: &Result, key: &str) -> bool {
    result.get(key).and_then(Json::as_bool).unwrap_or(false)
}

/// How a result counts.
pub fn status(result: &Result) -> TaskStatus {
    if flag(result, "unreachable") {
        TaskStatus::Unreachable
    } else if flag(result, "failed") {
        TaskStatus::Failed
    } else if flag(result, "skipped") {
        TaskStatus::Skipped
    } else if flag(result, "changed") {
        TaskStatus::Changed
    } else {
        TaskStatus::Ok
    }
}

/// Puts the results of the items of a loop together.
pub fn of_items(results: Vec<Result>) -> Result {
    let any = |key: &str| results.iter().any(|result| flag(result, key));
    let (changed, failed) = (any("changed"), any("failed"));
    let all_skipped = !results.is_empty() && results.iter().all(|result| flag(result, "skipped"));
    let mut whole = Result::new();
    if results.is_empty() {
        return pairs([
            ("changed", json!(false)),
            ("skipped", json!(true)),
            ("skipped_reason", json!("No items in the list")),
            ("results", json!([])),
        ]);
    }
    let message = match (failed, all_skipped) {
        (true, _) => "One or more items failed",
        (false, true) => "All items skipped",
        (false, false) => "All items completed",
    };
    whole.insert("results".to_owned(), Json::Array(results.into_iter().map(Json::Object).collect()));
    whole.insert("skipped".to_owned(), Json::Bool(all_skipped));
    if failed {
        whole.insert("failed".to_owned(), Json::Bool(true));
    }
    whole.insert("msg".to_owned(), Json::from(message));
    whole.insert("changed".to_owned(), Json::Bool(changed));
    whole
}

/// What a person reads of a result.
pub fn message(result: &Result) -> Option<String> {
    let text = |value: &Json| match value {
        Json::String(text) => text.clone(),
        other => serde_json::to_string_pretty(other).unwrap_or_default(),
    };
    let mut message = result.get("msg").map(text).filter(|message| !message.is_empty());
    if flag(result, "failed") {
        for key in ["stderr", "stdout"] {
            let said = result.get(key).and_then(Json::as_str).map(str::trim).filter(|said| !said.is_empty());
            if let Some(said) = said {
                let message = message.get_or_insert_default();
                if !message.contains(said) {
                    let _ = write!(message, "\n{said}");
                }
            }
        }
    }
    message
}

/// Writes differences as unified diffs.
pub fn unified(diffs: &[Diff]) -> Option<String> {
    let mut out = String::new();
    for diff in diffs.iter().filter(|diff| diff.before != diff.after) {
        let changes = similar::TextDiff::from_lines(&diff.before, &diff.after);
        let (before, after) = (format!("before: {}", diff.subject), format!("after: {}", diff.subject));
        let _ = write!(out, "{}", changes.unified_diff().context_radius(3).header(&before, &after));
    }
    (!out.is_empty()).then_some(out)
}

/// A template with the syntax that its task asks for at its head.
pub struct Headed {
    /// The text.
    pub text: String,
    /// Lines that were put in front.
    pub shift: usize,
}

/// Writes what a `template` task says about syntax as Ansible's own header line, unless the file has one.
pub fn with_syntax(arguments: &template::Arguments, text: String) -> Headed {
    let texts = [
        ("block_start_string", &arguments.block_start_string),
        ("block_end_string", &arguments.block_end_string),
        ("variable_start_string", &arguments.variable_start_string),
        ("variable_end_string", &arguments.variable_end_string),
        ("comment_start_string", &arguments.comment_start_string),
        ("comment_end_string", &arguments.comment_end_string),
    ];
    let mut parts: Vec<String> =
        texts.iter().filter_map(|(key, value)| value.as_ref().map(|value| format!("{key}:'{value}'"))).collect();
    if !arguments.trim_blocks {
        parts.push("trim_blocks:False".to_owned());
    }
    if arguments.lstrip_blocks {
        parts.push("lstrip_blocks:True".to_owned());
    }
    if parts.is_empty() || text.starts_with("#jinja2:") {
        return Headed { text, shift: 0 };
    }
    Headed { text: format!("#jinja2: {}\n{text}", parts.join(", ")), shift: 1 }
}
