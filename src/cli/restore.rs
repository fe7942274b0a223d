//! `ryo restore`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde_json::json;

use crate::cli::backup::store;
use crate::cli::shown::{Shown, carry_out};
use crate::cli::{Common, problems};
use crate::failure::{Failure, Kind};
use crate::flow::restore::{self, Spec, find, reading};
use crate::flow::{backup, journal};
use crate::project::Repository;
use crate::rig;

/// What is restored.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "Example:\n  ryo restore ryo-gitea -n web -s 20261123 && ryo restore ryo-gitea -n web --commit")]
pub struct Arguments {
    /// The repository of a project or a module
    #[arg(default_value = ".", value_name = "DIR")]
    pub directory: PathBuf,
    /// The host
    #[arg(short = 'n', long, value_name = "NAME")]
    pub host: String,
    /// The stamp of the backup (default: that of the newest one)
    #[arg(short = 's', long, value_name = "STAMP", conflicts_with_all = ["undo", "commit"])]
    pub stamp: Option<String>,
    /// The archive itself, wherever it is
    #[arg(long, value_name = "FILE", conflicts_with_all = ["stamp", "modules", "from", "undo", "commit"])]
    pub file: Option<PathBuf>,
    /// Restore the modules of a project as well, from backups with the same stamp
    #[arg(long)]
    pub modules: bool,
    /// Where they are
    #[command(flatten)]
    pub from: store::Origin,
    /// The file with the identity of `age` that opens encrypted archives (default: that of the settings)
    #[arg(long, value_name = "FILE")]
    pub identity: Option<PathBuf>,
    /// How an earlier restore is settled
    #[command(flatten)]
    pub settle: Settle,
    /// Do not ask
    #[arg(short, long)]
    pub yes: bool,
}

/// How an earlier restore is settled.
#[derive(Clone, Debug, clap::Args)]
pub struct Settle {
    /// Put the data from before the restore back in their place
    #[arg(long, conflicts_with = "commit")]
    pub undo: bool,
    /// Remove the data from before the restore
    #[arg(long)]
    pub commit: bool,
}

/// Restores.
///
/// # Errors
///
/// A [`Failure`] with what a person should read.
pub async fn run(arguments: Arguments, common: &Common) -> Result<ExitCode, Failure> {
    let shown = Shown::new(common);
    let ended = make(&arguments, common, &shown).await;
    shown.end(ended)
}

async fn make(arguments: &Arguments, common: &Common, shown: &Shown) -> Result<ExitCode, Failure> {
    if let Some(problem) = arguments.stamp.as_deref().and_then(backup::misfit) {
        return Err(Failure::new(Kind::Request, problem));
    }
    let repository = common.load(&arguments.directory)?;
    let sources = sources(arguments, common, &repository)?;
    let settles = arguments.settle.undo || arguments.settle.commit;
    let specs = if settles { vec![] } else { specs(arguments, common, &repository, &sources, shown)? };
    let title = title(arguments, &repository, &specs);
    let address = rig::address(&repository.working_directory, &arguments.host).map_err(problems)?;
    let world = rig::open(&address, &common.settings()?, &shown.events).await?;
    let _lock = world.agent.lock("ryo", &format!("{}: {title}", journal::who())).await?;
    let ids: Vec<String> = sources.into_iter().map(|(_, id)| id).collect();
    let seen = restore::look(&world, &ids).await?;
    let plan = match (arguments.settle.undo, arguments.settle.commit) {
        (true, _) => restore::plan_undo(&title, &ids, &seen),
        (_, true) => restore::plan_commit(&title, &ids, &seen),
        _ => restore::plan(&title, &specs, &seen),
    }?;
    shown.ui.print(plan.text().trim_end());
    if !shown.agreed(arguments.yes)? {
        return Ok(ExitCode::SUCCESS);
    }
    let outages = carry_out(&world, &plan, shown).await?;
    let kept = if settles { "" } else { "; the data from before are kept until `--commit`, `--undo` puts them back" };
    let archives: Vec<_> = specs.iter().map(|spec| json!({ "id": spec.id, "file": spec.archive.path() })).collect();
    let result = json!({ "plan": title, "archives": archives, "outages": outages });
    shown.ui.result(&result, &format!("{title}: done{kept}"));
    Ok(ExitCode::SUCCESS)
}

fn title(arguments: &Arguments, repository: &Repository, specs: &[Spec]) -> String {
    let (name, host) = (&repository.name, &arguments.host);
    match specs.last() {
        Some(spec) => format!("restore {name} {} on {host}", spec.stamp),
        None if arguments.settle.undo => format!("undo the restore of {name} on {host}"),
        None => format!("commit the restore of {name} on {host}"),
    }
}

/// What is restored, the project last.
fn sources(
    arguments: &Arguments,
    common: &Common,
    repository: &Repository,
) -> Result<Vec<(crate::project::Kind, String)>, Failure> {
    let names: &[String] = if arguments.modules { &repository.modules } else { &[] };
    let modules = common.siblings(repository, names)?;
    let source = |repository: &Repository| {
        let identity = repository.identity(&arguments.host).map_err(problems)?;
        Ok((repository.kind, identity.id))
    };
    modules.iter().chain([repository]).map(source).collect()
}

/// The archive that was named, which must be a file: anything else could be waited for without end.
fn named(file: &Path) -> Result<PathBuf, Failure> {
    let problem = match std::fs::metadata(file) {
        Ok(about) if about.is_file() => return Ok(file.to_owned()),
        Ok(_) => format!("`{}` is no file", file.display()),
        Err(error) => format!("cannot read `{}`: {error}", file.display()),
    };
    Err(Failure::new(Kind::Request, problem))
}

fn specs(
    arguments: &Arguments,
    common: &Common,
    repository: &Repository,
    sources: &[(crate::project::Kind, String)],
    shown: &Shown,
) -> Result<Vec<Spec>, Failure> {
    let identities = store::identities(arguments.identity.as_deref(), common)?;
    let store = arguments.from.store(common, || Ok(backup::directory(&repository.working_directory)))?;
    let store = store.held(&shown.events)?;
    let mut stamp = arguments.stamp.clone();
    let mut specs = vec![];
    // The project says which stamp is the newest.
    for (kind, id) in sources.iter().rev() {
        let (archive, found) = match &arguments.file {
            Some(file) => (named(file)?.into(), find::stamp(file, &identities)?),
            None => find::archive(&store, &arguments.host, id, stamp.as_deref(), &identities)?,
        };
        // Whoever cannot open it hears that before a host is asked anything.
        if archive.is_sealed() {
            reading::top(&archive, &identities)?;
        }
        stamp = Some(found.clone());
        let (host, id, identities) = (arguments.host.clone(), id.clone(), identities.clone());
        specs.insert(0, Spec { host, id, kind: *kind, archive, stamp: found, identities });
    }
    Ok(specs)
}
