//! `copy`: files from the control node, or from elsewhere on the target.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};

use crate::module::arguments::{Kind, Parameter};
use crate::module::attributes::{self, Attributes, GROUP, MODE, OWNER, UNSAFE_WRITES};
use crate::module::{Blobs, Error, apart, typed};

/// What it may be told.
pub const PARAMETERS: &[Parameter] = &[
    Parameter::new("src", Kind::Text),
    Parameter::new("content", Kind::Any),
    Parameter::new("dest", Kind::Text).required(),
    Parameter::new("backup", Kind::Flag),
    Parameter::new("force", Kind::Flag).or(&["thirsty"]),
    Parameter::new("validate", Kind::Text),
    Parameter::new("directory_mode", Kind::Bits),
    Parameter::new("remote_src", Kind::Flag),
    Parameter::new("local_follow", Kind::Flag),
    Parameter::new("follow", Kind::Flag),
    Parameter::new("checksum", Kind::Text),
    Parameter::new("decrypt", Kind::Flag),
    MODE,
    OWNER,
    GROUP,
    UNSAFE_WRITES,
];

/// What is wanted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(clippy::struct_excessive_bools, reason = "the parameters of the module, as Ansible names them")]
pub struct Arguments {
    /// As written; a trailing `/` means the contents of a directory.
    pub src: Option<String>,
    /// The content itself; [`parse`](super::parse) makes JSON of lists and maps, as Ansible does.
    pub content: Option<String>,
    /// What the control node has at `src`; unused with `remote_src` or `content`. See [`gather`].
    pub source: Option<Source>,
    /// Where it goes.
    pub dest: String,
    /// Whether a replaced file is kept beside.
    #[serde(default)]
    pub backup: bool,
    /// Whether a file that differs is replaced.
    #[serde(default = "yes")]
    pub force: bool,
    /// A command that must accept the new file (`%s`) before it is put in place.
    pub validate: Option<String>,
    /// Mode of directories that are made.
    pub directory_mode: Option<String>,
    /// Whether `src` is on the target.
    #[serde(default)]
    pub remote_src: bool,
    /// Whether links in a source directory are followed.
    #[serde(default = "yes")]
    pub local_follow: bool,
    /// Whether a link at `dest` is followed.
    #[serde(default)]
    pub follow: bool,
    /// SHA-1 that the source must have.
    pub checksum: Option<String>,
    /// Mode, owner, group.
    #[serde(flatten)]
    pub attributes: Attributes,
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

fn yes() -> bool {
    true
}

pub(crate) fn parse(mut arguments: Map<String, Value>) -> Result<Arguments, Error> {
    apart("copy", &arguments, &["src", "content"])?;
    if !arguments.contains_key("src") && !arguments.contains_key("content") {
        return Err(Error::Missing { module: "copy".to_owned(), name: "src or content".to_owned() });
    }
    if let Some(content) = arguments.get_mut("content") {
        *content = match &*content {
            Value::Array(_) | Value::Object(_) => Value::String(spaced(content)),
            other => Value::String(super::arguments::text(other)),
        };
    }
    let arguments: Arguments = typed("copy", arguments)?;
    attributes::check("copy", "mode", arguments.attributes.mode.as_deref())?;
    attributes::check("copy", "directory_mode", arguments.directory_mode.as_deref())?;
    Ok(arguments)
}

/// JSON with a space after `,` and `:`, as Python's `json.dumps` writes it.
fn spaced(value: &Value) -> String {
    match value {
        Value::Array(items) => format!("[{}]", items.iter().map(spaced).collect::<Vec<_>>().join(", ")),
        Value::Object(map) => {
            let pairs = map.iter().map(|(key, value)| format!("{}: {}", Value::String(key.clone()), spaced(value)));
            format!("{{{}}}", pairs.collect::<Vec<_>>().join(", "))
        }
        other => other.to_string(),
    }
}

/// Refers to `bytes`, which are put into `blobs`.
pub fn content(bytes: Vec<u8>, blobs: &mut Blobs) -> Content {
    let sha256 = hex::encode(Sha256::digest(&bytes));
    let size = bytes.len() as u64;
    blobs.insert(sha256.clone(), bytes);
    Content { sha256, size }
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
    Ok(Source::File { name, content: content(fs::read(found)?, blobs), mode })
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
            let content = content(fs::read(&whole)?, blobs);
            entries.push(Entry { path, kind: EntryKind::File { content, mode } });
        }
    }
    Ok(())
}
