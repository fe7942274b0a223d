//! What an image's name in a file means: the operator's rewrites, image servers, the host's own store.

use std::collections::BTreeMap;

use crate::flow::found::Image;
use crate::flow::world::World;
use crate::lxd;
use crate::lxd::image::is_fingerprint;

/// The operator's rewrites and the image servers by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names {
    /// Name in a file → name to take instead.
    pub rewrites: BTreeMap<String, String>,
    /// Name in front of the colon → address of a simplestreams server.
    pub remotes: BTreeMap<String, String>,
}

/// The image servers that LXD and Incus know by themselves. Source: the default configuration of `lxc` and `incus`.
const REMOTES: [(&str, &str); 5] = [
    ("images", "https://images.linuxcontainers.org"),
    ("ubuntu", "https://cloud-images.ubuntu.com/releases"),
    ("ubuntu-daily", "https://cloud-images.ubuntu.com/daily"),
    ("ubuntu-minimal", "https://cloud-images.ubuntu.com/minimal/releases"),
    ("ubuntu-minimal-daily", "https://cloud-images.ubuntu.com/minimal/daily"),
];

/// Where an image is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// In the host's store, by alias or fingerprint.
    Store(String),
    /// On an image server.
    Remote {
        /// Address of the server, which speaks simplestreams.
        server: String,
        /// Name there.
        alias: String,
    },
}

impl Names {
    /// Returns the name to take where a file says `name`.
    pub fn rewritten(&self, name: &str) -> String {
        self.rewrites.get(name).cloned().unwrap_or_else(|| name.to_owned())
    }

    /// Returns where the image is that a file calls `name`.
    pub fn place(&self, name: &str) -> Place {
        let name = self.rewritten(name);
        match name.split_once(':') {
            Some(("local", alias)) => Place::Store(alias.to_owned()),
            Some((remote, alias)) => match self.remote(remote) {
                Some(server) => Place::Remote { server, alias: alias.to_owned() },
                None => Place::Store(name),
            },
            None => Place::Store(name),
        }
    }

    fn remote(&self, name: &str) -> Option<String> {
        let usual = REMOTES.iter().find(|(remote, _)| *remote == name).map(|(_, server)| (*server).to_owned());
        self.remotes.get(name).cloned().or(usual)
    }

    /// Returns the fingerprint of the image that a file calls `name`, if it is in the host's store.
    ///
    /// # Errors
    ///
    /// [`lxd::Error::NoImage`] if it is to be there and is not.
    pub fn fingerprint(&self, name: &str, images: &[Image]) -> Result<Option<String>, lxd::Error> {
        let Place::Store(wanted) = self.place(name) else { return Ok(None) };
        let is = |image: &&Image| image.fingerprint == wanted || image.aliases.contains(&wanted);
        match images.iter().find(is) {
            Some(image) => Ok(Some(image.fingerprint.clone())),
            None => Err(lxd::Error::NoImage { name: wanted }),
        }
    }
}

/// Returns the fingerprint of the image that a file calls `name`; one on an image server is fetched by the host.
///
/// # Errors
///
/// [`lxd::Error::NoImage`] if it is not there, and whatever the server says.
pub async fn ensure(world: &World, name: &str) -> Result<String, lxd::Error> {
    match world.names.place(name) {
        Place::Remote { server, alias } => world.lxd.pull_image(&server, "simplestreams", &alias).await,
        Place::Store(wanted) if is_fingerprint(&wanted) => match world.lxd.image(&wanted).await? {
            Some(image) => Ok(image.fingerprint),
            None => Err(lxd::Error::NoImage { name: wanted }),
        },
        Place::Store(wanted) => match world.lxd.alias(&wanted).await? {
            Some(alias) => Ok(alias.target),
            None => Err(lxd::Error::NoImage { name: wanted }),
        },
    }
}
