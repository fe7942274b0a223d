//! Terraform files → resources.

#[path = "terraform/files.rs"]
mod files;
#[path = "terraform/language.rs"]
mod language;
#[path = "terraform/objects.rs"]
mod objects;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use ryo::hcl::Value;
use ryo::terraform::{DatabaseObject, Deployment, Instance, Kind, PENDING, evaluate};
use tempfile::TempDir;

/// Writes files into a working directory: `path` → text.
fn lay_out(files: &[(&str, &str)]) -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    for (path, text) in files {
        let file = directory.path().join(path);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, text).unwrap();
    }
    directory
}

fn values(given: &[(&str, &str)]) -> BTreeMap<String, Value> {
    given.iter().map(|(name, value)| ((*name).to_owned(), Value::from(*value))).collect()
}

/// Evaluates `ryo-a/project-deployment` for the host `web`.
fn deployment(directory: &Path) -> Result<Deployment, Vec<String>> {
    let root = directory.join("ryo-a/project-deployment");
    let given = values(&[("host_id", "web"), ("image_version", "7")]);
    evaluate(&root, &given).map_err(|problems| told(directory, &problems))
}

fn told(directory: &Path, problems: &[ryo::place::Problem]) -> Vec<String> {
    let here = directory.display().to_string();
    let told = |text: String| text.replace(&format!("{here}/"), "").replace(&here, ".");
    problems.iter().map(|problem| told(problem.to_string())).collect()
}

const VARIABLES: (&str, &str) = (
    "ryo-a/project-deployment/00-variables.tf",
    "variable \"host_id\" {\n  type = string\n}\nvariable \"image_version\" {\n  type = string\n}\n",
);

/// Problems of one file beside the usual variables.
fn problems_of(text: &str) -> Vec<String> {
    let directory = lay_out(&[VARIABLES, ("ryo-a/project-deployment/main.tf", text)]);
    deployment(directory.path()).map(|_| ()).unwrap_err()
}

fn addresses(deployment: &Deployment) -> Vec<&str> {
    deployment.resources.iter().map(|resource| resource.address.as_str()).collect()
}

fn instance<'a>(deployment: &'a Deployment, address: &str) -> &'a Instance {
    let found = deployment.resources.iter().find(|resource| resource.address == address).unwrap();
    match &found.kind {
        Kind::Instance(instance) => instance,
        _ => panic!("{address} is no instance"),
    }
}

const FIELD: &[(&str, &str)] = &[
    VARIABLES,
    (
        "ryo-a/project-deployment/01-config.tf",
        r#"
terraform {
  required_version = ">= 0.15"
  required_providers {
    lxd = { source = "terraform-lxd/lxd" }
  }
}
locals {
  configuration = join("", ["${abspath(path.root)}/../configuration/configuration_", var.host_id, ".yml"])
  id            = yamldecode(file(local.configuration))["project_id"]
  ipv6          = yamldecode(file(local.configuration))["ipv6"]
  part          = yamldecode(file(local.configuration))["part"]
  password      = sensitive(yamldecode(file("../configuration/pass_${var.host_id}.yml"))["pass"])
}
provider "lxd" {
  lxd_remote {
    name    = var.host_id
    default = true
  }
}
provider "consul" {
  address    = join("", [ "[", "fd10::1", "]", ":8500" ])
  scheme     = "http"
  datacenter = var.host_id
}
"#,
    ),
    (
        "ryo-a/project-deployment/02-proxy.tf",
        r#"
module "use-backend" {
  source     = "../../ryo-proxy/modules/keys"
  depends_on = [ module.backend ]
  entries = {
    join("-", [ local.id, "domain" ]) = {path = "use/a", value = local.part}
    b = {path = "use/b", value = ""}
  }
}
module "backend" {
  source     = "../../ryo-proxy/modules/keys"
  depends_on = [ lxd_container.web-v4, lxd_container.web-v6 ]
  names      = [ "web", "api", "web" ]
}
module "certificate" {
  source  = "../../ryo-proxy/modules/keys"
  count   = 1
  entries = { c = {path = "cert/c", value = "x"} }
}
"#,
    ),
    (
        "ryo-a/project-deployment/03-web.tf",
        r#"
resource "lxd_container" "web-v6" {
  count = ( local.ipv6 == true ? 1 : 0 )
  name  = "web"
  image = "none"
}
resource "lxd_container" "web-v4" {
  count      = ( local.ipv6 == true ? 0 : 1 )
  depends_on = [ module.certificate ]
  remote     = var.host_id
  name       = "web"
  image      = join("-", [ local.id, "web", var.image_version ])
  profiles   = ["default"]
  config = {
    "security.privileged": "false"
    "user.user-data" = file("cloud-init/basic.yml")
  }
  limits = {
    cpu = 2
  }
  device {
    name = "eth0"
    type = "nic"
    properties = {
      name           = "eth0"
      network        = var.host_id
      "ipv4.address" = join(".", [ "10.10.1", local.part ])
    }
  }
}
output "address" {
  value = lxd_container.web-v4[*].ipv4_address
}
"#,
    ),
    ("ryo-a/project-deployment/cloud-init/basic.yml", "#cloud-config\n"),
    ("ryo-a/configuration/configuration_web.yml", "project_id: ryo-a\nipv6: false\npart: 20\n"),
    ("ryo-a/configuration/pass_web.yml", "pass: geheim\n"),
    (
        "ryo-proxy/modules/keys/main.tf",
        r#"
variable "entries" {
  type = map(object({
    path  = string
    value = string
  }))
  default = {}
}
variable "names" {
  type    = list(string)
  default = []
}
resource "consul_keys" "entry" {
  for_each = var.entries
  key {
    path   = each.value["path"]
    value  = each.value["value"]
    delete = true
  }
}
resource "consul_keys" "name" {
  for_each = toset(var.names)
  key {
    path   = join("", [ "names/", each.key ])
    value  = ""
    delete = true
  }
}
"#,
    ),
];

#[test]
fn a_project_of_the_field_becomes_resources_in_order() {
    let directory = lay_out(FIELD);
    let deployment = deployment(directory.path()).unwrap();
    assert_eq!(
        addresses(&deployment),
        [
            "module.certificate[0].consul_keys.entry[\"c\"]",
            "lxd_container.web-v4[0]",
            "module.backend.consul_keys.name[\"api\"]",
            "module.backend.consul_keys.name[\"web\"]",
            "module.use-backend.consul_keys.entry[\"b\"]",
            "module.use-backend.consul_keys.entry[\"ryo-a-domain\"]",
        ]
    );
    let depends_on = |at: usize| deployment.resources[at].depends_on.clone();
    assert_eq!(depends_on(0), Vec::<String>::new());
    assert_eq!(depends_on(1), ["module.certificate[0].consul_keys.entry[\"c\"]"]);
    assert_eq!(depends_on(2), ["lxd_container.web-v4[0]"]);
    let backends = ["module.backend.consul_keys.name[\"api\"]", "module.backend.consul_keys.name[\"web\"]"];
    assert_eq!(depends_on(4)[1..], backends.map(str::to_owned));
    let consul = deployment.consul.clone().unwrap();
    assert_eq!((consul.address.as_str(), consul.scheme.as_str()), ("[fd10::1]:8500", "http"));
    assert_eq!(consul.datacenter.as_deref(), Some("web"));
    assert_eq!(deployment.awaited, Vec::<std::path::PathBuf>::new());
}

#[test]
fn an_instance_has_what_its_block_says() {
    let directory = lay_out(FIELD);
    let deployment = deployment(directory.path()).unwrap();
    let text = |pairs: &[(&str, &str)]| -> BTreeMap<String, String> {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    };
    let nic = text(&[("type", "nic"), ("name", "eth0"), ("network", "web"), ("ipv4.address", "10.10.1.20")]);
    assert_eq!(
        *instance(&deployment, "lxd_container.web-v4[0]"),
        Instance {
            name: "web".to_owned(),
            image: "ryo-a-web-7".to_owned(),
            profiles: vec!["default".to_owned()],
            config: text(&[
                ("security.privileged", "false"),
                ("user.user-data", "#cloud-config\n"),
                ("limits.cpu", "2"),
            ]),
            devices: [("eth0".to_owned(), nic)].into(),
            running: true,
            wait_for_network: true,
            remote: Some("web".to_owned()),
            ..Instance::default()
        }
    );
}

#[test]
fn a_number_becomes_text_where_a_module_wants_text() {
    let directory = lay_out(FIELD);
    let deployment = deployment(directory.path()).unwrap();
    let keys: Vec<(String, String)> = deployment
        .resources
        .iter()
        .filter_map(|resource| match &resource.kind {
            Kind::ConsulKeys(keys) => Some(keys.keys.iter().map(|key| (key.path.clone(), key.value.clone()))),
            _ => None,
        })
        .flatten()
        .collect();
    let expected = [("cert/c", "x"), ("names/api", ""), ("names/web", ""), ("use/b", ""), ("use/a", "20")];
    assert_eq!(keys, expected.map(|(path, value)| (path.to_owned(), value.to_owned())));
}

#[test]
fn a_secret_that_the_image_build_makes_is_awaited() {
    let mut files = FIELD.to_vec();
    files.retain(|(path, _)| !path.ends_with("pass_web.yml"));
    let without = lay_out(&files);
    let missing = without.path().join("ryo-a/configuration/pass_web.yml");
    assert_eq!(
        deployment(without.path()).unwrap_err(),
        [format!("ryo-a/project-deployment/01-config.tf:13:40: `file`: there is no file `{}`", missing.display())
            .replace(&format!("{}/", without.path().display()), "")]
    );
    files.push((
        "ryo-a/image-build/playbooks/roles/r/tasks/main.yml",
        "- template: { dest: 'x/pass_{{ host_id }}.yml' }",
    ));
    files.push((
        "ryo-a/project-deployment/04-secret.tf",
        "resource \"consul_keys\" \"secret\" {\n  key {\n    path = \"s\"\n    value = local.password\n  }\n}\n",
    ));
    let with = lay_out(&files);
    let deployment = deployment(with.path()).unwrap();
    assert_eq!(deployment.awaited, [with.path().join("ryo-a/configuration/pass_web.yml")]);
    let secret = deployment.resources.iter().find(|resource| resource.address == "consul_keys.secret").unwrap();
    let Kind::ConsulKeys(keys) = &secret.kind else { panic!("no keys") };
    assert_eq!(keys.keys[0].value, PENDING);
}

#[test]
fn lxd_instance_and_incus_instance_are_instances_too() {
    let directory = lay_out(&[
        VARIABLES,
        (
            "ryo-a/project-deployment/main.tf",
            r#"
resource "incus_instance" "vm" {
  name        = "vm"
  image       = "images:debian/12/cloud"
  type        = "virtual-machine"
  description = "A machine"
  profiles    = []
  ephemeral   = true
  running     = false
  project     = "default"
  config      = { "boot.autostart" = true, "limits.cpu" = 2, "none" = null }
  wait_for {
    type = "ipv4"
  }
}
resource "lxd_instance" "b" {
  for_each = { x = "1", y = "2" }
  name     = "${incus_instance.vm.name}-${each.key}${each.value}"
  image    = "i"
}
"#,
        ),
    ]);
    let deployment = deployment(directory.path()).unwrap();
    let vm = instance(&deployment, "incus_instance.vm");
    assert_eq!((vm.virtual_machine, vm.ephemeral, vm.running), (true, true, false));
    assert_eq!((vm.description.as_str(), vm.project.as_deref()), ("A machine", Some("default")));
    assert_eq!(vm.profiles, Vec::<String>::new());
    assert_eq!(
        vm.config,
        [("boot.autostart", "true"), ("limits.cpu", "2")].map(|(k, v)| (k.to_owned(), v.to_owned())).into()
    );
    assert_eq!(addresses(&deployment)[1..], ["lxd_instance.b[\"x\"]", "lxd_instance.b[\"y\"]"]);
    assert_eq!(instance(&deployment, "lxd_instance.b[\"y\"]").name, "vm-y2");
    assert_eq!(deployment.resources[1].depends_on, ["incus_instance.vm"]);
}

#[test]
fn outputs_of_modules_are_values_and_dependencies() {
    let directory = lay_out(&[
        VARIABLES,
        (
            "ryo-a/project-deployment/main.tf",
            r#"
resource "consul_keys" "after" {
  key {
    path  = module.m["k"].path
    value = "${module.m["k"].plain}"
  }
}
module "m" {
  source   = "./m"
  for_each = toset(["k"])
  name     = "n-${each.value}"
}
"#,
        ),
        (
            "ryo-a/project-deployment/m/main.tf",
            r#"
variable "name" {}
locals { whole = "p/${var.name}" }
resource "consul_keys" "k" {
  key {
    path  = local.whole
    value = path.module
  }
}
output "path" { value = "${consul_keys.k.key[0].path}/x" }
output "plain" { value = var.name }
"#,
        ),
    ]);
    let deployment = deployment(directory.path()).unwrap();
    assert_eq!(addresses(&deployment), ["module.m[\"k\"].consul_keys.k", "consul_keys.after"]);
    let Kind::ConsulKeys(keys) = &deployment.resources[1].kind else { panic!("no keys") };
    assert_eq!((keys.keys[0].path.as_str(), keys.keys[0].value.as_str()), ("p/n-k/x", "n-k"));
    assert_eq!(deployment.resources[1].depends_on, ["module.m[\"k\"].consul_keys.k"]);
    let Kind::ConsulKeys(keys) = &deployment.resources[0].kind else { panic!("no keys") };
    assert_eq!(keys.keys[0].value, "m");
}

#[test]
fn circles_name_their_chain() {
    assert_eq!(
        problems_of("locals {\n  a = local.b\n  b = \"${local.c}\"\n  c = local.a\n}\n"),
        ["ryo-a/project-deployment/main.tf:2:7: these depend on each other in a circle: \
          `local.a` → `local.b` → `local.c` → `local.a`"]
    );
    let two = "resource \"consul_keys\" \"a\" {\n  depends_on = [consul_keys.b]\n}\n\
               resource \"consul_keys\" \"b\" {\n  depends_on = [consul_keys.a]\n}\n";
    assert_eq!(
        problems_of(two),
        ["ryo-a/project-deployment/main.tf:1:1: these depend on each other in a circle: \
          `consul_keys.a` → `consul_keys.b` → `consul_keys.a`"]
    );
}

#[test]
fn all_problems_are_told_at_once() {
    let text = r#"resource "lxd_container" "a" {
  nmae  = "a"
  image = local.imge
  config = { x = jion("", []) }
  device {
    name = "eth0"
    type = "nic"
    properties = { "ipv4.address" = "10.0.0.256" }
  }
  file {}
}
resource "mysql_role" "b" {}
resource "lxd_contaner" "c" {}
locals {
  image = var.image_vers
  list  = module.none
}
"#;
    assert_eq!(
        problems_of(text),
        [
            "ryo-a/project-deployment/main.tf:1:1: `name` is missing",
            "ryo-a/project-deployment/main.tf:2:3: there is no parameter `nmae` here (did you mean `name`?)",
            "ryo-a/project-deployment/main.tf:3:11: there is no `local.imge` (did you mean `local.image`?)",
            "ryo-a/project-deployment/main.tf:4:18: there is no function `jion` (did you mean `join`?)",
            "ryo-a/project-deployment/main.tf:8:18: device `eth0`: `ipv4.address`: `10.0.0.256` is no IPv4 address",
            "ryo-a/project-deployment/main.tf:10:3: `file` is not supported",
            "ryo-a/project-deployment/main.tf:12:1: the resource `mysql_role` is not supported",
            "ryo-a/project-deployment/main.tf:13:1: the resource `lxd_contaner` is not supported \
             (did you mean `lxd_container`?)",
            "ryo-a/project-deployment/main.tf:15:11: there is no `var.image_vers` (did you mean `var.image_version`?)",
            "ryo-a/project-deployment/main.tf:16:11: there is no `module.none`",
        ]
    );
}

#[test]
fn each_mistake_has_its_message() {
    let cases: &[(&str, &str)] = &[
        ("locals {\n  a = [1,\n", "2:7: not HCL: `[` is not closed"),
        (
            "module \"m\" {\n  source = \"../../ryo-gone/modules/x\"\n}\n",
            "2:12: the repository `ryo-gone` is missing (clone it into `.`)",
        ),
        ("module \"m\" {\n  source = \"./gone\"\n}\n", "2:12: there is no directory `ryo-a/project-deployment/gone`"),
        (
            "module \"m\" {\n  source = \"hashicorp/x/y\"\n}\n",
            "2:12: the module `hashicorp/x/y` is not in a local directory \
             (only sources that start with `./` or `../` are supported)",
        ),
        (
            "resource \"consul_keys\" \"a\" {\n  for_each = [\"a\"]\n}\n",
            "2:14: `for_each` needs a map or a set, not a list (convert it by `toset(…)`)",
        ),
        (
            "resource \"consul_keys\" \"a\" {\n  count = -1\n}\n",
            "2:11: `count` must be a whole number from 0 to 10000, not -1",
        ),
        (
            "resource \"consul_keys\" \"a\" {\n  count = 1\n  for_each = {}\n}\n",
            "3:14: `count` and `for_each` exclude each other",
        ),
        ("locals { a = each.key }\n", "1:14: `each.key` is not known here (it needs `for_each` in the same block)"),
        ("data \"lxd_image\" \"a\" {}\n", "1:1: the data source `lxd_image` is not supported"),
        ("variable \"x\" {\n  type = strng\n}\n", "2:10: there is no type `strng` (did you mean `string`?)"),
        ("variable \"x\" {}\n", "1:1: the variable `x` has no value"),
        ("variable \"x\" {\n  type = number\n  default = \"a\"\n}\n", "3:13: a number is required, not text"),
        (
            "variable \"x\" {\n  default = 1\n  validation {\n    condition = var.x > 1\n    error_message = \"too small\"\n  }\n}\n",
            "1:1: variable `x` is refused (too small)",
        ),
        (
            "resource \"consul_keys\" \"a\" {\n  key {\n    path = \"a\"\n  }\n}\n",
            "2:3: the key `a` has no `value` (reading keys is not supported, only writing them)",
        ),
        (
            "resource \"lxd_container\" \"a\" {\n  name = \"a_b\"\n  image = \"i\"\n}\n",
            "2:10: `a_b` is no name for an instance: letters, digits and dashes, a letter first, no dash last",
        ),
        (
            "resource \"lxd_container\" \"a\" {\n  name = \"a\"\n  image = \"i\"\n  device {\n    name = \"p\"\n    type = \"proxy\"\n    properties = { listen = \"tcp:10.0.0.1:99999\" }\n  }\n}\n",
            "7:18: device `p`: `listen`: `tcp:10.0.0.1:99999` is no address such as `tcp:10.0.0.1:80`",
        ),
        (
            "resource \"lxd_container\" \"a\" {\n  name = \"a\"\n  image = \"i\"\n}\nresource \"lxd_container\" \"b\" {\n  name = \"a\"\n  image = \"i\"\n}\n",
            "5:1: the instance `a` is already made by `lxd_container.a`",
        ),
        (
            "resource \"lxd_container\" \"a\" {\n  name = \"a\"\n  image = \"i\"\n}\nresource \"consul_keys\" \"b\" {\n  key {\n    path = \"a\"\n    value = lxd_container.a.ipv4_address\n  }\n}\n",
            "8:13: `value` is known only after apply, which is not supported",
        ),
        ("x = 1\n", "1:1: `x` cannot stand outside of a block"),
        ("move {}\n", "1:1: the block `move` is not supported"),
        ("locals {\n  a = 1\n}\nlocals {\n  a = 2\n}\n", "5:3: `a` is declared twice"),
    ];
    let wrong: Vec<String> = cases
        .iter()
        .filter_map(|(text, expected)| {
            let told = problems_of(text);
            let expected = format!("ryo-a/project-deployment/main.tf:{expected}");
            (!told.contains(&expected)).then(|| format!("{told:?} instead of {expected}"))
        })
        .collect();
    assert_eq!(wrong, Vec::<String>::new());
}

#[test]
fn arguments_of_modules_are_checked() {
    let directory = lay_out(&[
        VARIABLES,
        (
            "ryo-a/project-deployment/main.tf",
            "module \"m\" {\n  source = \"./m\"\n  entires = {}\n}\nmodule \"n\" {\n  source = \"./m\"\n  entries = { a = { host = 1 } }\n}\n",
        ),
        (
            "ryo-a/project-deployment/m/main.tf",
            "variable \"entries\" {\n  type = map(object({ path = string, host = string }))\n}\n",
        ),
    ]);
    assert_eq!(
        deployment(directory.path()).unwrap_err(),
        [
            "ryo-a/project-deployment/main.tf:1:1: the variable `entries` has no value",
            "ryo-a/project-deployment/main.tf:3:3: the module `m` has no variable `entires` (did you mean `entries`?)",
            "ryo-a/project-deployment/main.tf:7:13: variable `entries`: `a`: attribute `path` is required",
        ]
    );
}

#[test]
fn a_variable_that_is_given_but_not_declared_is_told() {
    let directory = lay_out(&[("ryo-a/project-deployment/main.tf", "variable \"host_id\" {}\n")]);
    assert_eq!(
        deployment(directory.path()).unwrap_err(),
        ["ryo-a/project-deployment: the variable `image_version` is given but not declared"]
    );
}

#[test]
fn values_come_from_files_too() {
    let directory = lay_out(&[
        VARIABLES,
        (
            "ryo-a/project-deployment/main.tf",
            "variable \"a\" {}\nvariable \"b\" {}\nresource \"consul_keys\" \"k\" {\n  key {\n    path = var.a\n    value = var.b\n  }\n}\n",
        ),
        ("ryo-a/project-deployment/terraform.tfvars", "a = \"one\"\nb = \"two\"\nimage_version = 3\n"),
        ("ryo-a/project-deployment/x.auto.tfvars", "b = upper(\"three\")\n"),
    ]);
    let deployment = deployment(directory.path()).unwrap();
    let Kind::ConsulKeys(keys) = &deployment.resources[0].kind else { panic!("no keys") };
    assert_eq!((keys.keys[0].path.as_str(), keys.keys[0].value.as_str()), ("one", "THREE"));
}

#[test]
fn a_name_that_is_too_long_is_told() {
    let name = "a".repeat(64);
    let text = format!("resource \"lxd_container\" \"a\" {{\n  name = \"{name}\"\n  image = \"i\"\n}}\n");
    assert_eq!(
        problems_of(&text),
        [format!("ryo-a/project-deployment/main.tf:2:10: the name `{name}` is too long: 64 characters, at most 63")]
    );
}

#[test]
fn the_examples_evaluate() {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    for part in ["ryo-hello/project-deployment", "ryo-web-proxy/module-deployment"] {
        let given = values(&[("host_id", "local"), ("image_version", "1")]);
        let deployment = evaluate(&examples.join(part), &given);
        assert!(deployment.is_ok(), "{part}: {deployment:?}");
    }
}

const DATABASES: &[(&str, &str)] = &[
    VARIABLES,
    (
        "ryo-a/project-deployment/main.tf",
        r#"
locals {
  password = sensitive(yamldecode(file("../configuration/pass_web.yml"))["pass"])
}
provider "mysql" {
  endpoint = join("", ["mariadb.service.", var.host_id, ".ryo:3306"])
  username = "terraform"
  password = local.password
}
provider "postgresql" {
  host            = join("", ["postgres.service.", var.host_id, ".ryo"])
  port            = 5432
  database        = "postgres"
  username        = "postgres"
  password        = local.password
  sslmode         = "disable"
  connect_timeout = 15
}
module "mysql" {
  source   = "../../ryo-mariadb/module-deployment/modules/db"
  database = "gitea"
  hosts    = ["localhost", "10.10.1.%"]
  password = local.password
}
resource "postgresql_role" "synapse" {
  name     = "synapse_user"
  login    = true
  password = local.password
}
resource "postgresql_database" "synapse" {
  name       = "synapse"
  owner      = postgresql_role.synapse.name
  template   = "template0"
  encoding   = "UTF8"
  lc_collate = "C"
  lc_ctype   = "C"
}
"#,
    ),
    ("ryo-a/configuration/pass_web.yml", "pass: geheim\n"),
    (
        "ryo-mariadb/module-deployment/modules/db/main.tf",
        r#"
variable "database" {
  type = string
}
variable "hosts" {
  type = list(string)
}
variable "password" {
  type      = string
  sensitive = true
}
resource "mysql_database" "db" {
  name                  = var.database
  default_character_set = "utf8mb4"
  default_collation     = "utf8mb4_unicode_ci"
}
resource "mysql_user" "user" {
  for_each           = toset(var.hosts)
  user               = join("-", [var.database, "user"])
  host               = each.key
  plaintext_password = var.password
}
resource "mysql_grant" "grant" {
  for_each   = toset(var.hosts)
  depends_on = [mysql_user.user, mysql_database.db]
  user       = join("-", [var.database, "user"])
  host       = each.key
  database   = var.database
  table      = "*"
  privileges = ["ALL"]
}
"#,
    ),
];

fn objects(deployment: &Deployment) -> Vec<&DatabaseObject> {
    let objects = deployment.resources.iter().filter_map(|resource| match &resource.kind {
        Kind::Database(object) => Some(object),
        _ => None,
    });
    objects.collect()
}

#[test]
fn databases_of_the_field_become_objects_with_their_servers() {
    let directory = lay_out(DATABASES);
    let deployment = deployment(directory.path()).unwrap();
    let servers: Vec<String> = deployment.databases.iter().map(ToString::to_string).collect();
    assert_eq!(servers, ["MySQL at mariadb.service.web.ryo:3306", "PostgreSQL at postgres.service.web.ryo:5432"]);
    let shown = |object: &DatabaseObject| {
        let properties = object.properties.iter().map(|(name, value)| format!("{name} {value}"));
        format!("{object}: {}", properties.collect::<Vec<_>>().join(", "))
    };
    assert_eq!(
        objects(&deployment).into_iter().map(shown).collect::<Vec<_>>(),
        [
            "MySQL database gitea: character set utf8mb4, collation utf8mb4_unicode_ci",
            "MySQL user gitea-user@10.10.1.%: TLS NONE",
            "MySQL user gitea-user@localhost: TLS NONE",
            "privileges of MySQL user gitea-user@10.10.1.% on gitea.*: may be given on no, privileges ALL",
            "privileges of MySQL user gitea-user@localhost on gitea.*: may be given on no, privileges ALL",
            "PostgreSQL role synapse_user: connection limit -1, inherits yes, may log in yes, may make databases no, \
             may make roles no, replicates no, sees all rows no, superuser no",
            "PostgreSQL database synapse: LC_COLLATE C, LC_CTYPE C, connection limit -1, encoding UTF8, \
             lets accounts in yes, owner synapse_user, template template0",
        ]
    );
    assert!(!format!("{deployment:?}").contains("geheim"));
    let given = objects(&deployment)[1].password.as_ref().map(|password| password.reveal().to_owned());
    assert_eq!(given.as_deref(), Some("geheim"));
}

#[test]
fn what_is_wrong_with_a_database_is_told_with_its_place() {
    let text = r#"resource "postgresql_database" "a" {
  name            = "a"
  tablespace_name = "x"
}
provider "mysql" {
  endpoint = "/run/mysqld/mysqld.sock"
  username = "root"
  tls      = "true"
}
resource "mysql_user" "b" {
  user       = "b"
  tls_option = "CIPHER 'x'"
}
resource "mysql_grant" "c" {
  user       = "b"
  database   = "b"
  privileges = ["SELECT; DROP"]
}
"#;
    assert_eq!(
        problems_of(text),
        [
            "ryo-a/project-deployment/main.tf:1:1: the provider `postgresql` is not configured",
            "ryo-a/project-deployment/main.tf:3:3: `tablespace_name` is not supported",
            "ryo-a/project-deployment/main.tf:6:14: `/run/mysqld/mysqld.sock` is no host and port \
             (unix sockets are not supported)",
            "ryo-a/project-deployment/main.tf:8:14: `tls = true` is not supported",
            "ryo-a/project-deployment/main.tf:12:16: `tls_option` cannot be `CIPHER 'X'` here \
             (it is `NONE`, `SSL` or `X509`)",
            "ryo-a/project-deployment/main.tf:17:16: `SELECT; DROP` is no privilege such as `SELECT`",
        ]
    );
}
