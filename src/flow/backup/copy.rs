//! What the agent packs → the draft of an archive, piece by piece.

use std::io::{self, Read};

use tokio::sync::{mpsc, watch};

use crate::agent::{Packed, Packing};
use crate::archive::tree::scan::LeftOut;
use crate::flow::backup::draft::Draft;
use crate::flow::backup::{Error, How, Spec};
use crate::flow::progress::Progress;
use crate::flow::world::World;

/// Pieces that wait to be written.
const WAITING: usize = 8;

/// Bytes after which it is told how far it has got.
const TOLD: u64 = 32 << 20;

enum Piece {
    Bytes(Vec<u8>),
    End,
}

/// Copies the data of `spec`, which are at `path` on the host, to `draft`. What was there before and has changed or
/// gone is noted in it.
///
/// # Errors
///
/// See [`Error`]; the draft is of no use then.
pub async fn copy(
    world: &World,
    spec: &Spec,
    (path, how): (&str, How),
    draft: Draft,
    progress: &Progress,
    stop: &watch::Receiver<bool>,
) -> Result<(Draft, LeftOut), Error> {
    let packing = world.agent.pack(path, &spec.source.id, spec.compression, how.pass())?;
    let (pieces, coming) = mpsc::channel(WAITING);
    let writing = tokio::task::spawn_blocking(move || write(draft, coming, how));
    let received = receive(packing, pieces, spec, progress, stop).await;
    let written =
        writing.await.map_err(|error| Error::File { file: spec.file.clone(), source: io::Error::other(error) })?;
    // If the writer gave up, nobody took the pieces any more: its reason is the one that counts.
    let mut draft = written?;
    let left = received?;
    if how == How::Changed {
        draft.forget(world.agent.gone(path).await?);
    }
    Ok((draft, left))
}

async fn receive(
    mut packing: Packing,
    pieces: mpsc::Sender<Piece>,
    spec: &Spec,
    progress: &Progress,
    stop: &watch::Receiver<bool>,
) -> Result<LeftOut, Error> {
    let (mut stop, mut sum, mut told) = (stop.clone(), 0, 0);
    loop {
        let packed = tokio::select! {
            packed = packing.next() => packed?,
            () = asked(&mut stop) => return Err(Error::Interrupted(spec.data())),
        };
        let piece = match packed {
            Packed::Whole { left } => return Ok(left),
            Packed::Group => Piece::End,
            Packed::Bytes(bytes) => {
                sum += bytes.len() as u64;
                Piece::Bytes(bytes)
            }
        };
        if sum >= told + TOLD {
            told = sum;
            progress.say(format!("{} MiB", sum >> 20));
        }
        if pieces.send(piece).await.is_err() {
            return Ok(LeftOut::default());
        }
    }
}

/// Ends when a person wants to stop.
async fn asked(stop: &mut watch::Receiver<bool>) {
    while !*stop.borrow_and_update() {
        if stop.changed().await.is_err() {
            // Nobody can ask any more.
            std::future::pending::<()>().await;
        }
    }
}

fn write(mut draft: Draft, mut coming: mpsc::Receiver<Piece>, how: How) -> Result<Draft, Error> {
    while let Some(first) = coming.blocking_recv() {
        let mut group = Group { coming: &mut coming, piece: vec![], at: 0, ended: matches!(first, Piece::End) };
        if let Piece::Bytes(bytes) = first {
            group.piece = bytes;
        }
        draft.group(&mut group, how)?;
        if !group.ended {
            return Err(draft.broken());
        }
    }
    Ok(draft)
}

/// The bytes of one group.
struct Group<'c> {
    coming: &'c mut mpsc::Receiver<Piece>,
    piece: Vec<u8>,
    at: usize,
    ended: bool,
}

impl Read for Group<'_> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        while self.at == self.piece.len() && !self.ended {
            match self.coming.blocking_recv() {
                Some(Piece::Bytes(piece)) => (self.piece, self.at) = (piece, 0),
                Some(Piece::End) => self.ended = true,
                None => return Ok(0),
            }
        }
        let length = (&self.piece[self.at..]).read(bytes)?;
        self.at += length;
        Ok(length)
    }
}
