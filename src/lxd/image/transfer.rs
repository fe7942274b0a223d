//! Images as streams, with their digest computed on the way.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use sha2::{Digest, Sha256};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};

use super::{Client, Config, Error, IMAGE, request};
use crate::http::Body;
use crate::lxd::line;

/// Parts of a multipart body are told apart by this line.
const BOUNDARY: &str = "ryo-e1b7c4d05a8f4a63b1f5";

/// One file of an image as it comes.
pub struct Part {
    /// Its bytes.
    pub reader: Box<dyn AsyncRead + Send + Unpin>,
    /// How many, if that is known.
    pub length: Option<u64>,
}

/// The files of an image.
pub enum Files {
    /// One tar archive with everything.
    Unified(Part),
    /// Metadata and root file system apart.
    Split {
        /// A tar archive with `metadata.yaml`.
        metadata: Part,
        /// A squashfs or tar archive of the root file system.
        rootfs: Part,
    },
}

/// An image to be sent.
pub struct Upload {
    /// What the server notes as the name of the file.
    pub filename: String,
    /// Properties beside those in the image's own metadata.
    pub properties: Config,
    /// Its files.
    pub files: Files,
}

impl Client {
    /// Sends an image to the server and returns its fingerprint. It has no alias yet: see [`Client::set_alias`].
    ///
    /// The fingerprint is computed over the bytes as they are sent, and compared with that of what arrived.
    ///
    /// # Errors
    ///
    /// [`Error::Digest`] if something else arrived than was sent; it has been removed again.
    pub async fn upload(&self, upload: Upload) -> Result<String, Error> {
        let Upload { filename, properties, files } = upload;
        let what = format!("upload of image `{filename}`");
        let digest = Digesting::default();
        let (kind, body) = body(files, &digest);
        let request = request::upload_image(&filename, &kind, body);
        let ended = self.run_long(request, &what, IMAGE).await?;
        let (sent, received) = (digest.finish(), self.fingerprint(&ended)?);
        if received != sent {
            self.delete_image(&received).await?;
            return Err(Error::Digest { sent, received });
        }
        if !properties.is_empty() {
            self.add_properties(&received, &properties).await?;
        }
        Ok(received)
    }

    /// Writes the file of a unified image to `target`; returns the number of bytes.
    ///
    /// # Errors
    ///
    /// [`Error::Digest`] if the bytes are not those that `fingerprint` names; what was written is not to be used.
    pub async fn export<W: AsyncWrite + Unpin>(&self, fingerprint: &str, target: &mut W) -> Result<u64, Error> {
        let request = request::export_image(fingerprint);
        let line = line(&request);
        let response = self.send(request, &line).await?;
        if response.header("content-type").is_some_and(|kind| kind.starts_with("multipart/")) {
            return Err(self.malformed(&line, "the image is in several files"));
        }
        let mut body = response.body;
        let (mut digest, mut total) = (Sha256::new(), 0);
        let mut chunk = vec![0; 64 << 10];
        loop {
            let count = body.read(&mut chunk).await.map_err(|source| self.cut(&line, source))?;
            if count == 0 {
                break;
            }
            digest.update(&chunk[..count]);
            target.write_all(&chunk[..count]).await.map_err(|source| transfer(fingerprint, source))?;
            total += count as u64;
        }
        target.flush().await.map_err(|source| transfer(fingerprint, source))?;
        let received = hex::encode(digest.finalize());
        if received == fingerprint {
            return Ok(total);
        }
        Err(Error::Digest { sent: fingerprint.to_owned(), received })
    }
}

fn transfer(fingerprint: &str, source: io::Error) -> Error {
    Error::Transfer { what: format!("image `{fingerprint}`"), source }
}

/// Returns content type and body.
fn body(files: Files, digest: &Digesting) -> (String, Body) {
    match files {
        Files::Unified(part) => {
            let body = Body::Stream(Box::new(digest.over(part.reader)), part.length);
            ("application/octet-stream".to_owned(), body)
        }
        Files::Split { metadata, rootfs } => {
            let first = opening("metadata", "metadata.tar");
            let second = format!("\r\n{}", opening("rootfs", "rootfs"));
            let last = format!("\r\n--{BOUNDARY}--\r\n");
            let around = (first.len() + second.len() + last.len()) as u64;
            let length = metadata.length.zip(rootfs.length).map(|(metadata, rootfs)| around + metadata + rootfs);
            let reader = text(first)
                .chain(digest.over(metadata.reader))
                .chain(text(second))
                .chain(digest.over(rootfs.reader))
                .chain(text(last));
            (format!("multipart/form-data; boundary={BOUNDARY}"), Body::Stream(Box::new(reader), length))
        }
    }
}

fn opening(name: &str, filename: &str) -> String {
    format!(
        "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"{name}\"; filename=\"{filename}\"\r\n\
         Content-Type: application/octet-stream\r\n\r\n"
    )
}

fn text(text: String) -> io::Cursor<Vec<u8>> {
    io::Cursor::new(text.into_bytes())
}

/// A digest that several readers feed one after the other.
#[derive(Clone, Default)]
struct Digesting(Arc<Mutex<Sha256>>);

impl Digesting {
    fn over(&self, reader: Box<dyn AsyncRead + Send + Unpin>) -> Digested {
        Digested { reader, digest: self.clone() }
    }

    fn finish(&self) -> String {
        hex::encode(self.0.lock().unwrap_or_else(PoisonError::into_inner).clone().finalize())
    }
}

/// Passes bytes on and digests them.
struct Digested {
    reader: Box<dyn AsyncRead + Send + Unpin>,
    digest: Digesting,
}

impl AsyncRead for Digested {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.reader).poll_read(cx, buf))?;
        let mut digest = self.digest.0.lock().unwrap_or_else(PoisonError::into_inner);
        digest.update(&buf.filled()[before..]);
        Poll::Ready(Ok(()))
    }
}
