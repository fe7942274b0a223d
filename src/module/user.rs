//! `user`: accounts, through `useradd`, `usermod` and `userdel`.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::module::lineinfile::State;
use crate::module::program::{self, Setting};
use crate::module::system::{Account, Group};
use crate::module::{Context, Failed, Mode, Outcome, text};
use crate::secret::Secret;

mod arguments;
mod keys;

pub(crate) use arguments::parse;
pub use arguments::{Arguments, PARAMETERS, UpdatePassword};

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
    /// Directories above the home that is wanted that are not there.
    pub above: Option<String>,
    /// The day on which it ends, since 1970; -1 for never.
    pub last_day: Option<i64>,
    /// Days before a password may be changed again.
    pub least: Option<i64>,
    /// Days before it must be changed.
    pub most: Option<i64>,
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
    let scene = look(arguments, host);
    let before = scene.accounts.iter().find(|it| it.name == arguments.name).cloned();
    let steps = plan(arguments, &scene)?;
    let made_or_gone = before.is_some() != (arguments.state == State::Present);
    if mode == Mode::Check && made_or_gone {
        return Ok(Outcome { changed: true, ..Outcome::default() });
    }
    let mut said = (String::new(), String::new());
    if mode == Mode::Apply {
        for Step { words, input } in &steps {
            let input = input.as_ref().map(|input| input.reveal().as_bytes().to_vec()).unwrap_or_default();
            let ran = program::run(words, &Setting { input, ..Setting::default() }, host)?;
            // A mail spool that is not there is no reason to keep an account (12: nothing of it could be removed).
            if ran.status != 0 && !(words[0] == "userdel" && ran.status == 12) {
                return Err(Failed::new(ran.stderr).with("rc", ran.status).with("name", arguments.name.clone()));
            }
            said.0.push_str(&ran.stdout);
            said.1.push_str(&ran.stderr);
        }
    }
    let mut outcome = Outcome { changed: !steps.is_empty(), ..Outcome::default() };
    let account = host.system.accounts().into_iter().find(|it| it.name == arguments.name);
    outcome.values = told(arguments, before.as_ref(), account.as_ref());
    for (name, said) in [("stdout", said.0), ("stderr", said.1)] {
        if !said.is_empty() {
            outcome.values.insert(format!("{name}_lines"), json!(said.lines().collect::<Vec<_>>()));
            outcome.values.insert(name.to_owned(), json!(said));
        }
    }
    if let Some(account) = account.filter(|_| arguments.generate_ssh_key && arguments.state == State::Present) {
        let made = keys::make(arguments, &account, host, mode)?;
        outcome.changed |= made.changed;
        outcome.values.extend(made.values);
        outcome.warnings.extend(made.warnings);
    }
    Ok(outcome)
}

/// What is told of the account as it is now; `before` is what was there.
fn told(arguments: &Arguments, before: Option<&Account>, now: Option<&Account>) -> Map<String, Value> {
    let mut values = Map::new();
    let mut tell = |name: &str, value: Value| drop(values.insert(name.to_owned(), value));
    tell("name", json!(arguments.name));
    tell("state", json!(arguments.state));
    match (arguments.state, before) {
        (State::Absent, Some(_)) => {
            tell("force", json!(arguments.force));
            tell("remove", json!(arguments.remove));
        }
        (State::Absent, None) => {}
        (State::Present, None) => {
            tell("system", json!(arguments.system));
            tell("create_home", json!(arguments.create_home));
        }
        (State::Present, Some(_)) => {
            tell("append", json!(arguments.append));
            tell("move_home", json!(arguments.move_home));
        }
    }
    if arguments.password.is_some() && arguments.state == State::Present {
        tell("password", json!("NOT_LOGGING_PASSWORD"));
    }
    if let Some(account) = now.filter(|_| arguments.state == State::Present) {
        tell("uid", json!(account.uid));
        tell("group", json!(account.gid));
        tell("comment", json!(account.comment));
        tell("home", json!(account.home));
        tell("shell", json!(account.shell));
        if let Some(groups) = &arguments.groups {
            tell("groups", json!(groups.join(",")));
        }
    }
    values
}

fn look(arguments: &Arguments, host: &Context) -> Scene {
    let accounts = host.system.accounts();
    let own = accounts.iter().find(|it| it.name == arguments.name);
    let home = own.is_some_and(|it| host.system.real(&it.home).exists());
    let shadow = text::read("/etc/shadow", host.system).ok().flatten().unwrap_or_default();
    let shadow = String::from_utf8_lossy(&shadow);
    let line = shadow.lines().find_map(|line| line.strip_prefix(&arguments.name)?.strip_prefix(':'));
    let fields = line.map(|line| line.split(':').collect::<Vec<_>>()).unwrap_or_default();
    let password = fields.first().map(|hash| Secret::new(*hash));
    let number = |at: usize| fields.get(at).map(|field| field.parse::<i64>().unwrap_or(-1));
    let above = arguments.home.as_deref().filter(|_| arguments.create_home).and_then(|home| {
        let (above, _) = home.trim_end_matches('/').rsplit_once('/')?;
        (!above.is_empty() && !host.system.real(above).is_dir()).then(|| above.to_owned())
    });
    Scene {
        groups: host.system.groups(),
        home,
        password,
        accounts,
        above,
        last_day: number(6),
        least: number(2),
        most: number(3),
    }
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
            let above = scene.above.iter().map(|above| Step::new(["mkdir", "-p", above]));
            let mut steps = above.chain([added(arguments, scene)?]).collect::<Vec<_>>();
            steps.extend(password(arguments, None));
            steps.extend(locked(arguments, None).filter(|_| arguments.password.is_none()));
            steps.extend(ages(arguments, scene));
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
    if let Some(name) = &arguments.group {
        add("-g", Some(group(scene, name)?.name.clone()));
    }
    let first = arguments.group.is_some();
    add("-G", groups(arguments, scene)?.filter(|it| !it.is_empty()).map(|it| it.join(",")));
    add("-c", arguments.comment.clone());
    add("-d", arguments.home.clone());
    add("-s", arguments.shell.clone());
    add("-e", arguments.last_day().map(day));
    add("-k", arguments.skeleton.clone().filter(|_| arguments.create_home));
    add("-K", arguments.umask.as_ref().filter(|_| arguments.create_home).map(|umask| format!("UMASK={umask}")));
    let home = if arguments.create_home { "-m" } else { "-M" };
    // A group of the account's name that is there already is not made again.
    let named = !first && group(scene, &arguments.name).is_ok();
    let flags = [(named, "-N"), (arguments.non_unique, "-o"), (arguments.system, "-r"), (true, home)];
    words.extend(flags.into_iter().filter(|(given, _)| *given).map(|(_, option)| option.to_owned()));
    words.push(arguments.name.clone());
    Ok(Step::new(words))
}

/// A day since 1970 as `useradd` and `usermod` read it; nothing for never.
fn day(days: i64) -> String {
    if days < 0 { String::new() } else { days.to_string() }
}

/// Sets the password through standard input: an argument could be read by every account. A locked one has a mark.
fn password(arguments: &Arguments, now: Option<&Secret>) -> Option<Step> {
    let bare = |secret: &Secret| secret.reveal().trim_start_matches('!').to_owned();
    let wanted = arguments.password.as_ref().filter(|wanted| now.is_none_or(|now| bare(now) != bare(wanted)))?;
    let mark = if arguments.password_lock == Some(true) { "!" } else { "" };
    let input = Some(Secret::new(format!("{}:{mark}{}\n", arguments.name, wanted.reveal())));
    Some(Step { input, ..Step::new(["chpasswd", "-e"]) })
}

fn locked(arguments: &Arguments, now: Option<&Secret>) -> Option<Step> {
    let is_locked = now.is_some_and(|now| now.reveal().starts_with('!'));
    let wanted = arguments.password_lock.filter(|wanted| *wanted != is_locked)?;
    Some(Step::new(["usermod", if wanted { "-L" } else { "-U" }, &arguments.name]))
}

/// Sets how long passwords live.
fn ages(arguments: &Arguments, scene: &Scene) -> Option<Step> {
    let pairs = [("-m", arguments.password_expire_min, scene.least), ("-M", arguments.password_expire_max, scene.most)];
    let other =
        pairs.into_iter().filter_map(|(option, wanted, has)| Some((option, wanted.filter(|it| Some(*it) != has)?)));
    let words = other.flat_map(|(option, days)| [option.to_owned(), days.to_string()]).collect::<Vec<_>>();
    let all = ["chage".to_owned()].into_iter().chain(words.clone()).chain([arguments.name.clone()]);
    (!words.is_empty()).then(|| Step::new(all))
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
    let ends = arguments.last_day().filter(|wanted| {
        let has = scene.last_day.unwrap_or(-1);
        *wanted != has && (*wanted >= 0 || has >= 0)
    });
    add("-e", ends.map(day));
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
    let set = password(arguments, now).filter(|_| arguments.update_password == UpdatePassword::Always);
    steps.extend(locked(arguments, now).filter(|_| set.is_none()));
    steps.extend(set);
    steps.extend(ages(arguments, scene));
    if arguments.create_home && !scene.home && !moved {
        let skeleton = arguments.skeleton.as_deref().unwrap_or("/etc/skel");
        steps.push(Step::new(["cp", "-rT", skeleton, &own.home]));
        steps.push(Step::new(["chown", "-R", &format!("{}:{}", own.uid, own.gid), &own.home]));
    }
    Ok(steps)
}
