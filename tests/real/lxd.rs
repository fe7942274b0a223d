//! The scenarios against the real LXD.

use crate::lxd_scenarios as scenarios;
use crate::support::bed;

const RECORDINGS: &str = "lxd/5.0";

#[tokio::test]
async fn an_instance_lives_a_whole_life() {
    scenarios::life(bed::lxd(), RECORDINGS).await;
}

#[tokio::test]
async fn what_cannot_be_done_is_refused_in_words() {
    scenarios::refusals(bed::lxd(), RECORDINGS).await;
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
