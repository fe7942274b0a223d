//! Backups at certain times: a service and a timer of systemd on the control node, and a service that removes old ones
//! after each that went well.
//!
//! The files are the state: what is there is read, what is different is replaced as a whole, and systemd is told only
//! then.

use std::fmt::Write as _;
use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::machine::{self, Command, Finished, Lost, Machine};

/// A schedule cannot be read, written or removed.
#[derive(Debug, Error)]
pub enum Error {
    /// There is no systemd, or it does not answer.
    #[error("systemd does not answer{}", because(.said))]
    Nobody {
        /// Whose systemd.
        scope: Scope,
        /// What was said instead.
        said: String,
    },
    /// The time cannot be understood.
    #[error("`{expression}` is no calendar expression of systemd{}", because(.said))]
    Calendar {
        /// As it was given.
        expression: String,
        /// What was said of it.
        said: String,
    },
    /// A path or a name cannot stand in a unit.
    #[error("`{}` cannot stand in a unit of systemd", .0.escape_debug())]
    Word(String),
    /// systemd refuses.
    #[error("`{command}` failed{}", because(.said))]
    Refused {
        /// The command.
        command: String,
        /// What was said.
        said: String,
    },
    /// A unit cannot be read or written.
    #[error("cannot read or write `{}`", file.display())]
    File {
        /// The file.
        file: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A program cannot be run here.
    #[error(transparent)]
    Lost(#[from] Lost),
}

fn because(text: &str) -> String {
    if text.is_empty() { String::new() } else { format!(": {text}") }
}

/// Whose systemd.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// That of the computer.
    System,
    /// That of the account.
    User,
}

/// Where units are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Whose systemd reads them.
    pub scope: Scope,
    /// Their directory.
    pub directory: PathBuf,
}

impl Place {
    /// The usual one: root's units are those of the computer.
    pub fn of_account(home: &Path, configuration: Option<&Path>) -> Self {
        if rustix::process::geteuid().is_root() {
            return Self { scope: Scope::System, directory: "/etc/systemd/system".into() };
        }
        let configuration = configuration.map_or_else(|| home.join(".config"), Path::to_owned);
        Self { scope: Scope::User, directory: configuration.join("systemd/user") }
    }

    fn file(&self, name: &str, end: &str) -> PathBuf {
        self.directory.join(format!("{name}.{end}"))
    }
}

/// What is done, and when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spec {
    /// The host.
    pub host: String,
    /// The project or module.
    pub id: String,
    /// When, as systemd writes it, e.g. `*-*-* 03:00:00`.
    pub calendar: String,
    /// What makes the backup.
    pub backup: Vec<String>,
    /// What removes old ones after each that went well, if anything does.
    pub prune: Option<Vec<String>>,
    /// Where it is run.
    pub directory: PathBuf,
    /// Variables that it needs.
    pub environment: Vec<(String, String)>,
}

/// What the units of a backup are called.
pub fn name(host: &str, id: &str) -> String {
    format!("ryo-backup-{host}-{id}")
}

/// What the service is called that removes old backups after those of the units called `name`.
pub fn pruning(name: &str) -> String {
    format!("ryo-prune-{}", name.strip_prefix("ryo-backup-").unwrap_or(name))
}

/// The text of a service and its timer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Units {
    /// `….service`
    pub service: String,
    /// `….timer`
    pub timer: String,
    /// The service that removes old backups, if there is one. It is one of its own: when it has to wait for somebody, no
    /// backup is made again for it.
    pub prune: Option<String>,
}

/// What stands in front of units.
const HEAD: &str = "# Written by `ryo backup schedule`, which also changes and removes it.\n";

/// Whoever else is at work on the host or the repository (exit code 11) is waited for; what else fails has failed.
const RETRY: &str = "Restart=on-failure\nRestartPreventExitStatus=1 2 3 12 13 101 130\nRestartSec=5min\n";

/// Writes the units. Pure.
///
/// # Errors
///
/// [`Error::Word`].
pub fn units(spec: &Spec, scope: Scope) -> Result<Units, Error> {
    let Spec { host, id, calendar, backup, prune, .. } = spec;
    let (id, host) = (plain(id)?, plain(host)?);
    let mut about = format!("Description=Backup of {id} on host {host}\n");
    if scope == Scope::System {
        about.push_str("Wants=network-online.target\nAfter=network-online.target\n");
    }
    if prune.is_some() {
        let _ = writeln!(about, "OnSuccess={}.service", plain(&pruning(&name(&spec.host, &spec.id)))?);
    }
    let service = service(&about, backup, spec)?;
    let removal = format!("Description=Removal of old backups of {id} on host {host}\n");
    let prune = prune.as_ref().map(|words| self::service(&removal, words, spec)).transpose()?;
    let timer = format!(
        "{HEAD}[Unit]\nDescription=When {id} on host {host} is backed up\n\n\
         [Timer]\nOnCalendar={}\nRandomizedDelaySec=15min\nPersistent=true\n\n\
         [Install]\nWantedBy=timers.target\n",
        plain(calendar)?
    );
    Ok(Units { service, timer, prune })
}

/// The text of a service that runs one command.
fn service(about: &str, words: &[String], spec: &Spec) -> Result<String, Error> {
    let directory = plain(&spec.directory.display().to_string())?;
    let mut text = format!("{HEAD}[Unit]\n{about}\n[Service]\nType=oneshot\nWorkingDirectory={directory}\n");
    for (name, value) in &spec.environment {
        let _ = writeln!(text, "Environment={}", quoted(&format!("{name}={value}"), '\0')?);
    }
    let words: Vec<String> = words.iter().map(|word| quoted(word, '$')).collect::<Result<_, _>>()?;
    let _ = writeln!(text, "ExecStart={}", words.join(" "));
    text.push_str(RETRY);
    Ok(text)
}

/// A value as a whole.
fn plain(text: &str) -> Result<String, Error> {
    if text.chars().any(char::is_control) || text.trim() != text {
        return Err(Error::Word(text.to_owned()));
    }
    Ok(text.replace('%', "%%"))
}

/// One word of several; `twice` stands for something else unless it is doubled.
fn quoted(word: &str, twice: char) -> Result<String, Error> {
    if word.chars().any(char::is_control) {
        return Err(Error::Word(word.to_owned()));
    }
    let mut text = String::new();
    for c in word.chars() {
        match c {
            '"' | '\\' => text.extend(['\\', c]),
            _ if c == '%' || c == twice => text.extend([c, c]),
            _ => text.push(c),
        }
    }
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "_-./:=@,+%$".contains(c);
    Ok(if !text.is_empty() && word.chars().all(is_plain) { text } else { format!("\"{text}\"") })
}

/// A schedule that is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Existing {
    /// What the units are called.
    pub name: String,
    /// Their text.
    pub units: Units,
    /// Whether the timer runs.
    pub runs: bool,
}

/// The values of `key` in a unit, in order.
pub fn values<'u>(unit: &'u str, key: &str) -> Vec<&'u str> {
    unit.lines().filter_map(|line| line.strip_prefix(key)?.strip_prefix('=')).collect()
}

/// systemd, as its own programs know it.
pub struct Systemd<'m> {
    /// This computer.
    pub machine: &'m dyn Machine,
    /// Where units are.
    pub place: Place,
}

/// What was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Done {
    /// Nothing: it is as it was.
    Nothing,
    /// Something.
    Something,
}

impl Systemd<'_> {
    async fn run(&self, words: &[&str]) -> Result<Finished, Error> {
        let (program, rest) = words.split_first().map_or(("", &[][..]), |(program, rest)| (*program, rest));
        let user = (self.place.scope == Scope::User && program == "systemctl").then_some("--user");
        let words = [program].into_iter().chain(user).chain(rest.iter().copied());
        Ok(machine::run(self.machine, &Command::new(words), &[]).await?)
    }

    async fn done(&self, words: &[&str]) -> Result<(), Error> {
        let ended = self.run(words).await?;
        if ended.status == 0 {
            return Ok(());
        }
        Err(Error::Refused { command: words.join(" "), said: last_words(&ended) })
    }

    /// Makes sure that there is one.
    ///
    /// # Errors
    ///
    /// [`Error::Nobody`].
    pub async fn answers(&self) -> Result<(), Error> {
        let ended = self.run(&["systemctl", "show", "--property=Version"]).await?;
        if ended.status == 0 {
            return Ok(());
        }
        Err(Error::Nobody { scope: self.place.scope, said: last_words(&ended) })
    }

    /// Refuses a time that is none. Without the program that knows, systemd says so itself.
    ///
    /// # Errors
    ///
    /// [`Error::Calendar`].
    pub async fn understands(&self, expression: &str) -> Result<(), Error> {
        let ended = self.run(&["systemd-analyze", "calendar", "--", expression]).await?;
        match ended.status {
            0 | 126 | 127 => Ok(()),
            _ => Err(Error::Calendar { expression: expression.to_owned(), said: last_words(&ended) }),
        }
    }

    /// Reads a schedule; none if there is none.
    ///
    /// # Errors
    ///
    /// See [`Error`].
    pub async fn look(&self, name: &str) -> Result<Option<Existing>, Error> {
        let (Some(service), Some(timer)) = (self.read(name, "service")?, self.read(name, "timer")?) else {
            return Ok(None);
        };
        let prune = self.read(&pruning(name), "service")?;
        let runs = self.is(&format!("{name}.timer"), "is-active").await?;
        Ok(Some(Existing { name: name.to_owned(), units: Units { service, timer, prune }, runs }))
    }

    fn read(&self, name: &str, end: &str) -> Result<Option<String>, Error> {
        let file = self.place.file(name, end);
        match fs::read_to_string(&file) {
            Ok(text) => Ok(Some(text)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(Error::File { file, source }),
        }
    }

    async fn is(&self, unit: &str, question: &str) -> Result<bool, Error> {
        Ok(self.run(&["systemctl", question, "--quiet", unit]).await?.status == 0)
    }

    /// Makes the schedule `units`, and has its timer run now and after every start.
    ///
    /// # Errors
    ///
    /// See [`Error`]. The same again goes on from there.
    pub async fn set(&self, name: &str, units: &Units) -> Result<Done, Error> {
        let timer = format!("{name}.timer");
        let mut done = Done::Nothing;
        let mut restart = false;
        let prune = pruning(name);
        let wanted = [
            (&*prune, "service", units.prune.as_ref()),
            (name, "service", Some(&units.service)),
            (name, "timer", Some(&units.timer)),
        ];
        for (name, end, text) in wanted {
            if self.read(name, end)?.as_ref() != text {
                let file = self.place.file(name, end);
                let written = text.map_or_else(|| fs::remove_file(&file), |text| write(&file, text));
                written.map_err(|source| Error::File { file, source })?;
                done = Done::Something;
                restart |= end == "timer";
            }
        }
        let stale = self.run(&["systemctl", "show", "--property=NeedDaemonReload", "--value", &timer]).await?;
        if done == Done::Something || stale.stdout.starts_with(b"yes") {
            self.done(&["systemctl", "daemon-reload"]).await?;
            (done, restart) = (Done::Something, true);
        }
        if !self.is(&timer, "is-enabled").await? || !self.is(&timer, "is-active").await? {
            self.done(&["systemctl", "enable", "--now", &timer]).await?;
            done = Done::Something;
        } else if restart {
            self.done(&["systemctl", "restart", &timer]).await?;
        }
        Ok(done)
    }

    /// Removes a schedule.
    ///
    /// # Errors
    ///
    /// See [`Error`]. The same again goes on from there.
    pub async fn remove(&self, name: &str) -> Result<Done, Error> {
        let timer = self.place.file(name, "timer");
        let services = [name, &pruning(name)].map(|name| self.place.file(name, "service"));
        let there: Vec<PathBuf> = [timer.clone()].into_iter().chain(services).filter(|file| file.exists()).collect();
        if there.is_empty() {
            return Ok(Done::Nothing);
        }
        if there.contains(&timer) {
            self.done(&["systemctl", "disable", "--now", &format!("{name}.timer")]).await?;
        }
        for file in there {
            fs::remove_file(&file).map_err(|source| Error::File { file, source })?;
        }
        self.done(&["systemctl", "daemon-reload"]).await?;
        Ok(Done::Something)
    }

    /// Whether timers of `account` run while nobody is logged in.
    ///
    /// # Errors
    ///
    /// [`Error::Lost`].
    pub async fn lingers(&self, account: &str) -> Result<bool, Error> {
        if self.place.scope == Scope::System {
            return Ok(true);
        }
        let ended = self.run(&["loginctl", "show-user", account, "--property=Linger", "--value"]).await?;
        Ok(ended.stdout.starts_with(b"yes"))
    }
}

/// The last line that a program wrote.
fn last_words(ended: &Finished) -> String {
    let text = String::from_utf8_lossy(&ended.stderr);
    text.lines().rev().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default().to_owned()
}

/// Writes a unit as a whole; it is no secret.
fn write(file: &Path, text: &str) -> io::Result<()> {
    let directory = file.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(directory)?;
    let mut temporary = tempfile::NamedTempFile::new_in(directory)?;
    temporary.write_all(text.as_bytes())?;
    temporary.as_file().set_permissions(fs::Permissions::from_mode(0o644))?;
    temporary.as_file().sync_all()?;
    temporary.persist(file).map(drop).map_err(|error| error.error)
}
