//! Restores that cannot be swapped back, undos that are broken off, and what is restored twice: nothing stays stopped, and
//! nothing is left out without a word.

use std::process::Command;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ryo::agent::data::Change;
use ryo::event::{Event, Events};
use ryo::flow::{apply, backup, restore};
use tokio::sync::watch;

use crate::backup::{data, look};
use crate::restore::{beside, restores, runs, specs, spoilt, spoilt_a_little};
use crate::support::stage::Stage;

/// Has the project not start with what is restored of it; `tried` happens when that is tried.
fn too_old(stage: &Stage, tried: impl Fn() + Send + Sync + 'static) {
    let deep = data(stage).join("data/deep");
    stage.lxd.with_instance("tiny", |tiny| {
        tiny.refuses = Some(Arc::new(move || {
            deep.exists().then(|| {
                tried();
                "its data are too old".to_owned()
            })
        }));
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_swapped_back_leaves_nothing_stopped() {
    let mut stage = spoilt().await;
    stage.limits.address = Duration::from_millis(100);
    let before = look(&data(&stage));
    let made = specs(&stage, "1");

    // The module goes on, so its data stay where they are, and so do those of the project.
    let holds = stage.lxd.with_instance("store", |store| store.unstoppable.clone());
    let stops = holds.clone();
    too_old(&stage, move || holds.store(true, Ordering::SeqCst));
    let warnings = Arc::new(Mutex::new(vec![]));
    let noted = warnings.clone();
    let events = Events::new(move |event| {
        if let Event::Warned { message } = event {
            noted.lock().unwrap().push(message);
        }
    });
    let restore = |_: &[String], seen: &restore::Seen| restore::plan("restore", &made, seen);
    assert_eq!(
        stage.settles_and_tells(stage.lxd.clone(), &events, restore).await.unwrap_err(),
        (
            1,
            "error: step 8 of 8 failed: ryo-tiny: see instance tiny come up with the restored data\n\
             \x20 because: stop of instance `store` failed: It does not stop\n\
             hint: run the same command again: what is done is found done\n"
                .to_owned()
        )
    );
    assert_eq!(
        *warnings.lock().unwrap(),
        ["with the restored data it did not come up: start of instance `tiny` failed: its data are too old"]
    );
    assert_ne!(look(&data(&stage)), before);
    let serves =
        |name: &str| stage.lxd.with_instance(name, |it| it.running && !it.config.contains_key("user.ryo.paused"));
    assert!(serves("store") && !serves("tiny"));
    stops.store(false, Ordering::SeqCst);
    stage.settles(stage.lxd.clone(), |ids, seen| restore::plan_undo("undo", ids, seen)).await.unwrap();
    assert_eq!(look(&data(&stage)), before);
    assert!(runs(&stage) && beside(&stage).is_empty());

    // The data of the module cannot be exchanged any more; those of the project go back all the same.
    let module = stage.path("host/var/containers/ryo-tiny-store");
    let place = module.clone();
    too_old(&stage, move || {
        assert!(Command::new("mount").arg("--bind").args([&place, &place]).status().unwrap().success());
    });
    let (code, text) = restores(&stage, &made).await.unwrap_err();
    assert!(Command::new("umount").arg(&module).status().unwrap().success());
    assert_eq!(
        (code, text.lines().nth(1).unwrap()),
        (1, "  because: the host: cannot change the data of ryo-tiny-store: Device or resource busy (os error 16)")
    );
    assert_eq!(look(&data(&stage)), before);
    assert!(runs(&stage));
    assert_eq!(beside(&stage).len(), 1, "{:?}", beside(&stage));
    stage.settles(stage.lxd.clone(), |ids, seen| restore::plan_undo("undo", ids, seen)).await.unwrap();
    assert!(runs(&stage) && beside(&stage).is_empty());
}

/// Leaves an instance as a run does that was killed before it started it again.
fn left(stage: &Stage, name: &str) {
    stage.lxd.with_instance(name, |it| {
        it.running = false;
        it.config.insert("user.ryo.paused".to_owned(), "yes".to_owned());
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_undo_that_was_killed_is_ended_by_the_same_command() {
    let stage = spoilt_a_little().await;
    let before = look(&data(&stage));
    let undo = || stage.settles(stage.lxd.clone(), |ids, seen| restore::plan_undo("undo", ids, seen));
    let world = || stage.world(stage.lxd.clone(), stage.consul.clone());
    let undone = async |id| world().await.agent.change(backup::DATA, id, Change::Undo, "1").await.unwrap();
    restores(&stage, &specs(&stage, "1")).await.unwrap();
    left(&stage, "store");
    undone("ryo-tiny-store").await;
    assert_eq!(
        undo().await.unwrap().text(),
        "undo:\n\
        \x20 ~ ryo-tiny-store: start instance store again\n\
        \x20 ~ ryo-tiny: stop instance tiny\n\
        \x20 ± ryo-tiny: put /var/containers/ryo-tiny back as it was before the restore\n\
        \x20     destroys the restored data of ryo-tiny, with everything that was written to them since\n\
        \x20 ~ ryo-tiny: start instance tiny again\n\
        4 steps\n"
    );
    assert_eq!(look(&data(&stage)), before);
    assert!(runs(&stage) && beside(&stage).is_empty());

    // Everything is back already.
    left(&stage, "tiny");
    assert_eq!(undo().await.unwrap().text(), "undo:\n  ~ ryo-tiny: start instance tiny again\n1 step\n");
    assert!(runs(&stage));
    assert_eq!(undo().await.unwrap_err().0, 2);

    // One instance works on both: it is started once everything is back.
    restores(&stage, &specs(&stage, "1")).await.unwrap();
    let path = backup::data("ryo-tiny-store");
    stage.lxd.with_instance("tiny", |tiny| {
        let disk = [("type", "disk"), ("source", &path), ("path", "/store")];
        tiny.devices.insert("more".to_owned(), disk.map(|(key, value)| (key.to_owned(), value.to_owned())).into());
    });
    left(&stage, "tiny");
    undone("ryo-tiny-store").await;
    let steps: Vec<String> = undo().await.unwrap().steps.iter().map(ToString::to_string).collect();
    assert_eq!(
        steps,
        [
            "ryo-tiny: stop instance tiny",
            "ryo-tiny: put /var/containers/ryo-tiny back as it was before the restore",
            "ryo-tiny: start instance tiny again",
        ]
    );
    assert!(runs(&stage));
}

/// What was restored before and not settled may have been in use since then.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_restored_alone_before_is_not_left_out_of_a_whole() {
    let stage = spoilt_a_little().await;
    let before = look(&data(&stage));
    let made = specs(&stage, "1");
    restores(&stage, &made[..1]).await.unwrap();
    assert_eq!(
        restores(&stage, &made).await.unwrap_err(),
        (
            2,
            "error: the data of ryo-tiny-store from before the restore of 1 are still kept\n\
             hint: put them back with `ryo restore … --undo`\n\
             hint: or remove them with `ryo restore … --commit`\n"
                .to_owned()
        )
    );
    assert_eq!(look(&data(&stage)), before);
    stage.settles(stage.lxd.clone(), |ids, seen| restore::plan_undo("undo", ids, seen)).await.unwrap();

    // A run over both that was killed between the two, and one that stopped there: nothing was running that is left.
    for name in ["tiny", "store"] {
        stage.lxd.with_instance(name, |it| it.running = false);
    }
    let (sender, stop) = watch::channel(false);
    let events = Events::new(move |event| {
        if let Event::StepDone { title, .. } = event {
            let _ = sender.send(title.starts_with("ryo-tiny-store: exchange "));
        }
    });
    let world = stage.world(stage.lxd.clone(), stage.consul.clone()).await;
    let ids: Vec<String> = made.iter().map(|spec| spec.id.clone()).collect();
    let plan = restore::plan("restore", &made, &restore::look(&world, &ids).await.unwrap()).unwrap();
    assert!(apply::apply(&world, &plan, &events, &stop).await.is_err());
    assert_eq!(look(&data(&stage)), before);
    let goes_on = restores(&stage, &made).await.unwrap();
    assert_eq!(
        goes_on,
        "restore:\n\
        \x20 ~ ryo-tiny: unpack backup-local-ryo-tiny-1.tar.gz beside the data\n\
        \x20 ± ryo-tiny: exchange /var/containers/ryo-tiny and what was unpacked\n\
        2 steps\n"
    );
    assert_ne!(look(&data(&stage)), before);
}
