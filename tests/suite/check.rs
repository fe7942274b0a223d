//! `ryo check`: everything wrong with a repository at once.

use std::path::Path;
use std::process::{Command, Output};

use ryo::cli::check::{object, text};
use ryo::project::check::{problems, report};
use serde_json::Value;
use tempfile::TempDir;

use crate::project::{CONTROL, HOST, lay_out, told};

const VARIABLES: &str = "variable \"host_id\" {}\nvariable \"image_version\" {}\nlocals {\n  \
    c = yamldecode(file(\"../configuration/configuration_${var.host_id}.yml\"))\n  id = local.c[\"project_id\"]\n}\n";

const TEMPLATE: &str = "variable \"host_id\" {}\nvariable \"version\" {}\nsource \"lxd\" \"c\" {\n  \
    image = \"debian\"\n  output_image = \"ryo-a-web-${var.version}\"\n}\nbuild {\n  sources = [\"source.lxd.c\"]\n}\n";

const CONTAINER: &str = "resource \"lxd_container\" \"web\" {\n  name  = \"web\"\n  \
    image = join(\"-\", [local.id, \"web\", var.image_version])\n}\n";

fn sound() -> Vec<(&'static str, &'static str)> {
    vec![
        ("ryo-host/configuration/configuration_web.yml", HOST),
        ("ryo-control-node/configuration/configuration.yml", CONTROL),
        ("ryo-a/deploy.sh", "MODULES=\"\"\n"),
        ("ryo-a/configuration/configuration_web.yml", "project_id: ryo-a\nremote_build: false\n"),
        ("ryo-a/configuration/configuration_TEMPLATE.yml", "project_id: ryo-a\n"),
        ("ryo-a/image-build/web.pkr.hcl", TEMPLATE),
        ("ryo-a/project-deployment/00-variables.tf", VARIABLES),
        ("ryo-a/project-deployment/01-web.tf", CONTAINER),
    ]
}

fn with(changes: &[(&'static str, &'static str)]) -> TempDir {
    let mut files = sound();
    for (path, text) in changes {
        files.retain(|(other, _)| other != path);
        files.push((path, text));
    }
    lay_out(&files)
}

fn found(directory: &Path) -> Vec<String> {
    told(directory, &problems(&directory.join("ryo-a"), "web"))
}

#[test]
fn a_sound_repository_has_no_problems() {
    let directory = with(&[]);
    let report = report(&directory.path().join("ryo-a"), None, "web");
    assert_eq!(told(directory.path(), &report.problems), Vec::<String>::new());
    assert_eq!(told(directory.path(), &report.warnings), Vec::<String>::new());
    assert_eq!(text(&report, Path::new("/")), "no problems\n");
}

#[test]
fn problems_of_all_kinds_are_told_together() {
    let directory = with(&[
        ("ryo-a/deploy.sh", "#!/bin/bash\nMODULES=\"ryo-gone\"\n"),
        (
            "ryo-a/configuration/configuration_web.yml",
            "project_idd: ryo-a\nremote_build: maybe\nproject_domain: <DOMAIN>\n",
        ),
        ("ryo-a/image-build/web.pkr.hcl", "source \"lxd\" \"c\" {\n  image = foo()\n"),
        (
            "ryo-a/project-deployment/02-more.tf",
            "resource \"consul_keys\" \"k\" {\n  key {\n    path = \"a\"\n    vale = \"b\"\n  }\n}\n",
        ),
    ]);
    assert_eq!(
        found(directory.path()),
        [
            "ryo-a/configuration/configuration_web.yml: the key `project_id` is missing (there is `project_idd`)",
            "ryo-a/configuration/configuration_web.yml:2:15: `remote_build` must be true or false, not text",
            "ryo-a/configuration/configuration_web.yml:3:17: `project_domain` is still the placeholder `<DOMAIN>` \
             (put the real value in its place)",
            "ryo-a/deploy.sh:2:1: the module `ryo-gone` is missing (clone it into `.`)",
            "ryo-a/image-build/web.pkr.hcl:1:18: not HCL: `{` is not closed",
            "ryo-a/project-deployment/00-variables.tf:5:15: there is no key `project_id` (did you mean `project_idd`?)",
            "ryo-a/project-deployment/02-more.tf:2:3: the key `a` has no `value` \
             (reading keys is not supported, only writing them)",
            "ryo-a/project-deployment/02-more.tf:4:5: there is no parameter `vale` here (did you mean `value`?)",
        ]
    );
}

#[test]
fn a_missing_configuration_is_told_once() {
    let files: Vec<(&str, &str)> =
        sound().into_iter().filter(|(path, _)| *path != "ryo-a/configuration/configuration_web.yml").collect();
    let directory = lay_out(&files);
    assert_eq!(
        found(directory.path()),
        ["ryo-a/configuration/configuration_web.yml: this configuration file is missing \
          (copy `ryo-a/configuration/configuration_TEMPLATE.yml` and fill it in)"]
    );
}

#[test]
fn broken_yaml_is_told_once_where_it_is_broken() {
    let directory = with(&[("ryo-a/configuration/configuration_web.yml", "project_id: ryo-a\n  x: 1\n")]);
    assert_eq!(
        found(directory.path()),
        ["ryo-a/configuration/configuration_web.yml:2:4: not YAML: mapping values are not allowed in this context"]
    );
}

#[test]
fn an_image_that_no_template_builds_is_told() {
    let directory = with(&[(
        "ryo-a/project-deployment/01-web.tf",
        "resource \"lxd_container\" \"web\" {\n  name  = \"web\"\n  image = \"ryo-a-wbe-${var.image_version}\"\n}\n",
    )]);
    assert_eq!(
        found(directory.path()),
        ["ryo-a/project-deployment/01-web.tf:1:1: no template builds the image `ryo-a-wbe-1` \
          (did you mean `ryo-a-web-1`?)"]
    );
}

#[test]
fn modules_are_looked_through_too() {
    let directory = with(&[
        ("ryo-a/deploy.sh", "MODULES=\"ryo-m\"\n"),
        ("ryo-m/configuration/configuration.yml", "module_id: ryo-m\n"),
        (
            "ryo-m/module-deployment/main.tf",
            "variable \"host_id\" {}\nvariable \"image_version\" {}\nlocals {\n  a = local.b\n}\n",
        ),
    ]);
    assert_eq!(
        found(directory.path()),
        ["ryo-m/module-deployment/main.tf:4:7: there is no `local.b` (did you mean `local.a`?)"]
    );
}

fn ryo(directory: &Path, words: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_ryo")).args(words).current_dir(directory).output().unwrap()
}

#[test]
fn the_command_prints_problems_and_hints_and_ends_with_2() {
    let directory = with(&[("ryo-a/project-deployment/02-more.tf", "locals {\n  a = jion(\"\", [])\n}\n")]);
    let output = ryo(&directory.path().canonicalize().unwrap(), &["check", "ryo-a", "-n", "web"]);
    assert_eq!(
        String::from_utf8(output.stdout).unwrap(),
        "ryo-a/project-deployment/02-more.tf:2:7: there is no function `jion`\n  hint: did you mean `join`?\n1 problem\n"
    );
    assert_eq!((output.status.code(), output.stderr.as_slice()), (Some(2), &b""[..]));
}

#[test]
fn the_command_prints_one_object_when_asked() {
    let directory = with(&[]);
    let output = ryo(directory.path(), &["--json", "check", "ryo-a", "-n", "web"]);
    let printed: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(printed, serde_json::json!({"result": "check", "problems": [], "warnings": []}));
    assert_eq!(output.status.code(), Some(0));
    let broken = ryo(directory.path(), &["--json", "check", "ryo-a", "-n", "a-b"]);
    let printed: Value = serde_json::from_slice(&broken.stdout).unwrap();
    assert_eq!(printed["problems"][0]["message"], "`a-b` is no name for a host: only letters and digits");
    assert_eq!(broken.status.code(), Some(2));
    assert_eq!(object(&report(&directory.path().join("ryo-a"), None, "web"))["problems"], serde_json::json!([]));
}

#[test]
fn the_examples_have_no_problems() {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    for name in ["ryo-hello", "ryo-web-proxy"] {
        assert_eq!(told(&examples, &problems(&examples.join(name), "local")), Vec::<String>::new(), "{name}");
    }
}

const SETUP: &str = "- import_playbook: setup-01.yml\n";
const STAGE: &str = "- hosts: host_control_ip\n  gather_facts: no\n  vars_files:\n    \
    - \"{{ playbook_dir }}/../configuration/configuration_{{ host_id }}.yml\"\n  tasks:\n    \
    - command: echo {{ host_control_ip }}\n    \
    - template:\n        src: wg.j2\n        \
    dest: \"{{ playbook_dir }}/../configuration/{{ host_id }}_wg.conf\"\n    \
    - copy:\n        src: \"{{ playbook_dir }}/../configuration/{{ host_id }}_wg.conf\"\n        dest: /etc/wg\n";

/// What sets up hosts and control nodes is playbooks and nothing else; what one task writes another one may read.
#[test]
fn a_repository_that_sets_up_a_host_is_checked_too() {
    let files = [
        ("ryo-host/configuration/configuration_web.yml", HOST),
        (
            "ryo-host/configuration/inventory_web",
            "[host_control_ip]\n203.0.113.7\n[host_wireguard_ip6]\nfd10:10:0:1::2\n",
        ),
        ("ryo-host/host-setup/setup.yml", SETUP),
        ("ryo-host/host-setup/setup-01.yml", STAGE),
        ("ryo-host/host-setup/wg.j2", "x\n"),
        ("ryo-control-node/configuration/configuration.yml", CONTROL),
        ("ryo-control-node/configuration/inventory", "[local]\n::1 ansible_connection=local\n"),
        ("ryo-control-node/control-node/main.yml", "- hosts: local\n  tasks:\n    - comand: \"true\"\n"),
    ];
    let directory = lay_out(&files);
    let of = |name: &str, host: &str| told(directory.path(), &problems(&directory.path().join(name), host));
    assert_eq!(of("ryo-host", "web"), Vec::<String>::new());
    assert_eq!(
        of("ryo-control-node", "web"),
        ["ryo-control-node/control-node/main.yml:3:7: there is no module `comand` (did you mean `command`?)"]
    );
    assert_eq!(
        of("ryo-host", "db"),
        [
            "ryo-host/configuration/configuration_db.yml: this configuration file is missing",
            "ryo-host/configuration/inventory_db: cannot read the inventory: No such file or directory (os error 2)",
        ]
    );
}

#[test]
fn what_a_missing_repository_would_have_is_not_missed_by_itself() {
    let directory = with(&[(
        "ryo-a/project-deployment/02-gone.tf",
        "locals {\n  secret = file(\"../../ryo-gone/configuration/x_${var.host_id}.yml\")\n}\n\
         module \"m\" {\n  source = \"../../ryo-gone/modules/x\"\n}\n",
    )]);
    assert_eq!(
        found(directory.path()),
        ["ryo-a/project-deployment/02-gone.tf:5:12: the repository `ryo-gone` is missing (clone it into `.`)"]
    );
}

#[test]
fn a_template_of_a_repository_names_its_placeholders() {
    let directory = with(&[("ryo-a/deploy.sh", "MODULES=\"<MODULE_1> <MODULE_2>\"\n")]);
    assert_eq!(
        found(directory.path()),
        ["<MODULE_1>", "<MODULE_2>"].map(|module| format!(
            "ryo-a/deploy.sh:1:1: `MODULES` still has the placeholder `{module}` \
             (put the name of a module in its place, or take it out)"
        ))
    );
}

#[test]
fn what_the_checks_of_the_files_find_fault_with_is_a_warning() {
    let directory = with(&[(
        "ryo-a/project-deployment/02-check.tf",
        "check \"c\" {\n  assert {\n    condition = local.id == \"x\"\n    error_message = \"not x\"\n  }\n}\n",
    )]);
    let report = report(&directory.path().join("ryo-a"), None, "web");
    assert_eq!(told(directory.path(), &report.problems), Vec::<String>::new());
    assert_eq!(
        told(directory.path(), &report.warnings),
        ["ryo-a/project-deployment/02-check.tf:2:3: the check `c` fails (not x)"]
    );
}
