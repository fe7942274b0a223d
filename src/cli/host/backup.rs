//! `ryo host backup`.

use std::process::ExitCode;

use crate::cli::backup::{Compress, Form, carried_out, how, store};
use crate::cli::shown::Shown;
use crate::cli::{Common, problems};
use crate::failure::{Failure, Kind};
use crate::flow::backup::{self, Source, Spec};
use crate::flow::journal;
use crate::flow::whole::{self, Known, Part};
use crate::flow::world::World;
use crate::{project, rig};

/// What of a host is backed up.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "Example:\n  ryo host backup web -s 20261123")]
pub struct Backup {
    /// The host
    #[arg(value_name = "HOST")]
    pub host: String,
    /// The stamp of the backup (default: the time)
    #[arg(short = 's', long, value_name = "STAMP")]
    pub stamp: Option<String>,
    /// A project or module alone, by its id, whether its repository is here or not (may be given more than once)
    #[arg(long, value_name = "ID")]
    pub only: Vec<String>,
    /// Freeze instances instead of stopping them: they do not serve for a moment only, and what is backed up is as after a
    /// power cut
    #[arg(long)]
    pub freeze: bool,
    /// How archives are compressed; a repository of restic does it itself
    #[arg(long, value_enum, default_value_t = Compress::Gzip, value_name = "HOW")]
    pub compress: Compress,
    /// Encrypt it to this recipient of `age`; may be given several times (default: those of the settings)
    #[arg(long, value_name = "RECIPIENT")]
    pub encrypt: Vec<String>,
    /// Where they go
    #[command(flatten)]
    pub to: store::Target,
    /// Do not ask
    #[arg(short, long)]
    pub yes: bool,
}

/// Backs up everything that projects and modules keep on a host.
pub async fn run(arguments: &Backup, common: &Common, shown: &Shown) -> Result<ExitCode, Failure> {
    let stamp = arguments.stamp.clone().unwrap_or_else(journal::stamp);
    if let Some(problem) = backup::misfit(&stamp) {
        return Err(Failure::new(Kind::Request, problem));
    }
    let directory = common.directory()?;
    let address = rig::address(&directory, &arguments.host).map_err(problems)?;
    let form = Form {
        store: arguments.to.store(&directory, common)?,
        compression: arguments.compress.into(),
        recipients: arguments.to.recipients(&arguments.encrypt, common)?,
    };
    let (repositories, broken) = project::of_host(&directory, &arguments.host);
    let world = rig::open(&address, &common.settings()?, &shown.events).await?;
    let title = format!("backup {} {stamp} on {}", what(arguments), arguments.host);
    let _lock = world.agent.lock("ryo", &format!("{}: {title}", journal::who())).await?;
    let known = Known::here(&directory, &arguments.host, repositories);
    let parts = whole::look(&world, &known).await?;
    for problem in broken {
        shown.events.warn(format!("not read: {problem}"));
    }
    for part in parts.iter().filter(|part| part.data && !known.repositories.contains_key(&part.id)) {
        let (id, here) = (&part.id, directory.display());
        shown.events.warn(format!("{id} has data on host {} and no repository in {here}", arguments.host));
    }
    let specs = specs(&arguments.only, &form, &world, &stamp, &parts)?;
    let _held = backup::store::hold(&specs, &shown.events).await?;
    let seen = backup::look(&world, &specs).await?;
    let plan = backup::plan_at_once(&title, &arguments.host, &specs, &seen, how(arguments.freeze));
    shown.ui.print(plan.text().trim_end());
    if !shown.agreed(arguments.yes)? {
        return Ok(ExitCode::SUCCESS);
    }
    carried_out(&world, &plan, &specs, shown).await
}

fn what(arguments: &Backup) -> String {
    if arguments.only.is_empty() { "everything".to_owned() } else { arguments.only.join(", ") }
}

/// The archives to be made, in the order of deployment.
fn specs(only: &[String], form: &Form, world: &World, stamp: &str, parts: &[Part]) -> Result<Vec<Spec>, Failure> {
    if let Some(unknown) = only.iter().find(|id| !parts.iter().any(|part| part.data && part.id == **id)) {
        let error = backup::Error::Nothing { host: world.host.clone(), path: backup::data(unknown) };
        return Err(error.into());
    }
    let wanted = parts.iter().filter(|part| part.data && (only.is_empty() || only.contains(&part.id)));
    let of_host = if only.is_empty() { parts } else { &[] };
    let spec = |part: &Part| Spec {
        of_host: of_host.to_vec(),
        ..form.spec(&world.host, Source { id: part.id.clone(), kind: part.kind }, stamp)
    };
    let specs: Vec<Spec> = wanted.map(spec).collect();
    if specs.is_empty() {
        let error = backup::Error::Nothing { host: world.host.clone(), path: format!("{}/…", backup::DATA) };
        return Err(error.into());
    }
    Ok(specs)
}
