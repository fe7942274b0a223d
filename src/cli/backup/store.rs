//! Where backups are, which of them are meant, and what opens them.

use std::path::{Path, PathBuf};

use crate::archive::seal::{self, Identities, Recipients};
use crate::cli::Common;
use crate::failure::{Failure, Kind};
use crate::flow::backup;
use crate::flow::backup::catalogue::{self, Catalogue};
use crate::rig;

/// Which backups are meant.
#[derive(Clone, Debug, clap::Args)]
pub struct Choice {
    /// The projects and modules (default: all)
    #[arg(value_name = "ID")]
    pub ids: Vec<String>,
    /// The host (default: all)
    #[arg(short = 'n', long, value_name = "NAME")]
    pub host: Option<String>,
    /// Where the archives are (default: ryo-host/backup-restore/backups)
    #[arg(long, value_name = "DIR")]
    pub from: Option<PathBuf>,
    /// The file with the identity of `age` that opens encrypted archives (default: that of the settings)
    #[arg(long, value_name = "FILE")]
    pub identity: Option<PathBuf>,
}

impl Choice {
    /// What is meant, with a stamp or without.
    pub fn of(&self, stamp: Option<&str>) -> catalogue::Choice {
        // A directory is called like what is in it.
        let ids = self.ids.iter().map(|id| id.trim_end_matches('/').to_owned()).collect();
        catalogue::Choice { ids, host: self.host.clone(), stamp: stamp.map(str::to_owned) }
    }

    /// Reads what opens them.
    ///
    /// # Errors
    ///
    /// The file cannot be used.
    pub fn identities(&self, common: &Common) -> Result<Identities, Failure> {
        identities(self.identity.as_deref(), common)
    }

    /// Looks which backups there are.
    ///
    /// # Errors
    ///
    /// The directory is not known or cannot be read.
    pub fn catalogue(&self, common: &Common, identities: &Identities) -> Result<Catalogue, Failure> {
        let directory = match &self.from {
            Some(directory) => directory.clone(),
            None => backup::directory(&common.directory()?),
        };
        Ok(catalogue::look(&directory, identities)?)
    }
}

/// What to say when nothing that is meant is there.
pub fn none(choice: &catalogue::Choice, directory: &Path) -> Failure {
    let text = format!("there is no backup{} in `{}`", choice.words(), directory.display());
    Failure::new(Kind::Request, text).hint("`ryo backup list` shows those that there are")
}

/// Where archives are: where a person says, else where the original has them.
pub fn directory(named: Option<&Path>, working_directory: &Path) -> PathBuf {
    named.map_or_else(|| backup::directory(working_directory), Path::to_owned)
}

/// Reads to whom backups are encrypted: to those that were typed, else to those of the settings.
///
/// # Errors
///
/// One is none.
pub fn recipients(typed: &[String], common: &Common) -> Result<Recipients, Failure> {
    let settings = if typed.is_empty() { common.settings()?.backup.recipients } else { vec![] };
    let texts = if typed.is_empty() { &settings[..] } else { typed };
    Recipients::parse(texts).map_err(failed)
}

/// Reads what opens backups: the file that was typed, else that of the settings.
///
/// # Errors
///
/// The file cannot be used.
pub fn identities(typed: Option<&Path>, common: &Common) -> Result<Identities, Failure> {
    let file = match typed {
        Some(file) => Some(file.to_owned()),
        None => common.settings()?.backup.identity.map(|file| at_home(&file)),
    };
    Identities::read(file.as_deref()).map_err(failed)
}

/// What begins with `~/` is in the home directory.
fn at_home(file: &Path) -> PathBuf {
    file.strip_prefix("~").map_or_else(|_| file.to_owned(), |rest| rig::home().join(rest))
}

fn failed(error: seal::Error) -> Failure {
    Failure::new(Kind::Request, error)
}
