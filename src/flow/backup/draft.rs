//! An archive that is being written: `….partial` beside its place, until it is whole.
//!
//! If the archive is to be sealed, so is the draft, group by group, to a key that is nowhere but in this process: what is
//! copied never lies open where the archive will be, not even after a run that was killed.

use std::collections::HashSet;
use std::fs;
use std::io::{self, BufReader, BufWriter, Read, Seek as _, SeekFrom, Write};
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::Arc;

use sha2::{Digest as _, Sha256};

use crate::archive::flush::Flush;
use crate::archive::seal::{Identities, Recipients};
use crate::archive::tree::Kind;
use crate::archive::tree::group::{self, END, Member};
use crate::archive::{Compression, Error as Broken};
use crate::flow::backup::draft::contents::{Contents, Part};
use crate::flow::backup::unfinished::{self, Unfinished};
use crate::flow::backup::{Error, How, Spec};

pub mod contents;

/// Bytes that are moved at once.
const PIECE: usize = 1 << 20;

/// Most bytes of a group that is rewritten.
const LARGEST: u64 = 64 << 20;

/// A draft. Dropping it removes it.
#[derive(Debug)]
pub struct Draft {
    spec: Spec,
    unfinished: Unfinished,
    flush: Option<Flush>,
    /// What opens its groups, and to whom they are sealed, if the archive will be.
    seal: Option<(Identities, Recipients)>,
    groups: Vec<Group>,
    /// What of the first groups is not to be in the archive: it has changed since, or gone.
    stale: HashSet<Vec<u8>>,
    length: u64,
    /// Of the groups as they came, if they are not sealed.
    digest: Sha256,
}

/// Where a group lies in the file, and what is in it.
#[derive(Debug)]
struct Group {
    from: u64,
    length: u64,
    members: Vec<Member>,
    /// Whether what is stale is taken out.
    pass: How,
}

impl Group {
    /// Which of its members stay.
    fn keep(&self, stale: &HashSet<Vec<u8>>) -> Vec<bool> {
        let fresh = self.pass != How::Serving;
        self.members.iter().map(|it| fresh || !stale.contains(&it.entry.path)).collect()
    }
}

/// What an archive turned out to be.
#[derive(Debug)]
pub struct Whole {
    /// Everything in it, in order.
    pub members: Vec<Member>,
    /// Bytes of the archive.
    pub size: u64,
    /// Its SHA-256, lower-case hexadecimal.
    pub sha256: String,
}

/// Writes what is read through it to a file.
struct Tee<'t> {
    from: &'t mut dyn Read,
    to: &'t mut dyn Write,
    failed: Option<io::Error>,
}

impl Read for Tee<'_> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let length = self.from.read(bytes)?;
        if let Err(error) = self.to.write_all(&bytes[..length]) {
            self.failed = Some(error);
            return Err(io::Error::other("it cannot be written"));
        }
        Ok(length)
    }
}

impl Draft {
    /// Begins an archive. What a killed run left unfinished is removed.
    ///
    /// # Errors
    ///
    /// [`Error::File`].
    pub fn begin(spec: &Spec) -> Result<Self, Error> {
        let fail = |source| Error::File { file: spec.file.clone(), source };
        let directory = spec.file.parent().unwrap_or(Path::new("."));
        fs::create_dir_all(directory).map_err(fail)?;
        unfinished::sweep(directory).map_err(fail)?;
        let unfinished = Unfinished::begin(&spec.file).map_err(fail)?;
        let seal = spec.is_secret().then(Identities::made_up);
        // What is sealed is written to another file in the end.
        let flush = if seal.is_none() { Some(Flush::of(&unfinished.file).map_err(fail)?) } else { None };
        let (spec, groups, stale) = (spec.clone(), vec![], HashSet::new());
        Ok(Self { spec, unfinished, flush, seal, groups, stale, length: 0, digest: Sha256::new() })
    }

    fn failed(&self, source: io::Error) -> Error {
        Error::File { file: self.unfinished.path.clone(), source }
    }

    /// Takes a group and reads what is in it.
    ///
    /// # Errors
    ///
    /// [`Error`]; the draft is of no use then.
    pub fn group(&mut self, coming: &mut dyn Read, pass: How) -> Result<(), Error> {
        let (from, compression) = (self.length, self.spec.compression);
        let mut file = &self.unfinished.file;
        let (read, failed) = match &self.seal {
            None => {
                let mut to = Digesting { to: file, digest: std::mem::take(&mut self.digest), length: 0 };
                let ended = teed(coming, &mut to, compression);
                self.digest = to.digest;
                ended
            }
            Some((_, recipients)) => {
                let mut sealing = recipients.seal(file).map_err(|error| self.failed(error))?;
                let (read, failed) = teed(coming, &mut sealing, compression);
                (read, failed.or(sealing.finish().err()))
            }
        };
        if let Some(error) = failed {
            return Err(self.failed(error));
        }
        let members = read.map_err(Error::Archive)?;
        self.length = file.stream_position().map_err(|error| self.failed(error))?;
        if let Some(flush) = &mut self.flush {
            flush.reached(self.length);
        }
        if pass == How::Changed {
            self.stale.extend(members.iter().map(|member| member.entry.path.clone()));
        }
        self.groups.push(Group { from, length: self.length - from, members, pass });
        Ok(())
    }

    /// How many members came in groups of `pass`.
    pub fn count(&self, pass: How) -> usize {
        self.groups.iter().filter(|group| group.pass == pass).map(|group| group.members.len()).sum()
    }

    /// Takes note of what is not to be in the archive any more.
    pub fn forget(&mut self, gone: Vec<Vec<u8>>) {
        self.stale.extend(gone);
    }

    /// What to say when a group does not end.
    pub fn broken(&self) -> Error {
        Error::Archive(Broken::Format { reason: format!("the archive of {} breaks off", self.spec.source.id) })
    }

    /// Puts the archive together: groups in which nothing is stale stay as they are, the others are written anew without
    /// it, and what follows moves up; then it is read again from its beginning, for its digest. If it is to be sealed, all
    /// of it is written to a second file.
    ///
    /// # Errors
    ///
    /// [`Error`].
    pub fn finish(&mut self) -> Result<Whole, Error> {
        match self.seal.take() {
            None => self.put_together(),
            Some((identities, _)) => self.seal_up(&identities),
        }
    }

    fn put_together(&mut self) -> Result<Whole, Error> {
        let fail = |source| Error::File { file: self.unfinished.path.clone(), source };
        let mut members = vec![];
        // What became longer by being written anew comes last, and so does what names a file of it: a name is unpacked
        // only where there is the file already.
        let (mut behind, mut last) = (vec![], vec![]);
        let mut moved: HashSet<Vec<u8>> = HashSet::new();
        let (mut at, mut as_it_came) = (0, true);
        for group in std::mem::take(&mut self.groups) {
            let keep = group.keep(&self.stale);
            let Group { from, length, members: all, .. } = group;
            let kept: Vec<Member> =
                all.into_iter().zip(&keep).filter(|(_, keep)| **keep).map(|(member, _)| member).collect();
            as_it_came &= kept.len() == keep.len();
            if kept.is_empty() {
                continue;
            }
            let follows = kept.iter().any(|it| matches!(&it.entry.kind, Kind::Name(first) if moved.contains(first)));
            if kept.len() == keep.len() && !follows {
                self.move_up(from, length, at).map_err(fail)?;
                at += length;
                members.extend(kept);
                continue;
            }
            let mut bytes = self.read(from, length).map_err(fail)?;
            if kept.len() < keep.len() {
                let rest = group::without(&bytes, self.spec.compression, |turn| keep.get(turn) == Some(&true));
                bytes = rest.map_err(Error::Archive)?;
            }
            if !follows && at + bytes.len() as u64 <= from + length {
                self.unfinished.file.write_all_at(&bytes, at).map_err(fail)?;
                at += bytes.len() as u64;
                members.extend(kept);
            } else {
                behind.extend(bytes);
                moved.extend(kept.iter().map(|member| member.entry.path.clone()));
                last.extend(kept);
            }
        }
        members.extend(last);
        behind.extend(self.spec.compression.whole(&END).map_err(fail)?);
        let mut file = &self.unfinished.file;
        file.write_all_at(&behind, at).map_err(fail)?;
        self.length = at + behind.len() as u64;
        if let Some(flush) = self.flush.take() {
            flush.end().map_err(fail)?;
        }
        file.set_len(self.length).and_then(|()| file.sync_all()).map_err(fail)?;
        let sha256 = if as_it_came {
            self.digest.update(&behind);
            hex::encode(self.digest.finalize_reset())
        } else {
            file.seek(SeekFrom::Start(0)).map_err(fail)?;
            digest(&mut BufReader::with_capacity(PIECE, file)).map_err(fail)?
        };
        Ok(Whole { members, size: self.length, sha256 })
    }

    fn seal_up(&mut self, identities: &Identities) -> Result<Whole, Error> {
        let mut name = self.spec.file.as_os_str().to_owned();
        name.push(".sealed");
        let sealed = Unfinished::begin(Path::new(&name)).map_err(|error| self.failed(error))?;
        let whole = self.seal_into(&sealed, identities)?;
        self.unfinished = sealed;
        Ok(whole)
    }

    fn seal_into(&mut self, sealed: &Unfinished, identities: &Identities) -> Result<Whole, Error> {
        let fail = |source| Error::File { file: sealed.path.clone(), source };
        let to = Digesting::new(BufWriter::with_capacity(PIECE, &sealed.file));
        let mut sealing = self.spec.recipients.seal(to).map_err(fail)?;
        let (contents, members) = self.settle(identities).map_err(fail)?;
        io::copy(&mut contents.reader(), &mut sealing).map_err(fail)?;
        let mut written = sealing.finish().map_err(fail)?;
        written.flush().map_err(fail)?;
        sealed.file.sync_all().map_err(fail)?;
        Ok(Whole { members, size: written.length, sha256: hex::encode(written.digest.finalize()) })
    }

    /// What the archive is made of, and its members.
    fn settle(&mut self, identities: &Identities) -> io::Result<(Contents, Vec<Member>)> {
        let (mut parts, mut members) = (vec![], vec![]);
        for group in std::mem::take(&mut self.groups) {
            let keep = group.keep(&self.stale);
            let all = group.members.into_iter().zip(&keep);
            members.extend(all.filter(|(_, keep)| **keep).map(|(member, _)| member));
            parts.push(Part { from: group.from, length: group.length, keep });
        }
        let (file, parts) = (Arc::new(self.unfinished.file.try_clone()?), Arc::new(parts));
        Ok((Contents { file, identities: identities.clone(), compression: self.spec.compression, parts }, members))
    }

    /// Reads the archive out of what was copied, without writing it anywhere. The draft has to be a sealed one.
    ///
    /// # Errors
    ///
    /// [`Error::File`].
    pub fn read_out(&mut self) -> Result<(Contents, Whole), Error> {
        let file = self.unfinished.path.clone();
        let fail = |source| Error::File { file: file.clone(), source };
        let (identities, _) = self.seal.take().unwrap_or_default();
        let (contents, members) = self.settle(&identities).map_err(fail)?;
        let mut read = Digesting::new(io::sink());
        io::copy(&mut BufReader::with_capacity(PIECE, contents.reader()), &mut read).map_err(fail)?;
        Ok((contents, Whole { members, size: read.length, sha256: hex::encode(read.digest.finalize()) }))
    }

    fn move_up(&self, from: u64, length: u64, to: u64) -> io::Result<()> {
        if from == to {
            return Ok(());
        }
        let (mut piece, mut done) = (vec![0; PIECE], 0);
        while done < length {
            let some = usize::try_from((length - done).min(PIECE as u64)).unwrap_or(PIECE);
            self.unfinished.file.read_exact_at(&mut piece[..some], from + done)?;
            self.unfinished.file.write_all_at(&piece[..some], to + done)?;
            done += some as u64;
        }
        Ok(())
    }

    fn read(&self, from: u64, length: u64) -> io::Result<Vec<u8>> {
        if length > LARGEST {
            return Err(too_long());
        }
        let mut bytes = vec![0; usize::try_from(length).unwrap_or(0)];
        self.unfinished.file.read_exact_at(&mut bytes, from)?;
        Ok(bytes)
    }

    /// Gives the archive its name.
    ///
    /// # Errors
    ///
    /// [`Error::There`] if another has it, [`Error::File`].
    pub fn place(&self) -> Result<(), Error> {
        let file = &self.spec.file;
        if file.exists() {
            return Err(Error::There(file.clone()));
        }
        self.unfinished.place(file).map_err(|source| Error::File { file: file.clone(), source })
    }
}

fn too_long() -> io::Error {
    io::Error::other("a group of members is too long")
}

/// Reads the members of a group and writes its bytes. Says also why they could not be written.
fn teed(
    coming: &mut dyn Read,
    to: &mut dyn Write,
    compression: Compression,
) -> (Result<Vec<Member>, Broken>, Option<io::Error>) {
    let mut tee = Tee { from: coming, to, failed: None };
    let read = group::members(&mut tee, compression);
    (read, tee.failed)
}

/// Digests and counts what is written through it.
pub(super) struct Digesting<W> {
    pub(super) to: W,
    digest: Sha256,
    pub(super) length: u64,
}

impl<W> Digesting<W> {
    pub(super) fn new(to: W) -> Self {
        Self { to, digest: Sha256::new(), length: 0 }
    }
}

impl<W: Write> Write for Digesting<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let length = self.to.write(bytes)?;
        self.digest.update(&bytes[..length]);
        self.length += length as u64;
        Ok(length)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

/// SHA-256 of everything that is read, lower-case hexadecimal.
///
/// # Errors
///
/// That of the reader.
pub fn digest(reader: &mut dyn Read) -> io::Result<String> {
    let (mut digest, mut piece) = (Sha256::new(), vec![0; 256 << 10]);
    loop {
        match reader.read(&mut piece)? {
            0 => return Ok(hex::encode(digest.finalize())),
            length => digest.update(&piece[..length]),
        }
    }
}
