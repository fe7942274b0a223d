//! `user`: accounts, through `useradd`, `usermod` and `userdel`.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::module::arguments::{Kind, Parameter};
use crate::module::lineinfile::State;
use crate::module::program::{self, Setting};
use crate::module::system::{Account, Group};
use crate::module::{Call, Context, Error, Failed, Mode, Outcome, text, typed};
use crate::secret::Secret;

/// What it may be told.
pub const PARAMETERS: &[Parameter] = &[
    Parameter::new("name", Kind::Text).or(&["user"]).required(),
    Parameter::new("state", Kind::Choice(&["absent", "present"])),
    Parameter::new("uid", Kind::Integer),
    Parameter::new("non_unique", Kind::Flag),
    Parameter::new("group", Kind::Text),
    Parameter::new("groups", Kind::List),
    Parameter::new("append", Kind::Flag),
    Parameter::new("comment", Kind::Text),
    Parameter::new("home", Kind::Text),
    Parameter::new("shell", Kind::Text),
    Parameter::new("password", Kind::Text),
    Parameter::new("update_password", Kind::Choice(&["always", "on_create"])),
    Parameter::new("password_lock", Kind::Flag),
    Parameter::new("create_home", Kind::Flag).or(&["createhome"]),
    Parameter::new("move_home", Kind::Flag),
    Parameter::new("skeleton", Kind::Text),
    Parameter::new("system", Kind::Flag),
    Parameter::new("force", Kind::Flag),
    Parameter::new("remove", Kind::Flag),
    Parameter::new("umask", Kind::Text),
];

/// What is wanted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(clippy::struct_excessive_bools, reason = "the parameters of the module, as Ansible names them")]
pub struct Arguments {
    /// The account.
    pub name: String,
    /// Whether it is there.
    #[serde(default)]
    pub state: State,
    /// Its number.
    pub uid: Option<u32>,
    /// Whether another account may have the same number.
    #[serde(default)]
    pub non_unique: bool,
    /// Its first group, by name or number.
    pub group: Option<String>,
    /// Its other groups; an empty list means none.
    pub groups: Option<Vec<String>>,
    /// Whether it stays in groups that are not named.
    #[serde(default)]
    pub append: bool,
    /// Its description.
    pub comment: Option<String>,
    /// Its home.
    pub home: Option<String>,
    /// Its shell.
    pub shell: Option<String>,
    /// The hash of its password, as in `/etc/shadow`.
    pub password: Option<Secret>,
    /// When the password is set.
    #[serde(default)]
    pub update_password: UpdatePassword,
    /// Whether its password is locked.
    pub password_lock: Option<bool>,
    /// Whether its home is made.
    #[serde(default = "yes")]
    pub create_home: bool,
    /// Whether a home that moves takes its contents along.
    #[serde(default)]
    pub move_home: bool,
    /// What a new home starts with.
    pub skeleton: Option<String>,
    /// Whether a new account is a system account.
    #[serde(default)]
    pub system: bool,
    /// Whether it is removed while in use.
    #[serde(default)]
    pub force: bool,
    /// Whether its home goes with it.
    #[serde(default)]
    pub remove: bool,
    /// Mode that a new home does not have.
    pub umask: Option<String>,
}

/// When a password is set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UpdatePassword {
    /// Whenever it differs.
    #[default]
    Always,
    /// With a new account only.
    OnCreate,
}

fn yes() -> bool {
    true
}

pub(crate) fn parse(Call { arguments, .. }: Call) -> Result<Arguments, Error> {
    typed("user", arguments)
}

/// What is there.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Scene {
    /// All accounts.
    pub accounts: Vec<Account>,
    /// All groups.
    pub groups: Vec<Group>,
    /// The hash of the account's password, as `/etc/shadow` has it.
    pub password: Option<Secret>,
    /// Whether the account's home is there.
    pub home: bool,
}

/// A program to run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// It and its arguments.
    pub words: Vec<String>,
    /// What it reads.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input: Option<Secret>,
}

impl Step {
    fn new<W: Into<String>>(words: impl IntoIterator<Item = W>) -> Self {
        Self { words: words.into_iter().map(Into::into).collect(), input: None }
    }
}

pub(crate) fn run(arguments: &Arguments, host: &Context, mode: Mode) -> Result<Outcome, Failed> {
    let steps = plan(arguments, &look(arguments, host)?)?;
    if mode == Mode::Apply {
        for Step { words, input } in &steps {
            let input = input.as_ref().map(|input| input.reveal().as_bytes().to_vec()).unwrap_or_default();
            let ran = program::run(words, &Setting { input, ..Setting::default() }, host)?;
            // A mail spool that is not there is no reason to keep an account (12: nothing of it could be removed).
            if ran.status != 0 && !(words[0] == "userdel" && ran.status == 12) {
                return Err(Failed::new(ran.stderr.trim()).with("rc", ran.status).with("name", arguments.name.clone()));
            }
        }
    }
    let mut values = Map::new();
    let mut tell = |name: &str, value: Value| values.insert(name.to_owned(), value);
    tell("name", json!(arguments.name));
    tell("append", json!(arguments.append));
    tell("state", json!(if arguments.state == State::Present { "present" } else { "absent" }));
    if let Some(groups) = &arguments.groups {
        tell("groups", json!(groups.join(",")));
    }
    if let Some(account) = host.system.accounts().into_iter().find(|it| it.name == arguments.name) {
        tell("uid", json!(account.uid));
        tell("group", json!(account.gid));
        tell("comment", json!(account.comment));
        tell("home", json!(account.home));
        tell("shell", json!(account.shell));
    }
    Ok(Outcome { changed: !steps.is_empty(), values, ..Outcome::default() })
}

fn look(arguments: &Arguments, host: &Context) -> Result<Scene, Failed> {
    let accounts = host.system.accounts();
    let own = accounts.iter().find(|it| it.name == arguments.name);
    let home = own.is_some_and(|it| host.system.real(&it.home).exists());
    let secret = arguments.password.is_some() || arguments.password_lock.is_some();
    let shadow = if secret { text::read("/etc/shadow", host.system)?.unwrap_or_default() } else { vec![] };
    let shadow = String::from_utf8_lossy(&shadow);
    let line = shadow.lines().find_map(|line| line.strip_prefix(&arguments.name)?.strip_prefix(':'));
    let password = line.and_then(|line| line.split(':').next()).map(Secret::new);
    Ok(Scene { groups: host.system.groups(), home, password, accounts })
}

/// The programs that make the account as wanted, in order.
///
/// # Errors
///
/// [`Failed`]: a group is not there.
pub fn plan(arguments: &Arguments, scene: &Scene) -> Result<Vec<Step>, Failed> {
    let own = scene.accounts.iter().find(|it| it.name == arguments.name);
    match (arguments.state, own) {
        (State::Absent, None) => Ok(vec![]),
        (State::Absent, Some(_)) => {
            let options = [(arguments.force, "-f"), (arguments.remove, "-r")];
            let given = options.into_iter().filter(|(given, _)| *given).map(|(_, option)| option);
            Ok(vec![Step::new(["userdel"].into_iter().chain(given).chain([arguments.name.as_str()]))])
        }
        (State::Present, None) => {
            let mut steps = vec![added(arguments, scene)?];
            steps.extend(password(arguments, None));
            steps.extend(locked(arguments, None));
            Ok(steps)
        }
        (State::Present, Some(own)) => changed(arguments, scene, own),
    }
}

fn group<'s>(scene: &'s Scene, name: &str) -> Result<&'s Group, Failed> {
    let number = name.parse::<u32>().ok();
    let found = scene
        .groups
        .iter()
        .find(|it| it.name == name)
        .or_else(|| scene.groups.iter().find(|it| Some(it.gid) == number));
    found.ok_or_else(|| Failed::new(format!("Group {name} does not exist")))
}

/// The other groups wanted, without blanks and empty names; all must be there.
fn groups(arguments: &Arguments, scene: &Scene) -> Result<Option<Vec<String>>, Failed> {
    let Some(names) = &arguments.groups else { return Ok(None) };
    let names = names.iter().map(|name| name.trim()).filter(|name| !name.is_empty());
    names.map(|name| group(scene, name).map(|it| it.name.clone())).collect::<Result<_, _>>().map(Some)
}

fn added(arguments: &Arguments, scene: &Scene) -> Result<Step, Failed> {
    let mut words = vec!["useradd".to_owned()];
    let mut add = |option: &str, value: Option<String>| {
        words.extend(value.into_iter().flat_map(|value| [option.to_owned(), value]));
    };
    add("-u", arguments.uid.map(|uid| uid.to_string()));
    match &arguments.group {
        Some(name) => add("-g", Some(group(scene, name)?.name.clone())),
        // A group of the account's name that is there already is its first one.
        None => add("-g", group(scene, &arguments.name).ok().map(|it| it.name.clone())),
    }
    add("-G", groups(arguments, scene)?.filter(|it| !it.is_empty()).map(|it| it.join(",")));
    add("-c", arguments.comment.clone());
    add("-d", arguments.home.clone());
    add("-s", arguments.shell.clone());
    add("-k", arguments.skeleton.clone().filter(|_| arguments.create_home));
    add("-K", arguments.umask.as_ref().filter(|_| arguments.create_home).map(|umask| format!("UMASK={umask}")));
    let home = if arguments.create_home { "-m" } else { "-M" };
    let flags = [(arguments.non_unique, "-o"), (arguments.system, "-r"), (true, home)];
    words.extend(flags.into_iter().filter(|(given, _)| *given).map(|(_, option)| option.to_owned()));
    words.push(arguments.name.clone());
    Ok(Step::new(words))
}

/// Sets the password through standard input: an argument could be read by every account.
fn password(arguments: &Arguments, now: Option<&Secret>) -> Option<Step> {
    let wanted = arguments.password.as_ref().filter(|wanted| Some(*wanted) != now)?;
    let input = Some(Secret::new(format!("{}:{}\n", arguments.name, wanted.reveal())));
    Some(Step { input, ..Step::new(["chpasswd", "-e"]) })
}

fn locked(arguments: &Arguments, now: Option<&Secret>) -> Option<Step> {
    let is_locked = now.is_some_and(|now| now.reveal().starts_with('!'));
    let wanted = arguments.password_lock.filter(|wanted| *wanted != is_locked)?;
    Some(Step::new(["usermod", if wanted { "-L" } else { "-U" }, &arguments.name]))
}

fn changed(arguments: &Arguments, scene: &Scene, own: &Account) -> Result<Vec<Step>, Failed> {
    let mut words = vec![];
    let mut add = |option: &str, value: Option<String>| {
        words.extend(value.into_iter().flat_map(|value| [option.to_owned(), value]));
    };
    let other = |wanted: &Option<String>, has: &str| wanted.clone().filter(|wanted| wanted != has);
    add("-u", arguments.uid.filter(|uid| *uid != own.uid).map(|uid| uid.to_string()));
    if let Some(name) = &arguments.group {
        let group = group(scene, name)?;
        add("-g", (group.gid != own.gid).then(|| group.name.clone()));
    }
    let wanted = groups(arguments, scene)?;
    let has = scene.groups.iter().filter(|it| it.members.contains(&own.name)).map(|it| it.name.clone());
    let has = has.collect::<Vec<_>>();
    let joins = wanted.as_ref().is_some_and(|wanted| {
        let first = |name: &String| scene.groups.iter().any(|it| it.name == *name && it.gid == own.gid);
        let missing = wanted.iter().any(|name| !has.contains(name) && !first(name));
        missing || (!arguments.append && has.iter().any(|name| !wanted.contains(name)))
    });
    add("-G", wanted.filter(|_| joins).map(|it| it.join(",")));
    add("-c", other(&arguments.comment, &own.comment));
    let moves = other(&arguments.home, &own.home);
    let moved = moves.is_some();
    add("-d", moves);
    add("-s", other(&arguments.shell, &own.shell));
    let flags = [
        (arguments.append && joins, "-a"),
        (arguments.move_home && moved, "-m"),
        (arguments.non_unique && words.first().is_some_and(|word| word == "-u"), "-o"),
    ];
    words.extend(flags.into_iter().filter(|(given, _)| *given).map(|(_, option)| option.to_owned()));
    let mut steps = vec![];
    if !words.is_empty() {
        let whole = ["usermod".to_owned()].into_iter().chain(words).chain([own.name.clone()]);
        steps.push(Step::new(whole));
    }
    let now = scene.password.as_ref();
    if arguments.update_password == UpdatePassword::Always {
        steps.extend(password(arguments, now));
    }
    steps.extend(locked(arguments, now));
    if arguments.create_home && !scene.home && !moved {
        let skeleton = arguments.skeleton.as_deref().unwrap_or("/etc/skel");
        steps.push(Step::new(["cp", "-rT", skeleton, &own.home]));
        steps.push(Step::new(["chown", "-R", &format!("{}:{}", own.uid, own.gid), &own.home]));
    }
    Ok(steps)
}
