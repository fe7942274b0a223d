//! What a person reads at the end, and the exit code, for each thing that can go wrong outside.

use std::error::Error;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use ryo::failure::{Failure, Kind};
use ryo::flow::health::LastWords;
use ryo::flow::{apply, image, instance, unit};
use ryo::http::HttpError;
use ryo::place::{Place, Problem};
use ryo::{agent, consul, git, lxd, playbook, ssh, ui};

/// Asserts what a person reads about `error`, and the exit code.
#[track_caller]
fn reads(error: impl Into<Failure>, code: u8, text: &str) {
    let failure = error.into();
    assert_eq!((failure.text().as_str(), failure.kind.code()), (text, code));
    let json = failure.json();
    assert_eq!((json["code"].as_u64(), json["event"].as_str()), (Some(code.into()), Some("failed")));
}

fn unreachable(host: &str, kind: io::ErrorKind, reason: &str) -> HttpError {
    HttpError::Unreachable { host: host.to_owned(), source: io::Error::new(kind, reason) }
}

fn stopped(source: apply::Error) -> apply::Stopped {
    apply::Stopped::Failed { number: 3, total: 7, title: "create instance web".to_owned(), source: Box::new(source) }
}

#[test]
fn a_host_that_cannot_be_reached() {
    reads(
        ssh::Error::Unreachable {
            host: "10.0.0.7".to_owned(),
            port: 22,
            source: io::Error::new(io::ErrorKind::TimedOut, "no answer within 20 s"),
        },
        1,
        "error: cannot reach `10.0.0.7` on port 22\n  because: no answer within 20 s\n\
         hint: check that the host is up, and the address and port in its configuration\n",
    );
    reads(
        ssh::Error::Handshake { host: "10.0.0.7".to_owned(), port: 80, source: "the answer is not SSH".into() },
        1,
        "error: `10.0.0.7` on port 80 does not complete the SSH handshake\n  because: the answer is not SSH\n\
         hint: check that the port in its configuration is that of its SSH server\n",
    );
}

#[test]
fn a_key_that_is_refused() {
    reads(
        ssh::Error::Refused {
            host: "10.0.0.7".to_owned(),
            user: "ops".to_owned(),
            tried: vec!["key `/root/.ssh/id_ed25519`".to_owned(), "password".to_owned()],
            allowed: vec!["publickey".to_owned()],
        },
        12,
        "error: `10.0.0.7` does not let `ops` in: tried key `/root/.ssh/id_ed25519`, password; it allows publickey\n\
         hint: check the account, the key and the password in the configuration\n",
    );
    reads(
        ssh::Error::KeyEncrypted { path: PathBuf::from("/root/key") },
        12,
        "error: the private key `/root/key` is encrypted\n\
         hint: add it to an SSH agent, or run this on a terminal to be asked for the passphrase\n",
    );
}

#[test]
fn a_host_key_that_is_new_or_changed() {
    reads(
        ssh::Error::HostKeyChanged {
            host: "[10.0.0.7]:2222".to_owned(),
            fingerprint: "ssh-ed25519 SHA256:abc".to_owned(),
            file: PathBuf::from("/root/.ssh/known_hosts"),
            line: 4,
        },
        12,
        "error: the host key of `[10.0.0.7]:2222` has changed: it is ssh-ed25519 SHA256:abc, not the one in /root/.ssh/known_hosts:4\n\
         hint: somebody may be between you and the host: compare the fingerprint with the one on its console\n\
         hint: if the host was set up anew, remove line 4 of /root/.ssh/known_hosts and connect again\n",
    );
    reads(
        ssh::Error::HostKeyUnknown { host: "host-1".to_owned(), fingerprint: "ssh-ed25519 SHA256:abc".to_owned() },
        12,
        "error: the host key of `host-1` is not known: ssh-ed25519 SHA256:abc\n\
         hint: if this is the right host, add `--host-key SHA256:abc`, or write `host_key: SHA256:abc` for it under \
         `hosts:` in the settings\n\
         hint: or run this on a terminal and confirm it once\n",
    );
}

#[test]
fn an_lxd_socket_that_is_missing_forbidden_or_out_of_reach() {
    let lxd = "LXD at /var/lib/lxd/unix.socket";
    let start = "hint: start LXD or Incus on the host\n";
    let permit = "hint: add the account to the group of LXD or Incus on the host (`lxd`, `incus-admin`)\n";
    let error = |kind, reason| lxd::Error::Http(unreachable(lxd, kind, reason));
    let text = |reason: &str| format!("error: cannot reach {lxd}\n  because: {reason}\n");
    reads(error(io::ErrorKind::NotFound, "no such file"), 1, &(text("no such file") + start));
    reads(error(io::ErrorKind::PermissionDenied, "forbidden"), 1, &(text("forbidden") + permit));
    reads(error(io::ErrorKind::ConnectionRefused, "refused"), 1, &(text("refused") + start + permit));
}

#[test]
fn an_alias_that_is_absent() {
    reads(
        unit::Error::Image(lxd::Error::NoImage { name: "ubuntu-minimal:focal".to_owned() }),
        1,
        "error: no image is called `ubuntu-minimal:focal`\n\
         hint: import an image under this name, or name another one under `images:` in the settings: `ubuntu-minimal:focal: …`\n",
    );
}

#[test]
fn an_image_that_arrives_damaged_or_finds_no_room() {
    let again = "hint: run the same command again: what is done is found done\n";
    reads(
        stopped(lxd::Error::Digest { sent: "aa".to_owned(), received: "bb".to_owned() }.into()),
        1,
        &format!(
            "error: step 3 of 7 failed: create instance web\n  because: the image arrived damaged: sent aa, received bb\n{again}"
        ),
    );
    let failed = lxd::Error::Failed {
        what: "publishing of `web-1`".to_owned(),
        reason: "write /images/x: no space left on device".to_owned(),
    };
    reads(
        stopped(image::Error::Lxd(failed).into()),
        1,
        &format!(
            "error: step 3 of 7 failed: create instance web\n  \
             because: publishing of `web-1` failed: write /images/x: no space left on device\n\
             hint: make room on the storage pool: `ryo image prune` removes images that nothing uses\n{again}"
        ),
    );
}

#[test]
fn an_instance_whose_cloud_init_fails() {
    let source = lxd::Error::CloudInit { instance: "web".to_owned(), errors: vec!["bad runcmd".to_owned()] };
    let error =
        instance::Error::Unhealthy { name: "web".to_owned(), last: LastWords::default(), source: source.into() };
    reads(
        stopped(error.into()),
        1,
        "error: step 3 of 7 failed: create instance web\n  because: instance `web` did not come up\n  \
         because: cloud-init failed in instance `web`: bad runcmd\n\
         hint: its log is /var/log/cloud-init-output.log in instance `web`\n\
         hint: run the same command again: what is done is found done\n",
    );
}

#[test]
fn a_consul_that_is_down_or_breaks_half_way() {
    let consul = "Consul at 127.0.0.1:8500";
    reads(
        consul::Error::Http(unreachable(consul, io::ErrorKind::ConnectionRefused, "Connection refused")),
        1,
        "error: cannot reach Consul at 127.0.0.1:8500\n  because: Connection refused\n\
         hint: start Consul on the host, or say under `hosts:` in the settings where it is\n\
         hint: if it is reached through SSH, allow that in the server's configuration (`AllowTcpForwarding`)\n",
    );
    let refused = consul::Error::Refused {
        host: consul.to_owned(),
        request: "PUT /v1/txn".to_owned(),
        status: 500,
        message: "rpc error".to_owned(),
    };
    reads(
        stopped(refused.into()),
        1,
        "error: step 3 of 7 failed: create instance web\n  \
         because: Consul at 127.0.0.1:8500 refused `PUT /v1/txn` (500): rpc error\n\
         hint: Consul's own log on the host says more\n\
         hint: run the same command again: what is done is found done\n",
    );
}

#[test]
fn problems_of_a_repository_are_all_listed() {
    let problems = || {
        vec![
            Problem::new(Place::new("site.yml", 3, 5), "there is no module `aptt`").hint("did you mean `apt`?"),
            Problem::new(Place::file("main.tf"), "variable `x` is not set"),
        ]
    };
    reads(
        playbook::Error::Problems(problems()),
        2,
        "error: 2 problems\n  site.yml:3:5: there is no module `aptt` (did you mean `apt`?)\n  main.tf: variable `x` is not set\n",
    );
    reads(
        unit::Error::Problems(problems()),
        2,
        "error: 2 problems\n  site.yml:3:5: there is no module `aptt` (did you mean `apt`?)\n  main.tf: variable `x` is not set\n",
    );
}

#[test]
fn a_playbook_whose_host_is_refused_has_the_advice_of_its_carrier() {
    let refused =
        ssh::Error::Refused { host: "10.0.0.7".to_owned(), user: "ops".to_owned(), tried: vec![], allowed: vec![] };
    let source: Box<dyn Error + Send + Sync> = refused.into();
    reads(
        playbook::Error::Unreachable { host: "web".to_owned(), recap: playbook::Recap::default(), source },
        12,
        "error: cannot reach web\n  \
         because: `10.0.0.7` does not let `ops` in: tried nothing, for there is no key and no password\n\
         hint: check the account, the key and the password in the configuration\n",
    );
}

#[test]
fn another_ryo_at_work() {
    reads(
        agent::Error::Held {
            machine: "host-1".to_owned(),
            who: "ops@laptop: deploy ryo-hello".to_owned(),
            since: "2026-11-23T03:07:43Z".to_owned(),
        },
        11,
        "error: ops@laptop: deploy ryo-hello has been at work on host-1 since 2026-11-23T03:07:43Z\n\
         hint: wait until it has ended\n",
    );
}

#[test]
fn a_repository_that_cannot_be_pulled() {
    let pull = "hint: give `--no-pull` to deploy what is checked out\n";
    reads(
        git::Error::Changed {
            directory: PathBuf::from("/w/m"),
            files: ["a", "b", "c", "d"].map(str::to_owned).to_vec(),
        },
        2,
        &format!(
            "error: changes in `/w/m` are in the way of its update: `a`, `b`, `c` and 1 more\nhint: commit these changes or take them back\n{pull}"
        ),
    );
    reads(
        git::Error::Unreachable { url: "https://x/m".to_owned(), source: "no answer".into() },
        1,
        &format!("error: cannot fetch from `https://x/m`\n  because: no answer\n{pull}"),
    );
    reads(
        git::Error::Missing { url: "https://x/m".to_owned(), status: 404 },
        2,
        "error: there is no public repository at `https://x/m`: the server answers 404\n\
         hint: check the name, and where modules are cloned from (`modules:` in the settings)\n",
    );
}

#[test]
fn a_question_without_a_terminal_names_its_flag() {
    reads(
        ui::confirm("Deploy 3 changes?", ui::Default::No, "--yes").unwrap_err(),
        2,
        "error: cannot ask `Deploy 3 changes?`: standard input is no terminal\nhint: give `--yes`\n",
    );
}

#[test]
fn a_wait_that_was_too_long_says_how_long() {
    let timeout = lxd::Error::Timeout { what: "start of `web`".to_owned(), after: Duration::from_secs(90) };
    reads(timeout, 1, "error: start of `web` took longer than 90 s\n");
}

#[test]
fn exit_codes_are_those_of_the_design() {
    let codes = [
        (Kind::World, 1),
        (Kind::Request, 2),
        (Kind::Partly, 3),
        (Kind::Pending, 4),
        (Kind::Locked, 11),
        (Kind::Identity, 12),
        (Kind::Unhealthy, 13),
        (Kind::Interrupted, 130),
        (Kind::Bug, 101),
    ];
    for (kind, code) in codes {
        assert_eq!(kind.code(), code, "{kind:?}");
    }
}
