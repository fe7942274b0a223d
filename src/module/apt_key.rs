//! `apt_key`: keys by which apt knows repositories, written as keyrings without the program `apt-key`.
//!
//! A key that is added without a `keyring` gets a file of its own in `/etc/apt/trusted.gpg.d`: lines of
//! `sources.list` without `signed-by` keep working, also where `/etc/apt/trusted.gpg` is not read any more.

use std::collections::BTreeMap;
use std::fs;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::module::action::{Action, Bytes, Write, act};
use crate::module::arguments::{Kind, Parameter};
use crate::module::web::{self, Access, Request};
use crate::module::{Call, Context, Error, Failed, Mode, Outcome, apart, text, typed};

pub mod packet;

use packet::{Key, armored, keys};

/// What it may be told.
pub const PARAMETERS: &[Parameter] = &[
    Parameter::new("id", Kind::Text),
    Parameter::new("url", Kind::Text),
    Parameter::new("data", Kind::Text),
    Parameter::new("file", Kind::Text),
    Parameter::new("keyring", Kind::Text),
    Parameter::new("keyserver", Kind::Text),
    Parameter::new("state", Kind::Choice(&["absent", "present"])),
    web::VALIDATE_CERTS,
];

/// Where apt looks for keys beside `trusted.gpg`.
const PARTS: &str = "/etc/apt/trusted.gpg.d";

/// Most bytes of a key that is fetched.
const LONGEST: u64 = 8 << 20;

/// What is wanted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Arguments {
    /// Its number: 8, 16 or 40 hexadecimal digits.
    pub id: Option<String>,
    /// Where it is fetched from.
    pub url: Option<String>,
    /// The key itself, armored.
    pub data: Option<String>,
    /// A file of the target that it is in.
    pub file: Option<String>,
    /// The keyring that it is in, or goes into.
    pub keyring: Option<String>,
    /// What it shall be.
    #[serde(default)]
    pub state: State,
    /// Whether the server must prove who it is.
    #[serde(default = "yes")]
    pub validate_certs: bool,
}

/// What a key shall be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Trusted.
    #[default]
    Present,
    /// Not trusted.
    Absent,
}

fn yes() -> bool {
    true
}

pub(crate) fn parse(Call { arguments, .. }: Call) -> Result<Arguments, Error> {
    apart("apt_key", &arguments, &["data", "file", "keyserver", "url"])?;
    if let Some(server) = arguments.get("keyserver") {
        return Err(Error::Value {
            module: "apt_key".to_owned(),
            name: "keyserver".to_owned(),
            value: super::arguments::text(server),
            wanted: "left out: keys are fetched from a `url`".to_owned(),
        });
    }
    typed("apt_key", arguments)
}

/// The keyrings that are asked and changed, by their paths.
type Rings = BTreeMap<String, Vec<Key>>;

pub(crate) fn run(arguments: &Arguments, host: &Context, mode: Mode) -> Result<Outcome, Failed> {
    let mut given = None;
    let id = if let Some(id) = &arguments.id {
        id.clone()
    } else {
        let keys = source(arguments, host)?;
        let first = keys.first().and_then(|key| key.ids.first()).cloned();
        given = Some(keys);
        first.unwrap_or_default()
    };
    let mut values = Map::from_iter([("id".to_owned(), json!(id))]);
    let Some(number) = Number::read(&id) else {
        return Err(Failed { message: "Invalid key_id".to_owned(), values });
    };
    values.insert("short_id".to_owned(), json!(number.short));
    values.insert("fp".to_owned(), json!(number.long));
    values.insert("key_id".to_owned(), json!(number.whole));
    let rings = look(arguments, host)?;
    values.insert("before".to_owned(), number.listed(&rings));
    let there = rings.values().flatten().any(|key| key.has(&number.long));
    let wanted = arguments.state == State::Present;
    let mut outcome = Outcome { changed: there != wanted, ..Outcome::default() };
    if outcome.changed && mode == Mode::Apply {
        let change = || {
            if wanted {
                let keys = given.map_or_else(|| source(arguments, host), Ok)?;
                added(arguments, &rings, &keys, host)
            } else {
                removed(&rings, &number, host)
            }
        };
        let after = change().and_then(|()| look(arguments, host));
        let after = after.map_err(|failed| with(failed, &values))?;
        values.insert("after".to_owned(), number.listed(&after));
        let now = after.values().flatten().any(|key| key.has(&number.long));
        if now != wanted {
            let what = if wanted { "failed to add the key" } else { "the key was not removed" };
            let message = format!("{what} (check that the id is correct and *not* a subkey)");
            return Err(Failed { message, values });
        }
    }
    outcome.values = values;
    Ok(outcome)
}

fn with(failed: Failed, values: &Map<String, Value>) -> Failed {
    Failed { message: failed.message, values: values.clone().into_iter().chain(failed.values).collect() }
}

/// The number of a key as a task gives it.
#[derive(Debug, PartialEq, Eq)]
struct Number {
    /// The last 8 digits.
    short: String,
    /// The last 16, or all if there are fewer.
    long: String,
    /// All.
    whole: String,
}

impl Number {
    fn read(text: &str) -> Option<Self> {
        let whole = text.trim().to_uppercase();
        let whole = whole.strip_prefix("0X").unwrap_or(&whole).to_owned();
        let hexadecimal = !whole.is_empty() && whole.chars().all(|letter| letter.is_ascii_hexdigit());
        if !hexadecimal || !(whole.len() == 8 || whole.len() >= 16) {
            return None;
        }
        let last = |digits: usize| whole[whole.len() - digits.min(whole.len())..].to_owned();
        Some(Self { short: last(8), long: last(16), whole })
    }

    /// The numbers of all keys, as short as this one.
    fn listed(&self, rings: &Rings) -> Value {
        let ids = rings.values().flatten().flat_map(|key| &key.ids);
        ids.map(|id| json!(id[id.len() - self.long.len().min(id.len())..])).collect()
    }
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

/// Reads the keyrings. What is none is passed over, as apt does, unless it is the one that is named.
fn look(arguments: &Arguments, host: &Context) -> Result<Rings, Failed> {
    let mut rings = Rings::new();
    if let Some(keyring) = &arguments.keyring {
        let path = host.system.path(keyring);
        let bytes = text::read(&path, host.system)?.unwrap_or_default();
        let wrong = |why: String| Failed::new(format!("cannot use the keyring {path}: {why}"));
        let found = if bytes.is_empty() { vec![] } else { keys(&bytes, now()).map_err(wrong)? };
        rings.insert(path, found);
        return Ok(rings);
    }
    let parts = fs::read_dir(host.system.real(PARTS)).into_iter().flatten().flatten();
    let parts = parts.map(|entry| format!("{PARTS}/{}", entry.file_name().to_string_lossy()));
    // apt itself looks at these endings, in small letters.
    let parts = parts.filter(|path| matches!(path.rsplit_once('.'), Some((_, "gpg" | "asc"))));
    for path in parts.chain(["/etc/apt/trusted.gpg".to_owned()]) {
        if let Some(found) = text::read(&path, host.system)?.and_then(|bytes| keys(&bytes, now()).ok()) {
            rings.insert(path, found);
        }
    }
    Ok(rings)
}

/// The keys that the task gives.
fn source(arguments: &Arguments, host: &Context) -> Result<Vec<Key>, Failed> {
    let (what, bytes) = match (&arguments.data, &arguments.file, &arguments.url) {
        (Some(data), _, _) => ("inline data".to_owned(), data.clone().into_bytes()),
        (_, Some(file), _) => {
            let path = host.system.path(file);
            let bytes = text::read(&path, host.system)?;
            (file.clone(), bytes.ok_or_else(|| Failed::new(format!("Unable to extract key from '{file}'")))?)
        }
        (_, _, Some(url)) => ("inline data".to_owned(), fetched(url, arguments, host)?),
        _ => return Err(Failed::new("No key to add: give `url`, `data` or `file`")),
    };
    keys(&bytes, now()).map_err(|why| Failed::new(format!("Unable to extract key from '{what}': {why}")))
}

fn fetched(url: &str, arguments: &Arguments, host: &Context) -> Result<Vec<u8>, Failed> {
    let access = Access { validate_certs: arguments.validate_certs, ..Access::default() };
    let request = Request { most: LONGEST, ..Request::get(url, &access) };
    let mut content = vec![];
    let why = match web::ask(&request, host, &mut content) {
        Ok(answer) if answer.status == 200 => return Ok(content),
        Ok(answer) => answer.message,
        Err(failed) => failed.message,
    };
    Err(Failed::new(format!("Failed to download key at {}: {why}", web::shown(url))))
}

/// Puts keys into the keyring that is named, or each into a file of its own.
fn added(arguments: &Arguments, rings: &Rings, given: &[Key], host: &Context) -> Result<(), Failed> {
    if arguments.keyring.is_none() {
        return given.iter().try_for_each(|key| {
            let path = format!("{PARTS}/{}.gpg", key.fingerprint.to_lowercase());
            write(&path, std::slice::from_ref(key), host)
        });
    }
    rings.iter().try_for_each(|(path, there)| {
        let other = |known: &&Key| given.iter().all(|key| key.fingerprint != known.fingerprint);
        let all: Vec<Key> = there.iter().filter(other).chain(given).cloned().collect();
        write(path, &all, host)
    })
}

/// Takes a key out of every keyring that has it; a keyring without keys goes.
fn removed(rings: &Rings, number: &Number, host: &Context) -> Result<(), Failed> {
    for (path, there) in rings {
        let is = |key: &Key| key.fingerprint.ends_with(&number.long);
        let rest: Vec<Key> = there.iter().filter(|key| !is(key)).cloned().collect();
        if rest.is_empty() && !there.is_empty() {
            act(&Action::Remove { path: path.clone() }, host)?;
        } else if rest.len() < there.len() {
            write(path, &rest, host)?;
        }
    }
    Ok(())
}

fn write(path: &str, keys: &[Key], host: &Context) -> Result<(), Failed> {
    let plain = keys.iter().flat_map(|key| key.bytes.clone()).collect::<Vec<_>>();
    let bytes = if matches!(path.rsplit_once('.'), Some((_, "asc"))) { armored(&plain).into_bytes() } else { plain };
    let above = path.rsplit_once('/').map_or("/", |(above, _)| above);
    let told = |error: std::io::Error| Failed::new(format!("cannot create directory {above}: {error}"));
    fs::create_dir_all(host.system.real(above)).map_err(told)?;
    let mode = (!host.system.real(path).exists()).then(|| "0644".to_owned());
    let write = Write { path: path.to_owned(), bytes: Bytes::Text(bytes), mode, ..Write::default() };
    act(&Action::Write(write), host).map(|_| ())
}
