//! Git's packets: four hexadecimal digits of length, then bytes. Pure.

use bytes::{Buf as _, Bytes, BytesMut};

/// One packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Packet {
    /// The end of a list.
    Flush,
    /// Bytes.
    Data(Bytes),
}

/// Bytes that are no packet: what stands where a length should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Malformed(pub String);

/// Cuts bytes, as they come, into packets. Holds at most one packet and what was pushed last.
#[derive(Debug, Default)]
pub struct Packets {
    buffer: BytesMut,
}

impl Packets {
    /// Adds bytes.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// Returns whether bytes of an unfinished packet are left.
    pub fn is_empty(&self) -> bool {
        self.buffer.is_empty()
    }

    /// Cuts off the next whole packet; `None` if more bytes are needed for it.
    ///
    /// # Errors
    ///
    /// [`Malformed`] where no length stands. What follows cannot be read.
    pub fn cut(&mut self) -> Result<Option<Packet>, Malformed> {
        let Some(head) = self.buffer.first_chunk::<4>() else {
            return Ok(None);
        };
        let length = match length(*head) {
            Some(0) => {
                self.buffer.advance(4);
                return Ok(Some(Packet::Flush));
            }
            // 1 to 3 are marks of the protocol's version 2.
            Some(length) if length >= 4 => length,
            _ => return Err(Malformed(String::from_utf8_lossy(head).escape_default().to_string())),
        };
        if self.buffer.len() < length {
            return Ok(None);
        }
        let mut packet = self.buffer.split_to(length);
        packet.advance(4);
        Ok(Some(Packet::Data(packet.freeze())))
    }
}

fn length(digits: [u8; 4]) -> Option<usize> {
    let text = std::str::from_utf8(&digits).ok().filter(|text| !text.starts_with('+'))?;
    usize::from_str_radix(text, 16).ok()
}

/// Returns `line` as a packet.
pub fn packet(line: &str) -> String {
    format!("{:04x}{line}", line.len() + 4)
}
