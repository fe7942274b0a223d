//! Every module against the real Ansible: the same tasks, twice each, in the same container; then what is registered and
//! what the machine has become are compared.
//!
//! A case is `tests/differential/NAME.yml`, a list of tasks. What Ansible did is kept in the cache by the digest of
//! everything it depends on, so that it is asked again only when something has changed; or when the two differ, as what
//! packages there are changes by itself. Wanted differences stand with their reasons in
//! `tests/differential/differences.yml`.

#[path = "differential/case.rs"]
mod case;
#[path = "differential/compare.rs"]
mod compare;
#[path = "differential/twin.rs"]
mod twin;

use std::collections::BTreeSet;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::thread;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::support::bed::var;
use case::Case;
use compare::Wanted;
use twin::Twin;

/// How many cases are played side by side.
const AT_ONCE: usize = 2;

/// Fewer tasks than this prove too little.
const ENOUGH: usize = 400;

/// What one of the two did in one container.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// First run and second run.
    runs: Vec<Run>,
}

/// What one run left behind.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Run {
    /// What each task registered, in the order of the case.
    results: Vec<Value>,
    /// What differs from the machine as it was, by what it is.
    machine: serde_json::Map<String, Value>,
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/differential")
}

/// Plays `case` twice by `player` in a fresh container.
///
/// # Errors
///
/// It did not come to its end: what was said.
fn record(case: &Case, twin: &Twin, player: &dyn Fn(&Path) -> Command) -> Result<Record, String> {
    let clean = twin.reset();
    let directory = tempfile::tempdir().unwrap();
    case.write(directory.path(), &folder(), &twin.inventory());
    let run = |_| -> Result<Run, String> {
        let output = player(directory.path()).stdin(Stdio::null()).output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let results = twin.results(directory.path()).map_err(|error| {
            format!("{}: no results: {error}\n{}\n{}", case.name, text(&output.stdout), text(&output.stderr))
        })?;
        Ok(Run { results, machine: compare::changes(&clean, &twin.look()) })
    };
    Ok(Record { runs: [1, 2].into_iter().map(run).collect::<Result<_, _>>()? })
}

fn by_ansible(twin: &Twin) -> impl Fn(&Path) -> Command {
    let known_hosts = twin.known_hosts();
    move |directory| {
        let mut command = Command::new(var("RYO_ANSIBLE_PLAYBOOK"));
        command.args(["-i", "inventory", "play.yml"]).current_dir(directory).env("HOME", directory);
        command.env("ANSIBLE_HOME", directory.join("ansible")).env("ANSIBLE_PIPELINING", "true");
        command.env("ANSIBLE_LOCALHOST_WARNING", "false").env("ANSIBLE_NOCOLOR", "1");
        let arguments =
            format!("-C -o ControlMaster=auto -o ControlPersist=30s -o UserKnownHostsFile={}", known_hosts.display());
        command.env("ANSIBLE_SSH_ARGS", arguments);
        command
    }
}

fn by_ryo(twin: &Twin) -> impl Fn(&Path) -> Command {
    let known_hosts = twin.known_hosts();
    move |directory| {
        fs::create_dir_all(directory.join(".ssh")).unwrap();
        fs::copy(&known_hosts, directory.join(".ssh/known_hosts")).unwrap();
        let mut command = Command::new(var("RYO_BIN"));
        command.args(["play", "-i", "inventory", "play.yml"]).current_dir(directory).env("HOME", directory);
        command.env_remove("SSH_AUTH_SOCK").env_remove("XDG_CACHE_HOME");
        command
    }
}

/// Where what Ansible did with `case` is remembered.
fn memory(case: &Case) -> PathBuf {
    let digest = case.digest(&[&var("RYO_DEBIAN_IMAGE"), &var("RYO_ANSIBLE_PLAYBOOK"), twin::LOOK, case::FRAME]);
    PathBuf::from(var("RYO_CACHE")).join(format!("differential/{}-{digest}.json", case.name))
}

/// Sees what Ansible does with `case`.
fn reference(case: &Case, twin: &Twin) -> Result<Record, String> {
    let kept = memory(case);
    let record = record(case, twin, &by_ansible(twin))?;
    fs::create_dir_all(kept.parent().unwrap()).unwrap();
    fs::write(&kept, serde_json::to_vec(&record).unwrap()).unwrap();
    Ok(record)
}

/// Plays a case by both in containers like `base` and returns where they differ.
fn differences(case: &Case, base: &str, wanted: &Wanted) -> Vec<String> {
    let twin = Twin::new(case, base);
    let compared = |theirs: Record| {
        let ours = record(case, &twin, &by_ryo(&twin));
        ours.map_or_else(|failed| vec![failed], |ours| compare::differences(case, &theirs, &ours, wanted))
    };
    let remembered = fs::read(memory(case)).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok());
    match remembered.map(compared) {
        Some(found) if found.is_empty() => return found,
        Some(found) => drop(writeln!(std::io::stderr(), "not as Ansible did it before:\n{}", found.join("\n"))),
        None => {}
    }
    reference(case, &twin).map_or_else(|failed| vec![failed], compared)
}

/// Cases that need the same packages are played one after the other, in copies of one container. The longest rows last,
/// because the queue is taken from its end.
fn together(cases: Vec<Case>) -> Vec<Vec<Case>> {
    let mut rows: Vec<Vec<Case>> = vec![];
    for case in cases {
        match rows.iter_mut().find(|row| !case.needs.is_empty() && row[0].needs == case.needs) {
            Some(row) => row.push(case),
            None => rows.push(vec![case]),
        }
    }
    rows.sort_by_key(Vec::len);
    rows
}

#[test]
fn what_modules_do_is_what_ansible_does() {
    let mut cases = Case::all(&folder());
    if let Ok(only) = std::env::var("RYO_DIFFERENTIAL") {
        cases.retain(|case| only.split(',').any(|name| name == case.name));
    } else {
        let tasks: usize = cases.iter().map(|case| case.tasks.len()).sum();
        assert!(tasks >= ENOUGH, "only {tasks} tasks");
    }
    twin::foundation();
    let wanted = Wanted::read(&folder().join("differences.yml"));
    let (queue, found) = (Mutex::new(together(cases)), Mutex::new(vec![]));
    thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                loop {
                    let Some(cases) = queue.lock().unwrap().pop() else { return };
                    let base = twin::base(&cases[0].needs);
                    for case in cases {
                        let these = differences(&case, &base, &wanted);
                        found.lock().unwrap().extend(these);
                    }
                }
            });
        }
    });
    let found = found.into_inner().unwrap();
    assert!(found.is_empty(), "{} differences:\n{}", found.len(), found.join("\n"));
}

/// Every module that there is has a case that uses it.
#[test]
fn every_module_is_compared_with_ansible() {
    let cases = Case::all(&folder());
    let text: String = cases.iter().map(|case| case.text.as_str()).collect();
    let used: BTreeSet<&str> = text
        .lines()
        .filter_map(|line| line.trim_start().trim_start_matches("- ").split_once(':'))
        .map(|(word, _)| ryo::module::short(word))
        .collect();
    let missing: Vec<&str> = ryo::module::NAMES.iter().filter(|name| !used.contains(**name)).copied().collect();
    assert_eq!(missing, Vec::<&str>::new());
}
