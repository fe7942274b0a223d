//! What is done with instances: made, replaced, changed, put back, removed.
//!
//! A replacement makes the new instance stopped beside the old one, lets the old one give its devices and its name
//! away, and removes it only when the new one is healthy. Every state in between is marked on the instances, so that
//! the next plan knows what it sees (see [`crate::flow::found`]).

use std::fmt::Write as _;
use std::time::Instant;

use serde::de::DeserializeOwned;
use serde_json::json;
use thiserror::Error;

use crate::consul;
use crate::event::{Event, Events};
use crate::flow::access;
use crate::flow::found;
use crate::flow::health::{self, Before, LastWords};
use crate::flow::keys::Unproven;
use crate::flow::names;
use crate::flow::world::World;
use crate::lxd;
use crate::lxd::instance::{ImageSource, NewInstance};
use crate::lxd::model::{Config, Devices, Instance, Settings};
use crate::plan::{InstanceSpec, Restart, Update};
use crate::terraform::trigger;

/// Longest name of an instance: it is a host name.
const LONGEST_NAME: usize = 63;

/// Keeps the server from deleting an instance.
const PROTECTION: &str = "security.protection.delete";

/// What the name of a new instance ends with while it stands beside the old one.
const NEW: &str = "-ryo-new";

/// What the name of an old instance ends with that was set aside.
const OLD: &str = "-ryo-old";

/// Something went wrong with an instance.
#[derive(Debug, Error)]
pub enum Error {
    /// The server said so.
    #[error(transparent)]
    Lxd(#[from] lxd::Error),
    /// Consul gives no token for the keys that may be written in it.
    #[error(transparent)]
    Consul(#[from] consul::Error),
    /// It is not there, and it was a moment ago.
    #[error("instance `{name}` is gone")]
    Gone {
        /// Its name.
        name: String,
    },
    /// It was started and did not come up.
    #[error("instance `{name}` did not come up{}", in_full(.last))]
    Unhealthy {
        /// Its name.
        name: String,
        /// What it wrote last.
        last: LastWords,
        /// What is missing.
        source: health::Error,
    },
    /// The old one could not be set aside; it serves again.
    #[error("instance `{name}` could not be set aside, and serves again")]
    Stays {
        /// Its name.
        name: String,
        /// Whether the Consul keys that were written for the new one could not be taken back.
        keys_stay: bool,
        /// Why.
        source: Box<Error>,
    },
    /// Somebody has protected it from deletion.
    #[error("instance `{name}` is protected from deletion (`security.protection.delete`)")]
    Protected {
        /// Its name.
        name: String,
    },
    /// The new one did not come up; the old one is back.
    #[error("the new instance `{name}` did not come up, and the old one is back")]
    SwappedBack {
        /// Its name.
        name: String,
        /// Whether the Consul keys that were written for the new one could not be taken back.
        keys_stay: bool,
        /// Why.
        source: Box<Error>,
    },
}

fn in_full(last: &LastWords) -> String {
    let mut text = String::new();
    if !last.lines.is_empty() {
        let _ = write!(text, "; its {} ends with:", last.place);
    }
    for line in &last.lines {
        let _ = write!(text, "\n{line}");
    }
    text
}

/// Makes an instance and starts it.
pub async fn create(world: &World, spec: &InstanceSpec, events: &Events) -> Result<(), Error> {
    let new = new_instance(world, spec, &spec.instance.name).await?;
    world.lxd.create(&new).await?;
    access::give(world, spec, &spec.instance.name).await?;
    if spec.instance.running {
        start(world, &spec.instance.name, Before::Unknown, events).await?;
    }
    prove(world, &spec.instance.name).await
}

/// Starts an instance that was in use before. It is unproven until it has been seen to come up.
pub async fn resume(world: &World, name: &str, events: &Events) -> Result<(), Error> {
    change(world, name, |settings| doubt(&mut settings.config)).await?;
    start(world, name, Before::Unknown, events).await?;
    prove(world, name).await
}

/// How an instance is kept from writing for a while.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Pause {
    /// It shuts down: its programs write what they still have to.
    #[default]
    Stop,
    /// Its processes do not go on: what is on disk is as after a power cut.
    Freeze,
}

/// Stops or freezes an instance for a while. The mark tells the next run that it is to be started again, whatever becomes
/// of this one. Returns when it was asked to stop; one that a person has stopped meanwhile is left alone.
pub async fn pause(world: &World, name: &str, how: Pause) -> Result<Option<Instant>, Error> {
    if rests(world, name).await? {
        return Ok(None);
    }
    change(world, name, |settings| {
        settings.config.insert(found::PAUSED.to_owned(), "yes".to_owned());
    })
    .await?;
    let asked = Instant::now();
    match how {
        Pause::Stop => stop(world, name).await?,
        Pause::Freeze => world.lxd.freeze(name).await?,
    }
    Ok(Some(asked))
}

/// Starts an instance that was stopped or frozen for a while, and sees it come up. Returns since when it serves; one that a
/// person has stopped is left alone.
pub async fn unpause(world: &World, name: &str, events: &Events) -> Result<Option<Instant>, Error> {
    if rests(world, name).await? {
        return Ok(None);
    }
    let serves = start(world, name, Before::Unknown, events).await?;
    prove(world, name).await?;
    Ok(Some(serves))
}

/// Whether an instance is stopped, and not for a while only.
async fn rests(world: &World, name: &str) -> Result<bool, Error> {
    let instance = get(world, name).await?;
    Ok(!instance.is_on() && !instance.config.contains_key(found::PAUSED))
}

/// Marks an instance that was in use as one that has to be seen healthy again.
fn doubt(config: &mut Config) {
    config.entry(found::UNPROVEN.to_owned()).or_insert_with(|| found::AGAIN.to_owned());
}

/// Stops an instance. One that is frozen goes on before, so that it can shut down.
async fn stop(world: &World, name: &str) -> Result<(), lxd::Error> {
    if world.lxd.state(name).await?.is_frozen() {
        world.lxd.unfreeze(name).await?;
    }
    world.lxd.stop(name, world.limits.stop).await
}

/// Starts an instance that is stopped or frozen and sees it come up. Returns since when it serves: a frozen one goes on
/// where it was, and that it is healthy is only seen later.
async fn start(world: &World, name: &str, before: Before, events: &Events) -> Result<Instant, Error> {
    let mut serves = None;
    match world.lxd.state(name).await? {
        state if state.is_running() => {}
        state if state.is_frozen() => {
            world.lxd.unfreeze(name).await?;
            serves = Some(Instant::now());
        }
        _ => world.lxd.start(name).await?,
    }
    match health::healthy(world, name, before, events).await {
        Ok(seen) => Ok(serves.unwrap_or(seen)),
        Err(source) => {
            let last = health::last_words(world, name).await;
            Err(Error::Unhealthy { name: name.to_owned(), last, source })
        }
    }
}

/// Tells for how long an instance did not serve.
fn tell_outage(name: &str, since: Instant, serves: Instant, events: &Events) {
    let took = u64::try_from((serves - since).as_millis()).unwrap_or(u64::MAX);
    events.emit(Event::Outage { instance: name.to_owned(), took });
}

/// Makes a new instance beside the one called `replaced` and exchanges them.
///
/// # Errors
///
/// [`Error::SwappedBack`], [`Error::Stays`]: the old one serves again, with its name and devices. After any other error the
/// marks on the instances say how far it went.
pub async fn replace(
    world: &World,
    spec: &InstanceSpec,
    replaced: &str,
    written: &Unproven<'_>,
    events: &Events,
) -> Result<(), Error> {
    let name = &spec.instance.name;
    let beside = derived(name, NEW);
    let mut new = new_instance(world, spec, &beside).await?;
    new.config.insert(found::REPLACES.to_owned(), name.clone());
    new.devices.retain(|_, device| is_root(device));
    world.lxd.create(&new).await?;
    access::give(world, spec, &beside).await?;
    let before = health::before(world, name).await;
    let old = get(world, replaced).await?;
    let since = Instant::now();
    let ended = match set_aside(world, &old, name).await {
        Ok(()) => match take_over(world, spec, &beside, &old, before, events).await {
            Ok(serves) => Ok(serves),
            Err(error) => Err(swap_back(world, name, replaced, error, written, events).await),
        },
        Err(error) => Err(stay(world, &old, &beside, error, written, events).await),
    };
    let serves = match &ended {
        Ok(serves) => Some(*serves),
        Err(Error::SwappedBack { .. } | Error::Stays { .. }) => Some(Instant::now()),
        Err(_) => None,
    };
    if let Some(serves) = serves.filter(|_| old.is_running() && spec.instance.running) {
        tell_outage(name, since, serves, events);
    }
    ended?;
    settle_old(world, name).await
}

/// Puts the old instance, whose name was `replaced`, back because the new one failed by `error`, with the Consul keys that it
/// started with. Returns what there is to tell.
async fn swap_back(
    world: &World,
    name: &str,
    replaced: &str,
    error: Error,
    written: &Unproven<'_>,
    events: &Events,
) -> Error {
    let keys_stay = keys_stay(world, written, events).await;
    match put_back(world, replaced, events).await {
        Ok(()) => Error::SwappedBack { name: name.to_owned(), keys_stay, source: Box::new(error) },
        Err(second) => {
            events.warn(format!("the new instance `{name}` did not come up: {error}"));
            second
        }
    }
}

/// Lets the old instance go on because it could not be set aside by `error`. Returns what there is to tell.
async fn stay(
    world: &World,
    old: &Instance,
    beside: &str,
    error: Error,
    written: &Unproven<'_>,
    events: &Events,
) -> Error {
    let name = &old.name;
    let keys_stay = keys_stay(world, written, events).await;
    match go_on(world, old, beside, events).await {
        Ok(()) => Error::Stays { name: name.clone(), keys_stay, source: Box::new(error) },
        Err(second) => {
            events.warn(format!("instance `{name}` could not be set aside: {error}"));
            second
        }
    }
}

async fn go_on(world: &World, old: &Instance, beside: &str, events: &Events) -> Result<(), Error> {
    if was_set_aside(world, &old.name).await?.is_some() {
        return put_back(world, &old.name, events).await;
    }
    if old.is_on() {
        resume(world, &old.name, events).await?;
    }
    remove(world, beside).await
}

/// Takes Consul keys back that were written for an instance which does not serve. Returns whether they stay all the same.
async fn keys_stay(world: &World, written: &Unproven<'_>, events: &Events) -> bool {
    let taken = written.take_back(world).await;
    if let Err(error) = &taken {
        events.warn(format!("the Consul keys of {} stay as the new version has them: {error}", written.owner));
    }
    taken.is_err()
}

/// Stops the instance `old` and lets it give away its devices and its name to the one that is to be called `successor`.
async fn set_aside(world: &World, old: &Instance, successor: &str) -> Result<(), Error> {
    let name = &old.name;
    if old.is_on() {
        stop(world, name).await?;
    }
    change(world, name, |settings| {
        settings.config.insert(found::REPLACED.to_owned(), successor.to_owned());
        if name != successor {
            settings.config.insert(found::WAS.to_owned(), name.clone());
        }
        settings.config.insert(found::DEVICES.to_owned(), json!(old.devices).to_string());
        let addresses = hardware_addresses(&old.config, &old.devices);
        settings.config.insert(found::ADDRESSES.to_owned(), json!(addresses).to_string());
        settings.devices.retain(|_, device| is_root(device));
    })
    .await?;
    Ok(world.lxd.rename(name, &derived(name, OLD)).await?)
}

/// Gives the new instance the name, the devices and the hardware addresses of the old one, and sees it come up. Returns
/// since when it serves.
async fn take_over(
    world: &World,
    spec: &InstanceSpec,
    beside: &str,
    old: &Instance,
    before: Before,
    events: &Events,
) -> Result<Instant, Error> {
    let name = &spec.instance.name;
    world.lxd.rename(beside, name).await?;
    let addresses = hardware_addresses(&old.config, &spec.instance.devices);
    change(world, name, |settings| {
        settings.config.remove(found::REPLACES);
        settings.config.extend(addresses.clone());
        settings.devices.clone_from(&spec.instance.devices);
    })
    .await?;
    let serves = if spec.instance.running { start(world, name, before, events).await? } else { Instant::now() };
    prove(world, name).await?;
    Ok(serves)
}

/// `volatile.<nic>.hwaddr` of the network devices that both have: a replaced instance keeps its addresses.
fn hardware_addresses(old: &Config, devices: &Devices) -> Config {
    let nics = devices.iter().filter(|(_, device)| device.get("type").is_some_and(|kind| kind == "nic"));
    let keys = nics.map(|(name, _)| format!("volatile.{name}.hwaddr"));
    keys.filter_map(|key| old.get(&key).map(|address| (key.clone(), address.clone()))).collect()
}

/// Sees an unproven instance come up; then removes the one that it replaces, if any.
///
/// One that does not come up, replaces nothing and was never in use is made anew.
pub async fn settle(world: &World, spec: &InstanceSpec, written: &Unproven<'_>, events: &Events) -> Result<(), Error> {
    let name = &spec.instance.name;
    let new = get(world, name).await?.config.get(found::UNPROVEN).is_some_and(|value| value == found::NEW);
    if new {
        access::give(world, spec, name).await?;
    }
    let started =
        if spec.instance.running { start(world, name, Before::Unknown, events).await.map(drop) } else { Ok(()) };
    let seen = match started {
        Ok(()) => prove(world, name).await,
        Err(error) => Err(error),
    };
    match (seen, aside(world, name).await?) {
        (Ok(()), _) => settle_old(world, name).await,
        (Err(error), Some(old)) => {
            let replaced = old.config.get(found::WAS).unwrap_or(name);
            Err(swap_back(world, name, replaced, error, written, events).await)
        }
        (Err(Error::Unhealthy { .. }), None) if new => {
            remove(world, name).await?;
            create(world, spec, events).await
        }
        (Err(error), None) => Err(error),
    }
}

async fn settle_old(world: &World, name: &str) -> Result<(), Error> {
    match aside(world, name).await? {
        Some(old) => remove(world, &old.name).await,
        None => Ok(()),
    }
}

/// Gives the instance that was set aside when it was called `name` its name and its devices back and starts it. The one
/// that was to take its place was never seen healthy and goes.
pub async fn put_back(world: &World, name: &str, events: &Events) -> Result<(), Error> {
    let Some(old) = was_set_aside(world, name).await? else { return Err(Error::Gone { name: name.to_owned() }) };
    let successor = old.config.get(found::REPLACED).map_or(name, String::as_str);
    if old.name != successor {
        remove(world, successor).await?;
    }
    if old.name != name {
        world.lxd.rename(&old.name, name).await?;
    }
    change(world, name, |settings| {
        if let Some(devices) = noted(&mut settings.config, found::DEVICES) {
            settings.devices = devices;
        }
        let addresses: Option<Config> = noted(&mut settings.config, found::ADDRESSES);
        settings.config.extend(addresses.unwrap_or_default());
        settings.config.remove(found::REPLACED);
        settings.config.remove(found::WAS);
        doubt(&mut settings.config);
    })
    .await?;
    remove(world, &derived(successor, NEW)).await?;
    start(world, name, Before::Unknown, events).await?;
    prove(world, name).await
}

/// Takes what a mark holds as JSON.
fn noted<T: DeserializeOwned>(config: &mut Config, mark: &str) -> Option<T> {
    serde_json::from_str(&config.remove(mark)?).ok()
}

/// The instance that was set aside for the one called `name`; the one that still has the name comes first.
async fn aside(world: &World, name: &str) -> Result<Option<Instance>, Error> {
    let instances = world.lxd.instances().await?.into_iter();
    let aside = instances.filter(|it| it.config.get(found::REPLACED).is_some_and(|replaced| replaced == name));
    Ok(aside.min_by_key(|it| it.name != name))
}

/// The instance that was set aside when it was called `name`; the one that still has the name comes first.
async fn was_set_aside(world: &World, name: &str) -> Result<Option<Instance>, Error> {
    let was = |it: &Instance| {
        let successor = it.config.get(found::REPLACED)?;
        Some(it.config.get(found::WAS).unwrap_or(successor) == name)
    };
    let instances = world.lxd.instances().await?.into_iter();
    Ok(instances.filter(|it| was(it) == Some(true)).min_by_key(|it| it.name != name))
}

/// Changes devices, profiles and configuration of an instance in place.
///
/// One that needs a restart is stopped before the change: a run that breaks behind it leaves an instance that is
/// stopped, which the next plan sees, and not one that runs without its change.
pub async fn update(world: &World, update: &Update, events: &Events) -> Result<(), Error> {
    let spec = &update.spec;
    let name = &spec.instance.name;
    let stops = world.lxd.state(name).await?.is_on() && (update.restart == Restart::Yes || !spec.instance.running);
    let since = Instant::now();
    if stops {
        stop(world, name).await?;
    }
    let changed = change(world, name, |settings| rewrite(settings, spec)).await;
    if changed.is_err() && stops && spec.instance.running {
        // As it was, it could run.
        let _ = world.lxd.start(name).await;
    }
    changed?;
    if !spec.instance.running {
        return Ok(());
    }
    let serves = start(world, name, Before::Unknown, events).await?;
    if stops {
        tell_outage(name, since, serves, events);
    }
    prove(world, name).await
}

/// Labels an instance that somebody else has made. It goes on serving.
pub async fn adopt(world: &World, spec: &InstanceSpec) -> Result<(), Error> {
    change(world, &spec.instance.name, |settings| {
        settings.config.extend(labels(spec));
        let trigger = spec.instance.config.get_key_value(trigger::KEY);
        settings.config.extend(trigger.map(|(key, value)| (key.clone(), value.clone())));
    })
    .await
}

/// Makes the settings of an instance those that are wanted; what the server notes there stays.
fn rewrite(settings: &mut Settings, spec: &InstanceSpec) {
    settings
        .config
        .retain(|key, _| key.starts_with("volatile.") || key.starts_with("image.") || key == found::UNPROVEN);
    settings.config.extend(spec.instance.config.clone());
    settings.config.extend(labels(spec));
    settings.devices.clone_from(&spec.instance.devices);
    settings.profiles.clone_from(&spec.instance.profiles);
    if spec.instance.running {
        doubt(&mut settings.config);
    } else {
        settings.config.remove(found::UNPROVEN);
    }
}

/// Stops an instance, by force if it has to be, and deletes it. One that is not there is removed already. What protects it
/// from deletion protects what is in use, and this one has been replaced or never was.
pub async fn remove(world: &World, name: &str) -> Result<(), Error> {
    let Some(found) = world.lxd.instance(name).await? else { return Ok(()) };
    if found.value.is_on() {
        stop(world, name).await?;
    }
    if is_protected(&found.value) {
        change(world, name, |settings| drop(settings.config.insert(PROTECTION.to_owned(), "false".to_owned()))).await?;
    }
    Ok(world.lxd.delete(name).await?)
}

/// As [`remove`], of an instance that is in use and no longer wanted: one that is protected from deletion stays as it is.
pub async fn remove_unwanted(world: &World, name: &str) -> Result<(), Error> {
    match world.lxd.instance(name).await? {
        Some(found) if is_protected(&found.value) => Err(Error::Protected { name: name.to_owned() }),
        _ => remove(world, name).await,
    }
}

fn is_protected(instance: &Instance) -> bool {
    let value = instance.expanded_config.get(PROTECTION).or_else(|| instance.config.get(PROTECTION));
    value.is_some_and(|value| ["true", "1", "yes", "on"].contains(&value.to_lowercase().as_str()))
}

/// Takes the marks of an instance that has not been seen healthy yet.
async fn prove(world: &World, name: &str) -> Result<(), Error> {
    change(world, name, |settings| {
        settings.config.remove(found::UNPROVEN);
        settings.config.remove(found::PAUSED);
    })
    .await
}

async fn get(world: &World, name: &str) -> Result<Instance, Error> {
    let found = world.lxd.instance(name).await?;
    Ok(found.ok_or_else(|| Error::Gone { name: name.to_owned() })?.value)
}

/// Reads an instance, changes what was read and writes it back, unless somebody else was faster.
pub(super) async fn change(world: &World, name: &str, edit: impl Fn(&mut Settings)) -> Result<(), Error> {
    let found = world.lxd.instance(name).await?.ok_or_else(|| Error::Gone { name: name.to_owned() })?;
    let mut settings = found.value.settings();
    edit(&mut settings);
    Ok(world.lxd.update(name, &settings, &found.etag).await?)
}

async fn new_instance(world: &World, spec: &InstanceSpec, name: &str) -> Result<NewInstance, Error> {
    let mut config = spec.instance.config.clone();
    config.extend(labels(spec));
    config.insert(found::UNPROVEN.to_owned(), found::NEW.to_owned());
    Ok(NewInstance {
        name: name.to_owned(),
        source: source(world, &spec.instance.image).await?,
        virtual_machine: spec.instance.virtual_machine,
        profiles: spec.instance.profiles.clone(),
        config,
        devices: spec.instance.devices.clone(),
        ephemeral: spec.instance.ephemeral,
        description: spec.instance.description.clone(),
    })
}

/// By fingerprint, so that the instance says which image it is from even if the alias moves meanwhile.
async fn source(world: &World, image: &str) -> Result<ImageSource, Error> {
    Ok(ImageSource::Fingerprint(names::ensure(world, image).await?))
}

fn labels(spec: &InstanceSpec) -> Config {
    let label = |key: &str, value: &String| (key.to_owned(), value.clone());
    let mut labels = Config::from([
        label(found::OWNER, &spec.owner),
        label(found::VERSION, &spec.version),
        label(found::IMAGE_NAME, &spec.instance.image),
        label(found::SPEC, &spec.digest),
    ]);
    labels.extend((!spec.writes.is_empty()).then(|| label(found::WRITES, &spec.writes.to_string())));
    labels
}

fn is_root(device: &Config) -> bool {
    device.get("type").is_some_and(|kind| kind == "disk") && device.get("path").is_some_and(|path| path == "/")
}

fn derived(name: &str, suffix: &str) -> String {
    let kept: String = name.chars().take(LONGEST_NAME - suffix.len()).collect();
    format!("{}{suffix}", kept.trim_end_matches('-'))
}
