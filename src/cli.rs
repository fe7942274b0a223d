//! What was typed: one file per command.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::failure::{Failure, Kind};
use crate::flow;
use crate::place::{Place, Problem};
use crate::playbook;
use crate::project::{self, Repository};
use crate::rig::settings::Settings;
use crate::rig::{self, Address};
use crate::secret::Secret;
use crate::ui::Format;

pub mod agent;
pub mod backup;
pub mod check;
pub mod completions;
pub mod control;
pub mod deploy;
pub mod host;
pub mod image;
pub mod init;
pub mod interrupt;
pub mod log;
pub mod play;
pub mod restore;
pub mod rollback;
pub mod shown;
pub mod status;
pub mod tools;
pub mod tunnel;
pub mod upgrade;

/// Hosts your own services on a server you control.
#[derive(Debug, Parser)]
#[command(name = "ryo", version)]
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
    /// The one SSH host key to be accepted, e.g. SHA256:…
    #[arg(long, global = true, value_name = "FINGERPRINT")]
    pub host_key: Option<String>,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Write the first configuration of a host
    Init(Box<init::Arguments>),
    /// Prepare this control node
    #[command(subcommand)]
    Control(control::Command),
    /// Deploy a project with its modules, or a module
    Deploy(deploy::Arguments),
    /// Bring a project, or a module, to its newest version; an instance that does not come up gives the old one back
    Upgrade(upgrade::Arguments),
    /// Bring a project, or a module, back to the version before, from what is kept on the host
    Rollback(rollback::Arguments),
    /// Back up what a project with its modules, or a module, keeps on a host; look after backups
    Backup(Box<backup::Backup>),
    /// Restore what a project or a module keeps on a host; what is there now is kept
    Restore(restore::Arguments),
    /// Say what a command would do; touches nothing
    #[command(subcommand)]
    Plan(Plan),
    /// Say how projects and modules are, on one host or on all
    Status(status::Arguments),
    /// Say what was done, by whom and when
    Log(log::Arguments),
    /// Report every problem of a repository; touches nothing
    Check(check::Arguments),
    /// Run a playbook
    Play(Box<play::Arguments>),
    /// Set up a host, look after it, back all of it up
    #[command(subcommand)]
    Host(host::Command),
    /// Build, list or prune images
    #[command(subcommand)]
    Image(image::Command),
    /// Print what a shell has to know to complete the words of ryo
    Completions(completions::Arguments),
    /// Write the manual pages (for packages)
    #[command(hide = true)]
    Man(completions::Man),
    /// Serve requests on standard input (started by `ryo` on targets)
    #[command(hide = true)]
    Agent(agent::Arguments),
    /// Hold the tunnel to a host (started by `ryo`)
    #[command(hide = true)]
    Tunnel(tunnel::Arguments),
}

/// What is planned.
#[derive(Debug, Subcommand)]
pub enum Plan {
    /// What `ryo deploy` would do
    Deploy(deploy::PlanArguments),
    /// What `ryo upgrade` would do with what is checked out
    Upgrade(upgrade::PlanArguments),
    /// What `ryo rollback` would do
    Rollback(rollback::PlanArguments),
}

impl Common {
    /// How what happens is shown.
    pub fn format(&self) -> Format {
        if self.json { Format::Json } else { Format::for_a_person() }
    }

    /// Reads the operator's settings.
    ///
    /// # Errors
    ///
    /// They cannot be read.
    pub fn settings(&self) -> Result<Settings, Failure> {
        let settings = Settings::load(self.settings.as_deref()).map_err(|error| Failure::new(Kind::Request, error))?;
        Ok(Settings { host_key: self.host_key.clone(), ..settings })
    }

    /// Reads the repository in `directory`.
    ///
    /// # Errors
    ///
    /// It is none, with everything that is wrong about it.
    pub fn load(&self, directory: &Path) -> Result<Repository, Failure> {
        let mut repository = project::load(directory).map_err(problems)?;
        if let Some(working_directory) = &self.working_directory {
            repository.working_directory =
                std::path::absolute(working_directory).unwrap_or_else(|_| working_directory.clone());
        }
        Ok(repository)
    }

    /// Reads the repositories that stand beside `repository` under `names`.
    ///
    /// # Errors
    ///
    /// One of them is none.
    pub fn siblings(&self, repository: &Repository, names: &[String]) -> Result<Vec<Repository>, Failure> {
        names.iter().map(|name| self.load(&repository.sibling(name))).collect()
    }

    /// The directory in which the repositories stand side by side, where no repository says so: the named one, else the
    /// present one or the next above it that has `ryo-host` in it.
    ///
    /// # Errors
    ///
    /// None of them has.
    pub fn directory(&self) -> Result<PathBuf, Failure> {
        self.known_directory()?.ok_or_else(|| {
            Failure::new(Kind::Request, "no directory with `ryo-host` in it here or above")
                .hint("change to the working directory, or name it with `--working-directory`")
                .hint("`ryo init` makes a new one")
        })
    }

    /// The same, if there is one.
    ///
    /// # Errors
    ///
    /// The present directory is not known.
    pub fn known_directory(&self) -> Result<Option<PathBuf>, Failure> {
        let here = std::env::current_dir().map_err(|error| Failure::new(Kind::World, error))?;
        let candidates = match &self.working_directory {
            Some(directory) => vec![here.join(directory)],
            None => here.ancestors().map(Path::to_owned).collect(),
        };
        Ok(candidates.into_iter().find(|directory| directory.join("ryo-host").is_dir()))
    }

    /// Reads where `host` is.
    ///
    /// # Errors
    ///
    /// Everything that is wrong in its configuration.
    pub fn address(&self, host: &str) -> Result<Address, Failure> {
        rig::address(&self.directory()?, host).map_err(problems)
    }

    /// Refuses a repository that cannot be carried out on `host`, with its modules and the configuration around it.
    ///
    /// # Errors
    ///
    /// Everything that is wrong.
    pub fn check(&self, directory: &Path, host: &str) -> Result<(), Failure> {
        let report = project::check::report(directory, self.working_directory.as_deref(), host);
        if report.problems.is_empty() { Ok(()) } else { Err(problems(report.problems)) }
    }
}

/// Problems of repositories as one failure, each on its line.
pub fn problems(mut found: Vec<Problem>) -> Failure {
    found.sort();
    found.dedup();
    let count = found.len();
    let lines: Vec<String> = found.iter().map(|problem| format!("  {problem}")).collect();
    let noun = if count == 1 { "problem" } else { "problems" };
    Failure::new(Kind::Request, format!("{count} {noun}; nothing was touched\n{}", lines.join("\n")))
}

/// Problems of the configuration of `host` and of the control node. What is not there can be had.
pub fn misconfigured(working_directory: &Path, host: Option<&str>, found: Vec<Problem>) -> Failure {
    let host = host.map(|host| project::host_configuration(working_directory, host));
    let files = host.into_iter().chain([project::control_configuration(working_directory)]);
    let missing = files.into_iter().any(|file| !file.exists());
    let failure = problems(found);
    if missing { failure.hint("`ryo init` writes the files that are missing") } else { failure }
}

/// Reads the version of images: it is a part of their names.
///
/// # Errors
///
/// It cannot be one.
pub fn version(text: &str) -> Result<String, String> {
    match flow::backup::misfit(text) {
        None => Ok(text.to_owned()),
        Some(_) => Err("letters, digits, dashes, dots and underscores are required".to_owned()),
    }
}

/// Reads a password: the first line of a file.
///
/// # Errors
///
/// The file cannot be read.
pub fn password(file: &Path) -> Result<Secret, Failure> {
    let text = std::fs::read_to_string(file).map_err(|error| {
        let problem = Problem::new(Place::file(file), format!("cannot read the password: {error}"));
        Failure::new(Kind::Request, playbook::Error::Problems(vec![problem]))
    })?;
    Ok(Secret::new(text.lines().next().unwrap_or_default()))
}

/// Carries out what was typed.
///
/// # Errors
///
/// A [`Failure`] with what a person should read.
pub async fn run(arguments: Arguments) -> Result<ExitCode, Failure> {
    let Arguments { common, command } = arguments;
    match command {
        Command::Init(arguments) => init::run(*arguments, &common).await,
        Command::Control(command) => control::run(command, &common).await,
        Command::Deploy(arguments) => deploy::run(arguments, &common).await,
        Command::Upgrade(arguments) => upgrade::run(arguments, &common).await,
        Command::Rollback(arguments) => rollback::run(arguments, &common).await,
        Command::Backup(backup) => backup::run(*backup, &common).await,
        Command::Restore(arguments) => restore::run(arguments, &common).await,
        Command::Plan(Plan::Deploy(arguments)) => deploy::plan(arguments, &common).await,
        Command::Plan(Plan::Rollback(arguments)) => rollback::plan(arguments, &common).await,
        Command::Plan(Plan::Upgrade(arguments)) => upgrade::plan(arguments, &common).await,
        Command::Status(arguments) => status::run(arguments, &common).await,
        Command::Log(arguments) => log::run(arguments, &common).await,
        Command::Check(arguments) => check::run(arguments, &common).await,
        Command::Play(arguments) => play::run(*arguments, &common).await,
        Command::Host(command) => host::run(command, &common).await,
        Command::Image(command) => image::run(command, &common).await,
        Command::Completions(arguments) => completions::run(&arguments, &common),
        Command::Man(arguments) => completions::man(&arguments, &common),
        Command::Agent(arguments) => agent::run(arguments, &common).await,
        Command::Tunnel(arguments) => tunnel::run(arguments, &common).await,
    }
}
