//! The fakes answer as the real servers did.

use crate::support::fake_consul::FakeConsul;
use crate::support::fake_lxd::FakeLxd;
use crate::support::recorder::replay;

fn lxd() -> FakeLxd {
    ready(FakeLxd::default())
}

/// Commands do nothing, and do it well.
fn ready(fake: FakeLxd) -> FakeLxd {
    fake.on_exec(|_| Box::pin(async { 0 }));
    fake
}

async fn differences(recording: &str, fake: FakeLxd) -> Vec<String> {
    replay(recording, &fake).await
}

/// The words of Incus differ from version to version; nobody depends on them.
async fn incus_differences(recording: &str) -> Vec<String> {
    let all = differences(recording, ready(FakeLxd::incus())).await;
    all.into_iter().filter(|line| !line.contains(": .error is `") && !line.contains(".err is `")).collect()
}

const NONE: [String; 0] = [];

#[tokio::test]
async fn the_fake_lives_the_life_of_an_instance_on_lxd_5_0() {
    assert_eq!(differences(include_str!("../../proto-fixtures/lxd/5.0/life.json"), lxd()).await, NONE);
}

#[tokio::test]
async fn the_fake_refuses_what_lxd_5_0_refuses() {
    assert_eq!(differences(include_str!("../../proto-fixtures/lxd/5.0/refusals.json"), lxd()).await, NONE);
}

#[tokio::test]
async fn the_fake_lives_the_life_of_an_instance_on_incus_6_0() {
    assert_eq!(incus_differences(include_str!("../../proto-fixtures/incus/6.0/life.json")).await, NONE);
}

#[tokio::test]
async fn the_fake_changes_keys_as_consul_1_8() {
    let fake = FakeConsul::default();
    assert_eq!(replay(include_str!("../../proto-fixtures/consul/1.8/keys.json"), &fake).await, NONE);
}

#[tokio::test]
async fn the_fake_refuses_what_incus_6_0_refuses() {
    assert_eq!(incus_differences(include_str!("../../proto-fixtures/incus/6.0/refusals.json")).await, NONE);
}

#[tokio::test]
async fn the_fake_has_the_objects_of_lxd_5_0() {
    assert_eq!(differences(include_str!("../../proto-fixtures/lxd/5.0/objects.json"), lxd()).await, NONE);
}

#[tokio::test]
async fn the_fake_has_the_objects_of_incus_6_0() {
    assert_eq!(incus_differences(include_str!("../../proto-fixtures/incus/6.0/objects.json")).await, NONE);
}

#[tokio::test]
async fn the_fake_freezes_as_lxd_5_0() {
    assert_eq!(differences(include_str!("../../proto-fixtures/lxd/5.0/frozen.json"), lxd()).await, NONE);
}

#[tokio::test]
async fn the_fake_freezes_as_incus_6_0() {
    assert_eq!(incus_differences(include_str!("../../proto-fixtures/incus/6.0/frozen.json")).await, NONE);
}
