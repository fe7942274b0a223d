//! Compression, told apart by the first bytes.

use std::io::{self, BufReader, Read, Write};

use bzip2::read::MultiBzDecoder;
use bzip2::write::BzEncoder;
use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;
use lzma_rust2::{XzOptions, XzReader, XzWriter};
use ruzstd::decoding::StreamingDecoder;
use ruzstd::encoding::{CompressionLevel, compress_to_vec};
use serde::{Deserialize, Serialize};

/// How bytes are compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Compression {
    /// Not at all.
    None,
    /// gzip
    Gzip,
    /// bzip2
    Bzip2,
    /// xz
    Xz,
    /// Zstandard, which is written only a whole stream at once.
    Zstd,
}

/// Most KiB of memory for reading xz.
const XZ_MEMORY: u32 = 256 << 10;
/// Most bytes that a Zstandard stream may want to look back.
const ZSTD_WINDOW: u64 = 128 << 20;

impl Compression {
    /// Says what begins with these bytes (six are enough).
    pub fn of(begin: &[u8]) -> Self {
        match begin {
            [0x1f, 0x8b, ..] => Self::Gzip,
            [b'B', b'Z', b'h', ..] => Self::Bzip2,
            [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Self::Xz,
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Self::Zstd,
            _ => Self::None,
        }
    }

    /// Reads what `reader` holds in this compression.
    ///
    /// # Errors
    ///
    /// The stream does not begin as it must.
    pub fn decoder<'r>(self, reader: impl Read + 'r) -> io::Result<Box<dyn Read + 'r>> {
        let reader = BufReader::with_capacity(128 << 10, reader);
        Ok(match self {
            Self::None => Box::new(reader),
            Self::Gzip => Box::new(MultiGzDecoder::new(reader)),
            Self::Bzip2 => Box::new(MultiBzDecoder::new(reader)),
            Self::Xz => Box::new(XzReader::new_mem_limit(reader, true, XZ_MEMORY)),
            Self::Zstd => Box::new(Frames { reader: Some(Frame::Between(reader)) }),
        })
    }
}

/// How hard pieces of backups are compressed with gzip: what costs little time.
const QUICK: u32 = 2;

impl Compression {
    /// Compresses `bytes` to a stream of its own, quickly. Streams of one compression can stand one after the other.
    ///
    /// # Errors
    ///
    /// It is not written in this compression.
    pub fn whole(self, bytes: &[u8]) -> io::Result<Vec<u8>> {
        match self {
            Self::None => Ok(bytes.to_vec()),
            Self::Gzip => {
                let room = Vec::with_capacity(bytes.len() / 2);
                let mut encoder = GzEncoder::new(room, flate2::Compression::new(QUICK));
                encoder.write_all(bytes)?;
                encoder.finish()
            }
            Self::Zstd => Ok(compress_to_vec(bytes, CompressionLevel::Fastest)),
            other => {
                let mut encoder = Encoder::new(vec![], other)?;
                encoder.write_all(bytes)?;
                encoder.finish()
            }
        }
    }
}

/// Zstandard frames one after the other.
struct Frames<R: io::BufRead> {
    reader: Option<Frame<R>>,
}

enum Frame<R: io::BufRead> {
    Between(R),
    Within(Box<StreamingDecoder<R, ruzstd::decoding::FrameDecoder>>),
}

impl<R: io::BufRead> Read for Frames<R> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.reader.take() {
                None => return Ok(0),
                Some(Frame::Between(mut reader)) => {
                    if reader.fill_buf()?.is_empty() {
                        return Ok(0);
                    }
                    let decoder = StreamingDecoder::new_with_max_window_size(reader, ZSTD_WINDOW);
                    let decoder =
                        decoder.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error.to_string()))?;
                    self.reader = Some(Frame::Within(Box::new(decoder)));
                }
                Some(Frame::Within(mut decoder)) => {
                    let length = decoder.read(bytes)?;
                    if length > 0 || bytes.is_empty() {
                        self.reader = Some(Frame::Within(decoder));
                        return Ok(length);
                    }
                    self.reader = Some(Frame::Between(decoder.into_inner()));
                }
            }
        }
    }
}

/// Compresses what is written to it. Not whole before [`Encoder::finish`].
pub enum Encoder<W: Write> {
    /// Not at all.
    None(W),
    /// gzip
    Gzip(GzEncoder<W>),
    /// bzip2
    Bzip2(BzEncoder<W>),
    /// xz
    Xz(Box<XzWriter<W>>),
}

impl<W: Write> Encoder<W> {
    /// Writes to `writer`, compressed.
    ///
    /// # Errors
    ///
    /// It cannot be written, or not in this compression.
    pub fn new(writer: W, compression: Compression) -> io::Result<Self> {
        Ok(match compression {
            Compression::None => Self::None(writer),
            Compression::Gzip => Self::Gzip(GzEncoder::new(writer, flate2::Compression::default())),
            Compression::Bzip2 => Self::Bzip2(BzEncoder::new(writer, bzip2::Compression::best())),
            Compression::Xz => Self::Xz(Box::new(XzWriter::new(writer, XzOptions::with_preset(6))?)),
            Compression::Zstd => return Err(io::Error::new(io::ErrorKind::Unsupported, "Zstandard is only read")),
        })
    }

    /// Writes what is held back and returns the writer.
    ///
    /// # Errors
    ///
    /// It cannot be written.
    pub fn finish(self) -> io::Result<W> {
        match self {
            Self::None(mut writer) => writer.flush().map(|()| writer),
            Self::Gzip(encoder) => encoder.finish(),
            Self::Bzip2(encoder) => encoder.finish(),
            Self::Xz(encoder) => Ok(encoder.finish()?),
        }
    }
}

impl<W: Write> Write for Encoder<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::None(writer) => writer.write(bytes),
            Self::Gzip(encoder) => encoder.write(bytes),
            Self::Bzip2(encoder) => encoder.write(bytes),
            Self::Xz(encoder) => encoder.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::None(writer) => writer.flush(),
            Self::Gzip(encoder) => encoder.flush(),
            Self::Bzip2(encoder) => encoder.flush(),
            Self::Xz(encoder) => encoder.flush(),
        }
    }
}
