//! `ryo image`.

use std::process::ExitCode;

use crate::cli::Common;
use crate::failure::Failure;

/// Its arguments.
#[derive(Debug, clap::Args)]
pub struct Arguments {}

/// Runs it.
///
/// # Errors
///
/// A [`Failure`] with what a person should read.
#[expect(clippy::unused_async, reason = "the commands have one shape")]
pub async fn run(_arguments: Arguments, _common: &Common) -> Result<ExitCode, Failure> {
    Ok(ExitCode::SUCCESS)
}
