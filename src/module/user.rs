//! `user`: accounts, through `useradd`, `usermod` and `userdel`.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::module::arguments::{Kind, Parameter};
use crate::module::lineinfile::State;
use crate::module::{Context, Error, Failed, Mode, Outcome, typed};
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

pub(crate) fn parse(arguments: Map<String, Value>) -> Result<Arguments, Error> {
    typed("user", arguments)
}

pub(crate) fn run(_arguments: &Arguments, _context: &Context, _mode: Mode) -> Result<Outcome, Failed> {
    Err(Failed::new("not yet"))
}
