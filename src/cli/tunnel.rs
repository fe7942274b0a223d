//! `ryo tunnel`: started by `ryo`, and shared by all that reach the same host.

use std::path::PathBuf;
use std::process::ExitCode;

use crate::cli::Common;
use crate::failure::{Failure, Kind};
use crate::rig::tunnel;

/// Its arguments.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Where programs ask for connections
    #[arg(value_name = "SOCKET")]
    socket: PathBuf,
}

/// Runs it.
///
/// # Errors
///
/// A [`Failure`] with what a person should read.
pub async fn run(arguments: Arguments, _common: &Common) -> Result<ExitCode, Failure> {
    tunnel::run(&arguments.socket).await.map_err(|error| Failure::new(Kind::World, error))?;
    Ok(ExitCode::SUCCESS)
}
