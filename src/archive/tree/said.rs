//! What the headers in front of a member's own header say of it.
//!
//! They are read here because a value may hold any byte, a line break among them: only the length says where it ends.
//! Source: POSIX, `pax`, "pax Extended Header"; GNU tar, `xattrs.c`, for the names of attributes.

use tar::{EntryType, Header};

use crate::archive::tree::entry::{BLOCK, padding};

/// Records of an extended header: names and values.
pub type Records = Vec<(Vec<u8>, Vec<u8>)>;

/// What was said.
#[derive(Debug, Default)]
pub struct Said {
    /// The records of its extended header.
    pub records: Records,
    /// A name that does not fit into a header.
    pub name: Option<Vec<u8>>,
    /// A target that does not fit into a header.
    pub link: Option<Vec<u8>>,
}

impl Said {
    /// Reads the blocks in front of a member's content, its own header among them. Nothing if they are damaged.
    pub fn of(blocks: &[u8]) -> Option<Self> {
        let (mut said, mut rest) = (Self::default(), blocks);
        loop {
            let header = Header::from_byte_slice(rest.get(..BLOCK)?);
            let kind = header.entry_type();
            if !matches!(kind, EntryType::XHeader | EntryType::GNULongName | EntryType::GNULongLink) {
                return Some(said);
            }
            let length = header.entry_size().ok()?;
            let end = BLOCK + usize::try_from(length).ok()?;
            let content = rest.get(BLOCK..end)?;
            let text = || Some(content.split(|byte| *byte == 0).next().unwrap_or_default().to_vec());
            match kind {
                EntryType::XHeader => said.records = records(content)?,
                EntryType::GNULongName => said.name = text(),
                _ => said.link = text(),
            }
            rest = rest.get(end + padding(length)..)?;
        }
    }

    /// The value of a record; the last one counts.
    pub fn record(&self, name: &str) -> Option<&[u8]> {
        self.records.iter().rev().find(|(known, _)| known == name.as_bytes()).map(|(_, value)| value.as_slice())
    }

    /// The value of a record that is a number.
    pub fn number(&self, name: &str) -> Option<&str> {
        std::str::from_utf8(self.record(name)?).ok()
    }
}

fn records(mut rest: &[u8]) -> Option<Records> {
    let mut found = vec![];
    while !rest.is_empty() {
        let space = rest.iter().position(|byte| *byte == b' ')?;
        let length: usize = std::str::from_utf8(&rest[..space]).ok()?.parse().ok()?;
        let (name, value) = split(rest.get(space + 1..length)?.strip_suffix(b"\n")?)?;
        found.push((decoded(name), value.to_vec()));
        rest = &rest[length..];
    }
    Some(found)
}

fn split(record: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = record.iter().position(|byte| *byte == b'=')?;
    Some((&record[..at], &record[at + 1..]))
}

/// A record: its length, which counts itself, its name and its value.
pub fn record(name: &[u8], value: &[u8]) -> Vec<u8> {
    let name = encoded(name);
    let rest = name.len() + value.len() + 3;
    let mut length = rest + 1;
    while rest + length.to_string().len() != length {
        length = rest + length.to_string().len();
    }
    [length.to_string().as_bytes(), b" ", &name, b"=", value, b"\n"].concat()
}

/// A name in which no `=` stands, as GNU tar writes it.
fn encoded(name: &[u8]) -> Vec<u8> {
    let escape = |byte: &u8| match byte {
        b'%' => b"%25".to_vec(),
        b'=' => b"%3D".to_vec(),
        byte => vec![*byte],
    };
    name.iter().flat_map(escape).collect()
}

fn decoded(name: &[u8]) -> Vec<u8> {
    let (mut out, mut rest) = (vec![], name);
    while let Some(first) = rest.first() {
        let (byte, length) = match rest {
            [b'%', b'2', b'5', ..] => (b'%', 3),
            [b'%', b'3', b'D', ..] => (b'=', 3),
            _ => (*first, 1),
        };
        out.push(byte);
        rest = &rest[length..];
    }
    out
}
