//! A whole deployment in memory, and every way in which a wire can break in it.

use std::collections::BTreeSet;
use std::fs;
use std::sync::Arc;

use ryo::http::Http;
use serde_json::Value;

use crate::support::faulty::{FAULTS, Fault, Faulty, every_exchange};
use crate::support::stage::Stage;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_deployment_plans_nothing_and_writes_nothing() {
    let stage = Stage::new();
    assert_eq!(stage.deploys().await, 10);
    stage.lxd.log.clear();
    stage.consul.log.clear();
    assert_eq!(stage.plan().await.text(), "deploy ryo-tiny 1 on local: nothing to do\n");
    assert_eq!(stage.deploys().await, 0);
    assert_eq!(stage.lxd.log.writes(), Vec::<String>::new());
    assert_eq!(stage.consul.log.writes(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_changed_template_changes_one_image_and_one_instance() {
    let stage = Stage::new();
    stage.deploys().await;
    let template = stage.path("work/ryo-tiny/image-build/playbooks/roles/set-up-tiny/templates/greeting.j2");
    fs::write(template, "Good day\n").unwrap();
    let steps: Vec<String> = stage.plan().await.steps.iter().map(ToString::to_string).collect();
    assert_eq!(
        steps,
        [
            "ryo-tiny: build image ryo-tiny-tiny-1 from tiny (what it is made from has changed)",
            "ryo-tiny: replace instance tiny by one from ryo-tiny-tiny-1",
        ]
    );
    stage.deploys().await;
    assert!(stage.plan().await.steps.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drifted_file_of_a_host_setup_is_set_right() {
    let stage = Stage::new();
    stage.deploys().await;
    fs::remove_file(stage.path("host/var/containers/ryo-tiny/README")).unwrap();
    let steps: Vec<String> = stage.plan().await.steps.iter().map(ToString::to_string).collect();
    assert_eq!(steps, ["ryo-tiny: set up the host (1 task would change something)"]);
    stage.deploys().await;
    assert!(stage.plan().await.steps.is_empty());
}

/// Returns when the instances that images are built in were made, and images published.
async fn building(processors: usize) -> Vec<String> {
    let stage = Stage::new();
    stage.lxd.processors(processors);
    stage.deploys().await;
    let writes = stage.lxd.log.writes();
    let building = ["POST /1.0/instances", "POST /1.0/images"];
    writes.into_iter().filter(|line| building.contains(&line.as_str())).take(4).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn images_are_built_at_the_same_time_where_the_host_has_a_processor_for_each() {
    let (made, published) = ("POST /1.0/instances", "POST /1.0/images");
    assert_eq!(building(2).await, [made, made, published, published]);
    assert_eq!(building(1).await, [made, published, made, published]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_build_begins_once_one_has_failed() {
    let stage = Stage::new();
    stage.lxd.processors(1);
    stage.lxd.publishing_fails(Some("no space left on device"));
    let failed = stage.fails().await;
    assert_eq!(failed.warnings, Vec::<String>::new());
    assert_eq!(stage.lxd.log.writes().iter().filter(|line| *line == "POST /1.0/instances").count(), 1);
}

/// Which of the two wires breaks.
#[derive(Clone, Copy, Debug)]
enum Broken {
    Lxd,
    Consul,
}

/// Prepares a stage, breaks exchange number `at`, and repeats the command. Returns whether there was such an exchange.
async fn broken(prepare: &Prepare, wire: Broken, fault: Fault, at: usize, clean: &Value) -> bool {
    let stage = prepare().await;
    let inner: Arc<dyn Http> = match wire {
        Broken::Lxd => stage.lxd.clone(),
        Broken::Consul => stage.consul.clone(),
    };
    let faulty = Arc::new(Faulty::new(inner, fault, at));
    let ended = match wire {
        Broken::Lxd => stage.deploy(faulty.clone(), stage.consul.clone()).await,
        Broken::Consul => stage.deploy(stage.lxd.clone(), faulty.clone()).await,
    };
    if !faulty.happened() {
        return false;
    }
    let lies = || ended.is_ok() && !differences("", &stage.everything(), clean).is_empty();
    assert!(!lies(), "{wire:?} {fault:?} at {at}: a lie");
    if let Err(error) = stage.deploy(stage.lxd.clone(), stage.consul.clone()).await {
        panic!("{wire:?} {fault:?} at {at}: after {ended:?}, running again: {error}");
    }
    let left = differences("", &stage.everything(), clean);
    assert!(left.is_empty(), "{wire:?} {fault:?} at {at}: after {ended:?}:\n{}", left.join("\n"));
    true
}

/// Where two worlds differ.
fn differences(path: &str, left: &Value, right: &Value) -> Vec<String> {
    match (left, right) {
        (Value::Object(left), Value::Object(right)) => {
            let keys: BTreeSet<&String> = left.keys().chain(right.keys()).collect();
            let of = |map: &serde_json::Map<String, Value>, key: &String| map.get(key).cloned().unwrap_or_default();
            keys.into_iter()
                .flat_map(|key| differences(&format!("{path}/{key}"), &of(left, key), &of(right, key)))
                .collect()
        }
        _ if left == right => vec![],
        _ => vec![format!("{path}: {left}, not {right}")],
    }
}

type Prepare = dyn Fn() -> std::pin::Pin<Box<dyn Future<Output = Stage>>>;

/// Breaks every exchange of a deployment, one at a time, in one way, and then repeats the command. A broken run never
/// says that it is done when it is not, and after the repeat the host is as if nothing had happened.
async fn sweep(prepare: &Prepare, fault: Fault) {
    let stage = prepare().await;
    stage.deploys().await;
    let clean = stage.everything();
    for wire in [Broken::Lxd, Broken::Consul] {
        let at = every_exchange(|at| broken(prepare, wire, fault, at, &clean)).await;
        assert!(at > 3, "{wire:?}: only {at} exchanges");
    }
}

fn first() -> std::pin::Pin<Box<dyn Future<Output = Stage>>> {
    Box::pin(async { Stage::new() })
}

/// A deployed project of which one template has changed since.
fn changed() -> std::pin::Pin<Box<dyn Future<Output = Stage>>> {
    Box::pin(async {
        let stage = Stage::new();
        stage.deploys().await;
        let template = stage.path("work/ryo-tiny/image-build/playbooks/roles/set-up-tiny/templates/greeting.j2");
        fs::write(template, "Good day\n").unwrap();
        stage
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_first_deployment_survives_every_request_that_does_not_arrive() {
    sweep(&first, FAULTS[0]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_first_deployment_survives_every_answer_that_is_lost() {
    sweep(&first, FAULTS[1]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_first_deployment_survives_every_answer_that_breaks_off() {
    sweep(&first, FAULTS[2]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_first_deployment_survives_every_job_that_fails() {
    sweep(&first, FAULTS[3]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replacement_survives_every_request_that_does_not_arrive() {
    sweep(&changed, FAULTS[0]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replacement_survives_every_answer_that_is_lost() {
    sweep(&changed, FAULTS[1]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replacement_survives_every_answer_that_breaks_off() {
    sweep(&changed, FAULTS[2]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replacement_survives_every_job_that_fails() {
    sweep(&changed, FAULTS[3]).await;
}

/// A project that has more of the server than an instance.
const OBJECTS: &str = r#"
resource "lxd_network" "inner" {
  name   = "tinynet"
  config = { "ipv4.address" = "10.77.0.1/24", "ipv6.address" = "none" }
}
resource "lxd_volume" "data" {
  name   = "tiny-data"
  pool   = "default"
  config = { size = "64MiB" }
}
resource "lxd_profile" "limits" {
  name   = "tiny-limits"
  config = { "limits.processes" = 500 }
}
resource "lxd_container_file" "motd" {
  container_name     = lxd_container.tiny.name
  target_file        = "/srv/deep/motd"
  content            = "hello ${lxd_profile.limits.name}"
  mode               = "0640"
  uid                = 7
  create_directories = true
}
"#;

fn with_objects() -> std::pin::Pin<Box<dyn Future<Output = Stage>>> {
    Box::pin(async {
        let stage = Stage::new();
        fs::write(stage.path("work/ryo-tiny/project-deployment/04-objects.tf"), OBJECTS).unwrap();
        stage
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn objects_are_made_changed_and_removed() {
    let stage = with_objects().await;
    assert_eq!(stage.deploys().await, 14);
    assert!(stage.plan().await.steps.is_empty());
    stage.lxd.with_instance("tiny", |tiny| {
        let motd = &tiny.files["/srv/deep/motd"];
        assert_eq!((motd.content.as_slice(), motd.mode, motd.uid), (b"hello tiny-limits".as_slice(), 0o640, 7));
    });
    stage.edit("ryo-tiny/project-deployment/04-objects.tf", "500", "600");
    stage.edit("ryo-tiny/project-deployment/04-objects.tf", "\"hello ", "\"bye ");
    let steps: Vec<String> = stage.plan().await.steps.iter().map(ToString::to_string).collect();
    assert_eq!(
        steps,
        ["ryo-tiny: change profile tiny-limits in place", "ryo-tiny: write /srv/deep/motd in instance tiny"]
    );
    stage.deploys().await;
    assert!(stage.plan().await.steps.is_empty());
    fs::remove_file(stage.path("work/ryo-tiny/project-deployment/04-objects.tf")).unwrap();
    let steps: Vec<String> = stage.plan().await.steps.iter().map(ToString::to_string).collect();
    assert_eq!(
        steps,
        [
            "ryo-tiny: remove profile tiny-limits, which no file names any longer",
            "ryo-tiny: remove volume tiny-data in default, which no file names any longer",
            "ryo-tiny: remove network tinynet, which no file names any longer",
        ]
    );
    stage.deploys().await;
    assert!(stage.plan().await.steps.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn objects_survive_every_request_that_does_not_arrive() {
    sweep(&with_objects, FAULTS[0]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn objects_survive_every_answer_that_is_lost() {
    sweep(&with_objects, FAULTS[1]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn objects_survive_every_answer_that_breaks_off() {
    sweep(&with_objects, FAULTS[2]).await;
}
