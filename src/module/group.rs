//! `group`: groups of accounts, through `groupadd`, `groupmod` and `groupdel`.

use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::module::arguments::{Kind, Parameter};
use crate::module::lineinfile::State;
use crate::module::program::{self, Setting};
use crate::module::system::Group;
use crate::module::{Call, Context, Error, Failed, Mode, Outcome, typed};

/// What it may be told.
pub const PARAMETERS: &[Parameter] = &[
    Parameter::new("name", Kind::Text).required(),
    Parameter::new("state", Kind::Choice(&["absent", "present"])),
    Parameter::new("gid", Kind::Integer),
    Parameter::new("force", Kind::Flag),
    Parameter::new("system", Kind::Flag),
    Parameter::new("local", Kind::Flag),
    Parameter::new("non_unique", Kind::Flag),
];

/// What is wanted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(clippy::struct_excessive_bools, reason = "the parameters of the module, as Ansible names them")]
pub struct Arguments {
    /// The group.
    pub name: String,
    /// Whether it is there.
    #[serde(default)]
    pub state: State,
    /// Its number.
    pub gid: Option<u32>,
    /// Whether it is removed even if it is the first group of an account.
    #[serde(default)]
    pub force: bool,
    /// Whether a new group is a system group.
    #[serde(default)]
    pub system: bool,
    /// Whether the programs of libuser do it.
    #[serde(default)]
    pub local: bool,
    /// Whether another group may have the same number.
    #[serde(default)]
    pub non_unique: bool,
}

pub(crate) fn parse(Call { arguments, .. }: Call) -> Result<Arguments, Error> {
    let arguments: Arguments = typed("group", arguments)?;
    if arguments.force && arguments.local {
        let [first, second] = ["force".to_owned(), "local".to_owned()];
        return Err(Error::Together { module: "group".to_owned(), first, second });
    }
    if arguments.non_unique && arguments.gid.is_none() {
        return Err(Error::Missing { module: "group".to_owned(), name: "gid (for `non_unique`)".to_owned() });
    }
    Ok(arguments)
}

pub(crate) fn run(arguments: &Arguments, host: &Context, mode: Mode) -> Result<Outcome, Failed> {
    let steps = plan(arguments, &host.system.groups());
    let mut outcome = Outcome { changed: steps.is_some(), ..Outcome::default() };
    let mut tell = |name: &str, value| drop(outcome.values.insert(name.to_owned(), value));
    if mode == Mode::Apply
        && let Some(words) = &steps
    {
        let ran = program::run(words, &Setting::default(), host)?;
        if ran.status != 0 {
            return Err(Failed::new(ran.stderr).with("name", arguments.name.clone()));
        }
        for (name, said) in [("stdout", ran.stdout), ("stderr", ran.stderr)] {
            if !said.is_empty() {
                tell(name, json!(said));
            }
        }
    }
    tell("name", json!(arguments.name));
    tell("state", json!(if arguments.state == State::Present { "present" } else { "absent" }));
    if let Some(group) = host.system.groups().into_iter().find(|it| it.name == arguments.name) {
        tell("system", json!(arguments.system));
        tell("gid", json!(group.gid));
    }
    Ok(outcome)
}

/// The program that makes the group as wanted, if it is not.
pub fn plan(arguments: &Arguments, groups: &[Group]) -> Option<Vec<String>> {
    let own = groups.iter().find(|it| it.name == arguments.name);
    let prefix = if arguments.local { "l" } else { "" };
    let number = |wanted: &u32| {
        let same = arguments.non_unique.then(|| "-o".to_owned());
        ["-g".to_owned(), wanted.to_string()].into_iter().chain(same)
    };
    let mut words = vec![];
    match (arguments.state, own) {
        (State::Absent, None) => return None,
        (State::Absent, Some(_)) => {
            words.push(format!("{prefix}groupdel"));
            words.extend(arguments.force.then(|| "-f".to_owned()));
        }
        (State::Present, None) => {
            words.push(format!("{prefix}groupadd"));
            words.extend(arguments.gid.iter().flat_map(number));
            words.extend(arguments.system.then(|| "-r".to_owned()));
        }
        (State::Present, Some(own)) => {
            let other = arguments.gid.filter(|gid| *gid != own.gid)?;
            words.push(format!("{prefix}groupmod"));
            words.extend(number(&other));
        }
    }
    words.push(arguments.name.clone());
    Some(words)
}
