//! Single files in an instance.

use std::time::Duration;

use tokio::time::timeout;

use super::{Client, Error, late, line, optional, request};
use crate::http::{Body, Request, Response};

/// How long one file may take.
const TRANSFER: Duration = Duration::from_mins(10);

/// Most symbolic links that are followed one after the other.
const LINKS: usize = 8;

/// Owner and permissions of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Owner {
    /// User id inside the instance.
    pub uid: u32,
    /// Group id inside the instance.
    pub gid: u32,
    /// Permission bits, e.g. `0o755`.
    pub mode: u32,
}

impl Owner {
    /// Root's, with `mode`.
    pub fn root(mode: u32) -> Self {
        Self { uid: 0, gid: 0, mode }
    }
}

/// A file of an instance, read as a whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pulled {
    /// Owner and permissions.
    pub owner: Owner,
    /// Its content.
    pub content: Vec<u8>,
}

impl Client {
    /// Writes a file, over what is there. Running or stopped, the instance need not be ready.
    pub async fn push_file(&self, instance: &str, path: &str, owner: Owner, body: Body) -> Result<(), Error> {
        let request = request::push_file(instance, path, owner, body);
        self.transferred(request).await
    }

    /// Makes a directory; the one above it must be there.
    pub async fn make_directory(&self, instance: &str, path: &str, owner: Owner) -> Result<(), Error> {
        self.transferred(request::make_directory(instance, path, owner)).await
    }

    /// Deletes a file; one that is not there is deleted already.
    pub async fn delete_file(&self, instance: &str, path: &str) -> Result<(), Error> {
        optional(self.transferred(request::delete_file(instance, path)).await).map(drop)
    }

    /// Reads a file of at most `limit` bytes, through symbolic links; `None` if it (or the instance) is not there.
    pub async fn pull_file(&self, instance: &str, path: &str, limit: u64) -> Result<Option<Pulled>, Error> {
        let mut path = path.to_owned();
        for _ in 0..LINKS {
            let request = request::pull_file(instance, &path);
            let line = line(&request);
            let read = timeout(TRANSFER, self.pulled(request, &line, limit)).await;
            match read.unwrap_or_else(|_| Err(late(&line, TRANSFER)))? {
                Some(Found::Link(target)) => path = beside(&path, &target),
                Some(Found::File(pulled)) => return Ok(Some(pulled)),
                None => return Ok(None),
            }
        }
        let line = line(&request::pull_file(instance, &path));
        Err(self.malformed(&line, "too many symbolic links"))
    }

    async fn pulled(&self, request: Request, line: &str, limit: u64) -> Result<Option<Found>, Error> {
        let Some(response) = optional(self.send(request, line).await)? else { return Ok(None) };
        let number = |name, radix| named(&response, name).and_then(|text| u32::from_str_radix(text, radix).ok());
        let owner = Owner {
            uid: number("uid", 10).unwrap_or(0),
            gid: number("gid", 10).unwrap_or(0),
            mode: number("mode", 8).unwrap_or(0),
        };
        let kind = named(&response, "type").unwrap_or_default().to_owned();
        let content = response.bytes(limit).await.map_err(|source| self.cut(line, source))?;
        match kind.as_str() {
            "file" => Ok(Some(Found::File(Pulled { owner, content }))),
            "symlink" => Ok(Some(Found::Link(String::from_utf8_lossy(&content).trim_end().to_owned()))),
            _ => Err(self.malformed(line, "it is not a file")),
        }
    }

    async fn transferred(&self, request: Request) -> Result<(), Error> {
        let line = line(&request);
        let sent = async { self.envelope(self.send(request, &line).await?, &line).await };
        timeout(TRANSFER, sent).await.unwrap_or_else(|_| Err(late(&line, TRANSFER))).map(drop)
    }
}

/// What stands at a path.
enum Found {
    File(Pulled),
    /// Where a symbolic link points to.
    Link(String),
}

/// Returns the path that a link at `path` means by `target`. The server resolves `..`, inside the instance.
fn beside(path: &str, target: &str) -> String {
    if target.starts_with('/') {
        return target.to_owned();
    }
    let directory = path.rsplit_once('/').map_or("", |(directory, _)| directory);
    format!("{directory}/{target}")
}

/// Reads a header that LXD and Incus call differently.
fn named<'a>(response: &'a Response, name: &str) -> Option<&'a str> {
    response.header(&format!("x-lxd-{name}")).or_else(|| response.header(&format!("x-incus-{name}")))
}
