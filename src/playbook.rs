//! Playbooks: parsed, scoped, rendered and run.
//!
//! A playbook is read into a [`model::Playbook`] with positions ([`parse`]), its variables live in a [`scope`], text is
//! rendered by [`jinja`], hosts come from an [`inventory`], and [`run`] carries it out through the agent.

use std::path::PathBuf;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use serde_json::{Map, Value};
use thiserror::Error;

use crate::event::{Events, HostRecap};
use crate::machine::Machine;
use crate::module::Mode;
use crate::place::{Problem, listed};
use crate::secret::Secret;

pub mod argument_spec;
mod check;
pub mod configuration;
pub mod connection;
pub mod files;
pub mod inventory;
pub mod jinja;
pub mod local_modules;
mod lookup;
mod masked;
pub mod model;
mod origin;
pub mod outline;
pub mod parse;
pub mod reading;
mod run;
pub mod scope;
pub mod tags;
pub mod vault;
pub mod words;

use connection::Connection;
pub use masked::Masked;
use reading::Reading;

/// Whether differences are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Diffs {
    /// With every change.
    Shown,
    /// Not at all.
    Hidden,
}

/// Where hosts come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A file or a directory of files, INI or YAML.
    File(PathBuf),
    /// A comma-separated list of names, e.g. `host-1,host-2`.
    Names(String),
}

impl std::fmt::Display for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(f),
            Self::Names(names) => f.write_str(names),
        }
    }
}

/// A question of `vars_prompt`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// What a person reads.
    pub question: String,
    /// What counts where nothing is typed.
    pub default: Option<String>,
    /// Whether what is typed is not shown.
    pub private: bool,
    /// Whether it must be typed twice.
    pub confirm: bool,
}

type Asking = dyn Fn(&Asked) -> Result<String, String> + Send + Sync;

/// Asks a person.
#[derive(Clone)]
pub struct Ask(Arc<Asking>);

impl Ask {
    /// Asks by calling `how`.
    pub fn new(how: impl Fn(&Asked) -> Result<String, String> + Send + Sync + 'static) -> Self {
        Self(Arc::new(how))
    }

    /// Returns the answer.
    ///
    /// # Errors
    ///
    /// There is none to be had.
    pub fn answer(&self, asked: &Asked) -> Result<String, String> {
        (self.0)(asked)
    }
}

impl std::fmt::Debug for Ask {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Ask")
    }
}

/// A playbook that is to be run.
#[derive(Clone, Debug)]
pub struct Request {
    /// The file.
    pub playbook: PathBuf,
    /// Its hosts.
    pub inventory: Vec<Source>,
    /// Extra variables: they win over all others.
    pub extra_vars: Map<String, Value>,
    /// Whether to act or only to say what would be done.
    pub mode: Mode,
    /// Whether differences are shown.
    pub diffs: Diffs,
    /// Pattern that the hosts of every play must match too.
    pub limit: Option<String>,
    /// Most hosts worked on at a time.
    pub forks: usize,
    /// Password for `become`, where the inventory gives none.
    pub become_password: Option<Secret>,
    /// Login name where the inventory gives none.
    pub user: Option<String>,
    /// Private key where the inventory gives none.
    pub key: Option<PathBuf>,
    /// Which tasks are carried out, by their tags.
    pub tags: tags::Wanted,
    /// The name of the first task that is carried out.
    pub start_at: Option<String>,
    /// How files are read.
    pub reading: Reading,
    /// Asks a person for what `vars_prompt` wants; without it, defaults count.
    pub ask: Option<Ask>,
    /// Stops after the current task once it is set to true.
    pub stop: tokio::sync::watch::Receiver<bool>,
}

impl Request {
    /// Runs all of a playbook on its hosts, one at a time, as nobody in particular.
    pub fn new(playbook: PathBuf, inventory: Vec<Source>, stop: tokio::sync::watch::Receiver<bool>) -> Self {
        Self {
            playbook,
            inventory,
            extra_vars: Map::new(),
            mode: Mode::Apply,
            diffs: Diffs::Hidden,
            limit: None,
            forks: 1,
            become_password: None,
            user: None,
            key: None,
            tags: tags::Wanted::default(),
            start_at: None,
            reading: Reading::default(),
            ask: None,
            stop,
        }
    }
}

/// What a carrier said when it could not be opened. The edge looks for causes that it knows.
pub type Refused = Box<dyn std::error::Error + Send + Sync>;

/// Returns what a carrier said, with all causes.
pub fn in_full(refused: &Refused) -> String {
    let causes = std::iter::successors(Some(refused.as_ref() as &dyn std::error::Error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

/// Opens the machine that a connection means. Called once for each connection.
pub type Connect = Arc<dyn Fn(Connection) -> BoxFuture<'static, Result<Arc<dyn Machine>, Refused>> + Send + Sync>;

/// How a playbook ended on every host, sorted by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recap {
    /// One a host.
    pub hosts: Vec<HostRecap>,
}

/// A playbook did not end well.
#[derive(Debug, Error)]
pub enum Error {
    /// It cannot be carried out as it is written. Nothing was touched.
    #[error("{}", listed(.0))]
    Problems(Vec<Problem>),

    /// Tasks failed.
    #[error("tasks failed on {}", hosts.join(", "))]
    Failed {
        /// The hosts they failed on.
        hosts: Vec<String>,
        /// How it ended everywhere.
        recap: Recap,
    },

    /// A host could not be reached and no task failed elsewhere.
    #[error("cannot reach {host}")]
    Unreachable {
        /// Its inventory name.
        host: String,
        /// How it ended everywhere.
        recap: Recap,
        /// What the carrier said.
        source: Refused,
    },

    /// A person asked it to stop.
    #[error("stopped after task `{task}`")]
    Stopped {
        /// The last task that was carried out.
        task: String,
    },
}

/// Runs a playbook.
///
/// # Errors
///
/// - [`Error::Problems`]: nothing was touched.
/// - [`Error::Failed`], [`Error::Unreachable`]: the hosts that are not named went through to the end.
/// - [`Error::Stopped`]: the tasks up to the named one were carried out.
pub async fn run(request: Request, connect: Connect, events: &Events) -> Result<Recap, Error> {
    run::run(&request, connect, events).await.map_err(|error| masked::error(error, &request.reading.vault))
}

/// What is known without touching anything.
#[derive(Clone, Debug, Default)]
pub struct Known {
    /// Hosts, if an inventory is known.
    pub inventory: Vec<Source>,
    /// Extra variables that will be given, with the values that are known; `null` for "given, value not known".
    pub extra_vars: Map<String, Value>,
    /// How files are read.
    pub reading: Reading,
}

/// Returns every problem of a playbook that can be found without touching anything.
///
/// YAML and Jinja errors, keywords, modules and parameters that are not known, and roles, templates, files and variable
/// files that are not there (where their path can be computed).
pub fn check(playbook: &std::path::Path, known: &Known) -> Vec<Problem> {
    masked::problems(check::check(playbook, known), &known.reading.vault)
}

/// Returns the files that the result of a playbook depends on, sorted: playbooks, whole role trees, variable files,
/// templates and files. Files that are named but not there are listed too.
///
/// # Errors
///
/// What cannot be read of the playbook.
pub fn inputs(playbook: &std::path::Path, known: &Known) -> Result<Vec<PathBuf>, Vec<Problem>> {
    check::inputs(playbook, known).map_err(|problems| masked::problems(problems, &known.reading.vault))
}

/// Reads extra variables as Ansible's `-e` takes them: `k=v k2="v 2"` (values are text), a JSON or YAML mapping, or
/// `@FILE` with one.
///
/// # Errors
///
/// A [`Problem`] without a place, or one of the file.
pub fn extra_vars(text: &str, reading: &Reading) -> Result<Map<String, Value>, Problem> {
    let problem = |message: String| Problem::new(crate::place::Place::default(), message);
    let trimmed = text.trim();
    if let Some(file) = trimmed.strip_prefix('@') {
        return reading.vars(std::path::Path::new(file)).map_err(|problem| *problem);
    }
    if trimmed.starts_with(['{', '[']) {
        let documents = crate::yaml::load(trimmed, crate::yaml::Dialect::Ansible)
            .map_err(|error| problem(format!("extra variables cannot be read: {error}")))?;
        return match documents.first().map(crate::yaml::Node::value) {
            Some(Value::Object(variables)) => Ok(variables),
            _ => Err(problem("extra variables must be a mapping".to_owned())),
        };
    }
    let line = words::split(trimmed, words::Keys::All).map_err(problem)?;
    match line.text.split_whitespace().next() {
        Some(word) => Err(problem(format!("`{word}` is not `name=value`"))),
        None => Ok(line.pairs.into_iter().map(|(name, value)| (name, Value::from(value))).collect()),
    }
}
