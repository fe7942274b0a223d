//! Restores that cannot be swapped back, undos that are broken off, and what is restored twice: nothing stays stopped, and
//! nothing is left out without a word.

use std::process::Command;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ryo::event::{Event, Events};
use ryo::flow::restore;

use crate::backup::{data, look};
use crate::restore::{beside, restores, runs, specs, spoilt};
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
