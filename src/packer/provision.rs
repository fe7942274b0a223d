//! `provisioner "ansible"`.

use std::path::{Path, PathBuf};

use hcl_edit::structure::Block;

use crate::hcl::Scope;
use crate::hcl::function::path;
use crate::packer::Provisioner;
use crate::packer::block::Reader;
use crate::place::Problem;

/// What the plugin knows beside what is carried out.
const UNSUPPORTED: &[&str] = &[
    "ansible_env_vars",
    "ansible_ssh_extra_args",
    "command",
    "empty_groups",
    "galaxy_command",
    "galaxy_file",
    "galaxy_force_install",
    "collections_path",
    "groups",
    "host_alias",
    "inventory_directory",
    "inventory_file_template",
    "roles_path",
    "sftp_command",
    "ssh_authorized_key_file",
    "ssh_host_key_file",
    "max_retries",
    "timeout",
    "pause_before",
    "override",
    "only",
    "except",
];

/// Reads one provisioner; `None` if it is none that can be carried out.
pub fn read(block: &Block, scope: &Scope<'_>, problems: &mut Vec<Problem>) -> Option<Provisioner> {
    let kind = block.labels.first().map_or("", |label| label.as_str());
    let mut reader = Reader::new(block, scope);
    if kind != "ansible" {
        let problem = Problem::new(reader.place(), format!("the provisioner `{kind}` is not supported"));
        problems.push(problem.hint("only `ansible` is"));
        return None;
    }
    let playbook = reader.required("playbook_file", problems);
    let inventory = reader.required("inventory_file", problems);
    let arguments = reader.texts("extra_arguments", problems);
    let place = reader.place_of("extra_arguments");
    reader.without_effect(&[
        "user",
        "use_proxy",
        "use_sftp",
        "local_port",
        "skip_version_check",
        "keep_inventory_file",
    ]);
    reader.end(UNSUPPORTED, problems);
    let extra_vars = extra_vars(&arguments).unwrap_or_else(|wrong| {
        problems.push(Problem::new(place, wrong));
        vec![]
    });
    let playbook = existing(scope.files.directory, &playbook, "playbook", block, scope, problems);
    let inventory = existing(scope.files.directory, &inventory, "inventory", block, scope, problems);
    Some(Provisioner { playbook, inventory, extra_vars })
}

fn existing(
    directory: &Path,
    name: &str,
    what: &str,
    block: &Block,
    scope: &Scope<'_>,
    problems: &mut Vec<Problem>,
) -> PathBuf {
    let file = path(directory, name);
    if !name.is_empty() && !file.is_file() {
        let attribute = block.body.get_attribute(&format!("{what}_file"));
        let place = attribute.map_or_else(|| scope.lines.place(block), |attribute| scope.lines.place(&attribute.value));
        problems.push(Problem::new(place, format!("there is no {what} `{}`", file.display())));
    }
    file
}

/// Takes the extra variables out of Ansible's arguments. How much Ansible says (`-v`) is not for it to say.
fn extra_vars(arguments: &[String]) -> Result<Vec<String>, String> {
    let mut found = vec![];
    let mut arguments = arguments.iter();
    while let Some(argument) = arguments.next() {
        if argument == "-e" || argument == "--extra-vars" {
            let value = arguments.next().ok_or_else(|| format!("`{argument}` has no value"))?;
            found.push(value.clone());
        } else if let Some(value) = argument.strip_prefix("--extra-vars=") {
            found.push(value.to_owned());
        } else if let Some(value) = argument.strip_prefix("-e") {
            found.push(value.to_owned());
        } else if !quiet(argument) {
            return Err(format!("the argument `{argument}` is not supported"));
        }
    }
    match found.iter().find(|value| value.starts_with('@')) {
        Some(file) => Err(format!("extra variables from a file (`{file}`) are not supported")),
        None => Ok(found),
    }
}

fn quiet(argument: &str) -> bool {
    argument == "--verbose"
        || argument.strip_prefix('-').is_some_and(|rest| !rest.is_empty() && rest.chars().all(|c| c == 'v'))
}
