//! `ryo rollback` and `ryo plan rollback`.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use crate::cli::shown::{Shown, carry_out, foretold, settled};
use crate::cli::{Common, problems};
use crate::failure::{Failure, Kind};
use crate::flow::rollback::{self, Source};
use crate::flow::world::World;
use crate::flow::{history, journal};
use crate::rig;
use crate::rig::settings::{Deploy, Tools};

/// What stays, whatever is rolled back.
const STAYS: &str =
    "data stay as they are: mounted directories, volumes, databases, and what the set-up of the host made";

/// What is rolled back, and where.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "Example:\n  ryo rollback ryo-gitea -n web --to 20261123")]
pub struct Arguments {
    /// The repository of a project or a module: only its name is read
    #[arg(default_value = ".", value_name = "DIR")]
    pub directory: PathBuf,
    /// The host
    #[arg(short = 'n', long, value_name = "NAME")]
    pub host: String,
    /// The version to go back to (default: the one before the present one)
    #[arg(long, value_name = "VERSION")]
    pub to: Option<String>,
    /// How long an instance may take to become healthy; then the one that it replaces is put back (default: 1200)
    #[arg(long, value_name = "SECONDS")]
    pub timeout: Option<u64>,
    /// Do not ask
    #[arg(short, long)]
    pub yes: bool,
}

/// What `ryo plan rollback` takes.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "Example:\n  ryo plan rollback ryo-gitea -n web")]
pub struct PlanArguments {
    /// As for `ryo rollback`
    #[command(flatten)]
    pub rollback: Arguments,
    /// End with exit code 4 if anything is to be done
    #[arg(long)]
    pub exit_code: bool,
}

/// Rolls back.
///
/// # Errors
///
/// A [`Failure`] with what a person should read.
pub async fn run(arguments: Arguments, common: &Common) -> Result<ExitCode, Failure> {
    let shown = Shown::new(common);
    let ended = roll_back(&arguments, common, &shown).await;
    shown.end(ended)
}

/// Plans and prints the plan; touches nothing.
///
/// # Errors
///
/// A [`Failure`] with what a person should read.
pub async fn plan(arguments: PlanArguments, common: &Common) -> Result<ExitCode, Failure> {
    let shown = Shown::new(common);
    let ended = plan_only(&arguments, common, &shown).await;
    shown.end(ended)
}

async fn roll_back(arguments: &Arguments, common: &Common, shown: &Shown) -> Result<ExitCode, Failure> {
    let (world, source) = open(arguments, common, shown).await?;
    let title = format!("rollback {} on {}", source.name, world.host);
    let _lock = world.agent.lock("ryo", &format!("{}: {title}", journal::who())).await?;
    let planned = rollback::plan(&world, &source, arguments.to.as_deref(), &shown.events, &shown.stop).await?;
    let plan = planned.plan;
    if !plan.steps.is_empty() {
        shown.ui.print(plan.text().trim_end());
        shown.ui.talk(STAYS);
        if !shown.agreed(arguments.yes)? {
            return Ok(ExitCode::SUCCESS);
        }
        carry_out(&world, &plan, shown).await?;
    }
    history::write(&world, &source.owner, &planned.history).await?;
    settled(&plan, shown);
    Ok(ExitCode::SUCCESS)
}

async fn plan_only(arguments: &PlanArguments, common: &Common, shown: &Shown) -> Result<ExitCode, Failure> {
    let (world, source) = open(&arguments.rollback, common, shown).await?;
    let to = arguments.rollback.to.as_deref();
    let plan = rollback::plan(&world, &source, to, &shown.events, &shown.stop).await?.plan;
    Ok(foretold(&plan, arguments.exit_code, shown))
}

async fn open(arguments: &Arguments, common: &Common, shown: &Shown) -> Result<(World, Source), Failure> {
    let repository = common.load(&arguments.directory)?;
    let owner = repository.identity(&arguments.host).map_err(problems)?.id;
    let address = rig::address(&repository.working_directory, &arguments.host).map_err(problems)?;
    let settings = common.settings()?;
    if let Some(program) = settings.tools(&repository.name, Tools::default()).deploy.and_then(Deploy::program) {
        let failure = Failure::new(
            Kind::Request,
            format!("`{}` is deployed by {program}, which would not know what ryo takes back", repository.name),
        );
        return Err(failure.hint("check out what is wanted and deploy it: `ryo deploy … -v VERSION`"));
    }
    let mut world = rig::open(&address, &settings, &shown.events).await?;
    if let Some(timeout) = arguments.timeout {
        world.limits = world.limits.for_health(Duration::from_secs(timeout));
    }
    Ok((world, Source { name: repository.name, owner, kind: repository.kind }))
}
