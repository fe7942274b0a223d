//! `ryo backup schedule` on a control node that systemd runs: a container with this program, which reaches the host over
//! SSH.

use std::collections::BTreeMap;
use std::fs;
use std::process;
use std::time::Duration;

use ryo::container::Container;
use ryo::lxd::instance::{ImageSource, NewInstance};
use ryo::lxd::wait;
use ryo::machine::{self, Command};

use crate::backups::wipe;
use crate::play::{Instance, Kind};
use crate::support::bed::{unique, var};
use crate::support::work::{Host, Work};

/// The units of the backups of the tiny project.
const UNIT: &str = "ryo-backup-local-ryo-tiny";

/// A control node with the working directory of `work` in `/srv/work`.
async fn control_node(work: &Work) -> Instance {
    let Host { name, socket, .. } = &work.host;
    let (address, port) = (var("RYO_SSHD_ADDRESS"), var("RYO_SSHD_PORT"));
    let sshd = format!("tcp:{address}:{port}");
    let proxy = [("type", "proxy"), ("bind", "instance"), ("listen", &sshd), ("connect", &sshd)];
    let proxy: BTreeMap<String, String> = proxy.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
    let new = NewInstance {
        name: unique("control"),
        source: ImageSource::Alias("debian/12".to_owned()),
        virtual_machine: false,
        profiles: vec!["build".to_owned()],
        config: [("user.ryo.project".to_owned(), "test".to_owned())].into(),
        devices: [("sshd".to_owned(), proxy)].into(),
        ephemeral: false,
        description: "a control node of a test".to_owned(),
    };
    let node = Instance::of(Kind::Lxd, new).await;
    booted(&node).await;
    let settings = format!(
        "hosts:\n  {name}:\n    connection: ssh\n    address: {address}\n    port: {port}\n    user: root\n    \
         key: /root/.ssh/key\n    socket: {socket}\n"
    );
    fs::write(work.path("settings.yml"), settings).unwrap();
    let files = process::Command::new("tar").arg("-C").arg(work.path("")).args(["-cf", "-", "."]).output().unwrap();
    node.shell("mkdir -p -m 700 /root/.ssh /root/.config/ryo /srv/work").await;
    given(&node, "tar -C /srv/work -xf - && mv /srv/work/settings.yml /root/.config/ryo/", &files.stdout).await;
    given(&node, "umask 077; cat >/root/.ssh/key", &fs::read(var("RYO_SSH_KEY")).unwrap()).await;
    given(&node, "cat >/root/.ssh/known_hosts", &fs::read(var("RYO_SSH_KNOWN_HOSTS")).unwrap()).await;
    let program = "cat >/usr/local/bin/ryo && chmod 755 /usr/local/bin/ryo";
    given(&node, program, &fs::read(var("RYO_BIN")).unwrap()).await;
    node
}

async fn booted(node: &Instance) {
    wait::cloud_init(&Kind::Lxd.client(), &node.name, Duration::from_mins(2)).await.unwrap();
}

/// Runs a line of shell as root that reads `input`.
async fn given(node: &Instance, line: &str, input: &[u8]) {
    let machine = Container::new(Kind::Lxd.client(), &node.name, &node.name);
    let ended = machine::run(&machine, &Command::new(["sh", "-c", line]), input).await.unwrap();
    assert_eq!(ended.status, 0, "{line}: {}", String::from_utf8_lossy(&ended.stderr));
}

/// Runs `ryo` on the control node.
async fn ryo(node: &Instance, words: &str) -> String {
    node.shell(&format!("cd /srv/work && HOME=/root ryo {words} </dev/null 2>&1")).await
}

#[tokio::test(flavor = "multi_thread")]
async fn systemd_makes_backups_as_it_was_told_also_after_a_start() {
    let host = Host::lxd();
    wipe(&host).await;
    let work = Work::new(host.clone());
    work.ryo(&["deploy", "ryo-tiny", "-n", &host.name, "-v", "1", "--yes"]).well();
    let node = control_node(&work).await;

    let scheduled = "backups of ryo-tiny on host `local`: *-*-* 03:00:00
  /usr/local/bin/ryo backup /srv/work/ryo-tiny -n local --yes --working-directory /srv/work
  /usr/local/bin/ryo backup prune ryo-tiny-store ryo-tiny -n local --yes --keep-daily 7 --working-directory /srv/work
  units: ryo-backup-local-ryo-tiny.timer, ryo-backup-local-ryo-tiny.service, ryo-prune-local-ryo-tiny.service\n";
    let words = "backup schedule ryo-tiny -n local --daily --keep-daily 7";
    assert_eq!(ryo(&node, words).await, scheduled);
    assert_eq!(ryo(&node, words).await, format!("{scheduled}nothing was changed\n"));
    let next = format!("systemctl show --value --property=NextElapseUSecRealtime {UNIT}.timer");
    assert!(node.shell(&next).await.contains(" 03:"), "no time at which it runs next");

    node.shell(&format!("systemctl start {UNIT}.service || {{ journalctl --no-pager -u {UNIT} >&2; exit 1; }}")).await;
    // Old ones are removed after that, by a service of its own.
    let pruned = "until journalctl --no-pager -u ryo-prune-local-ryo-tiny | grep -q Finished; do sleep 1; done";
    node.shell(&format!("timeout 60 sh -c '{pruned}'")).await;
    let archives = node.shell("cd /srv/work/ryo-host/backup-restore/backups && ls *.tar.gz | wc -l").await;
    assert_eq!(archives, "2\n");
    let verified = ryo(&node, "backup verify").await;
    assert!(verified.contains("ryo-tiny-store") && !verified.contains("damaged"), "{verified}");

    let client = Kind::Lxd.client();
    client.stop(&node.name, Duration::from_mins(1)).await.unwrap();
    client.start(&node.name).await.unwrap();
    booted(&node).await;
    assert_eq!(ryo(&node, "backup schedule ryo-tiny -n local").await, scheduled);
    assert_eq!(node.shell(&format!("systemctl is-active {UNIT}.timer")).await, "active\n");

    let removed = "backups of ryo-tiny on host `local` are made no more at certain times\n";
    assert_eq!(ryo(&node, "backup schedule ryo-tiny -n local --remove").await, removed);
    assert_eq!(node.shell(&format!("systemctl list-unit-files --no-legend '{UNIT}*' 'ryo-prune-*' || true")).await, "");
    wipe(&host).await;
}
