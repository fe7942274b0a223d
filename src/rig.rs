//! What was meant: opens the connections that a flow needs.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};

use futures_util::future::BoxFuture;
use tokio::sync::Mutex;

use crate::agent;
use crate::backend::Native;
use crate::consul;
use crate::container::Container;
use crate::event::Events;
use crate::failure::{Failure, Kind};
use crate::flow::names::Names;
use crate::flow::world::{ConnectConsul, Limits, ReachDatabase, World};
use crate::flow::{self, journal};
use crate::http::{Http, Stream};
use crate::local::Local;
use crate::lxd;
use crate::machine::{Command, Machine, run};
use crate::playbook::connection::{Become, Connection, Guest, Method};
use crate::playbook::reading::Reading;
use crate::playbook::{self, Connect, Refused};
use crate::secret::Secret;
use crate::sql;
use crate::ssh;
use crate::terraform::{ConsulProvider, DatabaseProvider};
use crate::ui;
use crate::wire::{self, Dial, Wire};
use crate::wireguard::Freshness;

pub mod address;
pub mod database;
pub mod host;
pub mod settings;
pub mod tls;
pub mod tunnel;

pub use address::{Address, read as address};
use settings::{Carrier, Settings};

/// Where LXD and Incus listen on a host. Sources: the packages of Debian and Ubuntu, the snap of LXD, Zabbly's Incus.
const SOCKETS: [&str; 3] =
    ["/var/lib/lxd/unix.socket", "/var/snap/lxd/common/lxd/unix.socket", "/var/lib/incus/unix.socket"];

/// The token for Consul, on a host that was set up with one (`consul-access.sh`).
const CONSUL_TOKEN: &str = "/var/lib/ryo/consul.token";

/// Where we remember things on a host.
const STATE: &str = "/var/lib/ryo/hosts";

/// An instance that an inventory names cannot be reached from here.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Playbooks reach instances of this computer only.
    #[error("the instance `{instance}` is on the remote `{remote}`, only `local` can be reached")]
    Remote {
        /// The server, as the inventory names it.
        remote: String,
        /// The instance.
        instance: String,
    },
    /// The servers' projects are not supported.
    #[error("the instance `{instance}` is in the project `{project}`, only `default` can be reached")]
    Project {
        /// The server's project.
        project: String,
        /// The instance.
        instance: String,
    },
}

/// How SSH connections are made for this account.
pub fn ssh_settings(pinned: Option<String>) -> ssh::Settings {
    let home = home();
    let mut settings = ssh::Settings::new(&home, home.join(".config/ryo/known_hosts"));
    settings.pinned = pinned;
    settings.agent = std::env::var_os("SSH_AUTH_SOCK").map(PathBuf::from);
    settings.on_new = ssh::OnNew::Ask(Arc::new(|host| {
        let question = format!("{host}. Is this the right host?");
        ui::confirm(&question, ui::Default::No, "--host-key").unwrap_or(false)
    }));
    settings.passphrase =
        Some(Arc::new(|path: &Path| ui::password(&format!("passphrase of {}", path.display()), "an SSH agent").ok()));
    settings
}

/// What carries everything to one host.
#[derive(Clone)]
enum Line {
    Local,
    Ssh(Arc<ssh::Session>),
}

impl Line {
    fn machine(&self) -> Arc<dyn Machine> {
        match self {
            Self::Local => Arc::new(Local::new()),
            Self::Ssh(session) => session.clone(),
        }
    }

    fn unix(&self, path: &str) -> Dial {
        match self {
            Self::Local => wire::unix(path),
            Self::Ssh(session) => {
                let (session, path) = (session.clone(), path.to_owned());
                Arc::new(move || {
                    let (session, path) = (session.clone(), path.clone());
                    Box::pin(async move { session.unix(&path).await })
                })
            }
        }
    }

    fn tcp(&self, address: &str) -> Dial {
        match self {
            Self::Local => wire::tcp(address),
            Self::Ssh(session) => {
                let (session, address) = (session.clone(), address.to_owned());
                Arc::new(move || {
                    let (session, address) = (session.clone(), address.clone());
                    Box::pin(async move { through(&session, &address).await })
                })
            }
        }
    }
}

async fn through(session: &ssh::Session, address: &str) -> std::io::Result<Box<dyn Stream>> {
    let invalid = || std::io::Error::new(std::io::ErrorKind::InvalidInput, format!("`{address}` has no port"));
    let (host, port) = address.rsplit_once(':').ok_or_else(invalid)?;
    let port = port.parse().map_err(|_| invalid())?;
    session.tcp(host.trim_matches(['[', ']']), port).await
}

/// Opens everything that a flow on one host needs.
///
/// # Errors
///
/// The host cannot be reached, does not let us in, or has no LXD or Incus; nothing was done there.
pub async fn open(address: &Address, settings: &Settings, events: &Events) -> Result<World, Failure> {
    let host = settings.host(&address.name);
    let line = line(address, settings, events).await?;
    let socket = match &host.socket {
        Some(socket) => socket.display().to_string(),
        None => find_socket(line.machine().as_ref(), &address.name).await?,
    };
    let server = Wire::new(format!("LXD at {socket} on {}", address.name), "lxd", line.unix(&socket));
    let by_socket = lxd::Client::new(Arc::new(server));
    // Before an agent is put there: what cannot be had at all is told first.
    by_socket.server().await?;
    let lxd = match &host.tls {
        Some(directory) => {
            let route = in_tunnel(address).await?;
            tls::open(&address.name, (&address.host, tls::PORT), route, directory, &by_socket).await?
        }
        None => by_socket,
    };
    let agent = start_agent(&line).await?;
    let token = agent.read(CONSUL_TOKEN).await?;
    let token = token.map(|token| Secret::new(String::from_utf8_lossy(&token).trim().to_owned()));
    let own_consul = consul(&line, host.consul.as_ref().unwrap_or(&address.consul), None, token.clone(), &address.name);
    let connect =
        connect(&line, lxd.clone(), ssh_settings(settings.host_key.clone().or(host.host_key)), events.clone());
    let reading = Reading::of_environment()
        .map_err(|problem| Failure::new(Kind::Request, playbook::Error::Problems(vec![problem])))?;
    Ok(World {
        host: address.name.clone(),
        programs: BTreeMap::new(),
        configure: Arc::new(Native { connect: connect.clone(), reading: reading.clone() }),
        connect,
        access: token.as_ref().map(|_| own_consul.clone()),
        own_consul,
        consul: connect_consul(&line, host.consul, token, address.name.clone()),
        database: reach_database(&line, lxd.clone(), address.name.clone()),
        lxd,
        agent: Arc::new(agent),
        state: STATE.to_owned(),
        inventory: address.inventory.clone(),
        working_directory: address.working_directory.clone(),
        names: Names { rewrites: settings.images.clone(), remotes: settings.remotes.clone() },
        reading,
        limits: Limits::default(),
    })
}

/// Opens an SSH connection to a host.
///
/// # Errors
///
/// The host cannot be reached, does not let us in, or is this computer.
pub async fn session(address: &Address, settings: &Settings, events: &Events) -> Result<Arc<ssh::Session>, Failure> {
    match line(address, settings, events).await? {
        Line::Ssh(session) => Ok(session),
        Line::Local => Err(Failure::new(Kind::Request, format!("host `{}` is this computer", address.name))),
    }
}

/// Starts an agent on a host, as its root.
///
/// # Errors
///
/// The host cannot be reached or does not let us in.
pub async fn agent(address: &Address, settings: &Settings, events: &Events) -> Result<agent::Client, Failure> {
    start_agent(&line(address, settings, events).await?).await
}

async fn line(address: &Address, settings: &Settings, events: &Events) -> Result<Line, Failure> {
    let host = settings.host(&address.name);
    let carrier = host.connection.unwrap_or_else(|| address.carrier());
    if carrier == Carrier::Local {
        return Ok(Line::Local);
    }
    let route = route(address, &host).await?;
    let target = ssh::Target {
        name: address.name.clone(),
        host: host.address.unwrap_or_else(|| address.host.clone()),
        port: host.port.unwrap_or(address.port),
        user: host.user.unwrap_or_else(|| address.user.clone()),
        key: host.key.or_else(|| address.key.clone()),
        password: address.password.clone(),
        route,
    };
    let session = ssh::connect(&target, &ssh_settings(settings.host_key.clone().or(host.host_key)), events).await?;
    Ok(Line::Ssh(Arc::new(session)))
}

/// The way to a host: through its tunnel if it has been set up with one, unless the settings name another address.
async fn route(address: &Address, host: &settings::Host) -> Result<ssh::Route, Failure> {
    if host.address.is_some() { Ok(ssh::Route::Direct) } else { in_tunnel(address).await }
}

/// The way to the host's end of its tunnel.
async fn in_tunnel(address: &Address) -> Result<ssh::Route, Failure> {
    let written = flow::host::written(&address.working_directory, &address.name);
    let Some(end) = written.map_err(|error| Failure::new(Kind::Request, error))? else {
        return Ok(ssh::Route::Direct);
    };
    tunnel::open(&address.name, &end, Freshness::Any).await.map_err(|error| {
        Failure::new(Kind::World, error).hint("check that the host is up, and that its WireGuard port can be reached")
    })
}

/// Finds the socket that is there, by asking for all usual places at once.
async fn find_socket(machine: &dyn Machine, host: &str) -> Result<String, Failure> {
    let script = "for socket; do if [ -S \"$socket\" ]; then echo \"$socket\"; fi; done";
    let words = ["sh", "-c", script, "sh"].into_iter().chain(SOCKETS);
    let found = run(machine, &Command::new(words), &[]).await?;
    let text = String::from_utf8_lossy(&found.stdout).into_owned();
    text.lines().next().map(str::to_owned).ok_or_else(|| no_server(host))
}

fn no_server(host: &str) -> Failure {
    let error = format!("neither LXD nor Incus listens on `{host}` ({})", SOCKETS.join(", "));
    Failure::new(Kind::World, error)
        .hint("install and start LXD or Incus there")
        .hint(format!("if its socket is elsewhere, name it under `hosts: {host}: socket:` in the settings"))
}

async fn start_agent(line: &Line) -> Result<agent::Client, Failure> {
    let binary = agent::Binary::own()?;
    let root = Become { user: "root".to_owned(), method: Method::Sudo, flags: vec![] };
    let started = match line {
        Line::Local => agent::Client::local(&binary, Some((&root, None))).await,
        Line::Ssh(session) => agent::Client::start(session.as_ref(), &binary, Some((&root, None))).await,
    };
    Ok(started?)
}

fn connect_consul(line: &Line, address: Option<String>, token: Option<Secret>, host: String) -> ConnectConsul {
    let line = line.clone();
    Arc::new(move |provider: &ConsulProvider| {
        let address = address.clone().unwrap_or_else(|| provider.address.clone());
        let token = provider.token.clone().or_else(|| token.clone());
        consul(&line, &address, provider.datacenter.clone(), token, &host)
    })
}

fn consul(line: &Line, address: &str, datacenter: Option<String>, token: Option<Secret>, host: &str) -> consul::Client {
    let wire = Wire::new(format!("Consul at {address} on {host}"), address.to_owned(), line.tcp(address));
    consul::Client::new(Arc::new(wire) as Arc<dyn Http>, datacenter, token)
}

/// Database servers are reached from the host, as Consul is. One that lets an account in only from where the control
/// node is, as those of the field do, is reached from here.
fn reach_database(line: &Line, lxd: lxd::Client, host: String) -> ReachDatabase {
    let line = line.clone();
    Arc::new(move |provider: &DatabaseProvider| {
        let from_host = line.clone();
        let there = move |address: String| from_host.tcp(&address);
        let mut ways = vec![database::way(provider, &lxd, Arc::new(there))];
        if matches!(line, Line::Ssh(_)) {
            ways.push(database::way(provider, &lxd, Arc::new(|address: String| wire::tcp(address))));
        }
        sql::Server {
            name: format!("{provider} on {host}"),
            ways,
            user: provider.user.clone(),
            password: provider.password.clone(),
            database: provider.database.clone(),
            limit: wire::CONNECT,
        }
    })
}

/// Opens what playbooks name. The host's own connections, whatever its inventory says of port and account, go over the
/// connection that is there; this computer is this computer.
fn connect(line: &Line, lxd: lxd::Client, settings: ssh::Settings, events: Events) -> Connect {
    let line = line.clone();
    let others = connections(settings, events);
    Arc::new(move |connection| match connection {
        Connection::Local => others(connection),
        Connection::Ssh(_) => ready(line.machine()),
        Connection::Lxd(guest) | Connection::Incus(guest) => {
            let opened = container(&lxd, guest).map_err(Refused::from);
            Box::pin(async move { opened })
        }
    })
}

fn ready(machine: Arc<dyn Machine>) -> BoxFuture<'static, Result<Arc<dyn Machine>, Refused>> {
    Box::pin(async move { Ok(machine) })
}

fn container(lxd: &lxd::Client, guest: Guest) -> Result<Arc<dyn Machine>, Error> {
    if let Some(project) = guest.project.filter(|project| project != "default") {
        return Err(Error::Project { project, instance: guest.instance });
    }
    let name = format!("container {} on {}", guest.instance, guest.remote);
    Ok(Arc::new(Container::new(lxd.clone(), guest.instance, name)))
}

/// The container of a guest of the server on this computer.
fn neighbour(kind: &str, usual: &[&str], guest: Guest) -> Result<Arc<dyn Machine>, Error> {
    if guest.remote != "local" {
        return Err(Error::Remote { remote: guest.remote, instance: guest.instance });
    }
    container(&local_server(kind, usual), guest)
}

type Sessions = Arc<Mutex<Vec<(ssh::Target, Weak<ssh::Session>)>>>;

/// Opens what any inventory names: this computer, SSH servers, instances of the LXD or Incus on this computer.
pub fn connections(settings: ssh::Settings, events: Events) -> Connect {
    let sessions: Sessions = Arc::default();
    Arc::new(move |connection| {
        let (settings, events, sessions) = (settings.clone(), events.clone(), sessions.clone());
        Box::pin(async move {
            match connection {
                Connection::Local => Ok(Arc::new(Local::new()) as Arc<dyn Machine>),
                Connection::Ssh(wanted) => {
                    let user = wanted.user.unwrap_or_else(journal::account);
                    let target = ssh::Target {
                        name: wanted.host.clone(),
                        host: wanted.host,
                        port: wanted.port,
                        user,
                        key: wanted.key,
                        password: wanted.password,
                        route: ssh::Route::Direct,
                    };
                    Ok(shared(target, &settings, &events, &sessions).await?)
                }
                Connection::Lxd(guest) => Ok(neighbour("LXD", &SOCKETS[..2], guest)?),
                Connection::Incus(guest) => Ok(neighbour("Incus", &SOCKETS[2..], guest)?),
            }
        })
    })
}

async fn shared(
    target: ssh::Target,
    settings: &ssh::Settings,
    events: &Events,
    sessions: &Sessions,
) -> Result<Arc<dyn Machine>, Refused> {
    // Who uses a session holds it: one that was given up, as before a machine starts again, is not handed out any more.
    let known = sessions.lock().await.iter().find(|(other, _)| *other == target).and_then(|(_, known)| known.upgrade());
    if let Some(session) = known.filter(|session| session.is_open()) {
        return Ok(session);
    }
    let session = Arc::new(ssh::connect(&target, settings, events).await?);
    let mut sessions = sessions.lock().await;
    sessions.retain(|(other, _)| *other != target);
    sessions.push((target, Arc::downgrade(&session)));
    Ok(session)
}

/// The server on this computer: where the environment says (`LXD_SOCKET`, `LXD_DIR`, as for `lxc`), else the first of
/// the usual places that is there.
fn local_server(kind: &str, usual: &[&str]) -> lxd::Client {
    let set = |what: &str| {
        let value = std::env::var_os(format!("{}_{what}", kind.to_uppercase()));
        value.filter(|value| !value.is_empty()).map(PathBuf::from)
    };
    let named = set("SOCKET").or_else(|| Some(set("DIR")?.join("unix.socket")));
    let there = usual.iter().map(PathBuf::from).find(|path| path.exists());
    let path = named.or(there).unwrap_or_else(|| PathBuf::from(usual[0]));
    lxd::Client::new(Arc::new(Wire::new(format!("{kind} at {}", path.display()), "lxd", wire::unix(&path))))
}

/// The home of the account that runs us.
pub fn home() -> PathBuf {
    std::env::var_os("HOME").map_or_else(|| PathBuf::from("/"), PathBuf::from)
}
