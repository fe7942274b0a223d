//! `ryo backup`, `ryo restore`, `ryo host backup` and `ryo host restore` against a real LXD: a database under load, a host
//! that lost everything, runs that are killed.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::deploy::killed;
use crate::support::work::{Ended, Host, Work, turns};

const OWNERS: [&str; 3] = ["ryo-tiny-store", "ryo-tiny", "ryo-tiny-forgotten"];
pub const DATA: &str = "/var/containers/ryo-tiny";

/// Removes everything that these tests leave on a host.
pub async fn wipe(host: &Host) {
    host.wipe(&OWNERS, &["store", "tiny"], "service/store/").await;
}

/// The tasks of an image with a database whose data are in the directory that is mounted.
const DATABASE: &str = r#"
- name: The database server
  apt:
    name: mariadb-server
    state: present
    update_cache: yes
- name: Its data are in the mounted directory
  copy:
    dest: /etc/mysql/mariadb.conf.d/99-data.cnf
    content: "[mysqld]\ndatadir = /data/mysql\ninnodb_use_native_aio = 0\n"
    mode: 0644
- name: A place for what is said of its service
  file:
    path: /etc/systemd/system/mariadb.service.d
    state: directory
    mode: 0755
- name: Its data are made at the first start
  copy:
    dest: /etc/systemd/system/mariadb.service.d/data.conf
    content: |
      [Service]
      ProtectSystem=false
      ProtectHome=false
      PrivateDevices=false
      ExecStartPre=+/bin/sh -c '[ -d /data/mysql ] || mariadb-install-db --user=mysql --datadir=/data/mysql >/dev/null'
    mode: 0644
- name: The directory of its data can be made
  file:
    path: /data
    state: directory
    mode: 0755
"#;

/// Writes rows as fast as one client can, three at once, and notes each one that has been committed.
const LOAD: &str = r#"
mariadb -e 'CREATE DATABASE load_test; CREATE TABLE load_test.lines (id BIGINT PRIMARY KEY, text TEXT) ENGINE=InnoDB'
for writer in 1 2 3; do
    systemd-run --quiet --unit=load-$writer sh -c '
        n=0
        while :; do
            n=$((n + 1)); id=$((n * 10 + '$writer'))
            mariadb -e "INSERT INTO load_test.lines VALUES ($id, REPEAT(CHAR(65 + $id % 26), 3000))" &&
                echo $id >>/root/committed-'$writer'
        done'
done
"#;

fn lines(text: &str) -> BTreeSet<u64> {
    text.lines().filter_map(|line| line.parse().ok()).collect()
}

async fn answers(host: &Host) {
    let wait = "for i in $(seq 300); do mariadb-admin ping >/dev/null 2>&1 && exit 0; sleep 0.2; done; \
                systemctl status mariadb; exit 1";
    host.inside("tiny", &["sh", "-c", wait]).await;
}

#[tokio::test]
async fn a_database_under_load_comes_back_with_everything_that_was_committed() {
    let host = Host::lxd();
    wipe(&host).await;
    let work = Work::new(host.clone());
    work.edit(
        "ryo-tiny/image-build/tiny.pkr.hcl",
        "image               = \"tiny\"",
        "image               = \"debian/12\"",
    );
    fs::write(work.path("ryo-tiny/image-build/playbooks/roles/set-up-tiny/tasks/main.yml"), DATABASE).unwrap();
    let on = |words: &[&str]| work.ryo(&[words, &["-n", &host.name, "--yes"]].concat()).well();
    on(&["deploy", "ryo-tiny", "-v", "1"]);
    answers(&host).await;
    host.inside("tiny", &["sh", "-c", LOAD]).await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    let ended = on(&["backup", "ryo-tiny", "-s", "loaded", "--json"]);
    // The writers have ended with the instance.
    let committed = lines(&host.inside("tiny", &["sh", "-c", "cat /root/committed-*"]).await);
    assert!(committed.len() > 100, "only {} lines were committed", committed.len());
    let result: Value = serde_json::from_str(ended.stdout.lines().last().unwrap()).unwrap();
    println!("{} lines committed, not serving for {} ms", committed.len(), result["result"]["outages"]["tiny"]);

    fs::remove_dir_all(format!("{DATA}/data/mysql")).unwrap();
    fs::create_dir(format!("{DATA}/data/mysql")).unwrap();
    fs::write(format!("{DATA}/data/mysql/ibdata1"), "nothing that a database has").unwrap();
    on(&["restore", "ryo-tiny", "-s", "loaded"]);
    answers(&host).await;
    let there = lines(&host.inside("tiny", &["mariadb", "-N", "-e", "SELECT id FROM load_test.lines"]).await);
    let missing: Vec<_> = committed.difference(&there).collect();
    assert!(missing.is_empty(), "{} of {} lines are missing: {missing:?}", missing.len(), committed.len());
    let checked = host.inside("tiny", &["mariadb-check", "--all-databases", "--extended"]).await;
    assert!(checked.lines().any(|line| line.starts_with("load_test.lines")), "{checked}");
    let unsound: Vec<&str> = checked.lines().filter(|line| !line.ends_with(" OK")).collect();
    assert!(unsound.is_empty(), "{unsound:?}");
    let whole = "SELECT COUNT(*) FROM load_test.lines WHERE text <> REPEAT(CHAR(65 + id % 26), 3000)";
    assert_eq!(host.inside("tiny", &["mariadb", "-N", "-e", whole]).await, "0\n");
    on(&["restore", "ryo-tiny", "--commit"]);
    wipe(&host).await;
}

#[tokio::test]
async fn a_host_that_lost_everything_gets_it_back() {
    let host = Host::lxd();
    wipe(&host).await;
    // The whole host is also what others have left on it.
    crate::examples::wipe(&host).await;
    let work = Work::new(host.clone());
    work.ryo(&["deploy", "ryo-tiny", "-n", &host.name, "-v", "7", "--yes"]).well();
    host.inside("tiny", &["sh", "-c", "echo kept >/data/kept; mkdir /data/deep; echo 1 >/data/deep/one"]).await;
    // Of this one nothing is known but that it has data.
    fs::create_dir("/var/containers/ryo-tiny-forgotten").unwrap();
    fs::write("/var/containers/ryo-tiny-forgotten/old", "old\n").unwrap();
    let on = |words: &[&str]| work.ryo(&[&["host"], words, &["--yes"]].concat());
    let settled = on(&["restore", &host.name, "--undo"]);
    assert_eq!(settled.code, Some(2), "{settled:?}");
    assert!(settled.stderr.contains(&format!("nothing is kept from before a restore of host `{}`\n", host.name)));
    let backed = on(&["backup", &host.name, "-s", "one"]).well();
    assert!(backed.stdout.contains(&format!("\nbackup everything one on {}: done\n", host.name)), "{backed:?}");
    let here = work.path("").canonicalize().unwrap();
    let stranger = format!("ryo-tiny-forgotten has data on host {} and no repository in {}", host.name, here.display());
    assert!(backed.stderr.contains(&stranger), "{backed:?}");
    let again = on(&["backup", &host.name, "-s", "one"]);
    assert_eq!(again.code, Some(2), "{again:?}");
    assert!(again.stderr.contains("is there already"), "{again:?}");

    wipe(&host).await;
    for kind in ["projects", "modules"] {
        fs::remove_file(work.path(&format!("ryo-host/backup-restore/deployed-{kind}_{}.yml", host.name))).unwrap();
    }
    assert!(!Path::new(DATA).exists());
    let nobody = work.ryo(&["host", "restore", &host.name]);
    assert_eq!(nobody.code, Some(2), "{nobody:?}");
    assert!(nobody.stderr.ends_with("hint: give `--yes`\n"), "{nobody:?}");
    let restored = on(&["restore", &host.name]).well();
    assert!(restored.stdout.contains(&format!("\nrestore everything one on {}: done; ", host.name)), "{restored:?}");
    assert_eq!(host.inside("tiny", &["cat", "/data/kept", "/data/deep/one"]).await, "kept\n1\n");
    assert_eq!(fs::read_to_string("/var/containers/ryo-tiny-forgotten/old").unwrap(), "old\n");
    let stranger = format!("ryo-tiny-forgotten has no repository in {}: it is not deployed", here.display());
    assert!(restored.stderr.contains(&stranger), "{restored:?}");
    let more = "instances that are made by it are stopped for the exchange, too\n";
    assert!(restored.stdout.contains(more), "{restored:?}");
    for name in ["tiny", "store"] {
        let instance = host.client().instance(name).await.unwrap().unwrap().value;
        assert_eq!(instance.config.get("user.ryo.version").map(String::as_str), Some("7"), "{name}");
        // What was removed was built anew.
        assert!(restored.stderr.contains(&format!("the image of instance {name} was built anew")), "{restored:?}");
    }
    assert_eq!(work.ryo(&["deploy", "ryo-tiny", "-n", &host.name, "--yes"]).well().stdout.lines().count(), 1);
    let status = work.ryo(&["host", "status", &host.name]).well();
    assert!(status.stdout.contains("old data          ryo-tiny from before the restore of one, "), "{status:?}");

    // Once more onto the same host, on which nothing has to be deployed, and back.
    let unsettled = on(&["restore", &host.name]);
    assert_eq!(unsettled.code, Some(2), "{unsettled:?}");
    on(&["restore", &host.name, "--commit"]).well();
    host.inside("tiny", &["sh", "-c", "echo changed >/data/kept"]).await;
    on(&["restore", &host.name]).well();
    assert_eq!(host.inside("tiny", &["cat", "/data/kept"]).await, "kept\n");
    on(&["restore", &host.name, "--undo"]).well();
    assert_eq!(host.inside("tiny", &["cat", "/data/kept"]).await, "changed\n");
    on(&["backup", &host.name, "-s", "alone", "--only", "ryo-tiny-store"]).well();
    wipe(&host).await;
}

/// Whether both instances run and no mark is left on them.
pub async fn serves(host: &Host) -> bool {
    let instances = host.client().instances().await.unwrap();
    let fine = |name: &str| {
        let instance = instances.iter().find(|it| it.name == name).unwrap();
        instance.is_running() && !instance.config.contains_key("user.ryo.paused")
    };
    fine("tiny") && fine("store")
}

#[tokio::test]
async fn a_backup_that_is_killed_anywhere_is_mended_by_the_next_one() {
    let host = Host::lxd();
    wipe(&host).await;
    let work = Work::new(host.clone());
    work.ryo(&["deploy", "ryo-tiny", "-n", &host.name, "-v", "1", "--yes"]).well();
    fs::write(format!("{DATA}/data/plain"), "x".repeat(3 << 20)).unwrap();
    for at in turns() {
        let stamp = format!("killed-{at}");
        let words = ["backup", "ryo-tiny", "-n", &host.name, "-s", &stamp, "--yes", "--json"];
        let reached = killed(&work, &words, at);
        let stamp = format!("whole-{at}");
        work.ryo(&["backup", "ryo-tiny", "-n", &host.name, "-s", &stamp, "--yes"]).well();
        assert!(serves(&host).await, "killed at event {at}");
        let place = work.path("ryo-host/backup-restore/backups");
        let names = fs::read_dir(&place).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let left: Vec<String> = names.filter(|name| name.ends_with(".partial")).collect();
        assert!(left.is_empty(), "killed at event {at}: {left:?}");
        fs::remove_dir_all(place).unwrap();
        if !reached {
            assert!(at >= 20, "only {at} events");
            break;
        }
    }
    wipe(&host).await;
}

#[tokio::test]
async fn a_restore_that_is_killed_anywhere_is_mended_by_the_next_one() {
    let host = Host::lxd();
    wipe(&host).await;
    let work = Work::new(host.clone());
    work.ryo(&["deploy", "ryo-tiny", "-n", &host.name, "-v", "1", "--yes"]).well();
    let file = format!("{DATA}/data/plain");
    fs::write(&file, "as it was").unwrap();
    work.ryo(&["backup", "ryo-tiny", "-n", &host.name, "-s", "one", "--yes"]).well();
    let words = ["restore", "ryo-tiny", "-n", &host.name, "-s", "one", "--modules", "--yes", "--json"];
    for at in turns() {
        fs::write(&file, "spoilt").unwrap();
        let reached = killed(&work, &words, at);
        let again = work.ryo(&words);
        let settled = again.code == Some(2) && again.stdout.contains("are still kept");
        assert!(again.code == Some(0) || settled, "killed at event {at}: {again:?}");
        assert_eq!(fs::read_to_string(&file).unwrap(), "as it was", "killed at event {at}");
        assert!(serves(&host).await, "killed at event {at}");
        work.ryo(&["restore", "ryo-tiny", "-n", &host.name, "--modules", "--commit", "--yes"]).well();
        if !reached {
            assert!(at >= 15, "only {at} events");
            break;
        }
    }
    wipe(&host).await;
}

#[tokio::test]
async fn while_one_backs_up_nobody_else_changes_the_host() {
    let host = Host::lxd();
    wipe(&host).await;
    let work = Work::new(host.clone());
    work.ryo(&["deploy", "ryo-tiny", "-n", &host.name, "-v", "1", "--yes"]).well();
    work.ryo(&["backup", "ryo-tiny", "-n", &host.name, "-s", "0", "--yes"]).well();
    let words = ["backup", "ryo-tiny", "-n", &host.name, "-s", "1", "--yes", "--json"];
    let mut child = work.command(&words).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    lines.find(|line| line.contains("stop instance tiny")).unwrap();
    // It is in the middle of it until the others have ended.
    let signal = |name: &str| {
        let sent = std::process::Command::new("kill").args([name, &child.id().to_string()]).status();
        assert!(sent.unwrap().success());
    };
    signal("-STOP");
    let began = Instant::now();
    let others: [&[&str]; 4] = [
        &["backup", "ryo-tiny", "-n", &host.name, "-s", "2", "--yes"],
        &["restore", "ryo-tiny", "-n", &host.name, "-s", "0", "--yes"],
        &["deploy", "ryo-tiny", "-n", &host.name, "--yes"],
        &["host", "backup", &host.name, "--yes"],
    ];
    let ended: Vec<Ended> = std::thread::scope(|scope| {
        let runs: Vec<_> = others.iter().map(|words| scope.spawn(|| work.ryo(words))).collect();
        runs.into_iter().map(|run| run.join().unwrap()).collect()
    });
    let took = began.elapsed();
    signal("-CONT");
    lines.for_each(drop);
    assert!(child.wait().unwrap().success());
    for ended in ended {
        assert_eq!(ended.code, Some(11), "after {took:?}: {ended:?}");
        assert!(ended.stderr.contains("backup ryo-tiny 1 on"), "{ended:?}");
    }
    wipe(&host).await;
}
