//! Reads what a server has.

use std::collections::{BTreeMap, BTreeSet};

use crate::agent;
use crate::flow::database::statements::About;
use crate::flow::database::{Seen, State, fixed, identity};
use crate::flow::deploy::Unit;
use crate::flow::found::Found;
use crate::flow::look::Error;
use crate::flow::world::World;
use crate::secret::Secret;
use crate::sql::mysql::grants::{self, Quotes, target};
use crate::sql::postgres::password::Method;
use crate::sql::{self, mysql, postgres};
use crate::terraform::Kind;
use crate::terraform::database::{DatabaseObject, DatabaseProvider, Engine, What};

/// Where the objects of an owner are remembered on the host.
pub(super) fn place(world: &World, owner: &str) -> String {
    format!("{}/{}/{owner}/databases", world.state, world.host)
}

/// The objects of `owner`, as remembered.
pub(super) async fn remembered(world: &World, owner: &str) -> Result<BTreeSet<String>, agent::Error> {
    let content = world.agent.read(&place(world, owner)).await?.unwrap_or_default();
    Ok(String::from_utf8_lossy(&content).lines().filter(|line| !line.is_empty()).map(str::to_owned).collect())
}

/// Looks at everything that `units` want of database servers. A server that does not answer may be one that is deployed
/// by the same plan.
pub async fn databases(world: &World, units: &[Unit], found: &mut Found) -> Result<(), Error> {
    for unit in units {
        let remembered = remembered(world, &unit.owner).await?;
        found.owned_databases.insert(unit.owner.clone(), remembered);
        for provider in &unit.deployment.databases {
            let objects = unit.deployment.resources.iter().filter_map(|resource| match &resource.kind {
                Kind::Database(object) if object.engine() == provider.engine => Some(object),
                _ => None,
            });
            let objects: Vec<&DatabaseObject> = objects.collect();
            if !objects.is_empty() {
                look(world, provider, &objects, &mut found.databases).await?;
            }
        }
    }
    Ok(())
}

async fn look(
    world: &World,
    provider: &DatabaseProvider,
    objects: &[&DatabaseObject],
    seen: &mut BTreeMap<String, Seen>,
) -> Result<(), Error> {
    let unknown = |why: &str| Seen::Unknown { why: why.to_owned() };
    let pending = |what: &str| unknown(&format!("{what} known once the images are built"));
    let connected = if provider.is_pending() {
        Err(pending("how its server is reached is"))
    } else {
        Connection::open(world, provider).await.map_err(|error| unknown(&reason(&error)))
    };
    let mut connection = match connected {
        Ok(connection) => connection,
        Err(why) => {
            seen.extend(objects.iter().map(|object| (identity(provider, object), why.clone())));
            return Ok(());
        }
    };
    for object in objects {
        let state = if object.is_pending() { pending("its password is") } else { connection.look(object).await? };
        if let Seen::Present(state) = &state
            && let Some((property, has, wanted)) = fixed(object, state)
        {
            return Err(Error::Fixed { what: object.to_string(), property: property.to_owned(), has, wanted });
        }
        seen.insert(identity(provider, object), state);
    }
    connection.close().await;
    Ok(())
}

fn reason(error: &sql::Error) -> String {
    match error {
        sql::Error::Unreachable { .. } | sql::Error::Cut { .. } => format!("{error}: {}", error.message()),
        sql::Error::Login { .. } | sql::Error::Refused { .. } => error.to_string(),
    }
}

/// A connection to a server of either kind.
pub(super) enum Connection {
    Mysql(mysql::Client),
    Postgres(postgres::Client),
}

impl Connection {
    pub(super) async fn open(world: &World, provider: &DatabaseProvider) -> Result<Self, sql::Error> {
        let server = (world.database)(provider);
        Ok(match provider.engine {
            Engine::Mysql => Self::Mysql(mysql::connect(&server).await?),
            Engine::Postgres => Self::Postgres(postgres::connect(&server).await?),
        })
    }

    pub(super) async fn close(self) {
        if let Self::Mysql(client) = self {
            client.close().await;
        }
    }

    pub(super) async fn about(&mut self) -> Result<About, sql::Error> {
        Ok(match self {
            Self::Mysql(client) => About::Mysql(client.version().await?),
            Self::Postgres(client) => {
                let rows = client.run("SHOW password_encryption").await?;
                About::Postgres(Method::of(rows.value().unwrap_or_default()))
            }
        })
    }

    pub(super) async fn run(&mut self, statement: sql::Statement) -> Result<sql::Rows, sql::Error> {
        match self {
            Self::Mysql(client) => client.run(statement).await,
            Self::Postgres(client) => client.run(statement).await,
        }
    }

    /// Looks at one object.
    pub(super) async fn look(&mut self, object: &DatabaseObject) -> Result<Seen, sql::Error> {
        let state = match &object.what {
            What::MysqlDatabase(name) => self.mysql_database(name).await?,
            What::MysqlUser(name, host) => self.mysql_user(name, host).await?,
            What::MysqlGrant { user, host, database, table } => {
                let target = target(&format!("{database}.{table}"), Quotes::Usual);
                self.mysql_grant(user, host, &target).await?
            }
            What::PostgresRole(name) => self.postgres_role(object, name).await?,
            What::PostgresDatabase(name) => self.postgres_database(name).await?,
        };
        Ok(state.map_or(Seen::Absent, Seen::Present))
    }

    /// The first row of the answer, by the names of its columns.
    async fn row(&mut self, select: String) -> Result<Option<Row>, sql::Error> {
        Ok(self.run(select.into()).await?.row().map(Row))
    }

    async fn mysql_database(&mut self, name: &str) -> Result<Option<State>, sql::Error> {
        let select = format!(
            "SELECT DEFAULT_CHARACTER_SET_NAME AS characters, DEFAULT_COLLATION_NAME AS collation \
             FROM information_schema.SCHEMATA WHERE SCHEMA_NAME = {}",
            mysql::literal(name)
        );
        let row = self.row(select).await?;
        Ok(row.map(|row| state([("character set", row.word("characters")), ("collation", row.word("collation"))])))
    }

    async fn mysql_user(&mut self, name: &str, host: &str) -> Result<Option<State>, sql::Error> {
        let select = format!(
            "SELECT ssl_type AS tls, plugin, authentication_string AS kept FROM mysql.user WHERE User = {} AND Host = {}",
            mysql::literal(name),
            mysql::literal(host)
        );
        let row = self.row(select).await?;
        Ok(row.map(|row| {
            let tls = match row.word("tls").as_str() {
                "" => "NONE".to_owned(),
                "ANY" => "SSL".to_owned(),
                other => other.to_owned(),
            };
            let comparable = ["", "mysql_native_password"].contains(&row.word("plugin").as_str());
            let kept = Some(row.word("kept")).filter(|kept| !kept.is_empty());
            State { password: kept.map(Secret::new), comparable, ..state([("TLS", tls)]) }
        }))
    }

    async fn mysql_grant(&mut self, user: &str, host: &str, target: &str) -> Result<Option<State>, sql::Error> {
        let show = format!("SHOW GRANTS FOR {}@{}", mysql::literal(user), mysql::literal(host));
        let rows = match self.run(show.into()).await {
            // There is no such account: it is made before this.
            Err(error) if error.code() == Some("1141") => return Ok(None),
            rows => rows?,
        };
        let mut granted = grants::read(rows.firsts()).unwrap_or_default();
        let names = granted.remove(target).unwrap_or_default();
        let gives = names.iter().any(|name| name == "GRANT");
        let mut names: Vec<String> = names.into_iter().filter(|name| name != "GRANT" && name != "USAGE").collect();
        names.sort();
        names.dedup();
        if names.is_empty() && !gives {
            return Ok(None);
        }
        Ok(Some(state([("privileges", names.join(", ")), ("may be given on", yes_or_no(gives))])))
    }

    async fn postgres_role(&mut self, object: &DatabaseObject, name: &str) -> Result<Option<State>, sql::Error> {
        let until = object.properties.get("valid until");
        let same = until.map_or_else(
            || "true".to_owned(),
            |until| format!("rolvaliduntil IS NOT DISTINCT FROM {}::timestamptz", postgres::literal(until)),
        );
        let select = |password: &str, from: &str| {
            format!(
                "SELECT rolsuper, rolcreatedb, rolcreaterole, rolinherit, rolcanlogin, rolreplication, rolbypassrls, \
                 rolconnlimit, rolvaliduntil, {same} AS same, {password} AS kept FROM {from} WHERE rolname = {}",
                postgres::literal(name)
            )
        };
        // Not every administrator may see passwords.
        let (row, comparable) = match self.row(select("rolpassword", "pg_authid")).await {
            Err(sql::Error::Refused { .. }) => (self.row(select("''", "pg_roles")).await?, false),
            row => (row?, true),
        };
        Ok(row.map(|row| {
            let flag = |name: &str| yes_or_no(row.word(name) == "t");
            let until = if row.word("same") == "t" { until.cloned() } else { None };
            let until = until.unwrap_or_else(|| row.word("rolvaliduntil"));
            let properties = state([
                ("superuser", flag("rolsuper")),
                ("may make databases", flag("rolcreatedb")),
                ("may make roles", flag("rolcreaterole")),
                ("inherits", flag("rolinherit")),
                ("may log in", flag("rolcanlogin")),
                ("replicates", flag("rolreplication")),
                ("sees all rows", flag("rolbypassrls")),
                ("connection limit", row.word("rolconnlimit")),
                ("valid until", until),
            ]);
            let kept = Some(row.word("kept")).filter(|kept| !kept.is_empty());
            State { password: kept.map(Secret::new), comparable, ..properties }
        }))
    }

    async fn postgres_database(&mut self, name: &str) -> Result<Option<State>, sql::Error> {
        let select = format!(
            "SELECT rolname AS owner, pg_encoding_to_char(encoding) AS encoding, datcollate, datctype, datconnlimit, \
             datallowconn FROM pg_database JOIN pg_roles ON pg_roles.oid = datdba WHERE datname = {}",
            postgres::literal(name)
        );
        Ok(self.row(select).await?.map(|row| {
            state([
                ("owner", row.word("owner")),
                ("encoding", row.word("encoding")),
                ("LC_COLLATE", row.word("datcollate")),
                ("LC_CTYPE", row.word("datctype")),
                ("connection limit", row.word("datconnlimit")),
                ("lets accounts in", yes_or_no(row.word("datallowconn") == "t")),
            ])
        }))
    }
}

/// A row by the names of its columns.
struct Row(BTreeMap<String, Option<String>>);

impl Row {
    fn word(&self, name: &str) -> String {
        self.0.get(name).cloned().flatten().unwrap_or_default()
    }
}

fn yes_or_no(truth: bool) -> String {
    if truth { "yes" } else { "no" }.to_owned()
}

fn state<const N: usize>(properties: [(&'static str, String); N]) -> State {
    State { properties: properties.into(), ..State::default() }
}
