//! A playbook: parsed and checked, as `ryo check` does it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ryo::playbook::{Known, check};

fuzz_target!(|text: &str| {
    let directory = tempfile::tempdir_in("/dev/shm").expect("there is memory");
    let path = directory.path().join("play.yml");
    std::fs::write(&path, text).expect("there is memory");
    drop(check(&path, &Known::default()));
});
