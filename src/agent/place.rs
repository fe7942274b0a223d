//! How the binary gets onto a target, and is started there.

use std::path::PathBuf;

use crate::agent::{Client, Error};
use crate::machine::{Command, Machine};
use crate::playbook::connection::Become;
use crate::secret::Secret;

/// The program that agents are made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binary {
    path: PathBuf,
}

impl Binary {
    /// The running program itself.
    ///
    /// # Errors
    ///
    /// [`Error::Binary`] if the system does not say where it is.
    pub fn own() -> Result<Self, Error> {
        match std::env::current_exe() {
            Ok(path) => Ok(Self { path }),
            Err(source) => Err(Error::Binary { path: "/proc/self/exe".into(), source }),
        }
    }

    /// The program at `path`, for tests.
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }
}

pub(super) async fn start(
    machine: &dyn Machine,
    binary: &Binary,
    _account: Option<(&Become, Option<&Secret>)>,
) -> Result<Client, Error> {
    let command = Command::new([binary.path.to_string_lossy().into_owned(), "agent".to_owned()]);
    Client::over(machine.name(), machine.open(&command).await?).await
}

pub(super) async fn local(binary: &Binary, account: Option<(&Become, Option<&Secret>)>) -> Result<Client, Error> {
    start(&crate::local::Local::new(), binary, account).await
}
