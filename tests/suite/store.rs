//! A store of backups: listed, shown, verified and pruned, by what a person types.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use regex::Regex;
use ryo::archive::Compression;
use ryo::archive::seal::Identities;
use ryo::event::Events;
use ryo::failure::Failure;
use ryo::flow::backup;
use ryo::flow::backup::catalogue::{self, Backup, State};
use ryo::flow::backup::verify::{Verdict, verify};
use serde_json::Value;

use crate::backup::{data, deployed};
use crate::support::stage::Stage;
use crate::support::work::Ended;

/// Where backups are.
pub fn store(stage: &Stage) -> PathBuf {
    backup::directory(&stage.path("work"))
}

/// Runs `ryo` in the working directory. Spans and sizes are called `SPAN` and `SIZE`, as they are never the same.
pub fn ryo(stage: &Stage, words: &[&str]) -> Ended {
    let work = stage.path("work");
    fs::write(work.join("settings.yml"), "hosts:\n  local:\n    socket: /nowhere/unix.socket\n").unwrap();
    let ended = Ended::here(&work, words, |command| {
        command.env("RYO_SETTINGS", work.join("settings.yml")).env("TZ", "UTC");
    });
    Ended { code: ended.code, stdout: tidy(&ended.stdout), stderr: tidy(&ended.stderr) }
}

pub fn tidy(text: &str) -> String {
    let text = Regex::new(r"\b\d+ (second|minute|hour|day)s?\b").unwrap().replace_all(text, "SPAN");
    let text = Regex::new(r"\b[0-9.]+ (bytes|[KMG]iB)\b").unwrap().replace_all(&text, "SIZE");
    let text = Regex::new(r"\([0-9.]+ m?s\)").unwrap().replace_all(&text, "(TIME)");
    let text = Regex::new(r"byte \d+ of \d+").unwrap().replace_all(&text, "byte N of N");
    let text = Regex::new(r"has SIZE, not \d+:").unwrap().replace_all(&text, "has SIZE, not N:");
    Regex::new(r" {2,}").unwrap().replace_all(&text, "  ").into_owned()
}

/// A deployed project with backups of itself and its module, made at these times, which are their stamps.
async fn with_backups(times: &[(&str, u64)]) -> Stage {
    let stage = deployed().await;
    let time = Regex::new("\"when\":[0-9]+").unwrap();
    for (stamp, when) in times {
        let specs = stage.archives(stamp, Compression::Gzip);
        stage.backs_up(stage.lxd.clone(), &specs, &Events::nowhere()).await.unwrap();
        for spec in &specs {
            let manifest = backup::manifest::beside(&spec.file);
            let text = fs::read_to_string(&manifest).unwrap();
            let text = time.replace(&text, format!("\"when\":{when}"));
            fs::write(manifest, &*text).unwrap();
        }
    }
    stage
}

/// An archive as the original makes them.
fn original(stage: &Stage, stamp: &str) -> PathBuf {
    let archive = store(stage).join(format!("backup-local-ryo-tiny-{stamp}.tar.gz"));
    fs::create_dir_all(store(stage)).unwrap();
    let parent = data(stage).parent().unwrap().to_owned();
    let script = "tar --format=posix -czf \"$1\" ryo-tiny/*";
    assert!(
        Command::new("sh").args(["-c", script, "sh"]).arg(&archive).current_dir(parent).status().unwrap().success()
    );
    archive
}

fn look(stage: &Stage) -> Vec<Backup> {
    catalogue::look(&store(stage), &Identities::default()).unwrap().backups
}

fn names(stage: &Stage) -> Vec<String> {
    let entries = fs::read_dir(store(stage)).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

const DAY: u64 = 86_400;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn backups_are_listed_with_what_is_known_of_them() {
    let stage = with_backups(&[("1", 1_790_000_000)]).await;
    original(&stage, "20200101");
    let ended = ryo(&stage, &["backup", "list"]).well();
    assert_eq!(
        ended.stdout,
        "HOST  ID  STAMP  AGE  SIZE  MADE BY  STATE\n\
         local  ryo-tiny  20200101  SPAN  SIZE  the original  not verified\n\
         local  ryo-tiny  1  SPAN  SIZE  ryo  whole\n\
         local  ryo-tiny-store  1  SPAN  SIZE  ryo  whole\n"
    );
    assert_eq!(ended.stderr, "");
    let ended = ryo(&stage, &["backup", "list", "ryo-tiny-store/", "-n", "local", "--json"]).well();
    let result: Value = serde_json::from_str(&ended.stdout).unwrap();
    let row = &result["result"]["backups"][0];
    assert_eq!(
        row.to_string(),
        format!(
            "{{\"host\":\"local\",\"id\":\"ryo-tiny-store\",\"kind\":\"module\",\"stamp\":\"1\",\"when\":1790000000,\
             \"archive\":\"HERE/ryo-host/backup-restore/backups/backup-local-ryo-tiny-store-1.tar.gz\",\"size\":{},\
             \"made_by\":\"ryo\",\"encrypted\":false,\"state\":\"whole\",\"verified\":null,\"reason\":null}}",
            row["size"]
        )
    );
    // What a broken backup has left, and an archive that is none.
    fs::write(store(&stage).join("backup-local-ryo-tiny-2.tar.gz.partial"), "half").unwrap();
    fs::write(store(&stage).join("backup-local-ryo-tiny-3.json"), "{}").unwrap();
    fs::write(store(&stage).join("backup-local-ryo-tiny-4.tar.gz"), "gibberish").unwrap();
    let ended = ryo(&stage, &["backup", "list", "-n", "local", "ryo-tiny"]).well();
    assert_eq!(
        (ended.stdout.as_str(), ended.stderr.as_str()),
        (
            "HOST  ID  STAMP  AGE  SIZE  MADE BY  STATE\n\
             local  ryo-tiny  20200101  SPAN  SIZE  the original  not verified\n\
             local  ryo-tiny  1  SPAN  SIZE  ryo  whole\n\
             ?  backup-local-ryo-tiny-4.tar.gz  ?  ?  SIZE  the original  not verified\n",
            "warning: backup-local-ryo-tiny-4.tar.gz: it is no archive that can be read: failed to read entire block, near byte N of N\n\
             warning: backup-local-ryo-tiny-2.tar.gz.partial is left of a broken backup; `ryo backup prune` removes it\n\
             warning: backup-local-ryo-tiny-3.json is left of a broken backup; `ryo backup prune` removes it\n"
        )
    );
    let ended = ryo(&stage, &["backup", "list", "-n", "web"]).well();
    assert_eq!(ended.stdout, "there is no backup on host `web` in `HERE/ryo-host/backup-restore/backups`\n");
    let ended = ryo(&stage, &["backup", "list", "--from", "elsewhere"]).well();
    assert_eq!(ended.stdout, "there is no backup in `elsewhere`\n");
    let ended = ryo(&stage, &["backup", "list", "--from", "ryo-tiny/deploy.sh"]);
    assert_eq!(
        (ended.code, ended.stderr.as_str()),
        (Some(2), "error: cannot list the backups in `ryo-tiny/deploy.sh`\n  because: Not a directory (os error 20)\n")
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_is_shown() {
    let stage = with_backups(&[("1", 1_790_000_000)]).await;
    let ended = ryo(&stage, &["backup", "show", "ryo-tiny"]).well();
    let text = Regex::new("image [0-9a-f]{12}, did not serve for [0-9.]+ s").unwrap();
    let text = text.replace(&ended.stdout, "image IMAGE, did not serve for TIME").into_owned();
    let text = Regex::new("made by  .*").unwrap().replace(&text, "made by  WHO").into_owned();
    assert_eq!(
        text,
        "backup 1 of project ryo-tiny on host local\n\
         \x20 archive  HERE/ryo-host/backup-restore/backups/backup-local-ryo-tiny-1.tar.gz (SIZE)\n\
         \x20 state  whole, not verified\n\
         \x20 data of  2026-09-21 14:13:20 UTC, SPAN ago\n\
         \x20 made by  WHO\n\
         \x20 instance  tiny, version 1, image IMAGE, did not serve for TIME\n\
         \x20 content  3 members, SIZE\n\
         \x20 biggest  ryo-tiny/README (SIZE)\n\
         \x20 kept  3 Consul keys, 6 files\n\
         \x20 left out  values of Consul keys and contents of files: the backup is not encrypted\n"
    );
    let ended = ryo(&stage, &["backup", "show"]);
    assert_eq!(
        (ended.code, ended.stderr.as_str()),
        (
            Some(2),
            "error: more than one is meant: local ryo-tiny 1, local ryo-tiny-store 1\n\
             hint: name the project or module, and the host with `-n`\n"
        )
    );
    let ended = ryo(&stage, &["backup", "show", "ryo-tiny", "-s", "7"]);
    assert_eq!(
        (ended.code, ended.stderr.as_str()),
        (
            Some(2),
            "error: there is no backup of ryo-tiny with the stamp 7 in `HERE/ryo-host/backup-restore/backups`\n\
             hint: `ryo backup list` shows those that there are\n"
        )
    );
    let ended = ryo(&stage, &["backup", "show", "ryo-tiny", "--files", "out"]);
    assert_eq!(
        (ended.code, ended.stderr.as_str()),
        (
            Some(2),
            "error: no contents of files are kept in local ryo-tiny 1\n\
             hint: they are kept in encrypted backups: `--encrypt RECIPIENT`\n"
        )
    );
    let ended = ryo(&stage, &["backup", "show", "ryo-tiny", "--json"]).well();
    let result: Value = serde_json::from_str(&ended.stdout).unwrap();
    let manifest = &result["result"]["manifest"];
    assert_eq!(manifest["instances"][0]["name"], "tiny");
    assert!(manifest["keys"].as_array().unwrap().iter().all(Value::is_string), "{manifest}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn verifying_reads_every_byte_and_is_remembered() {
    let stage = with_backups(&[("1", 1_790_000_000)]).await;
    let archive = original(&stage, "20200101");
    let digest = |path: &Path| fs::read(path).unwrap();
    let manifest = store(&stage).join("backup-local-ryo-tiny-1.json");
    let before = digest(&manifest);
    let ended = ryo(&stage, &["backup", "verify"]).well();
    assert_eq!(
        ended.stdout,
        "local ryo-tiny 20200101: whole (2 members, SIZE)\n\
         local ryo-tiny 1: whole (3 members, SIZE)\n\
         local ryo-tiny-store 1: whole (3 members, SIZE)\n"
    );
    assert_eq!(digest(&manifest), before, "the manifest is as it was");
    let ended = ryo(&stage, &["backup", "list"]).well();
    assert_eq!(ended.stdout.matches("verified SPAN ago").count(), 3, "{}", ended.stdout);
    // Whoever writes to an archive later is seen without reading it again.
    let later = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_700_000_000);
    fs::File::open(&archive).unwrap().set_modified(later).unwrap();
    let ended = ryo(&stage, &["backup", "list"]).well();
    assert_eq!(ended.stdout.matches("verified SPAN ago").count(), 2, "{}", ended.stdout);
    let ended = ryo(&stage, &["backup", "verify", "ryo-tiny", "-s", "9"]);
    assert_eq!(
        (ended.code, ended.stderr.as_str()),
        (
            Some(2),
            "error: there is no backup of ryo-tiny with the stamp 9 in `HERE/ryo-host/backup-restore/backups`\n\
             hint: `ryo backup list` shows those that there are\n"
        )
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_backup_is_told_with_what_and_where() {
    let stage = with_backups(&[("1", 1_790_000_000)]).await;
    let archive = store(&stage).join("backup-local-ryo-tiny-1.tar.gz");
    let whole = fs::read(&archive).unwrap();
    fs::write(&archive, &whole[..whole.len() / 2]).unwrap();
    let ended = ryo(&stage, &["backup", "verify", "ryo-tiny"]);
    assert_eq!(ended.code, Some(1));
    assert_eq!(
        (ended.stdout.as_str(), ended.stderr.as_str()),
        (
            "local ryo-tiny 1: damaged: it has SIZE, not N: it is no archive that can be read: it breaks off, \
             near byte N of N, at `ryo-tiny`\n",
            "[1/1] verify local ryo-tiny 1\n\
             [1] failed: verify local ryo-tiny 1 (TIME)\n\
             error: 1 of 1 backup could not be verified\n\
             hint: make another one, and keep what is damaged until it is verified\n"
        )
    );
    // It is known before anybody reads it again.
    let ended = ryo(&stage, &["backup", "list", "ryo-tiny"]).well();
    assert!(ended.stdout.contains("damaged"), "{}", ended.stdout);
    fs::write(&archive, &whole).unwrap();
    ryo(&stage, &["backup", "verify", "ryo-tiny"]).well();
    let ended = ryo(&stage, &["backup", "verify", "ryo-tiny", "--json"]).well();
    assert_eq!(ended.stdout.matches("\"state\":\"verified\"").count(), 1, "{}", ended.stdout);

    // One bit, anywhere.
    let backup = || look(&stage).into_iter().find(|it| it.archive.path() == archive).unwrap();
    let (mut told, number) = (std::collections::BTreeSet::new(), Regex::new("byte [0-9]+").unwrap());
    for at in 0..whole.len() {
        let mut bytes = whole.clone();
        bytes[at] ^= 1 << (at % 8);
        fs::write(&archive, bytes).unwrap();
        match verify(&backup(), &Identities::default()).unwrap() {
            Verdict::Damaged(what) => told.insert(number.replace(&what, "byte N").into_owned()),
            other => panic!("a bit of byte {at} is another: {other:?}"),
        };
        assert!(matches!(backup().state, State::Damaged(_)), "at {at}: {:?}", backup().state);
    }
    assert!(told.contains("its bytes are others"), "{told:?}");
    assert!(told.iter().any(|what| what.contains(", near byte N of ")), "{told:?}");
    for length in 0..whole.len() {
        fs::write(&archive, &whole[..length]).unwrap();
        let verdict = verify(&backup(), &Identities::default()).unwrap();
        let wanted = format!("it has {length} bytes, not {}: ", whole.len());
        assert!(matches!(&verdict, Verdict::Damaged(what) if what.starts_with(&wanted)), "{length}: {verdict:?}");
    }
    // The same members behind another manifest.
    fs::write(&archive, &whole).unwrap();
    let manifest = backup::manifest::beside(&archive);
    let text = fs::read_to_string(&manifest).unwrap();
    for (from, to, wanted) in [
        ("\"kind\":\"directory\"", "\"kind\":\"fifo\"", "damaged: `ryo-tiny` is another"),
        ("\"form\":1", "\"form\":9", "its manifest cannot be read: it is of form 9, this `ryo` reads form 1"),
        ("\"members\":[", "\"members\":[{", "its manifest cannot be read: it is no manifest: "),
    ] {
        assert!(text.contains(from), "{from}: {text}");
        fs::write(&manifest, text.replacen(from, to, 1)).unwrap();
        let ended = ryo(&stage, &["backup", "verify", "ryo-tiny"]);
        assert_eq!(ended.code, Some(1), "{from}");
        assert!(ended.stdout.contains(wanted), "{from}: {}", ended.stdout);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pruning_that_breaks_off_says_what_is_gone() {
    let last = 1_790_000_000;
    let stage = with_backups(&[("1", last - 2 * DAY), ("2", last - DAY), ("3", last)]).await;
    // What is no file is not removed as one.
    let held = store(&stage).join("backup-local-ryo-tiny-1.record");
    fs::create_dir(&held).unwrap();
    let words = ["backup", "prune", "--keep-last", "1", "--yes"];
    let ended = ryo(&stage, &words);
    assert_eq!(
        (ended.code, ended.stderr.as_str()),
        (
            Some(3),
            "warning: done before that: remove backup-local-ryo-tiny-2.tar.gz, remove backup-local-ryo-tiny-1.tar.gz\n\
             error: cannot remove `HERE/ryo-host/backup-restore/backups/backup-local-ryo-tiny-1.record`\n  \
             because: Is a directory (os error 21)\n"
        )
    );
    fs::remove_dir(held).unwrap();
    ryo(&stage, &words).well();
}

/// A disk that fails, or a share that has gone, says nothing of what is on it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_read_now_is_not_damaged_and_what_was_known_stays_known() {
    let stage = with_backups(&[("1", 1_790_000_000)]).await;
    ryo(&stage, &["backup", "verify", "ryo-tiny"]).well();
    let backup = &look(&stage)[0];
    let record = fs::read(backup.archive.record()).unwrap();
    let archive = backup.archive.path();
    for file in [archive.to_owned(), backup::manifest::beside(archive)] {
        let whole = file.with_extension("whole");
        fs::rename(&file, &whole).unwrap();
        // Where nothing is mapped.
        std::os::unix::fs::symlink("/proc/self/mem", &file).unwrap();
        let error = verify(backup, &Identities::default()).unwrap_err();
        assert_eq!(
            Failure::from(error).text(),
            format!("error: cannot read `{}`\n  because: Input/output error (os error 5)\n", file.display())
        );
        fs::rename(&whole, &file).unwrap();
    }
    assert_eq!(fs::read(backup.archive.record()).unwrap(), record);
    assert!(matches!(look(&stage)[0].state, State::Verified(_)));
}

/// What could not be unpacked is no whole backup, although its bytes can be read.
#[test]
fn an_archive_whose_members_do_not_fit_together_is_damaged() {
    use tar::EntryType::{Directory, Fifo, Link, Regular, Symlink};
    type Members<'m> = &'m [(tar::EntryType, &'m str, &'m str)];
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("backup-local-tiny-1.tar.gz");
    let verdict = |members: Members<'_>| {
        let mut builder = tar::Builder::new(flate2::write::GzEncoder::new(vec![], flate2::Compression::fast()));
        for (kind, path, link) in members {
            let mut header = tar::Header::new_gnu();
            header.set_entry_type(*kind);
            header.set_mode(0o644);
            header.set_uid(0);
            header.set_gid(0);
            header.set_mtime(0);
            header.set_size(0);
            if !link.is_empty() {
                header.set_link_name(link).unwrap();
            }
            builder.append_data(&mut header, path, &b""[..]).unwrap();
        }
        fs::write(&file, builder.into_inner().unwrap().finish().unwrap()).unwrap();
        let backups = catalogue::look(place.path(), &Identities::default()).unwrap().backups;
        match verify(&backups[0], &Identities::default()).unwrap() {
            Verdict::Whole { members, .. } => format!("{members} members"),
            Verdict::Damaged(what) => what.split(", near byte").next().unwrap().to_owned(),
            Verdict::Unopened => "unopened".to_owned(),
        }
    };
    let top = (Directory, "tiny/", "");
    let table: [(Members<'_>, &str); 12] = [
        (&[top, (Regular, "tiny/a", ""), (Link, "tiny/b", "tiny/a"), (Directory, "tiny/d/", "")], "4 members"),
        (&[(Regular, "tiny/deep/er/a", ""), (Directory, "tiny/deep/", ""), (Directory, "tiny/deep/", "")], "3 members"),
        (&[], "it is no archive that can be read: nothing is in it"),
        (&[(Regular, "tiny", "")], "it is no archive that can be read: `tiny` is no directory"),
        (
            &[top, (Regular, "tiny/a", ""), (Regular, "tiny/a", "")],
            "it is no archive that can be read: `tiny/a` is there twice",
        ),
        (
            &[top, (Regular, "tiny/a", ""), (Directory, "tiny/a/", "")],
            "it is no archive that can be read: `tiny/a` is there twice",
        ),
        (&[top, (Symlink, "tiny/s", "/etc"), (Regular, "tiny/s/a", "")], "`tiny/s/a` leads through a link"),
        (&[top, (Regular, "tiny/a", ""), (Fifo, "tiny/a/b", "")], "`tiny/a/b` leads through a link"),
        (
            &[top, (Link, "tiny/b", "tiny/none")],
            "it is no archive that can be read: `tiny/b` is another name of nothing",
        ),
        (
            &[top, (Directory, "tiny/d/", ""), (Link, "tiny/b", "tiny/d")],
            "it is no archive that can be read: `tiny/b` is another name of nothing",
        ),
        (
            &[top, (Symlink, "tiny/s", "/etc"), (Link, "tiny/t", "tiny/s"), (Regular, "tiny/t/a", "")],
            "`tiny/t/a` leads through a link",
        ),
        (&[top, (Link, "tiny/b", "other/a")], "`other/a` leads out of the directory"),
    ];
    for (members, wanted) in table {
        assert_eq!(verdict(members), wanted, "{members:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pruning_shows_what_goes_and_why_and_removes_it_whole() {
    let last = 1_790_000_000;
    let stage = with_backups(&[("1", last - 2 * DAY), ("2", last - DAY), ("3", last)]).await;
    original(&stage, "20200101");
    fs::write(store(&stage).join("backup-local-ryo-tiny-9.tar.gz.partial"), "half").unwrap();
    ryo(&stage, &["backup", "verify", "-s", "2"]).well();
    let before = names(&stage);

    let ended = ryo(&stage, &["backup", "prune"]);
    assert_eq!(
        (ended.code, ended.stderr.as_str()),
        (
            Some(2),
            "error: nothing says which backups stay\n\
             hint: give `--keep-last`, `--keep-daily`, `--keep-weekly`, `--keep-monthly` or `--keep-within`\n"
        )
    );
    let ended = ryo(&stage, &["backup", "prune", "--keep-last", "1"]);
    assert_eq!(
        (ended.code, ended.stderr.as_str()),
        (Some(2), "error: cannot ask `Carry this out?`: standard input is no terminal\nhint: give `--yes`\n")
    );
    assert_eq!(names(&stage), before);
    let shown = "prune `HERE/ryo-host/backup-restore/backups`:\n\
        \x20 local ryo-tiny 20200101  made by the original\n\
        \x20 local ryo-tiny 3  last\n\
        \x20 local ryo-tiny 2  the last one that was verified\n\
        \x20 - local ryo-tiny 1  no rule keeps it (SIZE)\n\
        \x20 local ryo-tiny-store 3  last\n\
        \x20 local ryo-tiny-store 2  the last one that was verified\n\
        \x20 - local ryo-tiny-store 1  no rule keeps it (SIZE)\n\
        \x20 - backup-local-ryo-tiny-9.tar.gz.partial  left of a broken backup\n\
        2 backups and 1 leftover file to be removed (SIZE), 5 stay\n";
    assert_eq!(ended.stdout, shown);
    let ended = ryo(&stage, &["backup", "prune", "--keep-last", "1", "--yes"]).well();
    assert!(ended.stdout.ends_with("removed 2 backups and 1 leftover file (SIZE)\n"), "{}", ended.stdout);
    let gone: Vec<String> = before.into_iter().filter(|name| !names(&stage).contains(name)).collect();
    assert_eq!(
        gone,
        [
            "backup-local-ryo-tiny-1.json",
            "backup-local-ryo-tiny-1.tar.gz",
            "backup-local-ryo-tiny-9.tar.gz.partial",
            "backup-local-ryo-tiny-store-1.json",
            "backup-local-ryo-tiny-store-1.tar.gz"
        ]
    );
    let journal = fs::read_to_string(stage.path("work/.local/state/ryo/journal.jsonl")).unwrap();
    let line: Value = serde_json::from_str(journal.lines().last().unwrap()).unwrap();
    assert_eq!(
        line["steps"],
        serde_json::json!([
            "remove backup-local-ryo-tiny-9.tar.gz.partial",
            "remove backup-local-ryo-tiny-1.tar.gz",
            "remove backup-local-ryo-tiny-store-1.tar.gz"
        ])
    );
    assert_eq!(line["result"], "done");
    let ended = ryo(&stage, &["backup", "prune", "--keep-last", "1", "--yes"]).well();
    assert!(ended.stdout.ends_with("nothing to remove, 5 stay\n"), "{}", ended.stdout);
    // Broken off after the archive was removed: what is beside it goes the next time.
    fs::remove_file(store(&stage).join("backup-local-ryo-tiny-2.tar.gz")).unwrap();
    let ended = ryo(&stage, &["backup", "prune", "--keep-last", "1", "--yes", "--originals", "--json"]).well();
    let result: Value = serde_json::from_str(ended.stdout.lines().last().unwrap()).unwrap();
    let result = &result["result"];
    let left: Vec<&str> = result["leftovers"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it.as_str().unwrap().rsplit('/').next().unwrap())
        .collect();
    assert_eq!(left, ["backup-local-ryo-tiny-2.json", "backup-local-ryo-tiny-2.record"]);
    assert_eq!(result["backups"][0]["reasons"][0], "last", "{result}");
    assert_eq!(result["backups"][1]["reasons"][0], "the last one that is whole", "{result}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_being_written_is_no_leftover() {
    let stage = with_backups(&[]).await;
    let specs = stage.archives("1", Compression::Gzip);
    let draft = backup::draft::Draft::begin(&specs[0]).unwrap();
    // Its manifest is there before it has its name.
    fs::write(backup::manifest::beside(&specs[0].file), "{}").unwrap();
    assert_eq!(catalogue::look(&store(&stage), &Identities::default()).unwrap().leftovers, Vec::<PathBuf>::new());
    drop(draft);
    assert_eq!(
        catalogue::look(&store(&stage), &Identities::default()).unwrap().leftovers,
        [backup::manifest::beside(&specs[0].file)]
    );
}

#[test]
fn a_repository_that_is_called_like_a_command_is_given_with_its_directory() {
    let stage = Stage::new();
    fs::rename(stage.path("work/ryo-tiny"), stage.path("work/list")).unwrap();
    let ended = ryo(&stage, &["backup", "./list", "-n", "local", "--no-modules", "--yes"]);
    assert_eq!((ended.code, ended.stderr.contains("/nowhere/unix.socket")), (Some(1), true), "{}", ended.stderr);
    let ended = ryo(&stage, &["backup", "list", "-n", "local"]).well();
    assert_eq!(ended.stdout, "there is no backup on host `local` in `HERE/ryo-host/backup-restore/backups`\n");
    let ended = ryo(&stage, &["backup", "./list"]);
    assert_eq!(ended.code, Some(2));
    assert!(ended.stderr.contains("--host <NAME>"), "{}", ended.stderr);
}
