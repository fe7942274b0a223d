//! Images as people write them: `alias`, a fingerprint or its beginning, `remote:alias`.

use std::collections::BTreeMap;
use std::fmt;

use super::Error;
use crate::lxd::instance::ImageSource;
use crate::lxd::model::Image;

/// What the part before the colon stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Remote {
    /// The server that is asked.
    Here,
    /// An image server.
    Server {
        /// Address, e.g. `https://cloud-images.ubuntu.com/releases`.
        server: String,
        /// `simplestreams`, `lxd` or `incus`.
        protocol: String,
    },
}

/// Remotes by name.
pub type Remotes = BTreeMap<String, Remote>;

/// Returns the remotes that `lxc` and `incus` know from the start.
pub fn remotes() -> Remotes {
    let servers = [
        ("images", "https://images.linuxcontainers.org"),
        ("ubuntu", "https://cloud-images.ubuntu.com/releases"),
        ("ubuntu-daily", "https://cloud-images.ubuntu.com/daily"),
        ("ubuntu-minimal", "https://cloud-images.ubuntu.com/minimal/releases"),
        ("ubuntu-minimal-daily", "https://cloud-images.ubuntu.com/minimal/daily"),
    ];
    let remote = |server: &str| Remote::Server { server: server.to_owned(), protocol: "simplestreams".to_owned() };
    let known = servers.into_iter().map(|(name, server)| (name.to_owned(), remote(server)));
    known.chain([("local".to_owned(), Remote::Here)]).collect()
}

/// An image, as wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reference {
    /// An alias, a fingerprint or the beginning of one, in the server's own store.
    Local(String),
    /// A name on an image server.
    Remote {
        /// Its address.
        server: String,
        /// Its protocol.
        protocol: String,
        /// The name there.
        alias: String,
    },
}

impl Reference {
    /// Reads `text` as people write it.
    ///
    /// # Errors
    ///
    /// [`Error::UnknownRemote`] if the part before the first colon is not one of `remotes`.
    pub fn parse(text: &str, remotes: &Remotes) -> Result<Self, Error> {
        let Some((name, alias)) = text.split_once(':') else { return Ok(Self::Local(text.to_owned())) };
        match remotes.get(name) {
            None => Err(Error::UnknownRemote { name: name.to_owned(), image: text.to_owned() }),
            Some(Remote::Here) => Ok(Self::Local(alias.to_owned())),
            Some(Remote::Server { server, protocol }) => {
                let (server, protocol, alias) = (server.clone(), protocol.clone(), alias.to_owned());
                Ok(Self::Remote { server, protocol, alias })
            }
        }
    }

    /// Finds the image among those of the server. One of an image server is found if it was fetched before.
    ///
    /// An alias goes before the beginning of a fingerprint; a beginning that several images share finds none.
    pub fn find<'a>(&self, images: &'a [Image]) -> Option<&'a Image> {
        match self {
            Self::Local(name) => named(name, images).or_else(|| begun(name, images)),
            Self::Remote { server, protocol, alias } => images.iter().find(|image| {
                image.update_source.as_ref().is_some_and(|origin| {
                    origin.server.trim_end_matches('/') == server.trim_end_matches('/')
                        && origin.protocol == *protocol
                        && origin.alias == *alias
                })
            }),
        }
    }

    /// Like [`Self::find`], for an image that has to be there.
    ///
    /// # Errors
    ///
    /// [`Error::NoImage`] with the name as it was asked for.
    pub fn resolve<'a>(&self, images: &'a [Image]) -> Result<&'a Image, Error> {
        self.find(images).ok_or_else(|| Error::NoImage { name: self.to_string() })
    }

    /// Returns it as the source of a new instance.
    pub fn source(&self) -> ImageSource {
        match self {
            Self::Local(name) if super::is_fingerprint(name) => ImageSource::Fingerprint(name.clone()),
            Self::Local(name) => ImageSource::Alias(name.clone()),
            Self::Remote { server, protocol, alias } => {
                let (server, protocol, alias) = (server.clone(), protocol.clone(), alias.clone());
                ImageSource::Remote { server, protocol, alias }
            }
        }
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Local(name) => f.write_str(name),
            Self::Remote { server, alias, .. } => write!(f, "{alias} of {server}"),
        }
    }
}

fn named<'a>(name: &str, images: &'a [Image]) -> Option<&'a Image> {
    images.iter().find(|image| image.aliases.iter().any(|alias| alias.name == name))
}

fn begun<'a>(name: &str, images: &'a [Image]) -> Option<&'a Image> {
    let mut found = images.iter().filter(|image| !name.is_empty() && image.fingerprint.starts_with(name));
    found.next().filter(|_| found.next().is_none())
}
