//! A tree of files as a list.

use std::collections::HashMap;
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::module::source::{Blob, Content, digests};
use crate::module::stat::{self, Algorithm};
use crate::module::synchronize::Options;
use crate::module::synchronize::filter::Filter;
use crate::module::system::System;
use crate::module::{Blobs, Failed};

/// Something in a tree.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Node {
    /// Below the place that the tree is brought to; empty for this place itself.
    pub path: String,
    /// What it is.
    pub kind: NodeKind,
    /// Its permission bits.
    pub mode: u32,
    /// When it was last changed, in seconds since 1970.
    pub mtime: i64,
    /// Number of its owner.
    pub uid: u32,
    /// Number of its group.
    pub gid: u32,
    /// Name of its owner where it is.
    pub user: Option<String>,
    /// Name of its group there.
    pub group: Option<String>,
    /// The content of a file, if it is on the control node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content: Option<Content>,
}

/// What something in a tree is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NodeKind {
    /// A directory.
    Directory,
    /// A file.
    File {
        /// In bytes.
        size: u64,
        /// Lower-case hexadecimal, if it was computed.
        sha256: Option<String>,
    },
    /// A symbolic link.
    Link {
        /// Where it points.
        target: String,
    },
}

/// Whether digests of files are computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Digests {
    /// They are.
    Made,
    /// They are not.
    Left,
}

/// Lists what is at `real`, which a task calls `src`, parents before children. Devices, sockets and pipes are left out.
///
/// # Errors
///
/// What the file system says.
pub fn gather(src: &str, real: &Path, options: &Options, system: &System, digests: Digests) -> io::Result<Vec<Node>> {
    let real = if src.ends_with('/') { real.join(".") } else { real.to_owned() };
    let name = if src.ends_with('/') { "" } else { src.rsplit('/').next().unwrap_or_default() };
    let filter = Filter::new(&options.rules);
    let users = system.accounts().into_iter().map(|it| (it.uid, it.name)).collect();
    let groups = system.groups().into_iter().map(|it| (it.gid, it.name)).collect();
    let mut walk = Walk { options, filter, users, groups, digests, top: name, nodes: vec![] };
    walk.visit(&real, name)?;
    Ok(walk.nodes)
}

struct Walk<'a> {
    options: &'a Options,
    filter: Filter,
    users: HashMap<u32, String>,
    groups: HashMap<u32, String>,
    digests: Digests,
    top: &'a str,
    nodes: Vec<Node>,
}

impl Walk<'_> {
    fn visit(&mut self, real: &Path, path: &str) -> io::Result<()> {
        let about = if self.options.copy_links { fs::metadata(real)? } else { fs::symlink_metadata(real)? };
        if !path.is_empty() && path != self.top && self.filter.leaves_out(path, about.is_dir()) {
            return Ok(());
        }
        let Some(kind) = self.kind(real, &about)? else { return Ok(()) };
        let directory = kind == NodeKind::Directory;
        self.nodes.push(Node {
            path: path.to_owned(),
            kind,
            mode: about.mode() & 0o7777,
            mtime: about.mtime(),
            uid: about.uid(),
            gid: about.gid(),
            user: self.users.get(&about.uid()).cloned(),
            group: self.groups.get(&about.gid()).cloned(),
            content: None,
        });
        if !directory || !self.options.recursive {
            return Ok(());
        }
        let mut names = fs::read_dir(real)?
            .map(|entry| entry.map(|it| it.file_name().to_string_lossy().into_owned()))
            .collect::<io::Result<Vec<_>>>()?;
        names.sort();
        for name in names {
            let below = if path.is_empty() { name.clone() } else { format!("{path}/{name}") };
            self.visit(&real.join(name), &below)?;
        }
        Ok(())
    }

    fn kind(&self, real: &Path, about: &Metadata) -> io::Result<Option<NodeKind>> {
        Ok(Some(if about.is_dir() {
            NodeKind::Directory
        } else if about.is_symlink() {
            if !self.options.links {
                return Ok(None);
            }
            NodeKind::Link { target: fs::read_link(real)?.to_string_lossy().into_owned() }
        } else if about.is_file() {
            let sha256 = match self.digests {
                Digests::Made => Some(stat::checksum(real, Algorithm::Sha256)?),
                Digests::Left => None,
            };
            NodeKind::File { size: about.len(), sha256 }
        } else {
            return Ok(None);
        }))
    }
}

/// Lists a tree of the control node, with its contents to be asked for.
///
/// # Errors
///
/// [`Failed`]: it cannot be read.
pub fn offered(src: &str, real: &Path, options: &Options, blobs: &mut Blobs) -> Result<Vec<Node>, Failed> {
    let wrong = |error: io::Error| Failed::new(format!("cannot read `{}`: {error}", real.display()));
    let mut nodes = gather(src, real, options, &System::whole(), Digests::Left).map_err(wrong)?;
    let name = if src.ends_with('/') { "" } else { src.rsplit('/').next().unwrap_or_default() };
    for node in &mut nodes {
        let NodeKind::File { size, sha256 } = &mut node.kind else { continue };
        let below = Path::new(&node.path).strip_prefix(name).unwrap_or(Path::new(&node.path));
        let file: PathBuf = if below.as_os_str().is_empty() { real.to_owned() } else { real.join(below) };
        let content = digests(&file).map_err(wrong)?;
        *size = content.size;
        *sha256 = Some(content.sha256.clone());
        blobs.insert(content.sha256.clone(), Blob::File(file));
        node.content = Some(content);
    }
    Ok(nodes)
}
