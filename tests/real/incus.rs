//! The scenarios against the real Incus.

use crate::lxd_scenarios as scenarios;
use crate::support::bed;

/// A host's bridge has the name of the host.
const BRIDGE: &str = "RYO_INCUS_HOST";

const RECORDINGS: &str = "incus/6.0";

#[tokio::test]
async fn an_instance_lives_a_whole_life() {
    scenarios::life(bed::incus(), &bed::var(BRIDGE), RECORDINGS).await;
}

#[tokio::test]
async fn an_instance_that_is_frozen_goes_on() {
    scenarios::frozen(bed::incus(), RECORDINGS).await;
}

#[tokio::test]
async fn objects_live_a_whole_life() {
    scenarios::objects(bed::incus(), RECORDINGS).await;
}

#[tokio::test]
async fn what_cannot_be_done_is_refused_in_words() {
    scenarios::refusals(bed::incus(), RECORDINGS).await;
}

#[tokio::test]
async fn the_machine_of_the_server_says_what_it_has() {
    scenarios::resources(bed::incus()).await;
}

#[tokio::test]
async fn an_instance_is_a_machine() {
    scenarios::machine(bed::incus()).await;
}

#[tokio::test]
async fn an_image_arrives_as_it_was_sent() {
    scenarios::upload(bed::incus()).await;
}

#[tokio::test]
async fn publishing_tells_how_far_it_is() {
    scenarios::progress(bed::incus()).await;
}

#[tokio::test]
async fn the_end_of_the_first_boot_is_waited_for() {
    scenarios::first_boot(bed::incus(), &bed::var(BRIDGE)).await;
}
