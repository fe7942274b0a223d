//! `ryo host restore`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde_json::json;

use crate::agent::data::Stock;
use crate::backend::terraform;
use crate::cli::backup::store;
use crate::cli::restore::Settle;
use crate::cli::shown::{Shown, carry_out};
use crate::cli::{Common, deploy, problems, tools};
use crate::failure::{Failure, Kind};
use crate::flow::restore::set::{self, Set};
use crate::flow::session::{self, Planned, Wanted};
use crate::flow::unit::Version;
use crate::flow::whole::Known;
use crate::flow::world::World;
use crate::flow::{backup, journal, program, restore};
use crate::plan::Plan;
use crate::project::Repository;
use crate::{project, rig};

/// What a host gets back.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "Example:\n  ryo host restore web -s 20261123 && ryo host restore web --commit")]
pub struct Restore {
    /// The host
    #[arg(value_name = "HOST")]
    pub host: String,
    /// The stamp of the backup (default: that of the newest one of everything)
    #[arg(short = 's', long, value_name = "STAMP", conflicts_with_all = ["undo", "commit"])]
    pub stamp: Option<String>,
    /// Restore the data alone: deploy nothing
    #[arg(long, conflicts_with_all = ["undo", "commit"])]
    pub no_deploy: bool,
    /// Where they are
    #[command(flatten)]
    pub from: store::Origin,
    /// The file with the identity of `age` that opens encrypted archives (default: that of the settings)
    #[arg(long, value_name = "FILE", conflicts_with_all = ["undo", "commit"])]
    pub identity: Option<PathBuf>,
    /// How earlier restores are settled
    #[command(flatten)]
    pub settle: Settle,
    /// Do not ask
    #[arg(short, long)]
    pub yes: bool,
}

/// Restores everything that projects and modules kept on a host; a fresh one gets them first.
pub async fn run(arguments: &Restore, common: &Common, shown: &Shown) -> Result<ExitCode, Failure> {
    if let Some(problem) = arguments.stamp.as_deref().and_then(backup::misfit) {
        return Err(Failure::new(Kind::Request, problem));
    }
    let directory = common.directory()?;
    let address = rig::address(&directory, &arguments.host).map_err(problems)?;
    let (repositories, broken) = project::of_host(&directory, &arguments.host);
    let settings = common.settings()?;
    if arguments.settle.undo || arguments.settle.commit {
        return settle(arguments, &rig::open(&address, &settings, &shown.events).await?, shown).await;
    }
    for problem in broken {
        shown.events.warn(format!("not read: {problem}"));
    }
    let known = Known::here(&directory, &arguments.host, repositories);
    let identities = store::identities(arguments.identity.as_deref(), common)?;
    let archives = arguments.from.store(common, || Ok(backup::directory(&directory)))?.held(&shown.events)?;
    let set = set::find(&archives, &arguments.host, arguments.stamp.as_deref(), &known, &identities)?;
    let repositories = if arguments.no_deploy { vec![] } else { wanted(&set, &known, &directory, shown) };
    for repository in &repositories {
        common.check(&repository.directory, &arguments.host)?;
    }
    let programs = tools::of_host(&repositories, &arguments.host, &settings).await?;
    let world = World { programs, ..rig::open(&address, &settings, &shown.events).await? };
    let title = format!("restore everything {} on {}", set.stamp, arguments.host);
    let _lock = world.agent.lock("ryo", &format!("{}: {title}", journal::who())).await?;
    let version = Version::Each { versions: set.versions(), otherwise: journal::stamp() };
    let deployment = Wanted { title: title.clone(), repositories, version };
    restored(arguments, &world, &title, &set, &deployment, shown).await
}

async fn restored(
    arguments: &Restore,
    world: &World,
    title: &str,
    set: &Set,
    deployment: &Wanted,
    shown: &Shown,
) -> Result<ExitCode, Failure> {
    let ids: Vec<String> = set.specs.iter().map(|spec| spec.id.clone()).collect();
    let data = restore::plan(title, &set.specs, &restore::look(world, &ids).await?)?;
    let planned = if deployment.repositories.is_empty() {
        Planned::default()
    } else {
        session::plan(world, deployment, &shown.events, &shown.stop).await?
    };
    let deploy = planned.plan.clone();
    // Archives are read and unpacked before anything is touched for them.
    let (unpack, exchange) = restore::halves(&data);
    let all = [&unpack, &deploy, &exchange].into_iter().flat_map(|plan| plan.steps.clone()).collect();
    let whole = Plan { title: title.to_owned(), steps: all, values: deploy.values };
    shown.ui.print(whole.text().trim_end());
    let forgotten = program::fresh(&deploy, &planned.units, world);
    for unit in &forgotten {
        shown.ui.print(&format!("{}: what its program knows of {} is forgotten first", unit.owner, world.host));
    }
    if !deploy.steps.is_empty() {
        shown.ui.print("instances that are made by it are stopped for the exchange, too");
    }
    if !shown.agreed(arguments.yes)? {
        return Ok(ExitCode::SUCCESS);
    }
    let outages = if deploy.steps.is_empty() {
        carry_out(world, &data, shown).await?
    } else {
        carry_out(world, &unpack, shown).await?;
        for unit in forgotten {
            terraform::forget(&unit.directory, &world.host)?;
        }
        deploy::apply(world, deployment, Plan::default(), planned, shown).await?;
        let (_, exchange) = restore::halves(&restore::plan(title, &set.specs, &restore::look(world, &ids).await?)?);
        carry_out(world, &exchange, shown).await?
    };
    let instances = world.lxd.instances().await?;
    let differences = set.differences(&instances);
    for line in &differences {
        shown.events.warn(line);
    }
    tell(title, set, &outages, &differences, shown);
    Ok(ExitCode::SUCCESS)
}

fn tell(title: &str, set: &Set, outages: &BTreeMap<String, u64>, differences: &[String], shown: &Shown) {
    let archives: Vec<_> = set.specs.iter().map(|spec| json!({ "id": spec.id, "file": spec.archive.path() })).collect();
    let result = json!({ "plan": title, "archives": archives, "outages": outages, "differences": differences });
    let kept = "the data from before are kept until `--commit`, `--undo` puts them back";
    shown.ui.result(&result, &format!("{title}: done; {kept}"));
}

/// The repositories that are deployed, in order: those of what was backed up, and of what they need.
fn wanted(set: &Set, known: &Known, directory: &Path, shown: &Shown) -> Vec<Repository> {
    let mut ids: BTreeSet<&String> = BTreeSet::new();
    let mut open: Vec<&String> = set.parts.iter().map(|part| &part.id).collect();
    while let Some(id) = open.pop() {
        let Some(repository) = known.repositories.get(id) else {
            shown.events.warn(format!("{id} has no repository in {}: it is not deployed", directory.display()));
            continue;
        };
        if ids.insert(id) {
            let needed: Vec<&String> = known.needed(repository).map(|it| &it.name).collect();
            open.extend(known.repositories.iter().filter(|(_, it)| needed.contains(&&it.name)).map(|(id, _)| id));
        }
    }
    let mut repositories: Vec<(&String, &Repository)> =
        known.repositories.iter().filter(|(id, _)| ids.contains(id)).collect();
    repositories.sort_by_cached_key(|(id, repository)| known.place(repository.kind, id));
    repositories.into_iter().map(|(_, repository)| repository.clone()).collect()
}

/// Puts everything that is kept on the host back in its place, or removes it.
async fn settle(arguments: &Restore, world: &World, shown: &Shown) -> Result<ExitCode, Failure> {
    let word = if arguments.settle.undo { "undo" } else { "commit" };
    let title = format!("{word} the restores on {}", arguments.host);
    let _lock = world.agent.lock("ryo", &format!("{}: {title}", journal::who())).await?;
    let Stock { present, kept, .. } = world.agent.stock(backup::DATA).await?;
    let ids: BTreeSet<String> = present.into_iter().chain(kept.into_keys()).collect();
    let ids: Vec<String> = ids.into_iter().collect();
    let seen = restore::look(world, &ids).await?;
    let plan = if arguments.settle.undo { restore::plan_undo } else { restore::plan_commit };
    let plan = plan(&title, &ids, &seen).map_err(|error| match error {
        restore::Error::NothingKept(_) => restore::Error::NothingKept(format!("host `{}`", arguments.host)),
        error => error,
    })?;
    shown.ui.print(plan.text().trim_end());
    if !shown.agreed(arguments.yes)? {
        return Ok(ExitCode::SUCCESS);
    }
    let outages = carry_out(world, &plan, shown).await?;
    shown.ui.result(&json!({ "plan": title, "outages": outages }), &format!("{title}: done"));
    Ok(ExitCode::SUCCESS)
}
