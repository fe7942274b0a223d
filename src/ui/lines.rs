//! What a person is told about steps: pure, one text an event.

use crate::event::{Event, duration};
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
