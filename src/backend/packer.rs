//! Packer, as the scripts of the original call it: `packer build -var host_id=HOST -var version=VERSION … TEMPLATE`.

use std::ffi::OsStr;
use std::path::Path;
use std::sync::LazyLock;

use futures_util::future::BoxFuture;
use regex::Regex;

use crate::backend::ansible;
use crate::backend::program::{self, Program, Stream, Version};
use crate::backend::{Build, ImageBuild};
use crate::event::{Event, Events};

/// The oldest version that does: the first whose templates in HCL are no experiment.
const OLDEST: Version = (1, 6);

/// The variable that says whether an image is built on the host, in all templates of the field.
const REMOTE: &str = "remote";

/// Builds images by `packer`.
pub struct Packer {
    program: Program,
    place: BuildPlace,
}

/// Where images are built (`remote_build` in a project's configuration).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BuildPlace {
    /// On this computer; they are sent to the host.
    Here,
    /// On the host.
    Host,
}

impl Packer {
    /// Finds it in the directories of `path`.
    ///
    /// # Errors
    ///
    /// It is not there, or too old.
    pub async fn find(path: &OsStr, place: BuildPlace) -> Result<Self, program::Error> {
        Ok(Self { program: Program::find("packer", path, OLDEST).await?, place })
    }
}

impl Build for Packer {
    fn build<'a>(&'a self, image: &'a ImageBuild, events: &'a Events) -> BoxFuture<'a, Result<(), program::Error>> {
        Box::pin(async move {
            let mut output = Output::default();
            let directory = image.template.parent().unwrap_or(Path::new("."));
            let each = |stream, line: &str| {
                let (event, read) = output.line(stream, line);
                if let Some(event) = event {
                    events.emit(event);
                }
                read
            };
            // What its provisioner says is read as Ansible's.
            let environment = [ansible::ENVIRONMENT.as_slice(), &[("CHECKPOINT_DISABLE", "1")]].concat();
            self.program.run(&words(image, self.place), directory, &environment, each).await
        })
    }
}

/// What it is started with. None of it is a secret: the original gives names and versions, and secrets are read by
/// templates and playbooks from files.
pub fn words(image: &ImageBuild, place: BuildPlace) -> Vec<String> {
    let mut words = ["build", "-machine-readable", "-color=false"].map(str::to_owned).to_vec();
    words.extend(image.source.iter().map(|source| format!("-only={source}")));
    for (name, value) in &image.variables {
        let here = name == REMOTE && place == BuildPlace::Here;
        let value = if here { "false" } else { value };
        words.extend(["-var".to_owned(), format!("{name}={value}")]);
    }
    words.push(image.template.display().to_string());
    words
}

/// Reads what Packer says, as far as it has come.
#[derive(Debug, Default)]
pub struct Output {
    playbook: ansible::Output,
}

/// The name of a build in front of what it says.
static HEAD: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"^(?:==>|-->|   ) [\w.-]+: ?").ok());

impl Output {
    /// Returns what a line tells, if anything, and what a person reads of it.
    ///
    /// Source: Packer's documentation, "Machine-Readable Output": time, target, type and data with commas between them.
    pub fn line(&mut self, stream: Stream, line: &str) -> (Option<Event>, Vec<String>) {
        let mut fields = line.splitn(5, ',');
        let time = fields.next().unwrap_or_default();
        if time.is_empty() || !time.bytes().all(|byte| byte.is_ascii_digit()) {
            return (None, vec![line.to_owned()]);
        }
        let (kind, level, text) = (fields.nth(1), fields.next(), fields.next());
        let (Some("ui"), Some(level), Some(text)) = (kind, level, text) else { return (None, vec![]) };
        let text = text.replace("%!(PACKER_COMMA)", ",");
        let head = HEAD.as_ref().and_then(|head| head.find(&text)).map_or(0, |head| head.end());
        let (head, rest) = text.split_at(head);
        let event = match level {
            // Its backslashes are the provisioner's own.
            "message" => self.playbook.event(stream, rest),
            "say" if !head.is_empty() => Some(Event::TaskStarted { name: rest.to_owned(), handler: false }),
            _ => None,
        };
        let lines = if level == "message" { vec![rest] } else { rest.split("\\n").collect() };
        (event, lines.into_iter().filter(|line| !line.is_empty()).map(str::to_owned).collect())
    }
}
