//! `stat`: what is at a path. Changes nothing.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use rustix::fs::Access;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use sha1::Sha1;
use sha2::{Digest, Sha224, Sha256, Sha384, Sha512};

use crate::module::arguments::{Kind, Parameter};
use crate::module::system::{FileKind, Found, System};
use crate::module::{Call, Context, Error, Failed, Mode, Outcome, typed};

/// What it may be told.
pub const PARAMETERS: &[Parameter] = &[
    Parameter::new("path", Kind::Text).or(&["dest", "name"]).required(),
    Parameter::new("follow", Kind::Flag),
    Parameter::new("get_md5", Kind::Flag),
    Parameter::new("get_checksum", Kind::Flag),
    Parameter::new("get_mime", Kind::Flag).or(&["mime", "mime_type", "mime-type"]),
    Parameter::new("get_attributes", Kind::Flag).or(&["attr", "attributes"]),
    Parameter::new("checksum_algorithm", Kind::Choice(&["md5", "sha1", "sha224", "sha256", "sha384", "sha512"]))
        .or(&["checksum", "checksum_algo"]),
];

/// What is wanted. The media type and the file system's own flags of a file are not told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Arguments {
    /// Where.
    pub path: String,
    /// Whether a link there is followed.
    #[serde(default)]
    pub follow: bool,
    /// Whether a file's checksum is told.
    #[serde(default = "yes")]
    pub get_checksum: bool,
    /// Which one.
    #[serde(default)]
    pub checksum_algorithm: Algorithm,
}

/// A digest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Algorithm {
    /// MD5
    Md5,
    /// SHA-1
    #[default]
    Sha1,
    /// SHA-224
    Sha224,
    /// SHA-256
    Sha256,
    /// SHA-384
    Sha384,
    /// SHA-512
    Sha512,
}

fn yes() -> bool {
    true
}

pub(crate) fn parse(Call { arguments, .. }: Call) -> Result<Arguments, Error> {
    typed("stat", arguments)
}

pub(crate) fn run(arguments: &Arguments, host: &Context, _mode: Mode) -> Result<Outcome, Failed> {
    let path = host.system.path(&arguments.path);
    let stat =
        told(&path, arguments, host.system).map_err(|error| Failed::new(format!("cannot look at {path}: {error}")))?;
    let values = Map::from_iter([("stat".to_owned(), stat)]);
    Ok(Outcome { values, ..Outcome::default() })
}

/// What is at `path`, as the result's `stat`.
fn told(path: &str, arguments: &Arguments, system: &System) -> io::Result<Value> {
    let found = if arguments.follow { system.followed(path)? } else { system.found(path)? };
    let Some(found) = found else { return Ok(json!({ "exists": false })) };
    let real = system.real(path);
    let mut stat = facts(path, &found, system);
    let mut tell = |name: &str, value: Value| stat.insert(name.to_owned(), value);
    if let Some(target) = &found.target {
        tell("lnk_source", json!(system.canonical(path)));
        tell("lnk_target", json!(target));
    }
    let may = |access| rustix::fs::access(&real, access).is_ok();
    for (name, access) in
        [("readable", Access::READ_OK), ("writeable", Access::WRITE_OK), ("executable", Access::EXEC_OK)]
    {
        tell(name, json!(may(access)));
    }
    if arguments.get_checksum && found.kind == FileKind::File && may(Access::READ_OK) {
        tell("checksum", json!(checksum(&real, arguments.checksum_algorithm)?));
    }
    Ok(Value::Object(stat))
}

/// What is told of everything that is there.
pub(crate) fn facts(path: &str, found: &Found, system: &System) -> Map<String, Value> {
    let is = |kind| found.kind == kind;
    let bit = |bit: u32| found.mode & bit != 0;
    let Value::Object(facts) = json!({
        "exists": true,
        "path": path,
        "mode": format!("{:04o}", found.mode),
        "isdir": is(FileKind::Directory),
        "ischr": is(FileKind::Character),
        "isblk": is(FileKind::Block),
        "isreg": is(FileKind::File),
        "isfifo": is(FileKind::Fifo),
        "islnk": is(FileKind::Link),
        "issock": is(FileKind::Socket),
        "uid": found.uid,
        "gid": found.gid,
        "size": found.size,
        "inode": found.inode,
        "dev": found.device,
        "nlink": found.links,
        "atime": found.atime,
        "mtime": found.mtime,
        "ctime": found.ctime,
        "wusr": bit(0o200),
        "rusr": bit(0o400),
        "xusr": bit(0o100),
        "wgrp": bit(0o020),
        "rgrp": bit(0o040),
        "xgrp": bit(0o010),
        "woth": bit(0o002),
        "roth": bit(0o004),
        "xoth": bit(0o001),
        "isuid": bit(0o4000),
        "isgid": bit(0o2000),
        "pw_name": system.owner(found.uid),
        "gr_name": system.group(found.gid),
    }) else {
        return Map::new();
    };
    facts
}

/// The digest of a file, in lower-case hexadecimal.
///
/// # Errors
///
/// What the file system says.
pub fn checksum(real: &Path, algorithm: Algorithm) -> io::Result<String> {
    match algorithm {
        Algorithm::Md5 => md5(real),
        Algorithm::Sha1 => digest::<Sha1>(real),
        Algorithm::Sha224 => digest::<Sha224>(real),
        Algorithm::Sha256 => digest::<Sha256>(real),
        Algorithm::Sha384 => digest::<Sha384>(real),
        Algorithm::Sha512 => digest::<Sha512>(real),
    }
}

fn md5(real: &Path) -> io::Result<String> {
    let mut digest = md5::Context::new();
    pieces(real, |piece| digest.consume(piece))?;
    Ok(hex::encode(digest.finalize().0))
}

fn digest<D: Digest>(real: &Path) -> io::Result<String> {
    let mut digest = D::new();
    pieces(real, |piece| digest.update(piece))?;
    Ok(hex::encode(digest.finalize()))
}

/// Reads a file to its end, piece by piece.
fn pieces(real: &Path, mut take: impl FnMut(&[u8])) -> io::Result<()> {
    let mut file = File::open(real)?;
    let mut piece = vec![0; 64 << 10];
    loop {
        match file.read(&mut piece)? {
            0 => return Ok(()),
            length => take(&piece[..length]),
        }
    }
}
