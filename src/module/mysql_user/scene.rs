//! What a server knows of an account.

use serde::{Deserialize, Serialize};

use crate::module::Failed;
use crate::module::mysql_login::exception;
use crate::module::mysql_user::Arguments;
use crate::module::mysql_user::requires::Requires;
use crate::sql::mysql::grants::{self, Privileges};
use crate::sql::mysql::{Client, Version, literal};
use crate::sql::{Error, Rows};

/// What is there.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Scene {
    /// What the server calls its version.
    pub version: String,
    /// Its `sql_mode`.
    pub sql_mode: String,
    /// The accounts that are meant.
    pub accounts: Vec<Account>,
}

/// An account as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Account {
    /// Where it comes from.
    pub host: String,
    /// How it proves itself.
    pub plugin: String,
    /// What the plugin keeps.
    pub authentication: String,
    /// What the server keeps of the password, wherever that is.
    pub password: String,
    /// Its privileges.
    pub grants: Privileges,
    /// What it must have of TLS.
    pub requires: Option<Requires>,
}

pub(super) async fn look(arguments: &Arguments, client: &mut Client) -> Result<Scene, Failed> {
    let version = client.version().await.map_err(told)?;
    if !(if version.is_mariadb() { version.is_at_least(10, 2) } else { version.is_at_least(5, 7) }) {
        let text = format!("mysql_user needs MariaDB 10.2 or MySQL 5.7, or a newer one; this is {}", version.0);
        return Err(Failed::new(text));
    }
    let sql_mode = client.run("SELECT @@GLOBAL.sql_mode").await.map_err(told)?;
    let mut scene = Scene {
        version: version.0.clone(),
        sql_mode: sql_mode.value().unwrap_or_default().to_owned(),
        accounts: vec![],
    };
    for host in hosts(arguments, client).await.map_err(told)? {
        scene.accounts.push(account(&arguments.user, host, &version, client).await?);
    }
    Ok(scene)
}

#[expect(clippy::needless_pass_by_value, reason = "it maps errors")]
fn told(error: Error) -> Failed {
    Failed::new(exception(&error))
}

async fn hosts(arguments: &Arguments, client: &mut Client) -> Result<Vec<String>, Error> {
    let mut select = format!("SELECT Host FROM mysql.user WHERE User = {}", literal(&arguments.user));
    if !arguments.host_all {
        select = format!("{select} AND Host = {}", literal(&arguments.host));
    }
    Ok(client.run(select).await?.firsts().map(str::to_owned).collect())
}

async fn account(user: &str, host: String, version: &Version, client: &mut Client) -> Result<Account, Failed> {
    let who = format!("{}@{}", literal(user), literal(&host));
    let rows = kept(user, &host, version, client).await.map_err(told)?;
    let row = rows.row().unwrap_or_default();
    let word = |name: &str| row.get(name).cloned().flatten().unwrap_or_default();
    let password = Some(word("kept")).filter(|kept| !kept.is_empty());
    let shown = client.run(format!("SHOW GRANTS FOR {who}")).await.map_err(told)?;
    let created = match user {
        "" => None,
        _ => client.run(format!("SHOW CREATE USER {who}")).await.map_err(told)?.value().and_then(Requires::read),
    };
    Ok(Account {
        plugin: word("plugin"),
        authentication: word("authentication"),
        password: password.unwrap_or_else(|| word("authentication")),
        grants: grants::read(shown.firsts()).map_err(Failed::new)?,
        requires: created,
        host,
    })
}

/// MariaDB has a second place for what it keeps of a password.
async fn kept(user: &str, host: &str, version: &Version, client: &mut Client) -> Result<Rows, Error> {
    let second = if version.is_mariadb() { "Password" } else { "''" };
    let select = format!(
        "SELECT plugin, authentication_string AS authentication, {second} AS kept FROM mysql.user \
         WHERE User = {} AND Host = {}",
        literal(user),
        literal(host)
    );
    client.run(select).await
}
