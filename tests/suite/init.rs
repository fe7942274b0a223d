//! `ryo init`: what is asked, what is written, and what is left alone.

use std::fs;
use std::net::Ipv4Addr;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown, symlink};
use std::path::{Path, PathBuf};

use ryo::project::host::PublicIpv6;
use ryo::project::networks::{self, Network};
use ryo::project::{Control, Host, control, host, written};
use ryo::secret::Secret;
use tempfile::TempDir;

use crate::project::{CONTROL, HOST, lay_out, told};
use crate::support::terminal::Terminal;
use crate::support::work::Ended;

/// Runs `ryo init` with nobody in front of it.
fn init(directory: &Path, words: &[&str]) -> Ended {
    Ended::here(directory, &[&["init"], words].concat(), |command| {
        command.env("USER", "anna").env_remove("SUDO_USER").env_remove("XDG_CONFIG_HOME");
    })
}

fn directory() -> TempDir {
    tempfile::tempdir().unwrap()
}

/// Every file below, with permissions and text.
fn files(directory: &Path) -> Vec<(String, u32, String)> {
    let (mut folders, mut found) = (vec![directory.to_owned()], vec![]);
    while let Some(folder) = folders.pop() {
        for path in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            if path.is_dir() {
                folders.push(path);
            } else {
                let mode = fs::symlink_metadata(&path).unwrap().permissions().mode() & 0o7777;
                let name = path.strip_prefix(directory).unwrap().display().to_string();
                found.push((name, mode, fs::read_to_string(&path).unwrap_or_default()));
            }
        }
    }
    found.sort();
    found
}

fn names(directory: &Path) -> Vec<String> {
    files(directory).into_iter().map(|(name, ..)| name).collect()
}

const WEB: &str = r#"# The host server `web`. There are passwords in here: never publish this file.

# The IPv4 address at which the control node reaches the host and on which its services answer. It is in inventory_web too.
host_control_ip: "192.168.7.20"

# The IPv4 address at which the internet reaches the host.
host_public_ip: "203.0.113.7"

# Whether the host has a public IPv6 network, its front without colons and length at the end, and the host's address.
# The last two have to be here even where there is none.
host_public_ipv6: true
host_public_ipv6_prefix: "2001:db8:1:2"
host_public_ipv6_address: "2001:db8:1:2::7"

# The first login on the new server. Without a password it is by a key.
host_initial_ssh_port: 22022
host_root_user: "debian"
host_root_password: "it's \"so\" \\ #1: é"

# The operator's account, which is made on the host. From then on SSH takes its key alone, on the new port.
host_non_root_user: "ops"
host_non_root_user_password: "second"
host_new_ssh_port: 2233
"#;

const WEB_NETWORKS: &str = r#"
# The tunnel between control node and host. No two hosts may have the same networks.
host_wireguard_port: 52233
wireguard_network_part: "10.0.1"
wireguard_network_ipv6_prefix: "fd10:10:0:1"

# The bridge of the containers. No two hosts may have the same networks.
lxd_host_network_part: "10.10.1"
lxd_host_network_ipv6_subnet: "1"
lxd_host_private_ipv6_prefix: "fd10:10:10:1"

# The size of the storage pool. At least 5 GB have to be left for the system.
lxd_storage_pool_size: "60GiB"
"#;

const WEB_INVENTORY: &str = r#"# The addresses of the host server `web`. They have to be the same as in configuration_web.yml.

[host_control_ip]
192.168.7.20

[host_wireguard_ip6]
fd10:10:0:1::2

[local]
::1 ansible_connection=local ansible_python_interpreter="{{ansible_playbook_python}}"
"#;

const CONTROL_NODE: &str = r#"# The control node: the computer on which `ryo` runs. Never publish this file once there is a password in it.

# The account that files belong to and that logs in to hosts.
local_non_root_user: "anna"

# Its password for sudo, which `ryo` does not need.
local_non_root_user_password: ""

# The fronts of the networks of the control node's dummy interface.
veth0_network_part: "10.100.100"
veth0_network_ipv6_prefix: "fd10:10:100:100"

# The key with which the control node logs in to hosts. `ryo control setup` makes it.
local_non_root_user_ssh_private_key_file_path: "/home/{{ local_non_root_user }}/.ssh/ryo_id_ed25519"
local_non_root_user_ssh_public_key_file_path: "/home/{{ local_non_root_user }}/.ssh/ryo_id_ed25519.pub"
"#;

/// The host of [`WEB`].
fn web() -> Host {
    Host {
        name: "web".to_owned(),
        control_ip: "192.168.7.20".parse().unwrap(),
        control_ipv6: None,
        public_ip: "203.0.113.7".parse().unwrap(),
        public_ipv6: Some(PublicIpv6 {
            prefix: "2001:db8:1:2".to_owned(),
            address: "2001:db8:1:2::7".parse().unwrap(),
        }),
        initial_ssh_port: 22022,
        root_user: "debian".to_owned(),
        root_password: Secret::new("it's \"so\" \\ #1: é"),
        user: "ops".to_owned(),
        user_password: Secret::new("second"),
        ssh_port: 2233,
        wireguard_port: 52233,
        wireguard_part: "10.0.1".to_owned(),
        wireguard_prefix: "fd10:10:0:1".to_owned(),
        bridge_part: "10.10.1".to_owned(),
        bridge_subnet: "1".to_owned(),
        bridge_prefix: "fd10:10:10:1".to_owned(),
        storage_pool_size: "60GiB".to_owned(),
    }
}

fn anna() -> Control {
    Control {
        user: "anna".to_owned(),
        user_password: Secret::new(""),
        veth0_part: "10.100.100".to_owned(),
        veth0_prefix: "fd10:10:100:100".to_owned(),
        private_key: "/home/anna/.ssh/ryo_id_ed25519".to_owned(),
        public_key: "/home/anna/.ssh/ryo_id_ed25519.pub".to_owned(),
    }
}

#[test]
fn every_answer_may_be_a_flag_and_what_is_written_is_read_back() {
    let (place, secrets) = (directory(), lay_out(&[("a", "it's \"so\" \\ #1: é\n"), ("b", "second\nno more\n")]));
    let secret = |name: &str| secrets.path().join(name).display().to_string();
    let here = place.path();
    let words = "--host web --address 192.168.7.20 --public-address 203.0.113.7 --ipv6-prefix 2001:db8:1:2::/64 \
                 --ipv6-address 2001:db8:1:2::7 --first-user debian --first-port 22022 --user ops --ssh-port 2233 \
                 --wireguard-port 52233 --pool-size 60GiB";
    let files_of_passwords = [secret("a"), secret("b")];
    let mut words: Vec<&str> = words.split_whitespace().collect();
    words.extend(["--password-file", &files_of_passwords[0], "--user-password-file", &files_of_passwords[1]]);
    let ended = init(here, &words);
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""));
    assert_eq!(
        ended.stdout,
        "wrote HERE/ryo-control-node/configuration/configuration.yml\n\
         wrote HERE/ryo-host/configuration/configuration_web.yml\n\
         wrote HERE/ryo-host/configuration/inventory_web\n\
         next: ryo control setup, then ryo host setup web\n"
    );
    let file = |name: &str, mode, text: &str| (name.to_owned(), mode, text.to_owned());
    let expected = vec![
        file("ryo-control-node/configuration/configuration.yml", 0o600, CONTROL_NODE),
        file("ryo-host/configuration/configuration_web.yml", 0o600, &format!("{WEB}{WEB_NETWORKS}")),
        file("ryo-host/configuration/inventory_web", 0o644, WEB_INVENTORY),
    ];
    assert_eq!(files(here), expected);
    assert_eq!(host::inspect(here, "web"), (Some(web()), vec![], vec![]));
    assert_eq!(control::inspect(here), (Some(anna()), vec![], vec![]));

    let again = init(here, &["--host", "web"]);
    assert_eq!((again.code, again.stderr.as_str()), (Some(0), ""));
    assert_eq!(
        again.stdout,
        "host web is configured already: nothing was written\n\
         kept HERE/ryo-control-node/configuration/configuration.yml\n\
         kept HERE/ryo-host/configuration/configuration_web.yml\n\
         kept HERE/ryo-host/configuration/inventory_web\n\
         next: ryo control setup, then ryo host setup web\n"
    );
    assert_eq!(files(here), expected);
}

#[test]
fn defaults_are_the_originals_and_the_next_host_gets_the_next_networks() {
    let place = directory();
    let here = place.path();
    let ended = init(here, &["new/place", "--address", "203.0.113.7", "--yes", "--json"]);
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""));
    assert_eq!(
        ended.stdout,
        "{\"event\":\"result\",\"result\":{\"host\":\"web\",\"directory\":\"HERE/new/place\",\"written\":[\
         \"HERE/new/place/ryo-control-node/configuration/configuration.yml\",\
         \"HERE/new/place/ryo-host/configuration/configuration_web.yml\",\
         \"HERE/new/place/ryo-host/configuration/inventory_web\"],\"kept\":[]}}\n"
    );
    let below = here.join("new/place/ryo-host/configuration");
    let (first, before) = (host::read(&here.join("new/place"), "web").unwrap(), files(here));
    let made_up = first.user_password.reveal().to_owned();
    assert!(made_up.len() == 24 && made_up.chars().all(|c| c.is_ascii_alphanumeric()), "{made_up}");
    let address = Ipv4Addr::new(203, 0, 113, 7);
    let expected = Host {
        control_ip: address,
        public_ip: address,
        public_ipv6: None,
        initial_ssh_port: 22,
        root_user: "root".to_owned(),
        root_password: Secret::new(""),
        user: "anna".to_owned(),
        user_password: first.user_password.clone(),
        ssh_port: 2222,
        wireguard_port: 52222,
        storage_pool_size: "40GB".to_owned(),
        ..web()
    };
    assert_eq!(first, expected);

    // From within the working directory it need not be named.
    let ended = init(&below, &["--host", "db", "--address", "203.0.113.8", "-y"]);
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""));
    let kept = files(here).into_iter().filter(|file| before.contains(file)).count();
    assert_eq!((kept, names(here).len()), (3, 5));
    let second = host::read(&here.join("new/place"), "db").unwrap();
    assert_ne!(second.user_password, first.user_password);
    let (address, text) = (Ipv4Addr::new(203, 0, 113, 8), str::to_owned);
    let expected = Host {
        name: text("db"),
        control_ip: address,
        public_ip: address,
        user_password: second.user_password.clone(),
        wireguard_part: text("10.0.2"),
        wireguard_prefix: text("fd10:10:0:2"),
        bridge_part: text("10.10.2"),
        bridge_subnet: text("2"),
        ..expected
    };
    assert_eq!(second, expected);
    let inventory = fs::read_to_string(below.join("inventory_db")).unwrap();
    assert_eq!(
        inventory.lines().skip(2).take(5).collect::<Vec<_>>(),
        ["[host_control_ip]", "203.0.113.8", "", "[host_wireguard_ip6]", "fd10:10:0:2::2"]
    );

    // Who is reached by IPv6 serves by IPv4 all the same.
    let by_ipv6 = ["--host", "six", "--address", "2001:db8:7::2"];
    let ended = init(&below, &[&by_ipv6[..], &["--yes"]].concat());
    assert_eq!(
        ended.stderr,
        "error: cannot ask `IPv4 address at which the internet reaches it:`: standard input is no terminal\nhint: give \
         `--public-address`\n"
    );
    let ended = init(&below, &[&by_ipv6[..], &["--public-address", "203.0.113.10", "--yes"]].concat());
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""));
    let six = host::read(&here.join("new/place"), "six").unwrap();
    assert_eq!(
        (six.reached_at().to_string(), six.control_ip.to_string(), six.public_ip.to_string()),
        ("2001:db8:7::2".into(), "203.0.113.10".into(), "203.0.113.10".into())
    );
    let inventory = fs::read_to_string(below.join("inventory_six")).unwrap();
    assert!(inventory.contains("[host_control_ip]\n203.0.113.10\n"), "{inventory}");
    let written = fs::read_to_string(below.join("configuration_six.yml")).unwrap();
    let added = "host_control_ip: \"203.0.113.10\"\n\n# The address at which the control node reaches the host in place of that: \
                 it has no IPv4.\nhost_control_ipv6: \"2001:db8:7::2\"\n\n# The IPv4 address at which the internet";
    assert!(written.contains(added), "{written}");

    let third = init(&below, &["--address", "203.0.113.9", "--yes"]);
    assert_eq!(
        third.stderr, "error: cannot ask `Name of the host:`: standard input is no terminal\nhint: give `--host`\n",
        "web is there already, so nothing is the default"
    );
}

#[test]
fn only_what_is_missing_is_written() {
    let place = lay_out(&[
        ("ryo-host/configuration/configuration_web.yml", HOST),
        ("ryo-host/configuration/configuration_TEMPLATE.yml", "host_control_ip: <IP ADDRESS>\n"),
        ("ryo-control-node/configuration/configuration.yml", CONTROL),
    ]);
    let ended = init(place.path(), &["--host", "web"]);
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""));
    assert_eq!(
        ended.stdout,
        "kept HERE/ryo-control-node/configuration/configuration.yml\n\
         kept HERE/ryo-host/configuration/configuration_web.yml\n\
         wrote HERE/ryo-host/configuration/inventory_web\n\
         next: ryo control setup, then ryo host setup web\n"
    );
    assert_eq!(host::inspect(place.path(), "web").2, [], "the inventory says what the configuration says");
}

#[test]
fn every_host_that_can_be_written_is_read_back() {
    let place = lay_out(&[("ryo-host/configuration/a", ""), ("ryo-control-node/configuration/a", "")]);
    let file = place.path().join("ryo-host/configuration/configuration_web.yml");
    for password in
        ["", " ", "yes", "0644", "1e3", "null", "~", "# a", "a: b", "- a", "\\n", "\u{2028}", "ü{}[]&*!|>'\"%@`"]
    {
        let host = Host { root_password: Secret::new(password), public_ipv6: None, ..web() };
        fs::write(&file, written::host(&host)).unwrap();
        assert_eq!(host::inspect(place.path(), "web"), (Some(host), vec![], vec![]), "{password:?}");
    }
    let file = place.path().join("ryo-control-node/configuration/configuration.yml");
    for (user, key) in [("root", "/root/.ssh/k"), ("a", "/srv/k"), ("b c", "/home/b c/k"), ("d", "/d/d/d")] {
        let [private_key, public_key] = [key.to_owned(), format!("{key}.pub")];
        let control = Control { user: user.to_owned(), private_key, public_key, ..anna() };
        fs::write(&file, written::control(&control)).unwrap();
        assert_eq!(control::inspect(place.path()), (Some(control), vec![], vec![]), "{user}");
    }
}

/// A host's configuration with another value of one key.
fn with(text: &str, key: &str, value: &str) -> String {
    let lines = text.lines().map(|line| match line.split_once(':') {
        Some((name, _)) if name == key => format!("{key}: {value}\n"),
        _ => format!("{line}\n"),
    });
    lines.collect()
}

#[test]
fn networks_are_the_first_that_meet_no_other() {
    let first = |files: &[String], control: &Control, address: Option<&str>| {
        let names: Vec<String> =
            (0..files.len()).map(|at| format!("ryo-host/configuration/configuration_h{at}.yml")).collect();
        let files: Vec<(&str, &str)> =
            names.iter().zip(files).map(|(name, text)| (name.as_str(), text.as_str())).collect();
        let place = lay_out(&files);
        let mut taken = networks::taken(place.path(), control, "new").unwrap();
        taken.extend(address.map(|address| Network::only(address.parse().unwrap())));
        networks::free(&taken).map(|networks| networks.bridge_subnet)
    };
    let moved = |tunnel: &str, front: &str, bridge: &str, subnet: &str| {
        let networks = [
            ("wireguard_network_part", tunnel),
            ("wireguard_network_ipv6_prefix", front),
            ("lxd_host_network_part", bridge),
            ("lxd_host_network_ipv6_subnet", subnet),
        ];
        networks.into_iter().fold(HOST.to_owned(), |text, (key, value)| with(&text, key, value))
    };
    let far = || moved("172.16.0", "fd00:1", "172.16.1", "\"ff\"");
    let table: &[(&[String], Option<&str>, &str)] = &[
        (&[], None, "1"),
        (&[HOST.to_owned()], None, "2"),
        (&[far()], None, "1"),
        (&[HOST.to_owned(), moved("10.0.2", "fd10:10:0:2", "10.10.2", "\"2\"")], None, "3"),
        (&[moved("10.0.1", "fd00:1", "172.16.1", "\"ff\"")], None, "2"),
        (&[moved("172.16.0", "fd10:10:0:1", "172.16.1", "\"ff\"")], None, "2"),
        (&[moved("172.16.0", "fd00:1", "10.10.1", "\"ff\"")], None, "2"),
        (&[moved("172.16.0", "fd00:1", "172.16.1", "\"1\"")], None, "2"),
        // The same network, written otherwise; and a tunnel where other hosts have bridges.
        (&[moved("172.16.0", "fd10:0010:0:0001", "172.16.1", "\"ff\"")], None, "2"),
        (&[moved("10.10.1", "fd00:1", "10.0.2", "\"ff\"")], None, "3"),
        // Where a host is, itself or another, no network may be.
        (&[], Some("10.0.1.9"), "2"),
        (&[far().replace("203.0.113.5", "10.10.1.77")], None, "2"),
        (&[far().replace("192.168.1.10", "<IP ADDRESS>")], None, "1"),
    ];
    for (at, (files, address, expected)) in table.iter().enumerate() {
        assert_eq!(first(files, &anna(), *address).as_deref(), Some(*expected), "case {at}");
    }
    let veth0 = Control { veth0_part: "10.10.1".to_owned(), veth0_prefix: "fd10:10:0:2".to_owned(), ..anna() };
    assert_eq!(first(&[], &veth0, None).as_deref(), Some("3"));
    let full: Vec<String> = (1..255).map(|at| far().replace("172.16.1", &format!("10.10.{at}"))).collect();
    assert_eq!(first(&full, &anna(), None), None);
}

#[test]
fn a_host_whose_networks_are_not_known_is_in_the_way_of_the_next() {
    let files = [
        ("ryo-host/configuration/configuration_a.yml", with(HOST, "lxd_host_network_part", "<PART>")),
        ("ryo-host/configuration/configuration_b.yml", with(HOST, "wireguard_network_part", "10.0")),
        ("ryo-host/configuration/configuration_c.yml", "- a\n".to_owned()),
    ];
    let place = lay_out(&files.each_ref().map(|(name, text)| (*name, text.as_str())));
    let problems = networks::taken(place.path(), &anna(), "new").unwrap_err();
    assert_eq!(
        told(place.path(), &problems),
        [
            "ryo-host/configuration/configuration_a.yml:15:24: `lxd_host_network_part` is still the placeholder `<PART>` \
         (put the real value in its place)",
            "ryo-host/configuration/configuration_b.yml:13:25: `wireguard_network_part` must be the first three parts of an \
         IPv4 network such as `10.0.1`, not `10.0`",
            "ryo-host/configuration/configuration_c.yml:1:1: a mapping of keys is required, not a list",
        ]
    );
    let ended = init(place.path(), &["--host", "a2", "--address", "203.0.113.7", "--yes"]);
    assert_eq!(ended.code, Some(2));
    assert_eq!(ended.stderr.lines().next(), Some("error: 3 problems; nothing was touched"));
    assert_eq!(names(place.path()).len(), 3);
}

#[test]
fn without_a_terminal_the_flag_that_is_missing_is_named() {
    let place = directory();
    let given = [
        ("--host", "db", "Name of the host:", true),
        ("--address", "192.168.7.9", "Address at which this computer reaches it:", false),
        ("--public-address", "203.0.113.9", "IPv4 address at which the internet reaches it:", true),
        ("--ipv6-prefix", "2001:db8:1:2::/64", "Its public IPv6 network (empty: none):", true),
        ("--ipv6-address", "2001:db8:1:2::1", "Its address there:", true),
        ("--first-user", "root", "Account of the first login:", true),
        ("--password-file", "secret", "Password of root (empty: a key is let in):", true),
        ("--first-port", "22", "Port of SSH at the first login:", true),
        ("--user", "ops", "Your account, to be made on it:", true),
        ("--ssh-port", "2222", "Port of SSH from then on:", true),
        ("--wireguard-port", "52222", "Port of WireGuard (UDP):", true),
        ("--pool-size", "40GB", "Size of its storage pool:", true),
    ];
    fs::write(place.path().join("secret"), "first\n").unwrap();
    let mut words = vec![];
    for (flag, value, question, default) in given {
        let ended = init(place.path(), &words);
        let or = if default { "` or `--yes" } else { "" };
        assert_eq!(ended.code, Some(2));
        assert_eq!(
            ended.stderr,
            format!("error: cannot ask `{question}`: standard input is no terminal\nhint: give `{flag}{or}`\n")
        );
        words.extend([flag, value]);
    }
    assert_eq!(names(place.path()), ["secret"]);
    let ended = init(place.path(), &words);
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""), "nothing more is asked");
}

#[test]
fn a_wrong_answer_is_told_at_once() {
    let place = lay_out(&[("template", "a{{b}}\n"), ("placeholder", "<PASSWORD>\n"), ("bell", "a\u{7}\n")]);
    let account = "must be an account's name: small letters, digits, `-` and `_`, a letter first, at most 32";
    let network = "must be an IPv6 network such as `2001:db8:1:2::/64`, or empty";
    let table = [
        ("--host", "<NAME>", "my-host", "`my-host` is no name for a host: only letters and digits"),
        (
            "--host",
            "<NAME>",
            "averylonghostname",
            "the host name `averylonghostname` is too long: 17 characters, at most 15",
        ),
        ("--host", "<NAME>", "wg0", "`wg0` cannot be the name of a host: it is taken"),
        ("--host", "<NAME>", "TEMPLATE", "`TEMPLATE` cannot be the name of a host: it is taken"),
        ("--host", "<NAME>", "local", "`local` is this computer, which is not set up from outside"),
        ("--address", "<IP>", "host.example", "must be an IP address"),
        ("--public-address", "<IP>", "2001:db8::1", "must be an IPv4 address"),
        ("--public-address", "<IP>", "300.1.1.1", "must be an IPv4 address"),
        ("--ipv6-prefix", "<PREFIX>", "2001:db8::1:/64", network),
        ("--ipv6-prefix", "<PREFIX>", "::/0", network),
        ("--first-user", "<NAME>", "Root", account),
        ("--first-port", "<PORT>", "0", "must be a port from 1 to 65535"),
        ("--user", "<NAME>", "root", "must not be root: a host that is set up lets nobody in as root"),
        ("--user", "<NAME>", "-x", account),
        ("--ssh-port", "<PORT>", "65536", "must be a port from 1 to 65535"),
        ("--wireguard-port", "<PORT>", "udp", "must be a port from 1 to 65535"),
        ("--pool-size", "<SIZE>", "40 GB", "must be a size such as `40GB`"),
    ];
    for (flag, shape, value, problem) in table {
        let ended = init(place.path(), &[&format!("{flag}={value}")]);
        assert_eq!(ended.code, Some(2), "{flag} {value}");
        let told = format!(
            "error: invalid value '{value}' for '{flag} {shape}': {problem}\n\nFor more information, try '--help'.\n"
        );
        assert_eq!(ended.stderr, told);
    }
    let passwords = [
        ("nowhere", "error: nowhere: cannot read the password: No such file or directory (os error 2)\n"),
        (
            "template",
            "error: the password in `template` cannot be kept in a configuration file: no `{{`, `{%`, `{#`, `<…>` or control characters\n",
        ),
        (
            "placeholder",
            "error: the password in `placeholder` cannot be kept in a configuration file: no `{{`, `{%`, `{#`, `<…>` or control characters\n",
        ),
        (
            "bell",
            "error: the password in `bell` cannot be kept in a configuration file: no `{{`, `{%`, `{#`, `<…>` or control characters\n",
        ),
    ];
    for (file, told) in passwords {
        for flag in ["--password-file", "--user-password-file"] {
            let ended = init(place.path(), &["--address", "203.0.113.7", "--yes", flag, file]);
            assert_eq!((ended.code, ended.stderr.as_str()), (Some(2), told), "{flag}");
        }
    }
    assert_eq!(names(place.path()), ["bell", "placeholder", "template"]);
}

#[test]
fn all_files_are_written_or_none() {
    let blocked = lay_out(&[("ryo-host", "")]);
    let words = ["--address", "203.0.113.7", "--yes"];
    let ended = init(blocked.path(), &words);
    assert_eq!(ended.code, Some(1));
    assert_eq!(
        ended.stderr,
        "error: cannot write `HERE/ryo-host/configuration/configuration_web.yml`\n  \
         because: Not a directory (os error 20)\n"
    );
    assert_eq!(fs::read_dir(blocked.path()).unwrap().count(), 1, "no directory was left");

    // A name that is taken is found when it is the turn of the last file.
    let taken = lay_out(&[("ryo-host/configuration/other", "")]);
    symlink("/nowhere", taken.path().join("ryo-host/configuration/inventory_web")).unwrap();
    let ended = init(taken.path(), &words);
    assert_eq!(ended.code, Some(1));
    assert_eq!(ended.stderr, "error: `HERE/ryo-host/configuration/inventory_web` is there already\n");
    assert_eq!(names(taken.path()), ["ryo-host/configuration/inventory_web", "ryo-host/configuration/other"]);
    assert_eq!(fs::read_dir(taken.path()).unwrap().count(), 1);
}

#[test]
fn files_belong_to_whom_the_directory_belongs_to() {
    let place = directory();
    if rustix::process::geteuid().is_root() {
        chown(place.path(), Some(65534), Some(65534)).unwrap();
    }
    let owner = |path: PathBuf| fs::metadata(path).map(|it| (it.uid(), it.gid())).unwrap();
    let ended = init(place.path(), &["--address", "203.0.113.7", "--yes"]);
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""));
    for path in ["ryo-host", "ryo-host/configuration", "ryo-host/configuration/configuration_web.yml"] {
        assert_eq!(owner(place.path().join(path)), owner(place.path().to_owned()), "{path}");
    }
}

#[test]
fn a_person_is_asked_and_asked_again() {
    let place = directory();
    let mut terminal = Terminal::start(place.path(), &["init"]);
    terminal.answer("Name of the host: (web)", "my-host");
    terminal.expect("`my-host` is no name for a host: only letters and digits").erase(7).press("db\r");
    terminal.answer("Address at which this computer reaches it:", "");
    terminal.expect("must be an IP address").press("192.168.7.9\r");
    terminal.answer("IPv4 address at which the internet reaches it: (192.168.7.9)", "");
    terminal.answer("Its public IPv6 network (empty: none):", "2001:db8:1:2::/64");
    terminal.answer("Its address there: (2001:db8:1:2::1)", "");
    terminal.answer("Account of the first login: (root)", "");
    terminal.answer("Password of root (empty: a key is let in):", "{{hush");
    terminal.expect("cannot be kept in a configuration file").erase(6).press("hush-hush\r");
    terminal.answer("Port of SSH at the first login: (22)", "70000");
    terminal.expect("must be a port from 1 to 65535").erase(5).press("2022\r");
    terminal.answer("Your account, to be made on it: (anna)", "");
    terminal.answer("Port of SSH from then on: (2222)", "");
    terminal.answer("Port of WireGuard (UDP): (52222)", "");
    terminal.answer("Size of its storage pool: (40GB)", "");
    let (code, shown) = terminal.end();
    assert_eq!(code, Some(0), "{shown}");
    assert!(shown.ends_with("next: ryo control setup, then ryo host setup db\r\n"), "{shown}");
    assert!(!shown.contains("hush"), "a password is not shown: {shown}");
    let host = host::read(place.path(), "db").unwrap();
    let address = Ipv4Addr::new(192, 168, 7, 9);
    let public = PublicIpv6 { prefix: "2001:db8:1:2".to_owned(), address: "2001:db8:1:2::1".parse().unwrap() };
    let expected = Host {
        name: "db".to_owned(),
        control_ip: address,
        control_ipv6: None,
        public_ip: address,
        public_ipv6: Some(public),
        initial_ssh_port: 2022,
        root_user: "root".to_owned(),
        root_password: Secret::new("hush-hush"),
        user: "anna".to_owned(),
        user_password: host.user_password.clone(),
        ssh_port: 2222,
        wireguard_port: 52222,
        storage_pool_size: "40GB".to_owned(),
        ..web()
    };
    assert_eq!(host, expected);
}

#[test]
fn whoever_breaks_it_off_leaves_nothing_behind() {
    let place = directory();
    let words = ["init", "--host", "web", "--address", "203.0.113.7", "--first-user", "root"];
    for (question, keys) in [
        ("Its public IPv6 network (empty: none):", "\x03"),
        ("Password of root (empty: a key is let in):", "half\x03"),
        ("Size of its storage pool:", "\x1b"),
    ] {
        let mut terminal = Terminal::start(place.path(), &words);
        let all = [
            "Its public IPv6 network (empty: none):",
            "Password of root (empty: a key is let in):",
            "Port of SSH at the first login:",
            "Your account, to be made on it:",
            "Port of SSH from then on:",
            "Port of WireGuard (UDP):",
        ];
        for earlier in all.into_iter().take_while(|earlier| *earlier != question) {
            terminal.answer(earlier, "");
        }
        terminal.expect(question).press(keys);
        let (code, shown) = terminal.end();
        assert_eq!(code, Some(130), "{shown}");
        let told = format!("error: interrupted at the question `{question}`\r\n");
        assert!(shown.ends_with(&told), "{shown}");
        assert_eq!(fs::read_dir(place.path()).unwrap().count(), 0);
    }
}
