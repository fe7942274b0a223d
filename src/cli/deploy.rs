//! `ryo deploy` and `ryo plan deploy`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use crate::cli::shown::{Shown, carry_out, settled};
use crate::cli::{Common, problems};
use crate::event::Events;
use crate::failure::{Failure, Kind};
use crate::flow::journal;
use crate::flow::names::Names;
use crate::flow::session::{self, Wanted};
use crate::flow::unit::Version;
use crate::flow::world::World;
use crate::plan::{Plan, Values};
use crate::project::Repository;
use crate::rig::settings::Settings;
use crate::{git, rig};

/// What is deployed, and where.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "Example:\n  ryo deploy ryo-gitea -n web -v 20261123")]
pub struct Arguments {
    /// The repository of a project or a module
    #[arg(default_value = ".", value_name = "DIR")]
    pub directory: PathBuf,
    /// The host
    #[arg(short = 'n', long, value_name = "NAME")]
    pub host: String,
    /// Version of the images (default: the present one while nothing has changed, else the time)
    #[arg(short = 'v', long = "image-version", value_name = "VERSION")]
    pub version: Option<String>,
    /// Deploy what is checked out: neither clone nor pull
    #[arg(long)]
    pub no_pull: bool,
    /// Leave the modules of a project alone
    #[arg(long)]
    pub no_modules: bool,
    /// Do not ask
    #[arg(short, long)]
    pub yes: bool,
}

/// What `ryo plan deploy` takes.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "Example:\n  ryo plan deploy ryo-gitea -n web --exit-code")]
pub struct PlanArguments {
    /// As for `ryo deploy`
    #[command(flatten)]
    pub deploy: Arguments,
    /// End with exit code 4 if anything is to be done
    #[arg(long)]
    pub exit_code: bool,
    /// Plan as on an empty host, from the repositories alone: no connection is opened
    #[arg(long)]
    pub offline: bool,
}

/// Deploys.
///
/// # Errors
///
/// A [`Failure`] with what a person should read.
pub async fn run(arguments: Arguments, common: &Common) -> Result<ExitCode, Failure> {
    let shown = Shown::new(common);
    let ended = deploy(&arguments, common, &shown).await;
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

async fn deploy(arguments: &Arguments, common: &Common, shown: &Shown) -> Result<ExitCode, Failure> {
    let settings = common.settings()?;
    let repositories = repositories(arguments, common, &settings, &shown.events).await?;
    let (world, wanted) = open(arguments, &settings, repositories, &shown.events).await?;
    let _lock = world.agent.lock("ryo", &format!("{}: {}", journal::who(), wanted.title)).await?;
    let mut plan = session::plan(&world, &wanted, &shown.events, &shown.stop).await?;
    if !plan.steps.is_empty() {
        shown.ui.print(plan.text().trim_end());
        if !shown.agreed(arguments.yes)? {
            return Ok(ExitCode::SUCCESS);
        }
        plan = apply(&world, &wanted, plan, shown).await?;
    }
    settled(&plan, shown);
    Ok(ExitCode::SUCCESS)
}

/// Carries a deployment out. Returns its plan; where image builds make values known, that is the one that followed them.
pub(super) async fn apply(world: &World, wanted: &Wanted, mut plan: Plan, shown: &Shown) -> Result<Plan, Failure> {
    if plan.values == Values::Awaited {
        carry_out(world, &plan.preparation(), shown).await?;
        plan = session::plan(world, wanted, &shown.events, &shown.stop).await?;
    }
    carry_out(world, &plan, shown).await?;
    Ok(plan)
}

async fn plan_only(arguments: &PlanArguments, common: &Common, shown: &Shown) -> Result<ExitCode, Failure> {
    let settings = common.settings()?;
    let untouched = Arguments { no_pull: true, ..arguments.deploy.clone() };
    let repositories = repositories(&untouched, common, &settings, &shown.events).await?;
    let plan = if arguments.offline {
        let names = Names { rewrites: settings.images.clone(), remotes: settings.remotes.clone() };
        session::plan_offline(&untouched.host, &names, &wanted(&untouched, repositories)?)?
    } else {
        let (world, wanted) = open(&untouched, &settings, repositories, &shown.events).await?;
        session::plan(&world, &wanted, &shown.events, &shown.stop).await?
    };
    shown.ui.result(&plan.json(), plan.text().trim_end());
    let pending = arguments.exit_code && !plan.steps.is_empty();
    Ok(if pending { ExitCode::from(Kind::Pending.code()) } else { ExitCode::SUCCESS })
}

/// The repository that was named and the modules that it needs, cloned or pulled, in the order of deployment.
async fn repositories(
    arguments: &Arguments,
    common: &Common,
    settings: &Settings,
    events: &Events,
) -> Result<Vec<Repository>, Failure> {
    if !arguments.no_pull && is_repository(&arguments.directory) {
        git::update(&arguments.directory, events).await?;
    }
    let project = common.load(&arguments.directory)?;
    let names: &[String] = if arguments.no_modules { &[] } else { &project.modules };
    let modules: Vec<PathBuf> = names.iter().map(|module| project.sibling(module)).collect();
    for (directory, module) in modules.iter().zip(names) {
        pull(directory, &settings.module_url(module), arguments.no_pull, events).await?;
    }
    // Before anything is loaded that may be missing: the check tells everything at once.
    common.check(&arguments.directory, &arguments.host)?;
    let mut repositories = modules.iter().map(|directory| common.load(directory)).collect::<Result<Vec<_>, _>>()?;
    repositories.push(project);
    Ok(repositories)
}

async fn pull(directory: &Path, url: &str, no_pull: bool, events: &Events) -> Result<(), Failure> {
    if no_pull {
        return Ok(());
    }
    if !directory.exists() {
        git::clone(url, directory, events).await?;
    } else if is_repository(directory) {
        git::update(directory, events).await?;
    }
    Ok(())
}

async fn open(
    arguments: &Arguments,
    settings: &Settings,
    repositories: Vec<Repository>,
    events: &Events,
) -> Result<(World, Wanted), Failure> {
    let wanted = wanted(arguments, repositories)?;
    let first = wanted.repositories.first().ok_or_else(nothing)?;
    let address = rig::address(&first.working_directory, &arguments.host).map_err(problems)?;
    let world = rig::open(&address, settings, events).await?;
    Ok((world, wanted))
}

fn nothing() -> Failure {
    Failure::new(Kind::Bug, "no repository to deploy")
}

fn wanted(arguments: &Arguments, repositories: Vec<Repository>) -> Result<Wanted, Failure> {
    let name = repositories.last().map(|it| it.name.clone()).ok_or_else(nothing)?;
    let version = Version::chosen(arguments.version.as_deref(), journal::stamp());
    let of = arguments.version.as_ref().map_or(String::new(), |version| format!(" {version}"));
    let title = format!("deploy {name}{of} on {}", arguments.host);
    Ok(Wanted { title, repositories, version })
}

/// A directory inside a larger repository is not one of its own: it is deployed as it is.
fn is_repository(directory: &Path) -> bool {
    directory.join(".git").exists()
}
