//! `ryo backup verify`.

use std::process::ExitCode;

use serde_json::json;

use crate::cli::Common;
use crate::cli::backup::store::{self, Choice};
use crate::cli::shown::Shown;
use crate::failure::{Failure, Kind};
use crate::flow::backup::catalogue::{Backup, bytes, sentence};
use crate::flow::backup::verify::{Verdict, verify};
use crate::flow::progress::Progress;
use crate::flow::restore;

/// Which backups are verified.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "Example:\n  ryo backup verify ryo-gitea -n web")]
pub struct Arguments {
    /// Which
    #[command(flatten)]
    pub choice: Choice,
    /// Only those with this stamp
    #[arg(short = 's', long, value_name = "STAMP")]
    pub stamp: Option<String>,
}

/// Verifies them, one after the other.
///
/// # Errors
///
/// A [`Failure`] with what a person should read: also if one of them is damaged.
pub async fn run(arguments: &Arguments, common: &Common, shown: &Shown) -> Result<ExitCode, Failure> {
    let identities = arguments.choice.identities(common)?;
    let catalogue = arguments.choice.store(common)?.held(&shown.events)?.look(&identities)?;
    let choice = arguments.choice.of(arguments.stamp.as_deref());
    let backups: Vec<Backup> = catalogue.backups.into_iter().filter(|backup| choice.takes(backup)).collect();
    if backups.is_empty() {
        return Err(store::none(&choice, &catalogue.directory));
    }
    let (total, mut rows, mut lines, mut bad) = (backups.len(), vec![], vec![], 0);
    for (number, backup) in (1..).zip(backups) {
        if *shown.stop.borrow() {
            return Err(Failure::new(Kind::Interrupted, format!("stopped after {} of {total} backups", number - 1)));
        }
        let title = format!("verify {}", backup.title());
        let begun = Progress { events: shown.events.clone(), number }.begin(total, &title);
        let (reads, identities) = (backup.clone(), identities.clone());
        let ended = tokio::task::spawn_blocking(move || verify(&reads, &identities)).await;
        let ended = ended.map_err(|error| Failure::new(Kind::Bug, error))?;
        let (is_good, text) = told(&ended);
        if is_good {
            begun.done(&title);
        } else {
            begun.failed();
            bad += 1;
        }
        let mut row = backup.json();
        row["state"] = json!(word(&ended));
        row["reason"] = json!(Some(&text).filter(|_| !is_good));
        rows.push(row);
        lines.push(format!("{}: {text}", backup.title()));
    }
    shown.ui.result(&rows, &lines.join("\n"));
    if bad == 0 {
        return Ok(ExitCode::SUCCESS);
    }
    let text =
        format!("{bad} of {total} {} not be verified", if total == 1 { "backup could" } else { "backups could" });
    Err(Failure::new(Kind::World, text).hint("make another one, and keep what is damaged until it is verified"))
}

type Ended = Result<Verdict, restore::Error>;

fn word(ended: &Ended) -> &'static str {
    match ended {
        Ok(Verdict::Whole { .. }) => "verified",
        Ok(Verdict::Unopened) => "unopened",
        Ok(Verdict::Damaged(_)) => "damaged",
        Err(_) => "unknown",
    }
}

/// Whether it is as it should be, and how it is.
fn told(ended: &Ended) -> (bool, String) {
    match ended {
        Ok(Verdict::Whole { members, bytes: count }) => {
            let noun = if *members == 1 { "member" } else { "members" };
            (true, format!("whole ({members} {noun}, {})", bytes(*count)))
        }
        Ok(Verdict::Unopened) => {
            (true, "as it was written; what is in it was not read, as there is no identity that opens it".to_owned())
        }
        Ok(Verdict::Damaged(what)) => (false, format!("damaged: {what}")),
        Err(error) => (false, format!("not verified: {}", sentence(error))),
    }
}
