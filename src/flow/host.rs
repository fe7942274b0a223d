//! Setting a host up: stages, each a playbook of ours, over ways in that open one after the other.
//!
//! - What the server is already, it says itself: the last way in that works tells how far it is, and every stage finds
//!   done what is done.
//! - SSH and firewall go back to what they were unless the way in through the tunnel has been used; only then the ways
//!   before it are given up.
//!
//! Source: the stages of ryo-host's `setup.yml`.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;
use thiserror::Error;
use tokio::sync::watch;

use crate::event::{Event, Events};
use crate::flow::progress::Progress;
use crate::machine::Machine;
use crate::playbook::connection::Connection;
use crate::playbook::{self, Connect, Refused, Source};

mod tunnel;
mod variables;

pub use tunnel::{Ends, ends, written};
pub use variables::{Consul, Request, Server};

/// A way in, from the first to the last. The later ones are there once a stage has made them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Way {
    /// The first login, on the first port.
    First,
    /// The operator's account, on the first port.
    Account,
    /// The operator's account, through the tunnel.
    Tunnel,
}

impl Way {
    fn title(self) -> &'static str {
        match self {
            Self::First => "by the first login",
            Self::Account => "by the operator's account",
            Self::Tunnel => "through the tunnel",
        }
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

/// Opens a way in.
pub type Open = Arc<dyn Fn(Way) -> BoxFuture<'static, Result<Arc<dyn Machine>, Shut>> + Send + Sync>;

/// A part of the set-up.
struct Stage {
    title: &'static str,
    playbook: &'static str,
    way: Way,
}

const fn stage(title: &'static str, playbook: &'static str, way: Way) -> Stage {
    Stage { title, playbook, way }
}

/// All of it, in order.
const STAGES: [Stage; 7] = [
    stage("make the operator's account", "account.yml", Way::First),
    stage("set up the system", "system.yml", Way::Account),
    stage("set up the tunnel", TUNNEL, Way::Account),
    stage("set up SSH and the firewall", ACCESS, Way::Account),
    stage("give up the ways in from outside", "proven.yml", Way::Tunnel),
    stage("set up the server of containers", "server.yml", Way::Tunnel),
    stage("set up Consul", "consul.yml", Way::Tunnel),
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
    /// A playbook did not end well.
    #[error("cannot {title} of host `{host}`", title = title)]
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
pub fn outline() -> String {
    STAGES.iter().map(|stage| format!("  {}", stage.title)).collect::<Vec<_>>().join("\n")
}

/// Sets a host up with the playbooks in `playbooks`; `scratch` is for files that live as long as the set-up.
/// Returns how many tasks changed something.
///
/// # Errors
///
/// See [`Error`]; the host can be reached after each of them.
pub async fn set_up(
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
    let mut total = 0;
    for (number, stage) in STAGES.iter().enumerate() {
        if *stop.borrow() {
            return Err(Error::Stopped(stage.title));
        }
        if way < stage.way {
            machine = next(&host, open, stage.way).await?;
            way = stage.way;
        }
        let progress = Progress { events: events.clone(), number: number + 1 };
        let step = Step { request, stage, playbooks, scratch, progress };
        let changed = step.carry_out(&machine, stop).await?;
        if stage.playbook == ACCESS && changed > 0 {
            // A connection that is there proves nothing: the way through the tunnel is opened anew.
            way = Way::Account;
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
            Err(Shut::Closed(source)) if way == Way::Tunnel => {
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
    playbooks: &'a Path,
    scratch: &'a Path,
    progress: Progress,
}

impl Step<'_> {
    async fn carry_out(&self, machine: &Arc<dyn Machine>, stop: &watch::Receiver<bool>) -> Result<usize, Error> {
        let begun = self.progress.begin(STAGES.len(), self.stage.title);
        let ended = self.play(machine, stop).await;
        match &ended {
            Ok(0) => begun.done(self.stage.title),
            Ok(changed) => begun.done(&format!("{}, {changed} changes", self.stage.title)),
            Err(_) => begun.failed(),
        }
        ended
    }

    async fn play(&self, machine: &Arc<dyn Machine>, stop: &watch::Receiver<bool>) -> Result<usize, Error> {
        let host = &self.request.host.name;
        let request = playbook::Request {
            extra_vars: self.request.variables(self.scratch),
            ..playbook::Request::new(self.file(), vec![Source::Names(format!("{host},"))], stop.clone())
        };
        let failed = |source| Error::Stage { host: host.clone(), title: self.stage.title, source };
        let recap = playbook::run(request, over(machine), &self.progress.of_playbook()).await.map_err(failed)?;
        if self.stage.playbook == TUNNEL {
            self.request.ends.introduce(&tunnel::told(self.scratch, host))?;
        }
        Ok(recap.hosts.iter().map(|host| host.changed).sum())
    }

    fn file(&self) -> PathBuf {
        self.playbooks.join("host").join(self.stage.playbook)
    }
}

/// Leads every connection to the host to the way in that is open.
fn over(machine: &Arc<dyn Machine>) -> Connect {
    let machine = machine.clone();
    Arc::new(move |connection| {
        let machine = machine.clone();
        Box::pin(async move {
            match connection {
                Connection::Local => Ok(Arc::new(crate::local::Local::new()) as Arc<dyn Machine>),
                _ => Ok(machine),
            }
        })
    })
}
