//! The modules of databases against a real MariaDB and a real PostgreSQL, over their unix sockets.

use std::fs;

use ryo::module::{self, Context, Environment, Mode, Outcome, System, parse};
use ryo::sql::{Statement, Way, mysql, postgres};
use serde_json::{Map, Value, json};

use crate::support::databases::{self, Started};
use crate::support::stage::Stage;

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
            (
                "postgresql_privs",
                json!({ "db": "synapse", "type": "schema", "objs": "s", "privs": "USAGE", "role": "pg_monitor" }),
                vec![("queries", json!(["GRANT USAGE ON schema \"s\" TO \"pg_monitor\";"]))],
            ),
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
    let rule = json!({ "dest": file, "contype": "host", "address": "127.0.0.1/32", "method": "scram-sha-256" });
    let first = run_bare(&rule, Mode::Apply);
    assert_eq!((first.failed, first.changed), (None, true));
    assert!(!run_bare(&rule, Mode::Apply).changed);
    let reload = run(server, "postgresql_query", &json!({ "query": "SELECT pg_reload_conf()" }), Mode::Apply);
    assert_eq!(reload.failed, None);
}

fn run_bare(arguments: &Value, mode: Mode) -> Outcome {
    let task = parse("postgresql_pg_hba", None, arguments.as_object().unwrap()).unwrap();
    let content = |_: &module::copy::Content, _: &mut dyn std::io::Write| panic!("no content is wanted");
    let system = System::whole();
    module::run(&task, &Context { system: &system, environment: &Environment::new(), content: &content }, mode)
}

const OBJECTS: &str = r#"
provider "mysql" {
  endpoint = "127.0.0.1:MYSQL"
  username = "terraform"
  password = "t3rraform"
}
provider "postgresql" {
  host     = "127.0.0.1"
  port     = POSTGRES
  password = "unused"
  sslmode  = "disable"
}
resource "mysql_database" "gitea" {
  name              = "gitea"
  default_collation = "utf8mb4_unicode_ci"
}
resource "mysql_user" "gitea" {
  depends_on         = [mysql_database.gitea]
  for_each           = toset(["localhost", "10.10.1.%"])
  user               = "gitea-db-user"
  host               = each.key
  plaintext_password = "it's g1tea"
}
resource "mysql_grant" "gitea" {
  depends_on = [mysql_user.gitea]
  for_each   = toset(["localhost", "10.10.1.%"])
  user       = "gitea-db-user"
  host       = each.key
  database   = "gitea"
  privileges = ["ALL"]
}
resource "postgresql_role" "synapse" {
  name     = "synapse_user"
  login    = true
  password = "syn4pse"
}
resource "postgresql_database" "synapse" {
  name  = "synapse"
  owner = postgresql_role.synapse.name
}
"#;

/// The titles of the steps of a plan that are about databases.
fn about_databases(plan: &ryo::plan::Plan) -> Vec<String> {
    let steps = plan.steps.iter().filter(|step| matches!(step.action.kind(), "database" | "own_databases"));
    steps.map(ToString::to_string).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deployment_makes_changes_and_keeps_databases() {
    let (mariadb, postgres_server) = (databases::mariadb(), databases::postgres());
    let mut root = mysql::connect(&mariadb.over_socket("root", None)).await.unwrap();
    let stage = Stage::new();
    let file = stage.path("work/ryo-tiny/project-deployment/05-databases.tf");
    let text = OBJECTS.replace("MYSQL", &mariadb.port.to_string());
    let text = text.replace("POSTGRES", &postgres_server.port.to_string());
    fs::write(&file, &text).unwrap();
    // The account is not there yet, as before its module is deployed.
    let plan = stage.plan().await;
    assert_eq!(
        about_databases(&plan),
        [
            "ryo-tiny: make MySQL database gitea, unless it is so already",
            "ryo-tiny: make MySQL user gitea-db-user@10.10.1.%, unless it is so already",
            "ryo-tiny: make MySQL user gitea-db-user@localhost, unless it is so already",
            "ryo-tiny: grant ALL on gitea.* to MySQL user gitea-db-user@10.10.1.%, unless it is so already",
            "ryo-tiny: grant ALL on gitea.* to MySQL user gitea-db-user@localhost, unless it is so already",
            "ryo-tiny: make PostgreSQL role synapse_user",
            "ryo-tiny: make PostgreSQL database synapse",
            "ryo-tiny: note what on database servers is its own",
        ]
    );
    assert!(plan.text().contains(&format!(
        "not looked at yet: MySQL at 127.0.0.1:{} refused terraform: Access denied for user 'terraform'@'localhost' \
         (using password: YES)\n",
        mariadb.port
    )));
    for statement in [
        "CREATE USER 'terraform'@'localhost' IDENTIFIED BY 't3rraform'",
        "GRANT ALL ON *.* TO 'terraform'@'localhost' WITH GRANT OPTION",
    ] {
        root.run(statement).await.unwrap();
    }
    stage.deploys().await;
    assert_eq!(stage.plan().await.text(), "deploy ryo-tiny 1 on local: nothing to do\n");

    // Whoever was let in can work there.
    let mut gitea = mysql::connect(&mariadb.over_tcp("gitea-db-user", "it's g1tea", Some("gitea"))).await.unwrap();
    gitea.run("CREATE TABLE kept (id INT)").await.unwrap();
    let synapse = postgres_server.over_tcp("synapse_user", "syn4pse", Some("synapse"));
    postgres::connect(&synapse).await.unwrap().run("CREATE TABLE kept (id INT)").await.unwrap();

    // What somebody has changed is set right again.
    let admin = postgres::connect(&postgres_server.over_socket("postgres", Some("postgres"))).await.unwrap();
    root.run("ALTER USER 'gitea-db-user'@'localhost' IDENTIFIED BY 'other'").await.unwrap();
    root.run("REVOKE DROP ON gitea.* FROM 'gitea-db-user'@'localhost'").await.unwrap();
    admin.run("ALTER ROLE synapse_user PASSWORD 'other' CREATEDB").await.unwrap();
    admin.run("ALTER DATABASE synapse OWNER TO postgres").await.unwrap();
    let plan = stage.plan().await;
    let details: Vec<String> = plan.steps.iter().flat_map(|step| step.action.details()).collect();
    assert_eq!(
        about_databases(&plan),
        [
            "ryo-tiny: change MySQL user gitea-db-user@localhost",
            "ryo-tiny: change privileges of MySQL user gitea-db-user@localhost on gitea.*",
            "ryo-tiny: change PostgreSQL role synapse_user",
            "ryo-tiny: change PostgreSQL database synapse",
        ]
    );
    assert_eq!((details[0].as_str(), details[2].as_str()), ("password", "may make databases: yes → no"));
    assert_eq!((details[3].as_str(), details[4].as_str()), ("password", "owner: postgres → synapse_user"));
    stage.deploys().await;
    assert!(stage.plan().await.steps.is_empty());

    // What no file names any longer stays.
    fs::remove_file(&file).unwrap();
    let plan = stage.plan().await;
    assert_eq!(about_databases(&plan), ["ryo-tiny: note what on database servers is its own"]);
    stage.deploys().await;
    assert!(stage.plan().await.steps.is_empty());
    assert_eq!(gitea.run("SELECT COUNT(*) FROM kept").await.unwrap().value(), Some("0"));
    let kept = admin.run("SELECT datname FROM pg_database WHERE datname = 'synapse'").await.unwrap();
    assert_eq!(kept.value(), Some("synapse"));

    // What cannot be changed is no reason to lose it.
    fs::write(&file, text.replace("name  = \"synapse\"", "name  = \"synapse\"\n  encoding = \"LATIN1\"")).unwrap();
    let refused = stage.fails().await;
    assert_eq!(
        refused.text,
        "error: PostgreSQL database synapse has the encoding UTF8, not LATIN1, which cannot be changed\n\
         hint: write into the files what it is, or copy it into a new database, exchange the two by hand and deploy \
         again\n"
    );
}

#[tokio::test]
async fn a_server_behind_a_tunnel_is_reached_and_the_better_way_is_found() {
    let server = databases::mariadb();
    let port = server.port;
    let tunnel: ryo::sql::Dial = std::sync::Arc::new(move || {
        Box::pin(async move {
            let stream = tokio::net::TcpStream::connect(("127.0.0.1", port)).await?;
            Ok(Box::new(stream) as Box<dyn ryo::http::Stream>)
        })
    });
    let mut through = server.over_tcp("root", "", None);
    through.ways = vec![Way::Tcp("127.0.0.1".to_owned(), 1), Way::Stream(tunnel)];
    let mut client = mysql::connect(&through).await.unwrap();
    assert_eq!(client.run("SELECT 6 * 7 AS answer").await.unwrap().maps(), [json!({ "answer": 42 })]);
    let refused = client.run(Statement::new("CREATE USER x IDENTIFIED BY PASSWORD 'geheim'").hiding("geheim")).await;
    let refused = refused.unwrap_err();
    assert!(!format!("{refused} {refused:?}").contains("geheim"), "{refused:?}");
    assert!(refused.to_string().contains("`CREATE USER x IDENTIFIED BY PASSWORD '********'`"), "{refused}");
    client.close().await;
    through.ways.truncate(1);
    let unreachable = mysql::connect(&through).await.err().unwrap();
    assert_eq!(unreachable.to_string(), "cannot reach the server");
}
