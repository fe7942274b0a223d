//! Reading a tree, member by member. What it holds is not trusted.

use std::io::{self, Read};

use sha2::{Digest as _, Sha256};
use tar::EntryType;

use crate::archive::Error;
use crate::archive::tree::entry::{ACCESS, DEFAULT, Entry, Kind, MTIME, XATTR, shown};
use crate::archive::tree::group::Member;
use crate::archive::tree::said::{Records, Said};
use crate::archive::tree::{PATH, sparse};
use crate::archive::walk::entries;

/// Most bytes of a file, holes among them: all of it is read, and more than this fits into few file systems.
const LARGEST: u64 = 16 << 40;

/// Most bytes of the name of an attribute, of all their names, each with a zero behind it, and of one value, as in
/// `linux/limits.h`. No file system lets a file have more; how much it may have in all is left to the headers.
const NAME: usize = 255;
const NAMES: usize = 64 << 10;
const VALUE: usize = 64 << 10;

/// Most bytes of an access list as text, in which eight bytes of an attribute become a line with a name.
const LIST: usize = 8 * VALUE;

/// Zeros at the end of an archive that is whole.
const END: u64 = 1024;

/// What was read of a tree, as one number: who gets the same out of the same archive has got everything.
#[derive(Clone, Debug, Default)]
pub struct Sum {
    digest: Sha256,
    /// How many members.
    pub members: u64,
    /// Bytes of all contents.
    pub bytes: u64,
    /// Bytes of them that take room: holes do not.
    pub stored: u64,
}

impl Sum {
    /// Takes note of a member.
    pub fn add(&mut self, member: &Member) {
        let entry = &member.entry;
        let target = entry.kind.target().unwrap_or_default();
        let numbers = format!("{:o} {} {} {} {}", entry.mode, entry.uid, entry.gid, entry.mtime, entry.size);
        let content = member.sha256.as_deref().unwrap_or_default();
        let words = [&entry.path, entry.kind.word().as_bytes(), target, numbers.as_bytes(), content.as_bytes()];
        let records = entry.records.iter().flat_map(|(name, value)| [name.as_slice(), value.as_slice()]);
        for word in words.into_iter().chain(records) {
            self.digest.update((word.len() as u64).to_be_bytes());
            self.digest.update(word);
        }
        self.members += 1;
        self.bytes = self.bytes.saturating_add(entry.size);
        self.stored = self.stored.saturating_add(entry.stored());
    }

    /// The number, lower-case hexadecimal.
    pub fn text(&self) -> String {
        hex::encode(self.digest.clone().finalize())
    }
}

/// What is done with each member; its content is read from the stream, with zeros where it has holes.
pub type Visit<'v> = dyn FnMut(&Entry, &mut dyn Read) -> Result<(), Error> + 'v;

/// Visits every member of a tar stream up to its end.
///
/// # Errors
///
/// [`Error`], also that of `visit`.
pub fn members(stream: &mut dyn Read, visit: &mut Visit) -> Result<(), Error> {
    entries(stream, wrong, &mut |entry, head| {
        let said = Said::of(head)
            .ok_or_else(|| format(&entry.header().path_bytes(), "has an extended header that cannot be read"))?;
        let mut member = member(entry, &said)?;
        let map = sparse::map(&member.path, &said, entry, member.size).map_err(wrong)?;
        if let Some(map) = &map {
            if member.kind != Kind::File {
                return Err(format(&member.path, "has holes and is no file"));
            }
            (member.size, member.kind) = (map.size, Kind::Sparse(vec![(0, map.stored())]));
        }
        if member.size > LARGEST {
            return Err(format(&member.path, "is larger than 16 TiB"));
        }
        match &map {
            Some(map) => visit(&member, &mut map.filled(entry)),
            None => visit(&member, entry),
        }
    })
}

/// Visits every member of a whole archive, and makes sure that it is whole.
///
/// # Errors
///
/// [`Error`], also that of `visit`.
pub fn whole(stream: &mut dyn Read, visit: &mut Visit) -> Result<(), Error> {
    let mut stream = Zeros { stream, at_end: 0 };
    members(&mut stream, visit)?;
    io::copy(&mut stream, &mut io::sink()).map_err(wrong)?;
    if stream.at_end < END {
        return Err(Error::Format { reason: "it breaks off".to_owned() });
    }
    Ok(())
}

/// Counts the zeros that a stream ends with.
struct Zeros<'s> {
    stream: &'s mut dyn Read,
    at_end: u64,
}

impl Read for Zeros<'_> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let length = self.stream.read(bytes)?;
        let zeros = bytes[..length].iter().rev().take_while(|byte| **byte == 0).count();
        self.at_end = if zeros == length { self.at_end + zeros as u64 } else { zeros as u64 };
        Ok(length)
    }
}

fn wrong(error: io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => Error::Format { reason: "it breaks off".to_owned() },
        io::ErrorKind::Other | io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput => {
            Error::Format { reason: error.to_string() }
        }
        _ => Error::Read(error),
    }
}

fn format(path: &[u8], what: &str) -> Error {
    Error::Format { reason: format!("`{}` {what}", shown(path)) }
}

fn member<R: Read>(entry: &tar::Entry<'_, R>, said: &Said) -> Result<Entry, Error> {
    let header = entry.header();
    // What a file with holes is called for programs that do not know of them comes in the other places.
    let named = said.record("GNU.sparse.name").or_else(|| said.record("path")).map(<[u8]>::to_vec);
    let named = named.or_else(|| said.name.clone());
    let mut path = short(named.unwrap_or_else(|| header.path_bytes().into_owned()))?;
    let directory = path.ends_with(b"/");
    while path.ends_with(b"/") {
        path.pop();
    }
    let records = records(said).ok_or_else(|| format(&path, "has attributes that no file can have"))?;
    let plain = header.entry_size().map_err(wrong)?;
    let size = said.number("size").and_then(|size| size.parse::<u64>().ok());
    if size.is_some_and(|size| plain != 0 && plain != size) {
        return Err(format(&path, "has two sizes"));
    }
    // With a fraction, or without.
    let whole = said.number(MTIME).map(|time| time.split_once('.').map_or(time, |(whole, _)| whole));
    let time = whole.and_then(|time| time.parse::<i64>().ok());
    let link = || {
        let named = said.record("linkpath").map(<[u8]>::to_vec).or_else(|| said.link.clone());
        let target = named.or_else(|| header.link_name_bytes().map(std::borrow::Cow::into_owned));
        let target = target.filter(|target| !target.is_empty());
        short(target.ok_or_else(|| format(&path, "is a link to nothing"))?)
    };
    let kind = match header.entry_type() {
        EntryType::Regular | EntryType::Continuous if directory => Kind::Directory,
        EntryType::Regular | EntryType::Continuous => Kind::File,
        // Where its holes are is seen from what is read; how much there is beside them is said here.
        EntryType::GNUSparse => Kind::Sparse(vec![(0, plain)]),
        EntryType::Directory => Kind::Directory,
        EntryType::Symlink => Kind::Link(link()?),
        EntryType::Link => Kind::Name(link()?),
        EntryType::Fifo => Kind::Fifo,
        EntryType::Char | EntryType::Block => Kind::Device,
        _ => return Err(format(&path, "is of a kind that is not known")),
    };
    // The largest number means "nobody" to the system.
    let number = |number: u64| match u32::try_from(number) {
        Ok(number) if number != u32::MAX => Ok(number),
        _ => Err(format(&path, "has an owner that cannot be")),
    };
    Ok(Entry {
        mode: header.mode().map_err(wrong)? & 0o7777,
        uid: number(header.uid().map_err(wrong)?)?,
        gid: number(header.gid().map_err(wrong)?)?,
        mtime: match time {
            Some(time) => time,
            // GNU tar writes what was before 1970 in twos complement.
            None => header.mtime().map_err(wrong)?.cast_signed(),
        },
        size: if matches!(kind, Kind::File | Kind::Sparse(_)) { entry.size() } else { 0 },
        kind,
        path,
        records,
    })
}

fn short(path: Vec<u8>) -> Result<Vec<u8>, Error> {
    let is_short = path.len() <= PATH;
    is_short
        .then_some(path)
        .ok_or_else(|| Error::Format { reason: format!("a path is longer than {} KiB", PATH >> 10) })
}

/// Attributes and access lists; nothing if there are some that no file can have: of directories they are held in memory.
fn records(said: &Said) -> Option<Records> {
    let (mut found, mut names) = (vec![], 0);
    for (key, value) in &said.records {
        let longest = match key.strip_prefix(XATTR.as_bytes()) {
            Some(name) => {
                names += name.len() + 1;
                if name.len() <= NAME && names <= NAMES { VALUE } else { return None }
            }
            None if key == ACCESS.as_bytes() || key == DEFAULT.as_bytes() => LIST,
            None => continue,
        };
        if value.len() > longest {
            return None;
        }
        found.push((key.clone(), value.clone()));
    }
    Some(found)
}
