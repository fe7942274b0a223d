//! `known_hosts`: keys by which servers are known.

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::module::action::{Action, Bytes, Write, act, octal, umask};
use crate::module::arguments::{Kind, Parameter};
use crate::module::lineinfile::State;
use crate::module::plan::about;
use crate::module::{Call, Context, Error, Failed, Mode, Outcome, text, typed};

/// What it may be told.
pub const PARAMETERS: &[Parameter] = &[
    Parameter::new("name", Kind::Text).or(&["host"]).required(),
    Parameter::new("key", Kind::Text),
    Parameter::new("path", Kind::Text),
    Parameter::new("hash_host", Kind::Flag),
    Parameter::new("state", Kind::Choice(&["absent", "present"])),
];

/// What is wanted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Arguments {
    /// The server, as `host` or `[host]:port`.
    pub name: String,
    /// The whole line of its key.
    pub key: Option<String>,
    /// The file.
    #[serde(default = "usual")]
    pub path: String,
    /// Whether the name is hidden behind a digest.
    #[serde(default)]
    pub hash_host: bool,
    /// Whether the key is known.
    #[serde(default)]
    pub state: State,
}

fn usual() -> String {
    "~/.ssh/known_hosts".to_owned()
}

pub(crate) fn parse(Call { arguments, .. }: Call) -> Result<Arguments, Error> {
    let arguments: Arguments = typed("known_hosts", arguments)?;
    if arguments.state == State::Present && arguments.key.is_none() {
        return Err(Error::Missing { module: "known_hosts".to_owned(), name: "key".to_owned() });
    }
    Ok(arguments)
}

/// The parts of a line.
#[derive(PartialEq)]
struct Entry<'l> {
    marker: Option<&'l str>,
    hosts: &'l str,
    kind: &'l str,
    key: &'l str,
}

fn entry(line: &str) -> Option<Entry<'_>> {
    let mut words = line.split_whitespace().peekable();
    let marker = words.next_if(|word| word.starts_with('@'));
    let hosts = words.next().filter(|word| !word.starts_with('#'))?;
    Some(Entry { marker, hosts, kind: words.next()?, key: words.next()? })
}

/// Whether a field of hosts means `name`: hidden, or a list of patterns.
fn means(hosts: &str, name: &str) -> bool {
    if let Some(hidden) = hosts.strip_prefix("|1|") {
        let decoded = hidden
            .split_once('|')
            .and_then(|(salt, digest)| Some((STANDARD.decode(salt).ok()?, STANDARD.decode(digest).ok()?)));
        return decoded.is_some_and(|(salt, digest)| hashed(&salt, name) == digest);
    }
    let mut meant = false;
    for pattern in hosts.to_lowercase().split(',') {
        match pattern.strip_prefix('!') {
            Some(not) if fits(not, name) => return false,
            Some(_) => {}
            None => meant |= fits(pattern, name),
        }
    }
    meant
}

/// Whether a name fits a pattern of `*` and `?`; brackets stand for themselves here.
fn fits(pattern: &str, name: &str) -> bool {
    let Some(first) = pattern.chars().next() else { return name.is_empty() };
    let rest = &pattern[first.len_utf8()..];
    let mut letters = name.chars();
    match (first, letters.next()) {
        ('*', None) => fits(rest, name),
        ('*', Some(_)) => fits(rest, name) || fits(pattern, letters.as_str()),
        ('?', Some(_)) => fits(rest, letters.as_str()),
        (first, Some(letter)) => first == letter && fits(rest, letters.as_str()),
        (_, None) => false,
    }
}

fn hashed(salt: &[u8], name: &str) -> Vec<u8> {
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, salt);
    hmac::sign(&key, name.as_bytes()).as_ref().to_vec()
}

/// The file's content as wanted; nothing if it is so already.
///
/// # Errors
///
/// [`Failed`]: the key is not one of the host.
pub fn plan(arguments: &Arguments, before: &str) -> Result<Option<String>, Failed> {
    let name = arguments.name.to_lowercase();
    let given = arguments.key.as_deref().map(str::trim).filter(|key| !key.is_empty());
    if name.contains(',') && given.is_some() {
        return Err(Failed::new(
            "Comma separated list of names is not supported. Please pass a single name to lookup in the known_hosts \
             file.",
        ));
    }
    let wanted = given.map(|line| {
        let wrong = "Host parameter does not match hashed host field in supplied key";
        let wanted = entry(line).filter(|wanted| means(wanted.hosts, &name));
        wanted.ok_or_else(|| Failed::new(wrong))
    });
    let wanted = wanted.transpose()?;
    let lines = before.split_inclusive('\n').collect::<Vec<_>>();
    let found = lines.iter().enumerate().filter_map(|(at, line)| Some((at, entry(line)?)));
    let found = found.filter(|(_, entry)| means(entry.hosts, &name)).collect::<Vec<_>>();
    let Some(wanted) = wanted else {
        let kept = lines.iter().enumerate().filter(|(at, _)| found.iter().all(|(place, _)| place != at));
        return Ok((!found.is_empty()).then(|| kept.map(|(_, line)| *line).collect()));
    };
    let same = |entry: &Entry| {
        let hosts = entry.hosts == wanted.hosts
            || (arguments.hash_host || wanted.hosts.starts_with("|1|")) && entry.hosts.starts_with("|1|");
        entry.kind == wanted.kind && entry.key == wanted.key && hosts && entry.marker == wanted.marker
    };
    let exact = found.iter().find(|(_, entry)| same(entry));
    let place = exact.or_else(|| found.iter().find(|(_, entry)| entry.kind == wanted.kind)).map(|(at, _)| *at);
    let rest = |place: Option<usize>| {
        let kept = lines.iter().enumerate().filter(move |(at, _)| Some(*at) != place);
        kept.map(|(_, line)| *line).collect::<String>()
    };
    Ok(match (arguments.state, place) {
        (State::Present, _) if exact.is_some() => None,
        (State::Present, place) => Some(rest(place) + &line(arguments, &wanted, given.unwrap_or_default(), &name)),
        (State::Absent, None) => None,
        (State::Absent, place) => Some(rest(place)),
    })
}

fn line(arguments: &Arguments, wanted: &Entry, given: &str, name: &str) -> String {
    if !arguments.hash_host {
        return format!("{given}\n");
    }
    let salt = rand::random::<[u8; 20]>();
    let hidden = format!("|1|{}|{}", STANDARD.encode(salt), STANDARD.encode(hashed(&salt, name)));
    let words = given.split_whitespace().map(|word| if word == wanted.hosts { hidden.as_str() } else { word });
    words.collect::<Vec<_>>().join(" ") + "\n"
}

pub(crate) fn run(arguments: &Arguments, host: &Context, mode: Mode) -> Result<Outcome, Failed> {
    let path = host.system.path(&arguments.path);
    let before = text::read(&path, host.system)?.unwrap_or_default();
    let after = plan(arguments, &String::from_utf8_lossy(&before))?;
    let mut outcome = Outcome { changed: after.is_some(), ..Outcome::default() };
    if mode == Mode::Check {
        outcome.diffs.extend(after.map(|after| text::diff(&path, &before, after.as_bytes())));
        return Ok(outcome);
    }
    if let Ok(Value::Object(told)) = serde_json::to_value(arguments) {
        outcome.values.extend(told);
    }
    outcome.values.insert("path".to_owned(), json!(path.clone()));
    if let Some(after) = after {
        outcome.diffs.push(text::diff(&path, &before, after.as_bytes()));
        let is_new = host.system.found(&path).ok().flatten().is_none();
        let mode = is_new.then(|| octal(0o666 & !umask()));
        let bytes = Bytes::Text(after.into_bytes());
        act(&Action::Write(Write { path: path.clone(), bytes, mode, ..Write::default() }), host)?;
    }
    about(&path, host.system, &mut outcome.values);
    Ok(outcome)
}
