//! `ryo play`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde_json::json;
use tokio::sync::watch;

use crate::cli::{Common, interrupt};
use crate::failure::{Failure, Kind};
use crate::module::Mode;
use crate::place::{Place, Problem};
use crate::playbook::{self, Diffs, Error, Request, Source};
use crate::rig;
use crate::secret::Secret;
use crate::ui::{Format, Ui};

/// Its arguments.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  ryo play site.yml -i inventory.ini --limit web --check --diff")]
pub struct Arguments {
    /// The playbook
    #[arg(value_name = "FILE")]
    pub playbook: PathBuf,
    /// Hosts: a file or directory (INI or YAML), or names with a comma behind; may be given again
    #[arg(short, long, value_name = "INVENTORY")]
    pub inventory: Vec<String>,
    /// Variables over all others: k=v, @FILE, JSON or YAML; may be given again
    #[arg(short, long, value_name = "VARS")]
    pub extra_vars: Vec<String>,
    /// Only these hosts of every play
    #[arg(short, long, value_name = "PATTERN")]
    pub limit: Option<String>,
    /// Say what would be done, do nothing
    #[arg(short = 'C', long)]
    pub check: bool,
    /// Show differences
    #[arg(short = 'D', long)]
    pub diff: bool,
    /// Most hosts worked on at a time
    #[arg(short, long, value_name = "N", default_value_t = 5)]
    pub forks: usize,
    /// File with the password for `become`
    #[arg(long, value_name = "FILE")]
    pub become_password_file: Option<PathBuf>,
    /// Private key where the inventory gives none
    #[arg(long, value_name = "FILE")]
    pub private_key: Option<PathBuf>,
    /// Login name where the inventory gives none
    #[arg(short, long, value_name = "NAME")]
    pub user: Option<String>,
    /// Only look for problems
    #[arg(long)]
    pub syntax_check: bool,
}

/// Runs it.
///
/// Exit code 0 if every task ended well, 1 if one failed, 2 if the playbook cannot be carried out as it is written.
///
/// # Errors
///
/// A [`Failure`] with what a person should read.
pub async fn run(arguments: Arguments, common: &Common) -> Result<ExitCode, Failure> {
    let (ui, events) = Ui::new(if common.json { Format::Json } else { Format::Plain });
    let syntax_only = arguments.syntax_check;
    let request = request(arguments, interrupt::listen(&ui))?;
    if syntax_only {
        let known = playbook::Known { inventory: request.inventory, extra_vars: request.extra_vars };
        let problems = playbook::check(&request.playbook, &known);
        return if problems.is_empty() { Ok(ExitCode::SUCCESS) } else { Err(Error::Problems(problems).into()) };
    }
    let connect = rig::connections(rig::ssh_settings(common.host_key.clone()), events.clone());
    let result = playbook::run(request, connect, &events).await;
    let finished = ui.finish();
    match result {
        Ok(recap) => {
            ui.result(&json!({ "hosts": recap.hosts }), "");
            finished.map_err(|error| Failure::new(Kind::World, error))?;
            Ok(ExitCode::SUCCESS)
        }
        Err(error) => {
            let failure = Failure::from(error);
            ui.failed(&failure);
            Err(failure)
        }
    }
}

fn request(arguments: Arguments, stop: watch::Receiver<bool>) -> Result<Request, Failure> {
    let mut extra_vars = serde_json::Map::new();
    for text in &arguments.extra_vars {
        extra_vars.extend(playbook::extra_vars(text).map_err(refused)?);
    }
    let become_password = arguments.become_password_file.as_deref().map(password).transpose()?;
    Ok(Request {
        playbook: arguments.playbook,
        inventory: arguments.inventory.iter().map(|text| source(text)).collect(),
        extra_vars,
        mode: if arguments.check { Mode::Check } else { Mode::Apply },
        diffs: if arguments.diff { Diffs::Shown } else { Diffs::Hidden },
        limit: arguments.limit,
        forks: arguments.forks,
        become_password,
        user: arguments.user,
        key: arguments.private_key,
        stop,
    })
}

fn refused(problem: Problem) -> Failure {
    Failure::new(Kind::Request, Error::Problems(vec![problem]))
}

fn source(text: &str) -> Source {
    if text.contains(',') { Source::Names(text.to_owned()) } else { Source::File(PathBuf::from(text)) }
}

/// Reads the first line of a file, which must not be readable by others.
fn password(path: &Path) -> Result<Secret, Failure> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| refused(Problem::new(Place::file(path), format!("cannot read the password: {error}"))))?;
    Ok(Secret::new(text.lines().next().unwrap_or_default()))
}
