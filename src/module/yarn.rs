//! `yarn`: packages of Node.js, through the program of this name.

use std::fs;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::module::arguments::{Kind, Parameter};
use crate::module::program::{self, Ran, Setting};
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
    Parameter::new("global", Kind::Flag),
];

/// What is wanted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
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
    /// Whether it is for the whole machine.
    #[serde(default)]
    pub global: bool,
}

/// What a package shall be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Installed.
    #[default]
    Present,
    /// Not installed.
    Absent,
    /// Installed, in the newest version.
    Latest,
}

/// Refuses what a project's directory and package cannot mean together.
pub(crate) fn sensible(module: &str, given: &Map<String, Value>) -> Result<(), Error> {
    let missing = |name: &str| Err(Error::Missing { module: module.to_owned(), name: name.to_owned() });
    let global = given.get("global") == Some(&json!(true));
    if !global && !given.contains_key("path") {
        return missing("path, unless it is `global`");
    }
    if given.get("state") == Some(&json!("absent")) && !given.contains_key("name") {
        return missing("name");
    }
    Ok(())
}

pub(crate) fn parse(Call { arguments, .. }: Call) -> Result<Arguments, Error> {
    sensible("yarn", &arguments)?;
    if arguments.get("global") == Some(&json!(true)) {
        super::apart("yarn", &arguments, &["global", "path"])?;
    }
    typed("yarn", arguments)
}

pub(crate) fn run(arguments: &Arguments, host: &Context, mode: Mode) -> Result<Outcome, Failed> {
    let program = match &arguments.executable {
        Some(words) => words.split(' ').map(str::to_owned).collect(),
        None => vec![program::required("yarn", host)?],
    };
    let mut yarn = Yarn { arguments, host, mode, program, path: String::new(), said: (String::new(), String::new()) };
    yarn.path = if arguments.global {
        let words = [&yarn.program[..], &["global".to_owned(), "dir".to_owned()]].concat();
        program::good(&words, &Setting::default(), host)?.stdout.trim().to_owned()
    } else {
        host.system.path(arguments.path.as_deref().unwrap_or_default())
    };
    let changed = yarn.bring()?;
    let (out, err) = yarn.said;
    let values = Map::from_iter([("out".to_owned(), json!(out)), ("err".to_owned(), json!(err))]);
    Ok(Outcome { changed, values, ..Outcome::default() })
}

struct Yarn<'a> {
    arguments: &'a Arguments,
    host: &'a Context<'a>,
    mode: Mode,
    program: Vec<String>,
    path: String,
    said: (String, String),
}

impl Yarn<'_> {
    fn bring(&mut self) -> Result<bool, Failed> {
        let Some(name) = self.arguments.name.clone() else {
            self.act(&["install", "--non-interactive"])?;
            return Ok(true);
        };
        let there = self.installed()?.contains(&name);
        let version = match self.arguments.state {
            State::Latest => Some("latest".to_owned()),
            _ => self.arguments.version.clone(),
        };
        let named = version.map_or_else(|| name.clone(), |version| format!("{name}@{version}"));
        match (self.arguments.state, there) {
            (State::Absent, false) | (State::Present, true) => Ok(false),
            (State::Absent, true) => self.act(&["remove", &name]).map(|()| true),
            (State::Present, false) => self.act(&["add", &named]).map(|()| true),
            (State::Latest, _) => {
                let old = self.outdated()?;
                if !there {
                    self.act(&["add", &named])?;
                }
                if old {
                    self.act(&["upgrade", "--latest"])?;
                }
                Ok(!there || old)
            }
        }
    }

    /// Does something, unless in check mode.
    fn act(&mut self, words: &[&str]) -> Result<(), Failed> {
        if self.mode == Mode::Apply {
            let global = self.arguments.global.then_some("global");
            let words: Vec<&str> = global.into_iter().chain(words.iter().copied()).collect();
            let ran = self.yarn(&words, self.arguments.global)?;
            if ran.status != 0 {
                let failed = Failed::new(ran.stderr.trim().to_owned()).with("rc", ran.status);
                return Err(failed.with("stdout", ran.stdout).with("stderr", ran.stderr));
            }
            self.said = (ran.stdout, ran.stderr);
        }
        Ok(())
    }

    fn yarn(&self, words: &[&str], anywhere: bool) -> Result<Ran, Failed> {
        let mut line = self.program.clone();
        line.extend(words.iter().map(|word| (*word).to_owned()));
        line.extend(self.arguments.production.then(|| "--production".to_owned()));
        line.extend(self.arguments.ignore_scripts.then(|| "--ignore-scripts".to_owned()));
        line.extend(self.arguments.registry.iter().flat_map(|url| ["--registry".to_owned(), url.clone()]));
        let mut setting = Setting::default();
        if !anywhere {
            let real = self.host.system.real(&self.path);
            let told = |error| Failed::new(format!("cannot create directory {}: {error}", self.path));
            fs::create_dir_all(&real).map_err(told)?;
            if !real.join("package.json").is_file() {
                return Err(Failed::new("Package.json does not exist in provided path."));
            }
            setting.directory = Some(real);
        }
        program::run(&line, &setting, self.host)
    }

    fn locked(&self) -> bool {
        self.host.system.real(&format!("{}/yarn.lock", self.path)).is_file()
    }

    /// Names of the packages that are there.
    fn installed(&self) -> Result<Vec<String>, Failed> {
        if !self.locked() {
            return Ok(vec![]);
        }
        let ran = self.yarn(&["list", "--depth=0", "--json"], false)?;
        let lines = ran.stdout.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let trees =
            lines.filter(|line| line["type"] == "tree").filter_map(|line| line["data"]["trees"].as_array().cloned());
        let names = trees.flatten().filter_map(|tree| {
            tree["name"].as_str().and_then(|name| name.rsplit_once('@')).map(|(name, _)| name.to_owned())
        });
        Ok(names.collect())
    }

    /// Whether a package has a newer version.
    fn outdated(&self) -> Result<bool, Failed> {
        if !self.locked() {
            return Ok(false);
        }
        let ran = self.yarn(&["outdated", "--json"], false)?;
        let mut lines = ran.stdout.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        Ok(lines.any(|line| line["data"]["body"].as_array().is_some_and(|body| !body.is_empty())))
    }
}
