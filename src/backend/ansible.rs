//! Ansible, as the scripts of the original call it: `ansible-playbook -i INVENTORY PLAYBOOK --extra-vars host_id=HOST`.

use std::ffi::OsStr;
use std::path::Path;
use std::sync::LazyLock;

use futures_util::future::BoxFuture;
use regex::Regex;
use serde_json::Value;
use tokio::sync::watch;

use crate::backend::program::{self, Program, Stream, Version};
use crate::backend::{Configure, Error, HostSetup};
use crate::event::{Event, Events, HostRecap, TaskStatus};
use crate::module::Mode;

/// The oldest version that does: the one that the original was written for.
const OLDEST: Version = (2, 9);

/// What Ansible's output is made of depends on the operator's configuration otherwise.
pub(super) const ENVIRONMENT: [(&str, &str); 5] = [
    ("ANSIBLE_STDOUT_CALLBACK", "default"),
    ("ANSIBLE_NOCOLOR", "1"),
    ("ANSIBLE_FORCE_COLOR", "0"),
    ("ANSIBLE_DISPLAY_FAILED_STDERR", "0"),
    ("PYTHONUNBUFFERED", "1"),
];

/// Runs playbooks by `ansible-playbook`.
pub struct Ansible {
    program: Program,
}

impl Ansible {
    /// Finds it in the directories of `path`.
    ///
    /// # Errors
    ///
    /// It is not there, or too old.
    pub async fn find(path: &OsStr) -> Result<Self, program::Error> {
        Ok(Self { program: Program::find("ansible-playbook", path, OLDEST).await? })
    }
}

impl Configure for Ansible {
    fn set_up<'a>(
        &'a self,
        setup: HostSetup,
        events: &'a Events,
        _stop: watch::Receiver<bool>,
    ) -> BoxFuture<'a, Result<usize, Error>> {
        Box::pin(async move {
            let mut output = Output::default();
            let directory = setup.playbook.parent().unwrap_or(Path::new("."));
            let words = words(&setup);
            let each = |stream, line: &str| {
                if let Some(event) = output.event(stream, line) {
                    events.emit(event);
                }
                vec![line.to_owned()]
            };
            let ended = self.program.run(&words, directory, &ENVIRONMENT, each).await;
            let changed = output.recap.iter().map(|host| host.changed).sum();
            events.emit(Event::Recap { hosts: output.recap });
            ended?;
            Ok(changed)
        })
    }
}

/// What it is started with.
pub fn words(setup: &HostSetup) -> Vec<String> {
    let mut words = vec!["-i".to_owned(), setup.inventory.display().to_string(), setup.playbook.display().to_string()];
    let plain = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    for (name, value) in &setup.extra_vars {
        words.extend(["--extra-vars".to_owned(), format!("{name}={}", plain(value))]);
    }
    if setup.mode == Mode::Check {
        words.push("--check".to_owned());
    }
    words
}

/// Reads what Ansible says, as far as it has come.
#[derive(Debug, Default)]
pub struct Output {
    task: String,
    in_recap: bool,
    recap: Vec<HostRecap>,
}

static HEAD: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"^(PLAY|TASK|RUNNING HANDLER) \[(.*)\] \**$").ok());
static ENDED: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(r"^(ok|changed|skipping|fatal|failed): \[(.+?)\](?:: (FAILED!|UNREACHABLE!))?(?: (?:=> )?\(item=(.*?)\))?(?: => (.*))?$")
        .ok()
});
static RECAP: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(r"^(\S+)\s+: ok=(\d+)\s+changed=(\d+)\s+unreachable=(\d+)\s+failed=(\d+)(?:\s+skipped=(\d+)\s+rescued=(\d+)\s+ignored=(\d+))?")
        .ok()
});

impl Output {
    /// Returns what a line tells, if anything.
    pub fn event(&mut self, stream: Stream, line: &str) -> Option<Event> {
        if let Some(message) = line.strip_prefix("[WARNING]: ") {
            return Some(Event::Warned { message: message.to_owned() });
        }
        if stream == Stream::Error {
            return None;
        }
        if line.starts_with("PLAY RECAP") {
            self.in_recap = true;
            return None;
        }
        if self.in_recap {
            self.recap.extend(recap(line));
            return None;
        }
        if let Some(found) = HEAD.as_ref()?.captures(line) {
            let name = found[2].to_owned();
            if &found[1] == "PLAY" {
                return Some(Event::PlayStarted { name });
            }
            self.task.clone_from(&name);
            return Some(Event::TaskStarted { name, handler: &found[1] != "TASK" });
        }
        let found = ENDED.as_ref()?.captures(line)?;
        let status = match (&found[1], found.get(3).map(|it| it.as_str())) {
            ("ok", _) => TaskStatus::Ok,
            ("changed", _) => TaskStatus::Changed,
            ("skipping", _) => TaskStatus::Skipped,
            (_, Some("UNREACHABLE!")) => TaskStatus::Unreachable,
            _ => TaskStatus::Failed,
        };
        let said = found.get(5).map(|it| it.as_str());
        let message = said.and_then(|text| serde_json::from_str::<Value>(text).ok());
        Some(Event::TaskDone {
            host: found[2].to_owned(),
            task: self.task.clone(),
            item: found.get(4).map(|it| it.as_str().to_owned()),
            status,
            message: message.and_then(|it| it["msg"].as_str().map(str::to_owned)),
            diff: None,
            took: 0,
        })
    }
}

fn recap(line: &str) -> Option<HostRecap> {
    let found = RECAP.as_ref()?.captures(line)?;
    let number = |at: usize| found.get(at).and_then(|it| it.as_str().parse().ok()).unwrap_or(0);
    Some(HostRecap {
        host: found[1].to_owned(),
        ok: number(2),
        changed: number(3),
        unreachable: number(4),
        failed: number(5),
        skipped: number(6),
        rescued: number(7),
        ignored: number(8),
    })
}
