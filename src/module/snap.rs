//! `snap`: snaps, through the program of this name.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::module::arguments::{Kind, Parameter};
use crate::module::program::{self, Ran, Setting};
use crate::module::{Call, Context, Error, Failed, Mode, Outcome, typed};

/// What it may be told.
pub const PARAMETERS: &[Parameter] = &[
    Parameter::new("name", Kind::List).required(),
    Parameter::new("state", Kind::Choice(&["absent", "disabled", "enabled", "present"])),
    Parameter::new("classic", Kind::Flag),
    Parameter::new("channel", Kind::Text),
    Parameter::new("options", Kind::List),
    Parameter::new("dangerous", Kind::Flag),
];

/// What is wanted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Arguments {
    /// The snaps.
    pub name: Vec<String>,
    /// What they shall be.
    #[serde(default)]
    pub state: State,
    /// Whether they may reach beyond themselves.
    #[serde(default)]
    pub classic: bool,
    /// Where they come from, e.g. `5.0/stable`.
    pub channel: Option<String>,
    /// `KEY=VALUE`, possibly with `SNAP:` in front.
    #[serde(default)]
    pub options: Vec<String>,
    /// Whether files without a signature are installed.
    #[serde(default)]
    pub dangerous: bool,
}

/// What snaps shall be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Installed, of the channel.
    #[default]
    Present,
    /// Not installed.
    Absent,
    /// Enabled.
    Enabled,
    /// Disabled.
    Disabled,
}

pub(crate) fn parse(Call { arguments, .. }: Call) -> Result<Arguments, Error> {
    typed("snap", arguments)
}

/// A snap that is installed.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Installed {
    name: String,
    channel: String,
    enabled: bool,
}

/// What is to be done: a verb and the snaps.
#[derive(Debug, PartialEq, Eq)]
struct Step {
    verb: &'static str,
    /// What the result calls the snaps.
    told: &'static str,
    names: Vec<String>,
}

pub(crate) fn run(arguments: &Arguments, host: &Context, mode: Mode) -> Result<Outcome, Failed> {
    let snap = Snap { arguments, host, program: program::required("snap", host)? };
    let installed = listed(&snap.good(&["list"])?.stdout);
    let mut values = Map::from_iter([
        ("name".to_owned(), json!(arguments.name)),
        ("classic".to_owned(), json!(arguments.classic)),
        ("channel".to_owned(), json!(arguments.channel.clone().unwrap_or_else(|| "stable".to_owned()))),
    ]);
    if arguments.state == State::Present {
        values.insert("snap_names".to_owned(), json!(arguments.name));
    }
    let steps = plan(arguments, &installed);
    let mut changed = !steps.is_empty();
    for step in &steps {
        values.insert(step.told.to_owned(), json!(step.names));
        if mode == Mode::Apply {
            snap.act(step)?;
        }
    }
    let options = if arguments.state == State::Present { snap.options(mode)? } else { vec![] };
    changed |= !options.is_empty();
    if !options.is_empty() {
        values.insert("options_changed".to_owned(), json!(options));
    }
    Ok(Outcome { changed, values, ..Outcome::default() })
}

/// Reads what `snap list` tells.
fn listed(text: &str) -> Vec<Installed> {
    let line = |line: &str| {
        let words = line.split_whitespace().collect::<Vec<_>>();
        let [name, _, _, channel, _, notes] = words[..] else { return None };
        let enabled = !notes.split(',').any(|note| note == "disabled");
        Some(Installed { name: name.to_owned(), channel: channel.to_owned(), enabled })
    };
    text.lines().skip(1).filter_map(line).collect()
}

fn plan(arguments: &Arguments, installed: &[Installed]) -> Vec<Step> {
    let found = |name: &String| {
        let file = name.rsplit('/').next().unwrap_or(name).split('_').next().unwrap_or(name);
        installed
            .iter()
            .find(|it| it.name == *name || (matches!(name.rsplit_once('.'), Some((_, "snap"))) && it.name == file))
    };
    let chosen = |fits: &dyn Fn(Option<&Installed>) -> bool| -> Vec<String> {
        arguments.name.iter().filter(|name| fits(found(name))).cloned().collect()
    };
    let other = |it: &Installed| {
        let wanted = |channel: &String| it.channel != *channel && it.channel != format!("latest/{channel}");
        arguments.channel.as_ref().is_some_and(wanted)
    };
    let steps = match arguments.state {
        State::Present => vec![
            Step { verb: "refresh", told: "snaps_installed", names: chosen(&|it| it.is_some_and(other)) },
            Step { verb: "install", told: "snaps_installed", names: chosen(&|it| it.is_none()) },
        ],
        State::Absent => vec![Step { verb: "remove", told: "snaps_removed", names: chosen(&|it| it.is_some()) }],
        State::Enabled => {
            vec![Step { verb: "enable", told: "snaps_enabled", names: chosen(&|it| it.is_none_or(|it| !it.enabled)) }]
        }
        State::Disabled => {
            vec![Step { verb: "disable", told: "snaps_disabled", names: chosen(&|it| it.is_some_and(|it| it.enabled)) }]
        }
    };
    steps.into_iter().filter(|step| !step.names.is_empty()).collect()
}

struct Snap<'a> {
    arguments: &'a Arguments,
    host: &'a Context<'a>,
    program: String,
}

impl Snap<'_> {
    fn good(&self, words: &[&str]) -> Result<Ran, Failed> {
        program::good(&self.words(words), &Setting::default(), self.host)
    }

    fn words(&self, words: &[&str]) -> Vec<String> {
        std::iter::once(self.program.clone()).chain(words.iter().map(|word| (*word).to_owned())).collect()
    }

    fn act(&self, step: &Step) -> Result<(), Failed> {
        let mut words = vec![step.verb.to_owned()];
        if matches!(step.verb, "install" | "refresh") {
            words.extend(self.arguments.classic.then(|| "--classic".to_owned()));
            let channel = self.arguments.channel.iter().filter(|channel| *channel != "stable");
            words.extend(channel.flat_map(|it| ["--channel".to_owned(), it.clone()]));
            words.extend(self.arguments.dangerous.then(|| "--dangerous".to_owned()));
        }
        // With options of a single snap, each is done by itself.
        let alone = words.len() > 1 || matches!(step.verb, "enable" | "disable");
        let groups: Vec<&[String]> = if alone { step.names.chunks(1).collect() } else { vec![&step.names] };
        for names in groups {
            let line: Vec<&str> = words.iter().chain(names).map(String::as_str).collect();
            let ran = program::run(&self.words(&line), &Setting::default(), self.host)?;
            if ran.status != 0 {
                return Err(refused(&line.join(" "), &ran));
            }
        }
        Ok(())
    }

    /// Sets options that are otherwise; returns them.
    fn options(&self, mode: Mode) -> Result<Vec<String>, Failed> {
        let mut changed = vec![];
        for name in self.arguments.name.iter().filter(|_| !self.arguments.options.is_empty()) {
            let known = program::run(&self.words(&["get", "-d", name]), &Setting::default(), self.host)?;
            let known = serde_json::from_str::<Value>(&known.stdout).unwrap_or_default();
            let mut these = vec![];
            for option in &self.arguments.options {
                let wrong = || Failed::new(format!("Cannot parse set option '{option}'"));
                let (key, value) = option.split_once('=').ok_or_else(wrong)?;
                let (of, key) = key.split_once(':').map_or((None, key), |(of, key)| (Some(of), key));
                let (key, value) = (key.trim(), value.trim());
                if of.is_some_and(|of| !self.arguments.name.iter().any(|name| name == of)) {
                    let why = "refers to snap which is not in the list of snap names";
                    return Err(Failed::new(format!("Snap option '{option}' {why}")));
                }
                if of.is_none_or(|of| of == name) && set(&known, key).as_deref() != Some(value) {
                    these.push(format!("{key}={value}"));
                    changed.push(format!("{name}:{key}={value}"));
                }
            }
            if mode == Mode::Apply && !these.is_empty() {
                let words: Vec<&str> = ["set", name].into_iter().chain(these.iter().map(String::as_str)).collect();
                let ran = program::run(&self.words(&words), &Setting::default(), self.host)?;
                if ran.status != 0 {
                    return Err(unset(name, &these, &ran));
                }
            }
        }
        Ok(changed)
    }
}

/// What an option is set to, as Ansible writes it.
fn set(known: &Value, key: &str) -> Option<String> {
    let value = key.split('.').try_fold(known, |value, part| value.get(part))?;
    (!value.is_object()).then(|| super::arguments::text(value))
}

fn unset(name: &str, options: &[String], ran: &Ran) -> Failed {
    if ran.stderr.contains("has no \"configure\" hook") {
        return Failed::new(format!("Snap '{name}' does not have any configurable options"));
    }
    let options = options.join(" ");
    Failed::new(format!("Cannot set options '{options}' for snap '{name}': error={}", ran.stderr))
}

fn refused(line: &str, ran: &Ran) -> Failed {
    let classic = ran.stderr.strip_prefix("error: This revision of snap \"").and_then(|rest| {
        rest.split_once("\" was published using classic confinement").map(|(name, _)| name.to_owned())
    });
    let why = classic.map_or_else(
        || format!("Ooops! Snap operation failed while executing 'snap {line}': {}", ran.stderr.trim()),
        |name| format!("Couldn't install {name} because it requires classic confinement"),
    );
    Failed::new(why).with("rc", ran.status).with("stdout", ran.stdout.clone()).with("stderr", ran.stderr.clone())
}
