//! This computer as a machine.

use std::os::unix::process::ExitStatusExt as _;
use std::process::{ExitStatus, Stdio};

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use tokio::process::Child;

use crate::machine::{Command, Lost, Machine, Process};

/// Status of a program that is not there, as in a shell.
const NOT_FOUND: i32 = 127;

/// Status of a program that cannot be run, as in a shell.
const NOT_RUNNABLE: i32 = 126;

/// This computer, as the account that runs `ryo`.
#[derive(Clone, Debug, Default)]
pub struct Local(());

impl Local {
    /// This computer.
    pub fn new() -> Self {
        Self(())
    }
}

impl Machine for Local {
    fn name(&self) -> &'static str {
        "localhost"
    }

    fn open<'a>(&'a self, command: &'a Command) -> BoxFuture<'a, Result<Process, Lost>> {
        async move { start(command) }.boxed()
    }
}

fn start(command: &Command) -> Result<Process, Lost> {
    tracing::debug!(machine = "this computer", program = command.words.first(), "program");
    let Some((program, arguments)) = command.words.split_first() else {
        return Ok(ended(NOT_FOUND, "no program to run\n".to_owned()));
    };
    let started = tokio::process::Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        // Ctrl-C is for us: what runs goes on until it is told to stop.
        .process_group(0)
        .kill_on_drop(true)
        .spawn();
    match started {
        Ok(child) => running(child),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            Ok(ended(NOT_FOUND, format!("{program}: not found\n")))
        }
        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {
            Ok(ended(NOT_RUNNABLE, format!("{program}: permission denied\n")))
        }
        Err(error) => Err(Lost::new("localhost", error)),
    }
}

fn running(mut child: Child) -> Result<Process, Lost> {
    let (Some(stdin), Some(stdout), Some(stderr)) = (child.stdin.take(), child.stdout.take(), child.stderr.take())
    else {
        return Err(Lost::new("localhost", "a program was started without its streams"));
    };
    let end = async move {
        let status = child.wait().await.map_err(|error| Lost::new("localhost", error))?;
        Ok(number(status))
    };
    Ok(Process { stdin: Box::new(stdin), stdout: Box::new(stdout), stderr: Box::new(stderr), end: end.boxed() })
}

fn number(status: ExitStatus) -> i32 {
    status.code().or_else(|| status.signal().map(|signal| 128 + signal)).unwrap_or(1)
}

/// A program that ended before it began.
fn ended(status: i32, said: String) -> Process {
    Process {
        stdin: Box::new(tokio::io::sink()),
        stdout: Box::new(tokio::io::empty()),
        stderr: Box::new(std::io::Cursor::new(said.into_bytes())),
        end: async move { Ok(status) }.boxed(),
    }
}
