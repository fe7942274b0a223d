//! A file that a module keeps: written when it must be new, else only given its mode and owner.

use serde_json::{Map, Value, json};

use crate::module::action::{Action, Bytes, Write, act, octal, umask};
use crate::module::attributes::{self, Attributes, Wanted, What};
use crate::module::system::{FileKind, Found};
use crate::module::{Context, Failed, Mode, Outcome, text};

/// The file.
#[derive(Clone, Debug, PartialEq)]
pub struct Kept {
    /// Where, absolute.
    pub path: String,
    /// What is there.
    pub bytes: Option<Vec<u8>>,
    found: Option<Found>,
    wanted: Wanted,
    old: Old,
}

/// What becomes of the content before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Old {
    /// It is kept beside the new one.
    Kept,
    /// It is gone.
    Lost,
}

impl From<bool> for Old {
    fn from(backup: bool) -> Self {
        if backup { Self::Kept } else { Self::Lost }
    }
}

/// What becomes of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It stays.
    Stays,
    /// It is written anew; in check mode with nothing.
    New(String),
    /// It goes.
    Goes,
}

/// Looks at the file.
///
/// # Errors
///
/// [`Failed`]: its directory is not there, it cannot be read, or an account is not known.
pub fn look(path: &str, attributes: &Attributes, old: Old, host: &Context, mode: Mode) -> Result<Kept, Failed> {
    let path = host.system.path(path);
    let directory = path.rsplit_once('/').map_or("/", |(above, _)| if above.is_empty() { "/" } else { above });
    let told = |error| Failed::new(format!("cannot look at {path}: {error}"));
    let is_directory = |found: Option<Found>| found.is_some_and(|it| it.kind == FileKind::Directory);
    if !is_directory(host.system.followed(directory).map_err(told)?) {
        let why = format!("The directory {directory} does not exist or the file is not a directory");
        return Err(Failed::new(why).with("name", directory));
    }
    let found = host.system.followed(&path).map_err(told)?;
    let bytes = if found.is_some() { text::read(&path, host.system)? } else { None };
    Ok(Kept { bytes, found, wanted: attributes::look(attributes, host.system, mode)?, old, path })
}

impl Kept {
    /// Does what `fate` says; `values` are told with it.
    ///
    /// # Errors
    ///
    /// [`Failed`]: it cannot be done.
    pub fn finish(self, fate: Fate, values: Map<String, Value>, host: &Context, mode: Mode) -> Result<Outcome, Failed> {
        let actions = self.actions(fate);
        let mut outcome = Outcome { changed: !actions.is_empty(), values, ..Outcome::default() };
        outcome.values.insert("filename".to_owned(), json!(self.path));
        if mode == Mode::Apply {
            for action in &actions {
                if let Some(backup) = act(action, host)? {
                    outcome.values.insert("backup_file".to_owned(), json!(backup));
                }
            }
        }
        outcome.warnings = self.wanted.warnings;
        Ok(outcome)
    }

    fn actions(&self, fate: Fate) -> Vec<Action> {
        let path = || self.path.clone();
        let backup = (self.old == Old::Kept && self.found.is_some()).then(|| Action::Backup { path: path() });
        match (fate, &self.found) {
            (Fate::Stays | Fate::Goes, None) => vec![],
            (Fate::Stays, Some(found)) => attributes::plan(&self.path, found, &self.wanted),
            (Fate::Goes, Some(_)) => backup.into_iter().chain([Action::Remove { path: path() }]).collect(),
            (Fate::New(content), found) => {
                let usual = found.as_ref().map_or(0o666 & !umask(), |found| found.mode);
                let mode = Some(octal(self.wanted.bits(usual, What::File)));
                let bytes = Bytes::Text(content.into_bytes());
                let write = Write { path: path(), bytes, mode, ids: self.wanted.ids, ..Write::default() };
                backup.into_iter().chain([Action::Write(write)]).collect()
            }
        }
    }
}

/// Reads the file at `path`, or takes `content`.
///
/// # Errors
///
/// [`Failed`] with `missing`: there is none.
pub fn given(path: Option<&str>, content: Option<&str>, missing: &str, host: &Context) -> Result<Vec<u8>, Failed> {
    if let Some(content) = content {
        return Ok(content.as_bytes().to_vec());
    }
    let path = host.system.path(path.unwrap_or_default());
    text::read(&path, host.system)?.ok_or_else(|| Failed::new(missing.replace("%s", &path)))
}
