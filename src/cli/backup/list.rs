//! `ryo backup list`.

use std::process::ExitCode;

use serde_json::json;

use crate::cli::Common;
use crate::cli::backup::store::Choice;
use crate::cli::shown::Shown;
use crate::failure::Failure;
use crate::flow::backup::catalogue::{Backup, Catalogue, Made, State, bytes};
use crate::flow::figures::span;
use crate::flow::journal;

/// Which backups are listed.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "Example:\n  ryo backup list ryo-gitea -n web")]
pub struct Arguments {
    /// Which
    #[command(flatten)]
    pub choice: Choice,
}

/// Lists them.
///
/// # Errors
///
/// A [`Failure`] with what a person should read.
pub fn run(arguments: &Arguments, common: &Common, shown: &Shown) -> Result<ExitCode, Failure> {
    let catalogue = arguments.choice.catalogue(common, &arguments.choice.identities(common)?)?;
    let choice = arguments.choice.of(None);
    let backups: Vec<&Backup> = catalogue.backups.iter().filter(|backup| choice.takes(backup)).collect();
    let result = json!({
        "directory": catalogue.directory,
        "backups": backups.iter().map(|backup| backup.json()).collect::<Vec<_>>(),
        "leftovers": catalogue.leftovers,
    });
    let text = if backups.is_empty() {
        format!("there is no backup{} in `{}`", choice.words(), catalogue.directory.display())
    } else {
        table(&backups, journal::seconds())
    };
    shown.ui.result(&result, &text);
    warn(&catalogue, &backups, shown);
    Ok(ExitCode::SUCCESS)
}

/// Says what does not fit in a table.
fn warn(catalogue: &Catalogue, backups: &[&Backup], shown: &Shown) {
    for backup in backups.iter().filter(|backup| backup.made == Made::Ryo || backup.about.is_none()) {
        if let Some(reason) = backup.state.reason() {
            shown.events.warn(format!("{}: {reason}", backup.name()));
        }
    }
    for leftover in &catalogue.leftovers {
        let name = leftover.file_name().unwrap_or_default().to_string_lossy();
        shown.events.warn(format!("{name} is left of a broken backup; `ryo backup prune` removes it"));
    }
}

/// One line a backup.
fn table(backups: &[&Backup], now: u64) -> String {
    let head = ["HOST", "ID", "STAMP", "AGE", "SIZE", "MADE BY", "STATE"].map(str::to_owned);
    let rows: Vec<[String; 7]> = std::iter::once(head).chain(backups.iter().map(|backup| row(backup, now))).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..7).map(width).collect();
    let line = |row: &[String; 7]| {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect::<Vec<_>>().join("\n")
}

fn row(backup: &Backup, now: u64) -> [String; 7] {
    let made = match (backup.made, backup.is_sealed()) {
        (Made::Ryo, false) => "ryo",
        (Made::Ryo, true) => "ryo, encrypted",
        (Made::Original, false) => "the original",
        (Made::Original, true) => "encrypted by hand",
    };
    let state = match &backup.state {
        State::Verified(when) => format!("verified {} ago", span(now.saturating_sub(*when))),
        State::Whole => "whole".to_owned(),
        State::Unknown(_) => "not verified".to_owned(),
        State::Damaged(_) => "damaged".to_owned(),
    };
    let (size, made) = (bytes(backup.size), made.to_owned());
    match &backup.about {
        Some(about) => {
            let age = span(now.saturating_sub(about.when));
            [about.host.clone(), about.id.clone(), about.stamp.clone(), age, size, made, state]
        }
        None => ["?".to_owned(), backup.name(), "?".to_owned(), "?".to_owned(), size, made, state],
    }
}
