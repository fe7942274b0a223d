//! What `user` may be told.

use serde::{Deserialize, Serialize};

use crate::module::arguments::{Kind, Parameter};
use crate::module::lineinfile::State;
use crate::module::openssh_keypair::Type;
use crate::module::{Call, Error, typed};
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
    Parameter::new("expires", Kind::Text),
    Parameter::new("password_expire_min", Kind::Integer),
    Parameter::new("password_expire_max", Kind::Integer),
    Parameter::new("generate_ssh_key", Kind::Flag).or(&["sshkeygen"]),
    Parameter::new("ssh_key_bits", Kind::Integer),
    Parameter::new("ssh_key_type", Kind::Choice(&["rsa", "ecdsa", "ed25519"])),
    Parameter::new("ssh_key_file", Kind::Text),
    Parameter::new("ssh_key_comment", Kind::Text),
    Parameter::new("ssh_key_passphrase", Kind::Text),
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
    /// When it ends, in seconds since 1970; never if it is less than nothing.
    pub expires: Option<String>,
    /// Days before a password may be changed again.
    pub password_expire_min: Option<i64>,
    /// Days before a password must be changed.
    pub password_expire_max: Option<i64>,
    /// Whether it gets a key for logging in elsewhere.
    #[serde(default)]
    pub generate_ssh_key: bool,
    /// Bits of the key; as usual if none.
    #[serde(default)]
    pub ssh_key_bits: usize,
    /// What the key is.
    #[serde(default)]
    pub ssh_key_type: Type,
    /// Where the key is, below the home.
    pub ssh_key_file: Option<String>,
    /// What stands behind the key.
    pub ssh_key_comment: Option<String>,
    /// What the key is encrypted with.
    pub ssh_key_passphrase: Option<Secret>,
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
    let arguments: Arguments = typed("user", arguments)?;
    match &arguments.expires {
        Some(text) if text.trim().parse::<f64>().is_err() => Err(Error::Value {
            module: "user".to_owned(),
            name: "expires".to_owned(),
            value: text.clone(),
            wanted: "seconds since 1970".to_owned(),
        }),
        _ => Ok(arguments),
    }
}

impl Arguments {
    /// The day on which it ends, since 1970; -1 for never.
    pub(super) fn last_day(&self) -> Option<i64> {
        let seconds = self.expires.as_ref()?.trim().parse::<f64>().ok()?;
        #[expect(clippy::cast_possible_truncation, reason = "days are few")]
        Some(if seconds < 0.0 { -1 } else { (seconds / 86_400.0).floor() as i64 })
    }
}
