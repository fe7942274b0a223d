//! Groups of members: read as they come in, and rewritten without some of their members.

use std::io::{self, Read};

use sha2::{Digest as _, Sha256};

use crate::archive::tree::entry::{BLOCK, Entry, padding};
use crate::archive::tree::read;
use crate::archive::{Compression, Error};

/// Most bytes of a group that is rewritten: what is longer is one member alone.
const LARGEST: u64 = 64 << 20;

/// Most bytes of a content that are read at once.
const ROOM: usize = 128 << 10;

/// The two empty blocks that end an archive.
pub const END: [u8; 2 * BLOCK] = [0; 2 * BLOCK];

/// A member of which everything was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// What it is.
    pub entry: Entry,
    /// SHA-256 of its content, lower-case hexadecimal; none if it has none.
    pub sha256: Option<String>,
}

/// Reads `content` to its end and says what `entry` is with it.
///
/// # Errors
///
/// [`Error::Read`].
pub fn digested(entry: &Entry, content: &mut dyn Read) -> Result<Member, Error> {
    let is_file = entry.kind.word() == "file";
    let mut digest = Sha256::new();
    let mut piece = vec![0; usize::try_from(entry.size).map_or(ROOM, |size| size.clamp(1, ROOM))];
    loop {
        match content.read(&mut piece) {
            Ok(0) => break,
            Ok(length) => digest.update(&piece[..length]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                return Err(Error::Format { reason: "it breaks off".to_owned() });
            }
            Err(error) => return Err(Error::Read(error)),
        }
    }
    let sha256 = is_file.then(|| hex::encode(digest.finalize()));
    Ok(Member { entry: entry.clone(), sha256 })
}

/// Reads the members of a group from its compressed bytes.
///
/// # Errors
///
/// [`Error`]: it is no group.
pub fn members(compressed: &mut dyn Read, compression: Compression) -> Result<Vec<Member>, Error> {
    let mut members = vec![];
    let mut stream = compression.decoder(&mut *compressed).map_err(Error::Read)?;
    read::members(&mut stream, &mut |entry, content| {
        members.push(digested(entry, content)?);
        Ok(())
    })?;
    // Up to its end, so that its sum is compared.
    let rest = io::copy(&mut stream, &mut io::sink()).map_err(Error::Read)?;
    drop(stream);
    if rest > 0 {
        Err(Error::Format { reason: "a group of members has an end of its own".to_owned() })
    } else {
        Ok(members)
    }
}

/// Returns the group without the members whose turn `keeps` does not want, compressed; empty if none is left.
///
/// # Errors
///
/// [`Error`]: it is no group of ours.
pub fn without(compressed: &[u8], compression: Compression, keeps: impl Fn(usize) -> bool) -> Result<Vec<u8>, Error> {
    let mut bytes = vec![];
    let stream = compression.decoder(compressed).map_err(Error::Read)?;
    stream.take(LARGEST).read_to_end(&mut bytes).map_err(Error::Read)?;
    let mut kept = vec![];
    for (turn, (from, until)) in ranges(&bytes)?.into_iter().enumerate() {
        if keeps(turn) {
            kept.extend(&bytes[from..until]);
        }
    }
    if kept.is_empty() { Ok(kept) } else { compression.whole(&kept).map_err(Error::Write) }
}

/// Where each member lies, with the headers that say more of it.
fn ranges(bytes: &[u8]) -> Result<Vec<(usize, usize)>, Error> {
    let broken = || Error::Format { reason: "a group of members breaks off".to_owned() };
    let (mut ranges, mut begin, mut at) = (vec![], 0, 0);
    while at < bytes.len() {
        let header = bytes.get(at..at + BLOCK).ok_or_else(broken)?;
        let header = tar::Header::from_byte_slice(header);
        let size = header.entry_size().map_err(|_| broken())?;
        let kind = header.entry_type();
        let mut more = header.as_gnu().is_some_and(|gnu| kind.is_gnu_sparse() && gnu.isextended[0] == 1);
        at += BLOCK;
        while more {
            // The last byte behind its segments says whether another one follows.
            more = *bytes.get(at + 504).ok_or_else(broken)? == 1;
            at += BLOCK;
        }
        at += usize::try_from(size).map_err(|_| broken())? + padding(size);
        if at > bytes.len() {
            return Err(broken());
        }
        if !(kind.is_gnu_longname() || kind.is_gnu_longlink() || kind.is_pax_local_extensions()) {
            ranges.push((begin, at));
            begin = at;
        }
    }
    if begin == at { Ok(ranges) } else { Err(broken()) }
}
