//! Other tools that do a part of the work: which are asked for, and where they are.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::backend::packer::BuildPlace;
use crate::backend::{self, Programs};
use crate::cli::problems;
use crate::failure::Failure;
use crate::project::Repository;
use crate::rig::settings::{Build, Configure, Deploy, Settings, Tools};

/// Finds the programs that do a part of the work for `repositories`: those that were `given`, or those that the settings
/// have for the last of them, which the others come with.
///
/// # Errors
///
/// One is not on the path, or too old; a configuration cannot be read.
pub async fn programs(
    repositories: &[Repository],
    host: &str,
    given: Tools,
    settings: &Settings,
) -> Result<BTreeMap<String, Programs>, Failure> {
    let Some(last) = repositories.last() else { return Ok(BTreeMap::new()) };
    let programs = find(settings.tools(&last.name, given), last, host).await?;
    let owner = |repository: &Repository| Ok((repository.identity(host).map_err(problems)?.id, programs.clone()));
    repositories.iter().map(owner).collect()
}

/// Finds the programs for everything on a host: each project has its own, and its modules come with it unless the settings
/// name them.
///
/// # Errors
///
/// As [`programs`].
pub async fn of_host(
    repositories: &[Repository],
    host: &str,
    settings: &Settings,
) -> Result<BTreeMap<String, Programs>, Failure> {
    let mut found = BTreeMap::new();
    for repository in repositories {
        let needs = |project: &&Repository| project.modules.contains(&repository.name);
        let project = repositories.iter().filter(needs).find(|it| settings.projects.contains_key(&it.name));
        let named = settings.projects.contains_key(&repository.name);
        let of = if named { repository } else { project.unwrap_or(repository) };
        let programs = find(settings.tools(&of.name, Tools::default()), of, host).await?;
        found.insert(repository.identity(host).map_err(problems)?.id, programs);
    }
    Ok(found)
}

async fn find(tools: Tools, repository: &Repository, host: &str) -> Result<Programs, Failure> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut programs = Programs::default();
    if tools.configure == Some(Configure::Ansible) {
        programs.configure = Some(Arc::new(backend::Ansible::find(&path).await?));
    }
    if tools.build == Some(Build::Packer) {
        // Modules follow the project; one that is deployed alone has images built on the host.
        let here = repository.identity(host).map_err(problems)?.remote_build == Some(false);
        let place = if here { BuildPlace::Here } else { BuildPlace::Host };
        programs.build = Some(Arc::new(backend::Packer::find(&path, place).await?));
    }
    if let Some(name) = tools.deploy.and_then(Deploy::program) {
        programs.deploy = Some(Arc::new(backend::Terraform::find(name, &path).await?));
    }
    Ok(programs)
}
