//! A connection on which we are logged in.

use std::io;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use russh::client::{Handle, Msg};
use russh::{Channel, ChannelOpenFailure};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use crate::http::Stream;
use crate::machine::{Command, Lost, Machine, Process};
use crate::ssh::channel::{self, Size, Streams, Tunnel};
use crate::ssh::connect::Line;
use crate::ssh::host_key::{self, Ended, Guard};
use crate::ssh::quote;

/// Commands at once; `sshd` lets ten in (`MaxSessions`) and refuses the next. Those beyond wait for one to end.
const MOST_COMMANDS: usize = 10;
/// How long a command waits for its turn.
const TURN: Duration = Duration::from_mins(1);

/// A logged-in connection. Clones share it; it is closed when the last one is dropped.
///
/// As a [`Machine`], commands beyond the tenth at once wait up to a minute for another one to end.
#[derive(Clone)]
pub struct Session {
    name: String,
    handle: Arc<Handle<Guard>>,
    ended: Arc<OnceLock<Ended>>,
    shown: Arc<OnceLock<String>>,
    turns: Arc<Semaphore>,
}

impl Session {
    pub(super) fn new(name: String, line: Line) -> Self {
        let turns = Arc::new(Semaphore::new(MOST_COMMANDS));
        Self { name, handle: Arc::new(line.handle), ended: line.ended, shown: line.shown, turns }
    }

    /// Kind and fingerprint of the key that the server has shown, e.g. `ssh-ed25519 SHA256:…`.
    pub fn host_key(&self) -> &str {
        self.shown.get().map_or("", String::as_str)
    }

    /// Whether the connection is not known to have ended.
    pub fn is_open(&self) -> bool {
        !self.handle.is_closed() && self.ended.get().is_none()
    }

    /// Connects to a unix socket of the host (`direct-streamlocal@openssh.com`), e.g. `/var/lib/lxd/unix.socket`.
    ///
    /// # Errors
    ///
    /// `ConnectionRefused`: nobody listens there, or the account may not use it. `PermissionDenied`: the SSH server does
    /// not allow it. `ConnectionReset`: the connection is lost.
    pub async fn unix(&self, path: &str) -> io::Result<Box<dyn Stream>> {
        let channel = self.handle.channel_open_direct_streamlocal(path).await;
        self.tunnel(channel, &format!("`{path}`"))
    }

    /// Connects from the host to a TCP port (`direct-tcpip`), e.g. that of Consul on `127.0.0.1`.
    ///
    /// # Errors
    ///
    /// As [`Session::unix`].
    pub async fn tcp(&self, host: &str, port: u16) -> io::Result<Box<dyn Stream>> {
        let channel = self.handle.channel_open_direct_tcpip(host, port.into(), "127.0.0.1", 0).await;
        self.tunnel(channel, &format!("`{host}` port {port}"))
    }

    fn tunnel(&self, channel: Result<Channel<Msg>, russh::Error>, to: &str) -> io::Result<Box<dyn Stream>> {
        let channel = channel.map_err(|error| match error {
            russh::Error::ChannelOpenFailure(ChannelOpenFailure::AdministrativelyProhibited) => {
                let reason = format!("the SSH server does not allow a connection to {to}");
                io::Error::new(io::ErrorKind::PermissionDenied, reason)
            }
            russh::Error::ChannelOpenFailure(_) => {
                io::Error::new(io::ErrorKind::ConnectionRefused, format!("the SSH server cannot connect to {to}"))
            }
            error => io::Error::new(io::ErrorKind::ConnectionReset, self.reason(&error)),
        })?;
        Ok(Box::new(Tunnel(channel::start(channel, None, None, self.ended.clone()))))
    }

    async fn start(&self, command: &Command) -> Result<Process, Lost> {
        tracing::debug!(machine = self.name(), program = command.words.first(), "program");
        let turn = self.turn().await.map_err(|reason| self.lost(reason))?;
        let channel = self.channel().await.map_err(|error| self.broken(&error))?;
        self.exec(&channel, command).await?;
        Ok(self.process(channel::start(channel, Some(turn), None, self.ended.clone())))
    }

    /// Starts the account's shell, or `command`, at a terminal like that of a person here. `sizes` tells how large it
    /// has become.
    ///
    /// - `kind`: the value of `TERM`, e.g. `xterm-256color`.
    ///
    /// # Errors
    ///
    /// [`Lost`] if the connection is lost, or the server gives no terminal.
    pub async fn terminal(
        &self,
        command: Option<&Command>,
        kind: &str,
        Size { columns, rows }: Size,
        sizes: mpsc::UnboundedReceiver<Size>,
    ) -> Result<Process, Lost> {
        let channel = self.channel().await.map_err(|error| self.broken(&error))?;
        let asked = channel.request_pty(true, kind, columns, rows, 0, 0, &[]).await;
        asked.map_err(|error| self.broken(&error))?;
        match command {
            Some(command) => self.exec(&channel, command).await?,
            None => channel.request_shell(true).await.map_err(|error| self.broken(&error))?,
        }
        Ok(self.process(channel::start(channel, None, Some(sizes), self.ended.clone())))
    }

    async fn exec(&self, channel: &Channel<Msg>, command: &Command) -> Result<(), Lost> {
        let line = quote::line(&command.words);
        let line = line.ok_or_else(|| self.lost("no command, or a NUL byte in one".to_owned()))?;
        channel.exec(true, line).await.map_err(|error| self.broken(&error))
    }

    fn lost(&self, reason: String) -> Lost {
        Lost::new(&self.name, reason)
    }

    fn broken(&self, error: &russh::Error) -> Lost {
        self.lost(self.reason(error))
    }

    fn process(&self, streams: Streams) -> Process {
        let name = self.name.clone();
        let end = async move {
            let gone = || "the connection ended".to_owned();
            streams.status.await.unwrap_or_else(|_| Err(gone())).map_err(|reason| Lost::new(&name, reason))
        };
        Process {
            stdin: Box::new(streams.input),
            stdout: Box::new(streams.output),
            stderr: Box::new(streams.errors),
            end: end.boxed(),
        }
    }

    /// A server may count a command that has just ended for a moment longer.
    async fn channel(&self) -> Result<Channel<Msg>, russh::Error> {
        for pause in [10, 50, 200, 1000] {
            match self.handle.channel_open_session().await {
                Err(russh::Error::ChannelOpenFailure(_)) => tokio::time::sleep(Duration::from_millis(pause)).await,
                outcome => return outcome,
            }
        }
        self.handle.channel_open_session().await
    }

    async fn turn(&self) -> Result<OwnedSemaphorePermit, String> {
        let turn = tokio::time::timeout(TURN, self.turns.clone().acquire_owned()).await;
        let late = |_| format!("{MOST_COMMANDS} commands are running there, none ended within {} s", TURN.as_secs());
        turn.map_err(late)?.map_err(|_| "the connection ended".to_owned())
    }

    fn reason(&self, error: &russh::Error) -> String {
        match (error, self.ended.get()) {
            (russh::Error::ChannelOpenFailure(_), _) => "the server refuses to open a session".to_owned(),
            (_, Some(Ended::Said(reason) | Ended::Broke(reason))) => reason.clone(),
            (error, None) => host_key::text(error),
        }
    }
}

impl Machine for Session {
    fn name(&self) -> &str {
        &self.name
    }

    fn open<'a>(&'a self, command: &'a Command) -> BoxFuture<'a, Result<Process, Lost>> {
        self.start(command).boxed()
    }
}
