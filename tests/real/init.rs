//! What `ryo init` writes, read by the real Ansible.

use std::fs;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::support::bed::var;

/// Writes down what every key of the two files means to Ansible.
const PLAYBOOK: &str = r#"
- hosts: all
  connection: local
  gather_facts: no
  vars_files:
    - ryo-host/configuration/configuration_web.yml
    - ryo-control-node/configuration/configuration.yml
  tasks:
    - copy:
        dest: "{{ playbook_dir }}/told.json"
        content: "{{ told | to_json }}"
      run_once: yes
      vars:
        ansible_python_interpreter: "{{ ansible_playbook_python }}"
        keys: "{{ vars.keys() | select('match', '(host_|wireguard_|lxd_|local_|veth0_)') | sort }}"
        told: "{{ dict(keys | zip(query('vars', *keys))) | combine({'groups': groups}) }}"
"#;

#[test]
fn ansible_reads_what_init_writes() {
    let place = tempfile::tempdir().unwrap();
    let here = place.path();
    fs::write(here.join("secret"), "it's \"so\" \\ #1: é\n").unwrap();
    let mut ryo = Command::new(var("RYO_BIN"));
    ryo.args(["init", ".", "--address", "203.0.113.7", "--password-file", "secret", "--user-password-file", "secret"]);
    ryo.args(["--user", "ops", "--local-user", "anna", "--yes"]).current_dir(here).stdin(Stdio::null());
    assert!(ryo.status().unwrap().success());

    fs::write(here.join("play.yml"), PLAYBOOK).unwrap();
    let mut ansible = Command::new(var("RYO_ANSIBLE_PLAYBOOK"));
    ansible.args(["-i", "ryo-host/configuration/inventory_web", "play.yml"]).current_dir(here).env("HOME", here);
    let output = ansible.stdin(Stdio::null()).output().unwrap();
    let told = fs::read_to_string(here.join("told.json")).unwrap_or_else(|_| {
        panic!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
    });
    let secret = "it's \"so\" \\ #1: é";
    let expected = json!({
        "host_control_ip": "203.0.113.7",
        "host_public_ip": "203.0.113.7",
        "host_public_ipv6": false,
        "host_public_ipv6_prefix": "",
        "host_public_ipv6_address": "",
        "host_initial_ssh_port": 22,
        "host_root_user": "root",
        "host_root_password": secret,
        "host_non_root_user": "ops",
        "host_non_root_user_password": secret,
        "host_new_ssh_port": 2222,
        "host_wireguard_port": 52222,
        "wireguard_network_part": "10.0.1",
        "wireguard_network_ipv6_prefix": "fd10:10:0:1",
        "lxd_host_network_part": "10.10.1",
        "lxd_host_network_ipv6_subnet": "1",
        "lxd_host_private_ipv6_prefix": "fd10:10:10:1",
        "lxd_storage_pool_size": "40GB",
        "local_non_root_user": "anna",
        "local_non_root_user_password": "",
        "veth0_network_part": "10.100.100",
        "veth0_network_ipv6_prefix": "fd10:10:100:100",
        "local_non_root_user_ssh_private_key_file_path": "/home/anna/.ssh/ryo_id_ed25519",
        "local_non_root_user_ssh_public_key_file_path": "/home/anna/.ssh/ryo_id_ed25519.pub",
        "groups": {
            "all": ["203.0.113.7", "fd10:10:0:1::2", "::1"],
            "ungrouped": [],
            "host_control_ip": ["203.0.113.7"],
            "host_wireguard_ip6": ["fd10:10:0:1::2"],
            "local": ["::1"],
        },
    });
    assert_eq!(serde_json::from_str::<Value>(&told).unwrap(), expected);
}
