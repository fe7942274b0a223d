//! `ryo backup`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde_json::json;

use crate::archive::Compression;
use crate::cli::shown::{Shown, carry_out};
use crate::cli::{Common, problems};
use crate::failure::{Failure, Kind};
use crate::flow::backup::{self, Manifest, Source, Spec};
use crate::flow::journal;
use crate::flow::world::World;
use crate::plan::Plan;
use crate::project::Repository;
use crate::rig;

/// What is backed up.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "Example:\n  ryo backup ryo-gitea -n web -s 20261123")]
pub struct Arguments {
    /// The repository of a project or a module
    #[arg(default_value = ".", value_name = "DIR")]
    pub directory: PathBuf,
    /// The host
    #[arg(short = 'n', long, value_name = "NAME")]
    pub host: String,
    /// The stamp of the backup (default: the time)
    #[arg(short = 's', long, value_name = "STAMP")]
    pub stamp: Option<String>,
    /// Leave the modules of a project alone
    #[arg(long)]
    pub no_modules: bool,
    /// How archives are compressed
    #[arg(long, value_enum, default_value_t = Compress::Gzip, value_name = "HOW")]
    pub compress: Compress,
    /// Do not ask
    #[arg(short, long)]
    pub yes: bool,
}

/// How archives are compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Compress {
    /// As the original does
    Gzip,
    /// With Zstandard
    Zstd,
    /// Not at all
    None,
}

impl From<Compress> for Compression {
    fn from(compress: Compress) -> Self {
        match compress {
            Compress::Gzip => Self::Gzip,
            Compress::Zstd => Self::Zstd,
            Compress::None => Self::None,
        }
    }
}

/// Backs up.
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
    let repository = common.load(&arguments.directory)?;
    let specs = specs(arguments, common, &repository, journal::stamp())?;
    let stamp = specs.first().map_or("", |spec| &spec.stamp);
    let title = format!("backup {} {stamp} on {}", repository.name, arguments.host);
    let address = rig::address(&repository.working_directory, &arguments.host).map_err(problems)?;
    let world = rig::open(&address, &common.settings()?, &shown.events).await?;
    let _lock = world.agent.lock("ryo", &format!("{}: {title}", journal::who())).await?;
    let seen = backup::look(&world, &specs).await?;
    let plan = backup::plan(&title, &specs, &seen);
    shown.ui.print(plan.text().trim_end());
    if !shown.agreed(arguments.yes)? {
        return Ok(ExitCode::SUCCESS);
    }
    carried_out(&world, &plan, &specs, shown).await
}

/// Carries the plan of a backup out and says what was made, also if an instance did not come up again.
pub(super) async fn carried_out(
    world: &World,
    plan: &Plan,
    specs: &[Spec],
    shown: &Shown,
) -> Result<ExitCode, Failure> {
    match carry_out(world, plan, shown).await {
        Ok(outages) => {
            tell(&plan.title, "done", specs, &outages, shown)?;
            Ok(ExitCode::SUCCESS)
        }
        Err(failure) if failure.kind == Kind::Partly => {
            tell(&plan.title, "the archives are whole", specs, &BTreeMap::new(), shown)?;
            Err(failure)
        }
        Err(failure) => Err(failure),
    }
}

/// The archives to be made: those of the modules first.
fn specs(arguments: &Arguments, common: &Common, repository: &Repository, now: String) -> Result<Vec<Spec>, Failure> {
    let stamp = arguments.stamp.clone().unwrap_or(now);
    if let Some(problem) = backup::misfit(&stamp) {
        return Err(Failure::new(Kind::Request, problem));
    }
    let names: &[String] = if arguments.no_modules { &[] } else { &repository.modules };
    let modules = common.siblings(repository, names)?;
    let compression = Compression::from(arguments.compress);
    let directory = backup::directory(&repository.working_directory);
    let spec = |repository: &Repository| -> Result<Spec, Failure> {
        let id = repository.identity(&arguments.host).map_err(problems)?.id;
        Ok(Spec {
            file: directory.join(backup::name(&arguments.host, &id, &stamp, compression)),
            host: arguments.host.clone(),
            source: Source { id, kind: repository.kind },
            stamp: stamp.clone(),
            compression,
            of_host: vec![],
        })
    };
    modules.iter().chain([repository]).map(spec).collect()
}

/// Says what was made.
fn tell(
    title: &str,
    ended: &str,
    specs: &[Spec],
    outages: &BTreeMap<String, u64>,
    shown: &Shown,
) -> Result<(), Failure> {
    let mut rows = vec![];
    let mut lines = vec![format!("{title}: {ended}")];
    for spec in specs {
        let manifest = manifest(&spec.file)?;
        lines.push(format!("  {}", describe(&spec.file, manifest.archive.size, manifest.members.len())));
        rows.push(json!({
            "file": spec.file,
            "id": manifest.id,
            "size": manifest.archive.size,
            "members": manifest.members.len(),
            "sha256": manifest.archive.sha256,
            "sockets": manifest.sockets,
            "devices": manifest.devices,
        }));
    }
    let result = json!({ "plan": title, "archives": rows, "outages": outages });
    shown.ui.result(&result, &lines.join("\n"));
    Ok(())
}

fn manifest(archive: &Path) -> Result<Manifest, Failure> {
    let read = Manifest::read(archive).map_err(|error| Failure::new(Kind::World, error))?;
    read.ok_or_else(|| Failure::new(Kind::Bug, format!("`{}` has no manifest", archive.display())))
}

fn describe(file: &Path, size: u64, members: usize) -> String {
    let noun = if members == 1 { "member" } else { "members" };
    format!("{} ({}, {members} {noun})", file.display(), bytes(size))
}

/// Bytes as a person says them.
fn bytes(count: u64) -> String {
    match count {
        0..1024 => format!("{count} bytes"),
        1024..1_048_576 => format!("{} KiB", count >> 10),
        _ => format!("{} MiB", count >> 20),
    }
}
