//! Access lists: as the kernel keeps them in an extended attribute, and as the text that archives hold.
//!
//! Accounts and groups are numbers here. Source: the kernel's `posix_acl_xattr.h`; `acl(5)`.

use std::fmt::Write as _;

/// The extended attribute of an access list.
pub const ACCESS: &str = "system.posix_acl_access";
/// The extended attribute of what a directory gives to what is made in it.
pub const DEFAULT: &str = "system.posix_acl_default";

/// The only version there is.
const VERSION: u32 = 2;

/// The number of entries that have none.
const NOBODY: u32 = u32::MAX;

/// What an entry is for, and whether it names somebody.
const TAGS: [(u16, &str, Naming); 6] = [
    (0x01, "user", Naming::Own),
    (0x02, "user", Naming::Numbered),
    (0x04, "group", Naming::Own),
    (0x08, "group", Naming::Numbered),
    (0x10, "mask", Naming::Own),
    (0x20, "other", Naming::Own),
];

/// Whether an entry names somebody.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Naming {
    /// By a number.
    Numbered,
    /// It is the owner's, or everybody's.
    Own,
}

/// The text of an extended attribute, e.g. `user::rw-,user:33:r--,group::r--,mask::r--,other::---`; none if it is none.
pub fn text(attribute: &[u8]) -> Option<String> {
    let (version, entries) = attribute.split_first_chunk::<4>()?;
    if u32::from_le_bytes(*version) != VERSION || entries.len() % 8 != 0 {
        return None;
    }
    let mut text = String::new();
    for entry in entries.chunks_exact(8) {
        let tag = u16::from_le_bytes([entry[0], entry[1]]);
        let permissions = u16::from_le_bytes([entry[2], entry[3]]);
        let number = u32::from_le_bytes([entry[4], entry[5], entry[6], entry[7]]);
        let (_, word, naming) = TAGS.iter().find(|(known, ..)| *known == tag)?;
        let who = if *naming == Naming::Numbered { number.to_string() } else { String::new() };
        let bit = |bit: u16, letter| if permissions & bit == 0 { '-' } else { letter };
        let comma = if text.is_empty() { "" } else { "," };
        let _ = write!(text, "{comma}{word}:{who}:{}{}{}", bit(4, 'r'), bit(2, 'w'), bit(1, 'x'));
    }
    Some(text)
}

/// The extended attribute of a text; none if it is none, or names somebody otherwise than by a number.
pub fn attribute(text: &str) -> Option<Vec<u8>> {
    let mut attribute = VERSION.to_le_bytes().to_vec();
    for line in text.split([',', '\n']).map(str::trim).filter(|line| !line.is_empty()) {
        let mut parts = line.split(':');
        let (word, who, permissions) = (parts.next()?, parts.next()?, parts.next()?);
        let naming = if who.is_empty() { Naming::Own } else { Naming::Numbered };
        let (tag, ..) = TAGS.iter().find(|(_, known, how)| *known == word && *how == naming)?;
        // GNU tar writes the number behind the name, if it knows one.
        let who = parts.next().unwrap_or(who);
        let number = if naming == Naming::Numbered { who.parse().ok()? } else { NOBODY };
        let mut bits = 0u16;
        for c in permissions.chars() {
            bits |= match c {
                'r' => 4,
                'w' => 2,
                'x' => 1,
                '-' => 0,
                _ => return None,
            };
        }
        attribute.extend(tag.to_le_bytes());
        attribute.extend(bits.to_le_bytes());
        attribute.extend(number.to_le_bytes());
    }
    Some(attribute)
}
