//! An archive read to its end on this computer, before anything of it goes anywhere.

use std::fmt;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread;

use sha2::{Digest as _, Sha256};

use crate::archive::seal::Identities;
use crate::archive::tree::entry::{Kind, shown};
use crate::archive::tree::group::digested;
use crate::archive::tree::read::{self, Sum};
use crate::archive::tree::shape::Shape;
use crate::archive::tree::unpack::below;
use crate::archive::{self, Compression};
use crate::flow::backup::Manifest;
use crate::flow::backup::location::Location;
use crate::flow::backup::manifest::{self, Member};
use crate::flow::restore::Error;

/// Members of a manifest that wait to be compared.
const WAITING: usize = 256;

/// What is in an archive.
#[derive(Debug)]
pub struct Examined {
    /// The archive as it lies there.
    pub stored: Digest,
    /// What is uploaded: the archive, opened if it is sealed.
    pub opened: Digest,
    /// How it is compressed.
    pub compression: Compression,
    /// What must come out of it.
    pub sum: Sum,
}

/// Bytes that were read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Digest {
    /// Their SHA-256, lower-case hexadecimal.
    pub sha256: String,
    /// How many.
    pub size: u64,
}

/// Where in an archive something is wrong.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// Bytes of the archive that were read by then.
    pub at: u64,
    /// Bytes of the archive.
    pub size: u64,
    /// The last member of which something was read.
    pub member: Option<String>,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "near byte {} of {}", self.at, self.size)?;
        self.member.as_ref().map_or(Ok(()), |member| write!(f, ", at `{member}`"))
    }
}

/// Reads an archive to its end, compares it with its manifest, if it has one, and refuses what could not be
/// restored. Holds no list of members.
///
/// - `of`: host and id of which it must be.
///
/// # Errors
///
/// See [`Error`].
pub fn examine(archive: impl Into<Location>, of: (&str, &str), identities: &Identities) -> Result<Examined, Error> {
    let archive = &archive.into();
    let file = archive.path();
    let told = |source| Error::Manifest { file: manifest::beside(file), source };
    let head = Manifest::head(archive, identities).map_err(told)?;
    let head = head.map(|manifest| is_of(file, of, manifest)).transpose()?;
    thread::scope(|scope| {
        let (send, said) = sync_channel(WAITING);
        let reading = head.is_some().then(|| {
            scope.spawn(move || Manifest::read(archive, identities, &mut |member| send.send(member).is_ok()).map(drop))
        });
        let compared = compare(archive, of.1, identities, head.as_ref().map(|_| &said));
        // Whoever still reads members reads in vain.
        drop(said);
        match reading.map(thread::ScopedJoinHandle::join) {
            Some(Ok(Err(source))) => return Err(told(source)),
            Some(Err(_)) => return Err(told(manifest::Error::Shape("it cannot be read".to_owned()))),
            Some(Ok(Ok(()))) | None => {}
        }
        let (examined, mut differs) = compared?;
        if let Some(manifest) = &head {
            let (said, stored) = (&manifest.archive, &examined.stored);
            if differs.is_none() && (&said.sha256, said.size) != (&stored.sha256, stored.size) {
                differs = Some("its bytes are others".to_owned());
            }
        }
        match differs {
            Some(what) => Err(Error::Differs { file: file.to_owned(), what }),
            None => Ok(examined),
        }
    })
}

/// Reads an archive and says what is different from what its manifest `said`.
fn compare(
    archive: &Location,
    id: &str,
    identities: &Identities,
    said: Option<&Receiver<Member>>,
) -> Result<(Examined, Option<String>), Error> {
    let (mut differs, mut sum) = (None, Sum::default());
    // What a manifest says was read from a tree.
    let mut shape = said.is_none().then(Shape::default);
    let walked = walk(archive, identities, &mut |entry, content| {
        let path = below(&entry.path, id.as_bytes())?;
        if entry.kind == Kind::Device {
            return Err(archive::Error::Device { path: shown(&entry.path) });
        }
        let of = match &entry.kind {
            Kind::Name(target) => Some(below(target, id.as_bytes())?),
            _ => None,
        };
        if let Some(shape) = &mut shape {
            shape.add(entry, &path, of.as_deref())?;
        }
        let member = digested(entry, content)?;
        if let Some(said) = said
            && said.recv().ok() != Some(Member::from(&member))
            && differs.is_none()
        {
            differs = Some(format!("`{}` is another", shown(&entry.path)));
        }
        sum.add(&member);
        Ok(())
    })?;
    if differs.is_none() && said.is_some_and(|said| said.recv().is_ok()) {
        differs = Some(format!("it has {} members, and more are in the manifest", sum.members));
    }
    if sum.members == 0 {
        let source = archive::Error::Format { reason: "nothing is in it".to_owned() };
        return Err(Error::Archive { file: archive.path().to_owned(), source, place: Place::default() });
    }
    let Walked { stored, opened, compression } = walked;
    Ok((Examined { stored, opened, compression, sum }, differs))
}

fn is_of(file: &Path, (host, id): (&str, &str), manifest: Manifest) -> Result<Manifest, Error> {
    if manifest.id == id && manifest.host == host {
        return Ok(manifest);
    }
    Err(Error::Other {
        file: file.to_owned(),
        found: format!("{} on host `{}`", manifest.id, manifest.host),
        wanted: format!("{id} on host `{host}`"),
    })
}

/// The name of the tree in an archive.
///
/// # Errors
///
/// [`Error`]: it is no archive.
pub fn top(archive: &Location, identities: &Identities) -> Result<Vec<u8>, Error> {
    let mut found = None;
    let ended = walk(archive, identities, &mut |entry, _| {
        let mut parts = entry.path.split(|byte| *byte == b'/').filter(|part| !part.is_empty() && *part != b".");
        found = parts.next().map(<[u8]>::to_vec);
        // One is enough.
        if found.is_some() { Err(archive::Error::Large { most: String::new() }) } else { Ok(()) }
    });
    match (found, ended) {
        (Some(found), _) => Ok(found),
        (None, Err(error)) => Err(error),
        (None, Ok(_)) => Ok(vec![]),
    }
}

struct Walked {
    stored: Digest,
    opened: Digest,
    compression: Compression,
}

/// Visits every member of an archive and digests its bytes, and those that are sealed.
fn walk(archive: &Location, identities: &Identities, visit: &mut read::Visit) -> Result<Walked, Error> {
    let path = archive.path();
    let fail = |source| Error::File { file: path.to_owned(), source };
    let (file, size) = archive.open().map_err(fail)?;
    let mut place = Place { size, ..Place::default() };
    let mut stored = BufReader::with_capacity(1 << 20, Digesting::of(file));
    let mut noted = |entry: &archive::tree::Entry, content: &mut dyn Read| {
        place.member = Some(shown(&entry.path));
        visit(entry, content)
    };
    let inner = if archive.is_sealed() {
        let opened = identities.open(&mut stored).and_then(|opened| contents(opened, &mut noted));
        opened.map(|(digest, compression)| (Some(digest), compression))
    } else {
        stream(&mut stored, &mut noted).map(|compression| (None, compression))
    };
    place.at = stored.get_ref().length - stored.buffer().len() as u64;
    let (opened, compression) = inner.map_err(|source| Error::Archive { file: path.to_owned(), source, place })?;
    io::copy(&mut stored, &mut io::sink()).map_err(fail)?;
    let stored = stored.into_inner().ended();
    Ok(Walked { opened: opened.unwrap_or_else(|| stored.clone()), stored, compression })
}

/// Visits what a sealed archive holds, to its end, and digests its bytes.
fn contents(opened: impl Read, visit: &mut read::Visit) -> Result<(Digest, Compression), archive::Error> {
    let mut opened = BufReader::with_capacity(128 << 10, Digesting::of(opened));
    let compression = stream(&mut opened, visit)?;
    io::copy(&mut opened, &mut io::sink()).map_err(archive::Error::Read)?;
    Ok((opened.into_inner().ended(), compression))
}

/// Visits every member of a tar stream, however it is compressed.
fn stream(from: &mut impl BufRead, visit: &mut read::Visit) -> Result<Compression, archive::Error> {
    let mut begin = vec![];
    from.by_ref().take(6).read_to_end(&mut begin).map_err(archive::Error::Read)?;
    let compression = Compression::of(&begin);
    let mut stream = compression.decoder((&begin[..]).chain(from)).map_err(archive::Error::Read)?;
    read::whole(&mut stream, visit)?;
    Ok(compression)
}

/// Digests and counts what is read through it.
struct Digesting<R> {
    from: R,
    digest: Sha256,
    length: u64,
}

impl<R> Digesting<R> {
    fn of(from: R) -> Self {
        Self { from, digest: Sha256::new(), length: 0 }
    }

    fn ended(self) -> Digest {
        Digest { sha256: hex::encode(self.digest.finalize()), size: self.length }
    }
}

impl<R: Read> Read for Digesting<R> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let length = self.from.read(bytes)?;
        self.digest.update(&bytes[..length]);
        self.length += length as u64;
        Ok(length)
    }
}
