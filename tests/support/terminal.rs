//! The program as a person has it in front of him: at a terminal that is none.

use std::io::{Read as _, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

/// Longer than any answer takes: whoever waits so long waits for something that does not come.
const PATIENCE: Duration = Duration::from_mins(1);

/// A program at a terminal.
pub struct Terminal {
    child: Child,
    keys: ChildStdin,
    screen: Receiver<Vec<u8>>,
    shown: String,
    read: usize,
}

impl Terminal {
    /// Starts `ryo` with `words`, none of which a shell would change, in `directory`, which is its home too.
    pub fn start(directory: &Path, words: &[&str]) -> Self {
        let line = format!("stty cols 150 rows 40 && exec {} {}", env!("CARGO_BIN_EXE_ryo"), words.join(" "));
        let mut command = Command::new("script");
        command.args(["-qefc", &line, "/dev/null"]).current_dir(directory);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        command.env("SHELL", "/bin/sh").env("TERM", "xterm").env("NO_COLOR", "1");
        command.env("HOME", directory).env("USER", "anna").env_remove("SUDO_USER").env_remove("XDG_CONFIG_HOME");
        let mut child = command.spawn().unwrap();
        let (keys, mut output) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let (sender, screen) = channel();
        thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(count @ 1..) = output.read(&mut bytes) {
                if sender.send(bytes[..count].to_vec()).is_err() {
                    return;
                }
            }
        });
        Self { child, keys, screen, shown: String::new(), read: 0 }
    }

    /// Waits until `text` is shown behind what was waited for before.
    #[track_caller]
    pub fn expect(&mut self, text: &str) -> &mut Self {
        loop {
            let plain = plain(&self.shown);
            if let Some(at) = plain[self.read..].find(text) {
                self.read += at + text.len();
                return self;
            }
            let Ok(bytes) = self.screen.recv_timeout(PATIENCE) else {
                panic!("`{text}` does not come: {}", &plain[self.read..]);
            };
            self.shown += &String::from_utf8_lossy(&bytes);
        }
    }

    /// Presses these keys.
    pub fn press(&mut self, keys: &str) -> &mut Self {
        self.keys.write_all(keys.as_bytes()).unwrap();
        self.keys.flush().unwrap();
        self
    }

    /// Takes so many characters back.
    pub fn erase(&mut self, count: usize) -> &mut Self {
        self.press(&"\x7f".repeat(count))
    }

    /// Waits for the question, then types the answer and presses Enter.
    #[track_caller]
    pub fn answer(&mut self, question: &str, answer: &str) -> &mut Self {
        self.expect(question).press(&format!("{answer}\r"))
    }

    /// Waits until it has ended: its exit code and everything that was shown.
    pub fn end(mut self) -> (Option<i32>, String) {
        let status = self.child.wait().unwrap();
        while let Ok(bytes) = self.screen.recv() {
            self.shown += &String::from_utf8_lossy(&bytes);
        }
        (status.code(), plain(&self.shown))
    }
}

/// Text without what moves the cursor.
fn plain(shown: &str) -> String {
    let mut text = String::new();
    let mut rest = shown;
    while let Some(at) = rest.find('\x1b') {
        text += &rest[..at];
        let sequence = rest[at + 1..].strip_prefix('[').unwrap_or_default();
        let end = sequence.find(|c: char| c.is_ascii_alphabetic());
        // The last sequence may not have come whole.
        let Some(end) = end else { return text };
        rest = &sequence[end + 1..];
    }
    text + rest
}
