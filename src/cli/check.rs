//! `ryo check`.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde_json::{Value, json};

use crate::cli::Common;
use crate::failure::{Failure, Kind};
use crate::place::Problem;
use crate::project::check::{Report, report};

/// Its arguments.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  ryo check ryo-gitea -n web\n  ryo check ryo-* -n web")]
pub struct Arguments {
    /// The repositories
    #[arg(value_name = "DIR", default_value = ".")]
    pub directories: Vec<PathBuf>,
    /// The host that it is to be deployed on
    #[arg(short = 'n', long = "host", value_name = "HOST", default_value = "local")]
    pub host: String,
}

/// Runs it: reports every problem at once. Touches nothing, needs no network.
///
/// Exit code 0 if there are no problems, 2 if there are.
///
/// # Errors
///
/// A [`Failure`] with what a person should read.
#[expect(clippy::unused_async, reason = "the commands have one shape")]
pub async fn run(arguments: Arguments, common: &Common) -> Result<ExitCode, Failure> {
    let mut all = Report::default();
    for directory in &arguments.directories {
        all.add(report(directory, common.working_directory.as_deref(), &arguments.host));
    }
    let report = all;
    let here = std::env::current_dir().unwrap_or_default();
    let text = if common.json { format!("{}\n", object(&report)) } else { text(&report, &here) };
    std::io::stdout().write_all(text.as_bytes()).map_err(|error| Failure::new(Kind::World, error))?;
    let clean = report.problems.is_empty();
    Ok(if clean { ExitCode::SUCCESS } else { ExitCode::from(Kind::Request.code()) })
}

/// Writes a report for a person: `file:line:column: message`, files below `here` without it, and a count at the end.
pub fn text(report: &Report, here: &Path) -> String {
    let mut lines = vec![];
    for warning in &report.warnings {
        lines.extend(entry(warning, "warning: ", here));
    }
    for problem in &report.problems {
        lines.extend(entry(problem, "", here));
    }
    lines.push(count(report));
    lines.join("\n") + "\n"
}

fn entry(problem: &Problem, kind: &str, here: &Path) -> Vec<String> {
    let mut place = problem.place.clone();
    if let Ok(below) = place.file.strip_prefix(here) {
        place.file = below.to_owned();
    }
    let mut lines = vec![format!("{place}: {kind}{}", problem.message)];
    lines.extend(problem.hint.as_ref().map(|hint| format!("  hint: {hint}")));
    lines
}

fn count(report: &Report) -> String {
    let number = |count: usize, word: &str| match count {
        0 => format!("no {word}s"),
        1 => format!("1 {word}"),
        count => format!("{count} {word}s"),
    };
    match report.warnings.len() {
        0 => number(report.problems.len(), "problem"),
        warnings => format!("{}, {}", number(report.problems.len(), "problem"), number(warnings, "warning")),
    }
}

/// Writes a report as one object.
pub fn object(report: &Report) -> Value {
    let list = |problems: &[Problem]| -> Vec<Value> {
        let one = |problem: &Problem| {
            let place = &problem.place;
            json!({
                "file": place.file.to_string_lossy(),
                "line": place.line,
                "column": place.column,
                "message": problem.message,
                "hint": problem.hint,
            })
        };
        problems.iter().map(one).collect()
    };
    json!({
        "result": "check",
        "problems": list(&report.problems),
        "warnings": list(&report.warnings),
    })
}
