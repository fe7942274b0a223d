//! `mysql_user`: accounts of MariaDB and MySQL, with their privileges.
//!
//! Source: community.mysql 3.8, `plugins/modules/mysql_user.py` and `plugins/module_utils/user.py`.

pub mod plan;
pub mod requires;
pub mod scene;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::module::arguments::{Kind, Parameter};
use crate::module::database::{joined, wait};
use crate::module::lineinfile::State;
use crate::module::mysql_login::{self, Implicit, Login, exception};
use crate::module::user::UpdatePassword;
use crate::module::{Call, Context, Error, Failed, Mode, Outcome, apart, typed};
use crate::secret::Secret;
use crate::sql::mysql::Client;

pub use plan::plan;
use plan::{Change, What};
use requires::Requires;
pub use scene::{Account, Scene};

/// What it may be told.
pub const PARAMETERS: &[Parameter] = &joined::<17, 7, 24>(
    [
        Parameter::new("user", Kind::Text).or(&["name"]).required(),
        Parameter::new("password", Kind::Text),
        Parameter::new("encrypted", Kind::Flag),
        Parameter::new("host", Kind::Text),
        Parameter::new("host_all", Kind::Flag),
        Parameter::new("state", Kind::Choice(&["absent", "present"])),
        Parameter::new("priv", Kind::Any),
        Parameter::new("tls_requires", Kind::Any),
        Parameter::new("append_privs", Kind::Flag),
        Parameter::new("subtract_privs", Kind::Flag),
        Parameter::new("check_implicit_admin", Kind::Flag),
        Parameter::new("update_password", Kind::Choice(&["always", "on_create"])),
        Parameter::new("sql_log_bin", Kind::Flag),
        Parameter::new("plugin", Kind::Text),
        Parameter::new("plugin_hash_string", Kind::Text),
        Parameter::new("plugin_auth_string", Kind::Text),
        Parameter::new("column_case_sensitive", Kind::Flag),
    ],
    mysql_login::PARAMETERS,
);

/// What is wanted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(clippy::struct_excessive_bools, reason = "the parameters of the module, as Ansible names them")]
pub struct Arguments {
    /// The name.
    pub user: String,
    /// The password, or what the server keeps of it.
    pub password: Option<Secret>,
    /// Whether `password` is what the server keeps.
    #[serde(default)]
    pub encrypted: bool,
    /// Where the account comes from.
    #[serde(default = "localhost")]
    pub host: String,
    /// Whether all accounts of the name are meant.
    #[serde(default)]
    pub host_all: bool,
    /// Whether it is there.
    #[serde(default)]
    pub state: State,
    /// `db.table:PRIVILEGE,…/…`, or the same as a map.
    #[serde(rename = "priv")]
    pub privileges: Option<Value>,
    /// What its connections must have of TLS.
    pub tls_requires: Option<Value>,
    /// Whether privileges that are not named stay.
    #[serde(default)]
    pub append_privs: bool,
    /// Whether the named privileges are taken away.
    #[serde(default)]
    pub subtract_privs: bool,
    /// Whether the administrator without a password is tried first.
    #[serde(default)]
    pub check_implicit_admin: bool,
    /// When the password is set.
    #[serde(default)]
    pub update_password: UpdatePassword,
    /// Whether the changes go to replicas.
    #[serde(default = "crate::module::database::yes")]
    pub sql_log_bin: bool,
    /// How the account proves itself.
    pub plugin: Option<String>,
    /// What the plugin keeps.
    pub plugin_hash_string: Option<Secret>,
    /// What the plugin is told.
    pub plugin_auth_string: Option<Secret>,
    /// Whether names of columns keep their case.
    pub column_case_sensitive: Option<bool>,
    /// How to get in.
    #[serde(flatten)]
    pub login: Login,
}

fn localhost() -> String {
    "localhost".to_owned()
}

pub(crate) fn parse(Call { arguments, .. }: Call) -> Result<Arguments, Error> {
    apart("mysql_user", &arguments, &["append_privs", "subtract_privs"])?;
    let mut arguments: Arguments = typed("mysql_user", arguments)?;
    arguments.host = arguments.host.to_lowercase();
    let is = |value: &Option<Value>, text: bool| match value {
        None | Some(Value::Object(_)) => true,
        Some(Value::String(_)) => text,
        Some(_) => false,
    };
    for (name, fine) in
        [("priv", is(&arguments.privileges, true)), ("tls_requires", is(&arguments.tls_requires, false))]
    {
        if !fine {
            return Err(Error::Value {
                module: "mysql_user".to_owned(),
                name: name.to_owned(),
                value: "a list or a number".to_owned(),
                wanted: if name == "priv" { "text or a map" } else { "a map" }.to_owned(),
            });
        }
    }
    Ok(arguments)
}

const CASE: &str = "Option column_case_sensitive is not provided. The default is now false, so the column's name will be \
                    uppercased. The default will be changed to true in community.mysql 4.0.0.";

pub(crate) fn run(arguments: &Arguments, host: &Context, mode: Mode) -> Result<Outcome, Failed> {
    wait(async {
        let login = &arguments.login;
        let implicit = if arguments.check_implicit_admin { Implicit::Tried } else { Implicit::Untried };
        let client = mysql_login::connect(login, implicit, None, host).await;
        let mut client = client.map_err(|error| mysql_login::refused(login, &error, host))?;
        let scene = scene::look(arguments, &mut client).await?;
        let planned = plan(arguments, &scene)?;
        let told = match mode {
            Mode::Check => checked(arguments, &scene, &planned),
            Mode::Apply => act(arguments, &scene, planned, &mut client).await?,
        };
        client.close().await;
        let mut values = Map::new();
        values.insert("user".to_owned(), json!(arguments.user));
        values.insert("msg".to_owned(), json!(told.message));
        values.insert("password_changed".to_owned(), json!(told.password_changed));
        let warnings = arguments.column_case_sensitive.is_none().then(|| CASE.to_owned()).into_iter().collect();
        Ok(Outcome { changed: told.changed, warnings, values, ..Outcome::default() })
    })
}

/// What the result says.
struct Told {
    changed: bool,
    message: String,
    password_changed: Option<bool>,
}

/// The first change is all that check mode tells of.
fn checked(arguments: &Arguments, scene: &Scene, planned: &[Change]) -> Told {
    let made = arguments.state == State::Present && scene.accounts.is_empty();
    match planned.first() {
        Some(change) => Told {
            changed: true,
            // In which way it is set is known once it is.
            message: change.message.trim_end_matches(" (new style)").to_owned(),
            password_changed: if made { None } else { Some(change.what == What::Password) },
        },
        None => unchanged(arguments),
    }
}

fn unchanged(arguments: &Arguments) -> Told {
    let message = if arguments.state == State::Present { "User unchanged" } else { "User doesn't exist" };
    Told { changed: false, message: message.to_owned(), password_changed: Some(false) }
}

async fn act(arguments: &Arguments, scene: &Scene, planned: Vec<Change>, client: &mut Client) -> Result<Told, Failed> {
    let mut told = unchanged(arguments);
    let mut privileges = false;
    if !arguments.sql_log_bin {
        run_one(client, "SET SQL_LOG_BIN=0".into(), None).await?;
    }
    for change in planned {
        told.message = change.message;
        match change.what {
            What::Password => (told.changed, told.password_changed) = (true, Some(true)),
            What::Account => {
                told.changed = true;
                told.password_changed = Some(arguments.state == State::Present);
            }
            What::Other => told.changed = true,
            What::Privileges => privileges = true,
        }
        for (statement, failure) in change.statements {
            run_one(client, statement, failure).await?;
        }
    }
    // A server may know that two privileges are one.
    if privileges && !told.changed {
        let after = scene::look(arguments, client).await?;
        let of = |scene: &Scene| scene.accounts.iter().map(|account| account.grants.clone()).collect::<Vec<_>>();
        told.changed = of(scene) != of(&after);
    }
    Ok(told)
}

async fn run_one(client: &mut Client, statement: crate::sql::Statement, failure: Option<String>) -> Result<(), Failed> {
    match client.run(statement).await {
        Ok(_) => Ok(()),
        Err(error) => Err(Failed::new(match failure {
            Some(failure) => format!("{failure} exception: {}.", exception(&error)),
            None => exception(&error),
        })),
    }
}

/// What is wanted of TLS.
fn requires(arguments: &Arguments) -> Option<Requires> {
    arguments.tls_requires.as_ref().and_then(Value::as_object).and_then(Requires::wanted)
}
