//! Images and their names.

use std::time::Duration;

use serde_json::Value;

use super::model::{Alias, Config, Image, Operation};
use super::{Client, Error, optional, request};

pub mod reference;
mod transfer;

pub use transfer::{Files, Part, Upload};

/// How long making or moving an image may take.
const IMAGE: Duration = Duration::from_hours(1);

/// How a published image is packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    /// Not at all.
    None,
    /// By zstd, which the server must have as a program: as fast as it can, on all cores.
    Zstd,
}

impl Compression {
    /// The words that the API wants: a program and its options.
    ///
    /// Source: `IsCompressionAlgorithm` and `compressFile` of LXD and Incus.
    pub fn word(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Zstd => "zstd -1 -T0",
        }
    }
}

/// An image to be made of an instance.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Publish {
    /// The instance; it must be stopped.
    pub instance: String,
    /// Properties of the image.
    pub properties: Config,
}

impl Client {
    /// Lists all images with their aliases.
    pub async fn images(&self) -> Result<Vec<Image>, Error> {
        self.call(request::images()).await
    }

    /// Reads one image; `None` if it is not there.
    pub async fn image(&self, fingerprint: &str) -> Result<Option<Image>, Error> {
        optional(self.call(request::image(fingerprint)).await)
    }

    /// Reads one alias; `None` if it is not there.
    pub async fn alias(&self, name: &str) -> Result<Option<Alias>, Error> {
        optional(self.call(request::alias(name)).await)
    }

    /// Makes an image of a stopped instance and returns its fingerprint. It has no alias yet: see [`Self::set_alias`].
    ///
    /// It is packed by zstd where the server has that program, and not at all elsewhere: the API does not say which
    /// it is, so the first failure that names the program decides.
    pub async fn publish(&self, publish: &Publish) -> Result<String, Error> {
        let what = format!("publishing of instance `{}`", publish.instance);
        let attempt = |compression| self.run_long(request::publish(publish, compression), &what, IMAGE);
        let ended = match attempt(Compression::Zstd).await {
            Err(Error::Failed { reason, .. }) if lacks_zstd(&reason) => attempt(Compression::None).await?,
            Err(Error::Refused { message, .. }) if lacks_zstd(&message) => attempt(Compression::None).await?,
            other => other?,
        };
        self.fingerprint(&ended)
    }

    /// Has the server fetch an image from an image server; returns its fingerprint. What is there already stays.
    pub async fn pull_image(&self, server: &str, protocol: &str, alias: &str) -> Result<String, Error> {
        let what = format!("download of image `{alias}` from {server}");
        let ended = self.run_long(request::pull_image(server, protocol, alias), &what, IMAGE).await?;
        self.fingerprint(&ended)
    }

    /// Adds properties to an image.
    pub async fn add_properties(&self, fingerprint: &str, properties: &Config) -> Result<(), Error> {
        self.tell(request::update_image(fingerprint, properties)).await
    }

    /// Deletes an image with its aliases; one that is not there is deleted already.
    pub async fn delete_image(&self, fingerprint: &str) -> Result<(), Error> {
        let what = format!("deletion of image `{fingerprint}`");
        optional(self.run(request::delete_image(fingerprint), &what, IMAGE).await).map(drop)
    }

    /// Points `name` at the image `target`, whether the name was there before or not. There is no moment at which a
    /// name that was there is not.
    pub async fn set_alias(&self, name: &str, target: &str, description: &str) -> Result<(), Error> {
        match self.tell(request::update_alias(name, target, description)).await {
            Err(error) if error.is_missing() => self.tell(request::create_alias(name, target, description)).await,
            other => other,
        }
    }

    /// Deletes a name; its image stays. One that is not there is deleted already.
    pub async fn delete_alias(&self, name: &str) -> Result<(), Error> {
        optional(self.tell(request::delete_alias(name)).await).map(drop)
    }

    fn fingerprint(&self, ended: &Operation) -> Result<String, Error> {
        let fingerprint = ended.metadata.get("fingerprint").and_then(Value::as_str).unwrap_or_default();
        if is_fingerprint(fingerprint) {
            return Ok(fingerprint.to_owned());
        }
        Err(self.malformed(&format!("GET /1.0/operations/{}/wait", ended.id), "it names no image"))
    }
}

fn lacks_zstd(reason: &str) -> bool {
    reason.contains("zstd") || reason.contains("compression")
}

/// Whether `text` is a whole SHA-256 in lower-case hexadecimal.
pub fn is_fingerprint(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
}
