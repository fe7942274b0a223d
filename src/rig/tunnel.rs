//! The way through a host's tunnel: an interface of this computer, or a process of ours that all of us share.

use std::fs;
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use rustix::fs::FlockOperation;
use sha2::{Digest as _, Sha256};
use thiserror::Error;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixListener;
use tokio::process::Command;

use crate::playbook::in_full;
use crate::rig::home;
use crate::ssh::Route;
use crate::wireguard::share::{self, Share};
use crate::wireguard::{self, Configuration, Freshness, Tunnel, kernel};

/// How long the host may take until its end of the tunnel answers.
const ANSWER: Duration = Duration::from_secs(10);

/// How long a tunnel stays that nobody uses.
const IDLE: Duration = Duration::from_secs(10);

/// Bytes of the longest answer of a new process.
const LONGEST: u64 = 64 << 10;

/// What the new process says once there is a tunnel.
const OPEN: &str = "open\n";

/// There is no tunnel.
#[derive(Debug, Error)]
pub enum Error {
    /// The interface of the kernel leads nowhere.
    #[error(transparent)]
    Kernel(#[from] wireguard::Error),
    /// The process with the tunnel says why.
    #[error("{0}")]
    Refused(String),
    /// The process with the tunnel cannot be had.
    #[error("cannot start the tunnel (in {})", directory.display())]
    Process {
        /// Where its socket is to be.
        directory: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// Opens the way to `host`: an interface of that name, as `wg-quick` makes it, where there is one or the kernel lets us
/// make one, and otherwise a process of ours.
///
/// # Errors
///
/// The host's end does not answer.
pub async fn open(host: &str, end: &Configuration, freshness: Freshness) -> Result<Route, Error> {
    if kernel::open(host, end, freshness, ANSWER).await? {
        return Ok(Route::Direct);
    }
    let directory = directory();
    let failed = |source| Error::Process { directory: directory.clone(), source };
    let text = end.render();
    let socket = directory.join(name(text.reveal()));
    fs::DirBuilder::new().recursive(true).mode(0o700).create(&directory).map_err(failed)?;
    let _one_at_a_time = locked(socket.with_extension("lock")).await.map_err(failed)?;
    let share = Share::at(&socket, end);
    if freshness == Freshness::New {
        share.end().await;
    }
    if freshness == Freshness::New || !share.is_alive().await {
        let said = started(&socket, text.reveal().as_bytes()).await.map_err(failed)?;
        match said.trim_end() {
            _ if said == OPEN => {}
            "" => return Err(failed(io::Error::other("its process ended without a word"))),
            reason => return Err(Error::Refused(reason.to_owned())),
        }
    }
    Ok(Route::Tunnel(Arc::new(share)))
}

/// Where the sockets are: where the system keeps such things for this account, else with our other state.
fn directory() -> PathBuf {
    let runtime = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from).filter(|directory| directory.is_dir());
    runtime.map_or_else(|| home().join(".local/state/ryo/tunnels"), |directory| directory.join("ryo"))
}

/// The same keys and ends, and the same program: the same tunnel.
fn name(configuration: &str) -> String {
    let digest = Sha256::new().chain_update(env!("CARGO_PKG_VERSION")).chain_update(configuration).finalize();
    hex::encode(digest)[..16].to_owned()
}

async fn locked(path: PathBuf) -> io::Result<fs::File> {
    let lock = move || {
        let file = fs::OpenOptions::new().create(true).truncate(false).write(true).open(path)?;
        rustix::fs::flock(&file, FlockOperation::LockExclusive)?;
        Ok(file)
    };
    tokio::task::spawn_blocking(lock).await.map_err(io::Error::other)?
}

/// Starts the process, and returns what it says: [`OPEN`], or why there is no tunnel.
async fn started(socket: &Path, configuration: &[u8]) -> io::Result<String> {
    let mut process = Command::new("/proc/self/exe")
        .arg("tunnel")
        .arg(socket)
        .current_dir("/")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    if let Some(mut stdin) = process.stdin.take() {
        stdin.write_all(configuration).await?;
    }
    let mut said = vec![];
    if let Some(stdout) = process.stdout.take() {
        let mut stdout = stdout.take(LONGEST);
        while !said.ends_with(b"\n") && stdout.read_buf(&mut said).await? > 0 {}
    }
    Ok(String::from_utf8_lossy(&said).into_owned())
}

/// Is that process: reads the configuration from standard input, opens the tunnel, says so, and lets programs through.
///
/// # Errors
///
/// Standard input or output has been closed.
pub async fn run(socket: &Path) -> io::Result<()> {
    // Ctrl-C at the terminal is for who started us, not for who else goes through.
    let _ = rustix::process::setsid();
    let mut text = String::new();
    tokio::io::stdin().take(LONGEST).read_to_string(&mut text).await?;
    match opened(socket, &text).await {
        Ok((listener, tunnel)) => {
            said(OPEN).await?;
            share::serve(listener, tunnel, IDLE).await;
            fs::remove_file(socket)
        }
        Err(reason) => said(&format!("{}\n", reason.replace('\n', " "))).await,
    }
}

async fn opened(socket: &Path, configuration: &str) -> Result<(UnixListener, Tunnel), String> {
    let configuration = wireguard::parse(Path::new("-"), configuration).map_err(|problem| problem.to_string())?;
    let tunnel = Tunnel::open(&configuration, ANSWER).await.map_err(|error| in_full(&error.into()))?;
    // One that was killed has left its socket behind.
    let _ = fs::remove_file(socket);
    let listener = UnixListener::bind(socket);
    Ok((listener.map_err(|error| format!("cannot listen at {}: {error}", socket.display()))?, tunnel))
}

async fn said(line: &str) -> io::Result<()> {
    let mut stdout = tokio::io::stdout();
    stdout.write_all(line.as_bytes()).await?;
    stdout.flush().await
}
