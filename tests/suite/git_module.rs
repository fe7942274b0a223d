//! The module `git`, by the program and without it: both must come to the same.

use std::fs;
use std::path::{Path, PathBuf};

use ryo::module::{Blobs, Environment, Mode, Outcome, parse};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::git::server::{Manner, serve};
use crate::module::{root, run_with};
use crate::support::mirror;

fn git(folder: &Path, words: &[&str]) -> String {
    let who = ["-c", "user.name=Test", "-c", "user.email=test@test", "-c", "init.defaultBranch=main"];
    String::from_utf8(mirror::run("git", &[&who[..], words].concat(), folder)).unwrap().trim().to_owned()
}

/// Commits `text` and returns the commit.
fn commit(folder: &Path, text: &str) -> String {
    fs::write(folder.join("file"), text).unwrap();
    fs::create_dir_all(folder.join(text)).unwrap();
    fs::write(folder.join(text).join("deep"), text).unwrap();
    git(folder, &["add", "-A"]);
    git(folder, &["commit", "-qm", text]);
    git(folder, &["rev-parse", "HEAD"])
}

/// A repository with two commits on `main`, the first one tagged, and a branch.
fn repository(folder: &Path) -> [String; 2] {
    fs::create_dir_all(folder).unwrap();
    git(folder, &["init", "-q"]);
    let commits = ["one", "two"].map(|text| commit(folder, text));
    git(folder, &["tag", "-a", "-m", "first", "v1", &commits[0]]);
    git(folder, &["tag", "light", &commits[0]]);
    git(folder, &["branch", "side", &commits[0]]);
    commits
}

/// Who does it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Hand {
    Program,
    Library,
}

const BOTH: [Hand; 2] = [Hand::Program, Hand::Library];

fn play(hand: Hand, root: &Path, arguments: &Value, mode: Mode) -> Outcome {
    let task = parse("git", None, arguments.as_object().unwrap()).unwrap();
    let mut environment: Environment = [("GIT_CONFIG_GLOBAL".to_owned(), "/dev/null".to_owned())].into();
    if hand == Hand::Library {
        environment.insert("PATH".to_owned(), "/nowhere".to_owned());
    }
    run_with(root, &task, &Blobs::new(), &environment, mode)
}

#[test]
fn a_repository_is_cloned_updated_and_switched() {
    for hand in BOTH {
        let whole = root();
        let root = whole.path();
        let origin = root.join("origin");
        let commits = repository(&origin);
        let url = format!("file://{}", origin.display());
        let (one, two) = (json!(commits[0]), json!(commits[1]));
        let refused = "Local modifications exist in the destination: /srv/copy (force=no).";
        // What is asked; why it fails, or whether it changes something, before and after; what the file then says.
        let table = [
            (json!({ "version": "v1", "depth": 1 }), Ok((true, Value::Null, one.clone())), "one"),
            (json!({ "version": "v1", "depth": 1 }), Ok((false, one.clone(), one.clone())), "one"),
            (json!({ "version": "main", "update": false }), Ok((false, one.clone(), one.clone())), "one"),
            (json!({ "version": "main", "depth": 1 }), Ok((true, one.clone(), two.clone())), "two"),
            (json!({ "version": "side", "depth": 1 }), Ok((true, two.clone(), one.clone())), "one"),
            (json!({}), Ok((false, one.clone(), one.clone())), "one"),
            (json!({ "version": commits[1] }), Ok((true, one.clone(), two.clone())), "two"),
            (json!({ "version": "none" }), Err("Failed to checkout none: "), "two"),
            (json!({ "version": "main" }), Ok((false, two.clone(), two.clone())), "two"),
            (json!({ "version": "main", "force": true }), Ok((true, two.clone(), two.clone())), "changed"),
            (json!({ "version": "main" }), Err(refused), "changed"),
        ];
        for (mut arguments, wanted, file) in table {
            let name = format!("{hand:?} {arguments}");
            arguments["repo"] = json!(url);
            arguments["dest"] = json!("/srv/copy");
            if file == "changed" {
                fs::write(root.join("srv/copy/file"), "changed").unwrap();
            }
            let checked = play(hand, root, &arguments, Mode::Check);
            let outcome = play(hand, root, &arguments, Mode::Apply);
            match wanted {
                Ok((changed, before, after)) => {
                    assert_eq!(outcome.failed, None, "{name}");
                    let values = (&outcome.values["before"], &outcome.values["after"]);
                    assert_eq!((outcome.changed, values), (changed, (&before, &after)), "{name}");
                    // What check mode says of a local change is only that it goes.
                    if file != "changed" {
                        assert_eq!((checked.failed, checked.changed), (None, changed), "{name}");
                    }
                }
                Err(message) => {
                    assert!(outcome.failed.as_deref().unwrap_or_default().starts_with(message), "{name}: {outcome:?}");
                }
            }
            let text = if file == "changed" && arguments["force"] == json!(true) { "two" } else { file };
            assert_eq!(fs::read_to_string(root.join("srv/copy/file")).unwrap(), text, "{name}");
        }
        let bare = json!({ "repo": url, "dest": "/srv/bare", "bare": true });
        assert!(play(hand, root, &bare, Mode::Apply).changed);
        assert!(!play(hand, root, &bare, Mode::Apply).changed);
        assert!(root.join("srv/bare/HEAD").is_file());
    }
    let option = json!({ "repo": "--upload-pack=evil", "dest": "/srv/x" });
    let error = parse("git", None, option.as_object().unwrap()).unwrap_err().to_string();
    assert_eq!(error, "`git`: `repo` is `--upload-pack=evil`, must be something that does not begin with `-`");
}

/// An origin, and a root for each hand.
struct Bed {
    whole: TempDir,
}

impl Bed {
    fn new() -> Self {
        let bed = Self { whole: root() };
        for hand in BOTH {
            fs::create_dir_all(bed.of(hand)).unwrap();
        }
        bed
    }

    fn origin(&self) -> PathBuf {
        self.whole.path().join("origin")
    }

    fn of(&self, hand: Hand) -> PathBuf {
        self.whole.path().join(format!("{hand:?}"))
    }

    /// Has both do it, in check mode first, and returns what they say, which must be the same.
    fn both(&self, arguments: &Value) -> Outcome {
        let [mut program, mut library] = BOTH.map(|hand| {
            let checked = play(hand, &self.of(hand), arguments, Mode::Check);
            (checked, play(hand, &self.of(hand), arguments, Mode::Apply))
        });
        for (checked, outcome) in [&mut program, &mut library] {
            for outcome in [checked, outcome] {
                // Programs and libraries tell in their own words why something failed.
                outcome.failed = outcome.failed.take().map(|why| why.split(':').next().unwrap().to_owned());
                outcome.values.retain(|name, _| !matches!(name.as_str(), "rc" | "stdout" | "stderr"));
            }
        }
        assert_eq!(program, library, "{arguments}");
        library.1
    }

    /// What a copy is: its branch, references, settings, changes and files; the same for both.
    #[track_caller]
    fn same(&self, copy: &str, arguments: &Value) {
        let [program, library] = BOTH.map(|hand| {
            let folder = self.of(hand).join(copy);
            let mut told = vec![];
            for words in [
                &["for-each-ref", "--format=%(refname) %(objectname) %(symref)"][..],
                &["rev-parse", "--abbrev-ref", "HEAD"],
                &["config", "--local", "--get-regexp", "^(remote|branch|core.bare)"],
                &["fsck", "--strict"],
            ] {
                let mut lines = git(&folder, words).lines().map(str::to_owned).collect::<Vec<_>>();
                lines.sort();
                told.extend(lines);
            }
            if folder.join(".git").exists() {
                told.push(git(&folder, &["status", "--porcelain", "--branch"]));
                told.push(git(&folder, &["ls-files", "--stage"]));
            }
            told
        });
        assert_eq!(program, library, "after {arguments}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_program_everything_is_as_with_it() {
    for manner in [None, Some(Manner::Right), Some(Manner::Moved)] {
        let bed = Bed::new();
        let [one, two] = repository(&bed.origin());
        let repo = match manner {
            Some(manner) => serve(bed.origin(), manner).await,
            None => bed.origin().display().to_string(),
        };
        let play = |dest: &str, mut arguments: Value| {
            arguments["repo"] = json!(repo);
            arguments["dest"] = json!(format!("/{dest}"));
            let outcome = tokio::task::block_in_place(|| bed.both(&arguments));
            if outcome.failed.is_none() && arguments["clone"] != json!(false) {
                bed.same(dest, &arguments);
            }
            outcome
        };
        let after = |outcome: &Outcome| outcome.values["after"].as_str().unwrap().to_owned();
        assert_eq!(after(&play("none", json!({ "clone": false, "version": "v1" }))), one);
        assert_eq!(after(&play("main", json!({}))), two);
        assert!(!play("main", json!({})).changed);
        assert_eq!(after(&play("main", json!({ "version": "side" }))), one);
        assert_eq!(after(&play("main", json!({ "version": "light" }))), one);
        assert_eq!(after(&play("main", json!({ "version": &two[..9] }))), two);
        assert_eq!(after(&play("main", json!({ "version": "v1" }))), one);
        // Nothing is checked out but a commit: the main branch is the remote's.
        assert_eq!(after(&play("main", json!({}))), two);
        for hand in BOTH {
            let copy = bed.of(hand).join("main");
            fs::write(copy.join("file"), "mine").unwrap();
            fs::write(copy.join("own"), "mine").unwrap();
            fs::write(copy.join("added"), "mine").unwrap();
            git(&copy, &["add", "added"]);
        }
        let why = "Local modifications exist in the destination";
        assert_eq!(play("main", json!({})).failed.as_deref(), Some(why));
        assert!(play("main", json!({ "force": true })).changed);
        assert!(bed.of(Hand::Library).join("main/own").exists());
        assert!(!bed.of(Hand::Library).join("main/added").exists());
        assert!(!play("main", json!({ "update": false, "version": "v1" })).changed);
        // The remote goes on: a commit, a branch, a tag; and a tag is moved.
        let three = commit(&bed.origin(), "three");
        git(&bed.origin(), &["branch", "new"]);
        git(&bed.origin(), &["tag", "v3"]);
        assert_eq!(after(&play("main", json!({}))), three);
        assert_eq!(after(&play("main", json!({ "version": "new" }))), three);
        git(&bed.origin(), &["tag", "-f", "v3", &one]);
        let why = "Failed to download remote objects and refs";
        assert_eq!(play("main", json!({ "version": "v3" })).failed.as_deref(), Some(why));
        assert_eq!(after(&play("main", json!({ "version": "v3", "force": true }))), one);
        assert_eq!(play("main", json!({ "version": "nowhere" })).failed.as_deref(), Some("Failed to checkout nowhere"));
        // Another place, another name, no files, an empty directory, one that is not.
        assert_eq!(after(&play("other", json!({ "remote": "up", "version": "side" }))), one);
        play("bare", json!({ "bare": true }));
        play("bare-up", json!({ "bare": true, "remote": "up" }));
        commit(&bed.origin(), "four");
        assert!(play("bare", json!({ "bare": true })).changed);
        for hand in BOTH {
            fs::create_dir(bed.of(hand).join("empty")).unwrap();
            fs::create_dir(bed.of(hand).join("full")).unwrap();
            fs::write(bed.of(hand).join("full/file"), "").unwrap();
        }
        play("empty", json!({}));
        assert_eq!(play("full", json!({})).failed.as_deref(), Some("Failed to clone"));
        let names = |hand| {
            let names = fs::read_dir(bed.of(hand)).unwrap().map(|entry| entry.unwrap().file_name());
            names.collect::<std::collections::BTreeSet<_>>()
        };
        assert_eq!(names(Hand::Library), names(Hand::Program));
    }
}

#[test]
fn a_remote_that_moved_is_followed() {
    let bed = Bed::new();
    repository(&bed.origin());
    let moved = bed.whole.path().join("moved");
    bed.both(&json!({ "repo": bed.origin(), "dest": "/copy" }));
    fs::rename(bed.origin(), &moved).unwrap();
    let arguments = json!({ "repo": moved, "dest": "/copy" });
    let outcome = bed.both(&arguments);
    assert_eq!((outcome.changed, &outcome.values["remote_url_changed"]), (true, &json!(true)));
    bed.same("copy", &arguments);
}

#[test]
fn what_only_the_program_can_do_is_told() {
    let bed = Bed::new();
    repository(&bed.origin());
    let told = |arguments: Value| play(Hand::Library, &bed.of(Hand::Library), &arguments, Mode::Apply).failed.unwrap();
    let without = "there is no program `git` here, and without it";
    let table = [
        (
            json!({ "repo": "git@example.org:x/y" }),
            "only https, http, file and paths can be fetched from, not \
            `git@example.org:x/y`",
        ),
        (json!({ "repo": bed.origin(), "refspec": "+refs/pull/*:refs/pull/*" }), "`refspec` cannot be followed"),
        (json!({ "repo": bed.origin(), "reference": "/srv/other" }), "`reference` cannot be followed"),
    ];
    for (mut arguments, why) in table {
        arguments["dest"] = json!("/copy");
        assert_eq!(told(arguments), format!("{without} {why}: install git"));
    }
    fs::write(bed.origin().join(".gitmodules"), "[submodule \"x\"]\n  path = x\n  url = ../x\n").unwrap();
    commit(&bed.origin(), "modules");
    let why = "submodules cannot be brought (`recursive: no` leaves them out)";
    let mut arguments = json!({ "repo": bed.origin(), "dest": "/copy" });
    assert_eq!(told(arguments.clone()), format!("{without} {why}: install git"));
    arguments["recursive"] = json!(false);
    assert_eq!(play(Hand::Library, &bed.of(Hand::Library), &arguments, Mode::Apply).failed, None);
    let gone = json!({ "repo": bed.whole.path().join("gone"), "dest": "/gone" });
    assert!(told(gone).starts_with("Failed to clone: cannot fetch from `file:///"));
    assert!(!bed.of(Hand::Library).join("gone").exists());
    let executable =
        json!({ "repo": bed.origin(), "dest": "/other", "executable": "/usr/bin/git", "recursive": false });
    assert_eq!(play(Hand::Library, &bed.of(Hand::Library), &executable, Mode::Apply).failed, None);
}
