//! Bytes of files as lines and as diffs.

use std::fs;
use std::io;

use crate::module::system::System;
use crate::module::{Diff, Failed};

/// Longest content that a diff shows.
pub const SHOWN: usize = 100 << 10;

/// Reads the file at `path` through links; nothing if there is none.
///
/// # Errors
///
/// [`Failed`]: it cannot be read.
pub fn read(path: &str, system: &System) -> Result<Option<Vec<u8>>, Failed> {
    match fs::read(system.real(path)) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(None),
        Err(error) => Err(Failed::new(format!("cannot read {path}: {error}"))),
    }
}

/// Lines with their ends (`\n`).
pub fn lines(bytes: &[u8]) -> Vec<Vec<u8>> {
    bytes.split_inclusive(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect()
}

/// Lines with their ends, where `\r` alone ends one too, as Python's `bytes.splitlines` has it.
pub fn lines_of_any_kind(bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut lines = vec![];
    let mut start = 0;
    for (at, byte) in bytes.iter().enumerate() {
        let ends = *byte == b'\n' || (*byte == b'\r' && bytes.get(at + 1) != Some(&b'\n'));
        if ends {
            lines.push(bytes[start..=at].to_vec());
            start = at + 1;
        }
    }
    if start < bytes.len() {
        lines.push(bytes[start..].to_vec());
    }
    lines
}

/// A line without its end.
pub fn bare(line: &[u8]) -> &[u8] {
    let end = line.iter().rposition(|byte| !matches!(byte, b'\r' | b'\n')).map_or(0, |last| last + 1);
    &line[..end]
}

/// Two contents as a diff: text shown, anything else and what is too long only named.
pub fn diff(path: &str, before: &[u8], after: &[u8]) -> Diff {
    Diff { subject: path.to_owned(), before: shown(before), after: shown(after) }
}

fn shown(bytes: &[u8]) -> String {
    if bytes.len() > SHOWN {
        return format!("({} bytes)\n", bytes.len());
    }
    if bytes.contains(&0) {
        return format!("(binary, {} bytes)\n", bytes.len());
    }
    String::from_utf8_lossy(bytes).into_owned()
}
