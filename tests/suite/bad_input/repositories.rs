//! Repositories that cannot be carried out: everything that is wrong is told at once, and nothing is touched.

use super::host::Directory;

/// Changes one file; `ryo check` and `ryo deploy` tell `problems`, each in its way, and end with 2. No server is asked:
/// the settings name a socket that is not there.
#[track_caller]
fn refused(change: impl Fn(&Directory), problems: &[&str]) {
    let directory = Directory::new("hosts:\n  local:\n    socket: /nowhere/unix.socket\n");
    change(&directory);
    let deployed = directory.ryo(&["deploy", "ryo-tiny", "-n", "local", "-v", "1", "--yes"]);
    let noun = if problems.len() == 1 { "problem" } else { "problems" };
    let count = problems.len();
    let list: Vec<String> = problems.iter().map(|problem| format!("  HERE/{problem}\n")).collect();
    assert_eq!(deployed.stderr, format!("error: {count} {noun}; nothing was touched\n{}", list.concat()));
    assert_eq!(deployed.code, Some(2));
    let checked = directory.ryo(&["check", "ryo-tiny", "-n", "local"]);
    let hinted = |problem: &&str| match problem.strip_suffix(')').and_then(|text| text.rsplit_once(" (")) {
        Some((message, hint)) => format!("{message}\n  hint: {hint}\n"),
        None => format!("{problem}\n"),
    };
    let list: Vec<String> = problems.iter().map(hinted).collect();
    assert_eq!(checked.stdout, format!("{}{count} {noun}\n", list.concat()));
    assert_eq!((checked.code, checked.stderr.as_str()), (Some(2), ""));
}

const TASKS: &str = "ryo-tiny/image-build/playbooks/roles/set-up-tiny/tasks/main.yml";
const TEMPLATE: &str = "ryo-tiny/image-build/playbooks/roles/set-up-tiny/templates/greeting.j2";
const DEPLOYMENT: &str = "ryo-tiny/project-deployment/02-tiny.tf";
const CONFIGURATION: &str = "ryo-tiny/configuration/configuration_local.yml";

#[test]
fn yaml_that_is_broken_is_told_where() {
    refused(
        |it| it.edit(TASKS, "- name: A line", "- name: [A line"),
        &["ryo-tiny/image-build/playbooks/roles/set-up-tiny/tasks/main.yml:16:13: \
           not YAML: illegal placement of ':' indicator"],
    );
    refused(
        |it| it.edit(CONFIGURATION, "project_domain_name", "  project_domain_name"),
        &["ryo-tiny/configuration/configuration_local.yml:2:22: \
           not YAML: mapping values are not allowed in this context"],
    );
}

#[test]
fn hcl_that_is_broken_is_told_where() {
    refused(
        |it| it.edit(DEPLOYMENT, "[local.project_id, \"tiny\"]\n}", "[local.project_id, \"tiny\"]\n"),
        &["ryo-tiny/project-deployment/02-tiny.tf:47:16: not HCL: `{` is not closed"],
    );
    refused(
        |it| it.edit(DEPLOYMENT, "image      = join(", "image      = jion("),
        &["ryo-tiny/project-deployment/02-tiny.tf:12:16: there is no function `jion` (did you mean `join`?)"],
    );
}

#[test]
fn a_role_or_a_template_that_is_missing_is_told_where_it_is_named() {
    refused(
        |it| it.remove("ryo-tiny/image-build/playbooks/roles/set-up-tiny"),
        &["ryo-tiny/image-build/playbooks/provision-tiny.yml:8:13: there is no role `set-up-tiny` in \
           `HERE/ryo-tiny/image-build/playbooks/roles/set-up-tiny` or `HERE/ryo-tiny/image-build/playbooks/set-up-tiny`"],
    );
    refused(
        |it| it.remove(TEMPLATE),
        &["ryo-tiny/image-build/playbooks/roles/set-up-tiny/tasks/main.yml:3:10: there is no template `greeting.j2`: \
           `HERE/ryo-tiny/image-build/playbooks/roles/set-up-tiny/templates/greeting.j2` is not there"],
    );
}

#[test]
fn templates_that_are_broken_or_name_what_nobody_defines_are_told_where() {
    refused(
        |it| it.edit(TEMPLATE, "{{ project_id }}", "{{ project_id"),
        &["ryo-tiny/image-build/playbooks/roles/set-up-tiny/templates/greeting.j2:1:26: \
           unexpected identifier, expected end of variable block"],
    );
    refused(
        |it| it.edit(TEMPLATE, "{{ project_id }}", "{{ project_name }}"),
        &["ryo-tiny/image-build/playbooks/roles/set-up-tiny/templates/greeting.j2:1:15: `project_name` is undefined"],
    );
}

#[test]
fn a_module_of_ansible_that_nobody_knows_is_told_with_the_nearest_one() {
    refused(
        |it| it.edit(TASKS, "template:", "tmplate:"),
        &["ryo-tiny/image-build/playbooks/roles/set-up-tiny/tasks/main.yml:2:3: \
           there is no module `tmplate` (did you mean `template`?)"],
    );
}

#[test]
fn placeholders_are_all_told() {
    refused(
        |it| {
            it.edit(CONFIGURATION, "tiny.example.org", "<DOMAIN>");
            it.edit(CONFIGURATION, "admin@example.org", "<MAIL>");
        },
        &[
            "ryo-tiny/configuration/configuration_local.yml:2:22: \
             `project_domain_name` is still the placeholder `<DOMAIN>` (put the real value in its place)",
            "ryo-tiny/configuration/configuration_local.yml:3:22: \
             `project_admin_email` is still the placeholder `<MAIL>` (put the real value in its place)",
        ],
    );
}

#[test]
fn a_configuration_that_is_missing_is_told_once() {
    refused(
        |it| it.remove(CONFIGURATION),
        &["ryo-tiny/configuration/configuration_local.yml: this configuration file is missing"],
    );
    refused(
        |it| it.remove("ryo-host/configuration/configuration_local.yml"),
        &["ryo-host/configuration/configuration_local.yml: this configuration file is missing"],
    );
}

#[test]
fn a_module_that_is_not_checked_out_is_told_with_everything_else() {
    let directory = Directory::new("hosts:\n  local:\n    socket: /nowhere/unix.socket\n");
    directory.remove("ryo-tiny-store");
    directory.edit(CONFIGURATION, "tiny.example.org", "<DOMAIN>");
    let ended = directory.ryo(&["deploy", "ryo-tiny", "-n", "local", "--yes", "--no-pull"]);
    assert_eq!(ended.code, Some(2));
    assert_eq!(
        ended.stderr,
        "error: 4 problems; nothing was touched\n  \
         HERE/ryo-tiny/configuration/configuration_local.yml:2:22: \
         `project_domain_name` is still the placeholder `<DOMAIN>` (put the real value in its place)\n  \
         HERE/ryo-tiny/deploy.sh:2:1: the module `ryo-tiny-store` is missing (clone it into `HERE`)\n  \
         HERE/ryo-tiny/project-deployment/02-tiny.tf:5:19: \
         the repository `ryo-tiny-store` is missing (clone it into `HERE`)\n  \
         HERE/ryo-tiny/project-deployment/02-tiny.tf:48:17: \
         the repository `ryo-tiny-store` is missing (clone it into `HERE`)\n"
    );
}
