//! The modules that set a system up: tables of pure plans, and real runs below a temporary root.

use std::fs;

use ryo::module::pip::requirement::{Requirement, packages};
use ryo::module::{Blobs, Mode, System, Task, parse};
use ryo::module::{
    alternatives, authorized_key, group, known_hosts, locale_gen, modprobe, mount, package_facts, sysctl,
};
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
        let groups: Vec<ryo::module::system::Group> = read(&case["found"]);
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
fn known_hosts_plans_as_the_table_says() {
    for (name, case) in cases("known_hosts") {
        let Task::KnownHosts(arguments) = task("known_hosts", &case) else { panic!("{name}") };
        match known_hosts::plan(&arguments, case["found"].as_str().unwrap()) {
            Ok(after) => assert_eq!(json!(after), case["actions"], "{name}"),
            Err(failed) => assert_eq!(json!(failed.message), case["error"], "{name}"),
        }
    }
}

#[test]
fn mount_plans_as_the_table_says() {
    for (name, case) in cases("mount") {
        let Task::Mount(arguments) = task("mount", &case) else { panic!("{name}") };
        assert_eq!(json!(mount::plan(&arguments, case["found"].as_str().unwrap())), case["actions"], "{name}");
    }
}

#[test]
fn modprobe_plans_as_the_table_says() {
    for (name, case) in cases("modprobe") {
        let Task::Modprobe(arguments) = task("modprobe", &case) else { panic!("{name}") };
        let files: Vec<Vec<(String, String)>> =
            ["loaded", "options"].iter().map(|which| read(&case["found"][which])).collect();
        assert_eq!(json!(modprobe::plan(&arguments, &files[0], &files[1])), case["actions"], "{name}");
    }
}

#[test]
fn alternatives_plans_as_the_table_says() {
    for (name, case) in cases("alternatives") {
        let Task::Alternatives(arguments) = task("alternatives", &case) else { panic!("{name}") };
        let scene = alternatives::read(case["found"].as_str().unwrap(), arguments.subcommands.as_deref());
        match alternatives::plan(&arguments, &scene) {
            Ok(steps) => assert_eq!(json!(steps), case["actions"], "{name}"),
            Err(failed) => assert_eq!(json!(failed.message), case["error"], "{name}"),
        }
    }
}

#[test]
fn a_locale_is_switched_on_and_off_where_it_stands() {
    let before = "# a\n# de_CH.UTF-8 UTF-8\n#de_CH ISO-8859-1\nen_US.UTF-8 UTF-8\n";
    let table = [
        ("de_CH.UTF-8", "present", "# a\nde_CH.UTF-8 UTF-8\n#de_CH ISO-8859-1\nen_US.UTF-8 UTF-8\n"),
        ("en_US.UTF-8", "absent", "# a\n# de_CH.UTF-8 UTF-8\n#de_CH ISO-8859-1\n# en_US.UTF-8 UTF-8\n"),
    ];
    for (name, state, after) in table {
        let case = json!({ "args": { "name": name, "state": state } });
        let Task::LocaleGen(arguments) = task("locale_gen", &case) else { panic!("locale_gen is locale_gen") };
        assert_eq!(locale_gen::plan(&arguments, before), after);
    }
}

#[test]
fn packages_are_told_by_their_names() {
    let status = "Package: a\nStatus: install ok installed\nSection: net\nArchitecture: amd64\nVersion: 1\n\n\
                  Package: b\nStatus: deinstall ok config-files\nVersion: 2\n\n\
                  Package: a\nStatus: install ok installed\nArchitecture: i386\nVersion: 1\n";
    let found = package_facts::packages(status);
    assert_eq!(found.keys().collect::<Vec<_>>(), ["a"]);
    assert_eq!((&found["a"][0]["category"], &found["a"][1]["arch"]), (&json!("net"), &json!("i386")));
}

#[test]
fn a_name_of_a_host_can_be_hidden() {
    let root = root();
    let arguments = json!({ "name": "a.example", "key": "a.example ssh-rsa A", "path": "/known", "hash_host": true });
    let task = parse("known_hosts", None, arguments.as_object().unwrap()).unwrap();
    let [first, second] = [(); 2].map(|()| run(root.path(), &task, &Blobs::new(), Mode::Apply));
    assert_eq!((first.failed, first.changed, second.changed), (None, true, false));
    let written = fs::read_to_string(root.path().join("known")).unwrap();
    assert!(written.starts_with("|1|") && written.ends_with("= ssh-rsa A\n"), "{written}");
}

#[test]
fn a_port_and_a_text_are_waited_for() {
    use std::io::Write as _;
    let server = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = server.local_addr().unwrap().port();
    std::thread::spawn(move || {
        while let Ok((mut stream, _)) = server.accept() {
            let _ = stream.write_all(b"SSH-2.0-x\r\n");
        }
    });
    let root = root();
    fs::write(root.path().join("log"), "one\nport=8080\n").unwrap();
    let wait = |arguments: serde_json::Value| {
        let task = parse("wait_for", None, arguments.as_object().unwrap()).unwrap();
        run(root.path(), &task, &Blobs::new(), Mode::Apply)
    };
    assert_eq!(wait(json!({ "port": port })).failed, None);
    assert_eq!(wait(json!({ "port": port, "search_regex": "^SSH-" })).failed, None);
    let found = wait(json!({ "path": "/log", "search_regex": "^port=(?P<port>[0-9]+)", "timeout": 9 }));
    assert_eq!(found.values["match_groups"], json!(["8080"]));
    assert_eq!(found.values["match_groupdict"], json!({ "port": "8080" }));
    assert_eq!(wait(json!({ "path": "/none", "state": "absent" })).failed, None);
    let late = wait(json!({ "path": "/none", "timeout": 0 }));
    assert_eq!(late.failed.as_deref(), Some("Timeout when waiting for file /none"));
    let late = wait(json!({ "port": port, "state": "stopped", "timeout": 0, "msg": "it is still there" }));
    assert_eq!(late.failed.as_deref(), Some("it is still there"));
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
    let outcome =
        once(root.path(), &parse("authorized_key", None, arguments.as_object().unwrap()).unwrap(), &Blobs::new());
    assert_eq!(outcome.values["keyfile"], json!("/srv/.ssh/authorized_keys"));
    let mode = |path: &str| fs::metadata(root.path().join(path)).unwrap().mode() & 0o777;
    assert_eq!((mode("srv/.ssh"), mode("srv/.ssh/authorized_keys")), (0o700, 0o600));
    let unknown = json!({ "user": "nobody", "key": "ssh-ed25519 AAAA one" });
    let task = parse("authorized_key", None, unknown.as_object().unwrap()).unwrap();
    let outcome = run(root.path(), &task, &Blobs::new(), Mode::Check);
    assert_eq!(
        outcome.failed.as_deref(),
        Some("Either user must exist or you must provide full path to key file in check mode")
    );
}

/// Runs a playbook on this computer.
fn played(text: &str) -> (bool, String) {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("site.yml"), text).unwrap();
    let ran = std::process::Command::new(env!("CARGO_BIN_EXE_ryo"))
        .args(["play", "site.yml"])
        .current_dir(directory.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&[ran.stdout, ran.stderr].concat()).into_owned();
    (ran.status.success(), said)
}

#[test]
fn facts_that_modules_tell_are_those_of_the_host_until_they_are_cleared() {
    let (well, said) = played(
        "- hosts: localhost
  tasks:
    - getent: {database: passwd, key: root}
    - assert: {that: [\"ansible_facts.getent_passwd.root[1] == '0'\", \"getent_passwd.root[0] == 'x'\"]}
    - meta: clear_facts
    - assert: {that: getent_passwd is not defined}
    - {setup: {gather_subset: '!all', filter: 'ansible_[dm]*'}, register: some}
    - assert: {that: [\"'ansible_distribution' in some.ansible_facts\", \"'ansible_memtotal_mb' not in some.ansible_facts\"]}
    - assert: {that: [ansible_facts.memtotal_mb > 0, ansible_mounts is defined, ansible_date_time.weekday | length > 5]}
    - {raw: echo one; echo two, register: raw}
    - assert: {that: \"raw.stdout_lines == ['one', 'two']\"}
    - {reboot: , register: again, ignore_errors: yes}
    - assert: {that: [again is failed, again.msg == 'Running reboot with local connection would reboot the control node.']}
    - meta: reset_connection
    - meta: noop
    - {wait_for_connection: {timeout: 20}, register: there}
    - assert: {that: there.elapsed < 20}
",
    );
    assert!(well, "{said}");
    let (well, said) = played("- hosts: localhost\n  tasks:\n    - meta: flush_handler\n");
    assert!(!well && said.contains("there is no `meta` action `flush_handler`"), "{said}");
    assert!(said.contains("did you mean `flush_handlers`?"), "{said}");
}

#[test]
fn facts_are_told_as_far_as_they_are_asked_for() {
    let facts = json!({ "distribution": "Debian", "memtotal_mb": 1, "mounts": [], "interfaces": ["eth0", "br-1"],
        "br_1": {}, "default_ipv4": {}, "virtualization_type": "lxc", "env": {} });
    let names = |subsets: &[&str], filters: &[&str]| {
        let list = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        let asked = ryo::agent::facts::subset::asked(facts.as_object().unwrap(), &list(subsets), &list(filters));
        asked.keys().cloned().collect::<Vec<_>>().join(" ")
    };
    let table: [(&[&str], &[&str], &str); 8] = [
        (&[], &[], "distribution memtotal_mb mounts interfaces br_1 default_ipv4 virtualization_type env"),
        (&["min"], &[], "distribution env"),
        (&["!all"], &[], "distribution env"),
        (&["!all", "!min", "network"], &[], "interfaces br_1 default_ipv4"),
        (&["hardware"], &[], "distribution memtotal_mb mounts env"),
        (&["!hardware", "!network"], &[], "distribution virtualization_type env"),
        (&[], &["ansible_m*", "ansible_env"], "memtotal_mb mounts env"),
        (&["network"], &["default_ipv?"], "default_ipv4"),
    ];
    for (subsets, filters, wanted) in table {
        assert_eq!(names(subsets, filters), wanted, "{subsets:?} {filters:?}");
    }
}

/// A machine below a root: what the kernel would tell is written there.
#[test]
fn facts_are_read_from_what_the_kernel_tells() {
    let root = root();
    let put = |path: &str, text: &str| {
        let path = root.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    let node = rustix::system::uname().nodename().to_string_lossy().into_owned();
    put("etc/hosts", &format!("127.0.0.1 localhost\n127.0.1.1 {node} {node}.example.org # own\n"));
    for (name, kind, state) in [("wg0", "65534", "unknown"), ("eth0.7", "1", "down"), ("br-lan", "1", "up")] {
        put(&format!("sys/class/net/{name}/type"), kind);
        put(&format!("sys/class/net/{name}/operstate"), state);
    }
    put("sys/class/net/br-lan/bridge/stp_state", "1\n");
    put("sys/devices/virtio7/name", "");
    std::os::unix::fs::symlink("../../../devices/virtio7", root.path().join("sys/class/net/eth0.7/device")).unwrap();
    let mounts = "/dev/x / btrfs rw,subvol=/a 0 0\n/dev/x /srv/a\\040b ext4 rw 0 0\n/dev/x /srv/c ext4 rw,bind 0 0\n";
    put("proc/self/mounts", mounts);
    put(
        "proc/self/mountinfo",
        "1 0 8:1 /a / rw - btrfs /dev/x rw\n2 1 8:1 / /srv/a\\040b rw - ext4 /dev/x rw\n3 1 8:1 /c /srv/c rw - ext4 /dev/x rw\n",
    );
    let facts = ryo::agent::facts::gather(&System::below(root.path()));
    assert_eq!((&facts["fqdn"], &facts["domain"]), (&json!(format!("{node}.example.org")), &json!("example.org")));
    let about = |name: &str| (facts[name]["type"].clone(), facts[name]["active"].clone());
    assert_eq!(about("wg0"), (json!("tunnel"), json!(true)));
    assert_eq!(about("eth0.7"), (json!("ether"), json!(false)));
    assert_eq!(about("br_lan"), (json!("bridge"), json!(true)));
    assert_eq!((&facts["br_lan"]["stp"], &facts["eth0.7"]["pciid"]), (&json!(true), &json!("virtio7")));
    let options = facts["mounts"].as_array().unwrap().iter().map(|mount| mount["options"].clone()).collect::<Vec<_>>();
    assert_eq!(options, ["rw,subvol=/a,bind", "rw", "rw,bind"]);
}

#[test]
fn packages_of_python_are_called_as_pip_calls_them() {
    let names = |names: &[&str]| packages(&names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>());
    assert_eq!(names(&["a>1", "<2", "b", "c[x", "y]==1"]), ["a>1,<2", "b", "c[x,y]==1"]);
    assert_eq!(names(&["a>1,<1.5,b"]), ["a>1,<1.5", "b"]);
    let known = "Left-Pad==1.10\nexact==2.0rc1\nother==0.3.dev1\n";
    // What is written, the version beside it, what pip is told, and whether it is there.
    let table = [
        ("left_pad", None, "left_pad", true),
        ("Left.Pad", Some("1.10"), "Left.Pad==1.10", true),
        ("left-pad", Some("1.10.0"), "left-pad==1.10.0", true),
        ("left-pad>=1.9, <2", None, "left-pad<2,>=1.9", true),
        ("left-pad", Some("<1.9"), "left-pad<1.9", false),
        ("left-pad~=1.8", None, "left-pad~=1.8", true),
        ("left-pad~=1.8.0", None, "left-pad~=1.8.0", false),
        ("left-pad==1.*", None, "left-pad==1.*", true),
        ("left-pad!=1.1.*", None, "left-pad!=1.1.*", true),
        ("left-pad[x]>1", None, "left-pad[x]>1", true),
        ("exact>=2.0", None, "exact>=2.0", false),
        ("exact>2.0b3,<=2.0", None, "exact<=2.0,>2.0b3", true),
        ("other<0.3a1", None, "other<0.3a1", true),
        ("nothing", None, "nothing", false),
        ("git+https://example.org/left-pad", None, "git+https://example.org/left-pad", false),
        ("/srv/left-pad", None, "/srv/left-pad", false),
    ];
    for (written, version, told, there) in table {
        let requirement = Requirement::read(written, version);
        assert_eq!((requirement.text().as_str(), requirement.is_in(known)), (told, there), "{written}");
    }
}
