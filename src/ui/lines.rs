//! What a person is told about steps: pure, one text an event.

use crate::event::Event;
use crate::ui::colour::{Colour, Colours};

/// Where a text goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum To {
    /// Standard output.
    Results,
    /// Standard error.
    Talk,
}

/// Returns the line that tells `event`; `None` if it is about a playbook.
pub(super) fn talk(event: &Event, colours: Colours) -> Option<String> {
    let text = match event {
        Event::Looking { what } => format!("looking at {what}"),
        Event::StepStarted { number, total, title } => format!("[{number}/{total}] {title}"),
        Event::StepProgress { number, message, percent } => {
            let share = percent.map(|percent| format!(" {percent}%")).unwrap_or_default();
            format!("[{number}] {message}{share}")
        }
        Event::StepDone { number, title, took } => {
            format!("[{number}] {} {title} ({})", colours.paint(Colour::Green, "done:"), duration(*took))
        }
        Event::StepFailed { number, title, took } => {
            format!("[{number}] {} {title} ({})", colours.paint(Colour::Red, "failed:"), duration(*took))
        }
        Event::Outage { instance, took } => format!("instance {instance} did not serve for {}", duration(*took)),
        Event::Warned { message } => format!("{} {message}", colours.paint(Colour::Yellow, "warning:")),
        Event::PlayStarted { .. } | Event::TaskStarted { .. } | Event::TaskDone { .. } | Event::Recap { .. } => {
            return None;
        }
    };
    Some(text)
}

/// Returns milliseconds as a person says them, e.g. `35 ms`, `1.2 s`, `3 min 20 s`.
pub(super) fn duration(milliseconds: u64) -> String {
    match milliseconds {
        0..1_000 => format!("{milliseconds} ms"),
        1_000..60_000 => format!("{}.{} s", milliseconds / 1_000, milliseconds % 1_000 / 100),
        _ => format!("{} min {} s", milliseconds / 60_000, milliseconds % 60_000 / 1_000),
    }
}
