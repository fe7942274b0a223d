//! What there is: objects of a schema, roles, and who may do what.

use crate::module::Failed;
use crate::module::postgresql_login::exception;
use crate::module::postgresql_privs::statement::Wanted;
use crate::sql;
use crate::sql::postgres::{Client, literal};

/// Whether there is a role of that name.
///
/// # Errors
///
/// What the server said.
pub async fn is_role(name: &str, client: &Client) -> Result<bool, sql::Error> {
    let rows = client.run(format!("SELECT 1 FROM pg_catalog.pg_roles WHERE rolname = {}", literal(name))).await?;
    Ok(rows.value().is_some())
}

/// All objects of a kind in a schema; functions with their arguments.
///
/// # Errors
///
/// [`Failed`]: there is no such schema.
pub async fn all(kind: &str, schema: &str, client: &Client) -> Result<Vec<String>, Failed> {
    let told = |error: sql::Error| Failed::new(exception(&error));
    let name = literal(schema);
    let there = format!("SELECT 1 FROM pg_catalog.pg_namespace WHERE nspname = {name}");
    if client.run(there).await.map_err(told)?.value().is_none() {
        return Err(Failed::new(format!("Schema \"{schema}\" does not exist.")));
    }
    let relations = |kinds: &str| {
        format!(
            "SELECT relname FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
             WHERE nspname = {name} AND relkind IN ({kinds})"
        )
    };
    let functions = |kind: char| {
        format!(
            "SELECT p.proname || '(' || pg_catalog.oidvectortypes(p.proargtypes) || ')' FROM pg_catalog.pg_proc p \
             JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace WHERE nspname = {name} AND p.prokind = '{kind}'"
        )
    };
    let select = match kind {
        "sequence" => relations("'S'"),
        "function" => functions('f'),
        "procedure" => functions('p'),
        _ => relations("'r', 'v', 'm', 'p'"),
    };
    Ok(client.run(select).await.map_err(told)?.firsts().map(str::to_owned).collect())
}

/// Who may do what with the objects, to be compared with itself.
///
/// # Errors
///
/// What the server said.
pub async fn status(wanted: &Wanted<'_>, client: &Client) -> Result<Vec<Vec<Option<String>>>, sql::Error> {
    let mut rows = client.run(select(wanted)).await?.rows;
    rows.sort();
    Ok(rows)
}

fn select(wanted: &Wanted<'_>) -> String {
    let kind = wanted.arguments.kind.as_str();
    let without_arguments = |object: &String| match kind {
        "function" | "procedure" => object.split('(').next().unwrap_or_default().to_owned(),
        _ => object.clone(),
    };
    let names: Vec<String> = wanted.objects.iter().map(|object| literal(&without_arguments(object))).collect();
    let names = format!("ANY (ARRAY[{}])", names.join(","));
    let schema = wanted.schema.map(literal);
    let inside = schema.as_ref().map_or_else(|| "true".to_owned(), |schema| format!("n.nspname = {schema}"));
    let within = |list: &str, table: &str, prefix: &str, more: &str| {
        format!(
            "SELECT {list} FROM pg_catalog.{table} o JOIN pg_catalog.pg_namespace n ON n.oid = o.{prefix}namespace \
             WHERE {inside} AND o.{prefix}name = {names}{more}"
        )
    };
    let plain = |table: &str, prefix: &str| {
        format!("SELECT {prefix}name, {prefix}acl FROM pg_catalog.{table} WHERE {prefix}name = {names}")
    };
    match kind {
        "sequence" => within("relname, relacl", "pg_class", "rel", " AND relkind = 'S'"),
        "function" | "procedure" => within("proname, proargtypes, proacl", "pg_proc", "pro", ""),
        "type" => within("typname, typacl", "pg_type", "typ", ""),
        "schema" => plain("pg_namespace", "nsp"),
        "language" => plain("pg_language", "lan"),
        "tablespace" => plain("pg_tablespace", "spc"),
        "database" => plain("pg_database", "dat"),
        "foreign_data_wrapper" => plain("pg_foreign_data_wrapper", "fdw"),
        "foreign_server" => plain("pg_foreign_server", "srv"),
        "group" => format!(
            "SELECT am.roleid, am.grantor, am.member, am.admin_option FROM pg_catalog.pg_auth_members am \
             JOIN pg_catalog.pg_roles r ON r.oid = am.roleid WHERE r.rolname = {names}"
        ),
        "default_privs" => match &schema {
            Some(schema) => format!(
                "SELECT a.defaclrole, a.defaclobjtype, a.defaclacl FROM pg_catalog.pg_default_acl a \
                 JOIN pg_catalog.pg_namespace n ON n.oid = a.defaclnamespace WHERE n.nspname = {schema}"
            ),
            None => {
                "SELECT defaclrole, defaclnamespace, defaclobjtype, defaclacl FROM pg_catalog.pg_default_acl".to_owned()
            }
        },
        _ => within("relname, relacl", "pg_class", "rel", " AND relkind IN ('r', 'p', 'v', 'm')"),
    }
}
