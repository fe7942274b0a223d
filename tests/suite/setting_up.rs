//! The modules that set a system up: tables of pure plans, and real runs below a temporary root.

use std::fs;

use ryo::module::{Mode, Task, authorized_key, group, parse, sysctl, system};
use serde_json::json;

use crate::module::{cases, once, read, root, run, task};

#[test]
fn sysctl_plans_as_the_table_says() {
    for (name, case) in cases("sysctl") {
        let Task::Sysctl(arguments) = task("sysctl", &case) else { panic!("{name}") };
        let scene: sysctl::Scene = read(&case["found"]);
        assert_eq!(sysctl::plan(&arguments, &scene), read(&case["actions"]), "{name}");
    }
}

#[test]
fn group_plans_as_the_table_says() {
    for (name, case) in cases("group") {
        let Task::Group(arguments) = task("group", &case) else { panic!("{name}") };
        let groups: Vec<system::Group> = read(&case["found"]);
        assert_eq!(json!(group::plan(&arguments, &groups)), case["actions"], "{name}");
    }
}

#[test]
fn authorized_key_plans_as_the_table_says() {
    for (name, case) in cases("authorized_key") {
        let Task::AuthorizedKey(arguments) = task("authorized_key", &case) else { panic!("{name}") };
        match authorized_key::plan(&arguments, case["found"].as_str().unwrap()) {
            Ok(after) => assert_eq!(json!(after), case["actions"], "{name}"),
            Err(failed) => assert_eq!(json!(failed.message), case["error"], "{name}"),
        }
    }
}

#[test]
fn what_sets_a_system_up_is_refused_with_a_word_about_it() {
    let table = [
        ("sysctl", json!({ "name": "a" }), "`sysctl` needs `value`"),
        ("group", json!({ "name": "a", "non_unique": true }), "`group` needs `gid (for `non_unique`)`"),
        (
            "authorized_key",
            json!({ "user": "a", "key": "https://keys.example/a" }),
            "`authorized_key`: `key` is `https://keys.example/a`, must be keys, not an address \
             (`lookup('file', …)` reads them from a file)",
        ),
        (
            "hostname",
            json!({ "name": "a", "use": "redhat" }),
            "`hostname`: `use` is `redhat`, must be one of `systemd`, `debian`, `alpine`",
        ),
    ];
    for (module, arguments, wanted) in table {
        let error = parse(module, None, arguments.as_object().unwrap()).unwrap_err();
        assert_eq!(error.to_string(), wanted);
    }
}

#[test]
fn keys_that_may_log_in_are_the_accounts_own() {
    use std::os::unix::fs::MetadataExt as _;
    let root = root();
    fs::create_dir(root.path().join("srv")).unwrap();
    let me = fs::metadata(root.path()).unwrap().uid();
    fs::write(root.path().join("etc/passwd"), format!("web:x:{me}:{me}::/srv:/bin/sh\n")).unwrap();
    let arguments = json!({ "user": "web", "key": "ssh-ed25519 AAAA one" });
    let outcome = once(
        root.path(),
        &parse("authorized_key", None, arguments.as_object().unwrap()).unwrap(),
        &ryo::module::Blobs::new(),
    );
    assert_eq!(outcome.values["keyfile"], json!("/srv/.ssh/authorized_keys"));
    let mode = |path: &str| fs::metadata(root.path().join(path)).unwrap().mode() & 0o777;
    assert_eq!((mode("srv/.ssh"), mode("srv/.ssh/authorized_keys")), (0o700, 0o600));
    let unknown = json!({ "user": "nobody", "key": "ssh-ed25519 AAAA one" });
    let task = parse("authorized_key", None, unknown.as_object().unwrap()).unwrap();
    let outcome = run(root.path(), &task, &ryo::module::Blobs::new(), Mode::Check);
    assert_eq!(
        outcome.failed.as_deref(),
        Some("Either user must exist or you must provide full path to key file in check mode")
    );
}
