//! Events → what a person or a program reads.
//!
//! - [`Format::Terminal`]: a bar or spinner for each step that takes longer than a quarter of a second.
//! - [`Format::Plain`]: one line for each thing that happened.
//! - [`Format::Json`]: one JSON object a line for each event on standard output, and one for the result.
//!
//! Results and the lines of playbooks go to standard output, everything else to standard error. This is the only place
//! that writes to either. A reader that has left (`ryo … | head`) is no error.

use std::env;
use std::io::{self, IsTerminal as _, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::Serialize;
use serde_json::{Value, json};

use crate::event::{Event, Events};
use crate::failure::Failure;

pub mod ask;
mod bars;
mod colour;
mod lines;
mod play;
pub mod trace;

pub use ask::{Default, Error, confirm, password};
pub use colour::Colours;

use bars::Bars;
use lines::To;

/// Text without what a terminal would obey: names of files and what servers say may hold anything. Colours stay.
pub fn visible(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let length = if c == '\x1b' { colour(rest) } else { 0 };
        let (part, behind) = rest.split_at(length.max(c.len_utf8()));
        match c {
            _ if length > 0 || !c.is_control() || matches!(c, '\n' | '\t') => out.push_str(part),
            _ => out.extend(c.escape_default()),
        }
        rest = behind;
    }
    out
}

/// How many bytes of a text that begins with an escape character only choose a colour.
fn colour(text: &str) -> usize {
    let inside = text.strip_prefix("\x1b[").and_then(|rest| rest.find(|c: char| !c.is_ascii_digit() && c != ';'));
    inside.filter(|at| text[2 + at..].starts_with('m')).map_or(0, |at| at + 3)
}

/// How what happens is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Bars and spinners on standard error.
    Terminal,
    /// Lines.
    Plain,
    /// One JSON object a line.
    Json,
}

impl Format {
    /// Returns how a person is shown things: bars if standard error is a terminal that can move its cursor.
    pub fn for_a_person() -> Self {
        let dumb = env::var_os("TERM").is_some_and(|term| term == "dumb");
        if io::stderr().is_terminal() && !dumb { Self::Terminal } else { Self::Plain }
    }
}

/// Where text goes, and how it looks there.
pub struct Streams {
    /// Standard output.
    pub results: Box<dyn Write + Send>,
    /// Standard error.
    pub talk: Box<dyn Write + Send>,
    /// Whether lines of playbooks on standard output are coloured.
    pub result_colours: Colours,
    /// Whether talk is coloured.
    pub talk_colours: Colours,
    /// Width of standard output in characters.
    pub columns: usize,
}

impl Streams {
    /// Returns those of this process. `NO_COLOR` is honoured, colours are for terminals only.
    pub fn of_process() -> Self {
        let results = io::stdout();
        let columns = rustix::termios::tcgetwinsize(&results).map_or(0, |size| usize::from(size.ws_col));
        Self {
            result_colours: Colours::for_stream(&results),
            talk_colours: Colours::for_stream(&io::stderr()),
            results: Box::new(results),
            talk: Box::new(io::stderr()),
            columns,
        }
    }
}

/// Shows what happens. Clones share the streams.
#[derive(Clone)]
pub struct Ui(Arc<Mutex<Screen>>);

struct Screen {
    format: Format,
    streams: Streams,
    bars: Option<Bars>,
    failed: Option<io::Error>,
}

impl Ui {
    /// Shows things on the streams of this process; what is emitted through the [`Events`] is shown.
    pub fn new(format: Format) -> (Self, Events) {
        Self::on(format, Streams::of_process())
    }

    /// Shows things on `streams`.
    pub fn on(format: Format, streams: Streams) -> (Self, Events) {
        let bars = (format == Format::Terminal).then(|| Bars::new(streams.talk_colours));
        let ui = Self(Arc::new(Mutex::new(Screen { format, streams, bars, failed: None })));
        let shown = ui.clone();
        (ui, Events::new(move |event| shown.screen().show(&event)))
    }

    /// Returns how things are shown.
    pub fn format(&self) -> Format {
        self.screen().format
    }

    /// Writes text for a person to standard output, with a newline at its end; nothing with `--json`.
    pub fn print(&self, text: &str) {
        let mut screen = self.screen();
        if screen.format != Format::Json {
            screen.write(To::Results, text);
        }
    }

    /// Writes text for a person to standard error, with a newline at its end.
    pub fn talk(&self, text: &str) {
        self.screen().write(To::Talk, text);
    }

    /// Writes the result of a command to standard output: `text` for a person (nothing if it is empty), or one object
    /// `{"event": "result", "result": …}` with `--json`.
    pub fn result(&self, result: &impl Serialize, text: &str) {
        let mut screen = self.screen();
        match screen.format {
            Format::Json => match serde_json::to_value(result) {
                Ok(value) => screen.object(&json!({ "event": "result", "result": value })),
                Err(error) => screen.fail(error.into()),
            },
            Format::Terminal | Format::Plain if text.is_empty() => {}
            Format::Terminal | Format::Plain => screen.write(To::Results, text),
        }
    }

    /// Writes `{"event": "failed", …}` to standard output with `--json`; a person is told at the end of the program.
    pub fn failed(&self, failure: &Failure) {
        let mut screen = self.screen();
        if screen.format == Format::Json {
            screen.object(&failure.json());
        }
    }

    /// Runs `ask` while no bar is drawn.
    pub fn pause<T>(&self, ask: impl FnOnce() -> T) -> T {
        let screen = self.screen();
        match &screen.bars {
            Some(bars) => bars.suspend(ask),
            None => ask(),
        }
    }

    /// Takes the bars away and says whether everything could be written.
    ///
    /// # Errors
    ///
    /// The first error of a stream. A reader that has left is none.
    pub fn finish(&self) -> io::Result<()> {
        let mut screen = self.screen();
        if let Some(bars) = screen.bars.take() {
            bars.finish();
        }
        screen.failed.take().map_or(Ok(()), Err)
    }

    fn screen(&self) -> MutexGuard<'_, Screen> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Screen {
    fn show(&mut self, event: &Event) {
        if self.format == Format::Json {
            match serde_json::to_value(event) {
                Ok(value) => self.object(&value),
                Err(error) => self.fail(error.into()),
            }
            return;
        }
        if let Some(bars) = &self.bars
            && bars.take(event)
        {
            return;
        }
        for (to, text) in self.lines(event) {
            self.write(to, &text);
        }
    }

    fn lines(&self, event: &Event) -> Vec<(To, String)> {
        let Streams { result_colours, talk_colours, columns, .. } = self.streams;
        match lines::talk(event, talk_colours) {
            Some(text) => vec![(To::Talk, text)],
            None => play::lines(event, result_colours, columns).into_iter().map(|text| (To::Results, text)).collect(),
        }
    }

    fn object(&mut self, value: &Value) {
        self.write(To::Results, &value.to_string());
    }

    fn write(&mut self, to: To, text: &str) {
        let Self { streams, bars, .. } = self;
        let stream = match to {
            To::Results => &mut streams.results,
            To::Talk => &mut streams.talk,
        };
        let text = visible(text);
        let mut put = || stream.write_all(format!("{text}\n").as_bytes()).and_then(|()| stream.flush());
        let outcome = match bars {
            Some(bars) => bars.suspend(put),
            None => put(),
        };
        if let Err(error) = outcome {
            self.fail(error);
        }
    }

    fn fail(&mut self, error: io::Error) {
        if error.kind() != io::ErrorKind::BrokenPipe {
            self.failed.get_or_insert(error);
        }
    }
}
