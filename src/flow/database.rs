//! Databases, accounts and privileges: as wanted against as found.

pub mod apply;
pub mod look;
pub mod statements;

use std::collections::BTreeMap;

use crate::secret::Secret;
use crate::sql::mysql::native_hash;
use crate::sql::postgres::password;
use crate::terraform::database::{DatabaseObject, DatabaseProvider, Engine, What};

/// Something on a server, as a look found it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    /// It is not there.
    Absent,
    /// It is there.
    Present(State),
    /// It cannot be told, e.g. because its server is deployed by the same plan.
    Unknown {
        /// Why.
        why: String,
    },
}

/// Something on a server, as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct State {
    /// Its properties, named as the wanted ones.
    pub properties: BTreeMap<&'static str, String>,
    /// What the server keeps of its password.
    pub password: Option<Secret>,
    /// Whether what the server keeps can be compared with a password.
    pub comparable: bool,
}

/// What it takes to make the one the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Difference {
    /// Nothing.
    None,
    /// It is made.
    Make,
    /// It is changed; one line each.
    Change(Vec<String>),
    /// It is made or changed, whatever is found then.
    Unknown(String),
}

/// Names something on a server, wherever it is remembered.
pub fn identity(server: &DatabaseProvider, object: &DatabaseObject) -> String {
    format!("{object} at {}:{}", server.host, server.port)
}

/// Compares `wanted` with what was seen of it. What nobody looked at is not there: the host of an offline plan is empty.
pub fn compare(wanted: &DatabaseObject, seen: Option<&Seen>) -> Difference {
    match seen {
        Some(Seen::Unknown { why }) => Difference::Unknown(why.clone()),
        None | Some(Seen::Absent) => Difference::Make,
        Some(Seen::Present(state)) => {
            let lines = changes(wanted, state);
            if lines.is_empty() { Difference::None } else { Difference::Change(lines) }
        }
    }
}

/// What differs, one line each. Passwords are named, never shown.
pub fn changes(wanted: &DatabaseObject, state: &State) -> Vec<String> {
    let mut lines = vec![];
    for (name, value) in &wanted.properties {
        match state.properties.get(name) {
            Some(has) if !same(name, has, value) => lines.push(format!("{name}: {has} → {value}")),
            _ => {}
        }
    }
    if password_differs(wanted, state) {
        lines.push("password".to_owned());
    }
    lines
}

/// Names that mean the same.
fn same(name: &str, left: &str, right: &str) -> bool {
    let plain = |text: &str| match name {
        "character set" if text == "utf8" => "utf8mb3".to_owned(),
        "collation" => text.strip_prefix("utf8_").map_or_else(|| text.to_owned(), |rest| format!("utf8mb3_{rest}")),
        "encoding" => text.to_uppercase().replace(['-', '_'], ""),
        _ => text.to_owned(),
    };
    plain(left) == plain(right)
}

/// Whether the password has to be set.
pub(crate) fn password_differs(wanted: &DatabaseObject, state: &State) -> bool {
    let Some(password) = wanted.password.as_ref().filter(|_| state.comparable) else { return false };
    let Some(kept) = &state.password else { return true };
    match &wanted.what {
        What::PostgresRole(name) => !password::is_of(kept.reveal(), password.reveal(), name),
        _ => native_hash(password.reveal()) != kept.reveal(),
    }
}

/// What of a database can be told only when it is made.
const FIXED: [&str; 3] = ["encoding", "LC_COLLATE", "LC_CTYPE"];

/// What differs and cannot be changed, if anything: the property, what it is and what it should be.
pub fn fixed(wanted: &DatabaseObject, state: &State) -> Option<(&'static str, String, String)> {
    let differing = FIXED.into_iter().filter_map(|name| {
        let (has, value) = (state.properties.get(name)?, wanted.properties.get(name)?);
        (!same(name, has, value)).then(|| (name, has.clone(), value.clone()))
    });
    differing.take(1).next().filter(|_| wanted.engine() == Engine::Postgres)
}
