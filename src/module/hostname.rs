//! `hostname`: the machine's name, now and at every start.

use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::module::action::{Action, Bytes, Write, act};
use crate::module::arguments::{Kind, Parameter};
use crate::module::{Call, Context, Diff, Error, Failed, Mode, Outcome, program, text, typed};

mod whole;

pub(crate) use whole::whole;

/// What it may be told.
pub const PARAMETERS: &[Parameter] = &[
    Parameter::new("name", Kind::Text).required(),
    Parameter::new("use", Kind::Choice(&["systemd", "debian", "alpine"])),
];

/// What is wanted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Arguments {
    /// The name.
    pub name: String,
    /// What keeps it; found out if none.
    #[serde(rename = "use")]
    pub keeper: Option<Keeper>,
}

/// What keeps the machine's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Keeper {
    /// `hostnamectl`.
    #[serde(alias = "debian")]
    Systemd,
    /// `/etc/hostname` and `hostname -F`.
    Alpine,
    /// `/etc/hostname` alone.
    #[serde(skip_deserializing)]
    File,
}

const FILE: &str = "/etc/hostname";

pub(crate) fn parse(Call { arguments, .. }: Call) -> Result<Arguments, Error> {
    typed("hostname", arguments)
}

pub(crate) fn run(arguments: &Arguments, host: &Context, mode: Mode) -> Result<Outcome, Failed> {
    let keeper = arguments.keeper.unwrap_or_else(|| found(host));
    let (lasting, now) = (asked(keeper, Name::Lasting, host)?, asked(keeper, Name::Now, host)?);
    let wanted = &arguments.name;
    if mode == Mode::Apply {
        if lasting != *wanted {
            told(keeper, Name::Lasting, wanted, host)?;
        }
        if now != *wanted {
            told(keeper, Name::Now, wanted, host)?;
        }
    }
    let before = if now == *wanted { &lasting } else { &now };
    let changed = before != wanted;
    let line = |name: &str| format!("hostname = {name}\n");
    let diff = Diff { subject: "hostname".to_owned(), before: line(before), after: line(wanted) };
    let mut outcome = Outcome { changed, diffs: changed.then_some(diff).into_iter().collect(), ..Outcome::default() };
    let node = if mode == Mode::Apply { wanted } else { &now };
    let whole = whole(node, host.system);
    let facts = json!({
        "ansible_hostname": wanted.split('.').next().unwrap_or_default(),
        "ansible_nodename": wanted,
        "ansible_fqdn": whole,
        "ansible_domain": whole.split_once('.').map_or("", |(_, domain)| domain),
    });
    outcome.values.extend([("name".to_owned(), json!(wanted)), ("ansible_facts".to_owned(), facts)]);
    Ok(outcome)
}

fn found(host: &Context) -> Keeper {
    let is_there = |path: &str| host.system.real(path).exists();
    match () {
        () if is_there("/run/systemd/system") && program::find("hostnamectl").is_some() => Keeper::Systemd,
        () if is_there("/etc/alpine-release") => Keeper::Alpine,
        () => Keeper::File,
    }
}

/// The machine's two names.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Name {
    /// That of every start.
    Lasting,
    /// That of the kernel.
    Now,
}

fn asked(keeper: Keeper, name: Name, host: &Context) -> Result<String, Failed> {
    if keeper != Keeper::Systemd {
        let bytes = text::read(FILE, host.system)?.unwrap_or_default();
        return Ok(String::from_utf8_lossy(&bytes).trim().to_owned());
    }
    let which = if name == Name::Now { "--transient" } else { "--static" };
    systemd(&["hostnamectl", which, "status"], host).map(|said| said.trim().to_owned())
}

fn systemd(words: &[&str], host: &Context) -> Result<String, Failed> {
    let ran = program::english(words, host)?;
    if ran.status == 0 {
        return Ok(ran.stdout);
    }
    Err(Failed::new(format!("Command failed rc={}, out={}, err={}", ran.status, ran.stdout, ran.stderr)))
}

fn told(keeper: Keeper, name: Name, wanted: &str, host: &Context) -> Result<(), Failed> {
    match (keeper, name) {
        (Keeper::Systemd, _) if wanted.len() > 64 => {
            let why = "name cannot be longer than 64 characters on systemd servers, try a shorter name";
            Err(Failed::new(why))
        }
        (Keeper::Systemd, Name::Lasting) => {
            systemd(&["hostnamectl", "--pretty", "--static", "set-hostname", wanted], host).map(drop)
        }
        (Keeper::Systemd, Name::Now) => {
            systemd(&["hostnamectl", "--transient", "set-hostname", wanted], host).map(drop)
        }
        (_, Name::Lasting) => {
            let bytes = Bytes::Text(format!("{wanted}\n").into_bytes());
            act(&Action::Write(Write { path: FILE.to_owned(), bytes, ..Write::default() }), host).map(drop)
        }
        (Keeper::Alpine, Name::Now) => systemd(&["hostname", "-F", FILE], host).map(drop),
        (Keeper::File, Name::Now) => Ok(()),
    }
}
