//! The data of projects and modules, as this side asks for them.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use serde_json::Value;
use tokio::sync::mpsc;

use super::{Client, Incoming, Shared};
use crate::agent::Error;
use crate::agent::data::{Change, Stock};
use crate::agent::snapshot::Snapshot;
use crate::agent::wire::{self, Answer, Ask, Frame, Pass, Request};
use crate::archive::Compression;
use crate::archive::tree::scan::LeftOut;
use crate::archive::tree::unpack::Most;
use crate::module::Blobs;
use crate::module::copy::Content;
use crate::module::source::Blob;

/// A tree that is being packed. Dropping it gives it up.
pub struct Packing {
    shared: Arc<Shared>,
    incoming: mpsc::UnboundedReceiver<Incoming>,
    id: u64,
    /// Bytes that have come since the agent was last told.
    taken: u64,
}

/// What comes of a tree that is being packed.
#[derive(Debug, PartialEq, Eq)]
pub enum Packed {
    /// Some of a group's compressed bytes.
    Bytes(Vec<u8>),
    /// The group is complete.
    Group,
    /// The tree is complete.
    Whole {
        /// What was left out.
        left: LeftOut,
    },
}

impl Packing {
    /// Waits for what comes next.
    ///
    /// # Errors
    ///
    /// The agent went away or cannot read the tree.
    pub async fn next(&mut self) -> Result<Packed, Error> {
        match self.incoming.recv().await {
            Some(Incoming::Data(piece)) => {
                self.taken += piece.len() as u64;
                while self.taken >= wire::CREDIT {
                    self.taken -= wire::CREDIT;
                    let _ = self.shared.frames.send(vec![Frame::end(self.id)]);
                }
                Ok(Packed::Bytes(piece))
            }
            Some(Incoming::End) => Ok(Packed::Group),
            Some(Incoming::Answer(Answer::Packed { left })) => Ok(Packed::Whole { left }),
            Some(Incoming::Answer(other)) => Err(self.shared.refused(other)),
            None => Err(self.shared.gone()),
        }
    }
}

impl Drop for Packing {
    fn drop(&mut self) {
        self.shared.pending.forget(self.id);
        self.shared.tell(Ask::GiveUp { request: self.id });
    }
}

impl Client {
    /// Packs the directory at `path` under `name`: all of it, or what has changed since that was done.
    ///
    /// # Errors
    ///
    /// The agent went away.
    pub fn pack(&self, path: &str, name: &str, compression: Compression, pass: Pass) -> Result<Packing, Error> {
        let id = self.shared.next.fetch_add(1, Ordering::Relaxed);
        let incoming = self.shared.wait_for(id)?;
        let packing = Packing { shared: Arc::clone(&self.shared), incoming, id, taken: 0 };
        let ask = Ask::Pack { path: path.to_owned(), name: name.to_owned(), compression, pass };
        let wrong = |source| Error::Wire { machine: self.shared.machine.clone(), source };
        let frame = Frame::control(&Request { id, ask, contents: vec![] }).map_err(wrong)?;
        let _ = self.shared.frames.send(vec![frame]);
        Ok(packing)
    }

    /// What the last packing of `path` no longer found, as paths in the archive.
    ///
    /// # Errors
    ///
    /// The agent went away.
    pub async fn gone(&self, path: &str) -> Result<Vec<Vec<u8>>, Error> {
        match self.shared.ask(Ask::Gone { path: path.to_owned() }, vec![], &Blobs::new()).await? {
            (Answer::Done, data) => {
                let paths = data.split(|byte| *byte == 0).filter(|path| !path.is_empty());
                Ok(paths.map(<[u8]>::to_vec).collect())
            }
            (other, _) => Err(self.shared.refused(other)),
        }
    }

    /// Unpacks `archive`, which is on this computer, beside the data of `id` in `directory`. Returns the sum of what was
    /// unpacked.
    ///
    /// # Errors
    ///
    /// The agent went away or could not unpack it; the data are as they were.
    pub async fn unpack(
        &self,
        directory: &str,
        id: &str,
        archive: Blob,
        content: Content,
        most: Most,
    ) -> Result<String, Error> {
        let blobs = Blobs::from([(content.sha256.clone(), archive)]);
        let (directory, id) = (directory.to_owned(), id.to_owned());
        let ask = Ask::Unpack { directory, id, content, most };
        match self.shared.ask(ask, vec![], &blobs).await? {
            (Answer::Value(Value::String(sum)), _) => Ok(sum),
            (other, _) => Err(self.shared.refused(other)),
        }
    }

    /// Which projects and modules have data in `directory`, and what is kept of those before restores.
    ///
    /// # Errors
    ///
    /// The agent went away or may not look.
    pub async fn stock(&self, directory: &str) -> Result<Stock, Error> {
        let ask = Ask::Stock { directory: directory.to_owned() };
        let value = self.value(ask).await?;
        serde_json::from_value(value)
            .map_err(|source| Error::Wire { machine: self.shared.machine.clone(), source: source.into() })
    }

    /// Whether snapshots can be made of the data of `id` in `directory`.
    ///
    /// # Errors
    ///
    /// The agent went away or may not look.
    pub async fn can_snapshot(&self, directory: &str, id: &str) -> Result<bool, Error> {
        Ok(self.snapshot(directory, id, Snapshot::Look).await? == Value::Bool(true))
    }

    /// Makes a snapshot of the data of `id`, in place of one that a broken run has left. Returns where they are in it.
    ///
    /// # Errors
    ///
    /// The agent went away or cannot make it.
    pub async fn make_snapshot(&self, directory: &str, id: &str) -> Result<String, Error> {
        match self.snapshot(directory, id, Snapshot::Make).await? {
            Value::String(path) => Ok(path),
            other => Err(self.shared.refused(Answer::Value(other))),
        }
    }

    /// Removes the snapshot of the data of `id`.
    ///
    /// # Errors
    ///
    /// The agent went away or cannot remove it; or it was gone, or not everything was in it.
    pub async fn remove_snapshot(&self, directory: &str, id: &str) -> Result<(), Error> {
        self.snapshot(directory, id, Snapshot::Remove).await.map(drop)
    }

    async fn snapshot(&self, directory: &str, id: &str, what: Snapshot) -> Result<Value, Error> {
        self.value(Ask::Snapshot { directory: directory.to_owned(), id: id.to_owned(), what }).await
    }

    /// Exchanges the data of `id` with those beside them.
    ///
    /// # Errors
    ///
    /// The agent went away or may not do it.
    pub async fn change(&self, directory: &str, id: &str, change: Change, stamp: &str) -> Result<(), Error> {
        let (directory, id, stamp) = (directory.to_owned(), id.to_owned(), stamp.to_owned());
        self.done(Ask::Change { directory, id, change, stamp }, vec![], &Blobs::new()).await
    }
}
