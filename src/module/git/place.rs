//! Where a working copy is, and where it comes from.

use std::fs;

use crate::module::git::Arguments;
use crate::module::{Context, Failed};

/// The place of a working copy.
pub(super) struct Place<'a> {
    /// What the task says.
    pub(super) arguments: &'a Arguments,
    /// The machine.
    pub(super) host: &'a Context<'a>,
    /// Where it is.
    pub(super) dest: Option<String>,
    /// Where it comes from.
    pub(super) repo: String,
    /// What holds its configuration.
    folder: String,
}

impl<'a> Place<'a> {
    pub(super) fn new(arguments: &'a Arguments, host: &'a Context<'a>) -> Result<Self, Failed> {
        let dest = arguments.dest.as_ref().map(|dest| host.system.path(dest).trim_end_matches('/').to_owned());
        let repo = host.system.home(&arguments.repo);
        // Only so, the depth of a repository of this machine counts.
        let repo = if repo.starts_with('/') { format!("file://{repo}") } else { repo };
        let folder = match &dest {
            Some(dest) if arguments.bare => dest.clone(),
            Some(dest) => folder(dest, host)?,
            None => String::new(),
        };
        Ok(Self { arguments, host, dest, repo, folder })
    }

    /// Whether there is a repository.
    pub(super) fn there(&self) -> bool {
        self.dest.is_some() && self.host.system.real(&format!("{}/config", self.folder)).exists()
    }

    /// The path of the working copy; nothing if none is wanted.
    pub(super) fn path(&self) -> &str {
        self.dest.as_deref().unwrap_or_default()
    }

    /// Whether `known` is somewhere else than the task says.
    pub(super) fn is_not(&self, known: &str) -> bool {
        let plain = |url: &str| url.trim_start_matches("file://").trim_end_matches('/').to_owned();
        known != self.arguments.remote && plain(known) != plain(&self.repo)
    }

    /// Makes the directory above the working copy.
    pub(super) fn make_room(&self) -> Result<(), Failed> {
        let above = self.path().rsplit_once('/').map_or("/", |(above, _)| above);
        let told = |error| Failed::new(format!("cannot create directory {above}: {error}"));
        fs::create_dir_all(self.host.system.real(above)).map_err(told)
    }
}

/// Where a working copy keeps its repository: `.git`, or what a file of this name says.
fn folder(dest: &str, host: &Context) -> Result<String, Failed> {
    let path = format!("{dest}/.git");
    let real = host.system.real(&path);
    if !real.is_file() {
        return Ok(path);
    }
    let told = |error: std::io::Error| Failed::new(format!("cannot read {path}: {error}"));
    let text = fs::read_to_string(&real).map_err(told)?;
    let wrong = || Failed::new("Current repo does not have a valid reference to a separate Git dir");
    let named = text.trim().strip_prefix("gitdir:").map(str::trim).ok_or_else(wrong)?;
    Ok(if named.starts_with('/') { named.to_owned() } else { format!("{dest}/{named}") })
}
