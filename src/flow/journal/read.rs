//! The journal, read back: bounded, and whatever is in it.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::agent;
use crate::event::duration;
use crate::flow::figures;
use crate::flow::journal;

/// Where the agent keeps the journal on a host.
pub const ON_HOST: &str = "/var/lib/ryo/journal.jsonl";

/// Bytes at the end of a journal that are read.
pub const LOOKED_AT: u64 = 4 << 20;

/// One line: a plan that was carried out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// When it ended, in seconds since 1970.
    pub when: u64,
    /// Account and computer, e.g. `anna@desk`.
    pub who: String,
    /// What was planned, e.g. `deploy ryo-hello 1 on web`.
    pub plan: String,
    /// Its steps, each with its owner in front, e.g. `ryo-hello: create instance hello from …`.
    #[serde(default)]
    pub steps: Vec<String>,
    /// `done`, or what went wrong.
    pub result: String,
    /// Milliseconds it took.
    pub took: u64,
    /// For how many milliseconds instances did not serve.
    #[serde(default)]
    pub outages: BTreeMap<String, u64>,
}

impl Entry {
    /// Whether it ended well.
    pub fn is_done(&self) -> bool {
        self.result == "done"
    }

    /// Whether `owner` was changed, or was to be: a backup alone changes nothing.
    pub fn changes(&self, owner: &str) -> bool {
        // As [`crate::plan::Action::backs_up`].
        let backs_up = |what: &str| {
            let verbs = ["copy ", "stop instance", "freeze instance", "take a snapshot of "];
            verbs.iter().any(|verb| what.starts_with(verb))
                || what.starts_with("start ") && what.ends_with(" again")
                || is_archive(what)
        };
        self.steps_of(owner).any(|what| !backs_up(what))
    }

    /// Whether an archive of what `owner` keeps was made.
    pub fn backed_up(&self, owner: &str) -> bool {
        self.is_done() && self.steps_of(owner).any(is_archive)
    }

    fn steps_of<'a>(&'a self, owner: &'a str) -> impl Iterator<Item = &'a str> {
        let parts = self.steps.iter().filter_map(|step| step.split_once(": "));
        parts.filter(move |(whose, _)| *whose == owner).map(|(_, what)| what)
    }
}

/// Whether a step puts an archive together, as the plan says it.
fn is_archive(what: &str) -> bool {
    what.starts_with("write backup-") || what.starts_with("add backup-")
}

/// What could be read of a journal.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Journal {
    /// What it holds, oldest first.
    pub entries: Vec<Entry>,
    /// How many lines are no entries.
    pub damaged: usize,
    /// Whether it is longer than what is read of it.
    pub cut: bool,
}

impl Journal {
    /// Reads the end of a journal; `cut` says that something stands before it.
    pub fn parse(bytes: &[u8], cut: bool) -> Self {
        let mut journal = Self { cut, ..Self::default() };
        // The first line of what was cut is the rest of one.
        for line in bytes.split(|byte| *byte == b'\n').skip(usize::from(cut)) {
            if line.iter().all(u8::is_ascii_whitespace) {
                continue;
            }
            match serde_json::from_slice(line) {
                Ok(entry) => journal.entries.push(entry),
                Err(_) => journal.damaged += 1,
            }
        }
        journal
    }

    /// Returns what a person should know of the journal `name` beside its entries.
    pub fn warning(&self, name: &str) -> Option<String> {
        match self.damaged {
            0 => None,
            1 => Some(format!("1 line of {name} cannot be read and is left out")),
            count => Some(format!("{count} lines of {name} cannot be read and are left out")),
        }
    }

    /// When the last backup in it ended, in seconds since 1970.
    pub fn last_backup(&self) -> Option<u64> {
        let archive = |step: &String| step.split_once(": ").is_some_and(|(_, what)| is_archive(what));
        let backups = self.entries.iter().filter(|entry| entry.is_done() && entry.steps.iter().any(archive));
        backups.map(|entry| entry.when).max()
    }

    /// Leaves the last `limit` entries, newest first.
    #[must_use]
    pub fn newest(mut self, limit: usize) -> Self {
        self.entries.reverse();
        self.entries.truncate(limit);
        self
    }

    /// What a person reads, in the order of the entries.
    pub fn text(&self) -> String {
        if self.entries.is_empty() {
            return "nothing has been done yet\n".to_owned();
        }
        let mut rows = vec![["WHEN (UTC)", "WHO", "TOOK", "RESULT", "PLAN"].map(str::to_owned).to_vec()];
        for entry in &self.entries {
            let result = if entry.is_done() { "done" } else { "failed" };
            let (who, plan) = (figures::line(&entry.who), figures::line(&entry.plan));
            rows.push(vec![figures::minute(entry.when), who, duration(entry.took), result.to_owned(), plan]);
            let more = (!entry.is_done()).then(|| format!("because: {}", figures::line(&entry.result)));
            let outages = entry.outages.iter().map(|(instance, milliseconds)| {
                format!("{} did not serve for {}", figures::line(instance), duration(*milliseconds))
            });
            let below = |text| [vec![String::new(); 4], vec![format!("  {text}")]].concat();
            rows.extend(more.into_iter().chain(outages).map(below));
        }
        figures::table(&rows)
    }
}

/// Reads the journal of this computer.
///
/// # Errors
///
/// The file cannot be read. One that is not there is empty.
pub fn own(home: &Path) -> io::Result<Journal> {
    let mut file = match File::open(journal::own(home)) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Journal::default()),
        Err(error) => return Err(error),
    };
    let start = file.metadata()?.len().saturating_sub(LOOKED_AT);
    // From one byte earlier, so that a line which begins just there is whole.
    file.seek(SeekFrom::Start(start.saturating_sub(1)))?;
    let mut bytes = vec![];
    file.take(LOOKED_AT + 1).read_to_end(&mut bytes)?;
    Ok(Journal::parse(&bytes, start > 0))
}

/// Reads the journal of a host.
///
/// # Errors
///
/// The agent went away, or the journal cannot be read. One that is not there is empty.
pub async fn of_host(agent: &agent::Client) -> Result<Journal, agent::Error> {
    let Some(size) = agent.stat(ON_HOST).await?["size"].as_u64() else { return Ok(Journal::default()) };
    let start = size.saturating_sub(LOOKED_AT);
    let bytes = agent.piece(ON_HOST, start.saturating_sub(1)).await?;
    Ok(Journal::parse(&bytes, start > 0))
}
