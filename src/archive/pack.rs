//! Writing tar archives from the file system, as a stream.

use std::collections::HashMap;
use std::fs::{self, File, Metadata};
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use tar::{Builder, EntryType, Header};

use crate::archive::Error;

/// What an account or a group is called where it is packed.
#[derive(Clone, Debug, Default)]
pub struct Names {
    /// By the numbers of accounts.
    pub users: HashMap<u32, String>,
    /// By the numbers of groups.
    pub groups: HashMap<u32, String>,
}

/// A tar stream that is written to `W`.
pub struct Packer<W: Write> {
    builder: Builder<W>,
    names: Names,
    /// Names under which a file with several has been packed, by device and number.
    known: HashMap<(u64, u64), PathBuf>,
}

impl<W: Write> Packer<W> {
    /// Begins an archive.
    pub fn new(writer: W, names: Names) -> Self {
        Self { builder: Builder::new(writer), names, known: HashMap::new() }
    }

    /// Packs what is at `path`, without what is below it, under `name`. Links stay links; sockets are left out.
    ///
    /// A file that grows while it is read is packed as long as it was; one that shrinks is filled up with zeros.
    ///
    /// # Errors
    ///
    /// [`Error::File`].
    pub fn add(&mut self, path: &Path, name: &Path) -> Result<(), Error> {
        let fail = |source: io::Error| Error::File { path: path.display().to_string(), source };
        let about = fs::symlink_metadata(path).map_err(fail)?;
        if about.file_type().is_socket() {
            return Ok(());
        }
        let mut header = self.header(&about);
        let linked = (about.nlink() > 1 && about.is_file()).then_some((about.dev(), about.ino()));
        if let Some(first) = linked.and_then(|it| self.known.get(&it)) {
            header.set_entry_type(EntryType::Link);
            return self.builder.append_link(&mut header, name, first).map_err(fail);
        }
        if about.is_symlink() {
            let target = fs::read_link(path).map_err(fail)?;
            return self.builder.append_link(&mut header, name, target).map_err(fail);
        }
        if about.is_file() {
            let file = File::open(path).map_err(fail)?;
            header.set_size(about.len());
            let content = file.take(about.len()).chain(io::repeat(0)).take(about.len());
            self.builder.append_data(&mut header, name, content).map_err(fail)?;
            if let Some(it) = linked {
                self.known.insert(it, name.to_owned());
            }
            return Ok(());
        }
        self.builder.append_data(&mut header, name, io::empty()).map_err(fail)
    }

    /// Ends the archive and returns the writer.
    ///
    /// # Errors
    ///
    /// [`Error::File`].
    pub fn finish(self) -> Result<W, Error> {
        let fail = |source| Error::File { path: "the archive".to_owned(), source };
        self.builder.into_inner().map_err(fail)
    }

    fn header(&self, about: &Metadata) -> Header {
        let mut header = Header::new_gnu();
        let kind = about.file_type();
        header.set_entry_type(match kind {
            _ if kind.is_dir() => EntryType::Directory,
            _ if kind.is_symlink() => EntryType::Symlink,
            _ if kind.is_fifo() => EntryType::Fifo,
            _ if kind.is_block_device() => EntryType::Block,
            _ if kind.is_char_device() => EntryType::Char,
            _ => EntryType::Regular,
        });
        header.set_mode(about.mode() & 0o7777);
        header.set_uid(u64::from(about.uid()));
        header.set_gid(u64::from(about.gid()));
        header.set_mtime(u64::try_from(about.mtime()).unwrap_or(0));
        header.set_size(0);
        // A name that is too long for its field is left out: the number counts.
        let _ = self.names.users.get(&about.uid()).map(|name| header.set_username(name));
        let _ = self.names.groups.get(&about.gid()).map(|name| header.set_groupname(name));
        if kind.is_block_device() || kind.is_char_device() {
            let _ = header.set_device_major(rustix::fs::major(about.rdev()));
            let _ = header.set_device_minor(rustix::fs::minor(about.rdev()));
        }
        header
    }
}

/// Everything below the directory `top`, parents before children, names in order.
///
/// # Errors
///
/// [`Error::File`].
pub fn below(top: &Path) -> Result<Vec<PathBuf>, Error> {
    let mut found = vec![];
    let mut open = vec![top.to_owned()];
    while let Some(directory) = open.pop() {
        let fail = |source: io::Error| Error::File { path: directory.display().to_string(), source };
        let entries = fs::read_dir(&directory).map_err(fail)?.collect::<io::Result<Vec<_>>>().map_err(fail)?;
        let mut paths: Vec<PathBuf> = entries.iter().map(fs::DirEntry::path).collect();
        paths.sort_by(|left, right| left.as_os_str().as_bytes().cmp(right.as_os_str().as_bytes()));
        let directories = paths.iter().rev().filter(|path| path.is_dir() && !path.is_symlink());
        open.extend(directories.cloned());
        found.extend(paths);
    }
    Ok(found)
}
