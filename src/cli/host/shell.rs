//! `ryo host shell`: a person at a shell of the host, over the connection that everything else goes over.

use std::io::{self, IsTerminal as _};
use std::process::ExitCode;

use rustix::termios::{self, OptionalActions, Termios};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use crate::cli::Common;
use crate::cli::shown::Shown;
use crate::failure::{Failure, Kind};
use crate::machine::{Command, Machine as _, Process};
use crate::rig;
use crate::ssh::{Session, Size};

/// Where, and what is run.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  ryo host shell web
  ryo host shell web -- lxc list

It ends with the exit code of what ran there.")]
pub struct Shell {
    /// The host
    #[arg(value_name = "HOST")]
    pub host: String,
    /// What is run there instead of a shell, word by word
    #[arg(last = true, value_name = "COMMAND")]
    pub command: Vec<String>,
}

/// Opens it.
pub async fn run(arguments: &Shell, common: &Common, shown: &Shown) -> Result<ExitCode, Failure> {
    let address = common.address(&arguments.host)?;
    let session = rig::session(&address, &common.settings()?, &shown.events).await?;
    if let Some(size) = terminal(arguments) {
        return at_terminal(&session, arguments, size).await;
    }
    // At a terminal, Ctrl-C is a key for what runs there. Here it ends this side, and with it the other.
    tokio::select! {
        ended = piped(&session, arguments) => ended,
        _ = tokio::signal::ctrl_c() => Ok(ExitCode::from(Kind::Interrupted.code())),
    }
}

/// The size of the person's terminal, if there is one. A command whose output goes elsewhere needs none.
fn terminal(arguments: &Shell) -> Option<Size> {
    let is_one = io::stdin().is_terminal() && (arguments.command.is_empty() || io::stdout().is_terminal());
    if is_one { size() } else { None }
}

fn size() -> Option<Size> {
    let size = termios::tcgetwinsize(io::stdin()).ok()?;
    Some(Size { columns: size.ws_col.into(), rows: size.ws_row.into() })
}

/// Hands every key over as it is typed, until dropped.
struct Raw(Termios);

impl Raw {
    fn new() -> Result<Self, Failure> {
        let failed = |error: rustix::io::Errno| Failure::new(Kind::World, format!("cannot use the terminal: {error}"));
        let before = termios::tcgetattr(io::stdin()).map_err(failed)?;
        let mut raw = before.clone();
        raw.make_raw();
        termios::tcsetattr(io::stdin(), OptionalActions::Now, &raw).map_err(failed)?;
        Ok(Self(before))
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        let _ = termios::tcsetattr(io::stdin(), OptionalActions::Now, &self.0);
    }
}

async fn at_terminal(session: &Session, arguments: &Shell, now: Size) -> Result<ExitCode, Failure> {
    let kind = std::env::var("TERM").unwrap_or_else(|_| "xterm".to_owned());
    let (to, sizes) = mpsc::unbounded_channel();
    let mut changes = signal(SignalKind::window_change()).map_err(|error| Failure::new(Kind::World, error))?;
    tokio::spawn(async move {
        while changes.recv().await.is_some() {
            if size().is_none_or(|size| to.send(size).is_err()) {
                return;
            }
        }
    });
    let command = (!arguments.command.is_empty()).then(|| Command::new(arguments.command.iter().cloned()));
    let process = session.terminal(command.as_ref(), &kind, now, sizes).await?;
    let _raw = Raw::new()?;
    carried(process).await
}

async fn piped(session: &Session, arguments: &Shell) -> Result<ExitCode, Failure> {
    let words = if arguments.command.is_empty() { vec!["sh".to_owned()] } else { arguments.command.clone() };
    carried(session.open(&Command::new(words)).await?).await
}

/// Moves what is typed there and what is said here.
async fn carried(process: Process) -> Result<ExitCode, Failure> {
    let Process { mut stdin, stdout, stderr, end } = process;
    let typed = tokio::spawn(async move {
        let _ = tokio::io::copy(&mut tokio::io::stdin(), &mut stdin).await;
        let _ = stdin.shutdown().await;
    });
    let ((), (), status) = tokio::join!(moved(stdout, tokio::io::stdout()), moved(stderr, tokio::io::stderr()), end);
    typed.abort();
    Ok(ExitCode::from(u8::try_from(status?).unwrap_or(u8::MAX)))
}

/// A reader who has left is no error: the rest is dropped.
async fn moved(mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin) {
    let mut buffer = vec![0; 32 << 10];
    loop {
        match tokio::io::AsyncReadExt::read(&mut from, &mut buffer).await {
            Ok(0) | Err(_) => return,
            Ok(count) => {
                let _ = to.write_all(&buffer[..count]).await;
                let _ = to.flush().await;
            }
        }
    }
}
