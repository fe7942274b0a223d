//! A tunnel in a process of its own, which every program of this account goes through: a peer is known by its key, so two
//! tunnels with the same key would take the answers from each other.
//!
//! On a unix socket each connection begins with one line, `connect ADDRESS MILLISECONDS`, which is answered by `open` and
//! then carries the bytes of a TCP connection behind the tunnel, or by `failed KIND REASON`. `alive` is answered by
//! `open`, `end` by `open` and the end of the tunnel.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Notify;
use tokio::task::JoinSet;

use crate::wireguard::{Configuration, Network, Tunnel};

/// Bytes of the longest line.
const LONGEST: usize = 4096;

/// How long the process with the tunnel may take to answer beyond the time that the connection itself may take.
const ANSWER: Duration = Duration::from_secs(5);

/// Kinds of errors that are told apart on the other side.
const KINDS: [(&str, io::ErrorKind); 5] = [
    ("refused", io::ErrorKind::ConnectionRefused),
    ("late", io::ErrorKind::TimedOut),
    ("elsewhere", io::ErrorKind::HostUnreachable),
    ("ended", io::ErrorKind::BrokenPipe),
    ("other", io::ErrorKind::Other),
];

/// A tunnel in another process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Share {
    socket: PathBuf,
    allowed: Vec<Network>,
}

impl Share {
    /// The tunnel of `configuration` behind `socket`; nothing is sent by this.
    pub fn at(socket: &Path, configuration: &Configuration) -> Self {
        let allowed = configuration.peers.iter().flat_map(|peer| peer.allowed.clone()).collect();
        Self { socket: socket.to_owned(), allowed }
    }

    /// Whether packets for `address` go through it.
    pub fn leads_to(&self, address: IpAddr) -> bool {
        self.allowed.iter().any(|network| network.contains(address))
    }

    /// Connects to a TCP port behind the tunnel, and waits for at most `limit`.
    ///
    /// # Errors
    ///
    /// Those of [`Tunnel::connect`], in its words; or there is no such process.
    pub async fn connect(&self, address: SocketAddr, limit: Duration) -> io::Result<UnixStream> {
        self.asked(&format!("connect {address} {}", limit.as_millis()), limit).await
    }

    /// Whether there is such a process.
    pub async fn is_alive(&self) -> bool {
        self.asked("alive", Duration::ZERO).await.is_ok()
    }

    /// Ends it, with every connection that goes through it.
    pub async fn end(&self) {
        // Where there is none, there is nothing to end.
        let _ = self.asked("end", Duration::ZERO).await;
    }

    async fn asked(&self, question: &str, limit: Duration) -> io::Result<UnixStream> {
        let mut stream = UnixStream::connect(&self.socket).await?;
        stream.write_all(format!("{question}\n").as_bytes()).await?;
        let late = |_| io::Error::from(io::ErrorKind::TimedOut);
        let answer = tokio::time::timeout(limit + ANSWER, line(&mut stream)).await.map_err(late)??;
        match answer.split(' ').collect::<Vec<_>>().as_slice() {
            ["open"] => Ok(stream),
            ["failed", kind, reason @ ..] => {
                let kind = KINDS.iter().find(|(name, _)| name == kind).map_or(io::ErrorKind::Other, |(_, kind)| *kind);
                Err(io::Error::new(kind, reason.join(" ")))
            }
            _ => Err(io::Error::new(io::ErrorKind::InvalidData, "the process with the tunnel is none of ours")),
        }
    }
}

/// Reads a line, and no byte more.
async fn line(stream: &mut UnixStream) -> io::Result<String> {
    let mut line = vec![];
    loop {
        match stream.read_u8().await? {
            b'\n' => return String::from_utf8(line).map_err(|_| io::ErrorKind::InvalidData.into()),
            _ if line.len() == LONGEST => return Err(io::ErrorKind::InvalidData.into()),
            byte => line.push(byte),
        }
    }
}

/// Lets programs of this account through `tunnel`, until none has used it for `idle`, or one of them ends it.
pub async fn serve(listener: UnixListener, tunnel: Tunnel, idle: Duration) {
    let (tunnel, end) = (Arc::new(tunnel), Arc::new(Notify::new()));
    let mut uses = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => if let Ok((stream, _)) = accepted && is_ours(&stream) {
                uses.spawn(used(stream, tunnel.clone(), end.clone()));
            },
            _ = uses.join_next(), if !uses.is_empty() => {}
            () = tokio::time::sleep(idle), if uses.is_empty() => return,
            () = end.notified() => return,
        }
    }
}

fn is_ours(stream: &UnixStream) -> bool {
    stream.peer_cred().is_ok_and(|peer| peer.uid() == rustix::process::getuid().as_raw())
}

async fn used(mut stream: UnixStream, tunnel: Arc<Tunnel>, end: Arc<Notify>) {
    let Ok(question) = line(&mut stream).await else { return };
    let words: Vec<&str> = question.split(' ').collect();
    match words.as_slice() {
        ["connect", address, limit] => {
            if let (Ok(address), Ok(limit)) = (address.parse(), limit.parse()) {
                carried(stream, &tunnel, address, Duration::from_millis(limit)).await;
            }
        }
        ["alive"] => drop(stream.write_all(b"open\n").await),
        ["end"] => {
            end.notify_one();
            let _ = stream.write_all(b"open\n").await;
        }
        _ => {}
    }
}

async fn carried(mut stream: UnixStream, tunnel: &Tunnel, address: SocketAddr, limit: Duration) {
    match tunnel.connect(address, limit).await {
        Ok(mut behind) => {
            if stream.write_all(b"open\n").await.is_ok() {
                let _ = tokio::io::copy_bidirectional(&mut stream, &mut behind).await;
            }
        }
        Err(error) => {
            let kind = KINDS.iter().find(|(_, kind)| *kind == error.kind()).map_or("other", |(name, _)| name);
            let _ = stream.write_all(format!("failed {kind} {error}\n").as_bytes()).await;
        }
    }
}
