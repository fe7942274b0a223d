//! What somebody has changed by hand: `ryo plan deploy` shows that and nothing else, `ryo deploy` sets it right.

use std::fs;

use crate::support::fake_lxd::FakeInstance;
use crate::support::stage::Stage;

/// Deploys, lets `change` happen, and compares the plan with `expected`: each step, what it says of itself below it.
/// After the next deployment there is nothing left to do.
async fn drifts(change: impl FnOnce(&Stage), expected: &[&str]) {
    let stage = Stage::new();
    stage.deploys().await;
    change(&stage);
    let plan = stage.plan().await;
    let lines = plan.steps.iter().flat_map(|step| {
        let details = step.action.details().into_iter().map(|line| format!("  {line}"));
        [step.to_string()].into_iter().chain(details).collect::<Vec<_>>()
    });
    assert_eq!(lines.collect::<Vec<_>>(), expected);
    stage.deploys().await;
    assert_eq!(stage.plan().await.text(), "deploy ryo-tiny 1 on local: nothing to do\n");
}

async fn tiny_drifts(change: impl FnOnce(&mut FakeInstance), expected: &[&str]) {
    drifts(|stage| stage.lxd.with_instance("tiny", change), expected).await;
}

fn set(instance: &mut FakeInstance, key: &str, value: &str) {
    instance.config.insert(key.to_owned(), value.to_owned());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_device_that_was_changed() {
    let change = |tiny: &mut FakeInstance| {
        let proxy = tiny.devices.get_mut("proxy0").unwrap();
        proxy.insert("listen".to_owned(), "tcp:10.10.1.1:9999".to_owned());
    };
    let expected =
        ["ryo-tiny: change instance tiny in place", "  device proxy0: listen tcp:10.10.1.1:9999 → tcp:10.10.1.1:8061"];
    tiny_drifts(change, &expected).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_device_that_was_removed() {
    let change = |tiny: &mut FakeInstance| drop(tiny.devices.remove("data"));
    tiny_drifts(change, &["ryo-tiny: change instance tiny in place", "  device data: added"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_device_that_was_added() {
    let change = |tiny: &mut FakeInstance| {
        let disk = [("type", "disk"), ("source", "/root"), ("path", "/host")];
        let disk = disk.map(|(key, value)| (key.to_owned(), value.to_owned()));
        tiny.devices.insert("spy".to_owned(), disk.into());
    };
    tiny_drifts(change, &["ryo-tiny: change instance tiny in place", "  device spy: removed"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_instance_that_was_frozen() {
    let change = |tiny: &mut FakeInstance| tiny.frozen = true;
    tiny_drifts(change, &["ryo-tiny: start instance tiny"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frozen_instance_that_was_changed() {
    let change = |tiny: &mut FakeInstance| {
        tiny.frozen = true;
        drop(tiny.devices.remove("data"));
    };
    tiny_drifts(change, &["ryo-tiny: change instance tiny in place", "  device data: added"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_network_device_that_was_changed() {
    let change = |tiny: &mut FakeInstance| {
        let nic = tiny.devices.get_mut("eth0").unwrap();
        nic.insert("ipv4.address".to_owned(), "10.10.1.99".to_owned());
    };
    let expected = [
        "ryo-tiny: change instance tiny in place",
        "  device eth0: ipv4.address 10.10.1.99 → 10.10.1.61",
        "  needs a restart",
    ];
    tiny_drifts(change, &expected).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_limit_that_was_set() {
    let expected = ["ryo-tiny: change instance tiny in place", "  config limits.memory: 1GiB → not set"];
    tiny_drifts(|tiny| set(tiny, "limits.memory", "1GiB"), &expected).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_container_that_was_made_privileged() {
    let expected =
        ["ryo-tiny: change instance tiny in place", "  config security.privileged: true → false", "  needs a restart"];
    tiny_drifts(|tiny| set(tiny, "security.privileged", "true"), &expected).await;
}

/// cloud-init has read it once: only another instance does so again. Its content may be secret.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn user_data_that_was_changed() {
    let expected = ["ryo-tiny: replace instance tiny by one from ryo-tiny-tiny-1", "  config user.user-data differs"];
    tiny_drifts(|tiny| set(tiny, "user.user-data", "#cloud-config\nbootcmd: [evil]\n"), &expected).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn profiles_that_were_changed() {
    let expected = ["ryo-tiny: change instance tiny in place", "  profiles: default, build → default"];
    tiny_drifts(|tiny| tiny.profiles.push("build".to_owned()), &expected).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_container_that_was_stopped() {
    tiny_drifts(|tiny| tiny.running = false, &["ryo-tiny: start instance tiny"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_container_that_was_removed() {
    let stage = Stage::new();
    stage.deploys().await;
    stage.lxd.remove_instance("tiny");
    let steps: Vec<String> = stage.plan().await.steps.iter().map(ToString::to_string).collect();
    assert_eq!(steps, ["ryo-tiny: create instance tiny from ryo-tiny-tiny-1"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_consul_key_that_was_changed() {
    let key = "service/store/entries/ryo-tiny-domain";
    drifts(
        |stage| stage.consul.put(key, "evil.example.org"),
        &["ryo-tiny: write 1 Consul key", &format!("  set {key}")],
    )
    .await;
}

/// The original's providers cannot tell a key without a value from one that is gone.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_consul_key_without_a_value_that_was_removed() {
    let key = "service/store/names/tiny";
    drifts(|stage| stage.consul.remove(key), &["ryo-tiny: write 1 Consul key", &format!("  set {key}")]).await;
}

/// Somebody else's key is somebody else's.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_consul_key_of_somebody_else() {
    drifts(|stage| stage.consul.put("service/store/names/other", "x"), &[]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_of_a_host_setup_that_was_changed() {
    let change = |stage: &Stage| fs::write(stage.path("host/var/containers/ryo-tiny/README"), "other\n").unwrap();
    drifts(change, &["ryo-tiny: set up the host (1 task would change something)"]).await;
}

/// What does not belong to anybody's wishes is nobody's business.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_container_of_somebody_else() {
    let change = |stage: &Stage| {
        let mut other = stage.lxd.with_instance("tiny", |tiny| tiny.clone());
        other.config.retain(|key, _| !key.starts_with("user.ryo."));
        stage.lxd.add_instance("other", other);
    };
    drifts(change, &[]).await;
}
