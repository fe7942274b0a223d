//! The statements that make something what is wanted.

use std::collections::BTreeSet;

use crate::flow::database::{State, password_differs};
use crate::sql::Statement;
use crate::sql::mysql::grants::{Quotes, target};
use crate::sql::mysql::{self, Version, native_hash};
use crate::sql::postgres::password::{self, Method};
use crate::sql::postgres::{self};
use crate::terraform::database::{DatabaseObject, What};

/// What matters of a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum About {
    /// A MariaDB or MySQL of this version.
    Mysql(Version),
    /// A PostgreSQL that keeps passwords in this way.
    Postgres(Method),
}

/// The statements, in order; none if it is as wanted.
pub fn statements(wanted: &DatabaseObject, state: Option<&State>, about: &About) -> Vec<Statement> {
    let differs = |name: &str| {
        let has = state.and_then(|state| state.properties.get(name));
        state.is_none() || has.is_some_and(|has| Some(has) != wanted.properties.get(name))
    };
    let anything = state.is_none_or(|state| !super::changes(wanted, state).is_empty());
    if !anything {
        return vec![];
    }
    match &wanted.what {
        What::MysqlDatabase(name) => vec![mysql_database(wanted, state, name)],
        What::MysqlUser(name, host) => vec![mysql_user(wanted, state, about, &account(name, host))],
        What::MysqlGrant { user, host, database, table } => {
            mysql_grant(wanted, state, &target(&format!("{database}.{table}"), Quotes::Usual), &account(user, host))
        }
        What::PostgresRole(name) => vec![postgres_role(wanted, state, about, name)],
        What::PostgresDatabase(name) => postgres_database(wanted, state, name, differs),
    }
}

fn account(user: &str, host: &str) -> String {
    format!("{}@{}", mysql::literal(user), mysql::literal(host))
}

fn word<'w>(wanted: &'w DatabaseObject, name: &str) -> &'w str {
    wanted.properties.get(name).map_or("", String::as_str)
}

fn mysql_database(wanted: &DatabaseObject, state: Option<&State>, name: &str) -> Statement {
    Statement::new(format!(
        "{} DATABASE {} CHARACTER SET {} COLLATE {}",
        if state.is_some() { "ALTER" } else { "CREATE" },
        mysql::identifier(name),
        mysql::literal(word(wanted, "character set")),
        mysql::literal(word(wanted, "collation"))
    ))
}

/// The server gets what it keeps of a password, where it takes that, so that its log does not have the password.
fn mysql_user(wanted: &DatabaseObject, state: Option<&State>, about: &About, account: &str) -> Statement {
    let mut text = format!("{} USER {account}", if state.is_some() { "ALTER" } else { "CREATE" });
    let mut hidden = String::new();
    let password = wanted.password.as_ref().filter(|_| state.is_none_or(|state| password_differs(wanted, state)));
    if let Some(password) = password {
        let (how, secret) = match about {
            About::Mysql(version) if version.is_mariadb() => ("BY PASSWORD", native_hash(password.reveal())),
            _ => ("BY", password.reveal().to_owned()),
        };
        let quoted = mysql::literal(&secret);
        text = format!("{text} IDENTIFIED {how} {quoted}");
        quoted.trim_matches('\'').clone_into(&mut hidden);
    }
    Statement::new(format!("{text} REQUIRE {}", word(wanted, "TLS"))).hiding(hidden)
}

fn list(text: &str) -> BTreeSet<&str> {
    text.split(", ").filter(|name| !name.is_empty()).collect()
}

fn mysql_grant(wanted: &DatabaseObject, state: Option<&State>, target: &str, account: &str) -> Vec<Statement> {
    let joined = |names: Vec<&str>| names.join(", ");
    let privileges = list(word(wanted, "privileges"));
    let has = state.and_then(|state| state.properties.get("privileges")).map_or_else(BTreeSet::new, |it| list(it));
    let gives = word(wanted, "may be given on") == "yes";
    let gave = state.is_some_and(|state| state.properties.get("may be given on").is_some_and(|it| it == "yes"));
    let mut statements = vec![];
    let mut take: Vec<&str> = has.difference(&privileges).copied().collect();
    // Everything includes what was there.
    if privileges.contains("ALL") {
        take.clear();
    }
    if gave && !gives {
        statements.push(format!("REVOKE GRANT OPTION ON {target} FROM {account}"));
    }
    if !take.is_empty() {
        statements.push(format!("REVOKE {} ON {target} FROM {account}", joined(take)));
    }
    let mut give: Vec<&str> = privileges.difference(&has).copied().collect();
    if give.is_empty() && gives && !gave {
        give.push("USAGE");
    }
    if !give.is_empty() {
        let option = if gives { " WITH GRANT OPTION" } else { "" };
        statements.push(format!("GRANT {} ON {target} TO {account}{option}", joined(give)));
    }
    statements.into_iter().map(Statement::from).collect()
}

/// Properties of a role as statements name them.
const FLAGS: [(&str, &str); 7] = [
    ("superuser", "SUPERUSER"),
    ("may make databases", "CREATEDB"),
    ("may make roles", "CREATEROLE"),
    ("inherits", "INHERIT"),
    ("may log in", "LOGIN"),
    ("replicates", "REPLICATION"),
    ("sees all rows", "BYPASSRLS"),
];

fn postgres_role(wanted: &DatabaseObject, state: Option<&State>, about: &About, name: &str) -> Statement {
    let mut text = format!("{} ROLE {}", if state.is_some() { "ALTER" } else { "CREATE" }, postgres::identifier(name));
    for (property, flag) in FLAGS {
        let value = word(wanted, property);
        // An administrator that is no superuser may not even name what it cannot give.
        let has = state.map_or("no", |state| state.properties.get(property).map_or("no", String::as_str));
        if value != has || (state.is_none() && property == "inherits") {
            text = format!("{text} {}{flag}", if value == "yes" { "" } else { "NO" });
        }
    }
    text = format!("{text} CONNECTION LIMIT {}", word(wanted, "connection limit").parse::<i64>().unwrap_or(-1));
    if let Some(until) = wanted.properties.get("valid until") {
        text = format!("{text} VALID UNTIL {}", postgres::literal(until).trim_start());
    }
    let mut hidden = String::new();
    let password = wanted.password.as_ref().filter(|_| state.is_none_or(|state| password_differs(wanted, state)));
    if let Some(password) = password {
        let method = if let About::Postgres(method) = about { *method } else { Method::Scram };
        hidden = password::kept(password.reveal(), name, method);
        text = format!("{text} PASSWORD {}", postgres::literal(&hidden).trim_start());
    }
    Statement::new(text).hiding(hidden)
}

fn postgres_database(
    wanted: &DatabaseObject,
    state: Option<&State>,
    name: &str,
    differs: impl Fn(&str) -> bool,
) -> Vec<Statement> {
    let name = postgres::identifier(name);
    let limit = word(wanted, "connection limit").parse::<i64>().unwrap_or(-1);
    let lets_in = if word(wanted, "lets accounts in") == "yes" { "true" } else { "false" };
    if state.is_none() {
        let mut text = format!("CREATE DATABASE {name}");
        let mut add = |property: &str, clause: &str, quoted: fn(&str) -> String| {
            if let Some(value) = wanted.properties.get(property) {
                text = format!("{text} {clause} {}", quoted(value).trim_start());
            }
        };
        add("owner", "OWNER", postgres::identifier);
        add("template", "TEMPLATE", postgres::identifier);
        add("encoding", "ENCODING", postgres::literal);
        add("LC_COLLATE", "LC_COLLATE", postgres::literal);
        add("LC_CTYPE", "LC_CTYPE", postgres::literal);
        return vec![format!("{text} CONNECTION LIMIT {limit} ALLOW_CONNECTIONS {lets_in}").into()];
    }
    let mut statements = vec![];
    if differs("owner") {
        statements.push(format!("ALTER DATABASE {name} OWNER TO {}", postgres::identifier(word(wanted, "owner"))));
    }
    if differs("connection limit") {
        statements.push(format!("ALTER DATABASE {name} CONNECTION LIMIT {limit}"));
    }
    if differs("lets accounts in") {
        statements.push(format!("ALTER DATABASE {name} ALLOW_CONNECTIONS {lets_in}"));
    }
    statements.into_iter().map(Statement::from).collect()
}
