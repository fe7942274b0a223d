//! Ways in to a host that is being set up.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use crate::event::Events;
use crate::flow::host::{self, Open, Shut, Way};
use crate::machine::Machine;
use crate::project::host::Host;
use crate::rig::{settings, tunnel};
use crate::ssh::{self, OnNew, Route};
use crate::wireguard::Freshness;

/// What the ways in to a host have in common.
pub struct Ways {
    /// The host.
    pub host: Host,
    /// What the operator's settings say of it.
    pub settings: settings::Host,
    /// Where the repositories stand side by side.
    pub working_directory: PathBuf,
    /// The operator's private key.
    pub key: Option<PathBuf>,
    /// How SSH connections are made.
    pub ssh: ssh::Settings,
    /// Where warnings go.
    pub events: Events,
}

/// Fingerprint of the host's key, once one way has been open: the others lead to the same machine.
type Seen = Mutex<Option<String>>;

/// Returns what opens them.
pub fn opener(ways: Ways) -> Open {
    let (ways, seen) = (Arc::new(ways), Arc::<Seen>::default());
    Arc::new(move |way| {
        let (ways, seen) = (ways.clone(), seen.clone());
        Box::pin(async move { ways.open(way, &seen).await })
    })
}

impl Ways {
    async fn open(&self, way: Way, seen: &Seen) -> Result<Arc<dyn Machine>, Shut> {
        let route = match way {
            Way::First | Way::Account => Route::Direct,
            Way::Tunnel => self.tunnel(Freshness::Any).await?,
            Way::NewTunnel => self.tunnel(Freshness::New).await?,
        };
        let known = seen.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let target = self.target(way, route);
        if let (Way::Tunnel | Way::NewTunnel, Some(seen)) = (way, &known) {
            self.forget_the_one_before(&target, seen)?;
        }
        let settings = self.settings(way, known);
        let session = ssh::connect(&target, &settings, &self.events).await;
        let shut = |error: ssh::Error| {
            if error.is_closed() { Shut::Closed(error.into()) } else { Shut::Refused(error.into()) }
        };
        let session = session.map_err(shut)?;
        *seen.lock().unwrap_or_else(PoisonError::into_inner) = Some(session.host_key().to_owned());
        Ok(Arc::new(session))
    }

    /// A server that has proven on another way who it is may stand in the place of an earlier one of its name.
    fn forget_the_one_before(&self, target: &ssh::Target, seen: &str) -> Result<(), Shut> {
        let forgotten = ssh::forget_others(&self.ssh.remember_in, &target.host, target.port, seen);
        if forgotten.map_err(|error| Shut::Refused(error.into()))? {
            let host = ssh::known_hosts::written(&target.host, target.port);
            self.events.warn(format!("`{host}` is another server than before: its key is {seen} from now on"));
        }
        Ok(())
    }

    /// The set-up writes the end of the tunnel down on its way, so it is read each time.
    async fn tunnel(&self, freshness: Freshness) -> Result<Route, Shut> {
        let ends = host::ends(&self.working_directory, &self.host).map_err(|error| Shut::Refused(error.into()))?;
        let told = || Shut::Closed("the host has not told its end of the tunnel yet".into());
        let end = ends.configuration().ok_or_else(told)?;
        tunnel::open(&self.host.name, &end, freshness).await.map_err(|error| Shut::Closed(error.into()))
    }

    fn target(&self, way: Way, route: Route) -> ssh::Target {
        let host = &self.host;
        let address = self.settings.address.clone().unwrap_or_else(|| host.reached_at().to_string());
        let (address, port, account) = match way {
            Way::First => (address, host.initial_ssh_port, &host.root_user),
            Way::Account => (address, host.initial_ssh_port, &host.user),
            Way::Tunnel | Way::NewTunnel => (host.tunnel_address(), host.ssh_port, &host.user),
        };
        ssh::Target {
            name: host.name.clone(),
            host: address,
            port,
            user: account.clone(),
            key: self.key.clone(),
            password: way.password(host).cloned(),
            route,
        }
    }

    /// A host whose key has been seen on one way shows the same one on the others: nobody is asked twice.
    fn settings(&self, way: Way, seen: Option<String>) -> ssh::Settings {
        let mut settings = self.ssh.clone();
        if let Some(seen) = seen {
            let ask = settings.on_new.clone();
            if matches!(way, Way::Tunnel | Way::NewTunnel) {
                // The address in the tunnel is new, and is to be known from now on.
                settings.pinned = None;
            }
            settings.on_new = OnNew::Ask(Arc::new(move |new| match &ask {
                _ if format!("{} {}", new.algorithm, new.fingerprint) == seen => true,
                OnNew::Refuse => false,
                OnNew::Accept => true,
                OnNew::Ask(question) => question(new),
            }));
        }
        settings
    }
}
