//! Instances: made, started, stopped, changed, removed.

use std::time::Duration;

use super::model::{Config, Devices, Instance, Settings, State, Tagged};
use super::{ANSWER, Client, Error, late, line, optional, request};

/// How long making an instance may take: its image may have to be fetched and unpacked.
const CREATE: Duration = Duration::from_mins(30);

/// How long the server may take for everything else.
const CHANGE: Duration = Duration::from_mins(2);

/// Most bytes of a console log that are read.
const CONSOLE: u64 = 4 << 20;

/// Where the root file system of a new instance is from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ImageSource {
    /// An image in the server's store.
    Fingerprint(String),
    /// A name in the server's store.
    Alias(String),
    /// An image server that the server itself asks.
    Remote {
        /// Address, e.g. `https://cloud-images.ubuntu.com/releases`.
        server: String,
        /// `simplestreams`, `lxd` or `incus`.
        protocol: String,
        /// Name or fingerprint there.
        alias: String,
    },
}

/// An instance to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewInstance {
    /// Name.
    pub name: String,
    /// Where its root file system is from.
    pub source: ImageSource,
    /// Whether it is a virtual machine.
    pub virtual_machine: bool,
    /// Profiles in order; none at all means none, not `default`.
    pub profiles: Vec<String>,
    /// Configuration.
    pub config: Config,
    /// Devices.
    pub devices: Devices,
    /// Whether it goes when it stops.
    pub ephemeral: bool,
    /// Description.
    pub description: String,
}

impl Client {
    /// Lists all instances with configuration, devices and state, by one request.
    pub async fn instances(&self) -> Result<Vec<Instance>, Error> {
        self.call(request::instances()).await
    }

    /// Reads one instance, without its state; `None` if it is not there.
    pub async fn instance(&self, name: &str) -> Result<Option<Tagged<Instance>>, Error> {
        let found = optional(self.tagged(request::instance(name)).await)?;
        Ok(found.map(|(value, etag)| Tagged { value, etag }))
    }

    /// Reads the state of one instance.
    pub async fn state(&self, name: &str) -> Result<State, Error> {
        self.call(request::state(name)).await
    }

    /// Makes an instance; it stays stopped.
    pub async fn create(&self, new: &NewInstance) -> Result<(), Error> {
        let what = format!("creation of instance `{}`", new.name);
        self.run_long(request::create_instance(new), &what, CREATE).await.map(drop)
    }

    /// Changes an instance in place, running or not; refused ([`Error::is_stale`]) if it no longer carries `etag`.
    pub async fn update(&self, name: &str, settings: &Settings, etag: &str) -> Result<(), Error> {
        let what = format!("change of instance `{name}`");
        self.run(request::update_instance(name, settings, etag), &what, CHANGE).await.map(drop)
    }

    /// Renames a stopped instance.
    pub async fn rename(&self, name: &str, to: &str) -> Result<(), Error> {
        let what = format!("renaming of instance `{name}` to `{to}`");
        self.run(request::rename_instance(name, to), &what, CHANGE).await.map(drop)
    }

    /// Deletes a stopped instance.
    pub async fn delete(&self, name: &str) -> Result<(), Error> {
        let what = format!("deletion of instance `{name}`");
        self.run(request::delete_instance(name), &what, CHANGE).await.map(drop)
    }

    /// Starts an instance. It then runs, but need not have an address yet: see [`super::wait`].
    pub async fn start(&self, name: &str) -> Result<(), Error> {
        let what = format!("start of instance `{name}`");
        self.run(request::start_instance(name), &what, CHANGE).await.map(drop)
    }

    /// Lets the processes of an instance that is frozen go on.
    pub async fn unfreeze(&self, name: &str) -> Result<(), Error> {
        let what = format!("start of instance `{name}`");
        self.run(request::unfreeze_instance(name), &what, CHANGE).await.map(drop)
    }

    /// Lets no process of an instance go on.
    pub async fn freeze(&self, name: &str) -> Result<(), Error> {
        let what = format!("freezing of instance `{name}`");
        self.run(request::freeze_instance(name), &what, CHANGE).await.map(drop)
    }

    /// Lets an instance shut down by itself; it is stopped at once when it has not done so within `patience`.
    pub async fn stop(&self, name: &str, patience: Duration) -> Result<(), Error> {
        let what = format!("stop of instance `{name}`");
        let request = request::stop_instance(name, patience.as_secs().max(1));
        match self.run(request, &what, patience + CHANGE).await {
            // Too slow, or it has no way to shut down: both are reasons to stop it the hard way.
            Err(Error::Failed { .. }) if self.state(name).await?.is_on() => self.kill(name).await,
            Err(Error::Failed { .. }) => Ok(()),
            other => other.map(drop),
        }
    }

    /// Stops an instance at once.
    pub async fn kill(&self, name: &str) -> Result<(), Error> {
        let what = format!("stop of instance `{name}`");
        self.run(request::kill_instance(name), &what, CHANGE).await.map(drop)
    }

    /// Returns the last `lines` lines that a container has written to its console; empty if there is no such log.
    pub async fn console_tail(&self, name: &str, lines: usize) -> Result<Vec<String>, Error> {
        let request = request::console(name);
        let line = line(&request);
        let read = async {
            let response = match self.send(request, &line).await {
                Err(Error::Refused { .. }) => return Ok(vec![]),
                other => other?,
            };
            response.bytes(CONSOLE).await.map_err(|source| self.cut(&line, source))
        };
        let bytes = tokio::time::timeout(ANSWER, read).await.unwrap_or_else(|_| Err(late(&line, ANSWER)))?;
        let text = String::from_utf8_lossy(&bytes);
        let all: Vec<_> = text.lines().map(|line| line.trim_end_matches('\r').to_owned()).collect();
        Ok(all[all.len().saturating_sub(lines)..].to_vec())
    }
}
