//! Archives of backups, unpacked into a directory that nothing leaves. Sums of headers are put right first, so that what
//! is behind them is reached.
#![no_main]

use std::fs;

use libfuzzer_sys::fuzz_target;
use ryo::archive::tree::unpack::{Most, unpack};

const BLOCK: usize = 512;

fn with_sums(bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    let mut at = 0;
    while at + BLOCK <= bytes.len() && bytes[at] != 0 {
        let block = &mut bytes[at..at + BLOCK];
        block[148..156].fill(b' ');
        let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
        block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        let mut header = [0; BLOCK];
        header.copy_from_slice(block);
        let size = tar::Header::from_byte_slice(&header).entry_size().unwrap_or(0);
        let size = usize::try_from(size).unwrap_or(usize::MAX).min(bytes.len());
        at += BLOCK + size.next_multiple_of(BLOCK);
    }
    bytes
}

fuzz_target!(|bytes: &[u8]| {
    let place = tempfile::tempdir_in("/dev/shm").unwrap();
    let within = place.path().join("within");
    fs::create_dir(&within).unwrap();
    let most = Most { members: 100, bytes: 1 << 20, stored: 1 << 20, held: 1 << 20 };
    if let Ok(sum) = unpack(&mut &with_sums(bytes)[..], "t", &within, most) {
        assert!(sum.members <= most.members && sum.bytes <= most.bytes);
    }
    for entry in fs::read_dir(place.path()).unwrap() {
        assert_eq!(entry.unwrap().file_name(), "within");
    }
});
