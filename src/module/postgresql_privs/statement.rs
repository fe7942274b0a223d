//! The statements that grant and revoke.

use crate::module::Failed;
use crate::module::lineinfile::State;
use crate::module::postgresql_privs::{Arguments, set};
use crate::sql::postgres::identifier;

/// What is to be granted or revoked.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    /// The task.
    pub arguments: &'a Arguments,
    /// Where the objects are.
    pub schema: Option<&'a str>,
    /// The privileges in capitals.
    pub privs: &'a [String],
    /// The objects by name.
    pub objects: &'a [String],
    /// Who has them, as a statement says it.
    pub roles: &'a str,
}

const PRIVILEGES: &[&str] = &[
    "SELECT",
    "INSERT",
    "UPDATE",
    "DELETE",
    "TRUNCATE",
    "REFERENCES",
    "TRIGGER",
    "CREATE",
    "CONNECT",
    "TEMPORARY",
    "TEMP",
    "EXECUTE",
    "USAGE",
    "ALL",
];

/// Objects that have default privileges, and which.
const DEFAULTS: [(&str, &[&str]); 5] = [
    ("TABLES", &["ALL", "SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE", "REFERENCES", "TRIGGER"]),
    ("SEQUENCES", &["ALL", "SELECT", "UPDATE", "USAGE"]),
    ("FUNCTIONS", &["ALL", "EXECUTE"]),
    ("TYPES", &["ALL", "USAGE"]),
    ("SCHEMAS", &["CREATE", "USAGE"]),
];

fn list(text: &str) -> Vec<String> {
    let mut found: Vec<String> = vec![];
    for name in text.split(',') {
        if !found.iter().any(|known| known == name) {
            found.push(name.to_owned());
        }
    }
    found
}

/// The privileges in capitals.
///
/// # Errors
///
/// [`Failed`] with those that there are not.
pub fn privileges(arguments: &Arguments) -> Result<Vec<String>, Failed> {
    let Some(privs) = arguments.privs.as_deref().filter(|privs| !privs.is_empty()) else { return Ok(vec![]) };
    let privs = list(&privs.to_uppercase());
    let mut wrong = privs.iter().filter(|name| !PRIVILEGES.contains(&name.as_str())).peekable();
    if wrong.peek().is_some() {
        return Err(Failed::new(format!("Invalid privileges specified: {}", set(wrong))));
    }
    Ok(privs)
}

/// The objects by name.
///
/// # Errors
///
/// [`Failed`]: there is no such object of default privileges, or it has no such privilege.
pub fn objects(arguments: &Arguments, privs: &[String], objects: &str) -> Result<Vec<String>, Failed> {
    match arguments.kind.as_str() {
        // Commas between arguments are written as colons.
        "function" | "procedure" => Ok(list(objects).iter().map(|object| object.replace(':', ",")).collect()),
        "default_privs" => defaults(privs, objects),
        _ => Ok(list(objects)),
    }
}

fn defaults(privs: &[String], objects: &str) -> Result<Vec<String>, Failed> {
    let objects: Vec<String> = if objects == "ALL_DEFAULT" {
        DEFAULTS.iter().map(|(name, _)| (*name).to_owned()).filter(|name| name != "SCHEMAS").collect()
    } else {
        list(&objects.to_uppercase())
    };
    let of = |object: &str| DEFAULTS.iter().find(|(name, _)| *name == object).map(|(_, privs)| *privs);
    let mut wrong = objects.iter().filter(|object| of(object).is_none()).peekable();
    if wrong.peek().is_some() {
        return Err(Failed::new(format!("Invalid Object set specified: {}", set(wrong))));
    }
    let fits = |object: &&String| {
        let known = of(object).unwrap_or_default();
        privs.iter().all(|name| known.contains(&name.as_str()))
    };
    let fitting: Vec<&String> = objects.iter().filter(fits).collect();
    if fitting.len() == objects.len() {
        return Ok(objects);
    }
    let fitting = if fitting.is_empty() { "frozenset()".to_owned() } else { set(fitting.into_iter()) };
    let message = format!("Invalid priv specified. Valid object for priv: {fitting}. Objects: {}", set(objects.iter()));
    Err(Failed::new(message))
}

/// The statements, one a line.
///
/// # Errors
///
/// [`Failed`]: a function without arguments in brackets.
pub fn statements(wanted: &Wanted<'_>) -> Result<String, Failed> {
    let Wanted { arguments, .. } = wanted;
    let lines = match (arguments.kind.as_str(), arguments.state) {
        ("default_privs", State::Present) => default_present(wanted),
        ("default_privs", State::Absent) => {
            ["TABLES", "SEQUENCES", "TYPES"].iter().map(|object| default_revoked(wanted, object)).collect()
        }
        (_, State::Absent) => vec![format!("REVOKE {} FROM {};", what(wanted)?, wanted.roles)],
        (kind, State::Present) => {
            let what = what(wanted)?;
            let option = if kind == "group" { "ADMIN OPTION" } else { "GRANT OPTION" };
            let mut lines = vec![format!("GRANT {what} TO {}", wanted.roles)];
            optional(&mut lines, arguments.grant_option, option);
            if arguments.grant_option == Some(false) {
                lines.push(format!("REVOKE {option} FOR {what} FROM {};", wanted.roles));
            }
            lines
        }
    };
    Ok(lines.join("\n"))
}

/// Ends the last line.
fn optional(lines: &mut [String], wanted: Option<bool>, option: &str) {
    if let Some(line) = lines.last_mut() {
        match wanted {
            Some(true) => line.extend([" WITH ", option, ";"]),
            _ => line.push(';'),
        }
    }
}

/// What is granted: membership, or privileges on objects.
fn what(wanted: &Wanted<'_>) -> Result<String, Failed> {
    let Wanted { arguments, schema, privs, objects, .. } = wanted;
    let kind = arguments.kind.as_str();
    let inside = schema.map(identifier).unwrap_or_default();
    if arguments.objs.as_deref() == Some("ALL_IN_SCHEMA") {
        return Ok(format!("{} ON ALL {}S IN SCHEMA {inside}", privs.join(","), kind.to_uppercase()));
    }
    let named = |object: &String| match kind {
        "function" | "procedure" => {
            let (name, rest) = object
                .split_once('(')
                .ok_or_else(|| Failed::new(format!("Illegal function / procedure signature: \"{object}\".")))?;
            Ok(format!("{inside}.{}({rest}", identifier(name)))
        }
        "table" | "sequence" | "type" => Ok(format!("{inside}.{}", identifier(object))),
        _ => Ok(identifier(object)),
    };
    let names = objects.iter().map(named).collect::<Result<Vec<_>, Failed>>()?.join(",");
    Ok(match kind {
        "group" => names,
        _ => format!("{} ON {} {names}", privs.join(","), kind.replace('_', " ")),
    })
}

/// The beginning of a statement about default privileges.
fn default_head(wanted: &Wanted<'_>) -> String {
    let whose = wanted.arguments.target_roles.as_deref().filter(|roles| !roles.is_empty()).map(|roles| {
        let roles: Vec<String> = roles.split(',').map(identifier).collect();
        format!(" FOR ROLE {}", roles.join(","))
    });
    let inside = wanted.schema.map(|schema| format!(" IN SCHEMA {}", identifier(schema)));
    format!("ALTER DEFAULT PRIVILEGES{}{}", whose.unwrap_or_default(), inside.unwrap_or_default())
}

fn default_revoked(wanted: &Wanted<'_>, object: &str) -> String {
    format!("{} REVOKE ALL ON {object} FROM {};", default_head(wanted), wanted.roles)
}

/// All is taken away before what is wanted is given.
fn default_present(wanted: &Wanted<'_>) -> Vec<String> {
    let Wanted { arguments, privs, objects, roles, .. } = wanted;
    let head = default_head(wanted);
    let mut lines: Vec<String> = objects.iter().map(|object| default_revoked(wanted, object)).collect();
    for object in *objects {
        lines.push(format!("{head} GRANT {} ON {object} TO {roles}", privs.join(",")));
        optional(&mut lines, arguments.grant_option, "GRANT OPTION");
    }
    if arguments.usage_on_types {
        lines.push(format!("{head} GRANT USAGE ON TYPES TO {roles}"));
        optional(&mut lines, arguments.grant_option, "GRANT OPTION");
    }
    lines
}
