//! What is written goes to the disk while more is coming, so that at the end nobody waits for all of it.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::{self, JoinHandle};

use rustix::fs::{fdatasync, syncfs};

/// Bytes after which the disk is asked again.
const EACH: u64 = 32 << 20;

/// A file, or a tree of them, that is brought to the disk. Dropping it waits until nothing is on its way.
#[derive(Debug)]
pub struct Flush {
    running: Option<(SyncSender<()>, JoinHandle<io::Result<()>>)>,
    /// How large it was when the disk was asked.
    at: u64,
}

impl Flush {
    /// Begins with `file`.
    ///
    /// # Errors
    ///
    /// It cannot be opened once more.
    pub fn of(file: impl AsFd) -> io::Result<Self> {
        Ok(Self::begin(file.as_fd().try_clone_to_owned()?, |file| fdatasync(file)))
    }

    /// Begins with what is written below `directory`, and whatever else is in its file system.
    ///
    /// # Errors
    ///
    /// It cannot be opened once more.
    pub fn below(directory: impl AsFd) -> io::Result<Self> {
        Ok(Self::begin(directory.as_fd().try_clone_to_owned()?, |directory| syncfs(directory)))
    }

    fn begin(file: OwnedFd, bring: fn(&OwnedFd) -> rustix::io::Result<()>) -> Self {
        let (wake, woken) = sync_channel(1);
        let thread = thread::spawn(move || woken.iter().try_for_each(|()| Ok(bring(&file)?)));
        Self { running: Some((wake, thread)), at: 0 }
    }

    /// Takes note that it has so many bytes by now.
    pub fn reached(&mut self, bytes: u64) {
        let asked = |(wake, _): &(SyncSender<()>, _)| wake.try_send(()).is_ok();
        if bytes >= self.at + EACH && self.running.as_ref().is_some_and(asked) {
            self.at = bytes;
        }
    }

    /// Waits until nothing is on its way.
    ///
    /// # Errors
    ///
    /// What could not be written: the system tells it once, and nobody else has heard it.
    pub fn end(mut self) -> io::Result<()> {
        self.wait()
    }

    fn wait(&mut self) -> io::Result<()> {
        let Some((wake, thread)) = self.running.take() else { return Ok(()) };
        drop(wake);
        thread.join().unwrap_or_else(|_| Err(io::Error::other("it was not brought to the disk")))
    }
}

impl Drop for Flush {
    fn drop(&mut self) {
        let _ = self.wait();
    }
}
