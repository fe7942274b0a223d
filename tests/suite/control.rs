//! `ryo control setup`: what is made, what is put right, and what is refused.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::path::Path;

use russh::keys::ssh_key::{Algorithm, LineEnding, PrivateKey, PublicKey};
use ryo::failure::Failure;
use ryo::flow::control::acting;
use ryo::module::system::{Account, System};
use ryo::project::{Control, written};
use ryo::secret::Secret;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::project::{CONTROL, HOST, lay_out};
use crate::support::work::Ended;

fn ryo(directory: &Path, words: &[&str]) -> Ended {
    Ended::here(directory, words, |command| {
        command.env("USER", own().name).env_remove("XDG_CONFIG_HOME");
    })
}

/// The account that runs the tests.
fn own() -> Account {
    let uid = rustix::process::geteuid().as_raw();
    System::whole().accounts().into_iter().find(|account| account.uid == uid).unwrap()
}

/// A working directory with the configuration of a control node whose key is `home/.ssh/key` there.
fn place() -> TempDir {
    let place = lay_out(&[("ryo-host/.git/HEAD", ""), ("ryo-control-node/.git/HEAD", ""), ("home/a", "")]);
    configure(place.path(), &own().name, &place.path().join("home/.ssh/key").display().to_string());
    place
}

fn configure(directory: &Path, user: &str, key: &str) {
    let control = Control {
        user: user.to_owned(),
        user_password: Secret::new(""),
        veth0_part: "10.100.100".to_owned(),
        veth0_prefix: "fd10:10:100:100".to_owned(),
        private_key: key.to_owned(),
        public_key: format!("{key}.pub"),
    };
    let file = directory.join("ryo-control-node/configuration/configuration.yml");
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    fs::write(file, written::control(&control)).unwrap();
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

/// Writes a file of `home/.ssh`, which is made.
fn put(directory: &Path, name: &str, text: &str, mode: u32) {
    let file = directory.join("home/.ssh").join(name);
    if !file.parent().unwrap().exists() {
        fs::create_dir(file.parent().unwrap()).unwrap();
        fs::set_permissions(file.parent().unwrap(), Permissions::from_mode(0o700)).unwrap();
    }
    fs::write(&file, text).unwrap();
    fs::set_permissions(&file, Permissions::from_mode(mode)).unwrap();
}

fn read(directory: &Path, name: &str) -> String {
    fs::read_to_string(directory.join("home/.ssh").join(name)).unwrap()
}

/// A private key and its public half.
fn pair(comment: &str) -> (String, String) {
    let mut key = PrivateKey::random(&mut rand::rng(), Algorithm::Ed25519).unwrap();
    key.set_comment(comment);
    (
        key.to_openssh(LineEnding::LF).unwrap().to_string(),
        format!("{}\n", key.public_key().to_openssh().unwrap().trim()),
    )
}

#[test]
fn a_key_pair_is_made_once() {
    let place = place();
    let here = place.path();
    let ended = ryo(here, &["control", "setup"]);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let begun: Vec<&str> = ended.stderr.lines().filter(|line| line.contains("/2]")).collect();
    assert_eq!(
        begun,
        ["[1/2] make the directory HERE/home/.ssh (0700)", "[2/2] make the key pair HERE/home/.ssh/key (ed25519)",]
    );
    let (private, public) = (read(here, "key"), read(here, "key.pub"));
    assert_eq!(
        ended.stdout,
        format!("control node: 2 changes\npublic key: {public}no host is configured yet: ryo init\n")
    );
    let modes = ["", "key", "key.pub"].map(|name| mode(&here.join("home/.ssh").join(name)));
    assert_eq!(modes, [0o700, 0o600, 0o644]);
    let key = PrivateKey::from_openssh(&private).unwrap();
    assert!(key.algorithm() == Algorithm::Ed25519 && !key.is_encrypted());
    let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
    assert_eq!(key.comment().as_str().unwrap(), format!("{}@{name}", own().name));
    assert_eq!(&PublicKey::from_openssh(&public).unwrap(), key.public_key());

    let again = ryo(here, &["control", "setup"]);
    assert_eq!((again.code, again.stderr.as_str()), (Some(0), ""));
    let told = format!("control node: nothing to do\npublic key: {public}no host is configured yet: ryo init\n");
    assert_eq!(again.stdout, told);
    assert_eq!((read(here, "key"), read(here, "key.pub")), (private, public));
}

#[test]
fn what_is_next_is_told_for_each_host_and_repository() {
    let place = place();
    let here = place.path();
    for host in ["web", "db", "local", "TEMPLATE", "no-name"] {
        let file = here.join(format!("ryo-host/configuration/configuration_{host}.yml"));
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, HOST).unwrap();
    }
    fs::write(here.join("ryo-host/configuration/db_wg_local.conf"), "").unwrap();
    fs::remove_dir_all(here.join("ryo-host/.git")).unwrap();
    fs::write(here.join("settings.yml"), "modules: https://git.example/ryo/\n").unwrap();
    let ended = ryo(here, &["control", "setup", "--settings", "settings.yml"]);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert_eq!(
        ended.stdout.lines().skip(2).collect::<Vec<_>>(),
        [
            "host db: set up",
            "host local: this computer",
            "host web: not set up yet: ryo host setup web",
            "ryo-host has no checkout here, which `ryo` does not need: \
         git init HERE/ryo-host && git -C HERE/ryo-host pull https://git.example/ryo/ryo-host",
        ]
    );
    let ended = ryo(here, &["control", "setup", "--json"]);
    let result: Value = serde_json::from_str(ended.stdout.lines().last().unwrap()).unwrap();
    assert_eq!((ended.code, ended.stderr.as_str(), ended.stdout.lines().count()), (Some(0), "", 1));
    let command = "git init HERE/ryo-host && git -C HERE/ryo-host pull https://github.com/rollyourown-xyz/ryo-host";
    let expected = json!({
        "changed": 0,
        "public_key": read(here, "key.pub").trim(),
        "hosts": [
            { "host": "db", "state": "set_up" },
            { "host": "local", "state": "this_computer" },
            { "host": "web", "state": "not_set_up" },
        ],
        "not_checked_out": [{ "name": "ryo-host", "command": command }],
    });
    assert_eq!(result, json!({ "event": "result", "result": expected }));
}

#[test]
fn permissions_that_are_too_wide_are_put_right_and_told() {
    let place = place();
    let here = place.path();
    let (private, public) = pair("anna@desk");
    put(here, "key", &private, 0o644);
    put(here, "key.pub", &public, 0o666);
    fs::set_permissions(here.join("home/.ssh"), Permissions::from_mode(0o755)).unwrap();
    let ended = ryo(here, &["control", "setup"]);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let begun: Vec<&str> = ended.stderr.lines().filter(|line| line.contains("/3]")).collect();
    assert_eq!(
        begun,
        [
            "[1/3] take permissions of HERE/home/.ssh back: 0755 → 0700",
            "[2/3] take permissions of HERE/home/.ssh/key back: 0644 → 0600",
            "[3/3] take permissions of HERE/home/.ssh/key.pub back: 0666 → 0644",
        ]
    );
    assert_eq!(["", "key", "key.pub"].map(|name| mode(&here.join("home/.ssh").join(name))), [0o700, 0o600, 0o644]);
    assert_eq!((read(here, "key"), read(here, "key.pub")), (private, public));

    // Narrower ones are nobody's business, nor are those of a directory that is not for keys alone.
    configure(here, &own().name, &here.join("home/key").display().to_string());
    for (name, bits) in [("key", 0o400), ("key.pub", 0o600)] {
        fs::rename(here.join("home/.ssh").join(name), here.join("home").join(name)).unwrap();
        fs::set_permissions(here.join("home").join(name), Permissions::from_mode(bits)).unwrap();
    }
    fs::set_permissions(here.join("home"), Permissions::from_mode(0o755)).unwrap();
    let ended = ryo(here, &["control", "setup"]);
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""));
    assert_eq!(ended.stdout.lines().next(), Some("control node: nothing to do"));
}

#[test]
fn the_public_half_is_written_from_the_private_one() {
    let encrypted = {
        let key = PrivateKey::random(&mut rand::rng(), Algorithm::Ed25519).unwrap();
        let text = key.encrypt(&mut rand::rng(), "secret").unwrap().to_openssh(LineEnding::LF).unwrap().to_string();
        (text, key.public_key().to_openssh().unwrap())
    };
    let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let comment = format!("{}@{name}", own().name);
    let (private, public) = pair("anna@desk");
    // The comment is encrypted too, so it gets ours.
    let locked = format!("{} {comment}\n", encrypted.1.trim());
    for (private, public) in [(private, public), (encrypted.0, locked)] {
        let place = place();
        let here = place.path();
        put(here, "key", &private, 0o600);
        let ended = ryo(here, &["control", "setup"]);
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
        let step = ended.stderr.lines().next();
        assert_eq!(step, Some("[1/1] write the public key HERE/home/.ssh/key.pub from the private one"));
        assert_eq!((read(here, "key.pub"), mode(&here.join("home/.ssh/key.pub"))), (public, 0o644));
        assert_eq!(read(here, "key"), private);
    }
}

#[test]
fn what_cannot_be_used_is_left_alone() {
    let ((first, first_public), (_, second_public)) = (pair("a"), pair("b"));
    let locked = "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n\
                  DEK-Info: AES-128-CBC,00112233445566778899AABBCCDDEEFF\n\nAAAA\n-----END RSA PRIVATE KEY-----\n";
    let table: &[(&[(&str, &str)], &str)] = &[
        (
            &[("key.pub", &first_public)],
            "error: the public key `HERE/home/.ssh/key.pub` is there, but its private key `HERE/home/.ssh/key` is not\n\
             hint: put the private key back, or move the public one away: a new pair is made then\n",
        ),
        (
            &[("key", &first), ("key.pub", &second_public)],
            "error: `HERE/home/.ssh/key.pub` is not the public key of `HERE/home/.ssh/key`\n\
             hint: move what is wrong away\n",
        ),
        (
            &[("key", "so secret\n")],
            "error: `HERE/home/.ssh/key` is no private key of SSH\nhint: move what is wrong away\n",
        ),
        (
            &[("key", &first), ("key.pub", "ssh-ed25519 AAAA\n")],
            "error: `HERE/home/.ssh/key.pub` is no public key of SSH\nhint: move what is wrong away\n",
        ),
        (
            &[("key", locked)],
            "error: the public half of `HERE/home/.ssh/key` is not to be had without its passphrase\n\
             hint: write it yourself: ssh-keygen -y -f HERE/home/.ssh/key > HERE/home/.ssh/key.pub\n",
        ),
        (
            &[("key", &first), ("key.pub/x", "")],
            "error: `HERE/home/.ssh/key.pub` is there, but no file\nhint: move what is wrong away\n",
        ),
    ];
    for (files, told) in table {
        let place = place();
        let here = place.path();
        for (name, text) in *files {
            put(here, "other", "", 0o600);
            fs::create_dir_all(here.join("home/.ssh").join(name).parent().unwrap()).unwrap();
            put(here, name, text, 0o644);
        }
        let ended = ryo(here, &["control", "setup"]);
        assert_eq!((ended.code, ended.stderr.as_str(), ended.stdout.as_str()), (Some(2), *told, ""));
        for (name, text) in *files {
            assert_eq!((read(here, name).as_str(), mode(&here.join("home/.ssh").join(name))), (*text, 0o644));
        }
    }
}

#[test]
fn a_configuration_that_cannot_be_used_is_told() {
    let place = place();
    let here = place.path();
    let user = own().name;
    let file = here.join("file");
    fs::write(&file, "").unwrap();
    let inside = |path: &str| here.join(path).display().to_string();
    let table = [
        (
            "nobody-here",
            "/x/y/key".to_owned(),
            "error: there is no account `nobody-here` on this computer\n\
             hint: make the account, or name another one in ryo-control-node/configuration/configuration.yml\n",
        ),
        (
            &user,
            "~/.ssh/key".to_owned(),
            "error: the path `~/.ssh/key` of the key does not begin with `/`\n\
             hint: write the whole path into ryo-control-node/configuration/configuration.yml\n",
        ),
        (
            &user,
            inside("nowhere/.ssh/key"),
            "error: there is no directory `HERE/nowhere` for `HERE/nowhere/.ssh`\n\
             hint: make the directory, or name another place in ryo-control-node/configuration/configuration.yml\n",
        ),
    ];
    for (user, key, told) in table {
        configure(here, user, &key);
        let ended = ryo(here, &["control", "setup"]);
        assert_eq!((ended.code, ended.stderr.as_str(), ended.stdout.as_str()), (Some(2), told, ""));
    }
    configure(here, &user, &inside("file/key"));
    let ended = ryo(here, &["control", "setup"]);
    assert_eq!(
        (ended.code, ended.stderr.as_str()),
        (Some(1), "error: cannot read `HERE/file/key`\n  because: Not a directory (os error 20)\n")
    );
}

#[test]
fn a_control_node_that_nobody_configured_needs_init() {
    let place = lay_out(&[("ryo-host/a", "")]);
    let ended = ryo(place.path(), &["control", "setup"]);
    assert_eq!(
        (ended.code, ended.stderr.as_str()),
        (
            Some(2),
            "error: 1 problem; nothing was touched\n  \
             HERE/ryo-control-node/configuration/configuration.yml: this configuration file is missing\n\
             hint: `ryo init` writes the files that are missing\n"
        )
    );
    let ended = ryo(place.path(), &["control", "stup"]);
    assert_eq!(ended.code, Some(2));
    assert_eq!(ended.stderr.lines().nth(2), Some("  tip: a similar subcommand exists: 'setup'"));
}

#[test]
fn a_host_cannot_be_set_up_without_a_key() {
    let place = lay_out(&[
        ("ryo-control-node/configuration/configuration.yml", &CONTROL.replace("/home/", "/nowhere/")),
        ("ryo-host/configuration/configuration_web.yml", HOST),
    ]);
    fs::write(place.path().join("ryo-host/configuration/configuration_web.yml"), without_placeholders()).unwrap();
    let ended = ryo(place.path(), &["host", "setup", "web"]);
    assert_eq!(
        (ended.code, ended.stderr.as_str()),
        (
            Some(2),
            "error: cannot read the public key `/nowhere/me/.ssh/ryo_id_ssh_rsa.pub`: No such file or directory \
             (os error 2)\nhint: make it: `ryo control setup`\n"
        )
    );
    let ended = ryo(place.path(), &["host", "setup", "db"]);
    assert_eq!(ended.code, Some(2));
    assert_eq!(ended.stderr.lines().last(), Some("hint: `ryo init` writes the files that are missing"));
}

fn without_placeholders() -> String {
    HOST.replace("<IPV6 PREFIX>", "\"\"").replace("<IPV6 ADDRESS>", "\"\"")
}

#[test]
fn only_root_acts_for_another() {
    let account = |name: &str, uid| Account {
        name: name.to_owned(),
        uid,
        gid: uid,
        comment: String::new(),
        home: String::new(),
        shell: String::new(),
    };
    let accounts = [account("root", 0), account("anna", 1000), account("bob", 1001)];
    let uid = |user: &str, own, own_name: &str| {
        acting(user, own, own_name, &accounts).map(|it| it.uid).map_err(|error| Failure::from(error).text())
    };
    assert_eq!(uid("anna", 1000, "anna"), Ok(1000));
    assert_eq!(uid("anna", 0, "root"), Ok(1000));
    assert_eq!(uid("root", 0, "root"), Ok(0));
    assert_eq!(uid("far", 4000, "far"), Ok(4000), "an account that is not in the file");
    let told = |acting: &str| {
        format!(
            "error: the control node belongs to the account `anna`, not to `{acting}`\nhint: run it as `anna` or as root\n"
        )
    };
    assert_eq!(uid("anna", 1001, "anna"), Err(told("bob")));
    assert_eq!(uid("anna", 4000, "far"), Err(told("far")));
    let missing = "error: there is no account `eve` on this computer\n\
                   hint: make the account, or name another one in ryo-control-node/configuration/configuration.yml\n";
    for own in [0, 1000] {
        assert_eq!(uid("eve", own, "anna"), Err(missing.to_owned()));
    }
}

/// Root makes the keys of another account with that one's rights; everybody else makes his own.
#[test]
fn keys_belong_to_the_configured_account() {
    let place = place();
    let here = place.path();
    let root = rustix::process::geteuid().is_root();
    let account =
        if root { System::whole().accounts().into_iter().find(|it| it.name == "nobody").unwrap() } else { own() };
    fs::set_permissions(here, Permissions::from_mode(0o755)).unwrap();
    chown(here.join("home"), Some(account.uid), Some(account.gid)).unwrap();
    configure(here, &account.name, &here.join("home/.ssh/key").display().to_string());
    let ended = ryo(here, &["control", "setup"]);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let owner = |path: &str| fs::metadata(here.join(path)).map(|it| (it.uid(), it.gid())).unwrap();
    for path in ["home/.ssh", "home/.ssh/key", "home/.ssh/key.pub"] {
        assert_eq!(owner(path), (account.uid, account.gid), "{path}");
    }
    let again = ryo(here, &["control", "setup"]);
    assert_eq!((again.code, again.stderr.as_str()), (Some(0), ""));

    // What belongs to somebody else is not touched: nobody but root could give it away.
    if root {
        chown(here.join("home/.ssh/key.pub"), Some(0), Some(0)).unwrap();
        let ended = ryo(here, &["control", "setup"]);
        assert_eq!(ended.code, Some(2));
        assert_eq!(
            ended.stderr,
            "error: `HERE/home/.ssh/key.pub` belongs to the account with number 0, not to `nobody`\n\
             hint: give it to the account: chown nobody HERE/home/.ssh/key.pub\n"
        );
        chown(here.join("home"), Some(0), Some(0)).unwrap();
        fs::remove_dir_all(here.join("home/.ssh")).unwrap();
        let ended = ryo(here, &["control", "setup"]);
        assert_eq!(ended.code, Some(1));
        let last = ended.stderr.lines().skip(2).collect::<Vec<_>>();
        assert_eq!(last, ["error: cannot make `HERE/home/.ssh`", "  because: Permission denied (os error 13)",]);
    }
}
