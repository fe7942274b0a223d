//! What a flow works on: the connections to one host, opened by the rig.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::agent;
use crate::backend::{Build, Configure, Deploy, Programs};
use crate::consul;
use crate::flow::names::Names;
use crate::lxd;
use crate::playbook::Connect;
use crate::playbook::reading::Reading;
use crate::sql;
use crate::terraform::{ConsulProvider, DatabaseProvider};

/// Reaches the Consul server that a repository names.
pub type ConnectConsul = Arc<dyn Fn(&ConsulProvider) -> consul::Client + Send + Sync>;

/// Says how the database server that a repository names is reached.
pub type ReachDatabase = Arc<dyn Fn(&DatabaseProvider) -> sql::Server + Send + Sync>;

/// The connections to one host.
#[derive(Clone)]
pub struct World {
    /// The host's name.
    pub host: String,
    /// LXD or Incus on the host.
    pub lxd: lxd::Client,
    /// Consul on the host, where its configuration says.
    pub own_consul: consul::Client,
    /// Consul on the host for giving out tokens, if keys are not for everybody to write there.
    pub access: Option<consul::Client>,
    /// Consul on the host, where a repository says.
    pub consul: ConnectConsul,
    /// Database servers on the host.
    pub database: ReachDatabase,
    /// The agent on the host, as its root.
    pub agent: Arc<agent::Client>,
    /// The directory on the host in which we remember what is not elsewhere, e.g. `/var/lib/ryo/hosts`.
    pub state: String,
    /// The host's inventory on this computer.
    pub inventory: PathBuf,
    /// Where the repositories stand side by side, on this computer.
    pub working_directory: PathBuf,
    /// What images' names mean.
    pub names: Names,
    /// Opens what a playbook names, e.g. the host, or this computer.
    pub connect: Connect,
    /// How a playbook's files are read.
    pub reading: Reading,
    /// Who sets hosts up, where no program does.
    pub configure: Arc<dyn Configure>,
    /// Programs that do a part of the work, by project or module.
    pub programs: BTreeMap<String, Programs>,
    /// How long things may take.
    pub limits: Limits,
}

impl World {
    /// Who sets the host up for `owner`.
    pub fn configure(&self, owner: &str) -> &dyn Configure {
        let program = self.programs.get(owner).and_then(|programs| programs.configure.as_ref());
        program.unwrap_or(&self.configure).as_ref()
    }

    /// The program that builds the images of `owner`, if it is not `ryo` itself.
    pub fn build(&self, owner: &str) -> Option<&dyn Build> {
        self.programs.get(owner)?.build.as_deref()
    }

    /// The program that deploys `owner`, if it is not `ryo` itself.
    pub fn deploy(&self, owner: &str) -> Option<&dyn Deploy> {
        self.programs.get(owner)?.deploy.as_deref()
    }
}

/// How long things may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// From the start of an instance to the end of cloud-init.
    pub cloud_init: Duration,
    /// From there to an address.
    pub address: Duration,
    /// From the end of cloud-init to a good answer of each thing that has to answer, Consul included.
    pub checks: Duration,
    /// From the start of an instance until it is healthy, all of these together.
    pub healthy: Duration,
    /// From the request to stop to the end of an instance, before it is stopped by force.
    pub stop: Duration,
    /// From the end of an instance's first boot to the answer of the database server in it.
    pub database: Duration,
    /// From the first look at the server to the end of what an earlier run has begun there.
    pub earlier: Duration,
}

impl Limits {
    /// These, but with `limit` for an instance to become healthy, whatever it waits for.
    #[must_use]
    pub fn for_health(self, limit: Duration) -> Self {
        Self { cloud_init: limit, address: limit, checks: limit, healthy: limit, ..self }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            address: Duration::from_mins(2),
            cloud_init: Duration::from_mins(15),
            checks: Duration::from_mins(2),
            healthy: Duration::from_mins(20),
            stop: Duration::from_mins(1),
            database: Duration::from_mins(5),
            earlier: Duration::from_mins(5),
        }
    }
}
