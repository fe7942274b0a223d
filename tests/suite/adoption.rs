//! A host that the original tools have deployed: Packer's images, Terraform's instances and keys, no label anywhere.

use std::fs;

use crate::support::fake_lxd::{FakeImage, FakeLxd};
use crate::support::stage::Stage;

/// Deploys, and takes away everything that tells of `ryo`.
async fn original() -> Stage {
    let stage = Stage::new();
    stage.deploys().await;
    for name in ["store", "tiny"] {
        stage.lxd.with_instance(name, |it| it.config.retain(|key, _| !key.starts_with("user.ryo.")));
        relabelled(
            &stage.lxd,
            &format!("{}-{name}-1", if name == "tiny" { "ryo-tiny" } else { "ryo-tiny-store" }),
            name,
            "1",
        );
    }
    stage.consul.remove("ryo/owned/ryo-tiny");
    stage.consul.remove("ryo/owned/ryo-tiny-store");
    fs::remove_dir_all(stage.path("host/var/lib/ryo")).unwrap();
    stage.lxd.log.clear();
    stage.consul.log.clear();
    stage
}

/// Gives the image the properties that Packer's templates give theirs.
fn relabelled(lxd: &FakeLxd, alias: &str, service: &str, version: &str) {
    let description = format!("ubuntu-minimal:focal image for {service} - v {version}");
    let properties = [("description", description.as_str()), ("os", "ubuntu-minimal"), ("release", "focal")];
    lxd.with_image(alias, |image| {
        image.properties = properties.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
    });
}

async fn steps(stage: &Stage, version: Option<&str>) -> Vec<String> {
    stage.plan_of(version).await.steps.iter().map(ToString::to_string).collect()
}

const TAKEN_OVER: [&str; 7] = [
    "ryo-tiny-store: set up the host (first time)",
    "ryo-tiny: set up the host (first time)",
    "ryo-tiny-store: take image ryo-tiny-store-store-1 over as made from the present files",
    "ryo-tiny: take image ryo-tiny-tiny-1 over as made from the present files",
    "ryo-tiny-store: take instance store over as it is",
    "ryo-tiny: take instance tiny over as it is",
    "ryo-tiny: note which Consul keys are its own",
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_original_tools_deployed_is_taken_over_as_it_is() {
    let stage = original().await;
    for version in [Some("1"), None] {
        assert_eq!(steps(&stage, version).await, TAKEN_OVER, "{version:?}");
    }
    let before = stage.lxd.with_instance("tiny", |tiny| tiny.clone());
    stage.deploys().await;
    // Labels are written and nothing else: no instance is made, stopped or started.
    let writes: Vec<String> =
        stage.lxd.log.writes().iter().map(|line| line.split('?').next().unwrap().to_owned()).collect();
    let shape = |line: &String| {
        line.starts_with("PATCH /1.0/images/")
            || ["PUT /1.0/instances/store", "PUT /1.0/instances/tiny"].contains(&line.as_str())
    };
    assert!(writes.iter().all(shape) && writes.len() == 4, "{writes:?}");
    let after = stage.lxd.with_instance("tiny", |tiny| tiny.clone());
    let mut unlabelled = after.config.clone();
    unlabelled.retain(|key, _| !key.starts_with("user.ryo."));
    assert_eq!((unlabelled, &after.devices, &after.profiles), (before.config, &before.devices, &before.profiles));
    assert_eq!(after.config["user.ryo.project"], "ryo-tiny");
    assert_eq!(after.config["user.ryo.version"], "1");
    for version in [Some("1"), None] {
        assert_eq!(steps(&stage, version).await, Vec::<String>::new(), "{version:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_taken_over_is_managed_from_then_on() {
    let stage = original().await;
    stage.deploys().await;
    let greeting = "ryo-tiny/image-build/playbooks/roles/set-up-tiny/templates/greeting.j2";
    fs::write(stage.path("work").join(greeting), "Good day\n").unwrap();
    assert_eq!(
        steps(&stage, Some("1")).await,
        [
            "ryo-tiny: build image ryo-tiny-tiny-1 from tiny (what it is made from has changed)",
            "ryo-tiny: replace instance tiny by one from ryo-tiny-tiny-1",
        ]
    );
    stage.deploys().await;
    // A resource that is gone from the files goes, as do its keys.
    fs::remove_file(stage.path("work/ryo-tiny/project-deployment/02-tiny.tf")).unwrap();
    let gone = steps(&stage, Some("1")).await;
    assert!(gone.contains(&"ryo-tiny: remove instance tiny, which no file names any longer".to_owned()), "{gone:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_differs_is_set_right_as_it_is_taken_over() {
    let stage = original().await;
    stage.lxd.with_instance("tiny", |tiny| tiny.running = false);
    stage.lxd.with_instance("store", |store| store.config.insert("limits.memory".to_owned(), "1GiB".to_owned()));
    let planned = steps(&stage, Some("1")).await;
    assert_eq!(
        planned[4..6],
        ["ryo-tiny-store: change instance store in place", "ryo-tiny: change instance tiny in place"]
    );
    stage.deploys().await;
    assert_eq!(steps(&stage, Some("1")).await, Vec::<String>::new());
    assert!(stage.lxd.with_instance("tiny", |tiny| tiny.running));
}

/// The newest image is not always the one in use: after a rollback of the original it is an older one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_version_in_use_is_the_present_one() {
    let stage = original().await;
    for (alias, service) in [("ryo-tiny-tiny", "tiny"), ("ryo-tiny-store-store", "store")] {
        for version in ["0", "2"] {
            stage.lxd.add_image(&format!("{alias}-{version}"), FakeImage::of("tiny"));
            relabelled(&stage.lxd, &format!("{alias}-{version}"), service, version);
        }
    }
    assert_eq!(steps(&stage, None).await, TAKEN_OVER);
    stage.deploys().await;
    assert_eq!(steps(&stage, None).await, Vec::<String>::new());
    // What nobody uses does not count as made from files that have changed since.
    let greeting = "ryo-tiny/image-build/playbooks/roles/set-up-tiny/templates/greeting.j2";
    fs::write(stage.path("work").join(greeting), "Good day\n").unwrap();
    let planned = steps(&stage, None).await;
    assert_eq!(planned.len(), 2, "{planned:?}");
    assert!(planned[0].ends_with("from tiny (there is none)"), "{planned:?}");
    // One that a person names is taken as it is, whatever it is made from.
    assert_eq!(
        steps(&stage, Some("0")).await,
        [
            "ryo-tiny-store: replace instance store by one from ryo-tiny-store-store-0",
            "ryo-tiny: replace instance tiny by one from ryo-tiny-tiny-0",
        ]
    );
}
