//! `npm`: packages of Node.js, through the program of this name.

use std::fs;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::module::arguments::{Kind, Parameter};
use crate::module::program::{self, Setting};
use crate::module::yarn::{State, sensible};
use crate::module::{Call, Context, Error, Failed, Mode, Outcome, typed};

/// What it may be told.
pub const PARAMETERS: &[Parameter] = &[
    Parameter::new("name", Kind::Text),
    Parameter::new("path", Kind::Text),
    Parameter::new("version", Kind::Text),
    Parameter::new("production", Kind::Flag),
    Parameter::new("executable", Kind::Text),
    Parameter::new("registry", Kind::Text),
    Parameter::new("state", Kind::Choice(&["absent", "latest", "present"])),
    Parameter::new("ignore_scripts", Kind::Flag),
    Parameter::new("unsafe_perm", Kind::Flag),
    Parameter::new("ci", Kind::Flag),
    Parameter::new("no_optional", Kind::Flag),
    Parameter::new("no_bin_links", Kind::Flag),
    Parameter::new("global", Kind::Flag),
];

/// What is wanted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(clippy::struct_excessive_bools, reason = "the parameters of the module, as Ansible names them")]
pub struct Arguments {
    /// The package; all that `package.json` names if none.
    pub name: Option<String>,
    /// The directory of the project.
    pub path: Option<String>,
    /// The version.
    pub version: Option<String>,
    /// Whether packages for development are left out.
    #[serde(default)]
    pub production: bool,
    /// The program, possibly with words of its own.
    pub executable: Option<String>,
    /// Where packages come from.
    pub registry: Option<String>,
    /// What it shall be.
    #[serde(default)]
    pub state: State,
    /// Whether scripts of packages are not run.
    #[serde(default)]
    pub ignore_scripts: bool,
    /// Whether scripts run as root.
    #[serde(default)]
    pub unsafe_perm: bool,
    /// Whether exactly what the lock file says is installed, anew.
    #[serde(default)]
    pub ci: bool,
    /// Whether optional packages are left out.
    #[serde(default)]
    pub no_optional: bool,
    /// Whether no links to programs are made.
    #[serde(default)]
    pub no_bin_links: bool,
    /// Whether it is for the whole machine.
    #[serde(default)]
    pub global: bool,
}

pub(crate) fn parse(Call { arguments, .. }: Call) -> Result<Arguments, Error> {
    sensible("npm", &arguments)?;
    typed("npm", arguments)
}

pub(crate) fn run(arguments: &Arguments, host: &Context, mode: Mode) -> Result<Outcome, Failed> {
    let program = match &arguments.executable {
        Some(words) => words.split(' ').map(str::to_owned).collect(),
        None => vec![program::required("npm", host)?],
    };
    let changed = Npm { arguments, host, mode, program }.bring()?;
    Ok(Outcome { changed, ..Outcome::default() })
}

struct Npm<'a> {
    arguments: &'a Arguments,
    host: &'a Context<'a>,
    mode: Mode,
    program: Vec<String>,
}

/// Packages that are there, and those that are not but should be.
#[derive(Default)]
struct Listed {
    installed: Vec<String>,
    missing: bool,
}

impl Npm<'_> {
    fn bring(&self) -> Result<bool, Failed> {
        if self.arguments.ci {
            return self.act("ci").map(|()| true);
        }
        let listed = self.list()?;
        match self.arguments.state {
            State::Absent => {
                let there = self.arguments.name.as_ref().is_some_and(|name| listed.installed.contains(name));
                if there {
                    self.act("uninstall")?;
                }
                Ok(there)
            }
            State::Present => {
                if listed.missing {
                    self.act("install")?;
                }
                Ok(listed.missing)
            }
            State::Latest => {
                let old = !self.npm("outdated", Named::Yes)?.trim().is_empty();
                if listed.missing {
                    self.act("install")?;
                }
                if old {
                    self.act("update")?;
                }
                Ok(listed.missing || old)
            }
        }
    }

    fn named(&self) -> Option<String> {
        let name = self.arguments.name.clone()?;
        match &self.arguments.version {
            Some(version) if self.arguments.state != State::Absent => Some(format!("{name}@{version}")),
            _ => Some(name),
        }
    }

    fn act(&self, verb: &str) -> Result<(), Failed> {
        if self.mode == Mode::Check {
            return Ok(());
        }
        program::good(&self.words(&[verb], Named::Yes), &self.setting()?, self.host).map(|_| ())
    }

    fn npm(&self, verb: &str, named: Named) -> Result<String, Failed> {
        let words: Vec<&str> = verb.split(' ').collect();
        Ok(program::run(&self.words(&words, named), &self.setting()?, self.host)?.stdout)
    }

    fn words(&self, verb: &[&str], named: Named) -> Vec<String> {
        let arguments = self.arguments;
        let mut words = self.program.clone();
        words.extend(verb.iter().map(|word| (*word).to_owned()));
        let installing = verb.iter().any(|word| matches!(*word, "install" | "update" | "ci"));
        for (given, option) in [
            (arguments.global, "--global"),
            (arguments.production && installing, "--production"),
            (arguments.ignore_scripts, "--ignore-scripts"),
            (arguments.unsafe_perm, "--unsafe-perm"),
        ] {
            words.extend(given.then(|| option.to_owned()));
        }
        words.extend(self.named().filter(|_| named == Named::Yes));
        words.extend(arguments.registry.iter().flat_map(|url| ["--registry".to_owned(), url.clone()]));
        words.extend(arguments.no_optional.then(|| "--no-optional".to_owned()));
        words.extend(arguments.no_bin_links.then(|| "--no-bin-links".to_owned()));
        words
    }

    fn setting(&self) -> Result<Setting, Failed> {
        let Some(path) = &self.arguments.path else { return Ok(Setting::default()) };
        let real = self.host.system.real(&self.host.system.path(path));
        let told = |error| Failed::new(format!("cannot create directory {path}: {error}"));
        fs::create_dir_all(&real).map_err(told)?;
        Ok(Setting { directory: Some(real), ..Setting::default() })
    }

    fn list(&self) -> Result<Listed, Failed> {
        let told = self.npm("list --json --long", Named::No)?;
        let told = if told.trim().is_empty() { "{}" } else { told.as_str() };
        let wrong = |error| Failed::new(format!("Failed to parse NPM output with error {error}"));
        let known: Value = serde_json::from_str(told).map_err(wrong)?;
        Ok(listed(&known, self.named().as_deref()))
    }
}

/// Whether the package's name is among the words.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Named {
    Yes,
    No,
}

/// Reads what `npm list --json` tells.
fn listed(known: &Value, wanted: Option<&str>) -> Listed {
    let Some(packages) = known["dependencies"].as_object() else {
        return Listed { missing: true, ..Listed::default() };
    };
    let mut listed = Listed::default();
    let truthy = |value: &Value| !matches!(value, Value::Null | Value::Bool(false)) && value != "";
    for (name, about) in packages {
        if truthy(&about["missing"]) || truthy(&about["invalid"]) {
            listed.missing = true;
            continue;
        }
        listed.installed.push(name.clone());
        listed.installed.extend(about["version"].as_str().map(|version| format!("{name}@{version}")));
    }
    listed.missing |= wanted.is_some_and(|wanted| !listed.installed.iter().any(|it| it == wanted));
    listed
}
