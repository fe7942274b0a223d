//! Archives as streams: what is in one ([`walk`]), into a directory ([`unpack`]), out of one ([`pack`]).
//!
//! Owners are numbers here; whoever unpacks says what names mean. An archive is not trusted: nothing leaves the
//! directory that it is unpacked into, neither by its name nor through a link, and devices are refused.

use std::io;

use thiserror::Error;

pub mod codec;
pub mod flush;
pub mod member;
pub mod pack;
pub mod pipe;
pub mod seal;
pub mod tree;
pub mod unpack;
pub mod walk;

pub use codec::Compression;
pub use member::{Kind, Member};
pub use unpack::Target;
pub use walk::{Format, walk};

/// An archive cannot be read, written or unpacked.
#[derive(Debug, Error)]
pub enum Error {
    /// It is no archive that is known here, or a damaged one.
    #[error("it is no archive that can be read: {reason}")]
    Format {
        /// What is wrong.
        reason: String,
    },
    /// A member would be put elsewhere.
    #[error("`{path}` leads out of the directory")]
    Escapes {
        /// As it is called in the archive.
        path: String,
    },
    /// A member would be put where a link leads.
    #[error("`{path}` leads through a link")]
    Through {
        /// As it is called in the archive.
        path: String,
    },
    /// A member is a device.
    #[error("`{path}` is a device")]
    Device {
        /// As it is called in the archive.
        path: String,
    },
    /// There is more in it than may be.
    #[error("there is more in it than may be: {most}")]
    Large {
        /// What may be.
        most: String,
    },
    /// It is sealed, and nothing was given that opens it.
    #[error("it is encrypted, and no identity was given")]
    Sealed,
    /// It is sealed to others.
    #[error("it is encrypted to others: no identity that was given opens it")]
    Foreign,
    /// The archive itself cannot be read on.
    #[error("the archive cannot be read")]
    Read(#[source] io::Error),
    /// The archive itself cannot be written on.
    #[error("the archive cannot be written")]
    Write(#[source] io::Error),
    /// A file cannot be read or written.
    #[error("cannot read or write `{path}`")]
    File {
        /// Where.
        path: String,
        /// Why.
        source: io::Error,
    },
}

impl Error {
    /// Says why as one sentence, the cause included.
    pub fn sentence(&self) -> String {
        match std::error::Error::source(self) {
            Some(cause) => format!("{self}: {cause}"),
            None => self.to_string(),
        }
    }
}
