//! Bytes from one thread to another, in pieces.

use std::io::{self, Read, Write};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

/// Pieces that wait to be read.
const WAITING: usize = 4;

/// Bytes that [`Writer::carry`] puts in a piece.
const PIECE: usize = 128 << 10;

struct Piece {
    bytes: io::Result<Vec<u8>>,
    place: u64,
}

/// Where bytes are put into a pipe. The reader has reached the end once this is dropped.
pub struct Writer {
    pieces: SyncSender<Piece>,
    /// Pieces that were read: a new one costs the system as much as filling it.
    used: Receiver<Vec<u8>>,
}

/// Where they come out.
pub struct Reader {
    pieces: Receiver<Piece>,
    used: SyncSender<Vec<u8>>,
    piece: Vec<u8>,
    at: usize,
    place: u64,
}

/// A pipe that holds a few pieces.
pub fn pipe() -> (Writer, Reader) {
    let ((pieces, coming), (back, used)) = (sync_channel(WAITING), sync_channel(WAITING));
    (Writer { pieces, used }, Reader { pieces: coming, used: back, piece: vec![], at: 0, place: 0 })
}

impl Writer {
    /// Reads `from` to its end, and puts what comes into the pipe; an error too. `place` says after each piece how far it
    /// has got.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::BrokenPipe`]: nobody wants to know more.
    pub fn carry(&self, from: &mut dyn Read, place: impl Fn() -> u64) -> io::Result<()> {
        loop {
            let mut piece = self.used.try_recv().unwrap_or_else(|_| Vec::with_capacity(PIECE));
            piece.clear();
            let read = (&mut *from).take(PIECE as u64).read_to_end(&mut piece);
            // What came before an error is in it.
            let length = piece.len();
            if length > 0 {
                self.send(Ok(piece), place())?;
            }
            match read {
                Err(error) => return self.send(Err(error), place()),
                Ok(_) if length < PIECE => return Ok(()),
                Ok(_) => {}
            }
        }
    }

    fn send(&self, bytes: io::Result<Vec<u8>>, place: u64) -> io::Result<()> {
        self.pieces.send(Piece { bytes, place }).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}

impl Write for Writer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.send(Ok(bytes.to_vec()), 0)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Reader {
    /// How far whoever fills the pipe had got with the piece that was read last.
    pub fn place(&self) -> u64 {
        self.place
    }
}

impl Read for Reader {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        while self.at == self.piece.len() {
            let Ok(Piece { bytes, place }) = self.pieces.recv() else { return Ok(0) };
            self.place = place;
            let _ = self.used.try_send(std::mem::replace(&mut self.piece, bytes?));
            self.at = 0;
        }
        let length = (&self.piece[self.at..]).read(bytes)?;
        self.at += length;
        Ok(length)
    }
}
