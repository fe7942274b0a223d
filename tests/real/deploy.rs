//! `ryo deploy` against real servers: from nothing to running instances, changes, and what a killed run leaves.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::process::Stdio;

use ryo::lxd::image::is_fingerprint;
use serde_json::{Value, json};

use crate::support::work::{Host, Work, turns};

const INSTANCES: [&str; 2] = ["store", "tiny"];
const OWNERS: [&str; 2] = ["ryo-tiny-store", "ryo-tiny"];

/// Removes everything that a deployment of the tiny project leaves on a host.
pub async fn wipe(host: &Host) {
    host.wipe(&OWNERS, &INSTANCES, "service/store/").await;
}

/// Everything that a deployment is about, without what differs from run to run by nature.
async fn state(host: &Host) -> Value {
    let client = host.client();
    let kept = |key: &str| !key.starts_with("volatile.") && !key.starts_with("image.");
    let mut instances = BTreeMap::new();
    // The comparison with Ansible comes and goes beside this.
    let others = |name: &str| name.starts_with("differential-");
    for instance in client.instances().await.unwrap().into_iter().filter(|it| !others(&it.name)) {
        let config: BTreeMap<_, _> = instance.config.iter().filter(|(key, _)| kept(key)).collect();
        let about = json!({
            "status": instance.status, "config": config, "devices": instance.devices, "profiles": instance.profiles,
        });
        instances.insert(instance.name, about);
    }
    let mut images: Vec<Value> = vec![];
    for image in client.images().await.unwrap() {
        let owner = image.properties.get("ryo.project");
        if owner.is_some_and(|owner| OWNERS.contains(&owner.as_str())) {
            let names: Vec<_> = image.aliases.iter().map(|alias| &alias.name).collect();
            images.push(json!({ "names": names, "properties": image.properties }));
        }
    }
    images.sort_by_key(ToString::to_string);
    let keys = host.consul().list("service/store/").await.unwrap();
    let keys: BTreeMap<_, _> = keys.into_iter().map(|entry| (entry.key.clone(), entry.text())).collect();
    let mut files = BTreeMap::new();
    for instance in INSTANCES {
        if instances.contains_key(instance) {
            files.insert(instance, host.inside(instance, &["cat", "/etc/greeting", "/etc/plain"]).await);
        }
    }
    json!({ "instances": instances, "images": images, "keys": keys, "files": files })
}

fn titles(ended: &str) -> Vec<String> {
    let mut lines = ended.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let result = lines.rfind(|line| line["event"] == "result").expect("a result");
    let steps = result["result"]["steps"].as_array().expect("steps").clone();
    steps
        .iter()
        .map(|step| format!("{}: {}", step["owner"].as_str().unwrap(), step["title"].as_str().unwrap()))
        .collect()
}

async fn deployed_changed_and_found_unchanged(host: Host) {
    wipe(&host).await;
    let work = Work::new(host.clone());
    let deploy = ["deploy", "ryo-tiny", "-n", &host.name, "-v", "1", "--yes"];
    work.ryo(&deploy).well();

    let keys = host.consul().list("service/store/").await.unwrap();
    let keys: Vec<_> = keys.iter().map(|entry| (entry.key.clone(), entry.text())).collect();
    let expected = [
        ("service/store/entries/ryo-tiny-domain", "tiny.example.org"),
        ("service/store/names/ryo-tiny", ""),
        ("service/store/names/tiny", ""),
    ];
    assert_eq!(keys, expected.map(|(key, value)| (key.to_owned(), value.to_owned())));
    assert_eq!(
        host.inside("tiny", &["cat", "/etc/greeting", "/etc/plain"]).await,
        format!("Hello from ryo-tiny on {}, version 1.2.3.\nfirst line\nsecond line of ryo-tiny\n", host.name)
    );
    let stat = host.inside("tiny", &["stat", "-c", "%a %u %g", "/etc/plain", "/etc/greeting"]).await;
    assert_eq!(stat, "640 0 0\n644 0 0\n");
    host.inside("tiny", &["sh", "-c", "echo kept > /data/kept"]).await;
    let base = host.client().instance("tiny").await.unwrap().unwrap().value.base_image().unwrap().to_owned();
    assert!(is_fingerprint(&base));

    let again = work.ryo(&deploy).well();
    assert_eq!(again.stdout, format!("deploy ryo-tiny 1 on {}: nothing to do\n", host.name));
    let without_version = work.ryo(&["deploy", "ryo-tiny", "-n", &host.name, "--yes"]).well();
    assert_eq!(without_version.stdout, format!("deploy ryo-tiny on {}: nothing to do\n", host.name));

    let store = host.client().instance("store").await.unwrap().unwrap().value;
    work.edit("ryo-tiny/image-build/playbooks/roles/set-up-tiny/templates/greeting.j2", "Hello", "Good day");
    let plan = work.ryo(&["plan", "deploy", "ryo-tiny", "-n", &host.name, "-v", "1", "--json", "--exit-code"]);
    assert_eq!(plan.code, Some(4), "{plan:?}");
    assert_eq!(
        titles(&plan.stdout),
        [
            "ryo-tiny: build image ryo-tiny-tiny-1 from tiny (what it is made from has changed)",
            "ryo-tiny: replace instance tiny by one from ryo-tiny-tiny-1",
        ]
    );
    work.ryo(&deploy).well();
    assert!(host.inside("tiny", &["cat", "/etc/greeting"]).await.starts_with("Good day from ryo-tiny"));
    assert_eq!(host.inside("tiny", &["cat", "/data/kept"]).await, "kept\n");
    assert_eq!(host.client().instance("store").await.unwrap().unwrap().value, store);

    host.client().kill("tiny").await.unwrap();
    let plan = work.ryo(&["plan", "deploy", "ryo-tiny", "-n", &host.name, "-v", "1", "--json"]);
    assert_eq!(titles(&plan.stdout), ["ryo-tiny: start instance tiny"]);
    work.ryo(&deploy).well();
    wipe(&host).await;
}

#[tokio::test]
async fn a_project_is_deployed_changed_and_found_unchanged_on_lxd() {
    deployed_changed_and_found_unchanged(Host::lxd()).await;
}

#[tokio::test]
async fn a_project_is_deployed_changed_and_found_unchanged_on_incus() {
    deployed_changed_and_found_unchanged(Host::incus()).await;
}

/// Runs a deployment and kills it, as `kill -9` does, when the `at`-th event of interest is told. Returns whether there
/// were so many.
pub fn killed(work: &Work, words: &[&str], at: usize) -> bool {
    let mut child = work.command(words).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let told = |line: &std::io::Result<String>| {
        let event = serde_json::from_str::<Value>(line.as_deref().unwrap_or_default()).unwrap_or_default();
        ["step_started", "step_progress", "step_done"].iter().any(|kind| event["event"] == *kind)
    };
    let reached = lines.filter(told).nth(at).is_some();
    let _ = child.kill();
    let _ = child.wait();
    reached
}

async fn killed_anywhere(host: Host) {
    wipe(&host).await;
    let work = Work::new(host.clone());
    let words = ["deploy", "ryo-tiny", "-n", &host.name, "-v", "1", "--yes", "--json"];
    work.ryo(&words).well();
    let clean = state(&host).await;
    for at in turns() {
        wipe(&host).await;
        let reached = killed(&work, &words, at);
        work.ryo(&words).well();
        assert_eq!(state(&host).await, clean, "killed at event {at}");
        if !reached {
            break;
        }
    }
    wipe(&host).await;
}

/// What a project wants of a server beside its instance.
const OBJECTS: &str = r#"
resource "lxd_network" "inner" {
  name   = "tinynetSUBNET"
  config = { "ipv4.address" = "10.211.SUBNET.1/24", "ipv4.nat" = true, "ipv6.address" = "none" }
}
resource "lxd_storage_pool" "pool" {
  name   = "tinypool"
  driver = "dir"
}
resource "lxd_volume" "data" {
  name = "tiny-data"
  pool = lxd_storage_pool.pool.name
}
resource "lxd_profile" "limits" {
  name   = "tiny-limits"
  config = { "limits.processes" = 500 }
  device {
    name       = "eth1"
    type       = "nic"
    properties = { network = lxd_network.inner.name, name = "eth1" }
  }
}
resource "lxd_container_file" "motd" {
  container_name     = lxd_container.tiny.name
  target_file        = "/srv/deep/motd"
  content            = "hello"
  mode               = "0640"
  uid                = 7
  create_directories = true
}
"#;

async fn objects_come_and_go(host: Host) {
    wipe(&host).await;
    let work = Work::new(host.clone());
    let words = ["deploy", "ryo-tiny", "-n", &host.name, "-v", "1", "--yes"];
    let objects = work.path("ryo-tiny/project-deployment/04-objects.tf");
    std::fs::write(&objects, OBJECTS.replace("SUBNET", &host.subnet)).unwrap();
    work.edit("ryo-tiny/project-deployment/02-tiny.tf", "[\"default\"]", "[\"default\", lxd_profile.limits.name]");
    work.ryo(&words).well();
    let again = work.ryo(&words).well();
    assert_eq!(again.stdout, format!("deploy ryo-tiny 1 on {}: nothing to do\n", host.name));
    let inside = host.inside("tiny", &["stat", "-c", "%a %u", "/srv/deep/motd"]).await;
    assert_eq!(inside, "640 7\n");
    assert!(host.inside("tiny", &["ls", "/sys/class/net"]).await.contains("eth1"));
    work.edit("ryo-tiny/project-deployment/04-objects.tf", "500", "600");
    work.edit("ryo-tiny/project-deployment/04-objects.tf", "\"hello\"", "\"bye\"");
    let plan = work.ryo(&["plan", "deploy", "ryo-tiny", "-n", &host.name, "-v", "1", "--json"]);
    assert_eq!(
        titles(&plan.stdout),
        ["ryo-tiny: change profile tiny-limits in place", "ryo-tiny: write /srv/deep/motd in instance tiny"]
    );
    work.ryo(&words).well();
    assert_eq!(host.inside("tiny", &["cat", "/srv/deep/motd"]).await, "bye");
    std::fs::remove_file(&objects).unwrap();
    work.edit("ryo-tiny/project-deployment/02-tiny.tf", "[\"default\", lxd_profile.limits.name]", "[\"default\"]");
    work.ryo(&words).well();
    let again = work.ryo(&words).well();
    assert_eq!(again.stdout, format!("deploy ryo-tiny 1 on {}: nothing to do\n", host.name));
    let client = host.client();
    assert!(client.networks().await.unwrap().iter().all(|network| network.name != format!("tinynet{}", host.subnet)));
    assert!(client.storage_pools().await.unwrap().iter().all(|pool| pool.name != "tinypool"));
    assert!(client.profiles().await.unwrap().iter().all(|profile| profile.name != "tiny-limits"));
    wipe(&host).await;
}

#[tokio::test]
async fn objects_come_and_go_on_lxd() {
    objects_come_and_go(Host::lxd()).await;
}

#[tokio::test]
async fn objects_come_and_go_on_incus() {
    objects_come_and_go(Host::incus()).await;
}

#[tokio::test]
async fn a_run_that_is_killed_after_any_step_is_mended_by_the_next_one() {
    killed_anywhere(Host::lxd()).await;
}

#[tokio::test]
async fn a_replacement_that_is_killed_after_any_step_is_mended_by_the_next_one() {
    let host = Host::lxd();
    wipe(&host).await;
    let work = Work::new(host.clone());
    let words = ["deploy", "ryo-tiny", "-n", &host.name, "-v", "1", "--yes", "--json"];
    work.ryo(&words).well();
    let greeting = "ryo-tiny/image-build/playbooks/roles/set-up-tiny/templates/greeting.j2";
    for at in turns() {
        let (from, to) = if at % 2 == 0 { ("Hello", "Welcome") } else { ("Welcome", "Hello") };
        work.edit(greeting, from, to);
        let reached = killed(&work, &words, at);
        work.ryo(&words).well();
        assert!(host.inside("tiny", &["cat", "/etc/greeting"]).await.starts_with(to), "killed at event {at}");
        let instances = host.client().instances().await.unwrap();
        let names: Vec<_> = instances.iter().map(|it| it.name.as_str()).filter(|it| it.contains("tiny")).collect();
        assert_eq!(names, ["tiny"], "killed at event {at}");
        if !reached {
            break;
        }
    }
    wipe(&host).await;
}
