//! What goes between client and agent: frames of a `u32` length, one type byte and a payload.
//!
//! The length counts the payload alone, big end first. The agent speaks first, with its [`Hello`]. Control messages are
//! JSON; bulk data are raw frames that carry the number of the request they belong to.

use std::io::{self, Read};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncReadExt as _};

use crate::agent::data::Change;
use crate::agent::snapshot::Snapshot;
use crate::archive::Compression;
use crate::archive::tree::scan::LeftOut;
use crate::archive::tree::unpack::Most;
use crate::module::copy::Content;
use crate::module::{Environment, Mode, Outcome, Task};

/// What both sides must have in common.
pub const PROTOCOL: u32 = 4;

/// Most bytes of one frame's payload.
pub const LONGEST: usize = 32 << 20;

/// Bytes of one piece of bulk data.
pub const PIECE: usize = 256 << 10;

/// Most bytes of a content that are sent for one [`Answer::Want`], so that neither side holds more.
pub const WINDOW: u64 = 8 << 20;

/// Bytes of a packed tree after which the client says that it has taken them.
pub const CREDIT: u64 = 2 << 20;

/// Bytes of a packed tree that may be on their way, so that neither side holds more.
pub const ON_THE_WAY: u64 = 16 << 20;

/// What is in a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// JSON.
    Control,
    /// Eight bytes of request number, big end first, then a piece of its data.
    Data,
    /// Eight bytes of request number: its data are complete.
    End,
}

impl Kind {
    fn byte(self) -> u8 {
        match self {
            Self::Control => b'C',
            Self::Data => b'D',
            Self::End => b'E',
        }
    }

    fn of(byte: u8) -> Result<Self, Error> {
        match byte {
            b'C' => Ok(Self::Control),
            b'D' => Ok(Self::Data),
            b'E' => Ok(Self::End),
            _ => Err(Error::Kind { byte }),
        }
    }
}

/// One frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// What is in it.
    pub kind: Kind,
    /// Its bytes.
    pub payload: Vec<u8>,
}

/// The stream is not one of frames.
#[derive(Debug, Error)]
pub enum Error {
    /// A frame says that it is longer than any may be.
    #[error("a frame of {length} bytes is too long")]
    TooLong {
        /// What it says.
        length: usize,
    },
    /// No frame begins so.
    #[error("no frame has the type {byte:#04x}")]
    Kind {
        /// The type byte.
        byte: u8,
    },
    /// The stream ended within a frame.
    #[error("the stream ended within a frame")]
    Cut,
    /// The other side is of another version.
    #[error("it speaks version {found} of the protocol, this `ryo` speaks {PROTOCOL}")]
    Version {
        /// Its version.
        found: u32,
    },
    /// A message cannot be read.
    #[error("a message cannot be read")]
    Message(#[from] serde_json::Error),
    /// A data frame without a request number.
    #[error("a data frame names no request")]
    Nameless,
    /// A message came that cannot come now.
    #[error("a message came out of turn")]
    Turn,
    /// The stream broke.
    #[error("the stream broke")]
    Io(#[from] io::Error),
}

/// What the agent says first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// [`PROTOCOL`] of the agent.
    pub protocol: u32,
    /// Version of its `ryo`.
    pub version: String,
    /// The directory it was started from, named by the binary's digest; empty if it was not placed.
    pub digest: String,
    /// Number of its account.
    pub uid: u32,
    /// Its process number.
    pub pid: u32,
}

/// From the client.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Request {
    /// Names the request in answers and data.
    pub id: u64,
    /// What is wanted.
    pub ask: Ask,
    /// SHA-256 of contents that follow at once, each as data frames and an end.
    pub contents: Vec<String>,
}

/// What is wanted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ask {
    /// A module task.
    Task {
        /// What.
        task: Box<Task>,
        /// Check or apply.
        mode: Mode,
        /// Variables for its programs.
        environment: Environment,
        /// Seconds that it may take beside all others, also when the client has gone; nothing for one in its turn.
        /// That it was begun is answered with [`Answer::Done`] before its outcome.
        beside: Option<u64>,
    },
    /// What is known about the machine.
    Facts,
    /// A file's content, as data before the answer.
    Read {
        /// Absolute.
        path: String,
    },
    /// Some of a file's content, as data before the answer: at most [`WINDOW`].
    Piece {
        /// Absolute.
        path: String,
        /// The first byte wanted.
        from: u64,
    },
    /// A file replaced whole, its content in `contents`.
    Write {
        /// Absolute.
        path: String,
        /// SHA-256 of the content.
        sha256: String,
        /// Permission bits; those it has, or 0644, if none.
        mode: Option<u32>,
        /// Name or number.
        owner: Option<String>,
        /// Name or number.
        group: Option<String>,
    },
    /// What is at a path, as the `stat` module tells it.
    Stat {
        /// Absolute.
        path: String,
    },
    /// A lock, until [`Ask::Unlock`] or the agent's end.
    Lock {
        /// Which one: lower-case letters, digits and `-`.
        name: String,
        /// Who and what, for others to read.
        who: String,
    },
    /// No lock any more.
    Unlock {
        /// Which one.
        name: String,
    },
    /// Words run; standard output, then standard error as data before the answer.
    Run {
        /// The program and its arguments.
        words: Vec<String>,
        /// SHA-256 of what it reads, in `contents`.
        input: Option<String>,
    },
    /// A tree packed, as groups of members before the answer: each as data and an end. The client answers every
    /// [`CREDIT`] with an end of its own; no more than [`ON_THE_WAY`] are sent without that.
    Pack {
        /// The directory; absolute.
        path: String,
        /// What it is called in the archive.
        name: String,
        /// How each group is compressed.
        compression: Compression,
        /// All of it, or what has changed.
        pass: Pass,
    },
    /// What the last packing of a tree no longer found, as data before the answer: paths with a zero behind each.
    Gone {
        /// The directory; absolute.
        path: String,
    },
    /// An archive unpacked beside the data of a project or module; the answer is the sum of what was unpacked.
    Unpack {
        /// Where the data of all of them are; absolute.
        directory: String,
        /// The project or module.
        id: String,
        /// The archive.
        content: Content,
        /// What is in it.
        most: Most,
    },
    /// Which projects and modules have data, and what is kept of those before restores.
    Stock {
        /// Where the data of all of them are; absolute.
        directory: String,
    },
    /// A snapshot of the data of a project or module; the answer is a value, by what is done.
    Snapshot {
        /// Where the data of all of them are; absolute.
        directory: String,
        /// The project or module.
        id: String,
        /// What is done.
        what: Snapshot,
    },
    /// The data of a project or module exchanged with those beside them.
    Change {
        /// Where the data of all of them are; absolute.
        directory: String,
        /// The project or module.
        id: String,
        /// What is done.
        change: Change,
        /// The stamp of the backup.
        stamp: String,
    },
    /// Another request is not waited for any more.
    GiveUp {
        /// Its number.
        request: u64,
    },
    /// A line behind the host's journal.
    Journal {
        /// JSON, without its end.
        line: String,
    },
}

/// How much of a tree is packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pass {
    /// All of it.
    First,
    /// What has changed since the first pass over this connection.
    Again,
}

/// From the agent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Reply {
    /// Of which request.
    pub id: u64,
    /// What.
    pub answer: Answer,
}

/// What a request came to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// Not yet: a content is needed first.
    Want {
        /// Its SHA-256.
        sha256: String,
        /// The first byte wanted; [`WINDOW`] follow, or as many as there are.
        from: u64,
    },
    /// A task ended.
    Outcome(Box<Outcome>),
    /// Facts, or what is at a path.
    Value(Value),
    /// A file's content went before; `false`: there is no such file.
    Content(bool),
    /// It is done.
    Done,
    /// A tree was packed; its groups went before.
    Packed {
        /// What was left out.
        left: LeftOut,
    },
    /// Another one holds the lock.
    Held {
        /// Who and what.
        who: String,
        /// Since when.
        since: String,
    },
    /// A program ended; its output went before.
    Finished {
        /// Exit status.
        status: i32,
        /// How many of the bytes are standard output.
        stdout: u64,
    },
    /// It cannot be done.
    Failed {
        /// Why.
        message: String,
    },
}

impl Frame {
    /// A control frame.
    ///
    /// # Errors
    ///
    /// [`Error::Message`], or [`Error::TooLong`] if it would be refused on the other side.
    pub fn control(message: &impl Serialize) -> Result<Self, Error> {
        let payload = serde_json::to_vec(message)?;
        if payload.len() > LONGEST {
            return Err(Error::TooLong { length: payload.len() });
        }
        Ok(Self { kind: Kind::Control, payload })
    }

    /// The frames that carry `content` for request `id`, the end included.
    pub fn data(id: u64, content: &[u8]) -> impl Iterator<Item = Self> {
        Self::pieces(id, content).chain(std::iter::once(Self::end(id)))
    }

    /// The frames that carry some of what belongs to request `id`.
    pub fn pieces(id: u64, content: &[u8]) -> impl Iterator<Item = Self> {
        content
            .chunks(PIECE)
            .map(move |piece| Self { kind: Kind::Data, payload: [&id.to_be_bytes()[..], piece].concat() })
    }

    /// The frame that ends something of request `id`.
    pub fn end(id: u64) -> Self {
        Self { kind: Kind::End, payload: id.to_be_bytes().to_vec() }
    }

    /// The bytes on the wire.
    pub fn encoded(&self) -> Vec<u8> {
        let length = u32::try_from(self.payload.len()).unwrap_or(u32::MAX);
        let mut bytes = Vec::with_capacity(5 + self.payload.len());
        bytes.extend(length.to_be_bytes());
        bytes.push(self.kind.byte());
        bytes.extend(&self.payload);
        bytes
    }

    /// Reads the message of a control frame.
    ///
    /// # Errors
    ///
    /// [`Error::Turn`] if it is none, [`Error::Message`].
    pub fn message<T: serde::de::DeserializeOwned>(&self) -> Result<T, Error> {
        match self.kind {
            Kind::Control => Ok(serde_json::from_slice(&self.payload)?),
            Kind::Data | Kind::End => Err(Error::Turn),
        }
    }

    /// Takes the request number off a data or end frame.
    ///
    /// # Errors
    ///
    /// [`Error::Nameless`].
    pub fn piece(&self) -> Result<(u64, &[u8]), Error> {
        let (id, piece) = self.payload.split_first_chunk::<8>().ok_or(Error::Nameless)?;
        Ok((u64::from_be_bytes(*id), piece))
    }
}

/// Reads the next frame, or nothing at the end of the stream. Holds no more memory than has arrived, at most twice.
///
/// # Errors
///
/// [`Error`]: the stream cannot be read on.
pub fn read(stream: &mut impl Read) -> Result<Option<Frame>, Error> {
    let mut head = vec![];
    stream.by_ref().take(5).read_to_end(&mut head)?;
    let Some((kind, length)) = header(&head)? else { return Ok(None) };
    let mut payload = vec![];
    stream.by_ref().take(length as u64).read_to_end(&mut payload)?;
    whole(kind, length, payload).map(Some)
}

/// The same of an asynchronous stream.
///
/// # Errors
///
/// [`Error`]: the stream cannot be read on.
pub async fn receive(stream: &mut (impl AsyncRead + Unpin)) -> Result<Option<Frame>, Error> {
    let mut head = vec![];
    (&mut *stream).take(5).read_to_end(&mut head).await?;
    let Some((kind, length)) = header(&head)? else { return Ok(None) };
    let mut payload = vec![];
    (&mut *stream).take(length as u64).read_to_end(&mut payload).await?;
    whole(kind, length, payload).map(Some)
}

fn header(head: &[u8]) -> Result<Option<(Kind, usize)>, Error> {
    match head {
        [] => Ok(None),
        &[a, b, c, d, kind] => {
            let kind = Kind::of(kind)?;
            let length = u32::from_be_bytes([a, b, c, d]) as usize;
            if length > LONGEST { Err(Error::TooLong { length }) } else { Ok(Some((kind, length))) }
        }
        _ => Err(Error::Cut),
    }
}

fn whole(kind: Kind, length: usize, payload: Vec<u8>) -> Result<Frame, Error> {
    if payload.len() == length { Ok(Frame { kind, payload }) } else { Err(Error::Cut) }
}
