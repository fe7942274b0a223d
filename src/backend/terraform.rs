//! Terraform or Tofu, as the scripts of the original call it, in the directory of a repository's deployment:
//! `workspace select HOST` (or `new`), `init`, and `apply -input=false -auto-approve -var host_id=HOST
//! -var image_version=VERSION`.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use futures_util::future::BoxFuture;
use serde_json::Value;

use crate::backend::program::{self, Program, Stream, Version};
use crate::backend::{Deploy, Rollout};
use crate::event::{Event, Events, TaskStatus};

/// The oldest version that does: the first that tells in JSON what it does, but for the last of 0.15.
const OLDEST: Version = (1, 0);

/// Brings deployments up by `terraform` or `tofu`.
pub struct Terraform {
    program: Program,
    name: &'static str,
}

impl Terraform {
    /// Finds the program `name` in the directories of `path`.
    ///
    /// # Errors
    ///
    /// It is not there, or too old.
    pub async fn find(name: &'static str, path: &OsStr) -> Result<Self, program::Error> {
        Ok(Self { program: Program::find(name, path, OLDEST).await?, name })
    }

    async fn run(
        &self,
        rollout: &Rollout,
        words: &[&str],
        environment: &[(&str, &str)],
        each: impl FnMut(Stream, &str) -> Vec<String> + Send,
    ) -> Result<(), program::Error> {
        let directory = format!("-chdir={}", rollout.directory.display());
        let words: Vec<String> = std::iter::once(directory).chain(words.iter().map(|&word| word.to_owned())).collect();
        let own = [("TF_IN_AUTOMATION", "1"), ("CHECKPOINT_DISABLE", "1")];
        self.program.run(&words, &rollout.directory, &[&own, environment].concat(), each).await
    }
}

impl Deploy for Terraform {
    fn name(&self) -> &'static str {
        self.name
    }

    fn deploy<'a>(&'a self, rollout: &'a Rollout, events: &'a Events) -> BoxFuture<'a, Result<(), program::Error>> {
        Box::pin(async move {
            let plain = |_, line: &str| vec![line.to_owned()];
            let host = rollout.host.as_str();
            let known = state(&rollout.directory, host).parent().is_some_and(Path::is_dir);
            let choose = if known { "select" } else { "new" };
            self.run(rollout, &["workspace", choose, host], &[], plain).await?;
            // The scripts of the original look for it.
            let marker = marker(rollout);
            fs::write(&marker, "").map_err(|source| program::Error::File { path: marker, source })?;
            // Another run in this directory, for another host, may choose another workspace meanwhile.
            let workspace = [("TF_WORKSPACE", host)];
            self.run(rollout, &["init", "-input=false", "-no-color"], &workspace, plain).await?;
            let words = apply(rollout);
            let words: Vec<&str> = words.iter().map(String::as_str).collect();
            let each = |_, line: &str| {
                let (event, read) = told(host, line);
                if let Some(event) = event {
                    events.emit(event);
                }
                read
            };
            self.run(rollout, &words, &workspace, each).await
        })
    }
}

/// How it is told to apply. The variables are names and versions, as in the original, and no secrets: those are read by
/// the files themselves.
pub fn apply(rollout: &Rollout) -> Vec<String> {
    let mut words = ["apply", "-json", "-input=false", "-auto-approve"].map(str::to_owned).to_vec();
    for (name, value) in [("host_id", &rollout.host), ("image_version", &rollout.version)] {
        words.extend(["-var".to_owned(), format!("{name}={value}")]);
    }
    words
}

/// What the scripts of the original know by that there is a workspace.
fn marker(rollout: &Rollout) -> PathBuf {
    let repository = rollout.directory.parent().unwrap_or(Path::new("."));
    repository.join("configuration").join(format!("{}_workspace_created", rollout.host))
}

/// Where it keeps what it knows of `host`.
pub fn state(directory: &Path, host: &str) -> PathBuf {
    directory.join("terraform.tfstate.d").join(host).join("terraform.tfstate")
}

/// Forgets what it knows of `host`, if anything.
///
/// # Errors
///
/// The file cannot be removed.
pub fn forget(directory: &Path, host: &str) -> Result<(), program::Error> {
    let path = state(directory, host);
    match fs::remove_file(&path) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => Err(program::Error::File { path, source }),
        _ => Ok(()),
    }
}

/// Returns what a line of `apply -json` tells, if anything, and what a person reads of it.
///
/// Source: Terraform's documentation, "Machine-Readable UI".
pub fn told(host: &str, line: &str) -> (Option<Event>, Vec<String>) {
    let Ok(said) = serde_json::from_str::<Value>(line) else { return (None, vec![line.to_owned()]) };
    let message = said["@message"].as_str().unwrap_or_default().to_owned();
    let resource = said["hook"]["resource"]["addr"].as_str().unwrap_or_default();
    let action = said["hook"]["action"].as_str().unwrap_or_default();
    let task = format!("{action} {resource}");
    let done = |status| {
        let (host, task, message) = (host.to_owned(), task.clone(), Some(message.clone()));
        let took = said["hook"]["elapsed_seconds"].as_u64().unwrap_or_default() * 1000;
        Event::TaskDone { host, task, item: None, status, message, diff: None, took }
    };
    let diagnostic = &said["diagnostic"];
    let event = match said["type"].as_str().unwrap_or_default() {
        "apply_start" => Some(Event::TaskStarted { name: task, handler: false }),
        "apply_complete" => Some(done(TaskStatus::Changed)),
        "apply_errored" => Some(done(TaskStatus::Failed)),
        "diagnostic" if diagnostic["severity"] == "warning" => Some(Event::Warned { message: message.clone() }),
        _ => None,
    };
    let details = diagnostic["detail"].as_str().unwrap_or_default().lines().map(str::to_owned);
    (event, std::iter::once(message).chain(details).filter(|line| !line.is_empty()).collect())
}
