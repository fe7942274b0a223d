//! Clones and updates, from paths and from real git servers over HTTP.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use proptest::prelude::*;
use ryo::event::Events;
use ryo::git::packet::{Malformed, Packet, Packets};
use ryo::git::{self, Update};
use tempfile::TempDir;

#[path = "git/server.rs"]
pub mod server;

use server::{Manner, serve};

/// A remote repository with one commit, and room for clones.
struct Bed {
    root: TempDir,
}

fn run(directory: &Path, words: &[&str]) -> String {
    let output = Command::new("git")
        .args(["-c", "user.name=t", "-c", "user.email=t@t", "-c", "init.defaultBranch=main"])
        .args(words)
        .current_dir(directory)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .stderr(Stdio::inherit())
        .output()
        .unwrap();
    assert!(output.status.success(), "git {words:?}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

impl Bed {
    fn new() -> Self {
        let bed = Self { root: TempDir::new().unwrap() };
        fs::create_dir(bed.origin()).unwrap();
        run(&bed.origin(), &["init", "-q"]);
        bed.commit("README", "one\n");
        bed
    }

    fn origin(&self) -> PathBuf {
        self.root.path().join("origin")
    }

    fn clone(&self) -> PathBuf {
        self.root.path().join("work/module")
    }

    /// Commits `text` as `file` at the origin and returns the commit.
    fn commit(&self, file: &str, text: &str) -> String {
        commit(&self.origin(), file, text)
    }

    fn head(&self) -> String {
        run(&self.clone(), &["rev-parse", "HEAD"])
    }

    fn text(&self, file: &str) -> String {
        fs::read_to_string(self.clone().join(file)).unwrap()
    }

    /// Returns the error's text with the temporary root replaced.
    fn told(&self, error: &git::Error) -> String {
        let causes = std::iter::successors(Some(error as &dyn std::error::Error), |error| (*error).source());
        let text = causes.map(ToString::to_string).collect::<Vec<_>>().join(": ");
        text.replace(&self.root.path().display().to_string(), "~")
    }
}

fn commit(directory: &Path, file: &str, text: &str) -> String {
    fs::write(directory.join(file), text).unwrap();
    run(directory, &["add", "-A"]);
    run(directory, &["commit", "-q", "-m", "x"]);
    run(directory, &["rev-parse", "HEAD"])
}

async fn clone(url: &str, to: &Path) -> Result<String, git::Error> {
    git::clone(url, to, &Events::nowhere()).await
}

async fn update(directory: &Path) -> Result<Update, git::Error> {
    git::update(directory, &Events::nowhere()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clone_follows_its_origin_whatever_carries_it() {
    for manner in [None, Some(Manner::Right), Some(Manner::Moved)] {
        for scheme in ["", "file://"] {
            let bed = Bed::new();
            let first = run(&bed.origin(), &["rev-parse", "HEAD"]);
            let url = match manner {
                Some(manner) => serve(bed.origin(), manner).await,
                None => format!("{scheme}{}", bed.origin().display()),
            };
            assert_eq!(clone(&url, &bed.clone()).await.unwrap(), first);
            assert_eq!((bed.head(), bed.text("README")), (first.clone(), "one\n".to_owned()));
            assert_eq!(update(&bed.clone()).await.unwrap(), Update::Current { commit: first.clone() });
            let second = bed.commit("README", "two\n");
            let third = bed.commit("deep", "three\n");
            assert_ne!(second, third);
            assert_eq!(update(&bed.clone()).await.unwrap(), Update::Moved { from: first, to: third.clone() });
            assert_eq!((bed.text("README"), bed.text("deep")), ("two\n".to_owned(), "three\n".to_owned()));
            assert_eq!(run(&bed.clone(), &["status", "--porcelain", "--branch"]), "## main...origin/main");
            run(&bed.clone(), &["fsck", "--strict"]);
            assert_eq!(update(&bed.clone()).await.unwrap(), Update::Current { commit: third });
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clone_by_git_itself_is_updated() {
    let bed = Bed::new();
    let url = serve(bed.origin(), Manner::Right).await;
    run(bed.root.path(), &["clone", "-q", &url, "work/module"]);
    let new = bed.commit("README", &"long\n".repeat(100_000));
    let Update::Moved { to, .. } = update(&bed.clone()).await.unwrap() else { panic!("not moved") };
    assert_eq!((to, bed.head()), (new.clone(), new));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_s_changes_are_kept_or_named() {
    let bed = Bed::new();
    bed.commit("other", "one\n");
    clone(&bed.origin().display().to_string(), &bed.clone()).await.unwrap();
    fs::write(bed.clone().join("other"), "mine\n").unwrap();
    fs::write(bed.clone().join("new"), "mine\n").unwrap();
    bed.commit("README", "two\n");
    update(&bed.clone()).await.unwrap();
    assert_eq!((bed.text("README"), bed.text("other")), ("two\n".to_owned(), "mine\n".to_owned()));

    let before = bed.head();
    fs::write(bed.origin().join("new"), "theirs\n").unwrap();
    bed.commit("other", "theirs\n");
    let error = update(&bed.clone()).await.unwrap_err();
    assert_eq!(bed.told(&error), "changes in `~/work/module` are in the way of its update: `new`, `other`");
    assert_eq!((bed.head(), bed.text("other"), bed.text("new")), (before, "mine\n".to_owned(), "mine\n".to_owned()));
    assert_eq!(bed.text("README"), "two\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_update_that_was_killed_after_the_files_is_finished_by_the_next() {
    let bed = Bed::new();
    clone(&bed.origin().display().to_string(), &bed.clone()).await.unwrap();
    let new = bed.commit("README", "two\n");
    fs::write(bed.clone().join("README"), "two\n").unwrap();
    update(&bed.clone()).await.unwrap();
    assert_eq!((bed.head(), run(&bed.clone(), &["status", "--porcelain"])), (new, String::new()));
}

#[tokio::test(flavor = "multi_thread")]
async fn commits_of_ones_own_are_kept() {
    let bed = Bed::new();
    clone(&bed.origin().display().to_string(), &bed.clone()).await.unwrap();
    let mine = commit(&bed.clone(), "mine", "mine\n");
    assert_eq!(update(&bed.clone()).await.unwrap(), Update::Current { commit: mine.clone() });
    bed.commit("README", "two\n");
    bed.commit("README", "three\n");
    let error = update(&bed.clone()).await.unwrap_err();
    assert_eq!(
        bed.told(&error),
        "branch `main` of `~/work/module` has 1 commit that its remote does not have, which is 2 commits ahead"
    );
    assert_eq!(bed.head(), mine);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_cloned_leaves_nothing() {
    let bed = Bed::new();
    fs::create_dir_all(bed.root.path().join("empty")).unwrap();
    run(&bed.root.path().join("empty"), &["init", "-q"]);
    let empty = bed.root.path().join("empty").display().to_string();
    let cases = [
        ("git@example.org:x/y".to_owned(), "cannot fetch from `git@example.org:x/y`: only https, http, file and paths"),
        ("ssh://example.org/x".to_owned(), "cannot fetch from `ssh://example.org/x`: only https, http, file and paths"),
        (empty, "`~/empty` has no branch `HEAD`"),
        (
            "http://user:secret@127.0.0.1:1/x".to_owned(),
            "cannot fetch from `http://127.0.0.1:1/x`: Connection refused (os error 111)",
        ),
    ];
    for (url, told) in cases {
        let error = clone(&url, &bed.clone()).await.unwrap_err();
        assert_eq!(bed.told(&error), told);
    }
    for (manner, told) in [
        (Manner::Missing, "there is no public repository at `URL`: the server answers 404"),
        (Manner::Broken, "`URL` does not answer as a git server: status 500"),
        (Manner::Page, "`URL` does not answer as a git server: it sends text/html"),
        (Manner::Garbage, "`URL` does not answer as a git server: `hell`"),
        (Manner::HalfReferences, "`URL` does not answer as a git server: its references are not whole"),
        (Manner::HalfPack, "`URL` does not answer as a git server: the pack is not whole"),
        (Manner::NoPack, "`URL` does not answer as a git server: the pack is not whole"),
        (Manner::Refusal, "`URL` does not answer as a git server: access denied"),
    ] {
        let url = serve(bed.origin(), manner).await;
        let error = clone(&url, &bed.clone()).await.unwrap_err();
        assert_eq!(bed.told(&error).replace(&url, "URL"), told);
    }
    assert!(!bed.clone().exists());
    assert_eq!(fs::read_dir(bed.root.path().join("work")).unwrap().count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clone_does_not_take_a_place_and_takes_over_what_broke() {
    let bed = Bed::new();
    let leftover = bed.clone().with_file_name(".module.ryo-clone");
    fs::create_dir_all(leftover.join("half")).unwrap();
    clone(&bed.origin().display().to_string(), &bed.clone()).await.unwrap();
    assert!(!leftover.exists());
    let error = clone(&bed.origin().display().to_string(), &bed.clone()).await.unwrap_err();
    assert_eq!(bed.told(&error), "`~/work/module` is in the way of a clone");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_follows_nothing_cannot_be_updated() {
    let bed = Bed::new();
    let error = update(&bed.origin()).await.unwrap_err();
    assert_eq!(bed.told(&error), "`~/origin` has no branch that follows a remote one");
    let error = update(bed.root.path()).await.unwrap_err();
    let told = bed.told(&error);
    assert!(told.starts_with("`~` is not a git repository: "), "{told}");
}

#[test]
fn an_address_is_base_and_name() {
    for base in ["https://example.org/x", "https://example.org/x/"] {
        assert_eq!(git::address(base, "ryo-module"), "https://example.org/x/ryo-module");
    }
}

#[test]
fn packets_are_cut_wherever_the_bytes_break() {
    let bytes = b"0006a\n00000004000bNAK\nxyz";
    for split in 0..bytes.len() {
        let mut packets = Packets::default();
        let mut found = vec![];
        for part in [&bytes[..split], &bytes[split..]] {
            packets.push(part);
            while let Some(packet) = packets.cut().unwrap() {
                found.push(packet);
            }
        }
        let data = |text: &'static str| Packet::Data(text.into());
        assert_eq!(found, [data("a\n"), Packet::Flush, data(""), data("NAK\nxyz")]);
        assert!(packets.is_empty());
    }
    for bad in ["0001", "0003", "+004", "zzzz", "\u{fc}00"] {
        let mut packets = Packets::default();
        packets.push(bad.as_bytes());
        assert!(matches!(packets.cut(), Err(Malformed(_))), "{bad}");
    }
}

proptest! {
    #[test]
    fn no_bytes_upset_the_cutter_of_packets(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let mut packets = Packets::default();
        packets.push(&bytes);
        while let Ok(Some(_)) = packets.cut() {}
    }
}
