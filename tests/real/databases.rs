//! The modules of databases against a real MariaDB and a real PostgreSQL, over their unix sockets.

use std::fs;

use ryo::module::{self, Context, Environment, Mode, Outcome, System, parse};
use ryo::sql::{mysql, postgres};
use serde_json::{Map, Value, json};

use crate::support::databases::{self, Started};

/// Carries a task out with the login of `server`.
fn run(server: &Started, name: &str, arguments: &Value, mode: Mode) -> Outcome {
    let mut arguments: Map<String, Value> = arguments.as_object().unwrap().clone();
    let login = if name.contains("mysql") {
        json!({ "login_user": "root", "login_password": "", "login_unix_socket": server.socket,
                "config_file": server.directory().join("none") })
    } else {
        json!({ "login_unix_socket": server.directory(), "port": server.port })
    };
    for (name, value) in login.as_object().unwrap() {
        arguments.entry(name).or_insert(value.clone());
    }
    let task = parse(name, None, &arguments).unwrap_or_else(|error| panic!("{name} {arguments:?}: {error}"));
    let content = |_: &module::copy::Content, _: &mut dyn std::io::Write| panic!("no content is wanted");
    let system = System::whole();
    module::run(&task, &Context { system: &system, environment: &Environment::new(), content: &content }, mode)
}

/// What a case expects of a task: a key of its result and its value.
type Expected = Vec<(&'static str, Value)>;

/// Carries tasks out in turn: check mode foretells each change, and a second run changes nothing.
fn in_turn(server: &Started, cases: Vec<(&str, Value, Expected)>) {
    for (name, arguments, expected) in cases {
        let said = format!("{name} {arguments}");
        let checked = run(server, name, &arguments, Mode::Check);
        assert!(checked.failed.is_none() && (checked.changed || checked.skipped), "{said}: {checked:?}");
        let first = run(server, name, &arguments, Mode::Apply);
        assert_eq!((&first.failed, first.changed), (&None, true), "{said}: {first:?}");
        for (key, value) in expected {
            assert_eq!(first.values.get(key), Some(&value), "{said}: {key}");
        }
        let second = run(server, name, &arguments, Mode::Apply);
        assert_eq!((second.failed, second.changed), (None, false), "{said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn mysql_modules_act_once_and_do_what_check_mode_said() {
    let server = databases::mariadb();
    let server = tokio::task::spawn_blocking(move || {
        mysql_tasks(&server);
        server
    });
    let server = server.await.unwrap();
    let mut client = mysql::connect(&server.over_tcp("it's", "pass'word\\", Some("gitea"))).await.unwrap();
    assert_eq!(client.run("SELECT CURRENT_USER()").await.unwrap().value(), Some("it's@%"));
    let grants = client.run("SHOW GRANTS").await.unwrap();
    let grants: Vec<&str> = grants.firsts().collect();
    assert_eq!(grants[1], "GRANT ALL PRIVILEGES ON `gitea`.* TO `it's`@`%`");
    client.close().await;
    let refused = mysql::connect(&server.over_tcp("it's", "other", None)).await.err().unwrap();
    assert_eq!(
        refused.to_string(),
        "the server refused it's: Access denied for user 'it's'@'localhost' (using password: YES)"
    );
}

fn mysql_tasks(server: &Started) {
    let user = |more: Value| {
        let mut user = json!({ "name": "it's", "host": "%", "column_case_sensitive": true });
        user.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        user
    };
    in_turn(
        server,
        vec![
            (
                "community.mysql.mysql_db",
                json!({ "name": "gitea", "encoding": "utf8mb4", "collation": "utf8mb4_unicode_ci" }),
                vec![(
                    "executed_commands",
                    json!(["CREATE DATABASE `gitea` CHARACTER SET 'utf8mb4' COLLATE 'utf8mb4_unicode_ci'"]),
                )],
            ),
            (
                "mysql_db",
                json!({ "name": ["a-b", "c`d"] }),
                vec![
                    ("db", json!("a-b c`d")),
                    ("executed_commands", json!(["CREATE DATABASE `a-b`", "CREATE DATABASE `c``d`"])),
                ],
            ),
            ("mysql_db", json!({ "name": "a-b,c`d", "state": "absent" }), vec![]),
            (
                "mysql_user",
                json!({ "name": "", "host": "localhost", "state": "absent" }),
                vec![("msg", json!("User deleted"))],
            ),
            (
                "mysql_user",
                json!({ "name": "terraform", "host": "10.0.1.%", "password": "secret", "priv": "*.*:ALL,GRANT" }),
                vec![("msg", json!("User added")), ("password_changed", json!(true)), ("user", json!("terraform"))],
            ),
            (
                "mysql_user",
                json!({ "name": "terraform", "host": "10.0.1.%", "password": "other" }),
                vec![("msg", json!("Password updated (new style)")), ("password_changed", json!(true))],
            ),
            ("mysql_user", user(json!({ "password": "pass'word\\", "priv": "gitea.*:SELECT,INSERT" })), vec![]),
            (
                "mysql_user",
                user(json!({ "priv": "gitea.*:UPDATE", "append_privs": true })),
                vec![("msg", json!("Privileges updated: granted ['UPDATE'], revoked []"))],
            ),
            (
                "mysql_user",
                user(json!({ "priv": { "gitea.*": "INSERT" }, "subtract_privs": true })),
                vec![("msg", json!("Privileges updated: granted [], revoked ['INSERT']"))],
            ),
            (
                "mysql_user",
                user(json!({ "priv": "gitea.*:DELETE,GRANT" })),
                vec![("msg", json!("Privileges updated: granted ['DELETE', 'GRANT'], revoked ['SELECT', 'UPDATE']"))],
            ),
            ("mysql_user", user(json!({ "priv": "mysql.user:SELECT (Host, User)" })), vec![]),
            (
                "mysql_user",
                user(json!({ "tls_requires": { "SSL": null } })),
                vec![("msg", json!("TLS requires updated"))],
            ),
            ("mysql_user", user(json!({})), vec![("msg", json!("TLS requires updated"))]),
            ("mysql_user", user(json!({ "priv": "gitea.*:ALL" })), vec![]),
            ("mysql_user", json!({ "name": "plugged", "plugin": "unix_socket" }), vec![("msg", json!("User added"))]),
            (
                "mysql_user",
                json!({ "name": "hashed", "password": "*2470C0C06DEE42FD1618BB99005ADCA2EC9D1E19", "encrypted": true }),
                vec![],
            ),
            ("mysql_user", json!({ "name": "hashed", "host_all": true, "state": "absent" }), vec![]),
            (
                "mysql_variables",
                json!({ "variable": "max_connections", "value": "77" }),
                vec![
                    ("msg", json!("Variable change succeeded prev_value=151")),
                    ("queries", json!(["SET GLOBAL `max_connections` = 77"])),
                ],
            ),
        ],
    );
    let query = run(
        server,
        "mysql_query",
        &json!({ "login_db": "gitea", "query": [
            "CREATE TABLE t (id INT, name VARCHAR(9), at DATE)", "INSERT INTO t VALUES (%s, %s, %s), (2, NULL, NULL)",
            "SELECT * FROM t ORDER BY id" ], "positional_args": [] }),
        Mode::Apply,
    );
    assert_eq!(query.failed.as_deref().map(|text| text.contains("1064")), Some(true), "{query:?}");
    let query = run(
        server,
        "mysql_query",
        &json!({ "login_db": "gitea", "query": "INSERT INTO t VALUES (%(id)s, %(name)s, %(at)s), (2, NULL, NULL)",
                 "named_args": { "id": 1, "name": "a'b", "at": "2026-11-24" } }),
        Mode::Apply,
    );
    assert_eq!((query.failed.as_deref(), query.changed, &query.values["rowcount"]), (None, true, &json!([2])));
    let query = run(server, "mysql_query", &json!({ "login_db": "gitea", "query": "SELECT * FROM t" }), Mode::Apply);
    assert_eq!(
        (query.changed, &query.values["query_result"]),
        (false, &json!([[{ "id": 1, "name": "a'b", "at": "2026-11-24" }, { "id": 2, "name": null, "at": null }]]))
    );
    let failed = run(
        server,
        "mysql_user",
        &json!({ "name": "x", "login_user": "nobody", "login_password": "s3cret" }),
        Mode::Apply,
    );
    let file = server.directory().join("none");
    assert_eq!(
        failed.failed.unwrap(),
        format!(
            "unable to connect to database, check login_user and login_password are correct or {} has the credentials. \
             Exception message: (1045, \"Access denied for user 'nobody'@'localhost' (using password: YES)\")",
            file.display()
        )
    );
    fs::write(&file, format!("[client]\nuser = root\nsocket={}\n", server.socket)).unwrap();
    let from_file = json!({ "name": "gitea", "login_user": null, "login_password": null, "login_unix_socket": null,
                            "config_file": file });
    let outcome = run(server, "mysql_db", &from_file, Mode::Apply);
    assert_eq!((outcome.failed, outcome.changed), (None, false));
}

#[tokio::test(flavor = "multi_thread")]
async fn postgresql_modules_act_once_and_do_what_check_mode_said() {
    let server = databases::postgres();
    let server = tokio::task::spawn_blocking(move || {
        postgresql_tasks(&server);
        server
    });
    let server = server.await.unwrap();
    // New connections are let in by the old rules until the server has read the file.
    for _ in 0..200 {
        match postgres::connect(&server.over_tcp("syn\"apse", "other", Some("synapse"))).await {
            Ok(_) => tokio::time::sleep(std::time::Duration::from_millis(50)).await,
            Err(_) => break,
        }
    }
    let client = postgres::connect(&server.over_tcp("syn\"apse", "pass'word\\ä", Some("synapse"))).await.unwrap();
    assert_eq!(client.run("SELECT current_user").await.unwrap().value(), Some("syn\"apse"));
    let refused = postgres::connect(&server.over_tcp("syn\"apse", "other", Some("synapse"))).await.err().unwrap();
    assert_eq!(
        refused.to_string(),
        "the server refused syn\"apse: FATAL:  password authentication failed for user \"syn\"apse\""
    );
}

fn postgresql_tasks(server: &Started) {
    let role = |more: Value| {
        let mut role = json!({ "name": "syn\"apse" });
        role.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        role
    };
    in_turn(
        server,
        vec![
            (
                "community.postgresql.postgresql_user",
                role(json!({ "password": "first", "role_attr_flags": "LOGIN,createdb" })),
                vec![(
                    "queries",
                    json!(["CREATE USER \"syn\"\"apse\" WITH ENCRYPTED PASSWORD %(password)s LOGIN CREATEDB"]),
                )],
            ),
            (
                "postgresql_user",
                role(json!({ "password": "pass'word\\ä" })),
                vec![("queries", json!(["ALTER USER \"syn\"\"apse\" WITH ENCRYPTED PASSWORD %(password)s "]))],
            ),
            ("postgresql_user", role(json!({ "role_attr_flags": "NOCREATEDB" })), vec![]),
            ("postgresql_user", role(json!({ "conn_limit": 7, "expires": "2030-01-01", "comment": "it's" })), vec![]),
            ("postgresql_user", role(json!({ "password": "md5a3556571e93b0d20722ba62be61e8c2d" })), vec![]),
            ("postgresql_user", role(json!({ "password": "" })), vec![]),
            ("postgresql_user", role(json!({ "password": "pass'word\\ä", "expires": "infinity" })), vec![]),
            (
                "postgresql_db",
                json!({ "name": "synapse", "owner": "syn\"apse", "template": "template0", "encoding": "UTF-8",
                        "lc_collate": "C", "lc_ctype": "C" }),
                vec![(
                    "executed_commands",
                    json!([
                        "CREATE DATABASE \"synapse\" OWNER \"syn\"\"apse\" TEMPLATE \"template0\" ENCODING 'UTF-8' \
                            LC_COLLATE 'C' LC_CTYPE 'C'"
                    ]),
                )],
            ),
            ("postgresql_db", json!({ "name": "synapse", "owner": "postgres", "conn_limit": "5" }), vec![]),
            ("postgresql_db", json!({ "name": "synapse", "state": "rename", "target": "other" }), vec![]),
            ("postgresql_db", json!({ "name": "other", "state": "rename", "target": "synapse" }), vec![]),
            ("postgresql_schema", json!({ "name": "s", "db": "synapse", "owner": "syn\"apse" }), vec![]),
            ("postgresql_schema", json!({ "name": "s", "db": "synapse", "state": "absent" }), vec![]),
            ("postgresql_ext", json!({ "name": "plpgsql", "db": "synapse", "state": "absent" }), vec![]),
            ("postgresql_ext", json!({ "name": "plpgsql", "db": "synapse" }), vec![]),
            (
                "postgresql_set",
                json!({ "name": "work_mem", "value": "8mb" }),
                vec![
                    ("prev_val_pretty", json!("4MB")),
                    ("value_pretty", json!("8MB")),
                    ("value", json!({ "value": 8_388_608, "unit": "b" })),
                    ("restart_required", json!(false)),
                ],
            ),
            ("postgresql_set", json!({ "name": "work_mem", "reset": true }), vec![("value_pretty", json!("4MB"))]),
            ("postgresql_user", json!({ "name": "nobody" }), vec![("queries", json!(["CREATE USER \"nobody\" "]))]),
            ("postgresql_user", json!({ "name": "nobody", "state": "absent" }), vec![("user_removed", json!(true))]),
        ],
    );
    let restart = run(server, "postgresql_set", &json!({ "name": "listen_addresses", "value": "\"*\"" }), Mode::Apply);
    assert_eq!(
        (restart.failed.as_deref(), restart.changed, &restart.values["restart_required"]),
        (None, true, &json!(true))
    );
    assert_eq!(restart.warnings, ["Restart of PostgreSQL is required for setting listen_addresses"]);
    let auto = fs::read_to_string(server.directory().join("data/postgresql.auto.conf")).unwrap();
    assert!(auto.contains("listen_addresses = '\"*\"'"), "{auto}");
    let query = run(
        server,
        "postgresql_query",
        &json!({ "db": "synapse", "query": [
            "CREATE TABLE t (id int, name text, fine bool)", "INSERT INTO t VALUES (1, 'a''b', true), (2, NULL, NULL)",
            "SELECT * FROM t ORDER BY id" ] }),
        Mode::Apply,
    );
    assert_eq!(query.failed, None);
    assert_eq!(
        (&query.values["query_result"], &query.values["rowcount"], &query.values["statusmessage"]),
        (
            &json!([{ "id": 1, "name": "a'b", "fine": true }, { "id": 2, "name": null, "fine": null }]),
            &json!(4),
            &json!("SELECT 2")
        )
    );
    let failed = run(server, "postgresql_db", &json!({ "name": "synapse", "lc_collate": "POSIX" }), Mode::Apply);
    assert_eq!(failed.failed.unwrap(), "Changing LC_COLLATE is not supported. Current LC_COLLATE: C");
    let nowhere = json!({ "name": "x", "login_unix_socket": "/nowhere", "port": 1 });
    let failed = run(server, "postgresql_db", &nowhere, Mode::Apply);
    assert_eq!(
        failed.failed.unwrap(),
        "unable to connect to database: connection to server on socket \"/nowhere/.s.PGSQL.1\" failed: No such file or \
         directory"
    );
    passwords_are_asked_for(server);
}

/// From now on accounts need a password over TCP; the file is read again by the server.
fn passwords_are_asked_for(server: &Started) {
    let file = server.directory().join("data/pg_hba.conf");
    for (address, method) in [("127.0.0.1/32", "scram-sha-256")] {
        let rule = json!({ "dest": file, "contype": "host", "address": address, "method": method });
        let bare = |mode| run_bare(&rule, mode);
        let first = bare(Mode::Apply);
        assert_eq!((first.failed, first.changed), (None, true));
        assert!(!bare(Mode::Apply).changed);
    }
    let reload = run(server, "postgresql_query", &json!({ "query": "SELECT pg_reload_conf()" }), Mode::Apply);
    assert_eq!(reload.failed, None);
}

fn run_bare(arguments: &Value, mode: Mode) -> Outcome {
    let task = parse("postgresql_pg_hba", None, arguments.as_object().unwrap()).unwrap();
    let content = |_: &module::copy::Content, _: &mut dyn std::io::Write| panic!("no content is wanted");
    let system = System::whole();
    module::run(&task, &Context { system: &system, environment: &Environment::new(), content: &content }, mode)
}
