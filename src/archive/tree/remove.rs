//! A tree removed, however deep it is: whoever works in a container can make one of any depth.

use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{AtFlags, CWD, Dir, Mode, OFlags, fstat, openat, unlinkat};
use rustix::io::Errno;

const DIRECTORY: OFlags = OFlags::DIRECTORY.union(OFlags::RDONLY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// A directory on the way to the one that is being emptied.
struct Above {
    inode: (u64, u64),
    /// The one in it that the way leads through comes last.
    below: Vec<Vec<u8>>,
}

/// Removes the directory at `path` and everything in it. Holds only one directory of the way open, and goes up by `..`.
///
/// # Errors
///
/// That of the system; what was removed is gone then.
pub fn remove(path: &Path) -> io::Result<()> {
    let mut at = openat(CWD, path, DIRECTORY, Mode::empty())?;
    let mut above = vec![emptied(&at)?];
    while let Some(Above { below, .. }) = above.last() {
        if let Some(name) = below.last() {
            at = openat(&at, name, DIRECTORY, Mode::empty())?;
            above.push(emptied(&at)?);
            continue;
        }
        above.pop();
        let Some(Above { inode, below }) = above.last_mut() else { break };
        at = openat(&at, "..", DIRECTORY, Mode::empty())?;
        if inode_of(&at)? != *inode {
            return Err(io::Error::other("a directory was moved while it was removed"));
        }
        if let Some(name) = below.pop() {
            unlinkat(&at, name, AtFlags::REMOVEDIR)?;
        }
    }
    Ok(unlinkat(CWD, path, AtFlags::REMOVEDIR)?)
}

/// Removes what is in a directory, but for directories.
fn emptied(directory: &OwnedFd) -> rustix::io::Result<Above> {
    let mut below = vec![];
    for entry in Dir::read_from(directory)? {
        let entry = entry?;
        let name = entry.file_name();
        if matches!(name.to_bytes(), b"." | b"..") {
            continue;
        }
        match unlinkat(directory, name, AtFlags::empty()) {
            Err(Errno::ISDIR) => below.push(name.to_bytes().to_vec()),
            Err(Errno::NOENT) | Ok(()) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(Above { inode: inode_of(directory)?, below })
}

fn inode_of(directory: &OwnedFd) -> rustix::io::Result<(u64, u64)> {
    let about = fstat(directory)?;
    Ok((about.st_dev, about.st_ino))
}
