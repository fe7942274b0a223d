//! An archive read to its end on this computer, before anything of it goes anywhere.

use std::cell::Cell;
use std::fmt;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread;

use sha2::{Digest as _, Sha256};

use crate::archive::pipe::{Writer, pipe};
use crate::archive::seal::Identities;
use crate::archive::tree::entry::{Kind, shown};
use crate::archive::tree::group::digested;
use crate::archive::tree::read::{self, Sum};
use crate::archive::tree::shape::Shape;
use crate::archive::tree::unpack::below;
use crate::archive::{self, Compression};
use crate::flow::backup::Manifest;
use crate::flow::backup::location::{Failed, Location};
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
    let (mut differs, mut sum, mut shape) = (None, Sum::default(), Shape::default());
    let walked = walk(archive, identities, &mut |entry, content| {
        let path = below(&entry.path, id.as_bytes())?;
        if entry.kind == Kind::Device {
            return Err(archive::Error::Device { path: shown(&entry.path) });
        }
        let of = match &entry.kind {
            Kind::Name(target) => Some(below(target, id.as_bytes())?),
            _ => None,
        };
        shape.add(entry, &path, of.as_deref())?;
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
    let (file, size) = archive.open().map_err(|source| Error::File { file: path.to_owned(), source })?;
    let identities = archive.is_sealed().then_some(identities);
    let failed = Failed::default();
    let file = failed.watch(file);
    let mut member = None;
    let (into, mut stream) = pipe();
    let (walked, reached, opened) = thread::scope(|scope| {
        let opening = scope.spawn(move || open(file, identities, &into));
        let walked = read::whole(&mut stream, &mut |entry, content| {
            member = Some(shown(&entry.path));
            visit(entry, content)
        });
        let reached = stream.place();
        // Whoever still opens opens in vain.
        drop(stream);
        let gone = |_| Err((archive::Error::Format { reason: "it was not read".to_owned() }, reached));
        (walked, reached, opening.join().unwrap_or_else(gone))
    });
    let refused = failed.taken().map(|source| Error::File { file: path.to_owned(), source });
    let (source, at) = match (walked, opened, refused) {
        (Ok(()), Ok(walked), _) => return Ok(walked),
        (_, _, Some(refused)) => return Err(refused),
        // Of which nothing came.
        (Err(_), Err(error), _) if reached == 0 => error,
        (Err(error), ..) => (error, reached),
        (Ok(()), Err(error), _) => error,
    };
    Err(Error::Archive { file: path.to_owned(), source, place: Place { at, size, member } })
}

/// Reads an archive to its end, opened if it is sealed, digests it, and hands on what is in it, as long as somebody wants
/// it. With an error comes how much of the archive was read by then.
fn open(file: impl Read, identities: Option<&Identities>, into: &Writer) -> Result<Walked, (archive::Error, u64)> {
    let (stored_length, opened_length) = (Cell::new(0), Cell::new(0));
    let mut stored = Digesting::of(file, &stored_length);
    let place = || stored_length.get();
    let read = archive::Error::Read;
    let hand_on = |from: &mut dyn Read| {
        let (compression, mut stream) = Compression::detected(from)?;
        into.carry(&mut stream, place).map(|()| compression)
    };
    let ended = match identities {
        Some(identities) => identities.open(&mut stored).and_then(|opened| {
            let mut opened = Digesting::of(opened, &opened_length);
            let compression = hand_on(&mut opened).map_err(read)?;
            io::copy(&mut opened, &mut io::sink()).map_err(read)?;
            Ok((Some(opened.ended()), compression))
        }),
        None => hand_on(&mut stored).map_err(read).map(|compression| (None, compression)),
    };
    let (opened, compression) = ended.map_err(|error| (error, place()))?;
    io::copy(&mut stored, &mut io::sink()).map_err(|error| (read(error), place()))?;
    let stored = stored.ended();
    Ok(Walked { opened: opened.unwrap_or_else(|| stored.clone()), stored, compression })
}

/// Digests and counts what is read through it.
struct Digesting<'l, R> {
    from: BufReader<R>,
    digest: Sha256,
    length: &'l Cell<u64>,
}

impl<'l, R: Read> Digesting<'l, R> {
    fn of(from: R, length: &'l Cell<u64>) -> Self {
        Self { from: BufReader::with_capacity(256 << 10, from), digest: Sha256::new(), length }
    }

    fn ended(self) -> Digest {
        Digest { sha256: hex::encode(self.digest.finalize()), size: self.length.get() }
    }
}

impl<R: Read> Read for Digesting<'_, R> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let length = self.fill_buf()?.read(bytes)?;
        self.consume(length);
        Ok(length)
    }
}

impl<R: Read> BufRead for Digesting<'_, R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.from.fill_buf()
    }

    fn consume(&mut self, amount: usize) {
        self.digest.update(&self.from.buffer()[..amount]);
        self.length.set(self.length.get() + amount as u64);
        self.from.consume(amount);
    }
}
