//! Bytes that go from one thread to another.

use std::io::{self, Read, Write as _};
use std::thread;

use ryo::archive::pipe::pipe;

/// Gives so many bytes, some at a time, and then an end or an error.
struct Source {
    left: usize,
    fails: bool,
}

impl Read for Source {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        if self.left == 0 && self.fails {
            self.fails = false;
            return Err(io::Error::other("the disk is gone"));
        }
        let length = self.left.min(bytes.len()).min(1000);
        bytes[..length].fill(7);
        self.left -= length;
        Ok(length)
    }
}

#[test]
fn what_is_put_in_comes_out_to_its_end() {
    let (into, mut from) = pipe();
    let carrying = thread::spawn(move || into.carry(&mut Source { left: 3 << 20, fails: false }, || 5));
    let mut read = vec![];
    from.read_to_end(&mut read).unwrap();
    assert!(read.len() == 3 << 20 && read.iter().all(|byte| *byte == 7));
    assert_eq!(from.place(), 5);
    carrying.join().unwrap().unwrap();
}

#[test]
fn an_error_comes_out_behind_what_came_before_it() {
    let (into, mut from) = pipe();
    let carrying = thread::spawn(move || into.carry(&mut Source { left: 200_000, fails: true }, || 9));
    let mut read = vec![];
    assert_eq!(from.read_to_end(&mut read).unwrap_err().to_string(), "the disk is gone");
    assert_eq!((read.len(), from.place()), (200_000, 9));
    carrying.join().unwrap().unwrap();
}

#[test]
fn whoever_puts_something_in_is_told_that_nobody_reads() {
    let (mut into, from) = pipe();
    into.write_all(b"some").unwrap();
    drop(from);
    assert_eq!(into.write_all(b"more").unwrap_err().kind(), io::ErrorKind::BrokenPipe);
    let ended = into.carry(&mut Source { left: 10, fails: false }, || 0);
    assert_eq!(ended.unwrap_err().kind(), io::ErrorKind::BrokenPipe);
}
