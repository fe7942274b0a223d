//! `ryo backup`: backups are made, and looked after.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde_json::json;

use crate::archive::Compression;
use crate::archive::seal::{Identities, Recipients};
use crate::cli::shown::{Shown, carry_out};
use crate::cli::{Common, problems};
use crate::failure::{Failure, Kind};
use crate::flow::backup::catalogue::bytes;
use crate::flow::backup::location::Location;
use crate::flow::backup::manifest::{Archive, Member};
use crate::flow::backup::record::Record;
use crate::flow::backup::store::Store;
use crate::flow::backup::{self, Manifest, Source, Spec};
use crate::flow::instance::Pause;
use crate::flow::journal;
use crate::flow::world::World;
use crate::plan::Plan;
use crate::project::Repository;
use crate::rig;
use crate::rig::settings::BackupStore;

pub mod list;
pub mod prune;
pub mod schedule;
pub mod show;
pub mod store;
pub mod verify;

/// What is done with backups.
#[derive(Debug, clap::Args)]
#[command(
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true,
    after_help = "Examples:\n  ryo backup ryo-gitea -n web -s 20261123\n  ryo backup list -n web\n\n\
                  A repository that is called like one of the commands is given as `./list`."
)]
pub struct Backup {
    /// Something else than to make one
    #[command(subcommand)]
    pub command: Option<Command>,
    /// What is backed up
    #[command(flatten)]
    pub make: Option<Arguments>,
}

/// What is done with backups that are there.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// List the backups
    List(list::Arguments),
    /// Say what is known of a backup
    Show(show::Arguments),
    /// Read every byte of backups and compare it with what it should be
    Verify(verify::Arguments),
    /// Remove backups that are not to be kept
    Prune(prune::Arguments),
    /// Make backups at certain times, with a timer of systemd
    Schedule(schedule::Arguments),
}

/// What is backed up.
#[derive(Clone, Debug, clap::Args)]
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
    /// Where the archives go: a directory, or `restic:DIR` for a repository of restic (default: that of the settings, else
    /// ryo-host/backup-restore/backups)
    #[arg(long, value_name = "STORE")]
    pub to: Option<BackupStore>,
    /// The file with the password of the repository (default: that of the settings, else that of
    /// `RESTIC_PASSWORD_FILE`, else `RESTIC_PASSWORD`)
    #[arg(long, value_name = "FILE")]
    pub password_file: Option<PathBuf>,
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

/// Backs up, or looks after backups.
///
/// # Errors
///
/// A [`Failure`] with what a person should read.
pub async fn run(backup: Backup, common: &Common) -> Result<ExitCode, Failure> {
    let shown = Shown::new(common);
    let ended = match (backup.command, backup.make) {
        (Some(Command::List(arguments)), _) => list::run(&arguments, common, &shown),
        (Some(Command::Show(arguments)), _) => show::run(&arguments, common, &shown),
        (Some(Command::Verify(arguments)), _) => verify::run(&arguments, common, &shown).await,
        (Some(Command::Prune(arguments)), _) => prune::run(&arguments, common, &shown),
        (Some(Command::Schedule(arguments)), _) => schedule::run(&arguments, common, &shown).await,
        (None, Some(arguments)) => make(&arguments, common, &shown).await,
        // The command line asks for a host first.
        (None, None) => Err(Failure::new(Kind::Request, "name the host: `-n NAME`")),
    };
    shown.end(ended)
}

async fn make(arguments: &Arguments, common: &Common, shown: &Shown) -> Result<ExitCode, Failure> {
    let repository = common.load(&arguments.directory)?;
    let names: &[String] = if arguments.no_modules { &[] } else { &repository.modules };
    let modules = common.siblings(&repository, names)?;
    let stamp = arguments.stamp.clone().unwrap_or_else(journal::stamp);
    let to = store::Target { to: arguments.to.clone(), password_file: arguments.password_file.clone() };
    let form = Form {
        store: to.store(&repository.working_directory, common)?,
        compression: arguments.compress.into(),
        recipients: to.recipients(&arguments.encrypt, common)?,
    };
    let specs = specs(&repository, &modules, &arguments.host, &stamp, &form)?;
    let title = format!("backup {} {stamp} on {}", repository.name, arguments.host);
    let address = rig::address(&repository.working_directory, &arguments.host).map_err(problems)?;
    let world = rig::open(&address, &common.settings()?, &shown.events).await?;
    let _lock = world.agent.lock("ryo", &format!("{}: {title}", journal::who())).await?;
    let _held = backup::store::hold(&specs, &shown.events).await?;
    let seen = backup::look(&world, &specs).await?;
    let plan = backup::plan(&title, &specs, &seen, how(arguments.freeze));
    shown.ui.print(plan.text().trim_end());
    if !shown.agreed(arguments.yes)? {
        return Ok(ExitCode::SUCCESS);
    }
    carried_out(&world, &plan, &specs, shown).await
}

/// How instances are kept from writing.
pub(super) fn how(freeze: bool) -> Pause {
    if freeze { Pause::Freeze } else { Pause::Stop }
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

/// Where archives go, and what they are.
pub struct Form {
    /// Where they go.
    pub store: Store,
    /// How they are compressed.
    pub compression: Compression,
    /// To whom they are encrypted.
    pub recipients: Recipients,
}

impl Form {
    /// An archive to be made.
    pub fn spec(&self, host: &str, source: Source, stamp: &str) -> Spec {
        Spec::new(host, source, stamp, &self.store, (self.compression, &self.recipients))
    }
}

/// The archives to be made: those of the modules first.
///
/// # Errors
///
/// The stamp is none, or a repository has no identity.
pub fn specs(
    repository: &Repository,
    modules: &[Repository],
    host: &str,
    stamp: &str,
    form: &Form,
) -> Result<Vec<Spec>, Failure> {
    if let Some(problem) = backup::misfit(stamp) {
        return Err(Failure::new(Kind::Request, problem));
    }
    let spec = |repository: &Repository| -> Result<Spec, Failure> {
        let source = Source { id: repository.identity(host).map_err(problems)?.id, kind: repository.kind };
        Ok(form.spec(host, source, stamp))
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
        let location = spec.location()?;
        let file = location.path();
        let record = Record::read(&location);
        // What is encrypted cannot be opened by whoever has made it.
        if let Some(Record { archive: Archive { size, sha256, .. }, .. }) = record.filter(|_| location.is_sealed()) {
            lines.push(format!("  {} ({}, encrypted)", file.display(), bytes(size)));
            rows.push(json!({ "file": file, "id": spec.source.id, "size": size, "sha256": sha256, "encrypted": true }));
            continue;
        }
        let mut members = 0_usize;
        let manifest = read(&location, &mut |_| {
            members += 1;
            true
        })?;
        lines.push(format!("  {}", describe(file, manifest.archive.size, members)));
        rows.push(json!({
            "file": file,
            "id": manifest.id,
            "size": manifest.archive.size,
            "members": members,
            "sha256": manifest.archive.sha256,
            "sockets": manifest.sockets,
            "encrypted": spec.is_secret(),
            "devices": manifest.devices,
        }));
    }
    let result = json!({ "plan": title, "archives": rows, "outages": outages });
    shown.ui.result(&result, &lines.join("\n"));
    Ok(())
}

fn read(archive: &Location, visit: &mut dyn FnMut(Member) -> bool) -> Result<Manifest, Failure> {
    let read = Manifest::read(archive, &Identities::default(), visit);
    let read = read.map_err(|error| Failure::new(Kind::World, error))?;
    read.ok_or_else(|| Failure::new(Kind::Bug, format!("`{}` has no manifest", archive.path().display())))
}

fn describe(file: &Path, size: u64, members: usize) -> String {
    let noun = if members == 1 { "member" } else { "members" };
    format!("{} ({}, {members} {noun})", file.display(), bytes(size))
}
