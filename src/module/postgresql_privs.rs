//! `postgresql_privs`: what roles may do with the objects of a database of PostgreSQL, and which roles they are in.
//!
//! Source: community.postgresql 2.4, `plugins/modules/postgresql_privs.py`.

use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::module::arguments::{Kind, Parameter};
use crate::module::database::{joined, repr, wait};
use crate::module::lineinfile::State;
use crate::module::postgresql_login::{self, Login, exception, told, trusted};
use crate::module::{Call, Context, Error, Failed, Mode, Outcome, typed};
use crate::secret::Secret;
use crate::sql::postgres::{Client, identifier};

mod look;
pub mod statement;

use statement::Wanted;

const KINDS: &[&str] = &[
    "database",
    "default_privs",
    "foreign_data_wrapper",
    "foreign_server",
    "function",
    "group",
    "language",
    "procedure",
    "schema",
    "sequence",
    "table",
    "tablespace",
    "type",
];

/// What it may be told.
pub const PARAMETERS: &[Parameter] = &joined::<12, 8, 20>(
    [
        Parameter::new("database", Kind::Text).or(&["db", "login_db"]).required(),
        Parameter::new("state", Kind::Choice(&["absent", "present"])),
        Parameter::new("privs", Kind::Text).or(&["priv"]),
        Parameter::new("type", Kind::Choice(KINDS)),
        Parameter::new("objs", Kind::Text).or(&["obj"]),
        Parameter::new("schema", Kind::Text),
        Parameter::new("roles", Kind::Text).or(&["role"]).required(),
        Parameter::new("target_roles", Kind::Text),
        Parameter::new("grant_option", Kind::Flag).or(&["admin_option"]),
        Parameter::new("fail_on_role", Kind::Flag),
        Parameter::new("password", Kind::Text),
        Parameter::new("usage_on_types", Kind::Flag),
    ],
    postgresql_login::PARAMETERS,
);

/// What is wanted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Arguments {
    /// The database that is connected to.
    pub database: String,
    /// Whether the privileges are there.
    #[serde(default)]
    pub state: State,
    /// Privileges with commas between them.
    pub privs: Option<String>,
    /// What sort of object they are for.
    #[serde(rename = "type", default = "table")]
    pub kind: String,
    /// The objects with commas between them, or `ALL_IN_SCHEMA`, or `ALL_DEFAULT`.
    pub objs: Option<String>,
    /// Where the objects are.
    pub schema: Option<String>,
    /// Who has the privileges, with commas between them, or `PUBLIC`.
    pub roles: String,
    /// Whose objects the default privileges are for.
    pub target_roles: Option<String>,
    /// Whether the roles may give the privileges on; nothing to leave that as it is.
    pub grant_option: Option<bool>,
    /// Whether a role that is not there is a failure.
    #[serde(default = "crate::module::database::yes")]
    pub fail_on_role: bool,
    /// The password of the login, as it used to be called.
    pub password: Option<Secret>,
    /// Whether default privileges always come with the use of types.
    #[serde(default = "crate::module::database::yes")]
    pub usage_on_types: bool,
    /// How to get in.
    #[serde(flatten)]
    pub login: Login,
}

fn table() -> String {
    "table".to_owned()
}

pub(crate) fn parse(Call { arguments, .. }: Call) -> Result<Arguments, Error> {
    typed("postgresql_privs", arguments)
}

pub(crate) fn run(arguments: &Arguments, host: &Context, mode: Mode) -> Result<Outcome, Failed> {
    let mut login = arguments.login.clone();
    if let Some(password) = arguments.password.as_ref().filter(|password| !password.reveal().is_empty()) {
        if login.login_password.as_ref().is_some_and(|password| !password.reveal().is_empty()) {
            let message =
                "Use the \"password\" or \"login_password\" option but not both to pass a password to log in with.";
            return Err(Failed::new(message));
        }
        login.login_password = Some(password.clone());
    }
    let schema = schema(arguments)?;
    let objects = objects(arguments)?;
    let role = login.session_role.take();
    let given = [Some(arguments.roles.as_str()), arguments.target_roles.as_deref(), role.as_deref(), schema.as_deref()];
    trusted(&login, &given)?;
    wait(async {
        let client = connected(&login, role.as_deref(), arguments, host).await?;
        let mut outcome = Outcome::default();
        let query = privileges(arguments, schema.as_deref(), &objects, mode, &client, &mut outcome).await?;
        outcome.values = told([("queries", json!(query.iter().collect::<Vec<_>>()))]);
        Ok(outcome)
    })
}

async fn connected(
    login: &Login,
    role: Option<&str>,
    arguments: &Arguments,
    host: &Context<'_>,
) -> Result<Client, Failed> {
    let client = postgresql_login::connect(login, Some(&arguments.database), host).await.map_err(|failed| {
        let why = failed.message.strip_prefix("unable to connect to database: ").unwrap_or(&failed.message);
        Failed::new(format!("Could not connect to database: {why}"))
    })?;
    if let Some(role) = role {
        let switched = client.run(format!("SET ROLE {}", identifier(role))).await;
        switched.map_err(|error| Failed::new(format!("Could not switch to role {role}: {}", exception(&error))))?;
    }
    Ok(client)
}

/// The schema that objects are in; none for objects that are in none.
///
/// # Errors
///
/// [`Failed`]: such objects are in no schema, or in one.
pub fn schema(arguments: &Arguments) -> Result<Option<String>, Failed> {
    let Arguments { kind, objs, schema, .. } = arguments;
    let given = schema.as_deref().filter(|name| !name.is_empty());
    if !matches!(kind.as_str(), "table" | "sequence" | "function" | "procedure" | "type" | "default_privs") {
        return match given {
            Some(_) => Err(Failed::new(format!("Argument \"schema\" is not allowed for type \"{kind}\"."))),
            None => Ok(None),
        };
    }
    let none = objs.as_deref() == Some("schemas") || given == Some("not-specified");
    if none && kind != "default_privs" {
        return Err(Failed::new(format!("A {kind} is in a schema: \"not-specified\" is for default_privs alone.")));
    }
    Ok((!none).then(|| given.unwrap_or("public").to_owned()))
}

/// The objects as they are written.
fn objects(arguments: &Arguments) -> Result<String, Failed> {
    let Arguments { kind, privs, .. } = arguments;
    let objects = arguments.objs.as_deref().filter(|objects| !objects.is_empty());
    let of_a_schema = matches!(kind.as_str(), "table" | "sequence" | "function" | "procedure");
    let objects = match objects {
        Some("ALL_IN_SCHEMA") if !of_a_schema => {
            return Err(Failed::new(format!(
                "Argument \"objs\": ALL_IN_SCHEMA can be used only for type: table, sequence, function or procedure, \
                 {kind} was passed."
            )));
        }
        Some(objects) => objects,
        None if kind == "database" => &arguments.database,
        None => return Err(Failed::new(format!("Argument \"objs\" is required for type \"{kind}\"."))),
    };
    match (kind.as_str(), privs.as_deref().is_some_and(|privs| !privs.is_empty())) {
        ("group", true) => Err(Failed::new("Argument \"privs\" is not allowed for type \"group\".")),
        ("group", false) | (_, true) => Ok(objects.to_owned()),
        (_, false) => Err(Failed::new(format!("Argument \"privs\" is required for type \"{kind}\"."))),
    }
}

/// Grants or revokes. Returns the statements, if there were any.
async fn privileges(
    arguments: &Arguments,
    schema: Option<&str>,
    objects: &str,
    mode: Mode,
    client: &Client,
    outcome: &mut Outcome,
) -> Result<Option<String>, Failed> {
    let told = |error: crate::sql::Error| Failed::new(exception(&error));
    let privs = statement::privileges(arguments)?;
    let objects = if objects == "ALL_IN_SCHEMA" {
        look::all(&arguments.kind, schema.unwrap_or_default(), client).await?
    } else {
        statement::objects(arguments, &privs, objects)?
    };
    let Some(roles) = roles(arguments, !objects.is_empty(), client, &mut outcome.warnings).await? else {
        return Ok(None);
    };
    let wanted = Wanted { arguments, schema, privs: &privs, objects: &objects, roles: &roles };
    let query = statement::statements(&wanted)?;
    client.run("BEGIN").await.map_err(told)?;
    let before = look::status(&wanted, client).await.map_err(told)?;
    client.run(query.as_str()).await.map_err(told)?;
    let after = look::status(&wanted, client).await.map_err(told)?;
    outcome.changed = roles == "PUBLIC" || before != after;
    let end = if mode == Mode::Apply && outcome.changed { "COMMIT" } else { "ROLLBACK" };
    client.run(end).await.map_err(told)?;
    Ok(Some(query))
}

/// The roles as a statement names them; nothing if there is nobody to give anything to, or nothing to give.
async fn roles(
    arguments: &Arguments,
    anything: bool,
    client: &Client,
    warnings: &mut Vec<String>,
) -> Result<Option<String>, Failed> {
    let mut found = vec![];
    if arguments.target_roles.is_some() && arguments.kind != "default_privs" {
        let text = "\"target_roles\" will be ignored Argument \"type: default_privs\" is required for usage of \"target_roles\".";
        warnings.push(text.to_owned());
    }
    if arguments.roles.to_uppercase() == "PUBLIC" {
        return Ok(anything.then(|| "PUBLIC".to_owned()));
    }
    let names: Vec<&str> = arguments.roles.split(',').collect();
    for name in &names {
        if !anything && names.len() > 1 {
            continue;
        }
        let known = look::is_role(name, client).await.map_err(|error| Failed::new(exception(&error)))?;
        match (known, arguments.fail_on_role) {
            (true, _) => found.push(identifier(name)),
            (false, true) => return Err(Failed::new(format!("Role '{}' does not exist", name.trim()))),
            (false, false) => {
                let then = if names.len() == 1 { "nothing to do" } else { "pass it" };
                warnings.push(format!("Role '{}' does not exist, {then}", name.trim()));
            }
        }
    }
    Ok(Some(found.join(",")).filter(|found| anything && !found.is_empty()))
}

/// Names as Python writes a set of them.
fn set<'n>(names: impl Iterator<Item = &'n String>) -> String {
    format!("frozenset({{{}}})", names.map(|name| repr(name)).collect::<Vec<_>>().join(", "))
}
