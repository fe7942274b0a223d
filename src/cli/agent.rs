//! `ryo agent`: started by `ryo` on targets.

use std::process::ExitCode;

use crate::agent::{account, serve};
use crate::cli::Common;
use crate::failure::{Failure, Kind};
use crate::module::System;

/// Its arguments.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Work as this account; only root can
    #[arg(long, value_name = "NAME")]
    account: Option<String>,
}

/// Runs it.
///
/// # Errors
///
/// A [`Failure`] with what a person should read.
#[expect(clippy::unused_async, reason = "the commands have one shape")]
pub async fn run(arguments: Arguments, _common: &Common) -> Result<ExitCode, Failure> {
    if let Some(name) = arguments.account {
        return Err(Failure::new(Kind::World, account::take_on(&name)));
    }
    serve::serve(System::whole(), std::io::stdin(), std::io::stdout());
    Ok(ExitCode::SUCCESS)
}
