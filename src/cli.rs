//! What was typed: one file per command.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::failure::Failure;

pub mod agent;
pub mod check;
pub mod deploy;
pub mod image;
pub mod play;

/// Hosts your own services on a server you control.
#[derive(Debug, Parser)]
#[command(name = "ryo", version, propagate_version = true)]
pub struct Arguments {
    /// What stands for every command.
    #[command(flatten)]
    pub common: Common,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What stands for every command.
#[derive(Clone, Debug, clap::Args)]
pub struct Common {
    /// Print JSON lines: one event each, then one result
    #[arg(long, global = true)]
    pub json: bool,
    /// Directory in which the repositories stand side by side (default: the parent of the repository)
    #[arg(long, global = true, value_name = "DIR", env = "RYO_WORKING_DIRECTORY")]
    pub working_directory: Option<PathBuf>,
    /// The operator's settings (default: ~/.config/ryo/settings.yml)
    #[arg(long, global = true, value_name = "FILE", env = "RYO_SETTINGS")]
    pub settings: Option<PathBuf>,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Deploy a project with its modules, or a module
    Deploy(deploy::Arguments),
    /// Report every problem of a repository; touches nothing
    Check(check::Arguments),
    /// Run a playbook
    Play(play::Arguments),
    /// Build, list or prune images
    Image(image::Arguments),
    /// Serve requests on standard input (started by `ryo` on targets)
    #[command(hide = true)]
    Agent(agent::Arguments),
}

/// Carries out what was typed.
///
/// # Errors
///
/// A [`Failure`] with what a person should read.
pub async fn run(arguments: Arguments) -> Result<ExitCode, Failure> {
    let Arguments { common, command } = arguments;
    match command {
        Command::Deploy(arguments) => deploy::run(arguments, &common).await,
        Command::Check(arguments) => check::run(arguments, &common).await,
        Command::Play(arguments) => play::run(arguments, &common).await,
        Command::Image(arguments) => image::run(arguments, &common).await,
        Command::Agent(arguments) => agent::run(arguments, &common).await,
    }
}
