//! Bars and spinners on a terminal: one for each step that runs, one for what is going on otherwise.

use std::collections::BTreeMap;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use crate::event::{Event, duration};
use crate::ui::colour::{Colour, Colours};

/// What ends before this is not shown as running.
const PATIENCE: Duration = Duration::from_millis(250);
/// Time between two pictures of a spinner.
const FRAME: Duration = Duration::from_millis(100);

/// The bars that are drawn, and those that wait to be.
pub(super) struct Bars {
    drawn: MultiProgress,
    running: Arc<Mutex<Running>>,
    colours: Colours,
    /// Dropping it ends the thread that draws.
    _alive: mpsc::Sender<()>,
}

/// What is going on, by step; 0 stands for what is no step.
type Running = BTreeMap<usize, Activity>;

/// Something that is going on.
struct Activity {
    since: Instant,
    title: String,
    message: String,
    percent: Option<u8>,
    bar: Option<ProgressBar>,
}

impl Bars {
    pub(super) fn new(colours: Colours) -> Self {
        let (alive, watched) = mpsc::channel();
        let bars = Self { drawn: MultiProgress::new(), running: Arc::default(), colours, _alive: alive };
        let (drawn, running) = (bars.drawn.clone(), bars.running.clone());
        thread::spawn(move || {
            while watched.recv_timeout(FRAME) == Err(RecvTimeoutError::Timeout) {
                draw(&drawn, &mut locked(&running), Instant::now());
            }
        });
        bars
    }

    /// Takes note of `event`. Returns whether all of it is shown by the bars.
    pub(super) fn take(&self, event: &Event) -> bool {
        let mut running = locked(&self.running);
        match event {
            Event::Looking { what } => self.start(&mut running, 0, format!("looking at {what}")),
            Event::StepStarted { number, total, title } => {
                self.end(&mut running, 0);
                self.start(&mut running, *number, format!("[{number}/{total}] {title}"));
            }
            Event::StepProgress { number, message, percent } => {
                if let Some(activity) = running.get_mut(number) {
                    activity.message.clone_from(message);
                    activity.percent = *percent;
                }
            }
            Event::StepDone { number, took, .. } | Event::StepFailed { number, took, .. } => {
                let title = running.get(number).map(|activity| activity.title.clone());
                self.end(&mut running, *number);
                drop(running);
                let Some(title) = title else { return false };
                let sign = match event {
                    Event::StepDone { .. } => self.colours.paint(Colour::Green, "✓"),
                    _ => self.colours.paint(Colour::Red, "✗"),
                };
                let _ = self.drawn.println(format!("{sign} {title} ({})", duration(*took)));
            }
            Event::TaskStarted { name, .. } => {
                self.start(&mut running, 0, name.clone());
                return false;
            }
            Event::PlayStarted { .. } | Event::Recap { .. } => {
                self.end(&mut running, 0);
                return false;
            }
            Event::TaskDone { .. } | Event::Outage { .. } | Event::Warned { .. } => return false,
        }
        true
    }

    /// Runs `work` while no bar is drawn.
    pub(super) fn suspend<T>(&self, work: impl FnOnce() -> T) -> T {
        self.drawn.suspend(work)
    }

    /// Takes every bar away.
    pub(super) fn finish(self) {
        let mut running = locked(&self.running);
        let numbers: Vec<usize> = running.keys().copied().collect();
        for number in numbers {
            self.end(&mut running, number);
        }
    }

    fn start(&self, running: &mut Running, number: usize, title: String) {
        self.end(running, number);
        let activity = Activity { since: Instant::now(), title, message: String::new(), percent: None, bar: None };
        running.insert(number, activity);
    }

    fn end(&self, running: &mut Running, number: usize) {
        if let Some(bar) = running.remove(&number).and_then(|activity| activity.bar) {
            bar.finish_and_clear();
            self.drawn.remove(&bar);
        }
    }
}

fn locked(running: &Mutex<Running>) -> MutexGuard<'_, Running> {
    running.lock().unwrap_or_else(PoisonError::into_inner)
}

fn draw(drawn: &MultiProgress, running: &mut Running, now: Instant) {
    for activity in running.values_mut().filter(|activity| now.duration_since(activity.since) >= PATIENCE) {
        let text = text(activity, now.duration_since(activity.since).as_secs());
        let bar = activity.bar.get_or_insert_with(|| drawn.add(ProgressBar::new_spinner().with_style(spinner())));
        bar.set_message(text);
        bar.tick();
    }
}

fn spinner() -> ProgressStyle {
    ProgressStyle::with_template("{spinner} {wide_msg}").unwrap_or_else(|_| ProgressStyle::default_spinner())
}

fn text(activity: &Activity, seconds: u64) -> String {
    let Activity { title, message, percent, .. } = activity;
    let message = if message.is_empty() { String::new() } else { format!(": {message}") };
    let share = percent.map(|percent| format!(" {}", share(percent))).unwrap_or_default();
    let elapsed = if seconds == 0 { String::new() } else { format!(" ({seconds} s)") };
    format!("{title}{message}{share}{elapsed}")
}

fn share(percent: u8) -> String {
    let full = usize::from(percent.min(100)) / 5;
    format!("{}{} {percent}%", "█".repeat(full), "░".repeat(20 - full))
}
