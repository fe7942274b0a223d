//! `ryo upgrade` and `ryo plan upgrade`: a deployment of what is new, the modules only if they are named.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use crate::cli::Common;
use crate::cli::deploy::{Modules, Request, Watch, bring, plan_only};
use crate::cli::shown::Shown;
use crate::failure::Failure;
use crate::rig::settings::Tools;

/// What is upgraded, and where.
#[expect(clippy::struct_excessive_bools, reason = "each is a flag")]
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "Example:\n  ryo upgrade ryo-gitea -n web --module ryo-mariadb --backup")]
pub struct Arguments {
    /// The repository of a project or a module
    #[arg(default_value = ".", value_name = "DIR")]
    pub directory: PathBuf,
    /// The host
    #[arg(short = 'n', long, value_name = "NAME")]
    pub host: String,
    /// Version of the images (default: the present one while nothing has changed, else the time)
    #[arg(short = 'v', long = "image-version", value_name = "VERSION", value_parser = crate::cli::version)]
    pub version: Option<String>,
    /// Upgrade the modules of a project before it
    #[arg(long, conflicts_with = "module")]
    pub modules: bool,
    /// Upgrade this module of a project before it; can be given several times
    #[arg(long, value_name = "NAME")]
    pub module: Vec<String>,
    /// Take what is checked out: neither clone nor pull
    #[arg(long)]
    pub no_pull: bool,
    /// Back up first, as `ryo backup` does, if anything is to be done
    #[arg(long)]
    pub backup: bool,
    /// How long an instance may take to become healthy; then the one that it replaces is put back (default: 1200)
    #[arg(long, value_name = "SECONDS")]
    pub timeout: Option<u64>,
    /// Who does the work
    #[command(flatten)]
    pub tools: Tools,
    /// Do not ask
    #[arg(short, long)]
    pub yes: bool,
}

/// What `ryo plan upgrade` takes.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "Example:\n  ryo plan upgrade ryo-gitea -n web --modules --exit-code")]
pub struct PlanArguments {
    /// As for `ryo upgrade`
    #[command(flatten)]
    pub upgrade: Arguments,
    /// What stands for every plan
    #[command(flatten)]
    pub watch: Watch,
}

impl From<Arguments> for Request {
    fn from(arguments: Arguments) -> Self {
        let modules = match (arguments.modules, arguments.module) {
            (true, _) => Modules::All,
            (false, names) if names.is_empty() => Modules::None,
            (false, names) => Modules::These(names),
        };
        Self {
            verb: "upgrade",
            directory: arguments.directory,
            host: arguments.host,
            version: arguments.version,
            pull: !arguments.no_pull,
            tools: arguments.tools,
            modules,
            backup: arguments.backup,
            timeout: arguments.timeout.map(Duration::from_secs),
            yes: arguments.yes,
        }
    }
}

/// Upgrades.
///
/// # Errors
///
/// A [`Failure`] with what a person should read.
pub async fn run(arguments: Arguments, common: &Common) -> Result<ExitCode, Failure> {
    let shown = Shown::new(common);
    let ended = bring(&arguments.into(), common, &shown).await;
    shown.end(ended)
}

/// Plans and prints the plan; touches nothing.
///
/// # Errors
///
/// A [`Failure`] with what a person should read.
pub async fn plan(arguments: PlanArguments, common: &Common) -> Result<ExitCode, Failure> {
    let shown = Shown::new(common);
    let ended = plan_only(&arguments.upgrade.into(), arguments.watch, common, &shown).await;
    shown.end(ended)
}
