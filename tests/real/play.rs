//! `ryo play` against real targets: this computer, OpenSSH, instances of LXD and Incus, and a root of an older Debian.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::net::{IpAddr, TcpListener};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command as Program, Stdio};
use std::time::Duration;

use futures_util::future::BoxFuture;
use rustix::process::{Pid, Signal, kill_process_group};
use ryo::agent;
use ryo::container::Container;
use ryo::local::Local;
use ryo::lxd;
use ryo::lxd::instance::{ImageSource, NewInstance};
use ryo::lxd::wait;
use ryo::machine::{self, Command, Lost, Machine, Process};
use ryo::module::{self, Blobs, Environment, Mode};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::bed::{self, unique, var};
use crate::support::work::Ended;

/// The word that nobody may see.
const HIDDEN: &str = "hidden-word-4711";

/// Small tasks of all kinds below `{{ base }}`.
const SITE: &str = r#"
- name: "Set {{ what }} up"
  hosts: targets
  vars:
    secret: hidden-word-4711
  tasks:
    - name: Directory
      file: {path: "{{ base }}", state: directory, mode: 0755}
    - name: "Greet {{ what }}"
      template: {src: greeting.j2, dest: "{{ base }}/greeting", mode: 0640}
      notify: told
    - name: Line
      lineinfile: {path: "{{ base }}/lines", line: one, create: yes, mode: 0644}
    - name: Secret
      copy: {content: "{{ secret }}\n", dest: "{{ base }}/secret", mode: 0600}
      no_log: true
    - name: Who
      command: id -un
      register: who
      changed_when: false
      check_mode: false
    - name: Note
      copy: {content: "{{ who.stdout }}\n", dest: "{{ playbook_dir }}/who-{{ inventory_hostname }}", mode: 0644}
      delegate_to: localhost
  handlers:
    - name: told
      file: {path: "{{ base }}/told", state: directory, mode: 0755}
"#;

/// A directory with a playbook, and a home of its own.
pub(crate) struct Stage {
    directory: TempDir,
}

impl Stage {
    pub(crate) fn new(site: &str) -> Self {
        let directory = TempDir::new().unwrap();
        let stage = Self { directory };
        fs::create_dir_all(stage.path("home/.ssh")).unwrap();
        fs::create_dir_all(stage.path("templates")).unwrap();
        stage.write("templates/greeting.j2", "Hello {{ what }}, I am {{ inventory_hostname }}.\n");
        stage.write("site.yml", site);
        stage
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    pub(crate) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    /// `ryo play site.yml -i inventory` with more words, without a terminal.
    fn command(&self, words: &[&str]) -> Program {
        let mut command = Program::new(var("RYO_BIN"));
        command.args(["play", "site.yml", "-i", "inventory"]).args(words).current_dir(self.directory.path());
        command.env("HOME", self.path("home")).env_remove("XDG_CACHE_HOME").env_remove("SSH_AUTH_SOCK");
        command.env("LXD_SOCKET", var("RYO_LXD_SOCKET"));
        // Incus is found as its own client finds it.
        command.env("INCUS_DIR", Path::new(&var("RYO_INCUS_SOCKET")).parent().unwrap()).env_remove("INCUS_SOCKET");
        command.stdin(Stdio::null());
        command
    }

    pub(crate) fn play(&self, words: &[&str]) -> Ended {
        Ended::of(&self.command(words).output().unwrap())
    }
}

/// The bed's SSH server as an inventory line of the host `name`, reached at `address`.
fn bed_host(stage: &Stage, name: &str, address: &str) -> String {
    let port = var("RYO_SSHD_PORT");
    let key = var("RYO_SSH_KEY");
    let known = fs::read_to_string(var("RYO_SSH_KNOWN_HOSTS")).unwrap();
    let host_key = known.lines().next().unwrap().split_once(' ').unwrap().1.to_owned();
    let file = stage.path("home/.ssh/known_hosts");
    let before = fs::read_to_string(&file).unwrap_or_default();
    fs::write(&file, format!("{before}[{address}]:{port} {host_key}\n")).unwrap();
    format!("{name} ansible_host={address} ansible_port={port} ansible_user=root ansible_ssh_private_key_file={key}\n")
}

fn sorted(text: &str) -> Vec<&str> {
    let mut lines: Vec<&str> = text.lines().filter(|line| !line.is_empty()).collect();
    lines.sort_unstable();
    lines
}

/// The recap's lines, with single blanks.
pub(crate) fn recap(text: &str) -> Vec<String> {
    let lines = text.lines().skip_while(|line| !line.starts_with("PLAY RECAP")).skip(1);
    lines.filter(|line| !line.is_empty()).map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect()
}

fn counts(host: &str, ok: u32, changed: u32) -> String {
    format!("{host} : ok={ok} changed={changed} unreachable=0 failed=0 skipped=0 rescued=0 ignored=0")
}

fn tree(path: &Path) -> Vec<(String, String)> {
    let mut found: Vec<_> = fs::read_dir(path)
        .into_iter()
        .flatten()
        .map(|entry| {
            let entry = entry.unwrap();
            let mode = format!("{:o}", entry.metadata().unwrap().permissions().mode());
            (entry.file_name().to_string_lossy().into_owned(), mode)
        })
        .collect();
    found.sort();
    found
}

const FIRST_RUN: &str = r#"
PLAY [Set it up] ***************************************************************

TASK [Directory] ***************************************************************
--- before: BASE
+++ after: BASE
@@ -1,4 +1,4 @@
 {
   "path": "BASE",
-  "state": "absent"
+  "state": "directory"
 }

changed: [near]

TASK [Greet it] ****************************************************************
--- before: BASE/greeting
+++ after: BASE/greeting
@@ -0,0 +1 @@
+Hello it, I am near.

changed: [near]
"#;

#[test]
fn a_playbook_over_ssh_is_predicted_carried_out_and_found_done() {
    let stage = Stage::new(SITE);
    let inventory = format!("[targets]\n{}far ansible_host=127.0.0.9\n", bed_host(&stage, "near", "127.0.0.1"));
    stage.write("inventory", &inventory);
    let base = stage.path("base");
    let variables = format!("what=it base={}", base.display());
    let words = ["--limit", "near", "-e", &variables];

    let checked = stage.play(&[&words[..], &["--check", "--diff"]].concat()).well();
    assert_eq!(recap(&checked.stdout), [counts("near", 7, 6)]);
    assert!(!base.exists() && !stage.path("who-near").exists());

    let first = stage.play(&[&words[..], &["--diff"]].concat()).well();
    let told = first.stdout.replace(&base.display().to_string(), "BASE");
    assert!(told.contains(FIRST_RUN), "{told}");
    assert_eq!(recap(&first.stdout), [counts("near", 7, 6)]);
    assert_eq!(first.stdout, checked.stdout);
    assert!(!format!("{checked:?}{first:?}").contains(HIDDEN));
    assert_eq!(stage.read("who-near"), "root\n");
    assert_eq!(stage.read("base/secret"), format!("{HIDDEN}\n"));
    let modes = [("greeting", "100640"), ("lines", "100644"), ("secret", "100600"), ("told", "40755")];
    assert_eq!(tree(&base), modes.map(|(name, mode)| (name.to_owned(), mode.to_owned())));

    let second = stage.play(&words).well();
    assert_eq!(recap(&second.stdout), [counts("near", 6, 0)]);
    let last = second.stdout.lines().rfind(|line| !line.is_empty()).unwrap();
    let wide = "near                       : ok=6    changed=0    unreachable=0    failed=0    skipped=0    rescued=0    ignored=0   ";
    assert_eq!(last, wide);

    let json = stage.play(&[&words[..], &["--json", "--diff"]].concat()).well();
    let result: Value = serde_json::from_str(json.stdout.lines().next_back().unwrap()).unwrap();
    let host = json!({
        "host": "near", "ok": 6, "changed": 0, "unreachable": 0, "failed": 0, "skipped": 0, "rescued": 0, "ignored": 0,
    });
    assert_eq!(result, json!({ "event": "result", "result": { "hosts": [host] } }));
    assert!(!format!("{json:?}").contains(HIDDEN));
}

/// Neither of two hosts gets through without the other.
const MEETING: &str = r"
- hosts: all
  tasks:
    - shell: timeout 60 sh -c '{{ does }} {{ playbook_dir }}/door'
      register: heard
      changed_when: false
    - copy: {content: '{{ heard.stdout }}', dest: '{{ playbook_dir }}/from-{{ inventory_hostname }}', mode: 0600}
";

#[test]
fn two_hosts_are_worked_on_at_once() {
    let stage = Stage::new(MEETING);
    let (a, b) = (bed_host(&stage, "a", "127.0.0.1"), bed_host(&stage, "b", "::1"));
    stage.write("inventory", &format!("{} does=cat\n{} does='echo met >'\n", a.trim(), b.trim()));
    let door = stage.path("door");
    assert!(Program::new("mkfifo").arg(&door).status().unwrap().success());
    let ended = stage.play(&["--forks", "2"]).well();
    assert_eq!(recap(&ended.stdout), [counts("a", 2, 1), counts("b", 2, 1)]);
    assert_eq!((stage.read("from-a"), stage.read("from-b")), ("met".to_owned(), String::new()));
}

#[test]
fn what_goes_wrong_has_its_message_and_exit_code() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let stage = Stage::new(
        "- hosts: all\n  tasks:\n    - name: Fail\n      command: 'false'\n      when: inventory_hostname == 'near'\n    \
         - name: Behind\n      command: 'true'\n      changed_when: false\n",
    );
    let near = bed_host(&stage, "near", "127.0.0.1");
    let off = format!("off ansible_host=127.0.0.1 ansible_port={free} ansible_user=root\n");
    stage.write("inventory", &format!("{near}{off}"));

    let failed = stage.play(&["--limit", "near"]);
    assert_eq!((failed.code, failed.stderr.as_str()), (Some(1), "error: tasks failed on near\n"));
    let expected = "near : ok=0 changed=0 unreachable=0 failed=1 skipped=0 rescued=0 ignored=0";
    assert_eq!(recap(&failed.stdout), [expected]);

    let away = stage.play(&["--limit", "off"]);
    assert_eq!(away.code, Some(1), "{away:?}");
    let expected = format!(
        "error: cannot reach off\n  because: cannot reach `127.0.0.1` on port {free}\n  \
         because: Connection refused (os error 111)\n\
         hint: check that the host is up, and the address and port in its configuration\n"
    );
    assert_eq!(away.stderr, expected);
    let expected = "off : ok=0 changed=0 unreachable=1 failed=0 skipped=1 rescued=0 ignored=0";
    assert_eq!(recap(&away.stdout), [expected]);

    fs::remove_file(stage.path("home/.ssh/known_hosts")).unwrap();
    let fingerprint = Program::new("ssh-keygen").args(["-lf", &var("RYO_SSH_KNOWN_HOSTS")]).output().unwrap();
    let fingerprint = String::from_utf8(fingerprint.stdout).unwrap().split_whitespace().nth(1).unwrap().to_owned();
    let port = var("RYO_SSHD_PORT");
    let unknown = stage.play(&["--limit", "near"]);
    let expected = format!(
        "error: cannot reach near\n  because: the host key of `[127.0.0.1]:{port}` is not known: ssh-ed25519 {fingerprint}\n\
         hint: if this is the right host, add `--host-key {fingerprint}`, or write `host_key: {fingerprint}` for it under \
         `hosts:` in the settings\n\
         hint: or run this on a terminal and confirm it once\n"
    );
    assert_eq!((unknown.code, unknown.stderr), (Some(12), expected));
    let pinned = stage.play(&["--limit", "near", "--host-key", &fingerprint]);
    assert_eq!((pinned.code, pinned.stderr.as_str()), (Some(1), "error: tasks failed on near\n"));
}

#[test]
fn ctrl_c_stops_after_the_current_task() {
    stops_after_the_current_task(Signal::INT);
}

#[test]
fn so_does_the_end_of_its_service_or_its_terminal() {
    stops_after_the_current_task(Signal::TERM);
    stops_after_the_current_task(Signal::HUP);
}

fn stops_after_the_current_task(signal: Signal) {
    let stage = Stage::new(
        "- hosts: localhost\n  tasks:\n    - name: 'Wait for {{ what }}'\n      shell: cat door; echo one > done\n      \
         args: {chdir: '{{ playbook_dir }}'}\n    - shell: echo two > done\n      args: {chdir: '{{ playbook_dir }}'}\n",
    );
    stage.write("inventory", "");
    let door = stage.path("door");
    assert!(Program::new("mkfifo").arg(&door).status().unwrap().success());
    // As a terminal does: the signal goes to all of the group.
    let mut child = stage
        .command(&["-e", "what=it"])
        .process_group(0)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // Opens once the task reads from it.
    let open = fs::OpenOptions::new().write(true).open(&door).unwrap();
    kill_process_group(Pid::from_child(&child), signal).unwrap();
    let mut talk = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    talk.read_line(&mut line).unwrap();
    assert_eq!(line, "stopping after the current step; press Ctrl-C again to stop now\n");
    drop(open);
    let mut rest = String::new();
    talk.read_to_string(&mut rest).unwrap();
    let mut told = String::new();
    child.stdout.take().unwrap().read_to_string(&mut told).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130), "{told}{rest}");
    assert_eq!(rest, "error: stopped after task `Wait for it`\n");
    assert_eq!(recap(&told), [counts("localhost", 1, 1)]);
    assert_eq!(stage.read("done"), "one\n");
}

/// An instance that goes with the test.
pub(crate) struct Instance {
    kind: Kind,
    pub(crate) name: String,
    addresses: Vec<IpAddr>,
}

#[derive(Clone, Copy)]
pub(crate) enum Kind {
    Lxd,
    Incus,
}

impl Kind {
    pub(crate) fn client(self) -> lxd::Client {
        lxd::Client::new(match self {
            Self::Lxd => bed::lxd(),
            Self::Incus => bed::incus(),
        })
    }
}

impl Instance {
    pub(crate) async fn start(kind: Kind, image: &str, profile: &str) -> Self {
        let new = NewInstance {
            name: unique("play"),
            source: ImageSource::Alias(image.to_owned()),
            virtual_machine: false,
            profiles: vec![profile.to_owned()],
            config: [("user.ryo.project".to_owned(), "test".to_owned())].into(),
            devices: [].into(),
            ephemeral: false,
            description: "a test".to_owned(),
        };
        Self::of(kind, new).await
    }

    /// The same, made as `new` says.
    pub(crate) async fn of(kind: Kind, new: NewInstance) -> Self {
        kind.client().create(&new).await.unwrap();
        let instance = Self { kind, name: new.name, addresses: vec![] };
        kind.client().start(&instance.name).await.unwrap();
        instance
    }

    /// Runs a line of shell as root.
    pub(crate) async fn shell(&self, line: &str) -> String {
        let machine = Container::new(self.kind.client(), &self.name, &self.name);
        let ended = machine::run(&machine, &Command::new(["sh", "-c", line]), &[]).await.unwrap();
        assert_eq!(ended.status, 0, "{line}: {}", String::from_utf8_lossy(&ended.stderr));
        String::from_utf8(ended.stdout).unwrap()
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        let (kind, name) = (self.kind, self.name.clone());
        let gone = std::thread::spawn(move || {
            tokio::runtime::Runtime::new().unwrap().block_on(async {
                let client = kind.client();
                let _ = client.kill(&name).await;
                let _ = client.delete(&name).await;
            });
        });
        let _ = gone.join();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn instances_of_lxd_and_incus_are_hosts_without_ssh_and_python() {
    let one = Instance::start(Kind::Lxd, "tiny", "default").await;
    let two = Instance::start(Kind::Incus, "tiny", "default").await;
    let stage = Stage::new(SITE);
    stage.write(
        "inventory",
        &format!(
            "[targets]\none ansible_connection=lxd ansible_host={}\ntwo ansible_connection=incus ansible_host={}\n",
            one.name, two.name
        ),
    );
    let words = ["-e", "what=it base=/srv/base", "--forks", "2"];
    let checked = stage.play(&[&words[..], &["--check"]].concat()).well();
    assert_eq!(recap(&checked.stdout), [counts("one", 7, 6), counts("two", 7, 6)]);
    assert_eq!(one.shell("ls -A /srv 2>/dev/null; true").await, "");

    let first = stage.play(&words).well();
    assert_eq!(sorted(&first.stdout), sorted(&checked.stdout));
    assert!(!format!("{first:?}").contains(HIDDEN));
    for (instance, name) in [(&one, "one"), (&two, "two")] {
        let text = instance.shell("cat /srv/base/greeting; stat -c %a /srv/base/*").await;
        assert_eq!(text, format!("Hello it, I am {name}.\n640\n644\n600\n755\n"));
        assert_eq!(stage.read(&format!("who-{name}")), "root\n");
    }
    let second = stage.play(&words).well();
    assert_eq!(recap(&second.stdout), [counts("one", 6, 0), counts("two", 6, 0)]);

    stage.write("inventory", "[targets]\ngone ansible_connection=lxd ansible_host=no-such-instance\n");
    let gone = stage.play(&words);
    let expected = format!(
        "error: cannot reach gone\n  because: lost the connection to container no-such-instance on local\n  \
         because: LXD at {} refused `POST /1.0/instances/no-such-instance/exec` (404): Instance not found\n",
        var("RYO_LXD_SOCKET")
    );
    assert_eq!((gone.code, gone.stderr), (Some(1), expected));
    stage.write("inventory", "[targets]\nfar ansible_connection=lxd ansible_lxd_remote=elsewhere\n");
    let far = stage.play(&words);
    let expected = "error: cannot reach far\n  because: the instance `far` is on the remote `elsewhere`, only `local` can be \
                    reached\n";
    assert_eq!((far.code, far.stderr.as_str()), (Some(1), expected));
}

#[tokio::test(flavor = "multi_thread")]
async fn accounts_with_keys_and_passwords_climb_to_root_with_sudo() {
    let mut debian = Instance::start(Kind::Lxd, "debian/12", "build").await;
    let client = Kind::Lxd.client();
    debian.addresses = wait::address(&client, &debian.name, Duration::from_mins(1)).await.unwrap();
    wait::cloud_init(&client, &debian.name, Duration::from_mins(2)).await.unwrap();
    let address = debian.addresses.iter().find(|address| address.is_ipv4()).unwrap();
    let stage = Stage::new(&SITE.replace("hosts: targets", "hosts: targets\n  become: true"));
    let public = fs::read_to_string(format!("{}.pub", var("RYO_SSH_KEY"))).unwrap();
    debian
        .shell(&format!(
            "set -e\nfor user in anna bert; do useradd -m -s /bin/bash $user; done\n\
             install -d -m 700 -o anna -g anna ~anna/.ssh\necho '{public}' > ~anna/.ssh/authorized_keys\n\
             echo 'bert:let bert in' | chpasswd\n\
             echo 'anna ALL=(ALL) NOPASSWD: ALL' > /etc/sudoers.d/anna\necho 'bert ALL=(ALL) ALL' > /etc/sudoers.d/bert\n"
        ))
        .await;
    let host_key = debian.shell("cat /etc/ssh/ssh_host_ed25519_key.pub").await;
    stage.write("home/.ssh/known_hosts", &format!("{address} {host_key}"));
    let key = var("RYO_SSH_KEY");
    let bert = format!("bert ansible_host={address} ansible_user=bert ansible_password='let bert in' base=/srv/bert");
    let anna = format!(
        "[targets]\nanna ansible_host={address} ansible_user=anna ansible_ssh_private_key_file={key} base=/srv/anna\n"
    );
    stage.write("inventory", &format!("{anna}{bert} ansible_become_password='let bert in'\n"));

    let first = stage.play(&["-e", "what=it"]).well();
    assert_eq!(recap(&first.stdout), [counts("anna", 7, 6), counts("bert", 7, 6)]);
    let second = stage.play(&["-e", "what=it"]).well();
    assert_eq!(recap(&second.stdout), [counts("anna", 6, 0), counts("bert", 6, 0)]);
    assert_eq!((stage.read("who-anna"), stage.read("who-bert")), ("root\n".to_owned(), "root\n".to_owned()));
    assert_eq!(debian.shell("stat -c '%U %a' /srv/anna/secret /srv/bert/secret").await, "root 600\nroot 600\n");

    for (given, message) in [
        ("", "the password to become `root` on bert is not given"),
        (" ansible_become_password=wrong", "the password to become `root` on bert is wrong"),
    ] {
        stage.write("inventory", &format!("{anna}{bert}{given}\n"));
        let refused = stage.play(&["-e", "what=it", "--limit", "bert"]);
        assert_eq!(refused.code, Some(1), "{refused:?}");
        let message = message.replace("bert", &address.to_string());
        assert!(refused.stdout.contains(&format!("fatal: [bert]: FAILED! => {message}\n")), "{refused:?}");
    }
    stage.write("inventory", &format!("{anna}{}\n", bert.replace("'let bert in'", "wrong")));
    let refused = stage.play(&["-e", "what=it", "--limit", "bert"]);
    assert_eq!(refused.code, Some(12), "{refused:?}");
}

/// Starts a machine again, twice in check mode and once in truth, and finds it there again.
const AGAIN: &str = r"
- hosts: targets
  tasks:
    - {name: Before, command: cat /proc/sys/kernel/random/boot_id, register: before}
    - {name: Predicted, reboot: , register: predicted, check_mode: yes}
    - name: Again
      reboot: {msg: again, post_reboot_delay: 1, reboot_timeout: 180, test_command: test -d /root}
      register: again
    - {name: After, command: cat /proc/sys/kernel/random/boot_id, register: after}
    - {name: Reached, wait_for_connection: {delay: 0, sleep: 1, connect_timeout: 5, timeout: 60}, register: reached}
    - name: It was
      assert:
        that: [before.stdout != after.stdout, again is changed, again.rebooted, predicted.rebooted, reached.elapsed < 60]
    - {name: Cannot, reboot: {reboot_command: exit 3}, register: cannot, failed_when: cannot.rebooted}
";

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_is_started_again_and_waited_for_over_ssh_and_lxd() {
    let mut debian = Instance::start(Kind::Lxd, "debian/12", "build").await;
    let client = Kind::Lxd.client();
    debian.addresses = wait::address(&client, &debian.name, Duration::from_mins(1)).await.unwrap();
    wait::cloud_init(&client, &debian.name, Duration::from_mins(2)).await.unwrap();
    let address = debian.addresses.iter().find(|address| address.is_ipv4()).unwrap();
    let public = fs::read_to_string(format!("{}.pub", var("RYO_SSH_KEY"))).unwrap();
    debian.shell(&format!("install -d -m 700 /root/.ssh\necho '{public}' > /root/.ssh/authorized_keys")).await;
    let host_key = debian.shell("cat /etc/ssh/ssh_host_ed25519_key.pub").await;
    let stage = Stage::new(AGAIN);
    stage.write("home/.ssh/known_hosts", &format!("{address} {host_key}"));
    let key = var("RYO_SSH_KEY");
    for way in [
        format!("ansible_host={address} ansible_user=root ansible_ssh_private_key_file={key}"),
        format!("ansible_connection=lxd ansible_host={}", debian.name),
    ] {
        stage.write("inventory", &format!("[targets]\none {way}\n"));
        let ran = stage.play(&[]).well();
        assert_eq!(recap(&ran.stdout), [counts("one", 7, 4)], "{way}");
    }
    stage.write("inventory", "[targets]\nnone ansible_host=127.0.0.1 ansible_port=9\n");
    stage.write("site.yml", "- {hosts: targets, tasks: [{wait_for_connection: {timeout: 2, sleep: 1}}]}\n");
    let ran = stage.play(&[]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.stdout.contains("timed out waiting for ping module test: "), "{ran:?}");
}

/// Programs in another root.
struct Root {
    path: String,
}

impl Machine for Root {
    fn name(&self) -> &'static str {
        "the older Debian"
    }

    fn open<'a>(&'a self, command: &'a Command) -> BoxFuture<'a, Result<Process, Lost>> {
        Box::pin(async move {
            let into = ["env", "-i", "HOME=/root", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "chroot", &self.path];
            let words: Vec<String> =
                into.iter().map(|word| (*word).to_owned()).chain(command.words.iter().cloned()).collect();
            Local::new().open(&Command::new(words)).await
        })
    }
}

#[tokio::test]
async fn the_agent_is_put_into_and_works_on_a_debian_of_yesterday_without_python() {
    let root = Root { path: var("RYO_DEBIAN_11") };
    let shell = async |line: &str| {
        let ended = machine::run(&root, &Command::new(["sh", "-c", line]), b"").await.unwrap();
        String::from_utf8(ended.stdout).unwrap()
    };
    assert_eq!(shell("ldd --version | grep -o '[0-9.]*$' | head -n 1; command -v python3").await, "2.31\n");
    shell("rm -rf /var/lib/ryo /srv/play").await;
    let binary = agent::Binary::at(var("RYO_BIN"));
    let client = agent::Client::start(&root, &binary, None).await.unwrap();
    assert_eq!(client.facts().await.unwrap()["distribution_major_version"], "11");

    let tasks = [
        ("file", json!({ "path": "/srv/play", "state": "directory", "mode": "0750", "owner": "root", "group": "adm" })),
        ("lineinfile", json!({ "path": "/srv/play/lines", "line": "one", "create": true, "mode": "0600" })),
        ("copy", json!({ "content": "copied\n", "dest": "/srv/play/copy", "mode": "0644" })),
        ("user", json!({ "name": "games", "shell": "/bin/false" })),
        ("blockinfile", json!({ "path": "/srv/play/lines", "block": "two\nthree" })),
    ];
    for changed in [true, false] {
        for (name, arguments) in &tasks {
            let task = module::parse(name, None, arguments.as_object().unwrap()).unwrap();
            let outcome = client.task(&task, &Environment::new(), &Blobs::new(), Mode::Apply).await.unwrap();
            assert_eq!((&outcome.failed, outcome.changed), (&None, changed), "{name}: {outcome:?}");
        }
    }
    let text =
        shell("cat /srv/play/lines /srv/play/copy; stat -c '%a %U %G' /srv/play; ls /var/lib/ryo/agent | wc -l").await;
    let block = "# BEGIN ANSIBLE MANAGED BLOCK\ntwo\nthree\n# END ANSIBLE MANAGED BLOCK\n";
    assert_eq!(text, format!("one\n{block}copied\n750 root adm\n1\n"));
    shell("rm -rf /var/lib/ryo /srv/play; usermod -s /usr/sbin/nologin games").await;
}
