//! `systemd` and `service`: units, through `systemctl`.

use serde::{Deserialize, Serialize};
use serde_json::{Map, json};

use crate::module::arguments::{Kind, Parameter};
use crate::module::program::{self, Ran, Setting};
use crate::module::{Call, Context, Error, Failed, Mode, Outcome, typed};

const STATES: Kind = Kind::Choice(&["reloaded", "restarted", "started", "stopped"]);

/// What `systemd` may be told.
pub const PARAMETERS: &[Parameter] = &[
    Parameter::new("name", Kind::Text).or(&["service", "unit"]),
    Parameter::new("state", STATES),
    Parameter::new("enabled", Kind::Flag),
    Parameter::new("force", Kind::Flag),
    Parameter::new("masked", Kind::Flag),
    Parameter::new("daemon_reload", Kind::Flag).or(&["daemon-reload"]),
    Parameter::new("daemon_reexec", Kind::Flag).or(&["daemon-reexec"]),
    Parameter::new("scope", Kind::Choice(&["system", "user", "global"])),
    Parameter::new("no_block", Kind::Flag),
];

/// What `service` may be told.
pub const SERVICE_PARAMETERS: &[Parameter] = &[
    Parameter::new("name", Kind::Text).required(),
    Parameter::new("state", STATES),
    Parameter::new("enabled", Kind::Flag),
    Parameter::new("sleep", Kind::Integer),
    Parameter::new("pattern", Kind::Text),
    Parameter::new("runlevel", Kind::Text),
    Parameter::new("arguments", Kind::Text).or(&["args"]),
    Parameter::new("use", Kind::Choice(&["auto", "systemd"])),
    Parameter::new("daemon_reload", Kind::Flag).or(&["daemon-reload"]),
];

/// What is wanted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(clippy::struct_excessive_bools, reason = "the parameters of the module, as Ansible names them")]
pub struct Arguments {
    /// The unit, `.service` understood.
    pub name: Option<String>,
    /// Whether it runs.
    pub state: Option<State>,
    /// Whether it starts at boot.
    pub enabled: Option<bool>,
    /// Whether it can be started at all.
    pub masked: Option<bool>,
    /// Whether existing links may be overwritten.
    #[serde(default)]
    pub force: bool,
    /// Whether unit files are read again first.
    #[serde(default)]
    pub daemon_reload: bool,
    /// Whether systemd is started again first.
    #[serde(default)]
    pub daemon_reexec: bool,
    /// Whose units.
    #[serde(default)]
    pub scope: Scope,
    /// Whether not to wait for the unit.
    #[serde(default)]
    pub no_block: bool,
    /// Seconds between stop and start of a restart.
    pub sleep: Option<i64>,
}

/// Whether a unit runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// It runs, and has read its configuration again.
    Reloaded,
    /// It was stopped and started.
    Restarted,
    /// It runs.
    Started,
    /// It does not.
    Stopped,
}

/// Whose units.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// The machine's.
    #[default]
    System,
    /// The agent's account's.
    User,
    /// Every account's.
    Global,
}

pub(crate) fn parse(Call { module, arguments, .. }: Call) -> Result<Arguments, Error> {
    let acting = ["state", "enabled", "masked"].iter().any(|name| arguments.contains_key(*name));
    if acting && !arguments.contains_key("name") {
        return Err(Error::Missing { module: module.to_owned(), name: "name".to_owned() });
    }
    if !acting && !arguments.contains_key("daemon_reload") && !arguments.contains_key("daemon_reexec") {
        return Err(Error::Missing { module: module.to_owned(), name: "state or enabled".to_owned() });
    }
    typed(module, arguments)
}

/// What systemd says of a unit.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Scene {
    /// The properties that `systemctl show` tells.
    pub status: std::collections::BTreeMap<String, String>,
    /// What `systemctl is-enabled` writes.
    pub enabled: String,
    /// Whether systemd runs here; else units can only be enabled and masked.
    pub running: bool,
    /// Whether it is known not to run on purpose: a change of root, or `SYSTEMD_OFFLINE`.
    pub offline: bool,
}

pub(crate) fn run(arguments: &Arguments, host: &Context, mode: Mode) -> Result<Outcome, Failed> {
    let name = arguments.name.as_deref().unwrap_or_default();
    if let Some(pattern) = ["*", "?", "["].into_iter().find(|pattern| name.contains(pattern)) {
        return Err(Failed::new(format!(
            "This module does not currently support using glob patterns, found '{pattern}' in service name: {name}"
        )));
    }
    let systemctl = Systemctl { arguments, host };
    if mode == Mode::Apply {
        for (wanted, verb) in [(arguments.daemon_reload, "daemon-reload"), (arguments.daemon_reexec, "daemon-reexec")] {
            if wanted {
                systemctl.act(&[verb])?;
            }
        }
    }
    let Some(name) = &arguments.name else {
        let values = Map::from_iter([("name".to_owned(), json!(null)), ("status".to_owned(), json!({}))]);
        return Ok(Outcome { values, ..Outcome::default() });
    };
    let scene = systemctl.look(name)?;
    let verbs = plan(arguments, &scene)?;
    if mode == Mode::Apply {
        for verb in &verbs {
            match verb.as_str() {
                "sleep" => std::thread::sleep(std::time::Duration::from_secs(
                    arguments.sleep.and_then(|seconds| u64::try_from(seconds).ok()).unwrap_or(0),
                )),
                verb => drop(systemctl.act(&[verb, name])?),
            }
        }
    }
    let mut values = Map::from_iter([("name".to_owned(), json!(name)), ("status".to_owned(), json!(scene.status))]);
    values.extend(arguments.enabled.map(|enabled| ("enabled".to_owned(), json!(enabled))));
    let state = arguments.state.map(|state| if state == State::Stopped { "stopped" } else { "started" });
    values.extend(state.map(|state| ("state".to_owned(), json!(state))));
    let unasked = arguments.state.is_some() && !scene.running;
    let warning = "Target is a chroot or systemd is offline: the service is neither started nor stopped";
    let warnings = unasked.then(|| warning.to_owned()).into_iter().collect();
    Ok(Outcome { changed: !verbs.is_empty(), values, warnings, ..Outcome::default() })
}

/// The verbs of `systemctl` that make the unit as wanted, in order.
///
/// # Errors
///
/// [`Failed`]: there is no such unit, it is masked and shall run, or nobody knows whether it runs.
pub fn plan(arguments: &Arguments, scene: &Scene) -> Result<Vec<String>, Failed> {
    let name = arguments.name.as_deref().unwrap_or_default();
    let property = |name: &str| scene.status.get(name).map_or("", String::as_str);
    let (load, active) = (property("LoadState"), property("ActiveState"));
    let masked = load == "masked" || scene.enabled.starts_with("masked");
    let mut verbs = vec![];
    if let Some(wanted) = arguments.masked.filter(|wanted| *wanted != masked) {
        verbs.push(if wanted { "mask" } else { "unmask" }.to_owned());
    }
    let known = if scene.running {
        !load.is_empty() && load != "not-found" && load != "bad-setting"
    } else {
        !scene.enabled.is_empty()
    };
    let stays_masked = masked && arguments.masked != Some(false);
    let stopping = matches!(arguments.state, None | Some(State::Stopped)) && arguments.enabled != Some(true);
    let masking = arguments.masked.is_some() && arguments.state.is_none() && arguments.enabled.is_none();
    if !known && !masking {
        return Err(Failed::new(format!("Could not find the requested service {name}: host")));
    }
    if let Some(wanted) = arguments.enabled {
        let enabled = ["enabled", "enabled-runtime", "static", "generated"];
        if wanted && stays_masked {
            return Err(Failed::new(format!("Unable to enable service {name}: unit is masked")));
        }
        // A static unit cannot be disabled: it is left as it is.
        let now = enabled.contains(&scene.enabled.as_str()) && (wanted || scene.enabled != "static");
        if wanted != now {
            verbs.push(if wanted { "enable" } else { "disable" }.to_owned());
        }
    }
    if stays_masked && !stopping && arguments.state.is_some() {
        return Err(Failed::new(format!("Unable to start service {name}: unit is masked")));
    }
    if arguments.state.is_some() && !scene.running && !scene.offline {
        return Err(Failed::new("Service is in unknown state"));
    }
    if scene.running {
        verbs.extend(state_verbs(arguments, active));
    }
    Ok(verbs)
}

fn state_verbs(arguments: &Arguments, active: &str) -> Vec<String> {
    let running = matches!(active, "active" | "activating" | "reloading");
    let verbs: &[&str] = match arguments.state {
        Some(State::Stopped) if running || active == "deactivating" => &["stop"],
        Some(State::Started | State::Restarted | State::Reloaded) if !running => &["start"],
        Some(State::Restarted) if arguments.sleep.is_some() => &["stop", "sleep", "start"],
        Some(State::Restarted) => &["restart"],
        Some(State::Reloaded) => &["reload"],
        _ => &[],
    };
    verbs.iter().map(|verb| (*verb).to_owned()).collect()
}

/// `systemctl` on the host.
struct Systemctl<'a> {
    arguments: &'a Arguments,
    host: &'a Context<'a>,
}

impl Systemctl<'_> {
    fn run(&self, words: &[&str]) -> Result<Ran, Failed> {
        let mut all = vec!["systemctl".to_owned()];
        match self.arguments.scope {
            Scope::System => {}
            Scope::User => all.push("--user".to_owned()),
            Scope::Global => all.push("--global".to_owned()),
        }
        let starting = matches!(words.first(), Some(&("start" | "stop" | "restart" | "reload")));
        all.extend((self.arguments.no_block && starting).then(|| "--no-block".to_owned()));
        all.extend((self.arguments.force && !starting).then(|| "--force".to_owned()));
        all.extend(words.iter().map(|word| (*word).to_owned()));
        let mut variables = vec![("LC_ALL".to_owned(), "C".to_owned())];
        if self.arguments.scope == Scope::User && std::env::var_os("XDG_RUNTIME_DIR").is_none() {
            let uid = rustix::process::geteuid().as_raw();
            variables.push(("XDG_RUNTIME_DIR".to_owned(), format!("/run/user/{uid}")));
        }
        program::run(&all, &Setting { variables, ..Setting::default() }, self.host)
    }

    fn act(&self, words: &[&str]) -> Result<Ran, Failed> {
        let ran = self.run(words)?;
        if ran.status == 0 {
            return Ok(ran);
        }
        let (verb, name) = (words.first().unwrap_or(&""), words.get(1).unwrap_or(&""));
        let why = format!("Unable to {verb} service {name}: {}", ran.stderr.trim());
        Err(Failed::new(why).with("rc", ran.status).with("stdout", ran.stdout).with("stderr", ran.stderr))
    }

    fn look(&self, name: &str) -> Result<Scene, Failed> {
        let shown = self.run(&["show", name])?;
        let offline = shown.status != 0 || shown.stdout.trim().is_empty();
        let pairs = shown.stdout.lines().filter_map(|line| line.split_once('='));
        let status = pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        let asked = self.arguments.enabled.is_some() || self.arguments.masked.is_some() || offline;
        let enabled = if asked { self.run(&["is-enabled", name])?.stdout.trim().to_owned() } else { String::new() };
        if offline && enabled.is_empty() {
            let why = format!("Could not find the requested service {name}: {}", shown.stderr.trim());
            return Err(Failed::new(why));
        }
        let ignored = [&shown.stdout, &shown.stderr].iter().any(|said| said.contains("in chroot, ignoring"));
        let told = self.host.environment.get("SYSTEMD_OFFLINE").is_some_and(|it| it == "1");
        Ok(Scene { status, enabled, running: !offline, offline: ignored || told })
    }
}
