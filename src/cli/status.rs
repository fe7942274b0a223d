//! `ryo status`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::cli::shown::Shown;
use crate::cli::{Common, problems};
use crate::event::Event;
use crate::failure::{Failure, Kind};
use crate::flow::host::status::{self, Status};
use crate::flow::journal;
use crate::rig::settings::Settings;
use crate::{project, rig};

/// Which hosts, and for whom.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "Example:\n  ryo status --html status.html")]
pub struct Arguments {
    /// The host (default: every host that has a configuration)
    #[arg(short = 'n', long, value_name = "NAME")]
    pub host: Option<String>,
    /// Write a page for a browser, with a picture of each host
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
}

/// Says how projects and modules are.
///
/// # Errors
///
/// A [`Failure`] with what a person should read.
pub async fn run(arguments: Arguments, common: &Common) -> Result<ExitCode, Failure> {
    let shown = Shown::new(common);
    let ended = tell(&arguments, common, &shown).await;
    shown.end(ended)
}

async fn tell(arguments: &Arguments, common: &Common, shown: &Shown) -> Result<ExitCode, Failure> {
    let directory = common.directory()?;
    let settings = common.settings()?;
    let hosts = match &arguments.host {
        Some(host) => vec![host.clone()],
        None => project::hosts(&directory),
    };
    if hosts.is_empty() {
        let folder = directory.join("ryo-host/configuration");
        return Err(Failure::new(Kind::Request, format!("no host has a configuration in {}", folder.display()))
            .hint("`ryo init` writes one"));
    }
    let mut seen = join_all(hosts.iter().map(|host| look(&directory, host, &settings, shown))).await;
    if arguments.host.is_some()
        && let Some(at) = seen.iter().position(Result::is_err)
        && let Err(failure) = seen.swap_remove(at)
    {
        return Err(failure);
    }
    show(arguments.html.as_deref(), hosts, seen, shown)
}

async fn look(directory: &Path, host: &str, settings: &Settings, shown: &Shown) -> Result<Status, Failure> {
    let address = rig::address(directory, host).map_err(problems)?;
    shown.events.emit(Event::Looking { what: format!("host {host}") });
    let world = rig::open(&address, settings, &shown.events).await?;
    let status = status::look(&world).await?;
    if status.damaged > 0 {
        shown.events.warn(format!("{} lines of the journal of host {host} cannot be read", status.damaged));
    }
    Ok(status)
}

fn show(
    html: Option<&Path>,
    hosts: Vec<String>,
    seen: Vec<Result<Status, Failure>>,
    shown: &Shown,
) -> Result<ExitCode, Failure> {
    let now = journal::seconds();
    let partly = seen.iter().any(Result::is_err);
    let object = |(host, seen): (&String, &Result<Status, Failure>)| match seen {
        Ok(status) => json!(status),
        Err(failure) => {
            let mut object = failure.json();
            object["host"] = Value::from(host.as_str());
            object
        }
    };
    let result = json!({ "hosts": hosts.iter().zip(&seen).map(object).collect::<Vec<_>>() });
    let told = hosts.into_iter().zip(seen.into_iter().map(|seen| seen.map_err(|failure| failure.line())));
    let told: Vec<(String, Result<Status, String>)> = told.collect();
    if let Some(file) = html {
        project::replace(file, &status::page::page(&told, now), 0o644)
            .map_err(|error| Failure::new(Kind::World, format!("cannot write {}: {error}", file.display())))?;
    }
    shown.ui.result(&result, status::table(&told, now).trim_end());
    Ok(if partly { ExitCode::from(Kind::Partly.code()) } else { ExitCode::SUCCESS })
}
