//! What is written goes to the disk while more is coming, so that at the end nobody waits for all of it.

use std::fs::File;
use std::io;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::{self, JoinHandle};

/// Bytes after which the disk is asked again.
const EACH: u64 = 32 << 20;

/// A file that is brought to the disk.
#[derive(Debug)]
pub struct Flush {
    wake: SyncSender<()>,
    thread: JoinHandle<io::Result<()>>,
    /// How long it was when the disk was asked.
    at: u64,
}

impl Flush {
    /// Begins with `file`.
    ///
    /// # Errors
    ///
    /// It cannot be opened once more.
    pub fn of(file: &File) -> io::Result<Self> {
        let file = file.try_clone()?;
        let (wake, woken) = sync_channel(1);
        let thread = thread::spawn(move || woken.iter().try_for_each(|()| file.sync_data()));
        Ok(Self { wake, thread, at: 0 })
    }

    /// Takes note that it is so long by now.
    pub fn reached(&mut self, length: u64) {
        if length >= self.at + EACH && self.wake.try_send(()).is_ok() {
            self.at = length;
        }
    }

    /// Waits until nothing is on its way.
    ///
    /// # Errors
    ///
    /// What could not be written: the system tells it once, and nobody else has heard it.
    pub fn end(self) -> io::Result<()> {
        drop(self.wake);
        self.thread.join().unwrap_or_else(|_| Err(io::Error::other("it was not brought to the disk")))
    }
}
