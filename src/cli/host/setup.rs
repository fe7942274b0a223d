//! `ryo host setup`, `ryo host upgrade`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde_json::json;

use crate::cli::shown::Shown;
use crate::cli::{Common, misconfigured, password};
use crate::failure::{Failure, Kind};
use crate::flow::host::{self, Request, What};
use crate::project;
use crate::project::control::Control;
use crate::project::host::Host;
use crate::rig::settings::Settings;
use crate::{playbooks, rig};

/// Which host is set up.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  ryo host setup web --host-key SHA256:…

Reads ryo-control-node/configuration/configuration.yml and ryo-host/configuration/configuration_<HOST>.yml. Everything can \
be run again: what is done is found done. SSH and firewall go back to what they were within two minutes unless the way \
in through the tunnel works.")]
pub struct Setup {
    /// The host
    #[arg(value_name = "HOST")]
    pub host: String,
    /// File with the password of the first login, instead of the one in the configuration
    #[arg(long, value_name = "FILE")]
    pub password_file: Option<PathBuf>,
    /// Playbooks to run instead of those inside the program (see `ryo host playbooks`)
    #[arg(long, value_name = "DIR")]
    pub playbooks: Option<PathBuf>,
    /// Do not ask
    #[arg(short, long)]
    pub yes: bool,
}

/// Which host is upgraded.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  ryo host upgrade web

Instances go on running while packages are upgraded. They are down only if the host has to start again, and are started \
with it if they ran before.")]
pub struct Upgrade {
    /// The host
    #[arg(value_name = "HOST")]
    pub host: String,
    /// Playbooks to run instead of those inside the program (see `ryo host playbooks`)
    #[arg(long, value_name = "DIR")]
    pub playbooks: Option<PathBuf>,
    /// Do not ask
    #[arg(short, long)]
    pub yes: bool,
}

impl Upgrade {
    /// The same without a first login.
    pub fn as_set_up(&self) -> Setup {
        Setup { host: self.host.clone(), password_file: None, playbooks: self.playbooks.clone(), yes: self.yes }
    }
}

/// Runs either.
pub async fn run(what: What, arguments: &Setup, common: &Common, shown: &Shown) -> Result<ExitCode, Failure> {
    let settings = common.settings()?;
    let working_directory = common.directory()?;
    let (mut host, control) = configured(&working_directory, &arguments.host)?;
    if let Some(file) = &arguments.password_file {
        host.root_password = password(file)?;
    }
    let name = host.name.clone();
    let ends = host::ends(&working_directory, &host).map_err(|error| Failure::new(Kind::Request, error))?;
    let request = request(host.clone(), control.clone(), ends, &settings)?;
    if !arguments.yes {
        let verb = match what {
            What::SetUp => "set up",
            What::Upgrade => "upgrade",
        };
        shown.ui.print(&format!("{verb} host {name} at {}:\n{}", host.reached_at(), host::outline(what)));
        if !shown.agreed(false)? {
            return Ok(ExitCode::SUCCESS);
        }
    }
    let own = tempfile::tempdir().map_err(|error| Failure::new(Kind::World, error))?;
    playbooks::export(own.path()).map_err(|error| Failure::new(Kind::World, error))?;
    let place = arguments.playbooks.as_deref().unwrap_or(own.path());
    let there = settings.host(&name);
    let ssh = rig::ssh_settings(settings.host_key.clone().or_else(|| there.host_key.clone()));
    let key = there.key.clone().or_else(|| Some(PathBuf::from(&control.private_key))).filter(|path| path.exists());
    let open = rig::host::opener(rig::host::Ways {
        host,
        settings: there,
        working_directory,
        key,
        ssh,
        events: shown.events.clone(),
    });
    let total = host::carry_out(what, &request, &open, place, own.path(), &shown.events, &shown.stop).await?;
    let done = match what {
        What::SetUp => "set up",
        What::Upgrade => "up to date",
    };
    let text = match total {
        0 => format!("host {name} is {done}: nothing to do"),
        1 => format!("host {name} is {done}: 1 change"),
        _ => format!("host {name} is {done}: {total} changes"),
    };
    shown.ui.result(&json!({ "host": name, "changed": total }), &text);
    Ok(ExitCode::SUCCESS)
}

fn configured(working_directory: &Path, name: &str) -> Result<(Host, Control), Failure> {
    let host = project::host::read(working_directory, name);
    let control = project::control::read(working_directory);
    match (host, control) {
        (Ok(host), Ok(control)) => Ok((host, control)),
        (host, control) => {
            let problems = host.err().into_iter().chain(control.err()).flatten().collect();
            Err(misconfigured(working_directory, Some(name), problems))
        }
    }
}

fn request(host: Host, control: Control, ends: host::Ends, settings: &Settings) -> Result<Request, Failure> {
    let there = settings.host(&host.name);
    let file = Path::new(&control.public_key);
    let public_key = fs::read_to_string(file).map_err(|error| {
        Failure::new(Kind::Request, format!("cannot read the public key `{}`: {error}", file.display()))
            .hint("make it: `ryo control setup`")
    })?;
    Ok(Request {
        public_key: public_key.trim().to_owned(),
        server: there.server.unwrap_or_default(),
        storage: there.storage.unwrap_or_default(),
        consul: there.consul_program.unwrap_or_default(),
        consul_default_policy: there.consul_default_policy.unwrap_or_default(),
        build_network: there.build_network.unwrap_or_else(|| "auto".to_owned()),
        host,
        control,
        ends,
    })
}
