//! One member of a tree, and the blocks that stand in front of its content.

use std::fmt::Write as _;

use tar::{EntryType, Header};

use crate::archive::tree::said::record;

/// Bytes of one block of a tar archive.
pub const BLOCK: usize = 512;

/// Longest name that fits into a header.
const SHORT: usize = 100;

/// Segments of a sparse file in its first header, and in each one behind it.
const FIRST_SEGMENTS: usize = 4;
const MORE_SEGMENTS: usize = 21;

/// In front of the name of an extended attribute in a header.
pub const XATTR: &str = "SCHILY.xattr.";
/// The access list of a member, as text.
pub const ACCESS: &str = "SCHILY.acl.access";
/// The access list that a directory gives to what is made in it, as text.
pub const DEFAULT: &str = "SCHILY.acl.default";

/// When a member was last changed, in seconds since 1970; a header has no room for what was before.
pub const MTIME: &str = "mtime";

/// Something in a tree, without its content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its path from above the tree, without `/` at either end.
    pub path: Vec<u8>,
    /// What it is.
    pub kind: Kind,
    /// Permission bits.
    pub mode: u32,
    /// Number of its account.
    pub uid: u32,
    /// Number of its group.
    pub gid: u32,
    /// When it was last changed, in seconds since 1970.
    pub mtime: i64,
    /// Bytes of its content.
    pub size: u64,
    /// Records of its extended header: extended attributes and access lists, by name.
    pub records: Vec<(Vec<u8>, Vec<u8>)>,
}

/// What something in a tree is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A file.
    File,
    /// A file with holes: where there is something in it, from which byte on and how many.
    Sparse(Vec<(u64, u64)>),
    /// A directory.
    Directory,
    /// A symbolic link, and where it points.
    Link(Vec<u8>),
    /// Another name of a member before it.
    Name(Vec<u8>),
    /// A named pipe.
    Fifo,
    /// A device.
    Device,
}

impl Kind {
    /// What it is called in a manifest.
    pub fn word(&self) -> &'static str {
        match self {
            Self::File | Self::Sparse(_) => "file",
            Self::Directory => "directory",
            Self::Link(_) => "link",
            Self::Name(_) => "name",
            Self::Fifo => "fifo",
            Self::Device => "device",
        }
    }

    /// Where a link points, or which member a further name is of.
    pub fn target(&self) -> Option<&[u8]> {
        match self {
            Self::Link(target) | Self::Name(target) => Some(target),
            _ => None,
        }
    }
}

impl Entry {
    /// Bytes of its content as they are stored, without what fills up the last block.
    pub fn stored(&self) -> u64 {
        match &self.kind {
            Kind::File => self.size,
            Kind::Sparse(segments) => segments.iter().map(|(_, length)| length).sum(),
            _ => 0,
        }
    }

    /// The blocks in front of its content.
    pub fn head(&self) -> Vec<u8> {
        let mut blocks = vec![];
        let mut records: Vec<u8> = self.records.iter().flat_map(|(name, value)| record(name, value)).collect();
        if self.mtime < 0 {
            records.extend(record(MTIME.as_bytes(), self.mtime.to_string().as_bytes()));
        }
        if !records.is_empty() {
            aside(EntryType::XHeader, b"ryo-attributes", &records, &mut blocks);
        }
        let mut path = self.path.clone();
        if self.kind == Kind::Directory {
            path.push(b'/');
        }
        let target = self.kind.target().unwrap_or_default();
        if target.len() > SHORT {
            aside(EntryType::GNULongLink, b"././@LongLink", &[target, b"\0"].concat(), &mut blocks);
        }
        if path.len() > SHORT {
            aside(EntryType::GNULongName, b"././@LongLink", &[&path[..], b"\0"].concat(), &mut blocks);
        }
        let (mut header, more) = self.header();
        put(&mut header.as_old_mut().name, &path);
        put(&mut header.as_old_mut().linkname, target);
        header.set_cksum();
        blocks.extend(header.as_bytes());
        blocks.extend(more);
        blocks
    }

    fn header(&self) -> (Header, Vec<u8>) {
        let mut header = Header::new_gnu();
        header.set_entry_type(match &self.kind {
            Kind::File => EntryType::Regular,
            Kind::Sparse(_) => EntryType::GNUSparse,
            Kind::Directory => EntryType::Directory,
            Kind::Link(_) => EntryType::Symlink,
            Kind::Name(_) => EntryType::Link,
            Kind::Fifo => EntryType::Fifo,
            Kind::Device => EntryType::Char,
        });
        header.set_mode(self.mode & 0o7777);
        // Without names: whoever unpacks goes by the numbers.
        header.set_uid(u64::from(self.uid));
        header.set_gid(u64::from(self.gid));
        header.set_mtime(u64::try_from(self.mtime).unwrap_or(0));
        header.set_size(self.stored());
        let more = match &self.kind {
            Kind::Sparse(segments) => self.holes(&mut header, segments),
            _ => vec![],
        };
        (header, more)
    }

    /// Says in `header` where the content is; what does not fit comes in the blocks that are returned.
    fn holes(&self, header: &mut Header, segments: &[(u64, u64)]) -> Vec<u8> {
        let mut more = vec![];
        let Some(gnu) = header.as_gnu_mut() else { return more };
        gnu.realsize = number(self.size);
        let (first, rest) = segments.split_at(segments.len().min(FIRST_SEGMENTS));
        for (place, (from, length)) in gnu.sparse.iter_mut().zip(first) {
            (place.offset, place.numbytes) = (number(*from), number(*length));
        }
        gnu.isextended = [u8::from(!rest.is_empty())];
        let count = rest.chunks(MORE_SEGMENTS).count();
        for (index, some) in rest.chunks(MORE_SEGMENTS).enumerate() {
            let begin = more.len();
            for (from, length) in some {
                more.extend(number(*from));
                more.extend(number(*length));
            }
            more.resize(begin + MORE_SEGMENTS * 24, 0);
            more.push(u8::from(index + 1 < count));
            more.resize(begin + BLOCK, 0);
        }
        more
    }
}

/// What fills up the last block of `length` bytes.
pub fn padding(length: u64) -> usize {
    let over = usize::try_from(length % BLOCK as u64).unwrap_or(0);
    (BLOCK - over) % BLOCK
}

/// A header and content that say more of the member behind them.
fn aside(kind: EntryType, name: &[u8], content: &[u8], blocks: &mut Vec<u8>) {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    put(&mut header.as_old_mut().name, name);
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_size(content.len() as u64);
    header.set_cksum();
    blocks.extend(header.as_bytes());
    blocks.extend(content);
    blocks.resize(blocks.len() + padding(content.len() as u64), 0);
}

fn put(field: &mut [u8; SHORT], text: &[u8]) {
    let length = text.len().min(SHORT);
    field[..length].copy_from_slice(&text[..length]);
}

/// A number as a header has it: octal, or plain bytes if it is too large for that.
fn number(value: u64) -> [u8; 12] {
    let mut field = [0; 12];
    if value < 1 << 33 {
        field[..11].copy_from_slice(format!("{value:011o}").as_bytes());
    } else {
        field[0] = 0x80;
        field[4..].copy_from_slice(&value.to_be_bytes());
    }
    field
}

/// A path or target as text: bytes that are no UTF-8, control characters and `\` are written as `\x…`.
pub fn shown(bytes: &[u8]) -> String {
    let mut text = String::new();
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            if c == '\\' || c.is_control() {
                c.to_string().bytes().for_each(|byte| escape(byte, &mut text));
            } else {
                text.push(c);
            }
        }
        chunk.invalid().iter().for_each(|byte| escape(*byte, &mut text));
    }
    text
}

fn escape(byte: u8, text: &mut String) {
    let _ = write!(text, "\\x{byte:02x}");
}
