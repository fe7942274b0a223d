//! Colours, for terminals only.

use std::env;
use std::io::IsTerminal;

/// Whether text is coloured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Colours {
    /// It is.
    On,
    /// It is not.
    Off,
}

impl Colours {
    /// Returns what suits `stream`: on for a terminal, unless `NO_COLOR` is set to something.
    pub(super) fn for_stream(stream: &impl IsTerminal) -> Self {
        let unwanted = env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        if stream.is_terminal() && !unwanted { Self::On } else { Self::Off }
    }

    pub(super) fn paint(self, colour: Colour, text: &str) -> String {
        match self {
            Self::On => format!("\x1b[{}m{text}\x1b[0m", colour.code()),
            Self::Off => text.to_owned(),
        }
    }
}

/// The colours of Ansible's output, for the same things.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Colour {
    Green,
    Yellow,
    Cyan,
    Red,
    BrightRed,
}

impl Colour {
    fn code(self) -> &'static str {
        match self {
            Self::Green => "0;32",
            Self::Yellow => "0;33",
            Self::Cyan => "0;36",
            Self::Red => "0;31",
            Self::BrightRed => "1;31",
        }
    }
}
