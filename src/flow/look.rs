//! Reads what a host has. Nothing here writes.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::{Duration, Instant};

use thiserror::Error;
use tokio::sync::watch;
use tokio::time::sleep;

use crate::agent;
use crate::backend;
use crate::consul;
use crate::event::Events;
use crate::flow::database;
use crate::flow::found::{BUILD, Found, HostSetup, Image, Instance, OWNED, OWNER, PAUSED, Pending, Writers};
use crate::flow::world::World;
use crate::flow::{deploy, deploy::Unit};
use crate::flow::{file, host_setup, object};
use crate::lxd;
use crate::lxd::model::{Object, Operation};
use crate::lxd::object::Collection;
use crate::sql;
use crate::terraform::{Deployment, Kind, ObjectKind};

/// The host cannot be looked at. Nothing was changed.
#[derive(Debug, Error)]
pub enum Error {
    /// LXD or Incus.
    #[error(transparent)]
    Lxd(#[from] lxd::Error),
    /// Consul.
    #[error(transparent)]
    Consul(#[from] consul::Error),
    /// The agent on the host.
    #[error(transparent)]
    Agent(#[from] agent::Error),
    /// A file that an instance is to have.
    #[error(transparent)]
    File(#[from] file::Error),
    /// A host-setup playbook cannot be carried out.
    #[error(transparent)]
    HostSetup(#[from] backend::Error),
    /// A database server.
    #[error(transparent)]
    Sql(#[from] sql::Error),
    /// Something on a database server is what it can never cease to be.
    #[error("{what} has the {property} {has}, not {wanted}, which cannot be changed")]
    Fixed {
        /// What, e.g. `PostgreSQL database synapse`.
        what: String,
        /// Its property, e.g. `encoding`.
        property: String,
        /// What it is.
        has: String,
        /// What the files want.
        wanted: String,
    },
    /// The list of keys that somebody owns is not one.
    #[error("the Consul key `{key}` does not hold a list of keys")]
    Index {
        /// The key.
        key: String,
        /// Why.
        source: serde_json::Error,
    },
}

/// How long what is about to be there may take to come. Somebody else may download an image for it.
const COMES: Duration = Duration::from_secs(30);

/// How long to wait between two looks at what has not ended.
const PAUSE: Duration = Duration::from_millis(200);

/// Reads instances and images.
pub async fn server(world: &World) -> Result<Found, Error> {
    let (instances, images) = settled(world, || world.lxd.images()).await?;
    Ok(Found {
        instances: instances.into_iter().map(|instance| (instance.name.clone(), of_instance(instance))).collect(),
        images: images.into_iter().map(of_image).collect(),
        writers: if world.access.is_some() { Writers::Tokens } else { Writers::Everybody },
        ..Found::default()
    })
}

/// Reads instances.
pub async fn instances(world: &World) -> Result<Vec<lxd::model::Instance>, lxd::Error> {
    Ok(settled(world, async || Ok(())).await?.0)
}

/// Reads instances and what goes with them. The server goes on with what a run that was killed has started, and refuses
/// to do anything else with an instance meanwhile: that is let end first. What takes longer is an error.
async fn settled<T>(
    world: &World,
    more: impl AsyncFn() -> Result<T, lxd::Error>,
) -> Result<(Vec<lxd::model::Instance>, T), lxd::Error> {
    let since = Instant::now();
    loop {
        // Asked first: what ends between the two is seen as unfinished, and looked at again.
        let changing = world.lxd.changing().await?;
        let (instances, more) = tokio::try_join!(world.lxd.instances(), more())?;
        let ours = changing.iter().find(|operation| is_of_ours(operation, &instances));
        if let Some(ours) = ours.filter(|_| since.elapsed() > world.limits.earlier) {
            let what = format!("what is under way on the server (`{}`)", ours.description);
            return Err(lxd::Error::Timeout { what, after: world.limits.earlier });
        }
        let comes = changing.iter().any(|operation| is_of_unknown(operation, &instances));
        if ours.is_none() && (!comes || since.elapsed() > COMES) {
            return Ok((instances, more));
        }
        sleep(PAUSE).await;
    }
}

/// Whether an operation works on an instance of ours, or on one that a backup or restore has stopped. One that names no
/// instance may publish the build instance that a killed run has left.
fn is_of_ours(operation: &Operation, instances: &[lxd::model::Instance]) -> bool {
    let marked = |it: &lxd::model::Instance| [OWNER, PAUSED].iter().any(|mark| it.config.contains_key(*mark));
    let ours = |name: &str| instances.iter().any(|it| it.name == name && marked(it));
    let left = || instances.iter().any(|it| it.config.contains_key(BUILD));
    operation.instances().any(ours) || (operation.instances().next().is_none() && left())
}

/// Whether an operation works on an instance that is not there yet, or not any more under this name. Nobody can say whose
/// it will be.
fn is_of_unknown(operation: &Operation, instances: &[lxd::model::Instance]) -> bool {
    operation.instances().any(|name| instances.iter().all(|it| it.name != name))
}

fn of_instance(instance: lxd::model::Instance) -> Instance {
    Instance {
        running: instance.is_running(),
        name: instance.name,
        profiles: instance.profiles,
        config: instance.config,
        devices: instance.devices,
    }
}

fn of_image(image: lxd::model::Image) -> Image {
    Image {
        fingerprint: image.fingerprint,
        aliases: image.aliases.into_iter().map(|alias| alias.name).collect(),
        properties: image.properties,
        uploaded: image.uploaded_at,
        size: image.size,
    }
}

/// Reads what `units` need to know beside instances and images: Consul keys, databases, the state of host-setup
/// playbooks.
pub async fn rest(world: &World, units: &[Unit], found: &mut Found, stop: &watch::Receiver<bool>) -> Result<(), Error> {
    for unit in units {
        keys(world, &unit.deployment, found).await?;
    }
    objects(world, found).await?;
    for unit in units {
        files(world, &unit.deployment, found).await?;
    }
    database::look::databases(world, units, found).await?;
    for unit in units {
        if let Some((playbook, _)) = &unit.host_setup {
            let recorded = host_setup::recorded(world, &unit.owner).await?;
            // What has never run runs anyway.
            let pending = match recorded {
                Some(_) => pending(world, &unit.owner, playbook, stop).await?,
                None => Pending::Unknown,
            };
            found.host_setup.insert(unit.owner.clone(), HostSetup { recorded, pending });
        }
    }
    Ok(())
}

/// What a host-setup playbook would change, found by its check mode.
async fn pending(world: &World, owner: &str, playbook: &Path, stop: &watch::Receiver<bool>) -> Result<Pending, Error> {
    let setup = host_setup::setup(world, playbook, crate::module::Mode::Check);
    match world.configure(owner).set_up(setup, &Events::nowhere(), stop.clone()).await {
        Ok(0) => Ok(Pending::Nothing),
        Ok(changes) => Ok(Pending::Changes(changes)),
        // A task that rests on what an earlier one would have made cannot be checked.
        Err(error) if error.is_failed() => Ok(Pending::Unknown),
        Err(error) => Err(error.into()),
    }
}

/// Reads networks, profiles, storage pools and custom volumes.
async fn objects(world: &World, found: &mut Found) -> Result<(), Error> {
    let (networks, profiles, pools) = (Collection::Networks, Collection::Profiles, Collection::Pools);
    let (networks, profiles, pools) =
        tokio::try_join!(world.lxd.objects(&networks), world.lxd.objects(&profiles), world.lxd.objects(&pools))?;
    for pool in &pools {
        let kind = ObjectKind::Volume { pool: pool.name.clone() };
        for volume in world.lxd.objects(&object::collection(&kind)).await? {
            let form = volume.content_type.clone();
            found.objects.insert((kind.clone(), volume.name.clone()), of_object(volume, form));
        }
    }
    let managed = networks.into_iter().filter(|network| network.managed == Some(true));
    let named = |kind: ObjectKind, object: Object, form: String| ((kind, object.name.clone()), of_object(object, form));
    found.objects.extend(managed.map(|network| {
        let form = network.kind.clone();
        named(ObjectKind::Network, network, form)
    }));
    found.objects.extend(profiles.into_iter().map(|profile| named(ObjectKind::Profile, profile, String::new())));
    found.objects.extend(pools.into_iter().map(|pool| {
        let form = pool.driver.clone();
        named(ObjectKind::Pool, pool, form)
    }));
    Ok(())
}

fn of_object(object: Object, form: String) -> object::Found {
    object::Found { description: object.description, form, config: object.config, devices: object.devices }
}

/// Compares the files that instances are to have with those that they have.
async fn files(world: &World, deployment: &Deployment, found: &mut Found) -> Result<(), Error> {
    for resource in &deployment.resources {
        let Kind::File(wanted) = &resource.kind else { continue };
        if found.instances.contains_key(&wanted.instance) && file::is_as_wanted(world, wanted).await? {
            found.files.insert((wanted.instance.clone(), wanted.path.clone()));
        }
    }
    Ok(())
}

/// Reads the indexes of all owners, and every key under the first words of those that are wanted or owned.
async fn keys(world: &World, deployment: &Deployment, found: &mut Found) -> Result<(), Error> {
    let Some(provider) = &deployment.consul else { return Ok(()) };
    let client = (world.consul)(provider);
    for entry in client.list(OWNED).await? {
        let owner = entry.key.trim_start_matches(OWNED).to_owned();
        let keys: BTreeSet<String> =
            serde_json::from_slice(&entry.value).map_err(|source| Error::Index { key: entry.key.clone(), source })?;
        found.owned.insert(owner, keys);
    }
    let owned = found.owned.values().flatten().cloned();
    let whole = deploy::prefixes(deployment).map(str::to_owned);
    let wanted = deploy::wanted_keys(deployment).into_iter().chain(whole);
    let prefixes: BTreeSet<String> = wanted.chain(owned).map(first_word).collect();
    for prefix in prefixes {
        let entries = client.list(&prefix).await?;
        let values: BTreeMap<String, String> =
            entries.into_iter().map(|entry| (entry.key.clone(), entry.text())).collect();
        found.keys.extend(values);
    }
    Ok(())
}

/// `service/haproxy/x` → `service/`: one request reads them all.
fn first_word(key: String) -> String {
    match key.split_once('/') {
        Some((word, _)) => format!("{word}/"),
        None => key,
    }
}
