//! The container that a case is played in: fresh for Ansible, fresh again for us.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use regex::Regex;
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};

use super::Case;
use crate::support::bed::var;

/// The program that looks at the machine, for Python.
pub const LOOK: &str = include_str!("../../differential/look.py");

/// Snapshot of the container before anything is played in it.
const CLEAN: &str = "clean";

/// A container that goes away with this value.
pub struct Twin {
    name: String,
    directory: tempfile::TempDir,
}

fn lxc(words: &[&str]) -> Output {
    Command::new("lxc").args(words).stdin(Stdio::null()).output().unwrap()
}

#[track_caller]
fn done(words: &[&str]) -> Vec<u8> {
    let output = lxc(words);
    assert!(output.status.success(), "lxc {words:?}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

/// The container that all others are copied from.
const FOUNDATION: &str = "differential-base";

/// Makes it, if it is not there.
pub fn foundation() {
    let key = format!("{}.pub", var("RYO_SSH_KEY"));
    made(FOUNDATION, &["init", "debian/12", "NEW", "--profile", "build"], |fresh| {
        wait("cloud-init", || {
            let said = lxc(&["exec", fresh, "--", "cloud-init", "status"]);
            String::from_utf8_lossy(&said.stdout).contains("done")
        });
        // Cloud-init would take the copy for a machine that has never been up.
        inside(fresh, "touch /etc/cloud/cloud-init.disabled; mkdir -p -m 700 /root/.ssh");
        inside(fresh, "useradd -m -s /bin/bash anna; apt-get -qq update");
        install(fresh, &["python3", "python3-apt"]);
        done(&["file", "push", "--quiet", "--mode", "600", &key, &format!("{fresh}/root/.ssh/authorized_keys")]);
    });
}

/// Makes the container that those with these packages are copied from, and returns its name.
pub fn base(needs: &[String]) -> String {
    if needs.is_empty() {
        return FOUNDATION.to_owned();
    }
    let packages = needs.join(" ");
    let name = format!("{FOUNDATION}-{}", &hex::encode(Sha256::digest(&packages))[..8]);
    made(&name, &["copy", FOUNDATION, "NEW"], |fresh| {
        wait("an address", || found_address(fresh).is_some());
        let needs = needs.iter().map(String::as_str);
        install(fresh, &["--no-install-recommends"].into_iter().chain(needs).collect::<Vec<_>>());
    });
    name
}

/// Makes a container of this name once and for all, stopped: begun by `first`, then `fill`ed.
fn made(name: &str, first: &[&str], fill: impl FnOnce(&str)) {
    if lxc(&["info", name]).status.success() {
        return;
    }
    let fresh = format!("{name}-new");
    let _ = lxc(&["delete", "--force", &fresh]);
    done(&first.iter().map(|word| if *word == "NEW" { &fresh } else { *word }).collect::<Vec<_>>());
    done(&["start", &fresh]);
    fill(&fresh);
    done(&["stop", &fresh]);
    done(&["rename", &fresh, name]);
}

fn inside(name: &str, script: &str) {
    done(&["exec", name, "--", "sh", "-ec", script]);
}

fn install(name: &str, words: &[&str]) {
    let install = "DEBIAN_FRONTEND=noninteractive apt-get -qq -o Dpkg::Options::=--force-unsafe-io install -y";
    inside(name, &format!("{install} {}", words.join(" ")));
}

fn found_address(name: &str) -> Option<String> {
    let listed = done(&["list", &format!("^{name}$"), "-f", "csv", "-c", "4"]);
    String::from_utf8(listed).unwrap().split_whitespace().next().map(str::to_owned)
}

#[track_caller]
fn wait(what: &str, mut is: impl FnMut() -> bool) {
    let until = Instant::now() + Duration::from_mins(2);
    while !is() {
        assert!(Instant::now() < until, "{what} did not happen in time");
        thread::sleep(Duration::from_millis(200));
    }
}

impl Twin {
    /// A container for `case` like `base`, which is not running yet.
    pub fn new(case: &Case, base: &str) -> Self {
        let name = format!("differential-{}", case.name.replace('_', "-"));
        let _ = lxc(&["delete", "--force", &name]);
        done(&["copy", base, &name]);
        done(&["snapshot", &name, CLEAN]);
        Self { name, directory: tempfile::tempdir().unwrap() }
    }

    /// Makes it as it was at first, starts it and looks at it.
    pub fn reset(&self) -> Map<String, Value> {
        let _ = lxc(&["stop", "--force", &self.name]);
        done(&["restore", &self.name, CLEAN]);
        done(&["start", &self.name]);
        wait("an answer of sshd", || {
            let Some(address) = found_address(&self.name) else { return false };
            let scanned = Command::new("ssh-keyscan").args(["-t", "ed25519", &address]).output().unwrap();
            fs::write(self.known_hosts(), &scanned.stdout).unwrap();
            !scanned.stdout.is_empty()
        });
        let _ = self.inside("systemctl is-system-running --wait", b"");
        self.look()
    }

    /// Where its host key is written down.
    pub fn known_hosts(&self) -> PathBuf {
        self.directory.path().join("known_hosts")
    }

    /// The inventory line for it.
    pub fn inventory(&self) -> String {
        let (address, key) = (found_address(&self.name).unwrap(), var("RYO_SSH_KEY"));
        let user = format!("ansible_user=root ansible_ssh_private_key_file={key}");
        format!("twin ansible_host={address} {user} ansible_python_interpreter=/usr/bin/python3\n")
    }

    fn inside(&self, script: &str, input: &[u8]) -> Output {
        use std::io::Write as _;
        let mut child = Command::new("lxc")
            .args(["exec", &self.name, "--", "sh", "-c", script])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(input).unwrap();
        child.wait_with_output().unwrap()
    }

    /// What the machine is now.
    pub fn look(&self) -> Map<String, Value> {
        let output = self.inside("exec python3 -", LOOK.as_bytes());
        let text = String::from_utf8_lossy(&output.stdout);
        // The name of a backup tells the process and the moment.
        let stamp = Regex::new(r"\.\d+\.\d{4}-\d\d-\d\d@\d\d:\d\d:\d\d~").unwrap();
        serde_json::from_str(&stamp.replace_all(&text, ".BACKUP~"))
            .unwrap_or_else(|error| panic!("{}: {error}: {}", self.name, String::from_utf8_lossy(&output.stderr)))
    }

    /// What the tasks of the last run registered, where `directory` is the playbook's.
    ///
    /// # Errors
    ///
    /// What is there instead, if it did not come to its end.
    pub fn results(&self, directory: &Path) -> Result<Vec<Value>, String> {
        let read = || self.inside("cat /root/results.json", b"");
        // On a machine with much to do, the client of LXD has been seen to end before it has shown anything.
        let lost = |output: &Output| output.status.success() && output.stdout.is_empty();
        let output = (0..5).map(|_| read()).find(|output| !lost(output)).unwrap_or_else(read);
        self.inside("rm -f /root/results.json", b"");
        let text = String::from_utf8_lossy(&output.stdout);
        // The number of a certificate is longer than JSON's numbers are here.
        let text = Regex::new(r": (\d{19,})").unwrap().replace_all(&text, r#": "$1""#);
        let text = self.anonymous(&text.replace(&directory.display().to_string(), "DIR"));
        serde_json::from_str(&text)
            .map_err(|error| format!("{error} in `{text}` {}", String::from_utf8_lossy(&output.stderr)))
    }

    /// Replaces addresses: each container has its own.
    fn anonymous(&self, text: &str) -> String {
        let own = found_address(&self.name).map(|address| format!(r"\b{}\b", regex::escape(&address)));
        let kinds = [
            (own, "ADDRESS"),
            (Some(r"\b00:16:3e(:[0-9a-f]{2}){3}\b".to_owned()), "MAC"),
            (Some(r"\bfe80::216:3eff:fe[0-9a-f:]+".to_owned()), "LINK"),
        ];
        kinds
            .into_iter()
            .filter_map(|(pattern, word)| Some((pattern?, word)))
            .fold(text.to_owned(), |text, (pattern, word)| {
                Regex::new(&pattern).unwrap().replace_all(&text, word).into_owned()
            })
    }
}

impl Drop for Twin {
    fn drop(&mut self) {
        let _ = lxc(&["delete", "--force", &self.name]);
    }
}
