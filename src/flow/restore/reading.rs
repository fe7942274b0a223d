//! An archive read to its end on this computer, before anything of it goes anywhere.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek as _};
use std::path::Path;

use sha2::{Digest as _, Sha256};

use crate::archive::tree::entry::Kind;
use crate::archive::tree::group::digested;
use crate::archive::tree::read::{self, Sum};
use crate::archive::tree::unpack::below;
use crate::archive::{self, Compression};
use crate::flow::backup::Manifest;
use crate::flow::backup::manifest::{self, Member};
use crate::flow::restore::{Error, Spec};

/// What is in an archive.
#[derive(Debug)]
pub struct Examined {
    /// SHA-256 of the archive, lower-case hexadecimal.
    pub sha256: String,
    /// Bytes of the archive.
    pub size: u64,
    /// What must come out of it.
    pub sum: Sum,
}

/// Reads the archive of `spec` to its end, compares it with its manifest, if it has one, and refuses what could not be
/// restored.
///
/// # Errors
///
/// See [`Error`].
pub fn examine(spec: &Spec) -> Result<Examined, Error> {
    let file = spec.archive.clone();
    let manifest = Manifest::read(&file)
        .map_err(|source| Error::File { file: manifest::beside(&file), source })?
        .map(|manifest| is_of(spec, manifest))
        .transpose()?;
    let mut turn = 0;
    let mut differs = None;
    let mut sum = Sum::default();
    let (sha256, size) = walk(&file, &mut |entry, content| {
        below(&entry.path, spec.id.as_bytes())?;
        match &entry.kind {
            Kind::Device => return Err(archive::Error::Device { path: archive::tree::entry::shown(&entry.path) }),
            Kind::Name(target) => drop(below(target, spec.id.as_bytes())?),
            _ => {}
        }
        let member = digested(entry, content)?;
        if let Some(manifest) = &manifest {
            let said = manifest.members.get(turn);
            if differs.is_none() && said != Some(&Member::from(&member)) {
                differs = Some(format!("`{}` is another", archive::tree::entry::shown(&entry.path)));
            }
        }
        turn += 1;
        sum.add(&member);
        Ok(())
    })?;
    if let Some(manifest) = &manifest {
        if differs.is_none() && manifest.members.len() != turn {
            differs = Some(format!("it has {turn} members, not {}", manifest.members.len()));
        }
        if differs.is_none() && (manifest.archive.sha256.as_str(), manifest.archive.size) != (sha256.as_str(), size) {
            differs = Some("its bytes are others".to_owned());
        }
    }
    match differs {
        Some(what) => Err(Error::Differs { file, what }),
        None => Ok(Examined { sha256, size, sum }),
    }
}

fn is_of(spec: &Spec, manifest: Manifest) -> Result<Manifest, Error> {
    if manifest.id == spec.id && manifest.host == spec.host {
        return Ok(manifest);
    }
    Err(Error::Other {
        file: spec.archive.clone(),
        found: format!("{} on host `{}`", manifest.id, manifest.host),
        wanted: format!("{} on host `{}`", spec.id, spec.host),
    })
}

/// The name of the tree in an archive.
///
/// # Errors
///
/// [`Error`]: it is no archive.
pub fn top(path: &Path) -> Result<Vec<u8>, Error> {
    let mut found = None;
    let ended = walk(path, &mut |entry, _| {
        found = entry.path.split(|byte| *byte == b'/').find(|part| *part != b".").map(<[u8]>::to_vec);
        // One is enough.
        Err(archive::Error::Large { most: String::new() })
    });
    match (found, ended) {
        (Some(found), _) => Ok(found),
        (None, Err(error)) => Err(error),
        (None, Ok(_)) => Ok(vec![]),
    }
}

/// Visits every member of an archive and digests its bytes.
fn walk(path: &Path, visit: &mut read::Visit) -> Result<(String, u64), Error> {
    let fail = |source| Error::File { file: path.to_owned(), source };
    let wrong = |source| Error::Archive { file: path.to_owned(), source };
    let mut file = File::open(path).map_err(fail)?;
    let mut begin = vec![];
    file.by_ref().take(6).read_to_end(&mut begin).map_err(fail)?;
    file.rewind().map_err(fail)?;
    let mut digesting = Digesting { from: BufReader::with_capacity(1 << 20, file), digest: Sha256::new(), length: 0 };
    {
        let decoder = Compression::of(&begin).decoder(&mut digesting);
        let mut stream = decoder.map_err(|error| wrong(archive::Error::Read(error)))?;
        read::whole(&mut stream, visit).map_err(wrong)?;
    }
    io::copy(&mut digesting, &mut io::sink()).map_err(fail)?;
    Ok((hex::encode(digesting.digest.finalize()), digesting.length))
}

struct Digesting {
    from: BufReader<File>,
    digest: Sha256,
    length: u64,
}

impl Read for Digesting {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let length = self.from.read(bytes)?;
        self.digest.update(&bytes[..length]);
        self.length += length as u64;
        Ok(length)
    }
}
