//! `postgresql_user`: roles of PostgreSQL.
//!
//! Source: community.postgresql 2.4, `plugins/modules/postgresql_user.py`, without what is deprecated there.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::module::arguments::{Kind, Parameter};
use crate::module::database::{joined, wait};
use crate::module::lineinfile::State;
use crate::module::postgresql_login::{self, Login, exception, told, trusted};
use crate::module::{Call, Context, Error, Failed, Mode, Outcome, typed};
use crate::secret::Secret;
use crate::sql::postgres::password::{self, Method};
use crate::sql::postgres::{Client, identifier, literal};
use crate::sql::{self, Statement};

/// What it may be told.
pub const PARAMETERS: &[Parameter] = &joined::<11, 8, 19>(
    [
        Parameter::new("user", Kind::Text).or(&["name"]).required(),
        Parameter::new("password", Kind::Text),
        Parameter::new("state", Kind::Choice(&["absent", "present"])),
        Parameter::new("db", Kind::Text).or(&["login_db"]),
        Parameter::new("fail_on_user", Kind::Flag).or(&["fail_on_role"]),
        Parameter::new("role_attr_flags", Kind::Text),
        Parameter::new("encrypted", Kind::Flag),
        Parameter::new("no_password_changes", Kind::Flag),
        Parameter::new("expires", Kind::Text),
        Parameter::new("conn_limit", Kind::Integer),
        Parameter::new("comment", Kind::Text),
    ],
    postgresql_login::PARAMETERS,
);

/// What is wanted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Arguments {
    /// The role.
    pub user: String,
    /// Its password, or what the server keeps of it; none at all if it is empty.
    pub password: Option<Secret>,
    /// Whether it is there.
    #[serde(default)]
    pub state: State,
    /// The database that is connected to.
    pub db: Option<String>,
    /// Whether a role that cannot be removed is a failure.
    #[serde(default = "crate::module::database::yes")]
    pub fail_on_user: bool,
    /// `[NO]LOGIN`, `[NO]CREATEDB`, …
    #[serde(default)]
    pub role_attr_flags: String,
    /// Whether the server keeps no clear password; newer ones never do.
    #[serde(default = "crate::module::database::yes")]
    pub encrypted: bool,
    /// Whether the password of a role that is there stays.
    #[serde(default)]
    pub no_password_changes: bool,
    /// Until when the password counts.
    pub expires: Option<String>,
    /// Most connections.
    pub conn_limit: Option<i64>,
    /// What is said of the role.
    pub comment: Option<String>,
    /// How to get in.
    #[serde(flatten)]
    pub login: Login,
}

/// Flags by the columns that have them.
const FLAGS: [(&str, &str); 7] = [
    ("SUPERUSER", "rolsuper"),
    ("CREATEROLE", "rolcreaterole"),
    ("CREATEDB", "rolcreatedb"),
    ("INHERIT", "rolinherit"),
    ("LOGIN", "rolcanlogin"),
    ("REPLICATION", "rolreplication"),
    ("BYPASSRLS", "rolbypassrls"),
];

pub(crate) fn parse(Call { arguments, .. }: Call) -> Result<Arguments, Error> {
    let mut arguments: Arguments = typed("postgresql_user", arguments)?;
    let flags = arguments.role_attr_flags.to_uppercase();
    let flags: Vec<&str> = flags.split(',').map(str::trim).filter(|flag| !flag.is_empty()).collect();
    let known = |flag: &str| FLAGS.iter().any(|(name, _)| flag.strip_prefix("NO").unwrap_or(flag) == *name);
    if let Some(wrong) = flags.iter().find(|flag| !known(flag)) {
        return Err(Error::Value {
            module: "postgresql_user".to_owned(),
            name: "role_attr_flags".to_owned(),
            value: (*wrong).to_owned(),
            wanted: format!(
                "flags such as {}, each perhaps with `NO` in front",
                FLAGS.map(|(name, _)| name).join(", ")
            ),
        });
    }
    arguments.role_attr_flags = flags.join(" ");
    Ok(arguments)
}

/// What is there.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Scene {
    /// How the server keeps passwords.
    pub password_encryption: String,
    /// The role.
    pub found: Option<Found>,
}

/// A role as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Found {
    /// Whether what the server keeps of its password may be seen.
    pub visible: bool,
    /// What the server keeps of its password.
    pub password: Option<Secret>,
    /// Its flags by name.
    pub flags: BTreeMap<String, bool>,
    /// Most connections.
    pub conn_limit: i64,
    /// Whether its password counts as long as wanted.
    pub same_expiry: bool,
    /// What is said of it.
    pub comment: Option<String>,
}

/// A statement, and what the result says of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// What is sent.
    pub statement: Statement,
    /// What is shown, with places for passwords and the like.
    pub shown: String,
}

pub(crate) fn run(arguments: &Arguments, host: &Context, mode: Mode) -> Result<Outcome, Failed> {
    let Arguments { user, password, expires, role_attr_flags, comment, login, .. } = arguments;
    let password = password.as_ref().map(Secret::reveal);
    let role = login.session_role.as_deref();
    trusted(login, &[Some(user), password, expires.as_deref(), Some(role_attr_flags), comment.as_deref(), role])?;
    wait(async {
        let client = postgresql_login::connect(login, arguments.db.as_deref(), host).await?;
        let scene = look(arguments, &client).await.map_err(|error| Failed::new(exception(&error)))?;
        let steps = plan(arguments, &scene);
        let mut changed = !steps.is_empty();
        if mode == Mode::Apply || arguments.state == State::Present {
            changed = act(arguments, &steps, mode, &client).await?;
        }
        let unseen = mode == Mode::Check && arguments.state == State::Absent;
        let queries: Vec<&str> = steps.iter().map(|step| step.shown.as_str()).filter(|_| !unseen).collect();
        let mut values = told([("user", json!(arguments.user)), ("queries", json!(queries))]);
        if arguments.state == State::Absent && !steps.is_empty() {
            values.insert("user_removed".to_owned(), json!(changed));
        }
        Ok(Outcome { changed, values, ..Outcome::default() })
    })
}

/// Carries the statements out, all or none; check mode takes them back.
async fn act(arguments: &Arguments, steps: &[Step], mode: Mode, client: &Client) -> Result<bool, Failed> {
    let told = |error: sql::Error| Failed::new(exception(&error));
    client.run("BEGIN").await.map_err(told)?;
    for step in steps {
        match client.run(step.statement.clone()).await {
            Ok(_) => {}
            Err(_) if arguments.state == State::Absent && !arguments.fail_on_user => {
                client.run("ROLLBACK").await.map_err(told)?;
                return Ok(false);
            }
            Err(_) if arguments.state == State::Absent => return Err(Failed::new("Unable to remove user")),
            Err(error) if step.shown.starts_with("CREATE") => {
                let text = "Unable to add user with given requirement due to : ";
                return Err(Failed::new(format!("{text}{}", exception(&error))));
            }
            Err(error) => return Err(Failed::new(exception(&error))),
        }
    }
    client.run(if mode == Mode::Apply { "COMMIT" } else { "ROLLBACK" }).await.map_err(told)?;
    Ok(!steps.is_empty())
}

async fn look(arguments: &Arguments, client: &Client) -> Result<Scene, sql::Error> {
    let encryption = client.run("SHOW password_encryption").await?;
    let columns = FLAGS.map(|(_, column)| column).join(", ");
    let expiry = match &arguments.expires {
        Some(expires) => format!("rolvaliduntil IS NOT DISTINCT FROM {}::timestamptz", literal(expires)),
        None => "true".to_owned(),
    };
    let select = |password: &str, from: &str| {
        format!(
            "SELECT {password} AS password, {columns}, rolconnlimit, {expiry} AS same_expiry, \
             pg_catalog.shobj_description(oid, 'pg_authid') AS comment FROM {from} WHERE rolname = {}",
            literal(&arguments.user)
        )
    };
    // Not every administrator may see passwords.
    let (rows, visible) = match client.run(select("rolpassword", "pg_authid")).await {
        Ok(rows) => (rows, true),
        Err(sql::Error::Refused { .. }) => (client.run(select("NULL", "pg_roles")).await?, false),
        Err(error) => return Err(error),
    };
    let found = rows.row().map(|row| {
        let word = |name: &str| row.get(name).cloned().flatten();
        let is = |name: &str| word(name).as_deref() == Some("t");
        Found {
            visible,
            password: word("password").map(Secret::new),
            flags: FLAGS.iter().map(|(name, column)| ((*name).to_owned(), is(column))).collect(),
            conn_limit: word("rolconnlimit").and_then(|limit| limit.parse().ok()).unwrap_or(-1),
            same_expiry: is("same_expiry"),
            comment: word("comment"),
        }
    });
    Ok(Scene { password_encryption: encryption.value().unwrap_or_default().to_owned(), found })
}

/// The statements that make it so.
pub fn plan(arguments: &Arguments, scene: &Scene) -> Vec<Step> {
    let name = identifier(&arguments.user);
    let step = |text: String| Step { statement: Statement::new(text.clone()), shown: text };
    match (arguments.state, &scene.found) {
        (State::Absent, None) => vec![],
        (State::Absent, Some(_)) => vec![step(format!("DROP USER {name}"))],
        (State::Present, found) => {
            let main = match found {
                None => Some(added(arguments, scene, &name)),
                Some(found) => altered(arguments, scene, found, &name),
            };
            main.into_iter().chain(commented(arguments, found.as_ref(), &name)).collect()
        }
    }
}

/// A statement beside what is shown of it.
struct Writing {
    sent: Vec<String>,
    shown: Vec<String>,
    hidden: Option<String>,
}

impl Writing {
    fn new(start: String) -> Self {
        Self { sent: vec![start.clone()], shown: vec![start], hidden: None }
    }

    fn both(&mut self, words: &str) {
        self.sent.push(words.to_owned());
        self.shown.push(words.to_owned());
    }

    fn password(&mut self, arguments: &Arguments, password: &str, scene: &Scene) {
        let method = Method::of(&scene.password_encryption);
        let kept = password::kept(password, &arguments.user, method);
        let encrypted = if arguments.encrypted { "ENCRYPTED" } else { "UNENCRYPTED" };
        self.sent.push(format!("WITH {encrypted} PASSWORD {}", literal(&kept).trim_start()));
        self.shown.push(format!("WITH {encrypted} PASSWORD %(password)s"));
        self.hidden = Some(kept);
    }

    fn limits(&mut self, arguments: &Arguments) {
        if let Some(expires) = &arguments.expires {
            self.sent.push(format!("VALID UNTIL {}", literal(expires).trim_start()));
            self.shown.push("VALID UNTIL %(expires)s".to_owned());
        }
        if let Some(limit) = arguments.conn_limit {
            self.both(&format!("CONNECTION LIMIT {limit}"));
        }
    }

    fn step(self) -> Step {
        let statement = Statement::new(self.sent.join(" ")).hiding(self.hidden.unwrap_or_default());
        Step { statement, shown: self.shown.join(" ") }
    }
}

fn added(arguments: &Arguments, scene: &Scene, name: &str) -> Step {
    let mut writing = Writing::new(format!("CREATE USER {name}"));
    if let Some(password) = arguments.password.as_ref().filter(|password| !password.reveal().is_empty()) {
        writing.password(arguments, password.reveal(), scene);
    }
    writing.limits(arguments);
    writing.both(&arguments.role_attr_flags);
    writing.step()
}

fn flags_differ(arguments: &Arguments, found: &Found) -> bool {
    arguments.role_attr_flags.split(' ').filter(|flag| !flag.is_empty()).any(|flag| {
        let (name, wanted) = flag.strip_prefix("NO").map_or((flag, true), |name| (name, false));
        found.flags.get(name) != Some(&wanted)
    })
}

fn password_differs(arguments: &Arguments, found: &Found) -> bool {
    let Some(password) = &arguments.password else { return !found.visible };
    match &found.password {
        _ if !found.visible => true,
        None => !password.reveal().is_empty(),
        Some(_) if password.reveal().is_empty() => true,
        Some(kept) => !password::is_of(kept.reveal(), password.reveal(), &arguments.user),
    }
}

fn altered(arguments: &Arguments, scene: &Scene, found: &Found, name: &str) -> Option<Step> {
    let mut writing = Writing::new(format!("ALTER USER {name}"));
    let flags = flags_differ(arguments, found);
    if arguments.no_password_changes {
        writing.both(&format!("WITH {}", arguments.role_attr_flags));
        return flags.then(|| writing.step());
    }
    let anything = arguments.password.is_some()
        || !arguments.role_attr_flags.is_empty()
        || arguments.expires.is_some()
        || arguments.conn_limit.is_some();
    let password = arguments.password.is_some() && password_differs(arguments, found);
    let limit = arguments.conn_limit.is_some_and(|limit| limit != found.conn_limit);
    if !anything || !(password || flags || limit || !found.same_expiry) {
        return None;
    }
    match arguments.password.as_ref().filter(|_| password) {
        Some(none) if none.reveal().is_empty() => writing.both("WITH PASSWORD NULL"),
        Some(some) => writing.password(arguments, some.reveal(), scene),
        None => {}
    }
    if password {
        writing.both(&arguments.role_attr_flags);
    } else if !arguments.role_attr_flags.is_empty() {
        writing.both(&format!("WITH {}", arguments.role_attr_flags));
    }
    writing.limits(arguments);
    Some(writing.step())
}

fn commented(arguments: &Arguments, found: Option<&Found>, name: &str) -> Option<Step> {
    let comment = arguments.comment.as_ref()?;
    if found.and_then(|found| found.comment.as_ref()) == Some(comment) {
        return None;
    }
    let text = format!("COMMENT ON ROLE {name} IS {}", literal(comment).trim_start());
    Some(Step { statement: Statement::new(text.clone()), shown: text })
}
