//! Files with holes as records of the extended header tell of them: `tar --sparse --format=posix` and bsdtar write these.
//!
//! Source: GNU tar's manual, "Storing Sparse Files", formats 0.0, 0.1 and 1.0.

use std::io::{self, Read};

use crate::archive::tree::entry::{padding, shown};
use crate::archive::tree::said::Said;

/// Most pieces between holes, which are held in memory.
const PIECES: u64 = 1_000_000;

/// Digits of the largest number.
const DIGITS: u64 = 20;

/// Where the content of a file with holes is.
#[derive(Debug, PartialEq, Eq)]
pub struct Map {
    /// Bytes of the file, holes among them.
    pub size: u64,
    /// Where there is something in it, from which byte on and how many.
    pub pieces: Vec<(u64, u64)>,
}

/// Reads what `said` tells of the holes of the file at `path`; in the last format, where they are stands at the beginning of
/// `content`, of which `stored` bytes are there. Nothing if it has none.
///
/// # Errors
///
/// It makes no sense, or `content` cannot be read.
pub fn map(path: &[u8], said: &Said, content: &mut dyn Read, stored: u64) -> io::Result<Option<Map>> {
    let senseless = || senseless(path);
    if !said.records.iter().any(|(name, _)| name.starts_with(b"GNU.sparse.")) {
        return Ok(None);
    }
    let number = |name: &str| said.number(name).and_then(|text| text.parse::<u64>().ok());
    let size = number("GNU.sparse.realsize").or_else(|| number("GNU.sparse.size")).ok_or_else(senseless)?;
    let (pieces, beside) = if number("GNU.sparse.major") == Some(1) {
        in_front(path, content)?
    } else {
        (in_records(said).ok_or_else(senseless)?, 0)
    };
    let mut end = 0;
    for (from, length) in &pieces {
        let until = from.checked_add(*length).filter(|until| *from >= end && *until <= size);
        end = until.ok_or_else(senseless)?;
    }
    let map = Map { size, pieces };
    if map.stored().checked_add(beside) == Some(stored) { Ok(Some(map)) } else { Err(senseless()) }
}

fn senseless(path: &[u8]) -> io::Error {
    let reason = format!("`{}` has holes of which nothing sensible is said", shown(path));
    io::Error::new(io::ErrorKind::InvalidData, reason)
}

/// Formats 0.0 and 0.1.
fn in_records(said: &Said) -> Option<Vec<(u64, u64)>> {
    let text = |value: &[u8]| std::str::from_utf8(value).ok()?.parse::<u64>().ok();
    let numbers: Vec<u64> = if let Some(map) = said.record("GNU.sparse.map") {
        map.split(|byte| *byte == b',').filter(|number| !number.is_empty()).map(text).collect::<Option<_>>()?
    } else {
        let of = |name: &[u8]| name == b"GNU.sparse.offset" || name == b"GNU.sparse.numbytes";
        said.records.iter().filter(|(name, _)| of(name)).map(|(_, value)| text(value)).collect::<Option<_>>()?
    };
    let (pairs, rest) = numbers.as_chunks::<2>();
    rest.is_empty().then(|| pairs.iter().map(|[from, length]| (*from, *length)).collect())
}

/// Format 1.0: in front of the content stand, a line each, how many pieces there are, and where each begins and how long it
/// is; up to a whole block. Returns the pieces and the bytes that were read.
fn in_front(path: &[u8], content: &mut dyn Read) -> io::Result<(Vec<(u64, u64)>, u64)> {
    let senseless = || senseless(path);
    let mut read = 0;
    let mut number = || {
        let mut value: u64 = 0;
        for _ in 0..=DIGITS {
            let mut byte = [0];
            content.read_exact(&mut byte)?;
            read += 1;
            let digit = match byte[0] {
                b'\n' => return Ok(value),
                byte @ b'0'..=b'9' => u64::from(byte - b'0'),
                _ => break,
            };
            value = value.checked_mul(10).and_then(|value| value.checked_add(digit)).ok_or_else(senseless)?;
        }
        Err(senseless())
    };
    let count = number()?;
    if count > PIECES {
        return Err(senseless());
    }
    let pieces = (0..count).map(|_| Ok((number()?, number()?))).collect::<io::Result<_>>()?;
    let rest = padding(read) as u64;
    io::copy(&mut Read::take(content, rest), &mut io::sink())?;
    Ok((pieces, read + rest))
}

impl Map {
    /// Bytes of the file that are stored.
    pub fn stored(&self) -> u64 {
        self.pieces.iter().map(|(_, length)| length).sum()
    }

    /// Reads the whole file: what is in `content`, and zeros where it has holes.
    pub fn filled<'c>(&'c self, content: &'c mut dyn Read) -> impl Read + 'c {
        Filled { content, pieces: &self.pieces, at: 0, size: self.size }
    }
}

struct Filled<'c> {
    content: &'c mut dyn Read,
    /// Those that are not read to their end.
    pieces: &'c [(u64, u64)],
    at: u64,
    size: u64,
}

impl Read for Filled<'_> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        while self.pieces.first().is_some_and(|(from, length)| from + length <= self.at) {
            self.pieces = &self.pieces[1..];
        }
        let (hole_until, piece_until) =
            self.pieces.first().map_or((self.size, self.size), |(from, length)| (*from, from + length));
        let until = if self.at < hole_until { hole_until } else { piece_until };
        let length = usize::try_from(until - self.at).unwrap_or(usize::MAX).min(bytes.len());
        let bytes = &mut bytes[..length];
        let read = if self.at < hole_until {
            bytes.fill(0);
            length
        } else {
            self.content.read(bytes)?
        };
        if read == 0 && length > 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.at += read as u64;
        Ok(read)
    }
}
