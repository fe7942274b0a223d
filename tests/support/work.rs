//! Hosts of the testbed, and working directories for them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Arc;

use ryo::consul;
use ryo::container::Container;
use ryo::http::Http;
use ryo::lxd;
use ryo::machine;
use ryo::wire::{self, Wire};

use crate::support::bed::var;

/// One of the two hosts of the testbed: this machine with LXD, or with Incus.
#[derive(Clone, Debug)]
pub struct Host {
    /// Its name.
    pub name: String,
    /// The socket of its server.
    pub socket: String,
    /// Network part of its bridge, e.g. `10.10.1`.
    pub network: String,
    /// Host and port of its Consul.
    pub consul: String,
    /// Subnet of its bridge, e.g. `1`.
    pub subnet: String,
}

impl Host {
    /// This machine with LXD.
    pub fn lxd() -> Self {
        Self::read("LXD", "1")
    }

    /// This machine with Incus.
    pub fn incus() -> Self {
        Self::read("INCUS", "2")
    }

    fn read(kind: &str, subnet: &str) -> Self {
        let bridge = var(&format!("RYO_{kind}_BRIDGE_V4"));
        Self {
            name: var(&format!("RYO_{kind}_HOST")),
            socket: var(&format!("RYO_{kind}_SOCKET")),
            network: bridge.rsplit_once('.').unwrap().0.to_owned(),
            consul: var(&format!("RYO_{kind}_CONSUL")).trim_start_matches("http://").to_owned(),
            subnet: subnet.to_owned(),
        }
    }

    /// A client of its server.
    pub fn client(&self) -> lxd::Client {
        lxd::Client::new(Arc::new(Wire::new("the server", "lxd", wire::unix(&self.socket))))
    }

    /// A client of its Consul.
    pub fn consul(&self) -> consul::Client {
        let wire = Wire::new("Consul", self.consul.clone(), wire::tcp(self.consul.clone()));
        consul::Client::new(Arc::new(wire) as Arc<dyn Http>, None, None)
    }

    /// Lets end what a run that was killed has begun with instances of certain names: the server goes on with it.
    pub async fn ended(&self, about: impl Fn(&str) -> bool) {
        while self.client().changing().await.unwrap().iter().any(|it| it.instances().any(&about)) {
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
    }

    /// Removes everything that deployments of these projects and modules leave on it: instances (also those of these
    /// `names` that nobody owns), images, Consul keys below `keys`, data with what is kept from before a restore, and
    /// what is remembered of the host.
    pub async fn wipe(&self, owners: &[&str], names: &[&str], keys: &str) {
        let client = self.client();
        self.ended(|name| names.iter().any(|own| name.contains(own))).await;
        for instance in client.instances().await.unwrap() {
            let owner = instance.config.get("user.ryo.project").map_or("", String::as_str);
            if owners.contains(&owner) || names.contains(&instance.name.as_str()) {
                if instance.is_on() {
                    client.kill(&instance.name).await.unwrap();
                }
                client.delete(&instance.name).await.unwrap();
            }
        }
        for image in client.images().await.unwrap() {
            if image.properties.get("ryo.project").is_some_and(|owner| owners.contains(&owner.as_str())) {
                client.delete_image(&image.fingerprint).await.unwrap();
            }
        }
        let consul = self.consul();
        let mut changes = vec![];
        for prefix in owners.iter().map(|owner| format!("ryo/owned/{owner}")).chain([keys.to_owned()]) {
            let entries = consul.list(&prefix).await.unwrap();
            changes.extend(entries.into_iter().map(|entry| consul::Change::Delete { key: entry.key }));
        }
        changes.sort_by_key(|change| format!("{change:?}"));
        changes.dedup_by_key(|change| format!("{change:?}"));
        if !changes.is_empty() {
            consul.transaction(&changes).await.unwrap();
        }
        for owner in owners {
            let beside = [format!(".ryo-kept-{owner}@"), format!(".ryo-restore-{owner}")];
            for entry in fs::read_dir("/var/containers").into_iter().flatten().flatten() {
                let name = entry.file_name().to_string_lossy().into_owned();
                if name == *owner || beside.iter().any(|begin| name.starts_with(begin)) {
                    fs::remove_dir_all(entry.path()).unwrap();
                }
            }
            let _ = fs::remove_dir_all(format!("/var/lib/ryo/hosts/{}/{owner}", self.name));
        }
    }

    /// Runs words in an instance and returns what they print.
    pub async fn inside(&self, instance: &str, words: &[&str]) -> String {
        let machine = Container::new(self.client(), instance, instance);
        let ended = machine::run(&machine, &machine::Command::new(words.iter().copied()), &[]).await.unwrap();
        assert_eq!(ended.status, 0, "{words:?}: {}", String::from_utf8_lossy(&ended.stderr));
        String::from_utf8(ended.stdout).unwrap()
    }
}

/// A working directory with repositories, for one host.
pub struct Work {
    directory: tempfile::TempDir,
    /// The host.
    pub host: Host,
}

impl Work {
    /// Copies `tests/repositories`, which are deployed in seconds, and writes configuration and settings for `host`.
    pub fn new(host: Host) -> Self {
        Self::copied(host, "tests/repositories", "ryo-tiny")
    }

    /// The same with `examples`, without what a deployment from there has made in them.
    pub fn examples(host: Host) -> Self {
        let work = Self::copied(host, "examples", "ryo-hello");
        for entry in fs::read_dir(work.path("ryo-hello/configuration")).unwrap() {
            let path = entry.unwrap().path();
            if path.to_string_lossy().contains("_signing_key_") {
                fs::remove_file(path).unwrap();
            }
        }
        work
    }

    fn copied(host: Host, from: &str, project: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        copy(&Path::new(env!("CARGO_MANIFEST_DIR")).join(from), directory.path());
        let work = Self { directory, host };
        work.configure(project);
        work
    }

    fn configure(&self, project: &str) {
        let Host { name, socket, network, consul: _, subnet } = &self.host;
        let configuration = self.path("ryo-host/configuration");
        let text = fs::read_to_string(configuration.join("configuration_local.yml")).unwrap();
        let text = text.replace("10.10.1", network).replace("fd10:10:10:1", &format!("fd10:10:10:{subnet}"));
        let text =
            text.replace("lxd_host_network_ipv6_subnet: \"1\"", &format!("lxd_host_network_ipv6_subnet: \"{subnet}\""));
        fs::write(configuration.join(format!("configuration_{name}.yml")), text).unwrap();
        let own = self.path(project).join("configuration");
        for path in [configuration.join("inventory_local"), own.join("configuration_local.yml")] {
            let text = fs::read(&path).unwrap();
            let path = path.to_string_lossy().replace("_local", &format!("_{name}"));
            fs::write(path, text).unwrap();
        }
        let settings = format!("hosts:\n  {name}:\n    connection: local\n    socket: {socket}\n");
        fs::write(self.path("settings.yml"), settings).unwrap();
    }

    /// Returns the path of `name` in the working directory.
    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Replaces text in a file.
    pub fn edit(&self, name: &str, from: &str, to: &str) {
        let text = fs::read_to_string(self.path(name)).unwrap();
        assert!(text.contains(from), "{name} has no `{from}`");
        fs::write(self.path(name), text.replace(from, to)).unwrap();
    }

    /// Returns `ryo` with its words, settings and without a terminal.
    pub fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(var("RYO_BIN"));
        command.args(words).current_dir(self.directory.path());
        command.env("RYO_SETTINGS", self.path("settings.yml")).env("HOME", self.path("home"));
        command.stdin(Stdio::null());
        command
    }

    /// Runs `ryo`.
    pub fn ryo(&self, words: &[&str]) -> Ended {
        Ended::of(&self.command(words).output().unwrap())
    }
}

/// At which turns a run is broken off: each third one against real servers, where a turn takes seconds, or each one if
/// the environment sets `RYO_SWEEP`. The same sweeps against fakes take each one.
pub fn turns() -> impl Iterator<Item = usize> {
    (0..).step_by(if std::env::var_os("RYO_SWEEP").is_some() { 1 } else { 3 })
}

/// How `ryo` ended.
#[derive(Debug, PartialEq, Eq)]
pub struct Ended {
    /// Exit code.
    pub code: Option<i32>,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl Ended {
    /// Reads how a program ended.
    pub fn of(output: &Output) -> Self {
        Self {
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// Runs `ryo` in `directory`, which is called `HERE` in what it says, with nobody in front of it.
    pub fn here(directory: &Path, words: &[&str], set: impl FnOnce(&mut Command)) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ryo"));
        command.args(words).current_dir(directory).stdin(Stdio::null()).env("HOME", directory);
        set(&mut command);
        let ended = Self::of(&command.output().unwrap());
        let here = |text: &str| text.replace(&directory.display().to_string(), "HERE");
        Self { code: ended.code, stdout: here(&ended.stdout), stderr: here(&ended.stderr) }
    }

    /// Fails the test unless it ended well.
    #[track_caller]
    pub fn well(self) -> Self {
        assert_eq!(self.code, Some(0), "stdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        self
    }
}

/// Copies a tree of files.
pub fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), &target).unwrap();
        }
    }
}
