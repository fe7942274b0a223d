//! `ryo control setup`.

use std::path::Path;
use std::process::ExitCode;

use clap::Subcommand;
use serde::Serialize;
use serde_json::json;

use crate::cli::shown::Shown;
use crate::cli::{Common, misconfigured};
use crate::failure::Failure;
use crate::flow::{control, host, journal};
use crate::module::system::System;
use crate::project;
use crate::rig::settings::Settings;

/// What is done with the control node.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make the operator's key pair, and say what is next
    #[command(after_help = "\
Example:
  ryo control setup

Reads ryo-control-node/configuration/configuration.yml. A key that is there is never made anew. Root does it for the \
account that the file names.")]
    Setup,
}

/// Runs it.
///
/// # Errors
///
/// A [`Failure`] with what a person should read.
#[expect(clippy::unused_async, reason = "the commands have one shape")]
pub async fn run(command: Command, common: &Common) -> Result<ExitCode, Failure> {
    let Command::Setup = command;
    let shown = Shown::new(common);
    let ended = setup(common, &shown);
    shown.end(ended)
}

fn setup(common: &Common, shown: &Shown) -> Result<ExitCode, Failure> {
    let (settings, directory) = (common.settings()?, common.directory()?);
    let control = project::control::read(&directory).map_err(|problems| misconfigured(&directory, None, problems))?;
    let own = rustix::process::geteuid().as_raw();
    let acting = control::acting(&control.user, own, &journal::account(), &System::whole().accounts())?;
    let comment = format!("{}@{}", control.user, rustix::system::uname().nodename().to_string_lossy());
    let steps = control::set_up(&control, &acting, &comment, &shown.events)?;
    let key = control::public_key(&control, &acting)?;
    let (hosts, repositories) = (hosts(&directory), repositories(&directory, &settings));

    let mut lines = vec![match steps.len() {
        0 => "control node: nothing to do".to_owned(),
        1 => "control node: 1 change".to_owned(),
        count => format!("control node: {count} changes"),
    }];
    lines.push(format!("public key: {key}"));
    lines.extend(hosts.iter().map(Next::text));
    if hosts.is_empty() {
        lines.push("no host is configured yet: ryo init".to_owned());
    }
    lines.extend(repositories.iter().map(|missing| {
        let Missing { name, command } = missing;
        format!("{name} has no checkout here, which `ryo` does not need: {command}")
    }));
    let result = json!({
        "changed": steps.len(),
        "public_key": key,
        "hosts": hosts,
        "not_checked_out": repositories,
    });
    shown.ui.result(&result, &lines.join("\n"));
    Ok(ExitCode::SUCCESS)
}

/// What is next with a host.
#[derive(Debug, Serialize)]
struct Next {
    host: String,
    state: State,
}

#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
enum State {
    SetUp,
    NotSetUp,
    ThisComputer,
}

impl Next {
    fn text(&self) -> String {
        let host = &self.host;
        match self.state {
            State::SetUp => format!("host {host}: set up"),
            State::NotSetUp => format!("host {host}: not set up yet: ryo host setup {host}"),
            State::ThisComputer => format!("host {host}: this computer"),
        }
    }
}

/// A host that has told its end of the tunnel is set up, as far as files tell.
fn hosts(directory: &Path) -> Vec<Next> {
    let names = project::hosts(directory).into_iter().filter(|name| project::host::name_problem(name).is_none());
    let next = |host: String| {
        let state = match host.as_str() {
            "local" => State::ThisComputer,
            _ if host::file(directory, &host).exists() => State::SetUp,
            _ => State::NotSetUp,
        };
        Next { host, state }
    };
    names.map(next).collect()
}

/// A repository of which only the configuration is there.
#[derive(Debug, Serialize)]
struct Missing {
    name: &'static str,
    command: String,
}

fn repositories(directory: &Path, settings: &Settings) -> Vec<Missing> {
    let missing =
        ["ryo-control-node", "ryo-host"].into_iter().filter(|name| !directory.join(name).join(".git").exists());
    let command = |name: &str| {
        let (place, url) = (directory.join(name), settings.module_url(name));
        format!("git init {0} && git -C {0} pull {url}", place.display())
    };
    missing.map(|name| Missing { name, command: command(name) }).collect()
}
