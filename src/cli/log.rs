//! `ryo log`.

use std::process::ExitCode;

use crate::cli::Common;
use crate::cli::shown::Shown;
use crate::failure::{Failure, Kind};
use crate::flow::journal::{self, read};
use crate::rig;

/// Whose journal is read, and how much of it.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "Example:\n  ryo log -n web --limit 5")]
pub struct Arguments {
    /// The host, for what everybody did there (default: what was done from this computer)
    #[arg(short = 'n', long, value_name = "NAME")]
    pub host: Option<String>,
    /// At most so many entries, the newest ones
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = at_least_one)]
    pub limit: usize,
}

fn at_least_one(text: &str) -> Result<usize, String> {
    text.parse().ok().filter(|number| *number > 0).ok_or_else(|| "a number from 1 is required".to_owned())
}

/// Says what was done, newest first.
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
    let (journal, name) = if let Some(host) = &arguments.host {
        let agent = rig::agent(&common.address(host)?, &common.settings()?, &shown.events).await?;
        (read::of_host(&agent).await?, format!("{} on host {host}", read::ON_HOST))
    } else {
        let path = journal::own(&rig::home());
        let unreadable =
            |error| Failure::new(Kind::World, format!("cannot read the journal {}: {error}", path.display()));
        (read::own(&rig::home()).map_err(unreadable)?, path.display().to_string())
    };
    if let Some(warning) = journal.warning(&name) {
        shown.events.warn(warning);
    }
    let all = journal.entries.len();
    let journal = journal.newest(arguments.limit);
    if journal.cut && all < arguments.limit {
        shown.events.warn(format!("{name} is longer than 4 MiB: what is older is not shown"));
    }
    shown.ui.result(&journal, journal.text().trim_end());
    Ok(ExitCode::SUCCESS)
}
