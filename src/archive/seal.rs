//! Encryption to recipients, in the format of `age` (age-encryption.org/v1): what is sealed here `age` opens, and the
//! other way round.
//!
//! Whoever seals needs public keys only. Sealing says nothing of who did it: what is opened is as foreign as any archive.

use std::fmt;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use age::stream::{StreamReader, StreamWriter};
use age::x25519;
use age::{DecryptError, Decryptor, Encryptor};
use thiserror::Error;

use crate::archive;

/// What the names of sealed files end with.
pub const SUFFIX: &str = "age";

/// Most bytes of what stands in front of sealed bytes: a hundred bytes for each recipient.
const HEADER: u64 = 64 << 10;

/// Most bytes of a file of identities.
const IDENTITIES: u64 = 1 << 20;

/// A recipient or an identity cannot be used. Secrets are not in it.
#[derive(Debug, Error)]
pub enum Error {
    /// It is no recipient.
    #[error("`{0}` is no recipient: `age1…` is required, as `age-keygen` prints it")]
    Recipient(String),
    /// It is an identity.
    #[error("a secret key was given where a recipient is required: `age-keygen -y` prints the recipient of a key")]
    Secret,
    /// The file cannot be read.
    #[error("cannot read the identity in `{}`", file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file holds something else.
    #[error("`{}`, line {line}: this is no identity: `AGE-SECRET-KEY-1…` is required", file.display())]
    Identity {
        /// The file.
        file: PathBuf,
        /// The line, from 1.
        line: usize,
    },
    /// The file is sealed itself.
    #[error("the identity in `{}` is encrypted itself: open it with `age -d` first", .0.display())]
    Locked(PathBuf),
    /// The file holds nothing.
    #[error("there is no identity in `{}`", .0.display())]
    Empty(PathBuf),
}

/// To whom something is sealed. Nobody: it is not sealed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recipients(Vec<x25519::Recipient>);

impl Recipients {
    /// Reads recipients, e.g. `age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p`.
    ///
    /// # Errors
    ///
    /// [`Error::Recipient`], [`Error::Secret`].
    pub fn parse(texts: &[String]) -> Result<Self, Error> {
        let one = |text: &String| {
            let text = text.trim();
            if text.to_ascii_uppercase().starts_with("AGE-SECRET-KEY-") {
                return Err(Error::Secret);
            }
            text.parse().map_err(|_| Error::Recipient(text.to_owned()))
        };
        texts.iter().map(one).collect::<Result<_, _>>().map(Self)
    }

    /// Whether nothing is sealed.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Seals what is written to it, for at least one recipient. It is not whole before [`StreamWriter::finish`].
    ///
    /// # Errors
    ///
    /// That of the writer.
    pub fn seal<W: Write>(&self, to: W) -> io::Result<StreamWriter<W>> {
        let recipients = self.0.iter().map(|recipient| recipient as &dyn age::Recipient);
        let encryptor = Encryptor::with_recipients(recipients).map_err(io::Error::other)?;
        encryptor.wrap_output(to)
    }
}

/// What opens what is sealed. Never shown.
#[derive(Clone, Default)]
pub struct Identities(Arc<Vec<x25519::Identity>>);

impl fmt::Debug for Identities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl PartialEq for Identities {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || (self.is_empty() && other.is_empty())
    }
}

impl Eq for Identities {}

impl Identities {
    /// Reads a file as `age-keygen` writes it: lines with secret keys, empty ones, and those that begin with `#`. None
    /// without a file.
    ///
    /// # Errors
    ///
    /// [`Error`].
    pub fn read(file: Option<&Path>) -> Result<Self, Error> {
        let Some(file) = file else { return Ok(Self::default()) };
        let fail = |source| Error::Unreadable { file: file.to_owned(), source };
        let mut found = vec![];
        for (line, text) in (1..).zip(BufReader::new(File::open(file).map_err(fail)?.take(IDENTITIES)).lines()) {
            let text = text.map_err(fail)?;
            let text = text.trim();
            if text.starts_with("age-encryption.org/") || text.starts_with("-----BEGIN AGE ENCRYPTED FILE") {
                return Err(Error::Locked(file.to_owned()));
            }
            if !text.is_empty() && !text.starts_with('#') {
                found.push(text.parse().map_err(|_| Error::Identity { file: file.to_owned(), line })?);
            }
        }
        if found.is_empty() { Err(Error::Empty(file.to_owned())) } else { Ok(Self(Arc::new(found))) }
    }

    /// One that is in no file, and whom it opens for.
    pub fn made_up() -> (Self, Recipients) {
        let identity = x25519::Identity::generate();
        let recipient = identity.to_public();
        (Self(Arc::new(vec![identity])), Recipients(vec![recipient]))
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Opens what `from` holds, which is sealed. Bytes come out in pieces of 64 KiB that were whole.
    ///
    /// # Errors
    ///
    /// [`archive::Error::Sealed`], [`archive::Error::Foreign`], [`archive::Error::Format`], [`archive::Error::Read`].
    pub fn open<R: BufRead>(&self, from: R) -> Result<StreamReader<Bounded<R>>, archive::Error> {
        if self.is_empty() {
            return Err(archive::Error::Sealed);
        }
        let left = Arc::new(AtomicU64::new(HEADER));
        let decryptor = Decryptor::new_buffered(Bounded { from, left: left.clone() }).map_err(told)?;
        left.store(u64::MAX, Ordering::Relaxed);
        let identities = self.0.iter().map(|identity| identity as &dyn age::Identity);
        decryptor.decrypt(identities).map_err(told)
    }
}

/// A stream of which only so many bytes are read, so that what stands in front is not of any length.
pub struct Bounded<R> {
    from: R,
    left: Arc<AtomicU64>,
}

impl<R: BufRead> Read for Bounded<R> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let mut held = self.fill_buf()?;
        let length = held.read(bytes)?;
        self.consume(length);
        Ok(length)
    }
}

impl<R: BufRead> BufRead for Bounded<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        let held = self.from.fill_buf()?;
        let left = usize::try_from(self.left.load(Ordering::Relaxed)).unwrap_or(usize::MAX);
        Ok(&held[..held.len().min(left)])
    }

    fn consume(&mut self, amount: usize) {
        self.from.consume(amount);
        let left = self.left.load(Ordering::Relaxed);
        if left != u64::MAX {
            self.left.store(left.saturating_sub(amount as u64), Ordering::Relaxed);
        }
    }
}

impl<R: Seek> Seek for Bounded<R> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.from.seek(to)
    }
}

fn told(error: DecryptError) -> archive::Error {
    match error {
        DecryptError::NoMatchingKeys => archive::Error::Foreign,
        DecryptError::Io(error) if error.kind() == io::ErrorKind::UnexpectedEof => broken(),
        DecryptError::Io(error) => archive::Error::Read(error),
        DecryptError::InvalidHeader | DecryptError::UnknownFormat => {
            archive::Error::Format { reason: "it is not encrypted as `age` does it".to_owned() }
        }
        _ => archive::Error::Format { reason: "what stands in front of the encrypted bytes is not whole".to_owned() },
    }
}

fn broken() -> archive::Error {
    archive::Error::Format { reason: "it breaks off".to_owned() }
}
