//! What differs between two records, and what may.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use ryo::yaml::{self, Dialect};
use serde_json::{Map, Value};

use super::{Case, Record};

/// Keys of results that tell of the moment, of Ansible's own ways, or of nothing.
const PASSING: &[&str] = &[
    "start",
    "end",
    "delta",
    "invocation",
    "diff",
    "warnings",
    "deprecations",
    "exception",
    "discovered_interpreter_python",
    "module_stdout",
    "module_stderr",
    "atime",
    "mtime",
    "ctime",
    "inode",
    "dev",
    "version",
    "attributes",
    "attr_flags",
    "cache_update_time",
    "elapsed",
    "backup_file",
    "backup",
    "ansible_job_id",
    "started",
    "finished",
    "results_file",
    "failed_when_result",
    "skip_reason",
    "block",
    "last_modified",
    "date",
];

/// Keys that matter whether Ansible tells them or not. Any other that we alone tell does no harm.
const DECISIVE: &[&str] = &["changed", "failed", "skipped", "rc", "stdout", "stderr", "unreachable"];

/// Keys of a task that failed by both. Each tells why in words of its own, and Ansible adds what it happened to know.
const OF_A_FAILURE: &[&str] = &["changed", "failed", "rc", "stdout", "stderr"];

/// Differences that are wanted.
pub struct Wanted(Vec<Difference>);

#[derive(Debug, serde::Deserialize)]
struct Difference {
    case: String,
    task: String,
    key: String,
    why: String,
}

impl Wanted {
    /// Reads the list.
    pub fn read(path: &Path) -> Self {
        let text = fs::read_to_string(path).unwrap();
        let documents = yaml::load(&text, Dialect::Ansible).unwrap();
        let list = documents.first().map_or(Value::Array(vec![]), yaml::Node::value);
        let list: Vec<Difference> = serde_json::from_value(list).unwrap();
        assert!(list.iter().all(|it| it.why.len() > 10), "every wanted difference has its reason");
        Self(list)
    }

    fn has(&self, case: &str, task: &str, key: &str) -> bool {
        self.0.iter().any(|it| like(&it.case, case) && like(&it.task, task) && like(&it.key, key))
    }
}

/// Whether `text` is what `pattern` says, in which `*` is anything.
fn like(pattern: &str, text: &str) -> bool {
    let pattern = regex::escape(pattern).replace(r"\*", ".*");
    regex::Regex::new(&format!("(?s)^{pattern}$")).unwrap().is_match(text)
}

/// Returns every difference that is not wanted, a line each.
pub fn differences(case: &Case, theirs: &Record, ours: &Record, wanted: &Wanted) -> Vec<String> {
    let mut found = vec![];
    for (number, (theirs, ours)) in (1..).zip(theirs.runs.iter().zip(&ours.runs)) {
        let mut tell = |task: &str, key: &str, theirs: &Value, ours: &Value| {
            if !wanted.has(&case.name, task, key) {
                let (theirs, ours) = (short(theirs), short(ours));
                found.push(format!("{} run {number}, `{task}`: {key}: ansible {theirs}, ryo {ours}", case.name));
            }
        };
        for (index, task) in case.tasks.iter().enumerate() {
            let of = |results: &[Value]| flat(results.get(index).unwrap_or(&Value::Null));
            let (theirs, ours) = (of(&theirs.results), of(&ours.results));
            let failed = [&theirs, &ours].iter().all(|result| result.contains_key("failed"));
            unlike(&theirs, &ours, |key, a, b| {
                let last = key.rsplit('.').next().unwrap_or(key);
                let more = a.is_null() && (!DECISIVE.contains(&last) || failed && last != "changed");
                if !more && (!failed || OF_A_FAILURE.contains(&last)) {
                    tell(task, key, a, b);
                }
            });
        }
        unlike(&theirs.machine, &ours.machine, |key, a, b| tell("the machine", key, a, b));
    }
    found
}

fn short(value: &Value) -> String {
    let text = value.to_string();
    if text.chars().count() <= 300 { text } else { text.chars().take(300).chain(['…']).collect() }
}

fn unlike(theirs: &Map<String, Value>, ours: &Map<String, Value>, mut tell: impl FnMut(&str, &Value, &Value)) {
    let keys: BTreeSet<&String> = theirs.keys().chain(ours.keys()).collect();
    for key in keys {
        let of = |map: &Map<String, Value>| map.get(key).cloned().unwrap_or(Value::Null);
        let (theirs, ours) = (of(theirs), of(ours));
        if theirs != ours {
            tell(key, &theirs, &ours);
        }
    }
}

/// A result with one level of keys, without what passes. What is false or empty is as if it were not there.
fn flat(value: &Value) -> Map<String, Value> {
    let mut out = Map::new();
    flatten("", value, &mut out);
    out
}

fn flatten(path: &str, value: &Value, out: &mut Map<String, Value>) {
    match value {
        Value::Object(map) => {
            let keys = map.iter().filter(|(key, _)| !PASSING.contains(&key.as_str()) && !key.starts_with("_ansible"));
            for (key, value) in keys {
                let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                flatten(&path, value, out);
            }
        }
        Value::Array(items) if items.iter().any(Value::is_object) => {
            for (index, item) in items.iter().enumerate() {
                flatten(&format!("{path}[{index}]"), item, out);
            }
        }
        Value::String(text) if text.contains("/.ansible/tmp/") || text.contains("/ansible-tmp-") => {}
        Value::String(text) if text.is_empty() => {}
        Value::Null | Value::Bool(false) => {}
        // systemd tells its sets in no order.
        Value::String(text) if path.starts_with("status.") => {
            let mut words: Vec<&str> = text.split_whitespace().collect();
            words.sort_unstable();
            out.insert(path.to_owned(), words.join(" ").into());
        }
        other => drop(out.insert(path.to_owned(), other.clone())),
    }
}

/// What `now` has that `before` had not, or has otherwise; null for what is gone.
pub fn changes(before: &Map<String, Value>, now: &Map<String, Value>) -> Map<String, Value> {
    let mut out = Map::new();
    unlike(before, now, |key, _, now| drop(out.insert(key.to_owned(), now.clone())));
    out
}

#[test]
fn a_difference_is_found_and_a_wanted_one_is_not() {
    let run = |mode: &str| super::Run {
        results: vec![serde_json::json!({ "mode": mode, "delta": mode, "changed": false })],
        machine: Map::new(),
    };
    let record = |mode: &str| Record { runs: vec![run(mode)] };
    let case = Case::of("file", "- name: One\n  file: {}\n".to_owned());
    let wanted = |key: &str| {
        Wanted(vec![Difference { case: "file".into(), task: "*".into(), key: key.into(), why: String::new() }])
    };
    let found = differences(&case, &record("0644"), &record("0600"), &wanted("owner"));
    assert_eq!(found, ["file run 1, `One`: mode: ansible \"0644\", ryo \"0600\""]);
    assert!(differences(&case, &record("0644"), &record("0600"), &wanted("mo*")).is_empty());
    assert!(differences(&case, &record("0644"), &record("0644"), &wanted("owner")).is_empty());
}
