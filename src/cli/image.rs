//! `ryo image build`, `ryo image list`, `ryo image prune`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Subcommand;
use serde_json::json;

use crate::cli::shown::{Shown, carry_out, settled};
use crate::cli::{Common, problems, tools};
use crate::failure::Failure;
use crate::flow::found::{Found, IMAGE_OWNER, IMAGE_VERSION};
use crate::flow::session::{self, Wanted};
use crate::flow::unit::Version;
use crate::flow::world::World;
use crate::flow::{history, journal, look, prune};
use crate::project::Repository;
use crate::rig;
use crate::rig::settings::{self, Tools};

/// What is done with images.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Build the images of a repository, or of one template, if what they are made from has changed
    Build(Build),
    /// List the images of a host
    List(List),
    /// Remove images that no instance was made from, but for the newest of each kind and those that a rollback needs
    Prune(Prune),
}

/// What is built.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  ryo image build ryo-gitea/image-build/gitea.pkr.hcl -n web -v 20261123")]
pub struct Build {
    /// A template (`*.pkr.hcl`) or a repository
    #[arg(default_value = ".", value_name = "TEMPLATE|DIR")]
    pub path: PathBuf,
    /// The host
    #[arg(short = 'n', long, value_name = "NAME")]
    pub host: String,
    /// Version of the images (default: the present one while nothing has changed, else the time)
    #[arg(short = 'v', long = "image-version", value_name = "VERSION", value_parser = crate::cli::version)]
    pub version: Option<String>,
    /// What builds them (default: what the settings say, else ryo itself)
    #[arg(long, value_name = "TOOL", value_enum)]
    pub build: Option<settings::Build>,
}

/// Whose images are listed.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  ryo image list -n web")]
pub struct List {
    /// The host
    #[arg(short = 'n', long, value_name = "NAME")]
    pub host: String,
}

/// What is removed.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  ryo image prune -n web --keep 2")]
pub struct Prune {
    /// The host
    #[arg(short = 'n', long, value_name = "NAME")]
    pub host: String,
    /// How many of each kind stay even if nothing uses them
    #[arg(long, default_value_t = 3, value_name = "NUMBER")]
    pub keep: usize,
    /// Do not ask
    #[arg(short, long)]
    pub yes: bool,
}

/// Runs it.
///
/// # Errors
///
/// A [`Failure`] with what a person should read.
pub async fn run(command: Command, common: &Common) -> Result<ExitCode, Failure> {
    let shown = Shown::new(common);
    let ended = match command {
        Command::Build(arguments) => build(&arguments, common, &shown).await,
        Command::List(arguments) => list(&arguments, common, &shown).await,
        Command::Prune(arguments) => remove(&arguments, common, &shown).await,
    };
    shown.end(ended)
}

async fn build(arguments: &Build, common: &Common, shown: &Shown) -> Result<ExitCode, Failure> {
    let repository = repository(common, &arguments.path)?;
    let settings = common.settings()?;
    common.check(&repository.directory, &arguments.host)?;
    let address = rig::address(&repository.working_directory, &arguments.host).map_err(problems)?;
    let given = Tools { build: arguments.build, ..Tools::default() };
    let programs = tools::programs(std::slice::from_ref(&repository), &arguments.host, given, &settings).await?;
    let world = World { programs, ..rig::open(&address, &settings, &shown.events).await? };
    let title = format!("build the images of {} on {}", repository.name, arguments.host);
    let _lock = world.agent.lock("ryo", &format!("{}: {title}", journal::who())).await?;
    let version = Version::chosen(arguments.version.as_deref(), journal::stamp());
    let wanted = Wanted { title, repositories: vec![repository], version };
    let plan = session::plan_images(&world, &wanted, &shown.events).await?;
    if !plan.steps.is_empty() {
        shown.ui.print(plan.text().trim_end());
        carry_out(&world, &plan, shown).await?;
    }
    settled(&plan, shown);
    Ok(ExitCode::SUCCESS)
}

/// The repository of a template counts with that template alone.
fn repository(common: &Common, path: &Path) -> Result<Repository, Failure> {
    if path.is_dir() {
        return common.load(path);
    }
    let template = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let directory = template.parent().and_then(Path::parent).unwrap_or(Path::new("."));
    let mut repository = common.load(directory)?;
    repository.templates = vec![template];
    Ok(repository)
}

async fn list(arguments: &List, common: &Common, shown: &Shown) -> Result<ExitCode, Failure> {
    let found = look::server(&open(&arguments.host, common, shown).await?).await?;
    let rows: Vec<_> = found
        .images
        .iter()
        .map(|image| {
            let users = found.instances.values().filter(|it| it.base_image() == Some(&image.fingerprint));
            json!({
                "fingerprint": image.fingerprint,
                "aliases": image.aliases,
                "project": image.properties.get(IMAGE_OWNER),
                "version": image.properties.get(IMAGE_VERSION),
                "size": image.size,
                "uploaded": image.uploaded,
                "used_by": users.map(|it| it.name.as_str()).collect::<Vec<_>>(),
            })
        })
        .collect();
    shown.ui.result(&rows, &table(&found));
    Ok(ExitCode::SUCCESS)
}

/// One line an image, newest first.
fn table(found: &Found) -> String {
    let mut images: Vec<_> = found.images.iter().collect();
    images.sort_by(|a, b| b.uploaded.cmp(&a.uploaded));
    let mut lines = vec![format!("{:<14}{:>9}  {:<12}{}", "FINGERPRINT", "MIB", "UPLOADED", "NAMES AND USERS")];
    for image in images {
        let users = found.instances.values().filter(|it| it.base_image() == Some(&image.fingerprint));
        let users: Vec<&str> = users.map(|it| it.name.as_str()).collect();
        let users = if users.is_empty() { String::new() } else { format!(" ← {}", users.join(", ")) };
        let short = |text: &str, length| text.get(..length).unwrap_or(text).to_owned();
        lines.push(format!(
            "{:<14}{:>9}  {:<12}{}{users}",
            short(&image.fingerprint, 12),
            image.size >> 20,
            short(&image.uploaded, 10),
            if image.aliases.is_empty() { "-".to_owned() } else { image.aliases.join(", ") },
        ));
    }
    lines.join("\n")
}

async fn remove(arguments: &Prune, common: &Common, shown: &Shown) -> Result<ExitCode, Failure> {
    let world = open(&arguments.host, common, shown).await?;
    let title = format!("prune images on {}", arguments.host);
    let _lock = world.agent.lock("ryo", &format!("{}: {title}", journal::who())).await?;
    let mut found = look::server(&world).await?;
    found.kept = history::kept(&world, &found).await?;
    let plan = prune::plan(&title, &found, arguments.keep);
    if !plan.steps.is_empty() {
        shown.ui.print(plan.text().trim_end());
        if !shown.agreed(arguments.yes)? {
            return Ok(ExitCode::SUCCESS);
        }
        carry_out(&world, &plan, shown).await?;
    }
    settled(&plan, shown);
    Ok(ExitCode::SUCCESS)
}

async fn open(host: &str, common: &Common, shown: &Shown) -> Result<World, Failure> {
    rig::open(&common.address(host)?, &common.settings()?, &shown.events).await
}
