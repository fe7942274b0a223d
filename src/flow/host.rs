//! Setting a host up: stages, each a playbook of ours, over ways in that open one after the other.
//!
//! - What the server is already, it says itself: the last way in that works tells how far it is, and every stage finds
//!   done what is done.
//! - SSH and firewall go back to what they were unless the way in through the tunnel has been used; only then the ways
//!   before it are given up.
//!
//! Source: the stages of ryo-host's `setup.yml`.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;
use thiserror::Error;
use tokio::sync::watch;

use crate::event::{Event, Events};
use crate::flow::progress::Progress;
use crate::machine::Machine;
use crate::playbook::connection::Connection;
use crate::playbook::{self, Connect, Refused, Source};
use crate::project::host::Host;
use crate::secret::Secret;

pub mod status;
mod tunnel;
mod variables;

pub use tunnel::{Ends, ends, file, written};
pub use variables::{Consul, DefaultPolicy, Request, Server, Storage};

/// A way in, from the first to the last. The later ones are there once a stage has made them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Way {
    /// The first login, on the first port.
    First,
    /// The operator's account, on the first port.
    Account,
    /// The operator's account, through the tunnel.
    Tunnel,
    /// The same, and the tunnel is opened anew: one that is there proves nothing of the firewall.
    NewTunnel,
}

impl Way {
    fn title(self) -> &'static str {
        match self {
            Self::First => "by the first login",
            Self::Account => "by the operator's account",
            Self::Tunnel | Self::NewTunnel => "through the tunnel",
        }
    }

    /// The password of the account that logs in on it, which `sudo` may ask for, too.
    pub fn password(self, host: &Host) -> Option<&Secret> {
        let password = match self {
            Self::First => &host.root_password,
            Self::Account | Self::Tunnel | Self::NewTunnel => &host.user_password,
        };
        Some(password).filter(|password| !password.reveal().is_empty())
    }
}

/// A way in is not there.
#[derive(Debug)]
pub enum Shut {
    /// Nobody answers, or we are not let in: another way may be open.
    Closed(Refused),
    /// The server is not who it should be, or we cannot even try: no other way may be tried.
    Refused(Refused),
}

impl Shut {
    fn reason(self) -> Refused {
        match self {
            Self::Closed(reason) | Self::Refused(reason) => reason,
        }
    }
}

/// Opens a way in.
pub type Open = Arc<dyn Fn(Way) -> BoxFuture<'static, Result<Arc<dyn Machine>, Shut>> + Send + Sync>;

/// A part of what is done.
#[derive(Clone, Copy)]
struct Stage {
    title: &'static str,
    playbook: &'static str,
    way: Way,
}

const fn stage(title: &'static str, playbook: &'static str, way: Way) -> Stage {
    Stage { title, playbook, way }
}

/// All of the set-up, in order.
const SET_UP: [Stage; 8] = [
    stage("look at the server", "checks.yml", Way::First),
    stage("make the operator's account", "account.yml", Way::First),
    stage("set up the system", "system.yml", Way::Account),
    stage("set up the tunnel", TUNNEL, Way::Account),
    stage("set up SSH and the firewall", ACCESS, Way::Account),
    stage("give up the ways in from outside", "proven.yml", Way::Tunnel),
    stage("set up the server of containers", "server.yml", Way::Tunnel),
    stage("set up Consul", "consul.yml", Way::Tunnel),
];

/// What an upgrade does: newer packages, then whatever the set-up of today does otherwise than that of then.
const UPGRADE: [Stage; 8] = [
    stage("upgrade the packages", "upgrade.yml", Way::Tunnel),
    SET_UP[2],
    SET_UP[3],
    SET_UP[4],
    SET_UP[5],
    SET_UP[6],
    SET_UP[7],
    stage("start the system again if needed", "restart.yml", Way::Tunnel),
];

/// The stage that tells the two ends of the tunnel of each other.
const TUNNEL: &str = "tunnel.yml";

/// The stage behind which other ways in are open than before.
const ACCESS: &str = "access.yml";

/// How long the way through the tunnel may take to open; the host goes back to the ways before after two minutes.
const PROOF: Duration = Duration::from_secs(80);

/// How long is waited between two tries.
const PAUSE: Duration = Duration::from_secs(2);

/// A host could not be set up. Running the same command again goes on where it was.
#[derive(Debug, Error)]
pub enum Error {
    /// No way in is open.
    #[error("there is no way in to host `{host}`{}", listed(reasons))]
    NoWay {
        /// The host.
        host: String,
        /// Each way, and what was said there.
        reasons: Vec<(Way, Refused)>,
    },
    /// The server is not who it should be, or we cannot even try.
    #[error("cannot log in to host `{host}` {}", way.title())]
    Refused {
        /// The host.
        host: String,
        /// How it was tried.
        way: Way,
        /// Why.
        source: Refused,
    },
    /// The way through the tunnel does not open.
    #[error(
        "the way in to host `{host}` through the tunnel does not open; SSH and firewall go back to what they were within two minutes"
    )]
    Unproven {
        /// The host.
        host: String,
        /// Why.
        source: Refused,
    },
    /// An upgrade is for what is a host already.
    #[error("host `{host}` is not set up, or its tunnel does not answer")]
    NotSetUp {
        /// The host.
        host: String,
    },
    /// A playbook did not end well.
    #[error("cannot {title} on host `{host}`", title = title)]
    Stage {
        /// The host.
        host: String,
        /// What was done.
        title: &'static str,
        /// Why.
        source: playbook::Error,
    },
    /// The end of the tunnel here cannot be written down.
    #[error("cannot write the end of the tunnel here")]
    Tunnel(#[from] tunnel::Error),
    /// A person asked it to stop.
    #[error("stopped before: {0}")]
    Stopped(&'static str),
}

fn listed(reasons: &[(Way, Refused)]) -> String {
    let line = |(way, reason): &(Way, Refused)| format!("\n  {}: {}", way.title(), playbook::in_full(reason));
    reasons.iter().map(line).collect::<Vec<_>>().concat()
}

/// What will be done, one line each.
pub fn outline(what: What) -> String {
    what.stages().iter().map(|stage| format!("  {}", stage.title)).collect::<Vec<_>>().join("\n")
}

/// What is done with a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// A server becomes a host.
    SetUp,
    /// A host gets newer packages.
    Upgrade,
}

impl What {
    fn stages(self) -> &'static [Stage] {
        match self {
            Self::SetUp => &SET_UP,
            Self::Upgrade => &UPGRADE,
        }
    }
}

/// Sets a host up or upgrades it with the playbooks in `playbooks`; `scratch` is for files that live as long as that
/// takes. Returns how many tasks changed something.
///
/// # Errors
///
/// See [`Error`]; the host can be reached after each of them.
pub async fn carry_out(
    what: What,
    request: &Request,
    open: &Open,
    playbooks: &Path,
    scratch: &Path,
    events: &Events,
    stop: &watch::Receiver<bool>,
) -> Result<usize, Error> {
    let host = request.host.name.clone();
    events.emit(Event::Looking { what: format!("host {host}") });
    let (mut way, mut machine) = reached(&host, open).await?;
    if what == What::Upgrade && way != Way::Tunnel {
        return Err(Error::NotSetUp { host });
    }
    let (mut total, mut unproven) = (0, false);
    for (number, stage) in what.stages().iter().enumerate() {
        if *stop.borrow() {
            return Err(Error::Stopped(stage.title));
        }
        let wanted = if unproven && stage.way == Way::Tunnel { Way::NewTunnel } else { stage.way };
        if way < wanted {
            machine = next(&host, open, wanted).await?;
            (way, unproven) = (wanted, false);
        }
        let progress = Progress { events: events.clone(), number: number + 1 };
        let of = what.stages().len();
        let step = Step { request, stage, of, way, playbooks, scratch, progress };
        let changed = step.carry_out(over(open, way, &machine), stop).await?;
        if stage.playbook == ACCESS && changed > 0 {
            // A connection that is there proves nothing.
            (way, unproven) = (Way::Account, true);
        }
        total += changed;
    }
    Ok(total)
}

/// Finds the last way in that is open: it tells how far the server is.
async fn reached(host: &str, open: &Open) -> Result<(Way, Arc<dyn Machine>), Error> {
    let mut reasons = vec![];
    for way in [Way::Tunnel, Way::Account, Way::First] {
        match open(way).await {
            Ok(machine) => return Ok((way, machine)),
            Err(Shut::Closed(reason)) => reasons.push((way, reason)),
            Err(Shut::Refused(source)) => return Err(Error::Refused { host: host.to_owned(), way, source }),
        }
    }
    Err(Error::NoWay { host: host.to_owned(), reasons })
}

/// Opens a way that the stage before has made. Services take a moment until they answer.
async fn next(host: &str, open: &Open, way: Way) -> Result<Arc<dyn Machine>, Error> {
    let until = Instant::now() + PROOF;
    loop {
        match open(way).await {
            Ok(machine) => return Ok(machine),
            Err(Shut::Closed(_)) if Instant::now() + PAUSE < until => tokio::time::sleep(PAUSE).await,
            Err(Shut::Closed(source)) if way == Way::NewTunnel => {
                return Err(Error::Unproven { host: host.to_owned(), source });
            }
            Err(Shut::Closed(source) | Shut::Refused(source)) => {
                return Err(Error::Refused { host: host.to_owned(), way, source });
            }
        }
    }
}

/// One stage at work.
struct Step<'a> {
    request: &'a Request,
    stage: &'static Stage,
    of: usize,
    /// The way that is taken, which may be a later one than the stage needs.
    way: Way,
    playbooks: &'a Path,
    scratch: &'a Path,
    progress: Progress,
}

impl Step<'_> {
    async fn carry_out(&self, connect: Connect, stop: &watch::Receiver<bool>) -> Result<usize, Error> {
        let begun = self.progress.begin(self.of, self.stage.title);
        let ended = self.play(connect, stop).await;
        match &ended {
            Ok(0) => begun.done(self.stage.title),
            Ok(changed) => begun.done(&format!("{}, {changed} changes", self.stage.title)),
            Err(_) => begun.failed(),
        }
        ended
    }

    async fn play(&self, connect: Connect, stop: &watch::Receiver<bool>) -> Result<usize, Error> {
        let host = &self.request.host.name;
        let request = playbook::Request {
            extra_vars: self.request.variables(self.scratch),
            become_password: self.way.password(&self.request.host).cloned(),
            ..playbook::Request::new(self.file(), vec![Source::Names(format!("{host},"))], stop.clone())
        };
        let failed = |source| Error::Stage { host: host.clone(), title: self.stage.title, source };
        let recap = playbook::run(request, connect, &self.progress.of_playbook()).await.map_err(failed)?;
        if self.stage.playbook == TUNNEL {
            self.request.ends.introduce(&tunnel::told(self.scratch, host))?;
        }
        Ok(recap.hosts.iter().map(|host| host.changed).sum())
    }

    fn file(&self) -> PathBuf {
        self.playbooks.join("host").join(self.stage.playbook)
    }
}

/// Leads the first connection to the host to `machine`, which is open. A later one is made anew: the host may have been
/// started again.
fn over(open: &Open, way: Way, machine: &Arc<dyn Machine>) -> Connect {
    let (open, first) = (open.clone(), Arc::new(Mutex::new(Some(machine.clone()))));
    Arc::new(move |connection| {
        let (open, first) = (open.clone(), first.clone());
        Box::pin(async move {
            if connection == Connection::Local {
                return Ok(Arc::new(crate::local::Local::new()) as Arc<dyn Machine>);
            }
            let first = first.lock().unwrap_or_else(PoisonError::into_inner).take();
            match first {
                Some(machine) => Ok(machine),
                None => open(way).await.map_err(Shut::reason),
            }
        })
    })
}
