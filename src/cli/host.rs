//! `ryo host …`: making hosts and caring for them.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Subcommand;
use serde_json::json;

use crate::cli::Common;
use crate::cli::shown::Shown;
use crate::failure::{Failure, Kind};
use crate::flow::host::What;
use crate::playbooks;

mod backup;
mod care;
mod restore;
mod setup;
mod shell;

/// What is done with hosts.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make a host of a freshly rented server, or bring one up to date
    Setup(setup::Setup),
    /// Upgrade the packages of a host, and start it again if that is needed
    Upgrade(setup::Upgrade),
    /// Say how a host is: versions, space, instances, what it waits for
    #[command(after_help = "Example:\n  ryo host status web --json")]
    Status(Named),
    /// Back up everything that projects and modules keep on a host
    Backup(backup::Backup),
    /// Restore everything that projects and modules kept on a host, onto the same or a fresh one
    Restore(restore::Restore),
    /// Open a shell on a host, or run a command there
    Shell(shell::Shell),
    /// Remove the copies of `ryo` that were put on a host
    #[command(after_help = "Example:\n  ryo host clean web")]
    Clean(Named),
    /// Write the playbooks of host set-up to a directory
    Playbooks(Playbooks),
}

/// Which host.
#[derive(Debug, clap::Args)]
pub struct Named {
    /// The host
    #[arg(value_name = "HOST")]
    pub host: String,
}

/// Where playbooks are written to.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  ryo host playbooks --export playbooks && ryo host setup web --playbooks playbooks")]
pub struct Playbooks {
    /// The directory, which is made
    #[arg(long, value_name = "DIR")]
    pub export: PathBuf,
}

/// Runs it.
///
/// # Errors
///
/// A [`Failure`] with what a person should read.
pub async fn run(command: Command, common: &Common) -> Result<ExitCode, Failure> {
    let shown = Shown::new(common);
    let ended = match &command {
        Command::Setup(arguments) => setup::run(What::SetUp, arguments, common, &shown).await,
        Command::Upgrade(arguments) => setup::run(What::Upgrade, &arguments.as_set_up(), common, &shown).await,
        Command::Status(Named { host }) => care::status(host, common, &shown).await,
        Command::Backup(arguments) => backup::run(arguments, common, &shown).await,
        Command::Restore(arguments) => restore::run(arguments, common, &shown).await,
        Command::Clean(Named { host }) => care::clean(host, common, &shown).await,
        Command::Playbooks(arguments) => export(&arguments.export, &shown),
        Command::Shell(arguments) => shell::run(arguments, common, &shown).await,
    };
    shown.end(ended)
}

fn export(directory: &Path, shown: &Shown) -> Result<ExitCode, Failure> {
    playbooks::export(directory).map_err(|error| {
        Failure::new(Kind::World, error).hint(format!("playbooks cannot be written to {}", directory.display()))
    })?;
    shown.ui.result(&json!({ "directory": directory }), &format!("playbooks are in {}", directory.display()));
    Ok(ExitCode::SUCCESS)
}
