//! `locale_gen`: languages and their letters.

use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::module::action::{Action, Bytes, Write, act};
use crate::module::arguments::{Kind, Parameter};
use crate::module::lineinfile::State;
use crate::module::{Call, Context, Error, Failed, Mode, Outcome, program, text, typed};

/// What it may be told.
pub const PARAMETERS: &[Parameter] =
    &[Parameter::new("name", Kind::Text).required(), Parameter::new("state", Kind::Choice(&["absent", "present"]))];

/// What is wanted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Arguments {
    /// The locale, e.g. `de_CH.UTF-8`.
    pub name: String,
    /// Whether it is there.
    #[serde(default)]
    pub state: State,
}

pub(crate) fn parse(Call { arguments, .. }: Call) -> Result<Arguments, Error> {
    typed("locale_gen", arguments)
}

const DEBIAN: &str = "/etc/locale.gen";
const UBUNTU: &str = "/var/lib/locales/supported.d";

/// Encodings as `locale -a` may write them, and as they are written elsewhere.
const ENCODINGS: &[(&str, &str)] = &[
    (".utf8", ".UTF-8"),
    (".eucjp", ".EUC-JP"),
    (".iso885915", ".ISO-8859-15"),
    (".cp1251", ".CP1251"),
    (".koi8r", ".KOI8-R"),
    (".armscii8", ".ARMSCII-8"),
    (".euckr", ".EUC-KR"),
    (".gbk", ".GBK"),
    (".gb18030", ".GB18030"),
    (".euctw", ".EUC-TW"),
];

fn plain(name: &str) -> String {
    ENCODINGS.iter().fold(name.to_owned(), |name, (from, to)| name.replace(from, to))
}

/// The file with the locale's lines switched on or off.
pub fn plan(arguments: &Arguments, before: &str) -> String {
    let switched = |line: &str| {
        let bare = line.strip_prefix('#').unwrap_or(line).trim_start();
        let rest = bare.strip_prefix(arguments.name.as_str()).and_then(|rest| rest.strip_prefix(' '));
        match (rest.filter(|rest| !rest.trim().is_empty()), arguments.state) {
            (Some(rest), State::Present) => format!("{} {rest}", arguments.name),
            (Some(rest), State::Absent) => format!("# {} {rest}", arguments.name),
            (None, _) => line.to_owned(),
        }
    };
    before.split_inclusive('\n').map(switched).collect()
}

pub(crate) fn run(arguments: &Arguments, host: &Context, mode: Mode) -> Result<Outcome, Failed> {
    let read = |path: &str| {
        let bytes = text::read(path, host.system)?;
        Ok::<_, Failed>(bytes.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()))
    };
    let ubuntu = host.system.real(UBUNTU).is_dir();
    let known = if ubuntu { read("/usr/share/i18n/SUPPORTED")? } else { read(DEBIAN)? };
    let Some(known) = known else {
        let why = format!("{UBUNTU}/ and {DEBIAN} are missing. Is the package \"locales\" installed?");
        return Err(Failed::new(why));
    };
    let all = program::english(&["locale", "-a"], host)?.stdout;
    let there = all.lines().any(|line| plain(line) == plain(&arguments.name));
    let listed = known.lines().any(|line| {
        let words = line.trim_start_matches('#').split_whitespace().collect::<Vec<_>>();
        matches!(words[..], [name, _] if name == arguments.name)
    });
    if !there && !listed {
        let told = json!({ "name": arguments.name, "ubuntu_mode": ubuntu });
        let failed = Failed::new("The locale you've entered is not available on your system.");
        let failed = failed.with("name", arguments.name.clone()).with("ubuntu_mode", ubuntu);
        return Err(failed.with("output", told.clone()).with("vars", told));
    }
    let changed = there != (arguments.state == State::Present);
    if changed && mode == Mode::Apply {
        if ubuntu {
            generate_as_ubuntu(arguments, host)?;
        } else {
            let bytes = Bytes::Text(plan(arguments, &known).into_bytes());
            act(&Action::Write(Write { path: DEBIAN.to_owned(), bytes, ..Write::default() }), host)?;
            program::must(&["locale-gen"], "", host)?;
        }
    }
    let mut outcome = Outcome { changed, ..Outcome::default() };
    outcome.values.insert("name".to_owned(), json!(arguments.name));
    outcome.values.insert("ubuntu_mode".to_owned(), json!(ubuntu));
    Ok(outcome)
}

fn generate_as_ubuntu(arguments: &Arguments, host: &Context) -> Result<(), Failed> {
    if arguments.state == State::Present {
        return program::must(&["locale-gen", &arguments.name], "", host).map(drop);
    }
    let path = format!("{UBUNTU}/local");
    let before = text::read(&path, host.system)?.unwrap_or_default();
    let before = String::from_utf8_lossy(&before);
    let others = before.split_inclusive('\n').filter(|line| line.split(' ').next() != Some(&arguments.name));
    let bytes = Bytes::Text(others.collect::<String>().into_bytes());
    act(&Action::Write(Write { path, bytes, ..Write::default() }), host)?;
    program::must(&["locale-gen", "--purge"], "", host).map(drop)
}
