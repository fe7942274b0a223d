//! Inventories and patterns.

use std::fs;

use ryo::playbook::Source;
use ryo::playbook::inventory::{self, Inventory};
use ryo::playbook::reading::Reading;
use serde_json::{Value, json};

fn read(name: &str, text: &str) -> (Inventory, Vec<String>) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join(name);
    fs::write(&path, text).unwrap();
    let (inventory, problems) = inventory::load(&[Source::File(path)], &Reading::default());
    let base = format!("{}/", directory.path().display());
    (inventory, problems.iter().map(|problem| problem.to_string().replace(&base, "")).collect())
}

const INI: &str = "\
plain ansible_host=10.0.0.1 ansible_port=2222 # a comment
fd10:10:0:1::2
[::1]:2222 kind=address
[web]
web[01:03].example size=3 label='two words' on=True list=\"[1, 'a']\"
db-[a:b]
[all:vars]
tier = low
[front:children]
web
[front:vars]
tier=high
text=\"{{ x }}\"
";

#[test]
fn ini_inventories_are_read_as_ansible_reads_them() {
    let (inventory, problems) = read("hosts", INI);
    assert_eq!(problems, Vec::<String>::new());
    let names: Vec<&str> = inventory.hosts.iter().map(|(name, _)| name.as_str()).collect();
    let expected =
        ["plain", "fd10:10:0:1::2", "::1", "web01.example", "web02.example", "web03.example", "db-a", "db-b"];
    assert_eq!(names, expected);
    assert_eq!(
        Value::Object(inventory.vars("plain")),
        json!({ "tier": "low", "ansible_host": "10.0.0.1", "ansible_port": 2222 })
    );
    assert_eq!(
        Value::Object(inventory.vars("web02.example")),
        json!({ "tier": "high", "text": "{{ x }}", "size": 3, "label": "two words", "on": true, "list": [1, "a"] })
    );
    assert_eq!(Value::Object(inventory.vars("::1")), json!({ "tier": "low", "ansible_port": 2222, "kind": "address" }));
    assert_eq!(inventory.groups_of("db-a"), ["front", "web"]);
}

#[test]
fn yaml_inventories_may_name_a_host_as_plain_text() {
    let text = "packer:\n  hosts: packer-lxd-build\n  vars:\n    ansible_connection: lxd\nall:\n  children:\n    more:\n      hosts:\n        a:\n          x: 1\n        b:\n";
    let (inventory, problems) = read("inventory.yml", text);
    assert_eq!(problems, Vec::<String>::new());
    assert_eq!(Value::Object(inventory.vars("packer-lxd-build")), json!({ "ansible_connection": "lxd" }));
    assert_eq!(inventory.members("all"), ["a", "b", "packer-lxd-build"]);
    assert_eq!(Value::Object(inventory.vars("a")), json!({ "x": 1 }));
}

#[test]
fn patterns_choose_hosts() {
    let (inventory, _) = read("hosts", INI);
    let table: &[(&str, &[&str])] = &[
        ("plain", &["plain"]),
        ("fd10:10:0:1::2", &["fd10:10:0:1::2"]),
        ("web:!db-a", &["web01.example", "web02.example", "web03.example", "db-b"]),
        ("web,plain", &["web01.example", "web02.example", "web03.example", "db-a", "db-b", "plain"]),
        ("front:&db*", &["db-a", "db-b"]),
        ("web[0]", &["web01.example"]),
        ("web[-1]", &["db-b"]),
        ("~db-[ab]", &["db-a", "db-b"]),
        ("!web", &["plain", "fd10:10:0:1::2", "::1"]),
        ("ungrouped", &["plain", "fd10:10:0:1::2", "::1"]),
        ("localhost", &["localhost"]),
        ("nobody", &[]),
    ];
    for (pattern, expected) in table {
        assert_eq!(inventory.select(pattern).unwrap(), *expected, "{pattern}");
    }
}

#[test]
fn broken_inventories_say_where() {
    let table = [
        ("hosts", "a b\n", "hosts:1:1: expected `key=value`, got `b`"),
        ("hosts", "[web\n", "hosts:1:1: a section needs a `]`"),
        ("hosts", "[web:other]\n", "hosts:1:1: a section can end in `:children` or `:vars`, not `:other`"),
        ("hosts", "a x='y\n", "hosts:1:1: a quote is not closed"),
        ("hosts.yml", "- a\n", "hosts.yml:1:1: an inventory must be a mapping of groups, not a list"),
        ("hosts.yml", "web:\n  host: a\n", "hosts.yml:2:3: a group has no key `host`"),
    ];
    for (name, text, expected) in table {
        assert_eq!(read(name, text).1, [expected], "{text}");
    }
}

#[test]
fn group_and_host_variables_stand_in_files_beside() {
    let directory = tempfile::tempdir().unwrap();
    for (name, text) in [
        ("hosts", "[web]\na own=1\n"),
        ("group_vars/all.yml", "x: all\ny: all\nz: all\n"),
        ("group_vars/web/main.yml", "y: web\nz: web\n"),
        ("host_vars/a.yml", "z: host\n"),
    ] {
        let path = directory.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    let (inventory, problems) = inventory::load(&[Source::File(directory.path().join("hosts"))], &Reading::default());
    assert_eq!(problems, []);
    assert_eq!(Value::Object(inventory.vars("a")), json!({ "x": "all", "y": "web", "z": "host", "own": 1 }));
}
