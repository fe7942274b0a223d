//! Compression, told apart by the first bytes.

use std::io::{self, BufReader, Read, Write};

use bzip2::read::MultiBzDecoder;
use bzip2::write::BzEncoder;
use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;
use libdeflater::{CompressionLvl, Compressor};
use lzma_rust2::{XzOptions, XzReader, XzWriter};
use serde::{Deserialize, Serialize};
use zstd::stream::{read::Decoder as ZstdDecoder, write::Encoder as ZstdEncoder};

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
    /// Zstandard
    Zstd,
}

/// Most KiB of memory for reading xz.
const XZ_MEMORY: u32 = 256 << 10;
/// How far a Zstandard stream may want to look back, as a power of two in bytes.
const ZSTD_WINDOW: u32 = 27;

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

    /// Reads what `reader` holds, in the compression that it begins with.
    ///
    /// # Errors
    ///
    /// It cannot be read, or the stream does not begin as it must.
    pub fn detected<'r>(mut reader: impl Read + 'r) -> io::Result<(Self, Box<dyn Read + 'r>)> {
        let mut begin = vec![];
        reader.by_ref().take(6).read_to_end(&mut begin)?;
        let compression = Self::of(&begin);
        Ok((compression, compression.decoder(io::Cursor::new(begin).chain(reader))?))
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
            Self::Zstd => {
                let mut decoder = ZstdDecoder::with_buffer(reader)?;
                decoder.window_log_max(ZSTD_WINDOW)?;
                Box::new(decoder)
            }
        })
    }
}

/// How hard pieces of backups are compressed with gzip. At this level libdeflate is as quick as zlib-rs at its own first
/// one, and text becomes as small as at its second. Who wants more takes Zstandard, which is quicker still.
const QUICK: i32 = 1;
/// The same with Zstandard.
const QUICK_ZSTD: i32 = 1;
/// How hard Zstandard compresses what is no piece of a backup: as the program `zstd` does.
const USUAL_ZSTD: i32 = 3;

impl Compression {
    /// Compresses `bytes` to a stream of its own, quickly. Streams of one compression can stand one after the other.
    ///
    /// # Errors
    ///
    /// It cannot be compressed.
    pub fn whole(self, bytes: &[u8]) -> io::Result<Vec<u8>> {
        match self {
            Self::None => Ok(bytes.to_vec()),
            Self::Gzip => gzip(bytes, if is_noise(bytes)? { 0 } else { QUICK }),
            Self::Zstd => zstd::bulk::compress(bytes, QUICK_ZSTD),
            other => {
                let mut encoder = Encoder::new(vec![], other)?;
                encoder.write_all(bytes)?;
                encoder.finish()
            }
        }
    }
}

fn gzip(bytes: &[u8], level: i32) -> io::Result<Vec<u8>> {
    let level = CompressionLvl::new(level).map_err(|_| io::Error::other("there is no such level of compression"))?;
    let mut compressor = Compressor::new(level);
    let mut packed = vec![0; compressor.gzip_compress_bound(bytes.len())];
    let length = compressor.gzip_compress(bytes, &mut packed).map_err(io::Error::other)?;
    packed.truncate(length);
    Ok(packed)
}

/// Of how many parts of a piece it is seen whether it can be compressed, and their length in bytes.
const SAMPLES: (usize, usize) = (8, 2 << 10);

/// Whether there is nothing to be gained by compressing a piece, as with pictures and archives. It would take as long as
/// anything else.
fn is_noise(bytes: &[u8]) -> io::Result<bool> {
    let (count, length) = SAMPLES;
    if bytes.len() < 2 * count * length {
        return Ok(false);
    }
    let step = (bytes.len() - length) / (count - 1);
    let samples: Vec<&[u8]> = (0..count).map(|turn| &bytes[turn * step..turn * step + length]).collect();
    Ok(gzip(&samples.concat(), QUICK)?.len() > count * length * 24 / 25)
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
    /// Zstandard
    Zstd(ZstdEncoder<'static, W>),
}

impl<W: Write> Encoder<W> {
    /// Writes to `writer`, compressed.
    ///
    /// # Errors
    ///
    /// It cannot be written.
    pub fn new(writer: W, compression: Compression) -> io::Result<Self> {
        Ok(match compression {
            Compression::None => Self::None(writer),
            Compression::Gzip => Self::Gzip(GzEncoder::new(writer, flate2::Compression::default())),
            Compression::Bzip2 => Self::Bzip2(BzEncoder::new(writer, bzip2::Compression::best())),
            Compression::Xz => Self::Xz(Box::new(XzWriter::new(writer, XzOptions::with_preset(6))?)),
            Compression::Zstd => Self::Zstd(ZstdEncoder::new(writer, USUAL_ZSTD)?),
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
            Self::Zstd(encoder) => encoder.finish(),
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
            Self::Zstd(encoder) => encoder.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::None(writer) => writer.flush(),
            Self::Gzip(encoder) => encoder.flush(),
            Self::Bzip2(encoder) => encoder.flush(),
            Self::Xz(encoder) => encoder.flush(),
            Self::Zstd(encoder) => encoder.flush(),
        }
    }
}
