//! `authorized_key`: keys that may log in as an account.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::module::action::{Action, Bytes, Write, act, octal, umask};
use crate::module::arguments::{Kind, Parameter};
use crate::module::attributes::Ids;
use crate::module::lineinfile::State;
use crate::module::{Call, Context, Error, Failed, Mode, Outcome, text, typed};

/// What it may be told.
pub const PARAMETERS: &[Parameter] = &[
    Parameter::new("user", Kind::Text).required(),
    Parameter::new("key", Kind::Text).required(),
    Parameter::new("path", Kind::Text),
    Parameter::new("manage_dir", Kind::Flag),
    Parameter::new("state", Kind::Choice(&["absent", "present"])),
    Parameter::new("key_options", Kind::Text),
    Parameter::new("exclusive", Kind::Flag),
    Parameter::new("comment", Kind::Text),
    Parameter::new("validate_certs", Kind::Flag),
    Parameter::new("follow", Kind::Flag),
];

/// What is wanted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(clippy::struct_excessive_bools, reason = "the parameters of the module, as Ansible names them")]
pub struct Arguments {
    /// The account.
    pub user: String,
    /// Its keys, one a line.
    pub key: String,
    /// The file, if it is not the account's usual one.
    pub path: Option<String>,
    /// Whether the directory is made and given to the account.
    #[serde(default = "yes")]
    pub manage_dir: bool,
    /// Whether the keys are there.
    #[serde(default)]
    pub state: State,
    /// Options put in front of each key.
    pub key_options: Option<String>,
    /// Whether all other keys go.
    #[serde(default)]
    pub exclusive: bool,
    /// What stands behind each key.
    pub comment: Option<String>,
    /// Only told: nothing is fetched.
    #[serde(default = "yes")]
    pub validate_certs: bool,
    /// Whether a link at the path is followed.
    #[serde(default)]
    pub follow: bool,
}

fn yes() -> bool {
    true
}

pub(crate) fn parse(Call { arguments, .. }: Call) -> Result<Arguments, Error> {
    let arguments: Arguments = typed("authorized_key", arguments)?;
    if arguments.key.starts_with("http") {
        return Err(Error::Value {
            module: "authorized_key".to_owned(),
            name: "key".to_owned(),
            value: arguments.key,
            wanted: "keys, not an address (`lookup('file', …)` reads them from a file)".to_owned(),
        });
    }
    Ok(arguments)
}

/// Kinds of keys.
const KINDS: &[&str] = &[
    "sk-ecdsa-sha2-nistp256@openssh.com",
    "sk-ecdsa-sha2-nistp256-cert-v01@openssh.com",
    "webauthn-sk-ecdsa-sha2-nistp256@openssh.com",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp256-cert-v01@openssh.com",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp384-cert-v01@openssh.com",
    "ecdsa-sha2-nistp521",
    "ecdsa-sha2-nistp521-cert-v01@openssh.com",
    "sk-ssh-ed25519@openssh.com",
    "sk-ssh-ed25519-cert-v01@openssh.com",
    "ssh-ed25519",
    "ssh-ed25519-cert-v01@openssh.com",
    "ssh-dss",
    "ssh-rsa",
    "ssh-xmss@openssh.com",
    "ssh-xmss-cert-v01@openssh.com",
    "rsa-sha2-256",
    "rsa-sha2-512",
    "ssh-rsa-cert-v01@openssh.com",
    "rsa-sha2-256-cert-v01@openssh.com",
    "rsa-sha2-512-cert-v01@openssh.com",
    "ssh-dss-cert-v01@openssh.com",
];

/// One line of the file: a key, or something that is kept as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Line {
    Key { options: Vec<(String, Option<String>)>, kind: String, key: String, comment: String },
    Other(String),
}

impl Line {
    /// Reads a line; one that is no key stays as it is.
    fn of(line: &str) -> Self {
        let other = || Self::Other(line.to_owned());
        let unescaped = line.replace("\\#", "#");
        let words = unescaped.split_ascii_whitespace().collect::<Vec<_>>();
        let Some(at) = words.iter().position(|word| KINDS.contains(word)) else { return other() };
        let (Some(key), false) = (words.get(at + 1), words[0] == "#") else { return other() };
        let (kind, key) = (words[at].to_owned(), (*key).to_owned());
        Self::Key { options: options(&words[..at].join(" ")), kind, key, comment: words[at + 2..].join(" ") }
    }

    /// What makes it the same line as another.
    fn name(&self) -> &str {
        match self {
            Self::Key { key, .. } => key,
            Self::Other(line) => line,
        }
    }

    /// Whether it says the same; the order of options does not count.
    fn says(&self, other: &Self) -> bool {
        let sorted = |line: &Self| {
            let mut line = line.clone();
            if let Self::Key { options, .. } = &mut line {
                options.sort_by(|left, right| left.0.cmp(&right.0));
            }
            line
        };
        sorted(self) == sorted(other)
    }

    fn written(&self) -> String {
        let Self::Key { options, kind, key, comment } = self else { return self.name().to_owned() };
        let option = |(name, value): &(String, Option<String>)| match value {
            Some(value) => format!("{name}={value}"),
            None => name.clone(),
        };
        let mut options = options.iter().map(option).collect::<Vec<_>>().join(",");
        if !options.is_empty() {
            options.push(' ');
        }
        format!("{options}{kind} {key} {comment}\n")
    }
}

/// Splits options at commas that are not within quotes.
fn options(text: &str) -> Vec<(String, Option<String>)> {
    let mut parts = vec![String::new()];
    let mut quote = None;
    for letter in text.chars() {
        match (letter, quote) {
            (',', None) => {
                parts.push(String::new());
                continue;
            }
            ('"' | '\'', None) => quote = Some(letter),
            (letter, Some(open)) if letter == open => quote = None,
            _ => {}
        }
        parts.last_mut().into_iter().for_each(|part| part.push(letter));
    }
    let pair = |part: String| match part.split_once('=') {
        Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
        None => (part, None),
    };
    parts.into_iter().filter(|part| !part.is_empty()).map(pair).collect()
}

/// The file's content with the keys as wanted; nothing if it is so already.
///
/// # Errors
///
/// [`Failed`]: a line is no key.
pub fn plan(arguments: &Arguments, before: &str) -> Result<Option<String>, Failed> {
    let mut lines: Vec<Line> = vec![];
    for line in before.split_inclusive('\n').map(Line::of) {
        // Of lines that are the same the last counts, in its own place.
        lines.retain(|known| known.name() != line.name());
        lines.push(line);
    }
    let (mut wanted, mut changed) = (vec![], false);
    for text in arguments.key.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let line = new(arguments, text)?;
        let known = lines.iter().position(|known| known.name() == line.name());
        wanted.push(line.name().to_owned());
        match (arguments.state, known) {
            (State::Present, Some(at)) if lines[at].says(&line) => continue,
            (State::Absent, None) => continue,
            (_, known) => {
                known.map(|at| lines.remove(at));
            }
        }
        lines.extend((arguments.state == State::Present).then_some(line));
        changed = true;
    }
    if arguments.exclusive && arguments.state == State::Present {
        let all = lines.len();
        lines.retain(|line| wanted.iter().any(|name| name == line.name()));
        changed |= lines.len() != all;
    }
    Ok(changed.then(|| lines.iter().map(Line::written).collect()))
}

fn new(arguments: &Arguments, text: &str) -> Result<Line, Failed> {
    let mut line = Line::of(text);
    let Line::Key { options: own, comment, .. } = &mut line else {
        return Err(Failed::new(format!("invalid key specified: {text}")));
    };
    if let Some(wanted) = &arguments.key_options {
        *own = options(wanted);
    }
    if let Some(wanted) = &arguments.comment {
        comment.clone_from(wanted);
    }
    Ok(line)
}

/// The file, and whose it is.
struct Place {
    path: String,
    ids: Ids,
}

pub(crate) fn run(arguments: &Arguments, host: &Context, mode: Mode) -> Result<Outcome, Failed> {
    let place = place(arguments, host, mode)?;
    let before = text::read(&place.path, host.system)?.unwrap_or_default();
    let after = plan(arguments, &String::from_utf8_lossy(&before))?;
    let mut outcome = Outcome { changed: after.is_some(), values: told(arguments), ..Outcome::default() };
    outcome.values.insert("keyfile".to_owned(), json!(place.path));
    if let Some(after) = after {
        outcome.diffs.push(text::diff(&place.path, &before, after.as_bytes()));
        if mode == Mode::Apply {
            write(arguments, &place, after, host)?;
        }
    }
    if arguments.path.is_some() {
        crate::module::plan::about(&place.path, host.system, &mut outcome.values);
    }
    Ok(outcome)
}

fn told(arguments: &Arguments) -> Map<String, Value> {
    let mut values = Map::new();
    if let Ok(Value::Object(all)) = serde_json::to_value(arguments) {
        values.extend(all);
    }
    values
}

fn place(arguments: &Arguments, host: &Context, mode: Mode) -> Result<Place, Failed> {
    let path = arguments.path.as_ref().map(|path| host.system.path(path));
    let account = host.system.accounts().into_iter().find(|it| it.name == arguments.user);
    match (account, path, mode) {
        (None, Some(path), Mode::Check) => Ok(Place { path, ids: Ids::default() }),
        (None, None, Mode::Check) => {
            Err(Failed::new("Either user must exist or you must provide full path to key file in check mode"))
        }
        (None, _, Mode::Apply) => {
            let user = &arguments.user;
            Err(Failed::new(format!("Failed to lookup user {user}: \"getpwnam(): name not found: '{user}'\"")))
        }
        (Some(account), path, _) => {
            let usual = || format!("{}/.ssh/authorized_keys", account.home.trim_end_matches('/'));
            let ids = Ids { uid: Some(account.uid), gid: Some(account.gid) };
            Ok(Place { path: path.unwrap_or_else(usual), ids })
        }
    }
}

fn write(arguments: &Arguments, place: &Place, content: String, host: &Context) -> Result<(), Failed> {
    let path = if arguments.follow { host.system.canonical(&place.path) } else { place.path.clone() };
    let directory = path.rsplit_once('/').map_or("/", |(above, _)| if above.is_empty() { "/" } else { above });
    let is_there = |path: &str| host.system.real(path).exists();
    let mut actions = vec![];
    if arguments.manage_dir {
        let (path, mode) = (directory.to_owned(), octal(0o700));
        actions.extend((!is_there(directory)).then(|| Action::Mkdir { path: path.clone(), mode: mode.clone() }));
        actions.push(Action::Chown { path: path.clone(), ids: place.ids });
        actions.push(Action::Chmod { path, mode });
    } else {
        let ends = directory.match_indices('/').map(|(at, _)| at).skip(1).chain([directory.len()]);
        let missing = ends.map(|end| &directory[..end]).filter(|path| !path.is_empty() && !is_there(path));
        let mode = octal(0o777 & !umask());
        actions.extend(missing.map(|path| Action::Mkdir { path: path.to_owned(), mode: mode.clone() }));
    }
    let bytes = Bytes::Text(content.into_bytes());
    actions.push(Action::Write(Write { path, bytes, mode: Some(octal(0o600)), ids: place.ids, ..Write::default() }));
    actions.iter().try_for_each(|action| act(action, host).map(drop))
}
