//! A backup of everything on a host: the archives with one stamp.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::flow::backup::{self, Manifest, manifest};
use crate::flow::found;
use crate::flow::restore::find::{COMPRESSIONS, without_end};
use crate::flow::restore::{Error, Spec, reading};
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

/// Finds the backup of `host` with a stamp, or the newest one that says of itself that it is of all of it.
///
/// # Errors
///
/// [`Error::NoSet`], [`Error::Missing`], [`Error::File`].
pub fn find(working_directory: &Path, host: &str, stamp: Option<&str>, known: &Known) -> Result<Set, Error> {
    let directory = backup::directory(working_directory);
    let archives = archives(&directory, host)?;
    let none = || Error::NoSet { host: host.to_owned(), stamp: stamp.map(str::to_owned), directory: directory.clone() };
    let stamp = match stamp {
        Some(stamp) => stamp.to_owned(),
        None => newest(&archives, host)?.ok_or_else(none)?,
    };
    let mut set = Set { stamp: stamp.clone(), specs: vec![], parts: vec![], instances: vec![] };
    for archive in &archives {
        let spec =
            |id: String, kind| Spec { host: host.to_owned(), id, kind, archive: archive.clone(), stamp: stamp.clone() };
        match read(archive)? {
            Some(manifest) if manifest.host == host && manifest.stamp == stamp => {
                let kind = if manifest.kind == Kind::Module.word() { Kind::Module } else { Kind::Project };
                set.specs.push(spec(manifest.id, kind));
                set.instances.extend(manifest.instances);
                if !manifest.of_host.is_empty() {
                    set.parts = manifest.of_host;
                }
            }
            None if archive.to_string_lossy().contains(&format!("-{stamp}.tar")) => {
                let id = String::from_utf8_lossy(&reading::top(archive)?).into_owned();
                let names = COMPRESSIONS.iter().map(|it| backup::name(host, &id, &stamp, *it));
                if names.into_iter().any(|name| archive.file_name().is_some_and(|it| it == name.as_str())) {
                    set.specs.push(spec(id.clone(), known.kind(&id)));
                }
            }
            _ => {}
        }
    }
    let missing = set.parts.iter().filter(|part| part.data && !set.specs.iter().any(|spec| spec.id == part.id));
    let missing: Vec<String> = missing.map(|part| part.id.clone()).collect();
    if !missing.is_empty() {
        return Err(Error::Missing { host: host.to_owned(), stamp, missing });
    }
    if set.specs.is_empty() {
        return Err(none());
    }
    set.specs.sort_by_cached_key(|spec| (known.place(spec.kind, &spec.id), spec.archive.clone()));
    set.specs.dedup_by(|a, b| a.id == b.id);
    if set.parts.is_empty() {
        set.parts = set.specs.iter().map(part).collect();
    }
    set.parts.sort_by_cached_key(|part| known.place(part.kind, &part.id));
    Ok(set)
}

/// The archives that may be of `host`, the newest first.
fn archives(directory: &Path, host: &str) -> Result<Vec<PathBuf>, Error> {
    let fail = |source| Error::File { file: directory.to_owned(), source };
    let entries = match fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(vec![]),
        entries => entries.map_err(fail)?,
    };
    let begin = format!("backup-{host}-");
    let mut found: Vec<(SystemTime, PathBuf)> = vec![];
    for entry in entries {
        let entry = entry.map_err(fail)?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with(&begin) && without_end(&name).is_some() {
            found.push((entry.metadata().and_then(|about| about.modified()).map_err(fail)?, entry.path()));
        }
    }
    found.sort_by(|a, b| b.cmp(a));
    Ok(found.into_iter().map(|(_, path)| path).collect())
}

fn newest(archives: &[PathBuf], host: &str) -> Result<Option<String>, Error> {
    for archive in archives {
        let of_all = |manifest: &Manifest| manifest.host == host && !manifest.of_host.is_empty();
        if let Some(manifest) = read(archive)?.filter(of_all) {
            return super::find::stamp(archive).map(|_| Some(manifest.stamp));
        }
    }
    Ok(None)
}

fn read(archive: &Path) -> Result<Option<Manifest>, Error> {
    Manifest::read(archive).map_err(|source| Error::File { file: manifest::beside(archive), source })
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
