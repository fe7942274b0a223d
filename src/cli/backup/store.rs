//! Where backups are, which of them are meant, and what opens them.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use crate::archive::seal::{self, Identities, Recipients};
use crate::cli::Common;
use crate::failure::{Failure, Kind};
use crate::flow::backup;
use crate::flow::backup::catalogue::{self, Catalogue};
use crate::flow::backup::store::{self, Repository, Store};
use crate::restic;
use crate::rig;
use crate::rig::settings::BackupStore;
use crate::secret::Secret;

/// Where backups go.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Target {
    /// Where the archives go: a directory, or `restic:DIR` for a repository of restic (default: that of the settings, else
    /// ryo-host/backup-restore/backups)
    #[arg(long, value_name = "STORE")]
    pub to: Option<BackupStore>,
    /// The file with the password of the repository (default: that of the settings, else that of
    /// `RESTIC_PASSWORD_FILE`, else `RESTIC_PASSWORD`)
    #[arg(long, value_name = "FILE")]
    pub password_file: Option<PathBuf>,
}

/// Where backups come from.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Origin {
    /// Where the archives are: a directory, or `restic:DIR` for a repository of restic (default: that of the settings, else
    /// ryo-host/backup-restore/backups)
    #[arg(long, value_name = "STORE")]
    pub from: Option<BackupStore>,
    /// The file with the password of the repository (default: that of the settings, else that of
    /// `RESTIC_PASSWORD_FILE`, else `RESTIC_PASSWORD`)
    #[arg(long, value_name = "FILE")]
    pub password_file: Option<PathBuf>,
}

impl Target {
    fn named(&self, common: &Common) -> Result<Option<BackupStore>, Failure> {
        named(self.to.as_ref(), common)
    }

    /// Where they go. Of a repository the password is known then, and nothing else.
    ///
    /// # Errors
    ///
    /// There is no password, or the file with it cannot be read.
    pub fn store(&self, working_directory: &Path, common: &Common) -> Result<Store, Failure> {
        open(self.named(common)?.as_ref(), self.password_file.as_deref(), common, || {
            Ok(backup::directory(working_directory))
        })
    }

    /// Reads to whom backups are encrypted: to those that were typed, else to those of the settings, and to nobody if a
    /// repository does it.
    ///
    /// # Errors
    ///
    /// One is none, or something was typed although a repository encrypts.
    pub fn recipients(&self, typed: &[String], common: &Common) -> Result<Recipients, Failure> {
        match self.named(common)? {
            Some(BackupStore::Restic(_)) if typed.is_empty() => Ok(Recipients::default()),
            Some(BackupStore::Restic(_)) => {
                let text = "`--encrypt` cannot be given for a repository of restic: it is encrypted with its password";
                Err(Failure::new(Kind::Request, text))
            }
            _ => recipients(typed, common),
        }
    }

    /// As it is typed where nobody is there to be asked.
    ///
    /// # Errors
    ///
    /// The password of a repository is in no file.
    pub fn words(&self, option: &str, common: &Common) -> Result<Vec<String>, Failure> {
        let mut words = vec![];
        if let Some(typed) = &self.to {
            words.extend([option.to_owned(), typed.absolute()]);
        }
        if let Some(BackupStore::Restic(directory)) = self.named(common)? {
            let text =
                |path: &Path| std::path::absolute(path).unwrap_or_else(|_| path.to_owned()).display().to_string();
            match password_file(self.password_file.as_deref(), common)? {
                Some((_, NamedBy::Settings)) => {}
                Some((file, NamedBy::Here)) => words.extend(["--password-file".to_owned(), text(&file)]),
                None => {
                    let text = format!("the password of the repository `{}` is in no file", directory.display());
                    return Err(Failure::new(Kind::Request, text).hint(PASSWORD));
                }
            }
        }
        Ok(words)
    }
}

impl Origin {
    /// Where they come from.
    ///
    /// # Errors
    ///
    /// There is no password, or the file with it cannot be read; or the usual place is not known.
    pub fn store(&self, common: &Common, usual: impl FnOnce() -> Result<PathBuf, Failure>) -> Result<Store, Failure> {
        open(named(self.from.as_ref(), common)?.as_ref(), self.password_file.as_deref(), common, usual)
    }
}

/// What was typed, else what the settings say.
fn named(typed: Option<&BackupStore>, common: &Common) -> Result<Option<BackupStore>, Failure> {
    match typed {
        Some(typed) => Ok(Some(typed.clone())),
        None => Ok(common.settings()?.backup.store.map(|store| match store {
            BackupStore::Directory(directory) => BackupStore::Directory(at_home(&directory)),
            BackupStore::Restic(directory) => BackupStore::Restic(at_home(&directory)),
        })),
    }
}

fn open(
    named: Option<&BackupStore>,
    password_file: Option<&Path>,
    common: &Common,
    usual: impl FnOnce() -> Result<PathBuf, Failure>,
) -> Result<Store, Failure> {
    match named {
        None => usual().map(Store::Directory),
        Some(BackupStore::Directory(directory)) => Ok(Store::Directory(directory.clone())),
        Some(BackupStore::Restic(directory)) => {
            let place = restic::Place::new(directory, password(directory, password_file, common)?);
            Ok(Store::Repository(Repository { place, records: store::records(&rig::home()) }))
        }
    }
}

/// What to do without a password.
const PASSWORD: &str = "name a file: `--password-file FILE`, or `backup: {password_file: FILE}` in the settings";

/// Who names the file with a password.
enum NamedBy {
    /// The settings, which are read every time.
    Settings,
    /// An option, or the environment.
    Here,
}

fn password_file(typed: Option<&Path>, common: &Common) -> Result<Option<(PathBuf, NamedBy)>, Failure> {
    if let Some(file) = typed {
        return Ok(Some((file.to_owned(), NamedBy::Here)));
    }
    if let Some(file) = common.settings()?.backup.password_file {
        return Ok(Some((at_home(&file), NamedBy::Settings)));
    }
    let named = env::var_os("RESTIC_PASSWORD_FILE").filter(|file| !file.is_empty());
    Ok(named.map(|file| (file.into(), NamedBy::Here)))
}

/// Reads the password of a repository as restic does: all of a file but the space around it, or a variable.
fn password(directory: &Path, typed: Option<&Path>, common: &Common) -> Result<Secret, Failure> {
    let shown = directory.display();
    let text = match password_file(typed, common)? {
        Some((file, _)) => {
            let text = fs::read_to_string(&file).map_err(|error| {
                let text = format!("cannot read the password of `{shown}` in `{}`: {error}", file.display());
                Failure::new(Kind::Request, text)
            })?;
            Some(text.trim().to_owned())
        }
        None => env::var("RESTIC_PASSWORD").ok(),
    };
    match text {
        Some(text) if !text.is_empty() => Ok(Secret::new(text)),
        Some(_) => Err(Failure::new(Kind::Request, format!("the password of the repository `{shown}` is empty"))),
        None => {
            let failure = Failure::new(Kind::Request, format!("there is no password for the repository `{shown}`"));
            Err(failure.hint(PASSWORD).hint("or set `RESTIC_PASSWORD_FILE` or `RESTIC_PASSWORD`"))
        }
    }
}

/// Which backups are meant.
#[derive(Clone, Debug, clap::Args)]
pub struct Choice {
    /// The projects and modules (default: all)
    #[arg(value_name = "ID")]
    pub ids: Vec<String>,
    /// The host (default: all)
    #[arg(short = 'n', long, value_name = "NAME")]
    pub host: Option<String>,
    /// Where they are
    #[command(flatten)]
    pub from: Origin,
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

    /// Where they are.
    ///
    /// # Errors
    ///
    /// That is not known, or there is no password.
    pub fn store(&self, common: &Common) -> Result<Store, Failure> {
        self.from.store(common, || Ok(backup::directory(&common.directory()?)))
    }

    /// Looks which backups there are.
    ///
    /// # Errors
    ///
    /// Where they are is not known or cannot be read.
    pub fn catalogue(&self, common: &Common, identities: &Identities) -> Result<Catalogue, Failure> {
        Ok(self.store(common)?.look(identities)?)
    }
}

/// What to say when nothing that is meant is there.
pub fn none(choice: &catalogue::Choice, directory: &Path) -> Failure {
    let text = format!("there is no backup{} in `{}`", choice.words(), directory.display());
    Failure::new(Kind::Request, text).hint("`ryo backup list` shows those that there are")
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
