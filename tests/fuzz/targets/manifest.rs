//! What stands beside an archive: read to its end, and what is kept of the control node written into a directory that
//! nothing leaves.
#![no_main]

use std::fs;

use libfuzzer_sys::fuzz_target;
use ryo::flow::backup::{Manifest, kept};

fuzz_target!(|bytes: &[u8]| {
    let mut members = 0;
    let mut visit = |_| {
        members += 1;
        true
    };
    let Ok(manifest) = Manifest::parse(&mut &bytes[..], &mut visit) else { return };
    let place = tempfile::tempdir_in("/dev/shm").unwrap();
    let within = place.path().join("within");
    for file in &manifest.kept.files {
        drop(kept::write(file, &within));
    }
    for entry in fs::read_dir(place.path()).unwrap() {
        assert_eq!(entry.unwrap().file_name(), "within");
    }
    let text = serde_json::to_vec(&manifest).unwrap();
    let again = Manifest::parse(&mut &text[..], &mut |_| true).unwrap();
    assert_eq!(again, manifest);
});
