//! The lines of a playbook, as Ansible's default output has them: pure, so that people and scripts find what they know.
//!
//! Source: ansible-core 2.15, `plugins/callback/default.py` and `utils/display.py` (banner, recap).

use serde_json::json;

use crate::event::{Event, HostRecap, TaskStatus};
use crate::ui::colour::{Colour, Colours};

/// Width of a banner where the terminal says nothing or less.
const LEAST_COLUMNS: usize = 79;

/// Returns the lines for `event`, none if it is not about a playbook. `columns` is the terminal's width, 0 without one.
pub(super) fn lines(event: &Event, colours: Colours, columns: usize) -> Vec<String> {
    match event {
        Event::PlayStarted { name } => banner(&format!("PLAY [{name}]"), columns),
        Event::TaskStarted { name, handler: true } => banner(&format!("RUNNING HANDLER [{name}]"), columns),
        Event::TaskStarted { name, handler: false } => banner(&format!("TASK [{name}]"), columns),
        Event::TaskDone { host, item, status, message, diff, .. } => {
            let mut lines: Vec<String> = diff.iter().map(|diff| coloured_diff(diff, colours)).collect();
            lines.extend(outcome(host, item.as_deref(), *status, message.as_deref(), colours));
            lines
        }
        Event::Recap { hosts } => {
            let mut lines = banner("PLAY RECAP", columns);
            lines.extend(hosts.iter().map(|host| recap(host, colours)));
            lines.push(String::new());
            lines
        }
        _ => vec![],
    }
}

fn banner(title: &str, columns: usize) -> Vec<String> {
    let width = LEAST_COLUMNS.max(columns.saturating_sub(1));
    let stars = width.saturating_sub(title.chars().count()).max(3);
    vec![String::new(), format!("{title} {}", "*".repeat(stars))]
}

fn outcome(host: &str, item: Option<&str>, status: TaskStatus, message: Option<&str>, colours: Colours) -> Vec<String> {
    let (word, colour) = match status {
        TaskStatus::Ok => ("ok", Colour::Green),
        TaskStatus::Changed => ("changed", Colour::Yellow),
        TaskStatus::Skipped => ("skipping", Colour::Cyan),
        TaskStatus::Failed | TaskStatus::Ignored => return failure(host, item, status, message, colours),
        TaskStatus::Unreachable => {
            let line = format!("fatal: [{host}]: UNREACHABLE!{}", arrow(message));
            return vec![colours.paint(Colour::BrightRed, &line)];
        }
    };
    let item = item.map(|item| format!(" => (item={item})")).unwrap_or_default();
    let shown = message.filter(|_| status != TaskStatus::Skipped);
    let message = shown.map(|text| format!(" => {{\n    \"msg\": {}\n}}", json!(text))).unwrap_or_default();
    vec![colours.paint(colour, &format!("{word}: [{host}]{item}{message}"))]
}

fn failure(host: &str, item: Option<&str>, status: TaskStatus, message: Option<&str>, colours: Colours) -> Vec<String> {
    let line = match item {
        Some(item) => format!("failed: [{host}] (item={item}){}", arrow(message)),
        None => format!("fatal: [{host}]: FAILED!{}", arrow(message)),
    };
    let mut lines = vec![colours.paint(Colour::Red, &line)];
    if status == TaskStatus::Ignored {
        lines.push(colours.paint(Colour::Cyan, "...ignoring"));
    }
    lines
}

fn arrow(message: Option<&str>) -> String {
    message.map(|message| format!(" => {message}")).unwrap_or_default()
}

fn coloured_diff(diff: &str, colours: Colours) -> String {
    let paint = |line: &str| match line.as_bytes().first() {
        Some(b'+') => colours.paint(Colour::Green, line),
        Some(b'-') => colours.paint(Colour::Red, line),
        Some(b'@') => colours.paint(Colour::Cyan, line),
        _ => line.to_owned(),
    };
    let lines: Vec<String> = diff.lines().map(paint).collect();
    format!("{}\n", lines.join("\n"))
}

fn recap(recap: &HostRecap, colours: Colours) -> String {
    let host = match recap {
        HostRecap { unreachable: 0, failed: 0, changed: 0, .. } => Colour::Green,
        HostRecap { unreachable: 0, failed: 0, .. } => Colour::Yellow,
        _ => Colour::Red,
    };
    let counts = [
        ("ok", recap.ok, Colour::Green),
        ("changed", recap.changed, Colour::Yellow),
        ("unreachable", recap.unreachable, Colour::BrightRed),
        ("failed", recap.failed, Colour::Red),
        ("skipped", recap.skipped, Colour::Cyan),
        ("rescued", recap.rescued, Colour::Green),
        ("ignored", recap.ignored, Colour::Cyan),
    ];
    let counts = counts.map(|(word, count, colour)| {
        let text = format!("{word}={count:<4}");
        if count > 0 { colours.paint(colour, &text) } else { text }
    });
    format!("{} : {}", colours.paint(host, &format!("{:<26}", recap.host)), counts.join(" "))
}
