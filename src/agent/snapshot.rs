//! Snapshots of the data of a project or module, where the file system can make them (btrfs): what is in one stays as it
//! was while instances go on.
//!
//! Beside `<id>` there is `.ryo-snapshot-<id>` then, of the whole subvolume that the data are in. A subvolume within the
//! data would be an empty directory in it, so data that have one are copied without.
//!
//! Source: btrfs-subvolume(8); numbers of inodes and of the file system: `btrfs_tree.h`, `magic.h` of Linux.

use std::fs::{self, File};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Dir, FileType, statat, statfs, syncfs};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::agent::data::Place;
use crate::agent::facts::mounts::unescaped;
use crate::archive::tree::open_below;
use crate::archive::tree::scan::vanishing;
use crate::module::program::{find, must};
use crate::module::{Context, Failed};

/// What is done with a snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Snapshot {
    /// Say whether one can be made: the answer is true or false. What is not on the disk yet is written then, and does not
    /// have to be waited for when it is made.
    Look,
    /// Make it, in place of one that a broken run has left. The answer is where the data are in it.
    Make,
    /// Remove it. It must have held everything up to now.
    Remove,
}

/// `BTRFS_SUPER_MAGIC`
const BTRFS: u64 = 0x9123_683e;

/// The inode of the root of a subvolume: `BTRFS_FIRST_FREE_OBJECTID`.
const ROOT: u64 = 256;

/// The inode of what stands for a subvolume in a snapshot: `BTRFS_EMPTY_SUBVOL_DIR_OBJECTID`.
const EMPTY: u64 = 2;

/// Does it with the data of `id` in `directory`.
pub(super) fn act(directory: &Path, id: &str, what: Snapshot, host: &Context) -> Result<Value, Failed> {
    Place::new(directory, id)?;
    let fail = |error: io::Error| Failed::new(format!("cannot take a snapshot of the data of {id}: {error}"));
    // As the kernel calls it in its list of mounts.
    let directory = fs::canonicalize(directory).map_err(fail)?;
    let (live, snapshot) = (directory.join(id), directory.join(format!(".ryo-snapshot-{id}")));
    let subvolume = subvolume(&live).map_err(fail)?;
    match (what, subvolume) {
        (Snapshot::Look, Some(_)) => {
            // Where it cannot be told, there is none.
            let possible = can_be_whole(&live).unwrap_or(false) && find("btrfs").is_some();
            if possible {
                File::open(&live).and_then(|file| Ok(syncfs(file)?)).map_err(fail)?;
            }
            Ok(possible.into())
        }
        (Snapshot::Make, Some(root)) => {
            if snapshot.exists() {
                btrfs(&["delete"], &[&snapshot], host)?;
            }
            btrfs(&["snapshot", "-r"], &[&root, &snapshot], host)?;
            Ok(within(&snapshot, &live, &root).display().to_string().into())
        }
        (Snapshot::Remove, Some(root)) => {
            // Had it gone while it was read, it would have been taken for data that went.
            let is_missing = has_directory(EMPTY, &within(&snapshot, &live, &root)).map_err(fail)?;
            btrfs(&["delete"], &[&snapshot], host)?;
            if is_missing {
                Err(fail(io::Error::other("a subvolume was made in them meanwhile")))
            } else {
                Ok(Value::Null)
            }
        }
        (Snapshot::Look, None) => Ok(false.into()),
        (Snapshot::Make | Snapshot::Remove, None) => Err(fail(io::Error::other("they are in no subvolume"))),
    }
}

/// The root of the btrfs subvolume that `live` is in, if that is there to be seen.
fn subvolume(live: &Path) -> io::Result<Option<PathBuf>> {
    if u64::try_from(statfs(live)?.f_type) != Ok(BTRFS) {
        return Ok(None);
    }
    let device = fs::symlink_metadata(live)?.dev();
    for path in live.ancestors() {
        let about = fs::metadata(path)?;
        if about.dev() != device {
            break;
        }
        if about.ino() == ROOT {
            return Ok(Some(path.to_owned()));
        }
    }
    Ok(None)
}

/// Where the data at `live`, below `root`, are in a snapshot of it.
fn within(snapshot: &Path, live: &Path, root: &Path) -> PathBuf {
    live.strip_prefix(root).map_or_else(|_| snapshot.to_owned(), |below| snapshot.join(below))
}

/// Whether everything below `live` would be in a snapshot, and the snapshot in the same file system.
fn can_be_whole(live: &Path) -> io::Result<bool> {
    let mounts = fs::read("/proc/self/mountinfo")?;
    let mounts = String::from_utf8_lossy(&mounts);
    let mut mounts = mounts.lines().filter_map(|line| line.split(' ').nth(4)).map(unescaped);
    Ok(!mounts.any(|mount| Path::new(&mount).starts_with(live)) && !has_directory(ROOT, live)?)
}

/// Whether there is a directory with this number of inode below `top`, which may be changed meanwhile and be of any
/// depth.
///
/// # Errors
///
/// A directory cannot be read.
pub fn has_directory(inode: u64, top: &Path) -> io::Result<bool> {
    let top = OwnedFd::from(File::open(top)?);
    let mut open: Vec<Vec<u8>> = vec![vec![]];
    while let Some(path) = open.pop() {
        let Some(directory) = vanishing(open_below(&top, &path))? else { continue };
        for entry in Dir::read_from(&directory)? {
            let entry = entry?;
            let name = entry.file_name();
            let may_be_one = matches!(entry.file_type(), FileType::Directory | FileType::Unknown);
            if !may_be_one || matches!(name.to_bytes(), b"." | b"..") {
                continue;
            }
            // The number in the directory itself is that of another tree.
            let Some(about) = vanishing(statat(&directory, name, AtFlags::SYMLINK_NOFOLLOW))? else { continue };
            if FileType::from_raw_mode(about.st_mode) != FileType::Directory {
                continue;
            }
            if about.st_ino == inode {
                return Ok(true);
            }
            open.push(if path.is_empty() {
                name.to_bytes().to_vec()
            } else {
                [&path, &b"/"[..], name.to_bytes()].concat()
            });
        }
    }
    Ok(false)
}

fn btrfs(words: &[&str], paths: &[&Path], host: &Context) -> Result<(), Failed> {
    let program = find("btrfs").unwrap_or_else(|| "btrfs".to_owned());
    let paths: Vec<String> = paths.iter().map(|path| path.display().to_string()).collect();
    let words = [program.as_str(), "subvolume"].into_iter().chain(words.iter().copied());
    let words: Vec<&str> = words.chain(paths.iter().map(String::as_str)).collect();
    must(&words, "", host).map(drop)
}
