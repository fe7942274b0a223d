//! Other tools than `ryo` at work: how they are found, what they are given, what is made of what they say.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use ryo::backend::ansible::{self, Output};
use ryo::backend::program::{Error, Program, Stream};
use ryo::backend::{Ansible, Configure as _, HostSetup};
use ryo::event::{Event, Events, HostRecap, TaskStatus};
use ryo::module::Mode;
use serde_json::{Map, Value};
use tokio::sync::watch;

use crate::support::work::{Ended, copy};

#[path = "backend/flow.rs"]
mod flow;
#[path = "backend/packer.rs"]
mod packer;
#[path = "backend/terraform.rs"]
mod terraform;

/// What a program is that stands in for another: a script.
fn stand_in(directory: &Path, name: &str, script: &str) -> PathBuf {
    let path = directory.join(name);
    fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path
}

fn setup(mode: Mode) -> HostSetup {
    HostSetup {
        playbook: PathBuf::from("/work/ryo-tiny/host-setup/main.yml"),
        inventory: PathBuf::from("/work/ryo-host/configuration/inventory_web"),
        extra_vars: Map::from_iter([("host_id".to_owned(), Value::from("web"))]),
        mode,
    }
}

#[test]
fn ansible_is_given_what_the_original_gives_it() {
    let words = [
        "-i",
        "/work/ryo-host/configuration/inventory_web",
        "/work/ryo-tiny/host-setup/main.yml",
        "--extra-vars",
        "host_id=web",
    ];
    assert_eq!(ansible::words(&setup(Mode::Apply)), words);
    assert_eq!(ansible::words(&setup(Mode::Check)), [words.as_slice(), &["--check"]].concat());
}

/// As ansible-core 2.15 writes it.
const SAID: &str = r#"
PLAY [Directories of ryo-tiny on web] ******************************************

TASK [Gathering Facts] *********************************************************
ok: [fd10::2]

TASK [directories : Make directories] ******************************************
changed: [fd10::2] => (item=data)
ok: [fd10::2] => (item={'name': 'x'})
skipping: [fd10::2] => (item=y)

TASK [directories : Say] *******************************************************
ok: [fd10::2] => {
    "msg": "PLAY RECAP"
}

TASK [directories : Fail] ******************************************************
fatal: [fd10::2]: FAILED! => {"changed": false, "msg": "no such file"}
failed: [fd10::2] (item=z) => {"ansible_loop_var": "item", "changed": true, "msg": "non-zero return code"}
changed: [fd10::2 -> localhost]

RUNNING HANDLER [directories : restart] ****************************************
fatal: [db]: UNREACHABLE! => {"changed": false, "msg": "Failed to connect", "unreachable": true}

PLAY RECAP *********************************************************************
db                         : ok=0    changed=0    unreachable=1    failed=0    skipped=0    rescued=0    ignored=0   
fd10::2                    : ok=3    changed=2    unreachable=0    failed=1    skipped=1    rescued=0    ignored=4   
"#;

/// Events, and where they are kept.
fn collected() -> (Arc<Mutex<Vec<Event>>>, Events) {
    let seen = Arc::new(Mutex::new(vec![]));
    let noted = seen.clone();
    (seen, Events::new(move |event| noted.lock().unwrap().push(event)))
}

fn done(host: &str, task: &str, item: Option<&str>, status: TaskStatus, message: Option<&str>) -> Event {
    Event::TaskDone {
        host: host.to_owned(),
        task: task.to_owned(),
        item: item.map(str::to_owned),
        status,
        message: message.map(str::to_owned),
        diff: None,
        took: 0,
    }
}

#[test]
fn what_ansible_says_becomes_events() {
    let mut output = Output::default();
    let events: Vec<Event> = SAID.lines().filter_map(|line| output.event(Stream::Output, line)).collect();
    let task = |name: &str| Event::TaskStarted { name: name.to_owned(), handler: false };
    let host = "fd10::2";
    let make = "directories : Make directories";
    assert_eq!(
        events,
        [
            Event::PlayStarted { name: "Directories of ryo-tiny on web".to_owned() },
            task("Gathering Facts"),
            done(host, "Gathering Facts", None, TaskStatus::Ok, None),
            task(make),
            done(host, make, Some("data"), TaskStatus::Changed, None),
            done(host, make, Some("{'name': 'x'}"), TaskStatus::Ok, None),
            done(host, make, Some("y"), TaskStatus::Skipped, None),
            task("directories : Say"),
            done(host, "directories : Say", None, TaskStatus::Ok, None),
            task("directories : Fail"),
            done(host, "directories : Fail", None, TaskStatus::Failed, Some("no such file")),
            done(host, "directories : Fail", Some("z"), TaskStatus::Failed, Some("non-zero return code")),
            done("fd10::2 -> localhost", "directories : Fail", None, TaskStatus::Changed, None),
            Event::TaskStarted { name: "directories : restart".to_owned(), handler: true },
            done("db", "directories : restart", None, TaskStatus::Unreachable, Some("Failed to connect")),
        ]
    );
    let warning = output.event(Stream::Error, "[WARNING]: provided hosts list is empty");
    assert_eq!(warning, Some(Event::Warned { message: "provided hosts list is empty".to_owned() }));
    assert_eq!(output.event(Stream::Error, "changed: [web]"), None);
}

#[tokio::test]
async fn a_program_is_found_with_a_version_that_does() {
    let directory = tempfile::tempdir().unwrap();
    let path = std::env::join_paths([Path::new("/nowhere"), directory.path()]).unwrap();
    let find = || Program::find("ansible-playbook", &path, (2, 9));
    let told = |error: Error| error.to_string().replace(&directory.path().display().to_string(), "HERE");
    assert_eq!(told(find().await.unwrap_err()), "there is no program `ansible-playbook` on the path");
    // A file that nobody may run is none.
    let file = stand_in(directory.path(), "ansible-playbook", "echo 'ansible-playbook [core 2.15.13]'");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    assert!(matches!(find().await, Err(Error::Absent { .. })));
    for (says, version) in [("ansible-playbook [core 2.15.13]", (2, 15)), ("ansible-playbook 2.9.6", (2, 9))] {
        stand_in(directory.path(), "ansible-playbook", &format!("echo '{says}'; echo '  python version = 3.11'"));
        let found = find().await.unwrap();
        assert_eq!((found.path, found.version), (file.clone(), version));
    }
    stand_in(directory.path(), "ansible-playbook", "echo 'ansible-playbook 2.8.1'");
    assert_eq!(told(find().await.unwrap_err()), "`HERE/ansible-playbook` is 2.8, and 2.9 or newer is needed");
    stand_in(directory.path(), "ansible-playbook", "echo 'command not known' >&2; exit 1");
    assert_eq!(
        told(find().await.unwrap_err()),
        "`HERE/ansible-playbook` is of an unknown version, and 2.9 or newer is needed"
    );
}

/// Runs a stand-in that says what `said` holds and ends with `status`.
async fn run(said: &str, status: u8, mode: Mode) -> (Result<usize, String>, Vec<Event>, String) {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("said"), said).unwrap();
    let here = directory.path().display();
    let script = format!(
        "[ \"$1\" != --version ] || {{ echo 'ansible-playbook [core 2.15.13]'; exit; }}\n\
         echo \"$@ $ANSIBLE_NOCOLOR $(pwd)\" > {here}/words\ncat {here}/said\nexit {status}"
    );
    stand_in(directory.path(), "ansible-playbook", &script);
    let ansible = Ansible::find(directory.path().as_os_str()).await.unwrap();
    fs::create_dir(directory.path().join("host-setup")).unwrap();
    let setup = HostSetup { playbook: directory.path().join("host-setup/main.yml"), ..setup(mode) };
    let (seen, events) = collected();
    let (_sender, stop) = watch::channel(false);
    let ended = ansible.set_up(setup, &events, stop).await;
    let tidy = |text: String| text.replace(&here.to_string(), "HERE");
    let events = seen.lock().unwrap().clone();
    let words = fs::read_to_string(directory.path().join("words")).unwrap();
    (ended.map_err(|error| tidy(error.to_string())), events, tidy(words))
}

#[tokio::test]
async fn what_ansible_would_change_is_counted() {
    let said = "PLAY [x] ***\n\nPLAY RECAP ***\na : ok=3 changed=2 unreachable=0 failed=0\nb : ok=3 changed=1 unreachable=0 failed=0\n";
    let (ended, events, words) = run(said, 0, Mode::Check).await;
    assert_eq!(ended, Ok(3));
    assert_eq!(
        words,
        "-i /work/ryo-host/configuration/inventory_web HERE/host-setup/main.yml --extra-vars host_id=web --check 1 HERE/host-setup\n"
    );
    let host = |name: &str, changed| HostRecap { host: name.to_owned(), ok: 3, changed, ..HostRecap::default() };
    assert_eq!(events.last(), Some(&Event::Recap { hosts: vec![host("a", 2), host("b", 1)] }));
}

#[tokio::test]
async fn an_ansible_that_fails_is_told_with_the_end_of_what_it_said() {
    let said: Vec<String> = (1..=20).map(|number| format!("line {number}\n")).collect();
    let said = said.concat();
    let (ended, _, _) = run(&said, 2, Mode::Apply).await;
    let last: Vec<String> = (6..=20).map(|number| format!("line {number}")).collect();
    assert_eq!(
        ended,
        Err(format!("`HERE/ansible-playbook` ended with exit status: 2; its output ends with:\n{}", last.join("\n")))
    );
}

fn work() -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    copy(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/repositories"), directory.path());
    directory
}

/// By the option, or by the settings: before any connection is opened.
#[test]
fn a_tool_that_is_not_there_is_told_before_anything_is_done() {
    let directory = work();
    let settings = directory.path().join("settings.yml");
    let here = "hosts:\n  local:\n    socket: /nowhere/unix.socket\n";
    let plan = ["plan", "deploy", "ryo-tiny", "-n", "local"];
    let ryo = |more: &[&str]| {
        Ended::here(directory.path(), &[&plan, more].concat(), |command| {
            command.env("RYO_SETTINGS", &settings).env("PATH", "/nowhere");
        })
    };
    fs::write(&settings, here).unwrap();
    let absent = ryo(&["--configure", "ansible"]);
    assert_eq!(
        (absent.code, absent.stderr.as_str()),
        (
            Some(2),
            "error: there is no program `ansible-playbook` on the path\n\
             hint: install it, or let ryo do the work: without the option or the setting that asks for it\n"
        )
    );
    fs::write(&settings, format!("{here}projects:\n  ryo-tiny:\n    configure: ansible\n")).unwrap();
    assert_eq!(ryo(&[]), absent);
    let upgrade = ["plan", "upgrade", "ryo-tiny", "-n", "local", "--configure", "ansible"];
    let upgrade = Ended::here(directory.path(), &upgrade, |command| {
        command.env("RYO_SETTINGS", &settings).env("PATH", "/nowhere");
    });
    assert_eq!(upgrade, absent);
    let native = ryo(&["--configure", "native"]);
    assert!(native.stderr.contains("cannot reach LXD"), "{}", native.stderr);
    fs::write(&settings, format!("{here}projects:\n  ryo-tiny:\n    configure: puppet\n")).unwrap();
    let unknown = ryo(&[]).stderr;
    assert!(
        unknown.starts_with("error: HERE/settings.yml: `projects.ryo-tiny.configure`: unknown variant `puppet`"),
        "{unknown}"
    );
}
