//! Hosts that cannot be reached, or do not let us in.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use russh::keys::ssh_key::LineEnding;
use ryo::wireguard::PrivateKey;

use crate::ssh::server::{Lets, Sshd, new_key};
use crate::support::work::{Ended, copy};

/// A working directory with the repositories of the tests; it is the home directory as well.
pub(super) struct Directory(tempfile::TempDir);

impl Directory {
    /// With these settings.
    pub(super) fn new(settings: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        copy(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/repositories"), directory.path());
        fs::write(directory.path().join("settings.yml"), settings).unwrap();
        Self(directory)
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(super) fn edit(&self, name: &str, from: &str, to: &str) {
        let text = fs::read_to_string(self.path(name)).unwrap();
        assert!(text.contains(from), "{name} has no `{from}`");
        fs::write(self.path(name), text.replace(from, to)).unwrap();
    }

    pub(super) fn remove(&self, name: &str) {
        let path = self.path(name);
        if path.is_dir() { fs::remove_dir_all(path).unwrap() } else { fs::remove_file(path).unwrap() }
    }

    /// Runs `ryo`; this directory is `HERE` in what it prints.
    pub(super) fn ryo(&self, words: &[&str]) -> Ended {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ryo"));
        command.args(words).current_dir(self.0.path()).stdin(Stdio::null()).env_remove("SSH_AUTH_SOCK");
        command.env("RYO_SETTINGS", self.path("settings.yml")).env("HOME", self.0.path());
        let output = command.output().unwrap();
        let here = self.0.path().display().to_string();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).replace(&here, "HERE");
        Ended { code: output.status.code(), stdout: text(&output.stdout), stderr: text(&output.stderr) }
    }
}

/// A working directory whose host `web` is the SSH server on `port` of this computer.
fn web(port: u16) -> Directory {
    let directory = Directory::new(&format!(
        "hosts:\n  web:\n    address: 127.0.0.1\n    port: {port}\n    user: operator\n    key: home-key\n"
    ));
    let settings = fs::read_to_string(directory.path("settings.yml")).unwrap();
    let key = directory.path("home-key");
    fs::write(directory.path("settings.yml"), settings.replace("home-key", &key.display().to_string())).unwrap();
    fs::write(key, new_key().to_openssh(LineEnding::LF).unwrap()).unwrap();
    for name in [
        "ryo-host/configuration/configuration",
        "ryo-host/configuration/inventory",
        "ryo-tiny/configuration/configuration",
    ] {
        let end = if name.ends_with("inventory") { "" } else { ".yml" };
        fs::copy(directory.path(&format!("{name}_local{end}")), directory.path(&format!("{name}_web{end}"))).unwrap();
    }
    directory
}

/// Runs the deployment beside the server; the server's port is `PORT` in what it prints.
async fn deploys(directory: Directory, port: u16) -> (Option<i32>, String) {
    let run = move || directory.ryo(&["deploy", "ryo-tiny", "-n", "web", "-v", "1", "--yes"]);
    let ended = tokio::task::spawn_blocking(run).await.unwrap();
    (ended.code, ended.stderr.replace(&port.to_string(), "PORT"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_that_does_not_answer_is_told_with_address_and_port() {
    let port = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    let (code, text) = deploys(web(port), port).await;
    assert_eq!(code, Some(1));
    assert_eq!(
        text,
        "error: cannot reach `127.0.0.1` on port PORT\n  because: Connection refused (os error 111)\n\
         hint: check that the host is up, and the address and port in its configuration\n"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tunnel_whose_other_end_is_silent_is_told() {
    let silent = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let port = silent.local_addr().unwrap().port();
    let directory = web(port);
    fs::write(directory.path("settings.yml"), "{}").unwrap();
    let (own, other) = (PrivateKey::generate(), PrivateKey::generate());
    let configuration = format!(
        "[Interface]\nPrivateKey = {}\nAddress = 10.0.1.1/32\n\n[Peer]\nPublicKey = {}\nAllowedIPs = 10.0.1.2/32\n\
         Endpoint = 127.0.0.1:{port}\n",
        own.reveal(),
        other.public()
    );
    fs::write(directory.path("ryo-host/configuration/web_wg_local.conf"), configuration).unwrap();
    let (code, text) = deploys(directory, port).await;
    assert_eq!(code, Some(1));
    assert_eq!(
        text,
        "error: no answer of the WireGuard peer at 127.0.0.1:PORT within 10 s\n\
         hint: check that the host is up, and that its WireGuard port can be reached\n"
    );
    assert!(!text.contains(own.reveal()));
}

fn known(directory: &Directory, port: u16, key: &russh::keys::PublicKey) {
    fs::create_dir_all(directory.path(".ssh")).unwrap();
    let line = format!("[127.0.0.1]:{port} {}\n", key.to_openssh().unwrap());
    fs::write(directory.path(".ssh/known_hosts"), line).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_that_is_refused_is_told_with_what_was_tried() {
    let sshd = Sshd::start(Lets::default()).await;
    let port = sshd.address.port();
    let directory = web(port);
    known(&directory, port, &sshd.host_key);
    let (code, text) = deploys(directory, port).await;
    assert_eq!(code, Some(12));
    assert_eq!(
        text,
        "error: `127.0.0.1` does not let `operator` in: tried key `HERE/home-key`; it allows publickey\n\
         hint: check the account, the key and the password in the configuration\n"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_key_that_has_changed_ends_everything() {
    let sshd = Sshd::start(Lets { anybody: true, ..Lets::default() }).await;
    let port = sshd.address.port();
    let directory = web(port);
    known(&directory, port, new_key().public_key());
    let (code, text) = deploys(directory, port).await;
    let digest = sshd.host_key.fingerprint(russh::keys::HashAlg::Sha256).to_string();
    assert_eq!(code, Some(12));
    assert_eq!(
        text.replace(&digest, "DIGEST"),
        "error: the host key of `[127.0.0.1]:PORT` has changed: it is ssh-ed25519 DIGEST, not the one in \
         HERE/.ssh/known_hosts:1\n\
         hint: somebody may be between you and the host: compare the fingerprint with the one on its console\n\
         hint: if the host was set up anew, remove line 1 of HERE/.ssh/known_hosts and connect again\n"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_key_that_nobody_knows_is_not_trusted_without_a_person() {
    let sshd = Sshd::start(Lets { anybody: true, ..Lets::default() }).await;
    let port = sshd.address.port();
    let (code, text) = deploys(web(port), port).await;
    let digest = sshd.host_key.fingerprint(russh::keys::HashAlg::Sha256).to_string();
    assert_eq!(code, Some(12));
    assert_eq!(
        text.replace(&digest, "DIGEST"),
        "error: the host key of `[127.0.0.1]:PORT` is not known: ssh-ed25519 DIGEST\n\
         hint: if this is the right host, add `--host-key DIGEST`, or write `host_key: DIGEST` for it under `hosts:` in the settings\n\
         hint: or run this on a terminal and confirm it once\n"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_socket_of_lxd_that_is_missing_on_a_remote_host_is_told() {
    let sshd = Sshd::start(Lets { anybody: true, ..Lets::default() }).await;
    let port = sshd.address.port();
    let directory = web(port);
    known(&directory, port, &sshd.host_key);
    let settings = fs::read_to_string(directory.path("settings.yml")).unwrap();
    fs::write(directory.path("settings.yml"), settings + "    socket: /nowhere/unix.socket\n").unwrap();
    let (code, text) = deploys(directory, port).await;
    assert_eq!(code, Some(1));
    assert_eq!(
        text,
        "error: cannot reach LXD at /nowhere/unix.socket on web\n  \
         because: the SSH server cannot connect to `/nowhere/unix.socket`\n\
         hint: start LXD or Incus on the host\n\
         hint: add the account to the group of LXD or Incus on the host (`lxd`, `incus-admin`)\n"
    );
}
