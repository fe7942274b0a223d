//! `ryo init`: asks for what is needed and writes the first configuration.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::builder::NonEmptyStringValueParser;
use serde_json::json;

use crate::cli::shown::Shown;
use crate::cli::{Common, problems};
use crate::failure::{Failure, Kind};
use crate::flow::{fresh, init};
use crate::project::{Control, value};

mod answers;
mod question;

/// Its arguments: an answer to each question.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  ryo init
  ryo init ~/ryo-projects --host web --address 203.0.113.7 --yes

Asks for what is not given and writes ryo-host/configuration/configuration_<HOST>.yml and inventory_<HOST>, and \
ryo-control-node/configuration/configuration.yml if there is none. What is there is never written over. The networks of the \
host are chosen so that no two hosts meet.")]
pub struct Arguments {
    /// Directory in which the repositories stand side by side (default: the present one, or the next above it that is one)
    #[arg(value_name = "DIR")]
    pub directory: Option<PathBuf>,
    /// Name of the host: letters and digits
    #[arg(long, value_name = "NAME", value_parser = question::name)]
    pub host: Option<String>,
    /// Address at which this computer reaches the host
    #[arg(long, value_name = "IP", value_parser = value::ip)]
    pub address: Option<IpAddr>,
    /// IPv4 address at which the internet reaches the host
    #[arg(long, value_name = "IP", value_parser = value::ipv4)]
    pub public_address: Option<Ipv4Addr>,
    /// Public IPv6 network of the host, e.g. `2001:db8:1:2::/64`; empty: none
    #[arg(long, value_name = "PREFIX", value_parser = question::prefix)]
    pub ipv6_prefix: Option<question::Prefix>,
    /// Public IPv6 address of the host
    #[arg(long, value_name = "IP", value_parser = value::ipv6, requires = "ipv6_prefix")]
    pub ipv6_address: Option<Ipv6Addr>,
    /// Account of the first login
    #[arg(long, value_name = "NAME", value_parser = value::account)]
    pub first_user: Option<String>,
    /// File with the password of the first login; empty: a key is let in
    #[arg(long, value_name = "FILE")]
    pub password_file: Option<PathBuf>,
    /// Port of SSH before the host is set up
    #[arg(long, value_name = "PORT", value_parser = value::port)]
    pub first_port: Option<u16>,
    /// Account of the operator that is made on the host
    #[arg(long, value_name = "NAME", value_parser = question::operator)]
    pub user: Option<String>,
    /// File with the password of that account (default: one is made up)
    #[arg(long, value_name = "FILE")]
    pub user_password_file: Option<PathBuf>,
    /// Port of SSH afterwards
    #[arg(long, value_name = "PORT", value_parser = value::port)]
    pub ssh_port: Option<u16>,
    /// Port of WireGuard on the host
    #[arg(long, value_name = "PORT", value_parser = value::port)]
    pub wireguard_port: Option<u16>,
    /// Size of the storage pool, e.g. 40GB
    #[arg(long, value_name = "SIZE", value_parser = value::size)]
    pub pool_size: Option<String>,
    /// Account on this computer that files belong to, where there is no configuration yet (default: the present one)
    #[arg(long, value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
    pub local_user: Option<String>,
    /// Take the default of every question that has one
    #[arg(short, long)]
    pub yes: bool,
}

/// Runs it.
///
/// # Errors
///
/// A [`Failure`] with what a person should read.
#[expect(clippy::unused_async, reason = "the commands have one shape")]
pub async fn run(arguments: Arguments, common: &Common) -> Result<ExitCode, Failure> {
    let shown = Shown::new(common);
    let ended = configure(&arguments, common, &shown);
    shown.end(ended)
}

fn configure(arguments: &Arguments, common: &Common, shown: &Shown) -> Result<ExitCode, Failure> {
    let directory = directory(arguments, common)?;
    let defaults = if arguments.yes { question::Defaults::Taken } else { question::Defaults::Shown };
    let asking = question::Asking { ui: &shown.ui, defaults };
    let name = answers::name(arguments, &asking, &directory)?;
    let seen = init::look(&directory, &name).map_err(problems)?;
    let control = seen.control.clone().unwrap_or_else(|| answers::control(arguments));
    let host = match &seen.host {
        Some(host) => host.clone(),
        None => answers::host(arguments, &asking, &directory, &name, &control)?,
    };
    let plan = init::plan(&directory, &seen, &control, &host);
    if *shown.stop.borrow() {
        return Err(Failure::new(Kind::Interrupted, "interrupted; nothing was written"));
    }
    fresh::write(&plan.files)?;
    shown.ui.result(
        &json!({
            "host": name,
            "directory": directory,
            "written": plan.files.iter().map(|file| &file.path).collect::<Vec<_>>(),
            "kept": plan.kept,
        }),
        &text(&name, &plan, &control),
    );
    Ok(ExitCode::SUCCESS)
}

fn directory(arguments: &Arguments, common: &Common) -> Result<PathBuf, Failure> {
    let known = match &arguments.directory {
        Some(directory) => Some(directory.clone()),
        None => common.known_directory()?.or_else(|| common.working_directory.clone()),
    };
    let directory = known.unwrap_or_else(|| PathBuf::from("."));
    std::path::absolute(&directory).map_err(|error| Failure::new(Kind::World, error))
}

fn text(name: &str, plan: &init::Plan, control: &Control) -> String {
    let mut lines = vec![];
    if plan.files.is_empty() {
        lines.push(format!("host {name} is configured already: nothing was written"));
    }
    lines.extend(plan.kept.iter().map(|file| format!("kept {}", file.display())));
    lines.extend(plan.files.iter().map(|file| format!("wrote {}", file.path.display())));
    let keys = Path::new(&control.public_key).exists();
    let next = if keys { "next: " } else { "next: ryo control setup, then " };
    lines.push(format!("{next}ryo host setup {name}"));
    lines.join("\n")
}
