//! Everything that a host has: which projects and modules, at which versions, in which order.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::flow::backup::{DATA, Error};
use crate::flow::world::World;
use crate::flow::{found, look};
use crate::lxd::model::Instance;
use crate::project::{Kind, Repository, deployed};

/// A project or module on a host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// `project_id` or `module_id`.
    pub id: String,
    /// Which of the two. What nobody knows any more is taken for a project: it stops first and starts last.
    pub kind: Kind,
    /// The version that its instances were deployed with, if they say so.
    pub version: Option<String>,
    /// Whether it keeps data on the host.
    pub data: bool,
}

/// What this computer knows of a host.
#[derive(Clone, Debug, Default)]
pub struct Known {
    /// The repositories that are configured for it, by what they call themselves.
    pub repositories: BTreeMap<String, Repository>,
    /// The modules that were deployed there, in their order.
    pub modules: Vec<String>,
    /// The projects.
    pub projects: Vec<String>,
}

impl Known {
    /// What `host` is known by, with these repositories. A list that cannot be read is none: it is made anew by the next
    /// deployment.
    pub fn here(working_directory: &Path, host: &str, repositories: BTreeMap<String, Repository>) -> Self {
        let list = |kind| deployed::read(working_directory, kind, host).unwrap_or_default();
        Self { repositories, modules: list(Kind::Module), projects: list(Kind::Project) }
    }

    /// What something is, as far as it is known here.
    pub fn kind(&self, id: &str) -> Kind {
        let recorded = if self.modules.iter().any(|it| it == id) { Kind::Module } else { Kind::Project };
        self.repositories.get(id).map_or(recorded, |repository| repository.kind)
    }

    /// Where something comes in the order of deployment: modules before projects, what needs others behind them, what was
    /// deployed first before the rest, then by name.
    pub fn place(&self, kind: Kind, id: &str) -> (bool, usize, usize, String) {
        let list = if kind == Kind::Module { &self.modules } else { &self.projects };
        let listed = list.iter().position(|it| it == id).unwrap_or(usize::MAX);
        let depth = self.repositories.get(id).map_or(0, |it| self.depth(it, self.repositories.len()));
        (kind == Kind::Project, depth, listed, id.to_owned())
    }

    /// How many stand below a repository, each needed by the one above it; a circle ends with `most`.
    fn depth(&self, repository: &Repository, most: usize) -> usize {
        let below = self.needed(repository).filter(|_| most > 0).map(|it| 1 + self.depth(it, most - 1));
        below.max().unwrap_or(0)
    }

    /// The repositories that `repository` needs, as far as they are here.
    pub fn needed(&self, repository: &Repository) -> impl Iterator<Item = &Repository> {
        let names = repository.modules.clone();
        self.repositories.values().filter(move |it| names.contains(&it.name))
    }
}

/// Looks at what a host has.
///
/// # Errors
///
/// LXD, Incus or the agent does not answer.
pub async fn look(world: &World, known: &Known) -> Result<Vec<Part>, Error> {
    let (stock, instances) = tokio::join!(world.agent.stock(DATA), look::instances(world));
    Ok(parts(&stock?.present, &instances?, known))
}

/// The projects and modules of a host, in the order of deployment, from the names of the directories that hold data and
/// from its instances.
pub fn parts(data: &BTreeSet<String>, instances: &[Instance], known: &Known) -> Vec<Part> {
    let ours = instances.iter().filter(|it| !it.config.contains_key(found::BUILD));
    let versions: BTreeMap<&String, Option<&String>> =
        ours.filter_map(|it| Some((it.config.get(found::OWNER)?, it.config.get(found::VERSION)))).collect();
    let ids: BTreeSet<&String> = data.iter().chain(versions.keys().copied()).collect();
    let part = |id: &String| Part {
        id: id.clone(),
        kind: known.kind(id),
        version: versions.get(id).copied().flatten().cloned(),
        data: data.contains(id),
    };
    let mut parts: Vec<Part> = ids.into_iter().map(part).collect();
    parts.sort_by_cached_key(|part| known.place(part.kind, &part.id));
    parts
}
