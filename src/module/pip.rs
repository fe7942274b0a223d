//! `pip`: packages of Python, through the program of this name.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::module::arguments::{Kind, Parameter};
use crate::module::program::{self, Ran, Setting};
use crate::module::{Call, Context, Error, Failed, Mode, Outcome, apart, typed};

pub mod requirement;

use requirement::Requirement;

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
    let packages = wanted(arguments)?;
    let temporary = || host.environment.get("TMPDIR").cloned().or_else(|| std::env::var("TMPDIR").ok());
    let above = arguments.chdir.as_ref().map(|path| host.system.path(path));
    let home = match (&arguments.virtualenv, &above) {
        (Some(path), Some(above)) if !path.starts_with(['/', '~', '$']) => Some(format!("{above}/{path}")),
        (path, _) => path.as_ref().map(|path| host.system.path(path)),
    };
    // Where accounts that tasks become may always look.
    let directory = host.system.real(&above.or_else(temporary).unwrap_or_else(|| "/tmp".to_owned()));
    let mut setting = Setting { directory: Some(directory).filter(|it| it.is_dir()), ..Setting::default() };
    let new = home.as_ref().is_some_and(|home| !host.system.real(&format!("{home}/bin/activate")).exists());
    if new && mode == Mode::Check {
        return Ok(Outcome { changed: true, ..Outcome::default() });
    }
    if let Some(home) = &home {
        let path = host.environment.get("PATH").cloned().or_else(|| std::env::var("PATH").ok()).unwrap_or_default();
        setting.variables.push(("PATH".to_owned(), format!("{home}/bin:{path}")));
    }
    let mut pip = Pip { arguments, host, setting, packages, home, said: Ran::default() };
    if new {
        pip.environment()?;
    }
    let program = pip.program()?;
    let words = pip.words(&program)?;
    if mode == Mode::Check {
        return pip.would(&program);
    }
    let changed = pip.act(&program, &words)? || new;
    let values = Map::from_iter([
        ("cmd".to_owned(), json!(words)),
        ("name".to_owned(), if arguments.name.is_empty() { Value::Null } else { json!(arguments.name) }),
        ("version".to_owned(), json!(arguments.version)),
        ("state".to_owned(), json!(arguments.state)),
        ("requirements".to_owned(), json!(arguments.requirements)),
        ("virtualenv".to_owned(), json!(pip.home)),
    ]);
    Ok(Outcome { changed, values: values.into_iter().chain(pip.told()).collect(), ..Outcome::default() })
}

/// The packages, if they and their versions can be meant together.
fn wanted(arguments: &Arguments) -> Result<Vec<Requirement>, Failed> {
    if arguments.state == State::Latest && arguments.version.is_some() {
        return Err(Failed::new("version is incompatible with state=latest"));
    }
    let names = requirement::packages(&arguments.name);
    let packages = names.iter().map(|name| Requirement::read(name, None)).collect::<Vec<_>>();
    let Some(version) = &arguments.version else { return Ok(packages) };
    match &packages[..] {
        [one] if !one.versions.is_empty() => Err(Failed::new(
            "The 'version' argument conflicts with any version specifier provided along with a package name. \
             Please keep the version specifier, but remove the 'version' argument.",
        )),
        [one] => Ok(vec![Requirement::read(&one.text(), Some(version))]),
        [] => Ok(packages),
        _ => Err(Failed::new(
            "'version' argument is ambiguous when installing multiple package distributions. \
             Please specify version restrictions next to each package in 'name' argument.",
        )),
    }
}

struct Pip<'a> {
    arguments: &'a Arguments,
    host: &'a Context<'a>,
    setting: Setting,
    packages: Vec<Requirement>,
    /// The environment of its own.
    home: Option<String>,
    said: Ran,
}

impl Pip<'_> {
    fn program(&self) -> Result<String, Failed> {
        match (&self.home, &self.arguments.executable) {
            (Some(home), _) => {
                let names = ["pip3", "pip"].map(|name| format!("{home}/bin/{name}"));
                let found = names.into_iter().find(|path| self.host.system.real(path).exists());
                found.ok_or_else(|| {
                    Failed::new(format!(
                        "Unable to find pip in the virtualenv, {home},  under any of these names: pip3, pip. \
                         Make sure pip is present in the virtualenv."
                    ))
                })
            }
            (None, Some(program)) if program.contains('/') => Ok(program.clone()),
            (None, Some(program)) => program::required(program, self.host),
            (None, None) => program::required("pip3", self.host),
        }
    }

    /// What was said so far, as a result tells it.
    fn told(&self) -> Map<String, Value> {
        let mut told = Map::new();
        for (name, text) in [("stdout", &self.said.stdout), ("stderr", &self.said.stderr)] {
            told.insert(name.to_owned(), json!(text));
            told.insert(format!("{name}_lines"), json!(text.lines().collect::<Vec<_>>()));
        }
        told
    }

    /// Makes the environment.
    fn environment(&mut self) -> Result<(), Failed> {
        let (arguments, path) = (self.arguments, self.home.clone().unwrap_or_default());
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
        words.push(path);
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
        words.extend(program::split(&arguments.extra_args).map_err(Failed::new)?);
        // The package must follow.
        words.extend(arguments.editable.then(|| "-e".to_owned()));
        words.extend(self.packages.iter().map(Requirement::text));
        words.extend(arguments.requirements.iter().flat_map(|path| ["-r".to_owned(), self.host.system.home(path)]));
        Ok(words)
    }

    /// Whether something would be changed, as far as it can be known without asking a server.
    fn would(&mut self, program: &str) -> Result<Outcome, Failed> {
        let arguments = self.arguments;
        let more = !arguments.extra_args.is_empty() || arguments.editable || self.packages.is_empty();
        if more || matches!(arguments.state, State::Latest | State::Forcereinstall) {
            return Ok(Outcome { changed: true, ..Outcome::default() });
        }
        let known = self.frozen(program)?;
        let there = self.packages.iter().map(|package| package.is_in(&known)).collect::<Vec<_>>();
        let changed = match arguments.state {
            State::Absent => there.contains(&true),
            _ => there.contains(&false),
        };
        self.said.stdout.push_str(&known);
        let mut values = self.told();
        values.insert("cmd".to_owned(), json!(format!("{program} list --format=freeze")));
        Ok(Outcome { changed, values, ..Outcome::default() })
    }

    fn frozen(&self, program: &str) -> Result<String, Failed> {
        let words = [program, "list", "--format=freeze"].map(str::to_owned);
        Ok(program::good(&words, &self.setting, self.host)?.stdout)
    }

    fn act(&mut self, program: &str, words: &[String]) -> Result<bool, Failed> {
        let kept = |name: &String| ["svn+", "git+", "hg+", "bzr+"].iter().any(|start| name.starts_with(start));
        let compared = self.arguments.requirements.is_some() || self.arguments.name.iter().any(kept);
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
