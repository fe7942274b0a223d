//! The scenarios against the real LXD.

use crate::lxd_scenarios as scenarios;
use crate::support::bed;

/// A host's bridge has the name of the host.
const BRIDGE: &str = "RYO_LXD_HOST";

const RECORDINGS: &str = "lxd/5.0";

#[tokio::test]
async fn an_instance_lives_a_whole_life() {
    scenarios::life(bed::lxd(), &bed::var(BRIDGE), RECORDINGS).await;
}

#[tokio::test]
async fn an_instance_that_is_frozen_goes_on() {
    scenarios::frozen(bed::lxd(), RECORDINGS).await;
}

#[tokio::test]
async fn objects_live_a_whole_life() {
    scenarios::objects(bed::lxd(), RECORDINGS).await;
}

#[tokio::test]
async fn what_cannot_be_done_is_refused_in_words() {
    scenarios::refusals(bed::lxd(), RECORDINGS).await;
}

#[tokio::test]
async fn the_machine_of_the_server_says_what_it_has() {
    scenarios::resources(bed::lxd()).await;
}

#[tokio::test]
async fn an_instance_is_a_machine() {
    scenarios::machine(bed::lxd()).await;
}

#[tokio::test]
async fn an_image_arrives_as_it_was_sent() {
    scenarios::upload(bed::lxd()).await;
}

#[tokio::test]
async fn publishing_tells_how_far_it_is() {
    scenarios::progress(bed::lxd()).await;
}

#[tokio::test]
async fn the_end_of_the_first_boot_is_waited_for() {
    scenarios::first_boot(bed::lxd(), &bed::var(BRIDGE)).await;
}
