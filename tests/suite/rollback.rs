//! Versions that are kept on the host: which they are, that going back to one is as deploying it, and that whatever
//! breaks on the way, the same command goes on.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::sync::Arc;

use ryo::flow::history::{History, Version};
use ryo::http::Http;
use ryo::place::Place;
use ryo::terraform::{ConsulKeys, Kind, Lifecycle, Resource};
use serde_json::{Value, json};

use crate::support::faulty::{FAULTS, Fault, Faulty, every_exchange};
use crate::support::stage::Stage;

const GREETING: &str = "ryo-tiny/image-build/playbooks/roles/set-up-tiny/templates/greeting.j2";
const DEPLOYMENT: &str = "ryo-tiny/project-deployment/02-tiny.tf";
const CONFIGURATION: &str = "ryo-tiny/configuration/configuration_local.yml";

/// Turns the repository, as it is for version 1, into that of version `to`: each has another image, other user data,
/// another device, and other Consul keys.
fn check_out(stage: &mut Stage, to: u32) {
    for step in stage.version.parse::<u32>().unwrap() + 1..=to {
        match step {
            2 => {
                stage.edit(GREETING, "Hello", "Good day");
                stage.edit(CONFIGURATION, "tiny.example.org", "two.example.org");
                stage.edit(DEPLOYMENT, ".1:8061", ".1:8062");
            }
            3 => {
                stage.edit(GREETING, "Good day", "Welcome");
                stage.edit(
                    "ryo-tiny/project-deployment/cloud-init/cloud-init-basic.yml",
                    "#cloud-config",
                    "#cloud-config\n# three",
                );
                stage.edit(DEPLOYMENT, "[local.project_id, \"tiny\"]", "[local.project_id, \"three\"]");
            }
            other => panic!("there is no version {other}"),
        }
    }
    stage.version = to.to_string();
}

/// What serves: instances, aliases of the project and Consul keys.
fn serves(stage: &Stage) -> Value {
    let everything = stage.everything();
    json!({ "instances": everything["lxd"]["instances"], "consul": everything["consul"] })
}

/// A host that has the module of the project.
async fn with_module() -> Stage {
    let mut stage = Stage::new();
    stage.repositories = vec!["ryo-tiny-store"];
    stage.deploys().await;
    stage.repositories = vec!["ryo-tiny"];
    stage
}

/// What serves after the project, and nothing but it, was brought to `version` on a fresh host that has its module.
async fn fresh(version: u32) -> Value {
    let mut stage = with_module().await;
    check_out(&mut stage, version);
    stage.deploys().await;
    serves(&stage)
}

/// The tiny project after versions 1 to `last` were deployed one after the other.
async fn deployed(last: u32) -> Stage {
    let mut stage = with_module().await;
    for version in 1..=last {
        check_out(&mut stage, version);
        stage.deploys().await;
    }
    stage
}

async fn back(stage: &Stage, to: Option<&str>) -> Vec<String> {
    let plan = stage.rolls_back(stage.lxd.clone(), stage.consul.clone(), to).await.unwrap();
    plan.steps.iter().map(ToString::to_string).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn back_twice_and_forward_again_each_time_as_deployed_afresh() {
    let mut clean = vec![];
    for version in 1..=3 {
        clean.push(fresh(version).await);
    }
    let stage = deployed(3).await;
    assert_eq!(serves(&stage), clean[2]);
    let plan = stage.plans_back(None).await.unwrap();
    assert_eq!(plan.title, "rollback ryo-tiny from 3 to 2 on local");
    assert_eq!(
        back(&stage, None).await,
        ["ryo-tiny: replace instance tiny by one from ryo-tiny-tiny-2", "ryo-tiny: write 1 Consul key, remove 1"]
    );
    assert_eq!(serves(&stage), clean[1]);
    assert!(stage.plans_back(Some("2")).await.unwrap().steps.is_empty(), "it is there");

    // What the repository says has not changed by that, and is told.
    let steps: Vec<String> = stage.plan().await.steps.iter().map(ToString::to_string).collect();
    assert_eq!(
        steps,
        ["ryo-tiny: replace instance tiny by one from ryo-tiny-tiny-3", "ryo-tiny: write 1 Consul key, remove 1"]
    );
    back(&stage, None).await;
    assert_eq!(serves(&stage), clean[0]);
    let first = stage.rolls_back(stage.lxd.clone(), stage.consul.clone(), None).await.unwrap_err();
    assert_eq!(
        first,
        "error: no version of ryo-tiny before 1 is kept on host `local`\n\
         hint: check out what is wanted and deploy it\n"
    );
    back(&stage, Some("2")).await;
    assert_eq!(serves(&stage), clean[1]);
    stage.deploys().await;
    assert_eq!(serves(&stage), clean[2]);
    back(&stage, None).await;
    assert_eq!(serves(&stage), clean[1], "what was deployed again stands where it stood");
    let other = stage.rolls_back(stage.lxd.clone(), stage.consul.clone(), Some("7")).await.unwrap_err();
    assert_eq!(other, "error: version 7 of ryo-tiny is not kept on host `local`\nhint: kept are 1, 2, 3\n");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_that_keeps_nothing_says_so() {
    let stage = Stage::new();
    let none = stage.rolls_back(stage.lxd.clone(), stage.consul.clone(), None).await.unwrap_err();
    assert_eq!(
        none,
        "error: no version of ryo-tiny is kept on host `local`\n\
         hint: a version is kept when `ryo deploy` or `ryo upgrade` has ended well with it\n"
    );
    let file = stage.path("host/var/lib/ryo/hosts/local/ryo-tiny/versions.json");
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    fs::write(&file, "{}").unwrap();
    let broken = stage.rolls_back(stage.lxd.clone(), stage.consul.clone(), None).await.unwrap_err();
    assert_eq!(
        broken,
        "error: `/var/lib/ryo/hosts/local/ryo-tiny/versions.json` on the host does not hold versions\n  \
         because: missing field `present` at line 1 column 2\n\
         hint: move /var/lib/ryo/hosts/local/ryo-tiny/versions.json on the host away: the next deployment writes it anew\n"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_version_with_other_content_can_be_gone_back_from() {
    let stage = deployed(1).await;
    let clean = serves(&stage);
    stage.edit(GREETING, "Hello", "Good day");
    stage.deploys().await;
    assert_ne!(serves(&stage), clean);
    let steps = back(&stage, None).await;
    let fingerprint = stage.lxd.with_instance("tiny", |tiny| tiny.base_image().to_owned());
    let tag = format!("ryo-tiny: call image {} also ryo-tiny-tiny-1", &fingerprint[..12]);
    assert_eq!(steps, [&tag, "ryo-tiny: replace instance tiny by one from ryo-tiny-tiny-1"]);
    assert_eq!(serves(&stage), clean);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_kept_is_roots_alone_and_its_images_are_not_pruned() {
    let stage = deployed(3).await;
    let file = stage.path("host/var/lib/ryo/hosts/local/ryo-tiny/versions.json");
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o7777, 0o600);
    assert_eq!(stage.prunes().await, Vec::<String>::new());
    fs::remove_file(file).unwrap();
    assert_eq!(stage.prunes().await, ["ryo-tiny-tiny-1", "ryo-tiny-tiny-2"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_image_that_has_gone_is_told_before_anything_is_touched() {
    let stage = deployed(2).await;
    let client = ryo::lxd::Client::new(stage.lxd.clone());
    let first = client.alias("ryo-tiny-tiny-1").await.unwrap().unwrap();
    client.delete_image(&first.target).await.unwrap();
    stage.lxd.log.clear();
    assert_eq!(
        stage.rolls_back(stage.lxd.clone(), stage.consul.clone(), None).await.unwrap_err(),
        "error: image ryo-tiny-tiny-1 of version 1 is no longer on host `local`\n\
         hint: check out that version and deploy it: its image is built anew\n"
    );
    assert_eq!(stage.lxd.log.writes(), Vec::<String>::new());
}

/// A volume that only the newer version has: data stay.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_volume_of_the_newer_version_is_left() {
    let mut stage = deployed(1).await;
    let volume = "resource \"lxd_volume\" \"data\" {\n  name = \"tiny-data\"\n  pool = \"default\"\n}\n\
                  resource \"lxd_profile\" \"limits\" {\n  name = \"tiny-limits\"\n}\n";
    fs::write(stage.path("work/ryo-tiny/project-deployment/04-objects.tf"), volume).unwrap();
    check_out(&mut stage, 2);
    stage.deploys().await;
    let steps = back(&stage, None).await;
    assert_eq!(
        steps,
        [
            "ryo-tiny: write 1 Consul key",
            "ryo-tiny: replace instance tiny by one from ryo-tiny-tiny-1",
            "ryo-tiny: remove profile tiny-limits, which no file names any longer",
        ]
    );
    assert!(stage.plans_back(Some("1")).await.unwrap().steps.is_empty());
}

fn version(name: &str) -> Version {
    Version {
        version: name.to_owned(),
        when: 0,
        images: [(format!("image-{name}"), "f".to_owned())].into(),
        consul: None,
        resources: vec![],
        writes: ryo::project::access::Writes::default(),
    }
}

fn resources(address: &str) -> Vec<Resource> {
    vec![Resource {
        address: address.to_owned(),
        place: Place::file("main.tf"),
        depends_on: vec![],
        lifecycle: Lifecycle::default(),
        kind: Kind::ConsulKeys(ConsulKeys::default()),
    }]
}

fn names(history: &History) -> (Vec<&str>, usize) {
    (history.versions.iter().map(|it| it.version.as_str()).collect(), history.present)
}

#[test]
fn the_last_three_versions_are_kept_and_what_was_rolled_back_from_goes_with_the_next_one() {
    let mut history = History::default();
    for name in ["1", "2", "3", "4"] {
        assert!(history.enter(version(name)));
    }
    assert_eq!(names(&history), (vec!["2", "3", "4"], 2));
    let again = Version { version: "20261123-031500".to_owned(), when: 7, ..version("4") };
    assert!(!history.enter(again), "the same at another time");
    history.present = history.target("p", "h", None).unwrap();
    assert!(history.enter(version("4")), "forward again");
    assert_eq!(names(&history), (vec!["2", "3", "4"], 2));
    history.present = history.target("p", "h", None).unwrap();
    assert!(history.enter(version("5")));
    assert_eq!(names(&history), (vec!["2", "3", "5"], 2));
    let mut moved = version("5");
    moved.resources.clone_from(&resources("consul_keys.old"));
    assert!(history.enter(moved.clone()));
    moved.resources = resources("consul_keys.new");
    moved.resources[0].depends_on = vec!["lxd_container.tiny".to_owned()];
    assert!(!history.enter(moved), "a rollback to it does the same");
    assert_eq!(names(&history), (vec!["3", "5", "5"], 2));
    assert_eq!(history.target("p", "h", Some("5")).unwrap(), 1, "the other one that is called so");
    assert_eq!(history.target("p", "h", Some("3")).unwrap(), 0);
}

/// Which of the two wires breaks.
#[derive(Clone, Copy, Debug)]
enum Broken {
    Lxd,
    Consul,
}

/// Breaks exchange number `at` of a rollback, and repeats the command. Returns whether there was such an exchange.
async fn broken(wire: Broken, fault: Fault, at: usize, clean: &Value) -> bool {
    let stage = deployed(2).await;
    let inner: Arc<dyn Http> = match wire {
        Broken::Lxd => stage.lxd.clone(),
        Broken::Consul => stage.consul.clone(),
    };
    let faulty = Arc::new(Faulty::new(inner, fault, at));
    let ended = match wire {
        Broken::Lxd => stage.rolls_back(faulty.clone(), stage.consul.clone(), None).await,
        Broken::Consul => stage.rolls_back(stage.lxd.clone(), faulty.clone(), None).await,
    };
    if !faulty.happened() {
        return false;
    }
    assert!(ended.is_err() || stage.everything() == *clean, "{wire:?} {fault:?} at {at}: a lie");
    // One that ended well is not to go back further.
    if ended.is_err() {
        stage
            .rolls_back(stage.lxd.clone(), stage.consul.clone(), None)
            .await
            .unwrap_or_else(|error| panic!("{wire:?} {fault:?} at {at}: after {ended:?}, running again: {error}"));
    }
    assert_eq!(stage.everything(), *clean, "{wire:?} {fault:?} at {at}: after {ended:?}");
    assert_eq!(stage.kept(), (vec!["1".to_owned(), "2".to_owned()], 0));
    true
}

async fn sweep(fault: Fault) {
    let stage = deployed(2).await;
    back(&stage, None).await;
    let clean = stage.everything();
    for wire in [Broken::Lxd, Broken::Consul] {
        let at = every_exchange(|at| broken(wire, fault, at, &clean)).await;
        assert!(at > 3, "{wire:?}: only {at} exchanges");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rollback_survives_every_request_that_does_not_arrive() {
    sweep(FAULTS[0]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rollback_survives_every_answer_that_is_lost() {
    sweep(FAULTS[1]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rollback_survives_every_answer_that_breaks_off() {
    sweep(FAULTS[2]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rollback_survives_every_job_that_fails() {
    sweep(FAULTS[3]).await;
}
