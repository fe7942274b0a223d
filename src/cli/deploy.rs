//! `ryo deploy` and `ryo plan deploy`; and what `ryo upgrade` has in common with them.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use crate::archive::Compression;
use crate::backend::Programs;
use crate::cli::backup::Form;
use crate::cli::backup::store::Target;
use crate::cli::shown::{Shown, carry_out, foretold, settled};
use crate::cli::{self, Common, problems, tools};
use crate::event::Events;
use crate::failure::{Failure, Kind};
use crate::flow::backup::{self, Spec};
use crate::flow::instance::Pause;
use crate::flow::names::Names;
use crate::flow::session::{self, Planned, Wanted};
use crate::flow::unit::Version;
use crate::flow::world::World;
use crate::flow::{history, journal};
use crate::plan::{Plan, Values};
use crate::project::Repository;
use crate::rig::settings::{Settings, Tools};
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
    #[arg(short = 'v', long = "image-version", value_name = "VERSION", value_parser = crate::cli::version)]
    pub version: Option<String>,
    /// Deploy what is checked out: neither clone nor pull
    #[arg(long)]
    pub no_pull: bool,
    /// Leave the modules of a project alone
    #[arg(long)]
    pub no_modules: bool,
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

/// What `ryo plan deploy` takes.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "Example:\n  ryo plan deploy ryo-gitea -n web --exit-code")]
pub struct PlanArguments {
    /// As for `ryo deploy`
    #[command(flatten)]
    pub deploy: Arguments,
    /// What stands for every plan
    #[command(flatten)]
    pub watch: Watch,
}

/// What `ryo plan` takes beside what the command takes that is planned.
#[derive(Clone, Copy, Debug, clap::Args)]
pub struct Watch {
    /// End with exit code 4 if anything is to be done
    #[arg(long)]
    pub exit_code: bool,
    /// Plan as on an empty host, from the repositories alone: no connection is opened
    #[arg(long)]
    pub offline: bool,
}

/// Which modules of a project come with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Modules {
    /// All that it needs.
    All,
    /// None.
    None,
    /// Those with these names.
    These(Vec<String>),
}

/// What is brought to a host, whichever command it was typed with.
#[derive(Clone, Debug)]
pub struct Request {
    /// The command, as the title of the plan says it.
    pub verb: &'static str,
    /// The repository.
    pub directory: PathBuf,
    /// The host.
    pub host: String,
    /// The version, if one was given.
    pub version: Option<String>,
    /// Whether repositories are cloned and pulled first.
    pub pull: bool,
    /// Which modules come with it.
    pub modules: Modules,
    /// Whether everything is backed up before.
    pub backup: bool,
    /// How long an instance may take to become healthy, if that was said.
    pub timeout: Option<Duration>,
    /// Who does the work, as far as that was said.
    pub tools: Tools,
    /// Whether nobody is asked.
    pub yes: bool,
}

impl From<Arguments> for Request {
    fn from(arguments: Arguments) -> Self {
        Self {
            verb: "deploy",
            directory: arguments.directory,
            host: arguments.host,
            version: arguments.version,
            pull: !arguments.no_pull,
            modules: if arguments.no_modules { Modules::None } else { Modules::All },
            backup: false,
            timeout: arguments.timeout.map(Duration::from_secs),
            tools: arguments.tools,
            yes: arguments.yes,
        }
    }
}

/// Deploys.
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
    let ended = plan_only(&arguments.deploy.into(), arguments.watch, common, &shown).await;
    shown.end(ended)
}

/// Looks, plans, asks and carries out.
///
/// # Errors
///
/// A [`Failure`] with what a person should read.
pub async fn bring(request: &Request, common: &Common, shown: &Shown) -> Result<ExitCode, Failure> {
    let settings = common.settings()?;
    let repositories = repositories(request, common, &settings, &shown.events).await?;
    let backed = if request.backup { everything(request, common, &repositories)? } else { vec![] };
    let (world, wanted) = open(request, &settings, repositories, &shown.events).await?;
    let _lock = world.agent.lock("ryo", &format!("{}: {}", journal::who(), wanted.title)).await?;
    let planned = session::plan(&world, &wanted, &shown.events, &shown.stop).await?;
    let mut backup = Plan::default();
    let needed = !planned.plan.steps.is_empty();
    let _held = if needed { backup::store::hold(&backed, &shown.events).await? } else { None };
    if needed {
        backup = backup_first(&world, &wanted.title, &backed).await?;
        shown.ui.print(backup.clone().followed_by(planned.plan.clone()).text().trim_end());
        if !shown.agreed(request.yes)? {
            return Ok(ExitCode::SUCCESS);
        }
    }
    let plan = apply(&world, &wanted, backup, planned, shown).await?;
    settled(&plan, shown);
    Ok(ExitCode::SUCCESS)
}

/// Carries a deployment out, behind the plan `before`, and remembers what has been deployed. Returns its plan; where image
/// builds make values known, that is the one that followed them.
pub(super) async fn apply(
    world: &World,
    wanted: &Wanted,
    before: Plan,
    planned: Planned,
    shown: &Shown,
) -> Result<Plan, Failure> {
    let Planned { mut plan, mut units } = planned;
    if !plan.steps.is_empty() {
        if plan.values == Values::Awaited {
            carry_out(world, &plan.preparation(), shown).await?;
            Planned { plan, units } = session::plan(world, wanted, &shown.events, &shown.stop).await?;
        }
        plan = before.followed_by(plan);
        carry_out(world, &plan, shown).await?;
        if world.programs.values().any(Programs::change) {
            nothing_left(&session::plan(world, wanted, &shown.events, &shown.stop).await?.plan)?;
        }
    }
    history::remember(world, &units).await?;
    Ok(plan)
}

/// Programs say themselves whether they have done what they were to do; the host says it better.
fn nothing_left(plan: &Plan) -> Result<(), Failure> {
    if plan.steps.is_empty() {
        return Ok(());
    }
    let failure = Failure::new(
        Kind::World,
        format!("the programs ended well, but not everything is done; {}", plan.text().trim_end()),
    );
    Err(failure.hint("what keeps its name keeps its image with Terraform: give another version with `-v`"))
}

/// Plans and prints the plan; touches nothing.
///
/// # Errors
///
/// A [`Failure`] with what a person should read.
pub async fn plan_only(request: &Request, watch: Watch, common: &Common, shown: &Shown) -> Result<ExitCode, Failure> {
    let settings = common.settings()?;
    let untouched = Request { pull: false, ..request.clone() };
    let repositories = repositories(&untouched, common, &settings, &shown.events).await?;
    let plan = if watch.offline {
        let names = Names { rewrites: settings.images.clone(), remotes: settings.remotes.clone() };
        session::plan_offline(&untouched.host, &names, &wanted(&untouched, repositories)?)?
    } else {
        let backed = if request.backup { everything(request, common, &repositories)? } else { vec![] };
        let (world, wanted) = open(&untouched, &settings, repositories, &shown.events).await?;
        let plan = session::plan(&world, &wanted, &shown.events, &shown.stop).await?.plan;
        let needed = !plan.steps.is_empty();
        if needed { backup_first(&world, &wanted.title, &backed).await?.followed_by(plan) } else { plan }
    };
    Ok(foretold(&plan, watch.exit_code, shown))
}

/// The archives of a project with all its modules, or of a module: whatever is upgraded, what belongs together is backed
/// up together.
fn everything(request: &Request, common: &Common, repositories: &[Repository]) -> Result<Vec<Spec>, Failure> {
    let Some(repository) = repositories.last() else { return Err(nothing()) };
    let modules = common.siblings(repository, &repository.modules)?;
    let to = Target::default();
    let form = Form {
        store: to.store(&repository.working_directory, common)?,
        compression: Compression::Gzip,
        recipients: to.recipients(&[], common)?,
    };
    cli::backup::specs(repository, &modules, &request.host, &journal::stamp(), &form)
}

/// The plan of the backup; of nothing if nothing is to be backed up.
async fn backup_first(world: &World, title: &str, specs: &[Spec]) -> Result<Plan, Failure> {
    if specs.is_empty() {
        return Ok(Plan::default());
    }
    Ok(backup::plan(title, specs, &backup::look(world, specs).await?, Pause::Stop))
}

/// The repository that was named and the modules that come with it, cloned or pulled, in the order of deployment.
async fn repositories(
    request: &Request,
    common: &Common,
    settings: &Settings,
    events: &Events,
) -> Result<Vec<Repository>, Failure> {
    if request.pull && is_repository(&request.directory) {
        git::update(&request.directory, events).await?;
    }
    let project = common.load(&request.directory)?;
    let names = chosen(&project, &request.modules)?;
    let modules: Vec<PathBuf> = names.iter().map(|module| project.sibling(module)).collect();
    for (directory, module) in modules.iter().zip(&names) {
        pull(directory, &settings.module_url(module), request.pull, events).await?;
    }
    // Before anything is loaded that may be missing: the check tells everything at once.
    common.check(&request.directory, &request.host)?;
    let mut repositories = modules.iter().map(|directory| common.load(directory)).collect::<Result<Vec<_>, _>>()?;
    repositories.push(project);
    Ok(repositories)
}

/// The modules of `project` that come with it, in its order.
fn chosen(project: &Repository, modules: &Modules) -> Result<Vec<String>, Failure> {
    match modules {
        Modules::All => Ok(project.modules.clone()),
        Modules::None => Ok(vec![]),
        Modules::These(names) => {
            if let Some(other) = names.iter().find(|name| !project.modules.contains(name)) {
                let failure = Failure::new(Kind::Request, format!("`{}` has no module `{other}`", project.name));
                let has = project.modules.join(", ");
                return Err(failure.hint(if has.is_empty() {
                    "it has none".to_owned()
                } else {
                    format!("it has {has}")
                }));
            }
            Ok(project.modules.iter().filter(|module| names.contains(module)).cloned().collect())
        }
    }
}

async fn pull(directory: &Path, url: &str, pull: bool, events: &Events) -> Result<(), Failure> {
    if !pull {
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
    request: &Request,
    settings: &Settings,
    repositories: Vec<Repository>,
    events: &Events,
) -> Result<(World, Wanted), Failure> {
    let wanted = wanted(request, repositories)?;
    let first = wanted.repositories.first().ok_or_else(nothing)?;
    let address = rig::address(&first.working_directory, &request.host).map_err(problems)?;
    // Looked for before any connection is opened.
    let programs = tools::programs(&wanted.repositories, &request.host, request.tools, settings).await?;
    let mut world = rig::open(&address, settings, events).await?;
    if let Some(timeout) = request.timeout {
        world.limits = world.limits.for_health(timeout);
    }
    Ok((World { programs, ..world }, wanted))
}

fn nothing() -> Failure {
    Failure::new(Kind::Bug, "no repository to deploy")
}

fn wanted(request: &Request, repositories: Vec<Repository>) -> Result<Wanted, Failure> {
    let name = repositories.last().map(|it| it.name.clone()).ok_or_else(nothing)?;
    let version = Version::chosen(request.version.as_deref(), journal::stamp());
    let of = request.version.as_ref().map_or(String::new(), |version| format!(" {version}"));
    let title = format!("{} {name}{of} on {}", request.verb, request.host);
    Ok(Wanted { title, repositories, version })
}

/// A directory inside a larger repository is not one of its own: it is deployed as it is.
fn is_repository(directory: &Path) -> bool {
    directory.join(".git").exists()
}
