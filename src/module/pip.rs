//! `pip`: packages of Python, through the program of this name.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::module::arguments::{Kind, Parameter};
use crate::module::program::{self, Ran, Setting};
use crate::module::{Call, Context, Error, Failed, Mode, Outcome, apart, typed};

/// What it may be told.
pub const PARAMETERS: &[Parameter] = &[
    Parameter::new("name", Kind::List),
    Parameter::new("version", Kind::Text),
    Parameter::new("requirements", Kind::Text),
    Parameter::new("virtualenv", Kind::Text),
    Parameter::new("virtualenv_site_packages", Kind::Flag),
    Parameter::new("virtualenv_command", Kind::Text),
    Parameter::new("virtualenv_python", Kind::Text),
    Parameter::new("state", Kind::Choice(&["absent", "forcereinstall", "latest", "present"])),
    Parameter::new("extra_args", Kind::Text),
    Parameter::new("editable", Kind::Flag),
    Parameter::new("chdir", Kind::Text),
    Parameter::new("executable", Kind::Text),
];

/// What is wanted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Arguments {
    /// The packages, each possibly with versions (`a==1.2`) or as an address.
    #[serde(default)]
    pub name: Vec<String>,
    /// The version of the one package.
    pub version: Option<String>,
    /// A file of packages.
    pub requirements: Option<String>,
    /// The directory of an environment of its own, made if it is not there.
    pub virtualenv: Option<String>,
    /// Whether it sees the machine's packages.
    #[serde(default)]
    pub virtualenv_site_packages: bool,
    /// What makes it.
    #[serde(default = "virtualenv")]
    pub virtualenv_command: String,
    /// The interpreter in it.
    pub virtualenv_python: Option<String>,
    /// What they shall be.
    #[serde(default)]
    pub state: State,
    /// More words for the program.
    #[serde(default)]
    pub extra_args: String,
    /// Whether changes to the source count at once.
    #[serde(default)]
    pub editable: bool,
    /// Where it runs.
    pub chdir: Option<String>,
    /// The program.
    pub executable: Option<String>,
}

/// What packages shall be.
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
    /// Installed anew.
    Forcereinstall,
}

fn virtualenv() -> String {
    "virtualenv".to_owned()
}

pub(crate) fn parse(Call { arguments, .. }: Call) -> Result<Arguments, Error> {
    apart("pip", &arguments, &["name", "requirements"])?;
    apart("pip", &arguments, &["executable", "virtualenv"])?;
    if !arguments.contains_key("name") && !arguments.contains_key("requirements") {
        return Err(Error::Missing { module: "pip".to_owned(), name: "name or requirements".to_owned() });
    }
    typed("pip", arguments)
}

pub(crate) fn run(arguments: &Arguments, host: &Context, mode: Mode) -> Result<Outcome, Failed> {
    let directory = arguments.chdir.as_ref().map(|path| host.system.real(&host.system.path(path)));
    let mut pip = Pip { arguments, host, setting: Setting { directory, ..Setting::default() }, said: Ran::default() };
    let made = match &arguments.virtualenv {
        Some(path) if !host.system.real(&format!("{}/bin/activate", host.system.path(path))).exists() => {
            if mode == Mode::Check {
                return Ok(Outcome { changed: true, ..Outcome::default() });
            }
            pip.environment(&host.system.path(path))?;
            true
        }
        _ => false,
    };
    let program = pip.program()?;
    let words = pip.words(&program)?;
    let changed = match mode {
        Mode::Check => pip.would(&program)?,
        Mode::Apply => pip.act(&program, &words)?,
    };
    let name = if arguments.name.is_empty() { Value::Null } else { json!(arguments.name) };
    let values = Map::from_iter([
        ("cmd".to_owned(), json!(words)),
        ("name".to_owned(), name),
        ("version".to_owned(), json!(arguments.version)),
        ("state".to_owned(), json!(arguments.state)),
        ("requirements".to_owned(), json!(arguments.requirements)),
        ("virtualenv".to_owned(), json!(arguments.virtualenv)),
        ("stdout".to_owned(), json!(pip.said.stdout)),
        ("stdout_lines".to_owned(), json!(pip.said.stdout.lines().collect::<Vec<_>>())),
        ("stderr".to_owned(), json!(pip.said.stderr)),
        ("stderr_lines".to_owned(), json!(pip.said.stderr.lines().collect::<Vec<_>>())),
    ]);
    Ok(Outcome { changed: changed || made, values, ..Outcome::default() })
}

struct Pip<'a> {
    arguments: &'a Arguments,
    host: &'a Context<'a>,
    setting: Setting,
    said: Ran,
}

impl Pip<'_> {
    fn program(&self) -> Result<String, Failed> {
        match (&self.arguments.virtualenv, &self.arguments.executable) {
            (Some(path), _) => Ok(format!("{}/bin/pip", self.host.system.path(path))),
            (None, Some(program)) if program.contains('/') => Ok(program.clone()),
            (None, Some(program)) => program::required(program, self.host),
            (None, None) => program::required("pip3", self.host),
        }
    }

    /// Makes the environment.
    fn environment(&mut self, path: &str) -> Result<(), Failed> {
        let arguments = self.arguments;
        let mut words: Vec<String> = arguments.virtualenv_command.split_whitespace().map(str::to_owned).collect();
        if let Some(first) = words.first_mut().filter(|first| !first.contains('/')) {
            *first = program::required(first, self.host)?;
        }
        let venv = words.iter().any(|word| word == "venv") || words.first().is_some_and(|word| word.contains("pyvenv"));
        words.extend(arguments.virtualenv_site_packages.then(|| "--system-site-packages".to_owned()));
        match &arguments.virtualenv_python {
            Some(_) if venv => {
                let why =
                    "virtualenv_python should not be used when using the venv module or pyvenv as virtualenv_command";
                return Err(Failed::new(why));
            }
            Some(python) => words.push(format!("-p{python}")),
            None => {}
        }
        words.push(path.to_owned());
        let ran = program::run(&words, &self.setting, self.host)?;
        self.note(&words, &ran)
    }

    /// Keeps what a program said; it must have ended well.
    fn note(&mut self, words: &[String], ran: &Ran) -> Result<(), Failed> {
        self.said.stdout.push_str(&ran.stdout);
        self.said.stderr.push_str(&ran.stderr);
        if ran.status == 0 {
            return Ok(());
        }
        let out = if ran.stdout.is_empty() { String::new() } else { format!("stdout: {}", ran.stdout) };
        let err = if ran.stderr.is_empty() { String::new() } else { format!("\n:stderr: {}", ran.stderr) };
        Err(Failed::new(out + &err).with("cmd", json!(words)))
    }

    fn words(&self, program: &str) -> Result<Vec<String>, Failed> {
        let arguments = self.arguments;
        let verb: &[&str] = match arguments.state {
            State::Present => &["install"],
            State::Absent => &["uninstall", "-y"],
            State::Latest => &["install", "-U"],
            State::Forcereinstall => &["install", "-U", "--force-reinstall"],
        };
        let mut words = vec![program.to_owned()];
        words.extend(verb.iter().map(|word| (*word).to_owned()));
        words.extend(arguments.editable.then(|| "-e".to_owned()));
        words.extend(program::split(&arguments.extra_args).map_err(Failed::new)?);
        words.extend(self.wanted());
        let file = arguments.requirements.as_ref().map(|path| self.host.system.home(path));
        words.extend(file.into_iter().flat_map(|path| ["-r".to_owned(), path]));
        Ok(words)
    }

    /// The packages with the version that the task gives.
    fn wanted(&self) -> Vec<String> {
        match (&self.arguments.version, &self.arguments.name[..]) {
            (Some(version), [name]) if self.arguments.state != State::Absent => {
                let operator = if version.starts_with(['=', '<', '>', '!', '~']) { "" } else { "==" };
                vec![format!("{name}{operator}{version}")]
            }
            (_, names) => names.iter().map(|name| name.trim().to_owned()).collect(),
        }
    }

    /// Whether something would be changed, as far as it can be known without asking a server.
    fn would(&mut self, program: &str) -> Result<bool, Failed> {
        let arguments = self.arguments;
        let unknown = !arguments.extra_args.is_empty() || arguments.name.is_empty();
        if unknown || matches!(arguments.state, State::Latest | State::Forcereinstall) {
            return Ok(true);
        }
        let known = self.frozen(program)?;
        let there = self.wanted().iter().map(|wanted| has(&known, wanted)).collect::<Vec<_>>();
        Ok(match arguments.state {
            State::Absent => there.contains(&true),
            _ => there.contains(&false),
        })
    }

    fn frozen(&self, program: &str) -> Result<String, Failed> {
        let words = [program, "list", "--format=freeze"].map(str::to_owned);
        Ok(program::good(&words, &self.setting, self.host)?.stdout)
    }

    fn act(&mut self, program: &str, words: &[String]) -> Result<bool, Failed> {
        let foreign = self.arguments.name.iter().any(|name| name.contains("+http") || name.contains("://"));
        let compared = self.arguments.requirements.is_some() || foreign;
        let before = compared.then(|| self.frozen(program)).transpose()?;
        let mut ran = program::run(words, &self.setting, self.host)?;
        let absent = self.arguments.state == State::Absent;
        let gone = |text: &str| text.contains("not installed");
        if absent && ran.status == 1 && (gone(&ran.stdout) || gone(&ran.stderr)) {
            ran.status = 0;
        }
        let said = if absent { "Successfully uninstalled" } else { "Successfully installed" };
        let done = ran.stdout.contains(said);
        self.note(words, &ran)?;
        match before {
            Some(before) if !absent => Ok(self.frozen(program)? != before),
            _ => Ok(done),
        }
    }
}

/// Whether a list of `NAME==VERSION` has a package, of the version that is named if one is.
fn has(known: &str, wanted: &str) -> bool {
    let plain = |name: &str| name.trim().to_lowercase().replace(['_', '.'], "-");
    let (name, version) =
        wanted.split_once("==").map_or((wanted, None), |(name, version)| (name, Some(version.trim())));
    let name = plain(name.split(['[', '<', '>', '!', '~', ';', ' ']).next().unwrap_or(name));
    known
        .lines()
        .filter_map(|line| line.split_once("=="))
        .any(|(it, has)| plain(it) == name && version.is_none_or(|version| version == has))
}
