//! The Ansible modules: tables of pure plans, and real runs below a temporary root.

use std::fs;
use std::io::Write;
use std::path::Path;

use ryo::module::action::Action;
use ryo::module::attributes::{self, What};
use ryo::module::pattern::Pattern;
use ryo::module::{self, Blobs, Context, Environment, Failed, Mode, Outcome, System, Task, parse};
use ryo::module::{apt, blockinfile, copy, cron, edit, file, lineinfile, program, systemd, user};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// Every case of every table of a module: its name and the case.
pub fn cases(module: &str) -> Vec<(String, Value)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("proto-fixtures/playbook").join(module);
    let mut cases = vec![];
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let table: Vec<Value> = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        let table = table.into_iter().map(|case| (format!("{}: {}", path.display(), case["case"]), case));
        cases.extend(table);
    }
    assert!(!cases.is_empty(), "no table for {module}");
    cases
}

pub fn read<T: DeserializeOwned>(value: &Value) -> T {
    serde_json::from_value(value.clone()).unwrap_or_else(|error| panic!("{error} in {value}"))
}

pub fn task(module: &str, case: &Value) -> Task {
    parse(module, case["line"].as_str(), case["args"].as_object().unwrap()).unwrap()
}

/// Compares what was planned with the case's `actions`, or why it was not with its `error`.
fn agree(name: &str, case: &Value, planned: Result<Vec<Action>, Failed>) {
    match (planned, &case["error"]) {
        (Ok(actions), Value::Null) => assert_eq!(actions, read::<Vec<Action>>(&case["actions"]), "{name}"),
        (Err(failed), error) => assert_eq!(json!(failed.message), *error, "{name}"),
        (Ok(actions), error) => panic!("{name}: planned {actions:?}, not {error}"),
    }
}

#[test]
fn file_plans_as_the_table_says() {
    for (name, case) in cases("file") {
        let Task::File(arguments) = task("file", &case) else { panic!("{name}") };
        let scene: file::Scene = read(&case["found"]);
        agree(&name, &case, file::plan(&arguments, &scene).map(|plan| plan.actions));
    }
}

#[test]
fn copy_plans_as_the_table_says() {
    for (name, case) in cases("copy") {
        let Task::Copy(arguments) = task("copy", &case) else { panic!("{name}") };
        let (scene, wanted): (copy::Scene, copy::File) = (read(&case["found"]), read(&case["file"]));
        agree(&name, &case, Ok(copy::plan(&arguments, &scene, &wanted).actions));
    }
}

#[test]
fn lineinfile_plans_as_the_table_says() {
    for (name, case) in cases("lineinfile") {
        let Task::Lineinfile(arguments) = task("lineinfile", &case) else { panic!("{name}") };
        let scene: edit::Scene = read(&case["found"]);
        agree(&name, &case, lineinfile::plan(&arguments, &scene).map(|plan| plan.actions));
    }
}

#[test]
fn blockinfile_plans_as_the_table_says() {
    for (name, case) in cases("blockinfile") {
        let Task::Blockinfile(arguments) = task("blockinfile", &case) else { panic!("{name}") };
        let scene: edit::Scene = read(&case["found"]);
        agree(&name, &case, blockinfile::plan(&arguments, &scene).map(|plan| plan.actions));
    }
}

#[test]
fn apt_plans_as_the_table_says() {
    for (name, case) in cases("apt") {
        let Task::Apt(arguments) = task("apt", &case) else { panic!("{name}") };
        let known = apt::packages(case["found"].as_str().unwrap());
        assert_eq!(apt::plan(&arguments, &known), read(&case["actions"]), "{name}");
    }
}

#[test]
fn systemd_plans_as_the_table_says() {
    for (name, case) in cases("service") {
        let Task::Systemd(arguments) = task("systemd", &case) else { panic!("{name}") };
        let scene: systemd::Scene = read(&case["found"]);
        match systemd::plan(&arguments, &scene) {
            Ok(verbs) => assert_eq!(json!(verbs), case["actions"], "{name}"),
            Err(failed) => assert_eq!(json!(failed.message), case["error"], "{name}"),
        }
    }
}

#[test]
fn user_plans_as_the_table_says() {
    for (name, case) in cases("user") {
        let Task::User(arguments) = task("user", &case) else { panic!("{name}") };
        let scene: user::Scene = read(&case["found"]);
        match user::plan(&arguments, &scene) {
            Ok(steps) => assert_eq!(json!(steps), case["actions"], "{name}"),
            Err(failed) => assert_eq!(json!(failed.message), case["error"], "{name}"),
        }
    }
}

#[test]
fn cron_plans_as_the_table_says() {
    for (name, case) in cases("cron") {
        let Task::Cron(arguments) = task("cron", &case) else { panic!("{name}") };
        match cron::plan(&arguments, case["found"].as_str().unwrap()) {
            Ok(after) => assert_eq!(json!(after), case["actions"], "{name}"),
            Err(failed) => assert_eq!(json!(failed.message), case["error"], "{name}"),
        }
    }
}

#[test]
fn what_cannot_be_meant_is_refused_with_a_word_about_it() {
    let table = [
        ("copi", json!({}), "there is no module `copi`, did you mean `copy`?"),
        ("file", json!({ "pth": "/a" }), "`file` has no parameter `pth`, did you mean `path`?"),
        ("file", json!({ "state": "touch" }), "`file` needs `path`"),
        ("file", json!({ "path": "/a", "dest": "/b" }), "`file` is given `path` twice, under two names"),
        (
            "file",
            json!({ "path": "/a", "state": "gone" }),
            "`file`: `state` is `gone`, must be one of `absent`, `directory`, `file`, `hard`, `link`, `touch`",
        ),
        (
            "file",
            json!({ "path": "/a", "mode": "u=q" }),
            "`file`: `mode` is `u=q`, must be permission bits, e.g. `0644` or `u=rw,g=r`",
        ),
        ("file", json!({ "path": "/a", "recurse": "perhaps" }), "`file`: `recurse` is `perhaps`, must be yes or no"),
        ("copy", json!({ "dest": "/a" }), "`copy` needs `src or content`"),
        (
            "copy",
            json!({ "dest": "/a", "src": "a", "content": "b" }),
            "`copy` cannot have `src` and `content` together",
        ),
        (
            "lineinfile",
            json!({ "path": "/a", "line": "x", "insertafter": "a", "insertbefore": "b" }),
            "`lineinfile` cannot have `insertbefore` and `insertafter` together",
        ),
        ("apt", json!({ "state": "present" }), "`apt` needs `name, deb, upgrade or update_cache`"),
        ("user", json!({ "name": "a", "uid": "one" }), "`user`: `uid` is `one`, must be a whole number"),
        ("shell", json!({}), "`shell` needs `cmd`"),
        ("service", json!({ "name": "a" }), "`service` needs `state or enabled`"),
        ("cron", json!({ "name": "a" }), "`cron` needs `job`"),
    ];
    for (module, arguments, wanted) in table {
        let error = parse(module, None, arguments.as_object().unwrap()).unwrap_err();
        assert_eq!(error.to_string(), wanted);
    }
    let error = parse("stat", Some("/a"), &serde_json::Map::from_iter([("path".into(), json!("/a"))])).unwrap_err();
    assert_eq!(error.to_string(), "`stat` takes parameters, not a line of text");
}

#[test]
fn values_are_coerced_as_ansible_coerces_them() {
    let arguments =
        json!({ "name": "a,b", "update_cache": "yes", "upgrade": null, "state": "latest", "lock_timeout": "5" });
    let Task::Apt(task) = parse("ansible.builtin.apt", None, arguments.as_object().unwrap()).unwrap() else {
        panic!("apt is apt")
    };
    assert_eq!((task.name, task.update_cache, task.lock_timeout), (vec!["a".into(), "b".into()], Some(true), 5));
    let arguments = json!({ "upgrade": true });
    let Task::Apt(task) = parse("apt", None, arguments.as_object().unwrap()).unwrap() else { panic!("apt is apt") };
    assert_eq!(task.upgrade, apt::Upgrade::Yes);
    let arguments = json!({ "dest": "/a", "content": { "a": [1, "ä"] }, "mode": 493 });
    let Task::Copy(task) = parse("copy", None, arguments.as_object().unwrap()).unwrap() else { panic!("copy is copy") };
    assert_eq!(task.content.as_deref(), Some(r#"{"a": [1, "\u00e4"]}"#));
    assert_eq!(task.attributes.mode.as_deref(), Some("0755"));
}

#[test]
fn symbolic_modes_are_applied_as_ansible_applies_them() {
    let table = [
        ("0644", 0o777, What::File, 0o644),
        ("1200", 0o777, What::File, 0o1200),
        ("u=rwX,g+r", 0o600, What::File, 0o640),
        ("u=rwX,g+rX", 0o600, What::Directory, 0o750),
        ("a+x", 0o644, What::File, 0o755),
        ("o=", 0o777, What::File, 0o770),
        ("g=u", 0o700, What::File, 0o770),
        ("u+s,g+s,o+t", 0o755, What::File, 0o7755),
        ("ug-w,o-rwx", 0o777, What::File, 0o550),
        ("u=rw-x+X", 0o700, What::File, 0o700),
    ];
    for (mode, current, what, wanted) in table {
        let made = attributes::apply(mode, current, what);
        assert_eq!(made.map(|it| format!("{it:04o}")), Some(format!("{wanted:04o}")), "{mode} on {current:04o}");
    }
}

#[test]
fn patterns_mean_what_they_mean_in_python() {
    let table: [(&str, &[u8], bool); 16] = [
        ("^http {", b"http {\n", true),
        ("foo$", b"foo\n", true),
        ("foo$", b"foo\nbar", false),
        (r"foo\Z", b"foo\n", false),
        (r"^\s*#?\s*Port\b", b"  # Port 22\n", true),
        (r"[[a]", b"[", true),
        (r"a{2}", b"aa", true),
        (r"a{,2}b", b"aab", true),
        (r"\{\{", b"{{", true),
        (r"{{ x }}", b"{{ x }}", true),
        (r"[\w.-]+@[\d]", b"a.b-c@9", true),
        (r"(?i)^permitrootlogin", b"PermitRootLogin no\n", true),
        (r"(a)\1", b"aa", true),
        (r"foo(?!bar)", b"foobar", false),
        ("\u{e4}", b"\xc3\xa4", true),
        (r"\w", b"\xc3", false),
    ];
    for (python, bytes, wanted) in table {
        let pattern = Pattern::new(python).unwrap_or_else(|failed| panic!("{python}: {}", failed.message));
        assert_eq!(pattern.find(bytes).unwrap().is_some(), wanted, "{python} in {}", bytes.escape_ascii());
    }
    let found = Pattern::new(r"^(?P<key>\w+)=(.*)$").unwrap().find(b"host=old\n").unwrap().unwrap();
    assert_eq!(found.expand(r"\g<key>=\g<2>er\n\\").unwrap(), b"host=older\n\\");
    assert_eq!(found.expand(r"\3").unwrap_err().message, "invalid group reference 3");
}

#[test]
fn lines_are_split_into_words_as_a_shell_splits_them() {
    let table = [
        (r#"a 'b c' "d \" e" f\ g"#, vec!["a", "b c", "d \" e", "f g"]),
        ("", vec![]),
        ("''", vec![""]),
        ("a\"b\"'c'", vec!["abc"]),
        (r#""a\b""#, vec!["a\\b"]),
    ];
    for (line, words) in table {
        assert_eq!(program::split(line).unwrap(), words, "{line}");
    }
    assert_eq!(program::split("'a").unwrap_err(), "No closing quotation");
}

/// A root of its own with two accounts.
pub fn root() -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    fs::create_dir_all(root.path().join("etc/cron.d")).unwrap();
    fs::write(root.path().join("etc/passwd"), "root:x:0:0::/root:/bin/sh\nweb:x:33:33::/srv:/bin/sh\n").unwrap();
    fs::write(root.path().join("etc/group"), "root:x:0:\nweb:x:33:\n").unwrap();
    root
}

pub fn run(root: &Path, task: &Task, blobs: &Blobs, mode: Mode) -> Outcome {
    run_with(root, task, blobs, &Environment::new(), mode)
}

/// The same with variables for the programs that it starts.
pub fn run_with(root: &Path, task: &Task, blobs: &Blobs, environment: &Environment, mode: Mode) -> Outcome {
    let system = System::below(root);
    let content = |content: &copy::Content, into: &mut dyn Write| {
        let piece = blobs[&content.sha256].piece(0, u64::MAX).unwrap();
        into.write_all(&piece).map_err(|error| Failed::new(error.to_string()))
    };
    module::run(task, &Context { system: &system, environment, content: &content }, mode)
}

/// Checks, applies and applies again: what check mode says is what happens, and it happens once.
pub fn once(root: &Path, task: &Task, blobs: &Blobs) -> Outcome {
    let checked = run(root, task, blobs, Mode::Check);
    let first = run(root, task, blobs, Mode::Apply);
    assert_eq!(first.failed, None, "{task:?}");
    assert!(first.changed, "{task:?}");
    assert_eq!((checked.changed, &checked.diffs), (first.changed, &first.diffs), "{task:?}");
    let second = run(root, task, blobs, Mode::Apply);
    assert_eq!((second.changed, second.failed, second.diffs), (false, None, vec![]), "{task:?}");
    first
}

#[test]
fn every_file_module_acts_once_and_does_what_check_mode_said() {
    let root = root();
    let at = root.path();
    fs::write(at.join("etc/conf"), "a=1\n#b=2\nhttp {\n}\n").unwrap();
    let table = [
        ("file", json!({ "path": "/srv/a/b", "state": "directory", "mode": "0750" })),
        ("file", json!({ "path": "/srv/a", "state": "directory", "mode": "u=rwx,go=", "recurse": true })),
        ("copy", json!({ "dest": "/srv/a/text", "content": "one\ntwo\n", "mode": "0640" })),
        ("copy", json!({ "dest": "/srv/a/text", "content": "three\n", "backup": true })),
        ("copy", json!({ "dest": "/srv/new/deep/", "src": "/srv/a/text", "remote_src": true })),
        ("copy", json!({ "dest": "/srv/tree", "src": "/srv/a/", "remote_src": true })),
        ("file", json!({ "path": "/srv/link", "src": "a/text", "state": "link" })),
        ("file", json!({ "path": "/srv/hard", "src": "/srv/a/text", "state": "hard" })),
        ("file", json!({ "path": "/srv/a/text", "mode": "0600" })),
        ("lineinfile", json!({ "path": "/etc/conf", "regexp": "^#?b=", "line": "b=3" })),
        ("lineinfile", json!({ "path": "/etc/conf", "insertafter": "^http {", "line": "\tsize 64;" })),
        ("lineinfile", json!({ "path": "/etc/conf", "regexp": "^a=", "state": "absent" })),
        ("lineinfile", json!({ "path": "/etc/other/new", "line": "x", "create": true, "mode": "0600" })),
        ("blockinfile", json!({ "path": "/etc/conf", "block": "one\ntwo", "insertafter": "EOF" })),
        ("blockinfile", json!({ "path": "/etc/conf", "block": "other" })),
        ("blockinfile", json!({ "path": "/etc/conf", "state": "absent" })),
        ("file", json!({ "path": "/srv/link", "state": "absent" })),
        ("file", json!({ "path": "/srv/a", "state": "absent" })),
        ("cron", json!({ "name": "job", "job": "true", "cron_file": "job", "user": "web", "minute": "*/5" })),
    ];
    for (module, arguments) in table {
        once(at, &parse(module, None, arguments.as_object().unwrap()).unwrap(), &Blobs::new());
    }
    assert_eq!(fs::read_to_string(at.join("etc/conf")).unwrap(), "b=3\nhttp {\n\tsize 64;\n}\n");
    assert_eq!(fs::read_to_string(at.join("srv/new/deep/text")).unwrap(), "three\n");
    assert_eq!(fs::read_to_string(at.join("etc/cron.d/job")).unwrap(), "#Ansible: job\n*/5 * * * * web true\n");
    let left = fs::read_dir(at.join("etc")).unwrap().map(|it| it.unwrap().file_name().into_string().unwrap());
    let mut left = left.collect::<Vec<_>>();
    left.sort();
    assert_eq!(left, ["conf", "cron.d", "group", "other", "passwd"], "nothing is left beside");
}

#[test]
fn a_folder_of_the_control_node_is_copied_with_its_name_or_without() {
    let (root, control) = (root(), tempfile::tempdir().unwrap());
    fs::create_dir_all(control.path().join("site/empty")).unwrap();
    fs::write(control.path().join("site/index.html"), "<p>").unwrap();
    for (src, wanted) in [("site", "srv/site/index.html"), ("site/", "srv/index.html")] {
        let mut blobs = Blobs::new();
        let arguments = json!({ "src": src, "dest": "/srv/", "mode": "0640" });
        let Task::Copy(mut arguments) = parse("copy", None, arguments.as_object().unwrap()).unwrap() else {
            panic!("copy is copy")
        };
        arguments.source = Some(copy::gather(src, &control.path().join("site"), true, &mut blobs).unwrap());
        once(root.path(), &Task::Copy(arguments), &blobs);
        assert_eq!(fs::read_to_string(root.path().join(wanted)).unwrap(), "<p>");
        assert!(root.path().join(wanted).with_file_name("empty").is_dir());
    }
}

#[test]
fn a_file_that_is_not_accepted_is_not_put_in_place() {
    let root = root();
    let arguments = json!({ "dest": "/etc/conf", "content": "new", "validate": "grep -q old %s" });
    let task = parse("copy", None, arguments.as_object().unwrap()).unwrap();
    let outcome = run(root.path(), &task, &Blobs::new(), Mode::Apply);
    assert_eq!(outcome.failed.as_deref(), Some("failed to validate: rc:1 error:"));
    let left = fs::read_dir(root.path().join("etc")).unwrap().count();
    assert_eq!(left, 3, "neither the file nor what was begun");
}

#[test]
fn commands_tell_what_they_did() {
    let root = root();
    let shell =
        parse("shell", Some("cat; echo err >&2; exit 3"), json!({ "stdin": "in" }).as_object().unwrap()).unwrap();
    let outcome = run(root.path(), &shell, &Blobs::new(), Mode::Apply);
    assert_eq!(outcome.failed.as_deref(), Some("non-zero return code"));
    assert_eq!(
        (&outcome.values["stdout"], &outcome.values["stderr"], &outcome.values["rc"]),
        (&json!("in"), &json!("err"), &json!(3))
    );
    assert!(run(root.path(), &shell, &Blobs::new(), Mode::Check).skipped);
    let made = json!({ "cmd": "true", "creates": "/etc/pass*" });
    let outcome =
        run(root.path(), &parse("command", None, made.as_object().unwrap()).unwrap(), &Blobs::new(), Mode::Apply);
    assert!(!outcome.changed);
    assert_eq!(outcome.values["msg"], json!("Did not run command since '/etc/pass*' exists"));
    let missing = parse("command", Some("ryo-no-such-program x"), &serde_json::Map::new()).unwrap();
    let outcome = run(root.path(), &missing, &Blobs::new(), Mode::Apply);
    assert_eq!(
        outcome.failed.as_deref(),
        Some("cannot run `ryo-no-such-program`: No such file or directory (os error 2)")
    );
}

#[test]
fn a_program_left_running_does_not_hold_the_task_up() {
    let root = root();
    let shell = parse("shell", Some("sleep 30 & echo started"), &serde_json::Map::new()).unwrap();
    let began = std::time::Instant::now();
    let outcome = run(root.path(), &shell, &Blobs::new(), Mode::Apply);
    assert_eq!((outcome.failed, &outcome.values["stdout"]), (None, &json!("started")));
    assert!(began.elapsed() < std::time::Duration::from_secs(10));
}

#[test]
fn stat_tells_what_is_there() {
    let root = root();
    let stat = |path: &str| {
        let task = parse("stat", None, json!({ "path": path }).as_object().unwrap()).unwrap();
        run(root.path(), &task, &Blobs::new(), Mode::Apply).values["stat"].clone()
    };
    assert_eq!(stat("/none"), json!({ "exists": false }));
    let found = stat("/etc/group");
    for (name, wanted) in [
        ("exists", json!(true)),
        ("isreg", json!(true)),
        ("isdir", json!(false)),
        ("size", json!(20)),
        ("pw_name", json!("root")),
        ("checksum", json!("b57a134421e446c38d0cbcb213b13711fc160199")),
    ] {
        assert_eq!(found[name], wanted, "{name}");
    }
}
