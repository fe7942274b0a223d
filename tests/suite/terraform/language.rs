//! The language beyond what the repositories of the field use.

use super::*;
use ryo::terraform::{Ignored, Lifecycle, Protection};

/// Evaluates one file beside the usual variables.
pub(super) fn deployment_of(text: &str) -> Deployment {
    let directory = lay_out(&[VARIABLES, ("ryo-a/project-deployment/main.tf", text)]);
    deployment(directory.path()).unwrap()
}

/// The Consul keys of all resources: path and value.
fn keys_of(deployment: &Deployment) -> Vec<(String, String)> {
    let keys = deployment.resources.iter().filter_map(|resource| match &resource.kind {
        Kind::ConsulKeys(keys) => Some(keys.keys.iter().map(|key| (key.path.clone(), key.value.clone()))),
        _ => None,
    });
    keys.flatten().collect()
}

fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    expected.iter().map(|(path, value)| ((*path).to_owned(), (*value).to_owned())).collect()
}

#[test]
fn dynamic_blocks_are_made_once_for_each_element() {
    let deployment = deployment_of(
        r#"
locals { ports = { http = 80, https = 443 } }
resource "lxd_container" "web" {
  name  = "web"
  image = "i"
  device {
    name       = "eth0"
    type       = "nic"
    properties = { network = "n" }
  }
  dynamic "device" {
    for_each = { for name, port in local.ports : name => port if port < 1000 }
    content {
      name = device.key
      type = "proxy"
      properties = {
        listen  = "tcp:10.0.0.1:${device.value}"
        connect = "tcp:10.0.0.2:${device.value}"
      }
    }
  }
  dynamic "device" {
    for_each = toset(["data", "log"])
    iterator = mount
    content {
      name       = mount.value
      type       = "disk"
      properties = { source = "/var/${mount.key}", path = "/${mount.value}" }
    }
  }
}
resource "consul_keys" "k" {
  for_each = { a = ["x", "y"], b = [] }
  dynamic "key" {
    for_each = each.value
    content {
      path  = "${each.key}/${key.key}"
      value = key.value
    }
  }
}
"#,
    );
    let web = instance(&deployment, "lxd_container.web");
    assert_eq!(web.devices.keys().collect::<Vec<_>>(), ["data", "eth0", "http", "https", "log"]);
    assert_eq!(web.devices["https"]["listen"], "tcp:10.0.0.1:443");
    assert_eq!(web.devices["log"]["source"], "/var/log");
    assert_eq!(keys_of(&deployment), pairs(&[("a/0", "x"), ("a/1", "y")]));
}

#[test]
fn a_lifecycle_says_what_may_become_of_a_resource() {
    let text = r#"
resource "consul_keys" "k" {
  key {
    path  = "a"
    value = "1"
  }
}
resource "lxd_container" "web" {
  name  = "web"
  image = "i"
  lifecycle {
    create_before_destroy = true
    prevent_destroy       = true
    ignore_changes        = [image, "profiles", config["user.x"], device]
    replace_triggered_by  = [consul_keys.k]
  }
}
resource "lxd_container" "db" {
  name  = "db"
  image = "i"
  lifecycle {
    ignore_changes = all
  }
}
"#;
    let made = deployment_of(text);
    let lifecycle =
        |address: &str| made.resources.iter().find(|resource| resource.address == address).unwrap().lifecycle.clone();
    let entry = |name: &str, key: Option<&str>| (name.to_owned(), key.map(str::to_owned));
    assert_eq!(
        lifecycle("lxd_container.web"),
        Lifecycle {
            protection: Protection::Destroy,
            ignored: Ignored::These(
                [entry("image", None), entry("profiles", None), entry("config", Some("user.x")), entry("device", None)]
                    .into()
            ),
        }
    );
    assert_eq!(lifecycle("lxd_container.db"), Lifecycle { ignored: Ignored::All, ..Lifecycle::default() });
    assert_eq!(lifecycle("consul_keys.k"), Lifecycle::default());
    let digest =
        |deployment: &Deployment| instance(deployment, "lxd_container.web").config["user.ryo.triggers"].clone();
    assert_eq!(digest(&made), digest(&deployment_of(text)));
    assert_ne!(digest(&made), digest(&deployment_of(&text.replace("value = \"1\"", "value = \"2\""))));
    assert!(!instance(&made, "lxd_container.db").config.contains_key("user.ryo.triggers"));
}

#[test]
fn what_only_a_state_needs_changes_nothing() {
    let deployment = deployment_of(
        r#"
terraform {
  required_version = ">= 1.5"
  backend "local" {}
}
provider "consul" {
  alias   = "other"
  address = "other:8500"
}
provider "consul" {
  address = "this:8500"
}
moved {
  from = consul_keys.old
  to   = consul_keys.new
}
import {
  to = consul_keys.new
  id = "x"
}
removed {
  from = consul_keys.gone
  lifecycle {
    destroy = true
  }
}
resource "consul_keys" "new" {
  provider = consul
  key {
    path  = terraform.workspace
    value = "${path.root} ${path.module}"
  }
}
"#,
    );
    assert_eq!(keys_of(&deployment), pairs(&[("web", ". .")]));
    assert_eq!(deployment.consul.unwrap().address, "this:8500");
}

#[test]
fn conditions_hold_or_are_told() {
    let holds = r#"
variable "least" { default = 1 }
variable "most" {
  default = 3
  validation {
    condition     = var.most > var.least
    error_message = "must be more than ${var.least}"
  }
}
resource "lxd_container" "a" {
  name  = "a"
  image = "i"
  lifecycle {
    precondition {
      condition     = var.least == 1
      error_message = "least"
    }
    postcondition {
      condition     = self.name == "a" && self.ipv4_address != ""
      error_message = "name"
    }
  }
}
output "o" {
  value = var.most
  precondition {
    condition     = var.most < 10
    error_message = "too much"
  }
}
check "health" {
  assert {
    condition     = var.most == 4
    error_message = "most is ${var.most}, not 4"
  }
}
"#;
    let directory = lay_out(&[VARIABLES, ("ryo-a/project-deployment/main.tf", holds)]);
    let warnings = deployment(directory.path()).unwrap().warnings;
    assert_eq!(
        told(directory.path(), &warnings),
        ["ryo-a/project-deployment/main.tf:32:3: the check `health` fails (most is 3, not 4)"]
    );
    let broken = holds
        .replace("var.least == 1", "var.least == 2")
        .replace("self.name == \"a\"", "self.name == \"b\"")
        .replace("default = 3", "default = 11");
    assert_eq!(
        problems_of(&broken),
        [
            "ryo-a/project-deployment/main.tf:14:5: the condition does not hold (least)",
            "ryo-a/project-deployment/main.tf:18:5: the condition does not hold (name)",
            "ryo-a/project-deployment/main.tf:26:3: the condition does not hold (too much)",
        ]
    );
    assert_eq!(
        problems_of(&holds.replace("default = 3", "default = 0")),
        ["ryo-a/project-deployment/main.tf:3:1: variable `most` is refused (must be more than 1)"]
    );
}

#[test]
fn validations_may_speak_of_each_other_and_show_no_secret() {
    let text = r#"
variable "a" {
  default   = "s3cret"
  sensitive = true
  validation {
    condition     = var.b == ""
    error_message = "a is ${var.a}"
  }
}
variable "b" {
  default = "x"
  validation {
    condition     = var.a == "s3cret"
    error_message = "b"
  }
}
"#;
    assert_eq!(
        problems_of(text),
        ["ryo-a/project-deployment/main.tf:2:1: variable `a` is refused (its message holds a sensitive value)"]
    );
}

#[test]
fn a_secret_that_is_awaited_goes_through_everything() {
    let text = r#"
locals {
  secret  = yamldecode(file("../configuration/pass_${var.host_id}.yml"))["pass"]
  entries = { for name in ["a", "b"] : name => "${name}-${local.secret}" }
  long    = length(local.secret) > 12 ? local.secret : "short"
}
resource "consul_keys" "k" {
  for_each = local.entries
  key {
    path  = each.key
    value = jsonencode({ v = each.value, l = local.long, b = base64encode(local.secret) })
  }
  lifecycle {
    precondition {
      condition     = length(local.secret) > 20
      error_message = "too short"
    }
  }
}
"#;
    let playbook = "- template: { dest: 'x/pass_{{ host_id }}.yml' }";
    let directory = lay_out(&[
        VARIABLES,
        ("ryo-a/project-deployment/main.tf", text),
        ("ryo-a/image-build/playbooks/roles/r/tasks/main.yml", playbook),
    ]);
    assert_eq!(keys_of(&deployment(directory.path()).unwrap()), pairs(&[("a", PENDING), ("b", PENDING)]));
}

#[test]
fn types_convert_and_fill_in_defaults() {
    let deployment = deployment_of(
        r#"
variable "services" {
  type = map(object({
    port    = optional(number, 80)
    names   = optional(set(string), ["x"])
    nested  = optional(object({ on = optional(bool, true), text = string }), { text = "t" })
    comment = optional(string)
  }))
  default = {
    a = { port = "8080", names = ["z", "y", "z"] }
    b = { nested = { text = 5 }, comment = null }
  }
}
variable "pair" {
  type    = tuple([string, number])
  default = [1, "2"]
}
resource "consul_keys" "k" {
  key {
    path  = "services"
    value = jsonencode(var.services)
  }
  key {
    path  = "pair"
    value = jsonencode(var.pair)
  }
}
"#,
    );
    assert_eq!(
        keys_of(&deployment),
        pairs(&[
            (
                "services",
                r#"{"a":{"comment":null,"names":["y","z"],"nested":{"on":true,"text":"t"},"port":8080},"b":{"comment":null,"names":["x"],"nested":{"on":true,"text":"5"},"port":80}}"#
            ),
            ("pair", r#"["1",2]"#),
        ])
    );
}

#[test]
fn modules_are_counted_and_give_their_outputs_back() {
    let directory = lay_out(&[
        VARIABLES,
        (
            "ryo-a/project-deployment/main.tf",
            r#"
module "m" {
  source = "./m"
  count  = 2
  kept   = null
  number = count.index
}
resource "consul_keys" "k" {
  key {
    path  = "all"
    value = join(",", module.m[*].text)
  }
  key {
    path  = "one"
    value = module.m[1].text
  }
}
output "secret" {
  value     = module.m[0].secret
  sensitive = true
}
"#,
        ),
        (
            "ryo-a/project-deployment/m/main.tf",
            r#"
variable "kept" {
  default  = "d"
  nullable = false
}
variable "number" {}
output "text" { value = "${var.kept}${var.number}" }
output "secret" {
  value     = "s"
  sensitive = true
}
"#,
        ),
    ]);
    assert_eq!(keys_of(&deployment(directory.path()).unwrap()), pairs(&[("all", "d0,d1"), ("one", "d1")]));
}

#[test]
fn values_come_from_files_in_json_too() {
    let directory = lay_out(&[
        VARIABLES,
        (
            "ryo-a/project-deployment/main.tf",
            "variable \"a\" {}\nresource \"consul_keys\" \"k\" {\n  key {\n    path = \"p\"\n    value = var.a.b[0]\n  }\n}\n",
        ),
        ("ryo-a/project-deployment/terraform.tfvars", "a = 1\n"),
        ("ryo-a/project-deployment/terraform.tfvars.json", "{ \"a\": { \"b\": [\"one\"] } }"),
        ("ryo-a/project-deployment/x.auto.tfvars.json", "{ \"a\": { \"b\": [\"two\"] } }"),
    ]);
    assert_eq!(keys_of(&deployment(directory.path()).unwrap()), pairs(&[("p", "two")]));
    fs::write(directory.path().join("ryo-a/project-deployment/x.auto.tfvars.json"), "{\n  \"a\": ,\n}").unwrap();
    assert_eq!(
        deployment(directory.path()).unwrap_err(),
        ["ryo-a/project-deployment/x.auto.tfvars.json:2:8: not JSON: expected value at line 2 column 8"]
    );
}

#[test]
fn what_is_sensitive_is_noted() {
    let deployment = deployment_of(
        r#"
variable "token" {
  default   = "t"
  sensitive = true
}
resource "lxd_container" "a" {
  name   = "a"
  image  = "i"
  config = { "limits.cpu" = var.token, "boot.autostart" = true }
  device {
    name       = "p"
    type       = "proxy"
    properties = { listen = "tcp:10.0.0.1:80", connect = var.token }
  }
  device {
    name       = "d"
    type       = "disk"
    properties = sensitive({ source = "/a", path = "/b" })
  }
}
"#,
    );
    assert_eq!(
        instance(&deployment, "lxd_container.a").hidden.iter().collect::<Vec<_>>(),
        ["config limits.cpu", "device d: path", "device d: source", "device p: connect"]
    );
}

#[test]
fn what_is_not_carried_out_is_named_with_what_to_do_instead() {
    let container = "resource \"lxd_container\" \"a\" {\n  name = \"a\"\n  image = \"i\"\n";
    let cases: &[(String, &str)] = &[
        ("moved {\n  from = a.b\n}\n".to_owned(), "1:1: `to` is missing"),
        (
            "removed {\n  from = lxd_container.a\n  lifecycle {\n    destroy = false\n  }\n}\n".to_owned(),
            "4:5: `destroy = false` is not supported (what no file names any longer is removed from the server)",
        ),
        ("ephemeral \"a\" \"b\" {}\n".to_owned(), "1:1: the block `ephemeral` is not supported"),
        (
            "data \"local_file\" \"a\" {\n  filename = \"x\"\n}\nlocals { a = data.local_file.a.content }\n".to_owned(),
            "1:1: the data source `local_file` is not supported (read the file by `file(…)`)",
        ),
        (
            "data \"terraform_remote_state\" \"a\" {}\n".to_owned(),
            "1:1: the data source `terraform_remote_state` is not supported \
             (there is no state; give the values as variables)",
        ),
        (
            "check \"c\" {\n  data \"http\" \"x\" {}\n  assert {\n    condition = data.http.x.ok\n  }\n}\n".to_owned(),
            "2:3: the data source `http` is not supported (give what it answers as a variable)",
        ),
        (
            "resource \"random_password\" \"a\" {\n  length = 3\n}\n".to_owned(),
            "1:1: the resource `random_password` is not supported (there is no state that would remember what was \
             drawn; have the image's playbook make the secret (`lookup('password', …)`) and read it by `file(…)`)",
        ),
        (
            "resource \"null_resource\" \"a\" {}\n".to_owned(),
            "1:1: the resource `null_resource` is not supported (there is no state that would remember its triggers; \
             put what it runs into a playbook)",
        ),
        (
            "resource \"local_file\" \"a\" {}\n".to_owned(),
            "1:1: the resource `local_file` is not supported (write the file in a playbook (`copy`, `template`))",
        ),
        (
            format!("{container}  provider = lxd.other\n}}\n"),
            "4:14: the provider `lxd.other` is not supported \
             (every provider has one configuration, that without an alias)",
        ),
        (
            format!("{container}  provisioner \"local-exec\" {{\n    command = \"x\"\n  }}\n}}\n"),
            "4:3: `provisioner` is not supported",
        ),
        (
            format!("{container}  dynamic \"devic\" {{\n    for_each = []\n    content {{}}\n  }}\n}}\n"),
            "4:3: there is no parameter `devic` here (did you mean `device`?)",
        ),
        (
            format!("{container}  dynamic \"device\" {{\n    content {{}}\n  }}\n}}\n"),
            "4:3: `for_each` is missing",
        ),
        (
            format!("{container}  dynamic \"device\" {{\n    for_each = [1]\n  }}\n}}\n"),
            "4:3: `content` is missing",
        ),
        (
            format!("{container}  dynamic \"device\" {{\n    for_each = 5\n    content {{}}\n  }}\n}}\n"),
            "5:16: `for_each` needs a list, a map or a set, not a number",
        ),
        (
            format!("{container}  dynamic \"device\" {{\n    for_each = [1]\n    iterator = \"x\"\n    content {{\n      name = device.value\n    }}\n  }}\n}}\n"),
            "6:16: `iterator` must be a bare name",
        ),
        (
            format!("{container}  lifecycle {{\n    prevent_destory = true\n  }}\n}}\n"),
            "5:5: there is no parameter `prevent_destory` here (did you mean `prevent_destroy`?)",
        ),
        (
            format!("{container}  lifecycle {{\n    ignore_changes = [confg]\n  }}\n}}\n"),
            "5:23: there is no parameter `confg` here (did you mean `config`?)",
        ),
        (
            format!("{container}  lifecycle {{\n    replace_triggered_by = [var.host_id.x]\n  }}\n}}\n"),
            "5:29: only whole resources such as `consul_keys.x` are supported here",
        ),
        (
            "variable \"x\" {\n  defualt = 1\n}\n".to_owned(),
            "2:3: there is no parameter `defualt` here (did you mean `default`?)",
        ),
        (
            "output \"x\" {\n  vale = 1\n  value = 1\n}\n".to_owned(),
            "2:3: there is no parameter `vale` here (did you mean `value`?)",
        ),
        (
            "locals { t = timestamp() }\nresource \"consul_keys\" \"k\" {\n  key {\n    path = \"t\"\n    value = local.t\n  }\n}\n".to_owned(),
            "5:13: `value` is known only after apply, which is not supported",
        ),
    ];
    let wrong: Vec<String> = cases
        .iter()
        .filter_map(|(text, expected)| {
            let told = problems_of(text);
            let expected = format!("ryo-a/project-deployment/main.tf:{expected}");
            (!told.contains(&expected)).then(|| format!("{told:#?} instead of {expected}"))
        })
        .collect();
    assert_eq!(wrong, Vec::<String>::new(), "{}", wrong.join("\n"));
}

/// What stands here twice is told twice, what is only a consequence is not.
#[test]
fn a_data_source_is_told_where_it_stands_and_not_where_it_is_read() {
    assert_eq!(
        problems_of("data \"external\" \"a\" {}\noutput \"a\" {\n  value = data.external.a.result[\"x\"]\n}\n"),
        ["ryo-a/project-deployment/main.tf:1:1: the data source `external` is not supported \
          (give what it answers as a variable)"]
    );
}
