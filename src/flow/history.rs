//! The versions of a project or module that are kept on the host, for a rollback.
//!
//! Each is what its files wanted when a deployment of it had ended well: instances with their configuration, devices and
//! user data, networks, profiles and files in instances, Consul keys with their values, and which images it was made
//! from. They are in one file on the host, beside what else is remembered there, because the host is the state and has
//! the images; it is root's alone (0600), because values may be secret. Labels of instances would not do: a version is
//! more than its instances, and these go when they are replaced. Objects on database servers are not kept.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::json;
use thiserror::Error;

use crate::agent::client::Attributes;
use crate::flow::deploy::Unit;
use crate::flow::found::{Found, IMAGE_OWNER};
use crate::flow::world::World;
use crate::flow::{apply, digest, host_setup, journal};
use crate::project::access::Writes;
use crate::secret::Secret;
use crate::terraform::{ConsulProvider, Content, Kind, Resource};
use crate::{agent, lxd};

/// How many versions are kept, the present one included.
pub const MOST: usize = 3;

/// Versions cannot be read, kept or found.
#[derive(Debug, Error)]
pub enum Error {
    /// LXD or Incus.
    #[error(transparent)]
    Lxd(#[from] lxd::Error),
    /// The agent on the host.
    #[error(transparent)]
    Agent(#[from] agent::Error),
    /// There is no place for them on the host.
    #[error(transparent)]
    Directory(#[from] Box<apply::Error>),
    /// The file is not one of ours.
    #[error("`{path}` on the host does not hold versions")]
    Malformed {
        /// The file on the host.
        path: String,
        /// Why.
        source: serde_json::Error,
    },
    /// No version is kept.
    #[error("no version of {owner} is kept on host `{host}`")]
    Nothing {
        /// The project or module.
        owner: String,
        /// The host.
        host: String,
    },
    /// The present version is the first that is kept.
    #[error("no version of {owner} before {present} is kept on host `{host}`")]
    First {
        /// The project or module.
        owner: String,
        /// The host.
        host: String,
        /// The present version.
        present: String,
    },
    /// A version that was asked for is not kept.
    #[error("version {version} of {owner} is not kept on host `{host}`")]
    None {
        /// The project or module.
        owner: String,
        /// The host.
        host: String,
        /// The version.
        version: String,
        /// Those that are.
        kept: Vec<String>,
    },
    /// An image of a version has been removed.
    #[error("image {alias} of version {version} is no longer on host `{host}`")]
    ImageGone {
        /// The image.
        alias: String,
        /// The version.
        version: String,
        /// The host.
        host: String,
    },
}

/// One version.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Version {
    /// What it is called, e.g. `20261123-031500`.
    pub version: String,
    /// When it was deployed first, in seconds since 1970 (UTC).
    pub when: u64,
    /// The fingerprint of each image of its own, by alias.
    pub images: BTreeMap<String, String>,
    /// The Consul provider.
    pub consul: Option<ConsulProvider>,
    /// Its resources, but for those on database servers.
    pub resources: Vec<Resource>,
    /// Consul keys that its containers may write, on a host where they have to be allowed to.
    pub writes: Writes,
}

impl Version {
    /// What `unit` is, made from images with these fingerprints.
    fn of(unit: &Unit, fingerprints: &BTreeMap<String, String>) -> Self {
        let aliases = unit.images.iter().map(|spec| &spec.build.alias);
        let images = aliases.filter_map(|alias| Some((alias.clone(), fingerprints.get(alias)?.clone())));
        let resources = unit.deployment.resources.iter().filter(|it| !matches!(it.kind, Kind::Database(_)));
        Self {
            version: unit.version.clone(),
            when: journal::seconds(),
            images: images.collect(),
            consul: unit.deployment.consul.clone(),
            resources: resources.cloned().map(with_content).collect(),
            writes: unit.writes.clone(),
        }
    }

    /// Whether a rollback to it does the same, whenever it was deployed and whatever it is called.
    fn is_same(&self, other: &Self) -> bool {
        let digest = |version: &Self| {
            let kinds: Vec<&Kind> = version.resources.iter().map(|resource| &resource.kind).collect();
            digest::of(&json!([version.images, version.consul, kinds, version.writes]))
        };
        digest(self) == digest(other)
    }
}

/// A file of this computer may be another one by the time of a rollback: its text is kept, if it is one.
fn with_content(mut resource: Resource) -> Resource {
    if let Kind::File(file) = &mut resource.kind
        && let Content::Source(path) = &file.content
        && let Ok(text) = std::fs::read_to_string(path)
    {
        file.content = Content::Text(Secret::new(text));
    }
    resource
}

/// The versions of one project or module, oldest first.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct History {
    /// Which of them was deployed or rolled back to last.
    pub present: usize,
    /// All that are kept.
    pub versions: Vec<Version>,
}

impl History {
    /// Makes `version` the present one. One that is kept already stays where it is; a new one comes behind the present
    /// one, and those that were rolled back from go. Returns whether anything has changed.
    pub fn enter(&mut self, version: Version) -> bool {
        let before = self.present;
        if let Some(at) = self.versions.iter().position(|kept| kept.is_same(&version)) {
            self.present = at;
            return at != before;
        }
        self.versions.truncate(self.present + 1);
        self.versions.push(version);
        self.versions.drain(..self.versions.len().saturating_sub(MOST));
        self.present = self.versions.len() - 1;
        true
    }

    /// Which version to go back to: the newest other one called `to`, or the one before the present one.
    ///
    /// # Errors
    ///
    /// [`Error::Nothing`], [`Error::First`], [`Error::None`].
    pub fn target(&self, owner: &str, host: &str, to: Option<&str>) -> Result<usize, Error> {
        let (owner, host) = (owner.to_owned(), host.to_owned());
        let Some(present) = self.versions.get(self.present) else { return Err(Error::Nothing { owner, host }) };
        let Some(to) = to else {
            let present = present.version.clone();
            return self.present.checked_sub(1).ok_or(Error::First { owner, host, present });
        };
        let mut called: Vec<usize> = (0..self.versions.len()).filter(|at| self.versions[*at].version == to).collect();
        called.sort_by_key(|at| (*at != self.present, *at));
        called.pop().ok_or_else(|| Error::None {
            owner,
            host,
            version: to.to_owned(),
            kept: self.versions.iter().map(|kept| kept.version.clone()).collect(),
        })
    }
}

fn directory(world: &World, owner: &str) -> String {
    format!("{}/{}/{owner}", world.state, world.host)
}

fn place(world: &World, owner: &str) -> String {
    format!("{}/versions.json", directory(world, owner))
}

/// Reads the versions of `owner`; none if there are none.
///
/// # Errors
///
/// See [`Error`].
pub async fn read(world: &World, owner: &str) -> Result<History, Error> {
    let path = place(world, owner);
    let Some(content) = world.agent.read(&path).await? else { return Ok(History::default()) };
    let history: History =
        serde_json::from_slice(&content).map_err(|source| Error::Malformed { path: path.clone(), source })?;
    if history.versions.get(history.present).is_none() {
        let source = serde::de::Error::custom("the present version is none of them");
        return Err(Error::Malformed { path, source });
    }
    Ok(history)
}

/// Writes the versions of `owner`.
///
/// # Errors
///
/// See [`Error`]; the file is as it was.
pub async fn write(world: &World, owner: &str, history: &History) -> Result<(), Error> {
    host_setup::make_directory(world, &directory(world, owner)).await.map_err(Box::new)?;
    let attributes = Attributes { mode: Some(0o600), ..Attributes::default() };
    Ok(world.agent.write(&place(world, owner), json!(history).to_string().as_bytes(), &attributes).await?)
}

/// Keeps the versions of `units`, which have been deployed well. What is kept already is not written again.
///
/// # Errors
///
/// See [`Error`]. Running the same command again keeps them.
pub async fn remember(world: &World, units: &[Unit]) -> Result<(), Error> {
    let images = world.lxd.images().await?;
    let named = |image: lxd::model::Image| {
        let fingerprint = image.fingerprint;
        image.aliases.into_iter().map(move |alias| (alias.name, fingerprint.clone())).collect::<Vec<_>>()
    };
    let fingerprints: BTreeMap<String, String> = images.into_iter().flat_map(named).collect();
    for unit in units {
        let mut history = read(world, &unit.owner).await?;
        if history.enter(Version::of(unit, &fingerprints)) {
            write(world, &unit.owner, &history).await?;
        }
    }
    Ok(())
}

/// The fingerprints of images that a rollback of anything on the host would need.
///
/// # Errors
///
/// See [`Error`].
pub async fn kept(world: &World, found: &Found) -> Result<BTreeSet<String>, Error> {
    let owners: BTreeSet<&String> = found.images.iter().filter_map(|image| image.properties.get(IMAGE_OWNER)).collect();
    let mut kept = BTreeSet::new();
    for owner in owners {
        let history = read(world, owner).await?;
        kept.extend(history.versions.into_iter().flat_map(|version| version.images.into_values()));
    }
    Ok(kept)
}
