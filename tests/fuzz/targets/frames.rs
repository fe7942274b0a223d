//! What comes over the wire between client and agent.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ryo::agent::wire::{Hello, Reply, Request, read};

fuzz_target!(|bytes: &[u8]| {
    let mut stream = bytes;
    while let Ok(Some(frame)) = read(&mut stream) {
        assert!(frame.payload.len() <= bytes.len());
        drop(frame.message::<Hello>());
        drop(frame.message::<Request>());
        drop(frame.message::<Reply>());
        drop(frame.piece());
    }
});
