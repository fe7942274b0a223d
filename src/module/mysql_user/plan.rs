//! From an account as it is to the account as wanted.

use serde_json::Value;

use crate::module::Failed;
use crate::module::arguments;
use crate::module::lineinfile::State;
use crate::module::mysql_user::{Account, Arguments, Scene, requires};
use crate::module::user::UpdatePassword;
use crate::secret::Secret;
use crate::sql::Statement;
use crate::sql::mysql::grants::{self, ColumnCase, Privileges, Quotes};
use crate::sql::mysql::{Version, literal, native_hash};

/// One change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// What it is about.
    pub what: What,
    /// What Ansible says of it.
    pub message: String,
    /// What is carried out, each perhaps with what is said if it fails.
    pub statements: Vec<(Statement, Option<String>)>,
}

/// What a change is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// Whether the account is there.
    Account,
    /// How it proves itself.
    Password,
    /// What it may do; whether something has changed is seen afterwards.
    Privileges,
    /// Anything else.
    Other,
}

fn change(what: What, message: impl Into<String>, statements: Vec<Statement>) -> Change {
    let statements = statements.into_iter().map(|statement| (statement, None)).collect();
    Change { what, message: message.into(), statements }
}

/// The changes, in order.
///
/// # Errors
///
/// [`Failed`]: what is wanted cannot be meant.
pub fn plan(arguments: &Arguments, scene: &Scene) -> Result<Vec<Change>, Failed> {
    let privileges = wanted(arguments, scene)?;
    match (arguments.state, scene.accounts.is_empty()) {
        (State::Absent, true) => Ok(vec![]),
        (State::Absent, false) => {
            let drops = scene.accounts.iter().map(|it| format!("DROP USER IF EXISTS {}", who(arguments, &it.host)));
            Ok(vec![change(What::Account, "User deleted", drops.map(Statement::from).collect())])
        }
        (State::Present, true) if arguments.host_all => {
            Err(Failed::new("host_all parameter cannot be used when adding a user"))
        }
        (State::Present, true) => Ok(vec![added(arguments, scene, privileges.as_ref())]),
        (State::Present, false) => {
            let mut changes = vec![];
            for account in &scene.accounts {
                changes.extend(password(arguments, account)?);
                changes.extend(plugin(arguments, account));
                if let Some(privileges) = &privileges {
                    changes.extend(granted(arguments, account, privileges));
                }
                changes.extend(required(arguments, account));
            }
            Ok(changes)
        }
    }
}

fn who(arguments: &Arguments, host: &str) -> String {
    format!("{}@{}", literal(&arguments.user), literal(host))
}

fn wanted(arguments: &Arguments, scene: &Scene) -> Result<Option<Privileges>, Failed> {
    let text = match &arguments.privileges {
        None => return Ok(None),
        Some(Value::Object(map)) => {
            let items = map.iter().map(|(what, privileges)| format!("{what}:{}", arguments::text(privileges)));
            items.collect::<Vec<_>>().join("/")
        }
        Some(other) => arguments::text(other),
    };
    let quotes = if scene.sql_mode.contains("ANSI") { Quotes::Ansi } else { Quotes::Usual };
    let case = if arguments.column_case_sensitive == Some(true) { ColumnCase::Kept } else { ColumnCase::Upper };
    let mut wanted = grants::written(&text, quotes, case).map_err(Failed::new)?;
    if !arguments.subtract_privs {
        wanted.entry("*.*".to_owned()).or_insert_with(|| vec!["USAGE".to_owned()]);
    }
    Ok(Some(wanted))
}

fn added(arguments: &Arguments, scene: &Scene, privileges: Option<&Privileges>) -> Change {
    let mut create = format!("CREATE USER {}", who(arguments, &arguments.host));
    let mut hidden = None;
    if let Some((clause, secret)) = identified(arguments, scene) {
        create = format!("{create} {clause}");
        hidden = secret;
    }
    if let Some(requires) = requires(arguments) {
        create = format!("{create} REQUIRE {}", requires.clause());
    }
    let mut made = change(What::Account, "User added", vec![Statement::new(create).hiding(hidden.unwrap_or_default())]);
    // What is to be taken away is not given first.
    for (what, names) in privileges.into_iter().flatten().filter(|_| !arguments.subtract_privs) {
        made.statements.push(grant(arguments, &arguments.host, what, names));
    }
    made
}

/// `IDENTIFIED …`, and what of it is not shown.
fn identified(arguments: &Arguments, scene: &Scene) -> Option<(String, Option<String>)> {
    let password = arguments.password.as_ref().map(Secret::reveal).filter(|it| !it.is_empty());
    if let Some(password) = password {
        let hash = if arguments.encrypted { password.to_owned() } else { native_hash(password) };
        let old = arguments.encrypted && {
            let version = Version(scene.version.clone());
            version.is_mariadb() || !version.is_at_least(8, 0)
        };
        let how = if old { "BY PASSWORD" } else { "WITH mysql_native_password AS" };
        return Some((format!("IDENTIFIED {how} {}", literal(&hash)), Some(hash)));
    }
    plugged(arguments)
}

fn plugged(arguments: &Arguments) -> Option<(String, Option<String>)> {
    let plugin = arguments.plugin.as_deref().filter(|plugin| !plugin.is_empty())?;
    let with = format!("IDENTIFIED WITH {}", literal(plugin));
    let given = |secret: &Option<Secret>| {
        secret.as_ref().map(|secret| secret.reveal().to_owned()).filter(|secret| !secret.is_empty())
    };
    Some(match (given(&arguments.plugin_hash_string), given(&arguments.plugin_auth_string)) {
        (Some(hash), _) => (format!("{with} AS {}", literal(&hash)), Some(hash)),
        (None, Some(told)) => {
            let word = if plugin == "pam" { "USING" } else { "BY" };
            (format!("{with} {word} {}", literal(&told)), Some(told))
        }
        (None, None) => (with, None),
    })
}

fn updates(arguments: &Arguments) -> bool {
    arguments.update_password == UpdatePassword::Always
}

fn is_hash(text: &str) -> bool {
    text.len() == 41 && text.starts_with('*') && text[1..].bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn password(arguments: &Arguments, account: &Account) -> Result<Option<Change>, Failed> {
    let password = arguments.password.as_ref().map(Secret::reveal);
    let Some(password) = password.filter(|it| !it.is_empty() && updates(arguments)) else { return Ok(None) };
    if arguments.encrypted && !is_hash(password) {
        return Err(Failed::new(
            "encrypted was specified however it does not appear to be a valid hash expecting: *SHA1(SHA1(your_password))",
        ));
    }
    let hash = if arguments.encrypted { password.to_owned() } else { native_hash(password) };
    if account.password == hash {
        return Ok(None);
    }
    let alter = format!(
        "ALTER USER {} IDENTIFIED WITH mysql_native_password AS {}",
        who(arguments, &account.host),
        literal(&hash)
    );
    let statement = Statement::new(alter).hiding(hash);
    Ok(Some(change(What::Password, "Password updated (new style)", vec![statement])))
}

fn plugin(arguments: &Arguments, account: &Account) -> Option<Change> {
    let plugin = arguments.plugin.as_deref().filter(|plugin| !plugin.is_empty() && updates(arguments))?;
    let other = |secret: &Option<Secret>| {
        secret.as_ref().is_some_and(|secret| !secret.reveal().is_empty() && secret.reveal() != account.authentication)
    };
    let differs =
        account.plugin != plugin || other(&arguments.plugin_hash_string) || other(&arguments.plugin_auth_string);
    let (clause, secret) = plugged(arguments).filter(|_| differs)?;
    let alter = Statement::new(format!("ALTER USER {} {clause}", who(arguments, &account.host)));
    Some(change(What::Password, "User unchanged", vec![alter.hiding(secret.unwrap_or_default())]))
}

fn grant(arguments: &Arguments, host: &str, what: &str, names: &[String]) -> (Statement, Option<String>) {
    let listed = names.iter().filter(|name| *name != "GRANT").cloned().collect::<Vec<_>>().join(",");
    let option = if names.iter().any(|name| name == "GRANT") { " WITH GRANT OPTION" } else { "" };
    let statement = format!("GRANT {listed} ON {what} TO {}{option}", who(arguments, host));
    let python = |text: &str| arguments::python(&Value::from(text));
    let failure = format!(
        "Error granting privileges, invalid priv string: {listed} , params: ({}, {}), query: GRANT {listed} ON {} TO \
         %s@%s{option} ,",
        python(&arguments.user),
        python(host),
        what.replace('%', "%%")
    );
    (statement.into(), Some(failure))
}

fn revoke(arguments: &Arguments, host: &str, what: &str, names: &[String], option: bool) -> Vec<Statement> {
    let mut statements = vec![];
    let from = who(arguments, host);
    if option {
        statements.push(format!("REVOKE GRANT OPTION ON {what} FROM {from}").into());
    }
    let listed = names.iter().filter(|name| *name != "GRANT").cloned().collect::<Vec<_>>().join(",");
    if !listed.is_empty() {
        statements.push(format!("REVOKE {listed} ON {what} FROM {from}").into());
    }
    statements.push("FLUSH PRIVILEGES".into());
    statements
}

fn granted(arguments: &Arguments, account: &Account, wanted: &Privileges) -> Vec<Change> {
    let mut changes = vec![];
    let has = &account.grants;
    if !arguments.append_privs && !arguments.subtract_privs {
        for (what, names) in has {
            let option = names.iter().any(|name| name == "GRANT");
            let kept = wanted.contains_key(what) || arguments.user == "root" || names.iter().any(|it| it == "PROXY");
            if !kept {
                let statements = revoke(arguments, &account.host, what, names, option);
                changes.push(change(What::Other, "Privileges updated", statements));
            }
        }
    }
    if !arguments.subtract_privs {
        for (what, names) in wanted.iter().filter(|(what, _)| !has.contains_key(*what)) {
            let mut made = change(What::Other, "New privileges granted", vec![]);
            made.statements.push(grant(arguments, &account.host, what, names));
            changes.push(made);
        }
    }
    let both = wanted.iter().filter_map(|(what, names)| Some((what, names, has.get(what)?)));
    changes.extend(both.filter_map(|(what, wanted, has)| exchanged(arguments, &account.host, what, wanted, has)));
    changes
}

fn exchanged(arguments: &Arguments, host: &str, what: &str, wanted: &[String], has: &[String]) -> Option<Change> {
    let without = |these: &[String], those: &[String]| {
        let mut left: Vec<String> = these.iter().filter(|name| !those.contains(name)).cloned().collect();
        left.dedup();
        left
    };
    let (mut give, mut take) = (vec![], vec![]);
    if arguments.append_privs {
        give = without(wanted, has);
    } else if arguments.subtract_privs {
        take = wanted.iter().filter(|name| has.contains(name)).cloned().collect();
    } else {
        give = without(wanted, has);
        take = without(has, wanted);
        if give.iter().any(|name| name == "ALL" || name == "ALL PRIVILEGES") {
            take.retain(|name| name == "GRANT" || name == "PROXY");
        }
    }
    let option = take.iter().any(|name| name == "GRANT");
    if give == ["GRANT"] {
        give.push("USAGE".to_owned());
    }
    if give.is_empty() && take.is_empty() {
        return None;
    }
    let list = |names: &[String]| arguments::python(&Value::from(names.to_vec()));
    let message = format!("Privileges updated: granted {}, revoked {}", list(&give), list(&take));
    let mut made = change(What::Privileges, message, vec![]);
    if !take.is_empty() {
        made.statements.extend(revoke(arguments, host, what, &take, option).into_iter().map(|it| (it, None)));
    }
    if !give.is_empty() {
        made.statements.push(grant(arguments, host, what, &give));
    }
    Some(made)
}

fn required(arguments: &Arguments, account: &Account) -> Option<Change> {
    let wanted = requires(arguments);
    if account.requires == wanted {
        return None;
    }
    let clause = wanted.map_or_else(|| "NONE".to_owned(), |wanted| wanted.clause());
    let alter = format!("ALTER USER {} REQUIRE {clause}", who(arguments, &account.host));
    Some(change(What::Other, "TLS requires updated", vec![alter.into()]))
}
