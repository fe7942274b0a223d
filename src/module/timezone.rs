//! `timezone`: the machine's time zone, and what its clock is set to.

use serde::{Deserialize, Serialize};
use serde_json::{Map, json};

use crate::module::action::{Action, Bytes, Write, act};
use crate::module::arguments::{Kind, Parameter};
use crate::module::attributes::pretty;
use crate::module::{Call, Context, Diff, Error, Failed, Mode, Outcome, program, text, typed};

/// What it may be told.
pub const PARAMETERS: &[Parameter] =
    &[Parameter::new("name", Kind::Text), Parameter::new("hwclock", Kind::Choice(&["local", "UTC"])).or(&["rtc"])];

/// What is wanted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Arguments {
    /// The zone, e.g. `Europe/Berlin`.
    pub name: Option<String>,
    /// Whether the clock is set to local time: `local` or `UTC`.
    pub hwclock: Option<String>,
}

pub(crate) fn parse(Call { arguments, .. }: Call) -> Result<Arguments, Error> {
    let arguments: Arguments = typed("timezone", arguments)?;
    if arguments.name.is_none() && arguments.hwclock.is_none() {
        return Err(Error::Missing { module: "timezone".to_owned(), name: "name or hwclock".to_owned() });
    }
    Ok(arguments)
}

/// What sets the zone here.
enum Way {
    /// `timedatectl`, at this path.
    Systemd(String),
    /// Files.
    Files,
}

pub(crate) fn run(arguments: &Arguments, host: &Context, mode: Mode) -> Result<Outcome, Failed> {
    let systemd =
        program::find("timedatectl").filter(|it| program::english(&[it], host).is_ok_and(|it| it.status == 0));
    let way = systemd.map_or(Way::Files, Way::Systemd);
    if let Some(name) = &arguments.name {
        let there = host.system.followed(&format!("/usr/share/zoneinfo/{name}")).ok().flatten();
        if there.is_none_or(|it| it.kind != crate::module::system::FileKind::File) || name.contains("..") {
            return Err(Failed::new(format!("Error message:\ngiven timezone \"{name}\" is not available")));
        }
    }
    let before = now(&way, arguments, host)?;
    let wanted = Arguments {
        name: arguments.name.clone().or_else(|| before.name.clone()),
        hwclock: arguments.hwclock.clone().or_else(|| before.hwclock.clone()),
    };
    let mut said = vec![];
    if mode == Mode::Apply {
        if let Some(name) = arguments.name.as_ref().filter(|_| before.name != wanted.name) {
            said.extend(zone(&way, name, host)?);
        }
        if let Some(clock) = arguments.hwclock.as_ref().filter(|_| before.hwclock != wanted.hwclock) {
            said.extend(clock_set(&way, clock, host)?);
        }
        let after = now(&way, arguments, host)?;
        if after != wanted {
            return Err(Failed::new("Error message:\nstill not desired state, though changes have made"));
        }
    }
    let changed = before != wanted;
    let mut outcome = Outcome { changed, ..Outcome::default() };
    let subject = "timezone".to_owned();
    let diff = Diff { subject, before: shown(&before), after: shown(&wanted) };
    outcome.diffs.extend(changed.then_some(diff));
    if !said.is_empty() {
        outcome.values.insert("msg".to_owned(), json!(said.join("\n")));
    }
    Ok(outcome)
}

fn shown(zone: &Arguments) -> String {
    let pairs = [("name", &zone.name), ("hwclock", &zone.hwclock)];
    let pairs = pairs.into_iter().filter_map(|(name, value)| Some((name.to_owned(), json!(value.as_ref()?))));
    pretty(pairs.collect::<Map<_, _>>())
}

/// What is so now, of what is asked for.
fn now(way: &Way, asked: &Arguments, host: &Context) -> Result<Arguments, Failed> {
    let read = |path: &str| {
        let bytes = text::read(path, host.system)?.unwrap_or_default();
        Ok::<_, Failed>(String::from_utf8_lossy(&bytes).into_owned())
    };
    let found = match way {
        Way::Systemd(program) => {
            let status = program::must(&[program, "status"], "", host)?.stdout;
            let field = |names: &[&str]| {
                let mut pairs = status.lines().filter_map(|line| line.split_once(':'));
                let value = pairs.find(|(name, _)| names.contains(&name.trim()))?.1;
                value.split_whitespace().next().map(str::to_owned)
            };
            let local = field(&["RTC in local TZ"]).is_some_and(|it| it == "yes");
            let clock = if local { "local" } else { "UTC" };
            Arguments { name: field(&["Time zone", "Timezone"]), hwclock: Some(clock.to_owned()) }
        }
        Way::Files => {
            let local = read("/etc/adjtime")?.lines().any(|line| line == "LOCAL");
            let clock = if local { "local" } else { "UTC" };
            let name = read("/etc/timezone")?.split_whitespace().next().map(str::to_owned);
            // The file may say what the link does not.
            let link = host.system.found("/etc/localtime").ok().flatten().and_then(|it| it.target);
            let linked = link.and_then(|it| it.split_once("zoneinfo/").map(|(_, zone)| zone.to_owned()));
            let name = if linked.is_some() && linked != name { None } else { name };
            Arguments { name, hwclock: Some(clock.to_owned()) }
        }
    };
    Ok(Arguments {
        name: found.name.filter(|_| asked.name.is_some()),
        hwclock: found.hwclock.filter(|_| asked.hwclock.is_some()),
    })
}

fn zone(way: &Way, name: &str, host: &Context) -> Result<Vec<String>, Failed> {
    match way {
        Way::Systemd(program) => {
            program::must(&[program, "set-timezone", name], "", host)?;
            Ok(vec![format!("executed `{program} set-timezone {name}`")])
        }
        Way::Files => {
            let (path, target) = ("/etc/localtime".to_owned(), format!("/usr/share/zoneinfo/{name}"));
            act(&Action::Link { path, target }, host)?;
            let bytes = Bytes::Text(format!("{name}\n").into_bytes());
            act(&Action::Write(Write { path: "/etc/timezone".to_owned(), bytes, ..Write::default() }), host)?;
            if program::find("dpkg-reconfigure").is_some() {
                program::must(&["dpkg-reconfigure", "--frontend", "noninteractive", "tzdata"], "", host)?;
            }
            Ok(vec![])
        }
    }
}

fn clock_set(way: &Way, clock: &str, host: &Context) -> Result<Vec<String>, Failed> {
    match way {
        Way::Systemd(program) => {
            let local = if clock == "local" { "yes" } else { "no" };
            program::must(&[program, "set-local-rtc", local], "", host)?;
            Ok(vec![format!("executed `{program} set-local-rtc {local}`")])
        }
        Way::Files => {
            let option = if clock == "local" { "--localtime" } else { "--utc" };
            program::must(&["hwclock", "--systohc", option], "", host)?;
            Ok(vec![])
        }
    }
}
