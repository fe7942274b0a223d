//! `ryo completions` and `ryo man`: what goes into a package beside the program.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{CommandFactory as _, ValueEnum};
use serde_json::json;

use crate::cli::shown::Shown;
use crate::cli::{self, Common};
use crate::failure::{Failure, Kind};

/// For which shell.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "Example:\n  ryo completions bash > ~/.local/share/bash-completion/completions/ryo")]
pub struct Arguments {
    /// The shell
    #[arg(value_name = "SHELL", value_enum)]
    pub shell: Shell,
}

/// A shell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Shell {
    /// Bash.
    Bash,
    /// Zsh.
    Zsh,
    /// Fish.
    Fish,
}

/// Where pages are written to.
#[derive(Clone, Debug, clap::Args)]
pub struct Man {
    /// The directory, which is made
    #[arg(value_name = "DIR")]
    pub directory: PathBuf,
}

/// Prints what a shell has to know to complete words.
///
/// # Errors
///
/// A [`Failure`] with what a person should read.
pub fn run(arguments: &Arguments, common: &Common) -> Result<ExitCode, Failure> {
    let shown = Shown::new(common);
    let mut script = vec![];
    let mut command = cli::Arguments::command();
    let shell = match arguments.shell {
        Shell::Bash => clap_complete::Shell::Bash,
        Shell::Zsh => clap_complete::Shell::Zsh,
        Shell::Fish => clap_complete::Shell::Fish,
    };
    clap_complete::generate(shell, &mut command, "ryo", &mut script);
    let script = String::from_utf8_lossy(&script);
    shown.ui.result(&json!({ "script": script }), script.trim_end());
    shown.end(Ok(ExitCode::SUCCESS))
}

/// Writes a manual page for each command.
///
/// # Errors
///
/// The pages cannot be written.
pub fn man(arguments: &Man, common: &Common) -> Result<ExitCode, Failure> {
    let shown = Shown::new(common);
    let directory = &arguments.directory;
    let written = std::fs::create_dir_all(directory)
        .and_then(|()| clap_mangen::generate_to(cli::Arguments::command(), directory));
    let unwritable = |error| Failure::new(Kind::World, format!("cannot write to {}: {error}", directory.display()));
    let ended = written.map_err(unwritable).map(|()| ExitCode::SUCCESS);
    shown.end(ended)
}
