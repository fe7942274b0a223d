//! What is in an archive.

use std::path::{Component, Path, PathBuf};

use crate::archive::Error;

/// Something in an archive, without its content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// As it is called there; a directory may end with `/`.
    pub path: String,
    /// What it is.
    pub kind: Kind,
    /// Its permission bits; none if the archive does not know them.
    pub mode: Option<u32>,
    /// Number and name of its owner; none if the archive does not know them.
    pub owner: Option<Owner>,
    /// When it was last changed, in seconds since 1970.
    pub mtime: i64,
    /// In bytes.
    pub size: u64,
    /// CRC-32 of its content, if the archive knows it.
    pub crc: Option<u32>,
    /// A sum over what the archive says of it.
    pub sum: u64,
}

/// Whose it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// Number of the account.
    pub uid: u32,
    /// Number of the group.
    pub gid: u32,
    /// Name of the account where it was packed.
    pub user: Option<String>,
    /// Name of the group there.
    pub group: Option<String>,
}

/// What something in an archive is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link, and where it points.
    Link(String),
    /// Another name of a member before it.
    Name(String),
    /// A named pipe.
    Fifo,
    /// A device.
    Device,
}

/// The path below a directory that `path` means.
///
/// # Errors
///
/// [`Error::Escapes`]: it is absolute, or leads upwards.
pub fn below(path: &str) -> Result<PathBuf, Error> {
    let mut clean = PathBuf::new();
    for component in Path::new(path).components() {
        match component {
            Component::Normal(name) => clean.push(name),
            Component::CurDir => {}
            Component::ParentDir | Component::RootDir | Component::Prefix(_) => {
                return Err(Error::Escapes { path: path.to_owned() });
            }
        }
    }
    if path.contains('\0') { Err(Error::Escapes { path: path.to_owned() }) } else { Ok(clean) }
}
