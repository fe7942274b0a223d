//! An archive that is being written: `….partial` beside its place, until it is whole.

use std::collections::HashSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufReader, Read, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use crate::archive::Error as Broken;
use crate::archive::tree::group::{self, END, Member};
use crate::flow::backup::{Error, How, Spec};

/// Bytes that are moved at once.
const PIECE: usize = 1 << 20;

/// Most bytes of a group that is rewritten.
const LARGEST: u64 = 64 << 20;

/// A draft. Dropping it removes it.
#[derive(Debug)]
pub struct Draft {
    spec: Spec,
    path: PathBuf,
    file: File,
    groups: Vec<Group>,
    /// What of the first groups is not to be in the archive: it has changed since, or gone.
    stale: HashSet<Vec<u8>>,
    length: u64,
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
    to: &'t mut File,
    length: u64,
    failed: Option<io::Error>,
}

impl Read for Tee<'_> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let length = self.from.read(bytes)?;
        if let Err(error) = self.to.write_all(&bytes[..length]) {
            self.failed = Some(error);
            return Err(io::Error::other("it cannot be written"));
        }
        self.length += length as u64;
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
        let path = partial(&spec.file);
        let fail = |source| Error::File { file: path.clone(), source };
        let directory = spec.file.parent().unwrap_or(Path::new("."));
        fs::create_dir_all(directory).map_err(fail)?;
        sweep(directory).map_err(fail)?;
        let mut options = OpenOptions::new();
        let file = options.read(true).write(true).create_new(true).mode(0o600).open(&path).map_err(fail)?;
        file.lock().map_err(fail)?;
        Ok(Self { spec: spec.clone(), path, file, groups: vec![], stale: HashSet::new(), length: 0 })
    }

    /// Takes a group and reads what is in it.
    ///
    /// # Errors
    ///
    /// [`Error`]; the draft is of no use then.
    pub fn group(&mut self, coming: &mut dyn Read, pass: How) -> Result<(), Error> {
        let (from, path) = (self.length, self.path.clone());
        let mut tee = Tee { from: coming, to: &mut self.file, length: 0, failed: None };
        let read = group::members(&mut tee, self.spec.compression);
        if let Some(source) = tee.failed {
            return Err(Error::File { file: path, source });
        }
        let members = read.map_err(Error::Archive)?;
        self.length += tee.length;
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
    /// it, and what follows moves up. Then it is read back from its beginning.
    ///
    /// # Errors
    ///
    /// [`Error`].
    pub fn finish(&mut self) -> Result<Whole, Error> {
        let path = self.path.clone();
        let fail = |source| Error::File { file: path.clone(), source };
        let mut members = vec![];
        // What became longer by being written anew: it comes last.
        let mut behind = vec![];
        let mut at = 0;
        for group in std::mem::take(&mut self.groups) {
            let Group { from, length, members: all, pass } = group;
            let fresh = pass != How::Serving;
            let keep: Vec<bool> = all.iter().map(|it| fresh || !self.stale.contains(&it.entry.path)).collect();
            if keep.iter().all(|keep| *keep) {
                self.move_up(from, length, at).map_err(fail)?;
                at += length;
            } else if keep.iter().any(|keep| *keep) {
                let bytes = self.read(from, length).map_err(fail)?;
                let bytes = group::without(&bytes, self.spec.compression, |turn| keep.get(turn) == Some(&true));
                let bytes = bytes.map_err(Error::Archive)?;
                if at + bytes.len() as u64 <= from + length {
                    self.file.write_all_at(&bytes, at).map_err(fail)?;
                    at += bytes.len() as u64;
                } else {
                    behind.extend(bytes);
                }
            }
            members.extend(all.into_iter().zip(keep).filter(|(_, keep)| *keep).map(|(member, _)| member));
        }
        behind.extend(self.spec.compression.whole(&END).map_err(fail)?);
        self.file.write_all_at(&behind, at).map_err(fail)?;
        self.length = at + behind.len() as u64;
        self.file.set_len(self.length).and_then(|()| self.file.sync_all()).map_err(fail)?;
        let sha256 = self.digest().map_err(fail)?;
        Ok(Whole { members, size: self.length, sha256 })
    }

    fn move_up(&mut self, from: u64, length: u64, to: u64) -> io::Result<()> {
        if from == to {
            return Ok(());
        }
        let (mut piece, mut done) = (vec![0; PIECE], 0);
        while done < length {
            let some = usize::try_from((length - done).min(PIECE as u64)).unwrap_or(PIECE);
            self.file.read_exact_at(&mut piece[..some], from + done)?;
            self.file.write_all_at(&piece[..some], to + done)?;
            done += some as u64;
        }
        Ok(())
    }

    fn read(&self, from: u64, length: u64) -> io::Result<Vec<u8>> {
        if length > LARGEST {
            return Err(io::Error::other("a group of members is too long"));
        }
        let mut bytes = vec![0; usize::try_from(length).unwrap_or(0)];
        self.file.read_exact_at(&mut bytes, from)?;
        Ok(bytes)
    }

    fn digest(&mut self) -> io::Result<String> {
        self.file.seek(SeekFrom::Start(0))?;
        digest(&mut BufReader::with_capacity(PIECE, &self.file))
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
        let fail = |source| Error::File { file: file.clone(), source };
        fs::rename(&self.path, file).map_err(fail)?;
        File::open(file.parent().unwrap_or(Path::new("."))).and_then(|it| it.sync_all()).map_err(fail)
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        // Once it has its name, nothing is there.
        let _ = fs::remove_file(&self.path);
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

fn partial(file: &Path) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(".partial");
    PathBuf::from(name)
}

/// Removes unfinished archives that nobody writes any more: whoever writes one holds its lock.
fn sweep(directory: &Path) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name.starts_with("backup-") && name.ends_with(".partial") && File::open(&path)?.try_lock().is_ok() {
            fs::remove_file(&path)?;
        }
    }
    Ok(())
}
