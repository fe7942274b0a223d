//! Databases without a server: what modules and deployments would send, and what is never shown.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use ryo::flow::database::statements::{About, statements};
use ryo::flow::database::{State, fixed};
use ryo::module::action::{Action, Bytes};
use ryo::module::postgresql_privs::statement::{self, Wanted};
use ryo::module::{
    Mode, Task, edit, mysql_user, parse, postgresql_pg_hba, postgresql_privs, postgresql_set, postgresql_user,
};
use ryo::secret::Secret;
use ryo::sql::mysql::grants::{self, ColumnCase, Quotes};
use ryo::sql::mysql::{self, Version};
use ryo::sql::postgres::password::{self, Method};
use ryo::sql::{Statement, postgres};
use ryo::terraform::DatabaseObject;
use ryo::terraform::database::What;
use serde_json::{Value, json};

fn cases(module: &str) -> Vec<Value> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("proto-fixtures/playbook").join(module).join("rules.json");
    serde_json::from_slice(&fs::read(file).unwrap()).unwrap()
}

#[test]
fn pg_hba_is_written_as_ansible_writes_it() {
    for case in cases("postgresql_pg_hba") {
        let mut arguments = case["args"].as_object().unwrap().clone();
        arguments.insert("dest".to_owned(), json!("DEST"));
        let Task::PostgresqlPgHba(arguments) = parse("postgresql_pg_hba", None, &arguments).unwrap() else { panic!() };
        let scene: edit::Scene =
            serde_json::from_value(json!({ "path": "DEST", "canonical": "DEST", "content": case["found"] })).unwrap();
        let name = &case["case"];
        let plan = match postgresql_pg_hba::plan(&arguments, &scene, Mode::Apply) {
            Ok(plan) => plan,
            Err(failed) => {
                assert_eq!(json!(failed.message), case["error"], "{name}");
                continue;
            }
        };
        let written = plan.actions.iter().find_map(|action| match action {
            Action::Write(write) => match &write.bytes {
                Bytes::Text(text) => Some(String::from_utf8(text.clone()).unwrap()),
                _ => None,
            },
            _ => None,
        });
        assert_eq!(case["error"], Value::Null, "{name}");
        assert_eq!(json!(written), case["content"], "{name}");
        for key in ["msgs", "pg_hba"] {
            assert_eq!(plan.values[key], case[key], "{name}: {key}");
        }
    }
}

#[test]
fn literals_and_identifiers_end_where_they_should() {
    assert_eq!(mysql::literal("a'b\\c\"\n\0"), r#"'a\'b\\c\"\n\0'"#);
    assert_eq!(mysql::identifier("a`b"), "`a``b`");
    assert_eq!(postgres::literal("a'b"), "'a''b'");
    assert_eq!(postgres::literal("a\\'b"), " E'a\\\\''b'");
    assert_eq!(postgres::identifier("a\"b"), "\"a\"\"b\"");
}

#[test]
fn what_servers_keep_of_passwords_is_recognised() {
    assert_eq!(mysql::native_hash("password"), "*2470C0C06DEE42FD1618BB99005ADCA2EC9D1E19");
    let scram = password::kept("pä'ss", "anna", Method::Scram);
    let md5 = password::kept("pä'ss", "anna", Method::Md5);
    for kept in [&scram, &md5] {
        assert!(
            password::is_kept(kept) && password::is_of(kept, "pä'ss", "anna") && password::is_of(kept, kept, "anna")
        );
        assert!(!password::is_of(kept, "pass", "anna"));
        assert_eq!(&password::kept(kept, "anna", Method::Md5), kept);
    }
    assert!(!password::is_of(&md5, "pä'ss", "otto"));
    assert!(!password::is_kept("md5") && !password::is_kept("SCRAM-SHA-256$1"));
    assert!(!password::is_of("SCRAM-SHA-256$4000000000:QUJD$QUJD:QUJD", "x", "anna"));
}

#[test]
fn a_statement_shows_nothing_that_it_hides() {
    let statement = Statement::new("SET PASSWORD = 'geheim'").hiding("geheim");
    assert_eq!(statement.to_string(), "SET PASSWORD = '********'");
    assert_eq!(format!("{statement:?}"), "`SET PASSWORD = '********'`");
}

#[test]
fn privileges_are_read_as_servers_and_people_write_them() {
    let lines = [
        "GRANT USAGE ON *.* TO `u`@`h` IDENTIFIED BY PASSWORD '*2470C0C06DEE42FD1618BB99005ADCA2EC9D1E19'",
        "GRANT ALL PRIVILEGES ON `db`.* TO `u`@`h` WITH GRANT OPTION",
        "GRANT SELECT (`b`, `a`), INSERT ON `db`.`t` TO `u`@`h`",
        "GRANT `role` TO `u`@`h`",
    ];
    let read = grants::read(lines.into_iter()).unwrap();
    let written =
        grants::written("*.*:USAGE/db.*:all,grant/db.t:SELECT (a, b),INSERT", Quotes::Usual, ColumnCase::Kept).unwrap();
    assert_eq!(read, written);
    assert_eq!(read["`db`.`t`"], ["SELECT (a, b)", "INSERT"]);
    let functions = grants::written("FUNCTION db.f:EXECUTE", Quotes::Ansi, ColumnCase::Upper).unwrap();
    assert_eq!(functions.into_keys().collect::<Vec<_>>(), ["FUNCTION \"db\".\"f\""]);
    assert_eq!(grants::read(["what"].into_iter()), Err("unable to parse the MySQL grant string: what".to_owned()));
    assert_eq!(
        grants::written("db.*", Quotes::Usual, ColumnCase::Upper),
        Err("invalid privileges string: db.*".to_owned())
    );
}

#[test]
fn accounts_get_to_where_they_should_be() {
    let account = json!({ "host": "localhost", "plugin": "mysql_native_password", "password": mysql::native_hash("x"),
                          "grants": { "*.*": ["USAGE"], "`db`.*": ["SELECT", "GRANT"] } });
    let user = |arguments: Value, accounts: Value| {
        let mut whole = json!({ "name": "u" });
        whole.as_object_mut().unwrap().extend(arguments.as_object().unwrap().clone());
        let Task::MysqlUser(arguments) = parse("mysql_user", None, whole.as_object().unwrap()).unwrap() else {
            panic!()
        };
        let scene = json!({ "version": "10.11.14-MariaDB", "sql_mode": "", "accounts": accounts });
        let scene: mysql_user::Scene = serde_json::from_value(scene).unwrap();
        let planned = mysql_user::plan(&arguments, &scene).map_err(|failed| failed.message);
        planned.map(|changes| {
            let statements = changes.iter().flat_map(|change| &change.statements);
            statements.map(|(statement, _)| statement.to_string()).collect::<Vec<_>>()
        })
    };
    let table = [
        (json!({ "password": "x" }), json!([account]), json!([])),
        (
            json!({ "password": "y" }),
            json!([account]),
            json!(["ALTER USER 'u'@'localhost' IDENTIFIED WITH mysql_native_password AS '********'"]),
        ),
        (json!({ "password": "y", "update_password": "on_create" }), json!([account]), json!([])),
        (
            json!({ "password": "y", "host": "%", "priv": "db.*:ALL" }),
            json!([]),
            json!([
                "CREATE USER 'u'@'%' IDENTIFIED WITH mysql_native_password AS '********'",
                "GRANT USAGE ON *.* TO 'u'@'%'",
                "GRANT ALL ON `db`.* TO 'u'@'%'"
            ]),
        ),
        (
            json!({ "priv": "other.*:INSERT" }),
            json!([account]),
            json!([
                "REVOKE GRANT OPTION ON `db`.* FROM 'u'@'localhost'",
                "REVOKE SELECT ON `db`.* FROM 'u'@'localhost'",
                "FLUSH PRIVILEGES",
                "GRANT INSERT ON `other`.* TO 'u'@'localhost'"
            ]),
        ),
        (json!({ "priv": "db.*:ALL,GRANT" }), json!([account]), json!(["GRANT ALL ON `db`.* TO 'u'@'localhost'"])),
        (
            json!({ "tls_requires": { "subject": "/CN=u" } }),
            json!([account]),
            json!(["ALTER USER 'u'@'localhost' REQUIRE SUBJECT '/CN=u'"]),
        ),
        (
            json!({ "state": "absent", "host_all": true }),
            json!([account, { "host": "%" }]),
            json!(["DROP USER IF EXISTS 'u'@'localhost'", "DROP USER IF EXISTS 'u'@'%'"]),
        ),
    ];
    for (arguments, accounts, expected) in table {
        assert_eq!(json!(user(arguments.clone(), accounts).unwrap()), expected, "{arguments}");
    }
    assert_eq!(
        user(json!({ "password": "y", "encrypted": true }), json!([account])).unwrap_err(),
        "encrypted was specified however it does not appear to be a valid hash expecting: *SHA1(SHA1(your_password))"
    );
    assert_eq!(
        user(json!({ "host_all": true }), json!([])).unwrap_err(),
        "host_all parameter cannot be used when adding a user"
    );
}

#[test]
fn roles_and_settings_get_to_where_they_should_be() {
    let role = |arguments: Value, found: Value| {
        let Task::PostgresqlUser(arguments) = parse("postgresql_user", None, arguments.as_object().unwrap()).unwrap()
        else {
            panic!()
        };
        let scene = json!({ "password_encryption": "scram-sha-256", "found": found });
        let steps = postgresql_user::plan(&arguments, &serde_json::from_value(scene).unwrap());
        steps.iter().map(|step| step.statement.to_string()).collect::<Vec<_>>()
    };
    let kept = password::kept("x", "u", Method::Scram);
    let found = json!({ "visible": true, "password": kept, "flags": { "LOGIN": true }, "conn_limit": -1,
                        "same_expiry": true });
    let table = [
        (json!({ "name": "u", "password": "x", "role_attr_flags": "LOGIN" }), vec![]),
        (json!({ "name": "u", "password": "y" }), vec!["ALTER USER \"u\" WITH ENCRYPTED PASSWORD '********' "]),
        (json!({ "name": "u", "password": "" }), vec!["ALTER USER \"u\" WITH PASSWORD NULL "]),
        (json!({ "name": "u", "password": "y", "no_password_changes": true }), vec![]),
        (json!({ "name": "u", "role_attr_flags": "nologin" }), vec!["ALTER USER \"u\" WITH NOLOGIN"]),
        (json!({ "name": "u", "comment": "it's" }), vec!["COMMENT ON ROLE \"u\" IS 'it''s'"]),
    ];
    for (arguments, expected) in table {
        assert_eq!(role(arguments.clone(), found.clone()), expected, "{arguments}");
    }
    let set = |arguments: Value, shown: &str| {
        let Task::PostgresqlSet(arguments) = parse("postgresql_set", None, arguments.as_object().unwrap()).unwrap()
        else {
            panic!()
        };
        let found = json!({ "shown": shown, "setting": "4096", "unit": "kB", "context": "user", "boot": "1024" });
        postgresql_set::plan(&arguments, &serde_json::from_value(found).unwrap())
    };
    let table = [
        (json!({ "name": "work_mem", "value": "4mb" }), Some("ALTER SYSTEM SET work_mem = '4MB'")),
        (json!({ "name": "listen_addresses", "value": "\"*\"" }), Some("ALTER SYSTEM SET listen_addresses = '\"*\"'")),
        (json!({ "name": "listen_addresses", "value": "a, b" }), Some("ALTER SYSTEM SET listen_addresses = 'a','b'")),
        (
            json!({ "name": "archive_command", "value": "a, 'b'" }),
            Some("ALTER SYSTEM SET archive_command = 'a, ''b'''"),
        ),
        (json!({ "name": "work_mem", "value": "default" }), Some("ALTER SYSTEM SET work_mem = DEFAULT")),
        (json!({ "name": "fsync", "value": true }), Some("ALTER SYSTEM SET fsync = 'on'")),
        (json!({ "name": "work_mem", "reset": true }), Some("ALTER SYSTEM SET work_mem = '1024'")),
        (json!({ "name": "shown", "value": "as it is" }), None),
    ];
    for (arguments, expected) in table {
        assert_eq!(set(arguments.clone(), "as it is").as_deref(), expected, "{arguments}");
    }
}

#[test]
fn what_the_modules_cannot_do_is_refused() {
    let table = [
        ("mysql_db", json!({ "name": "a", "target": "/x" }), "`mysql_db` has no parameter `target`"),
        (
            "mysql_db",
            json!({ "name": "a", "state": "import" }),
            "`mysql_db`: `state` is `import`, must be one of `absent`, `present`",
        ),
        ("mysql_db", json!({ "name": "all" }), "`mysql_db`: `name` is `all`, must be names of databases"),
        (
            "mysql_user",
            json!({ "name": "u", "append_privs": true, "subtract_privs": true }),
            "`mysql_user` cannot have `append_privs` and `subtract_privs` together",
        ),
        (
            "postgresql_user",
            json!({ "name": "u", "role_attr_flags": "LOGIN,FLY" }),
            "`postgresql_user`: `role_attr_flags` is `FLY`, must be flags such as SUPERUSER, CREATEROLE, CREATEDB, \
             INHERIT, LOGIN, REPLICATION, BYPASSRLS, each perhaps with `NO` in front",
        ),
        (
            "postgresql_db",
            json!({ "name": "a", "state": "restore" }),
            "`postgresql_db`: `state` is `restore`, must be one of `absent`, `present`, `rename`",
        ),
        ("postgresql_set", json!({ "name": "a" }), "`postgresql_set` needs `value or reset`"),
        (
            "postgresql_set",
            json!({ "name": "a = 1; DROP", "value": "x" }),
            "`postgresql_set`: `name` is `a = 1; DROP`, must be the name of a setting",
        ),
        (
            "postgresql_pg_hba",
            json!({ "dest": "/a", "rules": [], "users": "u" }),
            "`postgresql_pg_hba` cannot have `rules` and `users` together",
        ),
        (
            "postgresql_db",
            json!({ "name": "a", "ssl_mode": "verify-full" }),
            "`postgresql_db`: `ssl_mode` is `verify-full`, must be one of `allow`, `disable`, `prefer`",
        ),
    ];
    for (module, arguments, expected) in table {
        assert_eq!(parse(module, None, arguments.as_object().unwrap()).unwrap_err().to_string(), expected);
    }
}

#[test]
fn privileges_become_statements() {
    let table = [
        (
            json!({ "privs": "select,insert,select", "objs": "one,t\"wo", "grant_option": true }),
            "GRANT SELECT,INSERT ON table \"public\".\"one\",\"public\".\"t\"\"wo\" TO \"r\" WITH GRANT OPTION;",
        ),
        (
            json!({ "type": "group", "objs": "g", "grant_option": false }),
            "GRANT \"g\" TO \"r\";\nREVOKE ADMIN OPTION FOR \"g\" FROM \"r\";",
        ),
        (
            json!({ "type": "schema", "privs": "USAGE", "objs": "s", "state": "absent" }),
            "REVOKE USAGE ON schema \"s\" FROM \"r\";",
        ),
        (
            json!({ "type": "function", "privs": "ALL", "objs": "f(int:text)", "schema": "s" }),
            "GRANT ALL ON function \"s\".\"f\"(int,text) TO \"r\";",
        ),
        (
            json!({ "type": "sequence", "privs": "ALL", "objs": "ALL_IN_SCHEMA" }),
            "GRANT ALL ON ALL SEQUENCES IN SCHEMA \"public\" TO \"r\";",
        ),
        (
            json!({ "type": "foreign_server", "privs": "USAGE", "objs": "away" }),
            "GRANT USAGE ON foreign server \"away\" TO \"r\";",
        ),
        (
            json!({ "type": "default_privs", "privs": "SELECT", "objs": "tables,sequences", "target_roles": "a,b",
                    "usage_on_types": false }),
            "ALTER DEFAULT PRIVILEGES FOR ROLE \"a\",\"b\" IN SCHEMA \"public\" REVOKE ALL ON TABLES FROM \"r\";\n\
             ALTER DEFAULT PRIVILEGES FOR ROLE \"a\",\"b\" IN SCHEMA \"public\" REVOKE ALL ON SEQUENCES FROM \"r\";\n\
             ALTER DEFAULT PRIVILEGES FOR ROLE \"a\",\"b\" IN SCHEMA \"public\" GRANT SELECT ON TABLES TO \"r\";\n\
             ALTER DEFAULT PRIVILEGES FOR ROLE \"a\",\"b\" IN SCHEMA \"public\" GRANT SELECT ON SEQUENCES TO \"r\";",
        ),
        (
            json!({ "type": "default_privs", "privs": "USAGE", "objs": "schemas", "schema": "not-specified",
                    "grant_option": true }),
            "ALTER DEFAULT PRIVILEGES REVOKE ALL ON SCHEMAS FROM \"r\";\n\
             ALTER DEFAULT PRIVILEGES GRANT USAGE ON SCHEMAS TO \"r\" WITH GRANT OPTION;\n\
             ALTER DEFAULT PRIVILEGES GRANT USAGE ON TYPES TO \"r\" WITH GRANT OPTION;",
        ),
        (
            json!({ "type": "default_privs", "privs": "ALL", "objs": "TABLES", "schema": "s", "state": "absent" }),
            "ALTER DEFAULT PRIVILEGES IN SCHEMA \"s\" REVOKE ALL ON TABLES FROM \"r\";\n\
             ALTER DEFAULT PRIVILEGES IN SCHEMA \"s\" REVOKE ALL ON SEQUENCES FROM \"r\";\n\
             ALTER DEFAULT PRIVILEGES IN SCHEMA \"s\" REVOKE ALL ON TYPES FROM \"r\";",
        ),
    ];
    for (mut given, expected) in table {
        given.as_object_mut().unwrap().extend(json!({ "db": "d", "role": "r" }).as_object().unwrap().clone());
        let Task::PostgresqlPrivs(arguments) = parse("postgresql_privs", None, given.as_object().unwrap()).unwrap()
        else {
            panic!("another module")
        };
        let privs = statement::privileges(&arguments).unwrap();
        let objects = statement::objects(&arguments, &privs, arguments.objs.as_deref().unwrap()).unwrap();
        let schema = postgresql_privs::schema(&arguments).unwrap();
        let wanted = Wanted {
            arguments: &arguments,
            schema: schema.as_deref(),
            privs: &privs,
            objects: &objects,
            roles: "\"r\"",
        };
        assert_eq!(statement::statements(&wanted).unwrap(), expected);
    }
}

fn object(what: What, properties: &[(&'static str, &str)], password: Option<&str>) -> DatabaseObject {
    let properties = properties.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
    DatabaseObject { what, properties, password: password.map(Secret::new) }
}

fn state(properties: &[(&'static str, &str)]) -> State {
    let properties: BTreeMap<_, _> = properties.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
    State { properties, password: None, comparable: true }
}

#[test]
fn objects_of_deployments_become_statements() {
    let mariadb = About::Mysql(Version("10.5.15-MariaDB".to_owned()));
    let mysql_8 = About::Mysql(Version("8.0.36".to_owned()));
    let scram = About::Postgres(Method::Scram);
    let database = object(
        What::MysqlDatabase("a`b".to_owned()),
        &[("character set", "utf8mb4"), ("collation", "utf8mb4_bin")],
        None,
    );
    let user = object(What::MysqlUser("u".to_owned(), "%".to_owned()), &[("TLS", "NONE")], Some("it's"));
    let grant = |privileges: &str, gives: &str| {
        let what = What::MysqlGrant {
            user: "u".to_owned(),
            host: "%".to_owned(),
            database: "db".to_owned(),
            table: "*".to_owned(),
        };
        object(what, &[("privileges", privileges), ("may be given on", gives)], None)
    };
    let granted = |privileges: &str, gives: &str| state(&[("privileges", privileges), ("may be given on", gives)]);
    let role = object(
        What::PostgresRole("r".to_owned()),
        &[
            ("may log in", "yes"),
            ("superuser", "no"),
            ("inherits", "yes"),
            ("connection limit", "3"),
            ("may make databases", "no"),
            ("may make roles", "no"),
            ("replicates", "no"),
            ("sees all rows", "no"),
        ],
        Some("x"),
    );
    let postgres = object(
        What::PostgresDatabase("d".to_owned()),
        &[
            ("owner", "r"),
            ("template", "template0"),
            ("encoding", "UTF8"),
            ("LC_COLLATE", "C"),
            ("LC_CTYPE", "C"),
            ("connection limit", "-1"),
            ("lets accounts in", "yes"),
        ],
        None,
    );
    let table = [
        (&database, None, &mariadb, vec!["CREATE DATABASE `a``b` CHARACTER SET 'utf8mb4' COLLATE 'utf8mb4_bin'"]),
        (
            &database,
            Some(state(&[("character set", "latin1"), ("collation", "latin1_bin")])),
            &mariadb,
            vec!["ALTER DATABASE `a``b` CHARACTER SET 'utf8mb4' COLLATE 'utf8mb4_bin'"],
        ),
        (&user, None, &mariadb, vec!["CREATE USER 'u'@'%' IDENTIFIED BY PASSWORD '********' REQUIRE NONE"]),
        (&user, None, &mysql_8, vec!["CREATE USER 'u'@'%' IDENTIFIED BY '********' REQUIRE NONE"]),
        (
            &user,
            Some(State { password: Some(Secret::new(mysql::native_hash("it's"))), ..state(&[("TLS", "SSL")]) }),
            &mariadb,
            vec!["ALTER USER 'u'@'%' REQUIRE NONE"],
        ),
        (&grant("ALL", "no"), None, &mariadb, vec!["GRANT ALL ON `db`.* TO 'u'@'%'"]),
        (&grant("ALL", "no"), Some(granted("ALL", "no")), &mariadb, vec![]),
        (
            &grant("INSERT, SELECT", "no"),
            Some(granted("DELETE, SELECT", "yes")),
            &mariadb,
            vec![
                "REVOKE GRANT OPTION ON `db`.* FROM 'u'@'%'",
                "REVOKE DELETE ON `db`.* FROM 'u'@'%'",
                "GRANT INSERT ON `db`.* TO 'u'@'%'",
            ],
        ),
        (
            &grant("SELECT", "yes"),
            Some(granted("SELECT", "no")),
            &mariadb,
            vec!["GRANT USAGE ON `db`.* TO 'u'@'%' WITH GRANT OPTION"],
        ),
        (&role, None, &scram, vec!["CREATE ROLE \"r\" INHERIT LOGIN CONNECTION LIMIT 3 PASSWORD '********'"]),
        (
            &role,
            Some(State { comparable: false, ..state(&[("may log in", "no"), ("superuser", "yes")]) }),
            &scram,
            vec!["ALTER ROLE \"r\" NOSUPERUSER INHERIT LOGIN CONNECTION LIMIT 3"],
        ),
        (
            &postgres,
            None,
            &scram,
            vec![
                "CREATE DATABASE \"d\" OWNER \"r\" TEMPLATE \"template0\" ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE 'C' \
                 CONNECTION LIMIT -1 ALLOW_CONNECTIONS true",
            ],
        ),
        (
            &postgres,
            Some(state(&[("owner", "postgres"), ("connection limit", "1"), ("encoding", "UTF8")])),
            &scram,
            vec!["ALTER DATABASE \"d\" OWNER TO \"r\"", "ALTER DATABASE \"d\" CONNECTION LIMIT -1"],
        ),
    ];
    for (wanted, found, about, expected) in table {
        let made: Vec<String> = statements(wanted, found.as_ref(), about).iter().map(ToString::to_string).collect();
        assert_eq!(made, expected, "{wanted}");
    }
    let latin = state(&[("encoding", "LATIN1")]);
    assert_eq!(fixed(&postgres, &latin), Some(("encoding", "LATIN1".to_owned(), "UTF8".to_owned())));
    assert_eq!(fixed(&postgres, &state(&[("encoding", "utf-8")])), None);
}
