//! The seam to computers: somewhere a command can run.

use std::fmt;

use futures_util::future::BoxFuture;
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// Words to run, never a shell line. Words are visible to every account of the machine: no secrets in them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    /// The program and its arguments.
    pub words: Vec<String>,
}

impl Command {
    /// Makes a command from its words.
    pub fn new<W: Into<String>>(words: impl IntoIterator<Item = W>) -> Self {
        Self { words: words.into_iter().map(Into::into).collect() }
    }
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.words.join(" "))
    }
}

/// The machine could not be reached, or went away.
#[derive(Debug, Error)]
#[error("lost the connection to {machine}")]
pub struct Lost {
    /// What a person calls it.
    pub machine: String,
    /// What the carrier said.
    pub source: Box<dyn std::error::Error + Send + Sync>,
}

impl Lost {
    /// Wraps what a carrier said.
    pub fn new(machine: &str, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self { machine: machine.to_owned(), source: source.into() }
    }
}

/// A running command. Dropping it ends the command's connection.
pub struct Process {
    /// What it reads. Shut it down or drop it to say that there is no more.
    pub stdin: Box<dyn AsyncWrite + Send + Unpin>,
    /// What it writes to standard output.
    pub stdout: Box<dyn AsyncRead + Send + Unpin>,
    /// What it writes to standard error.
    pub stderr: Box<dyn AsyncRead + Send + Unpin>,
    /// Its exit status, once it has ended (128 + signal number if a signal ended it).
    pub end: BoxFuture<'static, Result<i32, Lost>>,
}

/// Somewhere a command can run: SSH, this computer, a container.
pub trait Machine: Send + Sync {
    /// What a person calls it, e.g. `host-1` or `container gitea on host-1`.
    fn name(&self) -> &str;

    /// Starts `command` and hands out its streams.
    ///
    /// # Errors
    ///
    /// [`Lost`] if the machine cannot be reached. A program that is not there is no error here: it ends with status
    /// 127, as in a shell.
    fn open<'a>(&'a self, command: &'a Command) -> BoxFuture<'a, Result<Process, Lost>>;
}

/// What a command left behind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finished {
    /// Exit status.
    pub status: i32,
    /// Everything it wrote to standard output.
    pub stdout: Vec<u8>,
    /// Everything it wrote to standard error.
    pub stderr: Vec<u8>,
}

/// Most bytes that [`run`] keeps of one stream; what is beyond is read and dropped.
const KEPT: u64 = 16 << 20;

/// Runs `command` to its end, feeding it `input`. Keeps the first 16 MiB of each stream.
///
/// # Errors
///
/// [`Lost`] if the machine cannot be reached or goes away.
pub async fn run(machine: &dyn Machine, command: &Command, input: &[u8]) -> Result<Finished, Lost> {
    let Process { mut stdin, stdout, stderr, end } = machine.open(command).await?;
    // A command that does not read its input closes the pipe: that is no failure of ours.
    let feed = async move {
        let _ = stdin.write_all(input).await;
        let _ = stdin.shutdown().await;
    };
    let ((), stdout, stderr, status) = tokio::join!(feed, drain(stdout), drain(stderr), end);
    let lost = |source| Lost::new(machine.name(), source);
    Ok(Finished { status: status?, stdout: stdout.map_err(lost)?, stderr: stderr.map_err(lost)? })
}

async fn drain(stream: Box<dyn AsyncRead + Send + Unpin>) -> std::io::Result<Vec<u8>> {
    let mut kept = vec![];
    let mut limited = stream.take(KEPT);
    limited.read_to_end(&mut kept).await?;
    tokio::io::copy(&mut limited.into_inner(), &mut tokio::io::sink()).await?;
    Ok(kept)
}
