//! `ryo backup prune`.

use std::fmt::Write as _;
use std::process::ExitCode;
use std::time::Instant;

use jiff::tz::TimeZone;
use serde_json::json;

use crate::cli::Common;
use crate::cli::backup::store::Choice;
use crate::cli::shown::Shown;
use crate::failure::{Failure, Kind};
use crate::flow::backup::catalogue::{Backup, Catalogue, bytes};
use crate::flow::backup::retention::{self, Fate, Policy, Within};
use crate::flow::journal;
use crate::rig;

/// Which backups are removed.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "Example:\n  ryo backup prune -n web --keep-daily 7 --keep-weekly 4 --keep-monthly 12")]
pub struct Arguments {
    /// Which
    #[command(flatten)]
    pub choice: Choice,
    /// What stays
    #[command(flatten)]
    pub keep: Keep,
    /// Also those that the original made
    #[arg(long)]
    pub originals: bool,
    /// Do not ask
    #[arg(short, long)]
    pub yes: bool,
}

/// What stays, for each project and module on each host by itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, clap::Args)]
pub struct Keep {
    /// Keep the last so many
    #[arg(long, value_name = "NUMBER", default_value_t = 0, hide_default_value = true)]
    pub keep_last: usize,
    /// Keep the newest of each of the last so many days that have one
    #[arg(long, value_name = "NUMBER", default_value_t = 0, hide_default_value = true)]
    pub keep_daily: usize,
    /// Keep the newest of each of the last so many weeks that have one
    #[arg(long, value_name = "NUMBER", default_value_t = 0, hide_default_value = true)]
    pub keep_weekly: usize,
    /// Keep the newest of each of the last so many months that have one
    #[arg(long, value_name = "NUMBER", default_value_t = 0, hide_default_value = true)]
    pub keep_monthly: usize,
    /// Keep all that are not older than this before the newest, e.g. 14d or 1y6m
    #[arg(long, value_name = "DURATION")]
    pub keep_within: Option<Within>,
}

impl Keep {
    /// As the rules want it.
    pub fn policy(&self) -> Policy {
        Policy {
            last: self.keep_last,
            daily: self.keep_daily,
            weekly: self.keep_weekly,
            monthly: self.keep_monthly,
            within: self.keep_within,
        }
    }

    /// As it is typed.
    pub fn words(&self) -> Vec<String> {
        let numbers = [
            ("--keep-last", self.keep_last),
            ("--keep-daily", self.keep_daily),
            ("--keep-weekly", self.keep_weekly),
            ("--keep-monthly", self.keep_monthly),
        ];
        let numbers = numbers.into_iter().filter(|(_, number)| *number > 0);
        let numbers = numbers.flat_map(|(name, number)| [name.to_owned(), number.to_string()]);
        let within = self.keep_within.into_iter().flat_map(|it| ["--keep-within".to_owned(), it.to_string()]);
        numbers.chain(within).collect()
    }
}

/// Removes what no rule keeps.
///
/// # Errors
///
/// A [`Failure`] with what a person should read.
pub fn run(arguments: &Arguments, common: &Common, shown: &Shown) -> Result<ExitCode, Failure> {
    let policy = arguments.keep.policy();
    if policy.is_empty() {
        let hint = "give `--keep-last`, `--keep-daily`, `--keep-weekly`, `--keep-monthly` or `--keep-within`";
        return Err(Failure::new(Kind::Request, "nothing says which backups stay").hint(hint));
    }
    let store = arguments.choice.store(common)?;
    let catalogue = store.look(&arguments.choice.identities(common)?)?;
    let (choice, now) = (arguments.choice.of(None), journal::seconds());
    let fates = retention::decide(&catalogue, &choice, &policy, arguments.originals, &TimeZone::system(), now);
    shown.ui.print(text(&catalogue, &fates).trim_end());
    let gone: Vec<&Backup> = fates.iter().filter(|(_, fate)| !stays(fate)).map(|(backup, _)| *backup).collect();
    let nothing = gone.is_empty() && catalogue.leftovers.is_empty();
    if !nothing && !shown.agreed(arguments.yes)? {
        return Ok(ExitCode::SUCCESS);
    }
    let (began, mut removed) = (Instant::now(), vec![]);
    let ended = store.remove(&catalogue.leftovers, &gone, &mut removed, &shown.events).map_err(Failure::from);
    if !removed.is_empty() {
        let result = ended.as_ref().map_or_else(|failure| failure.error.to_string(), |()| "done".to_owned());
        let title = format!("prune backups in {}", catalogue.directory.display());
        let line = journal::entry(&journal::who(), &title, &removed, began.elapsed(), &result);
        if let Err(error) = journal::append(&rig::home(), &line) {
            shown.events.warn(format!("the journal of this computer was not written: {error}"));
        }
    }
    if let Err(failure) = ended {
        if removed.is_empty() {
            return Err(failure);
        }
        shown.events.warn(format!("done before that: {}", removed.join(", ")));
        return Err(Failure { kind: Kind::Partly, ..failure });
    }
    let row = |(backup, fate): &(&Backup, Fate)| {
        let (is_kept, reasons) = match fate {
            Fate::Stay(reasons) => (true, reasons.clone()),
            Fate::Go(reason) => (false, vec![(*reason).to_owned()]),
        };
        let mut row = backup.json();
        row["kept"] = json!(is_kept);
        row["reasons"] = json!(reasons);
        row
    };
    let freed: u64 = gone.iter().map(|backup| backup.size).sum();
    let result = json!({
        "backups": fates.iter().map(row).collect::<Vec<_>>(),
        "leftovers": catalogue.leftovers,
        "freed": freed,
    });
    let left = catalogue.leftovers.len();
    let done =
        if nothing { String::new() } else { format!("removed {} ({})", counted(gone.len(), left), bytes(freed)) };
    shown.ui.result(&result, &done);
    Ok(ExitCode::SUCCESS)
}

fn stays(fate: &Fate) -> bool {
    matches!(fate, Fate::Stay(_))
}

fn counted(backups: usize, leftovers: usize) -> String {
    let of = |count: usize, noun: &str| format!("{count} {noun}{}", if count == 1 { "" } else { "s" });
    match leftovers {
        0 => of(backups, "backup"),
        _ => format!("{} and {}", of(backups, "backup"), of(leftovers, "leftover file")),
    }
}

/// What stays and what goes, and why.
fn text(catalogue: &Catalogue, fates: &[(&Backup, Fate)]) -> String {
    let mut text = format!("prune `{}`:\n", catalogue.directory.display());
    let width = fates.iter().map(|(backup, _)| backup.title().chars().count()).max().unwrap_or(0);
    for (backup, fate) in fates {
        let (sign, reasons) = match fate {
            Fate::Stay(reasons) => (' ', reasons.join(", ")),
            Fate::Go(reason) => ('-', format!("{reason} ({})", bytes(backup.size))),
        };
        let _ = writeln!(text, "  {sign} {:<width$}  {reasons}", backup.title());
    }
    for leftover in &catalogue.leftovers {
        let name = leftover.file_name().unwrap_or_default().to_string_lossy();
        let _ = writeln!(text, "  - {name}  left of a broken backup");
    }
    let gone: Vec<u64> = fates.iter().filter(|(_, fate)| !stays(fate)).map(|(backup, _)| backup.size).collect();
    let (stay, freed) = (fates.len() - gone.len(), bytes(gone.iter().sum()));
    let _ = match (gone.len(), catalogue.leftovers.len()) {
        (0, 0) => writeln!(text, "nothing to remove, {stay} stay"),
        (backups, left) => writeln!(text, "{} to be removed ({freed}), {stay} stay", counted(backups, left)),
    };
    text
}
