//! What tasks need of the control node: files and directories, whose bytes go to the target only if it wants them.

use std::fs::{self, File};
use std::io::{self, BufReader, Read as _, Seek as _, SeekFrom};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::archive::seal::Identities;
use crate::module::{Blobs, Task, uri};
use crate::restic;

/// Files up to this size are held in memory; of larger ones only where they are.
const HELD: u64 = 64 << 10;

/// Most bytes of a whole tree that go along with its task.
const ALONG: u64 = 1 << 20;

/// Bytes of the control node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Blob {
    /// Themselves.
    Held(Vec<u8>),
    /// The file that they are in.
    File(PathBuf),
    /// The file that they are in, sealed, and what opens it.
    Sealed(PathBuf, Identities),
    /// The file in a repository of restic that they are.
    Snapshot(restic::File),
}

impl Blob {
    /// At most `most` bytes from `from` on.
    ///
    /// # Errors
    ///
    /// What the file system says.
    pub fn piece(&self, from: u64, most: u64) -> io::Result<Vec<u8>> {
        match self {
            Self::Held(bytes) => {
                let at = |at: u64| usize::try_from(at).unwrap_or(usize::MAX).min(bytes.len());
                Ok(bytes[at(from)..at(from.saturating_add(most))].to_vec())
            }
            Self::File(path) => {
                let mut file = File::open(path)?;
                file.seek(SeekFrom::Start(from))?;
                let mut piece = vec![];
                file.take(most).read_to_end(&mut piece)?;
                Ok(piece)
            }
            Self::Sealed(path, identities) => {
                let mut opened = identities.open(BufReader::new(File::open(path)?)).map_err(io::Error::other)?;
                opened.seek(SeekFrom::Start(from))?;
                let mut piece = vec![];
                opened.take(most).read_to_end(&mut piece)?;
                Ok(piece)
            }
            Self::Snapshot(file) => file.piece(from, most),
        }
    }
}

/// A file or directory of the control node that a task names, before it is read.
#[derive(Debug)]
pub struct Wanted<'a> {
    /// As written.
    pub src: String,
    /// Whether links in a directory are followed.
    pub follow: bool,
    /// Where what is read goes.
    pub source: &'a mut Option<Source>,
}

impl Task {
    /// What it wants of the control node, as it is there.
    pub fn wanted(&mut self) -> Option<Wanted<'_>> {
        match self {
            Self::Copy(it) if !it.remote_src && it.content.is_none() => {
                Some(Wanted { src: it.src.clone()?, follow: it.local_follow, source: &mut it.source })
            }
            Self::Assemble(it) if !it.remote_src => {
                Some(Wanted { src: it.src.clone(), follow: true, source: &mut it.source })
            }
            Self::Script(it) => Some(Wanted { src: it.script.clone(), follow: true, source: &mut it.source }),
            Self::Unarchive(it) if !it.remote_src => {
                Some(Wanted { src: it.src.clone(), follow: true, source: &mut it.source })
            }
            Self::Uri(uri::Arguments { src: Some(src), remote_src: false, source, .. }) => {
                Some(Wanted { src: std::mem::take(src), follow: true, source })
            }
            _ => None,
        }
    }

    /// The contents of the control node that it refers to.
    pub fn contents(&self) -> Vec<&Content> {
        let source = match self {
            // Of a tree that is there already, hardly anything is needed: only a small one goes along at once.
            Self::Synchronize(it) => {
                let contents = it.nodes.iter().filter_map(|node| node.content.as_ref()).collect::<Vec<_>>();
                let small = contents.iter().map(|content| content.size).sum::<u64>() <= ALONG;
                return if small { contents } else { vec![] };
            }
            Self::Copy(it) => &it.source,
            Self::Template(it) => &it.source,
            Self::Assemble(it) => &it.source,
            Self::Script(it) => &it.source,
            Self::Unarchive(it) => &it.source,
            Self::Uri(it) => &it.source,
            _ => &None,
        };
        source.as_ref().map(Source::contents).unwrap_or_default()
    }
}

/// What the control node has at `src`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// A file.
    File {
        /// Its last path component, used when `dest` is a directory.
        name: String,
        /// Its content.
        content: Content,
        /// Its permission bits, for `mode: preserve`.
        mode: Option<u32>,
    },
    /// A directory with all that is in it, parents before children.
    Tree {
        /// Its own name below `dest`, unless `src` ended with `/`.
        name: Option<String>,
        /// What is in it.
        entries: Vec<Entry>,
    },
}

impl Source {
    /// A file made on the control node, e.g. of a rendered template.
    pub fn made(name: &str, bytes: Vec<u8>, blobs: &mut Blobs) -> Self {
        Self::File { name: name.to_owned(), content: content(bytes, blobs), mode: None }
    }

    /// The contents it refers to.
    pub fn contents(&self) -> Vec<&Content> {
        match self {
            Self::File { content, .. } => vec![content],
            Self::Tree { entries, .. } => entries
                .iter()
                .filter_map(|entry| match &entry.kind {
                    EntryKind::File { content, .. } => Some(content),
                    EntryKind::Directory { .. } | EntryKind::Link { .. } => None,
                })
                .collect(),
        }
    }
}

/// Bytes of the control node, by reference into [`Blobs`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Content {
    /// Lower-case hexadecimal SHA-256.
    pub sha256: String,
    /// Lower-case hexadecimal SHA-1, for the result.
    pub sha1: String,
    /// In bytes.
    pub size: u64,
}

/// Something in a source directory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Relative to the directory, e.g. `conf.d/a.conf`.
    pub path: String,
    /// What it is.
    pub kind: EntryKind,
}

/// What something in a source directory is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EntryKind {
    /// A directory.
    Directory {
        /// Its permission bits.
        mode: u32,
    },
    /// A file.
    File {
        /// Its content.
        content: Content,
        /// Its permission bits.
        mode: u32,
    },
    /// A symbolic link, kept as one.
    Link {
        /// Where it points.
        target: String,
    },
}

/// Refers to `bytes`, which are put into `blobs`.
pub fn content(bytes: Vec<u8>, blobs: &mut Blobs) -> Content {
    let sha256 = hex::encode(Sha256::digest(&bytes));
    let (sha1, size) = (hex::encode(sha1::Sha1::digest(&bytes)), bytes.len() as u64);
    blobs.insert(sha256.clone(), Blob::Held(bytes));
    Content { sha256, sha1, size }
}

/// Refers to the bytes of a file, which are read again when they are wanted if they are many.
fn content_of(path: &Path, about: &fs::Metadata, blobs: &mut Blobs) -> io::Result<Content> {
    if about.len() <= HELD {
        return Ok(content(fs::read(path)?, blobs));
    }
    let content = digests(path)?;
    blobs.insert(content.sha256.clone(), Blob::File(path.to_owned()));
    Ok(content)
}

/// Refers to the bytes of a file.
pub(crate) fn digests(path: &Path) -> io::Result<Content> {
    let mut file = File::open(path)?;
    let (mut sha256, mut sha1, mut size) = (Sha256::new(), sha1::Sha1::new(), 0);
    let mut piece = vec![0; 256 << 10];
    loop {
        let length = file.read(&mut piece)?;
        if length == 0 {
            break;
        }
        sha256.update(&piece[..length]);
        sha1.update(&piece[..length]);
        size += length as u64;
    }
    Ok(Content { sha256: hex::encode(sha256.finalize()), sha1: hex::encode(sha1.finalize()), size })
}

/// Reads the file or directory `found` of this computer, which a task calls `src`, into a source.
///
/// Links are followed (`local_follow`, true by default) or, in a directory, kept as links.
///
/// # Errors
///
/// What the file system says.
pub fn gather(src: &str, found: &Path, local_follow: bool, blobs: &mut Blobs) -> io::Result<Source> {
    let name = found.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let about = fs::metadata(found)?;
    if about.is_dir() {
        let mut entries = vec![];
        walk(found, "", local_follow, &mut entries, blobs)?;
        return Ok(Source::Tree { name: (!src.ends_with('/')).then_some(name), entries });
    }
    let mode = Some(about.permissions().mode() & 0o7777);
    Ok(Source::File { name, content: content_of(found, &about, blobs)?, mode })
}

fn walk(top: &Path, below: &str, follow: bool, entries: &mut Vec<Entry>, blobs: &mut Blobs) -> io::Result<()> {
    let mut names = fs::read_dir(top.join(below))?
        .map(|entry| entry.map(|it| it.file_name().to_string_lossy().into_owned()))
        .collect::<io::Result<Vec<_>>>()?;
    names.sort();
    for name in names {
        let path = if below.is_empty() { name } else { format!("{below}/{name}") };
        let whole = top.join(&path);
        let about = if follow { fs::metadata(&whole)? } else { fs::symlink_metadata(&whole)? };
        let mode = about.permissions().mode() & 0o7777;
        if about.is_dir() {
            entries.push(Entry { path: path.clone(), kind: EntryKind::Directory { mode } });
            walk(top, &path, follow, entries, blobs)?;
        } else if about.is_symlink() {
            let target = fs::read_link(&whole)?.to_string_lossy().into_owned();
            entries.push(Entry { path, kind: EntryKind::Link { target } });
        } else {
            let content = content_of(&whole, &about, blobs)?;
            entries.push(Entry { path, kind: EntryKind::File { content, mode } });
        }
    }
    Ok(())
}
