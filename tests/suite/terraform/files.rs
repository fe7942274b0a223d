//! Files in JSON and files that override others.

use super::*;
use ryo::terraform::{Lifecycle, Protection};

/// What the files of a deployment make, without places: addresses, what is waited for, and what is there.
fn made(files: &[(&str, &str)]) -> Vec<String> {
    let whole: Vec<(String, &str)> =
        files.iter().map(|(name, text)| (format!("ryo-a/project-deployment/{name}"), *text)).collect();
    let named: Vec<(&str, &str)> = whole.iter().map(|(name, text)| (name.as_str(), *text)).collect();
    let directory = lay_out(&[&[VARIABLES], named.as_slice()].concat());
    let deployment = deployment(directory.path()).unwrap();
    let resources = deployment.resources.iter();
    let told =
        |it: &ryo::terraform::Resource| format!("{} {:?} {:?} {:?}", it.address, it.depends_on, it.lifecycle, it.kind);
    let mut made: Vec<String> = resources.map(told).collect();
    made.extend(deployment.consul.map(|consul| format!("{} {}", consul.scheme, consul.address)));
    made.extend(deployment.warnings.iter().map(|warning| warning.hint.clone().unwrap_or_default()));
    made
}

fn refused(files: &[(&str, &str)]) -> Vec<String> {
    let whole: Vec<(String, &str)> =
        files.iter().map(|(name, text)| (format!("ryo-a/project-deployment/{name}"), *text)).collect();
    let named: Vec<(&str, &str)> = whole.iter().map(|(name, text)| (name.as_str(), *text)).collect();
    let directory = lay_out(&[&[VARIABLES], named.as_slice()].concat());
    let problems = deployment(directory.path()).map(|_| ()).unwrap_err();
    problems.iter().map(|problem| problem.replace("ryo-a/project-deployment/", "")).collect()
}

const HCL: &str = r#"
terraform {
  required_providers {
    lxd = { source = "terraform-lxd/lxd", version = "${not a template}" }
  }
}
variable "names" {
  type    = list(object({ name = string, port = optional(number, 80) }))
  default = [{ name = "$${kept}" }, { name = "b", port = 81 }]
  validation {
    condition     = length(var.names) > 1
    error_message = "too few"
  }
}
locals {
  quoted = "a \"b\" \\ c\n\td ü"
  nested = "${join(", ", [for it in var.names : "${upper(it.name)}-{x}"])}!"
  value  = var.names[1].port
  escape = "$${kept} %%{ if }"
  chosen = "%{ if local.value > 80 }large%{ else }small%{ endif }"
  object = { a = 1, "b ${local.value}" = [true, null, -1.5e1] }
}
provider "consul" {
  address    = "10.0.0.1:8500"
  datacenter = "one"
}
resource "consul_keys" "first" {
  key {
    path  = "one"
    value = local.quoted
  }
  key {
    path  = "two"
    value = local.nested
  }
  dynamic "key" {
    for_each = local.object["b 81"]
    iterator = it
    content {
      path  = "three/${it.key}"
      value = jsonencode(it.value)
    }
  }
}
resource "consul_keys" "second" {
  for_each = toset(["x", "y"])
  key {
    path  = each.key
    value = "${local.escape} ${local.chosen}"
  }
  depends_on = [consul_keys.first]
}
resource "lxd_container" "web" {
  name     = "web"
  image    = "i"
  profiles = ["default"]
  config   = { "user.access" = "x", (var.host_id) = "${local.value}" }
  device {
    name       = "eth0"
    type       = "nic"
    properties = { network = "n" }
  }
  lifecycle {
    prevent_destroy      = true
    ignore_changes       = [image, config["user.x"]]
    replace_triggered_by = [consul_keys.first]
    precondition {
      condition     = local.value == 81
      error_message = "no"
    }
  }
}
check "size" {
  assert {
    condition     = local.value == 1
    error_message = "value is ${local.value}"
  }
}
moved {
  from = lxd_container.old
  to   = lxd_container.web
}
output "port" {
  value      = local.value
  depends_on = [lxd_container.web]
}
"#;

const JSON: &str = r#"{
  "//": "told to nobody",
  "terraform": { "required_providers": { "lxd": { "source": "terraform-lxd/lxd", "version": "${not a template}" } } },
  "variable": {
    "names": {
      "type": "list(object({ name = string, port = optional(number, 80) }))",
      "default": [{ "name": "${kept}" }, { "name": "b", "port": 81 }],
      "validation": { "condition": "${length(var.names) > 1}", "error_message": "too few" }
    }
  },
  "locals": [
    { "quoted": "a \"b\" \\ c\n\td \u00fc",
      "nested": "${join(\", \", [for it in var.names : \"${upper(it.name)}-{x}\"])}!" },
    { "value": "${var.names[1].port}", "escape": "$${kept} %%{ if }",
      "chosen": "%{ if local.value > 80 }large%{ else }small%{ endif }",
      "object": { "a": 1, "b ${local.value}": [true, null, -1.5e1] } }
  ],
  "provider": { "consul": [{ "address": "10.0.0.1:8500", "datacenter": "one" }] },
  "resource": [
    { "consul_keys": {
        "first": {
          "//": "of the block",
          "key": [{ "path": "one", "value": "${local.quoted}" }, { "path": "two", "value": "${local.nested}" }],
          "dynamic": {
            "key": {
              "for_each": "${local.object[\"b 81\"]}",
              "iterator": "it",
              "content": { "path": "three/${it.key}", "value": "${jsonencode(it.value)}" }
            }
          }
        },
        "second": [{
          "for_each": "${toset([\"x\", \"y\"])}",
          "key": { "path": "${each.key}", "value": "${local.escape} ${local.chosen}" },
          "depends_on": ["consul_keys.first"]
        }]
    } },
    { "lxd_container": { "web": {
        "name": "web", "image": "i", "profiles": ["default"],
        "config": { "user.access": "x", "${var.host_id}": "${local.value}" },
        "device": { "name": "eth0", "type": "nic", "properties": { "network": "n" } },
        "lifecycle": {
          "prevent_destroy": true,
          "ignore_changes": ["image", "config[\"user.x\"]"],
          "replace_triggered_by": ["consul_keys.first"],
          "precondition": [{ "condition": "${local.value == 81}", "error_message": "no" }]
        }
    } } }
  ],
  "check": { "size": { "assert": { "condition": "${local.value == 1}", "error_message": "value is ${local.value}" } } },
  "moved": [{ "from": "lxd_container.old", "to": "lxd_container.web" }],
  "output": { "port": { "value": "${local.value}", "depends_on": ["lxd_container.web"] } }
}
"#;

#[test]
fn a_file_in_json_means_what_it_means_in_hcl() {
    let hcl = made(&[("main.tf", &HCL.replace("\"${not a template}\"", "\"$${not a template}\""))]);
    let json = made(&[("main.tf.json", JSON)]);
    assert_eq!(json, hcl);
    assert!(
        json.iter().any(|line| line.contains("$${KEPT}-{x}, B-{x}!") || line.contains("${KEPT}-{x}, B-{x}!")),
        "{json:?}"
    );
    assert!(json.iter().any(|line| line.contains("${kept} %{ if } large")), "{json:?}");
    assert_eq!(json.last().map(String::as_str), Some("value is 81"));
}

#[test]
fn both_syntaxes_speak_of_each_other() {
    let native = "resource \"consul_keys\" \"a\" {\n  key {\n    path = local.path\n    value = \"\"\n  }\n}\n";
    let json = "[{\"locals\": {\"path\": \"${var.host_id}/x\"}}]";
    let made = made(&[("a.tf", native), ("b.tf.json", json), (".hidden.tf.json", "{"), ("c.tf.json~", "{")]);
    assert!(made[0].contains("path: \"web/x\""), "{made:?}");
}

#[test]
fn what_means_nothing_in_json_is_told_with_its_place() {
    let table: &[(&str, &[&str])] = &[
        ("{\n  \"locals\": {\"a\": }\n}\n", &["a.tf.json:2:19: not JSON: expected value at line 2 column 19"]),
        ("3", &["a.tf.json:1:1: an object is required here, not a number"]),
        ("{\"locals\": 3}", &["a.tf.json:1:12: `locals` needs an object here, not a number"]),
        ("{\"resource\": {\"consul_keys\": [\"a\"]}}", &["a.tf.json:1:31: `resource` needs an object here, not text"]),
        ("{\"nonsense\": {}}", &["a.tf.json:1:2: the block `nonsense` is not supported"]),
        ("{\"non sense\": {}}", &["a.tf.json:1:2: `non sense` is no name of a block"]),
        (
            "{\n \"locals\": {\n  \"a b\": 1,\n  \"c\": \"${\",\n  \"d\": \"${1 +}\"\n }\n}",
            &[
                "a.tf.json:3:3: `a b` is no name of an argument",
                "a.tf.json:4:8: the template cannot be read: `${` is not closed",
                "a.tf.json:5:8: the template cannot be read: invalid expression; expected `\"`, `[`, `{`, `-`, `!`, `(`, \
                 `_`, `<`, letter or digit",
            ],
        ),
        ("{\"locals\": {\"a\": \"${local.missing}\"}}", &["a.tf.json:1:18: there is no `local.missing`"]),
        (
            "{\"variable\": {\"a\": {\"type\": \"list(\"}, \"b\": {\"type\": 1}}}",
            &[
                "a.tf.json:1:29: `list(` is no type such as `list(string)`",
                "a.tf.json:1:53: a type is required here as text, not a number",
            ],
        ),
        (
            "{\"resource\": {\"lxd_container\": {\"c\": {\n\"name\": \"c\", \"image\": \"i\", \"device\": [\"x\"],\n\
             \"depends_on\": [\"a b\", 3]}}}}",
            &[
                "a.tf.json:2:39: `device` needs an object here, not text",
                "a.tf.json:3:16: `a b` is no reference such as `lxd_network.lan`",
                "a.tf.json:3:23: a reference is required here, not a number",
            ],
        ),
        (
            "{\"resource\": {\"lxd_container\": {\n\"c\": {\"name\": \"c\", \"image\": \"i\", \"colour\": 1}}}}",
            &["a.tf.json:2:34: there is no parameter `colour` here"],
        ),
    ];
    let told: Vec<(&str, Vec<String>)> =
        table.iter().map(|(text, _)| (*text, refused(&[("a.tf.json", text)]))).collect();
    let owned = |list: &[&str]| list.iter().map(|it| (*it).to_owned()).collect::<Vec<_>>();
    assert_eq!(told, table.iter().map(|(text, expected)| (*text, owned(expected))).collect::<Vec<_>>());
}

const BASE: &str = r#"
variable "size" {
  type    = string
  default = "small"
}
locals {
  a = "a"
  b = "b"
}
locals {
  c = "c"
}
resource "lxd_container" "web" {
  name     = "web-${var.size}"
  image    = "i"
  profiles = ["default"]
  device {
    name       = "eth0"
    type       = "nic"
    properties = { network = "${local.a}${local.b}${local.c}" }
  }
  device {
    name       = "data"
    type       = "disk"
    properties = {}
  }
  lifecycle {
    ignore_changes = [image]
  }
}
"#;

fn web(files: &[(&str, &str)]) -> (Instance, Lifecycle) {
    let whole: Vec<(String, &str)> =
        files.iter().map(|(name, text)| (format!("ryo-a/project-deployment/{name}"), *text)).collect();
    let named: Vec<(&str, &str)> = whole.iter().map(|(name, text)| (name.as_str(), *text)).collect();
    let directory = lay_out(&[&[VARIABLES], named.as_slice()].concat());
    let deployment = deployment(directory.path()).unwrap();
    (instance(&deployment, "lxd_container.web").clone(), deployment.resources[0].lifecycle.clone())
}

#[test]
fn overriding_files_replace_arguments_and_blocks_in_the_order_of_their_names() {
    let (plain, _) = web(&[("main.tf", BASE)]);
    assert_eq!((plain.name.as_str(), plain.devices["eth0"]["network"].as_str()), ("web-small", "abc"));
    let (web, lifecycle) = web(&[
        ("main.tf", BASE),
        (
            "a_override.tf",
            "variable \"size\" {\n  default = \"large\"\n}\nlocals {\n  c = \"C\"\n  a = \"A\"\n}\n\
             resource \"lxd_container\" \"web\" {\n  image = \"first\"\n  config = { x = \"1\" }\n\
             \n  lifecycle {\n    prevent_destroy = true\n  }\n}\n",
        ),
        (
            "override.tf.json",
            "{\"resource\": {\"lxd_container\": {\"web\": {\"image\": \"second\",\n\"dynamic\": {\"device\": {\"for_each\": \
             [\"eth1\"], \"content\": {\"name\": \"${device.value}\", \"type\": \"nic\", \"properties\": \
             {\"network\": \"${local.a}${local.b}${local.c}\"}}}}}}}, \"provider\": {\"consul\": {\"address\": \"x:1\"}}, \
             \"terraform\": {}}",
        ),
    ]);
    assert_eq!((web.name.as_str(), web.image.as_str()), ("web-large", "second"));
    assert_eq!((&web.profiles[..], web.config["x"].as_str()), (&["default".to_owned()][..], "1"));
    assert_eq!(web.devices.keys().collect::<Vec<_>>(), ["eth1"]);
    assert_eq!(web.devices["eth1"]["network"], "AbC");
    assert_eq!(lifecycle.protection, Protection::Destroy);
    assert!(lifecycle.ignored.whole("image"));
}

#[test]
fn what_cannot_be_overridden_is_told_with_its_place() {
    let table: &[(&str, &str)] = &[
        (
            "resource \"lxd_container\" \"db\" {\n}\n",
            "x_override.tf:1:1: there is no `resource lxd_container.db` to override",
        ),
        ("\nvariable \"none\" {\n}\n", "x_override.tf:2:1: there is no `variable none` to override"),
        ("locals {\n  none = 1\n}\n", "x_override.tf:2:3: there is no `local.none` to override"),
        ("provider \"lxd\" {\n  alias = \"other\"\n}\n", "x_override.tf:1:1: there is no `provider lxd` to override"),
        (
            "resource \"lxd_container\" \"web\" {\n  depends_on = []\n}\n",
            "x_override.tf:2:3: `depends_on` cannot be overridden",
        ),
        (
            "moved {\n  from = a.b\n  to = a.c\n}\n",
            "x_override.tf:1:1: `moved` cannot stand in a file that overrides others",
        ),
        ("a = 1\n", "x_override.tf:1:1: `a` cannot stand outside of a block"),
        (
            "resource \"lxd_container\" \"web\" {\n  image = local.none\n}\n",
            "x_override.tf:2:11: there is no `local.none`",
        ),
        ("resource \"lxd_container\" \"web\" {\n", "x_override.tf:1:32: not HCL: `{` is not closed"),
    ];
    let told = |text: &str| refused(&[("main.tf", BASE), ("x_override.tf", text)]);
    let told: Vec<(&str, Vec<String>)> = table.iter().map(|(text, _)| (*text, told(text))).collect();
    assert_eq!(told, table.iter().map(|(text, expected)| (*text, vec![(*expected).to_owned()])).collect::<Vec<_>>());
}
