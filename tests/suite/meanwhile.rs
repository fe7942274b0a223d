//! What others do while a backup is made: instances are stopped and started by hand, other backups go to the same place.

use std::fs::{self, File};
use std::io;
use std::sync::Arc;
use std::thread;

use ryo::archive::Compression;
use ryo::event::{Event, Events};
use ryo::flow::backup::unfinished::{self, Unfinished};

use crate::backup::{data, deployed, furnish, manifest};
use crate::support::fake_lxd::{FakeInstance, FakeLxd};
use crate::support::stage::Stage;

/// Somebody does something with the instances when a step has ended.
fn meanwhile(stage: &Stage, step: &'static str, act: impl Fn(&FakeLxd) + Send + Sync + 'static) -> Events {
    let lxd = stage.lxd.clone();
    Events::new(move |event| {
        if let Event::StepDone { title, .. } = event
            && title == step
        {
            act(&lxd);
        }
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_instance_that_a_person_stops_meanwhile_stays_stopped() {
    let stage = deployed().await;
    furnish(&data(&stage));
    let specs = stage.archives("1", Compression::Gzip);
    let copied = "ryo-tiny: copy /var/containers/ryo-tiny while it serves";
    let events = meanwhile(&stage, copied, |lxd| lxd.with_instance("tiny", |tiny| tiny.running = false));
    stage.backs_up(stage.lxd.clone(), &specs, &events).await.unwrap();
    let state = |name| stage.lxd.with_instance(name, |it| (it.running, it.config.contains_key("user.ryo.paused")));
    assert_eq!((state("tiny"), state("store")), ((false, false), (true, false)));
    let outages = [0, 1].map(|turn: usize| manifest(&specs[turn].file).instances[0].outage.is_some());
    assert_eq!(outages, [true, false]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_written_to_while_it_is_copied_is_no_backup() {
    let stage = deployed().await;
    stage.lxd.with_instance("tiny", |tiny| tiny.running = false);
    let specs = stage.archives("1", Compression::Gzip);
    let started = |lxd: &FakeLxd| lxd.with_instance("tiny", |tiny| tiny.running = true);
    let events = meanwhile(&stage, "ryo-tiny-store: start instance store again", started);
    assert_eq!(
        stage.backs_up(stage.lxd.clone(), &specs, &events).await.unwrap_err(),
        "error: step 5 of 7 failed: ryo-tiny: copy /var/containers/ryo-tiny\n\
         \x20 because: instance `tiny` was started while the data of ryo-tiny were copied\n\
         hint: run the same command again: what is done is found done\n"
    );
    assert!(specs.iter().all(|spec| !spec.file.exists()));

    // One of two that write to them was stopped when it was looked.
    let other = stage.lxd.with_instance("tiny", |tiny| tiny.clone());
    let mut devices = other.devices.clone();
    devices.retain(|name, _| name == "data");
    stage.lxd.add_instance("other", FakeInstance { running: false, devices, ..other });
    let started = |lxd: &FakeLxd| lxd.with_instance("other", |other| other.running = true);
    let events = meanwhile(&stage, "ryo-tiny: copy /var/containers/ryo-tiny while it serves", started);
    assert_eq!(
        stage.backs_up(stage.lxd.clone(), &specs[1..], &events).await.unwrap_err(),
        "error: step 3 of 5 failed: ryo-tiny: copy what has changed in /var/containers/ryo-tiny\n\
         \x20 because: instance `other` was started while the data of ryo-tiny were copied\n\
         hint: run the same command again: what is done is found done\n"
    );
    assert!(stage.lxd.with_instance("tiny", |tiny| tiny.running && !tiny.config.contains_key("user.ryo.paused")));
    stage.backs_up(stage.lxd.clone(), &specs, &Events::nowhere()).await.unwrap();
}

#[test]
fn what_cannot_be_looked_at_is_in_use() {
    let directory = tempfile::tempdir().unwrap();
    let place = |name: &str| directory.path().join(name);
    let writing = Unfinished::begin(&place("backup-web-a-1.tar.gz")).unwrap();
    fs::write(place("backup-web-b-1.tar.gz.partial"), "half").unwrap();
    assert!(unfinished::is_in_use(File::open(&writing.path)));
    assert!(!unfinished::is_in_use(File::open(place("backup-web-b-1.tar.gz.partial"))));
    assert!(unfinished::is_in_use(Err(io::ErrorKind::PermissionDenied.into())));
    assert!(!unfinished::is_in_use(Err(io::ErrorKind::NotFound.into())));
    // Nobody can open this one.
    std::os::unix::fs::symlink("backup-web-c-1.tar.gz.partial", place("backup-web-c-1.tar.gz.partial")).unwrap();
    unfinished::sweep(directory.path()).unwrap();
    let mut names: Vec<String> = fs::read_dir(directory.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    assert_eq!(names, ["backup-web-a-1.tar.gz.partial", "backup-web-c-1.tar.gz.partial"]);
}

#[test]
fn two_that_sweep_at_once_do_not_mind_each_other() {
    let directory = Arc::new(tempfile::tempdir().unwrap());
    for turn in 0..400 {
        fs::write(directory.path().join(format!("backup-web-a-{turn}.tar.gz.partial")), "half").unwrap();
    }
    let sweeping = [(); 4].map(|()| {
        let directory = directory.clone();
        thread::spawn(move || unfinished::sweep(directory.path()))
    });
    for sweeping in sweeping {
        sweeping.join().unwrap().unwrap();
    }
}
