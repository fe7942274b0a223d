//! What was done, read back: `ryo log`.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

use ryo::archive::Compression;
use ryo::flow::backup::store::Repository;
use ryo::flow::backup::{How, Spec};
use ryo::flow::figures;
use ryo::flow::journal::{self, read};
use ryo::plan::{Action, Plan, Step};
use ryo::restic::Place;
use ryo::secret::Secret;
use serde_json::{Value, json};

use crate::support::stage::Stage;
use crate::support::work::Ended;

/// A line of the journal, written as a command writes it, at a time of our own.
fn line(when: u64, title: &str, result: &str, outages: &[(&str, u64)]) -> String {
    let step = Step { owner: "ryo-tiny".to_owned(), action: Action::StopInstance("tiny".to_owned()) };
    let plan = Plan { title: title.to_owned(), steps: vec![step], ..Plan::default() };
    let outages: BTreeMap<String, u64> = outages.iter().map(|(name, took)| ((*name).to_owned(), *took)).collect();
    let mut line = journal::line("anna@desk", &plan, Duration::from_millis(48_250), result, &outages);
    line["when"] = Value::from(when);
    line.to_string()
}

const MORNING: u64 = 1_795_835_700;

fn written(home: &Path, text: &str) {
    let file = journal::own(home);
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    fs::write(file, text).unwrap();
}

fn log(home: &Path, words: &[&str]) -> Ended {
    Ended::here(home, &[&["log"], words].concat(), |_| ())
}

/// An entry whose only step this is.
fn entry(action: Action) -> read::Entry {
    let step = Step { owner: "ryo-tiny".to_owned(), action };
    let plan = Plan { steps: vec![step], ..Plan::default() };
    let line = journal::line("anna@desk", &plan, Duration::ZERO, "done", &BTreeMap::new());
    serde_json::from_value(line).unwrap()
}

#[test]
fn the_steps_of_a_backup_are_known_as_such() {
    let stage = Stage::new();
    let spec = stage.archives("1", Compression::Gzip).remove(1);
    let place = Place::new(Path::new("/srv/backups"), Secret::new(""));
    let repository = Repository { place, records: "/srv/records".into() };
    let stored = Spec { repository: Some(repository), ..spec.clone() };
    let (name, boxed) = (|| vec!["tiny".to_owned()], || Box::new(spec.clone()));
    let copies = [How::Serving, How::Changed, How::Stopped, How::Snapshot];
    let mut steps: Vec<Action> = copies.map(|how| Action::Copy { spec: boxed(), how }).into();
    steps.extend([Action::Pause(name()), Action::Freeze(name()), Action::Snapshot(boxed()), Action::Resume(name())]);
    for step in steps {
        assert!(step.backs_up() && !entry(step.clone()).changes("ryo-tiny"), "{step}");
        assert!(!entry(step.clone()).backed_up("ryo-tiny"), "{step}");
    }
    for step in [Action::Archive(boxed()), Action::Archive(Box::new(stored))] {
        assert!(step.backs_up() && !entry(step.clone()).changes("ryo-tiny"), "{step}");
        assert!(entry(step.clone()).backed_up("ryo-tiny"), "{step}");
    }
    for step in [Action::Prove(name()), Action::RemoveInstance("tiny".to_owned())] {
        assert!(!step.backs_up() && entry(step.clone()).changes("ryo-tiny"), "{step}");
    }
}

#[test]
fn what_was_done_is_told_newest_first() {
    let home = tempfile::tempdir().unwrap();
    let lines = [
        line(MORNING, "deploy ryo-tiny 1 on web", "done", &[]),
        line(MORNING + 60, "deploy ryo-tiny 2 on web", "instance `tiny` did not come up\nno address", &[]),
        line(MORNING + 7200, "backup ryo-tiny on web", "done", &[("store", 65_000), ("tiny", 1_449)]),
    ];
    written(home.path(), &lines.map(|line| format!("{line}\n")).concat());
    let ended = log(home.path(), &[]).well();
    assert_eq!(
        ended.stdout,
        "WHEN (UTC)        WHO        TOOK    RESULT  PLAN\n\
         2026-11-28 05:15  anna@desk  48.2 s  done    backup ryo-tiny on web\n\
         \x20                                              store did not serve for 1 min 5 s\n\
         \x20                                              tiny did not serve for 1.4 s\n\
         2026-11-28 03:16  anna@desk  48.2 s  failed  deploy ryo-tiny 2 on web\n\
         \x20                                              because: instance `tiny` did not come up no address\n\
         2026-11-28 03:15  anna@desk  48.2 s  done    deploy ryo-tiny 1 on web\n"
    );
    assert_eq!(ended.stderr, "");
    let ended = log(home.path(), &["--limit", "1", "--json"]).well();
    let told: Value = serde_json::from_str(&ended.stdout).unwrap();
    assert_eq!(
        told["result"],
        json!({
            "entries": [{
                "when": MORNING + 7200,
                "who": "anna@desk",
                "plan": "backup ryo-tiny on web",
                "steps": ["ryo-tiny: stop instance tiny"],
                "result": "done",
                "took": 48_250,
                "outages": { "store": 65_000, "tiny": 1_449 },
            }],
            "damaged": 0,
            "cut": false,
        })
    );
}

#[test]
fn a_computer_from_which_nothing_was_done_says_so() {
    let home = tempfile::tempdir().unwrap();
    let ended = log(home.path(), &[]).well();
    assert_eq!((ended.stdout.as_str(), ended.stderr.as_str()), ("nothing has been done yet\n", ""));
}

#[test]
fn a_journal_that_cannot_be_read_is_named() {
    let home = tempfile::tempdir().unwrap();
    fs::create_dir_all(journal::own(home.path())).unwrap();
    let ended = log(home.path(), &[]);
    assert_eq!(ended.code, Some(1));
    assert_eq!(
        ended.stderr,
        "error: cannot read the journal HERE/.local/state/ryo/journal.jsonl: Is a directory (os error 21)\n"
    );
}

#[test]
fn damaged_lines_are_told_and_left_out() {
    let home = tempfile::tempdir().unwrap();
    let good = line(MORNING, "deploy ryo-tiny 1 on web", "done", &[]);
    let torn = &good[..good.len() / 2];
    written(home.path(), &format!("{torn}\n{good}\n\n{{\"when\": \"now\"}}\n{torn}"));
    let ended = log(home.path(), &[]).well();
    assert_eq!(ended.stdout.lines().count(), 2);
    assert_eq!(
        ended.stderr,
        "warning: 3 lines of HERE/.local/state/ryo/journal.jsonl cannot be read and are left out\n"
    );
    let bytes = [b"\xff\xfe\x00\n".as_slice(), good.as_bytes()].concat();
    let journal = read::Journal::parse(&bytes, false);
    assert_eq!((journal.entries.len(), journal.damaged), (1, 1));
    assert_eq!(journal.warning("it"), Some("1 line of it cannot be read and is left out".to_owned()));
}

/// What comes from a host may be written by somebody who means harm to the terminal.
#[test]
fn what_a_terminal_would_obey_is_not_shown() {
    let journal =
        read::Journal::parse(line(MORNING, "\u{1b}]0;gotcha\u{7}", "done", &[("\u{202e}x", 1)]).as_bytes(), false);
    let text = journal.text();
    assert!(text.contains("?]0;gotcha?") && text.contains("?x did not serve for 1 ms"), "{text}");
    assert_eq!(figures::line(&"x".repeat(400)), format!("{}…", "x".repeat(300)));
}

#[test]
fn only_the_end_of_a_long_journal_is_read() {
    let home = tempfile::tempdir().unwrap();
    let one = format!("{}\n", line(MORNING, "deploy ryo-tiny 1 on web", "done", &[]));
    let count = usize::try_from(read::LOOKED_AT).unwrap() / one.len() + 10;
    written(home.path(), &one.repeat(count));
    let journal = read::own(home.path()).unwrap();
    let fit = usize::try_from(read::LOOKED_AT).unwrap() / one.len();
    assert_eq!((journal.entries.len(), journal.damaged, journal.cut), (fit, 0, true));
    let ended = log(home.path(), &["--limit", "100000"]).well();
    assert_eq!(
        ended.stderr,
        "warning: HERE/.local/state/ryo/journal.jsonl is longer than 4 MiB: what is older is not shown\n"
    );
    assert_eq!(log(home.path(), &[]).well().stderr, "");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_journal_of_a_host_is_read_through_its_agent() {
    let stage = Stage::new();
    let world = stage.world(stage.lxd.clone(), stage.consul.clone()).await;
    assert_eq!(read::of_host(&world.agent).await.unwrap(), read::Journal::default());
    for number in 1..=3 {
        let title = format!("deploy ryo-tiny {number} on local");
        world.agent.journal(&line(MORNING + number, &title, "done", &[])).await.unwrap();
    }
    let journal = read::of_host(&world.agent).await.unwrap().newest(2);
    let plans: Vec<&str> = journal.entries.iter().map(|entry| entry.plan.as_str()).collect();
    assert_eq!(plans, ["deploy ryo-tiny 3 on local", "deploy ryo-tiny 2 on local"]);
}
