//! Backups and restores that end before their time: by Ctrl-C, because this end or the other is killed, because the
//! connection breaks, because a disk is full. What is told is so, what was running runs, and the next run is whole.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use ryo::archive::Compression;
use ryo::archive::seal::Identities;
use ryo::event::{Event, Events};
use ryo::failure::Failure;
use ryo::flow::instance::Pause;
use ryo::flow::restore::{self, find};
use ryo::flow::{apply, backup};
use ryo::plan::Plan;
use ryo::project::Kind;
use tokio::sync::{Notify, watch};

use crate::backup::{data, deployed, look};
use crate::support::stage::{Carries, Stage};

/// Which of the two flows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flow {
    Backup,
    Restore,
}

const IDS: [(&str, Kind); 2] = [("ryo-tiny-store", Kind::Module), ("ryo-tiny", Kind::Project)];

/// Bytes that cannot be compressed.
fn noise(seed: u64, length: usize) -> Vec<u8> {
    let next = |state: &u64| {
        let state = state ^ (state << 13);
        let state = state ^ (state >> 7);
        Some(state ^ (state << 17))
    };
    std::iter::successors(Some(seed + 1), next).skip(20).map(|state| state.to_be_bytes()[3]).take(length).collect()
}

/// A deployed project with data, a backup `0` of them, and other data since.
async fn stage() -> Stage {
    let stage = deployed().await;
    let data = data(&stage).join("data");
    for number in 0..40 {
        fs::write(data.join(format!("file-{number}")), noise(number, 30_000)).unwrap();
    }
    goes(&stage, Flow::Backup, "0").await.unwrap();
    fs::write(data.join("file-7"), "spoilt\n").unwrap();
    fs::remove_file(data.join("file-8")).unwrap();
    stage
}

fn archive(stage: &Stage, id: &str, stamp: &str) -> PathBuf {
    backup::directory(&stage.path("work")).join(backup::name("local", id, stamp, Compression::Gzip))
}

fn specs(stage: &Stage, stamp: &str) -> Vec<restore::Spec> {
    let spec = |(id, kind): (&str, Kind)| restore::Spec {
        host: "local".to_owned(),
        id: id.to_owned(),
        kind,
        archive: archive(stage, id, stamp).into(),
        stamp: stamp.to_owned(),
        identities: Identities::default(),
    };
    IDS.into_iter().map(spec).collect()
}

/// Looks, plans and carries out.
async fn goes_with(
    stage: &Stage,
    flow: Flow,
    stamp: &str,
    events: &Events,
    stop: &watch::Receiver<bool>,
) -> Result<Plan, (u8, String)> {
    let here = stage.path("").display().to_string();
    let told = |failure: Failure| (failure.kind.code(), failure.text().replace(&here, "HERE/"));
    let world = stage.world(stage.lxd.clone(), stage.consul.clone()).await;
    let plan = match flow {
        Flow::Backup => {
            let specs = stage.archives(stamp, Compression::Gzip);
            let seen = backup::look(&world, &specs).await.map_err(|error| told(error.into()))?;
            backup::plan("backup", &specs, &seen, Pause::Stop)
        }
        Flow::Restore => {
            let ids: Vec<String> = IDS.iter().map(|(id, _)| (*id).to_owned()).collect();
            let seen = restore::look(&world, &ids).await.map_err(|error| told(error.into()))?;
            restore::plan("restore", &specs(stage, stamp), &seen).map_err(|error| told(error.into()))?
        }
    };
    apply::apply(&world, &plan, events, stop).await.map_err(|error| told(error.into()))?;
    Ok(plan)
}

async fn goes(stage: &Stage, flow: Flow, stamp: &str) -> Result<Plan, (u8, String)> {
    let (_sender, stop) = watch::channel(false);
    goes_with(stage, flow, stamp, &Events::nowhere(), &stop).await
}

fn down(stage: &Stage) -> Vec<String> {
    let is_down =
        |name: &str| stage.lxd.with_instance(name, |it| !it.running || it.config.contains_key("user.ryo.paused"));
    ["tiny", "store"].into_iter().filter(|name| is_down(name)).map(str::to_owned).collect()
}

/// What is unfinished here and on the host.
fn unfinished(stage: &Stage) -> Vec<String> {
    let places = [backup::directory(&stage.path("work")), stage.path("host/var/containers")];
    let entries = places.iter().flat_map(|place| fs::read_dir(place).unwrap());
    let names = entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned());
    names.filter(|name| name.ends_with(".partial") || name.starts_with(".ryo-restore-")).collect()
}

/// The tree that an archive holds.
fn held(archive: &Path) -> std::collections::BTreeMap<String, String> {
    let place = tempfile::tempdir().unwrap();
    let ended = Command::new("tar").arg("-xzpf").arg(archive).current_dir(place.path()).status().unwrap();
    assert!(ended.success());
    look(&place.path().join("ryo-tiny"))
}

/// After a run that was broken off: if it says that it is done, it is; the next one is whole.
async fn mended(stage: &mut Stage, flow: Flow, ended: Result<Plan, (u8, String)>, what: &str) {
    stage.carries = Carries::default();
    let before = look(&data(stage));
    match flow {
        Flow::Backup => {
            let there = IDS.iter().all(|(id, _)| archive(stage, id, "1").exists());
            assert!(ended.is_err() || there, "{what}: a lie");
            goes(stage, flow, "2").await.unwrap();
            assert_eq!(held(&archive(stage, "ryo-tiny", "2")), before, "{what}");
            for (id, _) in IDS.iter().filter(|(id, _)| archive(stage, id, "1").exists()) {
                let examined =
                    restore::reading::examine(archive(stage, id, "1"), ("local", id), &Identities::default());
                examined.unwrap_or_else(|error| panic!("{what}: {error}"));
            }
        }
        Flow::Restore => {
            let wanted = held(&archive(stage, "ryo-tiny", "0"));
            assert!(ended.is_err() || before == wanted, "{what}: a lie");
            match goes(stage, flow, "0").await {
                Ok(_) => {}
                Err((_, text)) => assert!(text.contains("are still kept") && before == wanted, "{what}: {text}"),
            }
            assert_eq!(look(&data(stage)), wanted, "{what}");
        }
    }
    assert_eq!(down(stage), Vec::<String>::new(), "{what}: after {ended:?}");
    assert_eq!(unfinished(stage), Vec::<String>::new(), "{what}: after {ended:?}");
}

fn flow_stamp(flow: Flow) -> &'static str {
    if flow == Flow::Backup { "1" } else { "0" }
}

/// Calls `reached` at the `at`-th event.
fn at_event(at: usize, reached: impl Fn() + Send + Sync + 'static) -> (Events, Arc<AtomicUsize>) {
    let count = Arc::new(AtomicUsize::new(0));
    let counted = count.clone();
    let events = Events::new(move |event| {
        if let Event::StepStarted { .. } | Event::StepProgress { .. } | Event::StepDone { .. } = event
            && counted.fetch_add(1, Ordering::SeqCst) == at
        {
            reached();
        }
    });
    (events, count)
}

async fn interrupted_everywhere(flow: Flow) {
    let mut interrupted = 0;
    for at in 0.. {
        let mut stage = stage().await;
        let (sender, stop) = watch::channel(false);
        let (events, count) = at_event(at, move || {
            let _ = sender.send(true);
        });
        let ended = goes_with(&stage, flow, flow_stamp(flow), &events, &stop).await;
        if count.load(Ordering::SeqCst) <= at {
            break;
        }
        // By itself, not by the next run.
        assert_eq!(down(&stage), Vec::<String>::new(), "{flow:?} interrupted at event {at}: {ended:?}");
        assert!(!unfinished(&stage).iter().any(|it| it.ends_with(".partial")), "{flow:?} interrupted at event {at}");
        if let Err((code, text)) = &ended {
            assert_eq!(*code, 130, "{flow:?} interrupted at event {at}: {text}");
            interrupted += 1;
        }
        mended(&mut stage, flow, ended, &format!("{flow:?} interrupted at event {at}")).await;
    }
    assert!(interrupted >= 15, "{interrupted}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_stops_at_ctrl_c_and_everything_runs() {
    interrupted_everywhere(Flow::Backup).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restore_stops_at_ctrl_c_and_everything_runs() {
    interrupted_everywhere(Flow::Restore).await;
}

/// This end vanishes, as by a second Ctrl-C.
async fn dropped_everywhere(flow: Flow) {
    let mut dropped = 0;
    for at in 0.. {
        let mut stage = stage().await;
        let (_sender, stop) = watch::channel(false);
        let now = Arc::new(Notify::new());
        let reached = now.clone();
        let (events, count) = at_event(at, move || reached.notify_one());
        let ended = tokio::select! {
            biased;
            () = now.notified() => Err((130, String::new())),
            ended = goes_with(&stage, flow, flow_stamp(flow), &events, &stop) => ended,
        };
        if count.load(Ordering::SeqCst) <= at {
            break;
        }
        dropped += usize::from(ended.is_err());
        // Blocking work of the run that vanished has ended by then; in a process of its own it would be gone.
        tokio::time::sleep(Duration::from_millis(50)).await;
        mended(&mut stage, flow, ended, &format!("{flow:?} dropped at event {at}")).await;
    }
    assert!(dropped >= 15, "{dropped}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_that_vanishes_is_mended_by_the_next_one() {
    dropped_everywhere(Flow::Backup).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restore_that_vanishes_is_mended_by_the_next_one() {
    dropped_everywhere(Flow::Restore).await;
}

/// The connection to the host breaks after so many bytes, in either direction.
async fn cut_everywhere(flow: Flow) {
    let clean = stage().await;
    let first = clean.carries.counted();
    drop(clean.world(clean.lxd.clone(), clean.consul.clone()).await);
    let from = clean.carries.counted();
    goes(&clean, flow, flow_stamp(flow)).await.unwrap();
    let until = clean.carries.counted();
    for way in [0, 1] {
        // Without what the two say to each other first.
        let hello = from[way] - first[way];
        let length = until[way] - from[way];
        let mut points: Vec<u64> = (1..20).map(|share| hello + (length - hello) * share / 20).collect();
        // Within the first frames and the last ones.
        points.extend([hello + 1, hello + 7, length - 1, length - 30]);
        for point in points {
            let mut stage = stage().await;
            stage.carries = match way {
                0 => Carries { up: point, ..Carries::default() },
                _ => Carries { down: point, ..Carries::default() },
            };
            let world = tokio::time::timeout(Duration::from_mins(1), goes(&stage, flow, flow_stamp(flow)));
            let ended =
                world.await.unwrap_or_else(|_| panic!("{flow:?} cut at {point} of {length}, way {way}: it waits"));
            let what = format!("{flow:?} cut at {point} of {length}, way {way}");
            assert_eq!(down(&stage), Vec::<String>::new(), "{what}: {ended:?}");
            mended(&mut stage, flow, ended, &what).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_survives_a_connection_that_breaks_anywhere() {
    cut_everywhere(Flow::Backup).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restore_survives_a_connection_that_breaks_anywhere() {
    cut_everywhere(Flow::Restore).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_after_which_an_instance_does_not_come_up_is_whole() {
    let mut stage = stage().await;
    stage.limits.address = Duration::from_millis(100);
    stage.lxd.with_instance("store", |store| store.unstartable = Some("there is no memory".to_owned()));
    let (code, text) = goes(&stage, Flow::Backup, "1").await.unwrap_err();
    assert_eq!(
        (code, text.as_str()),
        (
            3,
            "error: everything was backed up, but step 6 of 10 failed: ryo-tiny-store: start instance store again\n\
             \x20 because: start of instance `store` failed: there is no memory\n\
             hint: the archives are whole; the next deployment starts the instance again\n"
        )
    );
    assert_eq!(down(&stage), ["store"]);
    assert_eq!(held(&archive(&stage, "ryo-tiny", "1")), look(&data(&stage)));
    for spec in specs(&stage, "1") {
        restore::reading::examine(&spec.archive, ("local", &spec.id), &spec.identities).unwrap();
    }
    // What cannot start can be backed up all the same, and is started as soon as it can be.
    let (code, _) = goes(&stage, Flow::Backup, "2").await.unwrap_err();
    assert_eq!(code, 3);
    stage.lxd.with_instance("store", |store| store.unstartable = None);
    goes(&stage, Flow::Backup, "3").await.unwrap();
    assert_eq!(down(&stage), Vec::<String>::new());
    let directory = backup::directory(&stage.path("work"));
    let found = find::archive(&directory, "local", "ryo-tiny", None, &Identities::default());
    assert_eq!(found.unwrap().1, "3");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upgrade_does_not_go_on_behind_a_backup_after_which_an_instance_does_not_come_up() {
    let mut stage = stage().await;
    stage.limits.address = Duration::from_millis(100);
    stage.edit("ryo-tiny/image-build/playbooks/roles/set-up-tiny/templates/greeting.j2", "Hello", "Welcome");
    stage.lxd.with_instance("store", |store| store.unstartable = Some("there is no memory".to_owned()));
    let before = stage.lxd.with_instance("tiny", |tiny| tiny.base_image().to_owned());
    let (code, text) = stage.backs_up_and_deploys(&stage.archives("1", Compression::Gzip)).await.unwrap_err();
    assert_eq!(
        (code, text.as_str()),
        (
            3,
            "error: everything was backed up, but step 6 of 12 failed: ryo-tiny-store: start instance store again\n\
             \x20 because: start of instance `store` failed: there is no memory\n\
             hint: the archives are whole; the next deployment starts the instance again\n"
        )
    );
    assert_eq!(held(&archive(&stage, "ryo-tiny", "1")), look(&data(&stage)));
    stage.lxd.with_instance("tiny", |tiny| assert_eq!((tiny.base_image(), tiny.running), (before.as_str(), true)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_written_to_while_it_is_copied_is_in_the_archive_as_it_was_at_the_stop() {
    let stage = stage().await;
    let root = data(&stage).join("data");
    fs::create_dir(root.join("coming")).unwrap();
    let stopped = Arc::new(AtomicBool::new(false));
    let (told, writes, place) = (stopped.clone(), stopped.clone(), root.clone());
    let busy = std::thread::spawn(move || {
        let mut turn = 0_usize;
        while !writes.load(Ordering::SeqCst) {
            turn += 1;
            let file = place.join(format!("file-{}", turn % 40));
            match turn % 5 {
                0 => drop(fs::remove_file(file)),
                1 => fs::write(place.join(format!("coming/{turn}")), turn.to_string().repeat(50)).unwrap(),
                2 => drop(fs::remove_file(place.join(format!("coming/{}", turn - 1)))),
                3 => drop(fs::rename(file, place.join(format!("file-{}", (turn + 7) % 40)))),
                _ => fs::write(file, turn.to_string().repeat(turn % 9000)).unwrap(),
            }
        }
        turn
    });
    // The instance has stopped when the next step begins.
    let events = Events::new(move |event| {
        if let Event::StepDone { title, .. } = event
            && title == "ryo-tiny: stop instance tiny"
        {
            told.store(true, Ordering::SeqCst);
        }
    });
    tokio::time::sleep(Duration::from_millis(50)).await;
    let (_sender, stop) = watch::channel(false);
    goes_with(&stage, Flow::Backup, "1", &events, &stop).await.unwrap();
    assert!(busy.join().unwrap() > 20);
    assert_eq!(held(&archive(&stage, "ryo-tiny", "1")), look(&data(&stage)));
}

/// A small disk in place of a directory, until it is dropped.
struct Disk(PathBuf);

impl Disk {
    /// `size` is an option of tmpfs, such as `size=200k`.
    fn at(place: &Path, size: &str) -> Self {
        let keep = place.with_extension("kept");
        fs::rename(place, &keep).unwrap();
        fs::create_dir(place).unwrap();
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", size, "tmpfs"]).arg(place).status().unwrap();
        assert!(mounted.success());
        let copied = Command::new("cp").arg("-a").arg(keep.join(".")).arg(place).status().unwrap();
        assert!(copied.success());
        Self(place.to_owned())
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // What was written last may be on its way to the disk still.
        for _ in 0..200 {
            if Command::new("umount").arg(&self.0).stderr(Stdio::null()).status().is_ok_and(|ended| ended.success()) {
                return;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_that_is_full_here_is_told_and_leaves_nothing() {
    let stage = stage().await;
    let place = backup::directory(&stage.path("work"));
    let before = look(&data(&stage));
    // The archive of before takes most of it.
    let taken = fs::read_dir(&place).unwrap().map(|entry| entry.unwrap().metadata().unwrap().len() >> 10).sum::<u64>();
    for room in [8, 200, 600, 1000] {
        let disk = Disk::at(&place, &format!("size={}k", taken + 40 + room));
        let (code, text) = goes(&stage, Flow::Backup, "1").await.unwrap_err();
        assert_eq!(code, 1, "{room}: {text}");
        assert!(text.contains("because: No space left on device (os error 28)"), "{room}: {text}");
        assert!(
            text.contains("cannot write `HERE/work/ryo-host/backup-restore/backups/backup-local-ryo-tiny"),
            "{text}"
        );
        assert_eq!((down(&stage), unfinished(&stage)), (vec![], vec![]), "{room}");
        assert_eq!(look(&data(&stage)), before);
        drop(disk);
        fs::remove_dir(&place).unwrap();
        fs::rename(place.with_extension("kept"), &place).unwrap();
    }
    goes(&stage, Flow::Backup, "1").await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_that_is_full_on_the_host_is_told_and_the_data_are_as_they_were() {
    let stage = stage().await;
    let place = stage.path("host/var/containers");
    let before = look(&data(&stage));
    let size = fs::metadata(archive(&stage, "ryo-tiny", "0")).unwrap().len() >> 10;
    assert!(size > 1000, "{size}");
    let disk = Disk::at(&place, "size=1500k");
    let (code, text) = goes(&stage, Flow::Restore, "0").await.unwrap_err();
    assert_eq!(code, 1, "{text}");
    assert!(text.contains("bytes are needed beside them and"), "{text}");
    assert_eq!((down(&stage), unfinished(&stage)), (vec![], vec![]));
    assert_eq!(look(&data(&stage)), before);
    drop(disk);
    fs::remove_dir(&place).unwrap();
    fs::rename(place.with_extension("kept"), &place).unwrap();

    // There is room for the bytes, and none for as many files: this shows only in the middle of unpacking.
    let files = look(&place).len() + 1;
    let disk = Disk::at(&place, &format!("size=1g,nr_inodes={}", files + 10));
    let (code, text) = goes(&stage, Flow::Restore, "0").await.unwrap_err();
    assert_eq!(code, 1, "{text}");
    assert!(text.contains("No space left on device (os error 28)"), "{text}");
    assert_eq!((down(&stage), unfinished(&stage)), (vec![], vec![]));
    assert_eq!(look(&data(&stage)), before);
    drop(disk);
    fs::remove_dir(&place).unwrap();
    fs::rename(place.with_extension("kept"), &place).unwrap();
    goes(&stage, Flow::Restore, "0").await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_with_holes_is_restored_where_its_zeros_would_have_no_room() {
    let stage = stage().await;
    let file = fs::File::create(data(&stage).join("data/hollow")).unwrap();
    file.set_len(400 << 20).unwrap();
    goes(&stage, Flow::Backup, "1").await.unwrap();
    let place = stage.path("host/var/containers");
    let disk = Disk::at(&place, "size=100m");
    let before = look(&data(&stage));
    goes(&stage, Flow::Restore, "1").await.unwrap();
    assert_eq!(look(&data(&stage)), before);
    drop(disk);
}
