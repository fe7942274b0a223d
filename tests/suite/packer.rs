//! Packer templates → image builds.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use ryo::hcl::Value;
use ryo::packer::{Build, Provisioner, evaluate, variables};
use tempfile::TempDir;

const TEMPLATE: &str = r#"
packer {
  required_plugins {
    lxd = { version = ">= 1.0.0", source = "github.com/hashicorp/lxd" }
  }
}
variable "host_id" {
  type = string
}
variable "version" {
  type = string
}
variable "remote" {
  type    = bool
  default = false
}
variable "web_version" {
  type = string
}
locals {
  id       = yamldecode(file("${abspath(path.root)}/../configuration/configuration_${var.host_id}.yml"))["project_id"]
  argument = "${ join("", [ "ansible_lxd_remote=", var.host_id ]) }"
  vars     = "host_id=${var.host_id} web_version=${var.web_version}"
}
local "secret" {
  expression = "s"
  sensitive  = true
}
source "lxd" "container" {
  image               = join(":", [ "ubuntu-minimal" , "focal" ])
  profile             = "build"
  container_name      = ( var.remote ? "${var.host_id}:build" : "build" )
  output_image        = "${ join("-", [ local.id, "web", var.version ]) }"
  publish_remote_name = var.host_id
  publish_properties = {
    description = "web - v ${var.version}"
    os          = "ubuntu-minimal"
  }
  launch_config = {
    "security.nesting" = true
  }
}
build {
  sources = ["source.lxd.container"]
  provisioner "ansible" {
    inventory_file  = "${abspath(path.root)}/playbooks/inventory.yml"
    playbook_file   = "${abspath(path.root)}/playbooks/provision.yml"
    extra_arguments = ( var.remote ? [ "-e", local.argument, "--extra-vars", local.vars ] : [ "--extra-vars", local.vars ] )
  }
}
"#;

fn lay_out(template: &str) -> (TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    for folder in ["image-build/playbooks", "configuration"] {
        fs::create_dir_all(directory.path().join(folder)).unwrap();
    }
    fs::write(directory.path().join("configuration/configuration_h.yml"), "project_id: ryo-a\n").unwrap();
    for file in ["inventory.yml", "provision.yml"] {
        fs::write(directory.path().join("image-build/playbooks").join(file), "").unwrap();
    }
    let file = directory.path().join("image-build/web.pkr.hcl");
    fs::write(&file, template).unwrap();
    (directory, file)
}

fn given(version: &str, remote: &str) -> BTreeMap<String, Value> {
    [("host_id", "h"), ("version", version), ("remote", remote), ("web_version", "1.2.3")]
        .map(|(name, value)| (name.to_owned(), Value::from(value)))
        .into()
}

fn problems(file: &Path, given: &BTreeMap<String, Value>) -> Vec<String> {
    let prefix = format!("{}/", file.parent().unwrap().display());
    evaluate(file, given).unwrap_err().iter().map(|problem| problem.to_string().replace(&prefix, "")).collect()
}

#[test]
fn a_template_of_the_field_becomes_a_build() {
    let (directory, file) = lay_out(TEMPLATE);
    let playbooks = directory.path().join("image-build/playbooks");
    let text = |pairs: &[(&str, &str)]| pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    let builds = evaluate(&file, &given("20221101-1", "true")).unwrap();
    assert_eq!(
        builds,
        [Build {
            place: ryo::place::Place::new(&file, 29, 1),
            image: "ubuntu-minimal:focal".to_owned(),
            profile: Some("build".to_owned()),
            alias: "ryo-a-web-20221101-1".to_owned(),
            alias_prefix: "ryo-a-web".to_owned(),
            properties: text(&[("description", "web - v 20221101-1"), ("os", "ubuntu-minimal")]),
            provisioners: vec![Provisioner {
                playbook: playbooks.join("provision.yml"),
                inventory: playbooks.join("inventory.yml"),
                extra_vars: vec!["ansible_lxd_remote=h".to_owned(), "host_id=h web_version=1.2.3".to_owned()],
            }],
            launch_config: text(&[("security.nesting", "true")]),
            instance: "build".to_owned(),
            source: None,
            variables: text(&[
                ("host_id", "h"),
                ("remote", "true"),
                ("version", "20221101-1"),
                ("web_version", "1.2.3"),
            ]),
        }]
    );
    let local = evaluate(&file, &given("1", "false")).unwrap();
    assert_eq!(local[0].provisioners[0].extra_vars, ["host_id=h web_version=1.2.3"]);
}

#[test]
fn the_prefix_of_an_alias_is_the_same_whatever_the_version() {
    let cases = [
        ("\"a-b-${var.version}\"", "a-b"),
        ("\"a-1-${var.version}\"", "a-1"),
        ("\"${var.version}-a\"", "a"),
        ("\"a-${var.version}-b\"", "a-b"),
        ("\"a-${upper(var.version)}\"", "a"),
        ("\"a\"", "a"),
    ];
    for (alias, prefix) in cases {
        let template = TEMPLATE.replace(r#""${ join("-", [ local.id, "web", var.version ]) }""#, alias);
        let (_directory, file) = lay_out(&template);
        for version in ["1", "2642", "v-b"] {
            assert_eq!(evaluate(&file, &given(version, "false")).unwrap()[0].alias_prefix, prefix, "{alias} {version}");
        }
    }
}

#[test]
fn several_sources_and_builds_are_built_in_order() {
    let more = r#"
source "incus" "second" {
  image        = "images:debian/12"
  output_image = "second-${var.version}"
}
build {
  name    = "both"
  sources = ["incus.second", "source.lxd.container"]
}
"#;
    let (_directory, file) = lay_out(&format!("{TEMPLATE}{more}"));
    let builds = evaluate(&file, &given("1", "false")).unwrap();
    let seen: Vec<(&str, usize)> =
        builds.iter().map(|build| (build.alias_prefix.as_str(), build.provisioners.len())).collect();
    assert_eq!(seen, [("ryo-a-web", 1), ("second", 0), ("ryo-a-web", 0)]);
    let sources: Vec<_> = builds.iter().map(|build| build.source.as_deref()).collect();
    assert_eq!(sources, [Some("lxd.container"), Some("incus.second"), Some("lxd.container")]);
}

#[test]
fn the_variables_of_a_template_are_known_without_values() {
    let (_directory, file) = lay_out(TEMPLATE);
    assert_eq!(variables(&file).unwrap(), ["host_id", "remote", "version", "web_version"]);
}

#[test]
fn each_mistake_has_its_message() {
    let cases: &[(&str, &str, &str)] = &[
        ("profile  ", "profil  ", "31:3: there is no parameter `profil` here (did you mean `profile`?)"),
        ("output_image ", "skip_publish = true\n  output_image ", "33:18: `skip_publish` is not supported"),
        (
            "source.lxd.container",
            "source.lxd.contaner",
            "44:13: there is no source `lxd.contaner` (did you mean `source.lxd.container`?)",
        ),
        ("source \"lxd\"", "source \"docker\"", "44:13: there is no source `lxd.container`"),
        (
            "provisioner \"ansible\"",
            "provisioner \"shell\"",
            "45:3: the provisioner `shell` is not supported (only `ansible` is)",
        ),
        ("playbooks/provision.yml", "playbooks/provisio.yml", "47:23: there is no playbook `playbooks/provisio.yml`"),
        ("[ \"--extra-vars\", local.vars ]", "[ \"--tags\", \"x\" ]", "48:23: the argument `--tags` is not supported"),
        ("local.argument", "local.argumnt", "48:46: there is no `local.argumnt` (did you mean `local.argument`?)"),
        (
            "abspath(path.root)}/playbooks/inv",
            "abspth(path.root)}/playbooks/inv",
            "46:26: there is no function `abspth` (did you mean `abspath`?)",
        ),
        (
            "id       = yaml",
            "b = local.vars2\n  vars2 = local.b\n  id       = yaml",
            "21:7: these depend on each other in a circle: `local.b`, `local.vars2`",
        ),
        ("build {", "data \"x\" \"y\" {}\nbuild {", "43:1: the block `data` is not supported"),
    ];
    let wrong: Vec<String> = cases
        .iter()
        .filter_map(|(from, to, expected)| {
            assert!(TEMPLATE.contains(from), "{from}");
            let (_directory, file) = lay_out(&TEMPLATE.replacen(from, to, 1));
            let told = problems(&file, &given("1", "false"));
            (!told.contains(&format!("web.pkr.hcl:{expected}"))).then(|| format!("{told:?} instead of {expected}"))
        })
        .collect();
    assert_eq!(wrong, Vec::<String>::new());
}

#[test]
fn a_missing_and_an_unknown_variable_are_told() {
    let (_directory, file) = lay_out(TEMPLATE);
    let mut given = given("1", "false");
    given.remove("web_version");
    given.insert("other".to_owned(), Value::from("x"));
    assert_eq!(
        problems(&file, &given),
        [
            "web.pkr.hcl: the variable `other` is given but not declared",
            "web.pkr.hcl:17:1: the variable `web_version` has no value",
        ]
    );
}
