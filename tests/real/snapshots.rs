//! Backups of data that are on btrfs, by snapshots.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use crate::backups::{DATA, serves, wipe};
use crate::deploy::killed;
use crate::support::mirror::run;
use crate::support::work::{Host, Work, turns};

/// Where the data of all are.
const ALL: &str = "/var/containers";

/// A file with btrfs in it, mounted where the data are for as long as it lives.
struct Btrfs(#[expect(dead_code, reason = "it is removed with it")] tempfile::NamedTempFile);

impl Btrfs {
    fn mounted() -> Self {
        let file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().set_len(2 << 30).unwrap();
        fs::create_dir_all(ALL).unwrap();
        let path = file.path().display().to_string();
        run("mkfs.btrfs", &["-q", &path], Path::new("/"));
        run("mount", &["-o", "loop", &path, ALL], Path::new("/"));
        Self(file)
    }
}

impl Drop for Btrfs {
    fn drop(&mut self) {
        // A server that has just lost an instance holds what was mounted in it for a moment.
        for _ in 0..50 {
            if Command::new("umount").arg(ALL).status().is_ok_and(|status| status.success()) {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(200));
        }
        let _ = Command::new("umount").args(["--lazy", ALL]).status();
    }
}

/// Snapshots that are there.
fn snapshots() -> Vec<String> {
    let names = fs::read_dir(ALL).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.starts_with(".ryo-snapshot-")).collect()
}

/// Whether `path` is in the archive of `stamp`.
fn holds(work: &Work, host: &Host, stamp: &str, path: &str) -> bool {
    let archive = format!("ryo-host/backup-restore/backups/backup-{}-ryo-tiny-{stamp}.tar.gz", host.name);
    let listed = run("tar", &["-tzf", &work.path(&archive).display().to_string()], Path::new("/"));
    String::from_utf8(listed).unwrap().lines().any(|line| line == path)
}

#[tokio::test]
async fn what_is_on_btrfs_is_copied_from_a_snapshot() {
    let host = Host::lxd();
    wipe(&host).await;
    let btrfs = Btrfs::mounted();
    let work = Work::new(host.clone());
    work.ryo(&["deploy", "ryo-tiny", "-n", &host.name, "-v", "1", "--yes"]).well();
    // This takes its time to be copied, and comes first.
    let noise: Vec<u8> = (0..48_u64 << 20).map(|at| (at.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8).collect();
    fs::write(format!("{ALL}/ryo-tiny-store/noise"), noise).unwrap();
    fs::write(format!("{DATA}/data/plain"), "as it was").unwrap();

    let backup = |stamp: &'static str| ["backup", "ryo-tiny", "-n", &host.name, "-s", stamp, "--yes", "--freeze"];
    let mut child = work.command(&backup("one")).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut said = vec![];
    for line in BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap) {
        if line.starts_with("[7/10] ") {
            assert!(serves(&host).await, "instances are held up by the copy");
            fs::write(format!("{DATA}/data/late"), "later than the snapshot").unwrap();
        }
        said.push(line);
    }
    let ended = child.wait_with_output().unwrap();
    assert!(ended.status.success(), "{said:?}");
    let begun = |line: &String| line.split_once("/10] ").map(|(_, title)| title.to_owned());
    assert_eq!(
        said.iter().filter_map(begun).collect::<Vec<_>>(),
        [
            "ryo-tiny: freeze instance tiny",
            "ryo-tiny: freeze instance store",
            "ryo-tiny-store: take a snapshot of /var/containers/ryo-tiny-store",
            "ryo-tiny: take a snapshot of /var/containers/ryo-tiny",
            "ryo-tiny: start instance store again",
            "ryo-tiny: start instance tiny again",
            "ryo-tiny-store: copy the snapshot of /var/containers/ryo-tiny-store",
            "ryo-tiny: copy the snapshot of /var/containers/ryo-tiny",
            "ryo-tiny-store: write backup-local-ryo-tiny-store-one.tar.gz",
            "ryo-tiny: write backup-local-ryo-tiny-one.tar.gz",
        ],
        "{said:?}"
    );
    assert!(holds(&work, &host, "one", "ryo-tiny/data/plain"));
    assert!(!holds(&work, &host, "one", "ryo-tiny/data/late"));
    assert_eq!(snapshots(), Vec::<String>::new());

    fs::write(format!("{DATA}/data/plain"), "spoilt").unwrap();
    work.ryo(&["restore", "ryo-tiny", "-n", &host.name, "-s", "one", "--modules", "--yes"]).well();
    assert_eq!(fs::read_to_string(format!("{DATA}/data/plain")).unwrap(), "as it was");
    work.ryo(&["restore", "ryo-tiny", "-n", &host.name, "--modules", "--commit", "--yes"]).well();

    for at in turns() {
        let (stamp, whole) = (format!("killed-{at}"), format!("whole-{at}"));
        let reached = killed(&work, &["backup", "ryo-tiny", "-n", &host.name, "-s", &stamp, "--yes", "--json"], at);
        work.ryo(&["backup", "ryo-tiny", "-n", &host.name, "-s", &whole, "--yes"]).well();
        assert!(serves(&host).await, "killed at event {at}");
        assert_eq!(snapshots(), Vec::<String>::new(), "killed at event {at}");
        if !reached {
            assert!(at >= 15, "only {at} events");
            break;
        }
    }

    // Something that is in the way of a snapshot.
    let way = format!("{ALL}/.ryo-snapshot-ryo-tiny");
    fs::create_dir(&way).unwrap();
    let ended = work.ryo(&backup("three")).well();
    assert!(ended.stderr.contains("; /var/containers/ryo-tiny is copied while nothing serves\n"), "{ended:?}");
    assert!(holds(&work, &host, "three", "ryo-tiny/data/plain"));
    fs::remove_dir(way).unwrap();

    // A subvolume within the data would not be in a snapshot.
    run("btrfs", &["-q", "subvolume", "create", &format!("{DATA}/data/own")], Path::new("/"));
    fs::write(format!("{DATA}/data/own/file"), "in a subvolume").unwrap();
    let ended = work.ryo(&backup("two")).well();
    assert!(ended.stdout.contains("copy what has changed in /var/containers/ryo-tiny\n"), "{ended:?}");
    assert!(holds(&work, &host, "two", "ryo-tiny/data/own/file"));
    run("btrfs", &["-q", "subvolume", "delete", &format!("{DATA}/data/own")], Path::new("/"));
    wipe(&host).await;
    drop(btrfs);
}
