//! Programs on this computer: found on the path, asked for their version, their output read line by line.

use std::collections::VecDeque;
use std::ffi::OsStr;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use thiserror::Error;
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, BufReader};
use tokio::process::Command;
use tokio::sync::mpsc;

/// Lines of the output that an error shows.
const SHOWN: usize = 15;

/// Most bytes of a line that are read at once; a longer one counts as several.
const LONGEST: u64 = 64 << 10;

/// A program cannot do its work.
#[derive(Debug, Error)]
pub enum Error {
    /// It is not there.
    #[error("there is no program `{name}` on the path")]
    Absent {
        /// Its name.
        name: &'static str,
    },
    /// It is too old, or does not say how old it is.
    #[error("`{}` is {found}, and {wanted} or newer is needed", path.display())]
    Version {
        /// The program.
        path: PathBuf,
        /// Its version, e.g. `2.9`, or `of an unknown version`.
        found: String,
        /// The oldest one that does, e.g. `2.10`.
        wanted: String,
    },
    /// It cannot be started, or its output cannot be read.
    #[error("cannot run `{}`", path.display())]
    Io {
        /// The program.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file of its own cannot be written or removed.
    #[error("cannot change `{}`", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It ended badly.
    #[error("`{}` ended with {ended}; its output ends with:\n{}", path.display(), said.join("\n"))]
    Failed {
        /// The program.
        path: PathBuf,
        /// Its exit status, e.g. `exit status: 2`.
        ended: String,
        /// The last lines that it said.
        said: Vec<String>,
    },
}

/// A version: its first two numbers.
pub type Version = (u32, u32);

/// A program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    /// Where it is.
    pub path: PathBuf,
    /// Its version.
    pub version: Version,
}

/// Where a line was written to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    /// Standard output.
    Output,
    /// Standard error.
    Error,
}

impl Program {
    /// Finds the program `name` in the directories of `path` and asks for its version, which must be at least `oldest`.
    ///
    /// # Errors
    ///
    /// [`Error::Absent`], [`Error::Version`], [`Error::Io`].
    pub async fn find(name: &'static str, path: &OsStr, oldest: Version) -> Result<Self, Error> {
        let candidates = std::env::split_paths(path).map(|directory| directory.join(name));
        let path = candidates.into_iter().find(|file| is_program(file)).ok_or(Error::Absent { name })?;
        let io = |source| Error::Io { path: path.clone(), source };
        let output = Command::new(&path).arg("--version").stdin(Stdio::null()).kill_on_drop(true).output();
        let text = String::from_utf8_lossy(&output.await.map_err(io)?.stdout).into_owned();
        let number = |(major, minor): Version| format!("{major}.{minor}");
        match version(&text) {
            Some(version) if version >= oldest => Ok(Self { path, version }),
            found => Err(Error::Version {
                path,
                found: found.map_or_else(|| "of an unknown version".to_owned(), number),
                wanted: number(oldest),
            }),
        }
    }

    /// Runs it with `words` in `directory` and hands each line of its output to `line`, which returns what a person reads
    /// of it. A signal to this process' group does not reach it; it ends when it is not waited for any more.
    ///
    /// # Errors
    ///
    /// [`Error::Io`], [`Error::Failed`].
    pub async fn run(
        &self,
        words: &[String],
        directory: &Path,
        environment: &[(&str, &str)],
        mut line: impl FnMut(Stream, &str) -> Vec<String> + Send,
    ) -> Result<(), Error> {
        let io = |source| Error::Io { path: self.path.clone(), source };
        let mut command = Command::new(&self.path);
        command.args(words).current_dir(directory).envs(environment.iter().copied()).process_group(0);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().map_err(io)?;
        let (sender, mut lines) = mpsc::channel(64);
        if let Some(stream) = child.stdout.take() {
            tokio::spawn(read(Stream::Output, stream, sender.clone()));
        }
        if let Some(stream) = child.stderr.take() {
            tokio::spawn(read(Stream::Error, stream, sender));
        }
        let mut said = VecDeque::new();
        while let Some((stream, text)) = lines.recv().await {
            said.extend(line(stream, &text));
            said.drain(..said.len().saturating_sub(SHOWN));
        }
        let ended = child.wait().await.map_err(io)?;
        if ended.success() {
            return Ok(());
        }
        Err(Error::Failed { path: self.path.clone(), ended: ended.to_string(), said: said.into() })
    }
}

fn is_program(file: &Path) -> bool {
    file.metadata().is_ok_and(|it| it.is_file() && it.permissions().mode() & 0o111 != 0)
}

/// The first two numbers with a point between them.
fn version(text: &str) -> Option<Version> {
    let mut words = text.lines().next()?.split(|c: char| !c.is_ascii_digit() && c != '.');
    words.find_map(|word| {
        let mut numbers = word.split('.').map(str::parse);
        Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
    })
}

async fn read(stream: Stream, from: impl AsyncRead + Unpin, to: mpsc::Sender<(Stream, String)>) {
    let mut from = BufReader::new(from);
    loop {
        let mut bytes = vec![];
        match (&mut from).take(LONGEST).read_until(b'\n', &mut bytes).await {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
        let text = String::from_utf8_lossy(&bytes).trim_end().to_owned();
        if to.send((stream, text)).await.is_err() {
            return;
        }
    }
}
