//! A checked-out repository → what it wants of a host.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};
use thiserror::Error;

use crate::flow::deploy::Unit;
use crate::flow::found::{Found, INPUTS, Image, OWNER, VERSION, Writers};
use crate::flow::inputs::{self, Inputs};
use crate::flow::names::Names;
use crate::hcl;
use crate::packer::{self, Build};
use crate::place::{Problem, listed};
use crate::plan::ImageSpec;
use crate::playbook::reading::Reading;
use crate::playbook::{self, Known, Source};
use crate::project::Repository;
use crate::project::access::Writes;
use crate::{lxd, terraform};

/// What a repository wants cannot be told.
#[derive(Debug, Error)]
pub enum Error {
    /// Its files cannot be carried out.
    #[error("{}", listed(.0))]
    Problems(Vec<Problem>),
    /// A base image is not there.
    #[error(transparent)]
    Image(#[from] lxd::Error),
    /// A file that an image is made from cannot be read.
    #[error(transparent)]
    Inputs(#[from] inputs::Error),
    /// A file that may write Consul keys cannot be read.
    #[error("cannot tell which Consul keys the repository writes")]
    Writes(#[source] std::io::Error),
}

/// What the version of a deployment is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Version {
    /// As a person said.
    Given(String),
    /// To each project and module its own, as a backup says; the present one to those without.
    Each {
        /// Versions by `project_id` and `module_id`.
        versions: BTreeMap<String, String>,
        /// For new images of the others.
        otherwise: String,
    },
    /// The present one as long as its images are up to date, else this one.
    Present {
        /// For new images, e.g. `20261123-031500`.
        otherwise: String,
    },
}

impl Version {
    /// The version that a person gave, or the present one while nothing has changed, else `now`.
    pub fn chosen(given: Option<&str>, now: String) -> Self {
        given.map_or(Self::Present { otherwise: now }, |version| Self::Given(version.to_owned()))
    }
}

/// Evaluates `repository` for `host`.
///
/// # Errors
///
/// [`Error::Problems`] with everything that is wrong in the repository; [`Error::Image`] if a base image is missing.
pub fn evaluate(
    repository: &Repository,
    host: &str,
    version: &Version,
    names: &Names,
    found: &mut Found,
) -> Result<Unit, Error> {
    let owner = repository.identity(host).map_err(Error::Problems)?.id;
    let version = choose(repository, host, version, names, found)?;
    let images = images(repository, host, &owner, &version, names, found)?;
    let variables = BTreeMap::from([word("host_id", host), word("image_version", &version)]);
    let deployment = terraform::evaluate(&repository.deployment, &variables).map_err(Error::Problems)?;
    bases(&deployment, &images, names, found)?;
    let writes = match found.writers {
        Writers::Everybody => Writes::default(),
        Writers::Tokens => repository.writes().map_err(Error::Writes)?,
    };
    let host_setup = host_setup(repository, host)?;
    let directory = repository.deployment.clone();
    Ok(Unit { host_setup, owner, kind: repository.kind, version, images, deployment, directory, writes })
}

/// As [`evaluate`], without what the images are for.
pub fn images_only(
    repository: &Repository,
    host: &str,
    version: &Version,
    names: &Names,
    found: &mut Found,
) -> Result<Unit, Error> {
    let owner = repository.identity(host).map_err(Error::Problems)?.id;
    let version = choose(repository, host, version, names, found)?;
    let images = images(repository, host, &owner, &version, names, found)?;
    let deployment = terraform::Deployment::default();
    Ok(Unit {
        host_setup: None,
        owner,
        kind: repository.kind,
        version,
        images,
        deployment,
        directory: repository.deployment.clone(),
        writes: Writes::default(),
    })
}

fn word(name: &str, value: &str) -> (String, hcl::Value) {
    (name.to_owned(), hcl::Value::from(value))
}

fn text(name: &str, value: &str) -> (String, Value) {
    (name.to_owned(), Value::from(value))
}

/// The version whose images are all there and up to date: the one in use, else the newest one; else another one.
fn choose(
    repository: &Repository,
    host: &str,
    version: &Version,
    names: &Names,
    found: &mut Found,
) -> Result<String, Error> {
    let owner = repository.identity(host).map_err(Error::Problems)?.id;
    let otherwise = match version {
        Version::Given(version) => return Ok(version.clone()),
        Version::Each { versions, otherwise } => match versions.get(&owner) {
            Some(version) => return Ok(version.clone()),
            None => otherwise,
        },
        Version::Present { otherwise } => otherwise,
    };
    let probe = images(repository, host, &owner, otherwise, names, found)?;
    if probe.is_empty() {
        return Ok(present(&owner, found).unwrap_or_else(|| otherwise.clone()));
    }
    let mut candidates: Vec<String> = candidates(&probe, &found.images).into_iter().rev().collect();
    candidates.retain(|candidate| candidate != otherwise);
    candidates.sort_by_key(|candidate| !in_use(&probe, candidate, found));
    for candidate in candidates {
        let wanted = images(repository, host, &owner, &candidate, names, found)?;
        if wanted
            .iter()
            .all(|spec| found.image(&spec.build.alias).is_some_and(|image| is_made_from(image, &spec.inputs, found)))
        {
            return Ok(candidate);
        }
    }
    Ok(otherwise.clone())
}

/// The version of instances that are not made from images of their own.
fn present(owner: &str, found: &Found) -> Option<String> {
    let own = found.instances.values().filter(|instance| instance.config(OWNER) == Some(owner));
    own.filter_map(|instance| instance.config(VERSION)).max().map(str::to_owned)
}

/// Whether the images of a version are those that instances have been made from.
fn in_use(images: &[ImageSpec], version: &str, found: &Found) -> bool {
    let image = |spec: &ImageSpec| found.image(&format!("{}-{version}", spec.build.alias_prefix));
    images.iter().all(|spec| image(spec).is_some_and(|image| found.uses(&image.fingerprint)))
}

/// Images of the original tools do not say what they are made from: those in use are the present ones.
fn is_made_from(image: &Image, inputs: &str, found: &Found) -> bool {
    match image.properties.get(INPUTS) {
        Some(from) => from == inputs,
        None => found.uses(&image.fingerprint),
    }
}

/// Versions that every image has a name for.
fn candidates(images: &[ImageSpec], found: &[Image]) -> BTreeSet<String> {
    let mut versions: Option<BTreeSet<String>> = None;
    for spec in images {
        let prefix = format!("{}-", spec.build.alias_prefix);
        let aliases = found.iter().flat_map(|image| &image.aliases);
        let these: BTreeSet<String> =
            aliases.filter_map(|alias| alias.strip_prefix(&prefix)).map(str::to_owned).collect();
        versions = Some(match versions {
            None => these,
            Some(known) => known.intersection(&these).cloned().collect(),
        });
    }
    versions.unwrap_or_default()
}

fn images(
    repository: &Repository,
    host: &str,
    owner: &str,
    version: &str,
    names: &Names,
    found: &mut Found,
) -> Result<Vec<ImageSpec>, Error> {
    let mut images = vec![];
    for template in &repository.templates {
        for build in builds(repository, template, host, version)? {
            images.push(image(repository, template, build, owner, version, names, found)?);
        }
    }
    Ok(images)
}

/// Evaluates one template with the values that the build scripts give it.
pub fn builds(repository: &Repository, template: &Path, host: &str, version: &str) -> Result<Vec<Build>, Error> {
    let declared = packer::variables(template).map_err(|problem| Error::Problems(vec![problem]))?;
    let constants = repository.versions.iter().filter(|(name, _)| declared.contains(*name));
    let mut variables: BTreeMap<String, hcl::Value> = constants.map(|(name, value)| word(name, value)).collect();
    let given = [word("host_id", host), word("version", version), ("remote".to_owned(), hcl::Value::Bool(true))];
    variables.extend(given.into_iter().filter(|(name, _)| declared.contains(name)));
    packer::evaluate(template, &variables).map_err(Error::Problems)
}

fn image(
    repository: &Repository,
    template: &Path,
    build: Build,
    owner: &str,
    version: &str,
    names: &Names,
    found: &mut Found,
) -> Result<ImageSpec, Error> {
    let base = names.rewritten(&build.image);
    let fingerprint = found.fingerprint(names, &build.image)?;
    if let Some(fingerprint) = &fingerprint {
        found.bases.insert(build.image.clone(), fingerprint.clone());
    }
    let mut files = vec![template.to_owned()];
    for provisioner in &build.provisioners {
        let known = Known {
            inventory: vec![Source::File(provisioner.inventory.clone())],
            extra_vars: extra_vars(&provisioner.extra_vars)?,
            reading: reading()?,
        };
        files.push(provisioner.inventory.clone());
        files.extend(playbook::inputs(&provisioner.playbook, &known).map_err(Error::Problems)?);
    }
    files.sort();
    files.dedup();
    let values = json!({
        // An image server's image may change under its name without anything being wrong with ours.
        "base": fingerprint.unwrap_or_else(|| base.clone()),
        "extra_vars": build.provisioners.iter().map(|it| &it.extra_vars).collect::<Vec<_>>(),
        "launch_config": build.launch_config,
        "profile": build.profile,
    });
    let sources = Inputs::read(&repository.working_directory, &files, values)?;
    let inputs = sources.digest();
    Ok(ImageSpec { build, base, owner: owner.to_owned(), version: version.to_owned(), inputs, sources })
}

fn reading() -> Result<Reading, Error> {
    Reading::of_environment().map_err(|problem| Error::Problems(vec![problem]))
}

fn extra_vars(texts: &[String]) -> Result<Map<String, Value>, Error> {
    let mut variables = Map::new();
    for text in texts {
        variables.extend(playbook::extra_vars(text, &reading()?).map_err(|problem| Error::Problems(vec![problem]))?);
    }
    Ok(variables)
}

/// Images that instances name and nobody here builds must be there.
fn bases(
    deployment: &terraform::Deployment,
    images: &[ImageSpec],
    names: &Names,
    found: &mut Found,
) -> Result<(), Error> {
    for resource in &deployment.resources {
        let terraform::Kind::Instance(instance) = &resource.kind else { continue };
        if images.iter().any(|spec| spec.build.alias == instance.image) {
            continue;
        }
        if let Some(fingerprint) = found.fingerprint(names, &instance.image)? {
            found.bases.insert(instance.image.clone(), fingerprint);
        }
    }
    Ok(())
}

fn host_setup(repository: &Repository, host: &str) -> Result<Option<(PathBuf, String)>, Error> {
    let Some(playbook) = &repository.host_setup else { return Ok(None) };
    let extra_vars = Map::from_iter([text("host_id", host)]);
    let known = Known { inventory: vec![], extra_vars, reading: reading()? };
    let files = playbook::inputs(playbook, &known).map_err(Error::Problems)?;
    let digest = Inputs::read(&repository.working_directory, &files, Value::Null)?.digest();
    Ok(Some((playbook.clone(), digest)))
}
