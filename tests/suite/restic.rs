//! Backups in a repository of restic: made, looked after and restored by `ryo`, and read by restic itself.

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use aes256ctr_poly1305aes::Aes256CtrPoly1305Aes;
use aes256ctr_poly1305aes::aead::Aead as _;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use regex::Regex;
use ryo::archive::Compression;
use ryo::archive::seal::{Identities, Recipients};
use ryo::event::{Event, Events};
use ryo::failure::Failure;
use ryo::flow::backup::catalogue::{Backup, State};
use ryo::flow::backup::store::{Repository, Store};
use ryo::flow::backup::verify::{Verdict, verify};
use ryo::flow::backup::{Source, Spec};
use ryo::flow::instance::Pause;
use ryo::flow::restore::{self, find};
use ryo::flow::{apply, backup};
use ryo::project::Kind;
use ryo::restic::{About, Addition, Place};
use ryo::secret::Secret;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use tokio::sync::watch;

use crate::backup::{data, deployed, furnish, look};
use crate::support::stage::Stage;
use crate::support::work::Ended;

const PASSWORD: &str = "correct horse";

fn directory(stage: &Stage) -> PathBuf {
    stage.path("repository")
}

fn repository(stage: &Stage, password: &str) -> Repository {
    let records = stage.path("work/.local/state/ryo/restic");
    Repository { place: Place::new(&directory(stage), Secret::new(password)).patient(Duration::ZERO), records }
}

fn store(stage: &Stage) -> Store {
    Store::Repository(repository(stage, PASSWORD))
}

const IDS: [(&str, Kind); 2] = [("ryo-tiny-store", Kind::Module), ("ryo-tiny", Kind::Project)];

fn specs_in(store: &Store, stamp: &str) -> Vec<Spec> {
    let how = (Compression::Gzip, &Recipients::default());
    let source = |(id, kind): (&str, Kind)| Source { id: id.to_owned(), kind };
    IDS.map(|it| Spec::new("local", source(it), stamp, store, how)).to_vec()
}

fn specs(stage: &Stage, stamp: &str) -> Vec<Spec> {
    specs_in(&store(stage), stamp)
}

async fn backs_up(stage: &Stage, stamp: &str) -> Vec<String> {
    let said = Arc::new(Mutex::new(vec![]));
    let noted = said.clone();
    let events = Events::new(move |event| {
        if let Event::StepProgress { message, .. } = event {
            noted.lock().unwrap().push(message);
        }
    });
    let plan = stage.backs_up(stage.lxd.clone(), &specs(stage, stamp), &events).await.unwrap();
    plan.steps.iter().map(ToString::to_string).collect()
}

fn backups(stage: &Stage) -> Vec<Backup> {
    store(stage).look(&Identities::default()).unwrap().backups
}

/// Runs restic on the repository.
fn restic(stage: &Stage, words: &[&str]) -> Output {
    let mut command = Command::new("restic");
    command.arg("--no-cache").arg("-r").arg(directory(stage)).args(words).env("RESTIC_PASSWORD", PASSWORD);
    command.output().unwrap()
}

fn well(ended: &Output) -> String {
    assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
    String::from_utf8_lossy(&ended.stdout).into_owned()
}

/// What restic finds wrong: nothing.
fn is_clean(stage: &Stage) {
    let said = well(&restic(stage, &["check", "--read-data"]));
    assert!(said.ends_with("no errors were found\n"), "{said}");
}

/// Runs `ryo` with these variables; `HERE/` is the stage.
fn ryo_with(stage: &Stage, variables: &[(&str, &str)], words: &[&str]) -> Ended {
    let work = stage.path("work");
    let settings = work.join("settings.yml");
    if !settings.exists() {
        fs::write(&settings, "hosts:\n  local:\n    socket: /nowhere/unix.socket\n").unwrap();
    }
    let ended = Ended::here(&work, words, |command| {
        command.env("RYO_SETTINGS", &settings).env("TZ", "UTC").envs(variables.iter().copied());
    });
    let here = stage.path("").display().to_string();
    let tidy = |text: &str| crate::store::tidy(&text.replace(&here, "HERE/"));
    Ended { code: ended.code, stdout: tidy(&ended.stdout), stderr: tidy(&ended.stderr) }
}

fn ryo(stage: &Stage, words: &[&str]) -> Ended {
    ryo_with(stage, &[("RESTIC_PASSWORD", PASSWORD)], words)
}

/// Bytes that cannot be compressed.
fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        Some(state.to_le_bytes())
    };
    std::iter::from_fn(next).flatten().take(length).collect()
}

fn files(directory: &Path) -> BTreeSet<PathBuf> {
    let mut found = BTreeSet::new();
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.insert(path);
        }
    }
    found
}

fn weight(stage: &Stage) -> u64 {
    files(&directory(stage)).iter().map(|file| fs::metadata(file).unwrap().len()).sum()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_goes_into_a_repository_and_comes_back() {
    let stage = deployed().await;
    furnish(&data(&stage));
    let wanted = look(&data(&stage));
    let steps = backs_up(&stage, "1").await;
    assert_eq!(
        steps[8..],
        [
            "ryo-tiny-store: add backup-local-ryo-tiny-store-1.tar to the repository",
            "ryo-tiny: add backup-local-ryo-tiny-1.tar to the repository"
        ]
    );
    let private = |path: PathBuf| {
        use std::os::unix::fs::PermissionsExt as _;
        fs::metadata(path).unwrap().permissions().mode() & 0o77
    };
    assert_eq!(private(directory(&stage).join(".ryo")), 0);
    assert!(files(&directory(&stage)).into_iter().all(|file| private(file) == 0));
    assert_eq!(files(&directory(&stage).join(".ryo")), BTreeSet::new());
    let again = stage.backs_up(stage.lxd.clone(), &specs(&stage, "1"), &Events::nowhere()).await.unwrap_err();
    let id = backups(&stage).into_iter().find(|it| it.title() == "local ryo-tiny-store 1").unwrap();
    let path = id.archive.path().display().to_string().replace(&stage.path("").display().to_string(), "HERE/");
    assert_eq!(again, format!("error: `{path}` is there already\nhint: give another stamp with `-s`\n"));
    assert!(path.starts_with("restic:HERE/repository:"), "{path}");
    assert!(path.ends_with("/ryo-tiny-store/backup-local-ryo-tiny-store-1.tar"), "{path}");

    fs::write(data(&stage).join("data/plain"), "spoilt\n").unwrap();
    fs::remove_dir_all(data(&stage).join("data/deep")).unwrap();
    let spec = |(id, kind): (&str, Kind)| {
        let (archive, stamp) = find::archive(store(&stage), "local", id, None, &Identities::default()).unwrap();
        let (host, id, identities) = ("local".to_owned(), id.to_owned(), Identities::default());
        restore::Spec { host, id, kind, archive, stamp, identities }
    };
    let specs = IDS.map(spec);
    let plan = stage.settles(stage.lxd.clone(), |_, seen| restore::plan("restore", &specs, seen)).await.unwrap();
    assert_eq!(plan.steps[1].to_string(), "ryo-tiny: unpack backup-local-ryo-tiny-1.tar beside the data");
    assert_eq!(look(&data(&stage)), wanted);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn restic_lists_checks_and_restores_what_ryo_has_made() {
    let stage = deployed().await;
    furnish(&data(&stage));
    fs::write(stage.path("work/ryo-tiny/configuration/tiny_password_local.yml"), "tiny_password: s3cret\n").unwrap();
    backs_up(&stage, "1").await;
    is_clean(&stage);
    let snapshots: Value = serde_json::from_str(&well(&restic(&stage, &["snapshots", "--json"]))).unwrap();
    let snapshots = snapshots.as_array().unwrap();
    assert_eq!(snapshots.len(), 2);
    let snapshot = snapshots.iter().find(|it| it["paths"][0] == "/ryo-tiny").unwrap();
    assert_eq!(snapshot["hostname"], "local");
    assert_eq!(snapshot["tags"], serde_json::json!(["1", "ryo", "ryo-tiny"]));
    let id = snapshot["id"].as_str().unwrap();
    let listed = well(&restic(&stage, &["ls", id]));
    let listed: Vec<&str> = listed.lines().filter(|line| line.starts_with('/')).collect();
    assert_eq!(
        listed,
        ["/ryo-tiny", "/ryo-tiny/backup-local-ryo-tiny-1.json", "/ryo-tiny/backup-local-ryo-tiny-1.tar"]
    );

    let place = tempfile::tempdir().unwrap();
    let script = "restic --no-cache -r \"$1\" dump \"$2\" /ryo-tiny/backup-local-ryo-tiny-1.tar | tar -xp";
    let mut command = Command::new("sh");
    command.args(["-c", script, "sh"]).arg(directory(&stage)).arg(id).current_dir(place.path());
    well(&command.env("RESTIC_PASSWORD", PASSWORD).output().unwrap());
    assert_eq!(look(&place.path().join("ryo-tiny")), look(&data(&stage)));

    // What restic restores is a directory of archives, as `ryo` makes them.
    let target = place.path().join("restored").display().to_string();
    well(&restic(&stage, &["restore", id, "--target", &target]));
    let from = format!("{target}/ryo-tiny");
    let ended = ryo(&stage, &["backup", "verify", "--from", &from]).well();
    assert_eq!(ended.stdout, "local ryo-tiny 1: whole (17 members, SIZE)\n");
    // It is encrypted, so everything that a lost control node would take with it is in it.
    let ended = ryo(&stage, &["backup", "show", "ryo-tiny", "--from", &from, "--files", "out"]).well();
    assert_eq!(ended.stdout, "7 files of local ryo-tiny 1 written into out\n");
    let written = stage.path("work/out/ryo-tiny/configuration/tiny_password_local.yml");
    assert_eq!(fs::read_to_string(written).unwrap(), "tiny_password: s3cret\n");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_unchanged_takes_no_room_again() {
    let stage = deployed().await;
    stage.lxd.with_instance("tiny", |tiny| tiny.running = false);
    for number in 0..40 {
        fs::write(data(&stage).join(format!("data/file-{number}")), noise(number, 1 << 20)).unwrap();
    }
    backs_up(&stage, "1").await;
    let first = weight(&stage);
    assert!(first > 40 << 20, "{first}");
    fs::write(data(&stage).join("data/file-7"), noise(100, 1 << 20)).unwrap();
    backs_up(&stage, "2").await;
    let second = weight(&stage) - first;
    // Where pieces begin is not the same in any two repositories; none has more than 8 MiB.
    assert!((1 << 20..18 << 20).contains(&second), "{second} of {first}");
    assert_eq!(backups(&stage).len(), 4);
    for backup in backups(&stage) {
        assert!(matches!(verify(&backup, &Identities::default()).unwrap(), Verdict::Whole { .. }), "{backup:?}");
    }
    is_clean(&stage);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn backups_in_a_repository_are_listed_shown_and_verified() {
    let stage = deployed().await;
    let from = format!("restic:{}", directory(&stage).display());
    let ended = ryo(&stage, &["backup", "list", "--from", &from]).well();
    assert_eq!(ended.stdout, "there is no backup in `restic:HERE/repository`\n");
    backs_up(&stage, "1").await;
    let ended = ryo(&stage, &["backup", "list", "--from", &from]).well();
    assert_eq!(
        (ended.stdout.as_str(), ended.stderr.as_str()),
        (
            "HOST  ID  STAMP  AGE  SIZE  MADE BY  STATE\n\
             local  ryo-tiny  1  SPAN  SIZE  ryo  whole\n\
             local  ryo-tiny-store  1  SPAN  SIZE  ryo  whole\n",
            ""
        )
    );
    let ended = ryo(&stage, &["backup", "show", "ryo-tiny", "--from", &from]).well();
    let lines: Vec<&str> = ended.stdout.lines().collect();
    assert_eq!(lines[0], "backup 1 of project ryo-tiny on host local");
    assert!(lines[1].starts_with("  archive  restic:HERE/repository:"), "{}", lines[1]);
    assert!(lines[1].ends_with("/ryo-tiny/backup-local-ryo-tiny-1.tar (SIZE)"), "{}", lines[1]);
    assert_eq!(lines[2], "  state  whole, not verified");
    assert_eq!(lines.last(), Some(&"  kept  3 Consul keys, 6 files"));
    let ended = ryo(&stage, &["backup", "verify", "--from", &from]).well();
    assert_eq!(
        ended.stdout,
        "local ryo-tiny 1: whole (3 members, SIZE)\nlocal ryo-tiny-store 1: whole (3 members, SIZE)\n"
    );
    let ended = ryo(&stage, &["backup", "list", "--from", &from]).well();
    assert_eq!(ended.stdout.matches("verified SPAN ago").count(), 2, "{}", ended.stdout);
    // Snapshots of others are none of its business.
    let other = stage.path("other");
    fs::write(&other, "of somebody else\n").unwrap();
    well(&restic(&stage, &["backup", "--tag", "other", &other.display().to_string()]));
    assert_eq!(backups(&stage).len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pruning_a_repository_keeps_the_last_ones_and_gives_the_room_back() {
    let stage = deployed().await;
    let from = format!("restic:{}", directory(&stage).display());
    for stamp in ["1", "2", "3"] {
        let number = stamp.parse().unwrap();
        fs::write(data(&stage).join("data/noise"), noise(number, 6 << 20)).unwrap();
        backs_up(&stage, stamp).await;
    }
    ryo(&stage, &["backup", "verify", "-s", "2", "--from", &from]).well();
    let before = weight(&stage);
    let words = ["backup", "prune", "--keep-last", "1", "--from", &from, "--yes"];
    let ended = ryo(&stage, &words).well();
    assert_eq!(
        ended.stdout,
        "prune `restic:HERE/repository`:\n\
        \x20 local ryo-tiny 3  last\n\
        \x20 local ryo-tiny 2  the last one that was verified\n\
        \x20 - local ryo-tiny 1  no rule keeps it (SIZE)\n\
        \x20 local ryo-tiny-store 3  last\n\
        \x20 local ryo-tiny-store 2  the last one that was verified\n\
        \x20 - local ryo-tiny-store 1  no rule keeps it (SIZE)\n\
        2 backups to be removed (SIZE), 4 stay\n\
        removed 2 backups (SIZE)\n"
    );
    assert!(before - weight(&stage) > 5 << 20, "{before} {}", weight(&stage));
    let titles: Vec<String> = backups(&stage).iter().map(Backup::title).collect();
    assert_eq!(titles, ["local ryo-tiny 3", "local ryo-tiny 2", "local ryo-tiny-store 3", "local ryo-tiny-store 2"]);
    is_clean(&stage);
    let ended = ryo(&stage, &words).well();
    assert!(ended.stdout.ends_with("nothing to remove, 4 stay\n"), "{}", ended.stdout);
    let journal = fs::read_to_string(stage.path("work/.local/state/ryo/journal.jsonl")).unwrap();
    let line: Value = serde_json::from_str(journal.lines().last().unwrap()).unwrap();
    assert_eq!(
        line["steps"],
        serde_json::json!(["remove backup-local-ryo-tiny-1.tar", "remove backup-local-ryo-tiny-store-1.tar"])
    );
}

#[test]
fn the_password_comes_from_a_file_or_the_environment_or_it_is_said_that_there_is_none() {
    let stage = Stage::new();
    let list = ["backup", "list", "--from", "restic:repository"];
    let hints = "hint: name a file: `--password-file FILE`, or `backup: {password_file: FILE}` in the settings\n";
    let ended = ryo_with(&stage, &[("RESTIC_PASSWORD_FILE", "")], &list);
    assert_eq!(
        (ended.code, ended.stderr),
        (
            Some(2),
            format!(
                "error: there is no password for the repository `repository`\n{hints}\
                 hint: or set `RESTIC_PASSWORD_FILE` or `RESTIC_PASSWORD`\n"
            )
        )
    );
    let ended = ryo_with(&stage, &[("RESTIC_PASSWORD", "")], &list);
    assert_eq!(
        (ended.code, ended.stderr.as_str()),
        (Some(2), "error: the password of the repository `repository` is empty\n")
    );
    let ended = ryo_with(&stage, &[], &[&list[..], &["--password-file", "gone"]].concat());
    assert_eq!(
        (ended.code, ended.stderr.as_str()),
        (
            Some(2),
            "error: cannot read the password of `repository` in `gone`: No such file or directory (os error 2)\n"
        )
    );
    repository(&stage, PASSWORD).place.prepare().unwrap();
    let list = ["backup", "list", "--from", "restic:../repository"];
    let none = "there is no backup in `restic:../repository`\n";
    let file = stage.path("work/password");
    fs::write(&file, format!(" {PASSWORD}\n\n")).unwrap();
    assert_eq!(ryo_with(&stage, &[], &[&list[..], &["--password-file", "password"]].concat()).well().stdout, none);
    assert_eq!(ryo_with(&stage, &[("RESTIC_PASSWORD_FILE", "password")], &list).well().stdout, none);
    assert_eq!(ryo_with(&stage, &[("RESTIC_PASSWORD", PASSWORD)], &list).well().stdout, none);
    let wrong = [("RESTIC_PASSWORD", "wrong"), ("RESTIC_PASSWORD_FILE", "")];
    let ended = ryo_with(&stage, &wrong, &list);
    assert_eq!(
        (ended.code, ended.stderr.as_str()),
        (
            Some(2),
            "error: the password does not open the repository `../repository`\n\
             hint: name the file with its password: `--password-file FILE`, or `backup: {password_file: FILE}` in the settings\n"
        )
    );
    let settings = format!("backup:\n  password_file: {}\n", file.display());
    fs::write(stage.path("work/settings.yml"), settings).unwrap();
    assert_eq!(ryo_with(&stage, &wrong, &list).well().stdout, none);
    // The settings name the repository too.
    let usual = stage.path("repository").display().to_string();
    let settings = format!("backup:\n  store: restic:{usual}\n  password_file: {}\n", file.display());
    fs::write(stage.path("work/settings.yml"), settings).unwrap();
    let none_there = format!("there is no backup in `restic:{usual}`\n");
    assert_eq!(ryo_with(&stage, &[], &["backup", "list"]).well().stdout, none_there.replace(&usual, "HERE/repository"));
    let ended = ryo(&stage, &["backup", "list", "--from", "restic:"]);
    assert_eq!(ended.code, Some(2));
    assert!(
        ended.stderr.starts_with(
            "error: invalid value 'restic:' for '--from <STORE>': no directory is named behind `restic:`\n"
        ),
        "{}",
        ended.stderr
    );
}

#[test]
fn what_a_repository_does_itself_is_not_done_twice() {
    let stage = Stage::new();
    let recipient = "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p";
    let to = ["--to", "restic:repository", "--encrypt", recipient];
    for words in [&["backup", "ryo-tiny", "-n", "local"][..], &["host", "backup", "local"]] {
        let ended = ryo(&stage, &[words, &to].concat());
        assert_eq!(
            (ended.code, ended.stderr.as_str()),
            (
                Some(2),
                "error: `--encrypt` cannot be given for a repository of restic: it is encrypted with its password\n"
            )
        );
    }
    let words = ["backup", "schedule", "ryo-tiny", "-n", "local", "--daily", "--to", "restic:repository"];
    let ended = ryo(&stage, &words);
    assert_eq!(
        (ended.code, ended.stderr.as_str()),
        (
            Some(2),
            "error: the password of the repository `repository` is in no file\n\
             hint: name a file: `--password-file FILE`, or `backup: {password_file: FILE}` in the settings\n"
        )
    );
}

/// A wrong password is told before anything is stopped.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_password_that_does_not_open_the_repository_stops_nothing() {
    let stage = deployed().await;
    repository(&stage, PASSWORD).place.prepare().unwrap();
    let other = Store::Repository(repository(&stage, "other"));
    let told = stage.backs_up(stage.lxd.clone(), &specs_in(&other, "1"), &Events::nowhere()).await.unwrap_err();
    assert_eq!(
        told,
        "error: the password does not open the repository `HERE/repository`\n\
         hint: name the file with its password: `--password-file FILE`, or `backup: {password_file: FILE}` in the settings\n"
    );
    assert!(stage.lxd.with_instance("tiny", |tiny| tiny.running));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_pack_is_told_by_verifying() {
    let stage = deployed().await;
    fs::write(data(&stage).join("data/noise"), noise(1, 3 << 20)).unwrap();
    backs_up(&stage, "1").await;
    let from = format!("restic:{}", directory(&stage).display());
    let packs = files(&directory(&stage).join("data"));
    let largest = packs.iter().max_by_key(|file| fs::metadata(file).unwrap().len()).unwrap();
    let whole = fs::read(largest).unwrap();
    let mut bytes = whole.clone();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    let cases = [
        (Some(bytes), "the archive cannot be read: ", "MAC check failed", "damaged"),
        // The manifest is in it as well.
        (None, "its manifest cannot be read: cannot read `data/", "No such file or directory", "not verified"),
    ];
    for (bytes, what, why, state) in cases {
        match bytes {
            Some(bytes) => fs::write(largest, bytes).unwrap(),
            None => fs::remove_file(largest).unwrap(),
        }
        let ended = ryo(&stage, &["backup", "verify", "ryo-tiny", "--from", &from]);
        assert_eq!(ended.code, Some(1));
        let told = format!("local ryo-tiny 1: damaged: {what}");
        assert!(ended.stdout.starts_with(&told) && ended.stdout.contains(why), "{}", ended.stdout);
        let ended = ryo(&stage, &["backup", "list", "ryo-tiny", "--from", &from]).well();
        assert!(ended.stdout.ends_with(&format!("  ryo  {state}\n")), "{}", ended.stdout);
        let ended = ryo(&stage, &["backup", "verify", "ryo-tiny-store", "--from", &from]).well();
        assert_eq!(ended.stdout, "local ryo-tiny-store 1: whole (3 members, SIZE)\n");
    }
    fs::write(largest, whole).unwrap();
    ryo(&stage, &["backup", "verify", "--from", &from]).well();
}

/// What is missing while nobody may remove anything is damage. What the disk does not give, or what somebody may have
/// removed meanwhile, is none, and is not remembered as such.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_read_of_a_repository_is_damaged_only_if_it_is_surely_missing() {
    let stage = deployed().await;
    fs::write(data(&stage).join("data/noise"), noise(1, 3 << 20)).unwrap();
    backs_up(&stage, "1").await;
    let of_tiny = |store: Store| {
        let found = store.look(&Identities::default()).unwrap().backups.into_iter();
        found.filter(|backup| backup.about.as_ref().unwrap().id == "ryo-tiny").collect::<Vec<_>>().remove(0)
    };
    let (free, held) = (of_tiny(store(&stage)), of_tiny(store(&stage).held(&Events::nowhere()).unwrap()));
    let here = stage.path("").display().to_string();
    let pack = Regex::new("[0-9a-f]{64}|[0-9a-f]{2}/|[0-9a-f]{8}/").unwrap();
    let tidy = |text: &str| pack.replace_all(&text.replace(&here, "HERE/"), "").into_owned();
    let told = |backup: &Backup| match verify(backup, &Identities::default()) {
        Ok(Verdict::Damaged(what)) => tidy(&format!("damaged: {what}\n")),
        Ok(verdict) => format!("{verdict:?}"),
        Err(error) => tidy(&Failure::from(error).text()),
    };
    let packs = directory(&stage).join("data");
    let largest = files(&packs).into_iter().max_by_key(|file| fs::metadata(file).unwrap().len()).unwrap();
    let unread = |why: &str| {
        format!(
            "error: cannot read `restic:HERE/repository:ryo-tiny/backup-local-ryo-tiny-1.tar`\n  \
             because: cannot read `data/`: {why}\n"
        )
    };
    let gone = stage.path("gone");
    for (missing, instead) in [(&packs, None), (&largest, Some("/proc/self/mem")), (&largest, None)] {
        fs::rename(missing, &gone).unwrap();
        if let Some(instead) = instead {
            std::os::unix::fs::symlink(instead, missing).unwrap();
        }
        let why = match instead {
            Some(_) => "Input/output error (os error 5)",
            None => "No such file or directory (os error 2)",
        };
        assert_eq!(told(&free), unread(why));
        if missing == &largest && instead.is_none() {
            assert!(!held.archive.record().exists());
            let told = told(&held);
            let wanted = format!("damaged: the archive cannot be read: cannot read `data/`: {why}, near byte ");
            assert!(told.starts_with(&wanted), "{told}");
            assert!(held.archive.record().exists());
        } else {
            assert_eq!(told(&held), unread(why));
        }
        fs::rename(&gone, missing).unwrap();
    }
    let error = store(&stage).remove(&[], &[&free], &mut vec![], &Events::nowhere()).unwrap_err();
    let text =
        Regex::new("by .* since .*").unwrap().replace(&Failure::from(error).text(), "by WHO since WHEN").into_owned();
    assert!(
        text.starts_with(&format!("error: the repository `{here}repository` is in use by WHO since WHEN\n")),
        "{text}"
    );
    assert!(matches!(verify(&held, &Identities::default()).unwrap(), Verdict::Whole { .. }));
    drop(held);
    assert_eq!(files(&directory(&stage).join("locks")), BTreeSet::new());
    store(&stage).remove(&[], &[&free], &mut vec![], &Events::nowhere()).unwrap();
}

/// Every pack and index, damaged or gone: never whole when it is not, and never a panic.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_is_damaged_no_backup_is_verified_that_is_not_whole() {
    let stage = deployed().await;
    fs::write(data(&stage).join("data/noise"), noise(1, 1 << 20)).unwrap();
    backs_up(&stage, "1").await;
    let wanted: Vec<String> = backups(&stage).iter().map(Backup::title).collect();
    let sorts = ["data", "index", "snapshots", "keys"];
    for file in sorts.iter().flat_map(|sort| files(&directory(&stage).join(sort))) {
        let whole = fs::read(&file).unwrap();
        for at in [0, whole.len() / 3, whole.len() / 2, whole.len() - 1] {
            let mut bytes = whole.clone();
            bytes[at] ^= 0x10;
            fs::write(&file, bytes).unwrap();
            let Ok(catalogue) = store(&stage).look(&Identities::default()) else { continue };
            let mut fine = vec![];
            for backup in &catalogue.backups {
                if let Ok(Verdict::Whole { .. }) = verify(backup, &Identities::default()) {
                    fine.push(backup.title());
                }
            }
            // The end of a pack, its header, is needed for nothing but to make an index anew.
            let is_header = file.starts_with(directory(&stage).join("data")) && at == whole.len() - 1;
            assert!(fine != wanted || is_header, "{} at {at}", file.display());
        }
        fs::write(&file, whole).unwrap();
    }
}

/// What cannot be read to its end becomes no snapshot, and the next one is whole.
#[test]
fn nothing_half_read_becomes_a_snapshot() {
    struct Breaks;
    impl Read for Breaks {
        fn read(&mut self, _bytes: &mut [u8]) -> io::Result<usize> {
            Err(io::Error::other("the disk is broken"))
        }
    }
    let stage = Stage::new();
    let place = repository(&stage, PASSWORD).place;
    place.prepare().unwrap();
    let about = || About { host: "web".to_owned(), directory: "a".to_owned(), tags: vec!["a".to_owned()], when: 7 };
    let bytes = noise(1, 5 << 20);
    let fine = |bytes: Vec<u8>| {
        let size = bytes.len() as u64;
        Addition::new("b.tar", size, move || Ok(Box::new(io::Cursor::new(bytes.clone()))))
    };
    let cut = bytes[..3 << 20].to_vec();
    let broken: [(Vec<Addition>, &str); 4] = [
        (vec![Addition::new("a.json", 7, || Ok(Box::new(Breaks))), fine(bytes.clone())], "the disk is broken"),
        (vec![Addition::new("c.json", 7, || Err(io::Error::other("it is gone")))], "it is gone"),
        (
            vec![{
                let cut = cut.clone();
                Addition::new("b.tar", 5 << 20, move || Ok(Box::new(io::Cursor::new(cut.clone()))))
            }],
            "`b.tar` is not as long as it was",
        ),
        (
            vec![Addition::new("b.tar", 1 << 20, move || Ok(Box::new(io::Cursor::new(cut.clone()))))],
            "`b.tar` is not as long as it was",
        ),
    ];
    for (files, why) in broken {
        let error = Failure::from(backup::Error::from(place.add(&about(), files).unwrap_err()));
        let here = stage.path("").display().to_string();
        assert_eq!(
            error.text().replace(&here, "HERE/"),
            format!(
                "error: the repository `HERE/repository` cannot be used\n  because: {why}\n\
                 hint: `restic check` says more of it\n"
            )
        );
        assert_eq!(place.snapshots().unwrap(), []);
        well(&restic(&stage, &["check", "--read-data"]));
    }
    place.add(&about(), vec![fine(bytes.clone())]).unwrap();
    let snapshots = place.snapshots().unwrap();
    let file = &snapshots[0].files.as_ref().unwrap()[0];
    let mut read = vec![];
    file.reader().read_to_end(&mut read).unwrap();
    assert!(read == bytes);
    assert_eq!(file.piece(5, 7).unwrap(), bytes[5..12]);
    assert_eq!(file.piece(u64::MAX, 7).unwrap(), b"");
    is_clean(&stage);
}

/// Broken off after any file that a backup or a prune writes or removes: what was there before is there and whole, restic
/// finds no errors, and the next run is whole.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_that_is_broken_off_leaves_nothing_that_the_next_one_minds() {
    let stage = deployed().await;
    fs::write(data(&stage).join("data/noise"), noise(1, 2 << 20)).unwrap();
    backs_up(&stage, "1").await;
    let before = files(&directory(&stage));
    fs::write(data(&stage).join("data/noise"), noise(2, 2 << 20)).unwrap();
    backs_up(&stage, "2").await;
    let after = files(&directory(&stage));
    let new: Vec<(PathBuf, Vec<u8>)> =
        after.difference(&before).map(|file| (file.clone(), fs::read(file).unwrap())).collect();
    // In the order in which they are written: packs, their index, the snapshot.
    let rank = |file: &Path| {
        ["/data/", "/index/", "/snapshots/"].iter().position(|it| file.display().to_string().contains(it))
    };
    let mut ranked = new.clone();
    ranked.sort_by_key(|(file, _)| rank(file));
    for count in 0..ranked.len() {
        for (turn, (file, bytes)) in ranked.iter().enumerate() {
            if turn < count { fs::write(file, bytes).unwrap() } else { drop(fs::remove_file(file)) }
        }
        fs::write(directory(&stage).join(".ryo/half.new"), "half").unwrap();
        fs::write(directory(&stage).join(".ryo/backup-local-ryo-tiny-2.tar.partial"), "half").unwrap();
        well(&restic(&stage, &["check", "--read-data"]));
        let stamp = format!("again-{count}");
        backs_up(&stage, &stamp).await;
        let found = backups(&stage);
        assert!(found.len() >= 4, "{count}: {found:?}");
        for backup in &found {
            assert!(matches!(verify(backup, &Identities::default()).unwrap(), Verdict::Whole { .. }), "{count}");
        }
        let made: Vec<&Backup> = found.iter().filter(|it| it.about.as_ref().unwrap().stamp != "1").collect();
        let mut removed = vec![];
        store(&stage).remove(&[], &made, &mut removed, &Events::nowhere()).unwrap();
        assert_eq!(removed.len(), made.len());
        assert_eq!(backups(&stage).len(), 2);
        assert_eq!(files(&directory(&stage).join(".ryo")), BTreeSet::new(), "{count}");
        is_clean(&stage);
    }
}

/// A backup that nobody waits for any more, at any step.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_that_is_dropped_is_made_anew() {
    let stage = deployed().await;
    backs_up(&stage, "0").await;
    for step in 0..10 {
        let stamp = format!("dropped-{step}");
        let specs = specs(&stage, &stamp);
        let world = stage.world(stage.lxd.clone(), stage.consul.clone()).await;
        let plan = backup::plan("backup", &specs, &backup::look(&world, &specs).await.unwrap(), Pause::Stop);
        let (sender, mut begun) = tokio::sync::mpsc::unbounded_channel();
        let events = Events::new(move |event| {
            if let Event::StepStarted { number, .. } = event {
                let _ = sender.send(number);
            }
        });
        let (_sender, stop) = watch::channel(false);
        tokio::select! {
            ended = apply::apply(&world, &plan, &events, &stop) => ended.unwrap(),
            () = async { while begun.recv().await.is_some_and(|number| number <= step) {} } => {}
        }
        drop(world);
        let again = format!("again-{step}");
        backs_up(&stage, &again).await;
        let found = backups(&stage);
        assert_eq!(found.iter().filter(|it| it.about.as_ref().unwrap().stamp == again).count(), 2, "{step}");
        assert!(found.iter().all(|it| matches!(it.state, State::Whole)), "{step}: {found:?}");
    }
    for backup in backups(&stage) {
        assert!(matches!(verify(&backup, &Identities::default()).unwrap(), Verdict::Whole { .. }));
    }
    // What nobody waits for may still be at work.
    while !files(&directory(&stage).join("locks")).is_empty() {
        tokio::task::yield_now().await;
    }
    is_clean(&stage);
}

/// Something that is read only when the test says so.
fn awaited() -> (std::sync::mpsc::Sender<()>, Addition) {
    struct Waits(Arc<Mutex<Receiver<()>>>);
    impl Read for Waits {
        fn read(&mut self, _bytes: &mut [u8]) -> io::Result<usize> {
            let _ = self.0.lock().unwrap().recv();
            Ok(0)
        }
    }
    let (sender, receiver) = channel();
    let receiver = Arc::new(Mutex::new(receiver));
    (sender, Addition::new("empty", 0, move || Ok(Box::new(Waits(receiver.clone())))))
}

/// Restic and `ryo` do not take anything away from under each other.
#[test]
fn whoever_adds_and_whoever_removes_keep_out_of_each_others_way() {
    let stage = Stage::new();
    let place = repository(&stage, PASSWORD).place;
    place.prepare().unwrap();
    let about = About { host: "web".to_owned(), directory: "a".to_owned(), tags: vec![], when: 7 };
    let (goes_on, file) = awaited();
    let locks = || files(&directory(&stage).join("locks")).len();
    let text = |error: ryo::restic::Error| {
        let failure = Failure::from(backup::Error::from(error));
        let here = stage.path("").display().to_string();
        let text = regex::Regex::new("by .*").unwrap().replace(&failure.text(), "by WHO").into_owned();
        (failure.kind.code(), text.replace(&here, "HERE/"))
    };
    let held = (
        11,
        "error: the repository `HERE/repository` is in use by WHO\n\
         hint: wait for its end; `restic unlock` takes away what nobody holds any more\n"
            .to_owned(),
    );
    thread::scope(|scope| {
        // Dropped by whatever breaks here, so that the other side ends too.
        let goes_on = goes_on;
        let adding = scope.spawn(|| place.add(&about, vec![file]));
        while locks() == 0 {
            assert!(!adding.is_finished());
            thread::yield_now();
        }
        assert_eq!(text(place.remove(&[], &Events::nowhere()).unwrap_err()), held);
        let ended = restic(&stage, &["prune"]);
        let said = String::from_utf8_lossy(&ended.stderr).into_owned();
        assert!(!ended.status.success() && said.contains("repository is already locked"), "{said}");
        goes_on.send(()).unwrap();
        adding.join().unwrap().unwrap();
    });
    assert_eq!(locks(), 0);

    let mut command = Command::new("restic");
    command.arg("--no-cache").arg("-r").arg(directory(&stage)).args(["backup", "--stdin"]);
    let mut adding =
        command.env("RESTIC_PASSWORD", PASSWORD).stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    while locks() == 0 {
        thread::yield_now();
    }
    assert_eq!(text(place.remove(&[], &Events::nowhere()).unwrap_err()), held);
    let nothing = || Addition::new("empty", 0, || Ok(Box::new(io::empty())));
    place.add(&about, vec![nothing()]).unwrap();
    // One that was killed has left its lock, and nobody minds.
    adding.kill().unwrap();
    adding.wait().unwrap();
    assert_eq!(locks(), 1);
    assert_eq!(text(place.remove(&[], &Events::nowhere()).unwrap_err()), held);
    well(&restic(&stage, &["unlock"]));
    place.remove(&[], &Events::nowhere()).unwrap();
    assert_eq!(locks(), 0);
    is_clean(&stage);
}

/// Writes locks as others do: what is in one, and where it is then.
fn locking(stage: &Stage) -> impl Fn(&Value) -> PathBuf {
    let key: Value = serde_json::from_str(&well(&restic(stage, &["cat", "masterkey"]))).unwrap();
    let part = |text: &Value| STANDARD.decode(text.as_str().unwrap()).unwrap();
    let key = [part(&key["encrypt"]), part(&key["mac"]["k"]), part(&key["mac"]["r"])].concat();
    let cipher = Aes256CtrPoly1305Aes::new(aes256ctr_poly1305aes::Key::from_slice(&key));
    let directory = directory(stage).join("locks");
    move |content| {
        let nonce = [7; 16];
        let sealed = cipher.encrypt(&nonce.into(), content.to_string().as_bytes()).unwrap();
        let bytes = [&nonce[..], &sealed].concat();
        let path = directory.join(hex::encode(Sha256::digest(&bytes)));
        fs::write(&path, bytes).unwrap();
        path
    }
}

/// What is in a lock that nobody else goes with.
fn alone(time: &str, host: &str, pid: u32) -> Value {
    serde_json::json!({ "time": time, "exclusive": true, "hostname": host, "username": "anna", "pid": pid })
}

/// Dead locks go by themselves; who holds a living one is said.
#[test]
fn locks_of_the_dead_go_and_those_of_others_are_told() {
    let stage = Stage::new();
    let place = repository(&stage, PASSWORD).place;
    place.prepare().unwrap();
    let lock = locking(&stage);
    let here = format!("{} (ryo)", rustix::system::uname().nodename().to_string_lossy());
    let now = jiff::Timestamp::now();
    lock(&alone(&now.to_string(), &here, 1 << 30));
    lock(&alone("2020-01-01T00:00:00.5+01:00", "desk", 7));
    place.remove(&[], &Events::nowhere()).unwrap();
    assert_eq!(files(&directory(&stage).join("locks")), BTreeSet::new());
    lock(&alone(&now.to_string(), "desk", 7));
    let failure = Failure::from(backup::Error::from(place.remove(&[], &Events::nowhere()).unwrap_err()));
    let root = stage.path("").display().to_string();
    assert_eq!(
        failure.text().replace(&root, "HERE/"),
        format!(
            "error: the repository `HERE/repository` is in use by anna@desk, process 7 since {now}\n\
             hint: wait for its end; `restic unlock` takes away what nobody holds any more\n"
        )
    );
    assert_eq!(files(&directory(&stage).join("locks")).len(), 1);
}

/// Somebody else's lock is seen before anything is copied or stopped, and waited for.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lock_is_waited_for_before_anything_is_done() {
    let stage = deployed().await;
    backs_up(&stage, "0").await;
    let lock = locking(&stage);
    let now = jiff::Timestamp::now();
    let held = lock(&alone(&now.to_string(), "desk", 7));
    let steps = Arc::new(Mutex::new(vec![]));
    let noted = steps.clone();
    let events = Events::new(move |event| match event {
        Event::StepStarted { title, .. } => noted.lock().unwrap().push(title),
        Event::Warned { message } => {
            noted.lock().unwrap().push(message);
            let held = held.clone();
            thread::spawn(move || {
                thread::sleep(Duration::from_millis(300));
                fs::remove_file(held).unwrap();
            });
        }
        _ => {}
    });
    let refused = stage.backs_up(stage.lxd.clone(), &specs(&stage, "1"), &events).await.unwrap_err();
    let who = format!("the repository `HERE/repository` is in use by anna@desk, process 7 since {now}");
    let hint = "wait for its end; `restic unlock` takes away what nobody holds any more";
    assert_eq!(refused, format!("error: {who}\nhint: {hint}\n"));
    assert_eq!(*steps.lock().unwrap(), Vec::<String>::new());

    let mut repository = repository(&stage, PASSWORD);
    repository.place = repository.place.patient(Duration::from_mins(1));
    let patient = specs_in(&Store::Repository(repository), "1");
    stage.backs_up(stage.lxd.clone(), &patient, &events).await.unwrap();
    let steps = steps.lock().unwrap();
    let here = stage.path("").display().to_string();
    assert_eq!(steps[0].replace(&here, "HERE/"), format!("{who}: waiting for its end"));
    assert_eq!(steps.len(), 11);
    assert_eq!(backups(&stage).len(), 4);
    assert_eq!(files(&directory(&stage).join("locks")), BTreeSet::new());
}

/// From when it begins, nobody takes anything away.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_repository_is_held_while_a_backup_is_made() {
    let stage = deployed().await;
    let specs = specs(&stage, "1");
    assert!(backup::store::hold(&specs, &Events::nowhere()).await.unwrap().is_none());
    backs_up(&stage, "0").await;
    let held = backup::store::hold(&specs, &Events::nowhere()).await.unwrap();
    assert!(held.is_some());
    let ended = restic(&stage, &["prune"]);
    let said = String::from_utf8_lossy(&ended.stderr).into_owned();
    assert!(!ended.status.success() && said.contains("repository is already locked"), "{said}");
    drop(held);
    well(&restic(&stage, &["prune"]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_repository_that_restic_has_made_is_used() {
    let stage = deployed().await;
    well(&restic(&stage, &["init"]));
    backs_up(&stage, "1").await;
    for backup in backups(&stage) {
        assert!(matches!(verify(&backup, &Identities::default()).unwrap(), Verdict::Whole { .. }));
    }
    well(&restic(&stage, &["forget", "--group-by", "host,paths", "--keep-last", "1", "--prune"]));
    assert_eq!(backups(&stage).len(), 2);
    is_clean(&stage);
}

/// The configuration comes last: what a run that was broken off before has made is made anew.
#[test]
fn a_repository_that_was_half_made_is_made_anew() {
    let stage = Stage::new();
    let place = || repository(&stage, PASSWORD).place;
    place().prepare().unwrap();
    fs::remove_file(directory(&stage).join("config")).unwrap();
    place().prepare().unwrap();
    assert_eq!(files(&directory(&stage).join("keys")).len(), 1);
    is_clean(&stage);
    let about = About { host: "web".to_owned(), directory: "a".to_owned(), tags: vec![], when: 7 };
    place().add(&about, vec![Addition::new("empty", 0, || Ok(Box::new(io::empty())))]).unwrap();
    // One that has lost its configuration is none to be made anew.
    fs::remove_file(directory(&stage).join("config")).unwrap();
    let here = stage.path("").display().to_string();
    let failure = Failure::from(backup::Error::from(place().prepare().unwrap_err()));
    assert_eq!(
        failure.text().replace(&here, "HERE/"),
        "error: the repository `HERE/repository` cannot be used\n  because: it has no configuration\n\
         hint: `restic check` says more of it\n"
    );
}
