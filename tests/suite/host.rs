//! Setting a host up, as far as it needs no server: the playbooks themselves, the ways in, the end of the tunnel.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use ryo::event::Events;
use ryo::failure::{Failure, Kind};
use ryo::flow::host::status::{self, Space, Status};
use ryo::flow::host::{self, Consul, Open, Request, Server, Shut, Way};
use ryo::playbook::{Known, check};
use ryo::wireguard::Configuration;
use ryo::wireguard::pair::{self, Ends, Keys};
use ryo::{playbooks, project, ssh};
use tempfile::TempDir;
use tokio::sync::watch;

/// The example's working directory.
fn directory() -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    for file in ["ryo-host/configuration/configuration_local.yml", "ryo-control-node/configuration/configuration.yml"] {
        let to = directory.path().join(file);
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::copy(examples.join(file), to).unwrap();
    }
    directory
}

fn request(directory: &Path) -> Request {
    let host = project::host::read(directory, "local").unwrap();
    Request {
        ends: host::ends(directory, &host).unwrap(),
        host,
        control: project::control::read(directory).unwrap(),
        public_key: "ssh-ed25519 AAAA anna@desk".to_owned(),
        server: Server::Lxd,
        storage: host::Storage::default(),
        consul: Consul::default(),
        consul_default_policy: host::DefaultPolicy::default(),
        build_network: "auto".to_owned(),
    }
}

/// The file with the control node's end of the tunnel.
fn end(directory: &Path) -> PathBuf {
    directory.join("ryo-host/configuration/local_wg_local.conf")
}

/// What the control node is told of the example's host.
fn told(keys: &Keys) -> Configuration {
    let addresses = |texts: [&str; 2]| texts.map(|text| text.parse().unwrap()).to_vec();
    let ends = Ends {
        control: addresses(["10.0.1.1", "fd10:10:0:1::1"]),
        host: addresses(["10.0.1.2", "fd10:10:0:1::2"]),
        behind_control: vec![],
        behind_host: ["10.10.1.0/24", "fd10:10:10:1::1:0/112"].map(|text| text.parse().unwrap()).to_vec(),
        endpoint: "10.10.1.1:52222".parse().unwrap(),
    };
    pair::control(&ends, &keys.control, &keys.shared, keys.host.public())
}

#[test]
fn our_own_playbooks_have_no_problem() {
    let (directory, exported) = (directory(), tempfile::tempdir().unwrap());
    playbooks::export(exported.path()).unwrap();
    let mut files: Vec<PathBuf> =
        fs::read_dir(exported.path().join("host")).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|it| it == "yml"));
    assert_eq!(files.len(), 10);
    let file = Consul::File { url: "https://mirror.test/consul.zip".to_owned(), sha256: "0".repeat(64) };
    let (allow, deny) = (host::DefaultPolicy::Allow, host::DefaultPolicy::Deny);
    let (btrfs, zfs) = (host::Storage::Btrfs, host::Storage::Zfs);
    for (consul, consul_default_policy, storage) in [(Consul::default(), allow, btrfs), (file, deny, zfs)] {
        let request = Request { consul, consul_default_policy, storage, ..request(directory.path()) };
        let known = Known { extra_vars: request.variables(directory.path()), ..Known::default() };
        for file in &files {
            let problems = check(file, &known);
            assert!(problems.is_empty(), "{problems:?}");
        }
    }
}

/// What the checks of a server say where `changed` is as it should not be; this computer is the server.
fn refused(changed: &serde_json::Value) -> String {
    let (directory, exported) = (directory(), tempfile::tempdir().unwrap());
    playbooks::export(exported.path()).unwrap();
    let mut variables = request(directory.path()).variables(directory.path());
    let gibibytes = 1_u64 << 30;
    let own = serde_json::json!({
        "ansible_distribution": "Debian",
        "ansible_distribution_major_version": "12",
        "ansible_mounts": [{ "mount": "/", "size_total": 60 * gibibytes, "size_available": 3 * gibibytes }],
        "lxd_host_network_part": "198.18.51",
        "wireguard_network_part": "198.19.51",
    });
    for values in [&own, changed] {
        variables.extend(values.as_object().unwrap().clone());
    }
    let file = exported.path().join("variables.json");
    fs::write(&file, serde_json::to_vec(&variables).unwrap()).unwrap();
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_ryo"))
        .args(["play", "host/checks.yml", "-i", "server,", "-e", "ansible_connection=local", "-e"])
        .arg(format!("@{}", file.display()))
        .current_dir(exported.path())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let failed = text.lines().find(|line| line.starts_with("fatal: ") || line.starts_with("failed: "));
    match failed.and_then(|line| line.split_once(" => ")) {
        Some((_, message)) => message.to_owned(),
        None if output.status.success() => String::new(),
        None => text,
    }
}

#[test]
fn a_server_that_cannot_be_a_host_is_told_why() {
    let cases = serde_json::json!([
        [{}, ""],
        [
            { "ansible_distribution_major_version": "11" },
            "Debian 11 is not supported: use Debian 12 or 13, Ubuntu 22.04 or 24.04"
        ],
        [
            { "namespaces": { "stdout_lines": ["net", "user", "user"] } },
            "the kernel has no namespaces of these kinds: net, user; containers cannot run on it: take a server with a \
             kernel of its own (KVM, not OpenVZ)"
        ],
        [
            { "control_clock": 3600, "ansible_date_time": { "epoch": "0" } },
            "the clock of the server is 3600 seconds behind that of this computer: packages and certificates would be \
             refused; set it with `timedatectl set-ntp true`"
        ],
        [
            { "control_clock": 0, "ansible_date_time": { "epoch": "301" } },
            "the clock of the server is 301 seconds ahead of that of this computer: packages and certificates would be \
             refused; set it with `timedatectl set-ntp true`"
        ],
        [
            { "lxd_host_network_part": "127.0.0" },
            "the server has the network of our bridge already, on lo: choose another `lxd_host_network_part` in its \
             configuration"
        ],
        [
            { "wireguard_network_part": "127.0.0" },
            "the server has the network of our tunnel already, on lo: choose another `wireguard_network_part` in its \
             configuration"
        ],
        [
            { "ansible_mounts": [{ "mount": "/", "size_total": 60_000_000_000_u64, "size_available": 1_073_741_824 }] },
            "1024 MiB are free on /: at least 2048 MiB are needed"
        ],
        [
            { "lxd_storage_pool_size": "70GiB", "lxd_storage_pool_bytes": 75_161_927_680_u64 },
            "the pool is to have 70GiB, and / has 60 GiB in all: choose a smaller `lxd_storage_pool_size`"
        ],
    ]);
    for case in cases.as_array().unwrap() {
        assert_eq!(refused(&case[0]), case[1].as_str().unwrap(), "{case}");
    }
}

#[test]
fn how_a_host_is_is_told_in_rows() {
    let space =
        |name: &str, used: u64, total: u64| Space { name: name.to_owned(), used: used << 20, total: total << 20 };
    let instance = |name: &str, status: &str, owner: Option<&str>| status::Instance {
        name: name.to_owned(),
        status: status.to_owned(),
        owner: owner.map(str::to_owned),
        version: owner.map(|_| "20261123".to_owned()),
        ..status::Instance::default()
    };
    let kept = |id: &str, since| status::Kept { id: id.to_owned(), stamp: "20261101".to_owned(), since, size: None };
    let now = 1_795_000_000;
    let status = Status {
        host: "web".to_owned(),
        system: "Debian 12.8".to_owned(),
        kernel: "6.1.0-27-amd64".to_owned(),
        up: 2 * 86_400 + 5,
        reboot: vec![
            "Linux 6.1.0-28-amd64 is installed, 6.1.0-27-amd64 runs".to_owned(),
            "packages ask for it".to_owned(),
        ],
        server: "lxd 5.0.2".to_owned(),
        certificate_until: Some(now + 3600),
        consul: None,
        consul_error: Some("cannot reach Consul".to_owned()),
        spaces: vec![space("disk /", 12_595, 40_960), space("pool lxd", 0, 0)],
        instances: vec![
            instance("a-very-long-name-for-an-instance", "Stopped", None),
            instance("hello", "Running", Some("ryo-hello")),
        ],
        backup: Some(now - 61),
        kept: vec![
            status::Kept { size: Some(3 << 29), ..kept("ryo-gitea", now - 3 * 86_400) },
            kept("ryo-mariadb", now - 30),
        ],
        ..Status::default()
    };
    assert_eq!(
        status.text(now),
        "host web: Debian 12.8, Linux 6.1.0-27-amd64, up 2 days\n\
         \x20 server            lxd 5.0.2, certificate until 2026-11-18 (in 1 hour)\n\
         \x20 consul            cannot reach Consul\n\
         \x20 reboot            Linux 6.1.0-28-amd64 is installed, 6.1.0-27-amd64 runs; packages ask for it\n\
         \x20 disk /            12.2 of 40.0 GiB used (30 %)\n\
         \x20 pool lxd          0.0 of 0.0 GiB used (0 %)\n\
         \x20 last backup       1 minute ago, on 2026-11-18\n\
         \x20 old data          ryo-gitea from before the restore of 20261101, 3 days ago, 1.5 GiB\n\
         \x20 old data          ryo-mariadb from before the restore of 20261101, 30 seconds ago, size not counted\n\
         \x20 instances         2\n\
         \x20   a-very-long-name-for-an-instance stopped\n\
         \x20   hello           running   ryo-hello 20261123\n"
    );
    let status = Status { certificate_until: Some(now), consul: Some("1.20.1".to_owned()), backup: None, ..status };
    let text = status.text(now);
    assert!(text.contains("  server            lxd 5.0.2, certificate until 2026-11-18 (it has ended)\n"), "{text}");
    assert!(text.contains("  consul            1.20.1\n") && text.contains("  last backup       never\n"), "{text}");
}

#[test]
fn secrets_of_a_request_are_not_shown() {
    let (directory, keys) = (directory(), Keys::generate());
    fs::write(end(directory.path()), told(&keys).render().reveal()).unwrap();
    let request = request(directory.path());
    assert_eq!(request.ends.preshared_key(), keys.shared.reveal());
    let shown = format!("{request:?}");
    assert!(!shown.contains(request.ends.preshared_key()), "{shown}");
    assert!(!shown.contains(keys.control.reveal()), "{shown}");
}

/// Opens no way; what was tried is noted.
fn shut(tried: &Arc<Mutex<Vec<Way>>>, answer: impl Fn(Way) -> Shut + Send + Sync + 'static) -> Open {
    let (tried, answer) = (tried.clone(), Arc::new(answer));
    Arc::new(move |way| {
        tried.lock().unwrap().push(way);
        let shut = answer(way);
        Box::pin(async move { Err(shut) })
    })
}

async fn set_up(open: &Open) -> Failure {
    let directory = directory();
    let (_keep, stop) = watch::channel(false);
    let place = directory.path();
    let ended =
        host::carry_out(host::What::SetUp, &request(place), open, place, place, &Events::new(drop), &stop).await;
    Failure::from(ended.unwrap_err())
}

#[tokio::test]
async fn a_server_without_a_way_in_is_told_with_every_reason() {
    let tried = Arc::default();
    let open = shut(&tried, |way| {
        Shut::Closed(match way {
            Way::Tunnel | Way::NewTunnel => "the host has not told its end of the tunnel yet".into(),
            Way::Account | Way::First => {
                let source = std::io::Error::from(std::io::ErrorKind::ConnectionRefused);
                ssh::Error::Unreachable { host: "192.0.2.7".to_owned(), port: 22, source }.into()
            }
        })
    });
    let failure = set_up(&open).await;
    assert_eq!(*tried.lock().unwrap(), [Way::Tunnel, Way::Account, Way::First]);
    assert_eq!(failure.kind, Kind::World);
    assert_eq!(
        failure.text(),
        "error: there is no way in to host `local`\n\
         \x20 through the tunnel: the host has not told its end of the tunnel yet\n\
         \x20 by the operator's account: cannot reach `192.0.2.7` on port 22: connection refused\n\
         \x20 by the first login: cannot reach `192.0.2.7` on port 22: connection refused\n\
         hint: check that the server is up, and the addresses and ports in its configuration\n"
    );
}

#[tokio::test]
async fn a_server_that_is_another_one_is_left_alone() {
    let tried = Arc::default();
    let open = shut(&tried, |_| {
        let pinned = "SHA256:bbb".to_owned();
        let (host, fingerprint) = ("192.0.2.7".to_owned(), "ssh-ed25519 SHA256:aaa".to_owned());
        Shut::Refused(ssh::Error::HostKeyNotPinned { host, fingerprint, pinned }.into())
    });
    let failure = set_up(&open).await;
    assert_eq!(*tried.lock().unwrap(), [Way::Tunnel]);
    assert_eq!(failure.kind, Kind::Identity);
    assert_eq!(
        failure.text(),
        "error: cannot log in to host `local` through the tunnel\n  \
         because: the host key of `192.0.2.7` is ssh-ed25519 SHA256:aaa, not the pinned SHA256:bbb\n\
         hint: somebody may be between you and the host: compare the fingerprint with the one on its console\n"
    );
}

#[test]
fn the_end_of_the_tunnel_here_is_kept_and_a_broken_one_is_refused() {
    let directory = directory();
    let host = project::host::read(directory.path(), "local").unwrap();
    let file = end(directory.path());
    let made = host::ends(directory.path(), &host).unwrap();
    assert!(made.configuration().is_none(), "it is there once the host has told its own");
    assert!(host::written(directory.path(), "local").unwrap().is_none());

    let told = told(&Keys::generate());
    fs::write(&file, told.render().reveal()).unwrap();
    let read = host::ends(directory.path(), &host).unwrap();
    assert_eq!(read.configuration(), Some(told.clone()));
    assert_eq!(host::written(directory.path(), "local").unwrap(), Some(told));

    fs::write(&file, "[Interface]\nPrivateKey = short\n").unwrap();
    let error = host::ends(directory.path(), &host).unwrap_err().to_string();
    assert!(error.starts_with(&format!("{}:2:", file.display())), "{error}");
    assert!(!error.contains("short"), "a key is not shown: {error}");
}
