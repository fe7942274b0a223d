//! Single files of instances that Terraform files name.

use std::io;

use bytes::Bytes;
use sha2::{Digest as _, Sha256};
use thiserror::Error;

use crate::flow::world::World;
use crate::http::Body;
use crate::lxd;
use crate::lxd::file::Owner;
use crate::terraform::{Content, Directories, File};

/// Most bytes of one file.
const MOST: u64 = 64 << 20;

/// A file cannot be compared or written.
#[derive(Debug, Error)]
pub enum Error {
    /// The server said so.
    #[error(transparent)]
    Lxd(#[from] lxd::Error),
    /// Its source cannot be read.
    #[error("`{}` cannot be read", path.display())]
    Source {
        /// The source.
        path: std::path::PathBuf,
        /// Why.
        source: io::Error,
    },
}

fn seen(owner: Owner, content: &[u8]) -> String {
    let digest = hex::encode(Sha256::digest(content));
    format!("{:o} {}:{} {digest}", owner.mode & 0o7777, owner.uid, owner.gid)
}

fn owner(file: &File) -> Owner {
    Owner { uid: file.uid, gid: file.gid, mode: file.mode }
}

fn content(file: &File) -> Result<Vec<u8>, Error> {
    match &file.content {
        Content::Text(text) => Ok(text.reveal().as_bytes().to_vec()),
        Content::Source(path) => std::fs::read(path).map_err(|source| Error::Source { path: path.clone(), source }),
    }
}

/// Whether the file is on the server as it is wanted.
pub async fn is_as_wanted(world: &World, file: &File) -> Result<bool, Error> {
    let found = world.lxd.pull_file(&file.instance, &file.path, MOST).await?;
    let wanted = seen(owner(file), &content(file)?);
    Ok(found.is_some_and(|found| seen(found.owner, &found.content) == wanted))
}

/// Writes the file over what is there.
pub async fn put(world: &World, file: &File) -> Result<(), Error> {
    let content = content(file)?;
    if file.directories == Directories::Make {
        for (at, _) in file.path.match_indices('/').skip(1) {
            world.lxd.make_directory(&file.instance, &file.path[..at], Owner::root(0o755)).await?;
        }
    }
    // The server keeps owner and mode of what it writes over.
    world.lxd.delete_file(&file.instance, &file.path).await?;
    Ok(world.lxd.push_file(&file.instance, &file.path, owner(file), Body::Bytes(Bytes::from(content))).await?)
}
