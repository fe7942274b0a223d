//! A backup of everything on a host: the archives with one stamp.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use crate::archive::seal::Identities;
use crate::flow::backup::location::Location;
use crate::flow::backup::record::About;
use crate::flow::backup::store::Store;
use crate::flow::backup::{self, Manifest, manifest};
use crate::flow::found;
use crate::flow::restore::{Error, Spec};
use crate::flow::whole::{Known, Part};
use crate::lxd;
use crate::project::Kind;

/// A backup of everything on a host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Set {
    /// Its stamp.
    pub stamp: String,
    /// Its archives, in the order of deployment.
    pub specs: Vec<Spec>,
    /// What was on the host, in the order of deployment.
    pub parts: Vec<Part>,
    /// The instances at that time.
    pub instances: Vec<manifest::Instance>,
}

/// Finds the backup of `host` with a stamp, or the newest one that says of itself that it is of all of it, in `store`.
///
/// # Errors
///
/// [`Error::NoSet`], [`Error::Missing`], [`Error::Store`], [`Error::Manifest`].
pub fn find(
    store: impl Into<Store>,
    host: &str,
    stamp: Option<&str>,
    known: &Known,
    identities: &Identities,
) -> Result<Set, Error> {
    let store = store.into();
    let catalogue = store.look(identities).map_err(Box::new)?;
    let told = catalogue.backups.into_iter().filter_map(|backup| Some((backup.archive, backup.about?)));
    let mut archives: Vec<(Location, About)> = told.filter(|(_, about)| about.host == host).collect();
    archives.sort_by_key(|(_, about)| Reverse(about.when));
    let none = || Error::NoSet { host: host.to_owned(), stamp: stamp.map(str::to_owned), directory: store.shown() };
    let stamp = match stamp {
        Some(stamp) => stamp.to_owned(),
        None => newest(&archives, identities)?.ok_or_else(none)?,
    };
    let mut set = Set { stamp: stamp.clone(), specs: vec![], parts: vec![], instances: vec![] };
    for (archive, about) in archives.into_iter().filter(|(_, about)| about.stamp == stamp) {
        let kind = match read(&archive, identities)? {
            Some(manifest) => {
                set.instances.extend(manifest.instances);
                if !manifest.of_host.is_empty() {
                    set.parts = manifest.of_host;
                }
                if manifest.kind == Kind::Module.word() { Kind::Module } else { Kind::Project }
            }
            None => known.kind(&about.id),
        };
        let (host, id, identities) = (about.host, about.id, identities.clone());
        set.specs.push(Spec { host, id, kind, archive, stamp: stamp.clone(), identities });
    }
    let missing = set.parts.iter().filter(|part| part.data && !set.specs.iter().any(|spec| spec.id == part.id));
    let missing: Vec<String> = missing.map(|part| part.id.clone()).collect();
    if !missing.is_empty() {
        return Err(Error::Missing { host: host.to_owned(), stamp, missing });
    }
    if set.specs.is_empty() {
        return Err(none());
    }
    set.specs.sort_by_cached_key(|spec| (known.place(spec.kind, &spec.id), spec.archive.path().to_owned()));
    set.specs.dedup_by(|a, b| a.id == b.id);
    if set.parts.is_empty() {
        set.parts = set.specs.iter().map(part).collect();
    }
    set.parts.sort_by_cached_key(|part| known.place(part.kind, &part.id));
    Ok(set)
}

/// The stamp of the newest archive that is of a whole host.
fn newest(archives: &[(Location, About)], identities: &Identities) -> Result<Option<String>, Error> {
    for (archive, about) in archives {
        if read(archive, identities)?.is_some_and(|manifest| !manifest.of_host.is_empty()) {
            return match backup::misfit(&about.stamp) {
                Some(what) => Err(Error::Differs { file: archive.path().to_owned(), what }),
                None => Ok(Some(about.stamp.clone())),
            };
        }
    }
    Ok(None)
}

fn read(archive: &Location, identities: &Identities) -> Result<Option<Manifest>, Error> {
    let told = |source| Error::Manifest { file: manifest::beside(archive.path()), source };
    Manifest::head(archive, identities).map_err(told)
}

/// What is known of something of which there is an archive and no more.
fn part(spec: &Spec) -> Part {
    Part { id: spec.id.clone(), kind: spec.kind, version: None, data: true }
}

impl Set {
    /// The version of each project and module, as far as it is known.
    pub fn versions(&self) -> BTreeMap<String, String> {
        self.parts.iter().filter_map(|part| Some((part.id.clone(), part.version.clone()?))).collect()
    }

    /// What of `instances`, which are there now, is not as it was when it was backed up.
    pub fn differences(&self, instances: &[lxd::model::Instance]) -> Vec<String> {
        let now = |name: &str| instances.iter().find(|it| it.name == name);
        let line = |was: &manifest::Instance| {
            let Some(is) = now(&was.name) else { return Some(format!("instance {} is not there", was.name)) };
            let version = is.config.get(found::VERSION);
            let word = |version: Option<&String>| version.map_or("no version".to_owned(), |it| format!("version {it}"));
            if version != was.version.as_ref() {
                let (is, was_at) = (word(version), word(was.version.as_ref()));
                return Some(format!("instance {} is of {is}; {was_at} was backed up", was.name));
            }
            let other = is.base_image() != was.image.as_deref();
            other.then(|| format!("the image of instance {} was built anew since the backup", was.name))
        };
        let mut lines: Vec<String> = self.instances.iter().filter_map(line).collect();
        lines.sort();
        lines.dedup();
        lines
    }
}
